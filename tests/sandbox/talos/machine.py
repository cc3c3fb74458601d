# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One simulated machine and its life, from boot to reset."""

from __future__ import annotations

import asyncio
import collections
import datetime
import hashlib
import logging
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.sandbox.talos import pki
from tests.sandbox.talos.etcd import EtcdCluster, Member, read_snapshot
from tests.sandbox.talos.hardware import Disk, Faults, Hardware, Slot, SystemDisk, image_slot, minor_version
from tests.sandbox.talos.listener import Listener
from tests.sandbox.talos.machine_config import STATIC_PODS, ConfigError, Installation, MachineConfig, parse

if TYPE_CHECKING:
    from tests.sandbox.talos.world import World

log = logging.getLogger(__name__)

Sequence = Coroutine[Any, Any, None]


@dataclass(frozen=True)
class Service:
    """A service of Talos; ``healthy`` is None where nobody checks."""

    id: str
    state: str
    healthy: bool | None = True


class Machine:
    """A machine. Its life is one sequence after the other: boot, reboot, upgrade, reset, shutdown."""

    def __init__(self, hardware: Hardware, world: World, serve: Callable[[Machine, str, Any], Awaitable[None]]) -> None:
        """``serve`` answers one request that arrives at this machine."""
        self.hardware = hardware
        self.world = world
        self.disk = SystemDisk()
        self.faults = Faults()
        self.requests: collections.Counter[str] = collections.Counter()
        self.apply_lock = asyncio.Lock()
        self.listener = Listener(hardware.address, world.platform.port, lambda path, stream: serve(self, path, stream))
        self._sequence: asyncio.Task[None] | None = None
        self._sequence_name = ""
        self._securing: asyncio.Task[None] | None = None
        self._revert: asyncio.TimerHandle | None = None
        self._forget()
        self.powered = False

    def _forget(self) -> None:
        """Lose what a machine does not know any more after a boot."""
        self.cancel_revert()
        if self._securing is not None:
            self._securing.cancel()
            self._securing = None
        self.powered = True
        self.stage: str = "booting"
        self.boot_id = str(uuid.uuid4())
        self.config: MachineConfig | None = None
        self.stored: MachineConfig | None = None
        self.maintenance: pki.Identity | None = None
        self.identity: pki.Identity | None = None
        self.secured = False  # the API has its certificate, and answers
        self.services_started = False
        self.stopped_services: set[str] = set()
        self.etcd_state = ""
        self.reboot_pending = False
        self.install_error = ""
        self.writing_system = False
        self.revisions: dict[tuple[str, str], Any] = {}  # of its COSI resources

    # What it is

    @property
    def name(self) -> str:
        return self.hardware.name

    @property
    def address(self) -> str:
        return self.hardware.address

    @property
    def node_id(self) -> str:
        """What the machine calls itself in the cluster, whatever its name."""
        return str(uuid.uuid5(uuid.NAMESPACE_OID, self.name))

    @property
    def running_system(self) -> Slot:
        return self.disk.installed or Slot(self.world.platform.version, "")

    @property
    def version(self) -> str:
        """Of the Talos that runs, with the leading v."""
        return self.running_system.version

    @property
    def minor(self) -> int:
        return minor_version(self.version)

    @property
    def in_maintenance(self) -> bool:
        return self.maintenance is not None

    @property
    def is_control_plane(self) -> bool:
        return self.config is not None and self.config.is_control_plane

    @property
    def requires_install(self) -> bool:
        return self.world.platform.mode == "metal" and self.disk.installed is None

    @property
    def reachable(self) -> bool:
        return self.powered and not self.faults.unreachable

    @property
    def settled(self) -> bool:
        """Whether its port is as it will be for the time being."""
        waits = self.config is not None and self.world.signing_authority(self) is None
        return not self.powered or self.listener.is_open or waits

    @property
    def api_open(self) -> bool:
        """Whether the API answers clients of the authority now."""
        return self.secured and self.stage != "rebooting"

    @property
    def hostname(self) -> str:
        """Configured, or made up from what never changes about the machine."""
        digest = hashlib.sha256(self.name.encode()).hexdigest()
        return (self.config.hostname if self.config else "") or f"talos-{digest[:3]}-{digest[3:6]}"

    @property
    def system_disk(self) -> Disk | None:
        return next((disk for disk in self.hardware.disks if disk.path == self.disk.path), None)

    @property
    def etcd_cluster(self) -> EtcdCluster | None:
        return self.world.etcd_clusters.get(self.disk.etcd_cluster)

    @property
    def etcd_running(self) -> bool:
        return self.reachable and self.etcd_state == "Running"

    @property
    def bootstrap_allowed(self) -> bool:
        return self.services_started and not self.reboot_pending and not self.requires_install

    def services(self) -> list[Service]:
        """As ServiceList shows them."""
        names = ["apid", "auditd", "containerd", "machined", "syslogd", "udevd"]
        found = [Service(name, "Running") for name in names] + [Service("dashboard", "Running", None)]
        if self.config is not None and not self.in_maintenance:
            state = "Running" if self.services_started else "Waiting"
            found += [Service("cri", state, self.services_started), Service("kubelet", state, self.services_started)]
            if self.is_control_plane:
                etcd_state = self.etcd_state or "Waiting"
                found += [Service("trustd", "Running"), Service("etcd", etcd_state, etcd_state == "Running" or None)]
        stopped = [
            Service(service.id, "Finished", None) if service.id in self.stopped_services else service
            for service in found
        ]
        return sorted(stopped, key=lambda service: service.id)

    def unmet_conditions(self) -> list[tuple[str, str]]:
        """Names and reasons, as the machine's status has them."""
        if self.stage not in ("booting", "running"):
            return []
        unmet = []
        if self.faults.time_unsynchronised:
            unmet.append(("time", "time is not synced"))
        down = [service.id for service in self.services() if service.state != "Running"]
        if down:
            unmet.append(("services", ", ".join(f"{name} not running" for name in down)))
        pods = [name for name, (_unused, ready) in self.static_pods().items() if not ready]
        if pods:
            unmet.append(("staticPods", ", ".join(f"{name} not ready" for name in pods)))
        if problem := self.node_problem():
            unmet.append(("nodeReady", problem))
        return unmet

    def static_pods(self) -> dict[str, tuple[str, bool]]:
        """By name, the image of each and whether it is ready."""
        if self.config is None or not self.is_control_plane or not self.etcd_running:
            return {}
        images = {name: self.config.static_pod_image(name) for name in STATIC_PODS}
        broken = self.faults.pods_fail
        return {name: (image, not (broken and image.endswith(broken))) for name, image in images.items()}

    def node_problem(self) -> str:
        """Why the machine's Kubernetes node is not ready; empty when it is."""
        if self.config is None or not self.config.registers_node:
            return ""
        if not self.services_started or not self.world.kubernetes_up(self.config):
            return f'node "{self.hostname}" status is not available yet'
        plugin = self.world.platform.network_plugin or self.config.brings_network
        return "" if plugin else f'node "{self.hostname}" is not ready'

    # The configuration

    async def activate(self, config: MachineConfig) -> None:
        """Run with another configuration from now on."""
        previous, self.config = self.config, config
        if previous is not None and self.secured and _api_part(previous) != _api_part(config):
            await self._secure_api()
        self.world.notify()

    def store(self, config: MachineConfig) -> None:
        """Boot with this configuration from now on."""
        self.stored = config
        self.save()
        self.world.notify()

    def revert_after(self, seconds: float) -> None:
        """Go back to the configuration of now, unless :meth:`cancel_revert` comes first."""
        config = self.config
        if config is None:
            return
        self.cancel_revert()
        loop = asyncio.get_running_loop()
        self._revert = loop.call_later(seconds, lambda: self.world.spawn(self.activate(config)))

    def cancel_revert(self) -> None:
        if self._revert is not None:
            self._revert.cancel()
            self._revert = None

    def save(self) -> None:
        """Write what the disk holds. A configuration has no place to stay before Talos is installed."""
        if self.stored is not None and not self.requires_install:
            self.disk.config = self.stored.raw
        self.world.save_machine(self)

    # Power and the API's port

    def power_on(self) -> None:
        """Boot from whatever there is to boot from."""
        self.powered = True
        self.start("boot", self._boot(), takeover=True)

    def power_off(self) -> None:
        """At once, as when the cable is pulled."""
        if self._sequence is not None:
            self._sequence.cancel()
        self._off()

    def _off(self) -> None:
        self._forget()
        self.powered = False
        self.stage = "powered off"
        self.listener.close()
        self.world.notify()

    async def refresh_api(self) -> None:
        """Make the port match the state: closed, silent, for maintenance, or for clients of the authority."""
        keyfile = self.world.keyfile(self.name)
        if not self.powered or self.faults.unreachable == "refuse":
            self.listener.close()
        elif self.faults.unreachable:
            await self.listener.hang()
        elif self.maintenance is not None:
            await self.listener.open(pki.server_context(self.maintenance, [], keyfile))
        elif self.config is not None and self.identity is not None:
            identity = self._expired() if self.faults.certificate_expired else None
            await self.listener.open(
                pki.server_context(identity or self.identity, self.config.accepted_os_authorities, keyfile)
            )

    def _expired(self) -> pki.Identity | None:
        """The certificate of a machine that could not renew it, or that lives in the past."""
        authority = self.world.signing_authority(self)
        past = datetime.timedelta()
        return pki.issue_server(authority, self.hostname, [self.address], past) if authority else None

    async def _secure_api(self) -> None:
        """Workers get their certificate from a control plane's trustd; until one answers, the port is closed."""
        authority = await self.world.until(lambda: self.world.signing_authority(self))
        names = [self.address, *self.config.api_names] if self.config else []
        self.identity = pki.issue_server(authority, self.hostname, names)
        await self.refresh_api()
        self.secured = True
        self.world.notify()

    # Sequences

    def start(self, name: str, sequence: Sequence, *, takeover: bool = False) -> bool:
        """Begin a sequence; False, and nothing happens, if another one must be waited for.

        Every sequence may interrupt a boot; only a takeover interrupts the others.
        """
        if self._sequence is not None and not self._sequence.done():
            if self._sequence_name != "boot" and not takeover:
                sequence.close()
                return False
            self._sequence.cancel()
        self._sequence_name = name
        self._sequence = self.world.spawn(sequence)
        return True

    async def _boot(self) -> None:
        self._sequence_name = "boot"
        self._forget()
        self.listener.close()
        self._choose_system()
        if self.disk.installed is None and not self.hardware.boot_media:
            self._off()
            return
        self.stored = parse(self.disk.config, self.minor) if self.disk.config is not None else None
        if self.stored is not None and self.stored.complete:
            await self._run(self.stored)
            return
        self.config = self.stored
        self.maintenance = pki.issue_server(pki.new_authority("talos"), self.hostname, [self.address])
        self.stage = "maintenance"
        await self.refresh_api()
        self.world.notify()

    def _choose_system(self) -> None:
        """Boot the system that an upgrade wrote; the boot loader goes back to the last one if it does not come up."""
        if self.disk.pending is None:
            return
        if not self.faults.boot_fails:
            self.disk.fallback, self.disk.installed = self.disk.installed, self.disk.pending
        self.disk.pending = None
        self.save()

    async def leave_maintenance(self, config: MachineConfig) -> None:
        """The sequence after the first complete configuration."""
        await self.listener.finish_requests()
        self.listener.close()
        self.maintenance = None
        self.stage = "booting"
        self.store(config)
        await self._run(config)

    async def _run(self, config: MachineConfig) -> None:
        """From a complete configuration to a running machine."""
        self.config = config
        self._securing = self.world.spawn(self._secure_api())
        if self.requires_install and not await self._install(config):
            return
        await asyncio.sleep(self.world.platform.durations.boot + self.faults.boot_seconds)
        self.services_started = True
        self.world.notify()
        if self.is_control_plane and not await self._start_etcd():
            return
        await self.world.until(lambda: self.secured)
        self.stage = "running"
        self.world.notify()

    async def _install(self, config: MachineConfig) -> bool:
        """Install, as the configuration says; true if the machine goes on without a reboot."""
        installation = config.installation
        if installation is None:
            return False  # the operator installs, and reboots
        self._sequence_name = "install"
        self.stage = "installing"
        self.world.notify()
        try:
            await self.write_system(installation)
        except (ConfigError, ValueError) as error:
            log.warning("%s: installation failed: %s", self.name, error)
            self.install_error = str(error)
            self.world.notify()
            if not installation.unattended:
                await self._restart()  # without a disk the configuration is lost: back to maintenance
            return False
        if installation.reboot:
            await self._restart()
            return False
        self.reboot_pending = True
        self.stage = "booting"
        return True

    async def write_system(self, installation: Installation) -> None:
        """Put Talos on an empty disk; raises ``ValueError`` or :class:`ConfigError` when that cannot work."""
        await asyncio.sleep(self.world.platform.durations.install + self.faults.install_seconds)
        candidates = [disk for disk in self.hardware.disks if not disk.readonly]
        if installation.disk:
            candidates = [disk for disk in candidates if disk.path == installation.disk]
        else:
            candidates = [disk for disk in candidates if disk.matches(installation.selector)]
        if not candidates:
            raise ValueError("no disk matches the installation")
        image = installation.image or f"ghcr.io/siderolabs/installer:{self.world.platform.version}"
        slot = self._installed(image)
        self.disk.path = candidates[0].path
        self.disk.installed = slot
        self.save()

    async def write_upgrade(self, image: str) -> None:
        """Put a system next to the running one, for the next boot; raises ``ValueError`` when that cannot work."""
        await asyncio.sleep(self.world.platform.durations.install + self.faults.install_seconds)
        self.disk.pending = self._installed(image)
        self.save()

    def _installed(self, image: str) -> Slot:
        if self.faults.install_fails:
            raise ValueError("installer failed: exit code 1")
        return image_slot(image)

    async def _restart(self) -> None:
        """Go down and come up again, in the same sequence."""
        self.stage = "rebooting"
        await self.listener.finish_requests()
        self.etcd_state = ""
        if self.faults.half_open:
            self.listener.abandon()
        self.listener.close()
        self.world.notify()
        await asyncio.sleep(self.world.platform.durations.reboot)
        await self._boot()

    async def reboot(self) -> None:
        """The sequence of Reboot and of configurations that need one."""
        await self._restart()

    async def shut_down(self) -> None:
        """The sequence of Shutdown."""
        self.stage = "shutting down"
        await self.listener.finish_requests()
        await asyncio.sleep(self.world.platform.durations.shutdown)
        self._off()

    async def upgrade(self, image: str) -> None:
        """The sequence of the old Upgrade call; a failed installer leaves the system as it was."""
        self.stage = "upgrading"
        await self.listener.finish_requests()
        self.etcd_state = "Finished" if self.etcd_state else ""
        self.world.notify()
        try:
            await self.write_upgrade(image)
        except ValueError as error:
            log.warning("%s: upgrade failed: %s", self.name, error)
        await self._restart()

    async def reset(self, *, wipe: frozenset[str], whole_disk: bool, graceful: bool, reboot: bool) -> None:
        """The sequence of Reset. If etcd cannot spare the member, nothing is wiped and the machine reboots."""
        self.stage = "resetting"
        await self.listener.finish_requests()
        self.world.notify()
        await asyncio.sleep(self.world.platform.durations.shutdown)
        if graceful and self.etcd_cluster is not None and (reason := self.leave_etcd()):
            log.warning("%s: reset failed: %s", self.name, reason)
            await self._restart()
            return
        if whole_disk:
            self.disk = SystemDisk()
        if "STATE" in wipe:
            self.disk.config = None
        if "EPHEMERAL" in wipe:
            self.disk.etcd_cluster, self.disk.etcd_member, self.disk.recovery_snapshot = "", 0, None
            self.disk.images = []
        if "META" in wipe:
            self.disk.meta = {}
        self.stored = None
        self.save()
        if reboot:
            await self._restart()
        else:
            self._off()

    def wipe(self) -> None:
        """Back to an empty disk and to maintenance, without asking anybody."""
        self.power_off()
        self.disk = SystemDisk()
        self.world.save_machine(self)
        self.power_on()

    # etcd

    async def _start_etcd(self) -> bool:
        """Start the member on the disk, or wait until there is a cluster to join; true when etcd runs."""
        self.etcd_state = "Preparing"
        self.world.notify()
        durations = self.world.platform.durations
        await self.world.until(lambda: self.etcd_cluster or self.world.cluster_to_join(self))
        await asyncio.sleep(durations.etcd)
        if self.etcd_cluster is None:
            await self._join()
            await asyncio.sleep(durations.etcd)
        member = self.etcd_cluster.members.get(self.disk.etcd_member) if self.etcd_cluster else None
        if member is None:
            self.etcd_state = "Failed"  # others have removed the member while the machine was away
            self.world.notify()
            return False
        member.learner = False
        self.etcd_state = "Running"
        self.world.save_etcd()
        self.world.notify()
        return True

    async def _join(self) -> None:
        """As a learner, which may vote once it has caught up."""
        cluster: EtcdCluster = await self.world.until(lambda: self.world.cluster_to_join(self))
        self._remember_member(cluster, cluster.add(self.name, self.hostname, self.address, learner=True))

    def bootstrap_etcd(self, *, recover: bool, check_hash: bool) -> None:
        """Become the first member of a new cluster, empty or with the data of the uploaded snapshot.

        Raises ``ValueError`` if the snapshot is not a whole one.
        """
        revision = read_snapshot(self.disk.recovery_snapshot or b"", check_hash=check_hash) if recover else 1
        authority = self.config.etcd_authority.certificate if self.config else ""
        cluster = EtcdCluster(uuid.uuid4().hex[:16], authority, revision=revision)
        member = cluster.add(self.name, self.hostname, self.address, learner=False)
        self.world.etcd_clusters[cluster.id] = cluster
        self.disk.recovery_snapshot = None
        self._remember_member(cluster, member)

    def _remember_member(self, cluster: EtcdCluster, member: Member) -> None:
        self.disk.etcd_cluster, self.disk.etcd_member = cluster.id, member.id
        self.world.save_etcd()
        self.save()
        self.world.notify()

    def etcd_removed(self) -> None:
        """Others have removed the member: its etcd stops, as soon as it hears of it, and the data stays."""
        if self.etcd_state == "Running":
            self.etcd_state = "Failed"

    def leave_etcd(self) -> str:
        """Leave the cluster, stop etcd and wipe its data; returns why not, if etcd cannot spare the member."""
        cluster = self.etcd_cluster
        if cluster is not None and self.disk.etcd_member in cluster.members:
            if reason := cluster.why_not_removed(self.disk.etcd_member, self.world.running_members(cluster)):
                return reason
            cluster.remove(self.disk.etcd_member)
        self.disk.etcd_cluster, self.disk.etcd_member = "", 0
        self.etcd_state = "Finished"
        self.world.save_etcd()
        self.save()
        self.world.notify()
        return ""


def _api_part(config: MachineConfig) -> Any:
    return config.os_authority, config.accepted_os_authorities, config.api_names, config.hostname

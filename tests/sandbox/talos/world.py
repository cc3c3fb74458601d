# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""All simulated machines, what they find out about each other, and the files that keep it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from tests.sandbox.service import write_private
from tests.sandbox.talos.etcd import EtcdCluster
from tests.sandbox.talos.hardware import Disk, Durations, Hardware, Platform, Slot, SystemDisk
from tests.sandbox.talos.machine import Machine
from tests.sandbox.talos.machine_config import MachineConfig
from tests.sandbox.talos.pki import Authority
from tests.sandbox.talos.router import serve

log = logging.getLogger(__name__)

T = TypeVar("T")


class World:
    """The machines of one ``nodes.json``."""

    def __init__(self, directory: Path) -> None:
        """``directory`` holds ``nodes.json``; everything is written below it, for its owner only."""
        self.directory = directory
        description = json.loads((directory / "nodes.json").read_text())
        hardware = [_hardware(node) for node in description.pop("nodes")]
        durations = Durations(**description.pop("durations", {}))
        self.platform = Platform(**description, durations=durations)
        self.etcd_clusters: dict[str, EtcdCluster] = {}
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        for name in ("machines", "keys"):
            (directory / name).mkdir(mode=0o700, exist_ok=True)
        self.machines = {one.name: Machine(one, self, serve) for one in hardware}
        self._load()

    # Life

    def start(self) -> None:
        """Switch all machines on."""
        for machine in self.machines.values():
            machine.power_on()

    async def stop(self) -> None:
        """Switch all machines off and wait for what was under way."""
        for machine in self.machines.values():
            machine.power_off()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run in the background; a failure is logged."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("background work failed", exc_info=error)

    def notify(self) -> None:
        """Something changed that others may wait for."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def change(self) -> None:
        """Wait for the next :meth:`notify`."""
        await self._changed.wait()

    async def until(self, condition: Callable[[], T | None]) -> T:
        """Wait for ``condition`` to return something true, and return that."""
        while not (value := condition()):
            await self.change()
        return value

    # What machines find out about each other

    def at(self, target: str) -> Machine | None:
        """The machine with this address or host name."""
        found = (machine for machine in self.machines.values() if target in (machine.address, machine.hostname))
        return next(found, None)

    def signing_authority(self, machine: Machine) -> Authority | None:
        """Who signs the machine's certificate: itself, or for workers any control plane that trusts their token."""
        config = machine.config
        if config is None or config.os_authority.key:
            return config.os_authority if config else None
        for other in self.machines.values():
            same = other.reachable and other.is_control_plane and other.secured and other.config
            if same and (same.os_authority.certificate, same.token) == (config.os_authority.certificate, config.token):
                return same.os_authority
        return None

    def members_of(self, machine: Machine) -> list[Machine]:
        """The machines of the same cluster that are up, as discovery finds them."""
        config = machine.config
        if config is None or not config.discovers_members:
            return []
        return [
            other
            for other in self.machines.values()
            if other.reachable and other.config and other.config.cluster_id == config.cluster_id
        ]

    def cluster_to_join(self, machine: Machine) -> EtcdCluster | None:
        """An etcd cluster that works, trusts the same authority, and has no other learner now."""
        authority = machine.config.etcd_authority.certificate if machine.config else ""
        clusters = [other.etcd_cluster for other in self.machines.values() if other.etcd_running]
        for cluster in clusters:
            if cluster and cluster.authority == authority and cluster.takes_learner and self.quorum(cluster):
                return cluster
        return None

    def running_members(self, cluster: EtcdCluster) -> set[int]:
        """Ids of the members whose machine runs etcd now."""
        return {
            machine.disk.etcd_member
            for machine in self.machines.values()
            if machine.etcd_running and machine.disk.etcd_cluster == cluster.id
        }

    def quorum(self, cluster: EtcdCluster) -> bool:
        return cluster.has_quorum(self.running_members(cluster))

    def kubernetes_up(self, config: MachineConfig) -> bool:
        """Whether an API server answers for the cluster of this configuration."""
        return any(
            machine.etcd_running
            and machine.config
            and machine.config.endpoint == config.endpoint
            and machine.etcd_cluster
            and self.quorum(machine.etcd_cluster)
            for machine in self.machines.values()
        )

    # Files

    def keyfile(self, name: str) -> Path:
        """Where the API's certificate and key of a machine are written."""
        return self.directory / "keys" / f"{name}.pem"

    def _state_file(self, name: str) -> Path:
        return self.directory / "machines" / f"{name}.json"

    def save_machine(self, machine: Machine) -> None:
        """Write what is on the machine's disk."""
        write_private(self._state_file(machine.name), json.dumps(machine.disk.state()))

    def save_etcd(self) -> None:
        """Write the etcd clusters; those without members are gone."""
        self.etcd_clusters = {key: cluster for key, cluster in self.etcd_clusters.items() if cluster.members}
        state = [cluster.state() for cluster in self.etcd_clusters.values()]
        write_private(self.directory / "etcd.json", json.dumps(state))

    def _load(self) -> None:
        etcd = self.directory / "etcd.json"
        if etcd.exists():
            clusters = map(EtcdCluster.from_state, json.loads(etcd.read_text()))
            self.etcd_clusters = {cluster.id: cluster for cluster in clusters}
        for machine in self.machines.values():
            file = self._state_file(machine.name)
            if file.exists():
                machine.disk = SystemDisk.from_state(json.loads(file.read_text()))
            elif machine.hardware.installed:
                machine.disk = SystemDisk(machine.hardware.disks[0].path, Slot(self.platform.version, ""))


def _hardware(node: dict[str, Any]) -> Hardware:
    node = {key: value for key, value in node.items() if key != "type"}  # what the inventory makes of it
    if "disks" in node:
        node["disks"] = tuple(Disk(**disk) for disk in node["disks"])
    return Hardware(**node)

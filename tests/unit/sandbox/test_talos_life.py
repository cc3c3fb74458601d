# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What happens to simulated machines later: new configurations, reboots, resets, upgrades, lost members and faults."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.dcm.platform.plugins.module_utils.talos.messages import message
from grpclib.const import Status
from grpclib.exceptions import StreamTerminatedError

from tests.unit.sandbox.talos_lab import MACHINE, STATE, Config, TalosLab, play, refused

INSTALLER = "ghcr.io/siderolabs/installer"
FACTORY = f"factory.talos.dev/metal-installer/{'ab' * 32}"
CONTAINERD: Config = {"driver": "CRI", "namespace": "NS_SYSTEM"}


async def _configs(lab: TalosLab, name: str = "cp-1") -> dict[str, Any]:
    """What runs and what is stored, parsed."""
    where: Config = {"namespace": "config", "type": "MachineConfigs.config.talos.dev"}
    replies = await lab.stream(name, f"{STATE}/List", **where)
    found = {}
    for reply in replies:
        spec = message("resource.config.MachineConfigSpec").FromString(reply.resource.spec.proto_spec)
        found[reply.resource.metadata.id] = yaml.safe_load(spec.yaml_marshalled)
    return found


LIVE: Config = {"sysctls": {"net.core.somaxconn": "1024"}}  # every version changes this on a running machine
DEEP: Config = {"env": {"a": "b"}}  # up to 1.13 this takes a reboot


@pytest.mark.parametrize(
    ("version", "mode", "change", "used", "details"),
    [
        ("v1.13.9", "AUTO", LIVE, "NO_REBOOT", "Applied configuration without a reboot"),
        ("v1.13.9", "AUTO", DEEP, "REBOOT", "Applied configuration with a reboot: this config change can't be applied"),
        ("v1.13.9", "NO_REBOOT", LIVE, "NO_REBOOT", "Applied configuration without a reboot"),
        ("v1.13.9", "REBOOT", LIVE, "REBOOT", "Applied configuration with a reboot"),
        ("v1.13.9", "STAGED", DEEP, "STAGED", "Staged configuration to be applied after the next reboot"),
        ("v1.14.0", "AUTO", DEEP, "NO_REBOOT", "Applied configuration without a reboot"),
        ("v1.14.0", "STAGED", LIVE, "STAGED", "Staged configuration to be applied after the next reboot"),
    ],
)
def test_apply_modes(tmp_path: Path, version: str, mode: str, change: Config, used: str, details: str) -> None:
    async def scenario(lab: TalosLab) -> None:
        await lab.up("cp-1")
        booted = lab["cp-1"].boot_id
        wanted = lab.cluster.config(**change)
        answer = await lab.apply("cp-1", wanted, mode)
        modes = message("machine.ApplyConfigurationRequest").Mode
        assert (modes.Name(answer.mode), answer.mode_details[: len(details)]) == (used, details)
        if used == "REBOOT":
            await lab.until(lambda: lab["cp-1"].boot_id != booted and lab["cp-1"].stage == "running")
        assert (lab["cp-1"].boot_id != booted) == (used == "REBOOT")
        configs = await _configs(lab)
        assert configs["persistent"] == wanted
        assert (configs["v1alpha1"] == wanted) == (used != "STAGED")

    play(tmp_path, scenario, version=version)


@pytest.mark.parametrize(
    ("version", "mode", "status", "text"),
    [
        ("v1.13.9", "NO_REBOOT", Status.INVALID_ARGUMENT, "this config change can't be applied in immediate mode"),
        ("v1.13.9", "TRY", Status.INVALID_ARGUMENT, "this config change can't be applied in immediate mode"),
        ("v1.14.0", "REBOOT", Status.UNIMPLEMENTED, "the REBOOT mode is not supported, please use AUTO or NO_REBOOT"),
    ],
)
def test_apply_modes_that_do_not_fit(tmp_path: Path, version: str, mode: str, status: Status, text: str) -> None:
    async def scenario(lab: TalosLab) -> None:
        await lab.up("cp-1")
        with refused(status, text):
            await lab.apply("cp-1", lab.cluster.config(**DEEP), mode)
        assert (await _configs(lab))["persistent"] == lab.cluster.config()

    play(tmp_path, scenario, version=version)


def test_staged_configuration_comes_with_the_next_boot(tmp_path: Path) -> None:
    async def scenario(lab: TalosLab) -> None:
        await lab.up("cp-1")
        await lab.apply("cp-1", lab.cluster.config(**DEEP), "STAGED")
        await lab.call("cp-1", f"{MACHINE}/Reboot")
        await lab.stage("cp-1", "rebooting")
        await lab.stage("cp-1", "running")
        assert (await _configs(lab))["v1alpha1"] == lab.cluster.config(**DEEP)

    play(tmp_path, scenario)


def test_tried_configuration_goes_back(tmp_path: Path) -> None:
    async def scenario(lab: TalosLab) -> None:
        await lab.up("cp-1")
        answer = await lab.apply("cp-1", lab.cluster.config(**LIVE), "TRY", try_mode_timeout={"nanos": 300_000_000})
        assert "will be automatically reverted back in 0.3s" in answer.mode_details
        configs = await _configs(lab)
        assert (configs["v1alpha1"], configs["persistent"]) == (lab.cluster.config(**LIVE), lab.cluster.config())
        await lab.until(lambda: lab["cp-1"].config == lab["cp-1"].stored)
        assert (await _configs(lab))["v1alpha1"] == lab.cluster.config()

    play(tmp_path, scenario)


@pytest.mark.parametrize("data", [b"nonsense: true", None], ids=["invalid", "dry run"])
def test_any_other_apply_keeps_a_tried_configuration(tmp_path: Path, data: bytes | None) -> None:
    """talos#14343."""

    async def scenario(lab: TalosLab) -> None:
        await lab.up("cp-1")
        await lab.apply("cp-1", lab.cluster.config(**LIVE), "TRY", try_mode_timeout={"seconds": 30})
        if data is None:
            await lab.apply("cp-1", lab.cluster.config(), dry_run=True)
        else:
            with refused(Status.INVALID_ARGUMENT, "unknown keys"):
                await lab.apply("cp-1", data)
        assert lab["cp-1"]._revert is None
        configs = await _configs(lab)
        assert (configs["v1alpha1"], configs["persistent"]) == (lab.cluster.config(**LIVE), lab.cluster.config())

    play(tmp_path, scenario)


def test_dry_run_tells_and_changes_nothing(tmp_path: Path) -> None:
    async def scenario(lab: TalosLab) -> None:
        await lab.up("cp-1")
        answer = await lab.apply("cp-1", lab.cluster.config(**DEEP), dry_run=True)
        head = "Dry run summary:\nApplied configuration with a reboot (skipped in dry-run).\nConfig diff:\n\n"
        assert answer.mode_details.startswith(head + "--- a\n+++ b\n")
        assert "+        a: b" in answer.mode_details
        answer = await lab.apply("cp-1", lab.cluster.config(), "TRY", dry_run=True)
        assert answer.mode_details.endswith("Config diff:\n\nNo changes.")
        assert (await _configs(lab))["persistent"] == lab.cluster.config()

    play(tmp_path, scenario)


def test_one_apply_at_a_time(tmp_path: Path) -> None:
    async def scenario(lab: TalosLab) -> None:
        await lab.up("cp-1")
        first = asyncio.create_task(lab.apply("cp-1", lab.cluster.config()))
        await lab.until(lab["cp-1"].apply_lock.locked)
        with refused(Status.FAILED_PRECONDITION, "another apply configuration is already in progress"):
            await lab.apply("cp-1", lab.cluster.config())
        await first

    play(tmp_path, scenario, durations={"apply": 0.3})


def test_partial_configuration_stays_in_maintenance(tmp_path: Path) -> None:
    async def scenario(lab: TalosLab) -> None:
        partial: Config = {"apiVersion": "v1alpha1", "kind": "HostnameConfig", "hostname": "early", "auto": "off"}
        await lab.apply("cp-1", partial)
        assert lab["cp-1"].in_maintenance
        reply = await lab.call("cp-1", f"{MACHINE}/Hostname")
        assert reply.messages[0].hostname == "early"
        await lab.up("cp-1")
        with refused(Status.INVALID_ARGUMENT, "doesn't contain v1alpha1 config"):
            await lab.apply("cp-1", partial)

    play(tmp_path, scenario)


@pytest.mark.parametrize("version", ["v1.13.9", "v1.14.0"])
def test_failed_installation(tmp_path: Path, version: str) -> None:
    """Without a disk to keep it, the configuration is lost; unattended installations stay and say so."""

    async def scenario(lab: TalosLab) -> None:
        machine = lab["cp-1"]
        machine.faults.install_fails = True
        config, booted = lab.cluster.config(), machine.boot_id
        if version == "v1.13.9":
            await lab.apply("cp-1", config)
            await lab.until(lambda: machine.boot_id != booted and machine.in_maintenance)
            return
        del config["machine"]["install"]
        selector = {"match": 'disk.dev_path == "/dev/sda"'}
        unattended = {
            "apiVersion": "v1alpha1",
            "kind": "UnattendedInstallConfig",
            "installer": {"image": f"{FACTORY}:v1.14.0"},
            "provisioning": {"diskSelector": selector},
        }
        await lab.apply("cp-1", yaml.safe_dump_all([config, unattended]).encode())
        await lab.until(lambda: machine.install_error and machine.secured)
        kind = "UnattendedInstallStatuses.runtime.talos.dev"
        status = await lab.resource("cp-1", "runtime", kind, "unattended-install")
        assert (status["phase"], status["error"]) == ("failed", "installer failed: exit code 1")

    play(tmp_path, scenario, version=version)


def test_graceful_reset_leaves_etcd_and_comes_back_in_maintenance(tmp_path: Path) -> None:
    async def scenario(lab: TalosLab) -> None:
        await lab.up("cp-1", "cp-2")
        wipe = [{"label": label, "wipe": True} for label in ("STATE", "EPHEMERAL")]
        await lab.call("cp-2", f"{MACHINE}/Reset", graceful=True, reboot=True, system_partitions_to_wipe=wipe)
        await lab.stage("cp-2", "maintenance")
        assert lab["cp-2"].disk.installed is not None
        reply = await lab.call("cp-1", f"{MACHINE}/EtcdMemberList")
        assert [member.hostname for member in reply.messages[0].members] == [lab["cp-1"].hostname]

    play(tmp_path, scenario, "cp-1 cp-2")


def test_last_member_cannot_leave_but_can_be_wiped(tmp_path: Path) -> None:
    async def scenario(lab: TalosLab) -> None:
        await lab.up("cp-1")
        booted = lab["cp-1"].boot_id
        await lab.call("cp-1", f"{MACHINE}/Reset", graceful=True, reboot=True)
        await lab.until(lambda: lab["cp-1"].boot_id != booted and lab["cp-1"].stage == "running")
        await lab.call("cp-1", f"{MACHINE}/Reset", graceful=False, reboot=False)
        await lab.stage("cp-1", "powered off")
        assert lab["cp-1"].disk.installed is None

    play(tmp_path, scenario)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"mode": "SYSTEM_DISK", "user_disks_to_wipe": ["/dev/sdb"]}, "wipe mode SYSTEM_DISK"),
        ({"mode": "USER_DISKS", "system_partitions_to_wipe": [{"label": "STATE"}]}, "wipe mode USER_DISKS"),
        ({"user_disks_to_wipe": ["/dev/sdz"]}, "device /dev/sdz wasn't found"),
        ({"user_disks_to_wipe": ["/dev/sda"]}, "device /dev/sda is the system disk"),
        ({"user_disks_to_wipe": ["/dev/sr0"]}, "device /dev/sr0 is readonly"),
    ],
)
def test_resets_that_make_no_sense(tmp_path: Path, fields: Config, text: str) -> None:
    async def scenario(lab: TalosLab) -> None:
        await lab.up("cp-1")
        with refused(Status.UNKNOWN, text):
            await lab.call("cp-1", f"{MACHINE}/Reset", **fields)

    disks = [{"name": "sda", "size": 2**34}, {"name": "sdb", "size": 2**34}]
    disks.append({"name": "sr0", "size": 2**20, "type": "cd", "readonly": True})
    play(tmp_path, scenario, hardware={"disks": disks})


def test_upgrade_in_place_pulls_writes_and_waits_for_the_reboot(tmp_path: Path) -> None:
    async def scenario(lab: TalosLab) -> None:
        await lab.up("cp-1")
        image = f"{FACTORY}:v1.14.1"
        wanted: Config = {"containerd": CONTAINERD, "source": {"image_name": image}}
        path = "/machine.LifecycleService/Upgrade"
        with refused(Status.INTERNAL, "not found in containerd store"):
            await lab.stream("cp-1", path, **wanted)
        pulled = await lab.call("cp-1", "/machine.ImageService/Pull", containerd=CONTAINERD, image_ref=image)
        assert pulled.name == image
        done = await lab.call("cp-1", path, **wanted)
        assert done.progress.WhichOneof("response") == "exit_code"
        assert done.progress.exit_code == 0
        assert lab["cp-1"].version == "v1.13.9"
        await lab.call("cp-1", f"{MACHINE}/Reboot")
        await lab.stage("cp-1", "rebooting")
        await lab.stage("cp-1", "running")
        version = await lab.resource("cp-1", "runtime", "Versions.runtime.talos.dev", "version")
        extension = await lab.resource("cp-1", "runtime", "ExtensionStatuses.runtime.talos.dev", "0")
        assert (version["version"], extension["metadata"]["version"]) == ("v1.14.1", "ab" * 32)
        await lab.call("cp-1", f"{MACHINE}/Rollback")
        await lab.until(lambda: lab["cp-1"].version == "v1.13.9" and lab["cp-1"].stage == "running")

    play(tmp_path, scenario)


def test_failed_installer_is_an_exit_code(tmp_path: Path) -> None:
    async def scenario(lab: TalosLab) -> None:
        await lab.up("cp-1")
        image = f"{INSTALLER}:v1.14.1"
        await lab.call("cp-1", "/machine.ImageService/Pull", containerd=CONTAINERD, image_ref=image)
        lab["cp-1"].faults.install_fails = True
        wanted: Config = {"containerd": CONTAINERD, "source": {"image_name": image}}
        done = await lab.call("cp-1", "/machine.LifecycleService/Upgrade", **wanted)
        assert done.progress.exit_code == 7
        with refused(Status.NOT_FOUND, "not found"):
            await lab.call("cp-1", "/machine.ImageService/Pull", containerd=CONTAINERD, image_ref=f"{INSTALLER}:latest")

    play(tmp_path, scenario)


def test_old_upgrade(tmp_path: Path) -> None:
    async def scenario(lab: TalosLab) -> None:
        await lab.up("cp-1", "cp-2")
        with refused(Status.UNIMPLEMENTED, "unknown service machine.LifecycleService"):
            await lab.call("cp-1", "/machine.LifecycleService/Upgrade")
        with refused(Status.UNKNOWN, "error validating installer image"):
            await lab.call("cp-1", f"{MACHINE}/Upgrade", image=f"{INSTALLER}:latest")
        with refused(Status.UNKNOWN, "etcd member count(2) is insufficient to maintain quorum"):
            await lab.call("cp-1", f"{MACHINE}/Upgrade", image=f"{INSTALLER}:v1.12.6")
        lab["cp-1"].faults.boot_fails = True
        booted = lab["cp-1"].boot_id
        await lab.call("cp-1", f"{MACHINE}/Upgrade", image=f"{INSTALLER}:v1.12.6", force=True)
        await lab.until(lambda: lab["cp-1"].boot_id != booted and lab["cp-1"].stage == "running")
        assert lab["cp-1"].version == "v1.12.4"  # rolled back
        lab["cp-1"].faults.boot_fails = False
        await lab.call("cp-1", f"{MACHINE}/Upgrade", image=f"{INSTALLER}:v1.12.6", force=True)
        await lab.until(lambda: lab["cp-1"].version == "v1.12.6" and lab["cp-1"].stage == "running")

    play(tmp_path, scenario, "cp-1 cp-2", version="v1.12.4")


def test_snapshot_and_recovery(tmp_path: Path) -> None:
    async def scenario(lab: TalosLab) -> None:
        await lab.up("cp-1", "cp-2")
        chunks = await lab.stream("cp-1", f"{MACHINE}/EtcdSnapshot")
        assert len(b"".join(chunk.bytes for chunk in chunks)) % 4096 == 32
        cluster = lab["cp-1"].etcd_cluster
        assert cluster is not None
        for name in ("cp-1", "cp-2"):
            wipe = [{"label": "EPHEMERAL", "wipe": True}]
            await lab.call(name, f"{MACHINE}/Reset", reboot=True, system_partitions_to_wipe=wipe)
        await lab.until(lambda: all(lab[name].etcd_state == "Preparing" for name in ("cp-1", "cp-2")))
        await lab.stream("cp-1", f"{MACHINE}/EtcdRecover", chunks=chunks)
        await lab.call("cp-1", f"{MACHINE}/Bootstrap", recover_etcd=True)
        for name in ("cp-1", "cp-2"):
            await lab.stage(name, "running")
        recovered = lab["cp-1"].etcd_cluster
        assert recovered is not None
        assert recovered.id != cluster.id
        assert recovered.revision > cluster.revision

    play(tmp_path, scenario, "cp-1 cp-2")


def test_members_leave_and_are_removed(tmp_path: Path) -> None:
    async def scenario(lab: TalosLab) -> None:
        await lab.up("cp-1", "cp-2", "cp-3")
        await lab.call("cp-3", f"{MACHINE}/EtcdLeaveCluster")
        with refused(Status.UNAVAILABLE, "connection refused"):
            await lab.call("cp-3", f"{MACHINE}/EtcdMemberList")
        with refused(Status.NOT_FOUND, "member not found"):
            await lab.call("cp-1", f"{MACHINE}/EtcdRemoveMemberByID", member_id=5)
        lab["cp-2"].power_off()
        with refused(Status.UNAVAILABLE, "no leader"):  # one of two
            await lab.call("cp-1", f"{MACHINE}/EtcdMemberList")
        lab["cp-2"].power_on()
        await lab.stage("cp-2", "running")
        removed = lab["cp-2"].disk.etcd_member
        await lab.call("cp-1", f"{MACHINE}/EtcdRemoveMemberByID", member_id=removed)
        reply = await lab.call("cp-1", f"{MACHINE}/EtcdMemberList")
        assert [member.hostname for member in reply.messages[0].members] == [lab["cp-1"].hostname]
        assert lab["cp-2"].etcd_state == "Failed"
        with refused(Status.UNKNOWN, "re-configuration failed due to not enough started members"):
            await lab.call("cp-1", f"{MACHINE}/EtcdLeaveCluster")

    play(tmp_path, scenario, "cp-1 cp-2 cp-3")


def test_etcd_keeps_its_quorum(tmp_path: Path) -> None:
    async def scenario(lab: TalosLab) -> None:
        await lab.up("cp-1", "cp-2", "cp-3")
        lab["cp-3"].power_off()
        alive, dead = (lab[name].disk.etcd_member for name in ("cp-2", "cp-3"))
        with refused(Status.UNKNOWN, "failed to remove member: etcdserver: unhealthy cluster"):
            await lab.call("cp-1", f"{MACHINE}/EtcdRemoveMemberByID", member_id=alive)
        with refused(Status.UNKNOWN, "failed to leave cluster: etcdserver: unhealthy cluster"):
            await lab.call("cp-2", f"{MACHINE}/EtcdLeaveCluster")
        await lab.call("cp-1", f"{MACHINE}/EtcdRemoveMemberByID", member_id=dead)
        await lab.call("cp-1", f"{MACHINE}/EtcdRemoveMemberByID", member_id=alive)

    play(tmp_path, scenario, "cp-1 cp-2 cp-3")


def test_data_of_etcd_can_be_seen_once_it_is_mounted(tmp_path: Path) -> None:
    path = "/var/lib/etcd/member/snap/db"

    async def scenario(lab: TalosLab) -> None:
        await lab.up("cp-1")
        chunks = await lab.stream("cp-1", f"{MACHINE}/Read", path=path)
        snapshot = b"".join(chunk.bytes for chunk in await lab.stream("cp-1", f"{MACHINE}/EtcdSnapshot"))
        assert len(chunks) > 1
        assert b"".join(chunk.bytes for chunk in chunks) == snapshot[:-32]
        lab["cp-1"].faults.boot_seconds = 60
        await lab.call("cp-1", f"{MACHINE}/Reboot")
        await lab.until(lambda: lab["cp-1"].stage == "booting" and lab["cp-1"].api_open)
        with refused(Status.UNKNOWN, f"stat {path}: no such file or directory"):
            await lab.stream("cp-1", f"{MACHINE}/Read", path=path)

    play(tmp_path, scenario)


def test_alarms_of_etcd_last_until_they_are_disarmed(tmp_path: Path) -> None:
    async def scenario(lab: TalosLab) -> None:
        await lab.up("cp-1", "cp-2")
        lab["cp-2"].faults.etcd_alarm = "NOSPACE"
        (reply,) = (await lab.call("cp-1", f"{MACHINE}/EtcdAlarmList")).messages
        assert [(one.member_id, one.alarm) for one in reply.member_alarms] == [(lab["cp-2"].disk.etcd_member, 1)]
        status = (await lab.call("cp-1", f"{MACHINE}/EtcdStatus")).messages[0].member_status
        assert "alarm:NOSPACE" in status.errors[0]
        await lab.call("cp-1", f"{MACHINE}/EtcdAlarmDisarm")
        (reply,) = (await lab.call("cp-2", f"{MACHINE}/EtcdAlarmList")).messages
        assert not reply.member_alarms

    play(tmp_path, scenario, "cp-1 cp-2")


def test_health_check_says_what_is_missing(tmp_path: Path) -> None:
    async def scenario(lab: TalosLab) -> None:
        await lab.up("cp-1", "worker-1")
        path = "/cluster.ClusterService/HealthCheck"
        lines = [line.message for line in await lab.stream("cp-1", path)]
        assert lines[0].startswith("discovered nodes: ")
        assert lines[1] == "waiting for etcd to be healthy: OK"
        addresses: Config = {"control_plane_nodes": [lab["cp-1"].address], "worker_nodes": [lab["worker-1"].address]}
        lab["worker-1"].power_off()
        with refused(Status.UNKNOWN, f"apid to be ready: not true for {lab['worker-1'].address}"):
            await lab.stream("cp-1", path, wait_timeout={"nanos": 1}, cluster_info=addresses)

    play(tmp_path, scenario, "cp-1 worker-1")


def test_services(tmp_path: Path) -> None:
    async def scenario(lab: TalosLab) -> None:
        await lab.up("cp-1", "worker-1")
        for name, expected in (("cp-1", True), ("worker-1", False)):
            reply = await lab.call(name, f"{MACHINE}/ServiceList")
            services = {service.id: service for service in reply.messages[0].services}
            assert ("etcd" in services, "trustd" in services) == (expected, expected)
            assert services["kubelet"].health.healthy
        reply = await lab.call("cp-1", f"{MACHINE}/ServiceRestart", id="kubelet")
        assert reply.messages[0].resp == 'Service "kubelet" restarted'
        with refused(Status.UNKNOWN, 'service "etcd" doesn\'t support stop operation via API'):
            await lab.call("cp-1", f"{MACHINE}/ServiceStop", id="etcd")

    play(tmp_path, scenario, "cp-1 worker-1")


def test_credentials_made_by_a_control_plane(tmp_path: Path) -> None:
    async def scenario(lab: TalosLab) -> None:
        from tests.sandbox.talos import pki

        await lab.up("cp-1")
        path = f"{MACHINE}/GenerateClientConfiguration"
        made = (await lab.call("cp-1", path, roles=["os:reader"])).messages[0]
        assert made.key.startswith(b"-----BEGIN ED25519 PRIVATE KEY-----")
        assert yaml.safe_load(made.talosconfig)["context"] == "os:reader@test"
        reader = pki.Identity(made.crt.decode(), made.key.decode())
        await lab.call("cp-1", f"{MACHINE}/Version", reader)
        with refused(Status.PERMISSION_DENIED, "not authorized"):
            await lab.call("cp-1", f"{MACHINE}/Reboot", reader)

    play(tmp_path, scenario)


def test_boot_id(tmp_path: Path) -> None:
    async def scenario(lab: TalosLab) -> None:
        await lab.up("cp-1")
        reply = await lab.call("cp-1", f"{MACHINE}/Read", path="/proc/sys/kernel/random/boot_id")
        assert reply.bytes.decode().strip() == lab["cp-1"].boot_id
        resource = await lab.resource("cp-1", "runtime", "BootIDs.runtime.talos.dev", "boot-id")
        assert resource == {"bootID": lab["cp-1"].boot_id}
        with refused(Status.UNKNOWN, "no such file or directory"):
            await lab.call("cp-1", f"{MACHINE}/Read", path="/etc/nothing")

    play(tmp_path, scenario, version="v1.14.0")


def test_lost_reply_is_an_applied_configuration(tmp_path: Path) -> None:
    async def scenario(lab: TalosLab) -> None:
        lab["cp-1"].faults.lost_replies = 1
        with pytest.raises((StreamTerminatedError, OSError)):
            await lab.apply("cp-1", lab.cluster.config())
        await lab.until(lambda: lab["cp-1"].bootstrap_allowed)

    play(tmp_path, scenario)


def test_authority_can_be_changed_while_running(tmp_path: Path) -> None:
    async def scenario(lab: TalosLab) -> None:
        await lab.up("cp-1")
        from tests.unit.sandbox.talos_lab import Cluster, _encoded

        old, new = lab.cluster, Cluster(lab.cluster.endpoint)
        new.etcd, new.kubernetes = old.etcd, old.kubernetes
        accepted = [{"crt": _encoded(old.os)["crt"]}]
        await lab.apply("cp-1", new.config(acceptedCAs=accepted), "NO_REBOOT")
        lab.cluster = new  # the server now shows a certificate of the new authority, and takes clients of both
        await lab.call("cp-1", f"{MACHINE}/Version", new.credentials())
        await lab.call("cp-1", f"{MACHINE}/Version", old.credentials())

    play(tmp_path, scenario)


def test_nodes_without_a_network_plugin_are_not_ready(tmp_path: Path) -> None:
    async def scenario(lab: TalosLab) -> None:
        config = lab.cluster.config()
        config["cluster"]["network"] = {"cni": {"name": "none"}}
        await lab.apply("cp-1", config)
        await lab.until(lambda: lab["cp-1"].bootstrap_allowed)
        await lab.call("cp-1", f"{MACHINE}/Bootstrap")
        await lab.stage("cp-1", "running")
        status = await lab.resource("cp-1", "runtime", "MachineStatuses.runtime.talos.dev", "machine")
        assert status["status"]["unmetConditions"] == [
            {"name": "nodeReady", "reason": f'node "{lab["cp-1"].hostname}" is not ready'}
        ]

    play(tmp_path, scenario)


def test_silent_machine_neither_answers_nor_refuses(tmp_path: Path) -> None:
    async def scenario(lab: TalosLab) -> None:
        lab["cp-1"].faults.unreachable = "hang"
        await lab["cp-1"].refresh_api()
        _unused, writer = await asyncio.open_connection(lab["cp-1"].address, lab.world.platform.port)
        started = time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await lab.call("cp-1", f"{MACHINE}/Version")
        assert time.monotonic() - started >= 0.1
        writer.close()

    play(tmp_path, scenario)


def test_eighteen_machines(tmp_path: Path) -> None:
    async def scenario(lab: TalosLab) -> None:
        names = [f"cp-{number}" for number in range(1, 4)] + [f"worker-{number}" for number in range(1, 16)]
        await lab.up(*names)
        members = await lab.stream("cp-2", f"{STATE}/List", namespace="cluster", type="Members.cluster.talos.dev")
        assert len(members) == 18
        assert all(machine.requests[f"{MACHINE}/ApplyConfiguration"] == 1 for machine in lab.world.machines.values())

    play(tmp_path, scenario, " ".join([f"cp-{n}" for n in range(1, 4)] + [f"worker-{n}" for n in range(1, 16)]))

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The simulated machines from maintenance to a running cluster, asked by a bare client."""

from __future__ import annotations

import asyncio
import datetime
import io
import ssl
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.dcm.platform.plugins.module_utils.talos.messages import message
from cryptography.x509.oid import ExtendedKeyUsageOID
from grpclib.const import Status
from grpclib.exceptions import StreamTerminatedError

from tests.sandbox.certificates import issue
from tests.sandbox.talos import pki
from tests.unit.sandbox.talos_lab import (
    MACHINE,
    STATE,
    Config,
    TalosLab,
    client_context,
    connected,
    play,
    refused,
    request,
)

CONNECTION_LOST = (OSError, ssl.SSLError, StreamTerminatedError)


def test_machines_wait_in_maintenance_and_tell_their_fingerprint(tmp_path: Path) -> None:
    async def scenario(lab: TalosLab) -> None:
        machine = lab["cp-1"]
        context = client_context(tmp_path, None, None)
        _unused, writer = await asyncio.open_connection(machine.address, lab.world.platform.port, ssl=context)
        secured = writer.get_extra_info("ssl_object")
        leaf = ssl.DER_cert_to_PEM_cert(secured.getpeercert(binary_form=True))
        assert secured.version() == "TLSv1.3"
        assert secured.selected_alpn_protocol() == "h2"
        assert machine.maintenance is not None
        assert pki.fingerprint(machine.maintenance.certificate) == pki.fingerprint(leaf)
        writer.close()
        disks = await lab.call("cp-1", "/storage.StorageService/Disks")
        assert [disk.device_name for disk in disks.messages[0].disks] == ["/dev/sda", "/dev/sdb"]
        assert not any(disk.system_disk for disk in disks.messages[0].disks)
        version = await lab.call("cp-1", f"{MACHINE}/Version")
        assert version.messages[0].version.tag == "v1.13.9"
        assert not version.messages[0].HasField("features")
        status = await lab.resource("cp-1", "runtime", "MachineStatuses.runtime.talos.dev", "machine")
        assert status["stage"] == "maintenance"

    play(tmp_path, scenario)


@pytest.mark.parametrize("method", ["Reboot", "Reset", "Bootstrap", "Upgrade", "Kubeconfig"])
def test_maintenance_is_for_readers(tmp_path: Path, method: str) -> None:
    async def scenario(lab: TalosLab) -> None:
        with refused(Status.PERMISSION_DENIED, "not authorized"):
            await lab.call("cp-1", f"{MACHINE}/{method}")

    play(tmp_path, scenario)


def test_old_servers_hardly_answer_in_maintenance(tmp_path: Path) -> None:
    async def scenario(lab: TalosLab) -> None:
        for path in (f"{MACHINE}/Version", f"{MACHINE}/Reset"):
            with refused(Status.UNIMPLEMENTED, "API is not implemented in maintenance mode"):
                await lab.call("cp-1", path)
        await lab.call("cp-1", "/storage.StorageService/Disks")
        with refused(Status.UNKNOWN, "unknown keys found during decoding"):
            await lab.apply("cp-1", {**lab.cluster.config(), "unheard": "of"})
        with refused(Status.UNIMPLEMENTED, "not supported in maintenance mode"):
            await lab.apply("cp-1", lab.cluster.config(), "STAGED")

    play(tmp_path, scenario, version="v1.12.4")


def test_first_configuration_installs_reboots_and_boots(tmp_path: Path) -> None:
    async def scenario(lab: TalosLab) -> None:
        machine = lab["cp-1"]
        booted = machine.boot_id
        stages: list[str] = []

        async def record() -> None:
            while True:
                if not stages or stages[-1] != machine.stage:
                    stages.append(machine.stage)
                await lab.world.change()

        recorder = asyncio.create_task(record())
        answer = await lab.apply("cp-1", lab.cluster.config())
        assert answer.mode_details == "Applied configuration without a reboot"
        await lab.until(lambda: machine.bootstrap_allowed)
        recorder.cancel()
        assert [stage for stage in stages if stage != "maintenance"] == ["installing", "rebooting", "booting"]
        assert machine.boot_id != booted
        context = client_context(tmp_path, None, None)
        with pytest.raises(CONNECTION_LOST):  # the maintenance API is gone
            async with connected(machine.address, lab.world.platform.port, context) as channel:
                await request(channel, f"{MACHINE}/Version")
        version = await lab.call("cp-1", f"{MACHINE}/Version")
        assert version.messages[0].features.rbac
        disk = await lab.resource("cp-1", "runtime", "SystemDisks.block.talos.dev", "system-disk")
        assert disk == {"diskID": "sda", "devPath": "/dev/sda"}

    play(tmp_path, scenario)


def test_server_certificate_is_signed_by_the_authority_of_the_configuration(tmp_path: Path) -> None:
    async def scenario(lab: TalosLab) -> None:
        config = lab.cluster.config(certSANs=["api.example.org"])
        await lab.apply("cp-1", config)
        await lab.until(lambda: lab["cp-1"].bootstrap_allowed)
        context = client_context(tmp_path, lab.cluster.credentials(), lab.cluster.os.certificate)
        address, port = lab["cp-1"].address, lab.world.platform.port
        for name in (address, "api.example.org"):
            _unused, writer = await asyncio.open_connection(address, port, ssl=context, server_hostname=name)
            writer.close()
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection(address, port, ssl=context, server_hostname="other.example.org")

    play(tmp_path, scenario)


def _client_and_server_certificate(authority: pki.Authority) -> pki.Identity:
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    return issue(authority, usages, datetime.timedelta(hours=1), organizations=["os:admin"])


@pytest.mark.parametrize("certificate", ["none", "of another authority", "for clients and servers"])
def test_other_clients_lose_their_connection(tmp_path: Path, certificate: str) -> None:
    async def scenario(lab: TalosLab) -> None:
        await lab.apply("cp-1", lab.cluster.config())
        await lab.until(lambda: lab["cp-1"].bootstrap_allowed)
        stranger = pki.issue_client(pki.new_authority("talos"), ["os:admin"], pki.ADMIN_LIFETIME)
        both = _client_and_server_certificate(lab.cluster.os)
        identity = {"none": None, "of another authority": stranger, "for clients and servers": both}[certificate]
        context = client_context(tmp_path, identity, lab.cluster.os.certificate)
        with pytest.raises(CONNECTION_LOST):
            async with connected(lab["cp-1"].address, lab.world.platform.port, context) as channel:
                await request(channel, f"{MACHINE}/Version")

    play(tmp_path, scenario)


ROLES = [
    ("os:reader", f"{MACHINE}/Version", True),
    ("os:reader", f"{MACHINE}/Reboot", False),
    ("os:reader", f"{MACHINE}/EtcdMemberList", True),
    ("os:reader", f"{MACHINE}/EtcdSnapshot", False),
    ("os:reader", f"{MACHINE}/Kubeconfig", False),
    ("os:etcd:backup", f"{MACHINE}/EtcdSnapshot", True),
    ("os:etcd:backup", f"{MACHINE}/Version", False),
    ("os:operator", f"{MACHINE}/EtcdSnapshot", True),
    ("os:operator", f"{MACHINE}/ApplyConfiguration", False),
    ("os:operator", f"{MACHINE}/Bootstrap", False),
    ("os:admin", f"{MACHINE}/Kubeconfig", True),
    ("unheard", f"{MACHINE}/Version", False),
]


def test_roles(tmp_path: Path) -> None:
    async def scenario(lab: TalosLab) -> None:
        await lab.up("cp-1")
        for role, path, allowed in ROLES:
            identity = lab.cluster.credentials(role)
            if allowed:
                assert await lab.call("cp-1", path, identity), (role, path)
                continue
            with refused(Status.PERMISSION_DENIED, "not authorized"):
                await lab.call("cp-1", path, identity)

    play(tmp_path, scenario)


def test_worker_waits_for_a_control_plane_that_signs(tmp_path: Path) -> None:
    async def scenario(lab: TalosLab) -> None:
        worker = lab["worker-1"]
        await lab.apply("worker-1", lab.cluster.config("worker"))
        await lab.until(lambda: worker.services_started)
        assert worker.stage == "booting"
        with pytest.raises(ConnectionRefusedError):
            await lab.call("worker-1", f"{MACHINE}/Version")
        await lab.apply("cp-1", lab.cluster.config())
        await lab.stage("worker-1", "running")
        status = await lab.resource("worker-1", "runtime", "MachineStatuses.runtime.talos.dev", "machine")
        assert status["status"]["unmetConditions"][0]["name"] == "nodeReady"
        with refused(Status.UNIMPLEMENTED, "bootstrap is only available on control plane nodes"):
            await lab.call("worker-1", f"{MACHINE}/Bootstrap")
        with refused(Status.UNIMPLEMENTED, "member list is only available on control plane nodes"):
            await lab.call("worker-1", f"{MACHINE}/EtcdMemberList")

    play(tmp_path, scenario, "cp-1 worker-1")


def test_bootstrap_makes_one_etcd_that_the_others_join(tmp_path: Path) -> None:
    async def scenario(lab: TalosLab) -> None:
        names = ["cp-1", "cp-2", "cp-3"]
        for name in names:
            await lab.apply(name, lab.cluster.config())
        await lab.until(lambda: all(lab[name].etcd_state == "Preparing" for name in names))
        with refused(Status.UNAVAILABLE, "connection refused"):
            await lab.call("cp-1", f"{MACHINE}/EtcdMemberList")
        await lab.call("cp-1", f"{MACHINE}/Bootstrap")
        for name in names:
            await lab.stage(name, "running")
            with refused(Status.ALREADY_EXISTS, "etcd data directory is not empty"):
                await lab.call(name, f"{MACHINE}/Bootstrap")
        members = [(await lab.call(name, f"{MACHINE}/EtcdMemberList")).messages[0].members for name in names]
        assert members[0] == members[1] == members[2]
        assert {member.hostname for member in members[0]} == {lab[name].hostname for name in names}
        assert not any(member.is_learner for member in members[0])
        status = (await lab.call("cp-2", f"{MACHINE}/EtcdStatus")).messages[0].member_status
        own = await lab.resource("cp-2", "etcd", "EtcdMembers.etcd.talos.dev", "local")
        assert f"{status.member_id:016x}" == own["memberID"]
        assert status.leader in {member.id for member in members[0]}

    play(tmp_path, scenario, "cp-1 cp-2 cp-3")


def test_bootstrap_is_refused_until_services_run_and_time_is_right(tmp_path: Path) -> None:
    async def scenario(lab: TalosLab) -> None:
        lab["cp-1"].faults.boot_seconds = 0.2
        lab["cp-1"].faults.time_unsynchronised = True
        await lab.apply("cp-1", lab.cluster.config())
        await lab.until(lambda: lab["cp-1"].disk.installed and lab["cp-1"].stage == "booting" and lab["cp-1"].secured)
        with refused(Status.FAILED_PRECONDITION, "bootstrap is not available yet"):
            await lab.call("cp-1", f"{MACHINE}/Bootstrap")
        await lab.until(lambda: lab["cp-1"].bootstrap_allowed)
        with refused(Status.FAILED_PRECONDITION, "time is not in sync yet"):
            await lab.call("cp-1", f"{MACHINE}/Bootstrap")

    play(tmp_path, scenario)


def test_bootstrap_needs_an_etcd_authority(tmp_path: Path) -> None:
    async def scenario(lab: TalosLab) -> None:
        config = lab.cluster.config()
        del config["cluster"]["etcd"]
        await lab.apply("cp-1", config)
        await lab.until(lambda: lab["cp-1"].bootstrap_allowed)
        with refused(Status.INVALID_ARGUMENT, "etcd is not configured, bootstrap is not possible"):
            await lab.call("cp-1", f"{MACHINE}/Bootstrap")

    play(tmp_path, scenario)


def test_bootstrap_of_two_splits_the_cluster(tmp_path: Path) -> None:
    """Talos does not prevent it, so clients must."""

    async def scenario(lab: TalosLab) -> None:
        names = ["cp-1", "cp-2"]
        for name in names:
            await lab.apply(name, lab.cluster.config())
        await lab.until(lambda: all(lab[name].bootstrap_allowed for name in names))
        for name in names:
            await lab.call(name, f"{MACHINE}/Bootstrap")
        for name in names:
            await lab.stage(name, "running")
            reply = await lab.call(name, f"{MACHINE}/EtcdMemberList")
            assert [member.hostname for member in reply.messages[0].members] == [lab[name].hostname]

    play(tmp_path, scenario, "cp-1 cp-2", durations={"install": 0.02, "reboot": 0.02, "boot": 0.02, "etcd": 0.5})


def test_kubeconfig_is_a_tar_without_an_end(tmp_path: Path) -> None:
    async def scenario(lab: TalosLab) -> None:
        await lab.apply("cp-1", lab.cluster.config())
        await lab.until(lambda: lab["cp-1"].bootstrap_allowed)  # etcd need not run
        (reply,) = await lab.stream("cp-1", f"{MACHINE}/Kubeconfig")
        with (
            tarfile.open(fileobj=io.BytesIO(reply.bytes), mode="r:gz") as whole,
            pytest.raises(tarfile.ReadError, match="unexpected end of data"),
        ):
            whole.getmembers()
        with tarfile.open(fileobj=io.BytesIO(reply.bytes), mode="r:gz") as archive:
            entry = archive.next()
            assert entry is not None
            assert (entry.name, entry.mode) == ("kubeconfig", 0o600)
            content = archive.extractfile(entry)
            assert content is not None
            kubeconfig = yaml.safe_load(content.read())
        assert kubeconfig["current-context"] == "admin@test"
        assert kubeconfig["clusters"][0]["cluster"]["server"] == lab.cluster.endpoint

    play(tmp_path, scenario)


def test_machine_config_resource_holds_the_submitted_bytes(tmp_path: Path) -> None:
    async def scenario(lab: TalosLab) -> None:
        data = b"# a comment\n" + yaml.safe_dump(lab.cluster.config()).encode() + b"\n# the end\n"
        await lab.apply("cp-1", data)
        await lab.until(lambda: lab["cp-1"].bootstrap_allowed)
        where: Config = {"namespace": "config", "type": "MachineConfigs.config.talos.dev"}
        for key in ("v1alpha1", "persistent"):
            reply = await lab.call("cp-1", f"{STATE}/Get", **where, id=key)
            spec = message("resource.config.MachineConfigSpec").FromString(reply.resource.spec.proto_spec)
            assert spec.yaml_marshalled == data
            assert yaml.safe_load(reply.resource.spec.yaml_spec) == data.decode()
        listed = await lab.stream("cp-1", f"{STATE}/List", **where)
        assert [reply.resource.metadata.id for reply in listed] == ["v1alpha1", "persistent"]
        with refused(Status.PERMISSION_DENIED, "not authorized"):
            await lab.call("cp-1", f"{STATE}/Get", lab.cluster.credentials("os:reader"), **where, id="v1alpha1")

    play(tmp_path, scenario)


@pytest.mark.parametrize(
    ("fields", "status", "text"),
    [
        ({"namespace": "runtime", "type": "Nothings.talos.dev"}, Status.PERMISSION_DENIED, "is not supported"),
        ({"namespace": "nowhere", "type": "Disks.block.talos.dev"}, Status.PERMISSION_DENIED, "is not supported"),
        ({"namespace": "runtime", "type": "BootIDs.runtime.talos.dev"}, Status.PERMISSION_DENIED, "is not supported"),
        ({"namespace": "runtime", "type": "Disks.block.talos.dev", "id": "sdz"}, Status.NOT_FOUND, "doesn't exist"),
        ({"namespace": "config", "type": "MachineConfigs.config.talos.dev"}, Status.PERMISSION_DENIED, "authorized"),
    ],
)
def test_resources_that_are_not_there(tmp_path: Path, fields: dict[str, Any], status: Status, text: str) -> None:
    async def scenario(lab: TalosLab) -> None:
        with refused(status, text):
            await lab.call("cp-1", f"{STATE}/Get", **fields)

    play(tmp_path, scenario)


def test_resources_cannot_be_written(tmp_path: Path) -> None:
    async def scenario(lab: TalosLab) -> None:
        await lab.up("cp-1")
        with refused(Status.PERMISSION_DENIED, "write access is not allowed"):
            await lab.call("cp-1", f"{STATE}/Create", resource={"metadata": {"id": "x"}})

    play(tmp_path, scenario)


def test_watch_starts_empty_then_tells_what_changes(tmp_path: Path) -> None:
    async def scenario(lab: TalosLab) -> None:
        from grpclib.client import UnaryStreamMethod

        await lab.apply("cp-1", lab.cluster.config())
        await lab.until(lambda: lab["cp-1"].etcd_state == "Preparing")
        context = client_context(tmp_path, lab.cluster.credentials(), lab.cluster.os.certificate)
        types = message("cosi.resource.WatchRequest"), message("cosi.resource.WatchResponse")
        wanted = {"namespace": "runtime", "type": "MachineStatuses.runtime.talos.dev", "id": "machine"}
        async with connected(lab["cp-1"].address, lab.world.platform.port, context) as channel:
            method = UnaryStreamMethod(channel, f"{STATE}/Watch", *types)
            async with method.open() as stream:
                await stream.send_message(types[0](**wanted, api_version=1), end=True)
                assert not (await stream.recv_message()).event
                first = (await stream.recv_message()).event[0]
                assert yaml.safe_load(first.resource.spec.yaml_spec)["stage"] == "booting"
                await lab.call("cp-1", f"{MACHINE}/Bootstrap")
                stage, version = "", int(first.resource.metadata.version)
                while stage != "running":
                    event = (await stream.recv_message()).event[0]
                    assert int(event.resource.metadata.version) > version
                    version = int(event.resource.metadata.version)
                    stage = yaml.safe_load(event.resource.spec.yaml_spec)["stage"]
                await stream.cancel()

    play(tmp_path, scenario)


def test_requests_for_other_nodes(tmp_path: Path) -> None:
    async def scenario(lab: TalosLab) -> None:
        await lab.up("cp-1", "worker-1")
        control, worker, spare = (lab[name].address for name in ("cp-1", "worker-1", "spare"))
        path = f"{MACHINE}/Hostname"
        reply = await lab.call("cp-1", path, metadata=[("node", worker)])
        assert reply.messages[0].hostname == lab["worker-1"].hostname
        assert not reply.messages[0].HasField("metadata")
        reply = await lab.call("cp-1", path, metadata=[("nodes", control), ("nodes", spare)])
        assert [one.metadata.hostname for one in reply.messages] == [control, spare]
        assert reply.messages[1].metadata.status.code == Status.UNAVAILABLE.value
        reply = await lab.call("worker-1", path, metadata=[("node", worker)])
        assert reply.messages[0].hostname == lab["worker-1"].hostname
        with refused(Status.PERMISSION_DENIED, "no request forwarding"):
            await lab.call("worker-1", path, metadata=[("node", control)])
        with refused(Status.INVALID_ARGUMENT, "node metadata must be single-valued"):
            await lab.call("cp-1", path, metadata=[("node", control), ("node", worker)])
        with refused(Status.INTERNAL, "invalid target"):
            await lab.call("cp-1", path, metadata=[("node", f"{worker}:50000")])
        with refused(Status.UNAVAILABLE, "certificate signed by unknown authority"):
            await lab.call("cp-1", path, metadata=[("node", spare)])
        with refused(Status.INVALID_ARGUMENT, "one-2-many proxying is not supported"):
            fields: Config = {"namespace": "runtime", "type": "Disks.block.talos.dev"}
            await lab.call("cp-1", f"{STATE}/List", metadata=[("nodes", worker)], **fields)

    play(tmp_path, scenario, "cp-1 worker-1 spare")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (f"{MACHINE}/LoadAvg", "unknown method LoadAvg for service machine.MachineService"),
        ("/machine.Nothing/List", "unknown service machine.Nothing"),
        (f"{MACHINE}/Events", "unknown method Events for service machine.MachineService"),
    ],
)
def test_methods_that_are_not_simulated(tmp_path: Path, path: str, text: str) -> None:
    async def scenario(lab: TalosLab) -> None:
        with refused(Status.UNIMPLEMENTED, text):
            await lab.call("cp-1", path)

    play(tmp_path, scenario)

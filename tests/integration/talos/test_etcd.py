# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``talos_etcd_snapshot``, ``talos_etcd_member`` and recovery on the lab's machines. The tests build on each other."""

from __future__ import annotations

import base64
import datetime
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.ansible_runner import AnsibleRunner, ModuleResult, failed
from tests.conftest import LabFixture
from tests.integration.talos.talos_machines import Cluster, Machines, until
from tests.sandbox.services.s3 import client
from tests.sandbox.talos import pki

SERVICE = "/machine.MachineService"
Run = Callable[..., ModuleResult]


@pytest.fixture(scope="module")
def cluster(ansible: AnsibleRunner, machines: Machines) -> Cluster:
    """Three control planes that run."""
    cluster = Cluster(ansible, machines)
    cluster.configure(*machines.control_planes)
    assert cluster.bootstrap()["bootstrapped_on"] == "cp-1"
    return cluster


@pytest.fixture(scope="module")
def bucket(lab: LabFixture) -> dict[str, str]:
    s3 = lab("s3")
    keys = {"access_key": s3["access_key"], "secret_key": s3["secret_key"], "endpoint_url": s3["endpoint"]}
    return {"bucket": s3["buckets"]["backups"], "object": "talos/etcd.snapshot", **keys}


@pytest.fixture
def run(cluster: Cluster) -> Run:
    """Run a module for the cluster: its name, and more options."""

    def module(
        name: str, *, check: bool = False, diff: bool = False, verbosity: int = 0, **options: Any
    ) -> ModuleResult:
        there = {"secrets": cluster.bundle, "control_planes": cluster.machines.control_planes, "connect_timeout": 1}
        return cluster.ansible.run_module(name, {**there, **options}, check=check, diff=diff, verbosity=verbosity)

    return module


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("snapshots") / "etcd.snapshot"


def members(cluster: Cluster, name: str = "cp-1") -> dict[str, str]:
    """Names and ids, by raw gRPC."""
    (reply,) = cluster.machines.call(name, cluster.bundle, f"{SERVICE}/EtcdMemberList")
    return {member.hostname: f"{member.id:016x}" for member in reply.messages[0].members}


def raw_snapshot(cluster: Cluster, name: str) -> bytes:
    return b"".join(part.bytes for part in cluster.machines.call(name, cluster.bundle, f"{SERVICE}/EtcdSnapshot"))


def credentials(cluster: Cluster, role: str) -> dict[str, Any]:
    """Of somebody with one role only."""
    authority = pki.Authority(
        *(base64.b64decode(cluster.bundle["certs"]["os"][key]).decode() for key in ("crt", "key"))
    )
    identity = pki.issue_client(authority, [role], datetime.timedelta(hours=1))
    return {"secrets": None, "ca": authority.certificate, "crt": identity.certificate, "key": identity.key}


class TestSnapshot:
    def test_check_mode_takes_none(self, cluster: Cluster, run: Run, snapshot: Path) -> None:
        result = run("talos_etcd_snapshot", path=str(snapshot), check=True, diff=True)
        assert (result["changed"], result["source"], result["sha256"]) == (True, "cp-1", None)
        assert result["diff"][0]["after"]["source"] == "cp-1"
        assert not list(snapshot.parent.iterdir())
        assert not [
            name for name in cluster.machines.nodes if f"{SERVICE}/EtcdSnapshot" in cluster.machines.requests(name)
        ]

    @pytest.mark.row("BDR-17")
    def test_to_a_private_file(self, cluster: Cluster, run: Run, snapshot: Path) -> None:
        result = run("talos_etcd_snapshot", path=str(snapshot))
        assert result["changed"], result
        assert (result["snapshot"], result["size"]) == (str(snapshot), snapshot.stat().st_size)
        assert stat.S_IMODE(snapshot.stat().st_mode) == 0o600
        assert snapshot.read_bytes() == raw_snapshot(cluster, "cp-2")
        check = ["sha256sum", "-c", "etcd.snapshot.sha256"]
        assert subprocess.run(check, cwd=snapshot.parent, check=False).returncode == 0
        assert result["sha256"] in snapshot.with_name("etcd.snapshot.sha256").read_text()
        assert run("talos_etcd_snapshot", path=str(snapshot))["changed"]  # each time, as it is a new one

    @pytest.mark.row("BDR-17")
    def test_to_a_bucket_though_a_control_plane_is_down(
        self, cluster: Cluster, run: Run, bucket: dict[str, str], lab: LabFixture
    ) -> None:
        cluster.machines.fault("cp-1", unreachable="refuse")
        try:
            result = run("talos_etcd_snapshot", s3=bucket, verbosity=3)
        finally:
            cluster.machines.fault("cp-1", unreachable="")
        assert (result["changed"], result["source"]) == (True, "cp-2"), result
        assert result["snapshot"] == f"s3://{bucket['bucket']}/{bucket['object']}"
        found = client(lab("s3")).get_object(Bucket=bucket["bucket"], Key=bucket["object"])
        assert found["Body"].read() == raw_snapshot(cluster, "cp-3")
        assert found["Metadata"]["sha256"] == result["sha256"]
        assert bucket["secret_key"] not in result.output
        assert cluster.bundle["certs"]["os"]["key"] not in result.output

    def test_by_somebody_who_may_do_nothing_else(self, cluster: Cluster, run: Run, tmp_path: Path) -> None:
        file = str(tmp_path / "etcd.snapshot")
        assert run("talos_etcd_snapshot", path=file, **credentials(cluster, "os:etcd:backup"))["changed"]
        message = failed(run("talos_etcd_snapshot", path=f"{file}-2", **credentials(cluster, "os:reader")))
        assert f"cp-1 at {cluster.machines.address('cp-1')} refused EtcdSnapshot: not authorized" in message
        assert sorted(path.name for path in tmp_path.iterdir()) == ["etcd.snapshot", "etcd.snapshot.sha256"]

    def test_nowhere_to_write(self, run: Run, tmp_path: Path) -> None:
        message = failed(run("talos_etcd_snapshot", path=str(tmp_path / "no" / "etcd.snapshot")))
        assert f"cannot be written to {tmp_path}/no/etcd.snapshot: No such file or directory" in message
        assert "one of the following is required: path, s3" in failed(run("talos_etcd_snapshot"))

    def test_nobody_there(self, cluster: Cluster, run: Run, snapshot: Path) -> None:
        before = snapshot.read_bytes()
        nobody = {"cp-3": cluster.machines.workers["worker-1"]}  # in maintenance
        message = failed(run("talos_etcd_snapshot", path=str(snapshot), control_planes=nobody))
        assert "No control plane serves etcd: cp-3 at" in message
        assert "is in maintenance mode" in message
        assert snapshot.read_bytes() == before


class TestMembers:
    def test_listed_with_their_health(self, cluster: Cluster, run: Run) -> None:
        cluster.machines.fault("cp-2", etcd_alarm="NOSPACE")
        result = run("talos_etcd_member", **credentials(cluster, "os:reader"))
        cluster.machines.fault("cp-2", etcd_alarm="")
        assert not result["changed"]
        assert {one["hostname"]: one["id"] for one in result["members"]} == members(cluster)
        assert [one["healthy"] for one in result["members"]] == [True] * 3
        assert sum(one["is_leader"] for one in result["members"]) == 1
        assert {one["hostname"]: one["alarms"] for one in result["members"]}["cp-2"] == ["NOSPACE"]
        urls = [url for one in result["members"] for url in one["peer_urls"]]
        assert sorted(urls) == sorted(f"https://{address}:2380" for address in cluster.machines.control_planes.values())

    @pytest.mark.row("TAL-21")
    @pytest.mark.row("MNT-10")
    def test_never_at_the_cost_of_the_quorum(self, cluster: Cluster, run: Run) -> None:
        cluster.machines.fault("cp-3", unreachable="refuse")
        for state, check in (("left", True), ("left", False), ("removed", False)):
            message = failed(run("talos_etcd_member", state=state, member="cp-2", check=check))
            reason = (
                "etcd would lose its quorum: without cp-2, 1 of 2 voting members would be healthy, and 2 are needed"
            )
            assert f"cp-2 stays in etcd: {reason}." in message
            assert f"cp-3 at {cluster.machines.address('cp-3')} is not reachable" in message
        assert sorted(members(cluster)) == ["cp-1", "cp-2", "cp-3"]

    @pytest.mark.row("TAL-21")
    def test_one_that_is_dead_is_removed(self, cluster: Cluster, run: Run) -> None:
        assert "cannot leave etcd by itself" in failed(run("talos_etcd_member", state="left", member="cp-3"))
        predicted = run("talos_etcd_member", state="removed", member="cp-3", check=True, diff=True)
        assert (predicted["changed"], predicted["diff"][0]["before"]["hostname"]) == (True, "cp-3")
        assert len(members(cluster)) == 3
        removed = run("talos_etcd_member", state="removed", member="cp-3")
        assert removed["changed"], removed
        assert removed["members"] == predicted["members"]
        assert sorted(members(cluster)) == ["cp-1", "cp-2"]
        assert not run("talos_etcd_member", state="removed", member="cp-3")["changed"]
        cluster.machines.fault("cp-3", unreachable="")

    def test_one_that_runs_leaves(self, cluster: Cluster, run: Run) -> None:
        three = {"control_planes": dict(list(cluster.machines.control_planes.items())[:2])}
        assert run("talos_etcd_member", state="left", member=members(cluster)["cp-2"], check=True, **three)["changed"]
        assert run("talos_etcd_member", state="left", member="cp-2", **three)["changed"]
        assert sorted(members(cluster)) == ["cp-1"]
        assert not run("talos_etcd_member", state="left", member="cp-2", **three)["changed"]

    def test_the_last_one_stays(self, cluster: Cluster, run: Run) -> None:
        message = failed(run("talos_etcd_member", state="left", member="cp-1"))
        assert "cp-1 is the only voting member of etcd, and all of its data would go with it" in message
        assert sorted(members(cluster)) == ["cp-1"]

    def test_a_member_must_be_named(self, run: Run) -> None:
        assert "state is left but all of the following are missing: member" in failed(
            run("talos_etcd_member", state="left")
        )


def forget(machines: Machines, cluster: Cluster, *names: str) -> None:
    """Reset EPHEMERAL, and wait until the node is ready for a bootstrap."""
    wipe = [{"label": "EPHEMERAL", "wipe": True}]
    for name in names:
        machines.call(name, cluster.bundle, f"{SERVICE}/Reset", reboot=True, system_partitions_to_wipe=wipe)
    for name in names:
        until(lambda name=name: machines.status(name)["etcd"] == "Preparing", f"etcd on {name} to wait")  # type: ignore[misc]


class TestRecovery:
    @pytest.mark.row("BDR-17")
    def test_not_while_etcd_runs(self, machines: Machines, cluster: Cluster, snapshot: Path) -> None:
        before = machines.etcd()
        source = {"path": str(snapshot)}
        two = {name: address for name, address in machines.control_planes.items() if name == "cp-1"}
        result = cluster.bootstrap(two, recover_from=source)
        assert (result["changed"], result["recovered_from"]) == (False, None), result
        assert machines.etcd() == before

    def test_not_while_data_is_in_the_way(self, machines: Machines, cluster: Cluster, snapshot: Path) -> None:
        forget(machines, cluster, "cp-1", "cp-2")
        message = failed(cluster.bootstrap(recover_from={"path": str(snapshot)}))
        assert "etcd does not run, but its data is still on cp-3. If that data is lost to you" in message
        source = {"path": str(snapshot), "discard_data": True}
        predicted = cluster.bootstrap(recover_from=source, check=True, connect_timeout=1)
        assert (predicted["changed"], predicted["bootstrapped_on"]) == (True, "cp-1"), predicted
        assert machines.status("cp-3")["etcd"] == "Failed"

    def test_not_from_a_damaged_snapshot(
        self, machines: Machines, cluster: Cluster, snapshot: Path, tmp_path: Path
    ) -> None:
        forget(machines, cluster, "cp-3")
        damaged = tmp_path / "damaged"
        damaged.write_bytes(snapshot.read_bytes()[:-1])
        for check in (True, False):
            message = failed(cluster.bootstrap(recover_from={"path": str(damaged)}, check=check))
            assert f"{damaged} is damaged: it does not end with a hash" in message
        missing = failed(cluster.bootstrap(recover_from={"path": str(tmp_path / "none")}))
        assert f"{tmp_path}/none cannot be read: No such file or directory" in missing
        assert {machines.status(name)["etcd"] for name in machines.control_planes} == {"Preparing"}

    @pytest.mark.row("BDR-17")
    @pytest.mark.row("BDR-25")
    def test_from_a_bucket(self, machines: Machines, cluster: Cluster, bucket: dict[str, str]) -> None:
        known = {one["id"]: one["revision"] for one in machines.etcd()}
        predicted = cluster.bootstrap(recover_from={"s3": bucket}, check=True)
        assert (predicted["changed"], predicted["bootstrapped_on"]) == (True, "cp-1"), predicted
        assert {machines.status(name)["etcd"] for name in machines.control_planes} == {"Preparing"}
        result = cluster.bootstrap(recover_from={"s3": bucket})
        assert result["recovered_from"] == f"s3://{bucket['bucket']}/{bucket['object']}", result
        assert sorted(member["hostname"] for member in result["members"]) == sorted(machines.control_planes)
        (recovered,) = [one for one in machines.etcd() if one["id"] not in known]
        assert sorted(recovered["members"]) == sorted(machines.control_planes)
        assert recovered["revision"] > max(known.values())  # it goes on from the data of the snapshot
        assert not cluster.bootstrap(recover_from={"s3": bucket})["changed"]

    @pytest.mark.row("TAL-10")
    def test_an_empty_first_control_plane_is_no_empty_cluster(self, machines: Machines, cluster: Cluster) -> None:
        """The others have data, but just boot, so that nothing of it can be seen yet."""
        others = ("cp-2", "cp-3")
        clusters = {one["id"] for one in machines.etcd()}
        for name in others:
            machines.fault(name, boot_seconds=2.0)
            machines.ask("power_off", machine=name)
        machines.ask("wipe", machine="cp-1")
        until(lambda: machines.status("cp-1")["stage"] == "maintenance", "cp-1 to be wiped")
        cluster.configure("cp-1")
        for name in others:
            machines.ask("power_on", machine=name)
        machines.forget_requests()
        result = cluster.bootstrap()
        for name in others:
            machines.fault(name, boot_seconds=0.0)
        assert not result["failed"], result
        assert {one["id"] for one in machines.etcd()} <= clusters
        assert "/machine.MachineService/Bootstrap" not in machines.requests("cp-1")

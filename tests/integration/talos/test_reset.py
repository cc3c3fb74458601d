# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``talos_machine`` with ``state=absent``, on the lab's machines. The tests build on each other in this order."""

from __future__ import annotations

from typing import Any

import pytest

from tests.ansible_runner import AnsibleRunner, ModuleResult, failed
from tests.integration.talos.talos_machines import Cluster, Machines, until

RESET = "/machine.MachineService/Reset"


@pytest.fixture(scope="module")
def cluster(ansible: AnsibleRunner, machines: Machines) -> Cluster:
    cluster = Cluster(ansible, machines)
    cluster.configure(*machines.control_planes, "worker-1")
    assert cluster.bootstrap()["changed"]
    return cluster


def reset(cluster: Cluster, node: str, **options: Any) -> ModuleResult:
    return cluster.machine(node, None, state="absent", **options)


def members(machines: Machines) -> list[str]:
    (etcd,) = machines.etcd()
    return sorted(etcd["members"])


class TestWorker:
    def test_check_mode_says_what_would_be_lost(self, machines: Machines, cluster: Cluster) -> None:
        machines.forget_requests()
        result = reset(cluster, "worker-1", check=True, diff=True)
        assert result["changed"], result
        (diff,) = result["diff"]
        assert diff["before"] == {"cluster": "test", "type": "worker", "wiped": ["STATE", "EPHEMERAL"]}
        assert RESET not in machines.requests("worker-1")

    def test_back_to_maintenance(self, machines: Machines, cluster: Cluster) -> None:
        """Also when the reply is lost."""
        machines.fault("worker-1", lost_replies=1)
        result = reset(cluster, "worker-1")
        assert result["changed"], result
        assert result["machine"]["stage"] == machines.status("worker-1")["stage"] == "maintenance"
        assert machines.status("worker-1")["installed"]
        assert machines.requests("worker-1")[RESET] == 1
        assert not reset(cluster, "worker-1")["changed"]

    def test_it_can_come_back(self, cluster: Cluster) -> None:
        cluster.configure("worker-1")

    def test_switched_off_with_an_empty_disk(self, machines: Machines, cluster: Cluster) -> None:
        result = reset(cluster, "worker-1", power_off=True, wipe=[], wipe_user_disks=["/dev/sdb"], diff=True)
        assert result["changed"], result
        assert result["diff"][0]["before"]["wiped"] == ["the whole system disk", "/dev/sdb"]
        assert machines.status("worker-1")["stage"] == "powered off"
        assert not machines.status("worker-1")["installed"]
        machines.ask("power_on", machine="worker-1")

    def test_a_disk_that_there_is_not(self, machines: Machines, cluster: Cluster) -> None:
        cluster.configure("worker-2")
        message = failed(reset(cluster, "worker-2", wipe_user_disks=["/dev/nope"]))
        assert f"Talos API on worker-2 at {machines.address('worker-2')} refused Reset" in message
        assert "device /dev/nope wasn't found" in message
        until(lambda: machines.status("worker-2")["stage"] == "running", "worker-2 to have come up, and not gone")


@pytest.mark.row("TAL-21")
class TestControlPlane:
    def test_not_while_another_one_is_down(self, machines: Machines, cluster: Cluster) -> None:
        machines.ask("power_off", machine="cp-2")
        try:
            message = failed(reset(cluster, "cp-3"))
            assert f"cp-3 ({machines.address('cp-3')}) is not reset: etcd would lose its quorum" in message
            assert machines.status("cp-3")["stage"] == "running"
        finally:
            machines.ask("power_on", machine="cp-2")
        assert not cluster.bootstrap()["changed"]
        until(lambda: machines.status("cp-2")["ready"], "cp-2 to be back")

    def test_not_while_its_own_etcd_does_not_run(self, machines: Machines, cluster: Cluster) -> None:
        for name in ("cp-1", "cp-2"):
            machines.ask("power_off", machine=name)
        machines.fault("cp-3", boot_seconds=300)
        machines.ask("power_cycle", machine="cp-3")
        try:
            message = failed(reset(cluster, "cp-3", check=True))
            assert "its etcd is Waiting, so nobody can tell whether the others have a quorum" in message
        finally:
            machines.fault("cp-3", boot_seconds=0)
            for name in ("cp-1", "cp-2", "cp-3"):
                machines.ask("power_cycle", machine=name)
        machines.await_control_planes()

    def test_what_is_no_member_any_more(self, machines: Machines, cluster: Cluster) -> None:
        """Its own etcd does not run then, so another control plane is asked."""
        machines.fault("cp-3", unreachable="refuse")
        there = {"secrets": cluster.bundle, "control_planes": machines.control_planes, "connect_timeout": 1}
        removed = cluster.ansible.run_module("talos_etcd_member", {**there, "state": "removed", "member": "cp-3"})
        machines.fault("cp-3", unreachable="")
        assert removed["changed"], removed
        result = reset(cluster, "cp-3")
        assert result["changed"], result
        assert machines.status("cp-3")["stage"] == "maintenance"
        cluster.configure("cp-3")
        until(lambda: members(machines) == ["cp-1", "cp-2", "cp-3"], "cp-3 to be a member again")
        machines.await_control_planes()

    def test_one_of_three_leaves(self, machines: Machines, cluster: Cluster) -> None:
        result = reset(cluster, "cp-3", diff=True)
        assert result["changed"], result
        assert result["diff"][0]["before"]["etcd"] == "this member and its copy of the data"
        assert members(machines) == ["cp-1", "cp-2"]
        assert machines.status("cp-3")["stage"] == "maintenance"

    def test_never_the_last_one(self, machines: Machines, cluster: Cluster) -> None:
        assert reset(cluster, "cp-2")["changed"]
        message = failed(reset(cluster, "cp-1"))
        assert "cp-1 is the only voting member of etcd, and all of its data would go with it" in message
        assert machines.status("cp-1")["stage"] == "running"

    def test_but_for_whoever_types_the_name(self, machines: Machines, cluster: Cluster) -> None:
        message = failed(reset(cluster, "cp-1", destroy_cluster="production"))
        assert "cp-1 belongs to the cluster 'test', not to 'production'" in message
        assert machines.status("cp-1")["stage"] == "running"
        result = reset(cluster, "cp-1", destroy_cluster="test", diff=True)
        assert result["diff"][0]["before"]["etcd"] == "all data of the cluster"
        assert machines.status("cp-1")["stage"] == "maintenance"

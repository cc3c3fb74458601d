# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``talos_kubernetes_upgrade`` on the lab's machines. The tests build on each other in this order."""

from __future__ import annotations

from typing import Any

import pytest

from tests.ansible_runner import AnsibleRunner, ModuleResult, failed
from tests.integration.talos.talos_machines import APPLY, Cluster, Machines, until

NEW = "1.37.0"
SERVERS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")


@pytest.fixture(scope="module")
def cluster(ansible: AnsibleRunner, machines: Machines) -> Cluster:
    cluster = Cluster(ansible, machines)
    cluster.configure(*machines.control_planes, "worker-1")
    assert cluster.bootstrap()["changed"]
    names = (*machines.control_planes, "worker-1")
    until(lambda: all(machines.status(name)["ready"] for name in names), "the cluster")
    return cluster


def upgrade(cluster: Cluster, version: str = NEW, **options: Any) -> ModuleResult:
    flags = {name: options.pop(name) for name in ("check", "diff", "verbosity") if name in options}
    machines = cluster.machines
    arguments = {
        "secrets": cluster.bundle,
        "control_planes": machines.control_planes,
        "workers": {"worker-1": machines.nodes["worker-1"]},
        "version": version,
        "wait_timeout": 60,
    }
    return cluster.ansible.run_module("talos_kubernetes_upgrade", {**arguments, **options}, **flags)


def images(cluster: Cluster, name: str) -> set[str]:
    """The versions that the configuration of a node names, read over raw gRPC."""
    document = cluster.machines.config(name, cluster.bundle)[0]
    sections = [document["machine"]["kubelet"], *document["cluster"].values()]
    return {one["image"].rpartition(":v")[2] for one in sections if isinstance(one, dict) and "image" in one}


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("1.38.0", "Kubernetes 1.36.3 cannot become 1.38.0: it is upgraded one minor version at a time."),
        ("1.35.9", "Kubernetes 1.36.3 cannot become 1.35.9: a minor version is never taken back."),
        ("latest", "'latest' is not a full version of Kubernetes"),
    ],
)
def test_versions_that_cannot_be(cluster: Cluster, version: str, message: str) -> None:
    assert message in failed(upgrade(cluster, version))


def test_check_mode_shows_the_order(machines: Machines, cluster: Cluster) -> None:
    machines.forget_requests()
    result = upgrade(cluster, check=True, diff=True)
    assert result["changed"], result
    nodes = [*machines.control_planes, "worker-1"]
    expected = [f"{component} {name}" for component in SERVERS for name in machines.control_planes]
    assert [diff["before_header"] for diff in result["diff"]] == [*expected, *(f"kubelet {name}" for name in nodes)]
    assert result["diff"][0]["before"], result["diff"][0]["after"] == ({"version": "1.36.3"}, {"version": NEW})
    assert not [name for name in nodes if APPLY in machines.requests(name)]


def test_not_while_a_node_is_not_well(machines: Machines, cluster: Cluster) -> None:
    machines.fault("worker-1", time_unsynchronised=True)
    message = failed(upgrade(cluster))
    machines.fault("worker-1", time_unsynchronised=False)
    assert "Not upgraded, as not all nodes are well: worker-1 is not ready (time: time is not synced)" in message
    assert images(cluster, "cp-1") == {"1.36.3"}


@pytest.mark.row("MNT-05")
def test_it_ends_with_the_first_that_does_not_come_up(machines: Machines, cluster: Cluster) -> None:
    machines.fault("cp-2", pods_fail=NEW)
    result = upgrade(cluster, wait_timeout=1)
    message = failed(result)
    assert f"Gave up after 1 s waiting for kube-apiserver {NEW} to run on cp-2 ({machines.address('cp-2')})" in message
    assert "the pod is not ready" in message
    assert result["applied"] == [{"action": "update", "kind": "kube-apiserver", "name": "cp-1"}]
    assert images(cluster, "cp-1") == {"1.36.3", NEW}
    assert "not all nodes are well: cp-2 is not ready (staticPods:" in failed(upgrade(cluster))
    machines.fault("cp-2", pods_fail="")
    assert images(cluster, "cp-3") == {"1.36.3"}


@pytest.mark.row("MNT-05")
def test_the_next_run_goes_on(machines: Machines, cluster: Cluster) -> None:
    boots = {name: machines.status(name)["boot_id"] for name in machines.nodes}
    result = upgrade(cluster, verbosity=3)
    assert result["changed"], result
    assert {node["versions"]["kubelet"] for node in result["nodes"]} == {NEW}
    for name in (*machines.control_planes, "worker-1"):
        assert images(cluster, name) == {NEW}
        assert machines.status(name)["boot_id"] == boots[name]
    assert cluster.bundle["certs"]["k8s"]["key"] not in result.output


def test_a_second_run_changes_nothing(machines: Machines, cluster: Cluster) -> None:
    machines.forget_requests()
    assert not upgrade(cluster)["changed"]
    assert max(sum(machines.requests(name).values()) for name in machines.nodes) <= 2


def test_a_staged_configuration_is_not_lost(machines: Machines, cluster: Cluster) -> None:
    machines.apply("cp-2", cluster.bundle, cluster.config("cp-2"), "STAGED")
    assert "cp-2 has a configuration that is staged or on trial." in failed(upgrade(cluster, "1.37.1"))

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What to think of what nodes say: every check, each by itself."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import UnreachableError
from ansible_collections.dcm.platform.plugins.module_utils.talos.client import (
    EtcdMember,
    EtcdStatus,
    MachineStatus,
    Service,
)
from ansible_collections.dcm.platform.plugins.module_utils.talos.health import CHECKS, MIB, Report, judge
from ansible_collections.dcm.platform.plugins.module_utils.talos.node import Node

MEMBERS = [EtcdMember(number, f"cp-{number}", False, (f"https://10.0.0.{number}:2380",)) for number in (1, 2, 3)]
READY = {"podStatus": {"conditions": [{"type": "Ready", "status": "True"}]}}
COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")


def node(name: str) -> Node:
    kind, _unused, number = name.partition("-")
    return Node(name, f"10.0.{int(kind == 'worker')}.{number}")


def report(name: str, **changes: Any) -> Report:
    """Of a node that is well."""
    control_plane, number = name.startswith("cp"), int(name.partition("-")[2])
    services = [Service("apid", "Running", True, ""), Service("kubelet", "Running", True, "")]
    well = Report(
        node(name),
        control_plane,
        MachineStatus("running", True),
        services=[*services, *([Service("etcd", "Running", True, "")] if control_plane else [])],
        memory=4096 * MIB,
        disks=[{"size": 1 << 35, "system_disk": True}, {"size": 1, "system_disk": False}],
        diagnostics={},
        time={"synced": True},
        kubernetes_nodes={name: {"nodeReady": True}},
        addresses=[f"10.0.0.{number}"] if control_plane else None,
        static_pods={f"kube-system/{pod}-{name}": READY for pod in COMPONENTS} if control_plane else None,
        members=MEMBERS if control_plane else None,
        etcd=EtcdStatus(number, 1, False, 0) if control_plane else None,
        alarms={} if control_plane else None,
    )
    return dataclasses.replace(well, **changes)


NAMES = ("cp-1", "cp-2", "cp-3", "worker-1", "worker-2")


def cluster(**changes: dict[str, Any]) -> list[Report]:
    """All well, but for what is changed of a node (with an underscore for the hyphen)."""
    return [report(name, **changes.get(name.replace("-", "_"), {})) for name in NAMES]


def failing(reports: list[Report]) -> dict[str, list[str]]:
    """The checks that fail, and why."""
    return {
        one.check: [
            f"{problem.node.name}: {problem.reason}" if problem.node else problem.reason for problem in one.problems
        ]
        for one in judge(reports)
        if not one.healthy
    }


def test_all_is_well() -> None:
    results = judge(cluster())
    assert [one.check for one in results] == list(CHECKS)
    assert all(one.healthy and not one.not_checked for one in results)


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        ("worker-1", {"status": MachineStatus("booting")}, {"boot": ["worker-1: its stage is booting"]}),
        (
            "worker-1",
            {"status": MachineStatus("running", False, ("time: not in sync",))},
            {"boot": ["worker-1: time: not in sync"]},
        ),
        (
            "worker-1",
            {"services": [Service("kubelet", "Running", False, "no route"), Service("udevd", "Failed", None, "")]},
            {"services": ["worker-1: kubelet is not healthy: no route; udevd is Failed"]},
        ),
        ("worker-1", {"services": []}, {"services": ["worker-1: there is no kubelet"]}),
        (
            "cp-2",
            {"services": [Service("kubelet", "Running", True, ""), Service("etcd", "Preparing", None, "")]},
            {"etcd_service": ["cp-2: etcd is Preparing"]},
        ),
        ("worker-2", {"time": {"synced": False}}, {"time": ["worker-2: its clock is not in sync"]}),
        ("worker-2", {"time": {"synced": False, "syncDisabled": True}}, {}),
        ("worker-2", {"memory": 873 * MIB}, {"memory": ["worker-2: it has 873 MiB, and needs 874"]}),
        ("cp-1", {"memory": 1024 * MIB}, {"memory": ["cp-1: it has 1024 MiB, and needs 1698"]}),
        (
            "cp-1",
            {"disks": [{"size": 1 << 30, "system_disk": True}]},
            {"disk": ["cp-1: its system disk has 1024 MiB, and needs 6144"]},
        ),
        (
            "cp-1",
            {"diagnostics": {"address-overlap": {"message": "networks overlap"}}},
            {"diagnostics": ["cp-1: address-overlap: networks overlap"]},
        ),
        (
            "worker-1",
            {"kubernetes_nodes": {"worker-1": {"nodeReady": False}}},
            {"nodes_ready": ["worker-1: Kubernetes node worker-1 is not ready"]},
        ),
        (
            "worker-1",
            {"kubernetes_nodes": {}},
            {"nodes_ready": ["worker-1: it knows nothing of its Kubernetes node yet"]},
        ),
        (
            "worker-1",
            {"kubernetes_nodes": {"worker-1": {"nodeReady": True, "unschedulable": True}}},
            {"nodes_schedulable": ["worker-1: Kubernetes node worker-1 is cordoned"]},
        ),
        (
            "cp-1",
            {"static_pods": {"kube-system/kube-apiserver-cp-1": {}, "kube-system/kube-scheduler-cp-1": READY}},
            {"static_pods": ["cp-1: kube-controller-manager is missing; kube-apiserver-cp-1 is not ready"]},
        ),
        (
            "cp-3",
            {"members": MEMBERS[:2]},
            {"etcd_members": ["cp-1, cp-2, cp-3 do not name the same members"]},
        ),
        (
            "cp-3",
            {"members": None, "refused": {"members": "etcd is down."}},
            {"etcd_members": ["cp-3: etcd is down."]},
        ),
        ("cp-3", {"etcd": None}, {"etcd_quorum": ["member cp-3 does not serve"]}),
        ("cp-3", {"etcd": EtcdStatus(3, 0, False, 0)}, {"etcd_quorum": ["member cp-3 does not serve"]}),
        ("cp-3", {"etcd": EtcdStatus(3, 2, False, 0)}, {"etcd_quorum": ["the members do not agree who leads them"]}),
        ("cp-2", {"alarms": {3: ["NOSPACE"]}}, {"etcd_alarms": ["member cp-3 raises NOSPACE"]}),
        (
            "worker-1",
            {"memory": None, "refused": {"memory": "not authorized"}},
            {"memory": ["worker-1: not authorized"]},
        ),
    ],
)
def test_one_thing_that_is_wrong(name: str, changes: dict[str, Any], expected: dict[str, list[str]]) -> None:
    assert failing(cluster(**{name.replace("-", "_"): changes})) == expected


def test_every_failure_is_told_not_only_the_first() -> None:
    found = failing(
        cluster(
            cp_1={"alarms": {1: ["CORRUPT"]}},
            cp_2={"time": {}},
            worker_1={"memory": 1},
            worker_2={"kubernetes_nodes": {}},
        )
    )
    assert list(found) == ["time", "memory", "etcd_alarms", "nodes_ready"]


def test_quorum_that_is_lost() -> None:
    down = {"etcd": None}
    assert failing(cluster(cp_2=down, cp_3=down))["etcd_quorum"][0] == ("1 of 3 voting members are healthy, 2 must be")


def test_a_member_that_is_no_control_plane() -> None:
    stranger = EtcdMember(4, "cp-4", False, ("https://10.0.0.4:2380",))
    found = failing(cluster(**{f"cp_{number}": {"members": [*MEMBERS, stranger]} for number in (1, 2, 3)}))
    assert found["etcd_control_planes"] == ["member cp-4 is no control plane of these"]
    assert found["etcd_quorum"] == ["member cp-4 does not serve"]


def test_a_learner_does_not_count() -> None:
    learner = EtcdMember(3, "cp-3", True, ("https://10.0.0.3:2380",))
    members = [*MEMBERS[:2], learner]
    changes: dict[str, Any] = {f"cp_{number}": {"members": members} for number in (1, 2, 3)}
    changes["cp_3"]["etcd"] = None
    assert failing(cluster(**changes)) == {}


def lost(name: str) -> Report:
    error = UnreachableError(node(name).service, node(name).address, "connection refused")
    return Report(node(name), name.startswith("cp"), error=error)


def test_a_node_that_does_not_answer_is_named_once() -> None:
    reports = cluster()
    reports[4] = lost("worker-2")
    assert failing(reports) == {
        "api": ["worker-2: Talos API on worker-2 at 10.0.1.2:50000 is not reachable: connection refused"]
    }
    unchecked = {one.check for one in judge(reports) if one.not_checked == ["worker-2"]}
    assert unchecked == {"services", "time", "memory", "disk", "diagnostics", "nodes_ready", "nodes_schedulable"}


def test_a_node_in_maintenance() -> None:
    reports = cluster()
    reports[3] = Report(node("worker-1"), control_plane=False, maintenance=True)
    assert failing(reports) == {"boot": ["worker-1: it is in maintenance mode"]}


def test_checks_that_are_skipped() -> None:
    results = judge(cluster(worker_1={"kubernetes_nodes": {}}), skip=["nodes_ready"])
    assert "nodes_ready" not in [one.check for one in results]
    assert all(one.healthy for one in results)


def test_what_a_module_returns() -> None:
    (result,) = [one for one in judge(cluster(cp_1={"time": {}})) if one.check == "time"]
    assert result.tree() == {
        "check": "time",
        "description": "all clocks are in sync",
        "healthy": False,
        "problems": [{"node": "cp-1", "address": "10.0.0.1:50000", "reason": "its clock is not in sync"}],
        "not_checked": [],
    }
    assert result.sentence() == "all clocks are in sync: cp-1 (10.0.0.1:50000): its clock is not in sync"

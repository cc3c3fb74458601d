# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is read from the control planes' words about etcd, which member is meant, and when it may go."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import RefusedError, UnreachableError
from ansible_collections.dcm.platform.plugins.module_utils.talos.client import EtcdMember, EtcdStatus
from ansible_collections.dcm.platform.plugins.module_utils.talos.etcd import ControlPlane, Etcd
from ansible_collections.dcm.platform.plugins.module_utils.talos.etcd_member import LEFT, LISTED, REMOVED, find, plan
from ansible_collections.dcm.platform.plugins.module_utils.talos.node import Node

NODES = [Node(f"node-{number}", f"10.0.0.{number}") for number in (1, 2, 3)]
ERROR = UnreachableError("Talos API on node-3", "10.0.0.3:50000", "connection refused")
MEMBERS = [EtcdMember(n, f"talos-{n}", False, (f"https://10.0.0.{n}:2380",)) for n in (1, 2, 3)]


def etcd(
    down: Sequence[int] = (), alarms: Mapping[int, Sequence[str]] | None = None, members: Sequence[EtcdMember] = MEMBERS
) -> Etcd:
    """A cluster of three whose leader is the first, without those that are down."""
    control_planes = [
        ControlPlane(node, error=ERROR)
        if number in down
        else ControlPlane(node, members=members, status=EtcdStatus(number, 1, False, 4096))
        for number, node in enumerate(NODES, start=1)
    ]
    return Etcd(control_planes, alarms or {})


def test_who_is_healthy() -> None:
    assert etcd().healthy == {1, 2, 3}
    assert etcd(down=[3]).healthy == {1, 2}
    assert etcd(alarms={2: ["CORRUPT"], 3: ["NOSPACE"]}).healthy == {1, 3}
    leaderless = [dataclasses.replace(one, status=EtcdStatus(1, 0, False, 0)) for one in etcd().control_planes[:1]]
    assert Etcd(leaderless).healthy == frozenset()


def test_who_serves() -> None:
    assert [one.node.name for one in etcd(down=[1]).serving()] == ["node-2", "node-3"]
    learner = ControlPlane(NODES[0], members=MEMBERS, status=EtcdStatus(1, 2, True, 0))
    assert Etcd([learner]).serving() == []
    with pytest.raises(
        RefusedError, match=r"No control plane serves etcd: etcd on node-1 is Failed; Talos API on node-3"
    ):
        Etcd([ControlPlane(NODES[0], state="Failed"), ControlPlane(NODES[2], error=ERROR)]).require_serving()


def test_two_clusters_are_no_cluster() -> None:
    with pytest.raises(RefusedError, match="node-1, node-2 are members of different etcd clusters"):
        Etcd([ControlPlane(NODES[0], members=MEMBERS[:1]), ControlPlane(NODES[1], members=MEMBERS[1:2])])


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("0000000000000002", 2), ("talos-2", 2), ("node-2", 2), ("node-3", 3), ("talos-9", None), ("2", None), ("", None)],
)
def test_a_member_has_many_names(wanted: str, found: int | None) -> None:
    """The third one is down, and known by its address only."""
    member = find(etcd(down=[3]), wanted)
    assert (member.id if member else None) == found


def test_two_members_of_one_name() -> None:
    again = EtcdMember(4, "talos-3", False, ("https://10.0.0.4:2380",))
    with pytest.raises(RefusedError) as caught:
        find(etcd(members=[*MEMBERS, again]), "talos-3")
    assert "etcd has 2 members called talos-3: 0000000000000003, 0000000000000004. Name the one by its id." in str(
        caught.value
    )


@pytest.mark.row("TAL-21")
def test_who_does_what() -> None:
    assert plan(etcd(), LISTED, None) == []
    assert plan(etcd(), REMOVED, "talos-9") == []
    (removal,) = plan(etcd(down=[3]), REMOVED, "node-3")
    assert (removal.action, removal.kind, removal.name) == ("delete", "etcd member", "talos-3")
    assert removal.payload.node == NODES[0]
    (removal,) = plan(etcd(), REMOVED, "node-1")
    assert removal.payload.node == NODES[1]
    (leaving,) = plan(etcd(), LEFT, "talos-3")
    assert leaving.payload.node == NODES[2]


@pytest.mark.row("TAL-21")
@pytest.mark.parametrize("state", [LEFT, REMOVED])
def test_the_quorum_is_kept(state: str) -> None:
    with pytest.raises(RefusedError) as caught:
        plan(etcd(down=[3]), state, "node-2")
    assert "talos-2 stays in etcd: etcd would lose its quorum: without talos-2, 1 of 2 voting members" in str(
        caught.value
    )
    assert "Repair first what ails: Talos API on node-3 at 10.0.0.3:50000 is not reachable" in str(caught.value)


def test_who_is_away_cannot_leave() -> None:
    with pytest.raises(RefusedError, match=r"talos-3 cannot leave etcd by itself: .* state=removed"):
        plan(etcd(down=[3]), LEFT, "node-3")

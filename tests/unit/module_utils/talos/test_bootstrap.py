# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""When etcd is bootstrapped, and when not."""

from __future__ import annotations

import itertools

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import RefusedError, UnreachableError
from ansible_collections.dcm.platform.plugins.module_utils.talos.bootstrap import (
    ControlPlane,
    is_bootstrapped,
    missing_members,
    plan,
)
from ansible_collections.dcm.platform.plugins.module_utils.talos.client import EtcdMember
from ansible_collections.dcm.platform.plugins.module_utils.talos.node import Node

NODES = [Node(f"cp-{number}", f"10.0.0.{number}") for number in (1, 2, 3)]
ERROR = UnreachableError("Talos API on cp-2", "10.0.0.2:50000", "connection refused")


def member(number: int, *, learner: bool = False) -> EtcdMember:
    return EtcdMember(number, f"cp-{number}", learner)


ALL = [member(1), member(2), member(3)]
FRESH = [ControlPlane(node, state="Preparing") for node in NODES]
RUNNING = [ControlPlane(node, members=ALL) for node in NODES]
MAINTENANCE = [ControlPlane(node, maintenance=True) for node in NODES]
LOST = [ControlPlane(node, error=ERROR) for node in NODES]


@pytest.mark.row("TAL-10")
@pytest.mark.parametrize("states", list(itertools.product([FRESH, MAINTENANCE, RUNNING, LOST], repeat=3)))
def test_only_if_no_control_plane_can_have_data(states: tuple[list[ControlPlane], ...]) -> None:
    control_planes = [state[index] for index, state in enumerate(states)]
    if RUNNING in states:
        assert plan(control_planes) == []
    elif LOST in states:
        with pytest.raises(RefusedError, match="not every control plane could be asked"):
            plan(control_planes)
    else:
        (change,) = plan(control_planes)
        assert (change.action, change.kind, change.name) == ("run", "etcd bootstrap", "cp-1")


def test_who_could_not_be_asked_is_named() -> None:
    with pytest.raises(RefusedError) as caught:
        plan([FRESH[0], LOST[1], FRESH[2]])
    assert "Talos API on cp-2 at 10.0.0.2:50000 is not reachable: connection refused" in str(caught.value)
    assert "A second bootstrap would split the cluster" in str(caught.value)


def test_a_split_cluster_is_noticed() -> None:
    control_planes = [
        ControlPlane(NODES[0], members=[member(1)]),
        FRESH[1],
        ControlPlane(NODES[2], members=[member(3)]),
    ]
    with pytest.raises(RefusedError, match="The control planes cp-1, cp-3 are members of different etcd clusters"):
        plan(control_planes)


def test_views_may_lag() -> None:
    assert is_bootstrapped([ControlPlane(NODES[0], members=ALL), ControlPlane(NODES[1], members=ALL[:2]), FRESH[2]])


@pytest.mark.parametrize(
    ("control_plane", "hindrance"),
    [
        (FRESH[0], None),
        (ControlPlane(NODES[0], state="Waiting"), "etcd on cp-1 is Waiting"),
        (ControlPlane(NODES[0], state="Running"), "etcd on cp-1 is Running"),
        (ControlPlane(NODES[0], state="Failed"), "etcd on cp-1 is Failed"),
        (ControlPlane(NODES[0]), "etcd on cp-1 is not there"),
        (MAINTENANCE[1], "cp-2 at 10.0.0.2:50000 is in maintenance mode"),
        (LOST[1], "Talos API on cp-2 at 10.0.0.2:50000 is not reachable: connection refused."),
    ],
)
def test_what_hinders_a_bootstrap(control_plane: ControlPlane, hindrance: str | None) -> None:
    assert control_plane.hindrance == hindrance


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([], "0 of 3 control planes are members of etcd"),
        ([member(1)], "1 of 3 control planes are members of etcd"),
        ([*ALL[:2], member(3, learner=True)], "2 of 3 control planes are members of etcd"),
        (ALL, None),
        ([*ALL, member(4)], None),
    ],
)
def test_which_members_are_missing(members: list[EtcdMember], reason: str | None) -> None:
    assert missing_members([ControlPlane(NODES[0], members=members), FRESH[1], LOST[2]]) == reason

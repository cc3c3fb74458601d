# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""When etcd is bootstrapped, and when not."""

from __future__ import annotations

import itertools

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import RefusedError, UnreachableError
from ansible_collections.dcm.platform.plugins.module_utils.snapshot_store import FileStore
from ansible_collections.dcm.platform.plugins.module_utils.talos import bootstrap
from ansible_collections.dcm.platform.plugins.module_utils.talos.bootstrap import (
    BootstrapReconciler,
    Recovery,
    hindrance,
    is_bootstrapped,
    missing_members,
    plan,
)
from ansible_collections.dcm.platform.plugins.module_utils.talos.client import EtcdMember
from ansible_collections.dcm.platform.plugins.module_utils.talos.connection import Connector
from ansible_collections.dcm.platform.plugins.module_utils.talos.credentials import credentials
from ansible_collections.dcm.platform.plugins.module_utils.talos.etcd import ControlPlane
from ansible_collections.dcm.platform.plugins.module_utils.talos.node import Node
from ansible_collections.dcm.platform.plugins.module_utils.talos.secrets import Bundle

NODES = [Node(f"cp-{number}", f"10.0.0.{number}") for number in (1, 2, 3)]
ERROR = UnreachableError("Talos API on cp-2", "10.0.0.2:50000", "connection refused")


def member(number: int, *, learner: bool = False) -> EtcdMember:
    return EtcdMember(number, f"cp-{number}", learner)


ALL = [member(1), member(2), member(3)]
FRESH = [ControlPlane(node, state="Preparing") for node in NODES]
RUNNING = [ControlPlane(node, members=ALL) for node in NODES]
MAINTENANCE = [ControlPlane(node, maintenance=True) for node in NODES]
LOST = [ControlPlane(node, error=ERROR) for node in NODES]
DATA = [ControlPlane(node, state="Preparing", has_data=True) for node in NODES]  # its etcd has not started yet


@pytest.mark.row("TAL-10")
@pytest.mark.parametrize("states", list(itertools.product([FRESH, MAINTENANCE, RUNNING, LOST, DATA], repeat=3)))
def test_only_if_no_control_plane_can_have_data(states: tuple[list[ControlPlane], ...]) -> None:
    control_planes = [state[index] for index, state in enumerate(states)]
    if RUNNING in states or DATA in states:
        assert plan(control_planes) == []
    elif LOST in states:
        with pytest.raises(RefusedError, match="not every control plane could be asked"):
            plan(control_planes)
    else:
        (change,) = plan(control_planes)
        assert (change.action, change.kind, change.name) == ("run", "etcd bootstrap", "cp-1")


@pytest.mark.row("TAL-10")
@pytest.mark.parametrize("states", list(itertools.product([FRESH, MAINTENANCE, RUNNING, LOST, DATA], repeat=3)))
@pytest.mark.parametrize("discard", [False, True])
def test_recovery_only_where_no_data_is_in_the_way(states: tuple[list[ControlPlane], ...], discard: bool) -> None:
    control_planes = [state[index] for index, state in enumerate(states)]
    full = [f"cp-{number}" for number, state in enumerate(states, start=1) if state is DATA]
    recovery = Recovery(FileStore("etcd.snapshot"), discard_data=discard)
    if RUNNING in states:
        assert plan(control_planes, recovery) == []
    elif full and not discard:
        names = ", ".join(full)
        with pytest.raises(RefusedError, match=f"Not recovered from etcd.snapshot: .* its data is still on {names}"):
            plan(control_planes, recovery)
    elif LOST in states:
        with pytest.raises(RefusedError, match="not every control plane could be asked"):
            plan(control_planes, recovery)
    else:
        *wipes, change = plan(control_planes, recovery)
        assert [(wipe.action, wipe.name) for wipe in wipes] == [("delete", name) for name in full]
        assert (change.action, change.kind, change.name) == ("run", "etcd recovery", "cp-1")
        assert change.after == {"snapshot": "etcd.snapshot"}


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
    ("control_plane", "reason"),
    [
        (FRESH[0], None),
        (ControlPlane(NODES[0], state="Waiting"), "etcd on cp-1 is Waiting"),
        (ControlPlane(NODES[0], state="Running"), "etcd on cp-1 is Running"),
        (ControlPlane(NODES[0], state="Failed"), "etcd on cp-1 is Failed"),
        (ControlPlane(NODES[0]), "etcd on cp-1 is not there"),
        (MAINTENANCE[1], "cp-2 at 10.0.0.2:50000 is in maintenance mode"),
        (LOST[1], "Talos API on cp-2 at 10.0.0.2:50000 is not reachable: connection refused"),
    ],
)
def test_what_hinders_a_bootstrap(control_plane: ControlPlane, reason: str | None) -> None:
    assert hindrance(control_plane) == reason


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
    found = missing_members([ControlPlane(NODES[0], members=members, state="Waiting"), FRESH[1], LOST[2]])
    if reason is None:
        assert found is None
    else:
        first, *troubles = (found or "").split("; ")
        assert first == reason
        assert "etcd on cp-2 is Preparing" in troubles


@pytest.mark.row("BDR-25")
def test_an_election_costs_no_data(monkeypatch: pytest.MonkeyPatch, bundle: Bundle) -> None:
    """While a new leader is elected, it looks as if etcd did not run."""
    asked: list[Node] = []

    def look(connector: Connector, node: Node) -> ControlPlane:
        asked.append(node)
        return (DATA if len(asked) <= len(NODES) else RUNNING)[NODES.index(node)]

    monkeypatch.setattr(bootstrap, "look", look)
    monkeypatch.setattr(bootstrap, "look_at_all", lambda _connector, _nodes: DATA)
    connector = Connector(credentials({"secrets": bundle.tree}), patience=30.0)
    recovery = Recovery(FileStore("never-read"), discard_data=True)
    reconciler = BootstrapReconciler(NODES, connector, 1, wait=False, recovery=recovery)
    assert reconciler.plan(reconciler.read()) == []
    assert len(asked) == 2 * len(NODES)

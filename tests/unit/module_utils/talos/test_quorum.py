# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether etcd can spare a member."""

from __future__ import annotations

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.talos.client import EtcdMember
from ansible_collections.dcm.platform.plugins.module_utils.talos.quorum import needed, why_not_down, why_not_removed
from hypothesis import given
from hypothesis import strategies as st

ONE, TWO, THREE = (EtcdMember(number, f"cp-{number}", False) for number in (1, 2, 3))
LEARNER = EtcdMember(9, "cp-9", True)


@pytest.mark.row("MNT-10")
@pytest.mark.parametrize(
    ("members", "going", "healthy", "reason"),
    [
        ([ONE, TWO, THREE], 3, {1, 2, 3}, None),
        ([ONE, TWO, THREE], 3, {1, 2}, None),  # the dead one
        ([ONE, TWO], 2, {1, 2}, None),
        ([ONE, TWO, THREE, LEARNER], 9, {1}, None),
        ([ONE, TWO, THREE], 7, set(), None),
        (
            [ONE, TWO, THREE],
            2,
            {1, 2},
            "etcd would lose its quorum: without cp-2, 1 of 2 voting members would be healthy, and 2 are needed",
        ),
        (
            [ONE, TWO, THREE],
            3,
            {1},
            "etcd has no quorum: 1 of 3 voting members are healthy, 2 are needed",
        ),
        ([ONE, TWO], 2, {1}, "etcd has no quorum: 1 of 2 voting members are healthy, 2 are needed"),
        ([ONE], 1, {1}, "cp-1 is the only voting member of etcd, and all of its data would go with it"),
        ([ONE, LEARNER], 1, {1}, "cp-1 is the only voting member of etcd, and all of its data would go with it"),
        (
            [EtcdMember(0xAB, "", False)],
            0xAB,
            {0xAB},
            "00000000000000ab is the only voting member of etcd, and all of its data would go with it",
        ),
    ],
)
def test_leaving_for_good(members: list[EtcdMember], going: int, healthy: set[int], reason: str | None) -> None:
    assert why_not_removed(members, going, healthy) == reason


@pytest.mark.row("MNT-10")
@pytest.mark.parametrize(
    ("members", "going", "healthy", "reason"),
    [
        ([ONE, TWO, THREE], 3, {1, 2, 3}, None),
        ([ONE, TWO, THREE], 3, {1, 2}, None),
        ([ONE], 1, {1}, None),
        ([ONE, TWO, THREE, LEARNER], 9, {1}, None),
        (
            [ONE, TWO, THREE],
            2,
            {1, 2},
            "etcd would lose its quorum: while cp-2 is down, 1 of 3 voting members would be healthy, and 2 are needed",
        ),
        (
            [ONE, TWO],
            2,
            {1, 2},
            "etcd would lose its quorum: while cp-2 is down, 1 of 2 voting members would be healthy, and 2 are needed",
        ),
    ],
)
def test_going_down_for_a_while(members: list[EtcdMember], going: int, healthy: set[int], reason: str | None) -> None:
    assert why_not_down(members, going, healthy) == reason


@given(st.integers(1, 7), st.data())
def test_a_quorum_that_there_is_stays(voters: int, data: st.DataObject) -> None:
    members = [EtcdMember(number, f"cp-{number}", False) for number in range(voters)]
    going = data.draw(st.sampled_from(members)).id
    healthy = data.draw(st.sets(st.integers(0, voters - 1)))
    if why_not_removed(members, going, healthy) is None:
        assert len(healthy) >= needed(voters)
        assert len(healthy - {going}) >= needed(voters - 1)
    if voters > 1 and why_not_down(members, going, healthy) is None:
        assert len(healthy - {going}) >= needed(voters)

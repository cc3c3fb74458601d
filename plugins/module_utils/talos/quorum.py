# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether etcd can spare a member: pure judgement, by the rules that etcd itself has.

Both functions take all members of the cluster, the id of the one that goes, and the ids of those that are healthy now
(their etcd answers, knows a leader and reports no error). They return None if etcd can spare it, else the reason, as a
sentence with the numbers and without a full stop.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ansible_collections.dcm.platform.plugins.module_utils.talos.client import EtcdMember


def needed(voters: int) -> int:
    """How many of so many voting members must be healthy."""
    return voters // 2 + 1


def why_not_removed(members: Sequence[EtcdMember], going: int, healthy: Collection[int]) -> str | None:
    """Why a member must not leave for good, as by a reset, a removal or the end of its machine.

    Learners, and ids that are no member, may always go: they have no vote.
    """
    voters = _voters(members)
    if going not in voters:
        return None
    if len(voters) == 1:
        return f"{_name(members, going)} is the only voting member of etcd, and all of its data would go with it"
    if (reason := _no_quorum(voters, healthy)) is not None:
        return reason
    staying = [voter for voter in voters if voter != going]
    return _too_few(staying, healthy, f"without {_name(members, going)}")


def why_not_down(members: Sequence[EtcdMember], going: int, healthy: Collection[int]) -> str | None:
    """Why a member must not go down for a while, as for a reboot or an upgrade: it keeps its vote meanwhile.

    The only member of a cluster may: there is nothing else to do, and it comes back with its data.
    """
    voters = _voters(members)
    if going not in voters or len(voters) == 1:
        return None
    return _too_few(voters, set(healthy) - {going}, f"while {_name(members, going)} is down")


def _voters(members: Sequence[EtcdMember]) -> list[int]:
    return [member.id for member in members if not member.is_learner]


def _name(members: Sequence[EtcdMember], member_id: int) -> str:
    return next(member.hostname or f"{member_id:016x}" for member in members if member.id == member_id)


def _no_quorum(voters: Sequence[int], healthy: Collection[int]) -> str | None:
    count = len(set(voters) & set(healthy))
    if count >= needed(len(voters)):
        return None
    return f"etcd has no quorum: {count} of {len(voters)} voting members are healthy, {needed(len(voters))} are needed"


def _too_few(voters: Sequence[int], healthy: Collection[int], when: str) -> str | None:
    count = len(set(voters) & set(healthy))
    if count >= needed(len(voters)):
        return None
    return (
        f"etcd would lose its quorum: {when}, {count} of {len(voters)} voting members would be healthy, "
        f"and {needed(len(voters))} are needed"
    )

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Etcd as one control plane sees it, and whether it can spare that one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import PlatformError, RefusedError
from ansible_collections.dcm.platform.plugins.module_utils.talos.client import EtcdMember, TalosClient
from ansible_collections.dcm.platform.plugins.module_utils.talos.etcd import CORRUPT
from ansible_collections.dcm.platform.plugins.module_utils.talos.inputs import CONTROL_PLANE
from ansible_collections.dcm.platform.plugins.module_utils.talos.inspection import addresses

Judgement = Callable[[Sequence[EtcdMember], int, Collection[int]], "str | None"]


@dataclass(frozen=True)
class EtcdHealth:
    """``own`` is the id of the asked control plane's member; ``healthy`` are those that answer, know a leader and
    have no damaged data.
    """

    members: Sequence[EtcdMember]
    own: int
    healthy: frozenset[int]


def etcd_health(client: TalosClient) -> EtcdHealth:
    """Every member is asked through the control plane, which reaches the others where we may not.

    Raises while etcd does not run on the control plane itself.
    """
    members = client.etcd_members()
    damaged = {member for member, alarms in client.etcd_alarms().items() if CORRUPT in alarms}
    healthy = frozenset(member.id for member in members if _knows_a_leader(client, member)) - damaged
    return EtcdHealth(members, client.etcd_status().member_id, healthy)


def _knows_a_leader(client: TalosClient, member: EtcdMember) -> bool:
    host = next((urlsplit(url).hostname for url in member.peer_urls), None)
    if host is None:
        return False  # it was added, and has never run
    try:
        return client.etcd_status(host).leader != 0
    except PlatformError:
        return False


def was_removed(client: TalosClient) -> bool:
    """Whether etcd runs without this control plane, by the word of another one that it reaches."""
    own = {address.partition("/")[0] for address in addresses(client)}
    for machine in client.resources("cluster", "Members.cluster.talos.dev").values():
        others = [address for address in machine.get("addresses") or () if address not in own]
        if machine.get("machineType") != CONTROL_PLANE or not others:
            continue
        try:
            members = client.etcd_members(others[0])
        except PlatformError:
            continue  # the next one may tell
        return not any(urlsplit(url).hostname in own for member in members for url in member.peer_urls)
    return False


def refuse_unless_spared(client: TalosClient, why_not: Judgement, action: str) -> None:
    """Raise :class:`RefusedError` if, by the judgement, etcd cannot spare the member of this control plane."""
    health = etcd_health(client)
    reason = why_not(health.members, health.own, health.healthy)
    if reason is not None:
        raise RefusedError(
            f"{client.node.name} ({client.node.address}) is not {action}: {reason}.",
            hint="Repair the other control planes first. Nothing was changed.",
        )

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The membership of etcd: a member leaves by itself, or the others remove it; never at the cost of the quorum."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, Outcome
from ansible_collections.dcm.platform.plugins.module_utils.engine.concurrent import apply_each
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import (
    NotFoundError,
    RefusedError,
    TransientError,
)
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import Reconciler
from ansible_collections.dcm.platform.plugins.module_utils.engine.retry import retrying
from ansible_collections.dcm.platform.plugins.module_utils.talos.client import EtcdMember, TalosClient
from ansible_collections.dcm.platform.plugins.module_utils.talos.connection import Connector
from ansible_collections.dcm.platform.plugins.module_utils.talos.etcd import ControlPlane, Etcd, member_tree, survey
from ansible_collections.dcm.platform.plugins.module_utils.talos.node import Node
from ansible_collections.dcm.platform.plugins.module_utils.talos.quorum import why_not_removed

LISTED, LEFT, REMOVED = "listed", "left", "removed"


@dataclass(frozen=True)
class Request:
    """What is asked to be done to one member, the node that does it, and how."""

    member: EtcdMember
    node: Node
    call: Callable[[TalosClient], None]


def find(etcd: Etcd, wanted: str) -> EtcdMember | None:
    """The member with this id, host name, or name among the control planes.

    Raises :class:`RefusedError` if there are several.
    """
    found = [member for member in etcd.members if wanted in (f"{member.id:016x}", member.hostname)]
    found = found or [
        member
        for member in etcd.members
        for one in etcd.control_planes
        if one.node.name == wanted and _is_of(member, one)
    ]
    if len(found) > 1:
        ids = ", ".join(f"{member.id:016x}" for member in found)
        raise RefusedError(f"etcd has {len(found)} members called {wanted}: {ids}.", hint="Name the one by its id.")
    return found[0] if found else None


def _is_of(member: EtcdMember, control_plane: ControlPlane) -> bool:
    if control_plane.status is not None:
        return control_plane.status.member_id == member.id
    host = control_plane.node.host
    return any(url.partition("://")[2].rpartition(":")[0].strip("[]") == host for url in member.peer_urls)


def plan(etcd: Etcd, state: str, wanted: str | None) -> list[Change]:
    """One change or none. Raises :class:`RefusedError` if etcd has no quorum, or would have none without the member."""
    if state == LISTED:
        return []
    serving = etcd.require_serving()
    member = find(etcd, wanted or "")
    if member is None:
        return []
    reason = why_not_removed(etcd.members, member.id, etcd.healthy)
    if reason is not None:
        troubles = etcd.troubles()
        hint = f"Repair first what ails: {troubles}." if troubles else None
        raise RefusedError(f"{member.hostname} stays in etcd: {reason}.", hint=hint)
    request = _leave(etcd, member) if state == LEFT else _remove(serving, member)
    return [Change("delete", "etcd member", member.hostname or f"{member.id:016x}", member_tree(member), None, request)]


def _leave(etcd: Etcd, member: EtcdMember) -> Request:
    for one in etcd.control_planes:
        if one.status is not None and one.status.member_id == member.id:
            return Request(member, one.node, TalosClient.etcd_leave)
    raise RefusedError(
        f"{member.hostname} cannot leave etcd by itself: {etcd.troubles()}.",
        hint="If it does not come back, have the others remove it: state=removed.",
    )


def _remove(serving: Sequence[ControlPlane], member: EtcdMember) -> Request:
    others = [one.node for one in serving if one.status is not None and one.status.member_id != member.id]
    if not others:
        raise RefusedError(f"Nobody is there to remove {member.hostname}: no other control plane serves etcd.")
    return Request(member, others[0], lambda client: client.etcd_remove(member.id))


class MemberReconciler(Reconciler[Etcd]):
    """Lists the members, or has one go."""

    def __init__(self, nodes: Sequence[Node], connector: Connector, state: str, member: str | None) -> None:
        self._nodes = nodes
        self._connector = connector
        self._state = state
        self._member = member

    def read(self) -> Etcd:
        etcd = survey(self._connector, self._nodes)
        etcd.require_serving()
        return etcd

    def plan(self, actual: Etcd) -> list[Change]:
        return plan(actual, self._state, self._member)

    def apply(self, changes: Sequence[Change]) -> Iterator[Outcome]:
        return apply_each(changes, lambda change: retrying(lambda: self._send(change.payload), idempotent=True))

    def _send(self, request: Request) -> None:
        try:
            with self._connector.client(request.node) as client, contextlib.suppress(NotFoundError):
                request.call(client)
        except TransientError:
            # The reply to a request that was carried out may have been lost, and a node that left cannot leave again.
            if request.member.id in {member.id for member in survey(self._connector, self._nodes).members}:
                raise

    def result(self, actual: Etcd, changes: Sequence[Change]) -> dict[str, Any]:
        gone = {f"{change.payload.member.id:016x}" for change in changes}
        return {"members": [member for member in actual.tree() if member["id"] not in gone]}

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The bootstrap of etcd: once in the life of a cluster, on one control plane; empty, or with the data of a snapshot."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, Outcome
from ansible_collections.dcm.platform.plugins.module_utils.engine.concurrent import map_concurrently
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import (
    ConflictError,
    RefusedError,
    TimedOutError,
)
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import Reconciler
from ansible_collections.dcm.platform.plugins.module_utils.engine.retry import retrying
from ansible_collections.dcm.platform.plugins.module_utils.engine.wait import NotYet, wait_for
from ansible_collections.dcm.platform.plugins.module_utils.snapshot_store import Store
from ansible_collections.dcm.platform.plugins.module_utils.talos.connection import Connector
from ansible_collections.dcm.platform.plugins.module_utils.talos.etcd import (
    WAITING_STATE,
    WORKERS,
    ControlPlane,
    look,
    look_at_all,
    member_tree,
    require_one_cluster,
)
from ansible_collections.dcm.platform.plugins.module_utils.talos.etcd_snapshot import checked
from ansible_collections.dcm.platform.plugins.module_utils.talos.node import Node

PARTITION = "EPHEMERAL"  # what etcd keeps its data on
_SPLIT_HINT = "A second bootstrap would split the cluster."


@dataclass(frozen=True)
class Recovery:
    """The snapshot to begin with.

    ``skip_hash_check``: it is a copied database, which has no hash of its own. ``discard_data``: if etcd does not run,
    what data of it there still is may be wiped.
    """

    store: Store
    skip_hash_check: bool = False
    discard_data: bool = False


def hindrance(control_plane: ControlPlane) -> str | None:
    """Why a node is not ready for a bootstrap."""
    if control_plane.error is None and control_plane.state == WAITING_STATE:
        return None
    return control_plane.trouble


def runs(control_planes: Sequence[ControlPlane]) -> bool:
    """Whether any control plane runs etcd. Raises :class:`RefusedError` if there are two clusters."""
    require_one_cluster(control_planes)
    return any(one.members for one in control_planes)


def is_bootstrapped(control_planes: Sequence[ControlPlane]) -> bool:
    """Whether any control plane runs etcd or has its data. Raises :class:`RefusedError` if there are two clusters."""
    return runs(control_planes) or any(one.has_data for one in control_planes)


def plan(control_planes: Sequence[ControlPlane], recovery: Recovery | None = None) -> list[Change]:
    """Nothing if etcd runs, else its bootstrap, before which a recovery may have to wipe data.

    Raises :class:`RefusedError` if a node that may hold data could not be asked, or if data bars a recovery.
    """
    if runs(control_planes) or (recovery is None and is_bootstrapped(control_planes)):
        return []
    full = [one.node for one in control_planes if one.has_data]
    if recovery is not None and full and not recovery.discard_data:
        names = ", ".join(node.name for node in full)
        raise RefusedError(
            f"Not recovered from {recovery.store.name}: etcd does not run, but its data is still on {names}.",
            hint="If that data is lost to you, say so: discard_data=true.",
        )
    problems = [one.error.message for one in control_planes if one.error is not None]
    if problems:
        raise RefusedError(
            f"Not bootstrapped, as not every control plane could be asked: {' '.join(problems)}", hint=_SPLIT_HINT
        )
    name = control_planes[0].node.name
    if recovery is None:
        return [Change("run", "etcd bootstrap", name)]
    wipes = [Change("delete", "etcd data", node.name, {"partition": PARTITION}, None, node) for node in full]
    return [*wipes, Change("run", "etcd recovery", name, None, {"snapshot": recovery.store.name})]


def missing_members(control_planes: Sequence[ControlPlane]) -> str | None:
    """What etcd still lacks; None if every control plane has a vote."""
    voters = max(sum(not member.is_learner for member in one.members) for one in control_planes)
    if voters >= len(control_planes):
        return None
    troubles = [one.trouble for one in control_planes if one.trouble]
    return "; ".join([f"{voters} of {len(control_planes)} control planes are members of etcd", *troubles])


class BootstrapReconciler(Reconciler[Sequence[ControlPlane]]):
    """Bootstraps the first of the control planes, if none has etcd data."""

    def __init__(
        self,
        nodes: Sequence[Node],
        connector: Connector,
        timeout: float,
        *,
        wait: bool,
        recovery: Recovery | None = None,
    ) -> None:
        """``timeout``: seconds for the nodes to be ready, and again for all of them to join if ``wait``."""
        self._nodes = nodes
        self._connector = connector
        self._timeout = timeout
        self._wait = wait
        self._recovery = recovery
        self._latest: Sequence[ControlPlane] | None = None

    def read(self) -> Sequence[ControlPlane]:
        self._latest = look_at_all(self._connector, self._nodes)
        if self._recovery is None:
            return self._latest
        if self._recovery.discard_data and is_bootstrapped(self._latest) and not runs(self._latest):
            self._latest = self._look_again()
        if not runs(self._latest):
            with checked(self._recovery.store, skip_hash_check=self._recovery.skip_hash_check):
                pass  # a damaged snapshot is refused before anything begins, in check mode too
        return self._latest

    def _look_again(self) -> Sequence[ControlPlane]:
        """There is no quorum during an election either: data is discarded only if none comes back in our patience."""
        try:
            return wait_for("etcd to run", self._running, timeout=self._connector.patience)
        except TimedOutError:
            return look_at_all(self._connector, self._nodes)

    def _running(self) -> Sequence[ControlPlane]:
        control_planes = self._look()
        if not runs(control_planes):
            raise NotYet("it has no quorum")
        return control_planes

    def plan(self, actual: Sequence[ControlPlane]) -> list[Change]:
        return plan(actual, self._recovery)

    def apply(self, changes: Sequence[Change]) -> Iterator[Outcome]:
        for change in changes:
            self._latest = None
            if change.action == "delete":
                self._wipe(change.payload)
            elif wait_for("all control planes to be ready for the bootstrap", self._ready, timeout=self._timeout):
                retrying(self._bootstrap, idempotent=True)
            yield Outcome(change)

    def _wipe(self, node: Node) -> None:
        with self._connector.client(node) as client:
            client.reset(graceful=False, reboot=True, partitions=[PARTITION], user_disks=[])

    def _look(self) -> Sequence[ControlPlane]:
        return map_concurrently(lambda node: look(self._connector, node), self._nodes, WORKERS)

    def _ready(self) -> bool:
        """True when every node waits for a bootstrap; false if somebody else did it meanwhile."""
        control_planes = self._look()
        if runs(control_planes) or (self._recovery is None and is_bootstrapped(control_planes)):
            return False
        hindrances = [reason for one in control_planes if (reason := hindrance(one))]
        hindrances += [f"there is still data of etcd on {one.node.name}" for one in control_planes if one.has_data]
        if hindrances:
            raise NotYet("; ".join(hindrances))
        return True

    def _bootstrap(self) -> None:
        """A node that has data refuses; then an earlier request of ours arrived, but its reply was lost."""
        with self._connector.client(self._nodes[0]) as client, contextlib.suppress(ConflictError):
            if self._recovery is None:
                client.bootstrap()
                return
            skip = self._recovery.skip_hash_check
            with checked(self._recovery.store, skip_hash_check=skip) as file:
                client.etcd_recover(file)
            client.bootstrap(recover=True, skip_hash_check=skip)

    def settle(self) -> None:
        if self._wait:
            self._latest = wait_for("etcd to run on all control planes", self._joined, timeout=self._timeout)

    def _joined(self) -> Sequence[ControlPlane]:
        control_planes, self._latest = self._latest or self._look(), None
        reason = missing_members(control_planes)
        if reason is not None:
            raise NotYet(reason)
        return control_planes

    def result(self, actual: Sequence[ControlPlane], changes: Sequence[Change]) -> dict[str, Any]:
        members = max((one.members for one in self._latest or actual), key=len)
        return {
            "bootstrapped_on": changes[-1].name if changes else None,
            "recovered_from": self._recovery.store.name if self._recovery and changes else None,
            "members": [member_tree(member) for member in members],
        }

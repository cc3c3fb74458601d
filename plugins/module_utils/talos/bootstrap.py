# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The bootstrap of etcd: once in the life of a cluster, on one control plane."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, Outcome
from ansible_collections.dcm.platform.plugins.module_utils.engine.clock import SYSTEM_CLOCK
from ansible_collections.dcm.platform.plugins.module_utils.engine.concurrent import map_concurrently
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import (
    ConflictError,
    PlatformError,
    RefusedError,
)
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import Reconciler
from ansible_collections.dcm.platform.plugins.module_utils.engine.retry import retrying
from ansible_collections.dcm.platform.plugins.module_utils.engine.wait import NotYet, wait_for
from ansible_collections.dcm.platform.plugins.module_utils.talos.client import (
    EtcdMember,
    TalosClient,
    UntrustedError,
)
from ansible_collections.dcm.platform.plugins.module_utils.talos.connection import Connector
from ansible_collections.dcm.platform.plugins.module_utils.talos.node import Node

WORKERS = 16  # control planes asked at once
WAITING_STATE = "Preparing"  # of the etcd service: it could run, but has neither data nor a cluster to join
SETTLED = 2.0  # seconds that every node must have waited: an etcd with data is Preparing, too, while its node boots

_SPLIT_HINT = "A second bootstrap would split the cluster."


@dataclass(frozen=True)
class ControlPlane:
    """What one control plane says about etcd.

    ``members`` is what its etcd knows, empty while that does not run; ``state`` is the state of the service then.
    ``error`` is why it could not be asked.
    """

    node: Node
    members: Sequence[EtcdMember] = ()
    state: str = ""
    maintenance: bool = False
    error: PlatformError | None = None

    @property
    def hindrance(self) -> str | None:
        """Why this node is not ready for a bootstrap."""
        if self.error is not None:
            return self.error.message
        if self.maintenance:
            return f"{self.node.name} at {self.node.address} is in maintenance mode"
        if self.state != WAITING_STATE:
            return f"etcd on {self.node.name} is {self.state or 'not there'}"
        return None


def is_bootstrapped(control_planes: Sequence[ControlPlane]) -> bool:
    """Whether any etcd runs. Raises :class:`RefusedError` if there are two clusters."""
    groups = [{member.id for member in one.members} for one in control_planes if one.members]
    if any(groups[0].isdisjoint(group) for group in groups):
        names = ", ".join(one.node.name for one in control_planes if one.members)
        raise RefusedError(
            f"The control planes {names} are members of different etcd clusters.",
            hint="Reset those that should not be, then apply their configurations again.",
        )
    return bool(groups)


def plan(control_planes: Sequence[ControlPlane]) -> list[Change]:
    """One change or none. Raises :class:`RefusedError` if a node that may hold data could not be asked."""
    if is_bootstrapped(control_planes):
        return []
    problems = [one.error.message for one in control_planes if one.error is not None]
    if problems:
        raise RefusedError(
            f"Not bootstrapped, as not every control plane could be asked: {' '.join(problems)}", hint=_SPLIT_HINT
        )
    return [Change("run", "etcd bootstrap", control_planes[0].node.name)]


def missing_members(control_planes: Sequence[ControlPlane]) -> str | None:
    """What etcd still lacks; None if every control plane has a vote."""
    voters = max(sum(not member.is_learner for member in one.members) for one in control_planes)
    if voters >= len(control_planes):
        return None
    return f"{voters} of {len(control_planes)} control planes are members of etcd"


class BootstrapReconciler(Reconciler[Sequence[ControlPlane]]):
    """Bootstraps the first of the control planes, if none has etcd data."""

    def __init__(self, nodes: Sequence[Node], connector: Connector, timeout: float, *, wait: bool) -> None:
        """``timeout``: seconds for the nodes to be ready, and again for all of them to join if ``wait``."""
        self._nodes = nodes
        self._connector = connector
        self._timeout = timeout
        self._wait = wait
        self._waiting_since: float | None = None
        self._latest: Sequence[ControlPlane] | None = None

    def read(self) -> Sequence[ControlPlane]:
        self._latest = map_concurrently(self._ask_patiently, self._nodes, WORKERS)
        return self._latest

    def _ask_patiently(self, node: Node) -> ControlPlane:
        try:
            return self._connector.patiently(f"{node.service} to answer", lambda: self._ask(node))
        except PlatformError as error:
            return ControlPlane(node, error=error)

    def _ask(self, node: Node) -> ControlPlane:
        try:
            with self._connector.client(node) as client:
                return _etcd(node, client)
        except UntrustedError:
            with self._connector.session(node) as session:
                return ControlPlane(node, maintenance=True) if session.insecure else _etcd(node, session.client)

    def _look(self) -> Sequence[ControlPlane]:
        return map_concurrently(self._ask, self._nodes, WORKERS)

    def plan(self, actual: Sequence[ControlPlane]) -> list[Change]:
        return plan(actual)

    def apply(self, changes: Sequence[Change]) -> Iterator[Outcome]:
        for change in changes:
            if wait_for("all control planes to be ready for the bootstrap", self._ready, timeout=self._timeout):
                retrying(self._bootstrap, idempotent=True)
            self._latest = None
            yield Outcome(change)

    def _ready(self) -> bool:
        """True when every node waits, and has for a while; false if somebody else did the bootstrap meanwhile."""
        since, self._waiting_since = self._waiting_since, None
        control_planes = self._look()
        if is_bootstrapped(control_planes):
            return False
        hindrances = [one.hindrance for one in control_planes if one.hindrance]
        if hindrances:
            raise NotYet("; ".join(hindrances))
        now = SYSTEM_CLOCK.now()
        self._waiting_since = now if since is None else since
        if now - self._waiting_since < SETTLED:
            raise NotYet("they are, but only just")
        return True

    def _bootstrap(self) -> None:
        """A node that has data refuses; then an earlier request of ours arrived, but its reply was lost."""
        with self._connector.client(self._nodes[0]) as client, contextlib.suppress(ConflictError):
            client.bootstrap()

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
            "bootstrapped_on": changes[0].name if changes else None,
            "members": [
                {"id": f"{member.id:016x}", "hostname": member.hostname, "is_learner": member.is_learner}
                for member in members
            ],
        }


def _etcd(node: Node, client: TalosClient) -> ControlPlane:
    try:
        return ControlPlane(node, members=client.etcd_members())
    except PlatformError:
        # Etcd does not run, or the node is not there: the next call tells.
        return ControlPlane(node, state=client.service_states().get("etcd", ""))

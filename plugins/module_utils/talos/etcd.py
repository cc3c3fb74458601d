# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the control planes of a cluster say about etcd."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.concurrent import map_concurrently
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import PlatformError, RefusedError
from ansible_collections.dcm.platform.plugins.module_utils.talos.client import (
    EtcdMember,
    EtcdStatus,
    TalosClient,
    UntrustedError,
)
from ansible_collections.dcm.platform.plugins.module_utils.talos.connection import Connector
from ansible_collections.dcm.platform.plugins.module_utils.talos.node import Node

WORKERS = 16  # control planes asked at once
WAITING_STATE = "Preparing"  # of the etcd service: it could run, but has neither data nor a cluster to join
DATA_FILE = "/var/lib/etcd/member/snap/db"
CORRUPT = "CORRUPT"


@dataclass(frozen=True)
class ControlPlane:
    """What one control plane says about etcd.

    ``members`` is what its etcd knows, empty while that does not run; ``state`` is the state of the service then, and
    ``has_data`` whether there is a database on its disk. ``status`` is asked for by :func:`survey` only. ``error`` is
    why the node could not be asked.
    """

    node: Node
    members: Sequence[EtcdMember] = ()
    state: str = ""
    has_data: bool = False
    maintenance: bool = False
    error: PlatformError | None = None
    status: EtcdStatus | None = None

    @property
    def trouble(self) -> str | None:
        """Why its etcd does not serve."""
        if self.error is not None:
            return self.error.message.rstrip(".")
        if self.maintenance:
            return f"{self.node.name} at {self.node.address} is in maintenance mode"
        if not self.members:
            return f"etcd on {self.node.name} is {self.state or 'not there'}"
        return None


@dataclass(frozen=True)
class Etcd:
    """The cluster as its control planes see it. Raises :class:`RefusedError` if they are of two clusters."""

    control_planes: Sequence[ControlPlane]
    alarms: Mapping[int, Sequence[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_one_cluster(self.control_planes)

    @property
    def members(self) -> Sequence[EtcdMember]:
        """Empty if nobody could tell."""
        return next((one.members for one in self.control_planes if one.members), ())

    @property
    def statuses(self) -> dict[int, EtcdStatus]:
        """What the members say of themselves, by their ids."""
        return {one.status.member_id: one.status for one in self.control_planes if one.status is not None}

    @property
    def healthy(self) -> frozenset[int]:
        """Ids of the members that run, know a leader, and have no damaged data."""
        damaged = {member for member, alarms in self.alarms.items() if CORRUPT in alarms}
        return frozenset(member for member, status in self.statuses.items() if status.leader) - damaged

    def alarms_of(self, member_id: int) -> Sequence[str]:
        return self.alarms.get(member_id, ())

    def serving(self) -> list[ControlPlane]:
        """Those that have a vote and are healthy; requests are for them."""
        return [
            one
            for one in self.control_planes
            if one.status is not None and one.status.member_id in self.healthy and not one.status.is_learner
        ]

    def troubles(self) -> str:
        """Why the others do not serve, as one text."""
        reasons = [one.trouble or f"etcd on {one.node.name} is not healthy" for one in self.control_planes]
        served = self.serving()
        return "; ".join(reason for one, reason in zip(self.control_planes, reasons, strict=True) if one not in served)

    def require_serving(self) -> list[ControlPlane]:
        """:meth:`serving`. Raises :class:`RefusedError` that says why if there are none."""
        serving = self.serving()
        if not serving:
            raise RefusedError(f"No control plane serves etcd: {self.troubles()}.")
        return serving

    def tree(self) -> list[dict[str, Any]]:
        """The members for a result."""
        return [self._member_tree(member) for member in self.members]

    def _member_tree(self, member: EtcdMember) -> dict[str, Any]:
        status = self.statuses.get(member.id)
        return {
            **member_tree(member),
            "peer_urls": list(member.peer_urls),
            "is_leader": any(member.id == one.leader for one in self.statuses.values()),
            "healthy": member.id in self.healthy,
            "size": status.size if status else None,
            "alarms": list(self.alarms_of(member.id)),
        }


def member_tree(member: EtcdMember) -> dict[str, Any]:
    """A member for a result."""
    return {"id": f"{member.id:016x}", "hostname": member.hostname, "is_learner": member.is_learner}


def require_one_cluster(control_planes: Sequence[ControlPlane]) -> None:
    """Raise :class:`RefusedError` if there are two clusters."""
    groups = [{member.id for member in one.members} for one in control_planes if one.members]
    if any(groups[0].isdisjoint(group) for group in groups):
        names = ", ".join(one.node.name for one in control_planes if one.members)
        raise RefusedError(
            f"The control planes {names} are members of different etcd clusters.",
            hint="Reset those that should not be, then apply their configurations again.",
        )


def look(connector: Connector, node: Node) -> ControlPlane:
    """Ask one control plane, in maintenance mode or not. Raises if it does not answer."""
    try:
        with connector.client(node) as client:
            return _ask(node, client)
    except UntrustedError:
        with connector.session(node) as session:
            return ControlPlane(node, maintenance=True) if session.insecure else _ask(node, session.client)


def look_at_all(connector: Connector, nodes: Sequence[Node]) -> list[ControlPlane]:
    """Ask all control planes at once, each until it answers or patience ends."""

    def patiently(node: Node) -> ControlPlane:
        try:
            return connector.patiently(f"{node.service} to answer", lambda: look(connector, node))
        except PlatformError as error:
            return ControlPlane(node, error=error)

    return map_concurrently(patiently, nodes, WORKERS)


def survey(connector: Connector, nodes: Sequence[Node]) -> Etcd:
    """All about etcd. Name all control planes: a member that nobody speaks for does not count as healthy."""
    control_planes = look_at_all(connector, nodes)
    control_planes = map_concurrently(lambda one: _with_status(connector, one), control_planes, WORKERS)
    etcd = Etcd(control_planes)
    serving = etcd.serving()
    if not serving:
        return etcd
    with connector.client(serving[0].node) as client:
        return replace(etcd, alarms=client.etcd_alarms())


def _ask(node: Node, client: TalosClient) -> ControlPlane:
    try:
        return ControlPlane(node, members=client.etcd_members())
    except PlatformError:
        # Etcd does not run, or the node is not there: the next call tells. The state comes before the file: a service
        # that is Preparing has its volume mounted, so what the disk shows then is all there is.
        state = client.service_states().get("etcd", "")
        return ControlPlane(node, state=state, has_data=client.has_file(DATA_FILE))


def _with_status(connector: Connector, control_plane: ControlPlane) -> ControlPlane:
    """Others may have told the members; only its own etcd tells the status."""
    if not control_plane.members:
        return control_plane
    try:
        with connector.client(control_plane.node) as client:
            return replace(control_plane, status=client.etcd_status())
    except PlatformError as error:
        return replace(control_plane, error=error)

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a cluster is well: what every node says is collected first, then judged, so that every check has a result.

The checks are those of ``talosctl health``, which ends with the first that fails, and more of etcd.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import PlatformError
from ansible_collections.dcm.platform.plugins.module_utils.talos.client import (
    EtcdMember,
    EtcdStatus,
    MachineStatus,
    Service,
    TalosClient,
)
from ansible_collections.dcm.platform.plugins.module_utils.talos.connection import Connector, Session
from ansible_collections.dcm.platform.plugins.module_utils.talos.inspection import (
    Answer,
    addresses,
    ask_all,
    attempt,
)
from ansible_collections.dcm.platform.plugins.module_utils.talos.node import Node
from ansible_collections.dcm.platform.plugins.module_utils.talos.quorum import needed

MIB = 1 << 20
TOLERANCE = 150 * MIB  # that firmware and kernel keep for themselves
CONTROL_PLANE_MEMORY, WORKER_MEMORY = 1848 * MIB - TOLERANCE, 1024 * MIB - TOLERANCE
SYSTEM_DISK = 6 * 1024 * MIB
WORKING_STATES = ("Running", "Finished", "Skipped")
KUBERNETES_NAMESPACE = "kube-system/"
STATIC_PODS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
UNKNOWN = MachineStatus("unknown")


@dataclass(frozen=True)
class Report:
    """What one node says. A value is None if the node refused to tell; then ``refused`` has the reason by its name."""

    node: Node
    control_plane: bool
    status: MachineStatus = UNKNOWN
    maintenance: bool = False
    error: PlatformError | None = None
    services: Sequence[Service] | None = None
    memory: int | None = None
    disks: Sequence[Mapping[str, Any]] | None = None
    diagnostics: Mapping[str, Any] | None = None
    time: Mapping[str, Any] | None = None
    addresses: Sequence[str] | None = None
    kubernetes_nodes: Mapping[str, Any] | None = None
    static_pods: Mapping[str, Any] | None = None
    members: Sequence[EtcdMember] | None = None
    etcd: EtcdStatus | None = None
    alarms: Mapping[int, Sequence[str]] | None = None
    refused: Mapping[str, str] = field(default_factory=dict)

    @property
    def asked(self) -> bool:
        """Whether it could be asked more than who it is."""
        return self.error is None and not self.maintenance


@dataclass(frozen=True)
class Problem:
    """Why a check fails, on one node or (None) in the cluster as a whole."""

    node: Node | None
    reason: str


@dataclass(frozen=True)
class Result:
    """The result of one check. ``not_checked`` are the nodes that could not be asked."""

    check: str
    description: str
    problems: Sequence[Problem]
    not_checked: Sequence[str] = ()

    @property
    def healthy(self) -> bool:
        return not self.problems

    def tree(self) -> dict[str, Any]:
        """For a module's result."""
        return {
            "check": self.check,
            "description": self.description,
            "healthy": self.healthy,
            "problems": [
                {
                    "node": one.node.name if one.node else None,
                    "address": one.node.address if one.node else None,
                    "reason": one.reason,
                }
                for one in self.problems
            ],
            "not_checked": list(self.not_checked),
        }

    def sentence(self) -> str:
        """For a message: what should be, and why it is not."""
        reasons = [
            f"{one.node.name} ({one.node.address}): {one.reason}" if one.node else one.reason for one in self.problems
        ]
        return f"{self.description}: {'; '.join(reasons)}"


# --- what nodes say ---------------------------------------------------------------------------------------------------


def collect(
    control_planes: Sequence[Node], workers: Sequence[Node], connector: Connector, *, patiently: bool
) -> list[Report]:
    """Ask all nodes at once. ``patiently``: try one that does not answer for as long as the connector says."""
    names = {node.address for node in control_planes}

    def look(node: Node) -> Report:
        with connector.session(node) as session:
            return _report(node, node.address in names, session)

    def ask(node: Node) -> Report:
        if not patiently:
            return look(node)
        return connector.patiently(f"{node.service} to answer", lambda: look(node))

    def report(answer: Answer) -> Report:
        if answer.error is None:
            return answer.value  # type: ignore[no-any-return]
        return Report(answer.node, answer.node.address in names, error=answer.error)

    return [report(answer) for answer in ask_all([*control_planes, *workers], ask)]


def _report(node: Node, control_plane: bool, session: Session) -> Report:
    if session.insecure:
        return Report(node, control_plane, session.status, maintenance=True)
    client, refused = session.client, dict[str, str]()
    questions = {**_QUESTIONS, **(_CONTROL_PLANE_QUESTIONS if control_plane else {})}
    answers: dict[str, Any] = {
        name: attempt(lambda question=question: question(client), refused, name)  # type: ignore[misc]
        for name, question in questions.items()
    }
    return Report(node, control_plane, session.status, refused=refused, **answers)


def _resources(namespace: str, kind: str) -> Callable[[TalosClient], Any]:
    return lambda client: client.resources(namespace, kind)


def _time(client: TalosClient) -> Any:
    return client.resources("runtime", "TimeStatuses.v1alpha1.talos.dev").get("node") or {}


_QUESTIONS: Mapping[str, Callable[[TalosClient], Any]] = {
    "services": TalosClient.services,
    "memory": TalosClient.memory,
    "disks": TalosClient.disks,
    "diagnostics": _resources("runtime", "Diagnostics.runtime.talos.dev"),
    "time": _time,
    "kubernetes_nodes": _resources("k8s", "NodeStatuses.kubernetes.talos.dev"),
}
_CONTROL_PLANE_QUESTIONS: Mapping[str, Callable[[TalosClient], Any]] = {
    "addresses": lambda client: [address.partition("/")[0] for address in addresses(client)],
    "static_pods": _resources("k8s", "StaticPodStatuses.kubernetes.talos.dev"),
    "members": TalosClient.etcd_members,
    "etcd": TalosClient.etcd_status,
    "alarms": TalosClient.etcd_alarms,
}


# --- what to think of it ----------------------------------------------------------------------------------------------

Judge = Callable[[Report], "str | None"]


def _api(report: Report) -> str | None:
    return report.error.message.rstrip(".") if report.error is not None else None


def _boot(report: Report) -> str | None:
    if report.maintenance:
        return "it is in maintenance mode"
    if report.status.stage != "running":
        return f"its stage is {report.status.stage}"
    return "; ".join(report.status.unmet) or (None if report.status.ready else "it is not ready")


def _services(report: Report) -> str | None:
    bad = [_service_trouble(one) for one in report.services or () if one.id != "etcd"]
    missing = [] if any(one.id == "kubelet" for one in report.services or ()) else ["there is no kubelet"]
    return "; ".join([*filter(None, bad), *missing]) or None


def _service_trouble(service: Service) -> str | None:
    if service.state not in WORKING_STATES:
        return f"{service.id} is {service.state}"
    if service.healthy is False and service.state == "Running":
        return f"{service.id} is not healthy: {service.message or 'no reason given'}"
    return None


def _etcd_service(report: Report) -> str | None:
    service = next((one for one in report.services or () if one.id == "etcd"), None)
    return _service_trouble(service) if service else "there is no etcd"


def _memory(report: Report) -> str | None:
    least = CONTROL_PLANE_MEMORY if report.control_plane else WORKER_MEMORY
    has = report.memory or 0
    return f"it has {has // MIB} MiB, and needs {least // MIB}" if has < least else None


def _disk(report: Report) -> str | None:
    sizes = [int(disk["size"]) for disk in report.disks or () if disk["system_disk"]]
    if sizes and sizes[0] < SYSTEM_DISK:
        return f"its system disk has {sizes[0] // MIB} MiB, and needs {SYSTEM_DISK // MIB}"
    return None


def _diagnostics(report: Report) -> str | None:
    return (
        "; ".join(f"{name}: {(one or {}).get('message')}" for name, one in (report.diagnostics or {}).items()) or None
    )


def _time_synced(report: Report) -> str | None:
    told = report.time or {}
    return None if told.get("synced") or told.get("syncDisabled") else "its clock is not in sync"


def _node_ready(report: Report) -> str | None:
    if not report.kubernetes_nodes:
        return "it knows nothing of its Kubernetes node yet"
    bad = [name for name, one in report.kubernetes_nodes.items() if not one.get("nodeReady")]
    return f"Kubernetes node {', '.join(bad)} is not ready" if bad else None


def _node_schedulable(report: Report) -> str | None:
    bad = [name for name, one in (report.kubernetes_nodes or {}).items() if one.get("unschedulable")]
    return f"Kubernetes node {', '.join(bad)} is cordoned" if bad else None


def _static_pods(report: Report) -> str | None:
    pods = {
        name.removeprefix(KUBERNETES_NAMESPACE): _pod_ready(one) for name, one in (report.static_pods or {}).items()
    }
    missing = [wanted for wanted in STATIC_PODS if not any(name.startswith(wanted) for name in pods)]
    reasons = [f"{name} is missing" for name in missing] + [
        f"{name} is not ready" for name, well in pods.items() if not well
    ]
    return "; ".join(reasons) or None


def _pod_ready(pod: Any) -> bool:
    conditions = ((pod or {}).get("podStatus") or {}).get("conditions") or ()
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)


@dataclass(frozen=True)
class _NodeCheck:
    """A check of each node by itself. ``needs`` is the part of a report that it judges, empty for none."""

    description: str
    needs: str
    judge: Judge
    control_planes_only: bool = False

    def run(self, name: str, reports: Sequence[Report]) -> Result:
        concerned = [one for one in reports if one.control_plane or not self.control_planes_only]
        skipped = [one.node.name for one in concerned if self.needs and not one.asked]
        problems = [
            Problem(one.node, reason)
            for one in concerned
            if (one.asked or not self.needs) and (reason := self._reason(one)) is not None
        ]
        return Result(name, self.description, problems, skipped)

    def _reason(self, report: Report) -> str | None:
        return report.refused.get(self.needs) or self.judge(report)


@dataclass(frozen=True)
class _EtcdCheck:
    """A check of etcd as a whole, by what all control planes say."""

    description: str
    judge: Callable[[Sequence[Report]], Iterator[Problem]]

    def run(self, name: str, reports: Sequence[Report]) -> Result:
        control_planes = [one for one in reports if one.control_plane]
        skipped = [one.node.name for one in control_planes if not one.asked]
        return Result(name, self.description, list(self.judge(control_planes)), skipped)


def _consistent(control_planes: Sequence[Report]) -> Iterator[Problem]:
    told = [one for one in control_planes if one.members]
    views = {frozenset((member.id, member.hostname, member.is_learner) for member in one.members or ()) for one in told}
    for one in control_planes:
        if one.asked and not one.members:
            yield Problem(one.node, one.refused.get("members") or "its etcd names no members")
    if len(views) > 1:
        names = ", ".join(one.node.name for one in told)
        yield Problem(None, f"{names} do not name the same members")


def _are_control_planes(control_planes: Sequence[Report]) -> Iterator[Problem]:
    """A member that is none of them has a vote that nobody keeps an eye on."""
    known = {address for one in control_planes for address in (one.node.host, *(one.addresses or ()))}
    for member in _members(control_planes):
        hosts = {urlsplit(url).hostname for url in member.peer_urls}
        if hosts and all(_is_address(host) for host in hosts) and known.isdisjoint(hosts):
            yield Problem(None, f"member {member.hostname or format(member.id, 'x')} is no control plane of these")


def _is_address(host: str | None) -> bool:
    try:
        ipaddress.ip_address(host or "")
    except ValueError:
        return False
    return True


def _quorum(control_planes: Sequence[Report]) -> Iterator[Problem]:
    voters = {member.id: member.hostname for member in _members(control_planes) if not member.is_learner}
    if not voters:
        yield Problem(None, "nobody knows of any member")
        return
    statuses = {one.etcd.member_id: one.etcd for one in control_planes if one.etcd is not None}
    healthy = [voter for voter in voters if voter in statuses and statuses[voter].leader]
    if len(healthy) < needed(len(voters)):
        yield Problem(
            None, f"{len(healthy)} of {len(voters)} voting members are healthy, {needed(len(voters))} must be"
        )
    for voter in voters.keys() - set(healthy):
        yield Problem(None, f"member {voters[voter]} does not serve")
    if len({status.leader for status in statuses.values() if status.leader}) > 1:
        yield Problem(None, "the members do not agree who leads them")


def _alarms(control_planes: Sequence[Report]) -> Iterator[Problem]:
    names = {member.id: member.hostname for member in _members(control_planes)}
    raised = {
        (member, alarm) for one in control_planes for member, alarms in (one.alarms or {}).items() for alarm in alarms
    }
    for member, alarm in sorted(raised):
        yield Problem(None, f"member {names.get(member) or format(member, 'x')} raises {alarm}")


def _members(control_planes: Sequence[Report]) -> Sequence[EtcdMember]:
    return next((one.members for one in control_planes if one.members), ())


CHECKS: Mapping[str, _NodeCheck | _EtcdCheck] = {
    "api": _NodeCheck("every node answers", "", _api),
    "boot": _NodeCheck("every node runs and meets its conditions", "", lambda one: None if one.error else _boot(one)),
    "services": _NodeCheck("all services run and are healthy", "services", _services),
    "time": _NodeCheck("all clocks are in sync", "time", _time_synced),
    "memory": _NodeCheck("all nodes have enough memory", "memory", _memory),
    "disk": _NodeCheck("all system disks are large enough", "disks", _disk),
    "diagnostics": _NodeCheck("no node warns", "diagnostics", _diagnostics),
    "etcd_service": _NodeCheck("etcd runs on every control plane", "services", _etcd_service, control_planes_only=True),
    "etcd_members": _EtcdCheck("all control planes name the same members of etcd", _consistent),
    "etcd_control_planes": _EtcdCheck("all members of etcd are control planes", _are_control_planes),
    "etcd_quorum": _EtcdCheck("every member of etcd serves, and one leads", _quorum),
    "etcd_alarms": _EtcdCheck("etcd raises no alarm", _alarms),
    "static_pods": _NodeCheck("the control plane's pods run", "static_pods", _static_pods, control_planes_only=True),
    "nodes_ready": _NodeCheck("all Kubernetes nodes are ready", "kubernetes_nodes", _node_ready),
    "nodes_schedulable": _NodeCheck("no Kubernetes node is cordoned", "kubernetes_nodes", _node_schedulable),
}


def judge(reports: Sequence[Report], skip: Sequence[str] = ()) -> list[Result]:
    """The result of every check that is not skipped, in the order of :data:`CHECKS`."""
    return [check.run(name, reports) for name, check in CHECKS.items() if name not in skip]

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The upgrade of Kubernetes on a Talos cluster: component by component and node by node, in the supported order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, Outcome
from ansible_collections.dcm.platform.plugins.module_utils.engine.concurrent import map_concurrently
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import (
    InputError,
    PlatformError,
    RefusedError,
)
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import Reconciler
from ansible_collections.dcm.platform.plugins.module_utils.engine.retry import retrying
from ansible_collections.dcm.platform.plugins.module_utils.engine.wait import NotYet, wait_for
from ansible_collections.dcm.platform.plugins.module_utils.talos.client import TalosClient
from ansible_collections.dcm.platform.plugins.module_utils.talos.connection import Connector
from ansible_collections.dcm.platform.plugins.module_utils.talos.documents import Document, dump, load
from ansible_collections.dcm.platform.plugins.module_utils.talos.kubernetes_images import (
    COMPONENTS,
    KUBELET,
    Component,
    version_of,
    versions,
    with_version,
)
from ansible_collections.dcm.platform.plugins.module_utils.talos.node import Node

API_SERVER = COMPONENTS[0]
STATIC_PODS = frozenset({"kube-apiserver", "kube-controller-manager", "kube-scheduler"})
KUBELET_LAG = 3  # minor versions that a kubelet may be older than the API server
WORKERS = 16  # nodes asked at once


class Version(NamedTuple):
    """Of Kubernetes; later ones compare greater."""

    major: int
    minor: int
    patch: int
    rest: str

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}{self.rest}"


def parse_version(text: str) -> Version:
    """Of ``1.36.3`` or ``v1.36.3``. Raises :class:`InputError` for anything else."""
    match = re.fullmatch(r"v?(\d+)\.(\d+)\.(\d+)([\w.-]*)", text)
    if match is None:
        raise InputError(f"{text!r} is not a full version of Kubernetes, such as 1.36.3.")
    return Version(int(match[1]), int(match[2]), int(match[3]), match[4])


@dataclass(frozen=True)
class Machine:
    """One node as it is. ``trouble`` is what is wrong with it, None if it is well."""

    node: Node
    control_plane: bool
    documents: Sequence[Document]
    trouble: str | None = None

    def version(self, component: Component) -> Version | None:
        found = version_of(component, self.documents)
        return parse_version(found) if found else None


def plan(machines: Sequence[Machine], wanted: Version) -> list[Change]:
    """One change for each component on each node, in order. Raises :class:`RefusedError` for what must not be."""
    check_skew(machines, wanted)
    # The first node may be the one that an earlier run got stuck at: another version there is how it gets well.
    ordered = sorted(machines, key=lambda machine: (not machine.control_plane, machine.trouble is None))
    changes = [
        _change(component, machine, wanted)
        for component in COMPONENTS
        for machine in ordered
        if machine.version(component) not in (None, wanted)
    ]
    troubles = [one.trouble for one in machines if one.trouble and changes and one.node.name != changes[0].payload[0]]
    if troubles:
        raise RefusedError(f"Not upgraded, as not all nodes are well: {'; '.join(troubles)}.")
    return changes


def _change(component: Component, machine: Machine, wanted: Version) -> Change:
    before, after = {"version": str(machine.version(component))}, {"version": str(wanted)}
    payload = (machine.node.name, component)
    return Change("update", component.name, machine.node.name, before, after, payload)


def check_skew(machines: Sequence[Machine], wanted: Version) -> None:
    """Raise :class:`RefusedError` unless every step of the way is one that Kubernetes supports."""
    for machine in machines:
        if machine.control_plane and machine.version(API_SERVER) is None:
            raise RefusedError(f"The configuration of {machine.node.name} does not say which kube-apiserver it runs.")
    servers = [version for machine in machines if (version := machine.version(API_SERVER))]
    oldest, newest = min(servers), max(servers)
    if wanted.major != oldest.major or wanted.minor > oldest.minor + 1:
        raise RefusedError(
            f"Kubernetes {oldest} cannot become {wanted}: it is upgraded one minor version at a time.",
            hint=f"Upgrade to the last patch of {oldest.major}.{oldest.minor + 1} first.",
        )
    if wanted.minor < newest.minor:
        raise RefusedError(f"Kubernetes {newest} cannot become {wanted}: a minor version is never taken back.")
    for machine in machines:
        kubelet = machine.version(KUBELET)
        if kubelet is not None and wanted.minor - kubelet.minor > KUBELET_LAG:
            raise RefusedError(
                f"The kubelet of {machine.node.name} is {kubelet}: the API server may be at most {KUBELET_LAG} minor "
                f"versions newer, and {wanted} is more."
            )


class KubernetesUpgradeReconciler(Reconciler[Sequence[Machine]]):
    """Brings Kubernetes on all nodes of one cluster to one version."""

    def __init__(
        self,
        control_planes: Sequence[Node],
        workers: Sequence[Node],
        connector: Connector,
        wanted: Version,
        timeout: float,
    ) -> None:
        """``timeout``: seconds for one component on one node to run again."""
        self._nodes = [*((node, True) for node in control_planes), *((node, False) for node in workers)]
        self._by_name = {node.name: node for node, _unused in self._nodes}
        self._connector = connector
        self._wanted = wanted
        self._timeout = timeout

    def read(self) -> Sequence[Machine]:
        return map_concurrently(self._ask_patiently, self._nodes, WORKERS)

    def _ask_patiently(self, entry: tuple[Node, bool]) -> Machine:
        node, control_plane = entry
        return self._connector.patiently(f"{node.service} to answer", lambda: self._ask(node, control_plane))

    def _ask(self, node: Node, control_plane: bool) -> Machine:
        with self._connector.client(node) as client:
            status = client.machine_status()
            documents = _configuration(client)
        trouble = f"{node.name} is {status.stage}" if status.stage != "running" else None
        if trouble is None and not status.ready:
            trouble = f"{node.name} is not ready ({'; '.join(status.unmet)})"
        return Machine(node, control_plane, documents, trouble)

    def plan(self, actual: Sequence[Machine]) -> list[Change]:
        return plan(actual, self._wanted)

    def apply(self, changes: Sequence[Change]) -> Iterator[Outcome]:
        """One after the other: the first that does not come up ends it, with the others as they are."""
        for change in changes:
            name, component = change.payload
            try:
                self._upgrade(self._by_name[name], component)
            except PlatformError as error:
                yield Outcome(change, error)
                return
            yield Outcome(change)

    def _upgrade(self, node: Node, component: Component) -> None:
        retrying(lambda: self._configure(node, component), idempotent=True)
        what = f"{component.name} {self._wanted} to run on {node.name} ({node.address})"
        wait_for(what, lambda: self._check(node, component), timeout=self._timeout)

    def _configure(self, node: Node, component: Component) -> None:
        with self._connector.client(node) as client:
            documents = with_version(component, _configuration(client), str(self._wanted))
            client.apply_configuration(dump(documents), "no_reboot")

    def _check(self, node: Node, component: Component) -> None:
        with self._connector.client(node) as client:
            if component.name in STATIC_PODS:
                _check_static_pod(client, component, self._wanted)
            elif component is KUBELET:
                _check_kubelet(client, self._wanted)

    def result(self, actual: Sequence[Machine], changes: Sequence[Change]) -> dict[str, Any]:
        updated = {change.payload for change in changes}
        return {
            "nodes": [
                {
                    "name": machine.node.name,
                    "address": machine.node.address,
                    "versions": {
                        component.name: str(self._wanted) if (machine.node.name, component) in updated else version
                        for component in COMPONENTS
                        if (version := versions(machine.documents).get(component.name))
                    },
                }
                for machine in actual
            ]
        }


def _configuration(client: TalosClient) -> list[Document]:
    """Raises :class:`RefusedError` if the node is not at rest: what is applied now would end that."""
    configs = {name: load(text, "The configuration") for name, text in client.machine_configs().items()}
    active = configs.get("v1alpha1", [])
    if configs.get("persistent", active) != active:
        raise RefusedError(
            f"{client.node.name} has a configuration that is staged or on trial.",
            hint="Reboot it, or apply its configuration with talos_machine, and run again.",
        )
    return active


def _check_static_pod(client: TalosClient, component: Component, wanted: Version) -> None:
    pods = client.resources("k8s", "StaticPodStatuses.kubernetes.talos.dev")
    name = f"kube-system/{component.name}-"
    status: Mapping[str, Any] = next((pod["podStatus"] for key, pod in pods.items() if key.startswith(name)), {})
    images = [str(container.get("image", "")) for container in status.get("containerStatuses") or ()]
    if not any(image.endswith(f":v{wanted}") for image in images):
        raise NotYet("the pod of before still runs" if images else "there is no pod")
    if not any(one.get("type") == "Ready" and one.get("status") == "True" for one in status.get("conditions") or ()):
        raise NotYet("the pod is not ready")


def _check_kubelet(client: TalosClient, wanted: Version) -> None:
    image = (client.resources("k8s", "KubeletSpecs.kubernetes.talos.dev").get("kubelet") or {}).get("image", "")
    if not str(image).endswith(f":v{wanted}"):
        raise NotYet("the kubelet of before still runs")
    status = client.machine_status()
    if status.stage != "running" or not status.ready:
        raise NotYet("; ".join(status.unmet) or f"the node is {status.stage}")

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The order of a Kubernetes upgrade, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import RefusedError
from ansible_collections.dcm.platform.plugins.module_utils.talos.kubernetes_images import (
    COMPONENTS,
    versions,
    with_version,
)
from ansible_collections.dcm.platform.plugins.module_utils.talos.kubernetes_upgrade import (
    Machine,
    parse_version,
    plan,
)
from ansible_collections.dcm.platform.plugins.module_utils.talos.node import Node

SECTIONS = {
    "apiServer": "kube-apiserver",
    "controllerManager": "kube-controller-manager",
    "scheduler": "kube-scheduler",
}
KINDS = {
    "KubeAPIServerConfig": "kube-apiserver",
    "KubeControllerManagerConfig": "kube-controller-manager",
    "KubeSchedulerConfig": "kube-scheduler",
}


def old_form(server: str | None, kubelet: str) -> list[dict[str, Any]]:
    """As contract 1.13 has it; a worker without a ``server``."""
    cluster = {name: {"image": f"registry.k8s.io/{image}:v{server}"} for name, image in SECTIONS.items()}
    return [
        {"machine": {"kubelet": {"image": f"ghcr.io/x/kubelet:v{kubelet}"}}, "cluster": cluster if server else {}},
        {"apiVersion": "v1alpha1", "kind": "HostnameConfig", "hostname": "x"},
    ]


def new_form(server: str | None, kubelet: str) -> list[dict[str, Any]]:
    """As contract 1.14 has it."""
    documents = [{"kind": kind, "image": f"registry.k8s.io/{image}:v{server}"} for kind, image in KINDS.items()]
    kubelets = [{"kind": "KubeletConfig", "image": f"ghcr.io/x/kubelet:v{kubelet}@sha256:{'0' * 64}"}]
    return [{"machine": {}, "cluster": {}}, *kubelets, *(documents if server else [])]


def node(name: str, server: str | None, kubelet: str, trouble: str | None = None, form: Any = old_form) -> Machine:
    return Machine(Node(name, f"10.0.0.{len(name)}"), server is not None, form(server, kubelet), trouble)


def steps(machines: list[Machine], version: str) -> list[str]:
    return [f"{change.kind} {change.name}" for change in plan(machines, parse_version(version))]


@pytest.mark.parametrize("form", [old_form, new_form])
def test_servers_come_first_and_workers_last(form: Any) -> None:
    machines = [
        node("w", None, "1.36.3", form=form),
        node("a", "1.36.3", "1.36.3", form=form),
        node("b", "1.36.3", "1.36.3", form=form),
    ]
    servers = [f"{component} {name}" for component in SECTIONS.values() for name in "ab"]
    assert steps(machines, "1.37.0") == [*servers, "kubelet a", "kubelet b", "kubelet w"]


def test_what_is_done_is_left_out() -> None:
    machines = [node("a", "1.37.0", "1.36.3"), node("b", "1.37.0", "1.37.0"), node("w", None, "1.36.3")]
    assert steps(machines, "1.37.0") == ["kubelet a", "kubelet w"]
    assert steps([node("a", "1.37.0", "1.37.0")], "1.37.0") == []


@pytest.mark.parametrize(
    ("machines", "version", "message"),
    [
        ([node("a", "1.36.3", "1.36.3")], "1.38.0", "one minor version at a time"),
        (
            [node("a", "1.36.3", "1.36.3"), node("b", "1.37.0", "1.36.3")],
            "1.36.4",
            "a minor version is never taken back",
        ),
        ([node("a", "1.36.3", "1.36.3"), node("w", None, "1.33.0")], "1.37.0", "The kubelet of w is 1.33.0"),
        ([node("a", "1.36.3", "1.36.3"), node("w", None, "1.36.3", "w is off")], "1.37.0", "nodes are well: w"),
        ([Machine(Node("a", "x"), True, [{"machine": {}}])], "1.37.0", "does not say which kube-apiserver"),
    ],
)
def test_refused(machines: list[Machine], version: str, message: str) -> None:
    with pytest.raises(RefusedError, match=message):
        steps(machines, version)


def test_the_node_that_an_earlier_run_got_stuck_at_may_be_unwell() -> None:
    machines = [node("a", "1.37.0", "1.36.3"), node("b", "1.37.0", "1.36.3", "b is not ready")]
    assert steps(machines, "1.37.1")[0] == "kube-apiserver b"
    with pytest.raises(RefusedError, match="not all nodes are well: b is not ready"):
        steps([*machines, node("c", "1.36.3", "1.36.3")], "1.37.0")


@pytest.mark.parametrize("form", [old_form, new_form])
def test_an_image_keeps_its_registry_and_loses_its_digest(form: Any) -> None:
    documents = form("1.36.3", "1.36.3")
    before = repr(documents)
    changed = with_version(COMPONENTS[-1], documents, "1.37.0")
    assert versions(changed)["kubelet"] == "1.37.0"
    assert versions(changed)["kube-apiserver"] == "1.36.3"
    assert "ghcr.io/x/kubelet:v1.37.0'" in repr(changed)
    assert repr(documents) == before

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Nodes that are drained before they go down: the lab's machines and its real Kubernetes API. One story."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client, config

from tests.ansible_runner import AnsibleRunner, ModuleResult, failed
from tests.conftest import LabFixture
from tests.integration.talos.talos_machines import Cluster, Machines, until

NODE, NAMESPACE, POD = "worker-1", "drain-test", "stubborn"
ANNOTATION = "dcm.platform/cordoned"


@pytest.fixture(scope="module")
def kubeconfig(lab: LabFixture) -> str:
    lab("talos", "kubernetes")
    return str(lab("kubernetes")["kubeconfig"])


@pytest.fixture(scope="module")
def core(kubeconfig: str) -> Iterator[client.CoreV1Api]:
    api = config.new_client_from_config(kubeconfig)
    core = client.CoreV1Api(api)
    core.create_namespace({"metadata": {"name": NAMESPACE}})
    until(lambda: core.list_namespaced_service_account(NAMESPACE).items, "the service account")
    container = {"name": "main", "image": "example.com/nothing"}
    metadata = {"name": POD, "labels": {"app": POD}}
    core.create_namespaced_pod(NAMESPACE, {"metadata": metadata, "spec": {"nodeName": NODE, "containers": [container]}})
    budget = {"minAvailable": 1, "selector": {"matchLabels": {"app": POD}}}
    policy = client.PolicyV1Api(api)
    policy.create_namespaced_pod_disruption_budget(NAMESPACE, {"metadata": {"name": POD}, "spec": budget})

    def budgeted() -> bool:
        status = policy.read_namespaced_pod_disruption_budget(POD, NAMESPACE).status
        return bool(status.expected_pods and status.current_healthy)

    until(budgeted, "the disruption budget to count the pod")
    yield core
    core.patch_node(NODE, {"spec": {"unschedulable": None}, "metadata": {"annotations": {ANNOTATION: None}}})
    core.delete_namespace(NAMESPACE)


@pytest.fixture(scope="module")
def cluster(lab: LabFixture, ansible: AnsibleRunner, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    cluster = Cluster(ansible, Machines(lab, tmp_path_factory.mktemp("talos")))
    cluster.configure("cp-1", NODE)
    assert cluster.bootstrap({"cp-1": cluster.machines.nodes["cp-1"]})["changed"]
    until(lambda: cluster.machines.status(NODE)["ready"], "the worker")
    return cluster


def labelled(cluster: Cluster, value: str) -> str:
    return cluster.config(NODE, {"machine": {"nodeLabels": {"example.com/pool": value}}})


def unschedulable(core: client.CoreV1Api) -> bool:
    return bool(core.read_node(NODE).spec.unschedulable)


def pods(core: client.CoreV1Api) -> list[str]:
    return [pod.metadata.name for pod in core.list_namespaced_pod(NAMESPACE).items]


def rebooted(cluster: Cluster, kubeconfig: str, value: str, **options: Any) -> ModuleResult:
    return cluster.machine(NODE, labelled(cluster, value), reboot="always", kubeconfig=kubeconfig, **options)


def test_a_disruption_budget_is_heeded(cluster: Cluster, core: client.CoreV1Api, kubeconfig: str) -> None:
    boot_id = cluster.machines.status(NODE)["boot_id"]
    message = failed(rebooted(cluster, kubeconfig, "one", drain_timeout=1))
    assert f"waiting for node {NODE} to be drained: still there: {NAMESPACE}/{POD}" in message
    assert "disruption budget" in message
    assert unschedulable(core)
    assert pods(core) == [POD]
    assert cluster.machines.status(NODE)["boot_id"] == boot_id


def test_the_next_run_finishes(cluster: Cluster, core: client.CoreV1Api, kubeconfig: str) -> None:
    client.PolicyV1Api(core.api_client).delete_namespaced_pod_disruption_budget(POD, NAMESPACE)
    boot_id = cluster.machines.status(NODE)["boot_id"]
    result = rebooted(cluster, kubeconfig, "one")
    assert result["changed"], result
    assert result["machine"]["rebooted"]
    assert cluster.machines.status(NODE)["boot_id"] != boot_id
    assert pods(core) == []
    assert not unschedulable(core)
    assert not rebooted(cluster, kubeconfig, "one")["changed"]


def test_a_cordon_of_an_interrupted_run_is_undone(cluster: Cluster, core: client.CoreV1Api, kubeconfig: str) -> None:
    core.patch_node(NODE, {"spec": {"unschedulable": True}, "metadata": {"annotations": {ANNOTATION: "true"}}})
    predicted = rebooted(cluster, kubeconfig, "one", check=True, diff=True)
    assert predicted["changed"], predicted
    assert predicted["diff"][0]["before_header"] == f"cordon of Kubernetes node {NODE}"
    assert unschedulable(core)
    boot_id = cluster.machines.status(NODE)["boot_id"]
    result = rebooted(cluster, kubeconfig, "one")
    assert (result["changed"], result["machine"]["rebooted"]) == (True, False), result
    assert cluster.machines.status(NODE)["boot_id"] == boot_id
    assert not unschedulable(core)


def test_a_cordon_of_somebody_else_stays(cluster: Cluster, core: client.CoreV1Api, kubeconfig: str) -> None:
    core.patch_node(NODE, {"spec": {"unschedulable": True}})
    assert not rebooted(cluster, kubeconfig, "one")["changed"]
    assert rebooted(cluster, kubeconfig, "two")["changed"]
    assert unschedulable(core)
    core.patch_node(NODE, {"spec": {"unschedulable": None}})


@pytest.mark.row("TAL-11")
def test_an_upgrade_drains(cluster: Cluster, core: client.CoreV1Api, kubeconfig: str, run_module: Any) -> None:
    container = {"name": "main", "image": "example.com/nothing"}
    core.create_namespaced_pod(
        NAMESPACE, {"metadata": {"name": "second"}, "spec": {"nodeName": NODE, "containers": [container]}}
    )
    options = {
        "node": cluster.machines.nodes[NODE],
        "name": NODE,
        "secrets": cluster.bundle,
        "image": "ghcr.io/siderolabs/installer:v1.13.10",
        "kubeconfig": kubeconfig,
        "wait_timeout": 60,
    }
    result = run_module("talos_upgrade", options)
    assert result["changed"], result
    assert cluster.machines.status(NODE)["version"] == "v1.13.10"
    assert pods(core) == []
    assert not unschedulable(core)
    assert not run_module("talos_upgrade", options)["changed"]


def test_a_kubeconfig_that_is_none(cluster: Cluster) -> None:
    message = failed(rebooted(cluster, "a: b\nc: SECRET-THING\n", "three"))
    assert "The kubeconfig cannot be used" in message
    assert "SECRET-THING" not in message

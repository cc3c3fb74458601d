# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Nodes of the lab's real control plane with pods on them, for tests of what takes the pods off again."""

from __future__ import annotations

import kubernetes.client
import kubernetes.config

from tests.sandbox.service import Settings
from tests.sandbox.services.kubernetes import NODE_ANNOTATION, NODE_CAPACITY
from tests.waiting import eventually

PATIENCE = 60.0  # seconds


class Nodes:
    """Nodes that only this test's pods want, by the label ``dcm.test/group``."""

    def __init__(self, settings: Settings, group: str) -> None:
        api = kubernetes.config.new_client_from_config(settings["kubeconfig"], settings["context"])
        self.core = kubernetes.client.CoreV1Api(api)
        self.apps = kubernetes.client.AppsV1Api(api)
        self.policy = kubernetes.client.PolicyV1Api(api)
        self.group = group
        self.names: list[str] = []
        self.core.create_namespace({"metadata": {"name": group}})

    def add(self, name: str) -> None:
        """A node that KWOK makes ready."""
        labels = {"kubernetes.io/hostname": name, "dcm.test/group": self.group}
        status = {"capacity": NODE_CAPACITY, "allocatable": NODE_CAPACITY}
        metadata = {"name": name, "labels": labels, "annotations": NODE_ANNOTATION}
        self.core.create_node({"metadata": metadata, "status": status})
        self.names.append(name)

    def deploy(self, replicas: int, min_available: int) -> None:
        """Pods, and the budget that protects them; returns when all of them run."""
        labels = {"app": self.group}
        pod = {
            "containers": [{"name": "main", "image": "example.com/none"}],
            "nodeSelector": {"dcm.test/group": self.group},
        }
        spec = {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        }
        budget = {"minAvailable": min_available, "selector": {"matchLabels": labels}}
        self.policy.create_namespaced_pod_disruption_budget(
            self.group, {"metadata": {"name": "budget"}, "spec": budget}
        )
        self.apps.create_namespaced_deployment(self.group, {"metadata": {"name": "main"}, "spec": spec})
        eventually(lambda: self._ready() == replicas, "the pods run", within=PATIENCE)
        eventually(lambda: self._allowed() == replicas - min_available, "the budget counts the pods", within=PATIENCE)

    def allow(self, min_available: int) -> None:
        """Change the budget."""
        patch = {"spec": {"minAvailable": min_available}}
        self.policy.patch_namespaced_pod_disruption_budget("budget", self.group, patch)

    def pods(self, node: str) -> list[str]:
        """Names of the pods on the node."""
        found = self.core.list_namespaced_pod(self.group, field_selector=f"spec.nodeName={node}").items
        return [str(pod.metadata.name) for pod in found]

    def cordoned(self, node: str) -> bool:
        return bool(self.core.read_node(node).spec.unschedulable)

    def remove(self) -> None:
        """Everything; the namespace goes by itself."""
        self.apps.delete_collection_namespaced_deployment(self.group)
        self.core.delete_namespace(self.group)
        for name in self.names:
            self.core.delete_node(name)

    def _ready(self) -> int:
        return int(self.apps.read_namespaced_deployment_status("main", self.group).status.ready_replicas or 0)

    def _allowed(self) -> int:
        found = self.policy.read_namespaced_pod_disruption_budget("budget", self.group)
        return int(found.status.disruptions_allowed or 0) if found.status.expected_pods else -1

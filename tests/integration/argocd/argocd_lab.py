# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Argo CD's objects in the lab's cluster as the tests see them, through a client of their own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.ansible_runner import AnsibleRunner, PlaybookResult
from tests.sandbox.cluster import Cluster, Object, Resource
from tests.sandbox.service import Settings
from tests.sandbox.services.gitops import CONFIG_MAPS, NAMESPACES, PROJECTS, SECRETS
from tests.waiting import eventually

APPLICATIONS = Resource("argoproj.io", "v1alpha1", "applications", "Application", True)
SETS = Resource("argoproj.io", "v1alpha1", "applicationsets", "ApplicationSet", True)
KINDS = (APPLICATIONS, SETS, PROJECTS, CONFIG_MAPS, SECRETS)


def connect(settings: Settings, scratch: Path) -> Cluster:
    """A client of the tests."""
    return Cluster(Path(settings["kubeconfig"]), scratch, "tests")


@contextlib.contextmanager
def namespace(cluster: Cluster, name: str) -> Iterator[None]:
    """An empty namespace."""
    path = NAMESPACES.path(name=name)
    remove(cluster, name)
    cluster.apply(path, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    try:
        yield
    finally:
        cluster.delete(path)


def remove(cluster: Cluster, name: str) -> None:
    """Delete a namespace and wait until it is gone."""
    path = NAMESPACES.path(name=name)
    cluster.delete(path)
    eventually(lambda: cluster.get(path) is None, f"the namespace {name} is gone")


def run_role(
    ansible: AnsibleRunner, services: Mapping[str, Settings], variables: Mapping[str, Any], *arguments: str
) -> PlaybookResult:
    """Run the role for the lab's cluster, without installing Argo CD unless the variables say so."""
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "vars": {
            "dcm_kubeconfig": services["kubernetes"]["kubeconfig"],
            "dcm_kubernetes_context": services["kubernetes"]["context"],
            "dcm_vault_url": services["vault"]["url"],
            "dcm_vault_token": services["vault"]["token"],
            "dcm_environment": "production",
            "argocd_install": False,
            **variables,
        },
        "roles": ["dcm.platform.argocd"],
    }
    return ansible.playbook([play], "-i", "localhost,", "-c", "local", *arguments)


def objects(cluster: Cluster, name: str) -> dict[str, Object]:
    """Everything of these kinds in the namespace that an inventory put there, by kind and name."""
    found = [item for kind in KINDS for item in cluster.items(kind.path(name))]
    return {
        f"{item['kind']} {item['metadata']['name']}": item
        for item in found
        if item["metadata"]["name"] != "kube-root-ca.crt"
    }


def versions(cluster: Cluster, name: str) -> dict[str, str]:
    """The same with only the version of each, which changes with every write."""
    return {key: item["metadata"]["resourceVersion"] for key, item in objects(cluster, name).items()}

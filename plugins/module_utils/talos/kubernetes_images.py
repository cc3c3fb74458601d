# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where a machine configuration says which version of Kubernetes runs. No I/O."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from ansible_collections.dcm.platform.plugins.module_utils.talos.documents import (
    Document,
    at,
    copied,
    legacy_document,
)

_IMAGE = re.compile(r"(?P<name>.+):v(?P<version>\d+\.\d+\.\d+[\w.-]*)(?:@sha256:[0-9a-f]{64})?")


class Component(NamedTuple):
    """``path`` is where its section is in the v1alpha1 document, ``kind`` the document that replaces it."""

    name: str
    path: str
    kind: str

    def section(self, documents: Sequence[Document]) -> Document | None:
        """The mapping that holds ``image``; None if the configuration leaves the image to Talos."""
        own = next((document for document in documents if document.get("kind") == self.kind), None)
        found = own if own is not None else at(legacy_document(documents), self.path)
        return found if isinstance(found, dict) and found.get("image") else None


# In the order of an upgrade: what others ask comes before those who ask it.
KUBELET = Component("kubelet", "machine.kubelet", "KubeletConfig")
COMPONENTS = (
    Component("kube-apiserver", "cluster.apiServer", "KubeAPIServerConfig"),
    Component("kube-controller-manager", "cluster.controllerManager", "KubeControllerManagerConfig"),
    Component("kube-scheduler", "cluster.scheduler", "KubeSchedulerConfig"),
    Component("kube-proxy", "cluster.proxy", "KubeProxyConfig"),
    KUBELET,
)


def version_of(component: Component, documents: Sequence[Document]) -> str | None:
    """Such as ``1.36.3``; None if the configuration does not say."""
    section = component.section(documents)
    match = _IMAGE.fullmatch(str(section["image"])) if section is not None else None
    return match["version"] if match else None


def versions(documents: Sequence[Document]) -> dict[str, str]:
    """The version of every component that the configuration names."""
    found = {component.name: version_of(component, documents) for component in COMPONENTS}
    return {name: version for name, version in found.items() if version is not None}


def with_version(component: Component, documents: Sequence[Document], version: str) -> list[Document]:
    """A copy with another version of one component, from the same registry."""
    changed = [copied(document) for document in documents]
    section = component.section(changed)
    match = _IMAGE.fullmatch(str(section["image"])) if section is not None else None
    if section is not None and match is not None:
        section["image"] = f"{match['name']}:v{version}"
    return changed

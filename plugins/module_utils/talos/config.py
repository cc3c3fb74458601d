# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Machine configurations: rendered, patched and checked, all offline and without any effect."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.talos import contract_1_13, contract_1_14
from ansible_collections.dcm.platform.plugins.module_utils.talos.contract import Contract
from ansible_collections.dcm.platform.plugins.module_utils.talos.documents import (
    Document,
    Identity,
    at,
    by_identity,
    dump,
    legacy_document,
)
from ansible_collections.dcm.platform.plugins.module_utils.talos.inputs import CONTROL_PLANE, Inputs
from ansible_collections.dcm.platform.plugins.module_utils.talos.patch import apply_patches

MACHINE_TYPES = (CONTROL_PLANE, "worker")

_RENDERERS: Mapping[Contract, Callable[[Inputs], list[Document]]] = {
    Contract(1, 13): contract_1_13.render,
    Contract(1, 14): contract_1_14.render,
}

_CONTROL_PLANE_ONLY = frozenset(
    f"Kube{name}Config"
    for name in (
        "APIServer",
        "AdmissionControl",
        "AggregatorCA",
        "AuditPolicy",
        "Authentication",
        "Authorizer",
        "ControllerManager",
        "CoreDNS",
        "EtcdEncryption",
        "FlannelCNI",
        "Proxy",
        "Scheduler",
        "ServiceAccount",
        "TalosAPIAccess",
    )
)
# A document and its twin in the v1alpha1 document exclude each other: the commonest mistake since 1.12.
_CONFLICTS: Mapping[str, tuple[str, ...]] = {
    "DiscoveryIdentityConfig": ("cluster.id", "cluster.secret"),
    "DiscoveryServiceConfig": ("cluster.discovery",),
    "HostnameConfig": ("machine.network.hostname",),
    "KubeAPIServerCAConfig": ("cluster.ca",),
    "KubeAPIServerConfig": ("cluster.apiServer",),
    "KubeAdmissionControlConfig": ("cluster.apiServer.admissionControl",),
    "KubeAggregatorCAConfig": ("cluster.aggregatorCA",),
    "KubeAuditPolicyConfig": ("cluster.apiServer.auditPolicy",),
    "KubeClusterConfig": ("cluster.controlPlane", "cluster.clusterName"),
    "KubeControllerManagerConfig": ("cluster.controllerManager",),
    "KubeCoreDNSConfig": ("cluster.coreDNS",),
    "KubeEtcdEncryptionConfig": ("cluster.secretboxEncryptionSecret", "cluster.aescbcEncryptionSecret"),
    "KubeFlannelCNIConfig": ("cluster.network.cni",),
    "KubeNetworkConfig": ("cluster.network",),
    "KubeNodeConfig": ("machine.nodeLabels", "machine.nodeTaints"),
    "KubePrismConfig": ("machine.features.kubePrism",),
    "KubeProxyConfig": ("cluster.proxy",),
    "KubeSchedulerConfig": ("cluster.scheduler",),
    "KubeServiceAccountConfig": ("cluster.serviceAccount",),
    "KubeSpanConfig": ("machine.network.kubespan",),
    "KubeletConfig": ("machine.kubelet",),
    "RegistryMirrorConfig": ("machine.registries.mirrors",),
    "ResolverConfig": ("machine.network.nameservers",),
    "TimeSyncConfig": ("machine.time",),
    "UnattendedInstallConfig": ("machine.install",),
}


def render(inputs: Inputs, contract: Contract, patches: Sequence[Any] = ()) -> str:
    """The configuration of one node as YAML; the same arguments always give the same text.

    Raises :class:`InputError` for a patch that cannot be applied, or if the result is one that Talos refuses.
    """
    if contract > inputs.talos_minor:
        raise InputError(
            f"Talos {inputs.talos_version} does not know configurations of contract {contract}.",
            hint="The contract is the version that the cluster was created with, so no newer one.",
        )
    documents = apply_patches(_RENDERERS[contract](inputs), patches)
    check(documents)
    return dump(documents)


def check(documents: Sequence[Document]) -> None:
    """Raise :class:`InputError` with every reason why Talos would not run a node with these documents."""
    legacy = legacy_document(documents)
    if legacy is None:
        raise InputError("The machine configuration has no v1alpha1 document: a node would stay in maintenance mode.")
    machine_type = at(legacy, "machine.type")
    problems = []
    if legacy.get("version") != "v1alpha1":
        problems.append("version of the v1alpha1 document must be v1alpha1")
    if machine_type not in MACHINE_TYPES:
        problems.append(f"machine.type must be one of {', '.join(MACHINE_TYPES)}")
    for key, document in by_identity(documents).items():
        if machine_type != CONTROL_PLANE and key.kind in _CONTROL_PLANE_ONLY:
            problems.append(f"{key} is for control planes only")
        problems += _problems(key, document, legacy)
    if problems:
        raise InputError(f"The machine configuration is not valid: {'; '.join(problems)}.")


def _problems(key: Identity, document: Document, legacy: Document) -> Iterator[str]:
    """Why Talos would not take this document beside the v1alpha1 document."""
    twins = [path for path in _CONFLICTS.get(key.kind, ()) if at(legacy, path) is not None]
    if key.kind == "ResolverConfig" and document.get("hostDNS") and at(legacy, "machine.features.hostDNS"):
        twins.append("machine.features.hostDNS")
    if twins:
        yield f"{key} and {' and '.join(twins)} exclude each other: delete one in a patch"
    if key.kind == "HostnameConfig" and document.get("hostname") and document.get("auto", "off") != "off":
        yield "HostnameConfig has both hostname and auto: set the option hostname, or add auto: off to the patch"

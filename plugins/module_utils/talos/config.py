# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Machine configurations: rendered, patched and checked, all offline and without any effect."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.talos import contract_1_13
from ansible_collections.dcm.platform.plugins.module_utils.talos.contract import Contract
from ansible_collections.dcm.platform.plugins.module_utils.talos.documents import (
    Document,
    at,
    by_identity,
    dump,
    legacy_document,
)
from ansible_collections.dcm.platform.plugins.module_utils.talos.inputs import CONTROL_PLANE, Inputs
from ansible_collections.dcm.platform.plugins.module_utils.talos.patch import apply_patches

MACHINE_TYPES = (CONTROL_PLANE, "worker")

_RENDERERS: Mapping[Contract, Callable[[Inputs], list[Document]]] = {Contract(1, 13): contract_1_13.render}

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
    "KubeAggregatorCAConfig": ("cluster.aggregatorCA",),
    "KubeControllerManagerConfig": ("cluster.controllerManager",),
    "KubeNetworkConfig": ("cluster.network",),
    "KubeProxyConfig": ("cluster.proxy",),
    "KubeSchedulerConfig": ("cluster.scheduler",),
    "KubeServiceAccountConfig": ("cluster.serviceAccount",),
    "KubeSpanConfig": ("machine.network.kubespan",),
    "KubeletConfig": ("machine.kubelet",),
    "UnattendedInstallConfig": ("machine.install",),
}


def render(inputs: Inputs, contract: Contract, patches: Sequence[Any] = ()) -> str:
    """The configuration of one node as YAML; the same arguments always give the same text.

    Raises :class:`InputError` for a patch that cannot be applied, or if the result is one that Talos refuses.
    """
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
    for key in by_identity(documents):
        if machine_type != CONTROL_PLANE and key.kind in _CONTROL_PLANE_ONLY:
            problems.append(f"{key} is for control planes only")
        twins = [path for path in _CONFLICTS.get(key.kind, ()) if at(legacy, path) is not None]
        if twins:
            problems.append(f"{key} and {' and '.join(twins)} exclude each other: delete one in a patch")
    if problems:
        raise InputError(f"The machine configuration is not valid: {'; '.join(problems)}.")

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Machine configurations as Talos 1.13 generates them: one v1alpha1 document, and beside it names and networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.talos.documents import Document
from ansible_collections.dcm.platform.plugins.module_utils.talos.inputs import Inputs
from ansible_collections.dcm.platform.plugins.module_utils.talos.network_documents import (
    document,
    hostname_document,
    network_documents,
    resolver,
)

POD_SECURITY = {
    "apiVersion": "pod-security.admission.config.k8s.io/v1alpha1",
    "kind": "PodSecurityConfiguration",
    "defaults": {
        "enforce": "baseline",
        "enforce-version": "latest",
        "audit": "restricted",
        "audit-version": "latest",
        "warn": "restricted",
        "warn-version": "latest",
    },
    "exemptions": {"usernames": [], "runtimeClasses": [], "namespaces": ["kube-system"]},
}
AUDIT_POLICY = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [{"level": "Metadata"}]}
NOT_FOR_LOAD_BALANCERS = {"node.kubernetes.io/exclude-from-external-load-balancers": ""}


def render(inputs: Inputs) -> list[Document]:
    """The documents of one node, in Talos's order."""
    return [
        {
            "version": "v1alpha1",
            "debug": False,
            "persist": True,
            "machine": _machine(inputs),
            "cluster": _cluster(inputs),
        },
        hostname_document(inputs),
        *([document("ResolverConfig", **resolver(inputs))] if resolver(inputs) else []),
        *network_documents(inputs),
    ]


def _machine(inputs: Inputs) -> dict[str, Any]:
    machine: dict[str, Any] = {
        "type": inputs.machine_type,
        "token": inputs.bundle.trustd_token,
        "ca": authority(inputs, "os"),
        "certSANs": list(inputs.cert_sans),
        "kubelet": {
            "image": inputs.kubernetes_image("ghcr.io/siderolabs/kubelet"),
            "defaultRuntimeSeccompProfileEnabled": True,
            "disableManifestsDirectory": True,
        },
        "install": _install(inputs),
        "features": {
            "diskQuotaSupport": True,
            "kubePrism": {"enabled": True, "port": 7445},
            "hostDNS": {"enabled": True, "forwardKubeDNSToHost": True},
        },
    }
    labels = {**(NOT_FOR_LOAD_BALANCERS if inputs.is_control_plane else {}), **inputs.node_labels}
    if labels:
        machine["nodeLabels"] = labels
    if inputs.node_taints:
        machine["nodeTaints"] = dict(inputs.node_taints)
    return machine


def _install(inputs: Inputs) -> dict[str, Any]:
    selector = inputs.install_disk_selector
    if selector is not None and not isinstance(selector, Mapping):
        raise InputError(
            "install_disk_selector is an expression, which contract 1.13 does not know.",
            hint="Give a mapping such as {model: 'Samsung*', size: '>= 100GB'}, whose keys are those of diskSelector.",
        )
    disk = {"diskSelector": dict(selector)} if selector else {"disk": inputs.disk} if inputs.disk else {}
    return {**disk, "image": inputs.installer, "wipe": False, "grubUseUKICmdline": True}


def _cluster(inputs: Inputs) -> dict[str, Any]:
    bundle = inputs.bundle
    network: dict[str, Any] = {
        "dnsDomain": inputs.dns_domain,
        "podSubnets": list(inputs.pod_subnets),
        "serviceSubnets": list(inputs.service_subnets),
    }
    cni = {
        **({"name": inputs.cni} if inputs.cni else {}),
        **({"flannel": {"kubeNetworkPoliciesEnabled": True}} if inputs.enforces_network_policies else {}),
    }
    if cni:
        network = {"cni": cni, **network}
    cluster = {
        "id": bundle.cluster["id"],
        "secret": bundle.cluster["secret"],
        "controlPlane": {"endpoint": inputs.endpoint},
        "clusterName": inputs.cluster_name,
        "network": network,
        "token": bundle.bootstrap_token,
        "ca": authority(inputs, "k8s"),
        "discovery": {"enabled": True, "registries": {"kubernetes": {"disabled": True}, "service": {}}},
    }
    return {**cluster, **_control_plane(inputs)} if inputs.is_control_plane else cluster


def _control_plane(inputs: Inputs) -> dict[str, Any]:
    """What only control planes get: the private keys and the static pods."""
    provider, key = inputs.bundle.encryption_key
    scheduling = {"allowSchedulingOnControlPlanes": True} if inputs.allow_scheduling_on_control_planes else {}
    return {
        **scheduling,
        f"{provider}EncryptionSecret": key,
        "aggregatorCA": authority(inputs, "k8saggregator"),
        "serviceAccount": dict(inputs.bundle.certs["k8sserviceaccount"]),
        "apiServer": {
            "image": inputs.kubernetes_image("registry.k8s.io/kube-apiserver"),
            "certSANs": list(inputs.cert_sans),
            "admissionControl": [{"name": "PodSecurity", "configuration": POD_SECURITY}],
            "auditPolicy": dict(inputs.audit_policy or AUDIT_POLICY),
        },
        "controllerManager": {"image": inputs.kubernetes_image("registry.k8s.io/kube-controller-manager")},
        "proxy": {"image": inputs.kubernetes_image("registry.k8s.io/kube-proxy")},
        "scheduler": {"image": inputs.kubernetes_image("registry.k8s.io/kube-scheduler")},
        "etcd": {"ca": authority(inputs, "etcd")},
    }


def authority(inputs: Inputs, name: str) -> dict[str, str]:
    """An authority in the v1alpha1 document. Workers trust it but never get its key."""
    pair = inputs.bundle.certs[name]
    return {"crt": pair["crt"], "key": pair["key"] if inputs.is_control_plane else ""}

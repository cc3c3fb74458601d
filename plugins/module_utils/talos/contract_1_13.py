# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Machine configurations as Talos 1.13 generates them: one v1alpha1 document and a HostnameConfig."""

from __future__ import annotations

from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.talos.documents import Document
from ansible_collections.dcm.platform.plugins.module_utils.talos.inputs import Inputs

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
        {
            "apiVersion": "v1alpha1",
            "kind": "HostnameConfig",
            **({"hostname": inputs.hostname} if inputs.hostname else {"auto": "stable"}),
        },
    ]


def _machine(inputs: Inputs) -> dict[str, Any]:
    machine: dict[str, Any] = {
        "type": inputs.machine_type,
        "token": inputs.bundle.trustd_token,
        "ca": _authority(inputs, "os"),
        "certSANs": list(inputs.cert_sans),
        "kubelet": {
            "image": inputs.kubernetes_image("ghcr.io/siderolabs/kubelet"),
            "defaultRuntimeSeccompProfileEnabled": True,
            "disableManifestsDirectory": True,
        },
        "install": {
            "disk": inputs.install_disk,
            "image": inputs.install_image,
            "wipe": False,
            "grubUseUKICmdline": True,
        },
        "features": {
            "diskQuotaSupport": True,
            "kubePrism": {"enabled": True, "port": 7445},
            "hostDNS": {"enabled": True, "forwardKubeDNSToHost": True},
        },
    }
    if inputs.is_control_plane:
        machine["nodeLabels"] = dict(NOT_FOR_LOAD_BALANCERS)
    return machine


def _cluster(inputs: Inputs) -> dict[str, Any]:
    bundle = inputs.bundle
    network: dict[str, Any] = {
        "dnsDomain": inputs.dns_domain,
        "podSubnets": list(inputs.pod_subnets),
        "serviceSubnets": list(inputs.service_subnets),
    }
    if inputs.cni:
        network = {"cni": {"name": inputs.cni}, **network}
    cluster = {
        "id": bundle.cluster["id"],
        "secret": bundle.cluster["secret"],
        "controlPlane": {"endpoint": inputs.endpoint},
        "clusterName": inputs.cluster_name,
        "network": network,
        "token": bundle.bootstrap_token,
        "ca": _authority(inputs, "k8s"),
        "discovery": {"enabled": True, "registries": {"kubernetes": {"disabled": True}, "service": {}}},
    }
    return {**cluster, **_control_plane(inputs)} if inputs.is_control_plane else cluster


def _control_plane(inputs: Inputs) -> dict[str, Any]:
    """What only control planes get: the private keys and the static pods."""
    provider, key = inputs.bundle.encryption_key
    return {
        f"{provider}EncryptionSecret": key,
        "aggregatorCA": _authority(inputs, "k8saggregator"),
        "serviceAccount": dict(inputs.bundle.certs["k8sserviceaccount"]),
        "apiServer": {
            "image": inputs.kubernetes_image("registry.k8s.io/kube-apiserver"),
            "certSANs": list(inputs.cert_sans),
            "admissionControl": [{"name": "PodSecurity", "configuration": POD_SECURITY}],
            "auditPolicy": AUDIT_POLICY,
        },
        "controllerManager": {"image": inputs.kubernetes_image("registry.k8s.io/kube-controller-manager")},
        "proxy": {"image": inputs.kubernetes_image("registry.k8s.io/kube-proxy")},
        "scheduler": {"image": inputs.kubernetes_image("registry.k8s.io/kube-scheduler")},
        "etcd": {"ca": _authority(inputs, "etcd")},
    }


def _authority(inputs: Inputs, name: str) -> dict[str, str]:
    """Workers trust the authorities but never get their keys."""
    pair = inputs.bundle.certs[name]
    return {"crt": pair["crt"], "key": pair["key"] if inputs.is_control_plane else ""}

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Machine configurations as Talos 1.14 generates them: a small v1alpha1 document, and one document for each subject."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.talos.contract_1_13 import (
    AUDIT_POLICY,
    NOT_FOR_LOAD_BALANCERS,
    POD_SECURITY,
    authority,
)
from ansible_collections.dcm.platform.plugins.module_utils.talos.documents import Document
from ansible_collections.dcm.platform.plugins.module_utils.talos.inputs import Inputs
from ansible_collections.dcm.platform.plugins.module_utils.talos.network_documents import (
    document,
    hostname_document,
    network_documents,
    resolver,
)
from ansible_collections.dcm.platform.plugins.module_utils.talos.pki import from_base64

CONTROL_PLANE_ROLE = "node-role.kubernetes.io/control-plane"
PROBES = ("/livez", "/readyz", "/healthz")  # what load balancers may ask without credentials
_ENCRYPTION_KEY_NAMES = {"secretbox": "key2", "aescbc": "key1"}  # etcd keeps the name beside what it encrypts


def render(inputs: Inputs) -> list[Document]:
    """The documents of one node, in Talos's order."""
    return [
        _legacy(inputs),
        document("DiscoveryServiceConfig", "default", endpoint="https://discovery.talos.dev/"),
        document(
            "DiscoveryIdentityConfig",
            clusterID=inputs.bundle.cluster["id"],
            clusterSecret=inputs.bundle.cluster["secret"],
        ),
        *_install(inputs),
        document("ResolverConfig", **resolver(inputs), hostDNS={"enabled": True, "forwardKubeDNSToHost": True}),
        document("VolumeConfig", "EPHEMERAL", mount={"secure": True}),
        document("FilesystemTrimConfig", interval="168h0m0s"),
        document("SecurityProfileConfig", workloadIsolation=True),
        hostname_document(inputs),
        *network_documents(inputs),
        *_kubernetes(inputs),
        *(_control_plane(inputs) if inputs.is_control_plane else ()),
    ]


def _legacy(inputs: Inputs) -> Document:
    cluster: dict[str, Any] = {"token": inputs.bundle.bootstrap_token}
    if inputs.is_control_plane:
        cluster["etcd"] = {"ca": authority(inputs, "etcd")}
    return {
        "version": "v1alpha1",
        "debug": False,
        "persist": True,
        "machine": {
            "type": inputs.machine_type,
            "token": inputs.bundle.trustd_token,
            "ca": authority(inputs, "os"),
            "certSANs": list(inputs.cert_sans),
            "features": {"diskQuotaSupport": True},
        },
        "cluster": cluster,
    }


def _install(inputs: Inputs) -> Iterator[Document]:
    selector = inputs.install_disk_selector
    if isinstance(selector, Mapping):
        raise InputError(
            "install_disk_selector is a mapping, which contract 1.14 does not know.",
            hint="Give an expression such as disk.transport == 'nvme' && disk.size > 100u * GB.",
        )
    if selector or inputs.disk:
        match = selector or f"disk.dev_path == {json.dumps(inputs.disk)}"
        yield document(
            "UnattendedInstallConfig",
            installer={"image": inputs.installer},
            provisioning={"diskSelector": {"match": match}, "wipe": False},
        )


def _kubernetes(inputs: Inputs) -> Iterator[Document]:
    """What every node of the cluster gets."""
    yield document("KubeClusterConfig", clusterName=inputs.cluster_name, endpoint=inputs.endpoint)
    yield document("KubeNodeConfig", **_node(inputs))
    yield document(
        "KubeletConfig",
        image=inputs.kubernetes_image("ghcr.io/siderolabs/kubelet"),
        defaultRuntimeSeccompProfileEnabled=True,
    )
    yield document(
        "KubeNetworkConfig",
        dnsDomain=inputs.dns_domain,
        podSubnets=list(inputs.pod_subnets),
        serviceSubnets=list(inputs.service_subnets),
    )
    if inputs.is_control_plane:
        yield document("KubeAPIServerCAConfig", issuingCA=_issuer(inputs, "k8s"))
    else:
        yield document("KubeAPIServerCAConfig", acceptedCAs=[_pem(inputs, "k8s", "crt")])
    yield document("KubePrismConfig", port=7445)


def _node(inputs: Inputs) -> dict[str, Any]:
    labels, taints = dict(inputs.node_labels), dict(inputs.node_taints)
    if inputs.is_control_plane:
        labels = {CONTROL_PLANE_ROLE: "", **NOT_FOR_LOAD_BALANCERS, **labels}
        if not inputs.allow_scheduling_on_control_planes:
            taints = {CONTROL_PLANE_ROLE: "NoSchedule", **taints}
    return {key: value for key, value in (("labels", labels), ("taints", taints)) if value}


def _control_plane(inputs: Inputs) -> Iterator[Document]:
    """What only control planes get: the private keys, what the API server lets in, and the components."""
    yield document("KubeAggregatorCAConfig", issuingCA=_issuer(inputs, "k8saggregator"))
    yield document("KubeAdmissionControlConfig", "PodSecurity", configuration=POD_SECURITY)
    yield document("KubeAuditPolicyConfig", configuration=dict(inputs.audit_policy or AUDIT_POLICY))
    anonymous = {"enabled": True, "conditions": [{"path": path} for path in PROBES]}
    yield document("KubeAuthenticationConfig", configuration={"anonymous": anonymous, "jwt": []})
    yield document("KubeAuthorizerConfig", "node", type="Node")
    yield document("KubeAuthorizerConfig", "rbac", type="RBAC")
    yield document("KubeEtcdEncryptionConfig", config=_encryption(inputs))
    issuer = {"privateKey": _pem(inputs, "k8sserviceaccount", "key"), "issuerURL": inputs.endpoint}
    yield document("KubeServiceAccountConfig", issuer=issuer)
    images = {
        name: inputs.kubernetes_image(f"registry.k8s.io/kube-{name}")
        for name in ("apiserver", "controller-manager", "scheduler", "proxy")
    }
    yield document("KubeAPIServerConfig", image=images["apiserver"], certExtraSANs=list(inputs.cert_sans))
    yield document("KubeControllerManagerConfig", image=images["controller-manager"])
    yield document("KubeSchedulerConfig", image=images["scheduler"])
    yield document("KubeProxyConfig", image=images["proxy"])
    if inputs.cni != "none":
        policies: dict[str, Any] = {"kubeNetworkPoliciesEnabled": True} if inputs.enforces_network_policies else {}
        yield document("KubeFlannelCNIConfig", backendType="vxlan", backendPort=4789, **policies)
    yield document("KubeCoreDNSConfig", enabled=True)


def _encryption(inputs: Inputs) -> dict[str, Any]:
    provider, secret = inputs.bundle.encryption_key
    keys = [{"name": _ENCRYPTION_KEY_NAMES[provider], "secret": secret}]
    return {"resources": [{"providers": [{provider: {"keys": keys}}], "resources": ["secrets"]}]}


def _pem(inputs: Inputs, name: str, part: str) -> str:
    """Other than the v1alpha1 document, the new ones hold PEM as it is."""
    return from_base64(inputs.bundle.certs[name][part], f"certs.{name}.{part}").decode()


def _issuer(inputs: Inputs, name: str) -> dict[str, str]:
    return {"cert": _pem(inputs, name, "crt"), "key": _pem(inputs, name, "key")}

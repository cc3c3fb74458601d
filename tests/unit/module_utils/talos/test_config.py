# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Machine configurations of contract 1.13, against what Talos 1.13 generates."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import yaml
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.talos.config import check, render
from ansible_collections.dcm.platform.plugins.module_utils.talos.contract import Contract
from ansible_collections.dcm.platform.plugins.module_utils.talos.documents import at
from ansible_collections.dcm.platform.plugins.module_utils.talos.inputs import Inputs, Link
from ansible_collections.dcm.platform.plugins.module_utils.talos.secrets import Bundle

from tests.unit.module_utils.talos.talos_inputs import EVERYTHING
from tests.unit.module_utils.talos.talos_schema import validate

CONTRACT = Contract(1, 13)
FACTORY = "factory.talos.dev/metal-installer"


@pytest.fixture(name="inputs")
def inputs_fixture(bundle: Bundle) -> Inputs:
    return Inputs(
        cluster_name="test",
        endpoint="https://10.0.0.10",
        machine_type="controlplane",
        talos_version="v1.13.9",
        kubernetes_version="1.36.3",
        bundle=bundle,
        cert_sans=["talos.example.com"],
    )


def rendered(inputs: Inputs, *patches: Any) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(render(inputs, CONTRACT, patches)))


def worker(inputs: Inputs) -> Inputs:
    return dataclasses.replace(inputs, machine_type="worker")


def pair(bundle: Bundle, name: str, *, key: bool = True) -> dict[str, str]:
    return {"crt": bundle.certs[name]["crt"], "key": bundle.certs[name]["key"] if key else ""}


MACHINE = {
    "certSANs": ["talos.example.com"],
    "kubelet": {
        "image": "ghcr.io/siderolabs/kubelet:v1.36.3",
        "defaultRuntimeSeccompProfileEnabled": True,
        "disableManifestsDirectory": True,
    },
    "install": {
        "disk": "/dev/sda",
        "image": "ghcr.io/siderolabs/installer:v1.13.9",
        "wipe": False,
        "grubUseUKICmdline": True,
    },
    "features": {
        "diskQuotaSupport": True,
        "kubePrism": {"enabled": True, "port": 7445},
        "hostDNS": {"enabled": True, "forwardKubeDNSToHost": True},
    },
}
CLUSTER = {
    "controlPlane": {"endpoint": "https://10.0.0.10:6443"},
    "clusterName": "test",
    "network": {"dnsDomain": "cluster.local", "podSubnets": ["10.244.0.0/16"], "serviceSubnets": ["10.96.0.0/12"]},
    "discovery": {"enabled": True, "registries": {"kubernetes": {"disabled": True}, "service": {}}},
}


@pytest.mark.row("TAL-09")
def test_control_plane(inputs: Inputs, bundle: Bundle) -> None:
    assert rendered(inputs) == [
        {
            "version": "v1alpha1",
            "debug": False,
            "persist": True,
            "machine": {
                **MACHINE,
                "type": "controlplane",
                "token": bundle.trustd_token,
                "ca": pair(bundle, "os"),
                "nodeLabels": {"node.kubernetes.io/exclude-from-external-load-balancers": ""},
            },
            "cluster": {
                **CLUSTER,
                "id": bundle.cluster["id"],
                "secret": bundle.cluster["secret"],
                "token": bundle.bootstrap_token,
                "secretboxEncryptionSecret": bundle.tree["secrets"]["secretboxencryptionsecret"],
                "ca": pair(bundle, "k8s"),
                "aggregatorCA": pair(bundle, "k8saggregator"),
                "serviceAccount": {"key": bundle.certs["k8sserviceaccount"]["key"]},
                "apiServer": {
                    "image": "registry.k8s.io/kube-apiserver:v1.36.3",
                    "certSANs": ["talos.example.com"],
                    "admissionControl": [
                        {
                            "name": "PodSecurity",
                            "configuration": {
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
                            },
                        }
                    ],
                    "auditPolicy": {
                        "apiVersion": "audit.k8s.io/v1",
                        "kind": "Policy",
                        "rules": [{"level": "Metadata"}],
                    },
                },
                "controllerManager": {"image": "registry.k8s.io/kube-controller-manager:v1.36.3"},
                "proxy": {"image": "registry.k8s.io/kube-proxy:v1.36.3"},
                "scheduler": {"image": "registry.k8s.io/kube-scheduler:v1.36.3"},
                "etcd": {"ca": pair(bundle, "etcd")},
            },
        },
        {"apiVersion": "v1alpha1", "kind": "HostnameConfig", "auto": "stable"},
    ]


@pytest.mark.row("TAL-09")
def test_worker(inputs: Inputs, bundle: Bundle) -> None:
    assert rendered(worker(inputs)) == [
        {
            "version": "v1alpha1",
            "debug": False,
            "persist": True,
            "machine": {
                **MACHINE,
                "type": "worker",
                "token": bundle.trustd_token,
                "ca": pair(bundle, "os", key=False),
            },
            "cluster": {
                **CLUSTER,
                "id": bundle.cluster["id"],
                "secret": bundle.cluster["secret"],
                "token": bundle.bootstrap_token,
                "ca": pair(bundle, "k8s", key=False),
            },
        },
        {"apiVersion": "v1alpha1", "kind": "HostnameConfig", "auto": "stable"},
    ]


def test_no_private_key_reaches_a_worker(inputs: Inputs, bundle: Bundle) -> None:
    text = render(worker(inputs), CONTRACT)
    assert not [name for name, certificate in bundle.certs.items() if certificate["key"] in text]


@pytest.mark.parametrize("machine_type", ["controlplane", "worker"])
def test_the_schema_of_talos(inputs: Inputs, machine_type: str) -> None:
    validate(rendered(dataclasses.replace(inputs, machine_type=machine_type, **EVERYTHING)))


@pytest.mark.row("TAL-09")
def test_rendering_is_deterministic(inputs: Inputs) -> None:
    patch = {"machine": {"sysctls": {"vm.max_map_count": "262144"}}}
    assert render(inputs, CONTRACT, [patch]) == render(dataclasses.replace(inputs), CONTRACT, [patch])


@pytest.mark.parametrize(
    ("options", "path", "value"),
    [
        ({"hostname": "cp-1"}, (1, "hostname"), "cp-1"),
        ({"hostname": "cp-1"}, (1, "auto"), None),
        ({"install_disk": ""}, (0, "machine.install.disk"), None),
        (
            {"install_disk_selector": {"model": "Samsung*"}},
            (0, "machine.install"),
            {
                "diskSelector": {"model": "Samsung*"},
                "image": "ghcr.io/siderolabs/installer:v1.13.9",
                "wipe": False,
                "grubUseUKICmdline": True,
            },
        ),
        ({"install_schematic": "a" * 64}, (0, "machine.install.image"), f"{FACTORY}/{'a' * 64}:v1.13.9"),
        (
            {"talos_version": "1.14.0"},
            (0, "machine.install.image"),
            f"{FACTORY}/376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba:v1.14.0",
        ),
        ({"network_policies": True}, (0, "cluster.network.cni"), {"flannel": {"kubeNetworkPoliciesEnabled": True}}),
        ({"node_labels": {"pool": 7}}, (0, "machine.nodeLabels.pool"), "7"),
        ({"node_taints": {"pool": "data:NoSchedule"}}, (0, "machine.nodeTaints"), {"pool": "data:NoSchedule"}),
        ({"allow_scheduling_on_control_planes": True}, (0, "cluster.allowSchedulingOnControlPlanes"), True),
        ({"audit_policy": {"rules": []}}, (0, "cluster.apiServer.auditPolicy"), {"rules": []}),
        ({"install_disk": "/dev/vda"}, (0, "machine.install.disk"), "/dev/vda"),
        ({"install_image": "example.com/installer:v1"}, (0, "machine.install.image"), "example.com/installer:v1"),
        ({"kubernetes_version": "v1.35.0"}, (0, "machine.kubelet.image"), "ghcr.io/siderolabs/kubelet:v1.35.0"),
        ({"pod_subnets": ["10.64.0.0/16"]}, (0, "cluster.network.podSubnets"), ["10.64.0.0/16"]),
        ({"service_subnets": ["10.65.0.0/16"]}, (0, "cluster.network.serviceSubnets"), ["10.65.0.0/16"]),
        ({"dns_domain": "example.local"}, (0, "cluster.network.dnsDomain"), "example.local"),
        ({"cni": "none"}, (0, "cluster.network.cni"), {"name": "none"}),
        ({"endpoint": "https://[fd00::1]:443/"}, (0, "cluster.controlPlane.endpoint"), "https://[fd00::1]:443"),
        ({"endpoint": "https://k8s.example.com"}, (0, "cluster.controlPlane.endpoint"), "https://k8s.example.com:6443"),
    ],
)
def test_inputs(inputs: Inputs, options: dict[str, Any], path: tuple[int, str], value: Any) -> None:
    assert at(rendered(dataclasses.replace(inputs, **options))[path[0]], path[1]) == value


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cluster_name": ""}, "cluster_name is empty"),
        ({"endpoint": "http://10.0.0.10:6443"}, "is not of the form https://host:6443"),
        ({"endpoint": "10.0.0.10"}, "is not of the form https://host:6443"),
        ({"endpoint": "https://10.0.0.10:x"}, "is not a URL"),
        ({"endpoint": "https://10.0.0.10/path"}, "is not of the form https://host:6443"),
        ({"talos_version": "1.13"}, "talos_version '1.13' is not a full version"),
        ({"kubernetes_version": "latest"}, "kubernetes_version 'latest' is not a full version"),
        ({"hostname": "CP_1"}, "hostname 'CP_1' is not a DNS name"),
        ({"install_schematic": "latest"}, "install_schematic is not the id of a schematic"),
        ({"install_schematic": "a" * 64, "install_image": "x"}, "install_image and install_schematic exclude"),
        ({"install_disk": "/dev/sda", "install_disk_selector": "x"}, "install_disk and install_disk_selector exclude"),
        ({"vip": "10.0.0.10"}, "vip and vip_link belong together"),
        ({"vip": "k8s", "vip_link": "eth0"}, "vip 'k8s' is not an address"),
        ({"nameservers": ["dns"]}, "nameservers: 'dns' is not an address"),
        ({"network_policies": True, "cni": "none"}, "network_policies is a switch of Flannel"),
        ({"pod_subnets": []}, "must each name at least one network"),
        ({"pod_subnets": ["10.64.0.1/16"]}, "must be networks in CIDR notation: 10.64.0.1/16 has host bits set"),
        ({"pod_subnets": ["10.97.0.0/16"]}, "must not overlap, but 10.97.0.0/16 and 10.96.0.0/12 do"),
    ],
)
def test_inputs_that_cannot_be_right(inputs: Inputs, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        dataclasses.replace(inputs, **options)
    assert message in str(caught.value)


def test_patches_are_applied_in_order(inputs: Inputs) -> None:
    patches = [
        {"machine": {"certSANs": ["a"], "install": {"disk": "/dev/vda"}}},
        "machine:\n  install: {disk: /dev/vdb}\n---\napiVersion: v1alpha1\nkind: SysctlConfig\nsysctls: {a: '1'}\n",
        {"apiVersion": "v1alpha1", "kind": "HostnameConfig", "$patch": "delete"},
    ]
    documents = rendered(inputs, *patches)
    assert at(documents[0], "machine.certSANs") == ["talos.example.com", "a"]
    assert at(documents[0], "machine.install.disk") == "/dev/vdb"
    assert documents[1:] == [{"apiVersion": "v1alpha1", "kind": "SysctlConfig", "sysctls": {"a": "1"}}]


DOCUMENT = {"apiVersion": "v1alpha1"}


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ({"machine": {"type": "init"}}, "machine.type must be one of controlplane, worker"),
        ({"version": "v2"}, "version of the v1alpha1 document must be v1alpha1"),
        ({**DOCUMENT, "kind": "KubeSchedulerConfig", "image": "x"}, "KubeSchedulerConfig is for control planes only"),
        ({"machine": {"network": {"hostname": "x"}}}, "HostnameConfig and machine.network.hostname exclude each other"),
        ({**DOCUMENT, "kind": "UnattendedInstallConfig"}, "UnattendedInstallConfig and machine.install exclude"),
        ({**DOCUMENT, "kind": "DiscoveryIdentityConfig"}, "cluster.id and cluster.secret exclude"),
        ({**DOCUMENT, "kind": "KubePrismConfig"}, "KubePrismConfig and machine.features.kubePrism exclude"),
        ({**DOCUMENT, "kind": "KubeClusterConfig"}, "cluster.controlPlane and cluster.clusterName exclude"),
        ({**DOCUMENT, "kind": "ResolverConfig", "hostDNS": {"enabled": True}}, "machine.features.hostDNS exclude"),
        ({**DOCUMENT, "kind": "HostnameConfig", "hostname": "x"}, "HostnameConfig has both hostname and auto"),
    ],
)
def test_what_talos_refuses_is_refused_before(inputs: Inputs, patch: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        render(worker(inputs), CONTRACT, [patch])
    assert message in str(caught.value)


def test_network_documents(inputs: Inputs) -> None:
    """They are the same in all contracts, and stand after the host name."""
    documents = rendered(dataclasses.replace(inputs, **EVERYTHING))[2:]
    assert documents == [
        {**DOCUMENT, "kind": "ResolverConfig", "nameservers": [{"address": "10.0.0.1"}]},
        {**DOCUMENT, "kind": "TimeSyncConfig", "ntp": {"servers": ["time.example.com"]}},
        {
            **DOCUMENT,
            "kind": "LinkConfig",
            "name": "eth0",
            "up": True,
            "mtu": 9000,
            "addresses": [{"address": "10.0.0.11/24"}],
            "routes": [{"gateway": "10.0.0.1"}, {"destination": "10.1.0.0/16", "metric": 100}],
        },
        {**DOCUMENT, "kind": "LinkConfig", "name": "eth1", "up": True},
        {**DOCUMENT, "kind": "DHCPv4Config", "name": "eth1"},
        {**DOCUMENT, "kind": "Layer2VIPConfig", "name": "10.0.0.10", "link": "eth0"},
    ]
    kinds = [document["kind"] for document in rendered(worker(dataclasses.replace(inputs, **EVERYTHING)))[1:]]
    assert "Layer2VIPConfig" not in kinds


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"addresses": ["10.0.0.11"]}, "links: '10.0.0.11' of eth0 is not an address with a prefix"),
        ({"gateway": "router"}, "links: the gateway 'router' of eth0 is not an address"),
    ],
)
def test_links_that_cannot_be_right(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        Link("eth0", **options)
    assert message in str(caught.value)


def test_an_expression_is_for_1_14(inputs: Inputs) -> None:
    with pytest.raises(InputError, match=r"an expression, which contract 1\.13 does not know"):
        rendered(dataclasses.replace(inputs, install_disk_selector="disk.rotational"))


def test_no_contract_is_newer_than_the_talos_that_reads_it(inputs: Inputs) -> None:
    with pytest.raises(InputError, match=r"Talos 1\.13\.9 does not know configurations of contract 1\.14"):
        render(inputs, Contract(1, 14))


def test_a_configuration_needs_its_main_document() -> None:
    with pytest.raises(InputError, match="would stay in maintenance mode"):
        check([{"apiVersion": "v1alpha1", "kind": "HostnameConfig"}])

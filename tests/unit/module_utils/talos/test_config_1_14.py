# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Machine configurations of contract 1.14: against what Talos 1.14 generates, its schema, and simulated machines."""

from __future__ import annotations

import base64
import copy
import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.talos.config import render
from ansible_collections.dcm.platform.plugins.module_utils.talos.contract import Contract
from ansible_collections.dcm.platform.plugins.module_utils.talos.documents import at, by_identity
from ansible_collections.dcm.platform.plugins.module_utils.talos.inputs import Inputs
from ansible_collections.dcm.platform.plugins.module_utils.talos.secrets import Bundle, parse
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.module_utils.talos.talos_inputs import EVERYTHING
from tests.unit.module_utils.talos.talos_schema import validate
from tests.unit.sandbox.talos_lab import STATE, TalosLab, play

CONTRACT = Contract(1, 14)
SCHEMATIC = "376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba"
NODE_ROLE = "node-role.kubernetes.io/control-plane"

Documents = list[dict[str, Any]]


@pytest.fixture(name="inputs")
def inputs_fixture(bundle: Bundle) -> Inputs:
    return Inputs(
        cluster_name="test",
        endpoint="https://10.0.0.10",
        machine_type="controlplane",
        talos_version="1.14.0",
        kubernetes_version="1.37.0",
        bundle=bundle,
        cert_sans=["talos.example.com"],
    )


def worker(inputs: Inputs) -> Inputs:
    return dataclasses.replace(inputs, machine_type="worker")


def rendered(inputs: Inputs, *patches: Any) -> Documents:
    return list(yaml.safe_load_all(render(inputs, CONTRACT, patches)))


def kind(documents: Documents, name: str) -> dict[str, Any]:
    return next(document for document in documents if document.get("kind") == name)


def plain(bundle: Bundle, name: str, part: str) -> str:
    return base64.b64decode(bundle.certs[name][part]).decode()


def document(kind_name: str, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": "v1alpha1", "kind": kind_name, **fields}


def on_every_node(bundle: Bundle) -> tuple[Documents, Documents]:
    """The documents of every node, before and after its KubeNodeConfig."""
    before = [
        document("DiscoveryServiceConfig", name="default", endpoint="https://discovery.talos.dev/"),
        document("DiscoveryIdentityConfig", clusterID=bundle.cluster["id"], clusterSecret=bundle.cluster["secret"]),
        document(
            "UnattendedInstallConfig",
            installer={"image": f"factory.talos.dev/metal-installer/{SCHEMATIC}:v1.14.0"},
            provisioning={"diskSelector": {"match": 'disk.dev_path == "/dev/sda"'}, "wipe": False},
        ),
        document("ResolverConfig", hostDNS={"enabled": True, "forwardKubeDNSToHost": True}),
        document("VolumeConfig", name="EPHEMERAL", mount={"secure": True}),
        document("FilesystemTrimConfig", interval="168h0m0s"),
        document("SecurityProfileConfig", workloadIsolation=True),
        document("HostnameConfig", auto="stable"),
        document("KubeClusterConfig", clusterName="test", endpoint="https://10.0.0.10:6443"),
    ]
    after = [
        document(
            "KubeletConfig",
            image="ghcr.io/siderolabs/kubelet:v1.37.0",
            defaultRuntimeSeccompProfileEnabled=True,
        ),
        document(
            "KubeNetworkConfig",
            dnsDomain="cluster.local",
            podSubnets=["10.244.0.0/16"],
            serviceSubnets=["10.96.0.0/12"],
        ),
    ]
    return before, after


def legacy(bundle: Bundle, machine_type: str) -> dict[str, Any]:
    keys = machine_type == "controlplane"
    os_authority = {"crt": bundle.certs["os"]["crt"], "key": bundle.certs["os"]["key"] if keys else ""}
    cluster = {"token": bundle.bootstrap_token, **({"etcd": {"ca": dict(bundle.certs["etcd"])}} if keys else {})}
    return {
        "version": "v1alpha1",
        "debug": False,
        "persist": True,
        "machine": {
            "type": machine_type,
            "token": bundle.trustd_token,
            "ca": os_authority,
            "certSANs": ["talos.example.com"],
            "features": {"diskQuotaSupport": True},
        },
        "cluster": cluster,
    }


@pytest.mark.row("TAL-09")
def test_control_plane(inputs: Inputs, bundle: Bundle) -> None:
    before, after = on_every_node(bundle)
    pod_security = rendered(inputs)[16].pop("configuration")
    assert pod_security["defaults"]["enforce"] == "baseline"
    assert rendered(inputs) == [
        legacy(bundle, "controlplane"),
        *before,
        document(
            "KubeNodeConfig",
            labels={NODE_ROLE: "", "node.kubernetes.io/exclude-from-external-load-balancers": ""},
            taints={NODE_ROLE: "NoSchedule"},
        ),
        *after,
        document(
            "KubeAPIServerCAConfig",
            issuingCA={"cert": plain(bundle, "k8s", "crt"), "key": plain(bundle, "k8s", "key")},
        ),
        document("KubePrismConfig", port=7445),
        document(
            "KubeAggregatorCAConfig",
            issuingCA={"cert": plain(bundle, "k8saggregator", "crt"), "key": plain(bundle, "k8saggregator", "key")},
        ),
        document("KubeAdmissionControlConfig", name="PodSecurity", configuration=pod_security),
        document(
            "KubeAuditPolicyConfig",
            configuration={"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [{"level": "Metadata"}]},
        ),
        document(
            "KubeAuthenticationConfig",
            configuration={
                "anonymous": {
                    "enabled": True,
                    "conditions": [{"path": "/livez"}, {"path": "/readyz"}, {"path": "/healthz"}],
                },
                "jwt": [],
            },
        ),
        document("KubeAuthorizerConfig", name="node", type="Node"),
        document("KubeAuthorizerConfig", name="rbac", type="RBAC"),
        document(
            "KubeEtcdEncryptionConfig",
            config={
                "resources": [
                    {
                        "providers": [{"secretbox": {"keys": [{"name": "key2", "secret": bundle.encryption_key[1]}]}}],
                        "resources": ["secrets"],
                    }
                ]
            },
        ),
        document(
            "KubeServiceAccountConfig",
            issuer={
                "privateKey": plain(bundle, "k8sserviceaccount", "key"),
                "issuerURL": "https://10.0.0.10:6443",
            },
        ),
        document(
            "KubeAPIServerConfig",
            image="registry.k8s.io/kube-apiserver:v1.37.0",
            certExtraSANs=["talos.example.com"],
        ),
        document("KubeControllerManagerConfig", image="registry.k8s.io/kube-controller-manager:v1.37.0"),
        document("KubeSchedulerConfig", image="registry.k8s.io/kube-scheduler:v1.37.0"),
        document("KubeProxyConfig", image="registry.k8s.io/kube-proxy:v1.37.0"),
        document("KubeFlannelCNIConfig", backendType="vxlan", backendPort=4789),
        document("KubeCoreDNSConfig", enabled=True),
    ]


@pytest.mark.row("TAL-09")
def test_worker(inputs: Inputs, bundle: Bundle) -> None:
    before, after = on_every_node(bundle)
    assert rendered(worker(inputs)) == [
        legacy(bundle, "worker"),
        *before,
        document("KubeNodeConfig"),
        *after,
        document("KubeAPIServerCAConfig", acceptedCAs=[plain(bundle, "k8s", "crt")]),
        document("KubePrismConfig", port=7445),
    ]


def test_no_private_key_reaches_a_worker(inputs: Inputs, bundle: Bundle) -> None:
    text = render(worker(inputs), CONTRACT)
    for name, certificate in bundle.certs.items():
        body = "".join(plain(bundle, name, "key").splitlines()[1:-1])
        assert certificate["key"] not in text
        assert body[:64] not in text
    assert bundle.encryption_key[1] not in text


@pytest.mark.parametrize("machine_type", ["controlplane", "worker"])
@pytest.mark.parametrize("options", [{}, EVERYTHING], ids=["by default", "everything"])
def test_the_schema_of_talos(inputs: Inputs, machine_type: str, options: Any) -> None:
    validate(rendered(dataclasses.replace(inputs, machine_type=machine_type, **options)))


def test_rendering_is_deterministic(inputs: Inputs) -> None:
    assert render(inputs, CONTRACT) == render(dataclasses.replace(inputs), CONTRACT)


@pytest.mark.parametrize(
    ("options", "name", "path", "value"),
    [
        ({"hostname": "cp-1"}, "HostnameConfig", "hostname", "cp-1"),
        ({"hostname": "cp-1"}, "HostnameConfig", "auto", None),
        ({"nameservers": ["10.0.0.1"]}, "ResolverConfig", "nameservers", [{"address": "10.0.0.1"}]),
        ({"nameservers": ["10.0.0.1"]}, "ResolverConfig", "hostDNS.enabled", True),
        (
            {"install_disk_selector": "disk.transport == 'nvme'"},
            "UnattendedInstallConfig",
            "provisioning.diskSelector.match",
            "disk.transport == 'nvme'",
        ),
        ({"install_image": "x:v1.14.0"}, "UnattendedInstallConfig", "installer.image", "x:v1.14.0"),
        (
            {"install_schematic": "b" * 64, "image_factory": "example.com/metal-installer-secureboot"},
            "UnattendedInstallConfig",
            "installer.image",
            f"example.com/metal-installer-secureboot/{'b' * 64}:v1.14.0",
        ),
        ({"node_labels": {"pool": "data"}}, "KubeNodeConfig", "labels.pool", "data"),
        (
            {"node_taints": {"pool": "data:NoSchedule"}},
            "KubeNodeConfig",
            "taints",
            {NODE_ROLE: "NoSchedule", "pool": "data:NoSchedule"},
        ),
        ({"allow_scheduling_on_control_planes": True}, "KubeNodeConfig", "taints", None),
        ({"network_policies": True}, "KubeFlannelCNIConfig", "kubeNetworkPoliciesEnabled", True),
        ({"audit_policy": {"rules": []}}, "KubeAuditPolicyConfig", "configuration", {"rules": []}),
        ({"dns_domain": "example.local"}, "KubeNetworkConfig", "dnsDomain", "example.local"),
        ({"vip": "10.0.0.10", "vip_link": "eth0"}, "Layer2VIPConfig", "name", "10.0.0.10"),
    ],
)
def test_inputs(inputs: Inputs, options: dict[str, Any], name: str, path: str, value: Any) -> None:
    assert at(kind(rendered(dataclasses.replace(inputs, **options)), name), path) == value


@pytest.mark.parametrize(
    ("options", "name"), [({"cni": "none"}, "KubeFlannelCNIConfig"), ({"install_disk": ""}, "UnattendedInstallConfig")]
)
def test_what_is_left_out(inputs: Inputs, options: dict[str, Any], name: str) -> None:
    kinds = {one.get("kind") for one in rendered(dataclasses.replace(inputs, **options))}
    assert name not in kinds
    assert name in {one.get("kind") for one in rendered(inputs)}


def test_an_old_encryption_key_keeps_its_name(inputs: Inputs, bundle: Bundle) -> None:
    tree = copy.deepcopy(bundle.tree)
    tree["secrets"]["aescbcencryptionsecret"] = tree["secrets"].pop("secretboxencryptionsecret")
    config = kind(rendered(dataclasses.replace(inputs, bundle=parse(tree))), "KubeEtcdEncryptionConfig")["config"]
    assert list(config["resources"][0]["providers"][0]) == ["aescbc"]
    assert config["resources"][0]["providers"][0]["aescbc"]["keys"][0]["name"] == "key1"


def test_a_mapping_is_for_1_13(inputs: Inputs) -> None:
    with pytest.raises(InputError, match=r"a mapping, which contract 1\.14 does not know"):
        rendered(dataclasses.replace(inputs, install_disk_selector={"model": "x"}))


def test_fields_of_older_contracts_are_named_with_their_documents(inputs: Inputs) -> None:
    patch = {"machine": {"kubelet": {"extraArgs": {"v": "4"}}, "install": {"disk": "/dev/sdb"}}}
    with pytest.raises(InputError) as caught:
        rendered(inputs, patch)
    assert "UnattendedInstallConfig and machine.install exclude each other" in str(caught.value)
    assert "KubeletConfig and machine.kubelet exclude each other" in str(caught.value)


def test_operations_do_not_work_on_many_documents(inputs: Inputs) -> None:
    with pytest.raises(InputError, match="JSON6902 patches are not supported for multi-document"):
        rendered(inputs, [{"op": "remove", "path": "/machine/certSANs"}])


PATCHED = st.sampled_from(
    [
        document("KubeletConfig", extraArgs={"v": "4"}),
        document("KubeNodeConfig", labels={"pool": "data"}),
        document("KubeNetworkConfig", podSubnets=["10.64.0.0/16"]),
        document("VolumeConfig", name="STATE", encryption={"provider": "luks2"}),
        document("VolumeConfig", name="EPHEMERAL", mount={"secure": False}),
        document("KubeFlannelCNIConfig", **{"$patch": "delete"}),
        document("KubeAuditPolicyConfig", configuration={"rules": [{"level": "None"}]}),
        {"machine": {"sysctls": {"a": "1"}}},
    ]
)


@given(patch=PATCHED)
def test_a_patch_touches_its_own_document_only(bundle: Bundle, patch: dict[str, Any]) -> None:
    inputs = Inputs("test", "https://10.0.0.10", "controlplane", "1.14.0", "1.37.0", bundle)
    before, once = by_identity(rendered(inputs)), by_identity(rendered(inputs, patch))
    own = next(iter(by_identity([patch])))
    assert {key: value for key, value in once.items() if key != own} == {
        key: value for key, value in before.items() if key != own
    }
    assert [key for key in once if key in before] == [key for key in before if key in once]
    assert once.get(own) != before.get(own)
    assert by_identity(rendered(inputs, patch, patch)) == once


@pytest.mark.row("TAL-01")
def test_machines_with_talos_1_14_run_with_it(inputs: Inputs, bundle: Bundle, tmp_path: Path) -> None:
    """They refuse unknown documents, unknown keys and conflicts, install, and become a cluster."""

    async def scenario(lab: TalosLab) -> None:
        endpoint = f"https://{lab['cp-1'].address}:6443"
        for name, machine_type in (("cp-1", "controlplane"), ("worker-1", "worker")):
            options = {**EVERYTHING, "machine_type": machine_type, "hostname": name, "endpoint": endpoint}
            config = render(dataclasses.replace(inputs, **options), CONTRACT)
            reply = await lab.apply(name, config.encode())
            assert not reply.warnings
        await lab.until(lambda: lab["cp-1"].bootstrap_allowed)
        authority = {part: base64.b64decode(bundle.certs["os"][part]).decode() for part in ("crt", "key")}
        lab.cluster.os = type(lab.cluster.os)(authority["crt"], authority["key"])
        admin = lab.cluster.credentials()
        await lab.call("cp-1", "/machine.MachineService/Bootstrap", admin)
        for name in ("cp-1", "worker-1"):
            await lab.stage(name, "running")
            assert lab[name].hostname == name
        reply = await lab.call(
            "worker-1",
            f"{STATE}/Get",
            admin,
            namespace="runtime",
            type="UnattendedInstallStatuses.runtime.talos.dev",
            id="unattended-install",
        )
        assert yaml.safe_load(reply.resource.spec.yaml_spec)["phase"] == "installed"

    play(tmp_path, scenario, "cp-1 worker-1", version="v1.14.0")

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which machine configurations the simulated machines refuse, and which changes need a reboot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.sandbox.talos.hardware import Disk, image_slot
from tests.sandbox.talos.machine_config import ConfigError, needs_reboot, parse, validate
from tests.unit.sandbox.talos_lab import Cluster, Config

CLUSTER = Cluster()
Change = Callable[[Config], object]


def _encode(*documents: Config) -> bytes:
    return yaml.safe_dump_all(documents).encode()


def _document(kind: str, **fields: Any) -> Config:
    return {"apiVersion": "v1alpha1", "kind": kind, **fields}


def _set(path: str, value: Any) -> Change:
    def change(config: Config) -> None:
        *parents, last = path.split(".")
        for key in parents:
            config = config.setdefault(key, {})
        config[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (_set("unheard", 1), "unknown keys found during decoding:\nunheard: 1\n"),
        (_set("machine.kubelet.unheard", 1), "machine:\n    kubelet:\n        unheard: 1"),
        (_set("machine.network.interfaces", [{"unheard": 1}]), "unheard"),
        (_set("cluster.apiServer.admissionControl", {}), "cannot unmarshal"),
        (_set("machine.type", "king"), 'invalid machine type: "king"'),
        (_set("machine.token", ""), "machine token is required"),
        (_set("machine.ca", {}), "authority machine.ca is required with certificate and key"),
        (_set("machine.ca.key", ""), "authority machine.ca is required with certificate and key"),
        (_set("machine.ca.crt", "bm9uc2Vuc2U="), "authority machine.ca is not a PEM certificate"),
        (_set("machine.ca.crt", "%"), "illegal base64 data"),
        (_set("machine.install", {}), 'install instructions are required in "metal" mode'),
        (_set("machine.install", {"wipe": True}), "either install disk or diskSelector should be defined"),
        (_set("cluster.controlPlane.endpoint", "http://x"), 'invalid cluster endpoint URL: "http://x"'),
        (_set("cluster", {}), "cluster instructions are required"),
        (_set("version", "v2"), 'unsupported config version "v2"'),
    ],
)
def test_refused_configurations(change: Change, text: str) -> None:
    config = CLUSTER.config()
    change(config)
    with pytest.raises(ConfigError) as refusal:
        validate(parse(_encode(config), 13), requires_install=True)
    assert text in str(refusal.value)


@pytest.mark.parametrize(
    ("documents", "minor", "text"),
    [
        ([_document("HostnameConfig", hostname="a")], 11, '"HostnameConfig" "v1alpha1": not registered'),
        ([_document("KubeClusterConfig", clusterName="a")], 13, '"KubeClusterConfig" "v1alpha1": not registered'),
        ([_document("UnheardConfig")], 14, "not registered"),
        ([_document("HostnameConfig", hostname="a", nickname="b")], 13, "unknown keys found"),
        ([_document("HostnameConfig", hostname="a", auto="stable")], 13, "cannot be set at the same time"),
        ([_document("HostnameConfig", hostname="a")] * 2, 13, "not allowed to define the same document twice"),
        ([_document("RegistryMirrorConfig")], 13, "name is required"),
        ([{"kind": "HostnameConfig"}], 13, "both apiVersion and kind must be set"),
        ([{"machine": {}}, {"cluster": {}}], 13, "the same document twice"),
    ],
)
def test_refused_documents(documents: list[Config], minor: int, text: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        validate(parse(_encode(*documents), minor), requires_install=True)
    assert text in str(refusal.value)


def test_documents_conflict_with_the_fields_they_replace() -> None:
    config = CLUSTER.config(network={"hostname": "old"})
    with pytest.raises(ConfigError, match="static hostname is already set in v1alpha1 config"):
        validate(parse(_encode(config, _document("HostnameConfig", hostname="new")), 13), requires_install=True)


def test_workers_refuse_documents_of_control_planes() -> None:
    documents = [CLUSTER.config("worker"), _document("KubeSchedulerConfig", image="x")]
    with pytest.raises(ConfigError, match="KubeSchedulerConfig is not allowed on worker machines"):
        validate(parse(_encode(*documents), 14), requires_install=True)


def test_all_errors_come_at_once() -> None:
    config = CLUSTER.config()
    config["machine"].update(token="", type="king")
    with pytest.raises(ConfigError, match=r"2 errors occurred:\n\t\* .*\n\t\* .*\n\n"):
        validate(parse(_encode(config), 13), requires_install=True)


@pytest.mark.parametrize("data", [b"\xff", b"a: [", b"- a", b"", b"a: 1\na: 2"])
def test_what_is_not_a_configuration(data: bytes) -> None:
    with pytest.raises(ConfigError):
        parse(data, 13)


def test_valid_configurations() -> None:
    for kind in ("controlplane", "worker"):
        config = parse(_encode(CLUSTER.config(kind)), 13)
        assert validate(config, requires_install=True) == []
        assert config.is_control_plane == (kind == "controlplane")
        assert bool(config.os_authority.key) == (kind == "controlplane")
    partial = parse(_encode(_document("HostnameConfig", hostname="a")), 13)
    assert validate(partial, requires_install=True) == []
    assert not partial.complete


def test_contract_of_1_14_is_read_from_its_documents() -> None:
    machine = {**CLUSTER.config()["machine"]}
    del machine["install"]
    config = parse(
        _encode(
            {"version": "v1alpha1", "machine": machine, "cluster": {"etcd": CLUSTER.config()["cluster"]["etcd"]}},
            _document("DiscoveryServiceConfig", name="default", endpoint="https://discovery.example.org/"),
            _document("DiscoveryIdentityConfig", clusterID="id", clusterSecret="secret"),
            _document(
                "UnattendedInstallConfig",
                installer={"image": "factory.example.org/metal-installer:v1.14.0"},
                provisioning={"diskSelector": {"match": 'disk.dev_path == "/dev/sdb"'}},
            ),
            _document("KubeClusterConfig", clusterName="new", endpoint="https://127.0.0.1:6443"),
            _document(
                "KubeAPIServerCAConfig",
                issuingCA={"cert": CLUSTER.kubernetes.certificate, "key": CLUSTER.kubernetes.key},
            ),
        ),
        14,
    )
    assert validate(config, requires_install=True) == []
    assert (config.cluster_name, config.cluster_id, config.discovers_members) == ("new", "id", True)
    assert config.kubernetes_authority == CLUSTER.kubernetes
    installation = config.installation
    assert installation is not None
    assert (installation.unattended, installation.reboot) == (True, True)
    assert [Disk(name, 1).matches(installation.selector) for name in ("sda", "sdb")] == [False, True]


@pytest.mark.parametrize(
    ("change", "reboots"),
    [
        (_set("debug", True), False),
        (_set("cluster.clusterName", "other"), False),
        (_set("machine.sysctls.a", "b"), False),
        (_set("machine.features.kubePrism", {"enabled": True}), False),
        (_set("machine.features.diskQuotaSupport", True), True),
        (_set("machine.files", [{"path": "/a", "content": "b", "op": "create"}]), True),
        (_set("machine.token", "other"), True),
        (_set("machine.type", "worker"), True),
        (_set("persist", True), True),
    ],
)
def test_changes_that_need_a_reboot(change: Change, reboots: bool) -> None:
    config = CLUSTER.config(features={"rbac": True})
    before = parse(_encode(config), 13)
    change(config)
    assert bool(needs_reboot(before, parse(_encode(config), 13))) == reboots


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ({"size": ">= 30GB", "type": "ssd"}, True),
        ({"size": "< 30GB"}, False),
        ({"model": "SIM*", "serial": "SIM-SDA"}, True),
        ({"type": "nvme"}, False),
    ],
)
def test_disk_selectors(selector: Config, matches: bool) -> None:
    assert Disk("sda", 32 * 10**9).matches(selector) == matches


@pytest.mark.parametrize("selector", [{"match": "disk.size > 6u * GB"}, {"size": "huge"}])
def test_disk_selectors_that_are_not_understood(selector: Config) -> None:
    with pytest.raises(ConfigError):
        Disk("sda", 1).matches(selector)


def test_installer_images() -> None:
    schematic = "0123456789abcdef" * 4
    slot = image_slot(f"factory.talos.dev/metal-installer/{schematic}:v1.14.0-rc.1")
    assert (slot.version, slot.schematic) == ("v1.14.0-rc.1", schematic)
    with pytest.raises(ValueError, match="not found"):
        image_slot("ghcr.io/siderolabs/installer:latest")

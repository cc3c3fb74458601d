# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Talos modules that change no node: information, health, and credentials; on one cluster of the lab's machines."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509

from tests.ansible_runner import AnsibleRunner, ModuleResult, failed
from tests.integration.talos.talos_machines import MASKED, Cluster, Machines, until

Module = Callable[..., ModuleResult]


@pytest.fixture(scope="module")
def cluster(ansible: AnsibleRunner, machines: Machines) -> Cluster:
    """All machines but the last, which stays in maintenance mode until it is needed."""
    cluster = Cluster(ansible, machines)
    cluster.configure("cp-1", "cp-2", "cp-3", "worker-1")
    cluster.bootstrap()
    until(lambda: all(machines.status(name)["ready"] for name in (*machines.control_planes, "worker-1")), "a cluster")
    return cluster


@pytest.fixture
def silent(machines: Machines) -> Iterator[str]:
    """A worker that does not answer."""
    machines.fault("worker-1", unreachable="refuse")
    yield "worker-1"
    machines.fault("worker-1", unreachable="")
    until(lambda: machines.status("worker-1")["listening"], "the port to be open again")


@pytest.fixture
def info(cluster: Cluster, run_module: Any) -> Module:
    def run(**options: Any) -> ModuleResult:
        arguments = {"secrets": cluster.bundle, "nodes": cluster.machines.nodes, "connect_timeout": 1, **options}
        result: ModuleResult = run_module("talos_machine_info", arguments)
        return result

    return run


class TestMachineInfo:
    def test_nodes_of_all_kinds_at_once(self, machines: Machines, info: Module) -> None:
        result = info(gather_subset=["version", "services", "disks", "members", "addresses", "extensions"])
        assert not result["changed"]
        assert result["unreachable"] == []
        found = result["machines"]
        assert list(found) == list(machines.nodes)
        assert [one["stage"] for one in found.values()] == ["running"] * 4 + ["maintenance"]
        assert [one["insecure"] for one in found.values()] == [False] * 4 + [True]
        assert found["cp-1"]["version"] == {"version": "v1.13.9", "arch": "amd64", "platform": "metal", "mode": "metal"}
        assert found["cp-1"]["address"] == machines.address("cp-1")
        states = {service["id"]: service["state"] for service in found["cp-1"]["services"]}
        assert states["etcd"] == "Running"
        assert "etcd" not in {service["id"] for service in found["worker-1"]["services"]}
        assert [disk["device_name"] for disk in found["worker-1"]["disks"] if disk["system_disk"]] == ["/dev/sda"]
        members = {member["hostname"]: member["machine_type"] for member in found["cp-2"]["members"]}
        assert members == {"cp-1": "controlplane", "cp-2": "controlplane", "cp-3": "controlplane", "worker-1": "worker"}
        assert found["worker-1"]["addresses"] == [f"{machines.nodes['worker-1']}/24"]

    def test_a_node_that_does_not_answer_is_named(self, machines: Machines, info: Module, silent: str) -> None:
        result = info()
        (lost,) = result["unreachable"]
        assert (lost["name"], lost["address"]) == (silent, machines.address(silent))
        assert "connection refused" in lost["reason"]
        assert set(result["machines"]) == set(machines.nodes) - {silent}

    def test_resources_by_type_and_alias(self, machines: Machines, info: Module) -> None:
        queries = [
            {"type": "MachineTypes.config.talos.dev"},
            {"type": "disk", "id": "sda"},
            {"type": "nonsense"},
        ]
        one = info(nodes={"cp-1": machines.nodes["cp-1"]}, resources=queries)["machines"]["cp-1"]
        assert [(item["namespace"], item["id"]) for item in one["resources"]] == [
            ("config", "machine-type"),
            ("runtime", "sda"),
        ]
        assert one["resources"][0]["spec"] == "controlplane"
        assert one["resources"][1]["spec"]["dev_path"] == "/dev/sda"
        assert one["refused"] == {"nonsense": "cp-1 knows no resources of type nonsense."}

    @pytest.mark.row("TAL-09")
    def test_secrets_are_not_told(self, cluster: Cluster, machines: Machines, info: Module) -> None:
        node = {"cp-1": machines.nodes["cp-1"]}
        result = info(nodes=node, resources=[{"type": "machineconfig", "id": "v1alpha1"}])
        (config,) = result["machines"]["cp-1"]["resources"]
        assert config["spec"][0]["machine"]["type"] == "controlplane"
        assert config["spec"][0]["machine"]["ca"]["key"] == "(secret)"
        for pair in cluster.bundle["certs"].values():
            assert pair["key"] not in result.output

    def test_no_node_at_all_answers(self, machines: Machines, cluster: Cluster, run_module: Any) -> None:
        addresses = {f"lost-{number}": f"{machines.nodes['cp-1']}:{number}" for number in range(1, 6)}
        result = run_module("talos_machine_info", {"secrets": cluster.bundle, "nodes": addresses, "connect_timeout": 1})
        assert [one["name"] for one in result["unreachable"]] == list(addresses)
        assert result["machines"] == {}

    def test_two_names_for_one_address(self, machines: Machines, info: Module) -> None:
        address = machines.nodes["cp-1"]
        assert "nodes has two names for one address" in failed(info(nodes={"a": address, "b": f"{address}:50000"}))


@pytest.fixture
def health(cluster: Cluster, run_module: Any) -> Module:
    def run(**options: Any) -> ModuleResult:
        arguments = {
            "secrets": cluster.bundle,
            "control_planes": cluster.machines.control_planes,
            "workers": {"worker-1": cluster.machines.nodes["worker-1"]},
            "connect_timeout": 1,
            "wait": False,
            **options,
        }
        result: ModuleResult = run_module("talos_health", arguments)
        return result

    return run


def failing(result: ModuleResult) -> dict[str, list[str | None]]:
    """The checks that fail, and where."""
    return {
        one["check"]: [problem["node"] for problem in one["problems"]] for one in result["checks"] if not one["healthy"]
    }


class TestHealth:
    def test_all_is_well(self, health: Module) -> None:
        result = health()
        assert result["healthy"], result
        assert not result["changed"]
        assert len(result["checks"]) == 15

    def test_every_failure_is_told_and_a_silent_node_named(
        self, machines: Machines, health: Module, silent: str
    ) -> None:
        machines.fault("cp-2", time_unsynchronised=True, etcd_alarm="NOSPACE")
        try:
            result = health()
        finally:
            machines.fault("cp-2", time_unsynchronised=False, etcd_alarm="")
        message = failed(result)
        assert "The cluster is not well: every node answers: worker-1" in message
        assert f"{silent} ({machines.address(silent)})" in message
        assert "connection refused" in message
        found = failing(result)
        assert found["api"] == [silent]
        assert found["time"] == ["cp-2"]
        assert found["etcd_alarms"] == [None]
        assert "member cp-2 raises NOSPACE" in message

    def test_lost_quorum(self, machines: Machines, health: Module) -> None:
        machines.fault("cp-2", unreachable="refuse")
        machines.fault("cp-3", unreachable="refuse")
        try:
            result = health(fail=False)
        finally:
            for name in ("cp-2", "cp-3"):
                machines.fault(name, unreachable="")
        assert not result["failed"], result
        assert not result["healthy"]
        assert "etcd_quorum" in failing(result)
        until(lambda: machines.status("cp-3")["listening"], "the port to be open again")

    def test_a_node_in_maintenance(self, machines: Machines, health: Module) -> None:
        result = health(workers=machines.workers, fail=False)
        assert failing(result) == {"boot": ["worker-2"]}

    def test_it_waits(self, machines: Machines, cluster: Cluster, health: Module) -> None:
        cluster.configure("worker-2")
        result = health(workers=machines.workers, wait=True, wait_timeout=60)
        assert result["healthy"], result

    def test_the_bundle_of_another_cluster(self, ansible: AnsibleRunner, machines: Machines, health: Module) -> None:
        result = health(secrets=Cluster(ansible, machines).bundle)
        assert failing(result)["api"] == [*machines.control_planes, "worker-1"]
        message = failed(result)
        assert (
            f"Talos API on cp-1 at {machines.address('cp-1')} presents a certificate that cannot be trusted" in message
        )
        assert "PRIVATE KEY" not in result.output

    def test_a_reader_may_ask(self, cluster: Cluster, machines: Machines, health: Module, run_module: Any) -> None:
        options = {
            "secrets": cluster.bundle,
            "context_name": "watch",
            "roles": ["os:reader"],
            "endpoints": list(machines.control_planes.values()),
        }
        talosconfig = run_module("talos_client_config", options)["talosconfig"]
        assert MASKED not in talosconfig
        assert health(secrets=None, talosconfig=talosconfig)["healthy"]


@pytest.fixture
def client_config(cluster: Cluster, run_module: Any) -> Module:
    def run(**options: Any) -> ModuleResult:
        flags = {name: options.pop(name) for name in ("check", "diff", "verbosity") if name in options}
        endpoints = list(cluster.machines.control_planes.values())
        arguments = {"secrets": cluster.bundle, "context_name": "test", "endpoints": endpoints, **options}
        result: ModuleResult = run_module("talos_client_config", arguments, **flags)
        return result

    return run


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("talos") / "config"


@pytest.fixture
def online(machines: Machines, path: Path) -> dict[str, Any]:
    """Options for a talosconfig that a control plane makes."""
    return {"node": machines.nodes["cp-1"], "name": "cp-1", "path": str(path)}


class TestClientConfig:
    """The tests build on each other in this order."""

    def test_check_mode_makes_nothing(
        self, machines: Machines, client_config: Module, online: dict[str, Any], path: Path
    ) -> None:
        machines.forget_requests()
        result = client_config(**online, check=True, diff=True)
        assert result["changed"], result
        assert result["diff"][0]["after"]["roles"] == ["os:admin"]
        assert not path.exists()
        assert machines.requests("cp-1") == {}

    def test_made_by_a_control_plane(
        self,
        cluster: Cluster,
        machines: Machines,
        client_config: Module,
        run_module: Any,
        online: dict[str, Any],
        path: Path,
    ) -> None:
        result = client_config(**online, verbosity=3)
        assert result["changed"], result
        assert path.stat().st_mode & 0o777 == 0o600
        content = yaml.safe_load(path.read_text())
        assert content["context"] == "test"
        context = content["contexts"]["test"]
        assert context["key"] not in result.output
        certificate = x509.load_pem_x509_certificate(base64.b64decode(context["crt"]))
        authority = x509.load_pem_x509_certificate(base64.b64decode(cluster.bundle["certs"]["os"]["crt"]))
        certificate.verify_directly_issued_by(authority)
        options = {"talosconfig": str(path), "nodes": {"cp-2": machines.nodes["cp-2"]}}
        assert run_module("talos_machine_info", options)["machines"]["cp-2"]["stage"] == "running"

    def test_a_second_run_asks_nobody(
        self, machines: Machines, client_config: Module, online: dict[str, Any], path: Path
    ) -> None:
        machines.forget_requests()
        before = path.read_text()
        assert not client_config(**online)["changed"]
        assert machines.requests("cp-1") == {}
        assert path.read_text() == before

    def test_offline_it_is_the_same(self, client_config: Module, path: Path) -> None:
        assert not client_config(path=str(path))["changed"]

    def test_other_roles_are_drift(self, client_config: Module, path: Path) -> None:
        roles = {"roles": ["os:operator", "os:etcd:backup"], "path": str(path)}
        result = client_config(**roles, diff=True)
        assert result["diff"][0]["before"] == {"roles": ["os:admin"]}
        assert result["roles"] == ["os:etcd:backup", "os:operator"]
        assert not client_config(**roles)["changed"]

    def test_contexts_beside_each_other(self, client_config: Module, path: Path) -> None:
        before = yaml.safe_load(path.read_text())["contexts"]["test"]
        assert client_config(context_name="second", path=str(path))["changed"]
        content = yaml.safe_load(path.read_text())
        assert content["context"] == "test"
        assert list(content["contexts"]) == ["test", "second"]
        assert content["contexts"]["test"] == before

    def test_another_cluster_of_the_same_name_is_not_replaced(
        self, ansible: AnsibleRunner, machines: Machines, client_config: Module, path: Path
    ) -> None:
        before = path.read_text()
        stranger = Cluster(ansible, machines)
        message = failed(client_config(secrets=stranger.bundle, path=str(path)))
        assert f"Context 'test' in {path} is there already and of another cluster" in message
        assert path.read_text() == before

    def test_renewed_when_it_is_due(self, client_config: Module, online: dict[str, Any]) -> None:
        due = {**online, "lifetime": 20, "renew_before": 10}
        assert client_config(**due)["changed"]
        assert not client_config(**due)["changed"]
        assert client_config(**{**due, "lifetime": 60, "renew_before": 30})["changed"]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"secrets": None, "talosconfig": "{}"}, "Set node to ask a control plane, or secrets to do without one"),
            ({"roles": ["os:king"]}, "value of roles must be one or more of"),
            ({"lifetime": 10}, "renew_before must be shorter than lifetime"),
            ({"endpoints": []}, "endpoints and roles must name at least one each"),
        ],
    )
    def test_bad_input(self, client_config: Module, options: dict[str, Any], message: str) -> None:
        assert message in failed(client_config(**options))

    def test_nobody_answers(self, machines: Machines, client_config: Module) -> None:
        address = f"{machines.nodes['cp-1']}:1"
        message = failed(client_config(node=address, name="cp-1", connect_timeout=1))
        assert f"Talos API on cp-1 at {address} is not reachable: connection refused" in message

    def test_a_worker_makes_none(self, machines: Machines, client_config: Module) -> None:
        message = failed(client_config(node=machines.nodes["worker-1"], name="worker-1"))
        assert f"Talos API on worker-1 at {machines.address('worker-1')} refused GenerateClientConfiguration" in message


class TestOfflineKubeconfig:
    @pytest.fixture
    def kubeconfig(self, cluster: Cluster, run_module: Any) -> Module:
        def run(**options: Any) -> ModuleResult:
            endpoint = cluster.machines.settings["endpoint"]
            arguments = {"secrets": cluster.bundle, "cluster_name": "test", "endpoint": endpoint, **options}
            result: ModuleResult = run_module("talos_kubeconfig", arguments)
            return result

        return run

    def test_online_and_offline_agree(
        self, cluster: Cluster, machines: Machines, kubeconfig: Module, run_module: Any, tmp_path: Path
    ) -> None:
        path = str(tmp_path / "config")
        node = {"node": machines.nodes["cp-1"], "name": "cp-1"}
        assert kubeconfig(path=path)["context"] == "admin@test"
        assert not kubeconfig(path=path)["changed"]
        fetched = run_module("talos_kubeconfig", {"secrets": cluster.bundle, "path": path, **node})
        assert not fetched["changed"], fetched
        assert fetched["groups"] == ["system:masters"]
        made = run_module("talos_kubeconfig", {"secrets": cluster.bundle, **node})["kubeconfig"]
        assert not kubeconfig(kubeconfig=made)["changed"]

    def test_for_others_in_the_same_file(self, kubeconfig: Module, tmp_path: Path) -> None:
        path = tmp_path / "config"
        kubeconfig(path=str(path))
        result = kubeconfig(path=str(path), user="viewer", groups=["dcm:viewers"], lifetime=7, renew_before=1)
        assert result["changed"], result
        assert result["context"] == "viewer@test"
        content = yaml.safe_load(path.read_text())
        assert content["current-context"] == "admin@test"
        assert [user["name"] for user in content["users"]] == ["admin@test", "viewer@test"]
        assert len(content["clusters"]) == 1
        assert not kubeconfig(path=str(path))["changed"]

    def test_what_is_missing(self, kubeconfig: Module) -> None:
        assert "Set node to ask a control plane, or secrets, cluster_name" in failed(kubeconfig(endpoint=None))

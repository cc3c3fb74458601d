# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``talos_bootstrap`` and ``talos_kubeconfig`` on the lab's machines. The tests build on each other in this order."""

from __future__ import annotations

import base64
import datetime
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509

from tests.ansible_runner import BIN, AnsibleRunner, ModuleResult, failed
from tests.integration.talos.talos_machines import MASKED, Cluster, Machines, until

BOOTSTRAP, MEMBERS = "/machine.MachineService/Bootstrap", "/machine.MachineService/EtcdMemberList"


@pytest.fixture(scope="module")
def cluster(ansible: AnsibleRunner, machines: Machines) -> Cluster:
    return Cluster(ansible, machines)


def members(machines: Machines) -> list[list[str]]:
    """The members of each etcd cluster there is, by the simulator's own account."""
    return [sorted(one["members"]) for one in machines.etcd()]


class TestBootstrap:
    def test_check_mode_predicts_it_even_in_maintenance(self, machines: Machines, cluster: Cluster) -> None:
        result = cluster.bootstrap(check=True)
        assert result["changed"], result
        assert result["bootstrapped_on"] == "cp-1"
        assert result["members"] == []
        assert machines.etcd() == []

    def test_not_before_all_control_planes_are_configured(self, machines: Machines, cluster: Cluster) -> None:
        cluster.configure("cp-1", "cp-2")
        message = failed(cluster.bootstrap(wait_timeout=1))
        assert "Gave up after 1 s waiting for all control planes to be ready for the bootstrap" in message
        assert f"cp-3 at {machines.address('cp-3')} is in maintenance mode" in message
        assert machines.etcd() == []

    @pytest.mark.row("TAL-10")
    def test_not_while_one_cannot_be_asked(self, machines: Machines, cluster: Cluster) -> None:
        cluster.configure("cp-3")
        machines.fault("cp-2", unreachable="refuse")
        try:
            message = failed(cluster.bootstrap(connect_timeout=1))
        finally:
            machines.fault("cp-2", unreachable="")
        assert "Not bootstrapped, as not every control plane could be asked" in message
        assert f"Talos API on cp-2 at {machines.address('cp-2')} is not reachable: connection refused" in message
        assert "A second bootstrap would split the cluster." in message
        assert machines.etcd() == []

    def test_machines_that_go_down_while_it_waits_are_named(
        self, machines: Machines, cluster: Cluster, ansible: AnsibleRunner
    ) -> None:
        options = {"secrets": cluster.bundle, "control_planes": machines.control_planes, "wait_timeout": 10}
        tasks = [{"name": "Bootstrap", "dcm.platform.talos_bootstrap": options}]
        play = ansible.private_file(
            "killed.yml", json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}])
        )
        command: list[str | Path] = [BIN / "ansible-playbook", play, "-i", "localhost,", "-c", "local"]
        machines.fault("cp-3", boot_seconds=300)
        machines.ask("power_cycle", machine="cp-3")
        machines.forget_requests()
        with subprocess.Popen(command, env=ansible.environment(), stdout=subprocess.PIPE, text=True) as run:
            until(lambda: machines.requests("cp-1").get(MEMBERS, 0) > 1 or run.poll() is not None, "a look at cp-1")
            machines.kill()
            output = run.communicate(timeout=120)[0]
        message = " ".join(output.split())
        assert "Gave up after 10 s waiting for all control planes to be ready for the bootstrap" in message
        assert f"Talos API on cp-1 at {machines.address('cp-1')} is not reachable: connection refused" in message
        assert "Traceback" not in output
        machines.lab.repair("talos")

    @pytest.mark.row("TAL-10")
    def test_the_next_run_does_it(self, machines: Machines, cluster: Cluster) -> None:
        assert machines.etcd() == []
        result = cluster.bootstrap()
        assert result["changed"], result
        assert result["bootstrapped_on"] == "cp-1"
        assert members(machines) == [sorted(machines.control_planes)]

    @pytest.mark.row("TAL-10")
    def test_never_a_second_time(self, machines: Machines, cluster: Cluster) -> None:
        """Not after all machines went down, and not with another one named first."""
        (before,) = machines.etcd()
        machines.kill()
        machines.lab.repair("talos")
        for control_planes in (machines.control_planes, dict(reversed(machines.control_planes.items()))):
            result = cluster.bootstrap(control_planes)
            assert not result["changed"], result
            assert result["bootstrapped_on"] is None
            assert sorted(member["hostname"] for member in result["members"]) == sorted(machines.control_planes)
            assert not any(member["is_learner"] for member in result["members"])
        assert [cluster["id"] for cluster in machines.etcd()] == [before["id"]]
        assert not [name for name in machines.nodes if BOOTSTRAP in machines.requests(name)]

    @pytest.mark.row("TAL-10")
    def test_a_second_run_asks_each_once(self, machines: Machines, cluster: Cluster) -> None:
        machines.forget_requests()
        assert not cluster.bootstrap()["changed"]
        assert [sum(machines.requests(name).values()) for name in machines.control_planes] == [1, 1, 1]

    @pytest.mark.row("TAL-10")
    def test_it_is_clear_with_one_control_plane_down(self, machines: Machines, cluster: Cluster) -> None:
        machines.fault("cp-1", unreachable="refuse")
        try:
            result = cluster.bootstrap(connect_timeout=1)
        finally:
            machines.fault("cp-1", unreachable="")
        assert not result["changed"], result
        assert len(machines.etcd()) == 1

    def test_the_bundle_of_another_cluster(self, machines: Machines, cluster: Cluster, ansible: AnsibleRunner) -> None:
        message = failed(Cluster(ansible, machines).bootstrap())
        assert "Not bootstrapped, as not every control plane could be asked" in message
        assert (
            f"Talos API on cp-1 at {machines.address('cp-1')} presents a certificate that cannot be trusted" in message
        )

    @pytest.mark.parametrize(
        ("control_planes", "message"),
        [
            ({}, "control_planes is empty"),
            ({"a": "10.0.0.1", "b": "10.0.0.1:50000"}, "control_planes has two names for one address"),
            ({"a": "10.0.0.1:port"}, "'10.0.0.1:port' is not the address of a node"),
        ],
    )
    def test_bad_input(self, cluster: Cluster, run_module: Any, control_planes: Any, message: str) -> None:
        options = {"secrets": cluster.bundle, "control_planes": control_planes}
        assert message in failed(run_module("talos_bootstrap", options))


Kubeconfig = Callable[..., ModuleResult]


@pytest.fixture
def kubeconfig(cluster: Cluster, run_module: Any) -> Kubeconfig:
    """Run talos_kubeconfig on a node."""

    def run(node: str = "cp-1", **options: Any) -> ModuleResult:
        flags = {name: options.pop(name) for name in ("check", "diff", "verbosity") if name in options}
        arguments = {"node": cluster.machines.nodes[node], "name": node, "secrets": cluster.bundle, **options}
        result: ModuleResult = run_module("talos_kubeconfig", arguments, **flags)
        return result

    return run


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kube") / "config"


class TestKubeconfig:
    def test_check_mode_fetches_nothing(self, machines: Machines, kubeconfig: Kubeconfig, path: Path) -> None:
        machines.forget_requests()
        result = kubeconfig(path=str(path), check=True, diff=True)
        assert result["changed"], result
        assert result["diff"][0]["after"] == {"authority": "of the cluster", "mode": "0600"}
        assert machines.requests("cp-1") == {}
        assert not path.exists()

    def test_fetched_into_a_private_file(
        self, machines: Machines, cluster: Cluster, kubeconfig: Kubeconfig, path: Path
    ) -> None:
        result = kubeconfig(path=str(path), verbosity=3)
        assert result["changed"], result
        assert "kubeconfig" not in result
        assert path.stat().st_mode & 0o777 == 0o600
        content = yaml.safe_load(path.read_text())
        assert content["current-context"] == result["context"] == "admin@test"
        assert content["clusters"][0]["cluster"]["server"] == result["server"] == machines.settings["endpoint"]
        user = content["users"][0]["user"]
        certificate = x509.load_pem_x509_certificate(base64.b64decode(user["client-certificate-data"]))
        authority = x509.load_pem_x509_certificate(base64.b64decode(cluster.bundle["certs"]["k8s"]["crt"]))
        certificate.verify_directly_issued_by(authority)
        assert datetime.datetime.fromisoformat(result["expires"]) == certificate.not_valid_after_utc
        assert user["client-key-data"] not in result.output
        assert list(path.parent.iterdir()) == [path]

    def test_a_second_run_asks_nobody(self, machines: Machines, kubeconfig: Kubeconfig, path: Path) -> None:
        machines.forget_requests()
        before = path.read_text()
        assert not kubeconfig(path=str(path))["changed"]
        assert machines.requests("cp-1") == {}
        assert path.read_text() == before

    def test_its_mode_is_repaired_without_a_new_one(self, kubeconfig: Kubeconfig, path: Path) -> None:
        before = path.read_text()
        path.chmod(0o644)
        result = kubeconfig(path=str(path), diff=True)
        assert result["changed"]
        assert (result["diff"][0]["before"], result["diff"][0]["after"]) == ({"mode": "0644"}, {"mode": "0600"})
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.read_text() == before

    def test_renewed_when_it_is_due(self, kubeconfig: Kubeconfig, path: Path) -> None:
        before = path.read_text()
        assert kubeconfig(path=str(path), renew_before=366)["changed"]
        assert path.read_text() != before
        assert not kubeconfig(path=str(path))["changed"]

    def test_an_unusable_one_is_replaced(self, kubeconfig: Kubeconfig, path: Path) -> None:
        path.write_text("current-context: nowhere\n")
        assert kubeconfig(path=str(path))["changed"]
        assert not kubeconfig(path=str(path))["changed"]

    def test_returned_whole_where_it_is_kept_elsewhere(self, kubeconfig: Kubeconfig) -> None:
        first = kubeconfig()
        assert first["changed"]
        assert MASKED not in first["kubeconfig"]
        assert yaml.safe_load(first["kubeconfig"])["current-context"] == "admin@test"
        second = kubeconfig(kubeconfig=first["kubeconfig"])
        assert not second["changed"]
        assert second["kubeconfig"] == first["kubeconfig"]

    def test_a_worker_has_none(self, cluster: Cluster, machines: Machines, kubeconfig: Kubeconfig) -> None:
        cluster.configure("worker-1")
        message = failed(kubeconfig("worker-1"))
        assert f"Talos API on worker-1 at {machines.address('worker-1')} refused Kubeconfig" in message
        assert "(unimplemented)" in message

    def test_a_directory_that_is_not_there(self, kubeconfig: Kubeconfig, tmp_path: Path) -> None:
        message = failed(kubeconfig(path=str(tmp_path / "no" / "config")))
        assert f"{tmp_path}/no/config cannot be written: No such file or directory" in message

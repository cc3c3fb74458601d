# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The role ``talos_cluster``: from machines in maintenance mode to a cluster, whatever happens on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import hvac
import pytest
import yaml

from tests.ansible_runner import BIN, AnsibleRunner, PlaybookResult
from tests.conftest import LabFixture
from tests.integration.talos_machines import Machines, until

PATH = "dcm/talos/test-role"
PLAY = [{"name": "Talos", "hosts": "all", "gather_facts": False, "roles": ["dcm.platform.talos_cluster"]}]
# The run is killed as soon as it begins these tasks.
KILLED_AT = (
    "Store the secrets bundle",
    "Apply the machine configuration",
    "Bootstrap etcd",
    "Store the kubeconfig",
)


@pytest.fixture(scope="module")
def machines(lab: LabFixture, tmp_path_factory: pytest.TempPathFactory) -> Machines:
    lab("talos", "vault")
    return Machines(lab, tmp_path_factory.mktemp("talos"))


class Store:
    """What the role keeps in OpenBao, read with hvac."""

    def __init__(self, vault: dict[str, Any]) -> None:
        self.mount = vault["mount"]
        self.client = hvac.Client(url=vault["url"], token=vault["token"])

    def read(self, path: str) -> Any:
        """Data and version, None for a path without a secret."""
        try:
            reply = self.client.secrets.kv.v2.read_secret_version(
                path=path, mount_point=self.mount, raise_on_deleted_version=True
            )
        except hvac.exceptions.InvalidPath:
            return None
        return reply["data"]["data"], reply["data"]["metadata"]["version"]


@pytest.fixture(scope="module")
def store(lab: LabFixture) -> Store:
    store = Store(lab("vault"))
    for path in (PATH, f"{PATH}/kubeconfig"):
        store.client.secrets.kv.v2.delete_metadata_and_all_versions(path=path, mount_point=store.mount)
    return store


@pytest.fixture(scope="module")
def inventory(machines: Machines, lab: LabFixture, ansible: AnsibleRunner) -> Path:
    def hosts(addresses: dict[str, str]) -> dict[str, Any]:
        return {"hosts": {name: {"ansible_host": address} for name, address in addresses.items()}}

    vault = lab("vault")
    variables = {
        "ansible_connection": "local",
        "talos_cluster_name": "test",
        "talos_cluster_endpoint": machines.settings["endpoint"],
        "talos_cluster_secrets_path": PATH,
        "talos_cluster_wait_for": "ready",
        "dcm_kubernetes_version": "1.36.3",
        "dcm_vault_url": vault["url"],
        "dcm_vault_token": vault["token"],
    }
    groups = {"talos_controlplane": hosts(machines.control_planes), "talos_worker": hosts(machines.workers)}
    content = {"all": {"vars": variables, "children": groups}}
    return ansible.private_file("talos-inventory.yml", json.dumps(content))


def run(ansible: AnsibleRunner, inventory: Path, *arguments: str) -> PlaybookResult:
    return ansible.playbook(PLAY, "-i", str(inventory), *arguments)


def run_and_kill(ansible: AnsibleRunner, inventory: Path, task: str) -> bool:
    """Kill the run, with all its modules, when it begins a task; false if it never did."""
    play = ansible.private_file("talos-role.yml", json.dumps(PLAY))
    command: list[str | Path] = [BIN / "ansible-playbook", play, "-i", inventory]
    with subprocess.Popen(
        command, env=ansible.environment(), stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("TASK [") and task in line:
                os.killpg(process.pid, signal.SIGKILL)
                return True
    return False


def test_check_mode_touches_nothing(machines: Machines, store: Store, ansible: AnsibleRunner, inventory: Path) -> None:
    result = run(ansible, inventory, "--check")
    assert result.returncode == 0, result.output
    assert {name: counters["changed"] for name, counters in result.recap.items()} == {
        name: 6 if name == "cp-1" else 1 for name in machines.nodes
    }
    assert store.read(PATH) is None
    assert {machines.status(name)["stage"] for name in machines.nodes} == {"maintenance"}


@pytest.mark.row("TAL-09")
@pytest.mark.row("TAL-10")
def test_a_run_that_is_killed_is_finished_by_the_next(
    machines: Machines, store: Store, ansible: AnsibleRunner, inventory: Path
) -> None:
    bundles: set[str] = set()
    clusters: set[str] = set()
    for task in KILLED_AT:
        assert run_and_kill(ansible, inventory, task), task
        stored = store.read(PATH)
        bundles.update({stored[0]["bundle"]} if stored else ())
        clusters.update(cluster["id"] for cluster in machines.etcd())
    result = run(ansible, inventory)
    assert result.returncode == 0, result.output
    bundle, version = store.read(PATH)
    assert bundles == {bundle["bundle"]}
    assert version == 1
    (cluster,) = machines.etcd()
    assert clusters == {cluster["id"]}
    assert sorted(cluster["members"]) == sorted(machines.control_planes)
    assert {machines.status(name)["stage"] for name in machines.nodes} == {"running"}
    assert all(machines.status(name)["ready"] for name in machines.nodes)


@pytest.mark.row("TAL-01")
def test_the_second_run_changes_nothing_and_asks_little(
    machines: Machines, store: Store, ansible: AnsibleRunner, inventory: Path
) -> None:
    kubeconfig = store.read(f"{PATH}/kubeconfig")
    machines.forget_requests()
    result = run(ansible, inventory)
    assert result.returncode == 0, result.output
    assert result.total("changed") == result.total("failed") == 0, result.output
    requests = {name: sum(machines.requests(name).values()) for name in machines.nodes}
    assert max(requests.values()) <= 3, requests
    assert store.read(f"{PATH}/kubeconfig") == kubeconfig


@pytest.mark.row("TAL-14")
def test_the_networks_are_apart_from_those_of_the_platform(machines: Machines, store: Store) -> None:
    bundle = yaml.safe_load(store.read(PATH)[0]["bundle"])
    for name in machines.nodes:
        network = machines.config(name, bundle)[0]["cluster"]["network"]
        assert network["podSubnets"] == ["10.64.0.0/16"]
        assert network["serviceSubnets"] == ["10.65.0.0/16"]


def test_a_node_that_does_not_answer_fails_alone(machines: Machines, ansible: AnsibleRunner, inventory: Path) -> None:
    machines.fault("worker-2", unreachable="refuse")
    try:
        result = run(ansible, inventory, "-e", "talos_cluster_connect_timeout=1")
    finally:
        machines.fault("worker-2", unreachable="")
    assert {name: counters["failed"] for name, counters in result.recap.items()} == {
        name: int(name == "worker-2") for name in machines.nodes
    }
    message = " ".join(result.output.split())
    assert f"Talos API on worker-2 at {machines.address('worker-2')} is not reachable: connection refused" in message
    until(lambda: machines.status("worker-2")["listening"], "the port to be open again")

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The role ``talos_cluster``: from machines in maintenance mode to a cluster, whatever happens on the way.

``DCM_KILL_POINTS`` in the environment is the number of random moments at which a run is killed, 4 by default, and
``DCM_KILL_SEED`` what they are drawn from.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hvac
import pytest
import yaml

from tests.ansible_runner import BIN, AnsibleRunner, PlaybookResult
from tests.conftest import LabFixture
from tests.integration.talos.talos_machines import Machines, until
from tests.staging import ROOT

PATH = "dcm/talos/test-role"
PLAY = [{"name": "Talos", "hosts": "all", "gather_facts": False, "roles": ["dcm.platform.talos_cluster"]}]
# The run is killed as soon as it begins these tasks.
KILLED_AT = (
    "Store the secrets bundle",
    "Apply the machine configuration",
    "Bootstrap etcd",
    "Store the kubeconfig",
)
KILL_POINTS = int(os.environ.get("DCM_KILL_POINTS", "4"))
KILL_SEED = os.environ.get("DCM_KILL_SEED", "dcm")
TOOK: list[float] = []  # seconds of runs that finished
IN_A_ROW = 4  # killed runs before one that may finish


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

    def clear(self) -> None:
        """As if the cluster had never been."""
        for path in (PATH, f"{PATH}/kubeconfig"):
            self.client.secrets.kv.v2.delete_metadata_and_all_versions(path=path, mount_point=self.mount)


@pytest.fixture(scope="module")
def store(lab: LabFixture) -> Store:
    store = Store(lab("vault"))
    store.clear()
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


@contextlib.contextmanager
def started(ansible: AnsibleRunner, inventory: Path) -> Iterator[subprocess.Popen[str]]:
    """A run of the role under way."""
    play = ansible.private_file("talos-role.yml", json.dumps(PLAY))
    command: list[str | Path] = [BIN / "ansible-playbook", play, "-i", inventory]
    with subprocess.Popen(command, env=ansible.environment(), stdout=subprocess.PIPE, text=True) as process:
        yield process


def run_and_kill(ansible: AnsibleRunner, inventory: Path, task: str) -> bool:
    """Kill the run, with all its modules, when it begins a task; false if it never did."""
    with started(ansible, inventory) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("TASK [") and task in line:
                kill_all(process.pid)
                return True
    return False


def run_and_kill_after(ansible: AnsibleRunner, inventory: Path, seconds: float) -> None:
    """Kill the run after that long, unless it has ended."""
    with started(ansible, inventory) as process:
        try:
            process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            kill_all(process.pid)


def kill_all(pid: int) -> None:
    """Kill a process and all that it has started, which Ansible puts into sessions of their own."""
    os.kill(pid, signal.SIGSTOP)  # so that it starts nothing more
    with contextlib.suppress(FileNotFoundError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            kill_all(int(child))
    os.kill(pid, signal.SIGKILL)


class Witness:
    """Remembers every bundle and every etcd cluster that there ever was."""

    def __init__(self, machines: Machines, store: Store) -> None:
        self.machines = machines
        self.store = store
        self.bundles: set[str] = set()
        self.clusters: set[str] = set()
        self._before = {cluster["id"] for cluster in machines.etcd()}  # wiping does not make a member leave

    def _etcd(self) -> list[dict[str, Any]]:
        return [cluster for cluster in self.machines.etcd() if cluster["id"] not in self._before]

    def look(self) -> None:
        stored = self.store.read(PATH)
        self.bundles.update({stored[0]["bundle"]} if stored else ())
        self.clusters.update(cluster["id"] for cluster in self._etcd())

    def confirm(self) -> None:
        """One bundle, never replaced; one etcd cluster of all control planes; and all nodes are well."""
        self.look()
        (bundle,) = self.bundles
        assert self.store.read(PATH) == ({"bundle": bundle}, 1)
        (cluster,) = self._etcd()
        assert self.clusters == {cluster["id"]}
        assert sorted(cluster["members"]) == sorted(self.machines.control_planes)
        assert {self.machines.status(name)["stage"] for name in self.machines.nodes} == {"running"}
        assert all(self.machines.status(name)["ready"] for name in self.machines.nodes)


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
    witness = Witness(machines, store)
    for task in KILLED_AT:
        assert run_and_kill(ansible, inventory, task), task
        witness.look()
    began = time.monotonic()
    result = run(ansible, inventory)
    assert result.returncode == 0, result.output
    witness.confirm()
    TOOK.append(time.monotonic() - began)


@pytest.mark.row("TAL-10")
def test_whenever_it_is_killed(machines: Machines, store: Store, ansible: AnsibleRunner, inventory: Path) -> None:
    """A few killed runs in a row, one that may finish, and all over again until all moments have been."""
    span = TOOK[0] if TOOK else 15.0  # seconds within which a whole run ends
    draw = random.Random(KILL_SEED)
    moments = [draw.uniform(0.0, span) for _unused in range(KILL_POINTS)]
    for several in (moments[start : start + IN_A_ROW] for start in range(0, KILL_POINTS, IN_A_ROW)):
        machines.wipe()
        store.clear()
        witness = Witness(machines, store)
        for moment in several:
            run_and_kill_after(ansible, inventory, moment)
            witness.look()
        result = run(ansible, inventory)
        assert result.returncode == 0, (KILL_SEED, several, result.output)
        witness.confirm()


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


def play(ansible: AnsibleRunner, inventory: Path, playbook: str, **variables: Any) -> PlaybookResult:
    """Run a playbook of the collection on the cluster, which has no Kubernetes to drain its nodes with."""
    extra = json.dumps({"upgrade_talos_kubeconfig": "", **variables})
    return ansible.playbook(ROOT / f"playbooks/{playbook}.yml", "-i", str(inventory), "-e", extra)


@pytest.mark.row("TAL-11")
@pytest.mark.row("MNT-07")
def test_an_upgrade_ends_with_the_first_node_that_is_not_well(
    machines: Machines, ansible: AnsibleRunner, inventory: Path
) -> None:
    machines.fault("cp-2", boot_fails=True)
    result = play(ansible, inventory, "upgrade_talos", talos_cluster_talos_version="1.13.10")
    machines.fault("cp-2", boot_fails=False)
    assert result.returncode != 0, result.output
    assert f"cp-2 ({machines.address('cp-2')}) rolled back" in " ".join(result.output.split())
    versions = {name: machines.status(name)["version"] for name in machines.nodes}
    assert versions == {name: "v1.13.10" if name == "cp-1" else "v1.13.9" for name in machines.nodes}


@pytest.mark.row("TAL-11")
def test_the_next_upgrade_goes_on(machines: Machines, ansible: AnsibleRunner, inventory: Path) -> None:
    boot_id = machines.status("cp-1")["boot_id"]
    result = play(ansible, inventory, "upgrade_talos", talos_cluster_talos_version="1.13.10", upgrade_talos_batch=2)
    assert result.returncode == 0, result.output
    assert {machines.status(name)["version"] for name in machines.nodes} == {"v1.13.10"}
    assert all(machines.status(name)["ready"] for name in machines.nodes)
    assert machines.status("cp-1")["boot_id"] == boot_id


@pytest.mark.row("MNT-05")
def test_an_upgrade_of_kubernetes(machines: Machines, ansible: AnsibleRunner, inventory: Path) -> None:
    """Afterwards the role, told the new version, finds nothing to do; before, it refuses."""
    version = ("-e", "dcm_kubernetes_version=1.36.4")
    refused = run(ansible, inventory, "--check", *version)
    assert refused.total("failed") == len(machines.nodes)
    assert "Use talos_kubernetes_upgrade" in " ".join(refused.output.split())
    result = play(ansible, inventory, "upgrade_kubernetes", dcm_kubernetes_version="1.36.4")
    assert result.returncode == 0, result.output
    assert result.total("changed") == 1
    after = run(ansible, inventory, "--check", *version)
    assert (after.returncode, after.total("changed")) == (0, 0), after.output

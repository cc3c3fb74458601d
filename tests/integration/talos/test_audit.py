# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The audit policy of the role ``talos_cluster``, in a real kube-apiserver beside the lab's own."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml
from kubernetes import client, config

from tests.conftest import LabFixture
from tests.integration.talos.talos_machines import until
from tests.sandbox.service import free_port
from tests.staging import ROOT

DEFAULTS = ROOT / "roles/talos_cluster/defaults/main.yml"
NAMESPACE, NAME, SECRET = "default", "audit-test", "HUSH-CONTENT"


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audit") / "audit.log"


@pytest.fixture(scope="module")
def api(lab: LabFixture, log: Path) -> Iterator[client.ApiClient]:
    """A client of an API server that runs as the lab's does, on the same data, and with the policy."""
    settings = lab("kubernetes")
    if "ports" not in settings:
        pytest.skip("the cluster is not the lab's own")
    policy, port = log.parent / "policy.yml", free_port()
    policy.write_text(yaml.safe_dump(yaml.safe_load(DEFAULTS.read_text())["talos_cluster_audit_policy"]))
    pid = lab.lab.pid("kube-apiserver")
    command = Path(f"/proc/{pid}/cmdline").read_bytes().decode().rstrip("\0").split("\0")
    command = [argument for argument in command if not argument.startswith("--secure-port=")]
    command += [f"--secure-port={port}", f"--audit-policy-file={policy}", f"--audit-log-path={log}"]
    output = log.with_name("output")
    with output.open("w") as file, subprocess.Popen(command, stdout=file, stderr=file) as process:
        configuration = client.Configuration()
        config.load_kube_config(settings["kubeconfig"], client_configuration=configuration)
        configuration.host, configuration.retries = f"https://127.0.0.1:{port}", False
        configuration.refresh_api_key_hook = None  # it would set the address of the kubeconfig again
        api = client.ApiClient(configuration)

        def ready() -> bool:
            assert process.poll() is None, output.read_text()[-2000:]
            with contextlib.suppress(urllib3.exceptions.HTTPError, client.ApiException):
                return bool(client.CoreV1Api(api).list_namespace(_request_timeout=5).items)
            return False

        try:
            until(ready, "the second API server")
            yield api
        finally:
            process.terminate()


def events(log: Path, resource: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in log.read_text().splitlines()]
    return [event for event in found if event.get("objectRef", {}).get("resource") == resource]


@pytest.mark.row("TAL-23")
def test_what_is_logged_and_what_is_not(api: client.ApiClient, log: Path) -> None:
    core, rights = client.CoreV1Api(api), client.RbacAuthorizationV1Api(api)
    core.create_namespaced_secret(NAMESPACE, {"metadata": {"name": NAME}, "stringData": {"password": SECRET}})
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
    rights.create_namespaced_role_binding(NAMESPACE, {"metadata": {"name": NAME}, "roleRef": role, "subjects": []})
    core.list_namespaced_pod(NAMESPACE)
    client.CoordinationV1Api(api).list_namespaced_lease(NAMESPACE)
    core.delete_namespaced_secret(NAME, NAMESPACE)
    rights.delete_namespaced_role_binding(NAME, NAMESPACE)

    until(lambda: [one["verb"] for one in events(log, "rolebindings")][-1:] == ["delete"], "the log")
    assert SECRET not in log.read_text()
    assert [(one["level"], one["verb"], one["user"]["username"]) for one in events(log, "secrets")] == [
        ("Metadata", "create", "lab"),
        ("Metadata", "delete", "lab"),
    ]
    binding = events(log, "rolebindings")[0]
    assert (binding["level"], binding["requestObject"]["roleRef"]["name"]) == ("RequestResponse", "view")
    assert [one["level"] for one in events(log, "pods") if one["user"]["username"] == "lab"] == ["Metadata"]
    assert events(log, "leases") == []

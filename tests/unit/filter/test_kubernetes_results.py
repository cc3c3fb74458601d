# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Results of kubernetes.core as they really look, and what the filter makes of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.dcm.platform.plugins.filter.kubernetes_results import kubernetes_failure

SERVER = "https://192.0.2.1:6443"
REFUSED = "Failed to establish a new connection: [Errno 111] Connection refused"


@pytest.fixture
def kubeconfig(tmp_path: Path) -> str:
    path = tmp_path / "kubeconfig"
    clusters = [{"name": "c", "cluster": {"server": SERVER}}]
    contexts = [{"name": "here", "context": {"cluster": "c", "user": "u"}}]
    users = [{"name": "u", "user": {"token": "canary"}}]
    path.write_text(json.dumps({"clusters": clusters, "contexts": contexts, "users": users, "current-context": "here"}))
    return str(path)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (
            "Exception 'HTTPSConnectionPool(host='192.0.2.1', port=6443): Max retries exceeded with url: /api/v1/nodes "
            f"(Caused by NewConnectionError(\"HTTPSConnection(host='192.0.2.1', port=6443): {REFUSED}\"))' raised "
            "while trying to get resource using {}",
            "Connection refused",
        ),
        (
            "Value of unknown type: <class 'urllib3.exceptions.NewConnectionError'>, HTTPSConnection(host='192.0.2.1', "
            f"port=6443): {REFUSED}",
            "Connection refused",
        ),
        (
            "Failed to apply object: ('Connection aborted.', RemoteDisconnected('Remote end closed connection'))",
            "the connection broke",
        ),
    ],
)
def test_a_server_that_does_not_answer(kubeconfig: str, message: str, reason: str) -> None:
    sentence = kubernetes_failure({"msg": message}, kubeconfig, "here")
    assert sentence.startswith(f"Kubernetes API at {SERVER} is not reachable: {reason}. ")


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (
            'Failed to apply object: {"kind":"Status","message":"namespaces \\"x\\" not found"}',
            'namespaces "x" not found',
        ),
        (
            "Failed to find exact match for velero.io/v1.Schedule",
            "Failed to find exact match for velero.io/v1.Schedule",
        ),
        ("Failed to apply object: {not JSON", "Failed to apply object: {not JSON"),
    ],
)
def test_a_server_that_refuses(kubeconfig: str, message: str, reason: str) -> None:
    assert kubernetes_failure({"msg": message}, kubeconfig) == f"Kubernetes API at {SERVER} refuses: {reason}"


def test_a_failure_without_a_message(kubeconfig: str) -> None:
    assert kubernetes_failure({}, kubeconfig).endswith("refuses: the task gives no reason")


def test_a_kubeconfig_that_is_not_there() -> None:
    assert kubernetes_failure({"msg": "x"}, "/nowhere/kubeconfig").startswith(
        "The kubeconfig /nowhere/kubeconfig cannot"
    )

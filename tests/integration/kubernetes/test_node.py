# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``kubernetes_node`` on the real API server, whose disruption budgets decide."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.ansible_runner import ModuleResult
from tests.conftest import LabFixture
from tests.integration.kubernetes.kubernetes_nodes import PATIENCE, Nodes
from tests.sandbox.service import free_port
from tests.waiting import eventually

Run = Callable[..., ModuleResult]


@pytest.fixture
def nodes(lab: LabFixture) -> Iterator[Nodes]:
    """Two nodes for the pods of this test."""
    found = Nodes(lab("kubernetes"), f"drain-{secrets.token_hex(3)}")
    try:
        for number in (1, 2):
            found.add(f"{found.group}-{number}")
        yield found
    finally:
        found.remove()


@pytest.fixture
def run(run_module: Run, lab: LabFixture) -> Run:
    def call(names: list[str], *, check: bool = False, diff: bool = False, **options: Any) -> ModuleResult:
        there = {"kubeconfig": lab("kubernetes")["kubeconfig"], "names": names}
        return run_module("kubernetes_node", {**there, **options}, check=check, diff=diff)

    return call


@pytest.mark.row("DO-11")
def test_a_node_is_drained_and_let_back(nodes: Nodes, run: Run) -> None:
    nodes.deploy(replicas=4, min_available=3)
    full = max(nodes.names, key=lambda name: len(nodes.pods(name)))
    before = nodes.pods(full)
    predicted = run([full, "not-registered"], check=True, diff=True)
    assert predicted["changed"]
    assert sorted(predicted["diff"][0]["before"]["pods"]) == sorted(f"{nodes.group}/{pod}" for pod in before)
    assert nodes.pods(full) == before
    assert not nodes.cordoned(full)

    result = run([full, "not-registered"])
    assert result["nodes"] == predicted["nodes"]
    assert result["nodes"] == [
        {"name": full, "registered": True, "cordoned": True, "pods": []},
        {"name": "not-registered", "registered": False},
    ]
    assert nodes.pods(full) == []
    assert nodes.cordoned(full)
    assert not run([full])["changed"]

    assert run([full], state="schedulable")["changed"]
    assert not nodes.cordoned(full)
    assert not run([full], state="schedulable")["changed"]


@pytest.mark.row("DO-11")
def test_a_budget_is_waited_for_and_then_named(nodes: Nodes, run: Run) -> None:
    nodes.deploy(replicas=1, min_available=1)
    [node] = [name for name in nodes.names if nodes.pods(name)]
    [pod] = nodes.pods(node)
    result = run([node], wait_timeout=2)
    assert result["failed"]
    assert f"node {node}" in result["msg"]
    assert f"{nodes.group}/{pod}" in result["msg"]
    assert "disruption budget" in result["msg"]
    assert nodes.pods(node) == [pod]

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(run, [node], wait_timeout=30)
        eventually(lambda: nodes.cordoned(node), "draining has begun", within=PATIENCE)
        nodes.allow(0)
        assert not waiting.result()["failed"]
    assert nodes.pods(node) == []


def test_nobody_there(run_module: Run) -> None:
    host = f"http://127.0.0.1:{free_port()}"
    result = run_module("kubernetes_node", {"host": host, "api_key": "canary", "names": ["one"]})
    assert result["failed"]
    assert f"Kubernetes API at {host} is not reachable: Connection refused." in result["msg"]
    assert "canary" not in result.output

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Asking many nodes at once."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import (
    NotFoundError,
    RefusedError,
    UnreachableError,
)
from ansible_collections.dcm.platform.plugins.module_utils.talos.inspection import (
    Answer,
    ask_all,
    attempt,
    definition_of,
)
from ansible_collections.dcm.platform.plugins.module_utils.talos.node import Node
from ansible_collections.dcm.platform.plugins.module_utils.talos.sensitive import shown

NODES = [Node(f"node-{number}", f"10.0.0.{number}") for number in range(1, 19)]
DEFINITIONS: list[dict[str, Any]] = [
    {"type": "Disks.block.talos.dev", "displayType": "Disk", "aliases": ["disk", "disks"]},
    {"type": "Members.cluster.talos.dev"},
]


def test_all_nodes_are_asked_at_the_same_time() -> None:
    """Each waits for all others, so one after the other would never end."""
    meeting = threading.Barrier(len(NODES), timeout=10)

    def ask(node: Node) -> str:
        meeting.wait()
        return node.name

    assert ask_all(NODES, ask) == [Answer(node, node.name) for node in NODES]


def test_one_that_does_not_answer_takes_nothing_from_the_others() -> None:
    error = UnreachableError("Talos API on node-2", "10.0.0.2:50000", "connection refused")

    def ask(node: Node) -> str:
        if node.name == "node-2":
            raise error
        return node.name

    assert ask_all(NODES[:3], ask) == [
        Answer(NODES[0], "node-1"),
        Answer(NODES[1], error=error),
        Answer(NODES[2], "node-3"),
    ]


def test_what_is_refused_is_noted() -> None:
    def question(error: Exception | None) -> Any:
        if error is not None:
            raise error
        return 1

    refused: dict[str, str] = {}
    assert attempt(lambda: question(None), refused, "a") == 1
    assert attempt(lambda: question(NotFoundError("nothing there")), refused, "b") is None
    assert attempt(lambda: question(RefusedError("not authorized")), refused, "c") is None
    assert refused == {"c": "not authorized"}


@pytest.mark.parametrize("name", ["Disks.block.talos.dev", "disks.BLOCK.talos.dev", "disk", "DISKS"])
def test_types_have_many_names(name: str) -> None:
    assert definition_of(DEFINITIONS, name) == DEFINITIONS[0]


def test_unknown_types() -> None:
    assert definition_of(DEFINITIONS, "") is None
    assert definition_of(DEFINITIONS, "member") is None


def test_what_may_be_shown() -> None:
    value = {"machine": {"token": "S", "type": "worker", "certSANs": ["a"]}, "list": [{"key": "S", "n": 1}]}
    assert shown(value) == {
        "machine": {"token": "(secret)", "type": "worker", "certSANs": ["a"]},
        "list": [{"key": "(secret)", "n": 1}],
    }

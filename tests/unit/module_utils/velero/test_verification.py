# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What of a backup is verified, and what a comparison finds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.client import Resource
from ansible_collections.dcm.platform.plugins.module_utils.velero.contents import Entry
from ansible_collections.dcm.platform.plugins.module_utils.velero.restore_spec import Source
from ansible_collections.dcm.platform.plugins.module_utils.velero.verification import (
    Held,
    Scope,
    VerifiedRestore,
    compare,
    counts,
    scratch_names,
)
from hypothesis import given
from hypothesis import strategies as st

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
SERVICES = Resource("", "v1", "services", "Service")


def entry(name: str = "x", namespace: str = "a", resource: Resource = CONFIG_MAPS, **rest: Any) -> Entry:
    return Entry(resource, namespace, name, **rest)


@pytest.mark.parametrize(
    ("scope", "found", "reason"),
    [
        (Scope(), entry(), ""),
        (Scope(), entry(namespace=""), "cluster scoped"),
        (Scope(), entry(resource=Resource("", "v1", "events", "Event")), "never restored"),
        (Scope(included_namespaces=["b"]), entry(), "other namespaces"),
        (Scope(included_namespaces=["a"]), entry(), ""),
        (Scope(included_namespaces=["*"]), entry(), ""),
        (Scope(excluded_namespaces=["a"]), entry(), "other namespaces"),
        (Scope(included_resources=["services"]), entry(), "excluded kinds"),
        (Scope(included_resources=["*"]), entry(), ""),
        (Scope(excluded_resources=["configmaps"]), entry(), "excluded kinds"),
    ],
)
def test_the_scope(scope: Scope, found: Entry, reason: str) -> None:
    assert scope.leaves_out(found) == reason


def test_what_a_backup_holds_is_sorted() -> None:
    found = [entry("x"), entry("y", "b"), entry("z", required=False), entry("a", ""), entry("b", "")]
    held = Held.of(found, Scope())
    assert held.entries == found[:2]
    assert (held.remade, held.left_out) == (1, {"cluster scoped": 2})
    assert held.namespaces() == ["a", "b"]


def test_a_comparison() -> None:
    entries = [entry(name, digest="1") for name in ("same", "lost", "other")]
    entries += [entry("live"), entry("public", resource=SERVICES), entry("gone", resource=SERVICES)]
    found = {(CONFIG_MAPS, "a"): {"same": "1", "other": "2", "live": "3", "more": "4"}, (SERVICES, "a"): {}}
    refusals = ['services "public" is forbidden: exceeded quota: dcm-verification']
    result = compare(entries, found, refusals, by_content=True)
    assert [item.name for item in result.missing] == ["lost", "gone"]
    assert [item.name for item in result.differing] == ["other"]
    assert [item.name for item in result.held_back] == ["public"]
    assert compare(entries, found, refusals, by_content=False).differing == []
    assert counts(entries, result.restored) == [
        {"kind": "v1/ConfigMap", "backed_up": 4, "restored": 3},
        {"kind": "v1/Service", "backed_up": 2, "restored": 0},
    ]


@given(st.sets(st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True), min_size=1))
def test_scratch_namespaces_have_names_of_their_own(namespaces: set[str]) -> None:
    names = scratch_names("verify-daily", namespaces)
    assert names.keys() == namespaces
    assert len(set(names.values())) == len(namespaces)
    assert all(len(name) <= 63 for name in names.values())
    assert names != scratch_names("verify-other", namespaces)


class FakeClient:
    """A server with a backup, and with what verifications have left."""

    namespace = "velero"

    def __init__(self, hours: float) -> None:
        created = (datetime.now(UTC) - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._left = {"metadata": {"name": "verify-old", "creationTimestamp": created}}
        self.kubernetes = self

    def chosen(self, source: Source) -> Any:
        return {"metadata": {"name": "daily-1"}}

    def items(self, resource: Resource, label_selector: str) -> list[Any]:
        return [self._left]

    def select(self, resource: Resource, namespace: str, label_selector: str) -> list[Any]:
        return [self._left]


@pytest.mark.parametrize(
    ("hours", "planned"),
    [
        (23, [("run", "verify-daily-1")]),
        (25, [("delete", "verify-old"), ("delete", "verify-old"), ("run", "verify-daily-1")]),
    ],
)
def test_what_a_killed_verification_left_is_removed_after_a_day(hours: float, planned: list[Any]) -> None:
    verified = VerifiedRestore(FakeClient(hours), Source("daily-1"), Scope(), 60)  # type: ignore[arg-type]
    changes = verified.plan(verified.read())
    assert [(change.action, change.name) for change in changes] == planned

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which backup is restored, what is planned, and which stored restore serves."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import NotFoundError, RefusedError
from ansible_collections.dcm.platform.plugins.module_utils.velero import restore_spec
from ansible_collections.dcm.platform.plugins.module_utils.velero.restore_spec import Source, WantedRestore

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
PARTIAL = Source("b", allow_partially_failed=True)


def backup(name: str, phase: str = "Completed", started: str = "2026-11-21T02:00:00Z", **status: Any) -> dict[str, Any]:
    state = {"phase": phase, "startTimestamp": started, **status}
    spec = {"storageLocation": "primary"}
    return {"kind": "Backup", "metadata": {"name": name, "namespace": "velero"}, "spec": spec, "status": state}


def restore(phase: str = "Completed", labels: Any = None, metadata: Any = None, **spec: Any) -> dict[str, Any]:
    found = {"name": "r", "namespace": "velero", "labels": labels or {}, **(metadata or {})}
    return {"kind": "Restore", "metadata": found, "spec": {"backupName": "b", **spec}, "status": {"phase": phase}}


@pytest.mark.parametrize(
    ("source", "backups", "chosen"),
    [
        (Source("b"), [backup("b")], "b"),
        (Source("b"), [backup("b", expiration="2026-11-20T00:00:00Z")], "b"),
        (PARTIAL, [backup("b", "PartiallyFailed")], "b"),
        (Source(schedule="s"), [backup("a"), backup("b", started="2026-11-21T03:00:00Z")], "b"),
        (Source(schedule="s"), [backup("a"), backup("b", "PartiallyFailed", "2026-11-21T03:00:00Z")], "a"),
        (
            Source(schedule="s", allow_partially_failed=True),
            [backup("a"), backup("b", "PartiallyFailed", "2026-11-21T03:00:00Z")],
            "b",
        ),
        (Source(schedule="s"), [backup("a"), backup("b", expiration="2026-11-20T00:00:00Z")], "a"),
    ],
)
def test_the_backup_that_is_chosen(source: Source, backups: list[Any], chosen: str) -> None:
    assert restore_spec.choose(source, backups, "velero", NOW)["metadata"]["name"] == chosen


@pytest.mark.parametrize(
    ("source", "backups", "error", "words"),
    [
        (Source("b"), [], NotFoundError, "There is no Backup velero/b."),
        (Source("b"), [backup("b", "")], RefusedError, "Backup velero/b is not usable: its phase is New."),
        (Source("b"), [backup("b", "Deleting")], RefusedError, "not usable: its phase is Deleting."),
        (Source("b"), [backup("b", "Finalizing")], RefusedError, "not usable: its phase is Finalizing."),
        (Source("b"), [backup("b", "PartiallyFailed")], RefusedError, "Set allow_partially_failed"),
        (PARTIAL, [backup("b", "Failed")], RefusedError, "velero/b ended as Failed: "),
        (Source("b"), [backup("b", "FailedValidation", validationErrors=["no"])], RefusedError, "was backed up: no."),
        (Source(schedule="s"), [], NotFoundError, "Schedule velero/s has no complete backup that is kept."),
        (
            Source(schedule="s"),
            [backup("a", "Failed"), backup("b", "Failed"), backup("c", "")],
            NotFoundError,
            "(there are: 2 Failed, 1 New).",
        ),
    ],
)
def test_backups_that_cannot_be_restored(
    source: Source, backups: list[Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error) as raised:
        restore_spec.choose(source, backups, "velero", NOW)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("location", "words"),
    [
        (None, "The storage location primary of backup b does not exist."),
        ({"status": {}}, "is not available: the server has not looked at it yet."),
        ({"status": {"phase": "Unavailable", "message": "no such bucket"}}, "is not available: no such bucket."),
    ],
)
def test_a_location_that_cannot_be_reached(location: Any, words: str) -> None:
    restore_spec.require_available(backup("b"), {"status": {"phase": "Available"}})
    with pytest.raises(RefusedError) as raised:
        restore_spec.require_available(backup("b"), location)
    assert words in str(raised.value)


def test_a_new_restore_names_its_backup_and_schedule() -> None:
    wanted = WantedRestore("r", Source(schedule="daily"), {"includedNamespaces": ["a"]}, {"team": "data"})
    (change,) = restore_spec.plan_restore(wanted, None, backup("daily-1"))
    assert (change.action, change.kind, change.name) == ("create", "Restore", "r")
    assert change.payload["spec"] == {"includedNamespaces": ["a"], "backupName": "daily-1"}
    assert change.payload["metadata"]["labels"] == {"team": "data", "velero.io/schedule-name": "daily"}


@pytest.mark.parametrize(
    ("stored", "patch"),
    [({"team": "data"}, None), ({}, {"team": "data"}), ({"team": "apps", "x": "y"}, {"team": "data"})],
)
def test_labels_are_all_that_can_change(stored: Any, patch: Any) -> None:
    wanted = WantedRestore("r", Source("b"), labels={"team": "data"})
    changes = restore_spec.plan_restore(wanted, restore(labels=stored), {})
    assert [change.payload for change in changes] == ([{"metadata": {"labels": patch}}] if patch else [])


@pytest.mark.parametrize(
    ("wanted", "stored", "differing"),
    [
        (WantedRestore("r", Source("b")), restore(excludedResources=["nodes"], itemOperationTimeout="4h0m0s"), None),
        (WantedRestore("r", Source("b"), {"itemOperationTimeout": "4h"}), restore(itemOperationTimeout="4h0m0s"), None),
        (
            WantedRestore("r", Source("b"), {"excludedResources": ["a"]}),
            restore(excludedResources=["a", "nodes"]),
            None,
        ),
        (WantedRestore("r", Source("c")), restore(), "backupName"),
        (WantedRestore("r", Source("b"), {"namespaceMapping": {"a": "b"}}), restore(), "namespaceMapping"),
        (WantedRestore("r", Source(schedule="s")), restore(scheduleName="s"), None),
        (WantedRestore("r", Source(schedule="s")), restore(labels={"velero.io/schedule-name": "s"}), None),
        (WantedRestore("r", Source(schedule="s")), restore(), "scheduleName"),
    ],
)
def test_whether_a_stored_restore_is_the_wanted_one(wanted: WantedRestore, stored: Any, differing: str | None) -> None:
    if differing is None:
        restore_spec.require_same(wanted, stored)
        return
    with pytest.raises(RefusedError, match=rf"these keys of its spec differ: {differing}\."):
        restore_spec.require_same(wanted, stored)


def test_a_restore_that_is_going_is_none() -> None:
    with pytest.raises(RefusedError, match="velero/r is being deleted"):
        restore_spec.require_same(WantedRestore("r", Source("b")), restore(metadata={"deletionTimestamp": "t"}))


@pytest.mark.parametrize("phase", ["FailedValidation", "Failed", "PartiallyFailed"])
def test_a_failure_is_told_with_the_reasons_of_the_server(phase: str) -> None:
    with pytest.raises(RefusedError, match=rf"Restore velero/r ended as {phase}.* a: no space\."):
        restore_spec.judge(restore(phase), frozenset([phase]), ["a: no space."])
    restore_spec.judge(restore(phase), frozenset(), [])

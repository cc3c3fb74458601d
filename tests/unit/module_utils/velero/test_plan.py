# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which stored backup serves, what is planned, and what an unusable one is called."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError, RefusedError
from ansible_collections.dcm.platform.plugins.module_utils.velero import phases, plan
from ansible_collections.dcm.platform.plugins.module_utils.velero.plan import WantedBackup

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
ALL_FAILURES = frozenset(phases.FAILURES)


def ago(hours: float) -> str:
    return (NOW - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")


def backup(name: str = "one", phase: str = "Completed", hours: float = 1, **rest: Any) -> dict[str, Any]:
    """A stored backup that was started so many hours ago."""
    metadata = {"name": name, "namespace": "velero", "uid": f"uid-{name}", "creationTimestamp": ago(hours)}
    status = {"phase": phase, "startTimestamp": ago(hours), **rest.pop("status", {})} if phase else {}
    return {"metadata": {**metadata, **rest.pop("metadata", {})}, "spec": rest.pop("spec", {}), "status": status}


DAILY = WantedBackup(prefix="daily", max_age=timedelta(hours=24))


@pytest.mark.parametrize(
    ("stored", "chosen"),
    [
        ([], None),
        ([backup("a")], "a"),
        ([backup("a", hours=3), backup("b", hours=2), backup("c", hours=4)], "b"),
        ([backup("a", hours=24)], "a"),
        ([backup("a", hours=24.01)], None),
        ([backup("a", "Failed"), backup("b", "FailedValidation"), backup("c", "PartiallyFailed")], None),
        ([backup("a", "Deleting")], None),
        ([backup("a", "InProgress")], "a"),
        ([backup("a", "")], "a"),
        ([backup("a", "", hours=25)], None),
        ([backup("a", hours=20), backup("b", "InProgress", hours=1)], "a"),
        ([backup("a", status={"expiration": ago(-1)})], "a"),
        ([backup("a", status={"expiration": ago(0)})], None),
        ([backup("a", hours=1, metadata={"creationTimestamp": ago(30)})], "a"),
    ],
    ids=[
        "none yet",
        "a fresh one",
        "the newest",
        "just young enough",
        "too old",
        "failures never serve",
        "being deleted",
        "running: waited for",
        "not seen by the server yet: waited for",
        "asked for long ago, never taken up",
        "complete before running",
        "kept for now",
        "expired",
        "its age counts from its start",
    ],
)
def test_which_backup_of_a_prefix_serves(stored: list[dict[str, Any]], chosen: str | None) -> None:
    found = plan.serving(DAILY, stored, NOW)
    assert (found and found["metadata"]["name"]) == chosen


def test_a_backup_of_other_content_does_not_serve() -> None:
    wanted = WantedBackup(prefix="daily", max_age=timedelta(hours=24), spec={"includedNamespaces": ["a"]})
    stored = [backup("b", spec={"includedNamespaces": ["b"]})]
    assert plan.serving(wanted, stored, NOW) is None


def test_a_partial_backup_serves_only_who_accepts_it() -> None:
    tolerant = WantedBackup(prefix="daily", max_age=timedelta(hours=24), fail_on=frozenset({"Failed"}))
    stored = [backup("a", "PartiallyFailed"), backup("b", "Failed")]
    found = plan.serving(tolerant, stored, NOW)
    assert found is stored[0]


def test_a_new_backup_of_a_prefix_carries_its_time_and_label() -> None:
    wanted = WantedBackup(prefix="daily", max_age=timedelta(hours=1), labels={"x": "y"}, spec={"ttl": "24h"})
    (change,) = plan.plan_present(wanted, None, NOW)
    assert (change.action, change.name) == ("create", "daily-20261121120000")
    labels = {"x": "y", "dcm.io/backup-prefix": "daily"}
    assert change.after == {"labels": labels, "spec": {"ttl": "24h"}}
    assert change.payload == {"metadata": {"name": "daily-20261121120000", "labels": labels}, "spec": {"ttl": "24h"}}


TEMPLATE = {"ttl": "24h", "includedNamespaces": ["a"], "metadata": {"labels": {"team": "data"}}}
LONG_NAME = "s" * 70
HASHED = "s" * 57 + hashlib.sha256(LONG_NAME.encode()).hexdigest()[:6]


@pytest.mark.parametrize(
    ("schedule", "labels"),
    [
        ({"spec": {"template": TEMPLATE}, "metadata": {"labels": {"own": "x"}}}, {"team": "data"}),
        ({"spec": {"template": {**TEMPLATE, "metadata": None}}, "metadata": {"labels": {"own": "x"}}}, {"own": "x"}),
        ({"spec": {"template": {**TEMPLATE, "metadata": {"labels": {}}}}, "metadata": {"labels": {"own": "x"}}}, {}),
    ],
)
def test_a_backup_as_its_schedule_makes_it(schedule: dict[str, Any], labels: dict[str, str]) -> None:
    wanted = WantedBackup(schedule=LONG_NAME, spec={"ttl": "1h"}).following(schedule)
    (change,) = plan.plan_present(wanted, None, NOW)
    assert change.name == f"{LONG_NAME}-20261121120000"
    assert change.payload["spec"] == {"ttl": "1h", "includedNamespaces": ["a"]}
    assert change.payload["metadata"]["labels"] == {**labels, "velero.io/schedule-name": HASHED}


def test_only_backups_of_the_schedules_present_content_serve() -> None:
    wanted = WantedBackup(schedule="daily", max_age=timedelta(hours=24)).following(
        {"spec": {"template": TEMPLATE}, "metadata": {}}
    )
    stored = [backup("old", hours=2, spec={"ttl": "24h0m0s", "includedNamespaces": ["a"]})]
    newer = backup("new", hours=1, spec={"ttl": "24h0m0s", "includedNamespaces": ["b"]})
    assert plan.serving(wanted, [*stored, newer], NOW) is stored[0]
    assert plan.serving(wanted, [newer], NOW) is None
    named = WantedBackup(name="new", schedule="daily").following({"spec": {"template": TEMPLATE}, "metadata": {}})
    assert plan.serving(named, [newer], NOW) is newer, "a named one is compared with what was given only"


@pytest.mark.parametrize("phase", ["Completed", "InProgress", "Finalizing", "New", ""])
def test_a_backup_of_that_name_is_left_alone(phase: str) -> None:
    stored = backup("one", phase)
    assert plan.serving(WantedBackup(name="one"), [stored], NOW) is stored
    assert plan.plan_present(WantedBackup(name="one"), stored, NOW) == []


FAILED_STATUS = {
    "FailedValidation": {"validationErrors": ["no location", "no namespace"]},
    "Failed": {"failureReason": "the server was restarted"},
    "PartiallyFailed": {"errors": 2, "progress": {"totalItems": 12, "itemsBackedUp": 10}},
    "Deleting": {},
}


@pytest.mark.parametrize(
    ("phase", "words"),
    [
        ("FailedValidation", "ended as FailedValidation, nothing was backed up: no location; no namespace."),
        ("Failed", "ended as Failed: the server was restarted."),
        ("PartiallyFailed", "ended as PartiallyFailed: 2 errors and 0 warnings, 10 of 12 items are backed up."),
        ("Deleting", "is being deleted."),
    ],
)
def test_an_unusable_backup_of_that_name_is_never_fine(phase: str, words: str) -> None:
    stored = backup("one", phase, status=FAILED_STATUS[phase])
    with pytest.raises(RefusedError) as raised:
        plan.serving(WantedBackup(name="one"), [stored], NOW)
    assert raised.value.message == f"Backup velero/one {words}"
    assert raised.value.hint


def test_another_content_under_that_name_is_an_error() -> None:
    wanted = WantedBackup(name="one", spec={"ttl": "24h", "includedNamespaces": ["a"]})
    with pytest.raises(
        RefusedError, match=r"these keys of its spec differ: includedNamespaces, ttl\. A backup cannot be"
    ):
        plan.serving(wanted, [backup("one", spec={"ttl": "48h0m0s", "includedNamespaces": ["b"]})], NOW)


def test_labels_are_added_and_others_left_alone() -> None:
    wanted = WantedBackup(name="one", labels={"keep": "this", "new": "label", "change": "to"})
    stored = backup("one", metadata={"labels": {"keep": "this", "change": "from", "velero.io/storage-location": "x"}})
    (change,) = plan.plan_present(wanted, stored, NOW)
    assert (change.action, change.name) == ("update", "one")
    assert change.before == {"labels": {"change": "from"}}
    assert change.after == {"labels": {"new": "label", "change": "to"}}
    assert change.payload == {"metadata": {"labels": {"new": "label", "change": "to"}}}


@pytest.mark.parametrize("name", ["A", "a_b", "-a", "a-", "a..b", "a.", "", "a" * 254, "a b"])
def test_names_that_kubernetes_does_not_take(name: str) -> None:
    with pytest.raises(InputError, match="cannot be the name of a backup"):
        WantedBackup(prefix=f"{name}\n" if not name else None, name=name or None).name_at(NOW)


@pytest.mark.parametrize("name", ["a", "a-b.c", "0", "a" * 253])
def test_names_that_it_takes(name: str) -> None:
    assert WantedBackup(name=name).name_at(NOW) == name


@pytest.mark.parametrize(
    ("existing", "requests", "planned"),
    [
        (None, [], 0),
        (backup("one"), [], 1),
        (backup("one"), [{"status": {"phase": "InProgress"}}], 0),
        (backup("one"), [{}], 0),
        (backup("one", "Deleting"), [{"status": {"phase": "Processed", "errors": ["no"]}}], 1),
    ],
    ids=["not there", "there", "asked already", "asked just now", "refused before"],
)
def test_deletion(existing: dict[str, Any] | None, requests: list[dict[str, Any]], planned: int) -> None:
    changes = plan.plan_absent(existing, requests)
    assert [change.action for change in changes] == ["delete"] * planned


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({}, "no Velero server has taken it up yet"),
        ({"phase": "Queued", "queuePosition": 3}, "its phase is Queued, position 3 of the queue"),
        (
            {"phase": "InProgress", "progress": {"totalItems": 12, "itemsBackedUp": 10}},
            "its phase is InProgress, 10 of 12 items are backed up",
        ),
    ],
)
def test_progress_in_words(status: dict[str, Any], words: str) -> None:
    assert phases.progress({"status": status}).startswith(words)


def test_a_summary_has_every_figure() -> None:
    stored = backup("one", hours=1, spec={"storageLocation": "default"}, status={"progress": {"totalItems": 4}})
    assert phases.summary(stored) == {
        "name": "one",
        "phase": "Completed",
        "started": ago(1),
        "completed": None,
        "expires": None,
        "items": {"total": 4, "backed_up": 0},
        "errors": 0,
        "warnings": 0,
        "storage_location": "default",
    }
    assert phases.summary({"metadata": {"name": "new"}})["phase"] == "New"


def test_judging_depends_on_the_phases_named() -> None:
    failed = backup("one", "PartiallyFailed", status=FAILED_STATUS["PartiallyFailed"])
    plan.judge(failed, frozenset({"Failed"}))
    plan.judge(backup("one"), ALL_FAILURES)
    with pytest.raises(RefusedError, match="ended as PartiallyFailed"):
        plan.judge(failed, ALL_FAILURES)

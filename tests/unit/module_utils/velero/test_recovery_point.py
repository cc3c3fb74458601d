# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which backup counts for a schedule, and when its objective is missed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.velero.recovery_point import (
    Objectives,
    RecoveryPoint,
    recovery_points,
    shown,
)

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = timedelta(hours=24)


def ago(hours: float) -> str:
    return (NOW - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")


def backup(name: str, hours: float, phase: str = "Completed", schedule: str = "daily", **status: Any) -> dict[str, Any]:
    """A backup that began so many hours ago and took one."""
    times = {"startTimestamp": ago(hours), "completionTimestamp": ago(hours - 1)}
    labels = {"velero.io/schedule-name": schedule}
    return {"metadata": {"name": name, "labels": labels}, "status": {"phase": phase, **times, **status}}


def schedule(name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": spec}


def point(backups: list[Any], objectives: Objectives, **spec: Any) -> RecoveryPoint:
    (found,) = recovery_points([schedule("daily", **spec)], backups, objectives, NOW)
    return found


@pytest.mark.parametrize(
    ("backups", "newest"),
    [
        ([], None),
        ([backup("a", 30), backup("b", 20), backup("c", 25)], "b"),
        ([backup("a", 30), backup("b", 20, "PartiallyFailed"), backup("c", 10, "Failed")], "a"),
        ([backup("a", 30), backup("b", 20, "Deleting"), backup("c", 10, "InProgress")], "a"),
        ([backup("a", 30), backup("b", 20, expiration=ago(1)), backup("c", 31, expiration=ago(-1))], "a"),
        ([backup("a", 30), backup("b", 20, schedule="other")], "a"),
    ],
    ids=["none", "the newest", "failures", "not ended or going", "expired", "another schedule's"],
)
def test_the_newest_complete_backup_counts(backups: list[Any], newest: str | None) -> None:
    assert point(backups, Objectives({})).backup == newest


@pytest.mark.parametrize(
    ("hours", "objectives", "violated"),
    [
        (24, Objectives({"daily": DAY}), False),
        (24.01, Objectives({"daily": DAY}), True),
        (24.01, Objectives({"daily": DAY}, measured_from="completion"), False),
        (24.01, Objectives({}, DAY), True),
        (24.01, Objectives({"daily": 2 * DAY}, DAY), False),
        (9999, Objectives({}), False),
        (None, Objectives({}, DAY), True),
        (None, Objectives({}), False),
    ],
)
def test_an_objective(hours: float | None, objectives: Objectives, violated: bool) -> None:
    assert point([backup("a", hours)] if hours else [], objectives).violated is violated


def test_a_paused_schedule_has_only_an_objective_of_its_own() -> None:
    assert not point([], Objectives({}, DAY), paused=True).violated
    assert point([], Objectives({"daily": DAY}), paused=True).violated


def test_partial_failures_count_where_allowed() -> None:
    objectives = Objectives({}, allow_partially_failed=True)
    assert point([backup("a", 30), backup("b", 20, "PartiallyFailed")], objectives).backup == "b"


def test_a_schedule_that_is_gone_is_judged_by_its_backups() -> None:
    (found,) = recovery_points([], [backup("a", 25)], Objectives({"daily": DAY}), NOW)
    assert not found.exists
    assert found.reason() == (
        "schedule daily, which does not exist, has its newest complete backup from 25 h ago, 24 h is allowed"
    )
    assert found.as_result() == {
        "name": "daily",
        "exists": False,
        "paused": False,
        "newest": "a",
        "age": 90000,
        "objective": 86400,
        "violated": True,
    }


def test_a_long_name_is_found_by_the_label_that_the_server_cuts() -> None:
    name = "s" * 70
    cut = "s" * 57 + "861038"
    (found,) = recovery_points([schedule(name)], [backup("a", 1, schedule=cut)], Objectives({}), NOW)
    assert found.backup == "a"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59.9, "59 s"), (60, "1 min"), (5400, "1.5 h"), (86400, "24 h")]
)
def test_lengths_of_time(seconds: float, text: str) -> None:
    assert shown(timedelta(seconds=seconds)) == text

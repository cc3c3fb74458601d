# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How old the newest usable backup of each schedule is, against how old it may be. Pure: no requests, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from ansible_collections.dcm.platform.plugins.module_utils.velero import phases
from ansible_collections.dcm.platform.plugins.module_utils.velero.resources import (
    SCHEDULE_NAME_LABEL,
    label_value,
)

Object = Mapping[str, Any]
TIMES = {"start": "startTimestamp", "completion": "completionTimestamp"}


@dataclass(frozen=True)
class Objectives:
    """How old the newest backup may be: of schedules by name, and of all others that are not paused (None: any age)."""

    named: Mapping[str, timedelta]
    default: timedelta | None = None
    measured_from: Literal["start", "completion"] = "start"
    allow_partially_failed: bool = False


@dataclass(frozen=True)
class RecoveryPoint:
    """What of a schedule could be brought back now. ``age`` is None without a usable backup."""

    schedule: str
    paused: bool
    exists: bool
    backup: str | None
    age: timedelta | None
    objective: timedelta | None

    @property
    def violated(self) -> bool:
        """Whether more would be lost than is allowed."""
        return self.objective is not None and (self.age is None or self.age > self.objective)

    def reason(self) -> str:
        """What is wrong, for a person. For one that is violated."""
        schedule = f"schedule {self.schedule}{'' if self.exists else ', which does not exist,'}"
        schedule += " is paused and" if self.paused else ""
        if self.age is None:
            return f"{schedule} has no complete backup that is kept, {shown(self.objective)} is allowed"
        return (
            f"{schedule} has its newest complete backup from {shown(self.age)} ago, {shown(self.objective)} is allowed"
        )

    def as_result(self) -> dict[str, Any]:
        """As a module returns it, in seconds."""
        return {
            "name": self.schedule,
            "exists": self.exists,
            "paused": self.paused,
            "newest": self.backup,
            "age": None if self.age is None else int(self.age.total_seconds()),
            "objective": None if self.objective is None else int(self.objective.total_seconds()),
            "violated": self.violated,
        }


def recovery_points(
    schedules: Iterable[Object], backups: Sequence[Object], objectives: Objectives, now: datetime
) -> list[RecoveryPoint]:
    """One for each schedule there is, and for each other one that has an objective; by name."""
    there = {item["metadata"]["name"]: item for item in schedules}
    points = []
    for name in sorted(there.keys() | objectives.named.keys()):
        paused = bool(there.get(name, {}).get("spec", {}).get("paused"))
        newest = newest_of(name, backups, objectives, now)
        points.append(
            RecoveryPoint(
                schedule=name,
                paused=paused,
                exists=name in there,
                backup=newest["metadata"]["name"] if newest else None,
                age=age(newest, objectives.measured_from, now) if newest else None,
                objective=objectives.named.get(name, None if paused else objectives.default),
            )
        )
    return points


def newest_of(schedule: str, backups: Iterable[Object], objectives: Objectives, now: datetime) -> Object | None:
    """The youngest usable backup of a schedule."""
    usable = [phases.COMPLETED, *([phases.PARTIALLY_FAILED] if objectives.allow_partially_failed else [])]
    label = label_value(schedule)
    return phases.newest((item for item in backups if label == label_of_schedule(item)), usable, now)


def label_of_schedule(backup: Object) -> str | None:
    """What the server notes of the schedule of a backup; a long name is cut."""
    return (backup["metadata"].get("labels") or {}).get(SCHEDULE_NAME_LABEL)


def age(backup: Object, measured_from: str, now: datetime) -> timedelta | None:
    """How long ago a backup began or ended, None when it has not."""
    moment = phases.timestamp(backup, TIMES[measured_from])
    return now - moment if moment else None


def shown(length: timedelta | None) -> str:
    """A length of time as a person writes it: ``26.5 h``, ``45 min``, ``12 s``."""
    seconds = int((length or timedelta()).total_seconds())
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds} s"

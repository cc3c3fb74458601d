# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The run of ``velero_backup_info``: which backups there are, and whether they are young enough."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, Outcome
from ansible_collections.dcm.platform.plugins.module_utils.engine.concurrent import map_concurrently
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import PlatformError, RefusedError
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import Reconciler
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.client import Object
from ansible_collections.dcm.platform.plugins.module_utils.velero import phases
from ansible_collections.dcm.platform.plugins.module_utils.velero.recovery_point import (
    Objectives,
    age,
    label_of_schedule,
    recovery_points,
)
from ansible_collections.dcm.platform.plugins.module_utils.velero.resources import BACKUP, SCHEDULE, label_value
from ansible_collections.dcm.platform.plugins.module_utils.velero.restore import RestoreClient

WORKERS = 8
WITH_FILES = (phases.COMPLETED, phases.PARTIALLY_FAILED)


@dataclass(frozen=True)
class Question:
    """What is asked: backups of these names and schedules (all, if none are given), and which of their files."""

    names: Sequence[str] = ()
    schedules: Sequence[str] = ()
    results: bool = False
    sizes: bool = False
    objectives: Objectives = field(default_factory=lambda: Objectives({}))
    fail_on_violation: bool = False

    def covers(self, backup: Object) -> bool:
        """Whether a backup is asked for."""
        if not (self.names or self.schedules):
            return True
        of_schedule = label_of_schedule(backup) in [label_value(name) for name in self.schedules]
        return of_schedule or backup["metadata"]["name"] in self.names


@dataclass(frozen=True)
class Actual:
    """All there is; and of the backups that are asked for, what their files tell, by name."""

    backups: Sequence[Object]
    schedules: Sequence[Object]
    files: Mapping[str, Mapping[str, Any]]


class BackupReader(Reconciler[Actual]):
    """Changes nothing."""

    def __init__(self, client: RestoreClient, question: Question) -> None:
        self._client = client
        self._question = question

    def read(self) -> Actual:
        backups = self._client.objects(BACKUP)
        asked = [item for item in backups if phases.phase(item) in WITH_FILES and self._question.covers(item)]
        files = map_concurrently(self._files, asked, WORKERS)
        by_name = {item["metadata"]["name"]: found for item, found in zip(asked, files, strict=True)}
        return Actual(backups, self._client.objects(SCHEDULE), by_name)

    def _files(self, backup: Object) -> Mapping[str, Any]:
        name, downloads = backup["metadata"]["name"], self._client.downloads
        found: dict[str, Any] = {}
        try:
            if self._question.sizes:
                found["size"] = downloads.size("BackupContents", name, backup)
            if self._question.results:
                found["results"] = downloads.results("BackupResults", name, backup)
        except PlatformError as error:
            found["unreadable"] = error.message
        return found

    def plan(self, actual: Actual) -> Sequence[Change]:
        return ()

    def apply(self, changes: Sequence[Change]) -> Iterable[Outcome]:
        return ()

    def result(self, actual: Actual, changes: Sequence[Change]) -> dict[str, Any]:
        """Backups, newest first, and schedules with their recovery points. Raises for one that is too old."""
        question, now = self._question, datetime.now(UTC)
        points = [
            point
            for point in recovery_points(actual.schedules, actual.backups, question.objectives, now)
            if not question.schedules or point.schedule in {*question.schedules, *question.objectives.named}
        ]
        violations = [point.reason() for point in points if point.violated]
        if violations and question.fail_on_violation:
            raise RefusedError(
                f"Too much would be lost now: {'; '.join(violations)}.",
                hint="See why no newer backup is complete, or make one (velero_backup).",
            )
        backups = sorted(filter(question.covers, actual.backups), key=_moment, reverse=True)
        return {
            "backups": [_described(item, actual.files, now) for item in backups],
            "schedules": [point.as_result() for point in points],
            "violations": violations,
        }


def _described(backup: Object, files: Mapping[str, Mapping[str, Any]], now: datetime) -> dict[str, Any]:
    length = age(backup, "start", now)
    return {
        **phases.summary(backup),
        "schedule": label_of_schedule(backup),
        "age": None if length is None else int(length.total_seconds()),
        **files.get(backup["metadata"]["name"], {}),
    }


def _moment(backup: Object) -> tuple[str, str]:
    started = backup.get("status", {}).get("startTimestamp") or backup["metadata"]["creationTimestamp"]
    return str(started), str(backup["metadata"]["name"])

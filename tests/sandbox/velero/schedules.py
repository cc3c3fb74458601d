# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Schedules: they make backups when they are due."""

from __future__ import annotations

import datetime

from kubernetes.client.exceptions import ApiException

from tests.sandbox.cluster import Object
from tests.sandbox.velero import cron, terms
from tests.sandbox.velero.loop import Controller

BLOCKING = ("New", "InProgress")
LONGEST_WAIT = 3600.0


class ScheduleController(Controller):
    """Validates schedules and starts their backups. A paused schedule is not looked at."""

    kind = terms.SCHEDULES

    def handle(self, item: Object) -> float | None:
        if terms.spec(item).get("paused"):
            return None
        timing, status = _examined(item)
        skipping = _skipping(item) if timing else {}
        patch = {**skipping, "status": {**status, **skipping.get("status", {})}}
        if any(item.get(part, {}).get(name) != value for part in patch for name, value in patch[part].items()):
            item = self.context.patch(terms.SCHEDULES, item, patch)
        if timing is None:
            return None
        due = timing.next(last_run(item))
        if due is None:
            return None
        left = (due - terms.CLOCK.now()).total_seconds()
        if left >= 0:
            return min(left + 0.01, LONGEST_WAIT)
        if self._running(item["metadata"]["name"]):
            return self.context.periods.waiting
        self._fire(item)
        return 0.0

    def _running(self, name: str) -> bool:
        selector = f"{terms.SCHEDULE_NAME}={terms.label_value(name)}"
        return any(terms.phase(backup) in BLOCKING for backup in self.context.items(terms.BACKUPS, selector))

    def _fire(self, schedule: Object) -> None:
        now = terms.now()
        try:
            self.context.cluster.create(terms.BACKUPS.path(self.context.namespace), backup_of(schedule, now))
        except ApiException as error:
            if error.status != 409:  # two within a second would have one name
                raise
        self.context.patch(terms.SCHEDULES, schedule, {"status": {"lastBackup": terms.timestamp(now)}})


def _examined(schedule: Object) -> tuple[cron.Schedule | None, Object]:
    """When it is due, None if it is invalid, and the status that says so."""
    expression = terms.spec(schedule).get("schedule", "")
    timing, errors = None, None
    try:
        timing = cron.parse(expression)
    except cron.CronError as error:
        text = f"invalid schedule: {error}" if expression else "Schedule must be a non-empty valid Cron expression"
        errors = [text]
    return timing, {"phase": "FailedValidation" if errors else "Enabled", "validationErrors": errors}


def _skipping(schedule: Object) -> Object:
    """``skipImmediately``: absent becomes the server's default; true is used once and becomes false."""
    skip = terms.spec(schedule).get("skipImmediately")
    patch: Object = {"spec": {"skipImmediately": False}}
    return {**patch, "status": {"lastSkipped": terms.timestamp(terms.now())}} if skip else patch


def last_run(schedule: Object) -> datetime.datetime:
    """The moment after which the next run is reckoned."""
    status = schedule.get("status") or {}
    last = terms.moment(status.get("lastBackup") or schedule["metadata"]["creationTimestamp"])
    return max(last, terms.moment(status["lastSkipped"])) if status.get("lastSkipped") else last


def backup_of(schedule: Object, now: datetime.datetime) -> Object:
    """The Backup that a schedule makes."""
    metadata = schedule["metadata"]
    template = terms.spec(schedule).get("template") or {}
    own = (template.get("metadata") or {}).get("labels")
    labels = metadata.get("labels") or {} if own is None else own
    name = metadata["name"]
    result: Object = {
        "name": f"{name}-{now:%Y%m%d%H%M%S}",
        "labels": {**labels, terms.SCHEDULE_NAME: terms.label_value(name)},
        "annotations": metadata.get("annotations") or {},
    }
    if terms.spec(schedule).get("useOwnerReferencesInBackup"):
        reference = {"apiVersion": terms.SCHEDULES.api_version, "kind": terms.SCHEDULES.kind, "name": name}
        result["ownerReferences"] = [{**reference, "uid": metadata["uid"], "controller": True}]
    return {
        "apiVersion": terms.BACKUPS.api_version,
        "kind": terms.BACKUPS.kind,
        "metadata": result,
        "spec": template,
    }

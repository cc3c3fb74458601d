# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which backup serves, and what to change so that there is one. Pure: no requests, no clock."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError, RefusedError
from ansible_collections.dcm.platform.plugins.module_utils.velero import phases
from ansible_collections.dcm.platform.plugins.module_utils.velero.backup_spec import differences
from ansible_collections.dcm.platform.plugins.module_utils.velero.resources import (
    PREFIX_LABEL,
    SCHEDULE_NAME_LABEL,
    label_value,
)

Backup = dict[str, Any]

NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
NAME_LENGTH = 253
STAMP = "%Y%m%d%H%M%S"  # as the server names the backups of a schedule


def require_name(name: str, what: str) -> None:
    """Raise :class:`InputError` for a name that Kubernetes does not take."""
    if len(name) > NAME_LENGTH or not NAME.fullmatch(name):
        raise InputError(
            f"{name!r} cannot be the name of a {what}: at most {NAME_LENGTH} lower-case letters, digits, "
            "'-' and '.', starting and ending with a letter or digit."
        )


@dataclass(frozen=True)
class WantedBackup:
    """The backup that there should be: that of ``name``, or one of ``prefix`` that is not older than ``max_age``.

    ``schedule``: whose template it follows in what ``spec`` leaves open; without ``name`` and ``prefix``, it is one of
    that schedule's backups. ``template`` and ``template_labels`` are what a new one takes from there.
    """

    name: str | None = None
    prefix: str | None = None
    max_age: timedelta = timedelta()
    spec: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    schedule: str | None = None
    template: Mapping[str, Any] = field(default_factory=dict)
    template_labels: Mapping[str, str] = field(default_factory=dict)
    fail_on: frozenset[str] = frozenset(phases.FAILURES)

    def name_at(self, now: datetime) -> str:
        """The name of a backup made now (UTC). Raises :class:`InputError` for one that Kubernetes does not take."""
        name = self.name or f"{self.prefix or self.schedule}-{now.strftime(STAMP)}"
        require_name(name, "backup")
        return name

    def all_labels(self) -> dict[str, str]:
        """The user's labels, and those by which a backup of this prefix or schedule is found again."""
        prefix = {PREFIX_LABEL: label_value(self.prefix)} if self.prefix else {}
        schedule = {SCHEDULE_NAME_LABEL: label_value(self.schedule)} if self.schedule else {}
        return {**self.labels, **prefix, **schedule}

    def contents(self) -> dict[str, Any]:
        """The spec of a new backup."""
        return {**self.template, **self.spec}

    def following(self, schedule: Mapping[str, Any]) -> WantedBackup:
        """The same with the template of its schedule, as the server makes backups of it."""
        template = dict(schedule["spec"].get("template") or {})
        labels = (template.pop("metadata", None) or {}).get("labels")
        if labels is None:
            labels = schedule["metadata"].get("labels") or {}
        return replace(self, template=template, template_labels=labels)


def serving(wanted: WantedBackup, stored: Sequence[Backup], now: datetime) -> Backup | None:
    """The stored backup that is, or is about to become, what is wanted; None when one has to be made.

    ``stored``: the backup of that name, or all of the prefix. Raises :class:`RefusedError` for a backup of the wanted
    name that is not usable: a backup cannot be changed or repeated under its name.
    """
    if wanted.name:
        for backup in stored:
            _require_usable(wanted, backup)
        return stored[0] if stored else None
    candidates = [backup for backup in stored if _is_fresh(wanted, backup, now)]
    return max(candidates, key=lambda backup: (_is_complete(backup), _began(backup)), default=None)


def plan_present(wanted: WantedBackup, existing: Backup | None, now: datetime) -> list[Change]:
    """Make the backup, or give the one that serves the labels it lacks."""
    if existing is None:
        labels = {**wanted.template_labels, **wanted.all_labels()}
        body = {"metadata": {"name": wanted.name_at(now), "labels": labels}, "spec": wanted.contents()}
        shown = {"labels": labels, "spec": wanted.contents()}
        return [Change("create", "Backup", body["metadata"]["name"], None, shown, body)]
    return plan_labels("Backup", existing, wanted.all_labels())


def plan_labels(kind: str, existing: Mapping[str, Any], wanted: Mapping[str, str]) -> list[Change]:
    """Give a backup or a restore the labels it lacks; nothing else of one can change."""
    name, labels = existing["metadata"]["name"], existing["metadata"].get("labels", {})
    missing = {key: value for key, value in wanted.items() if labels.get(key) != value}
    if not missing:
        return []
    before = {"labels": {key: labels[key] for key in missing if key in labels}}
    return [Change("update", kind, name, before, {"labels": missing}, {"metadata": {"labels": missing}})]


def require_no_difference(item: Mapping[str, Any], other: Sequence[str]) -> None:
    """Raise :class:`RefusedError` when keys of the spec of a backup or a restore are not as they are wanted."""
    if other:
        kind, metadata = phases.kind(item), item["metadata"]
        raise RefusedError(
            f"{kind} {metadata['namespace']}/{metadata['name']} exists with another content than wanted; these keys of "
            f"its spec differ: {', '.join(other)}.",
            hint=f"A {kind.lower()} cannot be changed: take another name, or delete it (state: absent) and run again.",
        )


def plan_absent(existing: Backup | None, requests: Sequence[Mapping[str, Any]]) -> list[Change]:
    """Ask the server to delete the backup, unless it was asked already and has not answered yet."""
    if existing is None or any(is_pending(request) for request in requests):
        return []
    return [Change("delete", "Backup", existing["metadata"]["name"], phases.summary(existing), None, existing)]


def is_pending(request: Mapping[str, Any]) -> bool:
    """Whether the server still has to work on a DeleteBackupRequest."""
    return bool(request.get("status", {}).get("phase", "") != "Processed")


def judge(backup: Backup, fail_on: frozenset[str]) -> None:
    """Raise :class:`RefusedError` when the backup ended in a phase that counts as failure."""
    if phases.phase(backup) in fail_on:
        raise RefusedError(
            phases.failure(backup),
            hint=f"The server's log and {phases.summary(backup)['name']}-logs.gz in the storage location say more. "
            "Remove the cause, delete this backup (state: absent), then run again.",
        )


def _require_usable(wanted: WantedBackup, backup: Backup) -> None:
    what = f"Backup {backup['metadata']['namespace']}/{backup['metadata']['name']}"
    if phases.phase(backup) == phases.DELETING:
        raise RefusedError(f"{what} is being deleted.", hint="Wait until it is gone, or take another name.")
    judge(backup, wanted.fail_on)
    require_no_difference(backup, differences(wanted.spec, backup.get("spec", {})))


def _is_fresh(wanted: WantedBackup, backup: Backup, now: datetime) -> bool:
    """Whether the backup is one of the same content, young enough, kept for now, and complete or still running."""
    if differences(wanted.contents(), backup.get("spec", {})) or now - _began(backup) > wanted.max_age:
        return False
    if phases.has_expired(backup, now):
        return False
    phase = phases.phase(backup)
    if phase == phases.PARTIALLY_FAILED:
        return phase not in wanted.fail_on
    return phase not in (phases.FAILED, phases.FAILED_VALIDATION, phases.DELETING)


def _is_complete(backup: Backup) -> bool:
    return phases.phase(backup) == phases.COMPLETED


def _began(backup: Backup) -> datetime:
    """When the state was taken that the backup holds; before its start, when it was asked for."""
    created = datetime.fromisoformat(backup["metadata"]["creationTimestamp"])
    return phases.timestamp(backup, "startTimestamp") or created

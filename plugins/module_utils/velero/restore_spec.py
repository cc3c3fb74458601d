# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a restore brings back, from which backup, and whether a stored one is what is wanted. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments
from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import NotFoundError, RefusedError
from ansible_collections.dcm.platform.plugins.module_utils.velero import phases
from ansible_collections.dcm.platform.plugins.module_utils.velero.backup_spec import (
    FLAG,
    LIST,
    MAP,
    TEXT,
    Field,
    camel_case,
    differences,
    same_duration,
    same_members,
    superset,
)
from ansible_collections.dcm.platform.plugins.module_utils.velero.plan import plan_labels, require_no_difference
from ansible_collections.dcm.platform.plugins.module_utils.velero.resources import (
    RESTORE_NAME_LABEL,
    SCHEDULE_NAME_LABEL,
    label_value,
    selector,
)
from ansible_collections.dcm.platform.plugins.module_utils.velero.tree import equal

Object = dict[str, Any]

STATUS = {"type": "dict", "options": {"included_resources": LIST, "excluded_resources": LIST}}
FIELDS = (
    Field("included_namespaces", "includedNamespaces", LIST, same_members),
    Field("excluded_namespaces", "excludedNamespaces", LIST, superset),
    Field("included_resources", "includedResources", LIST, same_members),
    Field("excluded_resources", "excludedResources", LIST, superset),
    Field("include_cluster_resources", "includeClusterResources", FLAG, equal),
    Field("label_selector", "labelSelector", MAP, equal),
    Field("or_label_selectors", "orLabelSelectors", {"type": "list", "elements": "dict"}, equal),
    Field("namespace_mapping", "namespaceMapping", MAP, equal),
    Field("existing_resource_policy", "existingResourcePolicy", {**TEXT, "choices": ["none", "update"]}, equal),
    Field("restore_volumes", "restorePVs", FLAG, equal),
    Field("preserve_node_ports", "preserveNodePorts", FLAG, equal),
    Field("restore_status", "restoreStatus", STATUS, equal, camel_case),
    Field("hooks", "hooks", MAP, equal),
    Field("item_operation_timeout", "itemOperationTimeout", TEXT, same_duration),
)

RESTORE_SPEC_ARGUMENTS = Arguments(
    {entry.option: entry.argument for entry in FIELDS},
    mutually_exclusive=(("label_selector", "or_label_selectors"),),
)


@dataclass(frozen=True)
class Source:
    """Where a restore comes from: the backup of that name, or the newest usable one of the schedule."""

    backup: str | None = None
    schedule: str | None = None
    allow_partially_failed: bool = False

    def usable(self) -> tuple[str, ...]:
        """Phases of backups that serve."""
        return (phases.COMPLETED, phases.PARTIALLY_FAILED) if self.allow_partially_failed else (phases.COMPLETED,)


@dataclass(frozen=True)
class WantedRestore:
    """The restore that there should be."""

    name: str
    source: Source
    spec: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    fail_on: frozenset[str] = frozenset(phases.FAILURES)

    def all_labels(self) -> dict[str, str]:
        """The user's labels, and the schedule, which the server tells only once it has taken the restore up."""
        schedule = self.source.schedule
        return {**self.labels, **({SCHEDULE_NAME_LABEL: label_value(schedule)} if schedule else {})}


def choose(source: Source, backups: Sequence[Object], namespace: str, now: datetime) -> Object:
    """The backup to restore. ``backups``: the one of that name, or all of the schedule.

    Raises :class:`NotFoundError` when there is none, :class:`RefusedError` for one that is not usable.
    """
    if source.backup:
        return _named(source, backups, namespace)
    newest = phases.newest(backups, source.usable(), now)
    if newest:
        return newest
    counted = Counter(phases.phase(item) or "New" for item in backups)
    others = ", ".join(f"{count} {phase}" for phase, count in sorted(counted.items()))
    raise NotFoundError(
        f"Schedule {namespace}/{source.schedule} has no complete backup that is kept"
        f"{f' (there are: {others})' if others else ''}."
    )


def _named(source: Source, backups: Sequence[Object], namespace: str) -> Object:
    if not backups:
        raise NotFoundError(
            f"There is no Backup {namespace}/{source.backup}.",
            hint="One that another cluster made appears within a minute after its location is available.",
        )
    phase = phases.phase(backups[0])
    if phase in source.usable():
        return backups[0]
    what = phases.failure(backups[0]) if phase in phases.FAILURES else f"Backup {namespace}/{source.backup} is not"
    if phase == phases.PARTIALLY_FAILED:
        raise RefusedError(what, hint="Set allow_partially_failed to restore what it holds.")
    if phase in phases.FAILURES:
        raise RefusedError(what, hint="Take another backup.")
    raise RefusedError(f"{what} usable: its phase is {phase or 'New'}.", hint="Wait for its end, or take another one.")


def require_available(backup: Object, location: Object | None) -> None:
    """Raise :class:`RefusedError` when the files of the backup cannot be reached."""
    name = backup.get("spec", {}).get("storageLocation", "")
    what = f"The storage location {name} of backup {backup['metadata']['name']}"
    if location is None:
        raise RefusedError(f"{what} does not exist.", hint="Make it again (velero_location), read-only if in doubt.")
    status = location.get("status", {})
    if status.get("phase") != "Available":
        reason = status.get("message") or "the server has not looked at it yet"
        raise RefusedError(f"{what} is not available: {reason}.")


def plan_restore(wanted: WantedRestore, existing: Object | None, backup: Object) -> list[Change]:
    """Make the restore from ``backup``, or give the existing one the labels it lacks."""
    labels = wanted.all_labels()
    if existing is None:
        body = {
            "metadata": {"name": wanted.name, "labels": labels},
            "spec": {**wanted.spec, "backupName": backup["metadata"]["name"]},
        }
        return [Change("create", "Restore", wanted.name, None, {"labels": labels, "spec": body["spec"]}, body)]
    return plan_labels("Restore", existing, wanted.labels)


def require_same(wanted: WantedRestore, existing: Object) -> None:
    """Raise :class:`RefusedError` when a restore of that name is not the wanted one, or goes away."""
    metadata, spec = existing["metadata"], existing.get("spec", {})
    what = f"Restore {metadata['namespace']}/{metadata['name']}"
    if "deletionTimestamp" in metadata:
        raise RefusedError(f"{what} is being deleted.", hint="Wait until it is gone, or take another name.")
    other = differences(wanted.spec, spec, FIELDS)
    source = wanted.source
    if source.backup and spec.get("backupName") != source.backup:
        other.append("backupName")
    made_from = {spec.get("scheduleName"), metadata.get("labels", {}).get(SCHEDULE_NAME_LABEL)}
    if source.schedule and made_from.isdisjoint((source.schedule, label_value(source.schedule))):
        other.append("scheduleName")
    require_no_difference(existing, other)


def judge(restore: Object, fail_on: frozenset[str], texts: Sequence[str]) -> None:
    """Raise :class:`RefusedError` when the restore ended in a phase that counts as failure; ``texts`` say why."""
    if phases.phase(restore) in fail_on:
        raise RefusedError(
            " ".join([phases.failure(restore), *texts]),
            hint="What was restored stays. Remove the cause, delete this restore (state: absent), then run again.",
        )


def summary(restore: Mapping[str, Any]) -> dict[str, Any]:
    """A restore as a result shows it. Counts that the server leaves out are zero."""
    status, spec = restore.get("status", {}), restore.get("spec", {})
    return {
        "name": restore["metadata"]["name"],
        "label_selector": selector({RESTORE_NAME_LABEL: label_value(restore["metadata"]["name"])}),
        "backup": spec.get("backupName"),
        "phase": phases.phase(restore) or "New",
        "started": status.get("startTimestamp"),
        "completed": status.get("completionTimestamp"),
        "items": phases.items({"kind": "Restore", **restore}),
        "errors": status.get("errors", 0),
        "warnings": status.get("warnings", 0),
    }

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What Velero makes of a new Restore before it runs: what it fills in, and what it refuses."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from tests.sandbox.cluster import Object
from tests.sandbox.velero import filters, terms

ITEM_OPERATION_TIMEOUT = datetime.timedelta(hours=4)


@dataclass(frozen=True)
class Surroundings:
    """The server's backups and locations."""

    namespace: str
    backups: Sequence[Object] = ()
    locations: Sequence[Object] = ()


@dataclass(frozen=True)
class Prepared:
    """The spec that the Restore gets, and why it cannot run (if it cannot)."""

    spec: Object
    errors: list[str]


def prepare(restore: Object, surroundings: Surroundings) -> Prepared:
    """Prepare a new Restore."""
    spec: Object = dict(terms.spec(restore))
    included, excluded = spec.get("includedResources") or [], spec.get("excludedResources") or []
    excluded = [*excluded, *(name for name in terms.NON_RESTORABLE if name not in excluded)]
    spec["excludedResources"] = excluded
    given = terms.duration(spec["itemOperationTimeout"]) if spec.get("itemOperationTimeout") else None
    spec["itemOperationTimeout"] = terms.go_duration(given or ITEM_OPERATION_TIMEOUT)
    errors = [f"{name} are non-restorable resources" for name in terms.NON_RESTORABLE if name in included]
    errors += [
        f"Invalid included/excluded resource lists: {error}" for error in filters.errors_of_lists(included, excluded)
    ]
    namespaces = filters.namespaces_of(spec)
    errors += [
        f"Invalid included/excluded namespace lists: {error}"
        for error in filters.errors_of_lists(namespaces.includes, namespaces.excludes)
    ]
    if spec.get("orLabelSelectors") and spec.get("labelSelector"):
        errors.append(filters.BOTH_SELECTORS.format("restore"))
    if spec.get("existingResourcePolicy") not in (None, "", "none", "update"):
        errors.append(f"Invalid ExistingResourcePolicy: {spec['existingResourcePolicy']}")
    if spec.get("resourceModifier"):
        errors.append("the stand-in knows no resource modifiers")
    return Prepared(spec, errors + _set_source(spec, surroundings))


def _set_source(spec: Object, surroundings: Surroundings) -> list[str]:
    """Fill in the backup of a schedule and the schedule of a backup."""
    schedule = spec.get("scheduleName")
    if bool(spec.get("backupName")) == bool(schedule):
        return ["Either a backup or schedule must be specified as a source for the restore, but not both"]
    if schedule:
        newest, errors = _newest(terms.label_value(schedule), surroundings.backups)
        if newest is None:
            return errors
        spec["backupName"] = newest["metadata"]["name"]
    name = spec["backupName"]
    backup = next((item for item in surroundings.backups if item["metadata"]["name"] == name), None)
    if backup is None:
        return [
            f"Error retrieving backup: can't find backup {surroundings.namespace}/{name}: "
            f'Backup.velero.io "{name}" not found'
        ]
    made_by = (backup["metadata"].get("labels") or {}).get(terms.SCHEDULE_NAME)
    if made_by:
        spec["scheduleName"] = schedule or made_by
    return _errors_of_location(backup, surroundings)


def _newest(schedule: str, backups: Sequence[Object]) -> tuple[Object | None, list[str]]:
    """The Completed backup of a schedule with the newest start, or why there is none."""
    made = [item for item in backups if (item["metadata"].get("labels") or {}).get(terms.SCHEDULE_NAME) == schedule]
    completed = [item for item in made if terms.phase(item) == "Completed"]
    if completed:
        return max(completed, key=lambda item: item["status"].get("startTimestamp", "")), []
    none = [] if made else ["No backups found for schedule"]
    return None, [*none, "No completed backups found for schedule"]


def _errors_of_location(backup: Object, surroundings: Surroundings) -> list[str]:
    place = terms.spec(backup).get("storageLocation", "")
    location = next((item for item in surroundings.locations if item["metadata"]["name"] == place), None)
    if location is None:
        return [
            f"Error retrieving backup: can't find backup storage location {surroundings.namespace}/{place}: "
            f'BackupStorageLocation.velero.io "{place}" not found'
        ]
    if terms.phase(location) != "Available":
        return [f"The BSL {place} is unavailable, cannot retrieve the backup"]
    return []

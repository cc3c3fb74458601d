# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""BackupStorageLocations: are they there, which one is the default, and what backups do they hold."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence

from kubernetes.client.exceptions import ApiException

from tests.sandbox.cluster import Object
from tests.sandbox.velero import terms
from tests.sandbox.velero.context import Context
from tests.sandbox.velero.loop import Controller
from tests.sandbox.velero.storage import METADATA, ObjectStore, StorageError

UNFINISHED = terms.RUNNING | {"New", "Queued", "Deleting"}
ORPHANS = ("Completed", "PartiallyFailed")


def surplus_defaults(locations: Iterable[Object]) -> list[Object]:
    """The default locations beside the one that was created last, which stays the default."""
    defaults = [location for location in locations if terms.spec(location).get("default")]
    defaults.sort(key=lambda location: (location["metadata"]["creationTimestamp"], location["metadata"]["name"]))
    return defaults[:-1]


def period_of(given: str | None, default: float) -> float | None:
    """Seconds between two looks that a location asks for, at most the lab's own; None: it wants none."""
    if given is None:
        return default
    seconds = terms.duration(given).total_seconds()
    return min(seconds, default) if seconds > 0 else (None if seconds == 0 else default)


class LocationController(Controller):
    """Tells whether a location can be used, at once when its spec changes and then periodically."""

    kind = terms.LOCATIONS

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._checked: dict[str, tuple[Object, float]] = {}  # spec, and when

    def forget(self, name: str) -> None:
        self._checked.pop(name, None)

    def handle(self, item: Object) -> float | None:
        name, spec = item["metadata"]["name"], terms.spec(item)
        period = period_of(spec.get("validationFrequency"), self.context.periods.validation)
        last_spec, last = self._checked.get(name, (None, 0.0))
        passed = time.monotonic() - last
        if spec == last_spec and (period is None or passed < period):
            return None if period is None else period - passed
        item = self._settle_default(item)
        self._check(item)
        self._checked[name] = (terms.spec(item), time.monotonic())
        return period

    def _settle_default(self, location: Object) -> Object:
        """One default; without any, the location of the server's own default name becomes it."""
        locations = self.context.items(terms.LOCATIONS)
        changes = [(other, False) for other in surplus_defaults(locations)]
        if location["metadata"]["name"] == terms.DEFAULT_LOCATION and not any(
            terms.spec(other).get("default") for other in locations
        ):
            changes.append((location, True))
        for changed, default in changes:
            patched = self.context.patch(terms.LOCATIONS, changed, {"spec": {"default": default}})
            if patched["metadata"]["name"] == location["metadata"]["name"]:
                location = patched
        return location

    def _check(self, location: Object) -> None:
        name = location["metadata"]["name"]
        status: Object = {"phase": "Available", "message": None}
        try:
            self.context.store(location).check()
        except StorageError as error:
            status = {"phase": "Unavailable", "message": f'BackupStorageLocation "{name}" is unavailable: {error}'}
        status["lastValidationTime"] = terms.timestamp(terms.now())
        self.context.patch(terms.LOCATIONS, location, {"status": status})


class SynchronisationController(Controller):
    """Makes Backups of what a location holds, and removes those whose files are gone."""

    kind = terms.LOCATIONS

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._last: dict[str, float] = {}

    def forget(self, name: str) -> None:
        self._last.pop(name, None)

    def handle(self, item: Object) -> float | None:
        period = period_of(terms.spec(item).get("backupSyncPeriod"), self.context.periods.synchronisation)
        if period is None:
            return None
        name = item["metadata"]["name"]
        passed = time.monotonic() - self._last.get(name, -period)
        if passed < period:
            return period - passed
        if terms.phase(item) == "Available":
            self._synchronise(item)
            self._last[name] = time.monotonic()
        return period

    def _synchronise(self, location: Object) -> None:
        # the files first: a backup that is stored meanwhile must not look like one without files
        before = {item["metadata"]["name"]: item for item in self.context.items(terms.BACKUPS)}
        store = self.context.store(location)
        stored = store.backup_names()
        for name in stored:
            if name not in before:
                self._make(location, store, name)
        self._remove_orphans(location, list(before.values()), stored)
        synchronised = {"status": {"lastSyncedTime": terms.timestamp(terms.now())}}
        self.context.patch(terms.LOCATIONS, location, synchronised)

    def _make(self, location: Object, store: ObjectStore, name: str) -> None:
        content = store.get(store.backup_key(name, METADATA))
        backup = json.loads(content) if content else None
        if backup is None or terms.phase(backup) in UNFINISHED:
            return
        schedules = {item["metadata"]["name"]: item for item in self.context.items(terms.SCHEDULES)}
        try:
            self.context.cluster.create(
                terms.BACKUPS.path(self.context.namespace), imported(backup, location, schedules.values())
            )
        except ApiException as error:
            if error.status != 409:  # made by someone else meanwhile
                raise

    def _remove_orphans(self, location: Object, backups: Sequence[Object], stored: Sequence[str]) -> None:
        place = location["metadata"]["name"]
        for backup in backups:
            of_this = terms.spec(backup).get("storageLocation") == place
            if of_this and terms.phase(backup) in ORPHANS and backup["metadata"]["name"] not in stored:
                self.context.delete(terms.BACKUPS, backup)


def imported(backup: Object, location: Object, schedules: Iterable[Object]) -> Object:
    """A stored backup as a new object: of this location, without hooks, owned by its schedule only if that is here."""
    metadata = backup["metadata"]
    owners = []
    for reference in metadata.get("ownerReferences") or ():
        owner = next((item for item in schedules if item["metadata"]["name"] == reference["name"]), None)
        if reference["kind"] == "Schedule" and owner is not None:
            owners.append({**reference, "uid": owner["metadata"]["uid"]})
    place = location["metadata"]["name"]
    labels = {**(metadata.get("labels") or {}), terms.STORAGE_LOCATION: terms.label_value(place)}
    kept = {"name": metadata["name"], "labels": labels, "annotations": metadata.get("annotations") or {}}
    if owners:
        kept["ownerReferences"] = owners
    spec = {name: value for name, value in terms.spec(backup).items() if name != "hooks"}
    return {
        "apiVersion": terms.BACKUPS.api_version,
        "kind": terms.BACKUPS.kind,
        "metadata": kept,
        "spec": {**spec, "storageLocation": place},
        "status": backup["status"],
    }

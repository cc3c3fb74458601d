# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Deletion of backups: on request, and on the server's own request when they are past their time."""

from __future__ import annotations

import datetime
import time

from tests.sandbox.cluster import Object
from tests.sandbox.velero import terms
from tests.sandbox.velero.faults import INJECTED
from tests.sandbox.velero.loop import Controller
from tests.sandbox.velero.storage import StorageError

REQUEST_LIFETIME = datetime.timedelta(hours=24)
RESTORES_GONE_WITHIN = 60.0
PENDING = ("New", "InProgress")


class DeletionController(Controller):
    """Answers DeleteBackupRequests. Success leaves neither backup nor request."""

    kind = terms.DELETE_REQUESTS

    def handle(self, item: Object) -> float | None:
        if terms.phase(item) == "Processed":
            return self._expire(item)
        name = terms.spec(item).get("backupName", "")
        if not name:
            self._answer(item, ["spec.backupName is required"])
            return None
        self._remove_others(item, name)
        backup = self.context.get(terms.BACKUPS, name)
        refusal = self._refusal(name, backup)
        if refusal or backup is None:
            self._answer(item, [refusal or "backup not found"])
        else:
            self._delete(item, backup)
        return None

    def _expire(self, request: Object) -> float | None:
        left = terms.moment(request["metadata"]["creationTimestamp"]) + REQUEST_LIFETIME - terms.now()
        if left.total_seconds() > 0:
            return left.total_seconds()
        self.context.delete(terms.DELETE_REQUESTS, request)
        return None

    def _remove_others(self, request: Object, backup: str) -> None:
        """One request a backup."""
        for other in self.context.items(terms.DELETE_REQUESTS, f"{terms.BACKUP_NAME}={terms.label_value(backup)}"):
            if other["metadata"]["name"] != request["metadata"]["name"]:
                self.context.delete(terms.DELETE_REQUESTS, other)

    def _refusal(self, name: str, backup: Object | None) -> str | None:
        if backup is None:
            return "backup not found"
        if terms.phase(backup) in terms.RUNNING:
            return "backup is still in progress"
        place = terms.spec(backup).get("storageLocation", "")
        location = self.context.get(terms.LOCATIONS, place)
        if location is None:
            return f"backup storage location {place} not found"
        if terms.spec(location).get("accessMode") == "ReadOnly":
            return f"cannot delete backup because backup storage location {place} is currently in read-only mode"
        if terms.phase(location) != "Available":
            return f"cannot delete backup because backup storage location {place} is currently in Unavailable state"
        return None

    def _delete(self, request: Object, backup: Object) -> None:
        labels = {**deletion_labels(backup), **(request["metadata"].get("labels") or {})}
        self.context.patch(
            terms.DELETE_REQUESTS, request, {"metadata": {"labels": labels}, "status": {"phase": "InProgress"}}
        )
        self.context.patch(terms.BACKUPS, backup, {"status": {"phase": "Deleting"}})
        errors = self._remove_files(request, backup) or self._remove_restores(backup)
        if not errors:
            self.context.delete(terms.BACKUPS, backup)
        self._answer(request, errors)
        if not errors:
            self.context.cluster.delete(terms.DELETE_REQUESTS.path(self.context.namespace), deletion_selector(backup))

    def _remove_files(self, request: Object, backup: Object) -> list[str]:
        name = backup["metadata"]["name"]
        try:
            if self.context.faults.active(self.kind, "fail", name, request["metadata"]["name"]):
                raise StorageError(f"rpc error: code = Unknown desc = {INJECTED}")
            self.context.store_of_backup(backup).delete_backup(name)
        except StorageError as error:
            return [str(error)]
        return []

    def _remove_restores(self, backup: Object) -> list[str]:
        """Delete the backup's restores; their own controller removes their files."""
        name = backup["metadata"]["name"]
        restores = [item for item in self.context.items(terms.RESTORES) if terms.spec(item).get("backupName") == name]
        for restore in restores:
            self.context.delete(terms.RESTORES, restore)
        deadline = time.monotonic() + RESTORES_GONE_WITHIN
        for restore in restores:
            while self.context.get(terms.RESTORES, restore["metadata"]["name"]):
                if time.monotonic() > deadline:
                    return [f"error deleting restore {restore['metadata']['name']}: timed out"]
                time.sleep(0.1)
        return []

    def _answer(self, request: Object, errors: list[str]) -> None:
        status = {"phase": "Processed", **terms.without_zeros({"errors": errors})}
        self.context.patch(terms.DELETE_REQUESTS, request, {"status": status})


class ExpiryController(Controller):
    """Asks for the deletion of backups that are past their time."""

    kind = terms.BACKUPS

    def handle(self, item: Object) -> float | None:
        expiration = item.get("status", {}).get("expiration")
        if not expiration:
            return None
        left = (terms.moment(expiration) - terms.now()).total_seconds()
        if left > 0:
            return min(left, 3600.0)
        failure = self._obstacle(item)
        labels = item["metadata"].get("labels") or {}
        if labels.get(terms.GC_FAILURE) != failure:
            self.context.patch(terms.BACKUPS, item, {"metadata": {"labels": {terms.GC_FAILURE: failure}}})
        if failure is None and not self._pending(item):
            self.context.cluster.create(terms.DELETE_REQUESTS.path(self.context.namespace), delete_request(item))
        return self.context.periods.expiry

    def _obstacle(self, backup: Object) -> str | None:
        location = self.context.get(terms.LOCATIONS, terms.spec(backup).get("storageLocation", ""))
        if location is None:
            return "BSLNotFound"
        return "BSLReadOnly" if terms.spec(location).get("accessMode") == "ReadOnly" else None

    def _pending(self, backup: Object) -> bool:
        return any(
            terms.phase(request) in PENDING
            for request in self.context.items(terms.DELETE_REQUESTS, deletion_selector(backup))
        )


def deletion_labels(backup: Object) -> dict[str, str]:
    """The labels of a DeleteBackupRequest."""
    metadata = backup["metadata"]
    return {terms.BACKUP_NAME: terms.label_value(metadata["name"]), terms.BACKUP_UID: metadata["uid"]}


def deletion_selector(backup: Object) -> str:
    """Selects the DeleteBackupRequests of a backup."""
    return ",".join(f"{name}={value}" for name, value in deletion_labels(backup).items())


def delete_request(backup: Object) -> Object:
    """A DeleteBackupRequest for a backup."""
    name = backup["metadata"]["name"]
    return {
        "apiVersion": terms.DELETE_REQUESTS.api_version,
        "kind": terms.DELETE_REQUESTS.kind,
        "metadata": {"generateName": f"{name}-", "labels": deletion_labels(backup)},
        "spec": {"backupName": name},
    }

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the Velero modules ask of a cluster; all of it goes through the Kubernetes API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ansible_collections.dcm.platform.plugins.module_utils.engine.clock import Clock
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import ConflictError, RefusedError
from ansible_collections.dcm.platform.plugins.module_utils.engine.wait import NotYet
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.client import (
    KubernetesClient,
    Object,
    Resource,
)
from ansible_collections.dcm.platform.plugins.module_utils.velero import phases
from ansible_collections.dcm.platform.plugins.module_utils.velero.plan import is_pending
from ansible_collections.dcm.platform.plugins.module_utils.velero.resources import (
    BACKUP,
    BACKUP_NAME_LABEL,
    BACKUP_UID_LABEL,
    DELETE_BACKUP_REQUEST,
    PREFIX_LABEL,
    SCHEDULE,
    SCHEDULE_NAME_LABEL,
    label_value,
    selector,
)

T = TypeVar("T")


class VeleroClient:
    """The Velero server of one namespace. Raises what :class:`KubernetesClient` raises."""

    def __init__(self, kubernetes: KubernetesClient, namespace: str) -> None:
        self.namespace = namespace
        self._kubernetes = kubernetes

    @property
    def clock(self) -> Clock:
        """The time that waits go by."""
        return self._kubernetes.clock

    def objects(self, resource: Resource) -> list[Object]:
        """All objects of a kind, in one request."""
        return self._kubernetes.select(resource, self.namespace)

    def create_object(self, resource: Resource, body: Mapping[str, Any]) -> Object:
        """Make an object. Raises :class:`ConflictError` when somebody else took the name meanwhile."""
        return self._kubernetes.create(resource, self.namespace, body)

    def patch_object(self, resource: Resource, name: str, patch: Mapping[str, Any]) -> Object:
        """Change what the merge patch names; a status, in the same object, stays untouched."""
        return self._kubernetes.merge_patch(resource, self.namespace, name, patch)

    def delete_object(self, resource: Resource, name: str) -> None:
        """Remove an object; one that is gone is fine."""
        self._kubernetes.delete(resource, self.namespace, name)

    def follow(self, resource: Resource, name: str, examine: Callable[[Object | None], T], timeout: float) -> T:
        """Show ``examine`` the object and every change of it until it returns (:meth:`KubernetesClient.follow`)."""
        return self._kubernetes.follow(resource, self.namespace, name, examine, timeout=timeout)

    def schedule(self, name: str) -> Object | None:
        """The schedule of that name, None when there is none."""
        return self._kubernetes.get(SCHEDULE, self.namespace, name)

    def backups_of_schedule(self, schedule: str) -> list[Object]:
        """The backups that a schedule made, or that were made from it."""
        return self._kubernetes.select(BACKUP, self.namespace, selector({SCHEDULE_NAME_LABEL: label_value(schedule)}))

    def backup(self, name: str) -> Object | None:
        """The backup of that name, None when there is none."""
        return self._kubernetes.get(BACKUP, self.namespace, name)

    def backups_of(self, prefix: str) -> list[Object]:
        """The backups that were made under a name prefix."""
        return self._kubernetes.select(BACKUP, self.namespace, selector({PREFIX_LABEL: label_value(prefix)}))

    def create_backup(self, body: Mapping[str, Any]) -> Object:
        """Ask for a backup. Raises :class:`ConflictError` when somebody else took the name meanwhile."""
        return self._kubernetes.create(BACKUP, self.namespace, body)

    def patch_backup(self, name: str, patch: Mapping[str, Any]) -> Object:
        """Change a backup's metadata; its status, in the same object, stays untouched."""
        return self._kubernetes.merge_patch(BACKUP, self.namespace, name, patch)

    def wait_until_ended(self, item: Object, timeout: float, resource: Resource = BACKUP) -> Object:
        """The backup, or the restore with ``resource``, once it is in a terminal phase.

        Raises :class:`ConflictError` when it is deleted or replaced meanwhile, :class:`TimedOutError` after
        ``timeout`` seconds.
        """
        metadata = item["metadata"]
        what = f"{resource.kind} {self.namespace}/{metadata['name']}"

        def examine(current: Object | None) -> Object:
            if current is None or current["metadata"]["uid"] != metadata["uid"]:
                raise ConflictError(f"{what} was deleted by somebody else before it ended.")
            if phases.phase(current) == phases.DELETING or "deletionTimestamp" in current["metadata"]:
                raise ConflictError(f"{what} is being deleted by somebody else before it ended.")
            if phases.phase(current) not in phases.TERMINAL:
                raise NotYet(phases.progress(current))
            return current

        return self._kubernetes.follow(resource, self.namespace, metadata["name"], examine, timeout=timeout)

    def deletion_requests(self, backup: Object) -> list[Object]:
        """The requests to delete just this backup, not an earlier one of its name."""
        return self._kubernetes.select(DELETE_BACKUP_REQUEST, self.namespace, selector(_deletion_labels(backup)))

    def request_deletion(self, backup: Object) -> Object:
        """Ask the server to delete the backup and its files. (Without its files it would return by synchronisation.)"""
        name = backup["metadata"]["name"]
        metadata = {"generateName": f"{name}-", "labels": _deletion_labels(backup)}
        body = {"metadata": metadata, "spec": {"backupName": name}}
        return self._kubernetes.create(DELETE_BACKUP_REQUEST, self.namespace, body)

    def wait_until_deleted(self, backup: Object, request: Object, timeout: float) -> None:
        """Return when neither the backup nor the request is there any more.

        A request that failed because another one was faster is left to the server, which drops it after a day. Raises
        :class:`RefusedError` with the server's reasons, :class:`TimedOutError` after ``timeout`` seconds.
        """
        kubernetes, metadata = self._kubernetes, backup["metadata"]
        deadline = kubernetes.clock.now() + timeout

        def examine_request(current: Object | None) -> None:
            if current is None:
                return
            status = current.get("status", {})
            errors = status.get("errors", [])
            if is_pending(current) or not errors:  # without errors the server removes it, last of all
                state = status.get("phase") or "not taken up; does a Velero server run in this namespace?"
                raise NotYet(f"the deletion of backup {metadata['name']} is {state}")
            if self._is_there(backup):
                raise RefusedError(
                    f"Velero did not delete Backup {self.namespace}/{metadata['name']}: {'; '.join(errors)}.",
                    hint="Remove the cause and run again: a new request is made then.",
                )

        def examine_backup(current: Object | None) -> None:
            if current is not None and current["metadata"]["uid"] == metadata["uid"]:
                raise NotYet(phases.progress(current))

        name = request["metadata"]["name"]
        kubernetes.follow(DELETE_BACKUP_REQUEST, self.namespace, name, examine_request, timeout=timeout)
        left = max(0.0, deadline - kubernetes.clock.now())
        kubernetes.follow(BACKUP, self.namespace, metadata["name"], examine_backup, timeout=left)

    def _is_there(self, backup: Object) -> bool:
        current = self.backup(backup["metadata"]["name"])
        return current is not None and current["metadata"]["uid"] == backup["metadata"]["uid"]


def _deletion_labels(backup: Object) -> dict[str, str]:
    metadata = backup["metadata"]
    return {BACKUP_NAME_LABEL: label_value(metadata["name"]), BACKUP_UID_LABEL: metadata["uid"]}

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the Velero modules ask of a cluster; all of it goes through the Kubernetes API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import ConflictError, RefusedError
from ansible_collections.dcm.platform.plugins.module_utils.engine.wait import NotYet
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.client import KubernetesClient, Object
from ansible_collections.dcm.platform.plugins.module_utils.velero import phases
from ansible_collections.dcm.platform.plugins.module_utils.velero.plan import is_pending
from ansible_collections.dcm.platform.plugins.module_utils.velero.resources import (
    BACKUP,
    BACKUP_NAME_LABEL,
    BACKUP_UID_LABEL,
    DELETE_BACKUP_REQUEST,
    PREFIX_LABEL,
    label_value,
    selector,
)


class VeleroClient:
    """The Velero server of one namespace. Raises what :class:`KubernetesClient` raises."""

    def __init__(self, kubernetes: KubernetesClient, namespace: str) -> None:
        self.namespace = namespace
        self._kubernetes = kubernetes

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

    def wait_until_ended(self, backup: Object, timeout: float) -> Object:
        """The backup once it is in a terminal phase.

        Raises :class:`ConflictError` when it is deleted or replaced meanwhile, :class:`TimedOutError` after
        ``timeout`` seconds.
        """
        metadata = backup["metadata"]

        def examine(current: Object | None) -> Object:
            if current is None or current["metadata"]["uid"] != metadata["uid"]:
                raise ConflictError(
                    f"Backup {self.namespace}/{metadata['name']} was deleted by somebody else before it ended."
                )
            if phases.phase(current) == phases.DELETING:
                raise ConflictError(
                    f"Backup {self.namespace}/{metadata['name']} is being deleted by somebody else before it ended."
                )
            if phases.phase(current) not in phases.TERMINAL:
                raise NotYet(phases.progress(current))
            return current

        return self._kubernetes.follow(BACKUP, self.namespace, metadata["name"], examine, timeout=timeout)

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

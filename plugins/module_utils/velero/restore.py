# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The two states of a restore: made and usable, and gone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, Outcome
from ansible_collections.dcm.platform.plugins.module_utils.engine.concurrent import apply_each
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import PlatformError
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import Reconciler
from ansible_collections.dcm.platform.plugins.module_utils.engine.wait import NotYet
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.client import Object
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.objects import ObjectsClient
from ansible_collections.dcm.platform.plugins.module_utils.velero import phases, restore_spec
from ansible_collections.dcm.platform.plugins.module_utils.velero.backup import Waiting
from ansible_collections.dcm.platform.plugins.module_utils.velero.client import VeleroClient
from ansible_collections.dcm.platform.plugins.module_utils.velero.downloads import (
    Downloads,
    Results,
    quoted,
    texts,
)
from ansible_collections.dcm.platform.plugins.module_utils.velero.resources import (
    LOCATION,
    RESTORE,
    ROOT_CERTIFICATES,
)
from ansible_collections.dcm.platform.plugins.module_utils.velero.restore_spec import Source, WantedRestore

LINK_TIMEOUT = 60.0  # seconds for the server to answer a DownloadRequest


class RestoreClient(VeleroClient):
    """The Velero server of one namespace, and what it restores from."""

    def __init__(self, kubernetes: ObjectsClient, namespace: str) -> None:
        super().__init__(kubernetes, namespace)
        self.kubernetes = kubernetes
        self.downloads = Downloads(kubernetes, namespace, LINK_TIMEOUT)

    def restore(self, name: str) -> Object | None:
        """The restore of that name, None when there is none."""
        return self.kubernetes.get(RESTORE, self.namespace, name)

    def chosen(self, source: Source) -> Object:
        """The backup to restore, whose files can be reached. Raises what :func:`restore_spec.choose` raises."""
        if source.backup:
            found = self.backup(source.backup)
            backups = [found] if found else []
        else:
            backups = self.backups_of_schedule(source.schedule or "")
        backup = restore_spec.choose(source, backups, self.namespace, datetime.now(UTC))
        location = backup.get("spec", {}).get("storageLocation", "")
        restore_spec.require_available(backup, self.kubernetes.get(LOCATION, self.namespace, location))
        return backup

    def wait_until_restored(self, restore: Object, timeout: float) -> Object:
        """As :meth:`wait_until_ended`."""
        return self.wait_until_ended(restore, timeout, RESTORE)

    def delete_restore(self, name: str, timeout: float | None) -> None:
        """Delete a restore's object; the server removes its files first. What was restored stays.

        Returns when it is gone, at once without a ``timeout``. Raises :class:`TimedOutError`.
        """
        self.delete_object(RESTORE, name)
        if timeout is None:
            return

        def examine(current: Object | None) -> None:
            if current is not None:
                raise NotYet("the server has not removed its files; does a Velero server run in this namespace?")

        self.follow(RESTORE, name, examine, timeout)

    def messages(self, restore: Object) -> Results | None:
        """Errors and warnings of a restore that ended with some, None for one without."""
        status = restore.get("status", {})
        if not (status.get("errors") or status.get("warnings")):
            return None
        backup = self.backup(restore["spec"]["backupName"]) or {}
        return self.downloads.results("RestoreResults", restore["metadata"]["name"], backup)


@dataclass(frozen=True)
class Found:
    """The restore of the wanted name, or else the backup to make one from."""

    restore: Object | None
    backup: Object


class PresentRestore(Reconciler[Found]):
    """A restore that is wanted: found or made, and waited for."""

    def __init__(self, client: RestoreClient, wanted: WantedRestore, waiting: Waiting) -> None:
        self._client = client
        self._wanted = wanted
        self._waiting = waiting
        self._restore: Object | None = None
        self._results: Results | None = None
        self._unread = ""

    def read(self) -> Found:
        existing = self._client.restore(self._wanted.name)
        return Found(existing, {} if existing else self._client.chosen(self._wanted.source))

    def plan(self, actual: Found) -> Sequence[Change]:
        self._restore = actual.restore
        if actual.restore:
            restore_spec.require_same(self._wanted, actual.restore)
            restore_spec.judge(actual.restore, self._wanted.fail_on, ())
        return restore_spec.plan_restore(self._wanted, actual.restore, actual.backup)

    def apply(self, changes: Sequence[Change]) -> Iterable[Outcome]:
        return apply_each(changes, self._apply)

    def _apply(self, change: Change) -> None:
        if change.action == "create":
            self._restore = self._client.create_object(RESTORE, change.payload)
        else:
            self._restore = self._client.patch_object(RESTORE, change.name, change.payload)

    def settle(self) -> None:
        if self._restore is None or not self._waiting.wait:
            return
        self._restore = self._client.wait_until_restored(self._restore, self._waiting.timeout)
        try:
            self._results = self._client.messages(self._restore)
        except PlatformError as error:  # the restore is judged without its messages, too
            self._unread = f"Its messages cannot be read: {error.message}"
        restore_spec.judge(self._restore, self._wanted.fail_on, self._said("errors"))

    def _said(self, part: str) -> list[str]:
        found = texts((self._results or {}).get(part, {}))
        # each restore into a new namespace warns of what the cluster itself has made there
        return [self._unread] if self._unread else quoted([text for text in found if ROOT_CERTIFICATES not in text])

    def result(self, actual: Found, changes: Sequence[Change]) -> dict[str, Any]:
        restore = self._restore or changes[0].payload
        output: dict[str, Any] = {"restore": restore_spec.summary(restore)}
        if self._results is not None:
            output["results"] = self._results
        if phases.phase(restore) in phases.FAILURES:
            output["warnings"] = [" ".join([phases.failure(restore), *self._said("errors")])]
        elif output["restore"]["warnings"] and (said := self._said("warnings")):
            name, count = output["restore"]["name"], output["restore"]["warnings"]
            output["warnings"] = [" ".join([f"Restore {name} has {count} warnings:", *said])]
        return output


class AbsentRestore(Reconciler[Object | None]):
    """A restore that is not wanted: its object and files are gone. What it brought stays."""

    def __init__(self, client: RestoreClient, name: str, waiting: Waiting) -> None:
        self._client = client
        self._name = name
        self._timeout = waiting.timeout if waiting.wait else None

    def read(self) -> Object | None:
        return self._client.restore(self._name)

    def plan(self, actual: Object | None) -> Sequence[Change]:
        if actual is None:
            return []
        return [Change("delete", "Restore", self._name, restore_spec.summary(actual), None)]

    def apply(self, changes: Sequence[Change]) -> Iterable[Outcome]:
        return apply_each(changes, lambda change: self._client.delete_restore(change.name, self._timeout))

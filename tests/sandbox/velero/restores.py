# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Restores: their way through the phases, and the removal of their files with them."""

from __future__ import annotations

from tests.sandbox.cluster import Object
from tests.sandbox.velero import terms
from tests.sandbox.velero.context import Context
from tests.sandbox.velero.loop import Controller
from tests.sandbox.velero.restore_request import Surroundings, prepare
from tests.sandbox.velero.restore_run import RestoreRun
from tests.sandbox.velero.storage import StorageError

FINALIZER = "restores.velero.io/external-resources-finalizer"


class RestoreController(Controller):
    """Runs restores, one at a time."""

    kind = terms.RESTORES

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._begun: set[str] = set()

    def start(self) -> None:
        """What ran when the last server ended has failed."""
        for restore in self.context.items(terms.RESTORES):
            if terms.phase(restore) == "InProgress":
                self._set_status(restore, terms.failed(terms.INTERRUPTED.format("restore")))

    def forget(self, name: str) -> None:
        self._begun.discard(name)

    def handle(self, item: Object) -> float | None:
        name, phase = item["metadata"]["name"], terms.phase(item)
        if "deletionTimestamp" in item["metadata"]:
            self._clear_up(item)
        elif self.context.faults.active(terms.RESTORES, f"hold-{phase}", name):
            return self.context.periods.waiting
        elif phase == "New":
            self._begin(item)
        elif phase == "InProgress" and name in self._begun:
            self._run(item)
            self._begun.discard(name)
        elif phase.startswith("WaitingForPluginOperations"):
            self._set_status(item, {"phase": phase.replace("WaitingForPluginOperations", "Finalizing")})
        elif phase in terms.LAST_STEP:
            finished = {"phase": terms.LAST_STEP[phase], "completionTimestamp": terms.timestamp(terms.now())}
            self._set_status(item, finished)
        return None

    def _begin(self, restore: Object) -> None:
        context = self.context
        prepared = prepare(
            restore, Surroundings(context.namespace, context.items(terms.BACKUPS), context.items(terms.LOCATIONS))
        )
        if prepared.errors:
            status: Object = {"phase": "FailedValidation", "validationErrors": prepared.errors}
        else:
            status = {"phase": "InProgress", "startTimestamp": terms.timestamp(terms.now())}
        self._begun.add(restore["metadata"]["name"])
        finalizers = restore["metadata"].get("finalizers") or []
        patch: Object = {"spec": prepared.spec, "status": status}
        if FINALIZER not in finalizers:
            patch["metadata"] = {"finalizers": [*finalizers, FINALIZER]}
        context.patch(terms.RESTORES, restore, patch)

    def _run(self, restore: Object) -> None:
        try:
            backup = self.context.get(terms.BACKUPS, restore["spec"]["backupName"])
            if backup is None:
                raise StorageError(f"backup {restore['spec']['backupName']} is gone")
            status = RestoreRun(self.context, restore, self.context.store_of_backup(backup)).execute()
        except StorageError as error:
            status = terms.failed(str(error))
        self._set_status(restore, status)

    def _clear_up(self, restore: Object) -> None:
        """Remove the files, then let the object go. Without its backup nothing tells where the files are."""
        finalizers = restore["metadata"].get("finalizers") or []
        if FINALIZER not in finalizers:
            return
        backup = self.context.get(terms.BACKUPS, terms.spec(restore).get("backupName", ""))
        if backup is not None:
            self.context.store_of_backup(backup).delete_restore(restore["metadata"]["name"])
        left = [name for name in finalizers if name != FINALIZER]
        self.context.patch(terms.RESTORES, restore, {"metadata": {"finalizers": left or None}})

    def _set_status(self, restore: Object, status: Object) -> None:
        self.context.patch(terms.RESTORES, restore, {"status": status})

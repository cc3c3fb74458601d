# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Backups: the queue (one at a time), their way through the phases."""

from __future__ import annotations

import json
from collections.abc import Iterable

from tests.sandbox.cluster import Object
from tests.sandbox.velero import terms
from tests.sandbox.velero.backup_request import Surroundings, initial_status, prepare
from tests.sandbox.velero.backup_run import BackupRun, metadata_json
from tests.sandbox.velero.context import Context
from tests.sandbox.velero.loop import Controller
from tests.sandbox.velero.storage import METADATA, ObjectStore, StorageError

OCCUPYING = ("ReadyToStart", "InProgress")  # another backup waits while one is there


def queue_changes(backups: Iterable[Object]) -> list[tuple[str, Object]]:
    """What changes in the queue: names and patches of the status, in the order in which they are to be made.

    New backups are queued behind the others by age; the first one starts when none occupies the server.
    """
    backups = list(backups)
    queued = sorted(
        (item for item in backups if terms.phase(item) == "Queued"),
        key=lambda item: item["status"].get("queuePosition", 0),
    )
    new = sorted(
        (item for item in backups if terms.phase(item) == "New"),
        key=lambda item: (item["metadata"]["creationTimestamp"], item["metadata"]["name"]),
    )
    positions = {item["metadata"]["name"]: item["status"].get("queuePosition") for item in queued}
    last = max((position for position in positions.values() if position), default=0)
    changes: list[tuple[str, Object]] = []
    for offset, item in enumerate(new, 1):
        positions[item["metadata"]["name"]] = last + offset
        changes.append((item["metadata"]["name"], {"phase": "Queued", "queuePosition": last + offset}))
    waiting = list(positions)
    if waiting and not any(terms.phase(item) in OCCUPYING for item in backups):
        changes.append((waiting.pop(0), {"phase": "ReadyToStart", "queuePosition": None}))
    changes += [(name, {"queuePosition": place}) for place, name in enumerate(waiting, 1) if positions[name] != place]
    return changes


class QueueController(Controller):
    """Lets backups in, one after the other."""

    kind = terms.BACKUPS

    def handle(self, item: Object) -> float | None:
        self._advance()
        return None

    def forget(self, name: str) -> None:
        """The one that is gone may have been in the way of others."""
        self._advance()

    def _advance(self) -> None:
        context = self.context
        backups = {item["metadata"]["name"]: item for item in context.items(terms.BACKUPS)}
        eligible = [
            item
            for name, item in backups.items()
            if terms.phase(item) != "New" or not context.faults.active(terms.BACKUPS, "never-answered", name)
        ]
        for name, status in queue_changes(eligible):
            context.patch(terms.BACKUPS, backups[name], {"status": status})


class BackupController(Controller):
    """Runs a backup whose turn it is."""

    kind = terms.BACKUPS

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._begun: set[str] = set()

    def start(self) -> None:
        """What ran when the last server ended has failed."""
        for backup in self.context.items(terms.BACKUPS):
            if terms.phase(backup) == "InProgress":
                self._set_status(backup, terms.failed(terms.INTERRUPTED.format("backup")))

    def forget(self, name: str) -> None:
        self._begun.discard(name)

    def handle(self, item: Object) -> float | None:
        name, phase = item["metadata"]["name"], terms.phase(item)
        if self.context.faults.active(terms.BACKUPS, f"hold-{phase}", name):
            return self.context.periods.waiting
        if phase == "ReadyToStart":
            self._begin(item)
        elif phase == "InProgress" and name in self._begun:
            self._run(item)
            self._begun.discard(name)
        elif phase.startswith("WaitingForPluginOperations"):
            self._set_status(item, {"phase": phase.replace("WaitingForPluginOperations", "Finalizing")})
        elif phase in terms.LAST_STEP:
            self._finish(item, terms.LAST_STEP[phase])
        return None

    def _begin(self, backup: Object) -> None:
        context = self.context
        policy = terms.spec(backup).get("resourcePolicy") or {}
        namespaces = context.cluster.items(terms.NAMESPACES.path(), f"{terms.EXCLUDE}=true")
        prepared = prepare(
            backup,
            Surroundings(
                locations=context.items(terms.LOCATIONS),
                snapshot_locations=context.items(terms.SNAPSHOT_LOCATIONS),
                excluded_namespaces=[namespace["metadata"]["name"] for namespace in namespaces],
                version=context.cluster.version(),
                policy=context.get(terms.CONFIG_MAPS, policy.get("name", "")),
            ),
        )
        self._begun.add(backup["metadata"]["name"])
        metadata = {"labels": prepared.labels, "annotations": prepared.annotations}
        status = initial_status(prepared, terms.now())
        context.patch(terms.BACKUPS, backup, {"metadata": metadata, "spec": prepared.spec, "status": status})

    def _run(self, backup: Object) -> None:
        try:
            store = self.context.store_of_backup(backup)
            if _stored_before(store, backup):
                raise StorageError("backup already exists in object storage")
            status = BackupRun(self.context, backup, store).execute()
        except StorageError as error:
            status = terms.failed(str(error))
        self._set_status(backup, status)

    def _finish(self, backup: Object, phase: str) -> None:
        status = {**backup["status"], "phase": phase, "completionTimestamp": terms.timestamp(terms.now())}
        store = self.context.store_of_backup(backup)
        store.put(store.backup_key(backup["metadata"]["name"], METADATA), metadata_json({**backup, "status": status}))
        self._set_status(backup, status)

    def _set_status(self, backup: Object, status: Object) -> None:
        self.context.patch(terms.BACKUPS, backup, {"status": status})


def _stored_before(store: ObjectStore, backup: Object) -> bool:
    """Whether the files of another backup of this name are there."""
    content = store.get(store.backup_key(backup["metadata"]["name"], METADATA))
    return content is not None and json.loads(content)["metadata"].get("uid") != backup["metadata"]["uid"]

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The work of one backup: its objects into an archive, and everything into the store."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from typing import IO

from tests.sandbox.cluster import Object
from tests.sandbox.velero import filters, terms
from tests.sandbox.velero.archive import Key, Spool, json_gzip, resource_list, write
from tests.sandbox.velero.collect import Collector
from tests.sandbox.velero.context import Context
from tests.sandbox.velero.faults import INJECTED, victim
from tests.sandbox.velero.journal import Journal
from tests.sandbox.velero.storage import BACKUP_FILES, METADATA, ObjectStore, StorageError

PROGRESS_PERIOD = 1.0
# Written by what the stand-in does not do: snapshots, data movement, operations of plugins.
EMPTY_LISTS = (
    BACKUP_FILES["BackupVolumeSnapshots"],
    BACKUP_FILES["BackupItemOperations"],
    BACKUP_FILES["BackupVolumeInfos"],
    BACKUP_FILES["CSIBackupVolumeSnapshots"],
    BACKUP_FILES["CSIBackupVolumeSnapshotContents"],
    "{name}-csi-volumesnapshotclasses.json.gz",
    "{name}-podvolumebackups.json.gz",
)


class BackupRun:
    """Collects the objects of one backup and stores them."""

    def __init__(self, context: Context, backup: Object, store: ObjectStore) -> None:
        self._context = context
        self._backup = backup
        self._name: str = backup["metadata"]["name"]
        self._store = store
        self._journal = Journal(f"backup={context.namespace}/{self._name}")
        self._kinds: dict[str, str] = {}

    def execute(self) -> Object:
        """The status of the backup when its items are written. Raises :class:`StorageError`."""
        spec, scratch = self._backup["spec"], self._context.scratch
        resources = self._context.cluster.resources()
        self._kinds = {str(resource): f"{resource.api_version}/{resource.kind}" for resource in resources}
        chosen = filters.backup_filter(spec, filters.resolver(resources))
        if (spec.get("hooks") or {}).get("resources"):
            self._journal.warning("the stand-in runs no hooks")
        with tempfile.TemporaryFile(dir=scratch) as items, tempfile.TemporaryFile(dir=scratch) as archive:
            spool = Spool(items)
            Collector(self._context.cluster, chosen, self._journal, spool).collect()
            faults = self._context.faults
            if faults.active(terms.BACKUPS, "partially-fail", self._name):
                self._strike(spool)
            write(archive, self._contents(spool))
            archive.seek(0)
            if faults.active(terms.BACKUPS, "fail", self._name):
                raise StorageError(f"error uploading backup: {INJECTED}")
            status = self._status(len(spool))
            self._upload(spool, archive, status)
        return status

    def _strike(self, spool: Spool) -> None:
        """Fail at one object."""
        key = victim(spool)
        if key is None:
            self._journal.error(f"error backing up item: {INJECTED}")
            return
        spool.drop(key)
        self._journal.error(f"error backing up item {key.path}: {INJECTED}", key.namespace)

    def _contents(self, spool: Spool) -> Iterator[tuple[Key, bytes]]:
        """What goes into the archive, with the progress shown on the way."""
        self._show_progress(0, len(spool))
        shown = time.monotonic()
        for count, key in enumerate(spool):
            self._journal.info(f"Backing up item {key.path}")
            yield key, spool.content(key)
            if time.monotonic() - shown > PROGRESS_PERIOD:
                self._show_progress(count, len(spool))
                shown = time.monotonic()

    def _show_progress(self, done: int, total: int) -> None:
        progress = terms.without_zeros({"itemsBackedUp": done, "totalItems": total})
        self._context.patch(terms.BACKUPS, self._backup, {"status": {"progress": progress}})

    def _status(self, items: int) -> Object:
        waits = self._context.faults.active(terms.BACKUPS, "hold-WaitingForPluginOperations", self._name)
        phase = "WaitingForPluginOperations" if waits else "Finalizing"
        counts = {
            "errors": len(self._journal.errors),
            "warnings": len(self._journal.warnings),
            "progress": terms.without_zeros({"itemsBackedUp": items, "totalItems": items}),
        }
        suffix = "PartiallyFailed" if self._journal.errors else ""
        return {"phase": phase + suffix, **terms.without_zeros(counts)}

    def _upload(self, spool: Spool, archive: IO[bytes], status: Object) -> None:
        items = ((self._kinds[key.resource], key.namespace, key.name) for key in spool)
        files: dict[str, bytes | IO[bytes]] = {
            BACKUP_FILES["BackupContents"]: archive,
            BACKUP_FILES["BackupResourceList"]: json_gzip(resource_list(items)),
            BACKUP_FILES["BackupResults"]: json_gzip(self._journal.results()),
            BACKUP_FILES["BackupLog"]: self._journal.log_gzip(),
            **{file: json_gzip([]) for file in EMPTY_LISTS},
            # the last one, as a backup without it is none
            METADATA: metadata_json({**self._backup, "status": {**self._backup["status"], **status}}),
        }
        for file, content in files.items():
            self._store.put(self._store.backup_key(self._name, file), content)


def metadata_json(backup: Object) -> bytes:
    """A backup as ``velero-backup.json`` holds it."""
    metadata = {name: value for name, value in backup["metadata"].items() if name != "managedFields"}
    return json.dumps({**backup, "metadata": metadata}).encode()

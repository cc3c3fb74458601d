# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The requests that only ask for an answer: DownloadRequest and ServerStatusRequest."""

from __future__ import annotations

import datetime

from tests.sandbox.cluster import Object
from tests.sandbox.velero import terms
from tests.sandbox.velero.loop import Controller
from tests.sandbox.velero.storage import BACKUP_FILES, RESTORE_FILES

DOWNLOAD_LIFETIME = datetime.timedelta(minutes=10)
STATUS_LIFETIME = datetime.timedelta(minutes=1)
LOGS = ("BackupLog", "RestoreLog")
PLUGINS = [
    {"kind": "BackupItemAction", "name": "velero.io/pod"},
    {"kind": "BackupItemAction", "name": "velero.io/pv"},
    {"kind": "BackupItemAction", "name": "velero.io/service-account"},
    {"kind": "ObjectStore", "name": "velero.io/aws"},
    {"kind": "RestoreItemAction", "name": "velero.io/add-pv-from-pvc"},
    {"kind": "RestoreItemAction", "name": "velero.io/job"},
    {"kind": "RestoreItemAction", "name": "velero.io/pod"},
    {"kind": "RestoreItemAction", "name": "velero.io/service"},
]


class DownloadController(Controller):
    """Answers with a URL for a file of a backup or restore; never, if it does not exist."""

    kind = terms.DOWNLOAD_REQUESTS

    def handle(self, item: Object) -> float | None:
        status = item.get("status") or {}
        created = terms.moment(item["metadata"]["creationTimestamp"])
        expiration = terms.moment(status["expiration"]) if status.get("expiration") else created + DOWNLOAD_LIFETIME
        left = (expiration - terms.now()).total_seconds()
        if left <= 0:
            self.context.delete(self.kind, item)
            return None
        if terms.phase(item) == "Processed":
            return left
        url = self._url(terms.spec(item).get("target") or {})
        if url is None:
            return self.context.periods.waiting
        answer = {
            "phase": "Processed",
            "downloadURL": url,
            "expiration": terms.timestamp(terms.now() + DOWNLOAD_LIFETIME),
        }
        self.context.patch(self.kind, item, {"status": answer})
        return None

    def _url(self, target: Object) -> str | None:
        kind, name = target.get("kind", ""), target.get("name", "")
        subject = self.context.get(terms.RESTORES if kind in RESTORE_FILES else terms.BACKUPS, name)
        if subject is None or (kind in LOGS and terms.phase(subject) not in terms.LOGGED):
            return None
        if kind in BACKUP_FILES:
            store = self.context.store_of_backup(subject)
            return store.signed_url(store.backup_key(name, BACKUP_FILES[kind]))
        backup = self.context.get(terms.BACKUPS, terms.spec(subject).get("backupName", ""))
        if backup is None or kind not in RESTORE_FILES:
            return None
        store = self.context.store_of_backup(backup)
        return store.signed_url(store.restore_key(name, RESTORE_FILES[kind]))


class StatusController(Controller):
    """Answers that the server is there."""

    kind = terms.STATUS_REQUESTS

    def handle(self, item: Object) -> float | None:
        status = item.get("status") or {}
        if terms.phase(item) != "Processed":
            answer = {
                "phase": "Processed",
                "processedTimestamp": terms.timestamp(terms.now()),
                "serverVersion": terms.SERVER_VERSION,
                "plugins": PLUGINS,
            }
            self.context.patch(self.kind, item, {"status": answer})
            return None
        left = terms.moment(status["processedTimestamp"]) + STATUS_LIFETIME - terms.now()
        if left.total_seconds() > 0:
            return left.total_seconds()
        self.context.delete(self.kind, item)
        return None

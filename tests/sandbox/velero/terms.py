# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Velero's own words: kinds, labels, phases, and how it writes names, times and durations."""

from __future__ import annotations

import datetime
import fnmatch
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import durationpy

from tests.sandbox.cluster import Object, Resource

SERVER_VERSION = "v1.18.3"
DEFAULT_LOCATION = "default"
NON_RESTORABLE = (
    "nodes",
    "events",
    "events.events.k8s.io",
    "backups.velero.io",
    "restores.velero.io",
    "resticrepositories.velero.io",
    "csinodes.storage.k8s.io",
    "volumeattachments.storage.k8s.io",
    "backuprepositories.velero.io",
)


def _kind(plural: str, kind: str) -> Resource:
    return Resource("velero.io", "v1", plural, kind, namespaced=True)


BACKUPS = _kind("backups", "Backup")
RESTORES = _kind("restores", "Restore")
SCHEDULES = _kind("schedules", "Schedule")
LOCATIONS = _kind("backupstoragelocations", "BackupStorageLocation")
SNAPSHOT_LOCATIONS = _kind("volumesnapshotlocations", "VolumeSnapshotLocation")
DELETE_REQUESTS = _kind("deletebackuprequests", "DeleteBackupRequest")
DOWNLOAD_REQUESTS = _kind("downloadrequests", "DownloadRequest")
STATUS_REQUESTS = _kind("serverstatusrequests", "ServerStatusRequest")
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap", namespaced=True)
SECRETS = Resource("", "v1", "secrets", "Secret", namespaced=True)

BACKUP_NAME = "velero.io/backup-name"
BACKUP_UID = "velero.io/backup-uid"
RESTORE_NAME = "velero.io/restore-name"
SCHEDULE_NAME = "velero.io/schedule-name"
STORAGE_LOCATION = "velero.io/storage-location"
EXCLUDE = "velero.io/exclude-from-backup"
GC_FAILURE = "velero.io/gc-failure"

# The server has the backup in its hands: it can neither be deleted nor be run a second time.
RUNNING = frozenset(
    [
        "ReadyToStart",
        "InProgress",
        "WaitingForPluginOperations",
        "WaitingForPluginOperationsPartiallyFailed",
        "Finalizing",
        "FinalizingPartiallyFailed",
    ]
)
# Its log can be downloaded.
LOGGED = frozenset(
    [
        "Completed",
        "PartiallyFailed",
        "Failed",
        "WaitingForPluginOperations",
        "WaitingForPluginOperationsPartiallyFailed",
    ]
)
INTERRUPTED = 'found a {} with status "InProgress" during the server starting, mark it as "Failed"'
LAST_STEP = {"Finalizing": "Completed", "FinalizingPartiallyFailed": "PartiallyFailed"}


def label_value(name: str) -> str:
    """A name as the value of a label: over 63 characters, the first 57 and 6 hexadecimals of its SHA-256."""
    return name if len(name) <= 63 else name[:57] + hashlib.sha256(name.encode()).hexdigest()[:6]


def phase(item: Object) -> str:
    """``status.phase``, ``New`` when there is none yet."""
    return str(item.get("status", {}).get("phase") or "New")


def spec(item: Object) -> Object:
    """``spec``, empty where there is none: the definitions of Velero demand it of no kind."""
    found: Object = item.get("spec") or {}
    return found


@dataclass
class Clock:
    """By how much the server's time goes before the machine's."""

    offset: datetime.timedelta = datetime.timedelta()

    def now(self) -> datetime.datetime:
        """The server's present."""
        return datetime.datetime.now(datetime.UTC) + self.offset


CLOCK = Clock()


def now() -> datetime.datetime:
    """The present, to the second, as the API keeps it."""
    return CLOCK.now().replace(microsecond=0)


def timestamp(moment: datetime.datetime) -> str:
    """As the API writes it."""
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(text: str) -> datetime.datetime:
    """The moment of an API timestamp."""
    return datetime.datetime.fromisoformat(text)


def duration(text: str) -> datetime.timedelta:
    """A duration in Go's notation. Raises ``durationpy.DurationError``."""
    return durationpy.from_str(text)


def go_duration(value: datetime.timedelta) -> str:
    """A whole number of seconds as Go writes it: ``720h0m0s``, ``10m0s``, ``30s``."""
    minutes, seconds = divmod(int(value.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{seconds}s"
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"


def failed(reason: str) -> Object:
    """The status of a backup or restore that ends here."""
    return {"phase": "Failed", "failureReason": reason, "completionTimestamp": timestamp(now())}


def without_zeros(status: Mapping[str, Any]) -> Object:
    """A status as the API shows it: counts of zero, empty texts and empty lists are left out."""
    return {key: value for key, value in status.items() if value or isinstance(value, bool)}


def matches_any(name: str, patterns: Iterable[str]) -> bool:
    """Whether a name is among the patterns, in which ``*`` stands for any characters."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)

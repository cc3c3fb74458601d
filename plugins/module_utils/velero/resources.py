# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Velero's kinds, labels and names."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.client import Resource

BACKUP = Resource("velero.io", "v1", "backups", "Backup")
RESTORE = Resource("velero.io", "v1", "restores", "Restore")
SCHEDULE = Resource("velero.io", "v1", "schedules", "Schedule")
LOCATION = Resource("velero.io", "v1", "backupstoragelocations", "BackupStorageLocation")
SNAPSHOT_LOCATION = Resource("velero.io", "v1", "volumesnapshotlocations", "VolumeSnapshotLocation")
DELETE_BACKUP_REQUEST = Resource("velero.io", "v1", "deletebackuprequests", "DeleteBackupRequest")
DOWNLOAD_REQUEST = Resource("velero.io", "v1", "downloadrequests", "DownloadRequest")

BACKUP_NAME_LABEL = "velero.io/backup-name"
BACKUP_UID_LABEL = "velero.io/backup-uid"
RESTORE_NAME_LABEL = "velero.io/restore-name"
SCHEDULE_NAME_LABEL = "velero.io/schedule-name"
PREFIX_LABEL = "dcm.io/backup-prefix"  # ours: which backups were made under one name_prefix

ROOT_CERTIFICATES = "kube-root-ca.crt"  # a ConfigMap that the cluster makes in every namespace

LABEL_LENGTH = 63  # the longest label value that Kubernetes takes
DIGEST_LENGTH = 6


def label_value(name: str) -> str:
    """A name as a label's value, as Velero makes it: names over 63 characters are cut and end in a part of a hash."""
    if len(name) <= LABEL_LENGTH:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()
    return name[: LABEL_LENGTH - DIGEST_LENGTH] + digest[:DIGEST_LENGTH]


def selector(labels: Mapping[str, str]) -> str:
    """A label selector for objects that carry all of ``labels``."""
    return ",".join(f"{key}={value}" for key, value in labels.items())

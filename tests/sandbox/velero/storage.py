# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The object store of a BackupStorageLocation, as the plugin ``aws`` reaches it, and where Velero's files lie in it."""

from __future__ import annotations

import base64
import binascii
import configparser
import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.sandbox.cluster import Object

DIRECTORIES = frozenset(["backups", "restores", "restic", "kopia", "metadata", "plugins"])
URL_LIFETIME = 600  # seconds
CONFIG_KEYS = (
    "region",
    "s3Url",
    "publicUrl",
    "kmsKeyId",
    "customerKeyEncryptionFile",
    "customerKeyEncryptionSecret",
    "signatureVersion",
    "credentialsFile",
    "profile",
    "serverSideEncryption",
    "s3ForcePathStyle",
    "insecureSkipTLSVerify",
    "enableSharedConfig",
    "tagging",
    "checksumAlgorithm",
)
# What a DownloadRequest can ask for, as file names; {name} is the target's.
BACKUP_FILES = {
    "BackupLog": "{name}-logs.gz",
    "BackupContents": "{name}.tar.gz",
    "BackupVolumeSnapshots": "{name}-volumesnapshots.json.gz",
    "BackupItemOperations": "{name}-itemoperations.json.gz",
    "BackupResourceList": "{name}-resource-list.json.gz",
    "BackupResults": "{name}-results.gz",
    "BackupVolumeInfos": "{name}-volumeinfo.json.gz",
    "CSIBackupVolumeSnapshots": "{name}-csi-volumesnapshots.json.gz",
    "CSIBackupVolumeSnapshotContents": "{name}-csi-volumesnapshotcontents.json.gz",
}
RESTORE_FILES = {
    "RestoreLog": "restore-{name}-logs.gz",
    "RestoreResults": "restore-{name}-results.gz",
    "RestoreResourceList": "restore-{name}-resource-list.json.gz",
    "RestoreItemOperations": "restore-{name}-itemoperations.json.gz",
    "RestoreVolumeInfo": "{name}-volumeinfo.json.gz",
}
METADATA = "velero-backup.json"

ReadSecret = Callable[[str, str], bytes]


class StorageError(Exception):
    """The store cannot be used; the text is what Velero shows."""


@dataclass(frozen=True)
class StoreSettings:
    """How to reach a store. ``authority``: PEM certificates that it is checked against."""

    bucket: str
    prefix: str
    access_key: str
    secret_key: str
    region: str
    endpoint: str | None
    public_endpoint: str | None
    path_style: bool
    verify: bool
    authority: bytes | None


def store_settings(location: Object, read_secret: ReadSecret) -> StoreSettings:
    """The settings of a location. ``read_secret`` gives the value of a Secret's key or raises :class:`StorageError`.

    Raises :class:`StorageError` for what Velero or the plugin refuses.
    """
    spec = location.get("spec") or {}
    provider = str(spec.get("provider", "")).removeprefix("velero.io/")
    if provider != "aws":
        raise StorageError(f"unable to locate ObjectStore plugin named velero.io/{provider}")
    storage, options = spec.get("objectStorage") or {}, spec.get("config") or {}
    if not storage.get("bucket"):
        raise StorageError("backup storage location's bucket name must not be empty")
    unknown = sorted(set(options) - set(CONFIG_KEYS))
    if unknown:
        raise StorageError(
            f"rpc error: code = Unknown desc = config has invalid keys [{' '.join(unknown)}]; "
            f"valid keys are [{' '.join(CONFIG_KEYS)}]"
        )
    reference = spec.get("credential") or {"name": "cloud-credentials", "key": "cloud"}
    access_key, secret_key = keys_of(
        read_secret(reference["name"], reference["key"]).decode(), options.get("profile") or "default"
    )
    return StoreSettings(
        bucket=storage["bucket"],
        prefix=storage.get("prefix", "").strip("/"),
        access_key=access_key,
        secret_key=secret_key,
        region=options.get("region") or "us-east-1",
        endpoint=options.get("s3Url") or None,
        public_endpoint=options.get("publicUrl") or options.get("s3Url") or None,
        path_style=options.get("s3ForcePathStyle") == "true",
        verify=options.get("insecureSkipTLSVerify") != "true",
        authority=_authority(storage, read_secret),
    )


def keys_of(credentials: str, profile: str) -> tuple[str, str]:
    """The key pair of a profile of an AWS credentials file. Raises :class:`StorageError`."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(credentials)
        section = parser[profile]
        return section["aws_access_key_id"], section["aws_secret_access_key"]
    except configparser.Error as error:
        raise StorageError(f"the credentials file cannot be read: {type(error).__name__}") from error
    except KeyError as error:
        raise StorageError(f"the credentials file has no profile {profile} with a key pair") from error


def _authority(storage: Mapping[str, Any], read_secret: ReadSecret) -> bytes | None:
    reference = storage.get("caCertRef")
    if reference and storage.get("caCert"):
        raise StorageError("cannot specify both caCert and caCertRef in objectStorage")
    if reference:
        return read_secret(reference["name"], reference["key"])
    try:
        return base64.b64decode(storage["caCert"], validate=True) if storage.get("caCert") else None
    except binascii.Error as error:
        raise StorageError(f"caCert is not base64: {error}") from error


class ObjectStore:
    """The files of one location. Every method raises :class:`StorageError` where the store refuses or is not there."""

    def __init__(self, settings: StoreSettings, scratch: Path) -> None:
        """``scratch``: directory for the authority's certificates, which the client wants as a file."""
        self._settings = settings
        self._scratch = scratch
        self._root = f"{settings.prefix}/" if settings.prefix else ""
        self._client = self._connect(settings.endpoint)

    def check(self) -> None:
        """What makes a location Available."""
        found = self._directories(self._root)
        foreign = [name for name in found if name not in DIRECTORIES]
        if len(foreign) > 3:
            shown = " ".join([*foreign[:3], "..."])
            raise StorageError(f"Backup store contains {len(foreign)} invalid top-level directories: [{shown}]")
        if foreign:
            raise StorageError(f"Backup store contains invalid top-level directories: [{' '.join(foreign)}]")

    def backup_names(self) -> list[str]:
        """The backups that have files here."""
        return self._directories(f"{self._root}backups/")

    def backup_key(self, backup: str, file: str) -> str:
        """Key of a backup's file; ``{name}`` in ``file`` stands for the backup."""
        return f"{self._root}backups/{backup}/{file.format(name=backup)}"

    def restore_key(self, restore: str, file: str) -> str:
        """Key of a restore's file; ``{name}`` in ``file`` stands for the restore."""
        return f"{self._root}restores/{restore}/{file.format(name=restore)}"

    def delete_backup(self, backup: str) -> None:
        """Remove every file of a backup."""
        self._delete_directory(f"{self._root}backups/{backup}/")

    def delete_restore(self, restore: str) -> None:
        """Remove every file of a restore."""
        self._delete_directory(f"{self._root}restores/{restore}/")

    def put(self, key: str, body: bytes | IO[bytes]) -> None:
        """Write a file."""
        with _failures():
            self._client.put_object(Bucket=self._settings.bucket, Key=key, Body=body)

    def get(self, key: str) -> bytes | None:
        """A small file, None if there is none."""
        body = self._open(key)
        if body is None:
            return None
        with _failures(), body:
            content: bytes = body.read()
            return content

    def fetch(self, key: str, into: IO[bytes]) -> bool:
        """Copy a file; False if there is none."""
        body = self._open(key)
        if body is None:
            return False
        with _failures(), body:
            for chunk in body.iter_chunks(1 << 16):
                into.write(chunk)
        return True

    def signed_url(self, key: str) -> str:
        """A URL with which anyone can read the file for ten minutes."""
        client = self._connect(self._settings.public_endpoint)
        with _failures():
            parameters = {"Bucket": self._settings.bucket, "Key": key}
            return str(client.generate_presigned_url("get_object", Params=parameters, ExpiresIn=URL_LIFETIME))

    def _open(self, key: str) -> Any:
        with _failures():
            try:
                return self._client.get_object(Bucket=self._settings.bucket, Key=key)["Body"]
            except ClientError as error:
                if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                    return None
                raise

    def _directories(self, prefix: str) -> list[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._settings.bucket, Prefix=prefix, Delimiter="/"
        )
        with _failures():
            return [
                found["Prefix"].removeprefix(prefix).rstrip("/")
                for page in pages
                for found in page.get("CommonPrefixes", ())
            ]

    def _delete_directory(self, prefix: str) -> None:
        bucket = self._settings.bucket
        with _failures():
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
                keys = [{"Key": item["Key"]} for item in page.get("Contents", ())]
                if keys:
                    self._client.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})

    def _connect(self, endpoint: str | None) -> Any:
        settings = self._settings
        return boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name=settings.region,
            aws_access_key_id=settings.access_key,
            aws_secret_access_key=settings.secret_key,
            verify=self._authority_file() if settings.verify else False,
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path" if settings.path_style else "auto"},
                connect_timeout=3,
                read_timeout=30,
                retries={"total_max_attempts": 1},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def _authority_file(self) -> str | None:
        authority = self._settings.authority
        if authority is None:
            return None
        file = self._scratch / f"{hashlib.sha256(authority).hexdigest()[:16]}.pem"
        file.write_bytes(authority)
        return str(file)


@contextlib.contextmanager
def _failures() -> Iterator[None]:
    """The client's errors as :class:`StorageError`."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise StorageError(f"rpc error: code = Unknown desc = {error}") from error

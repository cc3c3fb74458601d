# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The run of ``vault_snapshot``: the whole storage of a raft cluster into a file or a bucket, and back."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, Outcome
from ansible_collections.dcm.platform.plugins.module_utils.engine.concurrent import apply_each
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import (
    InputError,
    NotFoundError,
    PlatformError,
    RefusedError,
    UnreachableError,
)
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import Reconciler
from ansible_collections.dcm.platform.plugins.module_utils.vault.client import Vault
from ansible_collections.dcm.platform.plugins.module_utils.vault.errors import SERVICE

try:
    import boto3
    import botocore.config
    import botocore.exceptions
except ImportError:  # the engine reports a missing library with its package
    boto3 = None
try:
    from hvac.adapters import RawAdapter
except ImportError:  # the engine reports a missing library with its package
    RawAdapter = None

SUFFIX = ".sha256"
BLOCK = 1 << 20  # bytes read at a time
Options = Mapping[str, Any]


class FileStore:
    """A file, and its checksum beside it in the form that ``sha256sum`` reads."""

    def __init__(self, path: str) -> None:
        self.name = path
        self._path = Path(path)
        self._beside = Path(f"{path}{SUFFIX}")

    @contextlib.contextmanager
    def writing(self) -> Iterator[BinaryIO]:
        """A draft, which becomes the file when all went well: readers never see half a snapshot."""
        draft = Path(f"{self.name}.new")
        try:
            with os.fdopen(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "w+b") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
                checksum = checksum_of(file)
            draft.replace(self._path)
            self._beside.write_text(f"{checksum}  {self._path.name}\n", encoding="utf-8")
        except OSError as error:
            raise InputError(f"The snapshot cannot be written to {self.name}: {error.strerror}.") from error
        finally:
            draft.unlink(missing_ok=True)

    @contextlib.contextmanager
    def reading(self) -> Iterator[tuple[BinaryIO, str]]:
        """The snapshot, and what its checksum must be."""
        try:
            expected = self._beside.read_text(encoding="utf-8").partition(" ")[0].strip()
            file = self._path.open("rb")
        except OSError as error:
            raise NotFoundError(f"{error.filename} cannot be read: {error.strerror}.") from error
        with file:
            yield file, expected


class BucketStore:
    """An object in a bucket, with its checksum in its metadata."""

    def __init__(self, options: Options) -> None:
        self.name = f"s3://{options['bucket']}/{options['object']}"
        self._place = {"Bucket": options["bucket"], "Key": options["object"]}
        self._endpoint = options["endpoint_url"] or "https://s3.amazonaws.com"
        self._client = boto3.client(
            "s3",
            endpoint_url=options["endpoint_url"],
            region_name=options["region"],
            aws_access_key_id=options["access_key"],
            aws_secret_access_key=options["secret_key"],
            config=botocore.config.Config(retries={"max_attempts": 3, "mode": "standard"}),
        )

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except botocore.exceptions.ClientError as error:
            code = error.response["Error"]["Code"]
            kind = NotFoundError if code in ("NoSuchKey", "NoSuchBucket", "404") else RefusedError
            raise kind(f"{self.name} at {self._endpoint}: {code}.") from error
        except botocore.exceptions.BotoCoreError as error:
            raise UnreachableError("Object storage", self._endpoint, type(error).__name__) from error

    @contextlib.contextmanager
    def writing(self) -> Iterator[BinaryIO]:
        """A file that is uploaded when all went well."""
        with tempfile.TemporaryFile() as file:
            yield file
            checksum = checksum_of(file)
            file.seek(0)
            with self._errors():
                self._client.put_object(**self._place, Body=file, Metadata={"sha256": checksum})

    @contextlib.contextmanager
    def reading(self) -> Iterator[tuple[BinaryIO, str]]:
        """The snapshot, and what its checksum must be."""
        with tempfile.TemporaryFile() as file:
            with self._errors():
                found = self._client.get_object(**self._place)
                for block in found["Body"].iter_chunks(BLOCK):
                    file.write(block)
            file.seek(0)
            yield file, found["Metadata"].get("sha256", "")


def checksum_of(file: BinaryIO) -> str:
    """SHA-256 of the whole file, in hexadecimal."""
    file.seek(0)
    digest = hashlib.sha256()
    while block := file.read(BLOCK):
        digest.update(block)
    return digest.hexdigest()


class Snapshot(Reconciler[dict[str, Any]]):
    """Takes a snapshot, or restores one over everything the cluster holds."""

    def __init__(self, vault: Vault, store: FileStore | BucketStore, options: Options) -> None:
        self._vault = vault
        self._store = store
        self._options = options
        self._checksum: str | None = None
        self._size: int | None = None

    def read(self) -> dict[str, Any]:
        seal = self._vault.request("get", "sys/seal-status")
        if seal.get("storage_type") != "raft":
            raise RefusedError(
                f"{SERVICE} at {self._vault.url} keeps its data in {seal.get('storage_type')}, which has no snapshots.",
                hint="Back up that storage by its own means.",
            )
        return {"cluster_id": seal["cluster_id"], "version": seal["version"]}

    def plan(self, actual: dict[str, Any]) -> list[Change]:
        if self._options["state"] == "present":
            return [Change("create", "snapshot", self._store.name, None, actual, self._take)]
        if self._options["confirm"] not in (actual["cluster_id"], self._vault.url):
            raise InputError(
                f"Restoring replaces everything in {SERVICE} at {self._vault.url}.",
                hint=f"Say that this is meant: confirm: {actual['cluster_id']}",
            )
        return [Change("run", "restore", self._store.name, actual, {"snapshot": self._store.name}, self._restore)]

    def apply(self, changes: Sequence[Change]) -> Iterator[Outcome]:
        return apply_each(changes, lambda change: change.payload())

    def _take(self) -> None:
        with self._store.writing() as file:
            response = self._vault.call(
                lambda client: RawAdapter.from_adapter(client.adapter).get("/v1/sys/storage/raft/snapshot", stream=True)
            )
            with response:
                for block in response.iter_content(BLOCK):
                    file.write(block)
            self._size = file.tell()
            if not self._size:
                raise PlatformError(f"The snapshot that {SERVICE} at {self._vault.url} gave is empty.")
            self._checksum = checksum_of(file)

    def _restore(self) -> None:
        """Nothing is sent unless it is what was stored."""
        with self._store.reading() as (file, expected):
            self._checksum = checksum_of(file)
            self._size = file.tell()
            if self._checksum != expected:
                raise RefusedError(
                    f"{self._store.name} is damaged: its SHA-256 is {self._checksum}, not {expected or 'noted'}.",
                    hint="Nothing was restored. Use another snapshot.",
                )
            path = "snapshot-force" if self._options["force"] else "snapshot"
            file.seek(0)
            self._vault.call(
                lambda client: client.adapter.post(f"/v1/sys/storage/raft/{path}", data=file), idempotent=False
            )

    def result(self, actual: dict[str, Any], changes: Sequence[Change]) -> dict[str, Any]:
        """Where the snapshot is, and what it is like; in check mode, that is not known."""
        return {
            "snapshot": self._store.name,
            "cluster_id": actual["cluster_id"],
            "sha256": self._checksum,
            "size": self._size,
        }

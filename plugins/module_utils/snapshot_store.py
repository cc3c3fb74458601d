# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where snapshots of whole systems are kept, with a checksum: in a file or in a bucket."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import (
    InputError,
    NotFoundError,
    RefusedError,
    UnreachableError,
)
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import BOTO3, require

try:
    import boto3
    import botocore.config
    import botocore.exceptions
except ImportError:  # the engine reports a missing library with its package
    boto3 = None

SUFFIX = ".sha256"
BLOCK = 1 << 20  # bytes read at a time
Options = Mapping[str, Any]

_BUCKET = {
    "bucket": {"type": "str", "required": True},
    "object": {"type": "str", "required": True},
    "endpoint_url": {"type": "str"},
    "region": {"type": "str", "default": "us-east-1"},
    "access_key": {"type": "str", "no_log": False},  # names the key, and is no secret
    "secret_key": {"type": "str", "no_log": True},
}
PLACE = Arguments(
    {
        "path": {"type": "path"},
        "s3": {"type": "dict", "options": _BUCKET, "required_together": [["access_key", "secret_key"]]},
    },
    mutually_exclusive=(("path", "s3"),),
    required_one_of=(("path", "s3"),),
)


class Store(Protocol):
    """A place for one snapshot, which ``name`` says to people."""

    name: str

    def writing(self) -> AbstractContextManager[BinaryIO]:
        """A file that is stored as a whole at the end, or not at all."""

    def reading(self) -> AbstractContextManager[tuple[BinaryIO, str]]:
        """The snapshot, and what its checksum must be; empty if none was noted."""


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
        """The snapshot, and what its checksum must be; empty if none was noted."""
        try:
            file = self._path.open("rb")
        except OSError as error:
            raise NotFoundError(f"{error.filename} cannot be read: {error.strerror}.") from error
        with file:
            yield file, self._noted()

    def _noted(self) -> str:
        try:
            return self._beside.read_text(encoding="utf-8").partition(" ")[0].strip()
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise NotFoundError(f"{error.filename} cannot be read: {error.strerror}.") from error


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
        """The snapshot, and what its checksum must be; empty if none was noted."""
        with tempfile.TemporaryFile() as file:
            with self._errors():
                found = self._client.get_object(**self._place)
                for block in found["Body"].iter_chunks(BLOCK):
                    file.write(block)
            file.seek(0)
            yield file, found["Metadata"].get("sha256", "")


def store_of(options: Options) -> Store:
    """Where :data:`PLACE` says. Raises :class:`MissingLibraryError` if that is a bucket and boto3 is not there."""
    if not options["s3"]:
        return FileStore(options["path"])
    require(BOTO3)
    return BucketStore(options["s3"])


def checksum_of(file: BinaryIO) -> str:
    """SHA-256 of the whole file, in hexadecimal."""
    file.seek(0)
    digest = hashlib.sha256()
    while block := file.read(BLOCK):
        digest.update(block)
    return digest.hexdigest()

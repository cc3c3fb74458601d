# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The objects of a backup: gathered in a spool, written as Velero's ``<name>.tar.gz``, and read from it again.

They go through unnamed temporary files, as a backup can be larger than the memory the stand-in should have.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import shutil
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

from tests.sandbox.cluster import Object

FORMAT_VERSION = "1.1.0"
COMPRESSION = 6


class Key(NamedTuple):
    """An object in a backup: full name of its resource, namespace (empty when it has none), name."""

    resource: str
    namespace: str
    name: str

    @property
    def path(self) -> str:
        """Where it lies in the archive."""
        scope = f"namespaces/{self.namespace}" if self.namespace else "cluster"
        return f"resources/{self.resource}/{scope}/{self.name}.json"


class Spool:
    """Objects in the order in which they were added, in a file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._places: dict[Key, tuple[int, int]] = {}

    def __contains__(self, key: Key) -> bool:
        return key in self._places

    def __iter__(self) -> Iterator[Key]:
        return iter(list(self._places))

    def __len__(self) -> int:
        return len(self._places)

    def add(self, key: Key, item: Object) -> None:
        """Append an object."""
        content = json.dumps(item, separators=(",", ":")).encode()
        self._places[key] = (self._file.seek(0, io.SEEK_END), len(content))
        self._file.write(content)

    def drop(self, key: Key) -> None:
        """Forget an object."""
        del self._places[key]

    def item(self, key: Key) -> Object:
        """The object."""
        found: Object = json.loads(self.content(key))
        return found

    def content(self, key: Key) -> bytes:
        """The object as JSON."""
        offset, length = self._places[key]
        self._file.seek(offset)
        return self._file.read(length)


def write(file: IO[bytes], items: Iterable[tuple[Key, bytes]]) -> None:
    """Write an archive of objects in JSON."""
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=COMPRESSION) as tar:
        _add(tar, "metadata/version", FORMAT_VERSION.encode())
        for key, content in items:
            _add(tar, key.path, content)


def _add(tar: tarfile.TarFile, path: str, content: bytes) -> None:
    entry = tarfile.TarInfo(path)
    entry.size = len(content)
    entry.mode = 0o755
    tar.addfile(entry, io.BytesIO(content))


class Reader:
    """Gives the objects of an archive in any order."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._members = {key: member for member in tar if (key := key_of(member.name))}

    def __contains__(self, key: Key) -> bool:
        return key in self._members

    def keys(self, resource: str) -> list[Key]:
        """The objects of a resource, by namespace and name."""
        return sorted(key for key in self._members if key.resource == resource)

    def resources(self) -> set[str]:
        """The resources of which there are objects."""
        return {key.resource for key in self._members}

    def read(self, key: Key) -> Object:
        """One object."""
        stream = self._tar.extractfile(self._members[key])
        item: Object = json.loads(stream.read() if stream else b"")
        return item


@contextlib.contextmanager
def reading(compressed: IO[bytes], scratch: Path) -> Iterator[Reader]:
    """Open an archive. Raises ``OSError`` or ``tarfile.TarError`` for a damaged one."""
    compressed.seek(0)
    with tempfile.TemporaryFile(dir=scratch) as plain:
        with gzip.open(compressed) as packed:
            shutil.copyfileobj(packed, plain)
        plain.seek(0)
        with tarfile.open(fileobj=plain, mode="r:") as tar:
            yield Reader(tar)


def key_of(path: str) -> Key | None:
    """The object that lies at a path of the archive, None where something else does."""
    match path.removesuffix(".json").split("/"):
        case ["resources", resource, "namespaces", namespace, name]:
            return Key(resource, namespace, name)
        case ["resources", resource, "cluster", name]:
            return Key(resource, "", name)
    return None


def json_gzip(content: object) -> bytes:
    """A small file of a backup."""
    return gzip.compress(json.dumps(content).encode())


def resource_list(items: Iterable[tuple[str, str, str]]) -> dict[str, list[str]]:
    """``{"v1/Pod": ["namespace/name", …]}`` of triples of API version and kind, namespace and name."""
    found: dict[str, list[str]] = {}
    for kind, namespace, name in items:
        found.setdefault(kind, []).append(f"{namespace}/{name}" if namespace else name)
    return {kind: sorted(names) for kind, names in sorted(found.items())}

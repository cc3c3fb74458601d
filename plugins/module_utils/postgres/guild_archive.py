# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Archives of single guilds: what is in one, that it is whole, and how it is found again.

An archive is a file of ``pg_dump`` in its custom format and a description of it in JSON, which is written last: an
archive without one was broken off. Nothing is ever overwritten.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError, RefusedError
from ansible_collections.dcm.platform.plugins.module_utils.guild import GuildNames

SUFFIX = ".dump"
BLOCK = 1 << 20
_COPY = re.compile(rb'COPY (?:"[^"]*"|[^ ."]+)\.(?P<table>"(?:[^"]|"")*"|[^ "]+) \(.*\) FROM stdin;\n')
_END_OF_ROWS = b"\\.\n"
# Newer minor versions put a random word into every script, against statements smuggled in by a server.
_RANDOM = (b"\\restrict ", b"\\unrestrict ")


@dataclass(frozen=True)
class Archive:
    """One archive, as its description says.

    ``size`` in bytes; ``sha256`` of the file; ``content`` a checksum of the statements and rows in it, the same for two
    archives of the same state; ``tables`` rows by table; ``taken_at`` in UTC; ``state`` roles, settings and privileges,
    which the file does not hold.
    """

    guild: str
    schema: str
    file: str
    taken_at: str
    server_version: str
    size: int
    sha256: str
    content: str
    tables: Mapping[str, int]
    state: Mapping[str, Any]

    def described(self, directory: str) -> dict[str, Any]:
        """For a result."""
        whole = asdict(self)
        del whole["state"]
        return {**whole, "path": str(Path(directory) / self.file)}


def read_archive(path: Path) -> Archive:
    """The description beside an archive. Raises :class:`InputError`."""
    try:
        return Archive(**json.loads(_description(path).read_text()))
    except FileNotFoundError as error:
        raise InputError(f"{path} has no description {_description(path).name} beside it: it is not whole.") from error
    except (ValueError, TypeError) as error:
        raise InputError(f"{_description(path)} is no description of an archive.") from error


def verified_archive(path: Path, names: GuildNames) -> Archive:
    """The same, after a look at the file. Raises :class:`InputError` if it is not what its description says."""
    archive = read_archive(path)
    if archive.guild != names.id or archive.schema != names.schema:
        raise InputError(f"{path} is an archive of {archive.schema}, not of {names.schema}.")
    try:
        found = checksum(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    if found != archive.sha256:
        raise InputError(f"{path} was damaged: its checksum is not that of its description.")
    return archive


def archives_of(directory: str, names: GuildNames) -> list[Archive]:
    """All whole archives of a guild in a directory, the oldest first."""
    files = sorted(Path(directory).glob(f"{names.schema}-*{SUFFIX}"))
    return [read_archive(path) for path in files if _description(path).exists()]


def write_archive(draft: Path, directory: Path, archive: Archive) -> None:
    """Give a draft its name, and then its description; both are on disk when this returns."""
    path = directory / archive.file
    if path.exists():
        raise RefusedError(f"{path} exists already.", hint="Run again.")
    _synchronise(draft)
    draft.rename(path)
    description = draft.with_suffix(".json")
    with open(description, "w", opener=private) as file:
        json.dump(asdict(archive), file, indent=2, sort_keys=True)
        file.write("\n")
    _synchronise(description)
    description.rename(_description(path))
    _synchronise(directory)


def private(path: str, flags: int) -> int:
    """For ``open``: a new file is the user's alone."""
    return os.open(path, flags, 0o600)


@contextlib.contextmanager
def drafted(directory: Path, schema: str) -> Iterator[Path]:
    """The path for an archive that is being made; afterwards there is nothing there."""
    draft = directory / f".{schema}-{os.getpid()}{SUFFIX}"
    try:
        yield draft
    finally:
        for path in (draft, draft.with_suffix(".json")):
            path.unlink(missing_ok=True)


def checksum(path: Path) -> str:
    """SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def content_of(script: Iterable[bytes]) -> tuple[str, dict[str, int]]:
    """Of the lines of a script that restores an archive: a checksum of what it does, and the rows by table."""
    digest = hashlib.sha256()
    rows: dict[str, int] = {}
    table = None
    for line in script:
        if table is None:
            if line.startswith((b"--", *_RANDOM)):
                continue
            match = _COPY.fullmatch(line)
            if match is not None:
                table = _name(match["table"])
                rows[table] = 0
        elif line == _END_OF_ROWS:
            table = None
        else:
            rows[table] += 1
        digest.update(line)
    return digest.hexdigest(), rows


def _name(quoted: bytes) -> str:
    text = quoted.decode()
    return text[1:-1].replace('""', '"') if text.startswith('"') else text


def _description(path: Path) -> Path:
    return path.with_suffix(".json")


def _synchronise(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

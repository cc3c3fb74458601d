# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Migrations as files, and which of them a guild still lacks. Nothing here talks to a server."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError

Kind = Literal["migration", "seed"]
KINDS: tuple[Kind, ...] = ("migration", "seed")
SHORT = 16  # characters of a checksum in the summary: enough to notice an edit, and a thousand guilds stay small
_FILE = re.compile(r"(?P<version>[0-9]{1,18})_[A-Za-z0-9][A-Za-z0-9_.-]*\.sql")

# Checksums by kind and version, whole or shortened.
Applied = Mapping[tuple[str, int], str]


@dataclass(frozen=True)
class Migration:
    """One file. ``checksum`` is the SHA-256 of its bytes, in hexadecimal digits."""

    kind: Kind
    version: int
    name: str
    text: str
    checksum: str

    @property
    def key(self) -> tuple[str, int]:
        """What identifies it among those that were applied."""
        return self.kind, self.version


def read_migrations(kind: Kind, directory: str) -> list[Migration]:
    """The files of a directory in the order of their versions. Raises :class:`InputError`."""
    try:
        paths = sorted(path for path in Path(directory).iterdir() if path.suffix == ".sql")
        found = [_migration(kind, path) for path in paths]
    except OSError as error:
        raise InputError(f"{directory} cannot be read: {error.strerror}.") from error
    if not found:
        raise InputError(f"There is no .sql file in {directory}.", hint="Is that the right directory?")
    by_version: dict[int, Migration] = {}
    for one in found:
        other = by_version.setdefault(one.version, one)
        if other is not one:
            raise InputError(f"{other.name} and {one.name} in {directory} have the same version.")
    return [by_version[version] for version in sorted(by_version)]


def _migration(kind: Kind, path: Path) -> Migration:
    match = _FILE.fullmatch(path.name)
    if match is None:
        raise InputError(
            f"{path.name!r} is no name of a {kind}.",
            hint="It is a version number, _, what it does, and .sql: 0007_add_notes.sql.",
        )
    content = path.read_bytes()
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not in UTF-8.") from error
    if "\0" in text:
        raise InputError(f"{path} has a NUL in it, which PostgreSQL cannot read.")
    return Migration(kind, int(match["version"]), path.name, text, hashlib.sha256(content).hexdigest())


def pending(files: Sequence[Migration], applied: Applied) -> list[Migration]:
    """What is still to be applied, in order."""
    return [one for one in files if one.key not in applied]


def objections(files: Sequence[Migration], applied: Applied) -> Iterator[str]:
    """Why the files do not continue what was applied, one clause each. A kind without files is not compared."""
    for kind in KINDS:
        by_version = {one.version: one for one in files if one.kind == kind}
        done = {version: checksum for (other, version), checksum in applied.items() if other == kind}
        for version in sorted(done) if by_version else ():
            one = by_version.get(version)
            if one is None:
                yield f"{kind} {version} was applied, but its file is not there any more"
            elif not one.checksum.startswith(done[version]):
                yield f"{one.name} was changed after it was applied"
        latest = max(done, default=0)
        yield from (
            f"{one.name} is older than {kind} {latest}, which was applied"
            for version, one in by_version.items()
            if version < latest and version not in done
        )


def summary(applied: Applied) -> str:
    """What was applied, as it is kept where one query reads it of all guilds."""
    kinds: dict[str, dict[str, str]] = {kind: {} for kind in KINDS}
    for (kind, version), checksum in sorted(applied.items()):
        kinds[kind][str(version)] = checksum[:SHORT]
    return json.dumps(kinds, separators=(",", ":"))


def parse_summary(text: str | None) -> dict[tuple[str, int], str]:
    """The reverse of :func:`summary`; nothing was applied where there is none. Raises ``ValueError``."""
    try:
        return {
            (kind, int(version)): str(checksum)
            for kind, versions in (json.loads(text) if text else {}).items()
            for version, checksum in versions.items()
        }
    except (AttributeError, TypeError) as error:
        raise ValueError("not a summary of migrations") from error

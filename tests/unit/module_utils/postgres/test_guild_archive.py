# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is in a script that restores an archive, and which archives are whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError, RefusedError
from ansible_collections.dcm.platform.plugins.module_utils.guild import guild_names
from ansible_collections.dcm.platform.plugins.module_utils.postgres.guild_archive import (
    Archive,
    archives_of,
    checksum,
    content_of,
    drafted,
    verified_archive,
    write_archive,
)

NAMES = guild_names(1)
SCRIPT = b"""\
--
-- Dumped from database version 16.2
--
\\restrict OneRandomWord
CREATE TABLE g_1.note (
    id integer
);
COPY g_1.note (id, text) FROM stdin;
1\tcopy g_1.note (id) FROM stdin;
2\t\\\\.
-- no comment but a row
\\.
COPY g_1."odd ""name"" (x)" ("a b") FROM stdin;
\\.
\\unrestrict OneRandomWord
"""


def lines(script: bytes) -> list[bytes]:
    return script.splitlines(keepends=True)


def test_rows_are_counted_by_table() -> None:
    assert content_of(lines(SCRIPT))[1] == {"note": 3, 'odd "name" (x)': 0}


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        (b"OneRandomWord", b"AnotherWord", True),
        (b"version 16.2", b"version 16.3", True),
        (b"1\tcopy", b"3\tcopy", False),
        (b"-- no comment", b"-- a comment", False),
        (b"integer", b"bigint", False),
    ],
)
def test_the_content_is_what_statements_and_rows_are(old: bytes, new: bytes, same: bool) -> None:
    assert (content_of(lines(SCRIPT))[0] == content_of(lines(SCRIPT.replace(old, new)))[0]) is same


def kept(directory: Path, moment: str, content: bytes = b"dump") -> Archive:
    """An archive in the directory."""
    with drafted(directory, NAMES.schema) as draft:
        draft.write_bytes(content)
        archive = Archive(
            guild=NAMES.id,
            schema=NAMES.schema,
            file=f"{NAMES.schema}-{moment}.dump",
            taken_at=moment,
            server_version="16.2",
            size=len(content),
            sha256=checksum(draft),
            content="",
            tables={"note": 1},
            state={},
        )
        write_archive(draft, directory, archive)
    return archive


def test_archives_are_found_the_oldest_first_and_never_overwritten(tmp_path: Path) -> None:
    second, first = kept(tmp_path, "20261122T000000Z"), kept(tmp_path, "20261121T000000Z")
    (tmp_path / "g_1-20261123T000000Z.dump").write_bytes(b"broken off")
    (tmp_path / "g_12-20261123T000000Z.dump").write_bytes(b"another guild's")
    assert archives_of(str(tmp_path), NAMES) == [first, second]
    assert archives_of(str(tmp_path / "nowhere"), NAMES) == []
    with pytest.raises(RefusedError, match="exists already"):
        kept(tmp_path, "20261122T000000Z")
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_an_archive_that_is_not_what_it_says_is_refused(tmp_path: Path) -> None:
    archive = kept(tmp_path, "20261121T000000Z")
    path = tmp_path / archive.file
    assert verified_archive(path, NAMES) == archive
    with pytest.raises(InputError, match="is an archive of g_1, not of g_12"):
        verified_archive(path, guild_names(12))
    path.write_bytes(b"dumb")
    with pytest.raises(InputError, match="was damaged"):
        verified_archive(path, NAMES)
    path.unlink()
    with pytest.raises(InputError, match="cannot be read: No such file"):
        verified_archive(path, NAMES)
    path.with_suffix(".json").write_text("[]")
    with pytest.raises(InputError, match="is no description"):
        verified_archive(path, NAMES)
    assert replace(archive, size=0).described("/x")["path"] == f"/x/{archive.file}"

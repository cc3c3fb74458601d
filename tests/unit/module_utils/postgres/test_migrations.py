# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which migrations a guild lacks, and which lists of files are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.postgres.migrations import (
    Kind,
    Migration,
    objections,
    parse_summary,
    pending,
    read_migrations,
    summary,
)
from hypothesis import given
from hypothesis import strategies as st


def migration(version: int, checksum: str = "", kind: Kind = "migration") -> Migration:
    return Migration(kind, version, f"{version:04}_x.sql", "SELECT 1", checksum or f"sum-{version}".ljust(64, "."))


def applied(*files: Migration) -> dict[tuple[str, int], str]:
    return {one.key: one.checksum for one in files}


ONE, TWO, THREE = migration(1), migration(2), migration(3)
SEED = migration(1, kind="seed")


@pytest.mark.parametrize(
    ("files", "done", "lacking", "refused"),
    [
        ([ONE, TWO], [], [ONE, TWO], []),
        ([ONE, TWO], [ONE], [TWO], []),
        ([ONE, TWO], [ONE, TWO], [], []),
        ([ONE, TWO, SEED], [ONE, TWO], [SEED], []),
        ([ONE, TWO, THREE, SEED], [ONE, TWO, SEED], [THREE], []),
        ([ONE], [ONE, SEED], [], []),
        ([ONE, TWO], [migration(1, "edited"), TWO], [], ["0001_x.sql was changed after it was applied"]),
        ([TWO], [ONE, TWO], [], ["migration 1 was applied, but its file is not there any more"]),
        ([ONE, TWO, THREE], [ONE, THREE], [TWO], ["0002_x.sql is older than migration 3, which was applied"]),
    ],
)
def test_what_a_guild_lacks(
    files: list[Migration], done: list[Migration], lacking: list[Migration], refused: list[str]
) -> None:
    assert pending(files, applied(*done)) == lacking
    assert list(objections(files, applied(*done))) == refused
    assert list(objections(files, parse_summary(summary(applied(*done))))) == refused


@given(st.dictionaries(st.tuples(st.sampled_from(["migration", "seed"]), st.integers(0, 10**17)), st.text("abc0")))
def test_a_summary_tells_what_was_applied(done: dict[tuple[str, int], str]) -> None:
    assert parse_summary(summary(done)) == {key: checksum[:16] for key, checksum in done.items()}


@pytest.mark.parametrize("text", ["a comment", "[]", '{"migration": 3}', '{"migration": {"x": "y"}}'])
def test_a_comment_of_somebody_elses_is_no_summary(text: str) -> None:
    with pytest.raises(ValueError):
        parse_summary(text)


def test_files_are_read_in_the_order_of_their_versions(tmp_path: Path) -> None:
    for name in ("10_b.sql", "9_a.sql", "README.md"):
        (tmp_path / name).write_text(f"-- {name}\n")
    files = read_migrations("migration", str(tmp_path))
    assert [(one.version, one.name, one.text) for one in files] == [
        (9, "9_a.sql", "-- 9_a.sql\n"),
        (10, "10_b.sql", "-- 10_b.sql\n"),
    ]
    assert len(files[0].checksum) == 64


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no .sql file"),
        ({"01_a.sql": b"", "1_b.sql": b""}, "01_a.sql and 1_b.sql in .* have the same version"),
        ({"notes.sql": b""}, "'notes.sql' is no name of a migration"),
        ({"1_a\n.sql": b""}, "is no name of a migration"),
        ({"1_a.sql": b"\xff"}, "not in UTF-8"),
        ({"1_a.sql": b"SELECT '\0'"}, "NUL"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_migrations("migration", str(tmp_path))


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing cannot be read: No such file"):
        read_migrations("migration", str(tmp_path / "missing"))

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which snapshots of etcd are whole."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import NotFoundError, RefusedError
from ansible_collections.dcm.platform.plugins.module_utils.snapshot_store import FileStore
from ansible_collections.dcm.platform.plugins.module_utils.talos.etcd_snapshot import checked, damage
from hypothesis import given
from hypothesis import strategies as st

DATABASE = bytes(range(256)) * 32
SNAPSHOT = DATABASE + hashlib.sha256(DATABASE).digest()


@pytest.mark.row("BDR-17")
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (SNAPSHOT, None),
        (b"", "it is empty"),
        (b"\0" * 32, "it has 32 bytes only"),
        (SNAPSHOT[:-1], "it does not end with a hash"),
        (DATABASE, "it does not end with a hash"),
        (SNAPSHOT[512:], "the hash at its end is not that of its content"),
    ],
)
def test_whole_or_not(content: bytes, reason: str | None) -> None:
    found = damage(io.BytesIO(content))
    assert found is None if reason is None else (found or "").startswith(reason)


@given(st.integers(0, len(SNAPSHOT) - 1), st.integers(1, 255))
def test_any_changed_byte_is_seen(position: int, change: int) -> None:
    content = bytearray(SNAPSHOT)
    content[position] ^= change
    assert damage(io.BytesIO(bytes(content))) is not None


def test_what_is_stored_is_what_is_read(tmp_path: Path) -> None:
    store = FileStore(str(tmp_path / "etcd.snapshot"))
    with store.writing() as file:
        file.write(SNAPSHOT)
    with checked(store) as file:
        assert file.read() == SNAPSHOT
    (tmp_path / "etcd.snapshot.sha256").unlink()  # as one that talosctl took
    with checked(store) as file:
        assert file.read() == SNAPSHOT


def test_a_copied_database_has_no_hash(tmp_path: Path) -> None:
    path = tmp_path / "db"
    path.write_bytes(DATABASE)
    with pytest.raises(RefusedError, match="a copy of a database and not a snapshot"), checked(FileStore(str(path))):
        pass
    with checked(FileStore(str(path)), skip_hash_check=True) as file:
        assert file.read() == DATABASE


def test_another_file_than_the_one_that_was_stored(tmp_path: Path) -> None:
    path = tmp_path / "etcd.snapshot"
    path.write_bytes(SNAPSHOT)
    path.with_name("etcd.snapshot.sha256").write_text(f"{hashlib.sha256(b'other').hexdigest()}  etcd.snapshot\n")
    with pytest.raises(RefusedError, match="is damaged: its SHA-256 is "), checked(FileStore(str(path))):
        pass


def test_none_at_all(tmp_path: Path) -> None:
    store = FileStore(str(tmp_path / "none"))
    with pytest.raises(NotFoundError, match="none cannot be read: No such file or directory"), checked(store):
        pass

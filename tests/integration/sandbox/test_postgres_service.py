# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lab's PostgreSQL: repaired with its data, wherever the lab lies, and with two honest administrators."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from tests.sandbox.lab import Lab
from tests.sandbox.service import LabError, Settings
from tests.sandbox.services.postgres import PostgresService

SOCKET_PATH_LIMIT = 107  # bytes


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """In a directory too deep for a socket, which nobody but its owner may enter."""
    private = tmp_path_factory.mktemp("private")
    private.chmod(0o700)
    made = Lab(private / ("deep" * 15) / ("deeper" * 15))
    assert len(str(made.directory)) > SOCKET_PATH_LIMIT
    try:
        made.up(["postgres"])
        yield made
    finally:
        made.down()


@pytest.fixture
def settings(lab: Lab) -> Settings:
    return lab.settings()["postgres"]


def rows(settings: Settings, who: str, statement: str) -> Any:
    with (
        psycopg2.connect(
            host=settings["host"], port=settings["port"], dbname=settings["database"], **settings[who]
        ) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
        found = cursor.fetchall() if cursor.description else None
    connection.close()
    return found


def test_a_killed_server_comes_back_with_its_data(lab: Lab, settings: Settings) -> None:
    rows(settings, "superuser", "CREATE TABLE kept AS SELECT 7 AS number")
    for attempt in range(3):  # its children still hold the data for a moment
        pid = lab.pid("postgres")
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        lab.up()
        assert lab.pid("postgres") not in (None, pid), f"killed {attempt + 1} times"
        assert rows(settings, "superuser", "SELECT number FROM kept") == [(7,)]


def test_a_lock_file_with_the_pid_of_something_else_is_no_obstacle(lab: Lab, settings: Settings) -> None:
    lock = lab.directory / "postgres" / "data" / "postmaster.pid"
    pid = lab.pid("postgres")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    others = lock.read_text().splitlines(keepends=True)[1:]
    lock.write_text("".join([f"{os.getpid()}\n", *others]))
    lab.up()
    assert rows(settings, "superuser", "SELECT 1") == [(1,)]


def test_a_running_server_is_left_alone(lab: Lab) -> None:
    before = lab.pid("postgres")
    lab.up()
    assert lab.pid("postgres") == before


def test_the_provisioner_owns_the_database_and_is_no_superuser(settings: Settings) -> None:
    query = "SELECT rolsuper, rolcreaterole, rolcreatedb, rolbypassrls FROM pg_roles WHERE rolname = current_user"
    assert rows(settings, "provisioner", query) == [(False, True, False, False)]
    owner = "SELECT datdba::regrole::text FROM pg_database WHERE datname = current_database()"
    assert rows(settings, "provisioner", owner) == [(settings["provisioner"]["user"],)]


def test_it_wants_passwords_and_tells_nobody(settings: Settings) -> None:
    for who in ("superuser", "provisioner"):
        wrong = {**settings, who: {**settings[who], "password": "wrong"}}
        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            rows(wrong, who, "SELECT 1")
    log = Path(settings["log"]).read_text()
    verifiers = [row[0] for row in rows(settings, "superuser", "SELECT rolpassword FROM pg_authid") if row[0]]
    assert len(verifiers) == 2
    passwords = [settings[who]["password"] for who in ("superuser", "provisioner")]
    assert [secret for secret in (*passwords, *verifiers) if secret in log] == []
    assert not list(Path(settings["log"]).parent.glob("password*"))


def test_it_listens_on_loopback_and_has_no_socket_file(settings: Settings) -> None:
    assert rows(settings, "superuser", "SHOW listen_addresses") == [("127.0.0.1",)]
    assert rows(settings, "superuser", "SHOW unix_socket_directories") == [("",)]


def test_other_programs_are_used_where_they_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DCM_LAB_POSTGRES_BIN", str(tmp_path))
    with pytest.raises(LabError, match="holds no initdb and no postgres"):
        PostgresService(tmp_path, {}).settings()
    for name in ("initdb", "postgres"):
        (tmp_path / name).touch()
    assert PostgresService(tmp_path, {}).settings()["programs"] == str(tmp_path)

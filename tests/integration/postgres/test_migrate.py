# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``pg_guild_migrate`` on real PostgreSQL servers, for each kind of login that may migrate. Read back with psycopg2."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from tests.ansible_runner import ModuleResult, failed
from tests.integration.postgres.guild_database import GuildDatabase, Servers
from tests.sandbox.service import free_port

Run = Callable[..., ModuleResult]

GUILDS = ["1", "2", "18446744073709551615"]
APP_PASSWORD = "app-of-guild"
NOTE = "CREATE TABLE note (id int PRIMARY KEY, text text);\nINSERT INTO note VALUES (1, '100 % %s');"
TAG = "ALTER TABLE note ADD COLUMN tag text DEFAULT 'none';"
SEED = "INSERT INTO note VALUES (99, 'test data');"


@pytest.fixture
def database(request: pytest.FixtureRequest, servers: Servers, run_module: Run) -> Iterator[GuildDatabase]:
    """Three guilds without a table, set up by the administrator of the parameter."""
    version, administrator = getattr(request, "param", ("16", "provisioner"))
    with servers.database(version, administrator) as made:
        passwords = json.dumps({guild: {"app": APP_PASSWORD} for guild in GUILDS})
        guilds = [{"id": guild} for guild in GUILDS]
        assert run_module("pg_guild_schema", {**made.options, "guilds": guilds, "passwords": passwords})["changed"]
        yield made


class Files:
    """A directory of migrations and one of seeds."""

    def __init__(self, directory: Path) -> None:
        self.migrations, self.seeds = directory / "migrations", directory / "seeds"
        for each in (self.migrations, self.seeds):
            each.mkdir()
        self.write("0001_note.sql", NOTE)

    def write(self, name: str, text: str) -> None:
        (self.migrations / name).write_text(text)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.fixture
def run(run_module: Run, database: GuildDatabase, files: Files) -> Run:
    """``run([guilds], check=…, seeds=…)`` runs the module as the database's administrator."""

    def call(guilds: Sequence[Any] = tuple(GUILDS), **options: Any) -> ModuleResult:
        how = {key: options.pop(key) for key in ("check", "diff", "verbosity") if key in options}
        arguments = {**database.options, "directory": str(files.migrations), "guilds": list(guilds), **options}
        return run_module("pg_guild_migrate", arguments, **how)

    return call


def applied(database: GuildDatabase, guild: str) -> list[tuple[str, int, str]]:
    return database.superuser.rows(f"SELECT kind, version, name FROM g_{guild}.dcm_migrations ORDER BY kind, version")


def memberships(database: GuildDatabase) -> list[tuple[str, ...]]:
    return database.superuser.rows("SELECT * FROM pg_auth_members WHERE roleid = 'guild_migrator'::regrole")


def migrator(database: GuildDatabase) -> dict[str, str]:
    """The options with which guild_migrator logs in."""
    password = secrets.token_urlsafe(16)
    database.superuser.execute("ALTER ROLE guild_migrator PASSWORD %s", password)
    return {"login_user": "guild_migrator", "login_password": password}


@pytest.mark.row("DATA-10")
@pytest.mark.parametrize(
    ("database", "as_migrator"),
    [
        (("16", "superuser"), False),
        (("16", "superuser"), True),
        (("16", "provisioner"), False),
        (("15", "provisioner"), False),
        (("18", "provisioner"), False),
    ],
    indirect=["database"],
    ids=["superuser", "migrator", "provisioner", "provisioner-15", "provisioner-18"],
)
def test_guilds_are_migrated_as_their_owners(
    run: Run, database: GuildDatabase, files: Files, as_migrator: bool
) -> None:
    login = migrator(database) if as_migrator else {}
    members, empty = memberships(database), database.catalogs()
    predicted = run(**login, check=True, diff=True)
    assert database.catalogs() == empty
    created = run(**login, diff=True)
    assert created["changed"], created
    for key in ("diff", "guilds", "counts"):
        assert created[key] == predicted[key]
    assert created["guilds"][0] == {
        "id": "1",
        "schema": "g_1",
        "version": "0001_note.sql",
        "applied": ["0001_note.sql"],
        "changed": True,
    }
    assert created["counts"] == {"guilds": 3, "migrated": 3, "unchanged": 0, "migrations": 1, "seeds": 0}
    owners = "SELECT DISTINCT relowner::regrole::text FROM pg_class WHERE relnamespace = 'g_1'::regnamespace"
    assert database.superuser.rows(owners) == [("g_1_owner",)]
    for guild in GUILDS:
        assert applied(database, guild) == [("migration", 1, "0001_note.sql")]
        assert database.superuser.rows(f"SELECT * FROM g_{guild}.note") == [(1, "100 % %s")]
    assert memberships(database) == members

    settled = database.catalogs()
    again = run(**login)
    assert (again["changed"], again["counts"]["unchanged"]) == (False, 3)
    assert database.catalogs() == settled

    files.write("0002_tag.sql", TAG)
    assert run(["1"], **login)["guilds"][0]["applied"] == ["0002_tag.sql"]
    rest = run(**login, diff=True)
    assert rest["counts"] == {"guilds": 3, "migrated": 2, "unchanged": 1, "migrations": 2, "seeds": 0}
    assert rest["diff"][0]["before"] == {"version": "0001_note.sql"}
    assert rest["diff"][0]["after"] == {"version": "0002_tag.sql", "applied": ["0002_tag.sql"]}
    assert memberships(database) == members


@pytest.mark.row("DATA-10")
def test_a_guild_that_fails_is_rolled_back_and_does_not_stop_the_others(
    run: Run, database: GuildDatabase, files: Files
) -> None:
    database.migrate("g_2", "CREATE TABLE other (id int)")
    files.write("0002_tag.sql", TAG)
    files.write("0003_other.sql", "-- a comment\nALTER TABLE note ADD COLUMN x int;\nCREATE TABLE other (id int);")
    stopped = run()
    assert failed(stopped).startswith("Guild 2, 0003_other.sql: PostgreSQL at ")
    assert 'relation "other" already exists' in stopped["msg"]
    assert stopped["msg"].endswith("2 of 3 changes were made, 1 failed, 0 not tried.")
    assert [change["name"] for change in stopped["failed_changes"]] == ["2"]
    assert applied(database, "2") == []
    assert database.value("SELECT to_regclass('g_2.note')") is None
    assert len(applied(database, "1")) == len(applied(database, GUILDS[2])) == 3

    database.migrate("g_2", "DROP TABLE other")
    healed = run()
    assert (healed["changed"], healed["counts"]["migrated"]) == (True, 1)
    assert len(applied(database, "2")) == 3
    assert run()["changed"] is False


def test_the_run_stops_when_the_budget_of_failures_is_spent(run: Run, database: GuildDatabase, files: Files) -> None:
    members = memberships(database)
    files.write("0002_bad.sql", "SELECT 1;\nSELECT nothing FROM nowhere;")
    stopped = run(failure_budget=0, workers=1)
    assert failed(stopped).startswith("Guild 1, 0002_bad.sql line 2: ")
    assert "0 of 3 changes were made, 1 failed, 2 not tried." in stopped["msg"]
    assert [change["name"] for change in stopped["not_tried"]] == GUILDS[1:]
    assert "1 of 3" not in failed(run(failure_budget=1, workers=1))
    assert "3 failed, 0 not tried" in failed(run(failure_budget=5, workers=2))
    assert memberships(database) == members


@pytest.mark.row("DATA-10")
def test_files_that_do_not_continue_what_was_applied_are_refused(
    run: Run, database: GuildDatabase, files: Files
) -> None:
    files.write("0003_tag.sql", TAG)
    assert run(["1"])["changed"]
    before = database.catalogs()
    files.write("0001_note.sql", NOTE + " -- edited")
    for check in (True, False):
        assert failed(run(check=check)) == "Refused: Guild 1: 0001_note.sql was changed after it was applied."
    files.write("0001_note.sql", NOTE)
    files.write("0002_late.sql", "SELECT 1")
    assert "Guild 1: 0002_late.sql is older than migration 3, which was applied." in failed(run())
    (files.migrations / "0002_late.sql").unlink()
    (files.migrations / "0003_tag.sql").rename(files.migrations / "0004_tag.sql")
    assert "Guild 1: migration 3 was applied, but its file is not there any more." in failed(run())
    assert failed(run(["1", "7"])).startswith("Refused: Guild 1: migration 3 was applied")
    assert "Guild 7 has no schema g_7." in failed(run(["7"]))
    assert "more than once in guilds: 1" in failed(run(["1", 1]))
    assert database.catalogs() == before


@pytest.mark.row("CMP-15")
def test_seeds_are_applied_once_and_never_in_production(run: Run, database: GuildDatabase, files: Files) -> None:
    (files.seeds / "0001_notes.sql").write_text(SEED)
    seeds = {"seeds": str(files.seeds)}
    assert "production" in failed(run(**seeds, environment="production"))
    assert "environment" in failed(run(**seeds))
    assert database.value("SELECT to_regclass('g_1.note')") is None
    assert run(**seeds, environment="staging")["changed"]
    assert database.value("SELECT count(*) FROM g_1.note") == 2
    assert applied(database, "1") == [("migration", 1, "0001_note.sql"), ("seed", 1, "0001_notes.sql")]
    files.write("0002_tag.sql", TAG)
    assert run()["guilds"][0]["applied"] == ["0002_tag.sql"]
    assert run(**seeds, environment="development")["changed"] is False


@pytest.mark.parametrize("database", [("16", "superuser")], indirect=True)
def test_a_file_cannot_leave_its_guild_or_its_transaction(run: Run, database: GuildDatabase, files: Files) -> None:
    files.write("0002_end.sql", "CREATE TABLE half (id int);\nCOMMIT;")
    assert "EXECUTE of transaction commands is not implemented" in failed(run(["1"]))
    files.write("0002_end.sql", "CREATE TABLE g_2.mine (id int);")
    assert "permission denied for schema g_2" in failed(run(["1"]))
    files.write("0002_end.sql", "SET search_path = pg_catalog; SET statement_timeout = 1; CREATE TABLE g_1.x (id int);")
    files.write("0003_more.sql", "SELECT pg_sleep(0.01); CREATE TABLE more (id int);")
    assert run(["1"])["changed"]
    assert database.value("SELECT count(*) FROM pg_tables WHERE schemaname = 'g_1'") == 4
    assert database.value("SELECT to_regclass('g_1.half')") is None
    assert run(["2"], check=True)["changed"]


def test_a_guild_cannot_write_what_was_applied(run: Run, database: GuildDatabase) -> None:
    assert run(["1"])["changed"]
    with database.login("g_1_app", APP_PASSWORD) as guild:
        assert guild.value("SELECT name FROM dcm_migrations") == "0001_note.sql"
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            guild.execute("INSERT INTO dcm_migrations VALUES ('migration', 2, 'x', 'x')")
        guild.execute("UPDATE dcm_migrations SET checksum = 'x'")
        guild.execute("DELETE FROM dcm_migrations")
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            guild.execute("COMMENT ON TABLE dcm_migrations IS NULL")
    assert run(["1"])["changed"] is False
    assert applied(database, "1") == [("migration", 1, "0001_note.sql")]


def test_calls_at_the_same_time_do_no_harm(run: Run, database: GuildDatabase, files: Files) -> None:
    members = memberships(database)
    with ThreadPoolExecutor(3) as pool:
        results = [future.result() for future in [pool.submit(run) for _number in range(3)]]
    assert [result.get("msg") for result in results] == [None] * 3
    for guild in GUILDS:
        assert applied(database, guild) == [("migration", 1, "0001_note.sql")]
        assert database.value(f"SELECT count(*) FROM g_{guild}.note") == 1
    assert memberships(database) == members


def test_what_it_works_with_and_what_it_says_without_it(run: Run, database: GuildDatabase, files: Files) -> None:
    port = free_port()
    assert f"PostgreSQL at 127.0.0.1:{port} is not reachable" in failed(run(login_port=port))
    wrong = run(login_password="a-wrong-secret", verbosity=3)
    assert "password authentication failed" in failed(wrong)
    assert "a-wrong-secret" not in wrong.output
    assert "workers is 0" in failed(run(workers=0))
    files.write("notes.sql", "")
    assert "'notes.sql' is no name of a migration" in failed(run())

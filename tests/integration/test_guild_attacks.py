# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One guild's logins against another guild: attacks on what ``pg_guild_schema`` made, and their outcome.

Rows are those of the model's table of attacks. What counts is the effect: some denials are errors, others warnings.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg2
import psycopg2.errorcodes
import pytest

from tests.ansible_runner import ModuleResult
from tests.integration.guild_database import GuildDatabase, Login, Servers, eventually

DENIED = psycopg2.errorcodes.INSUFFICIENT_PRIVILEGE
NO_SUCH_TABLE = psycopg2.errorcodes.UNDEFINED_TABLE
PASSWORDS = {guild: {kind: f"{kind}-of-{guild}" for kind in ("app", "ro")} for guild in ("1", "2")}
LIMIT = 4


@dataclass(frozen=True)
class Attack:
    """Statements of a login of guild 1, one transaction each; the last one is to fail with the SQLSTATE."""

    row: str
    statements: tuple[str, ...]
    expected: str = DENIED
    kind: str = "app"


def attack(row: str, *statements: str, expected: str = DENIED, kind: str = "app") -> Attack:
    return Attack(row, statements, expected, kind)


ATTACKS = [
    attack("A1", "SELECT * FROM g_2.note"),
    attack("A1", "INSERT INTO g_2.note VALUES (9)"),
    attack("A1", "UPDATE g_2.note SET id = 9"),
    attack("A1", "DELETE FROM g_2.note"),
    attack("A1", "TRUNCATE g_2.note"),
    attack("A1", "BEGIN", "LOCK TABLE g_2.note"),
    attack("A1", "EXPLAIN SELECT * FROM g_2.note"),
    attack("A1", "SELECT * FROM g_2.note", kind="ro"),
    attack("A2", "SET search_path = g_2", "SELECT * FROM note", expected=NO_SUCH_TABLE),
    attack("A3", "SELECT nextval((SELECT oid FROM pg_class WHERE relname = 'only_g_2')::regclass)"),
    attack("A3", "SELECT setval((SELECT oid FROM pg_class WHERE relname = 'only_g_2')::regclass, 99)"),
    attack("A3", "SELECT setval('number', 99)"),
    attack("A3", "SELECT g_2.twice(1)"),
    attack("A3", "CREATE TABLE g_1.uses (mood g_2.mood)"),
    attack("A4", "TRUNCATE note"),
    attack("A4", "DROP TABLE note"),
    attack("A4", "ALTER TABLE note ADD COLUMN mine int"),
    attack("A4", "CREATE TABLE mine (id int)"),
    attack("A4", "CREATE FUNCTION mine() RETURNS int LANGUAGE sql RETURN 1"),
    attack("A5", "SET default_transaction_read_only = off", "INSERT INTO note VALUES (9)", kind="ro"),
    attack("A5", "SET default_transaction_read_only = off", "SELECT nextval('number')", kind="ro"),
    attack("B1", "SET ROLE g_2_app"),
    attack("B1", "SET ROLE g_2_owner"),
    attack("B1", "SET ROLE g_1_owner"),
    attack("B1", "SET ROLE g_1_ro"),
    attack("B1", "SET ROLE guild_migrator"),
    attack("B1", "SET SESSION AUTHORIZATION g_2_app"),
    attack("B3", "GRANT g_2_app TO g_1_app"),
    attack("B3", "GRANT pg_read_all_data TO g_1_app"),
    attack("B3", "GRANT guild_connect TO g_1_owner"),
    attack("B3", "CREATE ROLE mine"),
    attack("B3", "ALTER ROLE g_2_app PASSWORD 'x'"),
    attack("B3", "ALTER ROLE g_1_app CONNECTION LIMIT 100"),
    attack("B3", "ALTER ROLE g_1_app CREATEDB"),
    attack("B4", "ALTER DEFAULT PRIVILEGES FOR ROLE g_1_owner GRANT SELECT ON TABLES TO g_2_app"),
    attack("B6", "SELECT * FROM pg_authid"),
    attack("C1", "CREATE TABLE public.mine (id int)"),
    attack("C1", "CREATE TABLE extensions.mine (id int)"),
    attack("C1", "CREATE FUNCTION extensions.mine() RETURNS int LANGUAGE sql RETURN 1"),
    attack("C1", "CREATE SCHEMA mine"),
    attack("C1", "CREATE DATABASE mine"),
    attack("C2", "CREATE TEMPORARY TABLE mine (id int)"),
    attack("C2", "CREATE FUNCTION pg_temp.mine() RETURNS int LANGUAGE sql RETURN 1"),
]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with Servers(tmp_path_factory.mktemp("servers")) as started:
        yield started


@pytest.fixture(
    scope="module",
    params=[("16", "superuser"), ("16", "provisioner"), ("15", "superuser"), ("15", "provisioner")],
    ids="-".join,
)
def database(
    request: pytest.FixtureRequest, servers: Servers, run_module: Callable[..., ModuleResult]
) -> Iterator[GuildDatabase]:
    """Two guilds, each with a table, a sequence, a function and a type made by a migration."""
    with servers.database(*request.param) as made:
        guilds = [{"id": guild, "connection_limit_app": LIMIT} for guild in PASSWORDS]
        result = run_module("pg_guild_schema", {**made.options, "guilds": guilds, "passwords": json.dumps(PASSWORDS)})
        assert result["changed"], result
        for guild in PASSWORDS:
            made.migrate(
                f"g_{guild}",
                "CREATE TABLE note (id int PRIMARY KEY)",
                "INSERT INTO note VALUES (1)",
                "CREATE SEQUENCE number",
                f"CREATE SEQUENCE only_g_{guild}",
                "CREATE FUNCTION twice(number int) RETURNS int LANGUAGE sql RETURN number * 2",
                "CREATE TYPE mood AS ENUM ('calm')",
            )
        yield made


def login(database: GuildDatabase, guild: str, kind: str) -> Login:
    return database.login(f"g_{guild}_{kind}", PASSWORDS[guild][kind])


@pytest.fixture
def untouched(database: GuildDatabase) -> Iterator[None]:
    """Whatever the test does, it leaves every catalog and every row as they were."""
    data = "SELECT id, xmin FROM g_1.note UNION ALL SELECT id, xmin FROM g_2.note"
    before = (database.model(), database.traces("g_1"), database.traces("g_2"), database.superuser.rows(data))
    yield
    assert (database.model(), database.traces("g_1"), database.traces("g_2"), database.superuser.rows(data)) == before


@pytest.mark.row("DATA-07")
@pytest.mark.usefixtures("untouched")
def test_every_attack_is_denied(database: GuildDatabase) -> None:
    surprises = []
    for one in ATTACKS:
        with login(database, "1", one.kind) as guild:
            *preparations, last = one.statements
            for statement in preparations:
                guild.execute(statement)
            try:
                guild.execute(last)
                got = "allowed"
            except psycopg2.Error as error:
                got = str(error.pgcode)
        if got != one.expected:
            surprises.append((one.row, last, f"expected {one.expected}", f"got {got}"))
    assert surprises == []


@pytest.mark.row("DATA-07")
@pytest.mark.usefixtures("untouched")
def test_a_guild_cannot_pass_on_what_it_has(database: GuildDatabase) -> None:
    """Row B4: PostgreSQL may only warn, so the fixture compares the privileges."""
    with login(database, "1", "app") as guild:
        for statement in (
            "GRANT SELECT ON note TO g_2_app",
            "GRANT USAGE ON SCHEMA g_1 TO g_2_app",
            "GRANT USAGE ON SEQUENCE number TO PUBLIC",
        ):
            with contextlib.suppress(psycopg2.errors.InsufficientPrivilege):
                guild.execute(statement)


@pytest.mark.row("DATA-07")
@pytest.mark.usefixtures("untouched")
def test_the_right_to_connect_is_no_role_to_become(database: GuildDatabase) -> None:
    """Row B2: from PostgreSQL 16 on not even that; before, it is harmless, as the role may do nothing else."""
    with login(database, "1", "app") as guild:
        if database.value("SHOW server_version_num") < "160000":
            guild.execute("SET ROLE guild_connect")
        else:
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                guild.execute("SET ROLE guild_connect")
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            guild.execute("SELECT * FROM g_2.note")


@pytest.mark.row("DATA-07")
def test_a_login_has_no_more_sessions_than_its_limit(database: GuildDatabase) -> None:
    """Row D7."""
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'g_1_app'"
    eventually(lambda: database.value(sessions) == 0, "sessions of earlier tests have ended")
    with contextlib.ExitStack() as stack:
        for number in range(LIMIT):
            assert stack.enter_context(login(database, "1", "app")).value("SELECT 1") == 1, f"session {number + 1}"
        with pytest.raises(psycopg2.OperationalError, match='too many connections for role "g_1_app"'):
            login(database, "1", "app")
        login(database, "2", "app").close()


@pytest.mark.row("DATA-07")
def test_what_a_guild_may_do_works(database: GuildDatabase) -> None:
    """Row F2: what the migrator makes later is the guild's own, by default privileges alone."""
    database.migrate("g_1", "CREATE TABLE later (id serial PRIMARY KEY, mood mood)")
    with login(database, "1", "app") as app, login(database, "1", "ro") as ro, login(database, "2", "app") as stranger:
        app.execute("INSERT INTO later (mood) VALUES ('calm'), ('calm')")
        app.execute("UPDATE later SET id = 7 WHERE id = 1")
        app.execute("DELETE FROM later WHERE id = 2")
        assert app.value("SELECT twice(id) FROM later") == 14
        assert ro.rows("SELECT id, mood FROM later") == [(7, "calm")]
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            stranger.rows("SELECT * FROM g_1.later")
    database.migrate("g_1", "DROP TABLE later")

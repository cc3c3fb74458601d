# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The model's table of attacks: what one guild's logins can do to another, and the outcome at every level.

``naive`` is a schema, its roles and what people usually grant; ``model`` and ``hardened`` are what ``pg_guild_schema``
makes. What counts is the effect: some denials are errors, others warnings.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg2
import psycopg2.errorcodes
import pytest
from ansible_collections.dcm.platform.plugins.module_utils.postgres.guilds import lock_key

from tests.ansible_runner import ModuleResult
from tests.integration.postgres.guild_database import GuildDatabase, Login, Servers, eventually
from tests.sandbox.service import free_port

DENIED = psycopg2.errorcodes.INSUFFICIENT_PRIVILEGE
NO_SUCH_TABLE = psycopg2.errorcodes.UNDEFINED_TABLE
LEAKED = HIDDEN = psycopg2.errorcodes.DIVISION_BY_ZERO  # what the query divides by says which
DISABLED = psycopg2.errorcodes.OBJECT_NOT_IN_PREREQUISITE_STATE
TRIED = psycopg2.errorcodes.SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION
ALLOWED = "allowed"
NAIVE, MODEL, HARDENED = "naive", "model", "hardened"
LEVELS = (NAIVE, MODEL, HARDENED)
PASSWORDS = {guild: {kind: f"{kind}-of-{guild}" for kind in ("app", "ro")} for guild in ("1", "2")}
LIMIT = 4


@dataclass(frozen=True)
class Attack:
    """Statements of a role of guild 1 in one transaction that is rolled back.

    The first that fails gives the SQLSTATE, which is to be ``denial``, but in the levels in which it is ``allowed``. It
    is tried in the levels of ``at`` only. ``alone``: outside of a transaction.
    """

    row: str
    statements: tuple[str, ...]
    denial: str = DENIED
    allowed: tuple[str, ...] = ()
    kind: str = "app"
    at: tuple[str, ...] = LEVELS
    alone: bool = False

    def expected(self, level: str) -> str:
        return ALLOWED if level in self.allowed else self.denial


def attack(row: str, *statements: str, **how: Any) -> Attack:
    return Attack(row, statements, **how)


WHERE_OPEN = {"allowed": (NAIVE,)}
UNLESS_HARDENED = {"allowed": (NAIVE, MODEL)}
EVERYWHERE = {"allowed": LEVELS}
MADE = {"at": (MODEL, HARDENED)}  # is about what only the module makes
BY_OWNER = {"kind": "owner"}
BY_READER = {"kind": "ro"}
TEMPORARY = "CREATE TEMPORARY TABLE price (amount int)"
BECOME = """
CREATE FUNCTION pg_temp.become() RETURNS trigger LANGUAGE plpgsql AS
'BEGIN ALTER ROLE g_1_app SUPERUSER; RETURN NEW; END'
"""
TELL = """
CREATE FUNCTION pg_temp.tell(secret text) RETURNS bool COST 0.0000001 LANGUAGE plpgsql AS
'BEGIN PERFORM set_config(''my.leak'', COALESCE(current_setting(''my.leak'', true), '''') || secret, true);
 RETURN true; END'
"""
ONLY_THEIRS = "(SELECT oid FROM pg_class WHERE relname = 'only_g_2')::regclass"

ATTACKS = [
    attack("A1", "SELECT * FROM g_2.note"),
    attack("A1", "INSERT INTO g_2.note VALUES (9)"),
    attack("A1", "UPDATE g_2.note SET id = 9"),
    attack("A1", "DELETE FROM g_2.note"),
    attack("A1", "TRUNCATE g_2.note"),
    attack("A1", "LOCK TABLE g_2.note"),
    attack("A1", "EXPLAIN SELECT * FROM g_2.note"),
    attack("A1", "SELECT * FROM g_2.note", **BY_READER),
    attack("A2", "SET search_path = g_2", "SELECT * FROM note", denial=NO_SUCH_TABLE),
    attack("A3", f"SELECT nextval({ONLY_THEIRS})"),
    attack("A3", f"SELECT setval({ONLY_THEIRS}, 99)"),
    attack("A3", "SELECT setval('number', 99)", **WHERE_OPEN),
    attack("A3", "SELECT g_2.twice(1)"),
    attack("A3", "CREATE TABLE g_1.uses (mood g_2.mood)", **BY_OWNER),
    attack("A4", "TRUNCATE note", **WHERE_OPEN),
    attack("A4", "DROP TABLE note"),
    attack("A4", "ALTER TABLE note ADD COLUMN mine int"),
    attack("A4", "CREATE TABLE g_1.mine (id int)"),
    attack("A4", "CREATE FUNCTION g_1.mine() RETURNS int LANGUAGE sql RETURN 1"),
    attack("A5", "SET transaction_read_only = off", "INSERT INTO note VALUES (9)", **BY_READER),
    attack("A5", "SET transaction_read_only = off", "SELECT nextval('number')", **BY_READER),
    attack("A6", "CREATE TABLE g_1.mine (id int REFERENCES g_2.note)", **BY_OWNER),
    attack("A6", "CREATE VIEW g_1.mine AS SELECT * FROM g_2.note", **BY_OWNER),
    attack("A6", "CREATE TABLE g_1.mine () INHERITS (g_2.note)", **BY_OWNER),
    attack("A6", "CREATE TABLE g_2.mine (id int)", **BY_OWNER),
    attack("A6", "ALTER TABLE g_1.note SET SCHEMA g_2", **BY_OWNER),
    attack("A6", "ALTER TABLE g_1.note OWNER TO g_2_owner", **BY_OWNER),
    attack(
        "A6",
        "CREATE TRIGGER mine BEFORE UPDATE ON g_2.note FOR EACH ROW "
        "EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        **BY_OWNER,
    ),
    attack("B1", "SET ROLE g_2_app"),
    attack("B1", "SET ROLE g_2_owner"),
    attack("B1", "SET ROLE g_1_owner"),
    attack("B1", "SET ROLE g_1_ro"),
    attack("B1", "SET ROLE guild_migrator", **MADE),
    attack("B1", "SET SESSION AUTHORIZATION g_2_app"),
    attack("B3", "GRANT g_2_app TO g_1_app"),
    attack("B3", "GRANT pg_read_all_data TO g_1_app"),
    attack("B3", "GRANT guild_connect TO g_1_owner", **MADE),
    attack("B3", "GRANT guild_owners TO g_1_app", **MADE),
    attack("B3", "CREATE ROLE mine"),
    attack("B3", "ALTER ROLE g_2_app PASSWORD 'x'"),
    attack("B3", "ALTER ROLE g_1_app CONNECTION LIMIT 100"),
    attack("B3", "ALTER ROLE g_1_app CREATEDB"),
    attack("B4", "ALTER DEFAULT PRIVILEGES FOR ROLE g_1_owner GRANT SELECT ON TABLES TO g_2_app"),
    attack("B5", "ALTER ROLE g_1_app SET statement_timeout = 0", **EVERYWHERE),
    attack("B5", "ALTER ROLE g_1_app SET search_path = g_2", **EVERYWHERE),
    attack("B5", "ALTER ROLE g_1_app PASSWORD 'x'", **EVERYWHERE),
    attack("B6", "SELECT * FROM pg_authid"),
    attack("B6", "SELECT * FROM pg_shadow"),
    attack("B6", "SELECT * FROM pg_largeobject"),
    attack("B6", "SELECT * FROM pg_statistic"),
    attack("B6", "SELECT * FROM pg_hba_file_rules"),
    attack("B6", "SHOW data_directory"),
    attack("C1", "CREATE TABLE public.mine (id int)"),
    attack("C1", "CREATE TABLE extensions.mine (id int)", **MADE),
    attack("C1", "CREATE FUNCTION extensions.mine() RETURNS int LANGUAGE sql RETURN 1", **MADE),
    attack("C1", "CREATE SCHEMA mine"),
    attack("C1", "CREATE DATABASE mine", alone=True),
    attack("C1", "CREATE TABLESPACE mine LOCATION '/tmp'", alone=True),
    attack("C2", "CREATE TEMPORARY TABLE mine (id int)", **WHERE_OPEN),
    attack("C2", "CREATE FUNCTION pg_temp.mine() RETURNS int LANGUAGE sql RETURN 1", **WHERE_OPEN),
    attack(
        "C3",
        TEMPORARY,
        "INSERT INTO pg_temp.price VALUES (666)",
        "SELECT 1 / (shared.careless() = 666)::int",
        **WHERE_OPEN,
    ),
    attack(
        "C3",
        TEMPORARY,
        "INSERT INTO pg_temp.price VALUES (666)",
        "SELECT 1 / (shared.careful() = 666)::int",
        denial=HIDDEN,
        at=(NAIVE,),
    ),
    attack(
        "C4",
        "CREATE TEMPORARY TABLE audit (what text)",
        BECOME,
        "CREATE TRIGGER mine BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION pg_temp.become()",
        "SELECT shared.record()",
        "SELECT 1 / rolsuper::int FROM pg_roles WHERE rolname = 'g_1_app'",
        **WHERE_OPEN,
    ),
    attack(
        "C5",
        TELL,
        "SELECT * FROM shared.own WHERE pg_temp.tell(secret)",
        "SELECT 1 / (current_setting('my.leak') ~ 'secret of 2')::int",
        **WHERE_OPEN,
    ),
    attack("C6", "SELECT * FROM shared.own WHERE 1 / (n - 101) < 9", denial=LEAKED),
    attack("C6", "SELECT * FROM shared.barred WHERE 1 / (n - 101) < 9", **EVERYWHERE),
    attack("C7", "CREATE EXTENSION {extension}"),
    attack("C7", "CREATE FUNCTION g_1.mine() RETURNS int LANGUAGE c AS 'mine'"),
    attack("C7", "CREATE LANGUAGE mine HANDLER plpgsql_call_handler"),
    attack("C7", "CREATE EVENT TRIGGER mine ON ddl_command_start EXECUTE FUNCTION shared.event()"),
    attack("C7", "CREATE PUBLICATION mine"),
    attack("C7", "CREATE SUBSCRIPTION mine CONNECTION 'host=x' PUBLICATION x WITH (connect = false)"),
    attack("C7", "SELECT pg_create_logical_replication_slot('mine', 'pgoutput')"),
    attack("C7", "CREATE CAST (int AS json) WITH INOUT"),
    attack("C8", "DO 'BEGIN NULL; END'", **UNLESS_HARDENED),
    attack("C9", "COPY note TO PROGRAM 'true'"),
    attack("C9", "COPY note TO '/tmp/mine'"),
    attack("C9", "SELECT pg_read_file('PG_VERSION')"),
    attack("C9", "SELECT pg_ls_dir('.')"),
    attack("C9", "SELECT lo_import('/etc/passwd')"),
    attack("C9", "LOAD 'plpgsql'"),
    attack("D1", "SELECT pg_advisory_xact_lock(n) FROM generate_series(1, 9) n", **UNLESS_HARDENED),
    attack("D1", "SELECT pg_try_advisory_lock_shared(1, 2)", **UNLESS_HARDENED),
    attack("D2", "SELECT pg_advisory_xact_lock({lock_key})", **UNLESS_HARDENED),
    attack("D3", "SELECT lo_get({large_object})"),
    attack("D3", "SELECT lo_create(0)", **UNLESS_HARDENED),
    attack("D3", "SELECT lo_from_bytea(0, 'x')", **UNLESS_HARDENED),
    attack("D3", "SELECT * FROM pg_largeobject_metadata", **UNLESS_HARDENED),
    attack("D3", "SELECT pg_logical_emit_message(false, 'x', 'y')", **UNLESS_HARDENED),
    attack("D4", "NOTIFY g_2, 'forged'", **EVERYWHERE),
    attack("D4", "LISTEN g_2", **EVERYWHERE),
    attack(
        "D5",
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "SELECT 1 / (backend_xmin IS NOT NULL)::int FROM pg_stat_activity WHERE pid = pg_backend_pid()",
        **EVERYWHERE,
    ),
    attack("D6", "SET statement_timeout = 0", "SET work_mem = '2GB'", "SELECT pg_sleep(0)", **EVERYWHERE),
    attack("D8", "PREPARE TRANSACTION 'mine'", denial=DISABLED),
    attack("D8", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'g_2_app'"),
    attack("E1", "SELECT 1 / count(*) FROM pg_namespace WHERE nspname = 'g_2'", **EVERYWHERE),
    attack("E1", "SELECT 1 / count(*) FROM pg_proc WHERE pronamespace::regnamespace::text = 'g_2'", **EVERYWHERE),
    attack("E1", "SELECT 1 / count(*) FROM pg_stat_activity WHERE usename = 'g_2_app'", **EVERYWHERE),
    attack("E2", "SELECT 1 / count(*) FROM pg_stats WHERE schemaname = 'g_2'", denial=HIDDEN),
    attack("E2", "SELECT 1 / count(last_value) FROM pg_sequences WHERE schemaname = 'g_2'", denial=HIDDEN),
    attack(
        "E2",
        "SELECT 1 / count(NULLIF(query, '<insufficient privilege>')) FROM pg_stat_activity WHERE usename = 'g_2_app'",
        denial=HIDDEN,
    ),
]
NAIVELY = """
CREATE ROLE {s}_owner NOLOGIN;
CREATE ROLE {s}_app LOGIN PASSWORD '{app}';
CREATE ROLE {s}_ro LOGIN PASSWORD '{ro}';
CREATE SCHEMA {s} AUTHORIZATION {s}_owner;
GRANT USAGE ON SCHEMA {s} TO {s}_app, {s}_ro;
ALTER ROLE {s}_app SET search_path = {s};
ALTER ROLE {s}_ro SET search_path = {s};
"""
USUAL_GRANTS = """
GRANT ALL ON ALL TABLES IN SCHEMA {s} TO {s}_app;
GRANT ALL ON ALL SEQUENCES IN SCHEMA {s} TO {s}_app;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {s} TO {s}_app;
GRANT SELECT ON ALL TABLES IN SCHEMA {s} TO {s}_ro;
"""
OBJECTS = (
    "CREATE TABLE note (id int PRIMARY KEY)",
    "INSERT INTO note VALUES (1)",
    "CREATE SEQUENCE number",
    "CREATE SEQUENCE only_{s}",
    "CREATE FUNCTION twice(number int) RETURNS int LANGUAGE sql RETURN number * 2",
    "CREATE TYPE mood AS ENUM ('calm')",
)
# Mistakes that others make in the same database.
SHARED = """
CREATE SCHEMA shared;
GRANT USAGE ON SCHEMA shared TO PUBLIC;
CREATE TABLE shared.price AS SELECT 1 AS amount;
CREATE TABLE shared.audit (what text);
CREATE FUNCTION shared.event() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE FUNCTION shared.careless() RETURNS int SECURITY DEFINER LANGUAGE plpgsql AS
  'BEGIN PERFORM set_config(''search_path'', ''shared'', true); RETURN (SELECT amount FROM price); END';
CREATE FUNCTION shared.careful() RETURNS int SECURITY DEFINER SET search_path = shared, pg_temp LANGUAGE plpgsql AS
  'BEGIN RETURN (SELECT amount FROM price); END';
CREATE FUNCTION shared.record() RETURNS void SECURITY DEFINER LANGUAGE plpgsql AS
  'BEGIN PERFORM set_config(''search_path'', ''shared'', true); INSERT INTO audit VALUES (''x''); END';
CREATE TABLE shared.entry AS SELECT 'g_' || n || '_app' AS of, 'secret of ' || n AS secret, n + 99 AS n
  FROM generate_series(1, 2) n;
CREATE VIEW shared.own AS SELECT * FROM shared.entry WHERE of = current_user::text;
CREATE VIEW shared.barred WITH (security_barrier) AS SELECT * FROM shared.entry WHERE of = current_user::text;
GRANT SELECT ON shared.own, shared.barred TO PUBLIC;
"""


@dataclass(frozen=True)
class Battlefield:
    """Two guilds in a database at one of the levels. ``facts`` fill in what attacks need to know."""

    database: GuildDatabase
    version: str
    level: str
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)


@pytest.fixture(
    scope="module",
    params=[
        (version, *how)
        for version in ("18", "16", "15")
        for how in (
            (NAIVE, "superuser"),
            (MODEL, "superuser"),
            (MODEL, "provisioner"),
            (HARDENED, "superuser"),
        )
    ],
    ids="-".join,
)
def field(
    request: pytest.FixtureRequest, servers: Servers, run_module: Callable[..., ModuleResult]
) -> Iterator[Battlefield]:
    """Two guilds, each with a table, a sequence, a function and a type made by a migration."""
    version, level, administrator = request.param
    with servers.database(version, administrator) as made:
        if level == NAIVE:
            for guild, passwords in PASSWORDS.items():
                made.superuser.execute(NAIVELY.format(s=f"g_{guild}", **passwords))
        else:
            _make(made, level, run_module)
        for guild in PASSWORDS:
            _own(made, guild, *(statement.format(s=f"g_{guild}") for statement in OBJECTS))
            if level == NAIVE:
                made.superuser.execute(USUAL_GRANTS.format(s=f"g_{guild}"))
        made.superuser.execute(SHARED)
        made.superuser.execute("ANALYZE g_2.note")
        made.superuser.rows("SELECT nextval('g_2.number')")
        facts = {
            "extension": "hstore" if version == "15" else "vector",
            "lock_key": lock_key(made.value("SELECT oid FROM pg_database WHERE datname = %s", made.name), "g_", 0),
            "large_object": made.value("SELECT lo_from_bytea(0, 'of nobody else')"),
        }
        made.superuser.execute(f"ALTER LARGE OBJECT {facts['large_object']} OWNER TO g_2_app")
        with _login(made, "2", "app") as victim:
            victim.execute("SELECT 'private words'")
            yield Battlefield(made, version, level, facts)
        made.superuser.rows("SELECT lo_unlink(%s)", facts["large_object"])
        made.superuser.execute("GRANT CONNECT ON DATABASE template1 TO PUBLIC")
        made.superuser.execute("GRANT CONNECT, TEMPORARY ON DATABASE postgres, dcm TO PUBLIC")


def _make(database: GuildDatabase, level: str, run_module: Callable[..., ModuleResult]) -> None:
    if level == HARDENED:  # others' databases are theirs to close
        database.superuser.execute("REVOKE ALL ON DATABASE dcm FROM PUBLIC")
    guilds = [{"id": guild, "connection_limit_app": LIMIT} for guild in PASSWORDS]
    options = {**database.options, "guilds": guilds, "passwords": json.dumps(PASSWORDS), "level": level}
    result = run_module("pg_guild_schema", options)
    assert result["changed"], result
    assert result["level"]["given"] == level
    assert not run_module("pg_guild_schema", options)["changed"]


def _own(database: GuildDatabase, guild: str, *statements: str) -> None:
    """Run statements as the guild's owner, as a migration does."""
    with _login(database, guild, "owner") as owner:
        for statement in statements:
            owner.execute(statement)


def _login(database: GuildDatabase, guild: str, kind: str) -> Login:
    """A session of the guild; as the owner, whom nobody logs in as, through a superuser."""
    if kind != "owner":
        return database.login(f"g_{guild}_{kind}", PASSWORDS[guild][kind])
    session = database.login(**database.server["superuser"])
    session.execute(f"SET SESSION AUTHORIZATION g_{guild}_owner")
    session.execute(f"SET search_path = g_{guild}")
    return session


@pytest.fixture
def untouched(field: Battlefield) -> Iterator[None]:
    """Whatever the test does, it leaves every catalog and every row as they were."""
    data = "SELECT id, xmin FROM g_1.note UNION ALL SELECT id, xmin FROM g_2.note"
    database = field.database

    def state() -> tuple[Any, ...]:
        return database.model(), database.traces("g_1"), database.traces("g_2"), database.superuser.rows(data)

    before = state()
    yield
    assert state() == before


def _outcome(field: Battlefield, one: Attack) -> str:
    with _login(field.database, "1", one.kind) as guild:
        if not one.alone:
            guild.execute("BEGIN READ WRITE")
        try:
            for statement in one.statements:
                guild.execute(statement.format(**field.facts))
        except psycopg2.Error as error:
            return str(error.pgcode)
        return ALLOWED


@pytest.mark.row("DATA-07")
@pytest.mark.usefixtures("untouched")
def test_every_attack_has_the_outcome_of_the_table(field: Battlefield) -> None:
    surprises = [
        (one.row, one.statements[-1], f"expected {one.expected(field.level)}", f"got {got}")
        for one in ATTACKS
        if field.level in one.at and (got := _outcome(field, one)) != one.expected(field.level)
    ]
    assert surprises == []


@pytest.mark.row("DATA-07")
@pytest.mark.usefixtures("untouched")
def test_a_guild_cannot_pass_on_what_it_has(field: Battlefield) -> None:
    """Row B4: PostgreSQL may only warn, so the fixture compares the privileges."""
    with _login(field.database, "1", "app") as guild:
        for statement in (
            "GRANT SELECT ON note TO g_2_app",
            "GRANT USAGE ON SCHEMA g_1 TO g_2_app",
            "GRANT USAGE ON SEQUENCE number TO PUBLIC",
        ):
            with contextlib.suppress(psycopg2.errors.InsufficientPrivilege):
                guild.execute(statement)


@pytest.mark.row("DATA-07")
@pytest.mark.usefixtures("untouched")
def test_the_right_to_connect_is_no_role_to_become(field: Battlefield) -> None:
    """Row B2: from PostgreSQL 16 on not even that; before, it is harmless, as the role may do nothing else."""
    if field.level == NAIVE:
        pytest.skip("there is no such role")
    with _login(field.database, "1", "app") as guild:
        if field.version == "15":
            guild.execute("SET ROLE guild_connect")
        else:
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                guild.execute("SET ROLE guild_connect")
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            guild.execute("SELECT * FROM g_2.note")


@pytest.mark.row("DATA-07")
def test_a_login_that_is_two_guilds_is_no_isolation(field: Battlefield) -> None:
    """Row B7, at every level: do not build that."""
    database = field.database
    database.superuser.execute("CREATE ROLE bot LOGIN PASSWORD 'bot' IN ROLE g_1_app, g_2_app")
    database.superuser.execute(f"GRANT CONNECT ON DATABASE {database.name} TO bot")
    try:
        with database.login("bot", "bot") as bot:
            for guild in ("1", "2"):
                bot.execute(f"SET ROLE g_{guild}_app")
                assert bot.rows(f"SELECT id FROM g_{guild}.note") == [(1,)]
                bot.execute("RESET ROLE")
    finally:
        database.superuser.execute(f"REVOKE ALL ON DATABASE {database.name} FROM bot")
        database.superuser.execute("DROP ROLE bot")


@pytest.mark.row("DATA-07")
@pytest.mark.parametrize("name", ["postgres", "template1", "dcm"])
def test_a_guild_reaches_no_other_database_when_hardened(field: Battlefield, name: str) -> None:
    """Row C11."""
    connection = {"user": "g_1_app", "password": PASSWORDS["1"]["app"], "database": name}
    if field.level == HARDENED:
        with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
            field.database.login(**connection)
    else:
        with field.database.login(**connection) as guild:
            if name != "template1":
                guild.execute("CREATE TEMPORARY TABLE mine (id int)")


@pytest.mark.row("DATA-07")
def test_a_guild_opens_no_connection_from_the_server_when_hardened(
    field: Battlefield, run_module: Callable[..., ModuleResult]
) -> None:
    """Row C10, where the extensions are installed, which they should not be."""
    database = field.database
    if field.version != "15":
        pytest.skip("the wheel has no such extension")
    schema = "public" if field.level == NAIVE else "extensions"
    database.superuser.execute(f"CREATE EXTENSION dblink SCHEMA {schema}")
    database.superuser.execute(f"CREATE EXTENSION postgres_fdw SCHEMA {schema}")
    try:
        if field.level == HARDENED:
            guilds = [{"id": guild, "connection_limit_app": LIMIT} for guild in PASSWORDS]
            options = {**database.options, "guilds": guilds, "level": HARDENED}
            assert run_module("pg_guild_schema", options)["changed"]
            assert not run_module("pg_guild_schema", options)["changed"]
        where = f"host=127.0.0.1 port={free_port()} user=x password=x"
        connect = attack("C10", f"SELECT {schema}.dblink_connect('{where}')")
        assert _outcome(field, connect) == (DENIED if field.level == HARDENED else TRIED)
        assert _outcome(field, attack("C10", "CREATE SERVER mine FOREIGN DATA WRAPPER postgres_fdw")) == DENIED
    finally:
        database.superuser.execute("DROP EXTENSION dblink, postgres_fdw")


@pytest.mark.row("DATA-07")
def test_locks_of_one_session_stop_the_whole_server_unless_hardened(field: Battlefield) -> None:
    """Row D1: nobody can connect any more, not even a superuser."""
    superuser = {**field.database.server["superuser"], "database": "postgres"}
    with _login(field.database, "1", "app") as guild:
        if field.level == HARDENED:
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                guild.execute("SELECT pg_advisory_lock(n) FROM generate_series(1, 20000) n")
            field.database.login(**superuser).close()
            return
        with pytest.raises(psycopg2.errors.OutOfMemory):
            guild.execute("SELECT pg_advisory_lock(n) FROM generate_series(1, 20000) n")
        with pytest.raises(psycopg2.OperationalError, match="out of shared memory"):
            field.database.login(**superuser)
    eventually(lambda: _lets_in(field.database, superuser), "the server is itself again")


def _lets_in(database: GuildDatabase, superuser: dict[str, str]) -> bool:
    try:
        database.login(**superuser).close()
    except psycopg2.OperationalError:
        return False
    return True


@pytest.mark.row("DATA-07")
def test_a_login_has_no_more_sessions_than_its_limit(field: Battlefield) -> None:
    """Row D7."""
    database = field.database
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'g_1_app'"
    eventually(lambda: database.value(sessions) == 0, "sessions of earlier tests have ended")
    with contextlib.ExitStack() as stack:
        for number in range(LIMIT):
            assert stack.enter_context(_login(database, "1", "app")).value("SELECT 1") == 1, f"session {number + 1}"
        if field.level == NAIVE:
            stack.enter_context(_login(database, "1", "app"))
            return
        with pytest.raises(psycopg2.OperationalError, match='too many connections for role "g_1_app"'):
            _login(database, "1", "app")
        _login(database, "2", "app").close()


@pytest.mark.row("DATA-07")
def test_what_a_guild_may_do_works(field: Battlefield) -> None:
    """Row F2: what the migrator makes later is the guild's own, by default privileges alone."""
    _own(field.database, "1", "CREATE TABLE later (id serial PRIMARY KEY, mood mood)")
    try:
        with _login(field.database, "1", "app") as app, _login(field.database, "1", "ro") as ro:
            if field.level == NAIVE:
                with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                    app.rows("SELECT * FROM later")
                return
            app.execute("INSERT INTO later (mood) VALUES ('calm'), ('calm')")
            app.execute("UPDATE later SET id = 7 WHERE id = 1")
            app.execute("DELETE FROM later WHERE id = 2")
            assert app.value("SELECT twice(id) FROM later") == 14
            assert ro.rows("SELECT id, mood FROM later") == [(7, "calm")]
        with _login(field.database, "2", "app") as stranger, pytest.raises(psycopg2.errors.InsufficientPrivilege):
            stranger.rows("SELECT * FROM g_1.later")
    finally:
        _own(field.database, "1", "DROP TABLE later")


@pytest.mark.row("DATA-07")
def test_a_migration_may_use_functions_of_its_own_at_every_level(field: Battlefield) -> None:
    """A hardened database takes plpgsql from everybody but the owners of guilds."""
    _own(
        field.database,
        "1",
        "CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "DO 'BEGIN DROP FUNCTION fire(); END'",
    )

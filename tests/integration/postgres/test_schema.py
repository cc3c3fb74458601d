# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``pg_guild_schema`` on real PostgreSQL servers, as a superuser and as the owner of a managed database.

Everything is read back with psycopg2. Attacks on the guilds that were made are in their own file.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from tests.ansible_runner import AnsibleRunner, ModuleResult, failed
from tests.integration.postgres.guild_database import GuildDatabase, Servers, eventually
from tests.sandbox.service import free_port

LANES = 4  # groups of guilds that are written at the same time; each may end with a batch that is not full

Run = Callable[..., ModuleResult]

ONE, OTHER = "105844944714224099", "18446744073709551615"
SUPERUSER, PROVISIONER = ("16", "superuser"), ("16", "provisioner")
OLD_PROVISIONER, NEW_PROVISIONER = ("15", "provisioner"), ("18", "provisioner")


@pytest.fixture
def database(request: pytest.FixtureRequest, servers: Servers) -> Iterator[GuildDatabase]:
    """An empty database, and after the test a server without any trace of it."""
    version, administrator = request.param
    with servers.database(version, administrator) as made:
        yield made


@pytest.fixture
def run(run_module: Run, database: GuildDatabase) -> Run:
    """``run([guilds], passwords={…}, check=…)`` runs the module as the database's administrator."""

    def call(guilds: Sequence[Any], **options: Any) -> ModuleResult:
        how = {key: options.pop(key) for key in ("check", "diff", "verbosity", "environment") if key in options}
        if "passwords" in options:
            options["passwords"] = json.dumps(options["passwords"])
        listed = [guild if isinstance(guild, dict) else {"id": guild} for guild in guilds]
        return run_module("pg_guild_schema", {**database.options, "guilds": listed, **options}, **how)

    return call


with_every_administrator = pytest.mark.parametrize(
    "database", [SUPERUSER, PROVISIONER, OLD_PROVISIONER, NEW_PROVISIONER], indirect=True, ids="-".join
)
with_both_administrators = pytest.mark.parametrize("database", [SUPERUSER, PROVISIONER], indirect=True, ids="-".join)
with_provisioners = pytest.mark.parametrize(
    "database", [PROVISIONER, OLD_PROVISIONER, NEW_PROVISIONER], indirect=True, ids="-".join
)
with_superuser = pytest.mark.parametrize("database", [SUPERUSER], indirect=True, ids="-".join)
with_provisioner = pytest.mark.parametrize("database", [PROVISIONER], indirect=True, ids="-".join)


def done(result: ModuleResult, *, changed: bool) -> ModuleResult:
    """The result, which is no failure."""
    assert not result.get("failed"), result["msg"]
    assert result["changed"] is changed, result
    return result


@pytest.mark.row("DATA-07")
@pytest.mark.row("DATA-09")
@with_every_administrator
def test_a_guild_from_creation_to_removal(run: Run, database: GuildDatabase) -> None:
    passwords = {ONE: {"app": "app-one-secret", "ro": "ro-one-secret"}, OTHER: {"app": "app-other-secret"}}
    guilds = [{"id": int(ONE), "connection_limit_app": 4}, OTHER]
    empty = database.catalogs()

    predicted = done(run(guilds, passwords=passwords, check=True, diff=True), changed=True)
    assert predicted["counts"] == {"guilds": 2, "created": 2, "updated": 0, "removed": 0, "unchanged": 0}
    assert database.catalogs() == empty

    created = done(run(guilds, passwords=passwords, diff=True), changed=True)
    assert {key: created[key] for key in ("diff", "guilds", "counts", "database", "batches")} == {
        key: predicted[key] for key in ("diff", "guilds", "counts", "database", "batches")
    }
    assert created["guilds"][0] == {
        "id": ONE,
        "schema": f"g_{ONE}",
        "owner": f"g_{ONE}_owner",
        "app": f"g_{ONE}_app",
        "ro": f"g_{ONE}_ro",
        "state": "present",
        "changed": True,
    }
    assert database.schemas() == {f"g_{ONE}": f"g_{ONE}_owner", f"g_{OTHER}": f"g_{OTHER}_owner"}
    inherits = database.value("SHOW server_version_num") < "160000"  # later on each grant says so itself
    assert database.role(f"g_{ONE}_owner") == {"login": False, "inherit": inherits, "limit": -1, "password": False}
    assert database.role(f"g_{ONE}_app") == {"login": True, "inherit": True, "limit": 4, "password": True}
    assert database.role(f"g_{OTHER}_ro") == {"login": True, "inherit": True, "limit": 3, "password": False}
    for kind, read_only in (("app", "off"), ("ro", "on")):
        with database.login(f"g_{ONE}_{kind}", passwords[ONE][kind]) as guild:
            assert guild.value("SHOW search_path") == f"g_{ONE}, extensions, pg_temp"
            assert guild.value("SHOW default_transaction_read_only") == read_only
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        database.login(f"g_{OTHER}_ro", "anything")

    settled = database.catalogs()
    done(run(guilds, passwords=passwords), changed=False)
    assert database.catalogs() == settled

    updated = done(run([{"id": ONE, "connection_limit_app": 7}, OTHER], diff=True), changed=True)
    assert updated["counts"]["updated"] == 1
    (difference,) = updated["diff"]
    assert difference["before"]["roles"]["app"]["connection_limit"] == 4
    assert difference["after"]["roles"]["app"]["connection_limit"] == 7
    assert database.role(f"g_{ONE}_app")["limit"] == 7

    removal = [{"id": ONE, "state": "absent", "confirm": ONE}]
    before = database.catalogs()
    assert done(run(removal, check=True), changed=True)["counts"]["removed"] == 1
    assert database.catalogs() == before
    neighbour = database.traces(f"g_{OTHER}")
    done(run(removal), changed=True)
    assert database.traces(f"g_{ONE}") == []
    assert database.traces(f"g_{OTHER}") == neighbour != []
    done(run(removal), changed=False)


@pytest.mark.row("DATA-07")
@with_provisioners
def test_a_suspended_guild_is_out_at_once_and_comes_back_whole(run: Run, database: GuildDatabase) -> None:
    passwords = {ONE: {"app": "app-one-secret"}}
    done(run([ONE, OTHER], passwords=passwords), changed=True)
    database.migrate(f"g_{ONE}", "CREATE TABLE note (id int)")
    present = database.traces(f"g_{ONE}")
    guild = database.login(f"g_{ONE}_app", "app-one-secret")
    assert guild.value("SELECT count(*) FROM note") == 0

    suspension = [{"id": ONE, "state": "suspended"}, OTHER]
    predicted = done(run(suspension, check=True, diff=True), changed=True)
    assert guild.value("SELECT 1") == 1
    done(run(suspension), changed=True)
    with pytest.raises(psycopg2.OperationalError):
        guild.value("SELECT 1")
    with pytest.raises(psycopg2.OperationalError, match="not permitted to log in"):
        database.login(f"g_{ONE}_app", "app-one-secret")
    assert predicted["diff"][0]["before"]["sessions"] == 1
    assert not database.value("SELECT has_schema_privilege(%s, %s, 'USAGE')", f"g_{ONE}_ro", f"g_{ONE}")
    done(run(suspension), changed=False)

    done(run([ONE, OTHER]), changed=True)
    assert database.traces(f"g_{ONE}") == present
    with database.login(f"g_{ONE}_app", "app-one-secret") as again:
        assert again.value("SELECT count(*) FROM note") == 0


@with_both_administrators
def test_the_state_of_the_database_that_all_share(run: Run, database: GuildDatabase) -> None:
    settings = {"statement_timeout": "30s", "work_mem": "8MB"}
    result = done(run([ONE], passwords={ONE: {"app": "app-one-secret"}}, settings=settings), changed=True)
    assert result["database"] == {"name": database.name, "changed": True}
    for privilege in ("CONNECT", "TEMPORARY", "CREATE"):
        assert not database.value("SELECT has_database_privilege('public', current_database(), %s)", privilege)
    assert not database.value("SELECT has_schema_privilege('public', 'public', 'USAGE')")
    assert database.value("SELECT has_schema_privilege('guild_connect', 'extensions', 'USAGE')")
    with database.login(f"g_{ONE}_app", "app-one-secret") as guild:
        assert guild.value("SHOW statement_timeout") == "30s"
        assert guild.value("SHOW work_mem") == "8MB"
    with database.migrator() as migrator:
        assert migrator.value("SHOW statement_timeout") == "0"
        assert migrator.value("SHOW work_mem") == "8MB"
    done(run([ONE], settings=settings), changed=False)
    done(run([ONE]), changed=False)
    done(run([ONE], settings={"statement_timeout": None, "work_mem": "8MB"}), changed=True)
    assert database.value("SELECT setconfig FROM pg_db_role_setting WHERE setrole = 0") == ["work_mem=8MB"]


@pytest.mark.row("DATA-07")
@pytest.mark.row("CMP-10")
@with_both_administrators
def test_the_number_of_queries_does_not_depend_on_the_number_of_guilds(run: Run, database: GuildDatabase) -> None:
    many = [str(10**17 + number) for number in range(200)]
    passwords = {guild: {"app": f"app-{guild}", "ro": f"ro-{guild}"} for guild in many}
    created = done(run(many, passwords=passwords), changed=True)
    assert created["counts"]["created"] == 200
    assert 4 <= created["batches"] <= 4 + LANES
    assert len(created["guilds"]) == 100
    assert len(database.schemas()) == 200
    for guilds in (many[:1], many):
        with database.statements() as logged:
            unchanged = run(guilds, passwords={guild: passwords[guild] for guild in guilds})
        done(unchanged, changed=False)
        queries = [line for line in logged if not re.search(r"statement: (BEGIN|COMMIT)", line)]
        assert len(queries) == 7, queries
        assert all(re.search(r"statement:\s*(SELECT|WITH)", query) for query in queries), queries
    with database.statements() as logged:
        created = done(run([str(2 * 10**17 + number) for number in range(100)]), changed=True)
    reading = [line for line in logged if re.search(r"statement:\s*(SELECT|WITH)", line)]
    assert len(reading) <= 7 + 15 * created["batches"], len(reading)


@with_both_administrators
def test_check_mode_asks_in_a_transaction_that_cannot_write(run: Run, database: GuildDatabase) -> None:
    with database.statements() as logged:
        done(run([ONE], check=True), changed=True)
    begun = [line for line in logged if "BEGIN" in line]
    assert len(begun) == 1
    assert "READ ONLY" in begun[0]


# What somebody may have changed by hand, each on a guild of its own. {s} is the schema, {o}, {a} and {r} are its roles,
# {d} is the database, {admin} its administrator, {odd} a stranger.
DRIFT = [
    "ALTER ROLE {a} CONNECTION LIMIT 99",
    "ALTER ROLE {a} CREATEDB",
    "ALTER ROLE {o} LOGIN INHERIT",
    "ALTER ROLE {r} VALID UNTIL '2020-01-01'",
    "ALTER ROLE {r} NOLOGIN",
    "ALTER ROLE {a} SET search_path = public",
    "ALTER ROLE {a} SET statement_timeout = 0",
    "ALTER ROLE {r} RESET default_transaction_read_only",
    "ALTER ROLE {a} IN DATABASE {d} SET work_mem = '1GB'",
    "GRANT {o} TO {a}",
    "GRANT {o} TO {r} WITH ADMIN OPTION",
    "GRANT pg_read_all_data TO {r}",
    "REVOKE guild_connect FROM {a}",
    "GRANT guild_connect TO {a} WITH ADMIN OPTION",
    "REVOKE {o} FROM guild_migrator",
    "GRANT {a} TO {odd}",
    "GRANT USAGE ON SCHEMA {s} TO PUBLIC",
    "GRANT USAGE, CREATE ON SCHEMA {s} TO {odd}",
    "GRANT CREATE ON SCHEMA {s} TO {a}",
    "GRANT USAGE ON SCHEMA {s} TO {a} WITH GRANT OPTION",
    "REVOKE USAGE ON SCHEMA {s} FROM {r}",
    "ALTER SCHEMA {s} OWNER TO {admin}",
    "REVOKE CREATE ON SCHEMA {s} FROM {o}",
    "ALTER DEFAULT PRIVILEGES FOR ROLE {o} IN SCHEMA {s} GRANT SELECT ON TABLES TO PUBLIC",
    "ALTER DEFAULT PRIVILEGES FOR ROLE {o} IN SCHEMA {s} GRANT TRUNCATE ON TABLES TO {a}",
    "ALTER DEFAULT PRIVILEGES FOR ROLE {o} IN SCHEMA {s} REVOKE ALL ON TABLES FROM {r}",
    "ALTER DEFAULT PRIVILEGES FOR ROLE {o} IN SCHEMA {s} GRANT UPDATE ON SEQUENCES TO {a} WITH GRANT OPTION",
    "ALTER DEFAULT PRIVILEGES FOR ROLE {o} GRANT EXECUTE ON FUNCTIONS TO PUBLIC",
    "ALTER DEFAULT PRIVILEGES FOR ROLE {o} GRANT USAGE ON TYPES TO PUBLIC",
    "ALTER DEFAULT PRIVILEGES FOR ROLE {o} GRANT USAGE ON SCHEMAS TO {odd}",
    "ALTER DEFAULT PRIVILEGES FOR ROLE {o} GRANT SELECT ON TABLES TO PUBLIC",
]
STRANGER = '"It\'s ""odd"", \\=really/{"'
STRANGER_NAME = STRANGER[1:-1].replace('""', '"')
# Who grants a role, and who may take which attribute away, matters: what a superuser did there, only one can undo.
ONLY_A_SUPERUSER_UNDOES = ("ALTER ROLE {a} CREATEDB", "GRANT pg_read_all_data TO {r}")
IS_ABOUT_MEMBERS = re.compile(r"(GRANT|REVOKE) (?P<role>\S+) (TO|FROM) ")


@pytest.mark.row("DATA-07")
@with_both_administrators
def test_whatever_drifted_is_found_and_put_back(run: Run, database: GuildDatabase) -> None:
    superuser = database.administrator == "superuser"
    drift = [one for one in DRIFT if superuser or one not in ONLY_A_SUPERUSER_UNDOES]
    guilds = [str(10**17 + number) for number in range(len(drift))]
    calm = str(2 * 10**17)
    done(run([*guilds, calm]), changed=True)
    settled = database.model()
    database.execute(f"CREATE ROLE {STRANGER}", as_superuser=superuser)
    for statement, guild in zip(drift, guilds, strict=True):
        schema = f"g_{guild}"
        names = {"s": schema, "o": f"{schema}_owner", "a": f"{schema}_app", "r": f"{schema}_ro", "d": database.name}
        statement = statement.format(**names, admin=database.options["login_user"], odd=STRANGER)
        member = IS_ABOUT_MEMBERS.match(statement)
        if superuser or not member:
            database.execute(statement, as_superuser=True)
        else:
            database.as_creator(member["role"], statement)
    drifted = database.model()

    predicted = done(run([*guilds, calm], check=True, diff=True), changed=True)
    found = {guild["id"] for guild in predicted["guilds"] if guild["changed"]}
    missed = [statement for statement, guild in zip(drift, guilds, strict=True) if guild not in found]
    assert missed == []
    assert calm not in found
    assert database.model() == drifted

    done(run([*guilds, calm]), changed=True)
    assert database.model() == settled
    done(run([*guilds, calm]), changed=False)


# What somebody may have done inside a schema.
OBJECTS = [
    "CREATE TABLE {s}.note (id serial PRIMARY KEY, text text)",
    "CREATE VIEW {s}.notes AS SELECT * FROM {s}.note",
    "CREATE FUNCTION {s}.twice(number integer, text) RETURNS int LANGUAGE sql RETURN number * 2",
    "CREATE PROCEDURE {s}.rest() LANGUAGE sql AS ''",
    "CREATE TYPE {s}.mood AS ENUM ('calm')",
    "CREATE TYPE {s}.pair AS (a int, b int)",
    'CREATE TABLE {s}."odd ""name""" (id int) PARTITION BY RANGE (id)',
]
OBJECT_DRIFT = [
    "GRANT SELECT ON {s}.note TO PUBLIC",
    "GRANT TRUNCATE ON {s}.notes TO {a}",
    "GRANT SELECT (text) ON {s}.note TO {odd}",
    "GRANT SELECT ON {s}.note TO {a} WITH GRANT OPTION",
    'REVOKE SELECT ON {s}."odd ""name""" FROM {r}',
    "GRANT UPDATE ON SEQUENCE {s}.note_id_seq TO {a}",
    "GRANT EXECUTE ON FUNCTION {s}.twice(integer, text) TO PUBLIC",
    "GRANT EXECUTE ON PROCEDURE {s}.rest() TO {r}",
    "GRANT USAGE ON TYPE {s}.mood TO PUBLIC",
    "REVOKE USAGE ON TYPE {s}.pair FROM {a}",
]
OWNER_DRIFT = [
    "CREATE TABLE {s}.foreign (id serial, text text)",
    "ALTER TABLE {s}.note OWNER TO {admin}",
    "ALTER FUNCTION {s}.twice(integer, text) OWNER TO {odd}",
    "ALTER TYPE {s}.mood OWNER TO {odd}",
    "CREATE SEQUENCE {s}.loose",
]


@pytest.mark.row("DATA-07")
@pytest.mark.row("CMP-10")
@with_both_administrators
def test_what_drifted_inside_a_schema_is_found_and_put_back(run: Run, database: GuildDatabase) -> None:
    superuser = database.administrator == "superuser"
    drift = [*OBJECT_DRIFT, *(OWNER_DRIFT if superuser else ())]  # others' objects only a superuser gives away
    guilds = [str(10**17 + number) for number in range(len(drift))]
    calm = str(2 * 10**17)
    done(run([*guilds, calm]), changed=True)
    for guild in (*guilds, calm):
        database.migrate(f"g_{guild}", *(statement.format(s=f"g_{guild}") for statement in OBJECTS))
    done(run([*guilds, calm]), changed=False)
    settled = database.objects()
    database.execute(f"CREATE ROLE {STRANGER}", as_superuser=True)
    for statement, guild in zip(drift, guilds, strict=True):
        schema = f"g_{guild}"
        names = {"s": schema, "a": f"{schema}_app", "r": f"{schema}_ro", "admin": database.options["login_user"]}
        database.execute(statement.format(**names, odd=STRANGER), as_superuser=True)

    predicted = done(run([*guilds, calm], check=True, diff=True), changed=True)
    found = {guild["id"] for guild in predicted["guilds"] if guild["changed"]}
    missed = [statement for statement, guild in zip(drift, guilds, strict=True) if guild not in found]
    assert missed == []
    assert calm not in found
    assert predicted["diff"][0]["before"]["objects"]["TABLE note"]["privileges"]["PUBLIC"] == ["SELECT"]
    assert predicted["diff"][2]["before"]["objects"]["TABLE note"]["privileges"][STRANGER_NAME] == ["SELECT ON COLUMNS"]

    repaired = done(run([*guilds, calm], diff=True), changed=True)
    assert repaired["diff"] == predicted["diff"]
    done(run([*guilds, calm]), changed=False)
    made = {f"g_{guild}" for guild, statement in zip(guilds, drift, strict=True) if statement.startswith("CREATE")}
    left = [row for row in database.objects() if not (row[0] in made and row not in settled)]
    assert left == settled


@with_superuser
def test_what_an_operator_set_for_a_guild_stays(run: Run, database: GuildDatabase) -> None:
    done(run([ONE]), changed=True)
    for setting in ("temp_file_limit = '1GB'", "log_min_duration_statement = 500", "pgaudit.log = 'write'"):
        database.execute(f"ALTER ROLE g_{ONE}_app SET {setting}", as_superuser=True)
    settled = database.catalogs()
    done(run([ONE]), changed=False)
    assert database.catalogs() == settled


@with_superuser
def test_the_database_is_put_back_too(run: Run, database: GuildDatabase) -> None:
    done(run([ONE]), changed=True)
    settled = database.catalogs()["pg_database"]
    for statement in (
        f"GRANT CONNECT, TEMPORARY ON DATABASE {database.name} TO PUBLIC",
        f"GRANT CREATE ON DATABASE {database.name} TO g_{ONE}_app",
        "GRANT USAGE, CREATE ON SCHEMA public TO PUBLIC",
        "GRANT CREATE ON SCHEMA extensions TO guild_connect",
        "GRANT pg_read_all_data TO guild_connect",
        "ALTER ROLE guild_connect LOGIN",
        "ALTER ROLE guild_migrator INHERIT CREATEROLE",
    ):
        database.execute(statement, as_superuser=True)
    result = done(run([ONE], diff=True), changed=True)
    assert result["database"]["changed"]
    (difference,) = result["diff"]
    assert difference["before_header"] == f"database {database.name}"
    before, after = difference["before"], difference["after"]
    assert before["privileges"]["PUBLIC"] == ["CONNECT", "TEMPORARY"]
    assert before["privileges"][f"g_{ONE}_app"] == ["CREATE"]
    assert set(after["privileges"]) == {"guild_connect", "guild_migrator"}
    assert before["schema_public_privileges"] == {"PUBLIC": ["CREATE", "USAGE"]}
    assert "schema_public_privileges" not in after
    assert before["schema_extensions_privileges"] == {"guild_connect": ["CREATE", "USAGE"], "guild_owners": ["USAGE"]}
    assert before["roles"]["guild_connect"]["member_of"] == {"pg_read_all_data": ["inherit", "set"]}
    assert before["roles"]["guild_migrator"]["attributes"] == ["CREATEROLE"]
    done(run([ONE]), changed=False)
    assert database.catalogs()["pg_database"] == settled


@with_both_administrators
def test_passwords_are_set_once_and_compared_on_request(run: Run, database: GuildDatabase) -> None:
    first, second = {ONE: {"app": "first-secret"}}, {ONE: {"app": "second-secret", "ro": "späte Geheimnisse ﬁ"}}
    done(run([ONE], passwords=first), changed=True)
    superuser = database.administrator == "superuser"

    # A login that has none gets one, as far as that can be seen; one that has one keeps it.
    late = done(run([ONE], passwords=second, diff=True), changed=superuser)
    database.login(f"g_{ONE}_app", "first-secret").close()
    if superuser:
        assert late["diff"][0]["after"]["roles"]["ro"]["password"] == "(secret)"
        database.login(f"g_{ONE}_ro", "späte Geheimnisse ﬁ").close()

    predicted = done(run([ONE], passwords=second, update_password="always", check=True, diff=True), changed=True)
    old, new = ("(secret, old)", "(secret, new)") if superuser else (None, "(secret)")  # what it was, only one can read
    assert predicted["diff"][0]["before"]["roles"]["app"]["password"] == old
    assert predicted["diff"][0]["after"]["roles"]["app"]["password"] == new
    done(run([ONE], passwords=second, update_password="always"), changed=True)
    database.login(f"g_{ONE}_app", "second-secret").close()
    database.login(f"g_{ONE}_ro", "späte Geheimnisse ﬁ").close()
    done(run([ONE], passwords=second, update_password="always"), changed=False)

    # PostgreSQL lets a guild change its own password.
    with database.login(f"g_{ONE}_app", "second-secret") as guild:
        guild.execute(f"ALTER ROLE g_{ONE}_app PASSWORD 'hijacked'")
    done(run([ONE], passwords=second, update_password="always"), changed=True)
    database.login(f"g_{ONE}_app", "second-secret").close()


@pytest.mark.row("SECR-12")
@with_both_administrators
def test_no_password_and_no_verifier_is_written_anywhere(run: Run, database: GuildDatabase) -> None:
    for parameter in ("log_statement = 'all'", "log_min_duration_statement = 0", "log_min_error_statement = 'debug5'"):
        database.execute(f"ALTER DATABASE {database.name} SET {parameter}", as_superuser=True)
    guilds = [str(10**17 + number) for number in range(3)]
    canaries = {guild: {kind: f"canary-{secrets.token_hex(12)}" for kind in ("app", "ro")} for guild in guilds}
    outputs = [
        run(guilds, passwords=canaries, check=True, diff=True, verbosity=3),
        run(guilds, passwords=canaries, diff=True, verbosity=3),
        run(guilds, passwords=canaries, diff=True, verbosity=3, update_password="always"),
        # An error after the passwords were set: the limit is beyond what the catalog holds.
        run([{"id": "7", "connection_limit_app": 2**31}], passwords={"7": canaries[guilds[0]]}, verbosity=3),
    ]
    assert [bool(result.get("failed")) for result in outputs] == [False, False, False, True]
    for guild in guilds:
        for kind, password in canaries[guild].items():
            database.login(f"g_{guild}_{kind}", password).close()
    query = "SELECT rolpassword FROM pg_authid WHERE rolname ~ '^g_' AND rolpassword IS NOT NULL"
    verifiers = [row[0] for row in database.superuser.rows(query)]
    assert len(verifiers) == 6
    parts = [part for verifier in verifiers for part in re.split(r"[$:]", verifier) if len(part) > 20]
    passwords = [password for entry in canaries.values() for password in entry.values()]
    everything = "\n".join([*(result.output for result in outputs), *map(json.dumps, outputs), database.log()])
    assert "ALTER ROLE %I PASSWORD %L" in everything  # what was logged is what this test looks at
    assert [secret for secret in (*parts, *passwords) if secret in everything] == []
    assert database.options["login_password"] not in everything


@pytest.mark.row("CMP-05")
@with_both_administrators
def test_a_run_cut_off_in_the_middle_is_finished_by_the_next(run: Run, database: GuildDatabase) -> None:
    guilds = [str(10**17 + number) for number in range(120)]
    passwords = {guild: {"app": f"secret-app-{guild}", "ro": f"secret-ro-{guild}"} for guild in guilds}
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s AND datname = %s"
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run, guilds, passwords=passwords, batch_size=20)
        eventually(lambda: len(database.schemas()) > 0, "the first batch is committed")
        database.superuser.rows(cut, "dcm.platform.pg_guild_schema", database.name)
        result = running.result()
    message = failed(result)
    assert f"PostgreSQL at {database.server['host']}:{database.server['port']} is not reachable" in message
    made = len(database.schemas())
    assert 0 < made < 120
    assert len([change for change in result["applied"] if change["kind"] == "guild"]) == made
    assert f"{120 - made} not tried." in message
    assert not [secret for entry in passwords.values() for secret in entry.values() if secret in result.output]

    healed = done(run(guilds, passwords=passwords), changed=True)
    assert healed["counts"] == {"guilds": 120, "created": 120 - made, "updated": 0, "removed": 0, "unchanged": made}
    database.login(f"g_{guilds[-1]}_ro", passwords[guilds[-1]]["ro"]).close()
    done(run(guilds, passwords=passwords), changed=False)


@with_provisioner
def test_a_batch_that_fails_is_rolled_back_and_the_others_are_made(run: Run, database: GuildDatabase) -> None:
    guilds = [str(number) for number in range(1, 10)]
    database.execute("CREATE ROLE g_5_app LOGIN", as_superuser=True)  # the provisioner may not administer it
    result = run(guilds, batch_size=3)
    message = failed(result)
    assert "g_5_app" in message
    failures = {change["name"] for change in result["failed_changes"]}
    assert "5" in failures
    assert 1 <= len(failures) <= 3
    assert f"{10 - len(failures)} of 10 changes were made, {len(failures)} failed, 0 not tried." in message
    assert {change["name"] for change in result["applied"]} == {database.name, *guilds} - failures
    assert set(database.schemas()) == {f"g_{number}" for number in guilds if number not in failures}
    database.execute("DROP ROLE g_5_app", as_superuser=True)
    assert done(run(guilds), changed=True)["counts"]["created"] == len(failures)


@pytest.mark.row("CMP-10")
@with_provisioner
def test_an_administrator_is_a_member_of_few_roles_however_many_guilds_there_are(
    run: Run, database: GuildDatabase
) -> None:
    """Every membership would make each later change of a role slower."""
    guilds = [str(number) for number in range(1, 111)]
    database.execute("CREATE ROLE g_1_app LOGIN", as_superuser=False)
    done(run(guilds[:90], passwords={"1": {"app": "app-one-secret"}}), changed=True)
    done(run(guilds, batch_size=5), changed=True)
    memberships = "SELECT roleid::regrole::text, set_option FROM pg_auth_members WHERE member = 'provisioner'::regrole"
    found = database.superuser.rows(memberships)
    creators = {role for role, can_set in found if role.startswith("guild_creator_")}
    assert 1 <= len(creators) <= 8
    own = {"g_1_app", "g_1_ro", "g_1_owner", "guild_connect", "guild_owners", "guild_migrator"}
    assert {role for role, can_set in found} == creators | own
    assert not any(can_set for role, can_set in found)
    for role in creators:
        assert database.role(role)["login"] is False
    done(run([*guilds[:-1], {"id": guilds[-1], "state": "suspended"}]), changed=True)
    done(run([{"id": guild, "state": "absent", "confirm": guild} for guild in ("1", "2", guilds[-1])]), changed=True)
    assert len(database.schemas()) == 107
    done(run(guilds[2:-1]), changed=False)


@with_provisioners
def test_several_runs_at_a_time_do_no_harm(run: Run, database: GuildDatabase) -> None:
    guilds = [str(10**17 + number) for number in range(60)]
    with ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(run, guilds[first : first + 40], batch_size=10) for first in (0, 10, 20)]
        results = [running.result() for running in runs]
    assert [result.get("msg") for result in results] == [None, None, None]
    assert len(database.schemas()) == 60
    done(run(guilds), changed=False)


@with_superuser
def test_whoever_holds_the_lock_for_too_long_is_named(database: GuildDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import TimedOutError
    from ansible_collections.dcm.platform.plugins.module_utils.postgres import guilds as under_test
    from ansible_collections.dcm.platform.plugins.module_utils.postgres.client import Session
    from ansible_collections.dcm.platform.plugins.module_utils.postgres.plan import Desired

    monkeypatch.setattr(under_test, "LOCK_TIMEOUT", 0.2)
    options = {**database.options, "ssl_mode": "prefer", "ca_cert": None, "connect_timeout": 5}
    reconciler = under_test.GuildReconciler(
        lambda: Session(options, "test"), Desired([]), under_test.Pace(), pytest.fail
    )
    changes = reconciler.plan(reconciler.read())
    oid = database.value("SELECT oid FROM pg_database WHERE datname = current_database()")
    database.superuser.rows("SELECT pg_advisory_lock(%s)", under_test.lock_key(oid, "g_", 2))
    with pytest.raises(TimedOutError, match=r"held by: postgres \(unnamed, process [0-9]+\)"):
        list(reconciler.apply(changes))
    database.superuser.rows("SELECT pg_advisory_unlock_all()::text")
    assert [outcome.error for outcome in reconciler.apply(changes)] == [None]


@pytest.mark.row("CMP-06")
@with_both_administrators
def test_what_others_built_on_a_guild_is_not_dropped_with_it(run: Run, database: GuildDatabase) -> None:
    done(run([ONE, OTHER]), changed=True)
    schema = f"g_{ONE}"
    database.migrate(
        schema,
        "CREATE TYPE mood AS ENUM ('calm')",
        "CREATE TABLE note (id serial PRIMARY KEY, text text, mood mood DEFAULT 'calm')",
        "CREATE TABLE line (note int REFERENCES note, at date) PARTITION BY RANGE (at)",
        "CREATE VIEW own AS SELECT n.text, l.at FROM note n JOIN line l ON l.note = n.id",
        "CREATE FUNCTION words(note) RETURNS text LANGUAGE sql RETURN ($1).text",
    )
    for statement in (
        "CREATE SCHEMA report",
        f"CREATE VIEW report.notes AS SELECT id FROM {schema}.note",
        f"CREATE TABLE report.quote (note int REFERENCES {schema}.note)",
        f"CREATE TABLE report.feeling (mood {schema}.mood)",
        f"CREATE TABLE report.part PARTITION OF {schema}.line FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')",
    ):
        database.execute(statement, as_superuser=True)
    removal = [{"id": ONE, "state": "absent", "confirm": ONE}]
    before = database.catalogs()
    for check in (True, False):
        message = failed(run(removal, check=check))
        for dependent in ("report.notes", "report.quote", "report.feeling", "report.part"):
            assert dependent in message
        assert "would be dropped with it" in message
    assert database.catalogs() == before

    database.execute("DROP SCHEMA report CASCADE", as_superuser=True)
    with database.login(**database.server["superuser"]) as superuser:
        superuser.execute(f"SET SESSION AUTHORIZATION {schema}_app")
        superuser.rows("SELECT lo_from_bytea(0, 'left behind')")
    assert any("large object" in trace for trace in database.traces(schema))
    done(run(removal), changed=True)
    assert database.traces(schema) == []


@with_provisioner
def test_removal_takes_an_explicit_confirmation(run: Run, database: GuildDatabase) -> None:
    done(run([ONE]), changed=True)
    before = database.catalogs()
    for confirmation in ({}, {"confirm": OTHER}):
        message = failed(run([{"id": ONE, "state": "absent", **confirmation}]))
        assert f"Guild {ONE} is not removed without confirmation." in message
    assert database.catalogs() == before


@with_superuser
def test_roles_that_serve_something_else_are_not_adopted(run: Run, database: GuildDatabase, servers: Servers) -> None:
    for statement in (
        "CREATE ROLE g_1_app LOGIN CREATEROLE",
        "CREATE ROLE g_2_ro LOGIN IN ROLE pg_monitor",
        "CREATE ROLE g_3_owner ROLE g_1_app",
    ):
        database.execute(statement, as_superuser=True)
    message = failed(run(["1", "2", "3", "4"]))
    assert "Role g_1_app exists already and has CREATEROLE." in message
    assert "Role g_2_ro exists already and is a member of pg_monitor." in message
    assert "Role g_3_owner exists already and has the member g_1_app." in message
    assert "g_4" not in message
    assert database.schemas() == {}


@with_provisioner
def test_two_databases_of_a_server_need_two_prefixes(run: Run, run_module: Run, database: GuildDatabase) -> None:
    done(run([ONE]), changed=True)
    second = f"{database.name}_second"
    with database.login(**database.server["superuser"], database="postgres") as superuser:
        superuser.execute(f"CREATE DATABASE {second} OWNER {database.options['login_user']}")
        try:
            before = database.traces(f"g_{ONE}")
            elsewhere = {**database.options, "login_db": second}
            for state in ("suspended", "absent"):
                guild = {"id": ONE, "state": state, "confirm": ONE}
                message = failed(run_module("pg_guild_schema", {**elsewhere, "guilds": [guild]}))
                assert f"has rights in database {database.name}: each database needs a prefix of its own" in message
            assert database.traces(f"g_{ONE}") == before
            staging = {**elsewhere, "guilds": [{"id": ONE}], "prefix": "staging_"}
            assert done(run_module("pg_guild_schema", staging), changed=True)["guilds"][0]["schema"] == f"staging_{ONE}"
            done(run([ONE]), changed=False)
        finally:
            superuser.execute(f"DROP DATABASE {second} WITH (FORCE)")


@with_provisioner
def test_what_postgresql_ignored_is_an_error(run: Run, database: GuildDatabase) -> None:
    """Without the right to it, a REVOKE only warns. The reason why results come from the catalogs."""
    user = database.options["login_user"]
    for statement in (
        f"ALTER DATABASE {database.name} OWNER TO postgres",
        f"GRANT CREATE, CONNECT ON DATABASE {database.name} TO {user}",
        f"GRANT USAGE ON SCHEMA public TO {user} WITH GRANT OPTION",
    ):
        database.execute(statement, as_superuser=True)
    before = database.catalogs()
    message = failed(run([ONE]))
    assert "reported no error, but what was asked for was not done" in message
    assert f"database {database.name} (privileges" in message
    assert database.catalogs() == before


@with_superuser
def test_an_open_connection_limit_holds(run: Run, database: GuildDatabase) -> None:
    limits = {"connection_limit_app": -1, "connection_limit_ro": 0}
    done(run([{"id": ONE, **limits}], passwords={ONE: {"app": "app-secret", "ro": "ro-secret"}}), changed=True)
    database.login(f"g_{ONE}_app", "app-secret").close()
    with pytest.raises(psycopg2.OperationalError, match="too many connections"):
        database.login(f"g_{ONE}_ro", "ro-secret")
    done(run([{"id": ONE, **limits}]), changed=False)


BAD_INPUT: list[tuple[dict[str, Any], str]] = [
    ({"guilds": [{"id": "1"}, {"id": 1}]}, "The same guild stands more than once in guilds: 1."),
    ({"guilds": [{"id": 1.2e18}]}, "it is a float, not a string or an integer"),
    ({"guilds": [{"id": '1"; DROP SCHEMA public'}]}, "is not a guild id"),
    ({"guilds": [{"id": "1"}], "prefix": "pg_"}, "'pg_' is no prefix"),
    ({"guilds": [{"id": "1"}], "passwords": "hidden-canary {"}, "passwords is no JSON"),
    ({"guilds": [{"id": "1"}], "settings": {"search_path": "x"}}, "'search_path' cannot be a setting"),
    ({"guilds": [{"id": "1", "connection_limit_ro": -2}]}, "connection_limit_ro of guild 1 is -2"),
    ({"guilds": [{"id": "1"}], "batch_size": 0}, "at least 1 guild"),
]


@pytest.mark.row("DATA-08")
def test_bad_input_is_one_clear_message_before_anything_is_connected_to(ansible: AnsibleRunner) -> None:
    nowhere = {"login_host": "127.0.0.1", "login_port": free_port(), "login_user": "x", "login_db": "x"}
    tasks = [
        {"dcm.platform.pg_guild_schema": {**nowhere, **options}, "ignore_errors": True}
        for options, expected in BAD_INPUT
    ]
    result = ansible.playbook([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}], "-c", "local", "-v")
    assert result.total("ignored") == len(BAD_INPUT), result.output
    answers = result.output.split("TASK [")[1:]
    for answer, (options, expected) in zip(answers, BAD_INPUT, strict=True):
        assert expected in answer, options
    for unwanted in ("hidden-canary", "is not reachable", "Traceback"):
        assert unwanted not in result.output


@with_provisioner
def test_errors_name_the_server_and_hold_no_secret(run_module: Run, database: GuildDatabase, tmp_path: Path) -> None:
    password = database.options["login_password"]
    port = free_port()
    nobody = run_module("pg_guild_schema", {**database.options, "login_port": port, "guilds": [{"id": 1}]}, verbosity=3)
    message = failed(nobody)
    assert f"PostgreSQL at 127.0.0.1:{port} is not reachable: Connection refused" in message
    wrong = run_module(
        "pg_guild_schema",
        {**database.options, "login_password": "wrong-canary", "guilds": [{"id": 1}]},
        verbosity=3,
    )
    address = f"127.0.0.1:{database.server['port']}"
    assert f'PostgreSQL at {address} refused the connection: password authentication failed for user "provisioner"' in (
        failed(wrong)
    )
    missing = run_module("pg_guild_schema", {**database.options, "login_db": "nowhere", "guilds": [{"id": 1}]})
    assert 'database "nowhere" does not exist' in failed(missing)
    (tmp_path / "psycopg2.py").write_text("raise ImportError\n")
    without = run_module(
        "pg_guild_schema", {**database.options, "guilds": [{"id": 1}]}, environment={"PYTHONPATH": str(tmp_path)}
    )
    assert "psycopg2-binary is not installed, 2.9 or newer is needed" in failed(without)
    for result in (nobody, wrong, missing, without):
        assert password not in result.output
        assert "wrong-canary" not in result.output


@with_superuser
def test_the_connection_can_come_from_the_environment(run_module: Run, database: GuildDatabase) -> None:
    options = database.options
    environment = {
        "PGHOST": options["login_host"],
        "PGPORT": str(options["login_port"]),
        "PGUSER": options["login_user"],
        "PGPASSWORD": options["login_password"],
        "PGDATABASE": options["login_db"],
        "PGSSLMODE": "disable",
    }
    done(run_module("pg_guild_schema", {"guilds": [{"id": ONE}]}, environment=environment), changed=True)
    assert set(database.schemas()) == {f"g_{ONE}"}

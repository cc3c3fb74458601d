# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``guild_isolation_check`` on real servers: it passes on the model, finds what is broken, and leaves no trace."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import hvac
import pytest

from tests.ansible_runner import ModuleResult
from tests.conftest import LabFixture
from tests.integration.postgres.guild_database import GuildDatabase, Servers, eventually
from tests.integration.redis.redis_servers import CLUSTER, SINGLE, RedisServers
from tests.sandbox.service import Settings, free_port

Run = Callable[..., ModuleResult]

GUILDS = ["1", "2", "10"]
PASSWORDS = {guild: {kind: f"{kind}-of-{guild}" for kind in ("app", "ro")} for guild in GUILDS}
LOGINS = {guild: {f"{kind}_password": word for kind, word in PASSWORDS[guild].items()} for guild in GUILDS}
INSIDE = (
    "CREATE TABLE note (id int PRIMARY KEY)",
    "CREATE TABLE page (id serial PRIMARY KEY)",
    "INSERT INTO note VALUES (1)",
    "CREATE FUNCTION twice(number int) RETURNS int LANGUAGE sql RETURN number * 2",
    "CREATE TYPE mood AS ENUM ('calm')",
)


@pytest.fixture(scope="module")
def database(request: pytest.FixtureRequest, servers: Servers, run_module: Run) -> Iterator[GuildDatabase]:
    """Three guilds, each with something to attack."""
    version, administrator, level = getattr(request, "param", ("16", "provisioner", "model"))
    with servers.database(version, administrator) as made:
        if level == "hardened":  # others' databases are theirs to close
            made.superuser.execute("REVOKE ALL ON DATABASE dcm FROM PUBLIC")
        guilds = [{"id": guild} for guild in GUILDS]
        options = {**made.options, "guilds": guilds, "passwords": json.dumps(PASSWORDS), "level": level}
        result = run_module("pg_guild_schema", options)
        assert result["changed"], result
        assert result["level"]["given"] == level
        for guild in GUILDS:
            made.migrate(f"g_{guild}", *INSIDE)
        yield made


@pytest.fixture
def check(run_module: Run, database: GuildDatabase) -> Run:
    """``check(guilds=…, pairs=…)`` attacks in PostgreSQL."""
    where = {name: database.options[name] for name in ("login_host", "login_port", "login_db")}

    def call(*, check: bool = False, verbosity: int = 0, **options: Any) -> ModuleResult:
        credentials = json.dumps({guild: {"postgresql": login} for guild, login in LOGINS.items()})
        arguments = {"guilds": GUILDS, "credentials": credentials, "postgresql": where, "pairs": 0, **options}
        return run_module("guild_isolation_check", arguments, check=check, verbosity=verbosity)

    return call


def everything(database: GuildDatabase) -> Any:
    """All catalogs, all rows, and where the sequences stand."""
    rows = [database.superuser.rows(f"SELECT xmin, t::text FROM g_{guild}.note t") for guild in GUILDS]
    return database.catalogs(), rows, database.superuser.rows("SELECT * FROM pg_sequences")


@pytest.mark.row("CMP-01")
@pytest.mark.row("CMP-07")
@pytest.mark.parametrize(
    "database",
    [
        ("15", "superuser", "model"),
        ("16", "provisioner", "model"),
        ("16", "superuser", "hardened"),
        ("18", "superuser", "hardened"),
    ],
    indirect=True,
    ids="-".join,
)
def test_the_model_withstands_and_nothing_is_left(
    check: Run, database: GuildDatabase, request: pytest.FixtureRequest
) -> None:
    before = everything(database)
    result = check(level=request.node.callspec.params["database"][2])
    assert not result["failed"], result["msg"]
    assert (result["surprises"], result["changed"]) == ([], False)
    table = {(row["row"], row["attack"], row["login"]): row for row in result["attacks"]}
    assert result["counts"] == {"pairs": 6, "attacks": 6 * len(table), "surprises": 0, "not_tested": 0}
    read = table["A1", "SELECT * FROM {other_table}", "app"]
    assert (read["store"], read["expected"], read["got"], read["outcomes"]) == (
        "postgresql",
        "deny",
        "deny",
        {"deny": 6},
    )
    rows = {row["row"] for row in result["attacks"]}
    assert rows >= {
        "A1",
        "A2",
        "A3",
        "A4",
        "A5",
        "B1",
        "B2",
        "B3",
        "B4",
        "B5",
        "B6",
        "C1",
        "C2",
        "C7",
        "C8",
        "C9",
        "F2",
    }
    assert everything(database) == before
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE usename ~ '^g_'"
    eventually(lambda: database.value(sessions) == 0, "the guilds' sessions have ended")


# What is planted at a time, and by which row and attack, with what gain, it must be found.
BREAKS = {
    (
        "GRANT SELECT ON g_2.page TO g_1_app",
        "GRANT SELECT (id) ON g_2.note TO PUBLIC",
        "GRANT USAGE ON SEQUENCE g_2.page_id_seq TO g_1_app",
        "GRANT EXECUTE ON FUNCTION g_2.twice TO PUBLIC",
        "GRANT g_2_ro TO g_1_ro",
        "GRANT TRUNCATE ON g_1.note TO g_1_app",
        "GRANT INSERT ON g_1.note TO g_1_ro",
        "GRANT CREATE ON SCHEMA g_1 TO g_1_app",
        "GRANT CREATE ON DATABASE {database} TO g_1_app",
        "GRANT TEMPORARY ON DATABASE {database} TO PUBLIC",
        "GRANT pg_execute_server_program TO g_1_app",
        "ALTER ROLE g_1_app CREATEDB",
        "ALTER ROLE g_1_app CONNECTION LIMIT -1",
    ): {
        ("F1", "any table", "note, page"),
        ("F1", "any sequence", "page_id_seq"),
        ("F1", "any function", "twice"),
        ("F1", "membership", "g_2_ro"),
        ("A3", "SELECT pg_catalog.nextval({other_sequence_name}", ""),
        ("A1", "SELECT * FROM {other_table}", ""),
        ("A4", "TRUNCATE", ""),
        ("A4", "CREATE TABLE {own}", ""),
        ("A5", "INSERT", ""),
        ("C1", "CREATE SCHEMA", ""),
        ("C1", "CREATE DATABASE", "does not exist"),
        ("C2", "CREATE TEMPORARY TABLE", ""),
        ("C9", "COPY (SELECT 1) TO PROGRAM", ""),
        ("D7", "sessions without limit", ""),
    },
    ("GRANT g_2_app TO g_1_app", "GRANT g_1_owner TO g_1_app", "ALTER ROLE g_1_app CREATEROLE"): {
        ("A1", "DELETE FROM {other_table}", ""),
        ("A3", "SELECT {other_function}()", ""),
        ("A4", "DROP TABLE", ""),
        ("B1", "SET ROLE {other_app}", ""),
        ("B1", "SET ROLE {own_owner}", ""),
        ("B3", "CREATE ROLE", ""),
        ("B4", "GRANT SELECT ON {own_table} TO {other_app}", ""),
        ("D8", "SELECT pg_catalog.pg_cancel_backend", ""),
        ("E2", "where the other guild's sequences stand", ""),
    },
    ("GRANT pg_read_all_data TO g_1_app",): {
        ("A1", "SELECT * FROM {other_table}", ""),
        ("E2", "statistics", "note"),
        ("F1", "rights on the schema", ""),
    },
    ("REVOKE USAGE ON SCHEMA g_1 FROM g_1_app",): {("F2", "SELECT * FROM {own_table}", "")},
}


@pytest.mark.row("CMP-01")
@pytest.mark.parametrize("database", [("16", "provisioner", "model")], indirect=True, ids="-".join)
def test_what_is_broken_is_found_and_nothing_is_left(check: Run, database: GuildDatabase) -> None:
    database.superuser.execute("INSERT INTO g_2.page VALUES (DEFAULT)")
    database.superuser.execute("ANALYZE g_2.note")
    for statements, expected in BREAKS.items():
        planted = [statement.format(database=database.name) for statement in statements]
        for statement in planted:
            database.superuser.execute(statement)
        before = everything(database)
        result = check(guilds=["1", "2"])
        assert "The isolation of guilds is not what it should be" in result["msg"], planted
        found = [one for one in result["surprises"] if one["attacker"] == "1"]
        missed = [
            (row, attack, gained)
            for row, attack, gained in expected
            if not any(one["row"] == row and attack in one["attack"] and gained in one["detail"] for one in found)
        ]
        assert missed == [], found
        assert everything(database) == before, planted
        for statement in planted:
            database.superuser.execute(undone(statement))
    assert not check(guilds=["1", "2"])["failed"]


def undone(statement: str) -> str:
    """The statement that takes back what this one did."""
    if statement.startswith("GRANT"):
        return statement.replace("GRANT", "REVOKE", 1).replace(" TO ", " FROM ")
    if statement.startswith("REVOKE"):
        return statement.replace("REVOKE", "GRANT", 1).replace(" FROM ", " TO ")
    return statement.replace(" CREATE", " NOCREATE").replace("LIMIT -1", "LIMIT 10")


def test_pairs_are_sampled_and_can_be_had_again(check: Run) -> None:
    once, again = check(pairs=2, seed=7), check(pairs=2, seed=7, check=True)
    assert once["counts"]["pairs"] == 2
    assert (once["seed"], once["attacks"]) == (7, again["attacks"])


def test_what_it_says_of_bad_options_and_servers(check: Run, database: GuildDatabase, run_module: Run) -> None:
    def failed(**options: Any) -> str:
        result = check(**options)
        assert result["failed"], result
        assert "Traceback" not in result.output
        message: str = result["msg"]
        return message

    port = free_port()
    where = {"login_host": "127.0.0.1", "login_port": port, "login_db": "dcm"}
    assert f"PostgreSQL at 127.0.0.1:{port} is not reachable" in failed(postgresql=where)
    assert "At least two guilds" in failed(guilds=["1"])
    assert "no postgresql.app_password of guild 7" in failed(guilds=["1", "7"])
    assert "credentials is no JSON" in failed(credentials='["x"]')
    wrong = {guild: {"postgresql": {"app_password": "a-planted-secret", "ro_password": "x"}} for guild in GUILDS}
    result = check(credentials=json.dumps(wrong), verbosity=3, pairs=1)
    assert "password authentication failed" in result["msg"]
    assert "a-planted-secret" not in result.output
    assert (
        "one of the following is required: postgresql, redis, vault"
        in run_module("guild_isolation_check", {"guilds": GUILDS})["msg"]
    )


@pytest.mark.row("CMP-01")
@pytest.mark.row("DATA-15")
@pytest.mark.parametrize("service", [SINGLE, CLUSTER])
def test_keys_of_guilds_are_isolated_in_redis(run_module: Run, lab: LabFixture, service: str) -> None:
    servers = RedisServers(service, lab(service))
    words = {guild: f"password-of-{guild}" for guild in GUILDS}
    guilds = [{"id": guild} for guild in GUILDS]
    assert run_module("redis_guild", {**servers.options, "guilds": guilds, "passwords": json.dumps(words)})["changed"]
    where = {name: servers.options[name] for name in ("login_host", "login_port", "tls")}
    credentials = json.dumps({guild: {"redis": {"password": word}} for guild, word in words.items()})
    arguments = {"guilds": ["1", "2"], "credentials": credentials, "redis": where, "prefix": servers.prefix, "pairs": 0}
    servers.put("2", note="kept")
    try:
        before = servers.lines(), servers.stored("1"), servers.stored("2")
        result = run_module("guild_isolation_check", arguments)
        assert not result["failed"], result["msg"]
        assert (result["counts"]["pairs"], result["counts"]["surprises"]) == (2, 0)
        assert len(result["attacks"]) > 100
        assert (servers.lines(), servers.stored("1"), servers.stored("2")) == before

        for node in servers.nodes.values():
            node.execute_command("ACL SETUSER", servers.user("1"), f"~{servers.keys_of('2')}*", "+scan")
        before = servers.lines(), servers.stored("1"), servers.stored("2")
        leak = run_module("guild_isolation_check", arguments)
        assert leak["failed"]
        assert {one["attacker"] for one in leak["surprises"]} == {"1"}
        found = {one["attack"] for one in leak["surprises"]}
        assert {"K1 GET <other>canary", "K2 SET <other>new x", "E1 SCAN 0"} <= found
        assert (servers.lines(), servers.stored("1"), servers.stored("2")) == before
    finally:
        servers.clear()
        servers.close()


class Secrets:
    """Guilds' secrets and policies in OpenBao, below a path of this test's own."""

    def __init__(self, vault: Settings) -> None:
        self.options = {
            "url": vault["url"],
            "token": vault["token"],
            "mount": vault["mount"],
            "path": f"test-{secrets.token_hex(4)}/guilds",
            "policy_prefix": f"test-{secrets.token_hex(4)}-",
        }
        self.server = hvac.Client(url=vault["url"], token=vault["token"])
        for guild in GUILDS:
            self.server.secrets.kv.v2.create_or_update_secret(
                f"{self.options['path']}/{guild}/postgresql", {"x": "y"}, mount_point=self.options["mount"]
            )
            self.permit(guild, f"{guild}/*")

    def permit(self, guild: str, path: str) -> None:
        where = f"{self.options['mount']}/data/{self.options['path']}/{path}"
        policy = f'path "{where}" {{ capabilities = ["read"] }}'
        self.server.sys.create_or_update_acl_policy(f"{self.options['policy_prefix']}{guild}", policy)

    def state(self) -> Any:
        """The secrets' versions, the policies, and how many tokens there are."""
        versions = [
            self.server.secrets.kv.v2.read_secret_metadata(
                f"{self.options['path']}/{guild}/postgresql", mount_point=self.options["mount"]
            )["data"]["current_version"]
            for guild in GUILDS
        ]
        policies = self.server.sys.list_acl_policies()["data"]["keys"]
        return versions, policies, len(self.server.auth.token.list_accessors()["data"]["keys"])


@pytest.mark.row("CMP-01")
def test_secrets_of_guilds_are_isolated_in_vault(run_module: Run, lab: LabFixture) -> None:
    store = Secrets(lab("vault"))
    before = store.state()
    arguments = {"guilds": GUILDS, "vault": store.options, "pairs": 0}
    result = run_module("guild_isolation_check", arguments)
    assert not result["failed"], result["msg"]
    assert (result["counts"]["pairs"], result["counts"]["surprises"]) == (6, 0)
    assert {row["store"] for row in result["attacks"]} == {"vault"}
    assert store.state() == before

    store.permit("1", "1*")  # without the last slash it is guild 10's, too
    leak = run_module("guild_isolation_check", arguments)
    assert leak["failed"]
    assert {one["attacker"] for one in leak["surprises"]} == {"1"}
    assert {one["attack"] for one in leak["surprises"] if one["victim"] == "10"} >= {
        "GET {mount}/data/{path}/{other}/{secret}"
    }
    assert store.state() == before
    port = free_port()
    gone = run_module(
        "guild_isolation_check", {**arguments, "vault": {**store.options, "url": f"http://127.0.0.1:{port}"}}
    )
    assert f"http://127.0.0.1:{port} is not reachable" in gone["msg"]

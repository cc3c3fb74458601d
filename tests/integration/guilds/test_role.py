# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The role ``guilds`` on a real PostgreSQL server, as its provisioner, a Redis cluster, and an OpenBao server."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import hvac
import pytest
import redis

from tests.ansible_runner import AnsibleRunner, PlaybookResult
from tests.conftest import LabFixture
from tests.integration.postgres.guild_database import GuildDatabase, Servers
from tests.integration.redis.redis_servers import CLUSTER, RedisServers
from tests.sandbox.service import Settings, free_port

LARGE, PLAIN = "105844944714224099", "18446744073709551615"
GUILDS = [{"id": LARGE, "tier": "large"}, {"id": PLAIN}]
LIMITS = {"connection_limit_app": 30, "connection_limit_ro": 6}


class Store:
    """What the role keeps in OpenBao, below a path of this test's own."""

    def __init__(self, vault: Settings) -> None:
        self.path = f"test-{secrets.token_hex(4)}/guilds"
        self.mount = vault["mount"]
        self._engine = hvac.Client(url=vault["url"], token=vault["token"]).secrets.kv.v2

    def secret(self, guild: str, store: str = "postgresql") -> tuple[dict[str, str], int] | None:
        """The data and its version."""
        try:
            answer = self._engine.read_secret_version(
                path=f"{self.path}/{guild}/{store}", mount_point=self.mount, raise_on_deleted_version=True
            )["data"]
        except hvac.exceptions.InvalidPath:
            return None
        return answer["data"], answer["metadata"]["version"]


@pytest.fixture
def database(servers: Servers) -> Iterator[GuildDatabase]:
    with servers.database("16", "provisioner") as made:
        yield made


@pytest.fixture
def store(lab: LabFixture) -> Store:
    return Store(lab("vault"))


@pytest.fixture
def cluster(lab: LabFixture) -> Iterator[RedisServers]:
    made = RedisServers(CLUSTER, lab(CLUSTER), prefix="g_")
    yield made
    made.clear()
    made.close()


@pytest.fixture
def run(
    ansible: AnsibleRunner, lab: LabFixture, database: GuildDatabase, cluster: RedisServers, store: Store
) -> Callable[..., Any]:
    """``run("--check", dcm_guilds=[…])`` runs the role."""
    vault = lab("vault")
    variables = {
        "dcm_guilds": GUILDS,
        "dcm_guild_tiers": {"large": LIMITS},
        "dcm_vault_url": vault["url"],
        "dcm_vault_token": vault["token"],
        "dcm_postgres_host": database.options["login_host"],
        "dcm_postgres_port": database.options["login_port"],
        "dcm_postgres_database": database.name,
        "dcm_postgres_user": database.options["login_user"],
        "dcm_postgres_password": database.options["login_password"],
        "dcm_redis_host": cluster.settings["host"],
        "dcm_redis_port": cluster.ports[-1],
        "dcm_redis_user": "default",
        "dcm_redis_password": cluster.settings["password"],
        "guilds_redis_tls": False,
        "guilds_vault_path": store.path,
    }

    def play(*arguments: str, **others: Any) -> PlaybookResult:
        role = {"role": "dcm.platform.guilds"}
        plays = [{"hosts": "localhost", "gather_facts": False, "vars": {**variables, **others}, "roles": [role]}]
        return ansible.playbook(plays, "-i", "localhost,", "-c", "local", *arguments)

    return play


def changes(result: PlaybookResult) -> int:
    assert result.returncode == 0, result.output
    return result.total("changed")


@pytest.mark.row("CMP-05")
@pytest.mark.row("DATA-09")
def test_guilds_get_credentials_schemas_and_users(
    run: Callable[..., Any], database: GuildDatabase, cluster: RedisServers, store: Store
) -> None:
    empty, nobody = database.catalogs(), cluster.lines()
    assert changes(run("--check", "--diff")) == 3
    assert database.catalogs() == empty
    assert cluster.lines() == nobody
    assert store.secret(LARGE) is store.secret(PLAIN, "redis") is None

    created = run("--diff", "-vvv")
    assert changes(created) == 3
    assert set(database.schemas()) == {cluster.user(LARGE), cluster.user(PLAIN)}
    passwords = set()
    for guild in (LARGE, PLAIN):
        stored = store.secret(guild)
        assert stored is not None
        data, version = stored
        assert version == 1
        assert set(data) == {"app_password", "ro_password"}
        passwords |= set(data.values())
        for kind in ("app", "ro"):
            with database.login(f"{cluster.user(guild)}_{kind}", data[f"{kind}_password"]) as login:
                assert login.value("SHOW statement_timeout") == "30s"
        stored = store.secret(guild, "redis")
        assert stored is not None
        assert set(stored[0]) == {"password"}
        passwords |= set(stored[0].values())
        for port in cluster.ports:
            with cluster.login(guild, stored[0]["password"], port) as login:
                assert login.say("PING") == "PONG"
    assert len(passwords) == 6
    assert {len(password) for password in passwords} == {40}
    assert [password for password in passwords if password in created.output or password in database.log()] == []
    assert database.options["login_password"] not in created.output
    limits = [
        database.role(f"{cluster.user(guild)}_{kind}")["limit"] for guild in (LARGE, PLAIN) for kind in ("app", "ro")
    ]
    assert limits == [30, 6, 10, 3]

    settled, users = database.catalogs(), cluster.lines()
    assert changes(run()) == 0
    assert changes(run("--check")) == 0
    assert database.catalogs() == settled
    assert cluster.lines() == users

    more = [*GUILDS, {"id": "7", "tier": "large"}]
    assert changes(run(dcm_guilds=more, dcm_guild_tiers={"large": {**LIMITS, "connection_limit_ro": 8}})) == 3
    assert database.role(f"{cluster.user(LARGE)}_ro")["limit"] == database.role(f"{cluster.user('7')}_ro")["limit"] == 8
    assert store.secret(LARGE) is not None
    assert store.secret(LARGE)[1] == 1  # type: ignore[index]


def test_a_suspended_guild_is_locked_out_of_every_store(
    run: Callable[..., Any], database: GuildDatabase, cluster: RedisServers, store: Store
) -> None:
    changes(run())
    settled = cluster.lines()
    assert changes(run(dcm_guilds=[{**GUILDS[0], "state": "suspended"}, GUILDS[1]])) == 2
    for guild, is_in in ((LARGE, False), (PLAIN, True)):
        assert database.role(f"{cluster.user(guild)}_app")["login"] is is_in
        stored = store.secret(guild, "redis")
        assert stored is not None
        assert can_log_in(cluster, guild, stored[0]["password"]) is is_in
    assert changes(run()) == 2
    assert cluster.lines() == settled


def can_log_in(cluster: RedisServers, guild: str, password: str) -> bool:
    try:
        with cluster.login(guild, password):
            return True
    except redis.AuthenticationError:
        return False


def test_no_guilds_are_no_problem(run: Callable[..., Any], database: GuildDatabase) -> None:
    assert changes(run(dcm_guilds=[])) == 1  # the database is set up
    assert changes(run(dcm_guilds=[])) == 0
    assert database.schemas() == {}


def test_a_database_that_does_not_answer_is_named_and_the_next_run_finishes(
    run: Callable[..., Any], database: GuildDatabase, cluster: RedisServers, store: Store
) -> None:
    port = free_port()
    result = run(dcm_postgres_port=port)
    assert result.total("failed") == 1
    assert f"PostgreSQL at 127.0.0.1:{port} is not reachable" in result.output
    assert "Traceback" not in result.output
    before = store.secret(PLAIN)
    assert before is not None
    assert changes(run()) == 2
    assert store.secret(PLAIN) == before
    database.login(f"{cluster.user(PLAIN)}_app", before[0]["app_password"]).close()


def test_a_guild_of_an_unknown_tier_is_not_left_out_in_silence(
    run: Callable[..., Any], database: GuildDatabase
) -> None:
    """``preflight`` says it better; whoever runs the role alone must not lose a guild."""
    result = run(dcm_guilds=[*GUILDS, {"id": "77", "tier": "unheard-of"}])
    assert result.returncode != 0
    assert "unheard-of" in result.output
    assert database.schemas() == {}

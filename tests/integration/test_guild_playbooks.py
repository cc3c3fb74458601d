# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The life of a guild by playbooks, on real PostgreSQL, Redis and OpenBao: in, proven, restored alone, out."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hvac
import pytest

from tests.ansible_runner import AnsibleRunner, ModuleResult, PlaybookResult
from tests.conftest import LabFixture
from tests.integration.postgres.guild_database import GuildDatabase, Servers
from tests.integration.redis.redis_servers import SINGLE, RedisServers
from tests.staging import ROOT

ONE, TWO = "105844944714224099", "126491441817359442"  # of these, TWO is the neighbour that nothing may happen to
LEAVING, NEW = "1058449447142240990", "7"
MIGRATIONS = {
    "0001_note.sql": "CREATE TABLE note (id serial PRIMARY KEY, text text);\nINSERT INTO note (text) VALUES ('first');",
    "0002_more.sql": (
        "CREATE TYPE mood AS ENUM ('calm');\n"
        "CREATE FUNCTION twice(number int) RETURNS int LANGUAGE sql RETURN number * 2;"
    ),
}


class Platform:
    """An environment of this test's own, and its playbooks."""

    def __init__(self, ansible: AnsibleRunner, lab: LabFixture, database: GuildDatabase, directory: Path) -> None:
        self._ansible = ansible
        self.database = database
        self.directory = directory
        self.archives = directory / "archives"
        self.redis = RedisServers(SINGLE, lab(SINGLE))
        self.prefix = self.redis.prefix
        self.vault = lab("vault")
        self.secrets = f"test-{secrets.token_hex(4)}/guilds"
        (directory / "migrations").mkdir()
        for name, text in MIGRATIONS.items():
            (directory / "migrations" / name).write_text(text)
        self.variables = {
            "ansible_connection": "local",
            "dcm_environment": "lab",
            "dcm_guilds": [{"id": ONE}, {"id": TWO}, {"id": LEAVING}],
            "dcm_vault_url": self.vault["url"],
            "dcm_vault_token": self.vault["token"],
            "dcm_postgres_host": database.options["login_host"],
            "dcm_postgres_port": database.options["login_port"],
            "dcm_postgres_database": database.name,
            "dcm_postgres_user": database.options["login_user"],
            "dcm_postgres_password": database.options["login_password"],
            "dcm_redis_host": self.redis.settings["host"],
            "dcm_redis_port": self.redis.settings["port"],
            "dcm_redis_user": "default",
            "dcm_redis_password": self.redis.settings["password"],
            "guilds_redis_tls": False,
            "guilds_prefix": self.prefix,
            "guilds_vault_path": self.secrets,
            "guild_migrate_directory": str(directory / "migrations"),
            "guild_offboard_directory": str(self.archives),
            "guild_offboard_programs": database.server["programs"],
            "restore_guild_programs": database.server["programs"],
            "guild_verify_pairs": 2,
        }

    def play(self, name: str, *arguments: str, **variables: Any) -> PlaybookResult:
        """Run a playbook; the variables are those of the inventory, with these on top."""
        inventory = self.directory / f"inventory-{secrets.token_hex(4)}.yml"
        inventory.touch(mode=0o600)
        hosts = {"platform": {"hosts": {"here": {}}, "vars": {**self.variables, **variables}}}
        inventory.write_text(json.dumps({"all": {"children": hosts}}))
        return self._ansible.playbook(ROOT / f"playbooks/{name}.yml", "-i", str(inventory), *arguments)

    def done(self, name: str, *arguments: str, changed: bool, **variables: Any) -> PlaybookResult:
        result = self.play(name, *arguments, **variables)
        assert result.returncode == 0, result.output
        assert (result.total("changed") > 0) is changed, result.output
        return result

    def failed(self, name: str, **variables: Any) -> str:
        result = self.play(name, **variables)
        assert result.total("failed") == 1, result.output
        assert "Traceback" not in result.output
        return " ".join(result.output.split())

    def schema(self, guild: str) -> str:
        return f"{self.prefix}{guild}"

    def password(self, guild: str, store: str) -> dict[str, str] | None:
        engine = hvac.Client(url=self.vault["url"], token=self.vault["token"]).secrets.kv.v2
        try:
            answer = engine.read_secret_version(
                path=f"{self.secrets}/{guild}/{store}", mount_point=self.vault["mount"], raise_on_deleted_version=True
            )
        except hvac.exceptions.InvalidPath:
            return None
        data: dict[str, str] = answer["data"]["data"]
        return data

    def write(self, guild: str, text: str) -> None:
        """A row of the guild, by its own login."""
        stored = self.password(guild, "postgresql")
        assert stored is not None
        with self.database.login(f"{self.schema(guild)}_app", stored["app_password"]) as login:
            login.execute("INSERT INTO note (text) VALUES (%s)", text)

    def dump(self, guild: str) -> str:
        """All that is in a guild's schema, with nothing in it that is random."""
        server = self.database.server
        command = [f"{server['programs']}/pg_dump", "-h", server["host"], "-p", str(server["port"])]
        command += ["-U", server["superuser"]["user"], "-n", self.schema(guild), self.database.name]
        environment = {**os.environ, "PGPASSWORD": server["superuser"]["password"]}
        text = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        return "\n".join(line for line in text.splitlines() if not line.startswith(("\\restrict", "\\unrestrict")))


@pytest.fixture(scope="module")
def platform(
    ansible: AnsibleRunner, lab: LabFixture, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Platform]:
    """With three guilds."""
    with servers.database("16", "provisioner") as database:
        made = Platform(ansible, lab, database, tmp_path_factory.mktemp("platform"))
        try:
            made.done("guild_onboard", changed=True)
            yield made
        finally:
            made.redis.clear()
            made.redis.close()


@pytest.mark.row("CMP-05")
@pytest.mark.row("CMP-07")
def test_guilds_are_taken_in_and_verified(platform: Platform) -> None:
    platform.done("guild_onboard", changed=False)
    assert platform.database.value(f"SELECT text FROM {platform.schema(TWO)}.note") == "first"
    more = {"dcm_guilds": [*platform.variables["dcm_guilds"], {"id": NEW}]}
    assert f"Not in dcm_guilds: {NEW}" in platform.failed("guild_onboard", guild_onboard_ids=[NEW])
    assert platform.schema(NEW) not in platform.database.schemas()
    platform.done("guild_onboard", changed=True, **more, guild_onboard_ids=[NEW])
    platform.write(NEW, "mine")

    seeds = platform.directory / "seeds"
    seeds.mkdir()
    (seeds / "1_test.sql").write_text("INSERT INTO note (text) VALUES ('test')")
    seeding = {"guild_migrate_ids": [NEW], "guild_migrate_seeds": str(seeds)}
    refused = platform.failed("guild_migrate", **seeding, dcm_environment="production_doks")
    assert "never go into a production database" in refused
    platform.done("guild_migrate", changed=True, **seeding, dcm_environment="staging")
    assert platform.database.value(f"SELECT count(*) FROM {platform.schema(NEW)}.note") == 3

    platform.done("guild_verify", changed=False, **more, guild_verify_pairs=4)
    grant = f"GRANT SELECT ON {platform.schema(TWO)}.note TO {platform.schema(NEW)}_app"
    platform.database.superuser.execute(grant)
    pair = {"guild_verify_ids": [TWO, NEW], "guild_verify_pairs": 0}
    assert f"Guilds differ from the model: {TWO}" in platform.failed("guild_verify", **pair)
    told = platform.failed("guild_verify", **pair, guild_verify_drift=False)
    assert f"guild {NEW} on guild {TWO} in postgresql, F1: rights on any table of the other guild" in told
    platform.database.superuser.execute(grant.replace("GRANT", "REVOKE").replace(" TO ", " FROM "))


@pytest.mark.row("CMP-13")
@pytest.mark.row("BDR-09")
def test_one_guild_is_restored_alone(platform: Platform, run_module: Callable[..., ModuleResult]) -> None:
    platform.write(ONE, "kept")
    programs = platform.database.server["programs"]
    where = {"directory": str(platform.directory / "kept"), "programs": programs, "prefix": platform.prefix}
    archive = run_module("pg_guild_archive", {**platform.database.options, "guild": ONE, **where})["archive"]["path"]
    kept, neighbour = platform.dump(ONE), platform.dump(TWO)
    passwords = platform.password(ONE, "postgresql")
    restoring = {"restore_guild_id": ONE, "restore_guild_archive": archive}
    assert f"restore {ONE}" in platform.failed("restore_guild", **restoring)
    other = {**restoring, "restore_guild_id": TWO, "confirm": f"restore {TWO}"}
    assert "no archive of guild" in platform.failed("restore_guild", **other)

    restoring["confirm"] = f"restore {ONE}"
    platform.write(ONE, "by mistake")
    platform.database.migrate(platform.schema(ONE), "DROP TYPE mood", "CREATE TABLE stray (id int)")
    broken = platform.dump(ONE)
    platform.done("restore_guild", changed=True, **restoring)
    assert (platform.dump(ONE), platform.dump(TWO)) == (kept, neighbour)
    assert platform.password(ONE, "postgresql") == passwords
    saved = [str(path) for path in Path(archive).parent.glob("*.dump") if str(path) != archive]
    assert len(saved) == 1
    again = platform.done("restore_guild", changed=True, **restoring)  # another archive, and nothing else
    assert again.total("changed") == 1
    assert platform.dump(ONE) == kept

    platform.write(ONE, "after")
    platform.done("restore_guild", changed=True, **{**restoring, "restore_guild_archive": saved[0]})
    assert platform.dump(ONE) == broken
    # Broken off after the guild was removed: the next run goes on.
    removal = {"guilds": [{"id": ONE, "state": "absent", "confirm": ONE}], "prefix": platform.prefix}
    assert run_module("pg_guild_schema", {**platform.database.options, **removal})["changed"]
    platform.done("restore_guild", changed=True, **restoring)
    assert (platform.dump(ONE), platform.dump(TWO)) == (kept, neighbour)


@pytest.mark.row("CMP-06")
def test_a_guild_is_let_go_without_a_trace(platform: Platform) -> None:
    platform.write(LEAVING, "to be kept")
    platform.redis.put(LEAVING, session="x", counter="1")
    platform.redis.put(TWO, session="y")
    leaving = {"guild_offboard_id": LEAVING, "dcm_guilds": [{"id": ONE}, {"id": TWO}]}
    going = {**leaving, "confirm": f"offboard {LEAVING}"}
    before = platform.database.catalogs(), platform.redis.lines()
    assert f"offboard {LEAVING}" in platform.failed("guild_offboard", **leaving)
    wanted = {**going, "dcm_guilds": [{"id": LEAVING}]}
    assert f"Take guild {LEAVING} off dcm_guilds" in platform.failed("guild_offboard", **wanted)
    assert (platform.database.catalogs(), platform.redis.lines()) == before
    traces = platform.database.traces(platform.schema(TWO))
    neighbour = platform.dump(TWO), platform.redis.stored(TWO)

    # Broken off by a Redis that is away, after the suspension in PostgreSQL.
    away = platform.failed("guild_offboard", **going, dcm_redis_password="wrong")
    assert "refused the login" in away
    assert platform.database.role(f"{platform.schema(LEAVING)}_app")["login"] is False
    # Broken off by something else that needs what would be dropped.
    platform.database.superuser.execute(f"CREATE VIEW public.leak AS SELECT * FROM {platform.schema(LEAVING)}.note")
    assert "public.leak" in platform.failed("guild_offboard", **going).replace("view leak", "view public.leak")
    platform.database.superuser.execute("DROP VIEW public.leak")
    # Broken off by a Vault that does not know the token, after the drop.
    lost = platform.failed("guild_offboard", **going, dcm_vault_token="unknown")
    assert "does not accept the token" in lost
    assert platform.database.traces(platform.schema(LEAVING)) == []
    platform.done("guild_offboard", changed=True, **going)

    assert platform.redis.stored(LEAVING) == {}
    assert platform.password(LEAVING, "postgresql") is platform.password(LEAVING, "redis") is None
    assert (platform.dump(TWO), platform.redis.stored(TWO)) == neighbour
    assert platform.database.traces(platform.schema(TWO)) == traces
    evidence_file = platform.archives / f"{platform.schema(LEAVING)}-offboarding.json"
    evidence = json.loads(evidence_file.read_text())
    assert (evidence["left_in_postgresql"], evidence["others_unchanged"]) == ("absent", True)
    assert evidence["archive"]["tables"]["note"] == 2
    assert Path(evidence["archive"]["path"]).exists()
    platform.done("guild_offboard", changed=False, **going)
    assert evidence == json.loads(evidence_file.read_text())

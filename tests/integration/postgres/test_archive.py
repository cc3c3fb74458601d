# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``pg_guild_archive`` on real PostgreSQL servers: one guild out and in again, the others untouched."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ansible_runner import ModuleResult, failed
from tests.integration.postgres.guild_database import PROGRAMS, GuildDatabase, Servers
from tests.sandbox.service import free_port

Run = Callable[..., ModuleResult]

GUILD, NEIGHBOUR = "1", "12"
INSIDE = (
    "CREATE TYPE mood AS ENUM ('calm', 'wild')",
    'CREATE TABLE "odd ""name"" (x)" (id serial PRIMARY KEY, text text, mood mood)',
    """INSERT INTO "odd ""name"" (x)" (text, mood) VALUES (E'a\\nb\\\\.', 'calm'), (NULL, 'wild'), (E'\\\\.', NULL)""",
    "CREATE TABLE part (id int, at date) PARTITION BY RANGE (at)",
    "CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')",
    "INSERT INTO part VALUES (1, '2026-11-21')",
    "CREATE TABLE nothing (id int)",
    "CREATE FUNCTION twice(number int) RETURNS int LANGUAGE sql RETURN number * 2",
    "CREATE VIEW wild AS SELECT * FROM part WHERE id > 0",
)
ROWS = {'odd "name" (x)': 3, "part_1": 1, "nothing": 0}


def schema(run_module: Run, database: GuildDatabase, *guilds: dict[str, Any]) -> None:
    result = run_module("pg_guild_schema", {**database.options, "guilds": guilds})
    assert not result["failed"], result["msg"]


@pytest.fixture
def database(request: pytest.FixtureRequest, servers: Servers, run_module: Run) -> Iterator[GuildDatabase]:
    """Two guilds with the same in them."""
    with servers.database(*getattr(request, "param", ("16", "provisioner"))) as made:
        schema(run_module, made, {"id": GUILD}, {"id": NEIGHBOUR})
        for guild in (GUILD, NEIGHBOUR):
            made.migrate(f"g_{guild}", *INSIDE)
        yield made


@pytest.fixture
def run(run_module: Run, database: GuildDatabase, tmp_path: Path) -> Run:
    """``run(state=…, archive=…)``; archives are kept below the test's directory."""

    def call(**options: Any) -> ModuleResult:
        how = {key: options.pop(key) for key in ("check", "diff", "verbosity") if key in options}
        where = {"directory": str(tmp_path / "archives"), "programs": database.server["programs"]}
        return run_module("pg_guild_archive", {**database.options, "guild": GUILD, **where, **options}, **how)

    return call


def dump(database: GuildDatabase, guild: str) -> str:
    """All that is in a guild's schema, by a program of its own."""
    server = database.server
    environment = {**os.environ, "PGPASSWORD": server["superuser"]["password"]}
    command = [f"{server['programs']}/pg_dump", "-h", server["host"], "-p", str(server["port"]), "-n", f"g_{guild}"]
    command += ["-U", server["superuser"]["user"], "--restrict-key=x", database.name]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if "restrict-key" in done.stderr:  # older programs have no such option, and no need for it
        command.remove("--restrict-key=x")
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.row("BDR-09")
@pytest.mark.parametrize(
    "database",
    [("16", "superuser"), ("16", "provisioner"), ("15", "provisioner"), ("18", "provisioner")],
    indirect=True,
    ids="-".join,
)
def test_a_guild_is_archived_and_restored_alone(
    run: Run, run_module: Run, database: GuildDatabase, tmp_path: Path
) -> None:
    settled, members = database.catalogs(), database.superuser.rows("SELECT * FROM pg_auth_members")
    directory = tmp_path / "archives"
    assert run(check=True)["changed"]
    assert not directory.exists()
    created = run(diff=True)
    assert created["changed"], created
    archive = created["archive"]
    path = Path(archive["path"])
    assert (archive["guild"], archive["schema"], archive["tables"]) == (GUILD, "g_1", ROWS)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == archive["sha256"]
    assert path.stat().st_size == archive["size"]
    assert {oct(file.stat().st_mode & 0o777) for file in directory.iterdir()} == {"0o600"}
    description = json.loads(path.with_suffix(".json").read_text())
    assert description["state"]["g_1_app"]["connection_limit"] == 10
    assert database.superuser.rows("SELECT * FROM pg_auth_members") == members
    assert database.catalogs()["pg_class"] == settled["pg_class"]

    again = run()
    assert (again["changed"], again["archive"]) == (False, archive)
    assert len(list(directory.iterdir())) == 2

    before, neighbour, model = dump(database, GUILD), dump(database, NEIGHBOUR), database.model()
    schema(run_module, database, {"id": GUILD, "state": "absent", "confirm": GUILD})
    assert run()["archive"] == archive
    restored = {"state": "restored", "archive": archive["path"]}
    assert "Guild 1 has no schema g_1. Make it with pg_guild_schema first" in failed(run(**restored))
    schema(run_module, database, {"id": GUILD}, {"id": NEIGHBOUR})
    assert run(**restored, check=True)["changed"]
    back = run(**restored, diff=True)
    assert back["changed"], back
    assert dump(database, GUILD) == before
    assert dump(database, NEIGHBOUR) == neighbour
    assert database.model() == model
    assert (
        run_module("pg_guild_schema", {**database.options, "guilds": [{"id": GUILD}, {"id": NEIGHBOUR}]})["changed"]
        is False
    )
    assert run(**restored)["changed"] is False


@pytest.mark.row("BDR-09")
@pytest.mark.row("BDR-09")
def test_an_archive_goes_into_an_empty_database(servers: Servers, run_module: Run, tmp_path: Path) -> None:
    def call(database: GuildDatabase, **options: Any) -> ModuleResult:
        where = {"guild": GUILD, "directory": str(tmp_path / "archives"), "programs": database.server["programs"]}
        return run_module("pg_guild_archive", {**database.options, **where, **options})

    with servers.database("16", "provisioner") as left:
        schema(run_module, left, {"id": GUILD})
        left.migrate(f"g_{GUILD}", *INSIDE)
        archive, before = call(left)["archive"], dump(left, GUILD)
    with servers.database("16", "provisioner") as empty:
        schema(run_module, empty, {"id": GUILD})
        restored = call(empty, state="restored", archive=archive["path"])
        assert restored["changed"], restored
        assert dump(empty, GUILD) == before
        (found,) = run_module("pg_guild_schema_info", {**empty.options, "guilds": [GUILD]})["guilds"]
        assert found["drift"] == []


def test_what_cannot_be_trusted_is_refused(run: Run, run_module: Run, database: GuildDatabase, tmp_path: Path) -> None:
    archive = run()["archive"]
    restored = {"state": "restored", "archive": archive["path"]}
    database.migrate("g_1", "INSERT INTO nothing VALUES (1)")
    assert "Schema g_1 is not empty" in failed(run(**restored))
    newer = run()
    assert newer["changed"]
    assert newer["archive"]["tables"]["nothing"] == 1
    assert "is an archive of g_1, not of g_12" in failed(run(**restored, guild=NEIGHBOUR))
    path = Path(archive["path"])
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"x")
    assert "was damaged" in failed(run(**restored))
    path.write_bytes(content)
    path.with_suffix(".json").unlink()
    assert "has no description" in failed(run(**restored))
    assert "has no schema g_7, and no archive" in failed(run(guild="7"))


@pytest.mark.row("BDR-09")
def test_a_failed_restoration_leaves_the_schema_empty(run: Run, run_module: Run, database: GuildDatabase) -> None:
    database.superuser.execute("CREATE SCHEMA elsewhere; CREATE TYPE elsewhere.t AS ENUM ('x')")
    database.superuser.execute("GRANT USAGE ON SCHEMA elsewhere TO g_1_owner")
    database.migrate("g_1", "CREATE TABLE zoo (t elsewhere.t)")
    archive = run()["archive"]
    database.superuser.execute("REVOKE USAGE ON SCHEMA elsewhere FROM g_1_owner")
    schema(run_module, database, {"id": GUILD, "state": "absent", "confirm": GUILD})
    schema(run_module, database, {"id": GUILD})
    assert "elsewhere" in failed(run(state="restored", archive=archive["path"]))
    assert database.value("SELECT count(*) FROM pg_class WHERE relnamespace = 'g_1'::regnamespace") == 0
    database.superuser.execute("GRANT USAGE ON SCHEMA elsewhere TO g_1_owner")
    assert run(state="restored", archive=archive["path"])["changed"]


def test_what_it_works_with_and_what_it_says_without_it(run: Run, database: GuildDatabase, tmp_path: Path) -> None:
    port = free_port()
    assert f"PostgreSQL at 127.0.0.1:{port} is not reachable" in failed(run(login_port=port))
    assert f"{tmp_path}/pg_dump cannot be run: No such file" in failed(run(programs=str(tmp_path)))
    if PROGRAMS["15"].exists():
        assert "server version mismatch" in failed(run(programs=str(PROGRAMS["15"])))
    shown = run(verbosity=3)
    assert shown["changed"]
    assert database.options["login_password"] not in shown.output
    assert [path for path in (tmp_path / "archives").iterdir() if path.name.startswith(".")] == []

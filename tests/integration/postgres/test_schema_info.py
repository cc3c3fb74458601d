# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``pg_guild_schema_info`` on real PostgreSQL servers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.ansible_runner import ModuleResult
from tests.integration.postgres.guild_database import GuildDatabase, Servers
from tests.sandbox.service import free_port

ONE, OTHER, GONE = "105844944714224099", "18446744073709551615", "7"


@pytest.fixture(
    params=[("16", "superuser"), ("16", "provisioner"), ("15", "provisioner"), ("18", "provisioner")], ids="-".join
)
def database(request: pytest.FixtureRequest, servers: Servers) -> Iterator[GuildDatabase]:
    with servers.database(*request.param) as made:
        yield made


@pytest.fixture
def info(run_module: Callable[..., ModuleResult], database: GuildDatabase) -> Callable[..., ModuleResult]:
    """``info(guilds=[…])`` runs the module, which must change nothing."""

    def call(**options: Any) -> ModuleResult:
        before = database.catalogs()
        result = run_module("pg_guild_schema_info", {**database.options, **options})
        assert not result["failed"], result["msg"]
        assert result["changed"] is False
        assert database.catalogs() == before
        return result

    return call


@pytest.mark.row("DATA-07")
@pytest.mark.row("CMP-10")
def test_state_and_drift_of_all_guilds(
    info: Callable[..., ModuleResult], run_module: Callable[..., ModuleResult], database: GuildDatabase
) -> None:
    empty = info()
    assert (empty["guilds"], empty["counts"]["guilds"]) == ([], 0)
    assert "roles" in empty["database"]["drift"]

    guilds = [{"id": ONE, "connection_limit_app": 4}, {"id": OTHER, "state": "suspended"}]
    made = run_module("pg_guild_schema", {**database.options, "guilds": guilds})
    assert made["changed"], made
    database.migrate(f"g_{ONE}", "CREATE TABLE note AS SELECT generate_series(1, 9) AS id")
    calm = info()
    assert calm["guilds"][0] == {
        "id": ONE,
        "schema": f"g_{ONE}",
        "owner": f"g_{ONE}_owner",
        "app": f"g_{ONE}_app",
        "ro": f"g_{ONE}_ro",
        "state": "present",
        "drift": [],
        "connection_limits": {"app": 4, "ro": 3},
        "size": 8192,
    }
    assert [guild["state"] for guild in calm["guilds"]] == ["present", "suspended"]
    assert calm["counts"] == {"guilds": 2, "present": 1, "suspended": 1, "absent": 0, "drifted": 0}
    assert calm["unknown"] == {"schemas": [], "roles": []}
    assert calm["database"]["drift"] == []
    assert calm["database"]["level"] == "model"
    assert "PUBLIC may use the language plpgsql" in calm["database"]["open"]

    for statement in (
        f"ALTER ROLE g_{ONE}_app SET work_mem = '1GB'",
        f"GRANT TRUNCATE ON g_{ONE}.note TO g_{ONE}_app",
        "CREATE ROLE g_1_admin",
        "CREATE SCHEMA g_",
        f"GRANT CONNECT ON DATABASE {database.name} TO PUBLIC",
    ):
        database.execute(statement, as_superuser=True)
    odd = info(guilds=[GONE, int(ONE)], sizes=False)
    assert [(guild["id"], guild["state"], guild["drift"]) for guild in odd["guilds"]] == [
        (GONE, "absent", []),
        (ONE, "present", ["objects.TABLE note", "roles.app.settings.work_mem"]),
    ]
    assert odd["counts"]["drifted"] == 1
    assert "size" not in odd["guilds"][0]
    assert odd["unknown"]["schemas"] == ["g_", f"g_{OTHER}"]
    assert "g_1_admin" in odd["unknown"]["roles"]
    assert odd["database"]["drift"] == ["privileges.PUBLIC"]
    database.execute("DROP SCHEMA g_", as_superuser=True)


def test_the_number_of_queries_is_constant(
    info: Callable[..., ModuleResult], run_module: Callable[..., ModuleResult], database: GuildDatabase
) -> None:
    numbers = []
    for count in (1, 40):
        options = {**database.options, "guilds": [{"id": str(number + 1)} for number in range(count)]}
        assert run_module("pg_guild_schema", options)["changed"]
        with database.statements("dcm.platform.pg_guild_schema_info") as logged:
            info()
        begun = [line for line in logged if "BEGIN" in line]
        assert len(begun) == 1
        assert "READ ONLY" in begun[0]
        numbers.append(len(logged))
    assert numbers[0] == numbers[1]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"guilds": ["1", 1]}, "The same guild stands more than once in guilds: 1."),
        ({"guilds": ["1; DROP"]}, "is not a guild id"),
        ({"prefix": "pg_"}, "'pg_' is no prefix"),
        ({}, "is not reachable"),
    ],
)
def test_errors_are_one_clear_message(
    run_module: Callable[..., ModuleResult], options: dict[str, Any], expected: str
) -> None:
    nowhere = {"login_host": "127.0.0.1", "login_port": free_port(), "login_password": "hidden-canary", "login_db": "x"}
    result = run_module("pg_guild_schema_info", {**nowhere, **options})
    assert result["failed"]
    assert expected in result["msg"]
    assert "Traceback" not in result.output
    assert "hidden-canary" not in json.dumps(result["msg"])

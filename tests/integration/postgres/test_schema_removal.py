# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A guild goes within the locks that a server has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg2
import pytest

from tests.ansible_runner import ModuleResult
from tests.integration.postgres.guild_database import Servers

GUILD = "105844944714224099"
SCHEMA = f"g_{GUILD}"
TABLES = 500


@pytest.mark.row("CMP-06")
def test_a_guild_with_more_tables_than_the_server_has_locks_for(
    run_module: Callable[..., ModuleResult], tmp_path: Path
) -> None:
    with Servers(tmp_path / "servers") as servers:
        servers.restart("16", "max_locks_per_transaction", "10")
        with servers.database("16", "provisioner") as database:
            assert database.value("SHOW max_locks_per_transaction") == "10"
            made = run_module("pg_guild_schema", {**database.options, "guilds": [{"id": GUILD}]})
            assert made["changed"], made
            tables = [f"CREATE TABLE table_{number} (id serial PRIMARY KEY, text text)" for number in range(TABLES)]
            database.migrate(SCHEMA, *tables)
            with pytest.raises(psycopg2.errors.OutOfMemory):
                database.superuser.execute(f"DROP SCHEMA {SCHEMA} CASCADE")
            removal = {"id": GUILD, "state": "absent", "confirm": GUILD}
            removed = run_module("pg_guild_schema", {**database.options, "guilds": [removal]})
            assert removed["counts"]["removed"] == 1, removed
            assert database.traces(SCHEMA) == []

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Many runs of ``pg_guild_schema`` at a time, and runs that are killed.

``DCM_TEST_KILLS`` (default 2) says at how many random points a run of 500 guilds is killed.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.ansible_runner import AnsibleRunner, ModuleResult
from tests.integration.postgres.guild_database import GuildDatabase, Servers, eventually

KILLS = int(os.environ.get("DCM_TEST_KILLS", "2"))
GUILDS = [str(10**17 + number) for number in range(500)]
MODULE = "ansible_collections.dcm.platform.plugins.modules.pg_guild_schema"
ADMINISTRATORS = [("16", "superuser"), ("16", "provisioner"), ("15", "provisioner"), ("18", "provisioner")]


def options(database: GuildDatabase, guilds: Sequence[str], **others: Any) -> dict[str, Any]:
    return {**database.options, "guilds": [{"id": guild} for guild in guilds], **others}


@pytest.mark.row("CMP-07")
@pytest.mark.parametrize("administrator", ADMINISTRATORS, ids="-".join)
def test_eight_runs_over_overlapping_guilds(
    administrator: tuple[str, str], servers: Servers, run_module: Callable[..., ModuleResult]
) -> None:
    with servers.database(*administrator) as database:
        parts = [GUILDS[first : first + 60] for first in range(0, 80, 10)]
        wanted = [
            options(database, part, batch_size=10, passwords=json.dumps({part[-1]: {"app": f"app-{part[-1]}"}}))
            for part in parts
        ]
        assert run_module("pg_guild_schema", wanted[0], check=True)["changed"]
        with ThreadPoolExecutor(8) as pool:
            results = list(pool.map(lambda one: run_module("pg_guild_schema", one), wanted))
        assert [result.get("msg") for result in results] == [None] * 8
        made = sorted({guild for part in parts for guild in part})
        assert set(database.schemas()) == {f"g_{guild}" for guild in made}
        assert not run_module("pg_guild_schema", options(database, made))["changed"]
        assert sum(result["counts"]["created"] for result in results) >= len(made)


@pytest.mark.row("CMP-05")
def test_runs_killed_at_random_points_are_finished_by_the_next(
    servers: Servers, run_module: Callable[..., ModuleResult], ansible: AnsibleRunner
) -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    for number in range(KILLS):
        administrator = ADMINISTRATORS[number % 2]
        point = chance.randrange(len(GUILDS) - 60)
        with servers.database(*administrator) as database:
            made = _killed(ansible, database, point)
            healed = run_module("pg_guild_schema", options(database, GUILDS))
            assert not healed["failed"], (seed, point, made, healed["msg"])
            assert healed["counts"]["updated"] == 0, (seed, point)
            assert len(database.schemas()) == len(GUILDS)
            again = run_module("pg_guild_schema", options(database, GUILDS))
            assert (again["failed"], again["changed"]) == (False, False), (seed, point)


def _killed(ansible: AnsibleRunner, database: GuildDatabase, point: int) -> int:
    """Run the module and kill it as soon as so many guilds are there; how many there were then."""
    arguments = {**options(database, GUILDS), "_ansible_remote_tmp": str(ansible.directory)}
    with subprocess.Popen(
        [sys.executable, "-m", MODULE],
        env=ansible.environment(),
        cwd=ansible.directory,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdin is not None
        process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
        process.stdin.close()
        eventually(lambda: len(database.schemas()) >= point, f"{point} guilds are there")
        process.kill()
    return len(database.schemas())

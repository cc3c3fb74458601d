# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs that race on the same secrets of a real server: no update is lost without a word."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import hvac
import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import ConflictError
from ansible_collections.dcm.platform.plugins.module_utils.engine.retry import RetryPolicy
from ansible_collections.dcm.platform.plugins.module_utils.vault.client import Vault
from ansible_collections.dcm.platform.plugins.module_utils.vault.errors import raise_for_status
from ansible_collections.dcm.platform.plugins.module_utils.vault.key_value import KeyValue
from ansible_collections.dcm.platform.plugins.module_utils.vault.plan import Wanted
from ansible_collections.dcm.platform.plugins.module_utils.vault.secret import SecretReconciler

from tests.sandbox.service import Settings

RACES, RUNS, PATHS = 100, 3, 2


def store(vault: Settings, mount: str) -> KeyValue:
    client = hvac.Client(url=vault["url"], token=vault["token"])
    client.session.hooks["response"].append(raise_for_status)
    return KeyValue(Vault(vault["url"], client, RetryPolicy()), mount)


def run(reconciler: SecretReconciler, together: threading.Barrier) -> list[Any]:
    """Read, wait for the others, then plan and write: the moment in which updates get lost."""
    actual = reconciler.read()
    changes = reconciler.plan(actual)
    together.wait(30)
    return list(reconciler.apply(changes))


@pytest.mark.row("SECR-01")
def test_no_update_is_lost_in_a_hundred_races(vault: Settings, server: Any, mount: str) -> None:
    stores = [store(vault, mount) for _run in range(RUNS)]
    lost, conflicts = [], 0
    with ThreadPoolExecutor(RUNS) as pool:
        for seed in range(RACES):
            choice = random.Random(seed)
            merges = [choice.random() < 0.7 for _run in range(RUNS)]  # the others replace, and so contradict
            keys = [f"key{choice.randrange(3)}" for _run in range(RUNS)]
            paths = [f"race/{seed}/{number}" for number in range(PATHS)]
            if choice.random() < 0.5:
                server.secrets.kv.v2.create_or_update_secret(paths[0], {"key0": "before"}, mount_point=mount)
            together = threading.Barrier(RUNS)
            runs = [
                SecretReconciler(
                    stores[number],
                    [Wanted(path, data={keys[number]: number}, replace=not merges[number]) for path in paths],
                    workers=1,
                )
                for number in range(RUNS)
            ]
            results = list(pool.map(run, runs, [together] * RUNS))
            for path in paths:
                outcomes = [
                    (number, outcome)
                    for number, result in enumerate(results)
                    for outcome in result
                    if outcome.change.name == path
                ]
                final = stores[0].read(path).data or {}
                done = [number for number, outcome in outcomes if outcome.error is None]
                conflicts += sum(isinstance(outcome.error, ConflictError) for _number, outcome in outcomes)
                assert all(
                    outcome.error is None or isinstance(outcome.error, ConflictError) for _n, outcome in outcomes
                )
                lost += [(seed, path, number) for number in done if final.get(keys[number]) != number]
    assert lost == []
    assert conflicts > 0  # they did meet

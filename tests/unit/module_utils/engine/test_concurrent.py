# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Changes on several threads: order, refusals, a server that is lost, and no waiting for the slowest."""

from __future__ import annotations

import threading

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change
from ansible_collections.dcm.platform.plugins.module_utils.engine.concurrent import apply_each
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import RefusedError, UnreachableError


def changes(count: int) -> list[Change]:
    return [Change("create", "thing", str(number)) for number in range(count)]


@pytest.mark.parametrize("workers", [1, 2, 7, 100])
def test_outcomes_come_in_order_and_a_refusal_is_one_of_them(workers: int) -> None:
    def function(change: Change) -> None:
        if change.name in ("3", "17"):
            raise RefusedError(change.name)

    outcomes = list(apply_each(changes(40), function, workers))
    assert [outcome.change.name for outcome in outcomes] == [str(number) for number in range(40)]
    assert [outcome.change.name for outcome in outcomes if outcome.error] == ["3", "17"]


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_nothing_is_begun_after_the_server_is_lost(workers: int) -> None:
    tried: list[str] = []
    together = threading.Barrier(workers)

    def function(change: Change) -> None:
        tried.append(change.name)
        if int(change.name) < workers:
            together.wait(10)
        raise UnreachableError("Thing", "127.0.0.1:1", "refused")

    outcomes = list(apply_each(changes(40), function, workers))
    assert sorted(tried) == sorted(outcome.change.name for outcome in outcomes) == [str(n) for n in range(workers)]


def test_a_slow_change_does_not_hold_up_the_others() -> None:
    """With two threads, one change may last as long as many others."""
    others = threading.Semaphore(0)

    def function(change: Change) -> None:
        if change.name == "0":
            for _other in range(3):
                assert others.acquire(timeout=10)
        else:
            others.release()

    assert not [outcome for outcome in apply_each(changes(4), function, 2) if outcome.error]


def test_an_unforeseen_error_is_raised() -> None:
    def function(change: Change) -> None:
        raise ValueError(change.name)

    with pytest.raises(ValueError, match="0"):
        list(apply_each(changes(4), function, 2))

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Retries and waits on a clock that the test moves."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.clock import Clock
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import (
    RefusedError,
    TimedOutError,
    TransientError,
    UnreachableError,
)
from ansible_collections.dcm.platform.plugins.module_utils.engine.retry import RetryPolicy, retrying
from ansible_collections.dcm.platform.plugins.module_utils.engine.wait import NotYet, wait_for


class FakeTime:
    """A clock whose sleeps are recorded and take no time."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.sleeps: list[float] = []
        self.clock = Clock(now=lambda: self.seconds, sleep=self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.seconds += max(seconds, 0.001)


def failing(errors: list[Exception]) -> Callable[[], str]:
    remaining = list(errors)

    def operation() -> str:
        if remaining:
            raise remaining.pop(0)
        return "done"

    return operation


BUSY = TransientError("busy")
NOT_SENT = UnreachableError("X", "y:1", "refused", sent=False)


@pytest.mark.parametrize(
    ("errors", "idempotent", "pauses"),
    [
        ([], True, 0),
        ([BUSY], True, 1),
        ([BUSY, BUSY, BUSY], True, 3),
        ([NOT_SENT], False, 1),
    ],
)
def test_what_may_be_repeated_is_repeated(errors: list[Exception], idempotent: bool, pauses: int) -> None:
    time = FakeTime()
    assert retrying(failing(errors), idempotent=idempotent, clock=time.clock) == "done"
    assert len(time.sleeps) == pauses


@pytest.mark.parametrize(
    ("errors", "idempotent"),
    [
        ([BUSY], False),
        ([BUSY] * 4, True),
        ([RefusedError("no")], True),
        ([TransientError("busy", retry_after=3600)], True),
    ],
    ids=["a write that may have had effect", "out of attempts", "refused", "asked to wait an hour"],
)
def test_the_rest_is_raised_unchanged(errors: list[Exception], idempotent: bool) -> None:
    time = FakeTime()
    with pytest.raises(type(errors[0])) as raised:
        retrying(failing(errors), idempotent=idempotent, clock=time.clock)
    assert raised.value in errors


def test_retry_after_is_honoured_to_the_second() -> None:
    time = FakeTime()
    retrying(failing([TransientError("429", retry_after=17.0)]), idempotent=True, clock=time.clock)
    assert time.sleeps == [17.0]


def test_pauses_grow_and_are_bounded() -> None:
    time = FakeTime()
    policy = RetryPolicy(attempts=8, first_pause=1.0, longest_pause=4.0)
    retrying(failing([BUSY] * 7), idempotent=True, policy=policy, clock=time.clock)
    ceilings = [1, 2, 4, 4, 4, 4, 4]
    assert all(ceiling / 2 <= pause <= ceiling for pause, ceiling in zip(time.sleeps, ceilings, strict=True))


def test_a_wait_returns_what_the_probe_returns() -> None:
    time = FakeTime()
    probe = failing([NotYet("booting"), TransientError("reset"), NotYet("booting")])
    assert wait_for("node a", probe, timeout=60, clock=time.clock) == "done"
    assert time.sleeps == [0.05, 0.1, 0.2]


def test_a_wait_that_ends_says_for_what_and_why() -> None:
    time = FakeTime()

    def probe() -> None:
        raise NotYet("stage is booting")

    with pytest.raises(TimedOutError, match=r"^Gave up after 30 s waiting for node a: stage is booting\. "):
        wait_for("node a", probe, timeout=30, interval=5, clock=time.clock)
    assert 30 <= time.seconds < 31


def test_other_errors_end_a_wait_at_once() -> None:
    with pytest.raises(RefusedError):
        wait_for("node a", failing([RefusedError("no")]), timeout=30, clock=FakeTime().clock)

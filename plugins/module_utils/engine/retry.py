# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bounded retries: only of what may be repeated, never faster than the server asks."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ansible_collections.dcm.platform.plugins.module_utils.engine.clock import SYSTEM_CLOCK, Clock
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import TransientError

T = TypeVar("T")


@dataclass(frozen=True)
class RetryPolicy:
    """``attempts`` in all; pauses double from ``first_pause`` up to ``longest_pause``, all in seconds.

    A server that asks for more than ``longest_pause`` (``Retry-After``) gets it, up to ``longest_retry_after``;
    beyond that the error is reported at once instead of hanging.
    """

    attempts: int = 4
    first_pause: float = 0.25
    longest_pause: float = 8.0
    longest_retry_after: float = 60.0

    def pause(self, failures: int, error: TransientError) -> float | None:
        """Seconds to wait after that many failures, or None to give up."""
        if failures >= self.attempts:
            return None
        if error.retry_after is not None:
            return error.retry_after if error.retry_after <= self.longest_retry_after else None
        backoff = min(self.longest_pause, self.first_pause * 2.0 ** (failures - 1))
        return backoff * random.uniform(0.5, 1.0)


def retrying(
    operation: Callable[[], T],
    *,
    idempotent: bool,
    policy: RetryPolicy = RetryPolicy(),
    clock: Clock = SYSTEM_CLOCK,
) -> T:
    """Call ``operation`` until it returns or fails for good.

    A :class:`TransientError` is tried again if the operation is idempotent, or if the error says that the request was
    never sent. Raises the last error, unchanged.
    """
    failures = 0
    while True:
        try:
            return operation()
        except TransientError as error:
            failures += 1
            pause = policy.pause(failures, error) if idempotent or not error.sent else None
            if pause is None:
                raise
            clock.sleep(pause)

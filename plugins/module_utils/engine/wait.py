# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The one wait loop: bounded, and able to say what it was waiting for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ansible_collections.dcm.platform.plugins.module_utils.engine.clock import SYSTEM_CLOCK, Clock
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import TimedOutError, TransientError

T = TypeVar("T")


class NotYet(Exception):
    """Raised by a probe: its text is what is still missing, as a person would say it."""


def wait_for(
    what: str,
    probe: Callable[[], T],
    *,
    timeout: float,
    interval: float = 1.0,
    first_interval: float = 0.05,
    clock: Clock = SYSTEM_CLOCK,
) -> T:
    """Call ``probe`` until it returns, and return what it returned.

    The probe raises :class:`NotYet` while the condition is false; a :class:`TransientError` counts as not yet, too. The
    pause grows from ``first_interval`` to ``interval``; all figures are seconds. Raises :class:`TimedOutError` after
    ``timeout``, naming ``what`` and the last reason.
    """
    deadline = clock.now() + timeout
    pause = first_interval
    while True:
        try:
            return probe()
        except (NotYet, TransientError) as reason:
            if clock.now() >= deadline:
                raise TimedOutError(
                    f"Gave up after {round(timeout, 1):g} s waiting for {what}: {reason}.".replace("..", "."),
                    hint="Look at the named object, or raise wait_timeout; a second run goes on from here.",
                ) from reason
        clock.sleep(max(0.0, min(pause, deadline - clock.now())))
        pause = min(interval, pause * 2)

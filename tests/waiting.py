# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The one way in which tests and the lab wait for something."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any


def eventually(
    examine: Callable[[], Any],
    what: str,
    *,
    within: float = 60.0,
    despite: tuple[type[Exception], ...] = (),
    error: type[Exception] = AssertionError,
) -> Any:
    """What ``examine`` returns once it is true, ``despite`` such errors before. Raises ``error`` after ``within``
    seconds.
    """
    deadline = time.monotonic() + within
    while True:
        with contextlib.suppress(*despite):
            if found := examine():
                return found
        if time.monotonic() > deadline:
            raise error(f"after {within:g} s still not: {what}")
        time.sleep(0.05)

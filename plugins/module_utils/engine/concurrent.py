# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Many independent changes at once, in order, without hiding which failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, Outcome
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import PlatformError, UnreachableError

T = TypeVar("T")
R = TypeVar("R")


def map_concurrently(function: Callable[[T], R], items: Sequence[T], workers: int) -> list[R]:
    """``[function(item) for item in items]`` on up to ``workers`` threads. The first error is raised."""
    if workers <= 1 or len(items) <= 1:
        return [function(item) for item in items]
    with ThreadPoolExecutor(max_workers=min(workers, len(items))) as pool:
        return list(pool.map(function, items))


def apply_each(changes: Sequence[Change], function: Callable[[Change], None], workers: int = 1) -> Iterator[Outcome]:
    """Apply every change on its own; one refusal does not stop the others, an unreachable server does.

    What comes after an unreachable server is not tried and yields no outcome, so that it is reported as such.
    """

    def attempt(change: Change) -> Outcome:
        try:
            function(change)
        except PlatformError as error:
            return Outcome(change, error)
        return Outcome(change)

    width = max(1, workers)
    for start in range(0, len(changes), width):
        outcomes = map_concurrently(attempt, changes[start : start + width], width)
        yield from outcomes
        if any(isinstance(outcome.error, UnreachableError) for outcome in outcomes):
            return

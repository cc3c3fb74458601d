# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Many independent changes at once, in order, without hiding which failed."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
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

    Outcomes come in the order of the changes. What comes after an unreachable server is not tried and yields no
    outcome, so that it is reported as such.
    """

    def attempt(change: Change) -> Outcome:
        try:
            function(change)
        except PlatformError as error:
            return Outcome(change, error)
        return Outcome(change)

    if workers > 1:
        yield from _in_window(attempt, changes, workers)
        return
    for change in changes:
        yield (outcome := attempt(change))
        if isinstance(outcome.error, UnreachableError):
            return


def _in_window(attempt: Callable[[Change], Outcome], changes: Sequence[Change], workers: int) -> Iterator[Outcome]:
    """``attempt`` on ``workers`` threads, each of which takes the next change as soon as it is free.

    Nothing is begun once an outcome says that the server is gone; what is under way then still ends.
    """
    lost = False

    def unless_lost(change: Change) -> Outcome | None:
        nonlocal lost
        if lost:
            return None
        outcome = attempt(change)
        lost = lost or isinstance(outcome.error, UnreachableError)
        return outcome

    pending = iter(changes)
    with ThreadPoolExecutor(workers) as pool:
        # Twice as many as there are threads, so that none waits for the reader of the outcomes.
        window: deque[Future[Outcome | None]] = deque(
            pool.submit(unless_lost, change) for change in itertools.islice(pending, 2 * workers)
        )
        while window:
            outcome = window.popleft().result()
            window.extend(pool.submit(unless_lost, change) for change in itertools.islice(pending, 1))
            if outcome is not None:
                yield outcome

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What goes wrong on purpose: throttling, errors with and without effect, pages of a proxy, cut connections."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "throttle",  # 429 without Retry-After
    "throttle-with-pause",  # 429 with Retry-After
    "error-before",  # 500, nothing was done
    "error-after",  # 500, everything was done
    "page-before",  # an HTML 502 of a proxy, nothing was done
    "page-after",  # an HTML 504 of a proxy, everything was done
    "cut-before",  # the connection ends after the request was read, nothing was done
    "cut-after",  # the connection ends, everything was done
    "error-as-success",  # the body of an error with HTTP 200
    "refuse",  # 403, as for a token that was revoked
]
KINDS: tuple[Kind, ...] = (
    "throttle",
    "throttle-with-pause",
    "error-before",
    "error-after",
    "page-before",
    "page-after",
    "cut-before",
    "cut-after",
    "error-as-success",
)
Faults = Callable[[str, str], Kind | None]


def none(method: str, path: str) -> Kind | None:
    """Nothing goes wrong."""
    return None


@dataclass
class Planned:
    """The next so many requests that fit get one kind of fault."""

    kind: Kind
    method: str = ".*"
    path: str = ".*"
    times: int = 1

    @classmethod
    def parse(cls, tree: Mapping[str, str | int]) -> Planned:
        return cls(**tree)  # type: ignore[arg-type]

    def __call__(self, method: str, path: str) -> Kind | None:
        if self.times < 1 or not re.fullmatch(self.method, method) or not re.fullmatch(self.path, path):
            return None
        self.times -= 1
        return self.kind


class Seeded:
    """A share of all requests fails, always in the same way for a seed; never more than ``in_a_row`` of one call."""

    def __init__(self, seed: int, share: float, in_a_row: int = 4) -> None:
        self._random = random.Random(seed)
        self._share = share
        self._in_a_row = in_a_row
        self._last: dict[tuple[str, str], int] = {}

    def __call__(self, method: str, path: str) -> Kind | None:
        failures = self._last.get((method, path), 0)
        if failures >= self._in_a_row or self._random.random() >= self._share:
            self._last[method, path] = 0
            return None
        self._last[method, path] = failures + 1
        return self._random.choice(KINDS)

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which guilds attack which, and what came of it. The stores are asked elsewhere."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ansible_collections.dcm.platform.plugins.module_utils.engine.concurrent import map_concurrently
from ansible_collections.dcm.platform.plugins.module_utils.guild import GuildNames

NOT_TESTED = "not tested"
Pair = tuple[GuildNames, GuildNames]  # who attacks whom


@dataclass(frozen=True)
class Finding:
    """The outcome of one attack. ``detail``: what the attacker gained, or why nothing can be said."""

    store: str
    row: str
    attack: str
    login: str
    attacker: str
    victim: str
    expected: str
    got: str
    detail: str = ""

    @property
    def surprising(self) -> bool:
        return self.got not in (self.expected, NOT_TESTED) and not (self.expected == "either" and self.got != "error")


class Store(Protocol):
    """One system that guilds live in."""

    def attack(self, own: GuildNames, other: GuildNames) -> Iterable[Finding]:
        """All attacks of one guild on another. Leaves nothing behind."""


def pairs_of(guilds: Sequence[GuildNames], number: int, seed: int) -> list[Pair]:
    """``number`` different ordered pairs, 0: all. The same for the same seed.

    As long as there are no more pairs than guilds, each guild attacks once and is attacked once.
    """
    shuffled = list(guilds)
    random.Random(seed).shuffle(shuffled)
    size = len(shuffled)
    every = (
        (shuffled[index], shuffled[(index + distance) % size]) for distance in range(1, size) for index in range(size)
    )
    return list(itertools.islice(every, number or None))


def findings_of(stores: Sequence[Store], pairs: Sequence[Pair], workers: int) -> Iterator[Finding]:
    """The attacks of all pairs on all stores, several pairs at a time."""

    def attack(pair: Pair) -> list[Finding]:
        return [finding for store in stores for finding in store.attack(*pair)]

    return itertools.chain.from_iterable(map_concurrently(attack, pairs, workers))


def table(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """One row an attack, with how often which outcome came of it."""
    rows: dict[tuple[str, ...], Counter[str]] = {}
    for one in findings:
        key = (one.store, one.row, one.attack, one.login, one.expected)
        rows.setdefault(key, Counter())[one.got] += 1
    return [
        {
            **dict(zip(("store", "row", "attack", "login", "expected"), key, strict=True)),
            "got": next(iter(outcomes)) if len(outcomes) == 1 else ", ".join(sorted(outcomes)),
            "outcomes": dict(outcomes),
        }
        for key, outcomes in rows.items()
    ]

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A spec as it should be, of which only what the user gave is compared, and the merge patch that brings it about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

Tree = Mapping[str, Any]
NOTHING: tuple[Any, ...] = (None, "", [], {})  # values that say that a key is not wanted


def equal(wanted: Any, stored: Any) -> bool:
    """The same value."""
    return bool(wanted == stored)


def same_flag(wanted: bool, stored: bool | None) -> bool:
    """The same answer, where none means no."""
    return wanted == bool(stored)


@dataclass(frozen=True)
class Leaf:
    """A value that is compared and replaced as a whole; an empty one says that the key is not wanted."""

    value: Any
    agrees: Callable[[Any, Any], bool] = equal

    @property
    def empty(self) -> bool:
        """Whether there should be nothing."""
        return self.value in NOTHING

    def holds(self, stored: Any) -> bool:
        """Whether the stored value says the same."""
        return stored in NOTHING if self.empty else self.agrees(self.value, stored)


class Difference(NamedTuple):
    """A merge patch (RFC 7386), and what it changes for a person to see. All are empty when nothing differs."""

    patch: dict[str, Any]
    before: dict[str, Any]
    after: dict[str, Any]


def document(wanted: Tree) -> dict[str, Any]:
    """A tree of leaves as a new object holds it."""
    plain: dict[str, Any] = {}
    for key, item in wanted.items():
        if isinstance(item, Leaf):
            if not item.empty:
                plain[key] = item.value
        elif inner := document(item):
            plain[key] = inner
    return plain


def difference(wanted: Tree, stored: Tree) -> Difference:
    """What is to be changed in ``stored`` so that every leaf of ``wanted`` holds."""
    result = Difference({}, {}, {})
    for key, item in wanted.items():
        old = stored.get(key)
        if not isinstance(item, Leaf):
            inner = difference(item, old or {})
            if inner.patch:
                result.patch[key], result.before[key], result.after[key] = inner
        elif not item.holds(old):
            result.patch[key] = None if item.empty else replacing(old, item.value)
            result.before[key], result.after[key] = old, None if item.empty else item.value
    return result


def replacing(old: Any, new: Any) -> Any:
    """The merge patch that turns ``old`` into ``new``, without what is in ``old`` alone."""
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        return new
    patch = {key: replacing(old.get(key), value) for key, value in new.items() if old.get(key) != value}
    return {**patch, **{key: None for key in old if key not in new}}

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Changes as data: what a plan consists of, and how it is shown without its secrets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Action = Literal["create", "update", "delete", "run"]
Tree = Mapping[str, Any]


class Secret:
    """A value that takes part in comparison but never in output. ``reveal()`` is for the client that sends it."""

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        self._value = value

    def reveal(self) -> Any:
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(Secret)

    def __repr__(self) -> str:
        return "(secret)"


@dataclass(frozen=True)
class Change:
    """One difference between what is and what should be.

    ``kind`` and ``name`` identify the object for a person; ``before`` and ``after`` are the compared state (None:
    absent), with :class:`Secret` around what must not be shown. ``payload`` is for the client that applies the change
    and is never shown.
    """

    action: Action
    kind: str
    name: str
    before: Tree | None = None
    after: Tree | None = None
    payload: Any = field(default=None, repr=False, compare=False)

    def summary(self) -> dict[str, str]:
        """The change as it is listed in a result."""
        return {"action": self.action, "kind": self.kind, "name": self.name}


@dataclass(frozen=True)
class Outcome:
    """What became of one change: applied, or the error that stopped it."""

    change: Change
    error: Exception | None = None


def _mask(value: Any, other: Any, label: str) -> Any:
    if isinstance(value, Secret):
        changed = isinstance(other, Secret) and value != other
        return f"(secret, {label})" if changed else "(secret)"
    if isinstance(value, Mapping):
        twin = other if isinstance(other, Mapping) else {}
        return {str(key): _mask(item, twin.get(key), label) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        twins: Sequence[Any] = other if isinstance(other, (list, tuple)) and len(other) == len(value) else ()
        return [_mask(item, twins[index] if twins else None, label) for index, item in enumerate(value)]
    return value


def render_diff(changes: Iterable[Change]) -> list[dict[str, Any]]:
    """The changes in the form of Ansible's ``diff`` result: one entry a change, secrets only by name."""
    return [
        {
            "before_header": f"{change.kind} {change.name}",
            "after_header": f"{change.kind} {change.name} ({change.action})",
            "before": _mask(change.before, change.after, "old") if change.before is not None else {},
            "after": _mask(change.after, change.before, "new") if change.after is not None else {},
        }
        for change in changes
    ]

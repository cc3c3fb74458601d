# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Argument specifications that compose, constraints included."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Arguments:
    """A part of a module's argument specification. Parts are joined with ``|``."""

    spec: Mapping[str, Any]
    mutually_exclusive: tuple[tuple[str, ...], ...] = ()
    required_together: tuple[tuple[str, ...], ...] = ()
    required_one_of: tuple[tuple[str, ...], ...] = ()
    required_if: tuple[tuple[Any, ...], ...] = ()
    required_by: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __or__(self, other: Arguments) -> Arguments:
        return Arguments(
            spec={**self.spec, **other.spec},
            mutually_exclusive=self.mutually_exclusive + other.mutually_exclusive,
            required_together=self.required_together + other.required_together,
            required_one_of=self.required_one_of + other.required_one_of,
            required_if=self.required_if + other.required_if,
            required_by={**self.required_by, **other.required_by},
        )

    def for_module(self) -> dict[str, Any]:
        """The keyword arguments for ``AnsibleModule``."""
        return {
            "argument_spec": dict(self.spec),
            "mutually_exclusive": [list(group) for group in self.mutually_exclusive],
            "required_together": [list(group) for group in self.required_together],
            "required_one_of": [list(group) for group in self.required_one_of],
            "required_if": [list(rule) for rule in self.required_if],
            "required_by": {key: list(value) for key, value in self.required_by.items()},
        }


def waiting(timeout: int) -> Arguments:
    """``wait`` and ``wait_timeout`` (seconds), as everywhere in Ansible."""
    return Arguments({"wait": {"type": "bool", "default": True}, "wait_timeout": {"type": "int", "default": timeout}})

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Checks values against the argument specifications of roles: every problem, each with the path of its key.

Ansible's own validator stops at the first wrong suboption and does not say where a key stands; an inventory deserves
the whole list at once.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.common.validation import (
    check_type_bool,
    check_type_float,
    check_type_int,
)

Options = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, order=True)
class Problem:
    """What is wrong with one key. ``key`` is a path such as ``dcm_guilds[3].id``."""

    key: str
    message: str

    @property
    def variable(self) -> str:
        """The top-level variable the key belongs to."""
        return self.key.partition(".")[0].partition("[")[0]


def unknown_key(name: str, known: Iterable[str]) -> str:
    """The message for a key that nobody reads, with the nearest one that somebody does."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"unknown key{f'; did you mean {near[0]}?' if near else ''}"


def check_options(options: Options, values: Mapping[str, Any], path: str = "") -> Iterator[Problem]:
    """Problems of a dictionary of values: missing, unknown (below the top level) and wrong ones."""
    for name, option in options.items():
        key = f"{path}{name}"
        if values.get(name) is None:
            if option.get("required"):
                yield Problem(key, f"missing: {_summary(option)}")
            continue
        yield from _check_value(option, values[name], key)
    if path:
        for name in values:
            if name not in options:
                yield Problem(f"{path}{name}", unknown_key(str(name), options))


def _check_value(option: Mapping[str, Any], value: Any, key: str) -> Iterator[Problem]:
    kind = option.get("type", "str")
    if not _has_type(kind, value):
        yield Problem(key, f"must be {_type_name(kind)}, is {_kind(value)} {_shown(option, value)}")
        return
    choices = option.get("choices")
    if choices and kind != "list" and value not in choices:
        yield Problem(key, f"must be one of {', '.join(map(str, choices))}, is {_shown(option, value)}")
    if kind == "dict" and "options" in option:
        yield from check_options(option["options"], value, f"{key}.")
    if kind == "list" and "elements" in option:
        element = {name: part for name, part in option.items() if name != "required"} | {"type": option["elements"]}
        for index, item in enumerate(value):
            yield from _check_value(element, item, f"{key}[{index}]")


def _has_type(kind: str, value: Any) -> bool:
    if kind == "raw":
        return True
    if kind == "dict":
        return isinstance(value, Mapping)
    if kind == "list":
        return isinstance(value, (list, tuple))
    if kind in ("str", "path"):
        return isinstance(value, (str, int)) and not isinstance(value, bool)
    try:
        {"bool": check_type_bool, "int": check_type_int, "float": check_type_float}[kind](value)
    except TypeError:
        return False
    return kind == "bool" or not isinstance(value, bool)


def _type_name(kind: str) -> str:
    return {
        "bool": "true or false",
        "dict": "a dictionary",
        "float": "a number",
        "int": "a whole number",
        "list": "a list",
    }.get(kind, "text")


def _kind(value: Any) -> str:
    """What a value is, in words; Ansible's own subclasses of the plain types have names nobody knows."""
    names = {bool: "the truth value", int: "the number", float: "the number", str: "the text", Mapping: "a dictionary"}
    return next((name for kind, name in names.items() if isinstance(value, kind)), "a list")


def _summary(option: Mapping[str, Any]) -> str:
    description = option.get("description", "it has no default")
    return str(description[0] if isinstance(description, list) else description).strip()


def _shown(option: Mapping[str, Any], value: Any) -> str:
    if option.get("no_log") or isinstance(value, (dict, list, tuple)):
        return "(not shown)"
    return repr(value)

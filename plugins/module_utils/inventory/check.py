# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""All problems of one environment's inventory, with the file and line where each key stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ansible_collections.dcm.platform.plugins.module_utils.inventory.files import Definition
from ansible_collections.dcm.platform.plugins.module_utils.inventory.rules import RULES, Values
from ansible_collections.dcm.platform.plugins.module_utils.inventory.specification import (
    Options,
    Problem,
    check_options,
    unknown_key,
)

SHARED = "dcm_"


@dataclass(frozen=True)
class Role:
    """A role of the collection: the options at its door, and the values each host of its group brings."""

    name: str
    options: Options
    hosts: Mapping[str, Values]


def find_problems(roles: Iterable[Role], shared: Values, written: Iterable[Definition]) -> list[Problem]:
    """Everything wrong, once each, in the order of the keys.

    ``shared`` are the values of the environment as a whole, which the rules between keys look at; ``written`` is what
    the inventory's files define.
    """
    roles = list(roles)
    problems = {problem for role in roles for values in role.hosts.values() for problem in _role(role, values)}
    problems |= set(_unknown(roles, written))
    wrong = {problem.variable for problem in problems}
    for rule in RULES:
        problems |= {problem for problem in rule(shared) if problem.variable not in wrong}
    return sorted(problems)


def _role(role: Role, values: Values) -> Iterator[Problem]:
    return check_options(role.options, values)


def _unknown(roles: list[Role], written: Iterable[Definition]) -> Iterator[Problem]:
    """Shared keys that no role reads, and keys with a role's prefix that look like a misspelt option of it."""
    known = {name for role in roles for name in role.options}
    prefixes = tuple(f"{role.name}_" for role in roles)
    for definition in written:
        name = definition.name
        if name in known:
            continue
        message = unknown_key(name, known)
        if name.startswith(SHARED) or (name.startswith(prefixes) and "did you mean" in message):
            yield Problem(name, message)


def locate(problem: Problem, written: Iterable[Definition]) -> str:
    """``file:line`` of the last definition of the problem's variable, or where it is expected."""
    places = [f"{d.file}:{d.line}" for d in written if d.name == problem.variable]
    return places[-1] if places else "group_vars/all"

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Access control as Redis writes it, in a form that can be compared."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Secret

Rules = tuple[str, ...]
_WORD = re.compile(r"\([^)]*\)|[^ ]+")  # a selector holds blanks


@dataclass(frozen=True)
class CommandTable:
    """The commands and subcommands of one server, by category."""

    categories: Mapping[str, frozenset[str]]

    @functools.cached_property
    def commands(self) -> frozenset[str]:
        """All of them: each is in one category at least."""
        return frozenset().union(*self.categories.values())

    @functools.cached_property
    def _tells_subcommands(self) -> bool:
        """Redis 6 lists none, and takes any that a rule names."""
        return any("|" in command for command in self.commands)

    def knows(self, command: str) -> bool:
        """Whether a rule may name the command, or the subcommand ``command|subcommand``."""
        return command in self.commands or (not self._tells_subcommands and command.partition("|")[0] in self.commands)

    def granted(self, rules: Rules) -> frozenset[str]:
        """What the rules, applied in their order, leave allowed.

        The server rewrites rules: only what they come to can be compared.
        """
        allowed: set[str] = set()
        for rule in rules:
            named = self._named(rule[1:], allowed)
            allowed = allowed | named if rule.startswith("+") else allowed - named
        return frozenset(allowed)

    def _named(self, name: str, allowed: set[str]) -> set[str]:
        if name == "@all":
            return set(self.commands) | allowed
        if name.startswith("@"):
            # Of what is in a category the subcommands of Redis 6, which knows none, are, too.
            members = self.categories.get(name[1:], frozenset())
            return {*members, *(one for one in allowed if one.partition("|")[0] in members)}
        return {name, *(one for one in self.commands | allowed if one.startswith(f"{name}|"))}


@dataclass(frozen=True)
class User:
    """What a user may do. ``passwords`` are SHA-256 sums in hexadecimal; ``keys`` and ``channels`` are patterns.

    ``others`` are flags and selectors, which the model has none of; ``rules`` are the commands as they were written.
    """

    enabled: bool = False
    passwords: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    commands: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()
    rules: Rules = field(default=("-@all",), compare=False)

    def tree(self) -> dict[str, Any]:
        """For a diff."""
        tree: dict[str, Any] = {
            "enabled": self.enabled,
            "password": Secret(self.passwords) if self.passwords else None,
            "keys": sorted(self.keys),
            "channels": sorted(self.channels),
            "commands": " ".join(self.rules),
        }
        return {**tree, **({"others": sorted(self.others)} if self.others else {})}

    def setting(self) -> Rules:
        """The rules that make any user this one, at once: nobody sees a state in between. No clear password."""
        return (
            "reset",
            "on" if self.enabled else "off",
            "resetchannels",  # a reset alone allows all of them in Redis 6
            *(f"#{password}" for password in sorted(self.passwords)),
            *sorted(self.keys),
            *sorted(self.channels),
            *self.rules,
        )


# What every user has, or what says the same as an empty set of patterns.
_USUAL = frozenset({"sanitize-payload", "resetchannels", "resetkeys", "clearselectors"})
_COMMANDS = {"allcommands": "+@all", "nocommands": "-@all"}
_PATTERNS = {"allkeys": "~*", "allchannels": "&*"}


def parse_users(lines: Iterable[str], table: CommandTable) -> dict[str, User]:
    """The users by name, from the lines of ``ACL LIST``."""
    # Guilds have the same rules, each as long as a paragraph: they are worked out once.
    granted = functools.cache(table.granted)
    users = {}
    for line in lines:
        _keyword, name, *words = _WORD.findall(line)
        rules = tuple(_COMMANDS.get(word, word) for word in words if word[0] in "+-" or word in _COMMANDS)
        users[name] = _user([_PATTERNS.get(word, word) for word in words], rules, granted(rules))
    return users


def _user(words: Sequence[str], rules: Rules, commands: frozenset[str]) -> User:
    known = {"on", "off", *_USUAL, *_COMMANDS}
    return User(
        enabled="on" in words,
        passwords=frozenset(word[1:] for word in words if word.startswith("#")),
        keys=frozenset(word for word in words if word[0] in "~%"),
        channels=frozenset(word for word in words if word.startswith("&")),
        commands=commands,
        others=frozenset(word for word in words if word[0] not in "#~%&+-" and word not in known),
        rules=rules,
    )

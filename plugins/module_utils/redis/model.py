# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What isolates a guild in Redis: the user it should have on every node.

The user may do the ordinary work of applications on keys and channels that begin with the guild's prefix. It gets no
command that shows names of other keys, acts on the server as a whole, or runs scripts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Secret
from ansible_collections.dcm.platform.plugins.module_utils.guild import GuildNames
from ansible_collections.dcm.platform.plugins.module_utils.redis.acl import CommandTable, Rules, User

CATEGORIES = (
    "string",
    "hash",
    "list",
    "set",
    "sortedset",
    "stream",
    "bitmap",
    "hyperloglog",
    "geo",
    "keyspace",
    "transaction",
    "pubsub",
)
FORBIDDEN_CATEGORIES = ("admin", "dangerous", "scripting")
# They have no key to check, and show what others have or reach beyond the guild's keys.
WITHHELD = ("dbsize", "move", "pubsub", "randomkey", "scan", "select", "wait")
# What client libraries send when they connect.
NEEDED = (
    "asking",
    "client|getname",
    "client|id",
    "client|setinfo",
    "client|setname",
    "cluster|nodes",
    "cluster|shards",
    "cluster|slots",
    "command",
    "echo",
    "hello",
    "ping",
    "readonly",
    "readwrite",
)

GuildIs = Literal["present", "suspended", "absent"]


@dataclass(frozen=True)
class Guild:
    """A guild as it is wanted. ``password`` None: the user keeps what it has."""

    names: GuildNames
    key_prefix: str
    state: GuildIs
    password: Secret | None = None

    @property
    def user(self) -> str:
        """The name of its user."""
        return self.names.schema


@dataclass(frozen=True)
class GuildState:
    """All there is of a guild on one node. ``sessions`` and ``keys`` are counted where there should be none."""

    user: User | None = None
    sessions: int = 0
    keys: int = 0

    def tree(self) -> dict[str, Any]:
        """For a diff."""
        tree: dict[str, Any] = self.user.tree() if self.user is not None else {}
        counts = {"sessions": self.sessions, "keys_stored": self.keys}
        return {**tree, **{name: count for name, count in counts.items() if count}}


@dataclass(frozen=True)
class NodeState:
    """What one reading of a node found. ``users`` are all of its users, by name.

    ``acl_file`` is empty if there is none, None if the server does not tell. ``sessions`` by user and ``keys`` by
    the guild's id are counted only for guilds that should have none.
    """

    address: str
    version: str
    primary: bool
    table: CommandTable
    users: Mapping[str, User]
    acl_file: str | None
    sessions: Mapping[str, int] = field(default_factory=dict)
    keys: Mapping[str, int] = field(default_factory=dict)


def wanted_rules(table: CommandTable, categories: Sequence[str]) -> Rules:
    """The commands of a guild as rules. What a server does not know need not be forbidden, and cannot be."""
    return (
        "-@all",
        *(f"+@{category}" for category in categories),
        *(f"-@{category}" for category in FORBIDDEN_CATEGORIES),
        *(f"-{command}" for command in WITHHELD if table.knows(command)),
        *(f"+{command}" for command in NEEDED if table.knows(command)),
    )


def wanted_user(guild: Guild, passwords: frozenset[str], work: User) -> User | None:
    """The user of a guild that is present, suspended or absent.

    ``passwords`` are those it has; ``work`` is a user with the commands of all guilds.
    """
    if guild.state == "absent":
        return None
    if guild.password is not None:
        passwords = frozenset({password_sum(guild.password.reveal())})
    if guild.state == "suspended":
        return User(passwords=passwords)
    return replace(
        work,
        enabled=True,
        passwords=passwords,
        keys=frozenset({f"~{guild.key_prefix}*"}),
        channels=frozenset({f"&{guild.key_prefix}*"}),
    )


def password_sum(password: str) -> str:
    """How Redis keeps a password."""
    return hashlib.sha256(password.encode()).hexdigest()

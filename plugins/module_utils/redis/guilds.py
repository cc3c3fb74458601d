# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The run of ``redis_guild``: users on every node at once; of guilds that go, first the keys and then the user."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, Outcome
from ansible_collections.dcm.platform.plugins.module_utils.engine.concurrent import map_concurrently
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import (
    PlatformError,
    RefusedError,
    TimedOutError,
)
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import LISTED, Reconciler
from ansible_collections.dcm.platform.plugins.module_utils.engine.wait import NotYet, wait_for
from ansible_collections.dcm.platform.plugins.module_utils.redis.acl import User
from ansible_collections.dcm.platform.plugins.module_utils.redis.client import (
    SERVICE,
    Command,
    Node,
    count_keys,
    information,
    read_node,
    unlink_keys,
)
from ansible_collections.dcm.platform.plugins.module_utils.redis.model import Guild, NodeState
from ansible_collections.dcm.platform.plugins.module_utils.redis.plan import Desired, GuildDifference, plan

T = TypeVar("T")

REPLICATED_WITHIN = 30.0  # seconds for replicas to lose the keys that their primary has lost
CLOSED = User()  # not enabled, and of what it had nothing is left to a session that is open


class RedisGuildReconciler(Reconciler[list[NodeState]]):
    """Makes the users of guilds on all nodes as they are wanted."""

    def __init__(self, nodes: Sequence[Node], desired: Desired) -> None:
        self._nodes = nodes
        self._desired = desired
        self._removed = {guild.key_prefix: guild.names.id for guild in desired.guilds if guild.state == "absent"}
        self._counted: dict[str, Mapping[str, int]] = {}  # after the removal, by address

    def read(self) -> list[NodeState]:
        closed = [guild.user for guild in self._desired.guilds if guild.state != "present"]
        return self._everywhere(lambda node: read_node(node, closed, self._removed))

    def plan(self, actual: list[NodeState]) -> list[Change]:
        return plan(self._desired, actual)

    def apply(self, changes: Sequence[Change]) -> Iterator[Outcome]:
        removals = [change for change in changes if change.action == "delete"]
        yield from self._set([change for change in changes if change.action != "delete"])
        try:
            self._remove([change.payload for change in removals])
        except (RefusedError, TimedOutError) as error:
            yield from (Outcome(change, error) for change in removals)
        else:
            yield from map(Outcome, removals)

    def settle(self) -> None:
        """Save, also when nothing changed: an earlier run may have been stopped before it came to this."""
        if self._desired.persist:
            self._everywhere(lambda node: node.call("ACL", "SAVE"))

    def result(self, actual: list[NodeState], changes: Sequence[Change]) -> dict[str, Any]:
        """The guilds, those that changed first, complete counts, and what is left of the removed on every node."""
        actions = {change.name: change.action for change in changes}
        guilds = sorted(self._desired.guilds, key=lambda guild: guild.names.id not in actions)
        verbs = Counter(actions.get(guild.names.id, "unchanged") for guild in guilds)
        return {
            "guilds": [_described(guild, guild.names.id in actions) for guild in guilds[:LISTED]],
            "counts": {
                "guilds": len(guilds),
                "created": verbs["create"],
                "updated": verbs["update"],
                "removed": verbs["delete"],
                "unchanged": verbs["unchanged"],
            },
            "nodes": [{"address": node.address, "version": node.version, "primary": node.primary} for node in actual],
            "removed": [self._evidence(guild, actual, changes) for guild in guilds if guild.state == "absent"][:LISTED],
            "persisted": self._desired.persist,
        }

    def _everywhere(self, function: Callable[[Node], T]) -> list[T]:
        return map_concurrently(function, self._nodes, len(self._nodes))

    def _set(self, changes: Sequence[Change]) -> Iterator[Outcome]:
        """The users of guilds that are present or suspended, in one go to each node."""
        if not changes:
            return
        errors: dict[str, PlatformError] = {}
        for found in self._everywhere(lambda node: _set_users(node, [change.payload for change in changes])):
            errors.update(found)
        yield from (Outcome(change, errors.get(change.name)) for change in changes)

    def _remove(self, differences: Sequence[GuildDifference]) -> None:
        """Lock the guilds out, remove their keys, prove that none is left, remove the users.

        Whatever stops this leaves them locked out.
        """
        if not differences:
            return
        prefixes = {one.guild.key_prefix: one.guild.names.id for one in differences}
        users = [one.guild.user for one in differences]
        self._everywhere(lambda node: node.run(_closing(node, differences)))
        self._everywhere(lambda node: _unlink(node, prefixes))
        wait_for("the guilds' keys to be gone", lambda: self._prove(prefixes), timeout=REPLICATED_WITHIN)
        self._everywhere(lambda node: node.call("ACL", "DELUSER", *users))

    def _prove(self, prefixes: Mapping[str, str]) -> None:
        """Count again, on every node. Raises :class:`NotYet` that names guild and node."""
        counts = self._everywhere(lambda node: count_keys(node, information(node), prefixes))
        for node, left in zip(self._nodes, counts, strict=True):
            for identifier, count in left.items():
                raise NotYet(f"{SERVICE} at {node.address} still has {count} keys of guild {identifier}")
        self._counted = {node.address: left for node, left in zip(self._nodes, counts, strict=True)}

    def _evidence(self, guild: Guild, actual: Sequence[NodeState], changes: Sequence[Change]) -> dict[str, Any]:
        """What was counted of a guild that is to be absent; null where there was no second count."""
        identifier = guild.names.id
        changed = any(change.name == identifier for change in changes)
        nodes = []
        for node in actual:
            before = node.keys.get(identifier, 0)
            counted = self._counted.get(node.address)
            after = counted.get(identifier, 0) if counted is not None else None
            nodes.append({"address": node.address, "keys_before": before, "keys_after": after if changed else before})
        return {"id": identifier, "nodes": nodes}


def _set_users(node: Node, differences: Sequence[GuildDifference]) -> dict[str, PlatformError]:
    """The errors by the guild's id."""
    commands: list[tuple[str, Command]] = []
    for one in differences:
        state = one.after.get(node.address)
        if state is None or state.user is None:
            continue
        commands.append((one.guild.names.id, ("ACL", "SETUSER", one.guild.user, *state.user.setting())))
        if one.guild.state == "suspended":
            commands.append((one.guild.names.id, ("CLIENT", "KILL", "USER", one.guild.user)))
    answers = node.attempt([command for _identifier, command in commands])
    pairs = zip(commands, answers, strict=True)
    return {identifier: answer for (identifier, _words), answer in pairs if isinstance(answer, PlatformError)}


def _closing(node: Node, differences: Sequence[GuildDifference]) -> list[Command]:
    """Lock out the users that are there, and end their sessions."""
    commands: list[Command] = []
    for one in differences:
        before = one.before.get(node.address)
        if before is not None and before.user is not None:
            commands.append(("ACL", "SETUSER", one.guild.user, *CLOSED.setting()))
            commands.append(("CLIENT", "KILL", "USER", one.guild.user))
    return commands


def _unlink(node: Node, prefixes: Mapping[str, str]) -> None:
    if information(node).get("role") != "slave":
        unlink_keys(node, prefixes)


def _described(guild: Guild, changed: bool) -> dict[str, Any]:
    return {
        "id": guild.names.id,
        "user": guild.user,
        "key_prefix": guild.key_prefix,
        "state": guild.state,
        "changed": changed,
    }

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What to change for guilds to be as they are wanted on every node. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import RefusedError
from ansible_collections.dcm.platform.plugins.module_utils.guild import PREFIX
from ansible_collections.dcm.platform.plugins.module_utils.redis.acl import User
from ansible_collections.dcm.platform.plugins.module_utils.redis.model import (
    CATEGORIES,
    Guild,
    GuildState,
    NodeState,
    wanted_rules,
    wanted_user,
)

DEFAULT_USER = "default"


@dataclass(frozen=True)
class Desired:
    """All that one call asks for. ``persist``: users must outlive a restart."""

    guilds: Sequence[Guild]
    categories: Sequence[str] = CATEGORIES
    prefix: str = PREFIX
    persist: bool = True


@dataclass(frozen=True)
class GuildDifference:
    """A guild and its states, before and after, by the address of the nodes on which they differ.

    ``is_new``: no node knows its user.
    """

    guild: Guild
    is_new: bool
    before: Mapping[str, GuildState]
    after: Mapping[str, GuildState]

    def change(self) -> Change:
        """The difference as it is shown, with itself as payload."""
        before = {address: state.tree() for address, state in self.before.items()}
        after = {address: state.tree() for address, state in self.after.items()}
        name = self.guild.names.id
        if self.guild.state == "absent":
            return Change("delete", "guild", name, before=before, payload=self)
        if self.is_new:
            return Change("create", "guild", name, after=after, payload=self)
        return Change("update", "guild", name, before=before, after=after, payload=self)


def plan(desired: Desired, nodes: Sequence[NodeState]) -> list[Change]:
    """The changes in the order to make them: guilds to set up or suspend, guilds to remove.

    Raises :class:`RefusedError` for a server on which nothing would be isolated, or nothing be kept.
    """
    for refusal in _refusals(desired, nodes):
        raise refusal
    differences = [difference for difference in _differences(desired, nodes) if difference.before]
    return [one.change() for one in sorted(differences, key=lambda one: one.guild.state == "absent")]


def _refusals(desired: Desired, nodes: Sequence[NodeState]) -> Iterator[RefusedError]:
    for node in nodes:
        default = node.users.get(DEFAULT_USER)
        if default is not None and default.enabled and "nopass" in default.others:
            yield RefusedError(
                f"Redis at {node.address} lets everybody in without a password, so no guild's data is safe there.",
                hint="Give its user default a password, or switch that user off.",
            )
        if desired.persist and node.acl_file == "":
            yield RefusedError(
                f"Redis at {node.address} has no aclfile: it would forget its users when it restarts.",
                hint="Set aclfile in its configuration, with a line for the user default in that file, and restart it; "
                "or set persist to false.",
            )


def _differences(desired: Desired, nodes: Sequence[NodeState]) -> Iterator[GuildDifference]:
    rules = [wanted_rules(node.table, desired.categories) for node in nodes]
    work = [User(commands=node.table.granted(words), rules=words) for node, words in zip(nodes, rules, strict=True)]
    for guild in desired.guilds:
        # A node that has lost the user, or has joined the cluster since, gets the password that it has elsewhere.
        found = [node.users.get(guild.user) for node in nodes]
        passwords = next((user.passwords for user in found if user is not None and user.passwords), frozenset())
        before, after = {}, {}
        for node, user, node_work in zip(nodes, found, work, strict=True):
            is_there = GuildState(user, node.sessions.get(guild.user, 0), node.keys.get(guild.names.id, 0))
            wanted = GuildState(wanted_user(guild, passwords, node_work))
            if is_there != wanted:
                before[node.address] = _in_words_of(wanted, is_there)
                after[node.address] = wanted
        yield GuildDifference(guild, not any(found), before, after)


def _in_words_of(wanted: GuildState, state: GuildState) -> GuildState:
    """The state with its commands in the words of the wanted one if they come to the same."""
    if state.user is None or wanted.user is None or state.user.commands != wanted.user.commands:
        return state
    return replace(state, user=replace(state.user, rules=wanted.user.rules))

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What there is of guilds in a database, and where it differs from the model. Reads only."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, Outcome
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import Reconciler
from ansible_collections.dcm.platform.plugins.module_utils.guild import LARGEST_ID, GuildNames, guild_names
from ansible_collections.dcm.platform.plugins.module_utils.postgres.catalog import read_catalog, read_named, read_sizes
from ansible_collections.dcm.platform.plugins.module_utils.postgres.client import Session
from ansible_collections.dcm.platform.plugins.module_utils.postgres.model import (
    LOGINS,
    Catalog,
    Guild,
    GuildIs,
    GuildState,
    wanted_guild,
)
from ansible_collections.dcm.platform.plugins.module_utils.postgres.plan import (
    Desired,
    database_difference,
    differing,
    open_doors,
)


@dataclass(frozen=True)
class Found:
    """``named``: what has the prefix, kind (schema or role) and name; ``sizes`` in bytes by schema."""

    guilds: Sequence[GuildNames]
    catalog: Catalog
    named: Sequence[tuple[str, str]]
    sizes: dict[str, int]


class GuildReader(Reconciler[Found]):
    """Reads guilds: those that are named, or all that have the prefix."""

    def __init__(self, session: Session, guilds: Sequence[GuildNames], prefix: str, *, sizes: bool) -> None:
        self._session = session
        self._guilds = guilds
        self._prefix = prefix
        self._sizes = sizes

    def read(self) -> Found:
        session = self._session
        with session.transaction(read_only=True):
            named = read_named(session, self._prefix)
            guilds = self._guilds or guilds_among((name for _kind, name in named), self._prefix)
            catalog = read_catalog(session, guilds, whole=True)
            schemas = [names.schema for names in guilds]
            return Found(guilds, catalog, named, read_sizes(session, schemas) if self._sizes else {})

    def plan(self, actual: Found) -> list[Change]:
        return []

    def apply(self, changes: Sequence[Change]) -> list[Outcome]:
        return []

    def result(self, actual: Found, changes: Sequence[Change]) -> dict[str, Any]:
        """State and drift of each guild, and of what they share."""
        server = self._session.server
        catalog = actual.catalog
        described = [self._described(names, actual) for names in actual.guilds]
        states = Counter(guild["state"] for guild in described)
        shared = database_difference(Desired([]), catalog.database, server)
        left = open_doors(Desired([]), catalog.database, server)
        return {
            "guilds": described,
            "counts": {
                "guilds": len(described),
                **{state: states[state] for state in ("present", "suspended", "absent")},
                "drifted": sum(bool(guild["drift"]) for guild in described),
            },
            "unknown": unknown(actual.named, actual.guilds),
            "database": {
                "name": server.database,
                "drift": [] if shared is None else differing(shared.before.tree(), shared.after.tree()),
                "level": "model" if left else "hardened",
                "open": left,
            },
        }

    def _described(self, names: GuildNames, actual: Found) -> dict[str, Any]:
        state = actual.catalog.guilds[names.id]
        limits = {kind: state.roles[kind].connection_limit if kind in state.roles else None for kind in LOGINS}
        described = {
            "id": names.id,
            "schema": names.schema,
            **names.roles,
            "state": state_of(state),
            "drift": drift(names, state, self._session.version),
            "connection_limits": limits,
        }
        return described | ({"size": actual.sizes.get(names.schema, 0)} if self._sizes else {})


def state_of(state: GuildState) -> GuildIs:
    """The state that a guild is nearest to. One that no login can enter is suspended."""
    if not state.exists:
        return "absent"
    return "present" if any(state.roles[kind].login for kind in LOGINS if kind in state.roles) else "suspended"


def drift(names: GuildNames, state: GuildState, version: int) -> list[str]:
    """Where the guild differs from the model in its state: dotted keys. Limits of connections are as they are."""
    limits = {kind: state.roles[kind].connection_limit if kind in state.roles else -1 for kind in LOGINS}
    wanted = wanted_guild(Guild(names, state_of(state), limits), version)
    keys = differing(replace(state, objects=()).tree(), wanted.tree())
    return sorted([*keys, *(f"objects.{one.label}" for one in state.objects)])


def guilds_among(names: Iterable[str], prefix: str) -> list[GuildNames]:
    """The guilds whose schemas or roles are among these names, by id."""
    pattern = re.compile(rf"{re.escape(prefix)}(?P<id>[1-9][0-9]{{0,19}})(_owner|_app|_ro)?")
    matches = filter(None, map(pattern.fullmatch, names))
    identifiers = {int(match["id"]) for match in matches}
    return [guild_names(identifier, prefix) for identifier in sorted(identifiers) if identifier <= LARGEST_ID]


def unknown(named: Iterable[tuple[str, str]], guilds: Iterable[GuildNames]) -> dict[str, list[str]]:
    """What has the prefix and belongs to none of the guilds: names by kind."""
    listed = list(guilds)
    known = {
        "schemas": {names.schema for names in listed},
        "roles": {role for names in listed for role in names.roles.values()},
    }
    strange: dict[str, list[str]] = {kind: [] for kind in known}
    for kind, name in named:
        if name not in known[kind]:
            strange[kind].append(name)
    return strange

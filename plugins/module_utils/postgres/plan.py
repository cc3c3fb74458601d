# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What to change for guilds to be as they are wanted. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, Secret
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import RefusedError
from ansible_collections.dcm.platform.plugins.module_utils.guild import PREFIX, GuildNames
from ansible_collections.dcm.platform.plugins.module_utils.postgres.acl import PUBLIC
from ansible_collections.dcm.platform.plugins.module_utils.postgres.model import (
    MIGRATOR_ROLE,
    Catalog,
    DatabaseState,
    Doors,
    Guild,
    GuildState,
    Role,
    Server,
    wanted_database,
    wanted_guild,
)
from ansible_collections.dcm.platform.plugins.module_utils.postgres.scram import matches

NAMED = 10  # reasons named in one refusal; the others are counted


@dataclass(frozen=True)
class Desired:
    """All that one call asks for. ``settings`` of the database, None: not set.

    ``compare_passwords``: those of existing logins are made right, too. ``hardened``: what only a superuser can close
    is closed, but for the ``harmless`` routines of extensions.
    """

    guilds: Sequence[Guild]
    settings: Mapping[str, str | None] = field(default_factory=dict)
    prefix: str = PREFIX
    compare_passwords: bool = False
    hardened: bool = False
    harmless: Sequence[str] = ()


@dataclass(frozen=True)
class GuildDifference:
    """``passwords``: the kinds of login whose password is to be set. ``creator``: who makes missing roles."""

    guild: Guild
    before: GuildState
    after: GuildState
    passwords: tuple[str, ...] = ()
    creator: str | None = None

    def change(self) -> Change:
        """The difference as it is shown, with itself as payload."""
        before, after = self.before.tree(), self.after.tree()
        for kind in self.passwords:
            if kind in self.before.roles:
                before["roles"][kind]["password"] = self.before.roles[kind].verifier
            after["roles"][kind]["password"] = Secret(None)
        name = self.guild.names.id
        if not self.after.exists:
            return Change("delete", "guild", name, before=before, payload=self)
        if not self.before.exists:
            return Change("create", "guild", name, after=after, payload=self)
        return Change("update", "guild", name, before=before, after=after, payload=self)


@dataclass(frozen=True)
class DatabaseDifference:
    """What all guilds share, compared where the model or the call has an opinion."""

    before: DatabaseState
    after: DatabaseState

    def change(self, database: str) -> Change:
        """The difference as it is shown, with itself as payload."""
        return Change("update", "database", database, self.before.tree(), self.after.tree(), payload=self)


def plan(desired: Desired, catalog: Catalog, server: Server) -> list[Change]:
    """The changes in the order to make them: the database, guilds to set up or suspend, guilds to remove.

    Raises :class:`RefusedError` for what must not be done.
    """
    refuse(refusals(desired.guilds, catalog, server.version))
    shared = database_difference(desired, catalog.database, server)
    changes = []
    if shared is not None:
        changes.append(shared.change(server.database))
    wrong = catalog.wrong_passwords
    found = (
        guild_difference(guild, catalog.guilds[guild.names.id], desired, server, wrong) for guild in desired.guilds
    )
    ordered = sorted((one for one in found if one is not None), key=lambda one: not one.after.exists)
    return changes + [difference.change() for difference in ordered]


def guild_difference(
    guild: Guild, before: GuildState, desired: Desired, server: Server, wrong: Collection[str] = ()
) -> GuildDifference | None:
    """What to do about a guild, None if nothing. ``wrong``: logins that do not let their password in."""
    after = wanted_guild(guild, server.version)
    passwords = tuple(_outdated_passwords(guild, before, desired, server, wrong)) if after.exists else ()
    return GuildDifference(guild, before, after, passwords) if passwords or before != after else None


def _outdated_passwords(
    guild: Guild, before: GuildState, desired: Desired, server: Server, wrong: Collection[str]
) -> Iterator[str]:
    for kind, password in guild.passwords.items():
        role = before.roles.get(kind)
        if (
            role is None
            or guild.names.roles[kind] in wrong
            or (server.superuser and _outdated(password, role.verifier, desired))
        ):
            yield kind


def _outdated(password: Secret, verifier: Secret | None, desired: Desired) -> bool:
    if verifier is None:
        return True
    return desired.compare_passwords and not matches(password.reveal(), verifier.reveal())


def database_difference(desired: Desired, actual: DatabaseState, server: Server) -> DatabaseDifference | None:
    """What to do about the database, None if nothing."""
    hardens = desired.hardened and server.superuser  # nobody else could, and PostgreSQL would only warn
    after = wanted_database(desired.settings, hardened=hardens)
    before = replace(
        actual,
        roles={name: _compared(name, role, desired) for name, role in actual.roles.items()},
        settings=_listed(actual.settings, desired.settings),
        doors=actual.doors if hardens else Doors(),
        language_privileges=actual.language_privileges if hardens else {},
    )
    return None if before == after else DatabaseDifference(before, after)


def open_doors(desired: Desired, actual: DatabaseState, server: Server) -> list[str]:
    """What keeps the database from being hardened, when the call is over: a sentence each."""
    open_databases = [f"PUBLIC may connect to database {name}" for name in actual.other_databases]
    if desired.hardened and server.superuser:
        return open_databases
    found = [f"guilds may call {one}" for one in (*actual.doors.routines, *actual.doors.extensions)]
    if PUBLIC in actual.language_privileges:
        found.append("PUBLIC may use the language plpgsql")
    if actual.doors.large_objects:
        found.append("PUBLIC may read pg_largeobject_metadata")
    return [*found, *(f"PUBLIC may connect to database {name}" for name in actual.doors.databases), *open_databases]


def _compared(name: str, role: Role, desired: Desired) -> Role:
    """A shared role without what its operator may choose."""
    return replace(
        role,
        connection_limit=-1,
        expires=None,
        settings={},
        database_settings=_listed(role.database_settings, desired.settings),
        member_of={} if name == MIGRATOR_ROLE else role.member_of,
        members={},
    )


def _listed(actual: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    return {name: actual[name] for name in names if name in actual}


def refusals(guilds: Iterable[Guild], catalog: Catalog, version: int) -> Iterator[str]:
    """Why guilds cannot be made or removed, one sentence each."""
    for guild in guilds:
        before, names = catalog.guilds[guild.names.id], guild.names
        for role in names.roles.values():
            for database in catalog.foreign_databases.get(role, ()):
                yield f"Role {role} has rights in database {database}: each database needs a prefix of its own."
        for dependent in catalog.dependents.get(names.schema, ()):
            yield f"{dependent} depends on schema {names.schema} and would be dropped with it."
        if guild.state != "absent" and before.schema_owner is None:
            yield from _adoption_refusals(names, before, wanted_guild(guild, version))


def _adoption_refusals(names: GuildNames, before: GuildState, after: GuildState) -> Iterator[str]:
    """Roles of the right name without the schema were made by somebody else, for something else perhaps."""
    for kind, role in before.roles.items():
        name, wanted = names.roles[kind], after.roles[kind]
        for attribute in sorted(role.attributes):
            yield f"Role {name} exists already and has {attribute}."
        for other in sorted(set(role.member_of) - set(wanted.member_of)):
            yield f"Role {name} exists already and is a member of {other}."
        for other in sorted(set(role.members) - set(wanted.members)):
            yield f"Role {name} exists already and has the member {other}."


def unmet_guild(difference: GuildDifference, actual: GuildState, verifiers: Mapping[str, str], server: Server) -> str:
    """What still differs after the statements ran without an error; empty if nothing.

    ``verifiers`` by role, as sent; they are compared where they can be read.
    """
    after, names = difference.after, difference.guild.names
    wrong = differing(actual.tree(), after.tree())
    for kind in difference.passwords if server.superuser else ():
        role = actual.roles.get(kind)
        if role is None or role.verifier != Secret(verifiers[names.roles[kind]]):
            wrong.append(f"roles.{kind}.password")
    return f"guild {names.id} ({', '.join(wrong)})" if wrong else ""


def differing(before: Mapping[str, Any], after: Mapping[str, Any], path: str = "") -> list[str]:
    """The dotted keys under which two trees differ."""
    found: list[str] = []
    for key in sorted(set(before) | set(after)):
        one, other = before.get(key), after.get(key)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            found += differing(one, other, f"{path}{key}.")
        elif one != other:
            found.append(f"{path}{key}")
    return found


def listed(items: Sequence[str]) -> str:
    """The first items, and how many more there are."""
    more = f", and {len(items) - NAMED} more" if len(items) > NAMED else ""
    return f"{', '.join(items[:NAMED])}{more}"


def refuse_unmet(unmet: Iterable[str]) -> None:
    """Raise :class:`RefusedError` if anything still differs."""
    found = [one for one in unmet if one]
    if found:
        raise RefusedError(
            f"PostgreSQL reported no error, but what was asked for was not done: {listed(found)}.",
            hint="A GRANT or REVOKE without the right to it only warns: connect as a superuser or as the owner.",
        )


def refuse(reasons: Iterable[str]) -> None:
    """Raise :class:`RefusedError` if there is any reason."""
    found = list(reasons)
    if found:
        more = f" And {len(found) - NAMED} more." if len(found) > NAMED else ""
        raise RefusedError(f"Refused: {' '.join(found[:NAMED])}{more}")


def uncompared_passwords(desired: Desired, catalog: Catalog, server: Server) -> int:
    """How many passwords should have been compared with those of existing logins but could not be."""
    if server.superuser or not desired.compare_passwords:
        return 0
    return len(comparable(desired, catalog)) - len(catalog.tried_passwords)


def comparable(desired: Desired, catalog: Catalog) -> dict[str, Secret]:
    """Passwords by login, of logins that are there."""
    return {
        guild.names.roles[kind]: password
        for guild in desired.guilds
        for kind, password in guild.passwords.items()
        if kind in catalog.guilds[guild.names.id].roles
    }

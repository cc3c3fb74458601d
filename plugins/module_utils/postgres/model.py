# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What isolates a guild in PostgreSQL: the state its roles, its schema and its database should be in.

A guild has a schema, an owner that nobody logs in as, and two logins: ``app`` reads and writes rows, ``ro`` reads.
Migrations run as ``guild_migrator``, which may become every owner. ``guild_connect`` holds the right to connect, once
for all logins: a grant to each would rewrite one ever longer catalog row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Secret
from ansible_collections.dcm.platform.plugins.module_utils.guild import GuildNames
from ansible_collections.dcm.platform.plugins.module_utils.postgres.acl import PUBLIC, Privileges, shown

CONNECT_ROLE = "guild_connect"
MIGRATOR_ROLE = "guild_migrator"
EXTENSIONS_SCHEMA = "extensions"
LOGINS = ("app", "ro")
OWNERS_PRIVILEGES = frozenset({"USAGE", "CREATE"})  # on the schema
FIRST_WITH_GRANT_OPTIONS = 16  # PostgreSQL: from here on each grant of a role says what its member may do with it

GuildIs = Literal["present", "suspended", "absent"]
Options = frozenset[str]  # of a role's grant: inherit, set, admin
Settings = Mapping[str, str]


def _without_nothing(tree: dict[str, Any]) -> dict[str, Any]:
    """What is not there is left out, so that a diff shows what is."""
    return {key: value for key, value in tree.items() if value is not None and value not in ({}, [])}


@dataclass(frozen=True)
class Membership:
    """One grant of a role to a member, as recorded: the same may have been granted by several."""

    role: str
    member: str
    grantor: str
    options: Options


@dataclass(frozen=True)
class Role:
    """``attributes`` are those that would be rights beyond the model; ``connection_limit`` -1 is none.

    ``settings`` apply everywhere, ``database_settings`` in this database only.
    """

    login: bool
    inherit: bool = True
    connection_limit: int = -1
    attributes: frozenset[str] = frozenset()
    expires: str | None = None
    settings: Settings = field(default_factory=dict)
    database_settings: Settings = field(default_factory=dict)
    member_of: Mapping[str, Options] = field(default_factory=dict)
    members: Mapping[str, Options] = field(default_factory=dict)
    verifier: Secret | None = field(default=None, compare=False)

    def tree(self) -> dict[str, Any]:
        """For a diff."""
        return _without_nothing(
            {
                "login": self.login,
                "inherit": self.inherit,
                "connection_limit": self.connection_limit,
                "attributes": sorted(self.attributes),
                "expires": self.expires,
                "settings": dict(self.settings),
                "settings_in_database": dict(self.database_settings),
                "member_of": {role: sorted(options) for role, options in sorted(self.member_of.items())},
                "members": {role: sorted(options) for role, options in sorted(self.members.items())},
            }
        )


# What default privileges are for, and whether in the guild's schema only. PostgreSQL adds both kinds up.
Scope = tuple[str, bool]
TABLES, SEQUENCES, FUNCTIONS, TYPES = "TABLES", "SEQUENCES", "FUNCTIONS", "TYPES"
SCHEMAS, LARGE_OBJECTS = "SCHEMAS", "LARGE OBJECTS"  # the model grants nothing on them


@dataclass(frozen=True)
class GuildState:
    """All there is of a guild. ``roles`` by kind, only those that exist; ``schema_owner`` None: no schema.

    ``default_privileges`` omit the owner's own, which do not matter to anybody else. ``sessions`` are counted for
    guilds that should have none.
    """

    roles: Mapping[str, Role] = field(default_factory=dict)
    schema_owner: str | None = None
    schema_privileges: Privileges = field(default_factory=dict)
    default_privileges: Mapping[Scope, Privileges] = field(default_factory=dict)
    sessions: int = 0
    memberships: tuple[Membership, ...] = field(default=(), compare=False)

    @property
    def exists(self) -> bool:
        return bool(self.roles) or self.schema_owner is not None

    def tree(self) -> dict[str, Any]:
        """For a diff."""
        return _without_nothing(
            {
                "roles": {kind: role.tree() for kind, role in self.roles.items()},
                "schema_owner": self.schema_owner,
                "schema_privileges": shown(self.schema_privileges),
                "default_privileges": {
                    f"{what} in schema" if in_schema else what: shown(granted)
                    for (what, in_schema), granted in sorted(self.default_privileges.items())
                },
                "sessions": self.sessions or None,
            }
        )


ABSENT = GuildState()


@dataclass(frozen=True)
class Guild:
    """A guild as it is wanted. ``passwords`` by kind of login."""

    names: GuildNames
    state: GuildIs
    connection_limits: Mapping[str, int]
    passwords: Mapping[str, Secret] = field(default_factory=dict)


@dataclass(frozen=True)
class DatabaseState:
    """What all guilds of a database share. ``roles`` by name, only those that exist.

    Privileges are those of PUBLIC, of the two shared roles, and of guilds' roles: others' are not the model's affair.
    ``extensions_privileges`` None: there is no such schema.
    """

    roles: Mapping[str, Role] = field(default_factory=dict)
    privileges: Privileges = field(default_factory=dict)
    public_privileges: Privileges = field(default_factory=dict)
    extensions_privileges: Privileges | None = None
    settings: Settings = field(default_factory=dict)
    memberships: tuple[Membership, ...] = field(default=(), compare=False)

    def tree(self) -> dict[str, Any]:
        """For a diff."""
        extensions = self.extensions_privileges
        return _without_nothing(
            {
                "roles": {name: role.tree() for name, role in self.roles.items()},
                "privileges": shown(self.privileges),
                "schema_public_privileges": shown(self.public_privileges),
                "schema_extensions_privileges": None if extensions is None else shown(extensions),
                "settings": dict(self.settings),
            }
        )


@dataclass(frozen=True)
class Catalog:
    """What one reading found. ``guilds`` by id; ``database`` only where it was asked for.

    ``foreign_databases``: other databases by role that owns or may do something there, for roles without a schema
    here. ``dependents``: by schema, what would go with it though it belongs elsewhere.
    """

    guilds: Mapping[str, GuildState]
    database: DatabaseState = field(default_factory=DatabaseState)
    database_oid: int = 0
    foreign_databases: Mapping[str, Sequence[str]] = field(default_factory=dict)
    dependents: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Server:
    """Where the guilds are, as far as it matters what to do: the database, the major version, and our own rights."""

    database: str
    version: int
    superuser: bool


def grant_options(version: int, *options: str) -> Options:
    """What PostgreSQL of this major version records of such a grant."""
    return frozenset(options) if version >= FIRST_WITH_GRANT_OPTIONS else frozenset()


def wanted_guild(guild: Guild, version: int) -> GuildState:
    """The state of a guild that is present, suspended or absent, in PostgreSQL of this major version."""
    if guild.state == "absent":
        return ABSENT
    names, active = guild.names, guild.state == "present"
    usage = frozenset({"USAGE"})
    to_logins = {names.app: usage, names.ro: usage}
    return GuildState(
        roles={
            "owner": Role(login=False, inherit=False, members={MIGRATOR_ROLE: grant_options(version, "set")}),
            "app": _login(guild, "app", version, read_only=False),
            "ro": _login(guild, "ro", version, read_only=True),
        },
        schema_owner=names.owner,
        schema_privileges={names.owner: OWNERS_PRIVILEGES, **(to_logins if active else {})},
        default_privileges={
            (TABLES, True): {
                names.app: frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"}),
                names.ro: frozenset({"SELECT"}),
            },
            # No UPDATE, which setval needs.
            (SEQUENCES, True): {names.app: frozenset({"SELECT", "USAGE"}), names.ro: frozenset({"SELECT"})},
            (FUNCTIONS, True): {names.app: frozenset({"EXECUTE"})},
            (TYPES, True): to_logins,
        },
    )


def _login(guild: Guild, kind: str, version: int, *, read_only: bool) -> Role:
    # pg_temp is named, and last, because it is searched first when it is not named.
    settings = {"search_path": f"{guild.names.schema}, {EXTENSIONS_SCHEMA}, pg_temp"}
    if read_only:
        settings["default_transaction_read_only"] = "on"
    return Role(
        login=guild.state == "present",
        connection_limit=guild.connection_limits[kind],
        settings=settings,
        member_of={CONNECT_ROLE: grant_options(version, "inherit")},
    )


def wanted_database(settings: Mapping[str, str | None]) -> DatabaseState:
    """The state of the database. ``settings`` are defaults for everybody who connects to it, None: not set.

    A limit on time would end long migrations, so the migrator has none.
    """
    given = {name: value for name, value in settings.items() if value is not None}
    unlimited = {name: "0" for name in given if name.endswith("_timeout")}
    connect = frozenset({"CONNECT"})
    return DatabaseState(
        roles={
            CONNECT_ROLE: Role(login=False),
            MIGRATOR_ROLE: Role(login=True, inherit=False, database_settings=unlimited),
        },
        privileges={CONNECT_ROLE: connect, MIGRATOR_ROLE: connect},
        extensions_privileges={CONNECT_ROLE: frozenset({"USAGE"})},
        settings=given,
    )


def builtin_default_privileges(what: str) -> Privileges:
    """What PostgreSQL grants on a new object without being asked, apart from the owner's own."""
    if what == FUNCTIONS:
        return {PUBLIC: frozenset({"EXECUTE"})}
    if what == TYPES:
        return {PUBLIC: frozenset({"USAGE"})}
    return {}

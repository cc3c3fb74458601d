# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What isolates a guild in PostgreSQL: the state its roles, its schema and its database should be in.

A guild has a schema, an owner that nobody logs in as, and two logins: ``app`` reads and writes rows, ``ro`` reads.
Migrations run as ``guild_migrator``, which may become every owner. ``guild_connect`` holds the right to connect, once
for all logins, and ``guild_owners`` what all owners may use: a grant to each would rewrite one ever longer catalog row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Secret
from ansible_collections.dcm.platform.plugins.module_utils.guild import GuildNames
from ansible_collections.dcm.platform.plugins.module_utils.postgres.acl import PUBLIC, Privileges, shown

CONNECT_ROLE = "guild_connect"
MIGRATOR_ROLE = "guild_migrator"
OWNERS_ROLE = "guild_owners"
SHARED_ROLES = (CONNECT_ROLE, MIGRATOR_ROLE, OWNERS_ROLE)
# From PostgreSQL 16 on, who creates a role stays a member of it, and whoever is a member of thousands pays for each of
# them with every change of a role; superusers do not. So an administrator without superuser has roles made by creators,
# a few guilds each, which nobody logs in as and which it becomes for the work. A guild then always costs the same.
CREATOR_PREFIX = "guild_creator_"
# Each guild belongs to one lane, and one transaction at a time writes in a lane. So several transactions write at a
# time, of one run or of several, never to the same guild, and never with more locks at a time than the server has.
LANES = 4
DATABASE_OWNER_ROLE = "pg_database_owner"  # PostgreSQL's own: whoever owns the database is its member
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
    creator: str | None = field(default=None, compare=False)

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
KIND_OF_OBJECT = {TABLES: "TABLE", SEQUENCES: "SEQUENCE", FUNCTIONS: "ROUTINE", TYPES: "TYPE"}


@dataclass(frozen=True)
class SchemaObject:
    """An object in a guild's schema. ``what`` as in default privileges; ``privileges`` without its owner's own.

    ``arguments`` of a routine, as PostgreSQL writes them. ``bound``: it belongs to a column and has its table's owner.
    """

    what: str
    name: str
    owner: str
    privileges: Privileges
    arguments: str | None = None
    bound: bool = field(default=False, compare=False)

    @property
    def label(self) -> str:
        """How it is named to a person."""
        arguments = "" if self.arguments is None else f"({self.arguments})"
        return f"{KIND_OF_OBJECT[self.what]} {self.name}{arguments}"


@dataclass(frozen=True)
class GuildState:
    """All there is of a guild. ``roles`` by kind, only those that exist; ``schema_owner`` None: no schema.

    ``default_privileges`` omit the owner's own, which do not matter to anybody else. ``objects`` are those that differ
    from the model. ``sessions`` are counted for guilds that should have none.
    """

    roles: Mapping[str, Role] = field(default_factory=dict)
    schema_owner: str | None = None
    schema_privileges: Privileges = field(default_factory=dict)
    default_privileges: Mapping[Scope, Privileges] = field(default_factory=dict)
    objects: tuple[SchemaObject, ...] = ()
    sessions: int = 0
    memberships: tuple[Membership, ...] = field(default=(), compare=False)

    @property
    def exists(self) -> bool:
        return bool(self.roles) or self.schema_owner is not None

    @property
    def creator(self) -> str | None:
        """Who made the roles and may change them, where that is not the administrator itself."""
        creators = (role.creator for role in self.roles.values())
        return next((name for name in creators if name is not None), None)

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
                "objects": {
                    one.label: {"owner": one.owner, "privileges": shown(one.privileges)} for one in self.objects
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


class Routine(NamedTuple):
    """A function or procedure, as PostgreSQL identifies it. ``arguments`` are as it writes them."""

    schema: str
    name: str
    arguments: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}({self.arguments})"


@dataclass(frozen=True)
class Doors:
    """What guilds can disturb each other and the server by, and only a superuser can close.

    ``routines`` of the server, those of ``extensions`` that were not named harmless, ``missing`` ones that were and may
    not be used, whether PUBLIC reads who owns which ``large_objects``, and ``databases`` of the server's own.
    """

    routines: tuple[Routine, ...] = ()
    extensions: tuple[Routine, ...] = ()
    missing: tuple[Routine, ...] = ()
    large_objects: bool = False
    databases: tuple[str, ...] = ()

    def tree(self) -> dict[str, Any]:
        """For a diff."""
        return _without_nothing(
            {
                "routines": list(map(str, self.routines)),
                "routines_of_extensions": list(map(str, self.extensions)),
                "routines_not_granted": list(map(str, self.missing)),
                "large_object_metadata": self.large_objects or None,
                "databases": list(self.databases),
            }
        )


@dataclass(frozen=True)
class DatabaseState:
    """What all guilds of a database share. ``roles`` by name, only those that exist.

    Privileges are those of PUBLIC, of the shared roles, and of guilds' roles: others' are not the model's affair.
    ``extensions_privileges`` None: there is no such schema. ``doors`` and ``language_privileges``, those on plpgsql,
    are what only a superuser can close; ``other_databases`` are open to PUBLIC and not the model's to close.
    """

    roles: Mapping[str, Role] = field(default_factory=dict)
    privileges: Privileges = field(default_factory=dict)
    public_privileges: Privileges = field(default_factory=dict)
    extensions_privileges: Privileges | None = None
    settings: Settings = field(default_factory=dict)
    doors: Doors = Doors()
    language_privileges: Privileges = field(default_factory=dict)
    other_databases: tuple[str, ...] = field(default=(), compare=False)
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
                "language_plpgsql_privileges": shown(self.language_privileges),
                "open_to_guilds": self.doors.tree(),
            }
        )


@dataclass(frozen=True)
class Catalog:
    """What one reading found. ``guilds`` by id; ``database`` only where it was asked for.

    ``foreign_databases``: other databases by role that owns or may do something there, for roles without a schema
    here. ``dependents``: by schema, what would go with it though it belongs elsewhere. ``tried_passwords`` are logins
    that answered whether their password is right, ``wrong_passwords`` those of them that said no.
    """

    guilds: Mapping[str, GuildState]
    database: DatabaseState = field(default_factory=DatabaseState)
    database_oid: int = 0
    foreign_databases: Mapping[str, Sequence[str]] = field(default_factory=dict)
    dependents: Mapping[str, Sequence[str]] = field(default_factory=dict)
    tried_passwords: frozenset[str] = frozenset()
    wrong_passwords: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Server:
    """Where the guilds are, as far as it matters what to do: the database, the major version, and our own rights."""

    database: str
    version: int
    superuser: bool

    @property
    def needs_creators(self) -> bool:
        """Whether roles are made by creators."""
        return not self.superuser and self.version >= FIRST_WITH_GRANT_OPTIONS


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
            "owner": Role(
                login=False,
                # Before each grant said so itself, a role had what its groups hold only if it inherits.
                inherit=version < FIRST_WITH_GRANT_OPTIONS,
                member_of={OWNERS_ROLE: grant_options(version, "inherit")},
                members={MIGRATOR_ROLE: grant_options(version, "set")},
            ),
            "app": _login(guild, "app", version, read_only=False),
            "ro": _login(guild, "ro", version, read_only=True),
        },
        schema_owner=names.owner,
        schema_privileges={names.owner: OWNERS_PRIVILEGES, **(to_logins if active else {})},
        default_privileges={(what, True): granted for what, granted in object_privileges(names).items()},
    )


def object_privileges(names: GuildNames) -> dict[str, Privileges]:
    """What a guild's logins may do with the objects in its schema, by kind."""
    app, ro = names.app, names.ro
    return {
        TABLES: {app: frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"}), ro: frozenset({"SELECT"})},
        SEQUENCES: {app: frozenset({"SELECT", "USAGE"}), ro: frozenset({"SELECT"})},  # no UPDATE, which setval needs
        FUNCTIONS: {app: frozenset({"EXECUTE"})},
        TYPES: {app: frozenset({"USAGE"}), ro: frozenset({"USAGE"})},
    }


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


def wanted_database(settings: Mapping[str, str | None], *, hardened: bool = False) -> DatabaseState:
    """The state of the database. ``settings`` are defaults for everybody who connects to it, None: not set.

    A limit on time would end long migrations, so the migrator has none.
    """
    given = {name: value for name, value in settings.items() if value is not None}
    unlimited = {name: "0" for name in given if name.endswith("_timeout")}
    connect, usage = frozenset({"CONNECT"}), frozenset({"USAGE"})
    return DatabaseState(
        roles={
            CONNECT_ROLE: Role(login=False),
            MIGRATOR_ROLE: Role(login=True, inherit=False, database_settings=unlimited),
            OWNERS_ROLE: Role(login=False),
        },
        privileges={CONNECT_ROLE: connect, MIGRATOR_ROLE: connect},
        extensions_privileges={CONNECT_ROLE: usage, OWNERS_ROLE: usage},
        settings=given,
        language_privileges={OWNERS_ROLE: usage, DATABASE_OWNER_ROLE: usage} if hardened else {},
    )


def builtin_default_privileges(what: str) -> Privileges:
    """What PostgreSQL grants on a new object without being asked, apart from the owner's own."""
    if what == FUNCTIONS:
        return {PUBLIC: frozenset({"EXECUTE"})}
    if what == TYPES:
        return {PUBLIC: frozenset({"USAGE"})}
    return {}

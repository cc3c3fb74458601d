# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From a difference to the statements that remove it. No I/O; every name is quoted by psycopg2."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from ansible_collections.dcm.platform.plugins.module_utils.guild import GuildNames
from ansible_collections.dcm.platform.plugins.module_utils.postgres.acl import PUBLIC, Privileges
from ansible_collections.dcm.platform.plugins.module_utils.postgres.model import (
    CONNECT_ROLE,
    DATABASE_OWNER_ROLE,
    EXTENSIONS_SCHEMA,
    FIRST_WITH_GRANT_OPTIONS,
    FUNCTIONS,
    KIND_OF_OBJECT,
    MIGRATOR_ROLE,
    OWNERS_PRIVILEGES,
    OWNERS_ROLE,
    SHARED_ROLES,
    TYPES,
    DatabaseState,
    Doors,
    GuildState,
    Membership,
    Options,
    Role,
    Routine,
    SchemaObject,
    Server,
    Settings,
    builtin_default_privileges,
    object_privileges,
)
from ansible_collections.dcm.platform.plugins.module_utils.postgres.plan import GuildDifference

with contextlib.suppress(ImportError):  # reported with the pip command before anything is called here
    from psycopg2 import sql

if TYPE_CHECKING:
    from psycopg2.sql import Composable

Pair = tuple[str, str]  # a role and its member
NO_PRIVILEGES: Privileges = {}
TERMINATION_TIMEOUT = 5000  # milliseconds


def database_statements(before: DatabaseState, after: DatabaseState, server: Server) -> list[Composable]:
    """For what all guilds share."""
    statements: list[Composable] = []
    for name, role in after.roles.items():
        statements += _role(name, before.roles.get(name), role, server)
    for name, role in after.roles.items():
        had = before.roles[name].member_of if name in before.roles else {}
        statements += _revocations(
            before.memberships, {(other, name) for other in had if other not in role.member_of}, server
        )
    here = sql.SQL("DATABASE {}").format(sql.Identifier(server.database))
    statements += _acl(sql.SQL(""), here, before.privileges, after.privileges)
    statements += _acl(sql.SQL(""), sql.SQL("SCHEMA public"), before.public_privileges, after.public_privileges)
    extensions = sql.SQL("SCHEMA {}").format(sql.Identifier(EXTENSIONS_SCHEMA))
    if before.extensions_privileges is None:
        statements.append(sql.SQL("CREATE {}").format(extensions))
    statements += _acl(
        sql.SQL(""), extensions, before.extensions_privileges or NO_PRIVILEGES, after.extensions_privileges or {}
    )
    statements += _settings(sql.SQL("ALTER {}").format(here), before.settings, after.settings)
    language = sql.SQL("LANGUAGE plpgsql")
    statements += _acl(sql.SQL(""), language, before.language_privileges, after.language_privileges)
    return [*statements, *_closed(before.doors)]


def _closed(doors: Doors) -> Iterator[Composable]:
    """Nobody but who is trusted with the database may do what guilds could disturb others by."""
    guilds = _names((CONNECT_ROLE, OWNERS_ROLE))
    opened = [*doors.routines, *doors.extensions]
    if opened:
        yield sql.SQL("REVOKE EXECUTE ON ROUTINE {} FROM PUBLIC, {} CASCADE").format(_routines(opened), guilds)
    if doors.routines:
        trusted = _names((DATABASE_OWNER_ROLE, MIGRATOR_ROLE))
        yield sql.SQL("GRANT EXECUTE ON ROUTINE {} TO {}").format(_routines(doors.routines), trusted)
    if doors.missing:
        yield sql.SQL("GRANT EXECUTE ON ROUTINE {} TO {}").format(_routines(doors.missing), guilds)
    if doors.large_objects:
        yield sql.SQL("REVOKE ALL ON pg_catalog.pg_largeobject_metadata FROM PUBLIC CASCADE")
    if doors.databases:
        yield sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC CASCADE").format(_names(doors.databases))


def _routines(routines: Iterable[Routine]) -> Composable:
    return sql.SQL(", ").join(_routine(one.schema, one.name, one.arguments) for one in routines)


def _routine(schema: str, name: str, arguments: str) -> Composable:
    """``arguments`` come from the server, which quoted the types in them."""
    return sql.SQL("{}({})").format(sql.Identifier(schema, name), sql.SQL(arguments))


def create_creator(name: str) -> list[Composable]:
    """For a role that makes the roles of a few guilds."""
    return [sql.SQL("CREATE ROLE {} NOLOGIN CREATEROLE").format(sql.Identifier(name))]


def borrow(creators: Sequence[str]) -> list[Composable]:
    """Let the administrator become these creators, until :func:`give_back`."""
    if not creators:
        return []
    grant = sql.SQL("GRANT {} TO CURRENT_USER WITH INHERIT FALSE, SET TRUE").format(_names(creators))
    return [sql.SQL("SET LOCAL createrole_self_grant = ''"), grant]


def give_back(creators: Sequence[str]) -> list[Composable]:
    """End :func:`borrow`."""
    return [sql.SQL("REVOKE {} FROM CURRENT_USER").format(_names(creators))] if creators else []


def acting_as(creator: str | None, statements: Sequence[Composable]) -> list[Composable]:
    """The statements run by the creator, where there is one: only who made a role may change it."""
    if creator is None or not statements:
        return list(statements)
    become = sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(creator))
    return [become, *statements, sql.SQL("SET LOCAL ROLE NONE")]


def role_statements(differences: Sequence[GuildDifference], server: Server) -> list[Composable]:
    """The roles of guilds and their settings; passwords, memberships and sessions apart."""
    statements: list[Composable] = []
    for creator, group in _by_creator(differences).items():
        found: list[Composable] = []
        for difference in group:
            for kind, role in difference.after.roles.items():
                name = difference.guild.names.roles[kind]
                found += _role(name, difference.before.roles.get(kind), role, server)
        statements += acting_as(creator, found)
    return statements


def schema_statements(differences: Sequence[GuildDifference], server: Server) -> list[Composable]:
    """The schemas of guilds, who may use them, and what is in them."""
    statements: list[Composable] = []
    for creator, group in _by_creator(differences).items():
        owned = {one.guild.names.owner: list(_schema(one.guild.names, one.before, one.after)) for one in group}
        owners = [owner for owner, own_statements in owned.items() if own_statements]
        inside = [statement for own_statements in owned.values() for statement in own_statements]
        statements += as_member(owners, inside, server, creator)
    return statements


def membership_statements(differences: Sequence[GuildDifference], server: Server) -> list[Composable]:
    """Who is a member of the roles of guilds, and they of which.

    These come last in a transaction: other transactions that grant the same group wait until this one ends.
    """
    own: list[Composable] = []
    statements: list[Composable] = []
    for creator, group in _by_creator(differences).items():
        ours, creators = _memberships(group, server, creator)
        own += ours
        statements += acting_as(creator, creators)
    return statements + own


def _by_creator(differences: Iterable[GuildDifference]) -> dict[str | None, list[GuildDifference]]:
    groups: dict[str | None, list[GuildDifference]] = defaultdict(list)
    for difference in differences:
        groups[difference.creator].append(difference)
    return groups


def as_member(
    roles: Sequence[str], statements: Sequence[Composable], server: Server, creator: str | None = None
) -> list[Composable]:
    """The statements with the rights of the roles. A superuser has them; whoever may grant the roles takes them."""
    if server.superuser or not roles or not statements:
        return list(statements)
    options = "WITH INHERIT TRUE, SET TRUE" if server.version >= FIRST_WITH_GRANT_OPTIONS else ""
    grant = sql.SQL("GRANT {} TO SESSION_USER {}").format(_names(roles), sql.SQL(options))
    revoke = sql.SQL("REVOKE {} FROM SESSION_USER").format(_names(roles))
    return [*acting_as(creator, [grant]), *statements, *acting_as(creator, [revoke])]


def closing_statements(names: GuildNames, before: GuildState, server: Server) -> list[Composable]:
    """Before a guild is removed: its logins cannot log in, and those that have cannot use the schema."""
    locked = [
        sql.SQL("ALTER ROLE {} NOLOGIN").format(sql.Identifier(names.roles[kind]))
        for kind, role in before.roles.items()
        if role.login
    ]
    closed = acting_as(before.creator, locked)
    owner = before.schema_owner
    if owner is None:
        return closed
    private = {owner: before.schema_privileges.get(owner, frozenset())}
    on_schema = sql.SQL("SCHEMA {}").format(sql.Identifier(names.schema))
    revoked = list(_acl(sql.SQL(""), on_schema, before.schema_privileges, private))
    return closed + as_member([owner], revoked, server, before.creator)


def emptying_statements(
    names: GuildNames, before: GuildState, tables: Sequence[str], server: Server
) -> list[Composable]:
    """Drop some of a guild's tables: a transaction that dropped very many would need too many locks."""
    listed = sql.SQL(", ").join(sql.Identifier(names.schema, table) for table in tables)
    dropped = [sql.SQL("DROP TABLE {} CASCADE").format(listed)]
    return as_member([names.roles[kind] for kind in before.roles], dropped, server, before.creator)


def removal_statements(names: GuildNames, before: GuildState, server: Server) -> list[Composable]:
    """For a guild that goes: its schema, whatever else its roles own or may do in this database, its roles."""
    roles = [names.roles[kind] for kind in before.roles]
    statements: list[Composable] = []
    if before.schema_owner is not None:
        statements.append(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(names.schema)))
    if roles:
        statements.append(sql.SQL("DROP OWNED BY {}").format(_names(roles)))
    dropped = as_member(roles, statements, server, before.creator)
    if not roles:
        return dropped
    return dropped + acting_as(before.creator, [sql.SQL("DROP ROLE {}").format(_names(roles))])


def termination(guilds: Sequence[tuple[GuildNames, str | None]], server: Server) -> list[Composable]:
    """End the sessions of guilds, each given with its creator, and wait a little for each to be gone."""
    logins: dict[str | None, list[str]] = defaultdict(list)
    for names, creator in guilds:
        logins[creator] += [names.app, names.ro]
    end = sql.SQL(
        "SELECT pg_catalog.pg_terminate_backend(pid, {}) FROM pg_catalog.pg_stat_activity WHERE usename = ANY({})"
    )
    return [
        statement
        for creator, group in logins.items()
        for statement in as_member(
            group, [end.format(sql.Literal(TERMINATION_TIMEOUT), sql.Literal(group))], server, creator
        )
    ]


def _names(names: Iterable[str]) -> Composable:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _grantee(name: str) -> Composable:
    return sql.SQL("PUBLIC") if name == PUBLIC else sql.Identifier(name)


def _role(name: str, before: Role | None, after: Role, server: Server) -> Iterator[Composable]:
    words = _role_words(before, after)
    role = sql.Identifier(name)
    if words:
        verb = sql.SQL("CREATE ROLE {} {}" if before is None else "ALTER ROLE {} {}")
        yield verb.format(role, sql.SQL(" ").join(words))
    alter = sql.SQL("ALTER ROLE {}").format(role)
    yield from _settings(alter, before.settings if before else {}, after.settings)
    here = sql.SQL("{} IN DATABASE {}").format(alter, sql.Identifier(server.database))
    yield from _settings(here, before.database_settings if before else {}, after.database_settings)


def _role_words(before: Role | None, after: Role) -> list[Composable]:
    """The attributes that differ. No more: to name SUPERUSER, even with NO, takes a superuser."""
    words: list[Composable] = []
    if before is None or before.login != after.login:
        words.append(sql.SQL("LOGIN" if after.login else "NOLOGIN"))
    if before is None or before.inherit != after.inherit:
        words.append(sql.SQL("INHERIT" if after.inherit else "NOINHERIT"))
    if before is None or before.connection_limit != after.connection_limit:
        words.append(sql.SQL("CONNECTION LIMIT {}").format(sql.Literal(after.connection_limit)))
    if before is not None:
        words += [sql.SQL(f"NO{attribute}") for attribute in sorted(before.attributes - after.attributes)]
        if before.expires != after.expires:
            words.append(sql.SQL("VALID UNTIL 'infinity'"))
    return words


def _settings(alter: Composable, before: Settings, after: Settings) -> Iterator[Composable]:
    for name in sorted(set(before) | set(after)):
        if name not in after:
            yield sql.SQL("{} RESET {}").format(alter, _setting(name))
        elif before.get(name) != after[name]:
            yield sql.SQL("{} SET {} = {}").format(alter, _setting(name), _value(name, after[name]))


def _setting(name: str) -> Composable:
    return sql.SQL(".").join(map(sql.Identifier, name.split(".")))


def _value(name: str, value: str) -> Composable:
    """A list of names must stay a list: as one string it would be the name of one schema with commas in it."""
    return _names(value.split(", ")) if name == "search_path" else sql.Literal(value)


def _pairs(names: GuildNames, state: GuildState) -> dict[Pair, Options]:
    pairs = {}
    for kind, role in state.roles.items():
        name = names.roles[kind]
        pairs.update({(other, name): options for other, options in role.member_of.items()})
        pairs.update({(name, other): options for other, options in role.members.items()})
    return pairs


def _memberships(
    differences: Iterable[GuildDifference], server: Server, creator: str | None
) -> tuple[list[Composable], list[Composable]]:
    """What the administrator revokes and grants itself, and what the creator does."""
    own: list[Composable] = []
    creators: list[Composable] = []
    wanted: dict[tuple[str, Options], list[str]] = defaultdict(list)
    for difference in differences:
        names = difference.guild.names
        before, after = _pairs(names, difference.before), _pairs(names, difference.after)
        wrong = {pair for pair, options in before.items() if after.get(pair) != options}
        grants = difference.before.memberships
        made = [grant for grant in grants if creator is not None and grant.grantor == creator]
        creators += _revocations(made, wrong, server)
        own += _revocations([grant for grant in grants if grant not in made], wrong, server)
        for (role, member), options in after.items():
            if before.get((role, member)) != options:
                wanted[role, options].append(member)
    roles_of: dict[tuple[tuple[str, ...], Options], list[str]] = defaultdict(list)
    for (role, options), members in wanted.items():
        roles_of[tuple(members), options].append(role)
    for (grantees, options), roles in roles_of.items():
        grant = sql.SQL("GRANT {} TO {} {}").format(_names(roles), _names(grantees), _grant_options(options, server))
        (own if set(roles) <= set(SHARED_ROLES) else creators).append(grant)
    return own, creators


def _grant_options(options: Options, server: Server) -> Composable:
    if server.version < FIRST_WITH_GRANT_OPTIONS:
        return sql.SQL("")
    flags = ", ".join(f"{word.upper()} {'TRUE' if word in options else 'FALSE'}" for word in ("inherit", "set"))
    return sql.SQL(f"WITH {flags}")


def _revocations(memberships: Iterable[Membership], wrong: set[Pair], server: Server) -> Iterator[Composable]:
    """Each grant of the pairs, whoever made it, with all that was granted on its strength."""
    for membership in dict.fromkeys(memberships):
        if (membership.role, membership.member) in wrong:
            revoke = sql.SQL("REVOKE {} FROM {}").format(
                sql.Identifier(membership.role), sql.Identifier(membership.member)
            )
            if server.version >= FIRST_WITH_GRANT_OPTIONS:
                revoke = sql.SQL("{} GRANTED BY {}").format(revoke, sql.Identifier(membership.grantor))
            yield sql.SQL("{} CASCADE").format(revoke)


def _schema(names: GuildNames, before: GuildState, after: GuildState) -> Iterator[Composable]:
    """The schema, who may use it, and who may use what will be created in it."""
    schema, owner = sql.Identifier(names.schema), sql.Identifier(names.owner)
    granted, defaults = before.schema_privileges, before.default_privileges
    if "owner" not in before.roles:  # a new role starts with what is built in
        defaults = {(what, False): builtin_default_privileges(what) for what in (FUNCTIONS, TYPES)}
    if before.schema_owner is None:
        yield sql.SQL("CREATE SCHEMA {} AUTHORIZATION {}").format(schema, owner)
        granted = {names.owner: OWNERS_PRIVILEGES}
    elif before.schema_owner != names.owner:
        yield sql.SQL("ALTER SCHEMA {} OWNER TO {}").format(schema, owner)
    on_schema = sql.SQL("SCHEMA {}").format(schema)
    yield from _acl(sql.SQL(""), on_schema, granted, after.schema_privileges)
    for scope in sorted(set(defaults) | set(after.default_privileges)):
        what, in_schema = scope
        prefix = sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {} ").format(owner)
        if in_schema:
            prefix = sql.SQL("{}IN SCHEMA {} ").format(prefix, schema)
        yield from _acl(
            prefix,
            sql.SQL(what),
            defaults.get(scope, NO_PRIVILEGES),
            after.default_privileges.get(scope, NO_PRIVILEGES),
        )
    for one in before.objects:
        yield from _object(names, one)


def _object(names: GuildNames, found: SchemaObject) -> Iterator[Composable]:
    """An object becomes its guild's owner's, with the privileges that default privileges would have given it."""
    name: Composable = sql.Identifier(names.schema, found.name)
    if found.arguments is not None:
        name = _routine(names.schema, found.name, found.arguments)
    on_object = sql.SQL("{} {}").format(sql.SQL(KIND_OF_OBJECT[found.what]), name)
    if found.owner != names.owner and not found.bound:
        yield sql.SQL("ALTER {} OWNER TO {}").format(on_object, sql.Identifier(names.owner))
    yield from _acl(sql.SQL(""), on_object, found.privileges, object_privileges(names)[found.what])


def _acl(prefix: Composable, on: Composable, before: Privileges, after: Privileges) -> Iterator[Composable]:
    """Whoever's privileges differ loses all and is given the right ones, in the same transaction."""
    given: dict[frozenset[str], list[str]] = defaultdict(list)
    for grantee in sorted(set(before) | set(after)):
        had, gets = before.get(grantee, frozenset()), after.get(grantee, frozenset())
        if had == gets:
            continue
        if had:
            yield sql.SQL("{}REVOKE ALL ON {} FROM {} CASCADE").format(prefix, on, _grantee(grantee))
        if gets:
            given[gets].append(grantee)
    for words, grantees in given.items():
        privileges = sql.SQL(", ".join(sorted(words)))
        yield sql.SQL("{}GRANT {} ON {} TO {}").format(
            prefix, privileges, on, sql.SQL(", ").join(map(_grantee, grantees))
        )

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
    EXTENSIONS_SCHEMA,
    FIRST_WITH_GRANT_OPTIONS,
    FUNCTIONS,
    OWNERS_PRIVILEGES,
    TYPES,
    DatabaseState,
    GuildState,
    Membership,
    Options,
    Role,
    Server,
    Settings,
    builtin_default_privileges,
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
    connect = before.roles.get(CONNECT_ROLE)
    if connect is not None:
        unwanted = {(role, CONNECT_ROLE) for role in connect.member_of}
        statements += _revocations(before.memberships, unwanted, server)
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
    return statements


def guild_statements(differences: Sequence[GuildDifference], server: Server) -> list[Composable]:
    """For guilds to set up, suspend or repair; passwords and sessions apart.

    All roles come first and memberships are granted in few statements, because each of them makes PostgreSQL look at
    all memberships of an administrator without superuser anew. Such an administrator becomes a member of the owners
    for the time of the batch.
    """
    statements: list[Composable] = []
    for difference in differences:
        for kind, role in difference.after.roles.items():
            name = difference.guild.names.roles[kind]
            statements += _role(name, difference.before.roles.get(kind), role, server)
    statements += _memberships(differences, server)
    owned = {
        difference.guild.names.owner: list(_schema(difference.guild.names, difference.before, difference.after))
        for difference in differences
    }
    owners = [owner for owner, own_statements in owned.items() if own_statements]
    inside = [statement for own_statements in owned.values() for statement in own_statements]
    return statements + as_member(owners, inside, server)


def as_member(roles: Sequence[str], statements: Sequence[Composable], server: Server) -> list[Composable]:
    """The statements with the rights of the roles. A superuser has them; whoever may grant the roles takes them."""
    if server.superuser or not roles:
        return list(statements)
    options = "WITH INHERIT TRUE, SET TRUE" if server.version >= FIRST_WITH_GRANT_OPTIONS else ""
    grant = sql.SQL("GRANT {} TO CURRENT_USER {}").format(_names(roles), sql.SQL(options))
    return [grant, *statements, sql.SQL("REVOKE {} FROM CURRENT_USER").format(_names(roles))]


def closing_statements(names: GuildNames, before: GuildState, server: Server) -> list[Composable]:
    """Before a guild is removed: its logins cannot log in, and those that have cannot use the schema."""
    closed: list[Composable] = [
        sql.SQL("ALTER ROLE {} NOLOGIN").format(sql.Identifier(names.roles[kind]))
        for kind, role in before.roles.items()
        if role.login
    ]
    owner = before.schema_owner
    if owner is None:
        return closed
    private = {owner: before.schema_privileges.get(owner, frozenset())}
    on_schema = sql.SQL("SCHEMA {}").format(sql.Identifier(names.schema))
    revoked = list(_acl(sql.SQL(""), on_schema, before.schema_privileges, private))
    return closed + (as_member([owner], revoked, server) if revoked else [])


def removal_statements(names: GuildNames, before: GuildState, server: Server) -> list[Composable]:
    """For a guild that goes: its schema, whatever else its roles own or may do in this database, its roles."""
    roles = [names.roles[kind] for kind in before.roles]
    statements: list[Composable] = []
    if before.schema_owner is not None:
        statements.append(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(names.schema)))
    if roles:
        statements.append(sql.SQL("DROP OWNED BY {}").format(_names(roles)))
    dropped = as_member(roles, statements, server)
    return [*dropped, sql.SQL("DROP ROLE {}").format(_names(roles))] if roles else dropped


def termination(names: Sequence[GuildNames], server: Server) -> list[Composable]:
    """End the sessions of guilds, and wait a little for each to be gone."""
    logins = [login for one in names for login in (one.app, one.ro)]
    end = sql.SQL(
        "SELECT pg_catalog.pg_terminate_backend(pid, {}) FROM pg_catalog.pg_stat_activity WHERE usename = ANY({})"
    ).format(sql.Literal(TERMINATION_TIMEOUT), sql.Literal(logins))
    return as_member(logins, [end], server)


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


def _memberships(differences: Iterable[GuildDifference], server: Server) -> list[Composable]:
    revoked: list[Composable] = []
    wanted: dict[tuple[str, Options], list[str]] = defaultdict(list)
    for difference in differences:
        names = difference.guild.names
        before, after = _pairs(names, difference.before), _pairs(names, difference.after)
        wrong = {pair for pair, options in before.items() if after.get(pair) != options}
        revoked += _revocations(difference.before.memberships, wrong, server)
        for (role, member), options in after.items():
            if before.get((role, member)) != options:
                wanted[role, options].append(member)
    roles_of: dict[tuple[tuple[str, ...], Options], list[str]] = defaultdict(list)
    for (role, options), members in wanted.items():
        roles_of[tuple(members), options].append(role)
    return revoked + [
        sql.SQL("GRANT {} TO {} {}").format(_names(roles), _names(members), _grant_options(options, server))
        for (members, options), roles in roles_of.items()
    ]


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

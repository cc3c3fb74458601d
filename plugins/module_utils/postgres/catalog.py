# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The state of guilds and of their database, read from the catalogs in a constant number of queries.

Names become OIDs once; then every catalog is scanned once for those OIDs, and the rows are joined here. Joining in SQL
costs more, and much more when the catalogs' statistics are out of date.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Secret
from ansible_collections.dcm.platform.plugins.module_utils.guild import GuildNames
from ansible_collections.dcm.platform.plugins.module_utils.postgres.acl import PUBLIC, Privileges, privileges
from ansible_collections.dcm.platform.plugins.module_utils.postgres.client import Session
from ansible_collections.dcm.platform.plugins.module_utils.postgres.model import (
    CONNECT_ROLE,
    EXTENSIONS_SCHEMA,
    FIRST_WITH_GRANT_OPTIONS,
    FUNCTIONS,
    LARGE_OBJECTS,
    MIGRATOR_ROLE,
    SCHEMAS,
    SEQUENCES,
    TABLES,
    TYPES,
    Catalog,
    DatabaseState,
    GuildState,
    Membership,
    Role,
    Scope,
    builtin_default_privileges,
)

T = TypeVar("T")

SHARED_ROLES = (CONNECT_ROLE, MIGRATOR_ROLE)
PUBLIC_SCHEMA = "public"
BOOTSTRAP_SUPERUSER = 10  # its OID: PostgreSQL 16 and newer record it as the grantor of what a role's creator gets
# Settings that no guild can store, not even for itself, and that therefore stay as the operator set them: some limits,
# logging, and the parameters of extensions.
OPERATORS_SETTING = re.compile(r"temp_file_limit|log_.*|.*\..*")
EVERYTHING = 0  # in place of an OID: all roles, all databases, all schemas

ATTRIBUTES = ("SUPERUSER", "CREATEROLE", "CREATEDB", "REPLICATION", "BYPASSRLS")  # in the order of the query
_ROLES = """
SELECT oid, rolname, rolcanlogin, rolinherit, rolconnlimit, rolsuper, rolcreaterole, rolcreatedb, rolreplication,
       rolbypassrls, NULLIF(rolvaliduntil, 'infinity')::text, {verifier}
  FROM pg_catalog.{catalog} WHERE rolname = ANY(%s::name[]) OR rolcreaterole OR rolsuper
"""
_SCHEMAS = """
SELECT oid, nspname, pg_catalog.pg_get_userbyid(nspowner),
       COALESCE(nspacl, pg_catalog.acldefault('n', nspowner))::text[]
  FROM pg_catalog.pg_namespace WHERE nspname = ANY(%s::name[])
"""
_SETTINGS = """
SELECT setrole, setdatabase, setconfig FROM pg_catalog.pg_db_role_setting
 WHERE setrole = ANY(%s::oid[])
   AND setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
"""
_MEMBERSHIPS = """
SELECT pg_catalog.pg_get_userbyid(roleid), pg_catalog.pg_get_userbyid(member), pg_catalog.pg_get_userbyid(grantor),
       grantor, admin_option, {options}
  FROM pg_catalog.pg_auth_members WHERE member = ANY(%s::oid[]) OR roleid = ANY(%s::oid[])
"""
_DEFAULT_PRIVILEGES = """
SELECT defaclrole, defaclnamespace, defaclobjtype, defaclacl::text[]
  FROM pg_catalog.pg_default_acl WHERE defaclrole = ANY(%s::oid[])
"""
_DATABASE = """
SELECT oid, COALESCE(datacl, pg_catalog.acldefault('d', datdba))::text[]
  FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()
"""
_SESSIONS = """
SELECT usename, pg_catalog.count(*) FROM pg_catalog.pg_stat_activity WHERE usename = ANY(%s::name[]) GROUP BY usename
"""
_FOREIGN_DATABASES = """
SELECT DISTINCT pg_catalog.pg_get_userbyid(d.refobjid), b.datname
  FROM pg_catalog.pg_shdepend d JOIN pg_catalog.pg_database b ON b.oid = d.dbid
 WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND d.refobjid = ANY(%s::oid[])
   AND b.datname <> pg_catalog.current_database()
"""
# What belongs to a schema: its objects, and what is part of those (indexes, rules of views, types of rows, ...).
# What depends on it from elsewhere would go with it unasked: views, foreign keys, columns of its types, and so on, and
# tables elsewhere that are partitions of its own.
_FOREIGN_DEPENDENTS = """
WITH RECURSIVE part (schema, classid, objid) AS (
  SELECT refobjid, classid, objid FROM pg_catalog.pg_depend
   WHERE refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND refobjid = ANY(%s::oid[])
  UNION
  SELECT p.schema, d.classid, d.objid FROM part p
    JOIN pg_catalog.pg_depend d ON d.refclassid = p.classid AND d.refobjid = p.objid
   WHERE d.deptype IN ('a', 'i', 'P', 'S')
)
SELECT DISTINCT n.nspname, pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid)
  FROM part p
  JOIN pg_catalog.pg_depend d ON d.refclassid = p.classid AND d.refobjid = p.objid AND d.deptype = 'n'
  JOIN pg_catalog.pg_namespace n ON n.oid = p.schema
 WHERE NOT EXISTS (SELECT FROM part o WHERE o.schema = p.schema AND o.classid = d.classid AND o.objid = d.objid)
 UNION
SELECT n.nspname, pg_catalog.pg_describe_object(p.classid, p.objid, 0)
  FROM part p
  JOIN pg_catalog.pg_class c ON p.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.oid = p.objid
  JOIN pg_catalog.pg_namespace n ON n.oid = p.schema
 WHERE c.relnamespace <> p.schema AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
 ORDER BY 1, 2
"""
_SCOPES = {"r": TABLES, "S": SEQUENCES, "f": FUNCTIONS, "T": TYPES, "n": SCHEMAS, "L": LARGE_OBJECTS}


@dataclass
class _Rows:
    """The rows of the common catalogs for the roles and schemas of one reading.

    ``settings`` by the OID of the role and whether they are for this database only; ``default_privileges`` by the OIDs
    of the role and the schema.
    """

    roles: dict[str, tuple[Any, ...]]
    schemas: dict[str, tuple[Any, ...]]
    settings: dict[tuple[int, bool], dict[str, str]]
    memberships: list[Membership]
    default_privileges: dict[tuple[int, int], dict[str, Privileges]]

    def __post_init__(self) -> None:
        self.member_of = _grouped((row.member, row) for row in self.memberships)
        self.members = _grouped((row.role, row) for row in self.memberships)


def read_catalog(
    session: Session,
    guilds: Sequence[GuildNames],
    *,
    whole: bool,
    suspended: Sequence[GuildNames] = (),
    removed: Sequence[GuildNames] = (),
) -> Catalog:
    """Read the guilds' state, inside a transaction.

    ``whole``: the database's, too. ``suspended`` and ``removed`` are those of the guilds whose sessions count;
    of the latter what depends on them elsewhere counts, too.
    """
    rows = _read_rows(session, guilds)
    logins = [login for names in (*suspended, *removed) for login in (names.app, names.ro)]
    sessions = read_sessions(session, logins) if logins else {}
    states = {names.id: _guild(names, rows, sessions) for names in guilds}
    homeless = [names for names in guilds if states[names.id].roles and states[names.id].schema_owner is None]
    suspects = {role for names in (*homeless, *removed) for role in names.roles.values() if role in rows.roles}
    schemas = [rows.schemas[names.schema][0] for names in removed if names.schema in rows.schemas]
    foreign: dict[str, list[str]] = {}
    dependents: dict[str, list[str]] = {}
    if suspects:
        foreign = _grouped(session.rows(_FOREIGN_DATABASES, [_array(rows.roles[role][0] for role in suspects)]))
    if schemas:
        dependents = _grouped(session.rows(_FOREIGN_DEPENDENTS, [_array(schemas)]))
    if not whole:
        return Catalog(states, foreign_databases=foreign, dependents=dependents)
    ((oid, acl),) = session.rows(_DATABASE)
    return Catalog(states, _database(rows, privileges(acl), guilds), oid, foreign, dependents)


def read_sessions(session: Session, logins: Iterable[str]) -> dict[str, int]:
    """How many sessions each of these logins has, where it has any."""
    return dict(session.rows(_SESSIONS, [_array(logins)]))


def _read_rows(session: Session, guilds: Sequence[GuildNames]) -> _Rows:
    names = [role for guild in guilds for role in guild.roles.values()]
    catalog, verifier = ("pg_authid", "rolpassword") if session.superuser else ("pg_roles", "NULL")
    found = session.rows(_ROLES.format(catalog=catalog, verifier=verifier), [_array([*names, *SHARED_ROLES])])
    roles = {row[1]: row for row in found}
    schemas = [*(guild.schema for guild in guilds), PUBLIC_SCHEMA, EXTENSIONS_SCHEMA]
    guild_oids = [roles[name][0] for name in names if name in roles]
    connect, migrator = ([roles[name][0]] if name in roles else [] for name in SHARED_ROLES)
    owner_oids = _array(roles[guild.owner][0] for guild in guilds if guild.owner in roles)
    options = "inherit_option, set_option" if session.version >= FIRST_WITH_GRANT_OPTIONS else "FALSE, FALSE"
    memberships = session.rows(_MEMBERSHIPS.format(options=options), [_array(guild_oids + connect), _array(guild_oids)])
    creators = {row[1] for row in found if row[5] or row[6]}.difference(names)
    return _Rows(
        roles=roles,
        schemas={row[1]: row for row in session.rows(_SCHEMAS, [_array(schemas)])},
        settings=_settings(session.rows(_SETTINGS, [_array([EVERYTHING, *guild_oids, *migrator])])),
        memberships=[_membership(row) for row in memberships if not _is_creators(row, creators)],
        default_privileges=_default_privileges(session.rows(_DEFAULT_PRIVILEGES, [owner_oids])),
    )


def _array(items: Iterable[object]) -> str:
    """An array literal: cheaper to parse than an array constructor. The items are OIDs, or names of our own making."""
    return "{" + ",".join(map(str, items)) + "}"


def _grouped(rows: Iterable[tuple[str, T]]) -> dict[str, list[T]]:
    groups: dict[str, list[T]] = defaultdict(list)
    for key, value in rows:
        groups[key].append(value)
    return dict(groups)


def _settings(rows: Iterable[tuple[Any, ...]]) -> dict[tuple[int, bool], dict[str, str]]:
    """A role's operator settings are left out: they are neither wanted nor drift."""
    found = {}
    for role, database, entries in rows:
        pairs = (entry.split("=", 1) for entry in entries)
        found[role, database != EVERYTHING] = {
            name: value for name, value in pairs if role == EVERYTHING or not OPERATORS_SETTING.fullmatch(name)
        }
    return found


def _is_creators(row: tuple[Any, ...], creators: set[str]) -> bool:
    """From PostgreSQL 16 on the creator of a role keeps the right to administer it and cannot shed it: no drift."""
    _role, member, _grantor, grantor_oid, admin, inherit, can_set = row
    return member in creators and grantor_oid == BOOTSTRAP_SUPERUSER and admin and not inherit and not can_set


def _membership(row: tuple[Any, ...]) -> Membership:
    role, member, grantor, _grantor_oid, *flags = row
    options = frozenset(word for word, flag in zip(("admin", "inherit", "set"), flags, strict=True) if flag)
    return Membership(role, member, grantor, options)


def _default_privileges(rows: Iterable[tuple[Any, ...]]) -> dict[tuple[int, int], dict[str, Privileges]]:
    found: dict[tuple[int, int], dict[str, Privileges]] = defaultdict(dict)
    for role, schema, letter, acl in rows:
        found[role, schema][_SCOPES.get(letter, letter)] = privileges(acl)
    return found


def _role(name: str, rows: _Rows) -> Role:
    oid, _name, login, inherit, limit, *flags, expires, verifier = rows.roles[name]
    return Role(
        login=login,
        inherit=inherit,
        connection_limit=limit,
        attributes=frozenset(word for word, flag in zip(ATTRIBUTES, flags, strict=True) if flag),
        expires=expires,
        settings=rows.settings.get((oid, False), {}),
        database_settings=rows.settings.get((oid, True), {}),
        member_of=_together((row.role, row.options) for row in rows.member_of.get(name, ())),
        members=_together((row.member, row.options) for row in rows.members.get(name, ())),
        verifier=Secret(verifier) if verifier else None,
    )


def _together(grants: Iterable[tuple[str, frozenset[str]]]) -> dict[str, frozenset[str]]:
    """What several grants of the same role to the same member add up to."""
    return {name: frozenset().union(*options) for name, options in _grouped(grants).items()}


def _guild(names: GuildNames, rows: _Rows, sessions: Mapping[str, int]) -> GuildState:
    roles = {kind: name for kind, name in names.roles.items() if name in rows.roles}
    oid, _name, owner, acl = rows.schemas.get(names.schema, (None, None, None, ()))
    owner_oid = rows.roles[names.owner][0] if names.owner in rows.roles else None
    memberships = [
        row for name in roles.values() for row in (*rows.member_of.get(name, ()), *rows.members.get(name, ()))
    ]
    return GuildState(
        roles={kind: _role(name, rows) for kind, name in roles.items()},
        schema_owner=owner,
        schema_privileges=privileges(acl),
        default_privileges={} if owner_oid is None else _scopes(names, owner_oid, oid, rows),
        sessions=sum(sessions.get(name, 0) for name in (names.app, names.ro)),
        memberships=tuple(memberships),
    )


def _scopes(names: GuildNames, owner: int, schema: int | None, rows: _Rows) -> dict[Scope, Privileges]:
    """The owner's default privileges by scope, where anybody but the owner has some."""
    everywhere = rows.default_privileges.get((owner, EVERYTHING), {})
    found: dict[Scope, Privileges] = {
        (what, False): everywhere.get(what, builtin_default_privileges(what)) for what in _SCOPES.values()
    }
    if schema is not None:
        found |= {(what, True): granted for what, granted in rows.default_privileges.get((owner, schema), {}).items()}
    others = {
        scope: {grantee: words for grantee, words in granted.items() if grantee != names.owner}
        for scope, granted in found.items()
    }
    return {scope: granted for scope, granted in others.items() if granted}


def _database(rows: _Rows, granted: Privileges, guilds: Sequence[GuildNames]) -> DatabaseState:
    grantees = {PUBLIC, *SHARED_ROLES, *(role for names in guilds for role in names.roles.values())}

    def relevant(granted: Privileges) -> Privileges:
        return {grantee: words for grantee, words in granted.items() if grantee in grantees}

    def on_schema(name: str) -> Privileges | None:
        return relevant(privileges(rows.schemas[name][3])) if name in rows.schemas else None

    return DatabaseState(
        roles={name: _role(name, rows) for name in SHARED_ROLES if name in rows.roles},
        privileges=relevant(granted),
        public_privileges=on_schema(PUBLIC_SCHEMA) or {},
        extensions_privileges=on_schema(EXTENSIONS_SCHEMA),
        settings=rows.settings.get((EVERYTHING, True), {}),
        memberships=tuple(rows.member_of.get(CONNECT_ROLE, ())),
    )

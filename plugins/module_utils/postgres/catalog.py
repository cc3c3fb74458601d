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
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Secret
from ansible_collections.dcm.platform.plugins.module_utils.guild import GuildNames
from ansible_collections.dcm.platform.plugins.module_utils.postgres.acl import PUBLIC, Privileges, privileges
from ansible_collections.dcm.platform.plugins.module_utils.postgres.client import Session
from ansible_collections.dcm.platform.plugins.module_utils.postgres.model import (
    CONNECT_ROLE,
    CREATOR_PREFIX,
    DATABASE_OWNER_ROLE,
    EXTENSIONS_SCHEMA,
    FIRST_WITH_GRANT_OPTIONS,
    FUNCTIONS,
    LARGE_OBJECTS,
    MIGRATOR_ROLE,
    OWNERS_ROLE,
    SCHEMAS,
    SEQUENCES,
    SHARED_ROLES,
    TABLES,
    TYPES,
    Catalog,
    DatabaseState,
    Doors,
    GuildState,
    Membership,
    Role,
    Routine,
    SchemaObject,
    Scope,
    builtin_default_privileges,
    object_privileges,
)

T = TypeVar("T")

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
# Default privileges write the same everywhere, so that there is about one group a guild.
_OBJECT_GROUPS = """
SELECT relnamespace, CASE relkind WHEN 'S' THEN 'SEQUENCES' ELSE 'TABLES' END, pg_catalog.pg_get_userbyid(relowner),
       relacl::text[], FALSE
  FROM pg_catalog.pg_class WHERE relnamespace = ANY(%s::oid[]) AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
 GROUP BY relnamespace, relkind = 'S', 2, relowner, relacl
UNION ALL
SELECT pronamespace, 'FUNCTIONS', pg_catalog.pg_get_userbyid(proowner), proacl::text[], FALSE
  FROM pg_catalog.pg_proc WHERE pronamespace = ANY(%s::oid[]) GROUP BY pronamespace, proowner, proacl
UNION ALL
SELECT typnamespace, 'TYPES', pg_catalog.pg_get_userbyid(typowner), typacl::text[], FALSE
  FROM pg_catalog.pg_type t WHERE typnamespace = ANY(%s::oid[]) AND {own_type} GROUP BY typnamespace, typowner, typacl
UNION ALL
SELECT DISTINCT c.relnamespace, 'TABLES', '', NULL::text[], TRUE
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
 WHERE c.relnamespace = ANY(%s::oid[]) AND a.attacl IS NOT NULL
"""
# Without those that PostgreSQL makes for a table or another type, and that follow it.
_OWN_TYPE = """
typtype <> 'm' AND NOT EXISTS (SELECT FROM pg_catalog.pg_type e WHERE e.typarray = t.oid)
  AND (typrelid = 0 OR EXISTS (SELECT FROM pg_catalog.pg_class r WHERE r.oid = typrelid AND r.relkind = 'c'))
"""
_OBJECTS = """
SELECT relnamespace, CASE relkind WHEN 'S' THEN 'SEQUENCES' ELSE 'TABLES' END, relname, NULL,
       pg_catalog.pg_get_userbyid(relowner), relacl::text[],
       ARRAY(SELECT i::text FROM pg_catalog.pg_attribute a, pg_catalog.unnest(a.attacl) i WHERE a.attrelid = c.oid),
       EXISTS (SELECT FROM pg_catalog.pg_depend WHERE classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                  AND objid = c.oid AND refobjsubid > 0 AND deptype IN ('a', 'i'))
  FROM pg_catalog.pg_class c WHERE relnamespace = ANY(%s::oid[]) AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
UNION ALL
SELECT pronamespace, 'FUNCTIONS', proname, pg_catalog.pg_get_function_identity_arguments(oid),
       pg_catalog.pg_get_userbyid(proowner), proacl::text[], NULL, FALSE
  FROM pg_catalog.pg_proc WHERE pronamespace = ANY(%s::oid[])
UNION ALL
SELECT typnamespace, 'TYPES', typname, NULL, pg_catalog.pg_get_userbyid(typowner), typacl::text[], NULL, FALSE
  FROM pg_catalog.pg_type t WHERE typnamespace = ANY(%s::oid[]) AND {own_type}
 ORDER BY 1, 2, 3, 4
"""
# Advisory locks fill the lock table of the whole server, large objects its disk, messages its log.
_PUBLIC_ROUTINES = "pg_(try_)?advisory_.*|pg_logical_emit_message"
_LARGE_OBJECT_ROUTINES = "lo_(create|creat|from_bytea|put|open|truncate|truncate64|get|unlink)|lowrite"
_DATABASE = """
WITH routine AS (
  SELECT n.nspname::text AS schema, p.proname::text AS name,
         pg_catalog.pg_get_function_identity_arguments(p.oid) AS arguments,
         ARRAY(SELECT CASE a.grantee WHEN 0 THEN 'public' ELSE pg_catalog.pg_get_userbyid(a.grantee) END
                 FROM pg_catalog.aclexplode(COALESCE(p.proacl, pg_catalog.acldefault('f', p.proowner))) a
                WHERE a.grantee = 0 OR pg_catalog.pg_get_userbyid(a.grantee) IN ('guild_connect', 'guild_owners')
              ) AS grantees
    FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
   WHERE n.nspname = 'extensions' OR (n.nspname = 'pg_catalog' AND p.proname ~ %s)
)
SELECT d.oid, COALESCE(d.datacl, pg_catalog.acldefault('d', d.datdba))::text[],
       ARRAY(SELECT ARRAY[r.schema, r.name, r.arguments, pg_catalog.array_to_string(r.grantees, ',')]
               FROM routine r ORDER BY 1),
       (SELECT COALESCE(lanacl, pg_catalog.acldefault('l', lanowner))::text[]
          FROM pg_catalog.pg_language WHERE lanname = 'plpgsql'),
       (SELECT relacl::text[] FROM pg_catalog.pg_class WHERE oid = 'pg_catalog.pg_largeobject_metadata'::regclass),
       ARRAY(SELECT o.datname::text FROM pg_catalog.pg_database o
              WHERE o.datallowconn AND o.oid <> d.oid AND EXISTS (
                SELECT FROM pg_catalog.aclexplode(COALESCE(o.datacl, pg_catalog.acldefault('d', o.datdba))) a
                 WHERE a.grantee = 0)
              ORDER BY 1)
  FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()
"""
SERVERS_DATABASES = ("postgres", "template1")
# Creators that we may become, and how many roles each of them has.
_CREATORS = f"""
SELECT r.rolname, (SELECT pg_catalog.count(*) FROM pg_catalog.pg_auth_members o WHERE o.member = r.oid)
  FROM pg_catalog.pg_roles r JOIN pg_catalog.pg_auth_members m ON m.roleid = r.oid
 WHERE pg_catalog.starts_with(r.rolname::text, '{CREATOR_PREFIX}') AND r.rolcreaterole AND m.admin_option
   AND pg_catalog.pg_get_userbyid(m.member) = SESSION_USER
 ORDER BY 2 DESC, 1
"""
_TABLES = """
SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = %s AND c.relkind IN ('r', 'p') ORDER BY 1
"""
_NAMED = """
SELECT 'schemas', nspname FROM pg_catalog.pg_namespace WHERE pg_catalog.starts_with(nspname::text, %s)
UNION ALL
SELECT 'roles', rolname FROM pg_catalog.pg_roles WHERE pg_catalog.starts_with(rolname::text, %s)
 ORDER BY 1, 2
"""
_SIZES = """
SELECT n.nspname, pg_catalog.sum(pg_catalog.pg_total_relation_size(c.oid))::bigint
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = ANY(%s::name[]) AND c.relkind IN ('r', 'm', 'S') GROUP BY 1
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
    creators: dict[str, str]
    objects: dict[int, list[SchemaObject]]

    def __post_init__(self) -> None:
        self.member_of = _grouped((row.member, row) for row in self.memberships)
        self.members = _grouped((row.role, row) for row in self.memberships)


def read_catalog(
    session: Session,
    guilds: Sequence[GuildNames],
    *,
    whole: bool,
    objects: bool = True,
    suspended: Sequence[GuildNames] = (),
    removed: Sequence[GuildNames] = (),
    harmless: Sequence[str] = (),
) -> Catalog:
    """Read the guilds' state, inside a transaction.

    ``whole``: the database's, too; ``objects``: that of what is in the schemas, too. ``suspended`` and ``removed`` are
    those of the guilds whose sessions count; of the latter what depends on them elsewhere counts, too. ``harmless`` are
    the names of routines of extensions that guilds may call when the database is hardened.
    """
    rows = _read_rows(session, guilds, objects)
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
    ((oid, acl, *hardening),) = session.rows(_DATABASE, [f"^({_PUBLIC_ROUTINES}|{_LARGE_OBJECT_ROUTINES})$"])
    grantees = {PUBLIC, *SHARED_ROLES, *(role for names in guilds for role in names.roles.values())}
    state = _database(rows, privileges(acl), grantees)
    return Catalog(states, _with_doors(state, hardening, harmless), oid, foreign, dependents)


def read_sessions(session: Session, logins: Iterable[str]) -> dict[str, int]:
    """How many sessions each of these logins has, where it has any."""
    return dict(session.rows(_SESSIONS, [_array(logins)]))


def read_creators(session: Session) -> dict[str, int]:
    """How many roles each creator has that we may become, the fullest first."""
    return dict(session.rows(_CREATORS))


def read_named(session: Session, prefix: str) -> list[tuple[str, str]]:
    """Schemas of the database and roles of the server that start with the prefix: their kind and name."""
    return list(session.rows(_NAMED, [prefix, prefix]))


def read_sizes(session: Session, schemas: Iterable[str]) -> dict[str, int]:
    """Bytes on disk by schema, indexes and everything included, where there is anything."""
    return dict(session.rows(_SIZES, [_array(schemas)]))


def read_tables(session: Session, schema: str) -> list[str]:
    """The names of the tables in a schema."""
    return [name for (name,) in session.rows(_TABLES, [schema])]


def _read_rows(session: Session, guilds: Sequence[GuildNames], objects: bool) -> _Rows:
    names = [role for guild in guilds for role in guild.roles.values()]
    catalog, verifier = ("pg_authid", "rolpassword") if session.superuser else ("pg_roles", "NULL")
    found = session.rows(_ROLES.format(catalog=catalog, verifier=verifier), [_array([*names, *SHARED_ROLES])])
    roles = {row[1]: row for row in found}
    guild_oids = [roles[name][0] for name in names if name in roles]
    shared_oids = {name: roles[name][0] for name in SHARED_ROLES if name in roles}
    migrator = [oid for name, oid in shared_oids.items() if name == MIGRATOR_ROLE]
    members = guild_oids + [oid for name, oid in shared_oids.items() if name != MIGRATOR_ROLE]
    owner_oids = _array(roles[guild.owner][0] for guild in guilds if guild.owner in roles)
    options = "inherit_option, set_option" if session.version >= FIRST_WITH_GRANT_OPTIONS else "FALSE, FALSE"
    memberships = session.rows(_MEMBERSHIPS.format(options=options), [_array(members), _array(guild_oids)])
    administrators = {row[1] for row in found if row[5] or row[6]}.difference(names)
    schema_names = [*(guild.schema for guild in guilds), PUBLIC_SCHEMA, EXTENSIONS_SCHEMA]
    schemas = {row[1]: row for row in session.rows(_SCHEMAS, [_array(schema_names)])}
    return _Rows(
        roles=roles,
        schemas=schemas,
        settings=_settings(session.rows(_SETTINGS, [_array([EVERYTHING, *guild_oids, *migrator])])),
        memberships=[_membership(row) for row in memberships if not _is_creators(row, administrators)],
        default_privileges=_default_privileges(session.rows(_DEFAULT_PRIVILEGES, [owner_oids])),
        creators={
            row[0]: row[1]
            for row in memberships
            if session.server.needs_creators and _is_creators(row, administrators) and row[1].startswith(CREATOR_PREFIX)
        },
        objects=_read_objects(session, {schemas[one.schema][0]: one for one in guilds if one.schema in schemas})
        if objects
        else {},
    )


def _read_objects(session: Session, guilds: Mapping[int, GuildNames]) -> dict[int, list[SchemaObject]]:
    """By the OID of the schema, the objects in it that differ from the model. Their names are read only if any does."""
    odd = {
        schema
        for schema, what, owner, acl, by_column in session.rows(
            _OBJECT_GROUPS.format(own_type=_OWN_TYPE), [_array(guilds)] * 4
        )
        if by_column or _differs(guilds[schema], what, owner, _on_object(what, owner, acl))
    }
    found: dict[int, list[SchemaObject]] = defaultdict(list)
    if not odd:
        return found
    for schema, what, name, arguments, owner, acl, columns, bound in session.rows(
        _OBJECTS.format(own_type=_OWN_TYPE), [_array(odd)] * 3
    ):
        granted = _on_object(what, owner, acl, columns or ())
        if _differs(guilds[schema], what, owner, granted):
            found[schema].append(SchemaObject(what, name, owner, granted, arguments, bound))
    return found


def _on_object(what: str, owner: str, acl: Sequence[str] | None, columns: Sequence[str] = ()) -> Privileges:
    """The privileges on an object but for its owner's, those on its columns marked as such."""
    granted = dict(builtin_default_privileges(what) if acl is None else privileges(acl))
    for grantee, words in privileges(columns).items():
        granted[grantee] = granted.get(grantee, frozenset()) | {f"{word} ON COLUMNS" for word in words}
    granted.pop(owner, None)
    return granted


def _differs(names: GuildNames, what: str, owner: str, granted: Privileges) -> bool:
    return owner != names.owner or granted != object_privileges(names)[what]


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
        creator=rows.creators.get(name),
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
        objects=tuple(rows.objects.get(oid, ())) if oid is not None else (),
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


def _database(rows: _Rows, granted: Privileges, grantees: set[str]) -> DatabaseState:
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
        memberships=tuple(row for name in SHARED_ROLES for row in rows.member_of.get(name, ())),
    )


def _with_doors(state: DatabaseState, found: Sequence[Any], harmless: Sequence[str]) -> DatabaseState:
    """The state with what only a superuser can close."""
    routines, language, large_objects, databases = found
    public = "public"  # as the query calls PUBLIC; no role may have that name
    groups = {public, CONNECT_ROLE, OWNERS_ROLE}
    by_grantees = [(Routine(*one), set(grantees.split(","))) for *one, grantees in routines]
    extensions = [(one, grantees) for one, grantees in by_grantees if one.schema == EXTENSIONS_SCHEMA]
    trusted = {PUBLIC, CONNECT_ROLE, OWNERS_ROLE, DATABASE_OWNER_ROLE}
    return replace(
        state,
        doors=Doors(
            routines=tuple(o for o, grantees in by_grantees if o.schema != EXTENSIONS_SCHEMA and groups & grantees),
            extensions=tuple(
                one
                for one, grantees in extensions
                if public in grantees or (one.name not in harmless and groups & grantees)
            ),
            missing=tuple(
                one for one, grantees in extensions if one.name in harmless and grantees != {CONNECT_ROLE, OWNERS_ROLE}
            ),
            large_objects=PUBLIC in privileges(large_objects or ()),
            databases=tuple(name for name in databases if name in SERVERS_DATABASES),
        ),
        language_privileges={who: words for who, words in privileges(language or ()).items() if who in trusted},
        other_databases=tuple(name for name in databases if name not in SERVERS_DATABASES),
    )

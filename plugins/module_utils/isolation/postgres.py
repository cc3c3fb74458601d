# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Attacks of one guild's logins on another guild in PostgreSQL, and their outcome. Data only.

Rows are those of the model's table of attacks. ``model`` is what ``pg_guild_schema`` makes, ``hardened`` what it makes
where a superuser has taken from everybody what only a superuser can. Nothing an attack does stays, not even where it
succeeds: what runs is rolled back, and what cannot be is aimed at what the server refuses after it has looked at the
rights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["allow", "deny", "either"]
Login = Literal["app", "ro"]
How = Literal["rolled back", "read only", "alone", "connect"]

INSUFFICIENT_PRIVILEGE, UNDEFINED_TABLE = "42501", "42P01"
READ_ONLY, NO_SUCH_DATABASE, NO_SUCH_DIRECTORY = "25006", "3D000", "58P01"


@dataclass(frozen=True)
class Attack:
    """One attack by ``login``.

    ``statement`` runs after ``before``, all in one transaction (``how``); in them ``{own}`` and ``{other}`` stand for
    the two schemas, ``{own_app}`` and so on for roles, ``{other_table}`` and so on for one object of the other guild.
    With ``effect``, what counts is the value of that query: nothing, or what the attacker gained.
    It is denied with one of the SQLSTATEs ``denied``, and allowed if it runs or ends with one of ``allowed``.
    ``how`` "connect": ``statement`` is the name of another database. ``before_16``: the outcome up to PostgreSQL 15.
    ``title`` describes what has no telling statement.
    """

    row: str
    statement: str
    model: Outcome = "deny"
    hardened: Outcome = "deny"
    login: Login = "app"
    before: tuple[str, ...] = ()
    effect: str = ""
    how: How = "rolled back"
    denied: tuple[str, ...] = (INSUFFICIENT_PRIVILEGE,)
    allowed: tuple[str, ...] = ()
    before_16: Outcome | None = None
    title: str = ""

    @property
    def name(self) -> str:
        """The attack for a person."""
        if self.how == "connect":
            return f"connect to database {self.statement}"
        return self.title or "; ".join((*self.before, self.statement))

    def expected(self, level: Literal["model", "hardened"], version: int) -> Outcome:
        """The outcome at this level, on PostgreSQL of this major version."""
        if self.before_16 is not None and version < 16:
            return self.before_16
        return self.hardened if level == "hardened" else self.model


# One object of a guild for attacks to aim at: a query for its schema-qualified name in two columns, and more for some.
TARGETS: Mapping[str, str] = {
    "table": """
        SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = %s AND c.relkind IN ('r', 'p') ORDER BY c.relname LIMIT 1""",
    "sequence": """
        SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = %s AND c.relkind = 'S' ORDER BY c.relname LIMIT 1""",
    "function": """
        SELECT n.nspname, p.proname FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
         WHERE n.nspname = %s AND p.prokind = 'f' AND p.prorettype <> 'pg_catalog.trigger'::pg_catalog.regtype
         ORDER BY p.pronargs, p.proname LIMIT 1""",
    "type": """
        SELECT n.nspname, t.typname FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
         WHERE n.nspname = %s AND t.typtype IN ('e', 'd') ORDER BY t.typname LIMIT 1""",
}

_OF_OTHER = "(SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = {other_name})"
# What was granted on any object of the other guild, whether by name, to PUBLIC, or through a role. A CASE keeps
# PostgreSQL from asking about what is no sequence.
GRANTS: Mapping[str, str] = {
    "rights on any table of the other guild": f"""
        SELECT pg_catalog.string_agg(relname, ', ') FROM pg_catalog.pg_class
         WHERE relnamespace = {_OF_OTHER} AND relkind IN ('r', 'p', 'v', 'm', 'f')
           AND (pg_catalog.has_table_privilege(oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
                OR pg_catalog.has_any_column_privilege(oid, 'SELECT, INSERT, UPDATE, REFERENCES'))""",
    "rights on any sequence of the other guild": f"""
        SELECT pg_catalog.string_agg(relname, ', ') FROM pg_catalog.pg_class
         WHERE relnamespace = {_OF_OTHER}
           AND CASE WHEN relkind = 'S' THEN pg_catalog.has_sequence_privilege(oid, 'SELECT, USAGE, UPDATE') END""",
    "rights on any function of the other guild": f"""
        SELECT pg_catalog.string_agg(proname, ', ') FROM pg_catalog.pg_proc
         WHERE pronamespace = {_OF_OTHER} AND pg_catalog.has_function_privilege(oid, 'EXECUTE')""",
    "rights on the schema of the other guild": """
        SELECT NULLIF(pg_catalog.has_schema_privilege({other_name}, 'USAGE, CREATE'), false)""",
    "membership in any role of the other guild": """
        SELECT pg_catalog.string_agg(rolname, ', ') FROM pg_catalog.pg_roles
         WHERE rolname IN ({other_owner_name}, {other_app_name}, {other_ro_name})
           AND pg_catalog.pg_has_role(oid, 'MEMBER')""",
}

ON_TABLES = (
    "SELECT * FROM {other_table}",
    "INSERT INTO {other_table} DEFAULT VALUES",
    "DELETE FROM {other_table}",
    "TRUNCATE {other_table}",
    "LOCK TABLE {other_table} IN ACCESS SHARE MODE",
    "EXPLAIN SELECT * FROM {other_table}",
    "COPY {other_table} TO STDOUT",
)
IN_SCHEMA = (
    "SELECT {other_function}()",
    "SELECT NULL::{other_type}",
    "CREATE TABLE {other}.dcm_check (id int)",
    "DROP TABLE {other_table}",
    "ALTER TABLE {other_table} DISABLE TRIGGER ALL",
    "ALTER SCHEMA {other} RENAME TO dcm_check",
    "COMMENT ON SCHEMA {other} IS 'dcm check'",
)
ON_SEQUENCES = (
    "SELECT pg_catalog.nextval({other_sequence_name}::pg_catalog.oid)",
    "SELECT pg_catalog.setval({other_sequence_name}::pg_catalog.oid, 1)",
    "SELECT pg_catalog.nextval({other_sequence_text})",
)
ON_OWN_STRUCTURE = (
    "TRUNCATE {own_table}",
    "DROP TABLE {own_table}",
    "ALTER TABLE {own_table} ADD COLUMN dcm_check int",
    "CREATE TRIGGER dcm_check BEFORE INSERT ON {own_table} EXECUTE FUNCTION pg_catalog.tsvector_update_trigger()",
    "CREATE TABLE {own}.dcm_check (id int)",
    "CREATE VIEW {own}.dcm_check AS SELECT * FROM {other_table}",
    "CREATE FUNCTION {own}.dcm_check() RETURNS int LANGUAGE sql RETURN 1",
    "DROP SCHEMA {own} CASCADE",
)
ROLES = (
    "SET ROLE {other_app}",
    "SET ROLE {other_ro}",
    "SET ROLE {other_owner}",
    "SET ROLE {own_owner}",
    "SET ROLE guild_migrator",
    "SET SESSION AUTHORIZATION {other_app}",
)
ESCALATIONS = (
    "GRANT {other_app} TO {own_app}",
    "GRANT {other_owner} TO {own_app}",
    "GRANT pg_read_all_data TO {own_app}",
    "GRANT guild_connect TO {own_owner}",
    "CREATE ROLE dcm_check",
    "ALTER ROLE {other_app} CONNECTION LIMIT 0",
    "ALTER ROLE {other_app} SET search_path = public",
    "ALTER ROLE {own_app} CONNECTION LIMIT 100",
    "ALTER ROLE {own_app} CREATEDB",
    "DROP ROLE {other_app}",
    "ALTER DEFAULT PRIVILEGES FOR ROLE {own_owner} GRANT SELECT ON TABLES TO {other_app}",
    "ALTER DEFAULT PRIVILEGES FOR ROLE {other_owner} GRANT SELECT ON TABLES TO {own_app}",
    "REASSIGN OWNED BY {other_owner} TO {own_app}",
)
SERVERS_SECRETS = (
    "SELECT rolpassword FROM pg_catalog.pg_authid",
    "SELECT * FROM pg_catalog.pg_shadow",
    "SELECT * FROM pg_catalog.pg_largeobject",
    "SELECT * FROM pg_catalog.pg_statistic",
    "SELECT * FROM pg_catalog.pg_hba_file_rules",
    "SHOW data_directory",
)
CREATIONS = (
    "CREATE TABLE public.dcm_check (id int)",
    "CREATE FUNCTION public.dcm_check() RETURNS int LANGUAGE sql RETURN 1",
    "CREATE TABLE extensions.dcm_check (id int)",
    "CREATE FUNCTION extensions.dcm_check() RETURNS int LANGUAGE sql RETURN 1",
    "CREATE SCHEMA dcm_check",
)
# Aimed at what is not there: that is found out only after the right was found.
CREATIONS_ALONE = (
    "CREATE DATABASE dcm_check TEMPLATE dcm_no_such_database",
    "CREATE TABLESPACE dcm_check LOCATION '/dcm-no-such-directory'",
)
TEMPORARY = (
    "CREATE TEMPORARY TABLE dcm_check (id int)",
    "CREATE FUNCTION pg_temp.dcm_check() RETURNS int LANGUAGE sql RETURN 1",
)
SERVER_OBJECTS = (
    "CREATE LANGUAGE dcm_check HANDLER plpgsql_call_handler",
    "CREATE FUNCTION {own}.dcm_check() RETURNS int LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_call_handler'",
    "CREATE PUBLICATION dcm_check",
    "CREATE PUBLICATION dcm_check FOR TABLE {other_table}",
    "CREATE CAST (pg_catalog.int4 AS pg_catalog.bytea) WITHOUT FUNCTION",
)
FILES = (
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "COPY (SELECT 1) TO '/dev/null'",
    "SELECT pg_catalog.pg_read_file('PG_VERSION')",
    "SELECT pg_catalog.pg_ls_dir('.')",
    "SELECT pg_catalog.lo_import('/dev/null')",
    "LOAD 'plpgsql'",
)
SHARED_RESOURCES = (
    ("D1", "SELECT pg_catalog.pg_try_advisory_xact_lock(4711)"),
    ("D3", "SELECT pg_catalog.lo_create(0)"),
    ("D3", "SELECT pg_catalog.pg_logical_emit_message(true, 'dcm', '')"),
)
MERE_DEFAULTS = (
    ("B5", "ALTER ROLE {own_app} SET statement_timeout = 0"),
    ("B5", "ALTER ROLE {own_app} SET search_path = public"),
    ("B5", "ALTER ROLE {own_app} PASSWORD NULL"),
    ("D4", "NOTIFY dcm_check"),
    ("D4", "LISTEN dcm_check"),
    ("D6", "SET statement_timeout = 0"),
    ("D6", "SET work_mem = '2GB'"),
)
# Denials of these are warnings that change nothing, so what counts is what the other guild has afterwards.
PASSED_ON = (
    (
        "GRANT SELECT ON {own_table} TO {other_app}",
        "SELECT NULLIF(pg_catalog.has_table_privilege({other_app_name}, {own_table_text}, 'SELECT'), false)",
    ),
    (
        "GRANT USAGE ON SCHEMA {own} TO {other_app}",
        "SELECT NULLIF(pg_catalog.has_schema_privilege({other_app_name}, {own_name}, 'USAGE'), false)",
    ),
)
INSIGHTS: Mapping[str, str] = {
    "statistics of the other guild's columns": """
        SELECT pg_catalog.string_agg(DISTINCT tablename, ', ') FROM pg_catalog.pg_stats
         WHERE schemaname = {other_name}""",
    "where the other guild's sequences stand": """
        SELECT pg_catalog.string_agg(sequencename, ', ') FROM pg_catalog.pg_sequences
         WHERE schemaname = {other_name} AND last_value IS NOT NULL""",
    "what the other guild's sessions ask": """
        SELECT NULLIF(pg_catalog.bool_or(query <> '<insufficient privilege>'), false)
          FROM pg_catalog.pg_stat_activity WHERE pid = {other_session}""",
}
RISKS: tuple[tuple[str, str, str], ...] = (
    (
        "C10",
        "reach other servers through an extension",
        "SELECT pg_catalog.string_agg(extname, ', ') FROM pg_catalog.pg_extension WHERE extname"
        " IN ('dblink', 'postgres_fdw', 'file_fdw', 'plpython3u', 'plperlu', 'pltclu', 'pg_cron')",
    ),
    (
        "D7",
        "have sessions without limit",
        "SELECT NULLIF(rolconnlimit < 0, false) FROM pg_catalog.pg_roles WHERE rolname = current_user",
    ),
    (
        "D8",
        "leave prepared transactions behind",
        "SELECT NULLIF(pg_catalog.current_setting('max_prepared_transactions')::int > 0, false)",
    ),
)

ATTACKS: tuple[Attack, ...] = (
    *(Attack("A1", statement) for statement in ON_TABLES),
    Attack("A1", "SELECT * FROM {other_table}", login="ro"),
    Attack(
        "A2",
        "SELECT * FROM {other_table_alone}",
        before=("SET LOCAL search_path = {other}",),
        denied=(UNDEFINED_TABLE, INSUFFICIENT_PRIVILEGE),
    ),
    *(Attack("A3", statement, how="read only", allowed=(READ_ONLY,)) for statement in ON_SEQUENCES),
    *(Attack("A3", statement) for statement in IN_SCHEMA),
    *(Attack("A4", statement) for statement in ON_OWN_STRUCTURE),
    Attack("A5", "INSERT INTO {own_table} DEFAULT VALUES", login="ro", before=("SET TRANSACTION READ WRITE",)),
    Attack("A5", "DELETE FROM {own_table}", login="ro", before=("SET TRANSACTION READ WRITE",)),
    *(Attack("B1", statement) for statement in ROLES),
    Attack("B1", "SET ROLE {own_ro}"),
    Attack("B1", "SET ROLE {own_app}", login="ro"),
    Attack("B2", "SET ROLE guild_connect", before_16="allow"),
    *(Attack("B3", statement) for statement in ESCALATIONS),
    *(Attack("B4", statement, effect=effect) for statement, effect in PASSED_ON),
    *(Attack("B6", statement) for statement in SERVERS_SECRETS),
    *(Attack("C1", statement) for statement in CREATIONS),
    *(
        Attack("C1", statement, how="alone", allowed=(NO_SUCH_DATABASE, NO_SUCH_DIRECTORY))
        for statement in CREATIONS_ALONE
    ),
    *(Attack("C2", statement) for statement in TEMPORARY),
    *(Attack("C7", statement) for statement in SERVER_OBJECTS),
    Attack("C8", "DO $$ BEGIN END $$", model="allow"),
    *(Attack("C9", statement) for statement in FILES),
    # What pg_hba.conf says is not the module's affair.
    Attack("C11", "postgres", model="either", how="connect"),
    Attack("C11", "template1", model="either", how="connect"),
    *(Attack(row, statement, model="allow") for row, statement in SHARED_RESOURCES),
    *(Attack(row, statement, model="allow", hardened="allow") for row, statement in MERE_DEFAULTS),
    Attack("D8", "SELECT pg_catalog.pg_cancel_backend({other_session})"),
    *(Attack(row, "", effect=effect, title=title) for row, title, effect in RISKS),
    *(Attack("E2", "", effect=effect, title=title) for title, effect in INSIGHTS.items()),
    *(Attack("F1", "", effect=effect, title=title) for title, effect in GRANTS.items()),
    *(Attack("F1", "", effect=effect, title=title, login="ro") for title, effect in GRANTS.items()),
    # The model must not be a prison: this is a guild's ordinary work.
    Attack("F2", "SELECT * FROM {own_table}", model="allow", hardened="allow"),
    Attack("F2", "DELETE FROM {own_table} WHERE false", model="allow", hardened="allow"),
    Attack("F2", "SELECT * FROM {own_table}", model="allow", hardened="allow", login="ro"),
)

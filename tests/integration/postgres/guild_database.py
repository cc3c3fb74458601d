# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Databases for tests of guild isolation: real servers, looked at with psycopg2 and never through the collection."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2 import sql

from tests import waiting
from tests.sandbox.lab import Lab
from tests.sandbox.service import Settings
from tests.sandbox.services.postgres import VERSIONS, wheel_programs

PROGRAMS = {"15": Path("/usr/lib/postgresql/15/bin"), **{version: wheel_programs(version) for version in VERSIONS}}
MODULE = "dcm.platform.pg_guild_schema"
PATIENCE = 20.0  # seconds

# Every row the module could write, with the number of the transaction that wrote it.
CATALOGS = {
    "pg_authid": "SELECT xmin, t::text FROM pg_authid t",
    "pg_auth_members": "SELECT xmin, t::text FROM pg_auth_members t",
    "pg_db_role_setting": "SELECT xmin, t::text FROM pg_db_role_setting t",
    "pg_database": "SELECT datname, datacl::text FROM pg_database",
    "pg_namespace": "SELECT xmin, t::text FROM pg_namespace t WHERE nspname NOT LIKE 'pg\\_t%'",
    "pg_default_acl": "SELECT xmin, t::text FROM pg_default_acl t",
    "pg_shdepend": "SELECT t::text FROM pg_shdepend t",
    "pg_class": "SELECT count(*)::text FROM pg_class WHERE relnamespace::regnamespace::text NOT LIKE 'pg\\_t%'",
}
# The same as people mean it: without grantors, and without what PostgreSQL gives the creator of a role.
MODEL = {
    "roles": """
        SELECT rolname, rolcanlogin, rolinherit, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls,
               rolconnlimit, NULLIF(rolvaliduntil, 'infinity')::text FROM pg_roles WHERE rolname ~ '^g_|^guild_'""",
    "settings": """
        SELECT setrole::regrole::text, setdatabase > 0, unnest(setconfig) FROM pg_db_role_setting""",
    "members": """
        SELECT DISTINCT roleid::regrole::text, member::regrole::text,
               to_jsonb(m) - 'oid' - 'grantor' - 'roleid' - 'member'
          FROM pg_auth_members m
         WHERE NOT (admin_option AND member::regrole::text ~ '^(provisioner$|guild_creator_)')""",
    "schemas": """
        SELECT nspname, nspowner::regrole::text, a.grantee::regrole::text, a.privilege_type, a.is_grantable
          FROM pg_namespace, aclexplode(COALESCE(nspacl, acldefault('n', nspowner))) a WHERE nspname ~ '^g_'""",
    "default privileges": """
        SELECT defaclrole::regrole::text, defaclnamespace::regnamespace::text, defaclobjtype::text,
               a.grantee::regrole::text, a.privilege_type, a.is_grantable
          FROM pg_default_acl, aclexplode(defaclacl) a""",
}
# Objects in guilds' schemas and the privileges on them.
OBJECTS = """
    SELECT o.schema, o.kind, o.relname, o.owner, a.grantee::regrole::text, a.privilege_type, a.is_grantable FROM (
      SELECT relnamespace::regnamespace::text AS schema, 'r' AS kind, relname::text, relowner::regrole::text AS owner,
             COALESCE(relacl, acldefault(CASE relkind WHEN 'S' THEN 's'::"char" ELSE 'r' END, relowner)) AS acl
        FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'S')
      UNION ALL SELECT c.relnamespace::regnamespace::text, 'column', relname || '.' || attname, '', attacl
                  FROM pg_attribute JOIN pg_class c ON c.oid = attrelid WHERE attacl IS NOT NULL
      UNION ALL SELECT pronamespace::regnamespace::text, 'f', proname, proowner::regrole::text,
                       COALESCE(proacl, acldefault('f', proowner)) FROM pg_proc
      UNION ALL SELECT typnamespace::regnamespace::text, 'T', typname, typowner::regrole::text,
                       COALESCE(typacl, acldefault('T', typowner)) FROM pg_type
                 WHERE typname IN ('mood', 'pair')
    ) o, aclexplode(o.acl) a WHERE o.schema ~ '^g_[0-9]+$' ORDER BY 1, 2, 3, 4, 5, 6, 7
"""
# All that is left of a guild anywhere; the first parameter is the schema's name as a pattern.
TRACES = """
    SELECT 'schema ' || nspname || ' ' || nspacl::text FROM pg_namespace WHERE nspname ~ %(of)s
    UNION ALL SELECT 'role ' || t::text FROM pg_authid t WHERE rolname ~ %(of)s
    UNION ALL SELECT 'setting ' || setrole::regrole || ' ' || setconfig::text FROM pg_db_role_setting
               WHERE setrole::regrole::text ~ %(of)s
    UNION ALL SELECT 'member ' || roleid::regrole || ' ' || member::regrole FROM pg_auth_members
               WHERE roleid::regrole::text ~ %(of)s OR member::regrole::text ~ %(of)s
    UNION ALL SELECT 'default ' || defaclrole::regrole || ' ' || defaclacl::text FROM pg_default_acl
               WHERE defaclrole::regrole::text ~ %(of)s OR defaclacl::text ~ %(of)s
    UNION ALL SELECT 'shared ' || pg_describe_object(classid, objid, 0) || ' ' || refobjid::regrole FROM pg_shdepend
               WHERE refclassid = 'pg_authid'::regclass AND refobjid::regrole::text ~ %(of)s
                 AND dbid IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
    UNION ALL SELECT 'relation ' || oid::regclass || ' ' || relacl::text FROM pg_class
               WHERE relnamespace::regnamespace::text ~ %(of)s
    UNION ALL SELECT 'large object ' || oid FROM pg_largeobject_metadata WHERE lomowner::regrole::text ~ %(of)s
    ORDER BY 1
"""


eventually = functools.partial(waiting.eventually, within=PATIENCE)


class Login:
    """A connection in which every statement is a transaction of its own."""

    def __init__(self, **connection: Any) -> None:
        self._connection = psycopg2.connect(**connection)
        self._connection.autocommit = True

    def __enter__(self) -> Login:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def execute(self, statement: str | sql.Composable, *parameters: Any) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(statement, parameters or None)

    def rows(self, query: str | sql.Composable, *parameters: Any) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(query, parameters or None)
            return list(cursor.fetchall())

    def value(self, query: str, *parameters: Any) -> Any:
        """The one value that the query returns."""
        ((value,),) = self.rows(query, *parameters)
        return value


class GuildDatabase:
    """A database, its administrator (``options`` of the module), and a superuser who looks at it."""

    def __init__(self, server: Settings, name: str, administrator: str) -> None:
        self.server = server
        self.name = name
        self.administrator = administrator
        self.options = {
            "login_host": server["host"],
            "login_port": server["port"],
            "login_user": server[administrator]["user"],
            "login_password": server[administrator]["password"],
            "login_db": name,
        }
        self.superuser = self.login(**server["superuser"])

    def login(self, user: str, password: str, database: str | None = None) -> Login:
        """A connection to this database or another."""
        return Login(
            host=self.server["host"],
            port=self.server["port"],
            user=user,
            password=password,
            dbname=database or self.name,
        )

    def execute(self, statement: str, *, as_superuser: bool) -> None:
        """As the superuser, or as the administrator."""
        if as_superuser:
            self.superuser.execute(statement)
        else:
            with self.login(**self.server[self.administrator]) as administrator:
                administrator.execute(statement)

    def as_creator(self, role: str, statement: str) -> None:
        """As the role's creator, which the administrator becomes for that; as itself where it made the role."""
        query = """SELECT member::regrole::text FROM pg_auth_members WHERE roleid = %s::regrole AND admin_option"""
        creators = self.superuser.rows(query, role)
        with self.login(**self.server["superuser"]) as superuser:
            superuser.execute(f"SET SESSION AUTHORIZATION {creators[0][0] if creators else self.options['login_user']}")
            superuser.execute(statement)

    def value(self, query: str, *parameters: Any) -> Any:
        return self.superuser.value(query, *parameters)

    def schemas(self) -> dict[str, str]:
        """Owner by name, of guilds' schemas."""
        query = "SELECT nspname, nspowner::regrole::text FROM pg_namespace WHERE nspname ~ %s AND nspname !~ '^pg_'"
        return dict(self.superuser.rows(query, "^[a-z_]+[0-9]+$"))

    def role(self, name: str) -> dict[str, Any]:
        query = (
            "SELECT rolcanlogin, rolinherit, rolconnlimit, rolpassword IS NOT NULL FROM pg_authid WHERE rolname = %s"
        )
        (row,) = self.superuser.rows(query, name)
        return dict(zip(("login", "inherit", "limit", "password"), row, strict=True))

    def catalogs(self) -> dict[str, list[tuple[Any, ...]]]:
        """Everything, to the byte."""
        return {name: sorted(self.superuser.rows(query), key=str) for name, query in CATALOGS.items()}

    def model(self) -> dict[str, list[tuple[Any, ...]]]:
        """What the model is about, in a form in which the order and the grantor of a grant do not matter."""
        return {name: sorted(self.superuser.rows(query), key=str) for name, query in MODEL.items()}

    def objects(self) -> list[tuple[Any, ...]]:
        """What is in the schemas of guilds: whose it is and who may do what with it, whoever granted it."""
        return self.superuser.rows(OBJECTS)

    def traces(self, schema: str) -> list[str]:
        """All there is of the guild with this schema."""
        with self.superuser._connection.cursor() as cursor:
            cursor.execute(TRACES, {"of": rf"\m{schema}(_owner|_app|_ro)?\M"})
            return [row[0] for row in cursor.fetchall()]

    def migrator(self) -> Login:
        """The login for migrations, with a password from now on."""
        password = secrets.token_urlsafe(16)
        self.superuser.execute("SET log_statement = 'none'")
        self.superuser.execute("ALTER ROLE guild_migrator PASSWORD %s", password)
        return self.login("guild_migrator", password)

    def migrate(self, schema: str, *statements: str) -> None:
        """Run statements as the owner of the schema, as a migration does."""
        with self.migrator() as migrator:
            migrator.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(f"{schema}_owner")))
            migrator.execute(sql.SQL("SET search_path = {}").format(sql.Identifier(schema)))
            for statement in statements:
                migrator.execute(statement)

    @contextlib.contextmanager
    def statements(self, module: str = MODULE) -> Iterator[list[str]]:
        """Collects every statement that the module sends meanwhile, from the server's log."""
        self.superuser.execute(f"ALTER DATABASE {self.name} SET log_statement = 'all'")
        start = len(self.log())
        collected: list[str] = []
        yield collected
        entries = re.split(r"\n(?=[0-9]{4}-[0-9]{2}-[0-9]{2} )", self.log()[start:])
        collected += [entry for entry in entries if f"@{self.name}/{module} " in entry and "statement:" in entry]
        self.superuser.execute(f"ALTER DATABASE {self.name} RESET log_statement")

    def log(self) -> str:
        """All that the server has logged."""
        return Path(self.server["log"]).read_text(errors="replace")


class Servers:
    """PostgreSQL of several major versions, each started when it is first asked for."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._labs: dict[str, Lab] = {}

    def __enter__(self) -> Servers:
        return self

    def __exit__(self, *_: object) -> None:
        for lab in self._labs.values():
            lab.down()

    def settings(self, version: str) -> Settings:
        """The server's settings. A version that the wheel lacks is the system's; skips the test where there is none."""
        if version not in VERSIONS and not PROGRAMS[version].exists():
            pytest.skip(f"PostgreSQL {version} is not installed in {PROGRAMS[version]}")
        if version not in self._labs:
            lab = self._labs[version] = Lab(self._directory / version)
            with pytest.MonkeyPatch.context() as patch:
                patch.setitem(os.environ, "DCM_LAB_POSTGRES_BIN", str(PROGRAMS[version]))
                lab.up(["postgres"])
        return self._labs[version].settings()["postgres"]

    def restart(self, version: str, parameter: str, value: str) -> None:
        """Restart the server with another value of a parameter that only counts from its start."""
        server = self.settings(version)
        with Login(host=server["host"], port=server["port"], dbname="postgres", **server["superuser"]) as superuser:
            superuser.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(parameter), sql.Literal(value)))
            lock = Path(superuser.value("SHOW data_directory")) / "postmaster.pid"
        os.kill(int(lock.read_text().split()[0]), signal.SIGINT)
        eventually(lambda: not lock.exists(), "the server has ended")
        self._labs[version].up(["postgres"])

    @contextlib.contextmanager
    def database(self, version: str, administrator: str) -> Iterator[GuildDatabase]:
        """An empty database owned by the administrator; afterwards there is nothing of it, and no role either."""
        server = self.settings(version)
        name = f"guilds_{secrets.token_hex(4)}"
        with Login(host=server["host"], port=server["port"], dbname="postgres", **server["superuser"]) as superuser:
            superuser.execute(f"CREATE DATABASE {name} OWNER {server[administrator]['user']}")
            database = GuildDatabase(server, name, administrator)
            try:
                yield database
            finally:
                database.superuser.close()
                superuser.execute(f"DROP DATABASE {name} WITH (FORCE)")
                known = (server["superuser"]["user"], server["provisioner"]["user"])
                query = "SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_' AND rolname <> ALL (%s)"
                roles = [sql.Identifier(role) for (role,) in superuser.rows(query, list(known))]
                if roles:  # all at a time: some of them granted others
                    superuser.execute(sql.SQL("DROP ROLE {}").format(sql.SQL(", ").join(roles)))

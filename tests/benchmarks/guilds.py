# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Guilds in PostgreSQL: one call of pg_guild_schema, hand-written SQL, and the community modules in a loop."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg2
import psycopg2.extensions
from psycopg2 import sql

from tests.benchmarks import Bench, Comparison, timed

MANY, VERY_MANY, FEW = 1000, 10_000, 250
LOOPED = 3  # guilds; the loop is measured on few and scaled: it costs the same for each
BATCH = 50  # guilds in a transaction of the hand-written script
ROLES = """
CREATE ROLE {owner} NOLOGIN NOINHERIT;
CREATE ROLE {app} LOGIN CONNECTION LIMIT 10 PASSWORD {app_verifier};
CREATE ROLE {ro} LOGIN CONNECTION LIMIT 3 PASSWORD {ro_verifier};
GRANT bench_owners TO {owner};
GRANT bench_connect TO {app}, {ro};
GRANT {owner} TO bench_migrator;
CREATE SCHEMA {schema} AUTHORIZATION {owner};
GRANT USAGE ON SCHEMA {schema} TO {app}, {ro};
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {schema} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {app};
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {schema} GRANT SELECT ON TABLES TO {ro};
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {schema} GRANT USAGE, SELECT ON SEQUENCES TO {app};
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {schema} GRANT SELECT ON SEQUENCES TO {ro};
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {schema} GRANT EXECUTE ON FUNCTIONS TO {app};
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {schema} GRANT USAGE ON TYPES TO {app}, {ro};
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} REVOKE USAGE ON TYPES FROM PUBLIC;
ALTER ROLE {app} SET search_path = {schema}, extensions, pg_temp;
ALTER ROLE {ro} SET search_path = {schema}, extensions, pg_temp;
ALTER ROLE {ro} SET default_transaction_read_only = on;
"""


def measure(bench: Bench) -> Iterator[Comparison]:
    """First and unchanged runs as a superuser, and first runs without one."""
    server = bench.settings("postgres")
    empty = bench.empty_module()
    with _database(server, "superuser"):
        raw = timed(lambda: _by_hand(server, MANY))
    with _database(server, "superuser") as name:
        looped = [bench.play(_loop(server, name)) for _run in range(2)]
    scaled = [empty + (seconds - empty) * MANY / LOOPED for seconds in looped]
    with _database(server, "superuser") as name:
        first = bench.play([_ours(server, name, "superuser", MANY)])
        unchanged = bench.play([_ours(server, name, "superuser", MANY)])
    loop = f"community modules in a loop ({LOOPED} guilds, scaled)"
    yield Comparison(f"{MANY} guilds, first run", first, {"hand-written SQL, one connection": raw, loop: scaled[0]})
    yield Comparison(f"{MANY} guilds, unchanged", unchanged, {"an empty module": empty, loop: scaled[1]})
    with _database(server, "superuser") as name:
        many = bench.play([_ours(server, name, "superuser", VERY_MANY)])
    tenfold = empty + (first - empty) * VERY_MANY / MANY
    yield Comparison(f"{VERY_MANY} guilds, first run", many, {f"{VERY_MANY // MANY} times the work of {MANY}": tenfold})
    with _database(server, "provisioner") as name:
        few = bench.play([_ours(server, name, "provisioner", FEW)])
    with _database(server, "provisioner") as name:
        provisioned = bench.play([_ours(server, name, "provisioner", MANY)])
    fourfold = empty + (few - empty) * MANY / FEW
    yield Comparison(
        f"{MANY} guilds, first run without superuser",
        provisioned,
        {"ours as a superuser": first, f"{MANY // FEW} times the work of {FEW}": fourfold},
    )


def _ours(server: dict[str, Any], database: str, administrator: str, count: int) -> dict[str, Any]:
    passwords = {str(n): {"app": f"password-app-{n}", "ro": f"password-ro-{n}"} for n in _ids(count)}
    options = {
        **_login(server, administrator),
        "login_db": database,
        "guilds": [{"id": str(n)} for n in _ids(count)],
        "passwords": json.dumps(passwords),
    }
    return {"name": "Ours", "dcm.platform.pg_guild_schema": options}


def _login(server: dict[str, Any], administrator: str) -> dict[str, Any]:
    return {
        "login_host": server["host"],
        "login_port": server["port"],
        "login_user": server[administrator]["user"],
        "login_password": server[administrator]["password"],
    }


def _ids(count: int) -> Sequence[int]:
    """Like snowflakes: what changes is in the upper bits."""
    return range(10**17, 10**17 + count * 2**22, 2**22)


def _by_hand(server: dict[str, Any], count: int) -> None:
    """The same roles, schemas and grants, a transaction a batch, verifiers made on the client one after the other."""
    with contextlib.closing(_connect(server, "bench")) as connection, connection.cursor() as cursor:
        connection.autocommit = False
        ids = _ids(count)
        for start in range(0, count, BATCH):
            statements = [_guild(connection, number) for number in ids[start : start + BATCH]]
            cursor.execute(sql.SQL("").join(statements))
            connection.commit()


def _guild(connection: psycopg2.extensions.connection, number: int) -> sql.Composed:
    names = {kind: f"raw_{number}_{kind}" for kind in ("owner", "app", "ro")}
    verifiers = {
        f"{kind}_verifier": sql.Literal(
            psycopg2.extensions.encrypt_password(f"password-{kind}-{number}", names[kind], connection, "scram-sha-256")
        )
        for kind in ("app", "ro")
    }
    identifiers = {kind: sql.Identifier(name) for kind, name in {**names, "schema": f"raw_{number}"}.items()}
    return sql.SQL(ROLES).format(**identifiers, **verifiers)


def _loop(server: dict[str, Any], database: str) -> list[dict[str, Any]]:
    """Schema, roles, grants and default privileges of a guild, a task each."""
    there = _login(server, "superuser")
    here = {**there, "login_db": database}
    schema, owner, app, ro = (f"loop_{{{{ item }}}}{suffix}" for suffix in ("", "_owner", "_app", "_ro"))
    defaults = [
        ("SELECT,INSERT,UPDATE,DELETE", "TABLES", app),
        ("SELECT", "TABLES", ro),
        ("USAGE,SELECT", "SEQUENCES", app),
        ("SELECT", "SEQUENCES", ro),
        ("EXECUTE", "FUNCTIONS", app),
        ("USAGE", "TYPES", f"{app},{ro}"),
    ]
    module = "community.postgresql.postgresql_"
    tasks: list[dict[str, Any]] = [
        {f"{module}user": {**there, "name": owner, "role_attr_flags": "NOLOGIN,NOINHERIT"}},
        {f"{module}user": {**there, "name": app, "password": "password-{{ item }}", "conn_limit": 10}},
        {f"{module}user": {**there, "name": ro, "password": "password-{{ item }}", "conn_limit": 3}},
        {f"{module}membership": {**here, "groups": ["bench_connect"], "target_roles": [app, ro]}},
        {f"{module}membership": {**here, "groups": [owner], "target_roles": ["bench_migrator"]}},
        {f"{module}schema": {**here, "name": schema, "owner": owner}},
        {f"{module}privs": {**here, "privs": "USAGE", "type": "schema", "objs": schema, "roles": f"{app},{ro}"}},
        *(
            {
                f"{module}privs": {
                    **here,
                    "type": "default_privs",
                    "privs": privileges,
                    "objs": objects,
                    "schema": schema,
                    "roles": roles,
                    "target_roles": owner,
                }
            }
            for privileges, objects, roles in defaults
        ),
    ]
    return [{"name": "Loop", **task, "loop": [str(n) for n in _ids(LOOPED)], "no_log": True} for task in tasks]


@contextlib.contextmanager
def _database(server: dict[str, Any], administrator: str) -> Iterator[str]:
    """An empty database with the groups of the script and the loop; afterwards no role of any way is left."""
    name = "bench"
    groups = ("bench_connect", "bench_owners", "bench_migrator")
    with contextlib.closing(_connect(server, "postgres")) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} OWNER {server[administrator]['user']}")
        for group in groups:
            cursor.execute(f"CREATE ROLE {group}")
        try:
            yield name
        finally:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
            # Last those that created and granted others.
            query = (
                "SELECT rolname FROM pg_roles WHERE rolname ~ '^(g|raw|loop|guild|bench)_' ORDER BY rolname ~ '^guild_'"
            )
            cursor.execute(query)
            roles = [sql.Identifier(role) for (role,) in cursor.fetchall()]
            for start in range(0, len(roles), BATCH):
                cursor.execute(sql.SQL("DROP ROLE {}").format(sql.SQL(", ").join(roles[start : start + BATCH])))


def _connect(server: dict[str, Any], database: str) -> psycopg2.extensions.connection:
    connection: psycopg2.extensions.connection = psycopg2.connect(
        host=server["host"], port=server["port"], dbname=database, **server["superuser"], connect_timeout=10
    )
    connection.autocommit = True
    return connection

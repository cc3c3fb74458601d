# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs the attacks on PostgreSQL with the guilds' own logins."""

from __future__ import annotations

import contextlib
import string
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import (
    InputError,
    PlatformError,
    RefusedError,
    UnreachableError,
)
from ansible_collections.dcm.platform.plugins.module_utils.guild import GuildNames
from ansible_collections.dcm.platform.plugins.module_utils.isolation.check import NOT_TESTED, Finding
from ansible_collections.dcm.platform.plugins.module_utils.isolation.postgres import ATTACKS, TARGETS, Attack
from ansible_collections.dcm.platform.plugins.module_utils.postgres.client import SERVICE, connecting_failed

with contextlib.suppress(ImportError):  # reported with the pip command before anything is called here
    import psycopg2
    from psycopg2 import sql

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection
    from psycopg2.sql import Composable

# An attack that succeeds must not wait for somebody's lock. To time out then is to be allowed to.
SESSION = "-c statement_timeout=10s -c lock_timeout=2s"
TIMED_OUT = ("55P03", "57014")
LOGINS = ("app", "ro")
Level = Literal["model", "hardened"]
Values = Mapping[str, Any]  # of placeholders, in SQL; None: the guild has no such object


class PostgresStore:
    """The guilds of one database."""

    def __init__(self, options: Mapping[str, Any], credentials: Mapping[str, Mapping[str, str]], level: Level) -> None:
        """``credentials`` by guild: ``app_password`` and ``ro_password``."""
        self._options = options
        self._credentials = credentials
        self._level: Level = level
        self._address = f"{options['login_host']}:{options['login_port']}"

    def attack(self, own: GuildNames, other: GuildNames) -> Iterator[Finding]:
        """All attacks, each in a transaction that is rolled back."""
        with contextlib.ExitStack() as stack:
            logins = {kind: stack.enter_context(contextlib.closing(self._log_in(own, kind))) for kind in LOGINS}
            victim = None
            if other.id in self._credentials:
                victim = stack.enter_context(contextlib.closing(self._log_in(other, "app")))
            values = self._values(logins["app"], own, other, victim)
            version = logins["app"].server_version // 10000
            for one in ATTACKS:
                expected = one.expected(self._level, version)
                got, detail = self._outcome(one, own, logins[one.login], values)
                yield Finding("postgresql", one.row, one.name, one.login, own.id, other.id, expected, got, detail)

    def _log_in(self, names: GuildNames, kind: str, database: str | None = None) -> Connection:
        password = self._credentials.get(names.id, {}).get(f"{kind}_password")
        if not password:
            raise InputError(f"credentials has no postgresql.{kind}_password of guild {names.id}.")
        try:
            return psycopg2.connect(
                host=self._options["login_host"],
                port=self._options["login_port"],
                user=names.roles[kind],
                password=password,
                dbname=database or self._options["login_db"],
                sslmode=self._options["ssl_mode"],
                sslrootcert=self._options["ca_cert"],
                connect_timeout=self._options["connect_timeout"],
                application_name="dcm.platform.guild_isolation_check",
                client_encoding="UTF8",
                options=SESSION,
            )
        except psycopg2.OperationalError as error:
            raise connecting_failed(self._address, str(error)) from error

    def _values(self, app: Connection, own: GuildNames, other: GuildNames, victim: Connection | None) -> Values:
        """What the placeholders of attacks stand for. Whatever a guild knows is enough: the catalogs are public."""
        values: dict[str, Any] = {"other_session": sql.Literal(victim.info.backend_pid) if victim is not None else None}
        for whose, names in (("own", own), ("other", other)):
            values[whose], values[f"{whose}_name"] = sql.Identifier(names.schema), sql.Literal(names.schema)
            for kind, role in names.roles.items():
                values[f"{whose}_{kind}"], values[f"{whose}_{kind}_name"] = sql.Identifier(role), sql.Literal(role)
            for kind, query in TARGETS.items():
                found = self._rows(app, query, names.schema)
                key = f"{whose}_{kind}"
                qualified = sql.Identifier(*found[0]) if found else None
                values[key] = qualified
                values[f"{key}_alone"] = sql.Identifier(found[0][1]) if found else None
                values[f"{key}_text"] = sql.Literal(qualified.as_string(app)) if qualified is not None else None
        return {**values, **self._sequence(app, other)}

    def _sequence(self, app: Connection, other: GuildNames) -> Values:
        """A sequence's OID, with which it is found without the right to use its schema."""
        query = "SELECT oid FROM pg_catalog.pg_class WHERE relkind = 'S' AND relnamespace ="
        query += " (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = %s) ORDER BY relname LIMIT 1"
        found = self._rows(app, query, other.schema)
        return {"other_sequence_name": sql.Literal(found[0][0]) if found else None}

    def _rows(self, login: Connection, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        try:
            with login.cursor() as cursor:
                cursor.execute(query, parameters)
                return cursor.fetchall()
        except psycopg2.Error as error:
            raise self._lost(error) from error
        finally:
            self._roll_back(login)

    def _outcome(self, one: Attack, own: GuildNames, login: Connection, values: Values) -> tuple[str, str]:
        """``allow``, ``deny``, ``error`` or :data:`NOT_TESTED`, and what there is to say about it."""
        if one.how == "connect":
            return self._connects(own, one.login, one.statement)
        texts = [text for text in (*one.before, one.statement, one.effect) if text]
        missing = sorted({name for text in texts for name in _placeholders(text) if values[name] is None})
        if missing:
            return NOT_TESTED, f"there is no {', '.join(missing)}".replace("_", " ")
        statements = [sql.SQL(text).format(**values) for text in texts]
        try:
            return self._run(one, login, statements)
        except psycopg2.Error as error:
            code = error.pgcode or ""
            said = error.diag.message_primary or str(error).partition("\n")[0]
            if code in one.denied:
                return "deny", ""
            if code in (*one.allowed, *TIMED_OUT):
                return "allow", said
            if not code or code.startswith(("57P", "08")):
                raise self._lost(error) from error
            return "error", f"SQLSTATE {code}: {said}"
        finally:
            self._roll_back(login)

    def _run(self, one: Attack, login: Connection, statements: Sequence[Composable]) -> tuple[str, str]:
        """Raises ``psycopg2.Error``, most of the time: that is what the attacks are for."""
        login.autocommit = one.how == "alone"
        with login.cursor() as cursor:
            if one.how == "read only":
                cursor.execute("SET TRANSACTION READ ONLY")
            for statement in statements:
                if "STDOUT" in one.statement:
                    cursor.copy_expert(statement, _Nowhere())
                else:
                    cursor.execute(statement)
            if not one.effect:
                return "allow", ""
            (gained,) = cursor.fetchone() or (None,)
        return ("deny", "") if gained is None else ("allow", str(gained))

    def _connects(self, own: GuildNames, kind: str, database: str) -> tuple[str, str]:
        try:
            self._log_in(own, kind, database).close()
        except RefusedError:
            return "deny", ""
        return "allow", ""

    def _roll_back(self, login: Connection) -> None:
        with contextlib.suppress(psycopg2.Error):  # a broken connection cannot, and need not, roll back
            login.rollback()
            login.autocommit = False

    def _lost(self, error: psycopg2.Error) -> PlatformError:
        return UnreachableError(SERVICE, self._address, str(error).partition("\n")[0])


class _Nowhere:
    """What is copied out is not looked at."""

    def write(self, data: object) -> None:
        pass


def _placeholders(text: str) -> set[str]:
    return {name for _literal, name, _format, _conversion in string.Formatter().parse(text) if name}

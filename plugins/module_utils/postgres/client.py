# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One connection to PostgreSQL: transactions, rows, and errors that say what happened at which address."""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import (
    ConflictError,
    PlatformError,
    RefusedError,
    UnreachableError,
)
from ansible_collections.dcm.platform.plugins.module_utils.postgres.model import Server

with contextlib.suppress(ImportError):  # reported with the pip command before anything is called here
    import psycopg2
    import psycopg2.extensions
    from psycopg2 import sql

if TYPE_CHECKING:
    from psycopg2.sql import Composable

SERVICE = "PostgreSQL"
OLDEST_VERSION = 15

# Nothing of a database's defaults, which are meant for guilds, may change or end the session of who sets them up. Only
# system catalogs are searched: no guild can put a function or an operator of its own in our way.
SESSION = (
    "-c search_path=pg_catalog -c client_min_messages=warning -c statement_timeout=0 -c lock_timeout=0 "
    "-c idle_in_transaction_session_timeout=0"
)

_UNREACHABLE = ("57P01", "57P02", "57P03", "08")  # shutting down, crashed, starting; the connection broke
_CONFLICTS = {
    "XX000": "somebody else changed the same catalog row",
    "23505": "somebody else created the same object",
    "42710": "somebody else created the same object",
    "40001": "somebody else changed the same rows",
    "40P01": "somebody else held locks in the opposite order",
    "55P03": "somebody else holds a lock on the same object",
}
_HINTS = {
    "42501": "Connect as a superuser, or as the database's owner with CREATEROLE who created all roles of the model.",
    "53200": "Too many locks at a time: lower batch_size, or raise max_locks_per_transaction of the server.",
    "53300": "All connections of this login or of the server are taken.",
    "25006": "This server is a standby: connect to the primary.",
}


class Session:
    """A connected administrator. ``version`` is the server's major version, ``server`` what matters of it."""

    def __init__(self, options: Mapping[str, Any], application: str) -> None:
        """Connect as the options of :data:`POSTGRESQL_ARGUMENTS` say.

        Raises :class:`UnreachableError`, or :class:`RefusedError` when the server turns us away or is too old.
        """
        self.address = f"{options['login_host']}:{options['login_port']}"
        self.database: str = options["login_db"]
        self._to = {
            "host": options["login_host"],
            "port": options["login_port"],
            "dbname": options["login_db"],
            "sslmode": options["ssl_mode"],
            "sslrootcert": options["ca_cert"],
            "connect_timeout": options["connect_timeout"],
            "application_name": application,
            "client_encoding": "UTF8",
        }
        self._connection: psycopg2.extensions.connection
        try:
            self._connection = psycopg2.connect(
                **self._to, user=options["login_user"], password=options["login_password"], options=SESSION
            )
        except psycopg2.OperationalError as error:
            raise connecting_failed(self.address, str(error)) from error
        self.version = self._connection.server_version // 10000
        self.superuser = self._connection.get_parameter_status("is_superuser") == "on"
        self.server = Server(self.database, self.version, self.superuser)
        if self.version < OLDEST_VERSION:
            raise RefusedError(
                f"{SERVICE} at {self.address} has version {self.version}.",
                hint=f"{OLDEST_VERSION} or newer is needed.",
            )

    def accepts(self, user: str, password: str) -> bool | None:
        """Whether the server lets this login in by this password; None if that cannot be told."""
        try:
            psycopg2.connect(**self._to, user=user, password=password).close()
        except psycopg2.OperationalError as error:
            said = str(error)
            if "password authentication failed" in said:
                return False
            # What comes after a right password only.
            return True if "too many connections for role" in said or "is not permitted to log in" in said else None
        return True

    @contextmanager
    def transaction(self, *, read_only: bool = False) -> Iterator[None]:
        """Commit at the end, roll back on any error. Read only: one snapshot, and the server refuses any write."""
        level = (
            psycopg2.extensions.ISOLATION_LEVEL_REPEATABLE_READ
            if read_only
            else psycopg2.extensions.ISOLATION_LEVEL_READ_COMMITTED
        )
        with self._errors():
            self._connection.set_session(isolation_level=level, readonly=read_only)
        try:
            yield
        except BaseException:
            with contextlib.suppress(psycopg2.Error):  # a broken connection cannot, and need not, roll back
                self._connection.rollback()
            raise
        with self._errors():
            self._connection.commit()

    def rows(self, query: str | Composable, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of one query, inside a transaction."""
        with self._errors(), self._connection.cursor() as cursor:
            cursor.execute(query, parameters or None)
            return cursor.fetchall()

    def run(self, statements: Sequence[str | Composable]) -> None:
        """Run statements in one round trip, inside a transaction. None of them may hold a secret."""
        if not statements:
            return
        parts = [sql.SQL(part) if isinstance(part, str) else part for part in statements]
        with self._errors(), self._connection.cursor() as cursor:
            cursor.execute(sql.SQL(";\n").join(parts))

    def copy_in(self, table: str, rows: Iterable[tuple[str, ...]]) -> None:
        """Put rows of text into a table, inside a transaction, so that the server logs not one value."""
        with self._errors(), self._connection.cursor() as cursor:
            cursor.copy_expert(f"COPY {table} FROM STDIN WITH (FORMAT binary)", io.BytesIO(binary_copy(rows)))

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Raise the errors of the engine for whatever psycopg2 raises inside."""
        try:
            yield
        except psycopg2.Error as error:
            raise self._translated(error) from error

    def _translated(self, error: psycopg2.Error) -> PlatformError:
        code = error.pgcode or ""
        said = error.diag.message_primary or str(error).partition("\n")[0]
        if code.startswith(_UNREACHABLE) or (not code and self._connection.closed):
            return UnreachableError(SERVICE, self.address, said)
        if code in _CONFLICTS:
            message = f"{SERVICE} at {self.address}: {_CONFLICTS[code]} at the same time ({said})."
            return ConflictError(message, hint="Run again: what is already right is left alone.")
        # The detail names the objects in the way; the statement itself is not repeated.
        detail = " ".join((error.diag.message_detail or "").split())
        message = f"{SERVICE} at {self.address} refused: {said}.{' ' if detail else ''}{detail}"
        return RefusedError(message, hint=_HINTS.get(code))


def connecting_failed(address: str, text: str) -> PlatformError:
    """The error for what libpq says. It gives a text only: what the server itself said is in it, behind FATAL."""
    said = text.rpartition("FATAL:")[2].partition("\n")[0].strip()
    starting = any(phrase in said for phrase in ("starting up", "shutting down", "recovery mode"))
    if "FATAL:" not in text or starting:
        return UnreachableError(SERVICE, address, said.rpartition(" failed: ")[2], sent=False)
    return RefusedError(
        f"{SERVICE} at {address} refused the connection: {said}.",
        hint="Check login_user, login_password, login_db, ssl_mode and the server's pg_hba.conf.",
    )


def binary_copy(rows: Iterable[tuple[str, ...]]) -> bytes:
    """PostgreSQL's binary COPY format, for text columns. Unlike its text format, an error never quotes the line."""
    data = bytearray(b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0))
    for row in rows:
        data += struct.pack("!h", len(row))
        for value in row:
            encoded = value.encode()
            data += struct.pack("!i", len(encoded)) + encoded
    return bytes(data + struct.pack("!h", -1))

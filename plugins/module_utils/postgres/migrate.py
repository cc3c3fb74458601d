# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The run of ``pg_guild_migrate``: what each guild lacks, in one transaction a guild, as the guild's owner.

Every schema has a table of what was applied to it. A summary of the table is its comment, so that one query tells what
all guilds lack, without becoming anybody.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, Outcome
from ansible_collections.dcm.platform.plugins.module_utils.engine.concurrent import apply_each
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import (
    ConflictError,
    PlatformError,
    UnreachableError,
)
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import LISTED, Reconciler
from ansible_collections.dcm.platform.plugins.module_utils.guild import GuildNames
from ansible_collections.dcm.platform.plugins.module_utils.postgres.client import Session
from ansible_collections.dcm.platform.plugins.module_utils.postgres.migrations import (
    Applied,
    Migration,
    objections,
    parse_summary,
    pending,
    summary,
)
from ansible_collections.dcm.platform.plugins.module_utils.postgres.ownership import as_owner, becoming_owners
from ansible_collections.dcm.platform.plugins.module_utils.postgres.plan import refuse

with contextlib.suppress(ImportError):  # reported with the pip command before anything is called here
    from psycopg2 import sql

if TYPE_CHECKING:
    from psycopg2.sql import Composable

    Statements = list[str | Composable]

TABLE = "dcm_migrations"
COLUMNS = "kind, version, checksum"
# Row-level security, and not a REVOKE, keeps the guild's own logins from writing: so the table has the same privileges
# as every other one of the guild, and nothing about it is drift. The owner is not subject to it.
CREATE_TABLE = [
    f"""
    CREATE TABLE IF NOT EXISTS {TABLE} (
      kind text, version bigint, name text NOT NULL, checksum text NOT NULL,
      applied_at timestamptz NOT NULL DEFAULT pg_catalog.now(), applied_by name NOT NULL DEFAULT session_user,
      PRIMARY KEY (kind, version)
    )
    """,
    f"CREATE POLICY readable ON {TABLE} FOR SELECT USING (true)",
    f"ALTER TABLE {TABLE} ENABLE ROW LEVEL SECURITY",
]
OVERVIEW = """
SELECT n.nspname, pg_catalog.pg_get_userbyid(n.nspowner), pg_catalog.obj_description(c.oid, 'pg_class')
  FROM pg_catalog.pg_namespace n
  LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = %s
 WHERE n.nspname = ANY(%s::name[])
"""
# Inside a statement no file can end the transaction, and no statement in the server's log holds a whole file.
FILE = "dcm.migration"
RUN_FILE = f"DO $$ BEGIN EXECUTE pg_catalog.current_setting('{FILE}'); END $$"


@dataclass(frozen=True)
class GuildVersion:
    """What is known of a guild before anything is done. ``owner`` None: it has no schema."""

    owner: str | None = None
    summary: str | None = None


@dataclass(frozen=True)
class Wanted:
    """What one call asks for. ``lock_timeout`` in seconds; ``failure_budget`` guilds may fail before the rest waits."""

    guilds: Sequence[GuildNames]
    files: Sequence[Migration]
    workers: int
    failure_budget: int
    lock_timeout: int


class BudgetSpentError(PlatformError):
    """Too many guilds failed: this one was not tried."""


@dataclass
class Budget:
    """Counts failures, for several threads."""

    left: int
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextlib.contextmanager
    def spending(self) -> Iterator[None]:
        """Raises :class:`BudgetSpentError` if nothing is left; takes one for a failure inside."""
        with self._lock:
            if self.left < 0:
                raise BudgetSpentError("Too many guilds failed before.")
        try:
            yield
        except PlatformError:
            with self._lock:
                self.left -= 1
            raise


class MigrationReconciler(Reconciler[Mapping[str, GuildVersion]]):
    """Applies to each guild what it lacks."""

    def __init__(self, session: Session, connect: Callable[[], Session], wanted: Wanted) -> None:
        """``connect`` opens another session of the same login."""
        self._session = session
        self._connect = connect
        self._wanted = wanted

    def read(self) -> dict[str, GuildVersion]:
        schemas = [names.schema for names in self._wanted.guilds]
        with self._session.transaction(read_only=True):
            rows = self._session.rows(OVERVIEW, [TABLE, schemas])
        return {schema: GuildVersion(owner, text) for schema, owner, text in rows}

    def plan(self, actual: Mapping[str, GuildVersion]) -> list[Change]:
        refuse(f"{reason}." for reason in self._reasons(actual))
        changes = []
        for names in self._wanted.guilds:
            known = actual[names.schema].summary
            applied = parse_summary(known)
            lacking = pending(self._wanted.files, applied)
            if lacking:
                before = {"version": self._version(applied)}
                after = {"version": _latest(lacking), "applied": [one.name for one in lacking]}
                changes.append(Change("run", "migrations of guild", names.id, before, after, (names, known is None)))
        return changes

    def _reasons(self, actual: Mapping[str, GuildVersion]) -> Iterator[str]:
        for names in self._wanted.guilds:
            found = actual.get(names.schema, GuildVersion())
            if found.owner is None:
                yield f"Guild {names.id} has no schema {names.schema}"
            elif found.owner != names.owner:
                yield f"Schema {names.schema} belongs to {found.owner} and not to {names.owner}"
            else:
                yield from (f"Guild {names.id}: {reason}" for reason in self._objections(found.summary))

    def _objections(self, text: str | None) -> Iterator[str]:
        try:
            applied = parse_summary(text)
        except ValueError:
            yield f"the comment of its table {TABLE}, which says what was applied, was changed by hand"
        else:
            yield from objections(self._wanted.files, applied)

    def _version(self, applied: Applied) -> str | None:
        return _latest([one for one in self._wanted.files if one.key in applied])

    def apply(self, changes: Sequence[Change]) -> Iterator[Outcome]:
        if not changes:
            return
        sessions: SimpleQueue[Session] = SimpleQueue()
        workers = max(1, min(self._wanted.workers, len(changes)))
        budget = Budget(self._wanted.failure_budget)

        def migrate(change: Change) -> None:
            session = sessions.get()
            try:
                with budget.spending():
                    self._migrate(session, *change.payload)
            finally:
                sessions.put(session)

        with becoming_owners(self._session):
            for _number in range(workers):
                sessions.put(self._connect())
            for outcome in apply_each(changes, migrate, workers):
                if not isinstance(outcome.error, BudgetSpentError):
                    yield outcome

    def _migrate(self, session: Session, names: GuildNames, new: bool) -> None:
        """All that the guild lacks, or nothing. ``new``: it may not have the table yet."""
        beginning: Statements = [*as_owner(names), f"SET LOCAL lock_timeout = '{self._wanted.lock_timeout}s'"]
        if new:
            # A conflict: somebody else has just made it.
            with _about(names, TABLE), contextlib.suppress(ConflictError), session.transaction():
                session.run([*beginning, *CREATE_TABLE, _comment({})])
        with session.transaction():
            with _about(names, TABLE):
                session.run([*beginning, f"LOCK TABLE {TABLE} IN SHARE ROW EXCLUSIVE MODE"])
                applied = {
                    (kind, version): sha for kind, version, sha in session.rows(f"SELECT {COLUMNS} FROM {TABLE}")
                }
            refuse(f"Guild {names.id}: {reason}." for reason in objections(self._wanted.files, applied))
            lacking = pending(self._wanted.files, applied)
            for one in lacking:
                with _about(names, one.name):
                    session.run(beginning)
                    session.rows("SELECT pg_catalog.set_config(%s, %s, true)", [FILE, one.text])
                    session.run([RUN_FILE, "SET CONSTRAINTS ALL IMMEDIATE", *beginning, _record(one)])
            session.run([_comment({**applied, **{one.key: one.checksum for one in lacking}})])

    def result(self, actual: Mapping[str, GuildVersion], changes: Sequence[Change]) -> dict[str, Any]:
        """The guilds, those first that lacked something, and complete counts."""
        lacking = {change.name: change.after or {} for change in changes}
        guilds = sorted(self._wanted.guilds, key=lambda names: names.id not in lacking)
        kinds = [one.kind for one in self._wanted.files]
        return {
            "guilds": [self._described(names, actual, lacking) for names in guilds[:LISTED]],
            "counts": {
                "guilds": len(guilds),
                "migrated": len(lacking),
                "unchanged": len(guilds) - len(lacking),
                "migrations": kinds.count("migration"),
                "seeds": kinds.count("seed"),
            },
        }

    def _described(
        self, names: GuildNames, actual: Mapping[str, GuildVersion], lacking: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, Any]:
        known = self._version(parse_summary(actual[names.schema].summary))
        after = lacking.get(names.id, {"version": known, "applied": []})
        return {"id": names.id, "schema": names.schema, **after, "changed": names.id in lacking}


def _comment(applied: Applied) -> Composable:
    return sql.SQL("COMMENT ON TABLE {} IS {}").format(sql.Identifier(TABLE), sql.Literal(summary(applied)))


def _record(one: Migration) -> Composable:
    values = sql.SQL(", ").join(map(sql.Literal, (one.kind, one.version, one.checksum, one.name)))
    return sql.SQL("INSERT INTO {} ({}, name) VALUES ({})").format(sql.Identifier(TABLE), sql.SQL(COLUMNS), values)


def _latest(files: Sequence[Migration]) -> str | None:
    """The name of the last migration, or of the last seed where there is no migration."""
    names = [one.name for one in files if one.kind == "migration"] or [one.name for one in files]
    return names[-1] if names else None


@contextlib.contextmanager
def _about(names: GuildNames, what: str) -> Iterator[None]:
    """Say of an error inside which guild and file it is about."""
    try:
        yield
    except UnreachableError:
        raise
    except PlatformError as error:
        diagnosis = getattr(error.__cause__, "diag", None)
        line = _line(diagnosis)
        where = f"Guild {names.id}, {what}{line}: "
        raise type(error)(f"{where}{error.message}", hint=error.hint) from error


def _line(diagnosis: Any) -> str:
    """Where in the file the server saw the error, if it says so."""
    query, position = getattr(diagnosis, "internal_query", None), getattr(diagnosis, "internal_position", None)
    if not query or not position:
        return ""
    return f" line {query.count(chr(10), 0, int(position) - 1) + 1}"

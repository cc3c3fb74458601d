# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The run of ``pg_guild_schema``: one transaction for the database, one a batch of guilds, one a guild that goes."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import secrets
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, Outcome
from ansible_collections.dcm.platform.plugins.module_utils.engine.concurrent import map_concurrently
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import (
    ConflictError,
    PlatformError,
    RefusedError,
    TimedOutError,
)
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import LISTED, Reconciler
from ansible_collections.dcm.platform.plugins.module_utils.guild import GuildNames
from ansible_collections.dcm.platform.plugins.module_utils.postgres.catalog import (
    read_catalog,
    read_creators,
    read_sessions,
    read_tables,
)
from ansible_collections.dcm.platform.plugins.module_utils.postgres.client import Session
from ansible_collections.dcm.platform.plugins.module_utils.postgres.model import CREATOR_PREFIX, LANES, Catalog, Guild
from ansible_collections.dcm.platform.plugins.module_utils.postgres.plan import (
    DatabaseDifference,
    Desired,
    GuildDifference,
    comparable,
    database_difference,
    differing,
    guild_difference,
    listed,
    open_doors,
    plan,
    refusals,
    refuse,
    refuse_unmet,
    uncompared_passwords,
    unmet_guild,
)
from ansible_collections.dcm.platform.plugins.module_utils.postgres.scram import make_verifier
from ansible_collections.dcm.platform.plugins.module_utils.postgres.statements import (
    borrow,
    closing_statements,
    create_creator,
    database_statements,
    emptying_statements,
    give_back,
    membership_statements,
    removal_statements,
    role_statements,
    schema_statements,
    termination,
)

if TYPE_CHECKING:
    from psycopg2.sql import Composable

LOCK_TIMEOUT = 60  # seconds: for another run on the same database to end, and for any other lock
ROLES_OF_A_CREATOR = 150
TABLES_AT_ONCE = 100  # a table with a serial key and a column of text takes nine locks to drop

GuildStatements = Callable[..., list["Composable"]]

# Verifiers travel as data of COPY, which no log, no audit extension and no list of running statements shows, and become
# part of a statement inside the server only. An error of that statement must not be reported with its text.
VERIFIERS = "pg_temp.dcm_verifiers"
MAKE_VERIFIERS = f"CREATE TEMPORARY TABLE {VERIFIERS} (role text, verifier text, creator text) ON COMMIT DROP"
TERSE_LOG = "SET LOCAL log_error_verbosity = terse"
SET_PASSWORDS = f"""
DO $$
DECLARE
  entry record;
BEGIN
  FOR entry IN SELECT role, verifier, creator FROM {VERIFIERS} ORDER BY creator LOOP
    IF entry.creator <> '' THEN
      EXECUTE pg_catalog.format('SET LOCAL ROLE %I', entry.creator);
    END IF;
    EXECUTE pg_catalog.format('ALTER ROLE %I PASSWORD %L', entry.role, entry.verifier);
  END LOOP;
  SET LOCAL ROLE NONE;
EXCEPTION WHEN query_canceled OR OTHERS THEN
  RAISE EXCEPTION USING ERRCODE = SQLSTATE,
    MESSAGE = pg_catalog.format('the password of role %s could not be set: %s', entry.role, SQLERRM);
END $$
"""
LOCK_HOLDERS = """
SELECT a.pid, a.usename, a.application_name
  FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
 WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
   AND (l.classid::bigint << 32) | l.objid::bigint = ANY(%s)
   AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
"""


@dataclass(frozen=True)
class Batch:
    """Changes of guilds in one transaction. ``creator`` makes the roles of guilds that have none yet."""

    lane: int
    changes: Sequence[Change]
    creator: str | None = None

    @property
    def guilds(self) -> list[Guild]:
        return [change.payload.guild for change in self.changes]


@dataclass(frozen=True)
class Pace:
    """How much at a time: guilds in a transaction, and transactions."""

    batch_size: int = 50
    connections: int = LANES


class GuildReconciler(Reconciler[Catalog]):
    """Makes the guilds of one database as they are wanted."""

    def __init__(
        self,
        connect: Callable[[], Session],
        desired: Desired,
        pace: Pace,
        warn: Callable[[str], None],
    ) -> None:
        """``connect`` opens a connection, ``warn`` tells the person about what is no error."""
        self._connect = connect
        self._session = connect()
        self._warn = warn
        self._desired = desired
        self._pace = pace
        self._server = self._session.server
        self._database_oid = 0
        self._wrong_passwords: frozenset[str] = frozenset()

    def read(self) -> Catalog:
        with self._session.transaction(read_only=True):
            catalog = self._read(self._session, self._desired.guilds, whole=True)
        self._database_oid = catalog.database_oid
        if self._desired.compare_passwords and not self._server.superuser:
            catalog = self._try_passwords(catalog)
        return catalog

    def _try_passwords(self, catalog: Catalog) -> Catalog:
        """Without the right to read verifiers, only a login tells whether its password is the right one."""
        passwords = comparable(self._desired, catalog)
        answers = map_concurrently(
            lambda login: self._session.accepts(login, passwords[login].reveal()),
            list(passwords),
            self._pace.connections,
        )
        by_login = dict(zip(passwords, answers, strict=True))
        self._wrong_passwords = frozenset(login for login, right in by_login.items() if right is False)
        tried = frozenset(login for login, right in by_login.items() if right is not None)
        return replace(catalog, tried_passwords=tried, wrong_passwords=self._wrong_passwords)

    def plan(self, actual: Catalog) -> list[Change]:
        return plan(self._desired, actual, self._server)

    def apply(self, changes: Sequence[Change]) -> Iterator[Outcome]:
        shared, batches, removals = self._transactions(changes)
        for change in shared:
            self._set_up()
            yield Outcome(change)
        yield from self._write(self._with_creators(batches))
        for change in removals:
            yield from _outcomes([change], functools.partial(self._remove, change.payload.guild))

    def result(self, actual: Catalog, changes: Sequence[Change]) -> dict[str, Any]:
        """The guilds, those that changed first, and complete counts."""
        actions = {change.name: change.action for change in changes if change.kind == "guild"}
        shared, batches, removals = self._transactions(changes)
        guilds = sorted(self._desired.guilds, key=lambda guild: guild.names.id not in actions)
        verbs = Counter(actions.get(guild.names.id, "unchanged") for guild in guilds)
        output: dict[str, Any] = {
            "guilds": [_described(guild, guild.names.id in actions) for guild in guilds[:LISTED]],
            "counts": {
                "guilds": len(guilds),
                "created": verbs["create"],
                "updated": verbs["update"],
                "removed": verbs["delete"],
                "unchanged": verbs["unchanged"],
            },
            "database": {"name": self._server.database, "changed": bool(shared)},
            "level": self._level(actual),
            "batches": len(batches) + len(removals),
        }
        uncompared = uncompared_passwords(self._desired, actual, self._server)
        if uncompared:
            self._warn(
                f"{uncompared} passwords of existing logins were left as they are: whether they are right could not be "
                "found out, neither from their verifiers, which only a superuser can read, nor by a login."
            )
        return output

    def _level(self, actual: Catalog) -> dict[str, Any]:
        """The level of isolation that was asked for, and the one the server really has."""
        left = open_doors(self._desired, actual.database, self._server)
        asked = "hardened" if self._desired.hardened else "model"
        given = "model" if left else "hardened"
        if asked == "hardened" and left:
            self._warn(f"The database has the level model and not hardened: {listed(left)}.")
        return {"asked": asked, "given": given, "open": left[:LISTED]}

    def _transactions(self, changes: Sequence[Change]) -> tuple[list[Change], list[Batch], list[Change]]:
        """Set-up of the database, batches of guilds, and guilds to remove."""
        shared = [change for change in changes if change.kind == "database"]
        removals = [change for change in changes if change.action == "delete"]
        lanes: dict[int, list[Change]] = {number: [] for number in range(LANES)}
        for change in changes:
            if change.kind == "guild" and change.action != "delete":
                lanes[lane(change.name)].append(change)
        by_lane = ([Batch(number, part) for part in self._parts(lanes[number])] for number in lanes)
        in_turn = itertools.chain.from_iterable(itertools.zip_longest(*by_lane))
        return shared, [batch for batch in in_turn if batch is not None], removals

    def _parts(self, changes: Sequence[Change]) -> list[Sequence[Change]]:
        """The changes in as few parts as the size of a batch allows, all about as long."""
        count = -(-len(changes) // self._pace.batch_size)
        return [changes[len(changes) * n // count : len(changes) * (n + 1) // count] for n in range(count)]

    def _with_creators(self, batches: Sequence[Batch]) -> list[Batch]:
        """The batches, each with a creator that has room for its roles, where roles need one."""
        needed = [batch for batch in batches if any(not change.payload.before.roles for change in batch.changes)]
        if not self._server.needs_creators or not needed:
            return list(batches)
        with self._session.transaction():
            self._lock(self._session, range(LANES))
            free = read_creators(self._session)
            chosen: dict[int, str] = {}
            for batch in needed:
                room = ROLES_OF_A_CREATOR - sum(len(change.payload.after.roles) for change in batch.changes)
                name = next((name for name, roles in free.items() if roles <= room), None)
                if name is None:
                    name = f"{CREATOR_PREFIX}{secrets.token_hex(6)}"
                    self._session.run(create_creator(name))
                free.pop(name, None)
                chosen[id(batch)] = name
        return [replace(batch, creator=chosen.get(id(batch))) for batch in batches]

    def _write(self, batches: Sequence[Batch]) -> Iterator[Outcome]:
        """Several transactions at a time, each on a connection of its own.

        A refusal does not stop the others; anything else does, and is raised when what is under way has ended.
        """
        if not batches:
            return
        free: SimpleQueue[Session] = SimpleQueue()
        for session in self._sessions(len(batches)):
            free.put(session)
        error: PlatformError | None = None
        with ThreadPoolExecutor(free.qsize()) as pool:
            futures = [pool.submit(self._on_free, free, batch) for batch in batches]
            try:
                for future in as_completed(futures):
                    if future.cancelled():
                        continue
                    try:
                        yield from future.result()
                    except PlatformError as found:
                        error = error or found
                        _cancel(futures)
            finally:
                _cancel(futures)
        if error is not None:
            raise error

    def _sessions(self, transactions: int) -> list[Session]:
        """As many connections as there is use for and as the server grants."""
        sessions = [self._session]
        with contextlib.suppress(PlatformError):
            while len(sessions) < min(self._pace.connections, transactions):
                sessions.append(self._connect())
        return sessions

    def _on_free(self, free: SimpleQueue[Session], batch: Batch) -> list[Outcome]:
        """Run a batch on a free connection. There are as many as threads."""
        session = free.get()
        try:
            return list(_outcomes(batch.changes, lambda: self._apply_batch(session, batch)))
        finally:
            free.put(session)

    def _read(self, session: Session, guilds: Sequence[Guild], *, whole: bool = False, objects: bool = True) -> Catalog:
        return read_catalog(
            session,
            [guild.names for guild in guilds],
            whole=whole,
            objects=objects,
            suspended=[guild.names for guild in guilds if guild.state == "suspended"],
            removed=[guild.names for guild in guilds if guild.state == "absent"],
            harmless=self._desired.harmless,
        )

    def _lock(self, session: Session, lanes: Iterable[int]) -> None:
        """One transaction at a time writes in a lane. Raises :class:`TimedOutError` that names who keeps it from us."""
        keys = [lock_key(self._database_oid, self._desired.prefix, number) for number in lanes]
        try:
            session.run(
                [
                    f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}s'",
                    "SAVEPOINT waiting",
                    *(f"SELECT pg_catalog.pg_advisory_xact_lock({key})" for key in keys),
                    "RELEASE SAVEPOINT waiting",
                ]
            )
        except ConflictError as error:
            session.run(["ROLLBACK TO SAVEPOINT waiting"])
            holders = session.rows(LOCK_HOLDERS, [keys])
            named = ", ".join(f"{user} ({program or 'unnamed'}, process {pid})" for pid, user, program in holders)
            raise TimedOutError(
                f"Gave up after {LOCK_TIMEOUT} s waiting for the lock of this database's guilds, held by: {named}.",
                hint="If that is another run, wait for its end. Then run again.",
            ) from error

    def _set_up(self) -> None:
        """What all guilds share."""
        with self._session.transaction():
            self._lock(self._session, range(LANES))
            found = self._database_difference()
            if found is not None:
                self._session.run(database_statements(found.before, found.after, self._server))
                left = self._database_difference()
                if left is not None:
                    fields = differing(left.before.tree(), left.after.tree())
                    refuse_unmet([f"database {self._server.database} ({', '.join(fields)})"])

    def _database_difference(self) -> DatabaseDifference | None:
        catalog = self._read(self._session, self._desired.guilds, whole=True, objects=False)
        return database_difference(self._desired, catalog.database, self._server)

    def _apply_batch(self, session: Session, batch: Batch) -> None:
        """Guilds to set up, suspend or repair: all of them or, on any error, none."""
        guilds = batch.guilds
        verifiers = _verifiers([change.payload for change in batch.changes])
        with session.transaction():
            self._lock(session, [batch.lane])
            # The schemas of new guilds are empty.
            objects = any(change.payload.before.schema_owner is not None for change in batch.changes)
            catalog = self._read(session, guilds, objects=objects)
            refuse(refusals(guilds, catalog, self._server.version))
            differences = [
                replace(difference, creator=difference.before.creator if difference.before.roles else batch.creator)
                for difference in self._differences(guilds, catalog)
            ]
            creators = sorted({one.creator for one in differences if one.creator is not None})
            session.run([*borrow(creators), *role_statements(differences, self._server)])
            sent = self._set_passwords(session, differences, verifiers)
            inside = schema_statements(differences, self._server)
            session.run([*inside, *membership_statements(differences, self._server), *give_back(creators)])
            self._verify(session, differences, sent, objects=objects)
        self._end_sessions(session, [guild for guild in guilds if guild.state == "suspended"], catalog)

    def _differences(self, guilds: Sequence[Guild], catalog: Catalog) -> Iterator[GuildDifference]:
        for guild in guilds:
            before = catalog.guilds[guild.names.id]
            found = guild_difference(guild, before, self._desired, self._server, self._wrong_passwords)
            if found is not None:
                yield found

    def _set_passwords(
        self, session: Session, differences: Sequence[GuildDifference], made: Mapping[str, str]
    ) -> dict[str, str]:
        """Returns the verifiers by role. Those that are not ``made`` yet are made here."""
        late = [
            replace(one, passwords=tuple(kind for kind in one.passwords if _login(one, kind) not in made))
            for one in differences
        ]
        verifiers = {**made, **_verifiers(late)}
        rows = [
            (name, verifiers[name], one.creator or "")
            for one in differences
            for name in (_login(one, kind) for kind in one.passwords)
        ]
        if not rows:
            return {}
        session.run([MAKE_VERIFIERS, *([TERSE_LOG] if self._server.superuser else [])])
        session.copy_in(VERIFIERS, rows)
        session.run([SET_PASSWORDS])
        return {name: verifier for name, verifier, _creator in rows}

    def _verify(
        self, session: Session, differences: Sequence[GuildDifference], verifiers: Mapping[str, str], *, objects: bool
    ) -> None:
        """Compare with the catalogs what was done: a GRANT without the right to it is no error, only a warning."""
        names = [difference.guild.names for difference in differences]
        after = read_catalog(session, names, whole=False, objects=objects).guilds
        refuse_unmet(unmet_guild(one, after[one.guild.names.id], verifiers, self._server) for one in differences)

    def _end_sessions(self, session: Session, guilds: Sequence[Guild], catalog: Catalog) -> None:
        """End the sessions of guilds whose logins can no longer log in."""
        if not guilds:
            return
        names = [guild.names for guild in guilds]
        logins = [login for one in names for login in (one.app, one.ro)]
        by_creator = [(one, catalog.guilds[one.id].creator) for one in names]
        creators = sorted({creator for _names, creator in by_creator if creator is not None})
        with session.transaction():
            if not read_sessions(session, logins):
                return
            session.run([*borrow(creators), *termination(by_creator, self._server), *give_back(creators)])
        with session.transaction(read_only=True):
            left = read_sessions(session, logins)
        refuse_unmet(f"{count} sessions of {login} (still open)" for login, count in left.items())

    def _remove(self, guild: Guild) -> None:
        """Close the guild, end its sessions, drop it. Whatever stops this leaves it closed."""
        names, session = guild.names, self._session
        with session.transaction():
            self._lock(session, [lane(names.id)])
            catalog = self._read(session, [guild])
            self._run_as_creator(catalog, names, closing_statements)
        self._end_sessions(session, [guild], catalog)
        while not self._drop(guild):
            pass

    def _drop(self, guild: Guild) -> bool:
        """A transaction towards the end of a guild; whether it was the last one."""
        names, session = guild.names, self._session
        with session.transaction():
            self._lock(session, [lane(names.id)])
            catalog = self._read(session, [guild])
            refuse(refusals([guild], catalog, self._server.version))
            tables = read_tables(session, names.schema)
            if len(tables) > TABLES_AT_ONCE:
                some = functools.partial(emptying_statements, tables=tables[:TABLES_AT_ONCE])
                self._run_as_creator(catalog, names, some)
                return False
            self._run_as_creator(catalog, names, removal_statements)
            if self._read(session, [guild]).guilds[names.id].exists:
                refuse_unmet([f"guild {names.id} (still there)"])
        return True

    def _run_as_creator(self, catalog: Catalog, names: GuildNames, statements: GuildStatements) -> None:
        before = catalog.guilds[names.id]
        creators = [before.creator] if before.creator else []
        found = statements(names, before, server=self._server)
        self._session.run([*borrow(creators), *found, *give_back(creators)])


def lane(guild: str) -> int:
    """The lane in which the guild is written, the same in every run."""
    return zlib.crc32(guild.encode()) % LANES


def lock_key(database: int, prefix: str, number: int) -> int:
    """The key of the advisory lock for a lane of the guilds with this prefix in the database with this OID.

    It has 64 bits and is signed.
    """
    digest = hashlib.sha256(f"dcm.platform/guilds/{database}/{prefix}/{number}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _login(difference: GuildDifference, kind: str) -> str:
    return difference.guild.names.roles[kind]


def _verifiers(differences: Iterable[GuildDifference]) -> dict[str, str]:
    """New verifiers by login. To make them takes about as long as the server takes to check them."""
    return {
        _login(one, kind): make_verifier(one.guild.passwords[kind].reveal())
        for one in differences
        for kind in one.passwords
    }


def _cancel(futures: Iterable[Future[list[Outcome]]]) -> None:
    for future in futures:
        future.cancel()


def _outcomes(changes: Sequence[Change], function: Callable[[], None]) -> Iterator[Outcome]:
    """One fate for all changes of a transaction. A refusal does not stop the transactions after it."""
    try:
        function()
    except RefusedError as error:
        yield from (Outcome(change, error) for change in changes)
    else:
        yield from map(Outcome, changes)


def _described(guild: Guild, changed: bool) -> dict[str, Any]:
    names = guild.names
    return {"id": names.id, "schema": names.schema, **names.roles, "state": guild.state, "changed": changed}

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The run of ``pg_guild_schema``: one transaction for the database, one a batch of guilds, one a guild that goes."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, Outcome
from ansible_collections.dcm.platform.plugins.module_utils.engine.concurrent import map_concurrently
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import (
    ConflictError,
    RefusedError,
    TimedOutError,
)
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import LISTED, Reconciler
from ansible_collections.dcm.platform.plugins.module_utils.postgres.catalog import read_catalog, read_sessions
from ansible_collections.dcm.platform.plugins.module_utils.postgres.client import Session
from ansible_collections.dcm.platform.plugins.module_utils.postgres.model import Catalog, Guild, Server
from ansible_collections.dcm.platform.plugins.module_utils.postgres.plan import (
    DatabaseDifference,
    Desired,
    GuildDifference,
    database_difference,
    differing,
    guild_difference,
    plan,
    refusals,
    refuse,
    refuse_unmet,
    uncompared_passwords,
    unmet_guild,
)
from ansible_collections.dcm.platform.plugins.module_utils.postgres.scram import make_verifier
from ansible_collections.dcm.platform.plugins.module_utils.postgres.statements import (
    closing_statements,
    database_statements,
    guild_statements,
    removal_statements,
    termination,
)

LOCK_TIMEOUT = 60  # seconds: for another run on the same database to end, and for any other lock

# Verifiers travel as data of COPY, which no log, no audit extension and no list of running statements shows, and become
# part of a statement inside the server only. An error of that statement must not be reported with its text.
VERIFIERS = "pg_temp.dcm_verifiers"
MAKE_VERIFIERS = f"CREATE TEMPORARY TABLE {VERIFIERS} (role text, verifier text) ON COMMIT DROP"
TERSE_LOG = "SET LOCAL log_error_verbosity = terse"
SET_PASSWORDS = f"""
DO $$
DECLARE
  entry record;
BEGIN
  FOR entry IN SELECT role, verifier FROM {VERIFIERS} LOOP
    EXECUTE pg_catalog.format('ALTER ROLE %I PASSWORD %L', entry.role, entry.verifier);
  END LOOP;
EXCEPTION WHEN query_canceled OR OTHERS THEN
  RAISE EXCEPTION USING ERRCODE = SQLSTATE,
    MESSAGE = pg_catalog.format('the password of role %s could not be set: %s', entry.role, SQLERRM);
END $$
"""
LOCK_HOLDERS = """
SELECT a.pid, a.usename, a.application_name
  FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
 WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND (l.classid::bigint << 32) | l.objid::bigint = %s
   AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
"""


class GuildReconciler(Reconciler[Catalog]):
    """Makes the guilds of one database as they are wanted."""

    def __init__(self, session: Session, desired: Desired, batch_size: int, warn: Callable[[str], None]) -> None:
        """``warn`` tells the person about what is no error."""
        self._session = session
        self._warn = warn
        self._desired = desired
        self._batch_size = batch_size
        self._server = Server(session.database, session.version, session.superuser)
        self._key = 0

    def read(self) -> Catalog:
        with self._session.transaction(read_only=True):
            catalog = self._read(self._desired.guilds, whole=True)
        self._key = lock_key(catalog.database_oid, self._desired.prefix)
        return catalog

    def plan(self, actual: Catalog) -> list[Change]:
        return plan(self._desired, actual, self._server)

    def apply(self, changes: Sequence[Change]) -> Iterator[Outcome]:
        shared, batches, removals = self._transactions(changes)
        for change in shared:
            self._set_up()
            yield Outcome(change)
        for batch in batches:
            yield from _outcomes(batch, self._apply_batch)
        for change in removals:
            yield from _outcomes([change], self._remove)

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
            "batches": len(batches) + len(removals),
        }
        uncompared = uncompared_passwords(self._desired, actual, self._server)
        if uncompared:
            self._warn(
                f"{uncompared} passwords of existing logins were left as they are: to compare them takes a superuser, "
                "who alone can read their verifiers."
            )
        return output

    def _transactions(self, changes: Sequence[Change]) -> tuple[list[Change], list[Sequence[Change]], list[Change]]:
        """Set-up of the database, batches of guilds, and guilds to remove."""
        shared = [change for change in changes if change.kind == "database"]
        removals = [change for change in changes if change.action == "delete"]
        others = [change for change in changes if change.kind == "guild" and change.action != "delete"]
        size = self._batch_size
        return shared, [others[start : start + size] for start in range(0, len(others), size)], removals

    def _read(self, guilds: Sequence[Guild], *, whole: bool = False) -> Catalog:
        return read_catalog(
            self._session,
            [guild.names for guild in guilds],
            whole=whole,
            suspended=[guild.names for guild in guilds if guild.state == "suspended"],
            removed=[guild.names for guild in guilds if guild.state == "absent"],
        )

    def _lock(self) -> None:
        """One run at a time writes to a database. Raises :class:`TimedOutError` that names who keeps it from us."""
        try:
            self._session.run(
                [
                    f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}s'",
                    "SAVEPOINT waiting",
                    f"SELECT pg_catalog.pg_advisory_xact_lock({self._key})",
                    "RELEASE SAVEPOINT waiting",
                ]
            )
        except ConflictError as error:
            self._session.run(["ROLLBACK TO SAVEPOINT waiting"])
            holders = self._session.rows(LOCK_HOLDERS, [self._key])
            named = ", ".join(f"{user} ({program or 'unnamed'}, process {pid})" for pid, user, program in holders)
            raise TimedOutError(
                f"Gave up after {LOCK_TIMEOUT} s waiting for the lock of this database's guilds, held by: {named}.",
                hint="If that is another run, wait for its end. Then run again.",
            ) from error

    def _set_up(self) -> None:
        """What all guilds share."""
        with self._session.transaction():
            self._lock()
            found = self._database_difference()
            if found is not None:
                self._session.run(database_statements(found.before, found.after, self._server))
                left = self._database_difference()
                if left is not None:
                    fields = differing(left.before.tree(), left.after.tree())
                    refuse_unmet([f"database {self._server.database} ({', '.join(fields)})"])

    def _database_difference(self) -> DatabaseDifference | None:
        return database_difference(self._desired, self._read(self._desired.guilds, whole=True).database)

    def _apply_batch(self, guilds: Sequence[Guild]) -> None:
        """Guilds to set up, suspend or repair: all of them or, on any error, none."""
        with self._session.transaction():
            self._lock()
            catalog = self._read(guilds)
            refuse(refusals(guilds, catalog, self._server.version))
            found = [guild_difference(one, catalog.guilds[one.names.id], self._desired, self._server) for one in guilds]
            differences = [difference for difference in found if difference is not None]
            self._session.run(guild_statements(differences, self._server))
            verifiers = self._set_passwords(differences)
            self._verify(differences, verifiers)
        self._end_sessions([guild for guild in guilds if guild.state == "suspended"])

    def _set_passwords(self, differences: Sequence[GuildDifference]) -> dict[str, str]:
        """Returns the verifiers by role."""
        passwords = {
            one.guild.names.roles[kind]: one.guild.passwords[kind].reveal()
            for one in differences
            for kind in one.passwords
        }
        if not passwords:
            return {}
        made = map_concurrently(make_verifier, list(passwords.values()), os.cpu_count() or 1)
        verifiers = dict(zip(passwords, made, strict=True))
        self._session.run([MAKE_VERIFIERS, *([TERSE_LOG] if self._server.superuser else [])])
        self._session.copy_in(VERIFIERS, verifiers.items())
        self._session.run([SET_PASSWORDS])
        return verifiers

    def _verify(self, differences: Sequence[GuildDifference], verifiers: Mapping[str, str]) -> None:
        """Compare with the catalogs what was done: a GRANT without the right to it is no error, only a warning."""
        names = [difference.guild.names for difference in differences]
        after = read_catalog(self._session, names, whole=False).guilds
        refuse_unmet(unmet_guild(one, after[one.guild.names.id], verifiers, self._server) for one in differences)

    def _end_sessions(self, guilds: Sequence[Guild]) -> None:
        """End the sessions of guilds whose logins can no longer log in."""
        if not guilds:
            return
        names = [guild.names for guild in guilds]
        logins = [login for one in names for login in (one.app, one.ro)]
        with self._session.transaction():
            if not read_sessions(self._session, logins):
                return
            self._session.run(termination(names, self._server))
        with self._session.transaction(read_only=True):
            left = read_sessions(self._session, logins)
        refuse_unmet(f"{count} sessions of {login} (still open)" for login, count in left.items())

    def _remove(self, guilds: Sequence[Guild]) -> None:
        """Close the guild, end its sessions, drop it. Whatever stops this leaves it closed."""
        (guild,) = guilds
        names = guild.names
        with self._session.transaction():
            self._lock()
            found = self._read(guilds).guilds[names.id]
            self._session.run(closing_statements(names, found, self._server))
        self._end_sessions(guilds)
        with self._session.transaction():
            self._lock()
            catalog = self._read(guilds)
            refuse(refusals(guilds, catalog, self._server.version))
            self._session.run(removal_statements(names, catalog.guilds[names.id], self._server))
            if self._read(guilds).guilds[names.id].exists:
                refuse_unmet([f"guild {names.id} (still there)"])


def lock_key(database: int, prefix: str) -> int:
    """The key of the advisory lock for the guilds with this prefix in the database with this OID: 64 bits, signed."""
    digest = hashlib.sha256(f"dcm.platform/guilds/{database}/{prefix}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _outcomes(changes: Sequence[Change], function: Callable[[Sequence[Guild]], None]) -> Iterator[Outcome]:
    """One fate for all changes of a transaction. A refusal does not stop the transactions after it."""
    try:
        function([change.payload.guild for change in changes])
    except RefusedError as error:
        yield from (Outcome(change, error) for change in changes)
    else:
        yield from map(Outcome, changes)


def _described(guild: Guild, changed: bool) -> dict[str, Any]:
    names = guild.names
    return {"id": names.id, "schema": names.schema, **names.roles, "state": guild.state, "changed": changed}

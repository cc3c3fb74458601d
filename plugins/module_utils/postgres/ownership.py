# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Acting as the owner of a guild: whatever touches what is inside its schema runs with that role's rights alone."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import UnreachableError
from ansible_collections.dcm.platform.plugins.module_utils.guild import GuildNames
from ansible_collections.dcm.platform.plugins.module_utils.postgres.client import Session
from ansible_collections.dcm.platform.plugins.module_utils.postgres.model import (
    EXTENSIONS_SCHEMA,
    FIRST_WITH_GRANT_OPTIONS,
    MIGRATOR_ROLE,
)

with contextlib.suppress(ImportError):  # reported with the pip command before anything is called here
    from psycopg2 import sql

if TYPE_CHECKING:
    from psycopg2.sql import Composable

# Signed 64-bit keys: one is held by every run that needs the membership, the other while it is granted.
NEEDED, GRANTING = (
    int.from_bytes(hashlib.sha256(f"dcm.platform/migrator/{name}".encode()).digest()[:8], "big", signed=True)
    for name in ("needed", "granting")
)
_ADMINISTERS = """
SELECT rolcreaterole AND NOT rolsuper AND rolname <> %s FROM pg_catalog.pg_roles WHERE rolname = current_user
"""


@contextmanager
def becoming_owners(session: Session) -> Iterator[None]:
    """Inside, the login may become the owner of every guild.

    ``guild_migrator`` and superusers always may. An administrator who may grant ``guild_migrator`` is a member of it
    meanwhile, and no longer: as a member of so many roles it would be slow at everything else. The last of several runs
    at a time ends the membership.
    """
    with session.transaction():
        ((administers,),) = session.rows(_ADMINISTERS, [MIGRATOR_ROLE])
    if not administers:
        yield
        return
    migrator = sql.Identifier(MIGRATOR_ROLE)
    options = "WITH INHERIT FALSE, SET TRUE" if session.version >= FIRST_WITH_GRANT_OPTIONS else ""
    with session.transaction():
        session.rows("SELECT pg_catalog.pg_advisory_xact_lock(%s)", [GRANTING])
        session.rows("SELECT pg_catalog.pg_advisory_lock_shared(%s)", [NEEDED])
        session.run([sql.SQL("GRANT {} TO CURRENT_USER {}").format(migrator, sql.SQL(options))])
    try:
        yield
    finally:
        with contextlib.suppress(UnreachableError):  # what was raised inside says so already
            _leave(session, sql.SQL("REVOKE {} FROM CURRENT_USER").format(migrator))


def _leave(session: Session, revoke: Composable) -> None:
    with session.transaction():
        session.rows("SELECT pg_catalog.pg_advisory_unlock_shared(%s)", [NEEDED])
        ((last,),) = session.rows("SELECT pg_catalog.pg_try_advisory_lock(%s)", [NEEDED])
        if last:
            session.run([revoke])
    if last:
        with session.transaction():
            session.rows("SELECT pg_catalog.pg_advisory_unlock(%s)", [NEEDED])


def as_owner(names: GuildNames) -> list[Composable]:
    """Statements that make the rest of a transaction the owner's, whatever ran in the session before."""
    path = sql.SQL(", ").join(map(sql.Identifier, (names.schema, EXTENSIONS_SCHEMA, "pg_temp")))
    return [
        sql.SQL("RESET ALL"),
        sql.SQL("RESET ROLE"),
        sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(names.owner)),
        sql.SQL("SET LOCAL search_path = {}").format(path),
    ]

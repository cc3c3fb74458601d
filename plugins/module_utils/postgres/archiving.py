# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The run of ``pg_guild_archive``: one guild's schema into a verified archive, and back.

``pg_dump`` and ``pg_restore`` are the one safe way to do that, and run as the guild's owner: nothing that is inside the
schema is ever executed with more rights.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, Outcome
from ansible_collections.dcm.platform.plugins.module_utils.engine.concurrent import apply_each
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import (
    MissingLibraryError,
    PlatformError,
    RefusedError,
)
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import Reconciler
from ansible_collections.dcm.platform.plugins.module_utils.guild import GuildNames
from ansible_collections.dcm.platform.plugins.module_utils.postgres.client import Session
from ansible_collections.dcm.platform.plugins.module_utils.postgres.guild_archive import (
    SUFFIX,
    Archive,
    archives_of,
    checksum,
    content_of,
    drafted,
    verified_archive,
    write_archive,
)
from ansible_collections.dcm.platform.plugins.module_utils.postgres.ownership import as_owner, becoming_owners

with contextlib.suppress(ImportError):  # reported with the pip command before anything is called here
    from psycopg2 import sql

LOCK_TIMEOUT = 60  # seconds to wait for a table that somebody is changing
_SCHEMA = """
SELECT pg_catalog.pg_get_userbyid(nspowner),
       EXISTS (SELECT FROM pg_catalog.pg_depend
                WHERE refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND refobjid = n.oid AND deptype = 'n'
                  AND classid <> 'pg_catalog.pg_default_acl'::pg_catalog.regclass)
  FROM pg_catalog.pg_namespace n WHERE nspname = %s
"""
_TABLES = """
SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = %s AND c.relkind = 'r'
"""
_STATE = """
SELECT r.rolname, pg_catalog.jsonb_build_object(
         'login', rolcanlogin, 'inherit', rolinherit, 'connection_limit', rolconnlimit,
         'settings', (SELECT pg_catalog.jsonb_agg(setconfig) FROM pg_catalog.pg_db_role_setting WHERE setrole = r.oid),
         'member_of', (SELECT pg_catalog.jsonb_agg(DISTINCT pg_catalog.pg_get_userbyid(roleid))
                         FROM pg_catalog.pg_auth_members WHERE member = r.oid))
  FROM pg_catalog.pg_roles r WHERE rolname = ANY(%s::name[])
"""
# All there is of the other guilds, apart from their rows and from who granted what.
_OTHERS = """
WITH role AS (SELECT r.* FROM pg_catalog.pg_roles r WHERE rolname ~ %s AND rolname <> ALL (%s::name[])),
  schema AS (SELECT n.* FROM pg_catalog.pg_namespace n WHERE nspname ~ %s AND nspname <> %s)
SELECT pg_catalog.format('role %%s %%s %%s %%s', rolname, rolcanlogin, rolinherit, rolconnlimit) FROM role
 UNION ALL SELECT pg_catalog.format('setting %%s %%s', setrole, setconfig) FROM pg_catalog.pg_db_role_setting
            WHERE setrole IN (SELECT oid FROM role)
 UNION SELECT pg_catalog.format('member %%s %%s', roleid, member) FROM pg_catalog.pg_auth_members
            WHERE roleid IN (SELECT oid FROM role) OR member IN (SELECT oid FROM role)
 UNION ALL SELECT pg_catalog.format('schema %%s %%s %%s', nspname, nspowner, nspacl) FROM schema
 UNION ALL SELECT pg_catalog.format('default %%s %%s %%s', defaclnamespace, defaclobjtype, defaclacl)
             FROM pg_catalog.pg_default_acl WHERE defaclrole IN (SELECT oid FROM role)
 UNION ALL SELECT pg_catalog.format('relation %%s %%s %%s %%s', oid, relname, relowner, relacl)
             FROM pg_catalog.pg_class WHERE relnamespace IN (SELECT oid FROM schema)
 UNION ALL SELECT pg_catalog.format('routine %%s %%s %%s', oid, proname, proacl)
             FROM pg_catalog.pg_proc WHERE pronamespace IN (SELECT oid FROM schema)
"""


@dataclass(frozen=True)
class Found:
    """``owner`` None: the guild has no schema. ``content`` of what is in it, where that was looked at.

    ``others``: a checksum of the other guilds' state.
    """

    owner: str | None
    empty: bool
    others: str
    archives: Sequence[Archive] = ()
    content: str | None = None


class Programs:
    """``pg_dump`` and ``pg_restore``, which get the connection, and so the password, by their environment."""

    def __init__(self, directory: str | None, options: Mapping[str, Any]) -> None:
        self._directory = directory
        values = {
            "PGHOST": options["login_host"],
            "PGPORT": options["login_port"],
            "PGUSER": options["login_user"],
            "PGPASSWORD": options["login_password"],
            "PGDATABASE": options["login_db"],
            "PGSSLMODE": options["ssl_mode"],
            "PGSSLROOTCERT": options["ca_cert"],
            "PGCONNECT_TIMEOUT": options["connect_timeout"],
            "PGAPPNAME": "dcm.platform.pg_guild_archive",
            "PGOPTIONS": "-c statement_timeout=0 -c idle_in_transaction_session_timeout=0",
            "LC_ALL": "C",
        }
        given = {name: str(value) for name, value in values.items() if value is not None}
        self._environment = {**{key: value for key, value in os.environ.items() if not key.startswith("PG")}, **given}

    def run(self, program: str, *arguments: str) -> None:
        """Raises :class:`RefusedError` with what the program said."""
        with self.lines(program, *arguments):
            pass

    @contextlib.contextmanager
    def lines(self, program: str, *arguments: str) -> Iterator[Iterator[bytes]]:
        """What the program prints, line by line. Raises :class:`RefusedError` with what it said if it fails."""
        path = str(Path(self._directory) / program) if self._directory else program
        with tempfile.TemporaryFile() as said:
            try:
                process = subprocess.Popen(
                    [path, *arguments],
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=said,
                )
            except OSError as error:
                raise MissingLibraryError(
                    f"{path} cannot be run: {error.strerror}.",
                    hint="Install PostgreSQL's client programs, not older than the server, or give their directory.",
                ) from error
            with process:
                yield iter(process.stdout or ())
            said.seek(0)
            text = " ".join(said.read().decode(errors="replace").split())
        if process.returncode:
            raise RefusedError(f"{program} failed: {text.removeprefix(f'{program}: ').rstrip('.')}.")


class ArchiveReconciler(Reconciler[Found]):
    """Makes an archive of a guild, unless the last one holds the same; or fills an empty schema from one."""

    def __init__(self, session: Session, programs: Programs, names: GuildNames, options: Mapping[str, Any]) -> None:
        """``options``: those of the module, and ``check_mode``."""
        self._session = session
        self._programs = programs
        self._names = names
        self._directory = Path(options["directory"] or "")
        self._source = Path(options["archive"]) if options["state"] == "restored" else None
        self._check_mode = options["check_mode"]
        self._archive: Archive | None = None

    def read(self) -> Found:
        """Without check mode, what is in the schema is compared with the archive, for which it is dumped."""
        archives: Sequence[Archive] = ()
        if self._source is None:
            archives = archives_of(str(self._directory), self._names)
        else:
            self._archive = verified_archive(self._source, self._names)
        with self._session.transaction(read_only=True):
            rows = self._session.rows(_SCHEMA, [self._names.schema])
            others = self._others()
        if not rows:
            return Found(None, True, others, archives)
        owner, filled = rows[0]
        look = owner == self._names.owner and not self._check_mode and (filled if self._source else bool(archives))
        return Found(owner, not filled, others, archives, self._content() if look else None)

    def _others(self) -> str:
        """Inside a transaction."""
        names = self._names
        pattern = f"^{names.schema.removesuffix(names.id)}[0-9]+"
        parameters = [f"{pattern}(_owner|_app|_ro)$", list(names.roles.values()), f"{pattern}$", names.schema]
        rows = sorted(text for (text,) in self._session.rows(_OTHERS, parameters))
        return hashlib.sha256("\n".join(rows).encode()).hexdigest()

    def plan(self, actual: Found) -> list[Change]:
        names = self._names
        if actual.owner not in (None, names.owner):
            raise RefusedError(f"Schema {names.schema} belongs to {actual.owner} and not to {names.owner}.")
        return self._plan_archive(actual) if self._source is None else self._plan_restoration(actual)

    def _plan_archive(self, actual: Found) -> list[Change]:
        if actual.archives:
            self._archive = actual.archives[-1]
        if actual.owner is None:
            if self._archive is None:
                raise RefusedError(f"Guild {self._names.id} has no schema {self._names.schema}, and no archive.")
            return []
        if self._archive is not None and self._archive.content == actual.content:
            return []
        before = {"archive": self._archive.file} if self._archive else None
        return [Change("create", "archive of guild", self._names.id, before, {"schema": self._names.schema})]

    def _plan_restoration(self, actual: Found) -> list[Change]:
        names, archive = self._names, self._archive
        if archive is None:
            raise ValueError("restored without an archive")
        if actual.owner is None:
            raise RefusedError(
                f"Guild {names.id} has no schema {names.schema}.",
                hint="Make it with pg_guild_schema first: roles, passwords and settings are in no archive.",
            )
        if actual.content == archive.content:
            return []
        if not actual.empty:
            raise RefusedError(
                f"Schema {names.schema} is not empty, and holds something else than the archive.",
                hint="The playbook restore_guild.yml saves what is there and makes room.",
            )
        return [
            Change("run", "restoration of guild", names.id, None, {"archive": archive.file, "tables": archive.tables})
        ]

    def apply(self, changes: Sequence[Change]) -> Iterator[Outcome]:
        return apply_each(changes, lambda change: self._restore() if self._source else self._take())

    def result(self, actual: Found, changes: Sequence[Change]) -> dict[str, Any]:
        """The archive that was made, was there already, or was restored; in check mode there may be none yet."""
        directory = str(self._directory if self._source is None else self._source.parent)
        return {
            "guild": self._names.id,
            "schema": self._names.schema,
            "exists": actual.owner is not None,
            "others": actual.others,
            "archive": self._archive.described(directory) if self._archive else None,
        }

    def _take(self) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with drafted(self._directory, self._names.schema) as draft:
            state = self._dump(draft)
            content, rows = self._verify(draft)
            if rows != state["rows"]:
                raise PlatformError(
                    f"The archive of {self._names.schema} does not hold the rows that the schema has.",
                    hint="Nothing was kept; this is a fault of the programs or of the disk.",
                )
            moment = datetime.datetime.now(datetime.UTC)
            self._archive = Archive(
                guild=self._names.id,
                schema=self._names.schema,
                file=f"{self._names.schema}-{moment:%Y%m%dT%H%M%S%fZ}{SUFFIX}",
                taken_at=f"{moment:%Y-%m-%dT%H:%M:%SZ}",
                server_version=state["version"],
                size=draft.stat().st_size,
                sha256=checksum(draft),
                content=content,
                tables=rows,
                state=state["roles"],
            )
            write_archive(draft, self._directory, self._archive)

    def _content(self) -> str:
        """The checksum of what is in the schema now."""
        with tempfile.TemporaryDirectory() as directory:
            draft = Path(directory) / f"now{SUFFIX}"
            self._dump(draft)
            return self._verify(draft)[0]

    def _dump(self, draft: Path) -> dict[str, Any]:
        """Dump, and count in the same snapshot what should be in it."""
        names = self._names
        draft.touch(mode=0o600)
        with becoming_owners(self._session), self._session.transaction(read_only=True):
            ((snapshot, version),) = self._session.rows(
                "SELECT pg_catalog.pg_export_snapshot(), pg_catalog.current_setting('server_version')"
            )
            roles = dict(self._session.rows(_STATE, [list(names.roles.values())]))
            self._programs.run(
                "pg_dump",
                "--format=custom",
                "--no-password",
                "--strict-names",
                f"--schema={names.schema}",
                f"--role={names.owner}",
                f"--snapshot={snapshot}",
                f"--lock-wait-timeout={LOCK_TIMEOUT}s",
                f"--file={draft}",
            )
            return {"version": version, "roles": roles, "rows": self._count()}

    def _count(self) -> dict[str, int]:
        """Rows by table, inside a transaction."""
        tables = [name for (name,) in self._session.rows(_TABLES, [self._names.schema])]
        self._session.run(as_owner(self._names))
        counted = {}
        for table in tables:
            query = sql.SQL("SELECT pg_catalog.count(*) FROM ONLY {}").format(sql.Identifier(self._names.schema, table))
            ((counted[table],),) = self._session.rows(query)
        return counted

    def _verify(self, draft: Path) -> tuple[str, dict[str, int]]:
        """Read the whole archive as it would be restored."""
        with self._programs.lines("pg_restore", "--file=-", str(draft)) as script:
            return content_of(script)

    def _restore(self) -> None:
        """All or nothing, into the schema that is there."""
        with becoming_owners(self._session):
            self._programs.run(
                "pg_restore",
                "--no-password",
                "--exit-on-error",
                "--single-transaction",
                f"--schema={self._names.schema}",
                f"--role={self._names.owner}",
                f"--dbname={self._session.database}",
                str(self._source),
            )
        if self._archive is not None and self._content() != self._archive.content:
            raise PlatformError(
                f"What was restored into {self._names.schema} is not what {self._source} holds.",
                hint="Compare the two with pg_dump before anybody uses it.",
            )

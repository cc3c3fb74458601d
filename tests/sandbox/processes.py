# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Processes that outlive the command that started them, and are found again after any crash.

A process is known by a pid file (pid and start time, so that a reused pid is never mistaken for it) and by a mark in
its environment, which catches what was started in the instant before its pid file was written.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.sandbox.service import LabError, private_opener

MARK = "DCM_LAB_PROCESS_OF"
ROOT = Path(__file__).resolve().parents[2]
GRACE = 2.0  # seconds between asking a process to end and ending it: of a lab that goes, nothing needs to be saved
KILLED_WITHIN = 8.0  # seconds until the system has cleared away what was killed


def _start_time(pid: int) -> str | None:
    """The kernel's start time of a living process, None when there is none.

    A zombie is none, but one whose threads are still there: they hold its ports.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    state, threads, start_time = fields[0], int(fields[17]), fields[19]
    return None if state in "ZX" and threads <= 1 else start_time


def resident_bytes(pid: int) -> int:
    """Resident memory of a process and its descendants, shared pages counted once (PSS where the kernel tells)."""
    total = 0
    for member in [pid, *_descendants(pid)]:
        with contextlib.suppress(OSError, ValueError, IndexError):
            rollup = Path(f"/proc/{member}/smaps_rollup").read_text()
            total += int(rollup.split("Pss:")[1].split()[0]) * 1024
    return total


def _descendants(pid: int) -> list[int]:
    found = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *_descendants(int(child))]
    return found


class Supervised:
    """One named process of the lab in ``directory``; its pid file and its log lie there."""

    def __init__(self, directory: Path, name: str) -> None:
        self.name = name
        self.pid_file = directory / f"{name}.pid"
        self.log_file = directory / f"{name}.log"

    def pid(self) -> int | None:
        """The pid, if the process lives."""
        try:
            record = json.loads(self.pid_file.read_text())
        except (OSError, ValueError):
            return None
        return record["pid"] if _start_time(record["pid"]) == record["started"] else None

    def start(self, command: Sequence[str], environment: Mapping[str, str], lab: Path) -> None:
        """Start the process in a session of its own. Raises :class:`LabError` when it cannot be executed."""
        variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment, MARK: str(lab)}
        with open(self.log_file, "ab", opener=private_opener) as log:
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self.pid_file.parent,
                    env=variables,
                    start_new_session=True,
                    umask=0o077,
                )
            except OSError as error:
                raise LabError(f"{self.name} cannot be started: {error}") from error
        record = {"pid": process.pid, "started": _start_time(process.pid)}
        self.pid_file.write_text(json.dumps(record))

    def log_tail(self, lines: int = 15) -> str:
        """The end of the log, for a message."""
        try:
            return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return "(no log)"


def _marked(lab: Path) -> set[int]:
    wanted = f"{MARK}={lab}".encode()
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.add(int(entry.name))
    return found


def stop_all(lab: Path) -> None:
    """End every process of the lab: asked first, then made to. Raises :class:`LabError` if one survives."""
    pids = _marked(lab)
    for pid_file in lab.glob("*/*.pid"):
        pid = Supervised(pid_file.parent, pid_file.stem).pid()
        if pid is not None:
            pids |= {pid, *_descendants(pid)}
    for request in (signal.SIGINT, signal.SIGKILL):  # SIGTERM has PostgreSQL wait for its clients
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, request)
        deadline = time.monotonic() + (GRACE if request is signal.SIGINT else KILLED_WITHIN)
        while pids and time.monotonic() < deadline:
            _reap()
            pids = {pid for pid in pids if _start_time(pid) is not None} | _marked(lab)
            time.sleep(0.05)
        if not pids:
            return
    raise LabError(f"processes that do not end: {', '.join(map(str, sorted(pids)))}")


def _reap() -> None:
    """Take note of children that ended, where this very process started them (tests do)."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lab: chosen services, started in the order of their needs, repaired, stopped without a trace."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.sandbox.processes import MARK, ROOT, Supervised, resident_bytes, stop_all
from tests.sandbox.service import LabError, NotReady, Process, Progress, Service, Settings, write_private
from tests.sandbox.services import default, services

STATE = "lab.json"


def default_directory() -> Path:
    """``DCM_LAB_DIR``, or ``.lab`` in the checkout."""
    return Path(os.environ.get("DCM_LAB_DIR") or ROOT / ".lab").absolute()


@dataclass(frozen=True)
class ProcessStatus:
    """``state`` is ``running``, ``not ready: …`` or ``stopped``; ``memory`` is resident, in bytes."""

    service: str
    process: str
    pid: int | None
    state: str
    memory: int


class Lab:
    """The services under one directory. Two labs in two directories know nothing of each other."""

    def __init__(self, directory: Path, progress: Progress = lambda line: None) -> None:
        self.directory = directory
        self._progress = progress
        self._saving = threading.Lock()

    # -- state -------------------------------------------------------------------------------------------------

    def settings(self) -> dict[str, Settings]:
        """Settings by service, of every service that was ever started here."""
        try:
            services: dict[str, Settings] = json.loads((self.directory / STATE).read_text())["services"]
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError) as error:
            raise LabError(f"{self.directory / STATE} is damaged ({error}): run `down`, then `up`") from error
        return services

    def _save(self, name: str, settings: Settings) -> None:
        """Write the one file that holds ports and credentials: private from the first byte, replaced as a whole."""
        with self._saving:
            content = json.dumps({"services": {**self.settings(), name: settings}}, indent=2, sort_keys=True)
            write_private(self.directory / STATE, content)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One command at a time in a directory."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.directory / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _service(self, name: str) -> Service:
        directory = self.directory / name
        directory.mkdir(mode=0o700, exist_ok=True)
        known = self.settings()
        kind = services()[name]
        return kind(directory, {need: known[need] for need in kind.needs if need in known})

    # -- up ----------------------------------------------------------------------------------------------------

    def up(self, names: Iterable[str] = ()) -> None:
        """Start what is chosen (default: what was chosen before, else all but the optional) and does not run yet.

        Raises :class:`LabError` with the reason and the end of the log of whatever did not come up.
        """
        wanted = with_needs(list(names) or list(self.settings()) or default())
        with self._locked(), _marked_children(self.directory), ThreadPoolExecutor(max_workers=len(wanted)) as pool:
            started: dict[str, Future[None]] = {}
            for name in wanted:  # a need stands before whoever needs it
                needs = [started[need] for need in services()[name].needs]
                started[name] = pool.submit(self._start, name, needs)
            errors = [error for future in started.values() if (error := future.exception())]
        for error in errors:
            raise error

    def _start(self, name: str, needs: list[Future[None]]) -> None:
        for need in needs:
            need.result()
        began = time.monotonic()
        service = self._service(name)
        service.build(self._progress)
        settings = self.settings().get(name) or service.settings()
        self._save(name, settings)
        service.prepare(settings)
        for process in service.processes(settings):
            self._start_process(service, process)
        service.configure(settings)
        self._save(name, settings)
        self._progress(f"{name} is ready ({time.monotonic() - began:.1f} s)")

    def _start_process(self, service: Service, process: Process) -> None:
        supervised = Supervised(service.directory, process.name)
        started = False
        deadline = time.monotonic() + process.ready_timeout
        while True:
            # One that was killed a moment ago may be there at first and end only then.
            died = supervised.pid() is None
            if died and not started:
                supervised.start(process.command, process.environment, self.directory)
                started, died = True, False
            reason = _not_ready(process)
            if reason is None:
                return
            if died or time.monotonic() > deadline:
                what = "ended" if died else f"was not ready after {process.ready_timeout:g} s ({reason})"
                raise LabError(f"{process.name} {what}. The end of {supervised.log_file}:\n{supervised.log_tail()}")
            time.sleep(0.05)

    # -- down and status ---------------------------------------------------------------------------------------

    def down(self) -> None:
        """End every process and remove the directory. Works after a crash, and with nothing there."""
        if not self.directory.exists():
            return
        with self._locked():
            stop_all(self.directory)
            shutil.rmtree(self.directory)

    def status(self) -> list[ProcessStatus]:
        """Every process of every service that was started here."""
        report = []
        for name, settings in self.settings().items():
            service = self._service(name)
            for process in service.processes(settings):
                pid = Supervised(service.directory, process.name).pid()
                state, memory = "stopped", 0
                if pid is not None:
                    reason = _not_ready(process)
                    state, memory = (f"not ready: {reason}" if reason else "running"), resident_bytes(pid)
                report.append(ProcessStatus(name, process.name, pid, state, memory))
        return report

    def pid(self, process: str) -> int | None:
        """The pid of a process by its name, for tests that kill it."""
        for name, settings in self.settings().items():
            service = self._service(name)
            if any(one.name == process for one in service.processes(settings)):
                return Supervised(service.directory, process).pid()
        return None

    def environment(self) -> dict[str, str]:
        """What the systems' own clients read, so that people can look around with them."""
        variables = {"DCM_LAB_DIR": str(self.directory)}
        for name, settings in self.settings().items():
            for variable, value in services()[name].environment(settings).items():
                variables[variable] = str(value)
        return variables


@contextlib.contextmanager
def _marked_children(lab: Path) -> Iterator[None]:
    """Let what services run on their way up (initdb, Go) carry the mark, so that a killed ``up`` leaves nothing."""
    os.environ[MARK] = str(lab)
    try:
        yield
    finally:
        del os.environ[MARK]


def _not_ready(process: Process) -> str | None:
    try:
        process.ready()
    except (NotReady, OSError) as reason:
        return str(reason)
    return None


def with_needs(names: Iterable[str]) -> list[str]:
    """The names and everything they need, needs first. Raises :class:`LabError` for an unknown name."""
    ordered: dict[str, Any] = {}

    def add(name: str) -> None:
        if name not in services():
            raise LabError(f"no service {name!r} in the lab; there are: {', '.join(services())}")
        for need in services()[name].needs:
            add(need)
        ordered[name] = None

    for name in names:
        add(name)
    return list(ordered)

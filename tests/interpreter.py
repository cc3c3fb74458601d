# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Python processes forked from one that has its libraries loaded: a run costs a tenth of a new interpreter.

The process is ``python -m tests.interpreter SOCKET DIRECTORY LIBRARY…``; it ends when its standard input does. A run
says what to run as Python's command line does: ``-m MODULE``, a script, or nothing for the program that comes by
standard input, which is how Ansible runs modules: it takes ``Interpreter.command`` for Python.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import io
import marshal
import os
import runpy
import shlex
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import traceback
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests import compiled, interpreter_client

ROOT = Path(__file__).parents[1]


class Interpreter:
    """The process at ``address``, seen from the tests.

    ``client`` with the arguments that Python would get runs them there; ``command`` is an executable that stands for
    Python, for programs by standard input.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.client = [sys.executable, "-IS", interpreter_client.__file__, address]
        self.command = Path(address).with_suffix(".python")

    def run(
        self,
        argv: Sequence[str | Path],
        environment: Mapping[str, str],
        cwd: Path,
        *,
        timeout: float,
        given: str = "",
        apart: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Run it with ``given`` as standard input; standard error is ``apart`` or goes where standard output does.

        Raises AssertionError if the process was ended or did not end within ``timeout`` seconds.
        """
        command = [str(part) for part in argv]
        with _memory() as stdin, _memory() as stdout, _memory() as stderr:
            stdin.write(given)
            stdin.seek(0)
            handles = [stdin.fileno(), stdout.fileno(), (stderr if apart else stdout).fileno()]
            try:
                status = interpreter_client.run(self.address, handles, dict(environment), str(cwd), command, timeout)
                fault = "was ended"
            except TimeoutError:
                status, fault = None, f"did not end within {timeout} s"
            stdout.seek(0)
            stderr.seek(0)
            printed = stdout.read(), stderr.read()
        if status is None:
            raise AssertionError(f"{' '.join(command)} {fault}:\n{''.join(printed)}")
        return subprocess.CompletedProcess(command, status, *printed)


class Process:
    """One that was started here, and listens at ``address``."""

    def __init__(self, address: str, libraries: Sequence[str], *, environment: Mapping[str, str], cwd: Path) -> None:
        """Libraries are loaded in ``cwd`` with ``environment``: some read their configuration then."""
        self.address = address
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.interpreter", address, cwd, *libraries],
            cwd=ROOT,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        if self._process.stdout is None or not self._process.stdout.readline():
            raise AssertionError("the process that runs modules did not start")
        seen = Interpreter(address)
        client = shlex.join(seen.client)
        seen.command.write_text(f"#!/bin/sh\n[ $# = 0 ] && exec {client}\nexec '{sys.executable}' \"$@\"\n")
        seen.command.chmod(0o700)

    def stop(self) -> None:
        """End it. What runs goes on to its end."""
        self._process.communicate()


def _memory() -> io.TextIOWrapper:
    """A file that lies nowhere."""
    return os.fdopen(os.memfd_create("stream"), "w+", encoding="utf-8")


class _Handler(socketserver.BaseRequestHandler):
    """Lives in a fork of its own."""

    def handle(self) -> None:
        handles = socket.recv_fds(self.request, 1, 3)[1]
        with self.request.makefile("rb") as file:
            environment, cwd, argv = marshal.loads(file.read())
        for standard, handle in enumerate(handles):
            os.dup2(handle, standard)
            os.close(handle)
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(cwd)
        tempfile.tempdir = None  # what it was is of another environment
        sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
        atexit._clear()  # what it was to do at its end is still the parent's to do
        self.request.sendall(f"{os.getpid()}\n".encode())
        self.request.sendall(bytes([_run(argv)]))


def _run(argv: list[str]) -> int:
    """The exit status."""
    status: Any = 0
    sys.argv = argv or [""]
    try:
        if argv[:1] == ["-m"]:
            sys.argv = argv[1:]
            runpy.run_module(argv[1], run_name="__main__")
        elif argv:
            runpy.run_path(argv[0], run_name="__main__")
        else:
            _run_program(sys.stdin.read())
    except SystemExit as exit_:
        status = exit_.code
    except BaseException:  # noqa: BLE001 - as the interpreter itself does
        traceback.print_exc()
        status = 1
    atexit._run_exitfuncs()  # a fork ends without them
    sys.stdout.flush()
    sys.stderr.flush()
    return status if isinstance(status, int) else int(status is not None)


def _run_program(source: str) -> None:
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    exec(compile(source, "<stdin>", "exec"), main.__dict__)


class _Server(socketserver.ForkingMixIn, socketserver.UnixStreamServer):
    max_children = request_queue_size = 64
    block_on_close = False


def main() -> None:
    address, directory, *libraries = sys.argv[1:]
    os.chdir(directory)
    compiled.remember(ROOT / ".cache" / "compiled")
    for library in libraries:
        with contextlib.suppress(ImportError):  # another version's
            importlib.import_module(library)
    gc.freeze()  # else every fork looks through all of it, and copies the pages
    gc.set_threshold(50_000)  # no fork lives long
    with _Server(address, _Handler) as server:
        # Before the first fork, which would copy the lock of the output as it is in the middle of this.
        print("ready", flush=True)
        threading.Thread(target=server.serve_forever).start()
        sys.stdin.read()
        server.shutdown()


if __name__ == "__main__":
    main()

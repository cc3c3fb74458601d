# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Python processes forked from one that has its libraries loaded: a run costs a tenth of a new interpreter.

The process is ``python -m tests.interpreter SOCKET``; it ends when its standard input does. It runs a module of this
collection, or, for Ansible, which takes ``Interpreter.command`` for Python, the program that comes by standard input.
"""

from __future__ import annotations

import atexit
import importlib
import io
import marshal
import os
import runpy
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import traceback
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests import interpreter_client

MODULES = "ansible_collections.dcm.platform.plugins.modules"
LIBRARIES = (
    "ansible.module_utils.basic",
    "boto3",
    "cryptography.x509",
    "grpclib.client",
    "hvac",
    "kubernetes",
    "psycopg2",
    "requests",
    "yaml",
)


class Interpreter:
    """The process, seen from the tests. ``command``: an executable that stands for Python, for programs by stdin."""

    def __init__(self, directory: Path, timeout: float) -> None:
        """The socket lies in ``directory``; ``timeout``: seconds for one module."""
        self._address = str(directory / "interpreter.sock")
        self._timeout = timeout
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.interpreter", self._address],
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        if self._process.stdout is None or not self._process.stdout.readline():
            raise AssertionError("the process that runs modules did not start")
        self.command = directory / "python"
        client = f"'{sys.executable}' -IS '{interpreter_client.__file__}' '{self._address}'"
        self.command.write_text(f"#!/bin/sh\n[ $# = 0 ] && exec {client}\nexec '{sys.executable}' \"$@\"\n")
        self.command.chmod(0o700)

    def run_module(self, name: str, arguments: str, environment: Mapping[str, str], cwd: Path) -> tuple[str, str]:
        """Standard output and standard error of the module. Raises AssertionError if its process was ended."""
        with _memory() as stdin, _memory() as stdout, _memory() as stderr:
            stdin.write(arguments)
            stdin.seek(0)
            handles = [stdin.fileno(), stdout.fileno(), stderr.fileno()]
            status = interpreter_client.run(self._address, handles, dict(environment), str(cwd), name, self._timeout)
            if status is None:
                raise AssertionError(f"the process of {name} was ended")
            stdout.seek(0)
            stderr.seek(0)
            return stdout.read(), stderr.read()

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
            environment, cwd, module = marshal.loads(file.read())
        for standard, handle in enumerate(handles):
            os.dup2(handle, standard)
            os.close(handle)
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(cwd)
        tempfile.tempdir = None  # what it was is of another environment
        sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
        sys.argv = [module]
        self.request.sendall(bytes([_run(module)]))


def _run(module: str) -> int:
    """The exit status."""
    status: Any = 0
    try:
        if module:
            runpy.run_module(f"{MODULES}.{module}", run_name="__main__")
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
    for library in LIBRARIES:
        importlib.import_module(library)
    with _Server(sys.argv[1], _Handler) as server:
        # Before the first fork, which would copy the lock of the output as it is in the middle of this.
        print("ready", flush=True)
        threading.Thread(target=server.serve_forever).start()
        sys.stdin.read()
        server.shutdown()


if __name__ == "__main__":
    main()

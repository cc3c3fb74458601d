# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Modules as processes forked from one that has imported their libraries: a run costs a tenth of a new interpreter.

The process is ``python -m tests.module_server SOCKET``; it ends when its standard input does.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import runpy
import socket
import socketserver
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MODULES = "ansible_collections.dcm.platform.plugins.modules"
LIBRARIES = ("boto3", "cryptography.x509", "grpclib.client", "hvac", "kubernetes", "psycopg2", "requests", "yaml")


class ModuleServer:
    """The process, seen from the tests."""

    def __init__(self, directory: Path, timeout: float) -> None:
        """The socket lies in ``directory``; ``timeout``: seconds for one module."""
        self._address = str(directory / "modules.sock")
        self._timeout = timeout
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.module_server", self._address],
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        if self._process.stdout is None or not self._process.stdout.readline():
            raise AssertionError("the process that runs modules did not start")

    def run(self, name: str, arguments: str, environment: Mapping[str, str], cwd: Path) -> tuple[str, str]:
        """Standard output and standard error of the module. Raises AssertionError if its process was ended."""
        request = {"name": name, "arguments": arguments, "environment": dict(environment), "cwd": str(cwd)}
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(self._timeout)
            connection.connect(self._address)
            connection.sendall(json.dumps(request).encode())
            connection.shutdown(socket.SHUT_WR)
            with connection.makefile("rb") as answer:
                received = answer.read()
        if not received:
            raise AssertionError(f"the process of {name} was ended")
        stdout, stderr = json.loads(received)
        return stdout, stderr

    def stop(self) -> None:
        """End it. Modules that run go on to their end."""
        self._process.communicate()


class _Handler(socketserver.StreamRequestHandler):
    """Lives in a fork of its own."""

    def handle(self) -> None:
        request = json.loads(self.rfile.read())
        outputs = [os.memfd_create(name) for name in ("stdout", "stderr")]
        for standard, output in zip((1, 2), outputs, strict=True):
            os.dup2(output, standard)
        _run(request)
        self.wfile.write(json.dumps([_content(output) for output in outputs]).encode())


def _run(request: Mapping[str, Any]) -> None:
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["cwd"])
    sys.stdin = io.TextIOWrapper(io.BytesIO(request["arguments"].encode()))
    sys.argv = [request["name"]]
    try:
        runpy.run_module(f"{MODULES}.{request['name']}", run_name="__main__")
    except SystemExit:
        pass
    except Exception:  # noqa: BLE001 - as the interpreter itself does
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()


def _content(handle: int) -> str:
    os.lseek(handle, 0, os.SEEK_SET)
    with open(handle, encoding="utf-8") as file:
        return file.read()


class _Server(socketserver.ForkingMixIn, socketserver.UnixStreamServer):
    max_children = request_queue_size = 64
    block_on_close = False


def main() -> None:
    for library in ("ansible.module_utils.basic", *LIBRARIES):
        importlib.import_module(library)
    with _Server(sys.argv[1], _Handler) as server:
        # Before the first fork, which would copy the lock of the output as it is in the middle of this.
        print("ready", flush=True)
        threading.Thread(target=server.serve_forever).start()
        sys.stdin.read()
        server.shutdown()


if __name__ == "__main__":
    main()

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which interpreters there are to fork from, and where: a test session's own, or those that several commands share.

Molecule, too, finds an ansible-playbook that asks here where to run.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import marshal
import os
import shlex
import socketserver
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from tests import interpreter_client
from tests.interpreter import Interpreter, Process
from tests.staging import ROOT

SHARED = "DCM_TEST_INTERPRETERS"  # the variable of the environment that says where to ask for them
READ_BY_ANSIBLE = ("ANSIBLE_", "HOME", "TMPDIR")  # how the names of such variables begin
PROGRAM = Path(sys.executable).parent / "ansible-playbook"

# The kinds of them. A module that Ansible sends has to bring what is the collection's own, another one has it loaded.
PLAYBOOK, SENT_MODULE, MODULE = "playbook", "sent module", "module"

_LIBRARIES = ("cryptography.x509", "hvac", "requests", "yaml")
_OF_MODULES = (
    "ansible.module_utils.basic",
    "ansible.module_utils._internal._ansiballz._loader",
    "ansible.module_utils._internal._json._profiles._module_legacy_c2m",
    "ansible.module_utils._internal._json._profiles._module_legacy_m2c",
    "boto3",
    "grpclib.client",
    "kubernetes.client.api.core_v1_api",
    "kubernetes.client.api.custom_objects_api",
    "kubernetes.client.api.version_api",
    "psycopg2",
    *_LIBRARIES,
)
_OWN = tuple(
    ".".join(("ansible_collections.dcm.platform", *path.relative_to(ROOT).with_suffix("").parts))
    for path in sorted((ROOT / "plugins/module_utils").rglob("[!_]*.py"))
)
KINDS = {
    PLAYBOOK: ("tests.warm_playbook", *_LIBRARIES),
    SENT_MODULE: _OF_MODULES,
    MODULE: (*_OF_MODULES, *_OWN),
}


class Interpreters(Protocol):
    """Either way to have them."""

    def address(self, kind: str, environment: Mapping[str, str], cwd: Path) -> str:
        """Of the interpreter of that kind that has loaded its libraries with such settings."""

    def close(self) -> None:
        """End one's own."""


class OwnInterpreters:
    """Starts them in ``directory`` when they are first asked for."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._numbers = itertools.count()
        self._processes: dict[Any, Process] = {}
        self._starting = threading.Lock()

    def address(self, kind: str, environment: Mapping[str, str], cwd: Path) -> str:
        place, settings = self._directory, {}
        if kind == PLAYBOOK:  # Ansible reads its configuration when it loads
            settings = {key: value for key, value in environment.items() if key.startswith(READ_BY_ANSIBLE)}
            if "ANSIBLE_CONFIG" in settings:  # every scenario of molecule has a file of its own, with the same text
                settings["ANSIBLE_CONFIG"] = Path(settings["ANSIBLE_CONFIG"]).read_text()
            place = cwd if (cwd / "ansible.cfg").exists() else place
        key = (kind, place, frozenset(settings.items()))
        with self._starting:
            if key not in self._processes:
                address = str(self._directory / f"interpreter-{next(self._numbers)}.sock")
                self._processes[key] = Process(address, KINDS[kind], environment=environment, cwd=place)
        return self._processes[key].address

    def close(self) -> None:
        for process in self._processes.values():
            process.stop()


class SharedInterpreters:
    """Asks for them at ``address``."""

    def __init__(self, address: str) -> None:
        self._address = address

    def address(self, kind: str, environment: Mapping[str, str], cwd: Path) -> str:
        return interpreter_client.ask(self._address, kind, dict(environment), str(cwd))[0]

    def close(self) -> None:
        """They are others' too."""


def available(directory: Path) -> Interpreters:
    """Those that are shared, if there are such, else one's own."""
    return SharedInterpreters(os.environ[SHARED]) if SHARED in os.environ else OwnInterpreters(directory)


def playbook_command(interpreters: Interpreters, environment: Mapping[str, str], cwd: Path) -> list[str]:
    """How ansible-playbook begins whose modules are forked too."""
    modules = Interpreter(interpreters.address(SENT_MODULE, environment, cwd))
    return [str(PROGRAM), "--extra-vars", json.dumps({"ansible_python_interpreter": str(modules.command)})]


@contextlib.contextmanager
def shared(directory: Path) -> Iterator[dict[str, str]]:
    """The variables with which commands find them. ``directory`` is for private files, and holds nothing else."""
    with contextlib.closing(OwnInterpreters(directory)) as interpreters, _Server(directory, interpreters) as server:
        address = str(server.server_address)
        threading.Thread(target=server.serve_forever).start()
        stand_in = directory / "bin" / PROGRAM.name
        stand_in.parent.mkdir()
        client = [sys.executable, "-IS", interpreter_client.__file__, "--ask", address, PLAYBOOK]
        stand_in.write_text(f'#!/bin/sh\nexec {shlex.join(client)} "$@"\n')
        stand_in.chmod(0o700)
        try:
            yield {SHARED: address, "PATH": f"{stand_in.parent}{os.pathsep}{os.environ['PATH']}"}
        finally:
            server.shutdown()


class _Handler(socketserver.StreamRequestHandler):
    """Answers with the address and, for a playbook, with what is to be run there before the arguments."""

    server: _Server

    def handle(self) -> None:
        kind, environment, cwd = marshal.loads(self.rfile.read())
        interpreters = self.server.interpreters
        answer = [interpreters.address(kind, environment, Path(cwd))]
        if kind == PLAYBOOK:
            answer += playbook_command(interpreters, environment, Path(cwd))
        self.wfile.write(marshal.dumps(answer))


class _Server(socketserver.UnixStreamServer):
    def __init__(self, directory: Path, interpreters: Interpreters) -> None:
        self.interpreters = interpreters
        super().__init__(str(directory / "interpreters.sock"), _Handler)

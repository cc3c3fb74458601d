# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Run modules and playbooks the way users do: through ansible-playbook, in a process of its own."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import interpreters
from tests.interpreter import Interpreter
from tests.staging import ROOT

BIN = Path(sys.executable).parent
COLLECTIONS = BIN.parent / "collections"  # before the user's own, where another copy may be installed
CALLBACKS = Path(__file__).parent / "callbacks"
TIMEOUT = 300  # seconds for one run
MODULES = "ansible_collections.dcm.platform.plugins.modules"


class ModuleResult(dict[str, Any]):
    """What the module returned; ``output`` is all that ansible-playbook printed."""

    output: str = ""


def failed(result: ModuleResult) -> str:
    """The message of a failure, which is one and no traceback."""
    assert result["failed"], result
    assert "Traceback" not in result.output
    message: str = result["msg"]
    return message


@dataclass(frozen=True)
class PlaybookResult:
    """``recap`` maps a host to its counters (ok, changed, unreachable, failed, …)."""

    returncode: int
    output: str
    recap: Mapping[str, Mapping[str, int]]

    def total(self, counter: str) -> int:
        """The counter summed over all hosts."""
        return sum(host[counter] for host in self.recap.values())


def parse_recap(output: str) -> dict[str, dict[str, int]]:
    """The counters that ansible-playbook prints at its end."""
    recap = {}
    for line in output.rpartition("PLAY RECAP")[2].splitlines()[1:]:
        host, separator, counters = line.partition(" : ")
        if separator:
            pairs = (pair.split("=") for pair in counters.split() if "=" in pair)
            recap[host.strip()] = {name: int(value) for name, value in pairs}
    return recap


def _has_libraries(environment: Mapping[str, str]) -> bool:
    """Whether none is to be missing: where one is, a new interpreter has to look for it."""
    return environment.get("PYTHONPATH") == os.environ.get("PYTHONPATH")


def _text(warning: Any) -> str:
    """A warning as Ansible shows it; from 2.19 on modules return an object."""
    return str(warning["event"]["msg"] if isinstance(warning, Mapping) else warning)


def _literal(value: Any) -> Any:
    """The value with nothing in it that Ansible would fill in, so that a module gets it as the test gave it."""
    if isinstance(value, Mapping):
        return {key: _literal(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_literal(item) for item in value]
    return f"{{% raw %}}{value}{{% endraw %}}" if isinstance(value, str) and "{{" in value else value


class AnsibleRunner:
    """Keeps its private files in ``directory``."""

    def __init__(self, directory: Path, *, warm: bool = False) -> None:
        """``warm``: playbooks and their modules, too, are forked from processes that have the libraries loaded."""
        self.directory = directory
        self._is_warm = warm
        self._numbers = itertools.count()
        self._interpreters = interpreters.available(directory)

    def playbook(
        self,
        playbook: str | Path | Sequence[Mapping[str, Any]],
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        plain: bool = False,
    ) -> PlaybookResult:
        """Run a playbook: a path, a name in a collection, or a list of plays.

        ``plain``: everything is as users have it, whether the runner is warm or not.
        """
        if not isinstance(playbook, (str, Path)):
            playbook = self.private_file(f"play-{next(self._numbers)}.yml", json.dumps(playbook))
        given = [str(playbook), *arguments]
        variables, cwd = {**self.environment(), **(environment or {})}, cwd or self.directory
        if self._is_warm and not plain and _has_libraries(variables):
            warm, command = self.warm_playbook(variables, cwd)
            completed = warm.run([*command, *given], variables, cwd, timeout=TIMEOUT, apart=False)
        else:
            completed = self._playbook_alone([interpreters.PROGRAM, *given], variables, cwd)
        return PlaybookResult(completed.returncode, completed.stdout, parse_recap(completed.stdout))

    def warm_playbook(self, environment: Mapping[str, str], cwd: Path) -> tuple[Interpreter, list[str]]:
        """What ansible-playbook is forked from, and what is to be run there, whose modules are forked too."""
        warm = Interpreter(self._interpreters.address(interpreters.PLAYBOOK, environment, cwd))
        return warm, interpreters.playbook_command(self._interpreters, environment, cwd)

    def _playbook_alone(
        self, command: Sequence[str | Path], environment: Mapping[str, str], cwd: Path
    ) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                command,
                env=environment,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired as expired:
            printed = (expired.stdout or b"").decode(errors="replace")
            raise AssertionError(f"{command[1]} did not end within {TIMEOUT} s:\n{printed}") from None

    def run_module(
        self,
        name: str,
        args: Mapping[str, Any],
        *,
        check: bool = False,
        diff: bool = False,
        verbosity: int = 0,
        environment: Mapping[str, str] | None = None,
    ) -> ModuleResult:
        """Run one module of this collection on localhost and return its result, also when it failed.

        The module is a process of its own that gets its arguments as Ansible gives them. With a ``verbosity``, or when
        an action plugin stands before the module, the whole of ansible-playbook runs, which takes ten times as long.
        """
        if verbosity or (ROOT / f"plugins/action/{name}.py").exists():
            return self._play_module(name, args, check=check, diff=diff, verbosity=verbosity, environment=environment)
        modes = {"_ansible_check_mode": check, "_ansible_diff": diff, "_ansible_remote_tmp": str(self.directory)}
        arguments = json.dumps({"ANSIBLE_MODULE_ARGS": {**args, **modes}})
        variables = {**self.environment(), **(environment or {})}
        stdout, stderr = self._run_alone(name, arguments, variables)
        try:
            answer = json.loads(stdout)
        except ValueError:
            raise AssertionError(f"{name} gave no result:\n{stdout}{stderr}") from None
        answer["warnings"] = [_text(warning) for warning in answer.get("warnings", [])]
        result = ModuleResult({"changed": False, **answer, "failed": bool(answer.get("failed"))})
        result.output = stdout + stderr
        return result

    def _run_alone(self, name: str, arguments: str, environment: Mapping[str, str]) -> tuple[str, str]:
        """Standard output and standard error."""
        module = f"{MODULES}.{name}"
        if _has_libraries(environment):
            warm = Interpreter(self._interpreters.address(interpreters.MODULE, environment, self.directory))
            completed = warm.run(["-m", module], environment, self.directory, timeout=TIMEOUT, given=arguments)
            return completed.stdout, completed.stderr
        completed = subprocess.run(
            [sys.executable, "-m", module],
            env=environment,
            cwd=self.directory,
            input=arguments,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        return completed.stdout, completed.stderr

    def close(self) -> None:
        """End what runs modules and playbooks."""
        self._interpreters.close()

    def _play_module(
        self, name: str, args: Mapping[str, Any], *, check: bool, diff: bool, verbosity: int, environment: Any
    ) -> ModuleResult:
        """The same through ansible-playbook."""
        result_file = self.directory / f"result-{next(self._numbers)}.json"
        tasks = [{"name": "Run the module", f"dcm.platform.{name}": _literal(dict(args))}]
        flags = ["--check"] * check + ["--diff"] * diff + ["-" + "v" * verbosity] * bool(verbosity)
        play = {"hosts": "localhost", "gather_facts": False, "tasks": tasks}
        keep = {
            "ANSIBLE_CALLBACK_PLUGINS": str(CALLBACKS),
            "ANSIBLE_CALLBACKS_ENABLED": "result_file",
            "DCM_RESULT_FILE": str(result_file),
        }
        completed = self.playbook(
            [play], "-i", "localhost,", "-c", "local", *flags, environment={**keep, **(environment or {})}
        )
        if not result_file.exists():
            raise AssertionError(f"{name} gave no result:\n{completed.output}")
        result = ModuleResult(json.loads(result_file.read_text()))
        result.output = completed.output
        return result

    def environment(self) -> dict[str, str]:
        """The environment of every run: no colours, no files left, the module's arguments by pipe and not by file."""
        return {
            **{key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")},
            "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}",
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_LOCALHOST_WARNING": "0",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "0",
            "ANSIBLE_DEPRECATION_WARNINGS": "0",
            "ANSIBLE_RETRY_FILES_ENABLED": "0",
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        }

    def private_file(self, name: str, content: str) -> Path:
        """A file only the user can read, in the runner's directory."""
        path = self.directory / name
        path.touch(mode=0o600)
        path.write_text(content)
        return path

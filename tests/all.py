# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""All checks, or the named ones: ``python -m tests.all [lint|types|sanity|unit|integration|molecule …]``.

Two run at a time, the long ones first; what a check printed comes whole when it ends. Every check runs, also after one
failed; the figures at the end say which.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from tests.ansible_runner import BIN
from tests.staging import ROOT

LANES = 2


@dataclass(frozen=True)
class Log:
    """Where a check's commands write."""

    file: IO[str]

    def run(self, *command: str | Path) -> bool:
        """Run a command in the checkout; true if it succeeded."""
        shown = " ".join(part.name if isinstance(part, Path) else part for part in command)
        self.file.write(f"$ {shown}\n")
        self.file.flush()
        arguments = [str(part) for part in command]
        done = subprocess.run(arguments, cwd=ROOT, stdout=self.file, stderr=subprocess.STDOUT, check=False)
        return done.returncode == 0

    def python(self, *arguments: str) -> bool:
        """Run the environment's Python."""
        return self.run(Path(sys.executable), *arguments)


Check = Callable[[Log], bool]


def integration(log: Log) -> bool:
    """Tests against real engines."""
    return log.python("-m", "pytest", "-q", "--durations=10", "tests/integration")


def molecule(log: Log) -> bool:
    """Every scenario: converge, idempotence, verify."""
    scenarios = sorted(path.parent.name for path in (ROOT / "molecule").glob("*/molecule.yml"))
    passed = [log.run(BIN / "molecule", "test", "--scenario-name", name) for name in scenarios]
    return all(passed)


def sanity(log: Log) -> bool:
    """Ansible's own checks, with no ignore file."""
    return log.python("-m", "tests.sanity")


def lint(log: Log) -> bool:
    """Style of Python and YAML; ansible-lint's production profile; changelog fragments; the coverage page."""
    commands: list[list[str | Path]] = [
        [BIN / "ruff", "check", "."],
        [BIN / "ruff", "format", "--check", "."],
        [BIN / "ansible-lint", "--offline", "--strict"],
        [BIN / "antsibull-changelog", "lint"],
        [Path(sys.executable), "-m", "tests.coverage"],
    ]
    passed = [log.run(*command) for command in commands]
    return all(passed)


def unit(log: Log) -> bool:
    """Tests that start nothing but the simulators."""
    return log.python("-m", "pytest", "-q", "tests/unit")


def types(log: Log) -> bool:
    """mypy, strict."""
    return log.run(BIN / "mypy", "plugins", "tests")


CHECKS: dict[str, Check] = {check.__name__: check for check in (integration, molecule, sanity, lint, unit, types)}


@dataclass(frozen=True)
class Report:
    """How a check ended; ``seconds`` it took, ``output`` all it printed."""

    name: str
    passed: bool
    seconds: float
    output: str


def _check(name: str) -> Report:
    print(f"{name} begins", flush=True)
    began = time.monotonic()
    with TemporaryFile("w+") as file:
        passed = CHECKS[name](Log(file))
        file.seek(0)
        return Report(name, passed, time.monotonic() - began, file.read())


def main() -> int:
    names = sys.argv[1:] or list(CHECKS)
    unknown = [name for name in names if name not in CHECKS]
    if unknown:
        print(f"no check named {', '.join(unknown)}; there are: {', '.join(CHECKS)}", file=sys.stderr)
        return 2
    os.environ.update(NO_COLOR="1", ANSIBLE_NOCOLOR="1")
    reports = []
    with ThreadPoolExecutor(LANES) as pool:
        running: list[Future[Report]] = [pool.submit(_check, name) for name in names]
        for future in as_completed(running):
            report = future.result()
            reports.append(report)
            print(f"\n=== {report.name} ===\n{report.output}", flush=True)
    for report in reports:
        print(f"{report.name:<12} {'passed' if report.passed else 'FAILED'}  {report.seconds:6.0f} s")
    failed = sum(not report.passed for report in reports)
    print(f"checks: {len(reports) - failed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

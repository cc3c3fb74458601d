# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""All checks, or the named ones: ``python -m tests.all [integration|molecule|sanity|lint|unit|types …]``.

A check is a list of commands; several run at a time, the long ones first. Everything runs, also after something failed;
the end says what, and shows all that the failed ones printed. A check that looks at nothing but files, and has passed,
runs again only when any file has changed; what runs against real services always runs.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from tests import interpreters
from tests.ansible_runner import BIN
from tests.sandbox.lab import Lab
from tests.staging import ROOT, tracked_files

LANES = 3  # on two processors: tests also wait
VENDORS = ROOT.parent / "shared" / "data"
FILES_ONLY = ("sanity", "lint", "types", "unit")
LONGEST = ("talos", "test_site.py", "velero", "kubernetes", "vault", "default", "addons", "argocd")
Command = Sequence[str | Path]


def _checks() -> dict[str, list[Command]]:
    python = Path(sys.executable)
    files = (ROOT / "tests/integration").rglob("test_*.py")
    # A directory is one command: what its files need, servers and libraries, is started once.
    integration = sorted({path if path.parent.name == "integration" else path.parent for path in files}, key=_place)
    scenarios = sorted((path.parent for path in (ROOT / "molecule").glob("*/molecule.yml")), key=_place)
    return {
        "sanity": [(python, "-m", "tests.sanity")],
        "integration": [
            (python, "-m", "pytest", "-q", "--durations=5", str(path.relative_to(ROOT))) for path in integration
        ],
        "molecule": [(BIN / "molecule", "test", "--scenario-name", path.name) for path in scenarios],
        "lint": [
            (BIN / "ansible-lint", "--offline", "--strict"),
            (BIN / "ruff", "check", "."),
            (BIN / "ruff", "format", "--check", "."),
            (BIN / "antsibull-changelog", "lint"),
            (python, "-m", "tests.coverage"),
        ],
        "unit": [(python, "-m", "pytest", "-q", "tests/unit")],
        "types": [(BIN / "mypy", "plugins", "tests")],
    }


def _place(path: Path) -> tuple[int, str]:
    """The longest come first, so that no lane is left with one of them at the end."""
    return LONGEST.index(path.name) if path.name in LONGEST else len(LONGEST), path.name


@dataclass(frozen=True)
class Report:
    """How one command of a check ended; ``seconds`` it took, ``output`` all it printed."""

    check: str
    command: str
    passed: bool
    seconds: float
    output: str

    def __str__(self) -> str:
        return f"{self.check:<12} {'passed' if self.passed else 'FAILED'} {self.seconds:5.0f} s  {self.command}"


class Lanes:
    """Where the commands of a lane find the lab that they share: to start one for each would cost more than the tests.

    What needs a lab of its own makes one. ``variables``: what all find in their environment.
    """

    def __init__(self, directory: Path, variables: Mapping[str, str]) -> None:
        self._directory = directory
        self._variables = variables
        self._local = threading.local()
        self._numbers = itertools.count(1)

    def environment(self) -> dict[str, str]:
        """Of the calling thread's lane."""
        if not hasattr(self._local, "lab"):
            self._local.lab = self._directory / f"lane-{next(self._numbers)}"
        return {**os.environ, **self._variables, "DCM_TEST_LAB": str(self._local.lab)}

    def close(self) -> None:
        """End the labs."""
        for lab in self._directory.iterdir():
            Lab(lab).down()


class Passed:
    """Which commands have passed on exactly these files, where those are all that they look at."""

    def __init__(self) -> None:
        content = hashlib.sha256(sys.version.encode())
        for path in (*sorted(ROOT / path for path in tracked_files()), *sorted(VENDORS.rglob("*"))):
            if path.is_file():
                content.update(f"{path}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
        self._directory = ROOT / ".cache" / "passed" / content.hexdigest()

    def holds(self, command: str) -> bool:
        return self._note(command).exists()

    def add(self, command: str) -> None:
        self._note(command).parent.mkdir(parents=True, exist_ok=True)
        self._note(command).touch()

    def _note(self, command: str) -> Path:
        return self._directory / hashlib.sha256(command.encode()).hexdigest()


def _run(check: str, command: Command, lanes: Lanes, passed: Passed) -> Report:
    shown = " ".join(part.name if isinstance(part, Path) else part for part in command)
    if check in FILES_ONLY and passed.holds(shown):
        return Report(check, shown, True, 0, "It has passed on these very files; make clean forgets that.")
    report = _run_now(check, shown, command, lanes)
    if check in FILES_ONLY and report.passed:
        passed.add(shown)
    return report


def _run_now(check: str, shown: str, command: Command, lanes: Lanes) -> Report:
    began = time.monotonic()
    done = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env=lanes.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Report(check, shown, done.returncode == 0, time.monotonic() - began, done.stdout)


def main() -> int:
    checks = _checks()
    names = sys.argv[1:] or list(checks)
    unknown = [name for name in names if name not in checks]
    if unknown:
        print(f"no check named {', '.join(unknown)}; there are: {', '.join(checks)}", file=sys.stderr)
        return 2
    os.environ.update(NO_COLOR="1", ANSIBLE_NOCOLOR="1", GOGC=os.environ.get("GOGC", "400"))
    began, reports = time.monotonic(), []
    with (
        tempfile.TemporaryDirectory(prefix="dcm-test-") as directory,
        tempfile.TemporaryDirectory(prefix="dcm-python-") as warm,
        interpreters.shared(Path(warm)) as variables,
        contextlib.closing(Lanes(Path(directory), variables)) as lanes,
        ThreadPoolExecutor(LANES) as pool,
    ):
        passed = Passed()
        running = [pool.submit(_run, name, command, lanes, passed) for name in names for command in checks[name]]
        for future in as_completed(running):
            report = future.result()
            reports.append(report)
            print(report, flush=True)
    for report in reports:
        if not report.passed:
            print(f"\n=== {report.command} ===\n{report.output}")
    for report in sorted(reports, key=lambda report: (names.index(report.check), report.command)):
        print(report)
    print(f"{time.monotonic() - began:.0f} s in all")
    failed = sum(not report.passed for report in reports)
    print(f"commands: {len(reports) - failed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

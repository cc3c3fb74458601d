# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""All checks, or the named ones: ``python -m tests.all [lint|types|sanity|unit|integration|molecule …]``.

Every check runs, also after one failed; the figures at the end say which.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.ansible_runner import BIN
from tests.staging import ROOT

Check = Callable[[], bool]


def _run(*command: str | Path) -> bool:
    print(f"$ {' '.join(Path(part).name if isinstance(part, Path) else part for part in command)}", flush=True)
    return subprocess.run([str(part) for part in command], cwd=ROOT, check=False).returncode == 0


def _python(*arguments: str) -> bool:
    return _run(Path(sys.executable), *arguments)


def lint() -> bool:
    """Style of Python and YAML; ansible-lint's production profile."""
    return all(
        [
            _run(BIN / "ruff", "check", "."),
            _run(BIN / "ruff", "format", "--check", "."),
            _run(BIN / "ansible-lint", "--offline", "--strict"),
        ]
    )


def types() -> bool:
    """mypy, strict."""
    return _run(BIN / "mypy", "plugins", "tests")


def sanity() -> bool:
    """Ansible's own checks, with no ignore file."""
    return _python("-m", "tests.sanity")


def unit() -> bool:
    """Tests that start nothing but the simulators."""
    return _python("-m", "pytest", "-q", "tests/unit")


def integration() -> bool:
    """Tests against real engines."""
    return _python("-m", "pytest", "-q", "--durations=10", "tests/integration")


def molecule() -> bool:
    """Every scenario: converge, idempotence, verify."""
    scenarios = sorted(path.parent.name for path in (ROOT / "molecule").glob("*/molecule.yml"))
    passed = [_run(BIN / "molecule", "test", "--scenario-name", name) for name in scenarios]
    return all(passed)


CHECKS: dict[str, Check] = {check.__name__: check for check in (lint, types, unit, integration, molecule, sanity)}


def main() -> int:
    unknown = [name for name in sys.argv[1:] if name not in CHECKS]
    if unknown:
        print(f"no check named {', '.join(unknown)}; there are: {', '.join(CHECKS)}", file=sys.stderr)
        return 2
    os.environ.setdefault("ANSIBLE_FORCE_COLOR", "0")
    results: dict[str, tuple[bool, float]] = {}
    for name in sys.argv[1:] or CHECKS:
        print(f"\n=== {name} ===", flush=True)
        began = time.monotonic()
        results[name] = (CHECKS[name](), time.monotonic() - began)
    print()
    for name, (passed, seconds) in results.items():
        print(f"{name:<12} {'passed' if passed else 'FAILED'}  {seconds:6.0f} s")
    failed = sum(not passed for passed, _seconds in results.values())
    print(f"checks: {len(results) - failed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

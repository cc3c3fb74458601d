# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``make bench [ONLY=name]``: run every measurement, or those of one module, on a lab of its own."""

from __future__ import annotations

import importlib
import pkgutil
import sys
import tempfile
from pathlib import Path

from tests import benchmarks
from tests.ansible_runner import AnsibleRunner
from tests.benchmarks import Bench
from tests.sandbox.lab import Lab


def main() -> int:
    found = [module.name for module in pkgutil.iter_modules(benchmarks.__path__) if not module.name.startswith("_")]
    wanted = sys.argv[1:] or found
    unknown = set(wanted) - set(found)
    if unknown:
        print(f"no benchmark named {', '.join(sorted(unknown))}; there are: {', '.join(found)}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="dcm-bench-") as directory:
        lab = Lab(Path(directory) / "lab")
        bench = Bench(lab, AnsibleRunner(Path(directory)))
        print(f"{'subject':<44} {'ours':>11} {'other':>11} {'ratio':>8}  compared with", flush=True)
        try:
            for name in wanted:
                for comparison in importlib.import_module(f"tests.benchmarks.{name}").measure(bench):
                    print("\n".join(comparison.lines()), flush=True)
        finally:
            lab.down()
    return 0


if __name__ == "__main__":
    sys.exit(main())

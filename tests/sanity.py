# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs ``ansible-test sanity`` on a staged copy: ``python -m tests.sanity [ansible-test options]``."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.ansible_runner import BIN
from tests.staging import stage

# ansible-test fetches this script from the network to make its own environments; the standard library does the same.
PIP_BOOTSTRAP = Path.home() / ".ansible" / "test" / "cache" / "get_pip_24_2.py"


def main() -> int:
    if not PIP_BOOTSTRAP.exists():
        PIP_BOOTSTRAP.parent.mkdir(parents=True, exist_ok=True)
        PIP_BOOTSTRAP.write_text("import ensurepip\n\nensurepip.bootstrap()\n")
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    with tempfile.TemporaryDirectory(prefix="dcm-sanity-") as directory:
        collection = stage(Path(directory))
        command = [str(BIN / "ansible-test"), "sanity", "--venv", "--python", python, "--color", "no", *sys.argv[1:]]
        return subprocess.run(command, cwd=collection, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

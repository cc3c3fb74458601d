# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lab's command line: ``python -m tests.sandbox up [service …] | down | status | env``."""

from __future__ import annotations

import argparse
import shlex
import sys
import threading
import time
from pathlib import Path

from tests.sandbox.lab import Lab, default_directory
from tests.sandbox.service import LabError

BEGAN = time.monotonic()
_SPEAKING = threading.Lock()


def say(line: str) -> None:
    """One line of progress, with the seconds since the start."""
    with _SPEAKING:
        print(f"[{time.monotonic() - BEGAN:6.1f} s] {line}", file=sys.stderr, flush=True)


def _status(lab: Lab) -> int:
    rows = lab.status()
    for row in rows:
        print(f"{row.service:<12} {row.process:<26} {row.pid or '-':>8} {row.memory / 2**20:7.0f} MB  {row.state}")
    print(f"{len(rows)} processes, {sum(row.memory for row in rows) / 2**20:.0f} MB resident, in {lab.directory}")
    return 0 if rows and all(row.state == "running" for row in rows) else 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.sandbox", description=__doc__)
    parser.add_argument("--directory", type=Path, default=default_directory(), help="default: $DCM_LAB_DIR, or .lab")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start (or repair) the services and what they need")
    up.add_argument("service", nargs="*", help="default: all but the optional ones; a wrong name lists them")
    commands.add_parser("down", help="end every process and remove the directory")
    commands.add_parser("status", help="list processes; exit status 1 unless all run")
    commands.add_parser("env", help="print shell assignments for the systems' own clients (holds credentials)")
    options = parser.parse_args()
    lab = Lab(options.directory.absolute(), say)
    try:
        if options.command == "up":
            lab.up(options.service)
            say(f"the lab is up in {lab.directory}")
        elif options.command == "down":
            lab.down()
        elif options.command == "env":
            for variable, value in lab.environment().items():
                print(f"export {variable}={shlex.quote(value)}")
        else:
            return _status(lab)
    except LabError as error:
        say(f"FAILED: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

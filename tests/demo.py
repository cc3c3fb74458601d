# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``make demo``: an embedded platform, ``site.yml`` on it, ``site.yml`` again, and what then exists."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from tests import readback
from tests.ansible_runner import BIN, parse_recap
from tests.sandbox.__main__ import say
from tests.sandbox.lab import Lab, default_directory
from tests.sandbox.service import LabError
from tests.staging import ROOT


def run_site() -> dict[str, dict[str, int]]:
    """Run site.yml on the lab, showing its output as it comes. Ends the demo when the run fails."""
    command = [str(BIN / "ansible-playbook"), "-i", "inventories/lab", "playbooks/site.yml"]
    say(f"$ {' '.join(['ansible-playbook', *command[1:]])}")
    lines = []
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            lines.append(line)
    if process.returncode != 0:
        raise SystemExit("site.yml failed: its last task says why. After mending it run `make demo` again.")
    return parse_recap("".join(lines))


def show(settings: dict[str, Any]) -> None:
    """Print what exists now, read through each system's own client."""
    guilds = readback.schemas(settings["postgres"])
    secrets = readback.secret_paths(settings["vault"])
    labels = readback.namespaces(settings["kubernetes"])
    platform = {name: values for name, values in labels.items() if name.startswith("platform-")}
    finished = readback.backups(settings["kubernetes"])
    stored = readback.stored_objects(settings["s3"], settings["s3"]["buckets"]["backups"])
    print("\nWhat exists now, read back through each system's own client:")
    for node in readback.talos_nodes(settings):
        print(f"  Talos        {node}")
    print(f"  PostgreSQL   {len(guilds)} guild schemas, {len(readback.roles(settings['postgres']))} roles")
    print(f"  OpenBao      {len(secrets)} secrets")
    for name, values in sorted(platform.items()):
        print(f"  Kubernetes   {name}: Pod Security {values.get('pod-security.kubernetes.io/enforce', 'none')}")
    for name, phase in finished.items():
        print(f"  Velero       backup {name}: {phase}, {len(stored)} objects in S3, {sum(stored.values()) // 1024} KiB")
    print('\nLook around:   eval "$(.venv/bin/python -m tests.sandbox env)"   then psql, bao, kubectl, aws as you like')
    print("Processes:     make lab-status")
    print("Again:         .venv/bin/ansible-playbook -i inventories/lab playbooks/site.yml --check --diff")
    print("Stop:          make lab-down")


def main() -> int:
    lab = Lab(default_directory(), say)
    try:
        say("starting the lab; the first time, Go compiles a Kubernetes control plane (4 to 9 minutes on 2 cores)")
        lab.up()
    except LabError as error:
        raise SystemExit(f"the lab did not start: {error}") from error
    run_site()
    say("once more: nothing may change")
    second = run_site()
    show(lab.settings())
    changed = {host: counters["changed"] for host, counters in second.items() if counters["changed"]}
    if changed:
        raise SystemExit(f"the second run changed something: {changed}")
    say(f"the second run changed nothing on {len(second)} hosts")
    return 0


if __name__ == "__main__":
    sys.exit(main())

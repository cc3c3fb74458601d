# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Measurements, never assertions: ours, the usual way and the bare system, side by side in one run.

To add one: a module here with ``measure(bench: Bench) -> Iterator[Comparison]``.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.ansible_runner import AnsibleRunner
from tests.sandbox.lab import Lab


@dataclass(frozen=True)
class Comparison:
    """Seconds of ours and of each other way to do the same thing to the same number of items."""

    subject: str
    ours: float
    others: Mapping[str, float]

    def lines(self) -> Iterator[str]:
        """One line a comparison: under 1.00 ours is the faster."""
        for name, seconds in self.others.items():
            yield f"{self.subject:<44} {self.ours:9.2f} s {seconds:9.2f} s {self.ours / seconds:8.2f}  {name}"


@dataclass(frozen=True)
class Bench:
    """What a measurement works with."""

    lab: Lab
    ansible: AnsibleRunner

    def settings(self, name: str) -> dict[str, Any]:
        """Settings of a service of the lab, started if need be."""
        self.lab.up([name])
        return self.lab.settings()[name]

    def play(self, tasks: list[dict[str, Any]]) -> float:
        """Seconds of one ansible-playbook run with these tasks on localhost. Raises if a task fails."""
        play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}
        began = time.perf_counter()
        result = self.ansible.playbook([play], "-i", "localhost,")
        seconds = time.perf_counter() - began
        if result.returncode != 0:
            raise RuntimeError(result.output)
        return seconds

    def empty_module(self) -> float:
        """What any module costs: ansible-playbook with one ping."""
        return self.play([{"name": "Nothing", "ansible.builtin.ping": {}}])


@contextlib.contextmanager
def far_away(port: int, milliseconds: float) -> Iterator[int]:
    """A port of this machine behind which the service of another one is, that long a round trip away."""
    command = [sys.executable, "-m", "tests.benchmarks._latency", str(port), str(milliseconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as proxy:
        try:
            yield int(proxy.stdout.readline() if proxy.stdout else "")
        finally:
            proxy.terminate()


def timed(action: Callable[[], object]) -> float:
    """Seconds that the action takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began

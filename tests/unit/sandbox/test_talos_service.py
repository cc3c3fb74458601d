# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The simulator as a process of the lab: started, asked, killed and started again."""

from __future__ import annotations

import asyncio
import functools
import json
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from grpclib.exceptions import GRPCError, StreamTerminatedError

from tests import waiting
from tests.sandbox.processes import ROOT
from tests.sandbox.service import NotReady
from tests.sandbox.services.talos import TalosService
from tests.sandbox.talos.control import ask
from tests.unit.sandbox.talos_lab import MACHINE, QUICK, Cluster, client_context, connected, request

DEADLINE = 15.0
eventually = functools.partial(waiting.eventually, what="the simulator does as expected", within=DEADLINE)


class Running:
    """One simulator process, as the lab drives it."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700)
        self.service = TalosService(directory, {})
        self.settings = self.service.settings()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.service.prepare(self.settings)
        nodes = self.service.directory / "nodes.json"
        nodes.write_text(json.dumps({**json.loads(nodes.read_text()), "durations": QUICK}))
        (process,) = self.service.processes(self.settings)
        self.process = subprocess.Popen(process.command, cwd=ROOT)
        eventually(lambda: is_ready(process.ready))

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def status(self, name: str) -> dict[str, Any]:
        machine: dict[str, Any] = ask(self.service.directory, "status")["machines"][name]
        return machine

    def call(self, name: str, method: str, cluster: Cluster | None = None, **fields: Any) -> Any:
        """Without a cluster, as in maintenance."""
        identity = cluster.credentials() if cluster else None
        context = client_context(self.service.directory, identity, cluster.os.certificate if cluster else None)

        async def run() -> list[Any]:
            async with connected(self.status(name)["address"], self.settings["port"], context) as channel:
                return await request(channel, f"{MACHINE}/{method}", fields)

        return asyncio.run(run())[-1]


def is_ready(ready: Callable[[], None]) -> bool:
    try:
        ready()
    except (NotReady, OSError):
        return False
    return True


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    simulator = Running(tmp_path / "talos")
    simulator.start()
    yield simulator
    simulator.kill()


def test_machines_survive_the_death_of_the_simulator(running: Running) -> None:
    cluster = Cluster(running.settings["endpoint"])
    for name, kind in (("cp-1", "controlplane"), ("worker-1", "worker")):
        data = yaml.safe_dump(cluster.config(kind)).encode()
        running.call(name, "ApplyConfiguration", data=data, mode="AUTO")
    eventually(lambda: _bootstraps(running, cluster))
    eventually(lambda: running.status("worker-1")["ready"])
    members = running.call("cp-1", "EtcdMemberList", cluster)
    booted = running.status("cp-1")["boot_id"]
    running.kill()
    running.start()
    eventually(lambda: running.status("cp-1")["ready"] and running.status("worker-1")["ready"])
    assert running.status("cp-1")["boot_id"] != booted
    assert running.call("cp-1", "EtcdMemberList", cluster) == members
    assert running.status("cp-2")["stage"] == "maintenance"
    written = [path for path in running.service.directory.rglob("*") if path.is_file() and path.name != "client.pem"]
    assert running.service.directory / "machines" / "cp-1.json" in written
    assert {stat.S_IMODE(path.stat().st_mode) for path in written} == {0o600}


def _bootstraps(running: Running, cluster: Cluster) -> bool:
    try:
        running.call("cp-1", "Bootstrap", cluster)
    except (GRPCError, OSError, StreamTerminatedError):
        return False
    return True


def test_two_labs_run_side_by_side(running: Running, tmp_path: Path) -> None:
    other = Running(tmp_path / "other")
    try:
        other.start()
        addresses = {node["address"] for lab in (running, other) for node in lab.settings["nodes"]}
        assert len(addresses) == 10
        assert other.call("cp-1", "Version").messages[0].version.tag == running.settings["version"]
    finally:
        other.kill()


def test_faults_and_counters(running: Running) -> None:
    directory = running.service.directory
    running.call("cp-1", "Version")
    assert running.status("cp-1")["requests"] == {f"{MACHINE}/Version": 1}
    ask(directory, "forget_requests")
    assert running.status("cp-1")["requests"] == {}
    ask(directory, "set", machine="cp-1", unreachable="refuse")
    with pytest.raises(ConnectionRefusedError):
        running.call("cp-1", "Version")
    ask(directory, "set", machine="cp-1", unreachable="")
    shown = running.status("cp-1")["fingerprint"]
    ask(directory, "power_cycle", machine="cp-1")
    eventually(lambda: running.status("cp-1")["listening"])
    assert running.status("cp-1")["fingerprint"] != shown  # made anew at every boot
    with pytest.raises(ValueError, match="unheard"):
        ask(directory, "set", machine="cp-1", unheard=True)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700

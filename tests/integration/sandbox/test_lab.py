# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lab's own promises: private, repaired, side by side, and gone without a trace, also after a crash."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.sandbox.lab import Lab
from tests.sandbox.processes import MARK
from tests.sandbox.service import LabError
from tests.staging import ROOT
from tests.waiting import eventually

PATIENCE = 30.0  # seconds


@pytest.fixture
def labs(tmp_path: Path) -> Iterator[Callable[[str], Lab]]:
    """Makes labs that are taken down afterwards."""
    made: list[Lab] = []

    def make(name: str) -> Lab:
        made.append(Lab(tmp_path / name))
        return made[-1]

    yield make
    for lab in made:
        lab.down()


def processes_of(lab: Lab) -> list[int]:
    """Pids of every process that carries the lab's mark."""
    wanted = f"{MARK}={lab.directory}".encode()
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if wanted in environment.read_bytes().split(b"\0"):
                found.append(int(environment.parent.name))
        except OSError:
            continue
    return found


def states(lab: Lab) -> dict[str, str]:
    return {status.process: status.state for status in lab.status()}


def test_two_labs_run_side_by_side_and_end_alone(labs: Callable[[str], Lab]) -> None:
    one, other = labs("one"), labs("other")
    one.up(["vault", "postgres"])
    other.up(["vault", "postgres"])
    assert one.settings()["vault"]["url"] != other.settings()["vault"]["url"]
    one.down()
    assert not one.directory.exists()
    assert not processes_of(one)
    assert set(states(other).values()) == {"running"}


def test_a_killed_component_is_seen_and_repaired_with_its_data(labs: Callable[[str], Lab]) -> None:
    lab = labs("lab")
    lab.up(["vault"])
    before = lab.settings()["vault"]
    pid = lab.pid("vault")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: states(lab)["vault"] == "stopped", "vault has ended", within=PATIENCE)
    lab.up()
    assert states(lab)["vault"] == "running"
    assert lab.settings()["vault"] == before


def test_what_holds_credentials_is_private(labs: Callable[[str], Lab]) -> None:
    lab = labs("lab")
    lab.up(["vault", "redis"])
    assert stat.S_IMODE(lab.directory.stat().st_mode) == 0o700
    assert stat.S_IMODE((lab.directory / "lab.json").stat().st_mode) == 0o600
    token, password = lab.settings()["vault"]["token"], lab.settings()["redis"]["password"]
    for path in lab.directory.rglob("*"):
        if path.is_file() and any(secret.encode() in path.read_bytes() for secret in (token, password)):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    for pid in processes_of(lab):
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        assert token.encode() not in command
        assert password.encode() not in command


@pytest.mark.parametrize("moment", ["redis/redis.pid", "postgres/postgres.pid", "lab.json"])
def test_down_works_after_up_was_killed(labs: Callable[[str], Lab], moment: str) -> None:
    lab = labs("lab")
    command = [sys.executable, "-m", "tests.sandbox", "--directory", str(lab.directory), "up", "redis", "postgres"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as up:
        eventually((lab.directory / moment).exists, f"there is {moment}", within=PATIENCE)
        up.kill()
    lab.down()
    assert not lab.directory.exists()
    assert not processes_of(lab)


def test_down_of_nothing_is_nothing(labs: Callable[[str], Lab]) -> None:
    labs("never-up").down()


def test_an_unknown_service_is_refused_with_the_known_ones(labs: Callable[[str], Lab]) -> None:
    with pytest.raises(LabError, match=r"no service 'oracle' in the lab; there are: .*postgres.*vault"):
        labs("lab").up(["oracle"])


def test_a_component_that_does_not_come_up_says_why(labs: Callable[[str], Lab]) -> None:
    lab = labs("lab")
    lab.up(["redis"])
    pid = lab.pid("redis")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: lab.pid("redis") is None, "redis has ended", within=PATIENCE)
    (lab.directory / "redis" / "redis.log").unlink()
    configuration = next((lab.directory / "redis").glob("*.conf"))
    configuration.unlink()
    configuration.mkdir()
    with pytest.raises((LabError, OSError)):
        lab.up()


def test_the_command_line_reports_and_exports(labs: Callable[[str], Lab]) -> None:
    lab = labs("lab")

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tests.sandbox", "--directory", str(lab.directory), *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

    assert command("up", "redis").returncode == 0
    status = command("status")
    assert status.returncode == 0
    assert "running" in status.stdout
    assert f"export DCM_LAB_DIR={lab.directory}" in command("env").stdout
    assert command("up", "oracle").returncode == 1
    assert command("down").returncode == 0
    assert command("status").returncode == 1

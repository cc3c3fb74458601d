# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ports for labs that start at the same time: nobody listens yet, and still none is given twice."""

from __future__ import annotations

import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox import service
from tests.sandbox.service import PORT_KEPT, LabError, free_port


@pytest.fixture
def few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Claims of this test's own, for so few ports that processes meet."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(service, "PORTS", range(15000, 15400))
    return tmp_path


def several(count: int) -> list[int]:
    return [free_port() for number in range(count)]


def test_no_port_is_given_to_two_processes(few: Path) -> None:
    with ProcessPoolExecutor(4) as pool:
        given = [port for ports in pool.map(several, [40] * 4) for port in ports]
    assert len(given) == len(set(given)) == 160


def test_a_port_comes_back_after_its_time(few: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "PORTS", range(15000, 15200))
    free = set()
    with pytest.raises(LabError, match="no free port between 15000 and 15200"):
        while True:
            free.add(free_port())
    (claims,) = few.iterdir()
    before = time.time() - PORT_KEPT - 1
    for claim in claims.iterdir():
        os.utime(claim, (before, before))
    assert free_port() in free

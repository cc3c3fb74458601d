# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Fixtures of all tests: the lab, and modules run through real Ansible."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.ansible_runner import AnsibleRunner
from tests.sandbox.lab import Lab

settings.register_profile("dcm", deadline=None)  # a busy machine is no fault of what is tested
settings.load_profile("dcm")


class LabFixture:
    """``lab("vault")`` starts the service if need be and returns its settings; several names give a dictionary."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.directory = lab.directory
        self._up: set[str] = set()

    def __call__(self, *names: str) -> dict[str, Any]:
        if not self._up.issuperset(names):
            self.lab.up(names)
            self._up.update(names)
        settings = self.lab.settings()
        return settings[names[0]] if len(names) == 1 else {name: settings[name] for name in names}

    def repair(self, *names: str) -> None:
        """Start what a test killed."""
        self.lab.up(names)


@pytest.fixture(scope="session")
def lab() -> Iterator[LabFixture]:
    """A lab of this test session. ``DCM_TEST_LAB`` names one to use instead (and to leave running)."""
    kept = os.environ.get("DCM_TEST_LAB")
    directory = Path(kept) if kept else Path(tempfile.mkdtemp(prefix="dcm-lab-"))
    lab = Lab(directory.absolute())
    try:
        yield LabFixture(lab)
    finally:
        if not kept:
            lab.down()
            shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def ansible(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnsibleRunner]:
    """Runs playbooks with the environment's own ansible-playbook."""
    with contextlib.closing(AnsibleRunner(tmp_path_factory.mktemp("ansible"), warm=True)) as runner:
        yield runner


@pytest.fixture(scope="session")
def run_module(ansible: AnsibleRunner) -> Callable[..., Any]:
    """``run_module("vault_secret", {...}, check=False, diff=False, verbosity=0)`` → the module's result."""
    return ansible.run_module

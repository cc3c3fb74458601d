# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lab's OpenBao, an independent client with the root token, and modules that are told where it is."""

from __future__ import annotations

import contextlib
import functools
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import hvac
import pytest

from tests.ansible_runner import ModuleResult
from tests.conftest import LabFixture
from tests.sandbox.service import Settings
from tests.waiting import eventually

Run = Callable[..., ModuleResult]


@pytest.fixture(scope="session")
def vault(lab: LabFixture) -> Settings:
    settings: Settings = lab("vault")
    return settings


@pytest.fixture(scope="session")
def server(vault: Settings) -> Any:
    """hvac with the root token."""
    return hvac.Client(url=vault["url"], token=vault["token"])


@contextlib.contextmanager
def mounted(server: Any) -> Iterator[str]:
    """A key-value engine of version 2, for the time of a ``with``. The server needs a moment to make it ready."""
    path = f"test-{secrets.token_hex(4)}"
    server.sys.enable_secrets_engine("kv", path, options={"version": "2"})
    write = functools.partial(server.secrets.kv.v2.create_or_update_secret, "ready", {}, mount_point=path)
    eventually(write, "the new engine takes secrets", despite=(hvac.exceptions.InvalidRequest,))
    server.secrets.kv.v2.delete_metadata_and_all_versions("ready", mount_point=path)
    try:
        yield path
    finally:
        server.sys.disable_secrets_engine(path)


@pytest.fixture
def mount(server: Any) -> Iterator[str]:
    """A key-value engine of the test's own."""
    with mounted(server) as path:
        yield path


@pytest.fixture
def call(run_module: Run, vault: Settings) -> Run:
    """``call("vault_policy", policies=[…], check=…)`` runs a module; options that are None are left out."""

    def run(
        name: str,
        *,
        check: bool = False,
        diff: bool = False,
        verbosity: int = 0,
        environment: dict[str, str] | None = None,
        **options: Any,
    ) -> ModuleResult:
        arguments = {"url": vault["url"], "token": vault["token"], **options}
        arguments = {key: value for key, value in arguments.items() if value is not None}
        return run_module(name, arguments, check=check, diff=diff, verbosity=verbosity, environment=environment)

    return run

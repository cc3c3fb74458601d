# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A simulated account in this process, on a clock that only waits move."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.client import connect
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.resource import ResourceReconciler
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.resource_type import ResourceType
from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change
from ansible_collections.dcm.platform.plugins.module_utils.engine.clock import Clock
from ansible_collections.dcm.platform.plugins.module_utils.rest import RestClient

from tests.sandbox.digitalocean.server import Api, simulating
from tests.sandbox.digitalocean.world import World

TOKEN = "dop_v1_canary"
PROVISIONING = 20.0  # seconds on the simulated clock
PLENTY = 10**6


@dataclass
class SimulatedTime:
    """A clock that stands still until somebody sleeps."""

    now: float = 1_700_000_000.0
    sleeps: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.now, self.sleep)


def options(**changes: Any) -> dict[str, Any]:
    """The options of a module, with their defaults."""
    defaults = {"api_token": TOKEN, "ca_cert": None, "timeout": 10, "retries": 9, "workers": 1}
    waits = {"wait": True, "wait_timeout": 3600, "owner": None, "purge": False}
    extras = {"kubeconfig_expiry": None, "credentials": False, "garbage_collection": "after_deletion"}
    return {**defaults, **waits, **extras, **changes}


@dataclass
class Account:
    """The simulator, a client of it, and a run of a module's logic on it."""

    api: Api
    url: str
    time: SimulatedTime

    def client(self) -> RestClient:
        return connect(options(api_url=self.url), self.time.clock)

    def run(
        self,
        kind: ResourceType,
        wanted: Sequence[Mapping[str, Any]],
        make: Callable[[RestClient, dict[str, Any]], ResourceReconciler] | None = None,
        **changes: Any,
    ) -> tuple[list[Change], list[dict[str, Any]]]:
        """What changed, and the objects as the module returns them."""
        chosen = options(**{kind.option: list(wanted)}, **changes)
        reconciler = make(self.client(), chosen) if make else ResourceReconciler(self.client(), kind, chosen)
        actual = reconciler.read()
        planned = reconciler.plan(actual)
        for outcome in reconciler.apply(planned):
            if outcome.error is not None:
                raise outcome.error
        reconciler.settle()
        return planned, reconciler.result(actual, planned)[kind.option]

    def plan(self, kind: ResourceType, wanted: Sequence[Mapping[str, Any]], **changes: Any) -> list[Change]:
        """What would change."""
        reconciler = ResourceReconciler(self.client(), kind, options(**{kind.option: list(wanted)}, **changes))
        return reconciler.plan(reconciler.read())

    def calls(self, method: str) -> list[str]:
        """Paths of the requests with that method, in their order."""
        return [entry.path for entry in self.api.journal if entry.method == method]


@pytest.fixture(scope="session")
def simulator() -> Iterator[tuple[Api, str]]:
    with simulating(World(TOKEN)) as served:
        yield served


@pytest.fixture
def account(simulator: tuple[Api, str]) -> Iterator[Account]:
    """An empty account. A request or an answer that is not as the vendor describes it fails the test."""
    api, url = simulator
    time = SimulatedTime()
    api.world = World(TOKEN, now=lambda: time.now, delay=PROVISIONING, seed=1)
    api.world.limits.minute = api.world.limits.hour = PLENTY
    api.faults, api.journal, api.mismatches = [], [], []
    yield Account(api, url, time)
    assert not api.mismatches

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The run of ``argocd_application_info``: what Applications are, once they are what they should be if one waits."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.argocd.application import (
    APPLICATION,
    Goal,
    described,
    name_of,
    shortfalls,
)
from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, Outcome
from ansible_collections.dcm.platform.plugins.module_utils.engine.concurrent import map_concurrently
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import TimedOutError
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import Reconciler
from ansible_collections.dcm.platform.plugins.module_utils.engine.wait import NotYet, wait_for
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.client import KubernetesClient, Object

WORKERS = 4  # what a client's pool of connections holds
NAMED = 10  # Applications that a message names

Actual = Mapping[str, Any]  # Object, None for one that does not exist


@dataclass(frozen=True)
class Question:
    """Applications of a namespace by ``names``, or by ``label_selector`` (all, if that is empty as well).

    ``timeout``: seconds to wait until each is what ``goal`` says; None: as they are now.
    """

    namespace: str
    names: Sequence[str] = ()
    label_selector: str = ""
    goal: Goal = field(default_factory=Goal)
    timeout: float | None = None


class ApplicationReader(Reconciler[Actual]):
    """Changes nothing."""

    def __init__(self, client: KubernetesClient, question: Question) -> None:
        self._client = client
        self._question = question
        self._settled: Actual | None = None

    def read(self) -> Actual:
        """By name, None for one that does not exist."""
        asked = self._question
        if not asked.names:
            found = self._client.select(APPLICATION, asked.namespace, asked.label_selector)
            return {name_of(item): item for item in found}
        named = map_concurrently(
            lambda name: self._client.get(APPLICATION, asked.namespace, name), asked.names, WORKERS
        )
        return dict(zip(asked.names, named, strict=True))

    def plan(self, actual: Actual) -> Sequence[Change]:
        return ()

    def apply(self, changes: Sequence[Change]) -> Iterable[Outcome]:
        return ()

    def settle(self) -> None:
        """Wait, if that is asked for: for one after another, and then see whether all of them still are.

        Raises :class:`TimedOutError` that names what is not what it should be, and why.
        """
        timeout = self._question.timeout
        if timeout is None:
            return
        clock = self._client.clock
        deadline = clock.now() + timeout
        wait_for(f"an Application in {self._question.namespace}", self._some, timeout=timeout, clock=clock)
        while lacking := self._lacking(actual := self.read()):
            remaining = deadline - clock.now()
            if remaining <= 0:
                raise self._gave_up(timeout, lacking, len(actual))
            with contextlib.suppress(TimedOutError):  # what all of them lack is told in one message
                name = next(iter(lacking))
                self._client.follow(APPLICATION, self._question.namespace, name, self._examine, timeout=remaining)
        self._settled = actual

    def result(self, actual: Actual, changes: Sequence[Change]) -> dict[str, Any]:
        known = actual if self._settled is None else self._settled
        goal = self._question.goal
        applications = [
            {"name": name, "exists": False, "ready": False, "reasons": self._reasons(None)}
            if item is None
            else described(item, goal)
            for name, item in known.items()
        ]
        return {"applications": applications, "ready": all(item["ready"] for item in applications)}

    def _some(self) -> None:
        if not self.read():
            raise NotYet(f"none carries the labels {self._question.label_selector or '(any)'}")

    def _examine(self, application: Object | None) -> None:
        if reasons := self._reasons(application):
            raise NotYet("; ".join(reasons))

    def _reasons(self, application: Object | None) -> list[str]:
        if application is None:
            return ["it does not exist"]
        return shortfalls(application, self._question.goal)

    def _lacking(self, actual: Actual) -> dict[str, list[str]]:
        return {name: reasons for name, item in actual.items() if (reasons := self._reasons(item))}

    def _gave_up(self, timeout: float, lacking: Mapping[str, Sequence[str]], number: int) -> TimedOutError:
        told = [f"{name}: {'; '.join(reasons)}" for name, reasons in list(lacking.items())[:NAMED]]
        told += [f"and {len(lacking) - NAMED} more"] if len(lacking) > NAMED else []
        where = f"in {self._question.namespace} of the cluster at {self._client.address}"
        return TimedOutError(
            f"Gave up after {timeout:g} s waiting for {len(lacking)} of {number} Applications {where}: "
            + ". ".join(told)
            + ".",
            hint="Correct what Argo CD names, or raise wait_timeout; a second run goes on from here.",
        )

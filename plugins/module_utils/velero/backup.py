# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The two states of a backup: there, and gone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, Outcome
from ansible_collections.dcm.platform.plugins.module_utils.engine.concurrent import apply_each
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import NotFoundError
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import Reconciler
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.client import NotServedError, Object
from ansible_collections.dcm.platform.plugins.module_utils.velero import phases, plan
from ansible_collections.dcm.platform.plugins.module_utils.velero.client import VeleroClient
from ansible_collections.dcm.platform.plugins.module_utils.velero.plan import WantedBackup


@dataclass(frozen=True)
class Waiting:
    """Whether to wait for the end, and for how many seconds at most."""

    wait: bool
    timeout: float


class PresentBackup(Reconciler[Sequence[Object]]):
    """A backup that is wanted: found or made, and waited for.

    ``predicting``: check mode, in which its schedule, or all of Velero's kinds, may be still to come.
    """

    def __init__(
        self, client: VeleroClient, wanted: WantedBackup, waiting: Waiting, *, predicting: bool = False
    ) -> None:
        self._client = client
        self._wanted = wanted
        self._waiting = waiting
        self._predicting = predicting
        self._now = datetime.now(UTC)
        self._backup: Object | None = None

    def read(self) -> Sequence[Object]:
        try:
            return self._read()
        except NotServedError:
            if self._predicting:
                return []
            raise

    def _read(self) -> Sequence[Object]:
        wanted = self._wanted
        if wanted.schedule:
            self._wanted = self._following(wanted.schedule)
        if wanted.name:
            found = self._client.backup(wanted.name_at(self._now))
            return [found] if found else []
        if wanted.prefix:
            return self._client.backups_of(wanted.prefix)
        return self._client.backups_of_schedule(wanted.schedule or "")

    def _following(self, name: str) -> WantedBackup:
        schedule = self._client.schedule(name)
        if schedule is not None:
            return self._wanted.following(schedule)
        if self._predicting:
            return self._wanted
        raise NotFoundError(f"There is no Schedule {self._client.namespace}/{name} to make a backup from.")

    def plan(self, actual: Sequence[Object]) -> Sequence[Change]:
        self._backup = plan.serving(self._wanted, actual, self._now)
        return plan.plan_present(self._wanted, self._backup, self._now)

    def apply(self, changes: Sequence[Change]) -> Iterable[Outcome]:
        return apply_each(changes, self._apply)

    def _apply(self, change: Change) -> None:
        if change.action == "create":
            self._backup = self._client.create_backup(change.payload)
        else:
            self._backup = self._client.patch_backup(change.name, change.payload)

    def settle(self) -> None:
        if self._backup is None or not self._waiting.wait:
            return
        self._backup = self._client.wait_until_ended(self._backup, self._waiting.timeout)
        plan.judge(self._backup, self._wanted.fail_on)

    def result(self, actual: Sequence[Object], changes: Sequence[Change]) -> dict[str, Any]:
        backup: Mapping[str, Any] = self._backup or changes[0].payload
        output: dict[str, Any] = {"backup": phases.summary(backup)}
        if phases.phase(backup) in phases.FAILURES:
            output["warnings"] = [phases.failure(backup)]
        return output


@dataclass(frozen=True)
class Remains:
    """What is left of a backup that should be gone: itself, and requests to delete it."""

    backup: Object | None
    requests: Sequence[Object]


class AbsentBackup(Reconciler[Remains]):
    """A backup that is not wanted: its files, its object and the request to delete them are gone."""

    def __init__(self, client: VeleroClient, name: str, waiting: Waiting) -> None:
        self._client = client
        self._name = name
        self._waiting = waiting
        self._backup: Object | None = None
        self._request: Object | None = None

    def read(self) -> Remains:
        self._backup = self._client.backup(self._name)
        return Remains(self._backup, self._client.deletion_requests(self._backup) if self._backup else [])

    def plan(self, actual: Remains) -> Sequence[Change]:
        self._request = next(filter(plan.is_pending, actual.requests), None)
        return plan.plan_absent(actual.backup, actual.requests)

    def apply(self, changes: Sequence[Change]) -> Iterable[Outcome]:
        return apply_each(changes, self._apply)

    def _apply(self, change: Change) -> None:
        self._request = self._client.request_deletion(change.payload)

    def settle(self) -> None:
        if self._waiting.wait and self._backup and self._request:
            self._client.wait_until_deleted(self._backup, self._request, self._waiting.timeout)

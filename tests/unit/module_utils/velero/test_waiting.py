# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Waiting for the end of a backup and of a deletion: every way in which the objects may change meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change
from ansible_collections.dcm.platform.plugins.module_utils.engine.clock import SYSTEM_CLOCK
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import (
    ConflictError,
    PlatformError,
    RefusedError,
    TimedOutError,
)
from ansible_collections.dcm.platform.plugins.module_utils.engine.wait import NotYet
from ansible_collections.dcm.platform.plugins.module_utils.velero.backup import AbsentBackup, PresentBackup, Waiting
from ansible_collections.dcm.platform.plugins.module_utils.velero.client import VeleroClient
from ansible_collections.dcm.platform.plugins.module_utils.velero.plan import WantedBackup
from ansible_collections.dcm.platform.plugins.module_utils.velero.resources import BACKUP, DELETE_BACKUP_REQUEST

Object = dict[str, Any]
LONG_NAME = "b" * 70
PATIENT = Waiting(wait=True, timeout=60)


def backup(phase: str = "", uid: str = "1", name: str = "one", **status: Any) -> Object:
    status = {"phase": phase, **status} if phase else {}
    return {"metadata": {"name": name, "namespace": "velero", "uid": uid}, "spec": {}, "status": status}


def request(phase: str = "", *errors: str) -> Object:
    status = {"phase": phase, "errors": list(errors)} if phase else {}
    return {"metadata": {"name": "one-abcde"}, "spec": {"backupName": "one"}, "status": status}


class FakeKubernetes:
    """A cluster whose objects go through the given states while they are followed."""

    clock = SYSTEM_CLOCK

    def __init__(
        self,
        backups: Sequence[Object | None] = (),
        requests: Sequence[Object | None] = (),
        selected: Sequence[Object] = (),
    ) -> None:
        self.states = {BACKUP: list(backups), DELETE_BACKUP_REQUEST: list(requests)}
        self.selected = list(selected)
        self.selectors: list[str] = []
        self.created: list[Mapping[str, Any]] = []

    def get(self, resource: Any, namespace: str, name: str) -> Object | None:
        return self.states[resource][0]

    def select(self, resource: Any, namespace: str, label_selector: str) -> list[Object]:
        self.selectors.append(label_selector)
        return self.selected

    def create(self, resource: Any, namespace: str, body: Mapping[str, Any]) -> Object:
        self.created.append(body)
        state = self.states[resource][0]
        assert state is not None
        return state

    def follow(
        self, resource: Any, namespace: str, name: str, examine: Callable[[Object | None], Any], *, timeout: float
    ) -> Any:
        states = self.states[resource]
        last = NotYet("nothing")
        while states:
            try:
                return examine(states[0])
            except NotYet as reason:
                last = reason
                states.pop(0)
        raise TimedOutError(f"{last}")


def client(**states: Any) -> tuple[VeleroClient, FakeKubernetes]:
    kubernetes = FakeKubernetes(**states)
    return VeleroClient(kubernetes, "velero"), kubernetes  # type: ignore[arg-type]


@pytest.mark.parametrize("phase", ["Completed", "PartiallyFailed", "Failed", "FailedValidation"])
def test_a_backup_is_followed_to_its_end(phase: str) -> None:
    velero, _kubernetes = client(backups=[backup(), backup("InProgress"), backup("Finalizing"), backup(phase)])
    assert velero.wait_until_ended(backup(), 60) == backup(phase)


@pytest.mark.parametrize(
    ("states", "error", "words"),
    [
        ([backup("InProgress"), None], ConflictError, "velero/one was deleted by somebody else before it ended."),
        ([backup("InProgress"), backup(uid="2")], ConflictError, "was deleted by somebody else"),
        ([backup("Deleting")], ConflictError, "velero/one is being deleted by somebody else before it ended."),
        ([backup()], TimedOutError, "no Velero server has taken it up yet"),
        ([backup("InProgress", progress={"totalItems": 3})], TimedOutError, "InProgress, 0 of 3 items are backed up"),
    ],
    ids=["vanished", "replaced", "being deleted", "no server", "too slow"],
)
def test_a_backup_that_does_not_end(states: list[Object | None], error: type[PlatformError], words: str) -> None:
    velero, _kubernetes = client(backups=states)
    with pytest.raises(error) as raised:
        velero.wait_until_ended(backup(), 60)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("backups", "requests"),
    [
        ([None], [request(), request("InProgress"), None]),
        ([backup("Deleting"), None], [None]),
        ([None], [request("Processed"), None]),
        ([None], [request("Processed", "backup not found")]),
        ([backup(uid="2")], [None]),
    ],
    ids=[
        "the usual way",
        "the backup goes last",
        "processed, then gone",
        "another request was faster",
        "a new backup of that name",
    ],
)
def test_a_deletion_that_succeeds(backups: list[Object | None], requests: list[Object | None]) -> None:
    velero, _kubernetes = client(backups=backups, requests=requests)
    velero.wait_until_deleted(backup("Completed"), request(), 60)


@pytest.mark.parametrize(
    ("requests", "error", "words"),
    [
        ([request("Processed", "location is read-only", "no")], RefusedError, "velero/one: location is read-only; no."),
        ([request()], TimedOutError, "the deletion of backup one is not taken up"),
        ([request("InProgress")], TimedOutError, "the deletion of backup one is InProgress"),
    ],
)
def test_a_deletion_that_does_not(requests: list[Object], error: type[PlatformError], words: str) -> None:
    velero, _kubernetes = client(backups=[backup("Deleting")], requests=requests)
    with pytest.raises(error) as raised:
        velero.wait_until_deleted(backup("Completed"), request(), 60)
    assert words in str(raised.value)


def test_a_request_carries_the_labels_by_which_the_server_finds_it() -> None:
    velero, kubernetes = client(requests=[request()])
    velero.request_deletion(backup("Completed", name=LONG_NAME))
    (body,) = kubernetes.created
    labels = body["metadata"]["labels"]
    assert body["metadata"]["generateName"] == f"{LONG_NAME}-"
    assert body["spec"] == {"backupName": LONG_NAME}
    assert labels["velero.io/backup-uid"] == "1"
    assert len(labels["velero.io/backup-name"]) == 63
    velero.deletion_requests(backup("Completed", name=LONG_NAME))
    assert kubernetes.selectors == [",".join(f"{key}={value}" for key, value in labels.items())]


def test_a_pending_deletion_is_waited_for_and_not_repeated() -> None:
    velero, kubernetes = client(backups=[backup("Deleting"), None], requests=[None], selected=[request("InProgress")])
    absent = AbsentBackup(velero, "one", PATIENT)
    assert list(absent.plan(absent.read())) == []
    absent.settle()
    assert kubernetes.created == []


def test_a_backup_that_fails_while_one_waits_is_an_error_after_the_change() -> None:
    velero, kubernetes = client(backups=[backup(), backup("Failed", failureReason="no space")])
    present = PresentBackup(velero, WantedBackup(name="one"), PATIENT)
    (change,) = present.plan([])
    assert [outcome.error for outcome in present.apply([change])] == [None]
    with pytest.raises(RefusedError, match="velero/one ended as Failed: no space"):
        present.settle()
    assert len(kubernetes.created) == 1


def test_an_accepted_failure_is_a_warning() -> None:
    velero, _kubernetes = client(backups=[backup("PartiallyFailed", errors=2)])
    present = PresentBackup(velero, WantedBackup(name="one", fail_on=frozenset({"Failed"})), PATIENT)
    actual = present.read()
    assert list(present.plan(actual)) == []
    present.settle()
    result = present.result(actual, [])
    assert result["backup"]["errors"] == 2
    assert result["warnings"][0].startswith("Backup velero/one ended as PartiallyFailed: 2 errors")


def test_without_waiting_the_object_is_returned_as_created() -> None:
    velero, _kubernetes = client(backups=[backup()])
    present = PresentBackup(velero, WantedBackup(name="one"), Waiting(wait=False, timeout=0))
    changes: Sequence[Change] = present.plan([])
    list(present.apply(changes))
    present.settle()
    assert present.result([], changes)["backup"]["phase"] == "New"

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Locations and schedules: from options to changes, without a server."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change
from ansible_collections.dcm.platform.plugins.module_utils.engine.clock import SYSTEM_CLOCK
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import (
    ConflictError,
    InputError,
    RefusedError,
)
from ansible_collections.dcm.platform.plugins.module_utils.engine.wait import NotYet
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.client import NotServedError
from ansible_collections.dcm.platform.plugins.module_utils.velero.backup import Waiting
from ansible_collections.dcm.platform.plugins.module_utils.velero.client import VeleroClient
from ansible_collections.dcm.platform.plugins.module_utils.velero.locations import (
    Locations,
    require_available,
    require_elsewhere,
    wanted_location,
    wanted_snapshot_location,
)
from ansible_collections.dcm.platform.plugins.module_utils.velero.schedules import Schedules, wanted_schedule
from ansible_collections.dcm.platform.plugins.modules import velero_location, velero_schedule

Object = dict[str, Any]
SCHEDULE: Any = velero_schedule.SCHEDULE
PATIENT = Waiting(wait=True, timeout=60)


def options(spec: Mapping[str, Any], **given: Any) -> dict[str, Any]:
    """An item as Ansible gives it: every suboption, with its default."""
    return {**{name: option.get("default") for name, option in spec.items()}, **given}


def location(**given: Any) -> Any:
    return wanted_location(options(velero_location.LOCATION, **given))


def schedule(template: Mapping[str, Any] | None = None, **given: Any) -> Any:
    contents = None if template is None else options(SCHEDULE["template"]["options"], **template)
    return wanted_schedule(options(SCHEDULE, template=contents, **given))


class FakeKubernetes:
    """A cluster with these objects; notes what is written."""

    clock = SYSTEM_CLOCK

    def __init__(self, *objects: Object, served: bool = True) -> None:
        self.items = {(item["kind"], item["metadata"]["name"]): item for item in objects}
        self.writes: list[tuple[str, str, Any]] = []
        self.lists = 0
        self.served = served

    def select(self, resource: Any, namespace: str, label_selector: str = "") -> list[Object]:
        self.lists += 1
        if not self.served:
            raise NotServedError("no such kind")
        return [item for (kind, _name), item in self.items.items() if kind == resource.kind]

    def create(self, resource: Any, namespace: str, body: Object) -> Object:
        name = body["metadata"]["name"]
        self.writes.append(("create", name, body))
        return self.items.setdefault((resource.kind, name), {"kind": resource.kind, **body})

    def merge_patch(self, resource: Any, namespace: str, name: str, patch: Object) -> Object:
        self.writes.append(("update", name, patch))
        return self.items[resource.kind, name]

    def delete(self, resource: Any, namespace: str, name: str) -> None:
        self.writes.append(("delete", name, None))

    def follow(self, resource: Any, namespace: str, name: str, examine: Any, *, timeout: float) -> Any:
        return examine(self.items.get((resource.kind, name)))


def client(kubernetes: FakeKubernetes) -> VeleroClient:
    return VeleroClient(kubernetes, "velero")  # type: ignore[arg-type]


def run(reconciler: Any) -> list[Change]:
    """Everything but the wait; the changes."""
    actual = reconciler.read()
    changes: list[Change] = list(reconciler.plan(actual))
    for outcome in reconciler.apply(changes):
        assert outcome.error is None
    reconciler.result(actual, changes)
    return changes


def stored(kind: str, name: str, spec: Object, **status: Any) -> Object:
    return {"kind": kind, "metadata": {"name": name, "namespace": "velero"}, "spec": spec, "status": status}


def stored_location(name: str, **spec: Any) -> Object:
    spec = {"provider": "aws", "objectStorage": {"bucket": "b"}, **spec}
    return stored("BackupStorageLocation", name, spec, phase="Available")


def stored_schedule(name: str, **spec: Any) -> Object:
    return stored("Schedule", name, {"schedule": "0 2 * * *", "template": {}, **spec}, phase="Enabled")


# -- locations -------------------------------------------------------------------------------------------------------


def locations(kubernetes: FakeKubernetes, *wanted: Any, **more: Any) -> Locations:
    return Locations(client(kubernetes), wanted, PATIENT, **more)


def test_a_new_location() -> None:
    kubernetes = FakeKubernetes()
    wanted = location(
        name="one",
        provider="aws",
        bucket="b",
        prefix="",
        config={"s3ForcePathStyle": True, "region": "r", "checksumAlgorithm": ""},
        ca_cert="PEM\n",
        credential={"name": "s", "key": "cloud"},
        access_mode="ReadOnly",
        default=False,
        backup_sync_period="5m",
        labels={"x": "y"},
    )
    run(locations(kubernetes, wanted))
    authority = base64.b64encode(b"PEM\n").decode()
    assert kubernetes.writes == [
        (
            "create",
            "one",
            {
                "metadata": {"name": "one", "labels": {"x": "y"}},
                "spec": {
                    "provider": "aws",
                    "config": {"s3ForcePathStyle": "true", "region": "r", "checksumAlgorithm": ""},
                    "credential": {"name": "s", "key": "cloud"},
                    "objectStorage": {"bucket": "b", "caCert": authority},
                    "accessMode": "ReadOnly",
                    "default": False,
                    "backupSyncPeriod": "5m",
                },
            },
        )
    ]


@pytest.mark.parametrize(
    ("given", "spec", "patch"),
    [
        ({}, {"default": True}, None),
        ({"bucket": "b", "provider": "aws"}, {}, None),
        ({"bucket": "c"}, {"objectStorage": {"bucket": "b", "caCert": "UEVN"}}, {"objectStorage": {"bucket": "c"}}),
        ({"prefix": ""}, {"objectStorage": {"bucket": "b", "prefix": "p"}}, {"objectStorage": {"prefix": None}}),
        ({"config": {"a": "1"}}, {"config": {"a": "1", "b": "2"}}, {"config": {"b": None}}),
        ({"config": {"a": 1}}, {"config": {"a": "1"}}, None),
        ({"ca_cert": "PEM"}, {"objectStorage": {"caCert": base64.b64encode(b"PEM\n").decode()}}, None),
        ({"ca_cert": ""}, {"objectStorage": {"caCert": "UEVN"}}, {"objectStorage": {"caCert": None}}),
        (
            {"ca_cert_ref": {"name": "n", "key": "k"}},
            {"objectStorage": {"caCert": "UEVN"}},
            {"objectStorage": {"caCertRef": {"name": "n", "key": "k"}, "caCert": None}},
        ),
        ({"default": False}, {}, None),
        ({"backup_sync_period": "1m"}, {"backupSyncPeriod": "1m0s"}, None),
        ({"validation_frequency": "0s"}, {"validationFrequency": "1m0s"}, {"validationFrequency": "0s"}),
        ({"access_mode": "ReadOnly"}, {"accessMode": "ReadWrite"}, {"accessMode": "ReadOnly"}),
    ],
)
def test_a_stored_location(given: Any, spec: Any, patch: Any) -> None:
    kubernetes = FakeKubernetes(stored_location("one", **spec))
    run(locations(kubernetes, location(name="one", **given)))
    assert kubernetes.writes == ([] if patch is None else [("update", "one", {"spec": patch})])
    assert kubernetes.lists == 1


def test_the_old_default_resigns_before_the_new_one_is_made() -> None:
    kubernetes = FakeKubernetes(stored_location("old", default=True), stored_location("new"))
    run(locations(kubernetes, location(name="new", default=True), location(name="third", provider="aws", bucket="c")))
    assert [(action, name) for action, name, _body in kubernetes.writes] == [
        ("update", "old"),
        ("create", "third"),
        ("update", "new"),
    ]
    assert kubernetes.writes[0][2] == {"spec": {"default": False}}


def test_a_default_that_the_server_takes_away_is_an_error() -> None:
    kubernetes = FakeKubernetes(stored_location("new"))
    wanted = locations(kubernetes, location(name="new", default=True))
    wanted._client.follow = lambda *_arguments: stored_location("new", default=False)  # type: ignore[assignment, method-assign]
    run(wanted)
    with pytest.raises(ConflictError, match="velero/new was made the default, but is not any more"):
        wanted.settle()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([{"name": "a", "default": True}, {"name": "b", "default": True}], "Only one location can be the default"),
        ([{"name": "a"}, {"name": "a"}], "BackupStorageLocation a is listed twice."),
        ([{"name": "A"}], "'A' cannot be the name of a BackupStorageLocation"),
        ([{"name": "a", "provider": "aws"}], "to make it, these are needed: objectStorage.bucket."),
        ([{"name": "a", "backup_sync_period": "1 day"}], "backup_sync_period: '1 day' is not a duration"),
    ],
)
def test_locations_that_cannot_be(given: list[Any], words: str) -> None:
    with pytest.raises(InputError) as raised:
        run(locations(FakeKubernetes(), *(location(**item) for item in given)))
    assert words in str(raised.value)


def test_snapshot_locations_are_of_another_kind() -> None:
    kubernetes = FakeKubernetes(stored_location("a"))
    wanted = wanted_snapshot_location(options(velero_location.SNAPSHOT_LOCATION, name="a", provider="p"))
    reconciler = locations(kubernetes, wanted, location(name="a"))
    (change,) = run(reconciler)
    assert (change.action, change.kind) == ("create", "VolumeSnapshotLocation")
    assert reconciler.result({}, [change])["snapshot_locations"] == [{"name": "a", "state": "present", "changed": True}]


def test_where_kinds_are_still_to_come_everything_is_predicted() -> None:
    kubernetes = FakeKubernetes(served=False)
    wanted = location(name="a", provider="aws", bucket="b")
    assert len(locations(kubernetes, wanted, predicting=True).plan({})) == 1
    assert locations(kubernetes, wanted, predicting=True).read() == {}
    with pytest.raises(NotServedError):
        locations(kubernetes, wanted).read()


SPACES = {"provider": "aws", "objectStorage": {"bucket": "b"}, "config": {"s3Url": "https://nyc3.example.com"}}
AMAZON = {"provider": "velero.io/aws", "objectStorage": {"bucket": "b"}, "config": {"region": "us-east-1"}}
INSIDE = {"provider": "aws", "objectStorage": {"bucket": "b"}, "config": {"s3Url": "http://s3.Data.svc:8333"}}


@pytest.mark.row("BDR-22")
@pytest.mark.parametrize(
    ("spec", "source", "refused"),
    [
        (SPACES, "https://nyc3.example.com", True),
        (SPACES, "https://NYC3.example.com:443/", True),
        (SPACES, "https://nyc3.example.com/b", True),
        (SPACES, "https://nyc3.example.com/b/guilds", True),
        (SPACES, "https://b.nyc3.example.com", True),
        (SPACES, "https://nyc3.example.com/data", False),
        (SPACES, "https://data.nyc3.example.com", False),
        (SPACES, "https://sfo3.example.com", False),
        (SPACES, "https://nyc3.example.com:8333", False),
        (AMAZON, "https://s3.eu-central-1.amazonaws.com/b", True),
        (AMAZON, "https://s3.amazonaws.com/data", False),
        (AMAZON, "https://b.s3.amazonaws.com", True),
    ],
)
def test_a_bucket_that_is_the_source(spec: Any, source: str, refused: bool) -> None:
    if not refused:
        require_elsewhere("one", spec, [source], external=True)
        return
    with pytest.raises(InputError, match="The backup location one is the bucket b at") as raised:
        require_elsewhere("one", spec, [source], external=True)
    assert source in str(raised.value)


def test_a_location_inside_the_cluster() -> None:
    require_elsewhere("one", INSIDE, [], external=False)
    with pytest.raises(InputError, match=r"one is at http://s3\.data\.svc:8333, inside the cluster that it backs up"):
        require_elsewhere("one", INSIDE, [], external=True)


def test_a_change_that_leads_into_the_source_is_refused_before_any_write() -> None:
    kubernetes = FakeKubernetes(stored_location("one", config={"s3Url": "https://store.example.com"}))
    with pytest.raises(InputError, match="belongs to the source"):
        run(locations(kubernetes, location(name="one", bucket="data"), sources=["https://store.example.com/data"]))
    assert kubernetes.writes == []


def looked_at(last: str | None, phase: str = "Available", written: str | None = None, **status: Any) -> Object:
    status = {"phase": phase, **({"lastValidationTime": last} if last else {}), **status}
    fields = [{"manager": "dcm.platform", "time": written}] if written else []
    return {"metadata": {"name": "one", "managedFields": fields}, "spec": {}, "status": status}


AT = "2026-11-21T12:00:0{}Z".format


@pytest.mark.parametrize(
    ("current", "since", "missing"),
    [
        (looked_at(AT(1)), None, None),
        (looked_at(None), None, None),
        (looked_at(AT(1), "Unavailable", message="no bucket"), None, "no bucket"),
        (looked_at(None, ""), None, "does a server run"),
        (looked_at(AT(1)), looked_at(AT(1), written=AT(3)), "has not looked at it since"),
        (looked_at(AT(2)), looked_at(AT(1), written=AT(3)), "has not looked at it since"),
        (looked_at(AT(3)), looked_at(AT(1), written=AT(3)), None),
        (looked_at(AT(4)), looked_at(None, written=AT(3)), None),
        (looked_at(None), looked_at(None, written=AT(3)), "has not looked at it since"),
        (looked_at(AT(4), "Unavailable", message="gone"), looked_at(AT(1), written=AT(3)), "gone"),
    ],
)
def test_when_a_location_is_available(current: Object, since: Object | None, missing: str | None) -> None:
    if missing is None:
        require_available(current, since)
        return
    with pytest.raises(NotYet) as raised:
        require_available(current, since)
    assert missing in str(raised.value)


# -- schedules -------------------------------------------------------------------------------------------------------


def schedules(kubernetes: FakeKubernetes, *wanted: Any) -> Schedules:
    return Schedules(client(kubernetes), wanted)


def test_a_new_schedule() -> None:
    kubernetes = FakeKubernetes()
    wanted = schedule(
        {"included_namespaces": ["a"], "excluded_namespaces": [], "ttl": "24h", "resource_policy": "policy"},
        name="daily",
        cron="0 2 * * *",
        time_zone="Europe/Berlin",
        rpo="24h",
        skip_immediately=True,
        backup_labels={"x": "y"},
    )
    run(schedules(kubernetes, wanted))
    ((_action, _name, body),) = kubernetes.writes
    assert body["spec"] == {
        "schedule": "CRON_TZ=Europe/Berlin 0 2 * * *",
        "skipImmediately": True,
        "template": {
            "includedNamespaces": ["a"],
            "ttl": "24h",
            "resourcePolicy": {"kind": "configmap", "name": "policy"},
            "metadata": {"labels": {"x": "y"}},
        },
    }


HOOK = {"name": "freeze", "pre": [{"exec": {"command": ["sync"], "timeout": "1m0s", "onError": "Fail"}}]}
GIVEN_HOOK = {
    **dict.fromkeys(SCHEDULE["template"]["options"]["hooks"]["options"]),
    "name": "freeze",
    "pre": [{"command": ["sync"], "timeout": "60s", "on_error": None, "container": None}],
}


@pytest.mark.parametrize(
    ("template", "given", "spec", "patch"),
    [
        (None, {}, {"skipImmediately": False, "template": {"ttl": "1h"}}, None),
        (None, {"skip_immediately": True, "cron": "0 2 * * *", "paused": False}, {"skipImmediately": False}, None),
        (None, {"cron": "0 3 * * *"}, {}, {"schedule": "0 3 * * *"}),
        (None, {"cron": "0 2 * * *", "time_zone": "UTC"}, {}, {"schedule": "CRON_TZ=UTC 0 2 * * *"}),
        (None, {"paused": True}, {}, {"paused": True}),
        ({"ttl": "48h"}, {}, {"template": {"ttl": "48h0m0s"}}, None),
        ({"ttl": "24h"}, {}, {"template": {"ttl": "48h0m0s"}}, {"template": {"ttl": "24h"}}),
        (
            {"excluded_namespaces": ["a"]},
            {},
            {"template": {"excludedNamespaces": ["b", "a"]}},
            {"template": {"excludedNamespaces": ["a"]}},
        ),
        (
            {"excluded_namespaces": [], "storage_location": "", "label_selector": {}},
            {},
            {"template": {"excludedNamespaces": ["a"], "storageLocation": "s"}},
            {"template": {"excludedNamespaces": None, "storageLocation": None}},
        ),
        ({"hooks": [GIVEN_HOOK]}, {}, {"template": {"hooks": {"resources": [HOOK]}}}, None),
        ({"snapshot_volumes": False}, {}, {}, {"template": {"snapshotVolumes": False}}),
    ],
)
def test_a_stored_schedule(template: Any, given: Any, spec: Any, patch: Any) -> None:
    kubernetes = FakeKubernetes(stored_schedule("daily", **spec))
    run(schedules(kubernetes, schedule(template, name="daily", **given)))
    assert kubernetes.writes == ([] if patch is None else [("update", "daily", {"spec": patch})])


@pytest.mark.parametrize(
    ("template", "given", "words"),
    [
        (None, {"cron": "0 2 * *"}, "Schedule daily: cron: '0 2 * *' has 4 fields, not 5."),
        (None, {"cron": "0 2 * * 0", "rpo": "24h"}, "up to 7 days, 0:00:00 pass between two runs of '0 2 * * 0'"),
        (None, {"rpo": "24h"}, "time_zone and rpo need cron"),
        (None, {"cron": "TZ=UTC @daily", "time_zone": "Europe/Berlin"}, "cron names the time zone UTC"),
        (None, {"cron": "@daily", "time_zone": "Europe/Berlin 1"}, "is no name of a time zone"),
        ({"ttl": "7d"}, {"cron": "@daily"}, "ttl: '7d' is not a duration"),
        ({}, {}, "to make it, these are needed: schedule."),
    ],
)
@pytest.mark.row("BDR-03")
def test_schedules_that_cannot_be(template: Any, given: Any, words: str) -> None:
    with pytest.raises(InputError) as raised:
        run(schedules(FakeKubernetes(), schedule(template, name="daily", **given)))
    assert words in str(raised.value)


def test_a_refused_schedule_fails_until_it_is_corrected() -> None:
    refused = {**stored_schedule("daily"), "status": {"phase": "FailedValidation", "validationErrors": ["bad"]}}
    kubernetes = FakeKubernetes(refused, stored_schedule("other"))
    with pytest.raises(RefusedError, match=r"^Schedule velero/daily is refused by Velero: bad\."):
        run(schedules(kubernetes, schedule(name="daily"), schedule(name="other", paused=True)))
    assert [name for _action, name, _patch in kubernetes.writes] == ["other"], "what can be done is done"
    run(schedules(kubernetes, schedule(name="daily", cron="@daily")))


def test_a_schedule_that_is_not_wanted() -> None:
    kubernetes = FakeKubernetes(stored_schedule("daily"))
    (change,) = run(schedules(kubernetes, schedule(name="daily", state="absent"), schedule(name="n", state="absent")))
    assert (change.action, kubernetes.writes) == ("delete", [("delete", "daily", None)])

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the stand-in makes of new Backups, Restores and Schedules before they run."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from tests.sandbox.cluster import Object
from tests.sandbox.velero import backup_request, restore_request, schedules, terms
from tests.sandbox.velero.backups import queue_changes
from tests.sandbox.velero.locations import imported, period_of, surplus_defaults

NOW = datetime.datetime(2026, 3, 28, 12, 0, tzinfo=datetime.UTC)
LONG_NAME = "a-backup-with-a-name-that-is-longer-than-a-label-may-be-and-goes-on"


def location(name: str = "default", phase: str = "Available", created: str = "1", **spec: Any) -> Object:
    return {"metadata": {"name": name, "creationTimestamp": created}, "spec": spec, "status": {"phase": phase}}


def snapshot_location(name: str, provider: str) -> Object:
    return {"metadata": {"name": name}, "spec": {"provider": provider}}


def prepared(spec: Object, **surroundings: Any) -> backup_request.Prepared:
    surroundings.setdefault("locations", [location()])
    return backup_request.prepare(
        {"metadata": {"name": "b"}, "spec": spec}, backup_request.Surroundings(**surroundings)
    )


def test_what_a_backup_gets() -> None:
    version = {"gitVersion": "v1.34.4", "major": "1", "minor": "34"}
    found = prepared({"ttl": "72h"}, version=version, excluded_namespaces=["scratch"])
    assert not found.errors
    assert found.spec == {
        "ttl": "72h0m0s",
        "csiSnapshotTimeout": "10m0s",
        "itemOperationTimeout": "4h0m0s",
        "snapshotMoveData": False,
        "defaultVolumesToFsBackup": False,
        "volumeGroupSnapshotLabelKey": "velero.io/volume-group",
        "includedNamespaces": ["*"],
        "excludedNamespaces": ["scratch"],
        "storageLocation": "default",
        "excludedResources": [
            "volumesnapshots.snapshot.storage.k8s.io",
            "volumesnapshotcontents.snapshot.storage.k8s.io",
        ],
    }
    assert found.labels == {"velero.io/storage-location": "default"}
    assert found.annotations == {
        "velero.io/source-cluster-k8s-gitversion": "v1.34.4",
        "velero.io/source-cluster-k8s-major-version": "1",
        "velero.io/source-cluster-k8s-minor-version": "34",
        "velero.io/resource-timeout": "10m0s",
    }


@pytest.mark.parametrize(
    ("spec", "locations", "error"),
    [
        (
            {},
            [],
            "an existing backup storage location was not specified at backup creation time and the server default "
            "default does not exist. Please address this issue (see `velero backup-location -h` for options) and "
            'create a new backup. Error: BackupStorageLocation.velero.io "default" not found',
        ),
        (
            {"storageLocation": "other"},
            [location()],
            "an existing backup storage location was not specified at backup creation time and the default other was "
            "not found. Please address this issue (see `velero backup-location -h` for options) and create a new "
            'backup. Error: BackupStorageLocation.velero.io "other" not found',
        ),
        (
            {},
            [location(accessMode="ReadOnly")],
            "backup can't be created because backup storage location default is currently in read-only mode",
        ),
        (
            {},
            [location(phase="Unavailable")],
            "backup can't be created because BackupStorageLocation default is in Unavailable status.",
        ),
    ],
)
def test_locations_that_a_backup_cannot_use(spec: Object, locations: list[Object], error: str) -> None:
    assert prepared(spec, locations=locations).errors == [error]


def test_the_default_location_is_the_one_marked() -> None:
    assert prepared({}, locations=[location(), location("far", default=True)]).spec["storageLocation"] == "far"


@pytest.mark.parametrize(
    ("spec", "errors"),
    [
        (
            {"labelSelector": {"matchLabels": {"a": "b"}}, "orLabelSelectors": [{"matchLabels": {"a": "b"}}]},
            ["encountered labelSelector as well as orLabelSelectors in backup spec, only one can be specified"],
        ),
        (
            {"includedResources": ["*", "pods"]},
            [
                "Invalid included/excluded resource lists: includes list must either contain '*' only, or a non-empty "
                "list of items"
            ],
        ),
        (
            {"includedNamespaces": ["a"], "excludedNamespaces": ["a", "*"]},
            [
                "Invalid included/excluded namespace lists: excludes list cannot contain '*'",
                "Invalid included/excluded namespace lists: excludes list cannot contain an item in the includes "
                "list: a",
            ],
        ),
        (
            {"includedClusterScopedResources": ["a"], "excludedClusterScopedResources": ["*"]},
            [
                "Invalid cluster-scoped included/excluded resource lists: when exclude is '*', include cannot have "
                "value",
            ],
        ),
        (
            {"volumeSnapshotLocations": ["gone"]},
            [
                "a VolumeSnapshotLocation CRD for the location gone with the name specified in the backup spec needs "
                "to be created before this snapshot can be executed. Error: VolumeSnapshotLocation.velero.io "
                '"gone" not found'
            ],
        ),
        (
            {"resourcePolicy": {"kind": "configmap", "name": "gone"}},
            ["invalid resource policies: fail to get ResourcePolicies configmap gone"],
        ),
    ],
)
def test_refused_backups(spec: Object, errors: list[str]) -> None:
    assert prepared(spec).errors == errors


def test_old_and_new_filters_do_not_mix() -> None:
    [error] = prepared({"includedResources": ["pods"], "includedClusterScopedResources": ["nodes"]}).errors
    assert error.startswith("include-resources, exclude-resources and include-cluster-resources are old filter param")
    assert error.endswith("They cannot be used together")


def test_new_filters_exclude_by_scope() -> None:
    spec = prepared({"excludedNamespaceScopedResources": ["secrets"]}).spec
    assert spec["excludedNamespaceScopedResources"] == ["secrets", "volumesnapshots.snapshot.storage.k8s.io"]
    assert spec["excludedClusterScopedResources"] == ["volumesnapshotcontents.snapshot.storage.k8s.io"]
    assert "excludedResources" not in spec


@pytest.mark.parametrize(
    ("named", "existing", "chosen", "errors"),
    [
        ([], [], None, 0),
        ([], [("one", "aws")], ["one"], 0),
        (["two"], [("one", "aws"), ("two", "aws")], ["two"], 0),
        ([], [("one", "aws"), ("two", "aws")], None, 1),
        (["one", "two"], [("one", "aws"), ("two", "aws")], None, 1),
        (["one"], [("one", "aws"), ("two", "gcp")], ["one", "two"], 0),
    ],
)
def test_one_snapshot_location_for_each_provider(
    named: list[str], existing: list[tuple[str, str]], chosen: list[str] | None, errors: int
) -> None:
    found = prepared(
        {"volumeSnapshotLocations": named} if named else {},
        snapshot_locations=[snapshot_location(*item) for item in existing],
    )
    assert len(found.errors) == errors
    if not errors:
        assert found.spec.get("volumeSnapshotLocations") == chosen


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ({"policy": "version: v1\nvolumePolicies: []"}, None),
        ({}, "invalid resource policies: illegal resource policies p ConfigMap"),
        ({"policy": "version: v2"}, "invalid resource policies: incompatible version number, supported version: v1"),
        ({"policy": "{"}, "invalid resource policies: failed to decode yaml data into resource policies"),
    ],
)
def test_resource_policies(data: dict[str, str], error: str | None) -> None:
    errors = prepared({"resourcePolicy": {"kind": "ConfigMap", "name": "p"}}, policy={"data": data}).errors
    assert (not errors) if error is None else errors[0].startswith(error)


def test_the_status_with_which_a_backup_begins() -> None:
    assert backup_request.initial_status(prepared({"ttl": "1h"}), NOW) == {
        "phase": "InProgress",
        "version": 1,
        "formatVersion": "1.1.0",
        "expiration": "2026-03-28T13:00:00Z",
        "queuePosition": None,
        "startTimestamp": "2026-03-28T12:00:00Z",
    }
    refused = backup_request.initial_status(prepared({}, locations=[]), NOW)
    assert refused["phase"] == "FailedValidation"
    assert "startTimestamp" not in refused
    assert len(refused["validationErrors"]) == 1


def backup(name: str, phase: str | None, position: int | None = None, created: str = "1", **status: Any) -> Object:
    status |= {key: value for key, value in (("phase", phase), ("queuePosition", position)) if value}
    return {"metadata": {"name": name, "creationTimestamp": created}, "spec": {}, "status": status}


QUEUED = "Queued"


@pytest.mark.parametrize(
    ("backups", "changes"),
    [
        ([], []),
        ([backup("a", "Completed")], []),
        (
            [backup("a", None)],
            [("a", {"phase": QUEUED, "queuePosition": 1}), ("a", {"phase": "ReadyToStart", "queuePosition": None})],
        ),
        ([backup("a", "InProgress"), backup("b", "New")], [("b", {"phase": QUEUED, "queuePosition": 1})]),
        (
            [backup("a", "InProgress"), backup("c", None, created="3"), backup("b", None, created="2")],
            [("b", {"phase": QUEUED, "queuePosition": 1}), ("c", {"phase": QUEUED, "queuePosition": 2})],
        ),
        (
            [backup("a", "Completed"), backup("c", QUEUED, 2), backup("b", QUEUED, 1), backup("d", None)],
            [
                ("d", {"phase": QUEUED, "queuePosition": 3}),
                ("b", {"phase": "ReadyToStart", "queuePosition": None}),
                ("c", {"queuePosition": 1}),
                ("d", {"queuePosition": 2}),
            ],
        ),
        ([backup("a", "ReadyToStart"), backup("b", QUEUED, 1)], []),
        (
            [backup("a", "WaitingForPluginOperations"), backup("b", QUEUED, 1)],
            [("b", {"phase": "ReadyToStart", "queuePosition": None})],
        ),
        ([backup("a", "InProgress"), backup("b", QUEUED, 2)], [("b", {"queuePosition": 1})]),
    ],
)
def test_the_queue(backups: list[Object], changes: list[tuple[str, Object]]) -> None:
    assert queue_changes(backups) == changes


def restorable(name: str, phase: str = "Completed", start: str = "1", schedule: str | None = None) -> Object:
    found = backup(name, phase, startTimestamp=start)
    found["spec"]["storageLocation"] = "default"
    found["metadata"]["labels"] = {terms.SCHEDULE_NAME: schedule} if schedule else {}
    return found


BACKUPS = [
    restorable("one"),
    restorable("old", start="2", schedule="daily"),
    restorable("new", start="3", schedule="daily"),
    restorable("half", "PartiallyFailed", "4", "daily"),
    restorable("broken", "Failed", "4", "weekly"),
]


def prepared_restore(spec: Object, locations: list[Object] | None = None) -> restore_request.Prepared:
    surroundings = restore_request.Surroundings("velero", BACKUPS, [location()] if locations is None else locations)
    return restore_request.prepare({"metadata": {"name": "r"}, "spec": spec}, surroundings)


@pytest.mark.parametrize(
    ("spec", "backup_name", "schedule_name"),
    [
        ({"backupName": "one"}, "one", None),
        ({"backupName": "half"}, "half", "daily"),
        ({"scheduleName": "daily"}, "new", "daily"),
    ],
)
def test_the_source_of_a_restore(spec: Object, backup_name: str, schedule_name: str | None) -> None:
    found = prepared_restore(spec)
    assert not found.errors
    assert (found.spec["backupName"], found.spec.get("scheduleName")) == (backup_name, schedule_name)
    assert found.spec["excludedResources"] == list(terms.NON_RESTORABLE)
    assert found.spec["itemOperationTimeout"] == "4h0m0s"


BOTH = "Either a backup or schedule must be specified as a source for the restore, but not both"


@pytest.mark.parametrize(
    ("spec", "errors"),
    [
        ({}, [BOTH]),
        ({"backupName": "one", "scheduleName": "daily"}, [BOTH]),
        ({"scheduleName": "hourly"}, ["No backups found for schedule", "No completed backups found for schedule"]),
        ({"scheduleName": "weekly"}, ["No completed backups found for schedule"]),
        (
            {"backupName": "none"},
            [
                'Error retrieving backup: can\'t find backup velero/none: Backup.velero.io "none" not found',
            ],
        ),
        (
            {"backupName": "one", "includedResources": ["nodes"]},
            [
                "nodes are non-restorable resources",
                "Invalid included/excluded resource lists: excludes list cannot contain an item in the includes list: "
                "nodes",
            ],
        ),
        ({"backupName": "one", "existingResourcePolicy": "replace"}, ["Invalid ExistingResourcePolicy: replace"]),
        (
            {"backupName": "one", "resourceModifier": {"kind": "configmap", "name": "m"}},
            ["the stand-in knows no resource modifiers"],
        ),
    ],
)
def test_refused_restores(spec: Object, errors: list[str]) -> None:
    assert prepared_restore(spec).errors == errors


def test_a_restore_needs_its_location() -> None:
    assert prepared_restore({"backupName": "one"}, [location(phase="Unavailable")]).errors == [
        "The BSL default is unavailable, cannot retrieve the backup"
    ]


def schedule(spec: Object | None = None, **metadata: Any) -> Object:
    template = {"template": {"ttl": "1h"}, **(spec or {})}
    return {
        "metadata": {"name": "daily", "uid": "u", "creationTimestamp": "2026-03-28T12:00:00Z", **metadata},
        "spec": template,
    }


@pytest.mark.parametrize(
    ("made_by", "labels"),
    [
        (schedule(), {terms.SCHEDULE_NAME: "daily"}),
        (schedule(labels={"a": "1"}), {"a": "1", terms.SCHEDULE_NAME: "daily"}),
        (
            schedule({"template": {"metadata": {"labels": {"b": "2"}}}}, labels={"a": "1"}),
            {"b": "2", terms.SCHEDULE_NAME: "daily"},
        ),
    ],
)
def test_the_labels_of_a_scheduled_backup(made_by: Object, labels: dict[str, str]) -> None:
    assert schedules.backup_of(made_by, NOW)["metadata"]["labels"] == labels


def test_a_scheduled_backup() -> None:
    made = schedules.backup_of(schedule({"useOwnerReferencesInBackup": True}, annotations={"note": "x"}), NOW)
    assert made["metadata"]["name"] == "daily-20260328120000"
    assert made["metadata"]["annotations"] == {"note": "x"}
    assert made["metadata"]["ownerReferences"] == [
        {"apiVersion": "velero.io/v1", "kind": "Schedule", "name": "daily", "uid": "u", "controller": True}
    ]
    assert made["spec"] == {"ttl": "1h"}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({}, "2026-03-28T12:00:00Z"),
        ({"lastBackup": "2026-03-28T13:00:00Z"}, "2026-03-28T13:00:00Z"),
        ({"lastSkipped": "2026-03-28T14:00:00Z"}, "2026-03-28T14:00:00Z"),
        ({"lastBackup": "2026-03-28T15:00:00Z", "lastSkipped": "2026-03-28T14:00:00Z"}, "2026-03-28T15:00:00Z"),
    ],
)
def test_from_when_the_next_run_is_reckoned(status: Object, expected: str) -> None:
    assert terms.timestamp(schedules.last_run({**schedule(), "status": status})) == expected


def test_the_default_location_that_was_created_last_stays() -> None:
    locations = [
        location("b", created="2", default=True),
        location("c", created="3"),
        location("a", created="1", default=True),
    ]
    assert [item["metadata"]["name"] for item in surplus_defaults(locations)] == ["a"]


@pytest.mark.parametrize(("given", "seconds"), [(None, 5.0), ("0s", None), ("1m0s", 5.0), ("2s", 2.0), ("-1s", 5.0)])
def test_periods_of_a_location(given: str | None, seconds: float | None) -> None:
    assert period_of(given, 5.0) == seconds


def test_an_imported_backup_belongs_to_this_cluster() -> None:
    stored = {
        "metadata": {
            "name": "b",
            "namespace": "elsewhere",
            "uid": "x",
            "resourceVersion": "1",
            "labels": {"a": "1", terms.STORAGE_LOCATION: "there"},
            "ownerReferences": [
                {"kind": "Schedule", "name": "daily", "uid": "old"},
                {"kind": "Schedule", "name": "gone", "uid": "old"},
            ],
        },
        "spec": {"storageLocation": "there", "hooks": {"resources": []}, "ttl": "1h"},
        "status": {"phase": "Completed"},
    }
    made = imported(stored, location("here"), [schedule()])
    assert made == {
        "apiVersion": "velero.io/v1",
        "kind": "Backup",
        "metadata": {
            "name": "b",
            "labels": {"a": "1", terms.STORAGE_LOCATION: "here"},
            "annotations": {},
            "ownerReferences": [{"kind": "Schedule", "name": "daily", "uid": "u"}],
        },
        "spec": {"storageLocation": "here", "ttl": "1h"},
        "status": {"phase": "Completed"},
    }


def test_long_names_as_labels() -> None:
    assert terms.label_value("short") == "short"
    assert terms.label_value(LONG_NAME) == f"{LONG_NAME[:57]}e76320"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (90, "1m30s"), (600, "10m0s"), (3600, "1h0m0s"), (2592000, "720h0m0s")]
)
def test_go_durations(seconds: int, text: str) -> None:
    assert terms.go_duration(datetime.timedelta(seconds=seconds)) == text
    assert terms.duration(text) == datetime.timedelta(seconds=seconds)

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The stand-in for Velero's server against the real API server and the lab's S3, in a namespace of its own."""

from __future__ import annotations

import contextlib
import datetime
import gzip
import io
import json
import os
import secrets
import signal
import tarfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from kubernetes.client.exceptions import ApiException

from tests.conftest import LabFixture
from tests.integration.velero.velero_objects import VeleroObjects, differing
from tests.sandbox.cluster import Cluster, Object, Resource
from tests.sandbox.processes import Supervised, stop_all
from tests.sandbox.service import NotReady
from tests.sandbox.services import s3
from tests.sandbox.services.velero import VeleroService
from tests.sandbox.velero import terms
from tests.sandbox.velero.clock import CONFIG_MAP as CLOCK
from tests.sandbox.velero.clock import RIGHT
from tests.sandbox.velero.faults import CONFIG_MAP
from tests.sandbox.velero.filters import resolver
from tests.sandbox.velero.storage import BACKUP_FILES, RESTORE_FILES
from tests.waiting import eventually

Found = TypeVar("Found")

PERIODS = {"validation": 0.3, "synchronisation": 0.5, "expiry": 0.5, "waiting": 0.1}
PREFIX = "main"
ENDED = ("Completed", "PartiallyFailed", "Failed", "FailedValidation")
FILES = {
    "{}-csi-volumesnapshotclasses.json.gz",
    "{}-csi-volumesnapshotcontents.json.gz",
    "{}-csi-volumesnapshots.json.gz",
    "{}-itemoperations.json.gz",
    "{}-logs.gz",
    "{}-podvolumebackups.json.gz",
    "{}-resource-list.json.gz",
    "{}-results.gz",
    "{}-volumeinfo.json.gz",
    "{}-volumesnapshots.json.gz",
    "{}.tar.gz",
    "velero-backup.json",
}


class StandIn:
    """A stand-in of this test module, and everything that its tests do with it."""

    def __init__(self, lab: LabFixture, directory: Path) -> None:
        others = lab("kubernetes", "s3")
        self.s3 = others["s3"]
        self.store = s3.client(self.s3)
        self.namespace = self.bucket = f"velero-{secrets.token_hex(3)}"
        self.store.create_bucket(Bucket=self.bucket)
        self.cluster = Cluster(Path(others["kubernetes"]["kubeconfig"]), directory, "test")
        self._lab = directory
        self._directory = directory / "velero"
        self._directory.mkdir()
        self._service = VeleroService(self._directory, others)
        self._settings = {**self._service.settings(), "namespace": self.namespace}
        self._service.prepare(self._settings)
        self._find = resolver(self.cluster.resources())
        settings = json.loads((self._directory / "server.json").read_text())
        (self._directory / "server.json").write_text(json.dumps({**settings, "periods": PERIODS}))

    def start(self) -> None:
        [process] = self._service.processes(self._settings)
        Supervised(self._directory, "velero").start(process.command, process.environment, self._lab)

        def ready() -> bool:
            try:
                process.ready()
            except NotReady:
                return False
            return True

        eventually(ready, "the stand-in is ready")

    def kill(self) -> None:
        pid = Supervised(self._directory, "velero").pid()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: Supervised(self._directory, "velero").pid() is None, "the stand-in is gone")

    def remove(self) -> None:
        """Leave the lab as it was."""
        restores = terms.RESTORES.path(self.namespace)
        self.cluster.delete(restores)
        eventually(lambda: not list(self.cluster.items(restores)), "the server has removed the files of the restores")
        stop_all(self._lab)
        self.cluster.delete(self.resource("namespaces").path(name=self.namespace))
        for key in self.keys(""):
            self.store.delete_object(Bucket=self.bucket, Key=key)
        self.store.delete_bucket(Bucket=self.bucket)

    # -- objects -----------------------------------------------------------------------------------------------

    def resource(self, name: str) -> Resource:
        found = self._find(name)
        assert found is not None, name
        return found

    def make(self, resource: str, name: str, content: Object, namespace: str = "", **metadata: Any) -> Object:
        kind = self.resource(resource)
        body = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name, **metadata}, **content}
        return self.cluster.create(kind.path(namespace), body)

    def get(self, kind: Resource, name: str) -> Object:
        found = self.cluster.get(kind.path(self.namespace, name))
        assert found is not None, f"{kind} {name} is gone"
        return found

    def exists(self, kind: Resource, name: str) -> bool:
        return self.cluster.get(kind.path(self.namespace, name)) is not None

    def request(self, kind: Resource, name: str, spec: Object, **metadata: Any) -> None:
        """Create an object of Velero."""
        self.make(str(kind), name, {"spec": spec}, self.namespace, **metadata)

    def in_phase(self, kind: Resource, name: str, *phases: str) -> Object:
        def examine() -> Object | None:
            item = self.get(kind, name)
            return item if terms.phase(item) in phases else None

        found: Object = eventually(examine, f"{kind} {name} is {' or '.join(phases)}")
        return found

    def backup(self, name: str, spec: Object, phase: str = "Completed", **metadata: Any) -> Object:
        self.request(terms.BACKUPS, name, spec, **metadata)
        return self._ended(terms.BACKUPS, name, phase)

    def restore(self, name: str, spec: Object, phase: str = "Completed") -> Object:
        self.request(terms.RESTORES, name, spec)
        return self._ended(terms.RESTORES, name, phase)

    def _ended(self, kind: Resource, name: str, phase: str) -> Object:
        item = self.in_phase(kind, name, *ENDED)
        assert terms.phase(item) == phase, item["status"]
        return item

    def make_namespace(self, name: str) -> str:
        """A namespace with two ConfigMaps."""
        self.make("namespaces", name, {}, labels={"made-by": "test"})
        for number in (1, 2):
            self.make("configmaps", f"c{number}", {"data": {"k": "v"}}, name, labels={"number": str(number)})
        return name

    def remove_namespaces(self, *names: str) -> None:
        kind = self.resource("namespaces")
        for name in names:
            self.cluster.delete(kind.path(name=name))
        eventually(lambda: not any(self.cluster.get(kind.path(name=name)) for name in names), f"no {', '.join(names)}")

    @contextlib.contextmanager
    def fault(self, key: str, names: str) -> Iterator[None]:
        """``key: names`` in the ConfigMap of faults."""
        path = terms.CONFIG_MAPS.path(self.namespace, CONFIG_MAP)
        metadata = {"name": CONFIG_MAP}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {key: names}}
        self.cluster.apply(path, body)
        try:
            yield
        finally:
            self.cluster.delete(path)

    @contextlib.contextmanager
    def time_moved(self, offset: str) -> Iterator[None]:
        """The server's clock goes before by a duration, from the first line of the block on until its end."""
        path = terms.CONFIG_MAPS.path(self.namespace, CLOCK)
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": CLOCK}, "data": {"offset": offset}}
        self.cluster.apply(path, body)
        self._clock_shows(terms.duration(offset))
        try:
            yield
        finally:
            self.cluster.delete(path)
            self._clock_shows(RIGHT)

    def _clock_shows(self, offset: datetime.timedelta) -> None:
        """Wait until the server's answers bear this time: it sees the ConfigMap when its watch brings it."""

        def shows() -> bool:
            name = f"clock-{secrets.token_hex(3)}"
            self.request(terms.STATUS_REQUESTS, name, {})

            def answer() -> str | None:
                # A request that is answered before the clock goes forward is past its lifetime then, and removed.
                item = self.cluster.get(terms.STATUS_REQUESTS.path(self.namespace, name))
                return "gone" if item is None else (item.get("status") or {}).get("processedTimestamp")

            processed: str = eventually(answer, f"the server answers {name}")
            return processed != "gone" and abs(terms.moment(processed) - terms.now() - offset) < datetime.timedelta(
                minutes=5
            )

        eventually(shows, f"the server's clock goes before by {offset}")

    # -- files -------------------------------------------------------------------------------------------------

    def keys(self, prefix: str) -> set[str]:
        pages = self.store.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return {item["Key"] for page in pages for item in page.get("Contents", ())}

    def read(self, key: str) -> Any:
        """A JSON file, unpacked if need be."""
        content = self.store.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return json.loads(gzip.decompress(content) if key.endswith(".gz") else content)

    def archived(self, backup: str) -> set[str]:
        """Paths in a backup's archive."""
        key = f"{PREFIX}/backups/{backup}/{backup}.tar.gz"
        content = self.store.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as tar:
            return set(tar.getnames())

    def location(self, prefix: str = PREFIX, **spec: Any) -> Object:
        """The spec of a location."""
        return {
            "provider": "aws",
            "objectStorage": {"bucket": self.bucket, "prefix": prefix},
            "config": {"region": "us-east-1", "s3Url": self.s3["endpoint"], "s3ForcePathStyle": "true"},
            **spec,
        }

    def credentials(self, name: str, secret_key: str) -> None:
        content = f"[default]\naws_access_key_id={self.s3['access_key']}\naws_secret_access_key={secret_key}\n"
        self.make("secrets", name, {"stringData": {"cloud": content}}, self.namespace)


@pytest.fixture(scope="module")
def velero(lab: LabFixture, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    found = StandIn(lab, tmp_path_factory.mktemp("stand-in"))
    try:
        found.start()
        found.credentials("cloud-credentials", found.s3["secret_key"])
        found.request(terms.LOCATIONS, "default", found.location())
        found.in_phase(terms.LOCATIONS, "default", "Available")
        yield found
    finally:
        found.remove()


@pytest.fixture
def scratch(velero: StandIn) -> Iterator[str]:
    """A namespace with two ConfigMaps."""
    name = velero.make_namespace(f"guild-{secrets.token_hex(3)}")
    yield name
    velero.cluster.delete(velero.resource("namespaces").path(name=name))


def delete_backup(velero: StandIn, name: str, request: str) -> None:
    velero.request(terms.DELETE_REQUESTS, request, {"backupName": name}, labels={terms.BACKUP_NAME: name})


# -- the round trip ------------------------------------------------------------------------------------------------

GUILDS = ("a", "b")


def test_there_and_back(velero: StandIn) -> None:
    objects = VeleroObjects(velero.cluster)
    guilds = [f"trip-{velero.namespace}-{letter}" for letter in GUILDS]
    for guild in guilds:
        velero.make("namespaces", guild, {}, labels={"guild": guild})
        objects.fill(guild, at_most=2)
    before = {guild: objects.contents(guild) for guild in guilds}

    made = velero.backup("trip", {"includedNamespaces": guilds, "ttl": "72h"})
    assert made["spec"]["ttl"] == "72h0m0s"
    assert made["status"]["progress"]["itemsBackedUp"] == made["status"]["progress"]["totalItems"] > 40
    assert not {"errors", "warnings", "queuePosition"} & made["status"].keys()
    folder = f"{PREFIX}/backups/trip/"
    assert velero.keys(folder) == {folder + file.format("trip") for file in FILES}
    stored = velero.read(f"{folder}velero-backup.json")
    assert stored["status"]["phase"] == "Completed"
    assert f"resources/secrets/namespaces/{guilds[0]}/x-0.json" in velero.archived("trip")
    assert len(velero.read(f"{folder}trip-resource-list.json.gz")["apps/v1/Deployment"]) == 4

    velero.remove_namespaces(*guilds)
    velero.restore("back", {"backupName": "trip"})
    for guild in guilds:
        assert differing(objects.contents(guild), before[guild]) == []
    namespace = velero.cluster.get(velero.resource("namespaces").path(name=guilds[0]))
    assert namespace is not None
    assert namespace["metadata"]["labels"]["guild"] == guilds[0]
    labelled = velero.cluster.items(velero.resource("secrets").path(guilds[0]), f"{terms.RESTORE_NAME}=back")
    assert len(list(labelled)) == 2

    copies = [f"copy-{guild}" for guild in guilds]
    velero.restore("copied", {"backupName": "trip", "namespaceMapping": dict(zip(guilds, copies, strict=True))})
    assert {guild: objects.contents(copy, called=guild) for guild, copy in zip(guilds, copies, strict=True)} == before

    delete_backup(velero, "trip", "away")
    eventually(
        lambda: not velero.exists(terms.BACKUPS, "trip") and not velero.exists(terms.DELETE_REQUESTS, "away"),
        "backup and request are gone",
    )
    assert not velero.keys(folder)
    assert not velero.keys(f"{PREFIX}/restores/")
    assert not velero.exists(terms.RESTORES, "back")
    for name in (*guilds, *copies):
        velero.cluster.delete(velero.resource("namespaces").path(name=name))


# -- locations -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"objectStorage": {"bucket": "no-such-bucket"}}, "NoSuchBucket"),
        ({"provider": "gcp"}, "unable to locate ObjectStore plugin named velero.io/gcp"),
        ({"credential": {"name": "missing", "key": "cloud"}}, 'Secret "missing" not found'),
        ({"credential": {"name": "wrong", "key": "cloud"}}, "SignatureDoesNotMatch"),
        ({"config": {"s3Url": "http://127.0.0.1:1", "s3ForcePathStyle": "true"}}, "Could not connect"),
        ({"config": {"url": "x"}}, "config has invalid keys [url]"),
    ],
)
def test_a_location_that_cannot_be_used(velero: StandIn, change: Object, message: str) -> None:
    with contextlib.suppress(ApiException):  # it exists from the case before
        velero.credentials("wrong", "not-the-key")
    velero.request(terms.LOCATIONS, "far", {**velero.location(), **change})
    try:
        found = eventually(lambda: velero.get(terms.LOCATIONS, "far").get("status", {}).get("message"), "a message")
        assert found.startswith('BackupStorageLocation "far" is unavailable: ')
        assert message in found
        refused = velero.backup(f"far-{secrets.token_hex(3)}", {"storageLocation": "far"}, "FailedValidation")
        assert refused["status"]["validationErrors"] == [
            "backup can't be created because BackupStorageLocation far is in Unavailable status."
        ]
    finally:
        velero.cluster.delete(terms.LOCATIONS.path(velero.namespace, "far"))


def test_a_location_with_foreign_folders_until_they_are_gone(velero: StandIn) -> None:
    foreign = "foreign/elsewhere/file"
    velero.store.put_object(Bucket=velero.bucket, Key=foreign, Body=b"")
    velero.request(terms.LOCATIONS, "foreign", velero.location("foreign"))
    found = eventually(lambda: velero.get(terms.LOCATIONS, "foreign").get("status", {}).get("message"), "a message")
    assert found.endswith("Backup store contains invalid top-level directories: [elsewhere]")
    velero.store.delete_object(Bucket=velero.bucket, Key=foreign)
    status = velero.in_phase(terms.LOCATIONS, "foreign", "Available")["status"]
    assert "message" not in status
    velero.cluster.delete(terms.LOCATIONS.path(velero.namespace, "foreign"))


def test_the_newest_default_location_is_the_only_one(velero: StandIn) -> None:
    def defaults() -> set[str]:
        locations = velero.cluster.items(terms.LOCATIONS.path(velero.namespace))
        return {item["metadata"]["name"] for item in locations if item["spec"].get("default")}

    assert defaults() == {"default"}, "its name makes it the default"
    eventually(
        lambda: time.time() > terms.moment(velero.get(terms.LOCATIONS, "default")["metadata"]["creationTimestamp"])
        .timestamp() + 1,
        "ages differ",
    )  # fmt: skip
    velero.request(terms.LOCATIONS, "newer", velero.location("newer", default=True))
    eventually(lambda: defaults() == {"newer"}, "the newer one is the default")
    velero.cluster.delete(terms.LOCATIONS.path(velero.namespace, "newer"))
    eventually(lambda: defaults() == {"default"}, "the only one is the default again")


# -- backups -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "spec", "taken"),
    [
        ("one-kind", {"includedResources": ["cm"]}, {"c1", "c2"}),
        ("by-label", {"labelSelector": {"matchLabels": {"number": "1"}}}, {"c1"}),
        (
            "by-labels",
            {"orLabelSelectors": [{"matchLabels": {"number": "1"}}, {"matchLabels": {"number": "2"}}]},
            {"c1", "c2"},
        ),
        ("no-kind", {"excludedNamespaceScopedResources": ["*"]}, set()),
    ],
)
def test_filters(velero: StandIn, scratch: str, name: str, spec: Object, taken: set[str]) -> None:
    velero.backup(f"filter-{name}", {**spec, "includedNamespaces": [scratch]})
    folder = f"resources/configmaps/namespaces/{scratch}/"
    paths = velero.archived(f"filter-{name}")
    found = {path.removeprefix(folder)[:-5] for path in paths if path.startswith(folder)}
    assert found - {"kube-root-ca.crt"} == taken, "but for what Kubernetes brings into a namespace in its own time"
    assert not any(f"namespaces/{velero.namespace}/" in path for path in paths), "another namespace"


def test_what_asks_to_be_left_out(velero: StandIn, scratch: str) -> None:
    velero.make("configmaps", "private", {}, scratch, labels={terms.EXCLUDE: "true"})
    hidden = velero.make_namespace(f"{scratch}-hidden")
    path = velero.resource("namespaces").path(name=hidden)
    velero.cluster.merge_patch(path, {"metadata": {"labels": {terms.EXCLUDE: "true"}}})
    made = velero.backup("left-out", {"includedNamespaces": [scratch, hidden], "includedResources": ["configmaps"]},
                         "FailedValidation")  # fmt: skip
    assert made["status"]["validationErrors"] == [
        "Invalid included/excluded namespace lists: excludes list cannot contain an item in the includes list: "
        + hidden
    ]
    made = velero.backup("left-out-2", {"includedNamespaces": [f"{scratch}*"], "includedResources": ["configmaps"]})
    assert made["spec"]["excludedNamespaces"] == [hidden]
    paths = velero.archived("left-out-2")
    assert f"resources/configmaps/namespaces/{scratch}/c1.json" in paths
    assert not any("private" in path or hidden in path for path in paths)
    velero.cluster.delete(path)


def test_a_namespace_that_is_not_there_is_an_error_of_the_backup(velero: StandIn, scratch: str) -> None:
    made = velero.backup("missing", {"includedNamespaces": [scratch, "no-such"]}, "PartiallyFailed")
    assert made["status"]["errors"] == 1
    results = velero.read(f"{PREFIX}/backups/missing/missing-results.gz")
    assert results["errors"]["velero"] == [
        "fail to get the namespace no-such specified in backup.Spec.IncludedNamespaces"
    ]


def test_failures_on_demand(velero: StandIn, scratch: str) -> None:
    spec = {"includedNamespaces": [scratch]}
    with velero.fault("backups.fail", "doomed-*"):
        made = velero.backup("doomed-1", spec, "Failed")
        assert made["status"]["failureReason"] == "error uploading backup: injected by stand-in-faults"
        velero.backup("other-1", spec)
    with velero.fault("backups.partially-fail", "*"):
        assert velero.backup("half", spec, "PartiallyFailed")["status"]["errors"] == 1
    lost = f"resources/configmaps/namespaces/{scratch}/c2.json"
    errors = velero.read(f"{PREFIX}/backups/half/half-results.gz")["errors"]
    assert errors == {"namespaces": {scratch: [f"error backing up item {lost}: injected by stand-in-faults"]}}
    assert lost not in velero.archived("half")
    with velero.fault("backups.never-answered", "silent"):
        velero.request(terms.BACKUPS, "silent", spec)
        velero.backup("loud", spec)
        assert "status" not in velero.get(terms.BACKUPS, "silent")
    velero.in_phase(terms.BACKUPS, "silent", "Completed")
    with velero.fault("backupstoragelocations.unavailable", "default"):
        velero.in_phase(terms.LOCATIONS, "default", "Unavailable")
    velero.in_phase(terms.LOCATIONS, "default", "Available")


def test_one_backup_at_a_time(velero: StandIn, scratch: str) -> None:
    spec = {"includedNamespaces": [scratch], "storageLocation": "default"}
    with velero.fault("backups.hold-InProgress", "first"):
        velero.request(terms.BACKUPS, "first", spec)
        velero.in_phase(terms.BACKUPS, "first", "InProgress")
        for number, name in enumerate(("second", "third"), 1):
            velero.request(terms.BACKUPS, name, spec)
            assert velero.in_phase(terms.BACKUPS, name, "Queued")["status"]["queuePosition"] == number
        delete_backup(velero, "first", "too-early")
        refused = velero.in_phase(terms.DELETE_REQUESTS, "too-early", "Processed")
        assert refused["status"]["errors"] == ["backup is still in progress"]
        delete_backup(velero, "second", "from-queue")
        eventually(lambda: not velero.exists(terms.BACKUPS, "second"), "the second is gone")
        eventually(lambda: velero.get(terms.BACKUPS, "third")["status"]["queuePosition"] == 1, "the third moves up")
    for name in ("first", "third"):
        assert "queuePosition" not in velero.in_phase(terms.BACKUPS, name, "Completed")["status"]


def test_a_backup_whose_data_still_moves(velero: StandIn, scratch: str) -> None:
    with velero.fault("backups.hold-WaitingForPluginOperations", "moving"):
        velero.request(terms.BACKUPS, "moving", {"includedNamespaces": [scratch]})
        velero.in_phase(terms.BACKUPS, "moving", "WaitingForPluginOperations")
        velero.backup("meanwhile", {"includedNamespaces": [scratch]})
    assert "completionTimestamp" in velero.in_phase(terms.BACKUPS, "moving", "Completed")["status"]


def test_a_server_that_ends_fails_what_it_ran(velero: StandIn, scratch: str) -> None:
    spec = {"includedNamespaces": [scratch]}
    velero.backup("source", spec)
    with velero.fault("backups.hold-InProgress", "cut-off"):
        velero.request(terms.BACKUPS, "cut-off", spec)
        velero.in_phase(terms.BACKUPS, "cut-off", "InProgress")
        velero.request(terms.BACKUPS, "waiting", spec)
        velero.in_phase(terms.BACKUPS, "waiting", "Queued")
    velero.kill()
    velero.start()
    try:
        status = velero.in_phase(terms.BACKUPS, "cut-off", *ENDED)["status"]
    finally:
        velero.in_phase(terms.BACKUPS, "waiting", "Completed")
    assert status["phase"] == "Failed"
    assert status["failureReason"] == (
        'found a backup with status "InProgress" during the server starting, mark it as "Failed"'
    )


# -- deletion, expiry, synchronisation -----------------------------------------------------------------------------


def test_a_deletion_that_fails_can_be_tried_again(velero: StandIn, scratch: str) -> None:
    velero.backup("stubborn", {"includedNamespaces": [scratch]})
    with velero.fault("deletebackuprequests.fail", "stubborn"):
        delete_backup(velero, "stubborn", "attempt-1")
        refused = velero.in_phase(terms.DELETE_REQUESTS, "attempt-1", "Processed")
        assert "injected by stand-in-faults" in refused["status"]["errors"][0]
        assert terms.phase(velero.get(terms.BACKUPS, "stubborn")) == "Deleting"
    delete_backup(velero, "stubborn", "attempt-2")
    for kind, name in (
        (terms.BACKUPS, "stubborn"),
        (terms.DELETE_REQUESTS, "attempt-1"),
        (terms.DELETE_REQUESTS, "attempt-2"),
    ):
        eventually(lambda kind=kind, name=name: not velero.exists(kind, name), f"no {kind} {name}")  # type: ignore[misc]


def test_deletions_that_are_refused(velero: StandIn, scratch: str) -> None:
    delete_backup(velero, "no-such", "of-nothing")
    refused = velero.in_phase(terms.DELETE_REQUESTS, "of-nothing", "Processed")
    assert refused["status"]["errors"] == ["backup not found"]
    velero.request(terms.DELETE_REQUESTS, "nameless", {"backupName": ""})
    refused = velero.in_phase(terms.DELETE_REQUESTS, "nameless", "Processed")
    assert refused["status"]["errors"] == ["spec.backupName is required"]
    velero.backup("kept", {"includedNamespaces": [scratch]})
    path = terms.LOCATIONS.path(velero.namespace, "default")
    velero.cluster.merge_patch(path, {"spec": {"accessMode": "ReadOnly"}})
    delete_backup(velero, "kept", "read-only")
    refused = velero.in_phase(terms.DELETE_REQUESTS, "read-only", "Processed")
    assert refused["status"]["errors"] == [
        "cannot delete backup because backup storage location default is currently in read-only mode"
    ]
    velero.cluster.merge_patch(path, {"spec": {"accessMode": "ReadWrite"}})


def test_backups_come_and_go_with_their_files(velero: StandIn, scratch: str) -> None:
    made = velero.backup("returning", {"includedNamespaces": [scratch]})
    velero.cluster.delete(terms.BACKUPS.path(velero.namespace, "returning"))

    def returned() -> Object | None:
        found = velero.cluster.get(terms.BACKUPS.path(velero.namespace, "returning"))
        return found if found and found["metadata"]["uid"] != made["metadata"]["uid"] else None

    again = eventually(returned, "the backup is back")
    assert again["status"] == made["status"]
    assert again["spec"] == made["spec"]
    for key in velero.keys(f"{PREFIX}/backups/returning/"):
        velero.store.delete_object(Bucket=velero.bucket, Key=key)
    eventually(lambda: not velero.exists(terms.BACKUPS, "returning"), "the backup goes with its files")


def test_a_second_cluster_sees_the_backups_of_the_first(
    velero: StandIn, lab: LabFixture, tmp_path: Path, scratch: str
) -> None:
    """Another server, in a namespace of its own, with a location in the same bucket."""
    hooks = {"resources": [{"name": "h", "pre": [{"exec": {"command": ["true"]}}]}]}
    spec = {"includedNamespaces": [scratch], "includedResources": ["configmaps"], "storageLocation": "default"}
    made = velero.backup("across", {**spec, "hooks": hooks})
    other = StandIn(lab, tmp_path)
    try:
        other.start()
        other.credentials("cloud-credentials", other.s3["secret_key"])
        storage = {"bucket": velero.bucket, "prefix": PREFIX}
        other.request(terms.LOCATIONS, "theirs", other.location(objectStorage=storage, accessMode="ReadOnly"))
        eventually(lambda: other.exists(terms.BACKUPS, "across"), "the backup appears")
        found = other.get(terms.BACKUPS, "across")
        assert found["spec"]["storageLocation"] == found["metadata"]["labels"][terms.STORAGE_LOCATION] == "theirs"
        assert "hooks" not in found["spec"]
        assert found["status"] == made["status"]
        target = f"{scratch}-across"
        other.request(terms.RESTORES, "here", {"backupName": "across", "namespaceMapping": {scratch: target}})
        other.in_phase(terms.RESTORES, "here", "Completed")
        copied = velero.cluster.items(velero.resource("configmaps").path(target), terms.RESTORE_NAME)
        assert {item["metadata"]["name"] for item in copied} >= {"c1", "c2"}
        velero.cluster.delete(velero.resource("namespaces").path(name=target))
        delete_backup(velero, "across", "away")
        eventually(lambda: not other.exists(terms.BACKUPS, "across"), "it goes there, too, when its files are gone")
    finally:
        other.remove()


def test_expired_backups_are_removed(velero: StandIn, scratch: str) -> None:
    spec = {"includedNamespaces": [scratch], "ttl": "48h"}
    velero.request(terms.LOCATIONS, "closed", velero.location("closed"))
    velero.in_phase(terms.LOCATIONS, "closed", "Available")
    velero.backup("brief", {**spec, "storageLocation": "default"})
    velero.backup("locked-in", {**spec, "storageLocation": "closed"})
    velero.cluster.merge_patch(terms.LOCATIONS.path(velero.namespace, "closed"), {"spec": {"accessMode": "ReadOnly"}})
    with velero.time_moved("47h"):
        assert velero.exists(terms.BACKUPS, "brief")
    with velero.time_moved("49h"):
        eventually(lambda: not velero.exists(terms.BACKUPS, "brief"), "the backup is gone")
        assert not velero.keys(f"{PREFIX}/backups/brief/")

        def failure() -> str:
            labels = velero.get(terms.BACKUPS, "locked-in")["metadata"]["labels"]
            return str(labels.get(terms.GC_FAILURE, ""))

        eventually(lambda: failure() == "BSLReadOnly", "it says why it does not go")
    velero.cluster.delete(terms.LOCATIONS.path(velero.namespace, "closed"))
    velero.cluster.delete(terms.BACKUPS.path(velero.namespace, "locked-in"))


# -- schedules -----------------------------------------------------------------------------------------------------


def test_a_schedule_makes_backups(velero: StandIn, scratch: str) -> None:
    template = {"includedNamespaces": [scratch], "ttl": "240h"}
    velero.request(
        terms.SCHEDULES,
        "nightly",
        {"schedule": "0 2 * * *", "template": template, "useOwnerReferencesInBackup": False},
        labels={"team": "guild"},
    )
    velero.in_phase(terms.SCHEDULES, "nightly", "Enabled")

    def made() -> list[Object]:
        found = velero.cluster.items(terms.BACKUPS.path(velero.namespace), f"{terms.SCHEDULE_NAME}=nightly")
        return [item for item in found if terms.phase(item) == "Completed"]

    assert made() == []
    for count, offset in enumerate(("25h", "73h"), 1):  # the second one passes over a run, which is not made up for
        with velero.time_moved(offset):
            eventually(lambda count=count: len(made()) == count, f"{count} backups of the schedule")  # type: ignore[misc]
    schedule = velero.get(terms.SCHEDULES, "nightly")
    assert schedule["spec"]["skipImmediately"] is False
    assert all(item["metadata"]["labels"]["team"] == "guild" for item in made())
    last = terms.moment(schedule["status"]["lastBackup"])
    assert last > terms.now() + datetime.timedelta(hours=72)
    names = [item["metadata"]["name"] for item in made()]
    assert max(names) == f"nightly-{last:%Y%m%d%H%M%S}"
    restored = velero.restore("from-schedule", {"scheduleName": "nightly", "includedResources": ["configmaps"]})
    assert restored["spec"]["backupName"] == max(names)
    velero.cluster.delete(terms.SCHEDULES.path(velero.namespace, "nightly"))


def test_schedules_that_do_not_run(velero: StandIn) -> None:
    velero.request(terms.SCHEDULES, "broken", {"schedule": "61 * * * *", "template": {}})
    status = velero.in_phase(terms.SCHEDULES, "broken", "FailedValidation")["status"]
    assert status["validationErrors"] == ["invalid schedule: end of range (61) above maximum (59): 61"]
    velero.cluster.merge_patch(
        terms.SCHEDULES.path(velero.namespace, "broken"), {"spec": {"schedule": "1 0 1 1 *", "skipImmediately": True}}
    )
    mended = velero.in_phase(terms.SCHEDULES, "broken", "Enabled")
    assert "validationErrors" not in mended["status"]
    eventually(lambda: "lastSkipped" in velero.get(terms.SCHEDULES, "broken")["status"], "skipImmediately is used once")
    assert velero.get(terms.SCHEDULES, "broken")["spec"]["skipImmediately"] is False
    velero.request(terms.SCHEDULES, "paused", {"schedule": "@every 1s", "template": {}, "paused": True})
    velero.request(terms.SCHEDULES, "marker", {"schedule": "@yearly", "template": {}})
    velero.in_phase(terms.SCHEDULES, "marker", "Enabled")
    assert "status" not in velero.get(terms.SCHEDULES, "paused")


# -- restores ------------------------------------------------------------------------------------------------------


def test_existing_objects(velero: StandIn, scratch: str) -> None:
    kind = velero.resource("configmaps")
    velero.backup("existing", {"includedNamespaces": [scratch], "includedResources": ["configmaps"]})

    def data(name: str) -> Object:
        found = velero.cluster.get(kind.path(scratch, name))
        assert found is not None
        values: Object = found["data"]
        return values

    same = velero.restore("same", {"backupName": "existing"})
    assert "warnings" not in same["status"]
    velero.cluster.merge_patch(kind.path(scratch, "c1"), {"data": {"k": "changed", "more": "x"}})
    kept = velero.restore("kept", {"backupName": "existing"})
    assert kept["status"]["warnings"] == 1
    assert data("c1") == {"k": "changed", "more": "x"}
    results = velero.read(f"{PREFIX}/restores/kept/restore-kept-results.gz")
    assert results["warnings"]["namespaces"][scratch] == [
        'could not restore, ConfigMap "c1" already exists. Warning: the in-cluster version is different than the '
        "backed-up version"
    ]
    velero.restore("updated", {"backupName": "existing", "existingResourcePolicy": "update"})
    assert data("c1") == {"k": "v"}
    labelled = velero.cluster.items(kind.path(scratch), f"{terms.RESTORE_NAME}=updated")
    assert {"c1", "c2"} <= {item["metadata"]["name"] for item in labelled}


def test_a_part_of_a_backup(velero: StandIn, scratch: str) -> None:
    velero.backup("whole", {"includedNamespaces": [scratch]})
    target = f"{scratch}-part"
    velero.restore(
        "part",
        {
            "backupName": "whole",
            "includedResources": ["configmaps"],
            "labelSelector": {"matchLabels": {"number": "2"}},
            "namespaceMapping": {scratch: target},
        },
    )
    found = velero.cluster.items(velero.resource("configmaps").path(target), terms.RESTORE_NAME)
    assert [item["metadata"]["name"] for item in found] == ["c2"]
    velero.cluster.delete(velero.resource("namespaces").path(name=target))


def test_restores_that_do_not_succeed(velero: StandIn, scratch: str) -> None:
    velero.backup("intact", {"includedNamespaces": [scratch], "includedResources": ["configmaps"]})
    refused = velero.restore("refused", {"backupName": "none"}, "FailedValidation")
    assert refused["status"]["validationErrors"][0].startswith("Error retrieving backup: can't find backup")
    with velero.fault("restores.fail", "doomed"):
        failed = velero.restore("doomed", {"backupName": "intact"}, "Failed")
        assert "injected by stand-in-faults" in failed["status"]["failureReason"]
    with velero.fault("restores.partially-fail", "half"):
        assert velero.restore("half", {"backupName": "intact"}, "PartiallyFailed")["status"]["errors"] == 1
    errors = velero.read(f"{PREFIX}/restores/half/restore-half-results.gz")["errors"]
    assert [len(texts) for texts in errors["namespaces"].values()] == [1]
    assert list(errors["namespaces"]) == [scratch]
    with velero.fault("restores.hold-InProgress", "slow"):
        velero.request(terms.RESTORES, "slow", {"backupName": "intact"})
        velero.in_phase(terms.RESTORES, "slow", "InProgress")
    velero.in_phase(terms.RESTORES, "slow", "Completed")
    velero.make("resourcequotas", "full", {"spec": {"hard": {"configmaps": "1"}}}, scratch)
    path = velero.resource("configmaps").path(scratch, "c1")
    velero.cluster.delete(path)
    eventually(
        lambda: (
            (velero.cluster.get(velero.resource("resourcequotas").path(scratch, "full")) or {})
            .get("status", {})
            .get("used")
        ),
        "the quota counts",
    )
    denied = velero.restore("denied", {"backupName": "intact"}, "PartiallyFailed")
    assert denied["status"]["errors"] == 1
    results = velero.read(f"{PREFIX}/restores/denied/restore-denied-results.gz")
    assert "exceeded quota: full" in results["errors"]["namespaces"][scratch][0]


def test_a_custom_resource_comes_back_with_its_definition(velero: StandIn, scratch: str) -> None:
    group = f"{velero.namespace}.example.com"
    definitions = velero.resource("customresourcedefinitions")
    name = f"widgets.{group}"
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    velero.make(
        "customresourcedefinitions",
        name,
        {
            "spec": {
                "group": group,
                "scope": "Namespaced",
                "names": {"kind": "Widget", "plural": "widgets", "singular": "widget"},
                "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
            }
        },
    )
    widgets = Resource(group, "v1", "widgets", "Widget", namespaced=True)
    body = {"apiVersion": f"{group}/v1", "kind": "Widget", "metadata": {"name": "w"}, "size": 3}

    def created() -> Object | None:
        with contextlib.suppress(ApiException):  # the definition is not served yet
            return velero.cluster.create(widgets.path(scratch), body)
        return None

    eventually(created, "a widget")
    velero.backup("widgets", {"includedNamespaces": [scratch]})
    assert f"resources/customresourcedefinitions.apiextensions.k8s.io/cluster/{name}.json" in velero.archived("widgets")
    velero.cluster.delete(definitions.path(name=name))
    eventually(lambda: velero.cluster.get(definitions.path(name=name)) is None, "no definition")
    velero.restore("widgets", {"backupName": "widgets", "includedResources": ["*"]})
    restored = velero.cluster.get(widgets.path(scratch, "w"))
    assert restored is not None
    assert restored["size"] == 3
    velero.cluster.delete(definitions.path(name=name))


# -- requests ------------------------------------------------------------------------------------------------------


def test_the_server_says_that_it_is_there(velero: StandIn) -> None:
    velero.request(terms.STATUS_REQUESTS, "ping", {})
    status = velero.in_phase(terms.STATUS_REQUESTS, "ping", "Processed")["status"]
    assert status["serverVersion"] == "v1.18.3"
    assert {"kind": "ObjectStore", "name": "velero.io/aws"} in status["plugins"]


def test_downloads(velero: StandIn, scratch: str) -> None:
    velero.backup("download", {"includedNamespaces": [scratch]})

    def ask(kind: str, name: str) -> str:
        request = f"{kind.lower()}-{secrets.token_hex(3)}"
        velero.request(terms.DOWNLOAD_REQUESTS, request, {"target": {"kind": kind, "name": name}})
        return request

    unknown = ask("BackupLog", "no-such")
    contents = ask("BackupContents", "download")
    url = velero.in_phase(terms.DOWNLOAD_REQUESTS, contents, "Processed")["status"]["downloadURL"]
    with urllib.request.urlopen(url) as response, tarfile.open(fileobj=response, mode="r|gz") as tar:
        assert f"resources/configmaps/namespaces/{scratch}/c1.json" in tar.getnames()
    log = velero.in_phase(terms.DOWNLOAD_REQUESTS, ask("BackupLog", "download"), "Processed")
    with urllib.request.urlopen(log["status"]["downloadURL"]) as response:
        assert b"Backing up item" in gzip.decompress(response.read())
    velero.restore("downloaded", {"backupName": "download"})
    asked = {kind: ask(kind, "download") for kind in BACKUP_FILES}
    asked |= {kind: ask(kind, "downloaded") for kind in RESTORE_FILES}
    for kind, request in asked.items():
        answer = velero.in_phase(terms.DOWNLOAD_REQUESTS, request, "Processed")["status"]
        with urllib.request.urlopen(answer["downloadURL"]) as response:
            assert gzip.decompress(response.read()), kind
    assert "status" not in velero.get(terms.DOWNLOAD_REQUESTS, unknown)

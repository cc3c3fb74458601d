# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The role ``backups`` on the real API server and the lab's stand-in for Velero.

The tests build on each other in the order of the file: there is nothing at first.
"""

from __future__ import annotations

import base64
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from kubernetes import client as kubernetes
from kubernetes import config
from kubernetes.client.exceptions import ApiException

from tests.ansible_runner import AnsibleRunner, PlaybookResult
from tests.conftest import LabFixture
from tests.sandbox.service import Settings
from tests.sandbox.services import s3
from tests.staging import ROOT

PREFIX = "role-backups-tests"
LOCATIONS = ("primary", "archive")
Apply = Callable[..., PlaybookResult]


class Velero:
    """What lies in Velero's namespace, through a client of the tests' own."""

    def __init__(self, services: Settings) -> None:
        self.kubernetes = services["kubernetes"]
        self.s3 = services["s3"]
        self.namespace: str = services["velero"]["namespace"]
        api = config.new_client_from_config(self.kubernetes["kubeconfig"], context=self.kubernetes["context"])
        self.core = kubernetes.CoreV1Api(api)
        self._custom = kubernetes.CustomObjectsApi(api)

    def _arguments(self, plural: str) -> dict[str, str]:
        return {"group": "velero.io", "version": "v1", "namespace": self.namespace, "plural": plural}

    def objects(self, plural: str) -> dict[str, Any]:
        """By name."""
        items = self._custom.list_namespaced_custom_object(**self._arguments(plural))["items"]
        return {item["metadata"]["name"]: item for item in items}

    def backups(self) -> dict[str, Any]:
        """Those of the role's one schedule."""
        return {name: item for name, item in self.objects("backups").items() if name.startswith("daily-")}

    def patch(self, plural: str, name: str, body: dict[str, Any]) -> None:
        self._custom.patch_namespaced_custom_object(
            **self._arguments(plural), name=name, body=body, _content_type="application/merge-patch+json"
        )

    def remove(self, plural: str, name: str) -> None:
        with contextlib.suppress(ApiException):
            self._custom.delete_namespaced_custom_object(**self._arguments(plural), name=name)

    def delete_with_files(self, name: str) -> None:
        """Ask the server to delete a backup, and wait."""
        body = {
            "apiVersion": "velero.io/v1",
            "kind": "DeleteBackupRequest",
            "metadata": {"generateName": f"{name}-"},
            "spec": {"backupName": name},
        }
        self._custom.create_namespaced_custom_object(**self._arguments("deletebackuprequests"), body=body)
        eventually(lambda: name not in self.objects("backups"), f"{name} is deleted")

    def clean(self) -> None:
        """Remove what the role makes. The files before the backups, which would come back otherwise."""
        for name in LOCATIONS:
            self.remove("backupstoragelocations", name)
            with contextlib.suppress(ApiException):
                self.core.delete_namespaced_secret(f"velero-location-{name}", self.namespace)
        self.remove("schedules", "daily")
        store, bucket = s3.client(self.s3), self.s3["buckets"]["backups"]
        for item in store.list_objects_v2(Bucket=bucket, Prefix=PREFIX).get("Contents", []):
            store.delete_object(Bucket=bucket, Key=item["Key"])
        for name in self.backups():
            self.remove("backups", name)


def eventually(examine: Callable[[], bool], what: str) -> None:
    """Return once ``examine`` is true."""
    deadline = time.monotonic() + 60
    while not examine():
        assert time.monotonic() < deadline, f"not within a minute: {what}"
        time.sleep(0.1)


def phase_of(item: Any) -> str:
    return str(item.get("status", {}).get("phase", ""))


@pytest.fixture(scope="module")
def velero(lab: LabFixture) -> Iterator[Velero]:
    velero = Velero(lab("kubernetes", "s3", "velero"))
    velero.clean()
    yield velero
    velero.clean()


@pytest.fixture
def apply(ansible: AnsibleRunner, velero: Velero) -> Apply:
    """``apply("--check", backups_sources=[…])`` runs the role with two locations."""
    store = {
        "bucket": velero.s3["buckets"]["backups"],
        "region": velero.s3["region"],
        "url": velero.s3["endpoint"],
        "access_key": velero.s3["access_key"],
        "secret_key": velero.s3["secret_key"],
    }
    locations = {
        "primary": {**store, "prefix": PREFIX, "default": True},
        "archive": {**store, "prefix": f"{PREFIX}-archive", "access_mode": "ReadOnly"},
    }

    def call(*arguments: str, **variables: Any) -> PlaybookResult:
        given = {
            "dcm_kubeconfig": velero.kubernetes["kubeconfig"],
            "dcm_kubernetes_context": velero.kubernetes["context"],
            "backups_locations": locations,
            "backups_location_timeout": 30,
            "backups_timeout": 60,
            **variables,
        }
        play = {"hosts": "localhost", "gather_facts": False, "vars": given, "roles": ["dcm.platform.backups"]}
        return ansible.playbook([play], "-i", "localhost,", "-c", "local", *arguments)

    return call


def test_check_mode_on_an_empty_cluster_predicts_and_touches_nothing(apply: Apply, velero: Velero) -> None:
    result = apply("--check", "--diff")
    assert result.returncode == 0, result.output
    assert result.total("changed") == 3
    for plural in ("backupstoragelocations", "schedules"):
        assert not velero.objects(plural).keys() & {*LOCATIONS, "daily"}
    assert velero.backups() == {}


def test_check_mode_without_velero_predicts_what_will_be_there(apply: Apply) -> None:
    result = apply("--check", backups_namespace="velero-to-come")
    assert result.returncode == 0, result.output
    for what in ("Secret velero-location-primary", "BackupStorageLocation archive", "Schedule daily"):
        assert f"{what} will be created" in result.output
    real = apply(backups_namespace="velero-to-come")
    assert real.returncode != 0
    assert 'refuses: namespaces "velero-to-come" not found' in real.output


@pytest.mark.row("BDR-01")
@pytest.mark.row("BDR-03")
@pytest.mark.row("BDR-18")
@pytest.mark.row("BDR-19")
def test_the_first_run_ends_with_a_complete_backup_and_the_second_changes_nothing(apply: Apply, velero: Velero) -> None:
    first = apply("--diff", "-vvv")
    assert first.returncode == 0, first.output
    assert first.total("changed") == 3
    assert velero.s3["secret_key"] not in first.output
    assert velero.s3["access_key"] not in first.output

    locations = velero.objects("backupstoragelocations")
    assert {name: locations[name]["status"]["phase"] for name in LOCATIONS} == dict.fromkeys(LOCATIONS, "Available")
    assert [locations[name]["spec"]["default"] for name in LOCATIONS] == [True, False]
    secret = velero.core.read_namespaced_secret("velero-location-primary", velero.namespace)
    assert velero.s3["secret_key"] in base64.b64decode(secret.data["cloud"]).decode()

    schedule = velero.objects("schedules")["daily"]
    assert schedule["spec"]["schedule"] == "0 2 * * *"
    assert schedule["spec"]["template"]["ttl"] == "168h0m0s"
    ((name, backup),) = velero.backups().items()
    assert backup["status"]["phase"] == "Completed"
    assert backup["metadata"]["labels"]["dcm.io/backup-prefix"] == "daily"
    stored = s3.client(velero.s3).list_objects_v2(
        Bucket=velero.s3["buckets"]["backups"], Prefix=f"{PREFIX}/backups/{name}/{name}.tar.gz"
    )
    assert stored["Contents"][0]["Size"] > 0

    for arguments in ((), ("--check",)):
        again = apply(*arguments)
        assert again.returncode == 0, again.output
        assert again.total("changed") == 0, again.output
    assert list(velero.backups()) == [name]


def test_a_backup_that_the_schedule_made_serves(apply: Apply, velero: Velero) -> None:
    for name in velero.backups():
        velero.delete_with_files(name)
    velero.patch("schedules", "daily", {"spec": {"schedule": "@every 2s"}})
    eventually(lambda: "Completed" in map(phase_of, velero.backups().values()), "the schedule makes a backup")
    velero.patch("schedules", "daily", {"spec": {"schedule": "0 2 * * *"}})
    eventually(lambda: {"Completed"} == set(map(phase_of, velero.backups().values())), "all of its backups end")
    made = velero.backups()
    assert {item["metadata"]["labels"]["velero.io/schedule-name"] for item in made.values()} == {"daily"}
    result = apply()
    assert result.total("failed") == result.total("changed") == 0, result.output
    assert velero.backups().keys() == made.keys()


def test_a_status_written_meanwhile_is_no_change_and_is_kept(apply: Apply, velero: Velero) -> None:
    """The server writes its status all the time, into the same object."""
    ended = threading.Event()

    def write() -> None:
        number = 0
        while not ended.wait(0.002):
            number += 1
            velero.patch("backupstoragelocations", "archive", {"status": {"lastSyncedRevision": str(number)}})

    writer = threading.Thread(target=write)
    writer.start()
    try:
        results = [apply(backups_schedules={}) for _unused in range(2)]
    finally:
        ended.set()
        writer.join()
    for result in results:
        assert result.total("failed") == result.total("changed") == 0, result.output
    status = velero.objects("backupstoragelocations")["archive"]["status"]
    assert status["phase"] == "Available"
    assert int(status["lastSyncedRevision"]) > 0


def test_what_was_changed_by_hand_is_repaired(apply: Apply, velero: Velero) -> None:
    velero.patch("backupstoragelocations", "archive", {"spec": {"accessMode": "ReadWrite"}})
    velero.patch("schedules", "daily", {"spec": {"schedule": "0 2 * * 0", "skipImmediately": False}})
    assert apply().total("changed") == 1
    assert velero.objects("backupstoragelocations")["archive"]["spec"]["accessMode"] == "ReadOnly"
    spec = velero.objects("schedules")["daily"]["spec"]
    assert (spec["schedule"], spec["skipImmediately"]) == ("0 2 * * *", False)


def test_a_location_that_is_not_available_is_named_with_the_reason(apply: Apply, velero: Velero) -> None:
    faults = {"metadata": {"name": "stand-in-faults"}, "data": {"backupstoragelocations.unavailable": "archive"}}
    velero.core.create_namespaced_config_map(velero.namespace, faults)
    try:
        velero.patch("backupstoragelocations", "archive", {"status": {"phase": "Unavailable"}})
        result = apply(backups_location_timeout=6)
    finally:
        velero.core.delete_namespaced_config_map("stand-in-faults", velero.namespace)
    assert result.returncode != 0
    assert "Not available within 6 s: the backup locations archive." in result.output
    assert 'BackupStorageLocation "archive" is unavailable' in result.output


@pytest.mark.row("BDR-22")
@pytest.mark.parametrize("kind", ["source", "inside"])
def test_a_location_that_a_disaster_would_take_with_the_data_is_refused(
    apply: Apply, velero: Velero, kind: str
) -> None:
    inside = {"primary": {"bucket": "b", "url": "http://seaweedfs-s3.platform-data.svc:8333"}}
    options = {"backups_sources": [f"{velero.s3['endpoint']}/"]} if kind == "source" else {"backups_locations": inside}
    result = apply("--check", **options)
    assert result.returncode != 0
    assert "The backup location primary is at " in result.output
    assert "inside the cluster or one of backups_sources" in result.output


@pytest.mark.row("BDR-03")
def test_the_default_schedule_runs_at_least_daily() -> None:
    defaults = yaml.safe_load((ROOT / "roles/backups/defaults/main.yml").read_text())
    assert defaults["backups_verify_max_age"] == "24h"
    for schedule in defaults["backups_schedules"].values():
        minute, hour, day, month, weekday = schedule["cron"].split()
        assert minute.isdigit()
        assert hour.isdigit()
        assert (day, month, weekday) == ("*", "*", "*")

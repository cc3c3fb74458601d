# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The role ``backups`` on the real API server and the lab's stand-in for Velero.

The tests build on each other in the order of the file: there is nothing at first.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from tests.ansible_runner import AnsibleRunner, PlaybookResult
from tests.conftest import LabFixture
from tests.integration.velero.velero_lab import Velero, eventually, phase_of
from tests.staging import ROOT

PREFIX = "role-backups-tests"
LOCATIONS = ("primary", "second")
SCHEDULES = ("daily", "daily-second")
KIND = "backupstoragelocations"
OBJECTIVES = yaml.safe_load((ROOT / "inventories/objectives.yml").read_text())["dcm_objectives"]
Apply = Callable[..., PlaybookResult]


def backups(velero: Velero) -> dict[str, Any]:
    """Those of the role's schedules."""
    return {name: item for name, item in velero.objects("backups").items() if name.startswith("daily-")}


def clean(velero: Velero) -> None:
    """Remove what the role makes. The files before the backups, which would come back otherwise."""
    for name in LOCATIONS:
        velero.delete(KIND, name)
        velero.remove_credentials(f"velero-location-{name}")
    for name in SCHEDULES:
        velero.delete("schedules", name)
    velero.empty_store()
    for name in backups(velero):
        velero.delete("backups", name)


@pytest.fixture(scope="module")
def velero(lab: LabFixture) -> Iterator[Velero]:
    velero = Velero(lab, PREFIX)
    clean(velero)
    yield velero
    clean(velero)


@pytest.fixture
def apply(ansible: AnsibleRunner, velero: Velero) -> Apply:
    """``apply("--check", backups_sources=[…])`` runs the role with two locations and a schedule into both."""
    store = {
        "bucket": velero.bucket,
        "region": velero.s3["region"],
        "url": velero.s3["endpoint"],
        "access_key": velero.s3["access_key"],
        "secret_key": velero.s3["secret_key"],
    }
    locations = {
        "primary": {**store, "prefix": PREFIX, "default": True},
        "second": {**store, "prefix": f"{PREFIX}-second", "region": "{{ backups_second_region }}"},
    }
    daily = {"cron": "0 2 * * *", "objective": "cluster", "tiers": ["public"], "copies": ["second"]}

    def call(*arguments: str, **variables: Any) -> PlaybookResult:
        given = {
            "dcm_kubeconfig": velero.kubernetes["kubeconfig"],
            "dcm_kubernetes_context": velero.kubernetes["context"],
            "dcm_objectives": OBJECTIVES,
            "backups_locations": locations,
            "backups_second_region": velero.s3["region"],
            "backups_schedules": {"daily": daily},
            "backups_tiers": {"public": ["default", "kube-public"]},
            "backups_location_timeout": 30,
            "backups_timeout": 60,
            **variables,
        }
        play = {"hosts": "localhost", "gather_facts": False, "vars": given, "roles": ["dcm.platform.backups"]}
        return ansible.playbook([play], "-i", "localhost,", "-c", "local", *arguments)

    return call


def test_check_mode_before_there_is_anything_predicts_all_and_touches_nothing(apply: Apply, velero: Velero) -> None:
    result = apply("--check", "--diff", backups_namespace="velero-to-come")
    assert result.returncode == 0, result.output
    assert result.total("changed") == 4
    for name in LOCATIONS:
        assert f"velero-to-come/velero-location-{name}" in result.output
    for plural in (KIND, "schedules"):
        assert not velero.objects(plural).keys() & {*LOCATIONS, *SCHEDULES}
    real = apply(backups_namespace="velero-to-come")
    assert real.returncode != 0
    assert 'refuses: namespaces "velero-to-come" not found' in real.output


@pytest.mark.row("BDR-01")
@pytest.mark.row("BDR-03")
@pytest.mark.row("BDR-18")
@pytest.mark.row("BDR-19")
@pytest.mark.row("BDR-36")
@pytest.mark.row("BDR-38")
@pytest.mark.row("C-33")
def test_the_first_run_ends_with_complete_backups_and_the_second_changes_nothing(apply: Apply, velero: Velero) -> None:
    first = apply("--diff", "-vvv")
    assert first.returncode == 0, first.output
    assert first.total("changed") == 4
    assert velero.s3["secret_key"] not in first.output
    assert velero.s3["access_key"] not in first.output

    locations = velero.objects(KIND)
    assert {name: locations[name]["status"]["phase"] for name in LOCATIONS} == dict.fromkeys(LOCATIONS, "Available")
    assert [bool(locations[name]["spec"].get("default")) for name in LOCATIONS] == [True, False]
    secret = velero.core.read_namespaced_secret("velero-location-primary", velero.namespace)
    assert velero.s3["secret_key"] in base64.b64decode(secret.data["cloud"]).decode()

    schedules = velero.objects("schedules")
    for name, place in zip(SCHEDULES, (None, "second"), strict=True):
        spec = schedules[name]["spec"]
        assert spec["schedule"] == "0 2 * * *"
        template = {"includedNamespaces": ["default", "kube-public"], "ttl": "168h0m0s"}
        assert spec["template"] == {**template, **({"storageLocation": place} if place else {})}
    made = backups(velero)
    assert [item["status"]["phase"] for item in made.values()] == ["Completed", "Completed"]
    assert {item["spec"]["storageLocation"] for item in made.values()} == set(LOCATIONS)
    assert {item["metadata"]["labels"]["velero.io/schedule-name"] for item in made.values()} == set(SCHEDULES)
    stored = velero.store.list_objects_v2(Bucket=velero.bucket, Prefix=f"{PREFIX}-second/backups/daily-second-")
    assert any(item["Key"].endswith(".tar.gz") and item["Size"] > 0 for item in stored["Contents"])

    again = apply()
    assert again.returncode == 0, again.output
    assert again.total("changed") == 0, again.output
    assert backups(velero).keys() == made.keys()


def test_what_was_changed_by_hand_is_repaired_and_a_status_is_kept(apply: Apply, velero: Velero) -> None:
    """The server writes its status all the time, into the same object. A backup that the schedule made serves."""
    # The files before the backups, which would come back otherwise.
    before = backups(velero).keys()
    for item in velero.store.list_objects_v2(Bucket=velero.bucket, Prefix=f"{PREFIX}/backups")["Contents"]:
        velero.store.delete_object(Bucket=velero.bucket, Key=item["Key"])
    for name in before:
        if not name.startswith("daily-second"):
            velero.delete("backups", name)
    velero.patch("schedules", "daily", {"spec": {"schedule": "@every 1s"}})

    def of_the_schedule() -> list[str]:
        return [phase_of(item) for name, item in backups(velero).items() if name not in before]

    eventually(lambda: "Completed" in of_the_schedule(), "the schedule makes a backup")
    velero.patch("schedules", "daily", {"spec": {"schedule": "0 2 * * 0", "skipImmediately": True}})
    eventually(lambda: not velero.get("daily", "schedules")["spec"]["skipImmediately"], "the server has seen this")
    eventually(lambda: set(of_the_schedule()) == {"Completed"}, "all of its backups end")
    eventually(
        lambda: not [name for name in backups(velero).keys() & before if "second" not in name], "the old ones go"
    )
    made = backups(velero)
    velero.patch(KIND, "second", {"spec": {"accessMode": "ReadOnly", "config": {"profile": "other"}}})
    ended = threading.Event()

    def write() -> None:
        number = 0
        while not ended.wait(0.002):
            number += 1
            velero.patch(KIND, "second", {"status": {"lastSyncedRevision": str(number)}})

    writer = threading.Thread(target=write)
    writer.start()
    try:
        result = apply()
    finally:
        ended.set()
        writer.join()
    assert result.total("failed") == 0, result.output
    assert result.total("changed") == 2, result.output
    second = velero.get("second", KIND)
    assert second["spec"]["accessMode"] == "ReadWrite"
    assert "profile" not in second["spec"]["config"]
    assert second["status"]["phase"] == "Available"
    assert int(second["status"]["lastSyncedRevision"]) > 0
    spec = velero.get("daily", "schedules")["spec"]
    assert (spec["schedule"], spec["skipImmediately"]) == ("0 2 * * *", False)
    assert backups(velero).keys() == made.keys()


def test_a_location_that_is_not_available_is_named_with_the_reason(apply: Apply, velero: Velero) -> None:
    with velero.faults(backupstoragelocations_unavailable="second"):
        velero.patch(KIND, "second", {"status": {"phase": "Unavailable"}})
        result = apply(backups_location_timeout=3)
    assert result.returncode != 0
    assert f"waiting for BackupStorageLocation {velero.namespace}/second: " in result.output
    assert 'BackupStorageLocation "second" is unavailable' in result.output or "Gave up after" in result.output


@pytest.mark.row("BDR-22")
def test_a_location_that_a_disaster_would_take_with_the_data_is_refused(apply: Apply, velero: Velero) -> None:
    result = apply("--check", backups_sources=[f"{velero.s3['endpoint']}/"])
    assert result.returncode != 0
    assert f"The backup location primary is the bucket {velero.bucket} at " in result.output


@pytest.mark.row("C-33")
def test_what_does_not_fit_together_is_refused_with_all_reasons(apply: Apply) -> None:
    schedule = {"cron": "@daily", "tiers": ["lost"], "copies": ["third"], "objective": "region"}
    result = apply(backups_second_region="", backups_schedules={"one": schedule})
    assert result.returncode != 0
    for words in (
        "The backup location second names no region.",
        "the tier lost is not described in backups_tiers",
        "the location third of copies is not described in backups_locations",
        "dcm_objectives has no rpo for the objective region",
    ):
        assert words in result.output.replace("\n", " ")
    seldom = apply("--check", backups_schedules={"one": {"cron": "0 2 * * 1-5", "objective": "cluster"}})
    assert "Schedule one: up to 3 days, 0:00:00 pass between two runs of '0 2 * * 1-5'" in seldom.output


@pytest.mark.row("BDR-02")
@pytest.mark.row("BDR-03")
@pytest.mark.row("BDR-36")
@pytest.mark.parametrize("environment", ["lab", "staging", "production_doks", "production_talos"])
def test_every_environment_backs_up_cluster_state_daily_and_keeps_it_for_a_week(environment: str) -> None:
    folder = ROOT / "inventories" / environment / "group_vars/all"
    files = [yaml.safe_load((folder / f"{name}.yml").read_text()) for name in ("objectives", "backups")]
    data = {**files[0], **files[1]}
    defaults = yaml.safe_load((ROOT / "roles/backups/defaults/main.yml").read_text())
    assert data["dcm_objectives"]["cluster"]["rpo"] == 24 * 3600
    assert (defaults["backups_verify_max_age"], defaults["backups_retention_days"]) == ("24h", 7)
    assert "backups_retention_days" not in data
    whole = [entry for entry in data["backups_schedules"].values() if "tiers" not in entry]
    for schedule in (*whole, *defaults["backups_schedules"].values()):
        minute, hour, *days = schedule["cron"].split()
        assert minute.isdigit()
        assert hour.isdigit()
        assert days == ["*", "*", "*"]
    if environment.startswith("production"):
        assert whole[0]["copies"] == ["second"]
        assert data["backups_locations"]["second"]["region"] == "{{ backups_second_region }}"

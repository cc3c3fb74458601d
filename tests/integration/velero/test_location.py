# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``velero_location`` on the real API server and the lab's stand-in for Velero, which looks at the lab's S3."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.ansible_runner import ModuleResult
from tests.conftest import LabFixture
from tests.integration.velero.velero_lab import Velero

PREFIX = "test-location"
LOCATIONS = "backupstoragelocations"
Location = Callable[..., ModuleResult]


def clean(velero: Velero) -> None:
    for plural in (LOCATIONS, "volumesnapshotlocations"):
        for name in velero.objects(plural):
            if name.startswith(PREFIX):
                velero.delete(plural, name)
    velero.remove_credentials(PREFIX)


@pytest.fixture(scope="module")
def velero(lab: LabFixture) -> Iterator[Velero]:
    velero = Velero(lab, PREFIX)
    clean(velero)
    velero.make_credentials(PREFIX)
    yield velero
    clean(velero)


@pytest.fixture
def apply(run_module: Callable[..., ModuleResult], velero: Velero) -> Location:
    """``apply({"name": …}, …, check=…)`` runs the module."""

    def call(*locations: Any, check: bool = False, diff: bool = False, **options: Any) -> ModuleResult:
        arguments = {**velero.connection, "locations": list(locations), "wait_timeout": 30, **options}
        return run_module("velero_location", arguments, check=check, diff=diff)

    return call


def wanted(velero: Velero, name: str, **more: Any) -> dict[str, Any]:
    return {
        "name": f"{PREFIX}-{name}",
        "provider": "aws",
        "bucket": velero.bucket,
        "prefix": f"{PREFIX}-{name}",
        "config": {**velero.store_config(), "s3ForcePathStyle": True},
        "credential": {"name": PREFIX, "key": "cloud"},
        **more,
    }


def test_from_nothing_to_a_location_and_back(velero: Velero, apply: Location) -> None:
    one = wanted(velero, "one")
    name = one["name"]
    predicted = apply(one, check=True, diff=True)
    assert predicted["changed"], predicted
    assert predicted["diff"][0]["after"]["spec"]["config"]["s3ForcePathStyle"] == "true"
    assert velero.get(name, LOCATIONS) is None

    made = apply(one)
    assert made["changed"], made
    stored = velero.get(name, LOCATIONS)
    assert made["locations"] == [
        {
            "name": name,
            "state": "present",
            "changed": True,
            "phase": "Available",
            "message": None,
            "last_validation": made["locations"][0]["last_validation"],
            "default": False,
        }
    ]
    assert stored["spec"]["objectStorage"] == {"bucket": velero.bucket, "prefix": one["prefix"]}
    again = apply(one)
    assert not again["changed"], again

    velero.patch(LOCATIONS, name, {"spec": {"config": {"insecureSkipTLSVerify": "true"}, "accessMode": "ReadOnly"}})
    assert apply({**one, "access_mode": "ReadWrite"})["changed"]
    spec = velero.get(name, LOCATIONS)["spec"]
    assert spec["accessMode"] == "ReadWrite"
    assert "insecureSkipTLSVerify" not in spec["config"]
    assert not apply({"name": name, "bucket": velero.bucket})["changed"], "only what is given is compared"

    gone = {"name": name, "state": "absent"}
    assert apply(gone, check=True)["changed"]
    assert velero.get(name, LOCATIONS)
    assert apply(gone)["changed"]
    assert velero.get(name, LOCATIONS) is None
    assert not apply(gone)["changed"]


def test_a_change_is_proven_by_a_look_after_it(velero: Velero, apply: Location) -> None:
    """The location is available when its bucket is taken away; what the server said before does not count."""
    two = wanted(velero, "two")
    assert apply(two)["changed"]
    result = apply({**two, "bucket": "no-such-bucket"}, wait_timeout=3)
    assert result["failed"]
    assert f"Gave up after 3 s waiting for BackupStorageLocation {velero.namespace}/{two['name']}: " in result["msg"]
    assert "NoSuchBucket" in result["msg"]
    assert result["applied"][0]["name"] == two["name"]
    still = apply({**two, "bucket": "no-such-bucket"}, wait_timeout=1)
    assert still["failed"], "an unchanged location that is not available is no success"
    mended = apply(two)
    assert mended["locations"][0]["phase"] == "Available", mended
    before = velero.get(two["name"], LOCATIONS)["status"]["lastValidationTime"]
    looked = apply(two, revalidate=True)
    assert not looked["changed"]
    assert looked["locations"][0]["last_validation"] > before
    with velero.faults(backupstoragelocations_never_answered=f"{PREFIX}-silent"):
        silent = apply(wanted(velero, "silent"), wait_timeout=1)
        assert "Velero has not looked at it since; does a server run in this namespace?" in silent["msg"]
        assert not apply(wanted(velero, "silent", validation_frequency="0s"), wait_timeout=1)["failed"]


def test_the_default_moves_to_an_older_location(velero: Velero, apply: Location) -> None:
    others = {name for name, item in velero.objects(LOCATIONS).items() if item["spec"].get("default")}
    old, new = wanted(velero, "old"), wanted(velero, "new", default=True)
    assert apply(old, new)["changed"]
    assert velero.get(new["name"], LOCATIONS)["spec"]["default"]
    moved = apply({**old, "default": True}, diff=True)
    assert [entry["before_header"] for entry in moved["diff"]] == [
        f"BackupStorageLocation {new['name']}",
        f"BackupStorageLocation {old['name']}",
    ]
    assert moved["locations"][0]["default"], moved
    defaults = {name for name, item in velero.objects(LOCATIONS).items() if item["spec"].get("default")}
    assert defaults == {old["name"]}
    assert not apply({**old, "default": True})["changed"]
    apply({**old, "default": False}, *({"name": name, "default": True} for name in others))


@pytest.mark.row("BDR-22")
def test_a_bucket_that_is_the_source_is_refused(velero: Velero, apply: Location) -> None:
    source = f"{velero.s3['endpoint']}/{velero.bucket}"
    result = apply(wanted(velero, "source"), sources=[source])
    assert result["failed"]
    assert f"The backup location {PREFIX}-source is the bucket {velero.bucket} at " in result["msg"]
    assert velero.get(f"{PREFIX}-source", LOCATIONS) is None
    inside = wanted(velero, "inside", config={"s3Url": "http://seaweedfs-s3.platform-data.svc:8333"})
    result = apply(inside, require_external=True, check=True)
    assert "inside the cluster that it backs up" in result["msg"]


def test_snapshot_locations(velero: Velero, apply: Location) -> None:
    name = f"{PREFIX}-volumes"
    snapshots = {"name": name, "provider": "digitalocean.com/velero", "config": {"region": "nyc3"}}
    assert apply(snapshot_locations=[snapshots])["changed"]
    assert velero.get(name, "volumesnapshotlocations")["spec"]["config"] == {"region": "nyc3"}
    again = apply(snapshot_locations=[snapshots])
    assert again["snapshot_locations"] == [{"name": name, "state": "present", "changed": False}]
    changed = apply(snapshot_locations=[{**snapshots, "config": {"region": "sfo3"}}])
    assert changed["snapshot_locations"] == [{"name": name, "state": "present", "changed": True}]
    assert apply(snapshot_locations=[{"name": name, "state": "absent"}])["changed"]
    assert velero.get(name, "volumesnapshotlocations") is None


def test_what_cannot_be_asked_for(velero: Velero, apply: Location) -> None:
    for item, words in (
        ({"name": "A"}, "'A' cannot be the name of a BackupStorageLocation"),
        ({"name": "a"}, "to make it, these are needed: provider, objectStorage.bucket."),
        ({"name": "a", "ca_cert": "x", "ca_cert_ref": {"name": "a", "key": "b"}}, "mutually exclusive"),
    ):
        result = apply(item)
        assert result["failed"]
        assert words in result["msg"]
        assert "Traceback" not in result.output
    assert velero.get("a", LOCATIONS) is None

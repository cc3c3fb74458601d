# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``velero_restore`` and ``velero_backup_info`` on the real API server and the lab's stand-in for Velero."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.ansible_runner import ModuleResult
from tests.conftest import LabFixture
from tests.integration.velero.velero_lab import ENDS_WITHIN, Velero, eventually, phase_of
from tests.integration.velero.velero_objects import CONTENTS, VeleroObjects, differing
from tests.sandbox.cluster import Cluster
from tests.sandbox.service import free_port

LOCATION = "velero-restore-tests"
SOURCE = "restore-source"
VERIFICATION = "dcm.io/verification"
GUILDS = ("guild-a", "guild-b", "guild-c")
SCHEDULE_LABEL = "velero.io/schedule-name"
Run = Callable[..., ModuleResult]


@pytest.fixture(scope="module")
def velero(lab: LabFixture) -> Iterator[Velero]:
    """A storage location, and a namespace with three ConfigMaps in a backup called ``test-source``."""
    velero = Velero(lab, LOCATION)
    clean(velero)
    velero.make_location()
    velero.core.create_namespace({"metadata": {"name": SOURCE}})
    for number in range(3):
        content = {"metadata": {"name": f"entry-{number}"}, "data": {"number": str(number)}}
        velero.core.create_namespaced_config_map(SOURCE, content)
    made(velero, "test-source")
    yield velero
    clean(velero)


def clean(velero: Velero) -> None:
    """Remove what the tests make."""
    velero.remove_location()
    velero.remove_namespaces(SOURCE)


def made(velero: Velero, name: str, schedule: str = "", **spec: Any) -> None:
    """A backup that somebody else made, maybe by a schedule."""
    velero.create("backups", name, {"includedNamespaces": [SOURCE], "storageLocation": LOCATION, **spec})
    eventually(lambda: velero.get(name).get("status", {}).get("completionTimestamp"), f"{name} has ended")
    if schedule:
        velero.patch("backups", name, {"metadata": {"labels": {SCHEDULE_LABEL: schedule}}})


def data(velero: Velero, name: str, namespace: str = SOURCE) -> Any:
    return velero.core.read_namespaced_config_map(name, namespace).data


@pytest.fixture
def restore(run_module: Run, velero: Velero) -> Run:
    """``restore(name=…, check=…)`` runs the module, by default for the backup of the tests."""

    def call(
        *, check: bool = False, diff: bool = False, verbosity: int = 0, environment: Any = None, **options: Any
    ) -> ModuleResult:
        arguments = {**velero.connection, "wait_timeout": ENDS_WITHIN, **options}
        if not {"backup", "schedule"} & options.keys() and options.get("state") != "absent":
            arguments["backup"] = "test-source"
        given = {key: value for key, value in arguments.items() if value is not None}
        return run_module("velero_restore", given, check=check, diff=diff, verbosity=verbosity, environment=environment)

    return call


@pytest.fixture
def info(run_module: Run, velero: Velero) -> Run:
    """``info(results=True)`` runs the other module."""

    def call(**options: Any) -> ModuleResult:
        return run_module("velero_backup_info", {**velero.connection, **options})

    return call


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return f"test-{secrets.token_hex(4)}"


@pytest.fixture(scope="module")
def objects(velero: Velero, tmp_path_factory: pytest.TempPathFactory) -> VeleroObjects:
    kubeconfig = Path(velero.kubernetes["kubeconfig"])
    return VeleroObjects(Cluster(kubeconfig, tmp_path_factory.mktemp("cluster"), "test"))


@pytest.mark.row("BDR-01")
@pytest.mark.row("BDR-37")
def test_three_hundred_objects_of_twelve_kinds_there_and_back(
    velero: Velero, restore: Run, run_module: Run, info: Run, objects: VeleroObjects
) -> None:
    copies = {guild: f"copy-{guild}" for guild in GUILDS}
    for guild in GUILDS:
        objects.make_namespace(guild)
        objects.fill(guild)
    before = {guild: objects.contents(guild) for guild in GUILDS}
    assert len(CONTENTS) == 12
    assert sum(map(len, before.values())) > 300
    backup = {"name": "test-trip", "included_namespaces": list(GUILDS), "storage_location": LOCATION}
    assert run_module("velero_backup", {**velero.connection, **backup})["backup"]["phase"] == "Completed"

    (found,) = info(names=["test-trip"], sizes=True)["backups"]
    assert found["size"] == velero.files("test-trip")["test-trip.tar.gz"]
    proof = restore(state="verified", backup="test-trip", verify_contents=True)
    assert proof["changed"], proof
    assert proof["verification"]["objects"] > 300
    assert {"kind": "v1/Secret", "backed_up": 75, "restored": 75} in proof["verification"]["kinds"]
    assert all(kind["backed_up"] == kind["restored"] for kind in proof["verification"]["kinds"])
    assert proof["verification"]["held_back"] == []
    assert not velero.namespaces(VERIFICATION)
    assert not velero.items("restores")

    velero.remove_namespaces(*GUILDS)
    predicted = restore(name="test-back", backup="test-trip", check=True, diff=True)
    assert predicted["changed"], predicted
    assert predicted["diff"][0]["after"]["spec"] == {"backupName": "test-trip"}
    assert velero.get("test-back", "restores") is None
    back = restore(name="test-back", backup="test-trip", verbosity=3)
    assert back["changed"], back
    assert back["restore"]["phase"] == phase_of(velero.get("test-back", "restores")) == "Completed"
    assert back["restore"]["items"]["restored"] == back["restore"]["items"]["total"] > 300
    assert velero.s3["secret_key"] not in back.output
    for guild in GUILDS:
        assert differing(objects.contents(guild), before[guild]) == []
    again = restore(name="test-back", backup="test-trip")
    assert not again["changed"]
    assert again["restore"] == back["restore"]

    assert restore(name="test-copied", backup="test-trip", namespace_mapping=copies)["changed"]
    assert {guild: objects.contents(copy, called=guild) for guild, copy in copies.items()} == before

    assert restore(name="test-copied", state="absent", check=True)["changed"]
    assert velero.get("test-copied", "restores")
    assert restore(name="test-copied", state="absent")["changed"]
    assert velero.get("test-copied", "restores") is None
    assert not restore(name="test-copied", state="absent")["changed"]
    assert velero.namespaces() >= set(copies.values()), "what a restore brought stays"
    for namespace in (*GUILDS, *copies.values()):
        velero.core.delete_namespace(namespace)


def test_what_exists_already_is_left_alone_or_changed_as_told(velero: Velero, restore: Run, name: str) -> None:
    velero.core.patch_namespaced_config_map("entry-1", SOURCE, {"data": {"number": "changed"}})
    kept = restore(name=name)
    assert not kept["failed"], kept
    warning = f'{SOURCE}: could not restore, ConfigMap "entry-1" already exists. Warning: the in-cluster version'
    assert any(warning in text for text in kept["warnings"])
    assert any("entry-1" in text for text in kept["results"]["warnings"]["namespaces"][SOURCE])
    assert data(velero, "entry-1") == {"number": "changed"}
    refused = restore(name=name, existing_resource_policy="update")
    assert "these keys of its spec differ: existingResourcePolicy." in refused["msg"]
    assert restore(name=f"{name}-2", existing_resource_policy="update")["changed"]
    assert data(velero, "entry-1") == {"number": "1"}
    assert restore(name=f"{name}-2", existing_resource_policy="update", labels={"team": "data"})["changed"]
    stored = velero.get(f"{name}-2", "restores")
    assert stored["metadata"]["labels"] == {"team": "data"}
    assert phase_of(stored) == "Completed"


@pytest.mark.parametrize(
    ("fault", "phase", "words"),
    [
        ("restores_fail", "Failed", "ended as Failed: error downloading backup"),
        ("restores_partially_fail", "PartiallyFailed", "ended as PartiallyFailed: 1 errors and "),
    ],
)
def test_an_unusable_restore_is_never_fine(
    velero: Velero, restore: Run, name: str, fault: str, phase: str, words: str
) -> None:
    with velero.faults(**{fault: name}):
        result = restore(name=name)
    assert result["failed"]
    assert result["changed"]
    assert f"Restore {velero.namespace}/{name} {words}" in result["msg"]
    if phase == "PartiallyFailed":
        assert f"{SOURCE}: error restoring item resources/configmaps/namespaces/{SOURCE}/entry-2.json" in result["msg"]
    assert phase_of(velero.get(name, "restores")) == phase
    again = restore(name=name, check=True)
    assert again["failed"]
    assert f"{name} {words}" in again["msg"]
    accepted = restore(name=name, fail_on=["FailedValidation"])
    assert not accepted["failed"]
    assert not accepted["changed"]
    assert any(f"{name} {words}" in warning for warning in accepted["warnings"])


def test_a_restore_that_velero_refuses(velero: Velero, restore: Run, name: str) -> None:
    result = restore(name=name, included_resources=["nodes"])
    assert f"{name} ended as FailedValidation, nothing was restored: nodes are non-restorable" in result["msg"]
    assert phase_of(velero.get(name, "restores")) == "FailedValidation"


def test_a_server_that_never_answers_or_is_slow(velero: Velero, restore: Run, name: str) -> None:
    with velero.faults(restores_never_answered=name, restores_hold_InProgress=f"{name}-slow"):
        result = restore(name=name, wait_timeout=2)
        assert f"Gave up after 2 s waiting for Restore {velero.namespace}/{name}: no Velero server" in result["msg"]
        assert restore(name=name, wait=False)["restore"]["phase"] == "New"
        slow = restore(name=f"{name}-slow", wait_timeout=2)
        assert "its phase is InProgress" in slow["msg"]
        assert [change["name"] for change in slow["applied"]] == [f"{name}-slow"]
    velero.patch("restores", name, {"status": {"phase": "New"}})  # nothing but a change wakes the stand-in
    assert not restore(name=name)["failed"]


def test_what_vanishes_while_one_waits(velero: Velero, restore: Run, name: str) -> None:
    with velero.faults(restores_hold_InProgress=name), ThreadPoolExecutor(1) as pool:
        running = pool.submit(restore, name=name)
        eventually(lambda: phase_of(velero.get(name, "restores")) == "InProgress", "the restore runs")
        velero.delete("restores", name)
        result = running.result()
    assert result["failed"]
    assert "deleted by somebody else before it ended" in result["msg"]


def test_a_location_that_goes_away(velero: Velero, restore: Run, name: str) -> None:
    with ThreadPoolExecutor(1) as pool, velero.faults(restores_hold_InProgress=name):
        running = pool.submit(restore, name=name)
        eventually(lambda: phase_of(velero.get(name, "restores")) == "InProgress", "the restore runs")
        velero.switch_faults(restores_hold_InProgress=name, backupstoragelocations_unavailable=LOCATION)
        eventually(lambda: velero.location_phase() == "Unavailable", "the location is away")
        velero.switch_faults(backupstoragelocations_unavailable=LOCATION)
        assert f"Restore {velero.namespace}/{name} ended as Failed: rpc error" in running.result()["msg"]
        for state in ("present", "verified"):
            refused = restore(name=f"{name}-2", state=state)
            assert f"The storage location {LOCATION} of backup test-source is not available: " in refused["msg"]
    assert velero.get(f"{name}-2", "restores") is None
    eventually(lambda: velero.location_phase() == "Available", "the location is back")


def test_a_backup_that_is_not_usable(velero: Velero, restore: Run, name: str) -> None:
    result = restore(name=name, backup="nowhere")
    assert f"There is no Backup {velero.namespace}/nowhere." in result["msg"]
    with velero.faults(backups_partially_fail="test-half"):
        made(velero, "test-half")
    for state in ("present", "verified"):
        result = restore(name=name, backup="test-half", state=state)
        assert f"Backup {velero.namespace}/test-half ended as PartiallyFailed: 1 errors and" in result["msg"]
        assert "Set allow_partially_failed" in result["msg"]
    assert not velero.get(name, "restores")
    assert restore(name=name, backup="test-half", allow_partially_failed=True)["restore"]["phase"] == "Completed"


@pytest.mark.row("BDR-37")
def test_a_restore_that_lies_is_found_out(velero: Velero, restore: Run) -> None:
    for what in ("lost", "altered", "broken"):
        made(velero, f"test-{what}")
    proofs: dict[str, dict[str, Any]] = {
        "lost": {"backup": "test-lost"},
        "altered": {"backup": "test-altered", "verify_contents": True},
        "unseen": {"backup": "test-altered"},
        "broken": {"backup": "test-broken"},
        "nothing": {"backup": "test-broken", "included_namespaces": ["elsewhere"]},
    }
    with velero.faults(
        restores_lose="verify-test-lost-*", restores_alter="verify-test-altered-*",
        restores_partially_fail="verify-test-broken-*",
    ), ThreadPoolExecutor(len(proofs)) as pool:  # fmt: skip
        runs = {name: pool.submit(restore, state="verified", **options) for name, options in proofs.items()}
        results = {name: run.result() for name, run in runs.items()}
    assert {name: result["failed"] for name, result in results.items()} == {
        "lost": True, "altered": True, "unseen": False, "broken": True, "nothing": True,
    }  # fmt: skip
    lost, altered = (results[name]["msg"] for name in ("lost", "altered"))
    assert (
        f"test-lost is not what a restore of it gives. 1 of 5 objects are missing: ConfigMap {SOURCE}/entry-2" in lost
    )
    assert f"1 of 5 objects have another content: ConfigMap {SOURCE}/entry-2." in altered
    assert "ended as PartiallyFailed" in results["broken"]["msg"]
    assert "error restoring item" in results["broken"]["msg"]
    assert "holds nothing that can be verified" in results["nothing"]["msg"]
    assert not velero.namespaces(VERIFICATION)
    assert not [item for item in velero.items("restores") if item["metadata"]["name"].startswith("verify-")]


def test_nothing_starts_in_a_scratch_namespace(velero: Velero, restore: Run) -> None:
    service = {"spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}, "metadata": {"name": "public"}}
    velero.core.create_namespaced_service(SOURCE, service)
    container = {"name": "c", "image": "i"}
    pod = {"metadata": {"name": "bot"}, "spec": {"containers": [container], "nodeName": "no-such-node"}}
    velero.core.create_namespaced_pod(SOURCE, pod)
    made(velero, "test-acting")
    try:
        assert restore(state="verified", backup="test-acting", check=True)["changed"]
        proof = restore(state="verified", backup="test-acting", verify_excluded_resources=["secrets"])["verification"]
    finally:
        velero.core.delete_namespaced_service("public", SOURCE)
        velero.core.delete_namespaced_pod("bot", SOURCE, grace_period_seconds=0)
    assert proof["held_back"] == [f"Pod {SOURCE}/bot", f"Service {SOURCE}/public"]


@pytest.mark.row("BDR-36")
def test_recovery_points_and_a_restore_from_a_schedule(velero: Velero, restore: Run, info: Run, name: str) -> None:
    schedule = f"{name}-{'x' * 60}"
    velero.create("schedules", schedule, {"schedule": "0 0 1 1 *", "template": {}, "paused": True})
    try:
        missing = restore(name=name, schedule=schedule)
        assert f"Schedule {velero.namespace}/{schedule} has no complete backup that is kept." in missing["msg"]
        violated = info(schedules=[schedule], objectives={schedule: 60}, fail_on_violation=True)
        assert f"schedule {schedule} is paused and has no complete backup that is kept, 1 min is" in violated["msg"]
        label = velero_label(schedule)
        with velero.faults(backups_partially_fail=f"{name}-new"):
            made(velero, f"{name}-old", label)
            second = int(time.time())
            eventually(lambda: int(time.time()) > second, "another second, as timestamps tell no less")
            made(velero, f"{name}-new", label)
        (state,) = info(schedules=[schedule], objectives={schedule: "1h"}, fail_on_violation=True)["schedules"]
        assert (state["newest"], state["objective"], state["violated"]) == (f"{name}-old", 3600, False)
        assert 0 <= state["age"] < 3600
        report = info(schedules=[schedule], objectives={schedule: "1ms"}, results=True)
        assert report["violations"] == [
            f"schedule {schedule} is paused and has its newest complete backup from "
            f"{report['schedules'][0]['age']} s ago, 0 s is allowed"
        ]
        assert [item["name"] for item in report["backups"]] == [f"{name}-new", f"{name}-old"]
        errors = report["backups"][0]["results"]["errors"]
        assert "error backing up item" in errors["namespaces"][SOURCE][0]
        assert restore(name=name, schedule=schedule)["restore"]["backup"] == f"{name}-old"
        assert not restore(name=name, schedule=schedule)["changed"]
        half = restore(name=f"{name}-2", schedule=schedule, allow_partially_failed=True, check=True)
        assert half["restore"]["backup"] == f"{name}-new"
    finally:
        velero.delete("schedules", schedule)


def velero_label(name: str) -> str:
    """As velero-api.md says."""
    return name[:57] + hashlib.sha256(name.encode()).hexdigest()[:6]


def test_an_unreachable_server_is_named(restore: Run, name: str) -> None:
    address = f"https://127.0.0.1:{free_port()}"
    there = {"kubeconfig": None, "context": None, "host": address, "api_key": "canary-token"}
    result = restore(name=name, **there)
    assert result["failed"]
    assert result["msg"].startswith(f"Kubernetes API at {address} is not reachable: Connection refused.")
    assert "Traceback" not in result.output
    assert "canary-token" not in result.output


def test_a_store_that_cannot_be_reached_from_here(velero: Velero, info: Run) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    velero.patch("backupstoragelocations", LOCATION, {"spec": {"config": {"publicUrl": url}}})
    try:
        (found,) = info(names=["test-source"], sizes=True)["backups"]
    finally:
        velero.patch("backupstoragelocations", LOCATION, {"spec": {"config": {"publicUrl": None}}})
    assert f"Object store at {url} is not reachable: " in found["unreadable"]
    assert "Signature" not in found["unreadable"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "Not_A_Name"}, "'Not_A_Name' cannot be the name of a restore"),
        ({"name": "a", "item_operation_timeout": "7d"}, "item_operation_timeout: '7d' is not a duration such as 24h"),
        ({"name": "a", "schedule": "b", "backup": "c"}, "mutually exclusive: backup|schedule"),
        ({"name": "a", "backup": None}, "state is present but any of the following are missing: backup, schedule"),
        ({"state": "verified", "namespace_mapping": {"a": "b"}}, "as it is; remove namespace_mapping."),
    ],
)
def test_bad_input_is_one_clear_message(restore: Run, options: dict[str, Any], words: str) -> None:
    result = restore(**options)
    assert result["failed"]
    assert words in result["msg"]
    assert "Traceback" not in result.output

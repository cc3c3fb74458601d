# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``velero_backup`` on the real API server and the lab's stand-in for Velero; read back with kubernetes and boto3."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.wait import NotYet
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.client import Object, connect
from ansible_collections.dcm.platform.plugins.module_utils.velero.resources import BACKUP
from kubernetes.client.exceptions import ApiException

from tests.ansible_runner import ModuleResult
from tests.conftest import LabFixture
from tests.integration.velero.velero_lab import ENDS_WITHIN, FAULTS, Velero, eventually, phase_of
from tests.sandbox.service import free_port

LOCATION = "velero-backup-tests"
SOURCE = "velero-backup-source"
Backup = Callable[..., ModuleResult]


def made(velero: Velero, name: str, **spec: Any) -> Any:
    """A complete backup that somebody else made."""
    velero.create("backups", name, {"includedNamespaces": [SOURCE], "storageLocation": LOCATION, **spec})
    eventually(lambda: phase_of(velero.get(name)) == "Completed", f"{name} is complete")
    return velero.get(name)


def clean(velero: Velero) -> None:
    """Remove what the tests make; the namespace goes by itself."""
    velero.delete("backupstoragelocations", LOCATION)
    velero.remove_credentials(LOCATION)
    with contextlib.suppress(ApiException):
        velero.core.delete_namespace(SOURCE)
    velero.empty_store()
    for plural in ("schedules", "backups"):
        for name in velero.objects(plural):
            if name.startswith("test-"):
                velero.delete(plural, name)


@pytest.fixture(scope="module")
def velero(lab: LabFixture) -> Iterator[Velero]:
    """A storage location and a namespace to back up."""
    velero = Velero(lab, LOCATION)
    clean(velero)
    eventually(lambda: SOURCE not in [item.metadata.name for item in velero.core.list_namespace().items], "it is gone")
    velero.make_credentials(LOCATION)
    storage = {"bucket": velero.bucket, "prefix": LOCATION}
    credential = {"name": LOCATION, "key": "cloud"}
    spec = {"provider": "aws", "objectStorage": storage, "config": velero.store_config(), "credential": credential}
    velero.create("backupstoragelocations", LOCATION, spec)
    velero.core.create_namespace({"metadata": {"name": SOURCE}})
    for number in range(3):
        content = {"metadata": {"name": f"entry-{number}"}, "data": {"number": str(number)}}
        velero.core.create_namespaced_config_map(SOURCE, content)
    eventually(lambda: phase_of(velero.get(LOCATION, "backupstoragelocations")) == "Available", "location available")
    yield velero
    clean(velero)


@pytest.fixture
def backup(run_module: Callable[..., ModuleResult], velero: Velero) -> Backup:
    """``backup(name=…, check=…)`` runs the module for the tests' namespace and location."""

    def call(*, check: bool = False, diff: bool = False, verbosity: int = 0, **options: Any) -> ModuleResult:
        environment = options.pop("environment", None)
        arguments = {**velero.connection, "wait_timeout": ENDS_WITHIN, **options}
        if arguments.get("state") != "absent":
            arguments = {"included_namespaces": [SOURCE], "storage_location": LOCATION, **arguments}
        given = {key: value for key, value in arguments.items() if value is not None}
        return run_module("velero_backup", given, check=check, diff=diff, verbosity=verbosity, environment=environment)

    return call


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return f"test-{secrets.token_hex(4)}"


@pytest.mark.row("BDR-01")
@pytest.mark.row("BDR-02")
def test_from_nothing_to_a_backup_and_back(velero: Velero, backup: Backup, name: str) -> None:
    predicted = backup(name=name, ttl="168h", check=True, diff=True)
    assert predicted["changed"], predicted
    assert predicted["backup"]["phase"] == "New"
    assert predicted["diff"][0]["after"]["spec"] == {
        "includedNamespaces": [SOURCE],
        "ttl": "168h",
        "storageLocation": LOCATION,
    }
    assert velero.get(name) is None

    by_token = {
        "kubeconfig": None,
        "context": None,
        "host": velero.kubernetes["server"],
        "ca_cert": velero.kubernetes["certificate_authority"],
        "api_key": velero.kubernetes["token"],
    }
    made = backup(name=name, ttl="168h", **by_token, diff=True, verbosity=3)
    assert made["changed"], made
    assert velero.kubernetes["token"] not in made.output
    stored = velero.get(name)
    assert phase_of(stored) == made["backup"]["phase"] == "Completed"
    assert stored["spec"]["ttl"] == "168h0m0s"
    assert made["backup"]["expires"] == stored["status"]["expiration"]
    assert made["backup"]["items"]["backed_up"] == made["backup"]["items"]["total"] >= 3
    paths = velero.archive(name)
    for number in range(3):
        assert f"resources/configmaps/namespaces/{SOURCE}/entry-{number}.json" in paths
    assert velero.files(name)["velero-backup.json"] > 0

    again = backup(name=name, ttl="168h")
    assert not again["changed"], again
    assert again["backup"] == made["backup"]
    assert velero.get(name)["metadata"]["resourceVersion"] == stored["metadata"]["resourceVersion"]

    assert backup(name=name, state="absent", check=True)["changed"]
    assert velero.get(name)
    removed = backup(name=name, state="absent", diff=True)
    assert removed["changed"], removed
    assert removed["diff"][0]["before"]["phase"] == "Completed"
    assert velero.get(name) is None
    assert not [item for item in velero.items("deletebackuprequests") if item["spec"]["backupName"] == name]
    assert velero.files(name) == {}
    environment = {
        "K8S_AUTH_KUBECONFIG": velero.kubernetes["kubeconfig"],
        "K8S_AUTH_CONTEXT": velero.kubernetes["context"],
    }
    assert not backup(name=name, state="absent", kubeconfig=None, context=None, environment=environment)["changed"]


def test_another_content_under_the_same_name_is_refused(velero: Velero, backup: Backup, name: str) -> None:
    made(velero, name, ttl="24h")
    result = backup(name=name, ttl="48h")
    assert result["failed"]
    assert "exists with another content than wanted; these keys of its spec differ: ttl." in result["msg"]
    assert velero.get(name)["spec"]["ttl"] == "24h0m0s"


def test_labels_are_added_without_touching_anything_else(velero: Velero, backup: Backup, name: str) -> None:
    before = made(velero, name)
    assert backup(name=name, labels={"team": "data"})["changed"]
    after = velero.get(name)
    assert after["metadata"]["labels"] == {**before["metadata"]["labels"], "team": "data"}
    assert (after["spec"], after["status"]) == (before["spec"], before["status"])
    assert not backup(name=name, labels={"team": "data"})["changed"]


@pytest.mark.row("BDR-03")
def test_a_fresh_backup_of_a_prefix_is_reused(velero: Velero, backup: Backup, name: str) -> None:
    def of_prefix() -> list[str]:
        return sorted(item["metadata"]["name"] for item in velero.items() if item["metadata"]["name"].startswith(name))

    assert backup(name_prefix=name, max_age="24h", check=True)["changed"]
    assert of_prefix() == []
    first = backup(name_prefix=name, max_age="24h")
    assert first["changed"], first
    assert of_prefix() == [first["backup"]["name"]]
    again = backup(name_prefix=name, max_age="24h")
    assert not again["changed"]
    assert again["backup"] == first["backup"]
    eventually(lambda: backup(name_prefix=name, max_age="1s", check=True)["changed"], "the backup is a second old")
    newer = backup(name_prefix=name, max_age="1s")
    assert newer["changed"]
    assert of_prefix() == sorted([first["backup"]["name"], newer["backup"]["name"]])
    other = backup(name_prefix=name, max_age="24h", excluded_resources=["secrets"], check=True)
    assert other["changed"], "a backup of another content does not serve"


def test_a_backup_as_the_schedule_makes_it(velero: Velero, backup: Backup, name: str) -> None:
    """Its name is longer than a label may be, so it is selected by the hashed one."""
    schedule = f"{name}-{'x' * 80}"
    hashed = schedule[:57] + hashlib.sha256(schedule.encode()).hexdigest()[:6]
    hooks = {"resources": [{"name": "h", "pre": [{"exec": {"command": ["true"], "timeout": "30s"}}]}]}
    template = {"includedNamespaces": [SOURCE], "storageLocation": LOCATION, "ttl": "24h", "hooks": hooks}
    labels = {"metadata": {"labels": {"team": "data"}}}
    velero.create("schedules", schedule, {"schedule": "@yearly", "template": {**template, **labels}})
    options: dict[str, Any] = {"from_schedule": schedule, "included_namespaces": None, "storage_location": None}
    first = backup(**options, max_age="1h", fail_on=["Failed"])
    assert first["changed"], first
    stored = velero.get(first["backup"]["name"])
    assert stored["metadata"]["name"].removeprefix(f"{schedule}-").isdigit()
    assert stored["metadata"]["labels"].items() >= {"velero.io/schedule-name": hashed, "team": "data"}.items()
    assert stored["spec"].items() >= {**template, "ttl": "24h0m0s"}.items()
    again = backup(**options, max_age="1h", fail_on=["Failed"])
    assert not again["changed"], again
    assert again["backup"]["name"] == first["backup"]["name"]
    velero.patch("schedules", schedule, {"spec": {"template": {"ttl": "48h"}}})
    assert backup(**options, max_age="1h", check=True)["changed"], "the schedule's backups are others now"
    named = backup(**options, name=f"{name}-named", ttl="1h")
    assert named["changed"], named
    assert velero.get(f"{name}-named")["spec"]["ttl"] == "1h0m0s"
    assert not backup(**options, name=f"{name}-named")["changed"]
    missing = backup(**{**options, "from_schedule": "nobody"}, max_age="1h")
    assert f"There is no Schedule {velero.namespace}/nobody to make a backup from." in missing["msg"]
    assert backup(**{**options, "from_schedule": "nobody"}, max_age="1h", check=True)["changed"], "it may be to come"


def test_a_location_that_goes_away_in_the_middle(velero: Velero, backup: Backup, name: str) -> None:
    with velero.faults(backups_hold_InProgress=name), ThreadPoolExecutor(1) as pool:
        running = pool.submit(backup, name=name)
        eventually(lambda: phase_of(velero.get(name)) == "InProgress", "the backup runs")
        velero.switch_faults(backupstoragelocations_unavailable=LOCATION)
        result = running.result()
    assert result["failed"], result
    assert f"Backup {velero.namespace}/{name} ended as Failed: " in result["msg"]
    eventually(lambda: phase_of(velero.get(LOCATION, "backupstoragelocations")) == "Available", "location is back")


@pytest.mark.parametrize(
    ("fault", "phase", "words"),
    [
        ("backups_fail", "Failed", "ended as Failed: "),
        ("backups_partially_fail", "PartiallyFailed", "ended as PartiallyFailed: 1 errors and "),
    ],
)
def test_an_unusable_backup_is_never_fine(
    velero: Velero, backup: Backup, name: str, fault: str, phase: str, words: str
) -> None:
    with velero.faults(**{fault: name}):
        result = backup(name=name)
    assert result["failed"]
    assert result["changed"]
    assert f"Backup {velero.namespace}/{name} {words}" in result["msg"]
    assert phase_of(velero.get(name)) == phase
    again = backup(name=name, check=True)
    assert again["failed"]
    assert f"{name} {words}" in again["msg"]
    assert "delete this backup (state: absent), then run again" in again["msg"]
    accepted = backup(name=name, fail_on=["FailedValidation"])
    assert not accepted.get("failed")
    assert not accepted["changed"]
    assert any(f"{name} {words}" in warning for warning in accepted["warnings"])


def test_a_backup_that_velero_refuses(velero: Velero, backup: Backup, name: str) -> None:
    result = backup(name=name, storage_location="nowhere")
    assert result["failed"]
    assert "ended as FailedValidation, nothing was backed up: an existing backup storage location was" in result["msg"]
    assert phase_of(velero.get(name)) == "FailedValidation"


def test_a_server_that_never_answers_and_then_does(velero: Velero, backup: Backup, name: str) -> None:
    with velero.faults(backups_never_answered=name):
        result = backup(name=name, wait_timeout=2)
        assert result["failed"]
        assert f"Gave up after 2 s waiting for Backup {velero.namespace}/{name}: no Velero server" in result["msg"]
        assert backup(name=name, wait=False)["backup"]["phase"] == "New"
    velero.set_status(name, {"phase": "New"})  # nothing but a change of the object wakes the stand-in
    settled = backup(name=name)
    assert not settled["changed"], "the second run goes on with the same backup"
    assert settled["backup"]["phase"] == "Completed"


def test_a_wait_that_is_too_short_says_how_far_it_came(velero: Velero, backup: Backup, name: str) -> None:
    with velero.faults(backups_hold_InProgress=name):
        result = backup(name=name, wait_timeout=3)
        assert result["failed"]
        assert "its phase is InProgress" in result["msg"]
        assert [change["name"] for change in result["applied"]] == [name]
    eventually(lambda: phase_of(velero.get(name)) == "Completed", "the backup ends")


def test_a_backup_that_vanishes_while_one_waits(velero: Velero, backup: Backup, name: str) -> None:
    with velero.faults(backups_hold_InProgress=name), ThreadPoolExecutor(1) as pool:
        running = pool.submit(backup, name=name)
        eventually(lambda: phase_of(velero.get(name)) == "InProgress", "the backup runs")
        velero.delete("backups", name)
        result = running.result()
    assert result["failed"]
    assert f"Backup {velero.namespace}/{name} was deleted by somebody else before it ended." in result["msg"]


def test_a_deletion_that_fails_is_passed_on_and_can_be_repeated(velero: Velero, backup: Backup) -> None:
    name = f"test-{secrets.token_hex(4)}-{'x' * 60}"
    uid = made(velero, name)["metadata"]["uid"]
    with velero.faults(deletebackuprequests_fail=name):
        result = backup(name=name, state="absent")
    assert result["failed"]
    assert f"Velero did not delete Backup {velero.namespace}/{name}: " in result["msg"]
    assert FAULTS in result["msg"]
    (request,) = [item for item in velero.items("deletebackuprequests") if item["spec"]["backupName"] == name]
    labels = request["metadata"]["labels"]
    assert labels["velero.io/backup-uid"] == uid
    assert (labels["velero.io/backup-name"][:57], len(labels["velero.io/backup-name"])) == (name[:57], 63)
    assert backup(name=name, state="absent")["changed"]
    assert velero.get(name) is None
    assert not [item for item in velero.items("deletebackuprequests") if item["spec"]["backupName"] == name]


@pytest.mark.parametrize("state", ["present", "absent"])
def test_two_plays_at_once(velero: Velero, backup: Backup, name: str, state: str) -> None:
    if state == "absent":
        made(velero, name)
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda _: backup(name=name, state=state), range(2)))
    assert any(result["changed"] and not result.get("failed") for result in results), results
    for result in results:
        assert not result.get("failed") or "already exists" in result["msg"] or "somebody else" in result["msg"], result
    assert phase_of(velero.get(name)) == ("Completed" if state == "present" else "")


def test_deleting_and_creating_at_once(velero: Velero, backup: Backup, name: str) -> None:
    """One wins and the other says so, or they come one after the other; none hangs, none reports what is not."""
    made(velero, name)
    with ThreadPoolExecutor(2) as pool:
        removing = pool.submit(backup, name=name, state="absent")
        making = pool.submit(backup, name=name)
        removed, present = removing.result(), making.result()
    assert not removed["failed"], removed
    if present["failed"]:
        assert re.search(r"is being deleted|by somebody else|already exists", present["msg"]), present
    assert phase_of(velero.get(name)) == ("Completed" if present["changed"] and not present["failed"] else "")

    with velero.faults(backups_hold_InProgress=f"{name}-2"), ThreadPoolExecutor(1) as pool:
        making = pool.submit(backup, name=f"{name}-2")
        eventually(lambda: phase_of(velero.get(f"{name}-2")) == "InProgress", "the backup runs")
        refused = backup(name=f"{name}-2", state="absent")
        assert (
            f"Velero did not delete Backup {velero.namespace}/{name}-2: backup is still in progress." in refused["msg"]
        )
        velero.heal()
        assert making.result()["backup"]["phase"] == "Completed"


def test_a_wait_sees_a_change_within_a_second(velero: Velero, name: str) -> None:
    options = dict.fromkeys(("host", "api_key", "ca_cert", "validate_certs"))
    client = connect({**options, **velero.connection})
    changed_at: list[float] = []

    def change() -> None:
        velero.set_status(name, {"phase": "Completed"})
        changed_at.append(time.monotonic())

    def examine(current: Object | None) -> None:
        if phase_of(current) != "Completed":
            timer.start()
            raise NotYet("not completed")

    timer = threading.Timer(1.5, change)
    with velero.faults(backups_never_answered=name):
        client.create(BACKUP, velero.namespace, {"metadata": {"name": name}, "spec": {}})
        client.follow(BACKUP, velero.namespace, name, examine, timeout=ENDS_WITHIN)
        seen_at = time.monotonic()
        timer.join()
        assert seen_at - changed_at[0] < 1.0
        client.delete(BACKUP, velero.namespace, name)
        client.delete(BACKUP, velero.namespace, name)
    assert velero.get(name) is None


def test_a_wait_survives_a_restart_of_the_api_server(velero: Velero, backup: Backup, name: str) -> None:
    with velero.faults(backups_hold_InProgress=name), ThreadPoolExecutor(1) as pool:
        running = pool.submit(backup, name=name)
        eventually(lambda: phase_of(velero.get(name)) == "InProgress", "the backup runs")
        pid = velero.lab.lab.pid("kube-apiserver")
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        velero.lab.repair("velero")
        assert not running.done()
        velero.heal()
        result = running.result()
    assert result["changed"], result
    assert result["backup"]["phase"] == "Completed"


def test_an_unreachable_server_is_named(backup: Backup, name: str) -> None:
    address = f"https://127.0.0.1:{free_port()}"
    result = backup(name=name, kubeconfig=None, context=None, host=address, api_key="canary-token")
    assert result["failed"]
    assert result["msg"].startswith(f"Kubernetes API at {address} is not reachable: Connection refused.")
    assert "Traceback" not in result.output


def test_wrong_credentials_are_refused_and_not_shown(velero: Velero, backup: Backup, name: str) -> None:
    canary = f"canary-{secrets.token_hex(8)}"
    result = backup(
        name=name,
        kubeconfig=None,
        context=None,
        host=velero.kubernetes["server"],
        ca_cert=velero.kubernetes["certificate_authority"],
        environment={"K8S_AUTH_API_KEY": canary},
        verbosity=3,
    )
    assert result["failed"]
    assert result["msg"].startswith(f"Kubernetes API at {velero.kubernetes['server']} does not accept the credentials.")
    assert canary not in result.output


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "Not_A_Name"}, "'Not_A_Name' cannot be the name of a backup"),
        ({"name": "a", "ttl": "7d"}, "ttl: '7d' is not a duration such as 24h"),
        ({"name_prefix": "a", "max_age": "1h", "state": "absent"}, "state is absent but all of the following are"),
        ({"from_schedule": "a"}, "one of the following is required: name, max_age"),
        ({"name": "a", "max_age": "1h"}, "mutually exclusive: name|max_age"),
        (
            {"name": "a", "included_resources": ["pods"], "excluded_cluster_scoped_resources": ["nodes"]},
            "mutually exclusive: included_resources|excluded_cluster_scoped_resources",
        ),
    ],
)
def test_bad_input_is_one_clear_message(backup: Backup, options: dict[str, Any], words: str) -> None:
    result = backup(**options)
    assert result["failed"]
    assert words in result["msg"]
    assert "Traceback" not in result.output


def test_a_cluster_without_velero(velero: Velero, backup: Backup, name: str) -> None:
    result = backup(name=name, namespace="nowhere")
    assert result["failed"]
    assert 'refuses: namespaces "nowhere" not found.' in result["msg"]


def test_a_missing_library_is_named(backup: Backup, name: str, tmp_path: Path) -> None:
    (tmp_path / "kubernetes.py").write_text("raise ImportError\n")
    result = backup(name=name, environment={"PYTHONPATH": str(tmp_path)})
    assert result["failed"]
    assert "kubernetes is not installed, 28.1.0 or newer is needed" in result["msg"]
    assert "-m pip install 'kubernetes>=28.1.0'" in result["msg"]

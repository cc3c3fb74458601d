# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``velero_backup`` on the real API server and the lab's stand-in for Velero; read back with kubernetes and boto3."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import signal
import tarfile
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
from kubernetes import client as kubernetes
from kubernetes import config
from kubernetes.client.exceptions import ApiException

from tests.ansible_runner import ModuleResult
from tests.conftest import LabFixture
from tests.sandbox.service import free_port
from tests.sandbox.services import s3

LOCATION = "velero-backup-tests"
SOURCE = "velero-backup-source"
FAULTS = "stand-in-faults"
ENDS_WITHIN = 60  # seconds; a backup of the lab takes about one
Backup = Callable[..., ModuleResult]


def eventually(examine: Callable[[], Any], what: str) -> Any:
    """What ``examine`` returns once it is true."""
    deadline = time.monotonic() + ENDS_WITHIN
    while not (found := examine()):
        assert time.monotonic() < deadline, f"not within {ENDS_WITHIN} s: {what}"
        time.sleep(0.05)
    return found


class Velero:
    """The lab's Velero as the tests see it, through clients of their own."""

    def __init__(self, lab: LabFixture) -> None:
        self.lab = lab
        services = lab("kubernetes", "s3", "velero")
        self.kubernetes = services["kubernetes"]
        self.s3 = services["s3"]
        self.namespace: str = services["velero"]["namespace"]
        self.store = s3.client(self.s3)
        self.bucket: str = self.s3["buckets"]["backups"]
        api = config.new_client_from_config(self.kubernetes["kubeconfig"], context=self.kubernetes["context"])
        self.core = kubernetes.CoreV1Api(api)
        self._custom = kubernetes.CustomObjectsApi(api)

    def _arguments(self, plural: str) -> dict[str, str]:
        return {"group": "velero.io", "version": "v1", "namespace": self.namespace, "plural": plural}

    def get(self, name: str, plural: str = "backups") -> Any:
        """The object, None when there is none."""
        try:
            return self._custom.get_namespaced_custom_object(**self._arguments(plural), name=name)
        except ApiException as error:
            if error.status != 404:
                raise
            return None

    def items(self, plural: str = "backups") -> list[Any]:
        found: list[Any] = self._custom.list_namespaced_custom_object(**self._arguments(plural))["items"]
        return found

    def create(self, plural: str, body: Object) -> None:
        self._custom.create_namespaced_custom_object(**self._arguments(plural), body=body)

    def made(self, name: str, **spec: Any) -> Any:
        """A complete backup that somebody else made."""
        body = {
            "apiVersion": "velero.io/v1",
            "kind": "Backup",
            "metadata": {"name": name},
            "spec": {"includedNamespaces": [SOURCE], "storageLocation": LOCATION, **spec},
        }
        self.create("backups", body)
        eventually(lambda: phase_of(self.get(name)) == "Completed", f"{name} is complete")
        return self.get(name)

    def delete(self, plural: str, name: str) -> None:
        self._custom.delete_namespaced_custom_object(**self._arguments(plural), name=name)

    def set_status(self, name: str, status: Object) -> None:
        self._custom.patch_namespaced_custom_object(
            **self._arguments("backups"),
            name=name,
            body={"status": status},
            _content_type="application/merge-patch+json",
        )

    def files(self, name: str) -> dict[str, int]:
        """Size by key of the files of a backup."""
        prefix = f"{LOCATION}/backups/{name}/"
        found = self.store.list_objects_v2(Bucket=self.bucket, Prefix=prefix).get("Contents", [])
        return {item["Key"].removeprefix(prefix): item["Size"] for item in found}

    def archive(self, name: str) -> list[str]:
        """Paths in the archive of a backup."""
        key = f"{LOCATION}/backups/{name}/{name}.tar.gz"
        content = self.store.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            return archive.getnames()

    @contextlib.contextmanager
    def faults(self, **faults: str) -> Iterator[None]:
        """Make the stand-in fail: ``backups_fail="name"`` is its key ``backups.fail``."""
        data = {key.replace("_", ".", 1).replace("_", "-"): value for key, value in faults.items()}
        self.core.create_namespaced_config_map(self.namespace, {"metadata": {"name": FAULTS}, "data": data})
        try:
            yield
        finally:
            self.heal()

    def clean(self) -> None:
        """Remove what the tests make. The files before the backups, which would come back otherwise."""
        with contextlib.suppress(ApiException):
            self.delete("backupstoragelocations", LOCATION)
        with contextlib.suppress(ApiException):
            self.core.delete_namespaced_secret(LOCATION, self.namespace)
        with contextlib.suppress(ApiException):
            self.core.delete_namespace(SOURCE)
        eventually(
            lambda: SOURCE not in [item.metadata.name for item in self.core.list_namespace().items], "it is gone"
        )
        for page in self.store.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=LOCATION):
            for item in page.get("Contents", []):
                self.store.delete_object(Bucket=self.bucket, Key=item["Key"])
        for item in self.items():
            if item["metadata"]["name"].startswith("test-"):
                self.delete("backups", item["metadata"]["name"])

    def heal(self) -> None:
        """End all faults."""
        with contextlib.suppress(ApiException):
            self.core.delete_namespaced_config_map(FAULTS, self.namespace)


@pytest.fixture(scope="module")
def velero(lab: LabFixture) -> Iterator[Velero]:
    """A storage location and a namespace to back up."""
    velero = Velero(lab)
    velero.clean()
    keys = f"[default]\naws_access_key_id={velero.s3['access_key']}\naws_secret_access_key={velero.s3['secret_key']}\n"
    secret = {"metadata": {"name": LOCATION}, "stringData": {"cloud": keys}}
    velero.core.create_namespaced_secret(velero.namespace, secret)
    velero.create("backupstoragelocations", location(velero))
    velero.core.create_namespace({"metadata": {"name": SOURCE}})
    for number in range(3):
        content = {"metadata": {"name": f"entry-{number}"}, "data": {"number": str(number)}}
        velero.core.create_namespaced_config_map(SOURCE, content)
    eventually(lambda: phase_of(velero.get(LOCATION, "backupstoragelocations")) == "Available", "location available")
    yield velero
    velero.clean()


def location(velero: Velero) -> Object:
    return {
        "apiVersion": "velero.io/v1",
        "kind": "BackupStorageLocation",
        "metadata": {"name": LOCATION},
        "spec": {
            "provider": "aws",
            "objectStorage": {"bucket": velero.bucket, "prefix": LOCATION},
            "config": {"region": velero.s3["region"], "s3Url": velero.s3["endpoint"], "s3ForcePathStyle": "true"},
            "credential": {"name": LOCATION, "key": "cloud"},
        },
    }


def phase_of(item: Any) -> str:
    return str((item or {}).get("status", {}).get("phase", ""))


@pytest.fixture
def backup(run_module: Callable[..., ModuleResult], velero: Velero) -> Backup:
    """``backup(name=…, check=…)`` runs the module for the tests' namespace and location."""

    def call(*, check: bool = False, diff: bool = False, verbosity: int = 0, **options: Any) -> ModuleResult:
        environment = options.pop("environment", None)
        arguments = {
            "kubeconfig": velero.kubernetes["kubeconfig"],
            "context": velero.kubernetes["context"],
            "wait_timeout": ENDS_WITHIN,
            **options,
        }
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
    velero.made(name, ttl="24h")
    result = backup(name=name, ttl="48h")
    assert result["failed"]
    assert "exists with another content than wanted; these keys of its spec differ: ttl." in result["msg"]
    assert velero.get(name)["spec"]["ttl"] == "24h0m0s"


def test_labels_are_added_without_touching_anything_else(velero: Velero, backup: Backup, name: str) -> None:
    before = velero.made(name)
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
    newer = backup(name_prefix=name, max_age="1ms")
    assert newer["changed"]
    assert of_prefix() == sorted([first["backup"]["name"], newer["backup"]["name"]])
    other = backup(name_prefix=name, max_age="24h", excluded_resources=["secrets"], check=True)
    assert other["changed"], "a backup of another content does not serve"


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
    uid = velero.made(name)["metadata"]["uid"]
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
        velero.made(name)
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda _: backup(name=name, state=state), range(2)))
    assert any(result["changed"] and not result.get("failed") for result in results), results
    for result in results:
        assert not result.get("failed") or "already exists" in result["msg"] or "somebody else" in result["msg"], result
    assert phase_of(velero.get(name)) == ("Completed" if state == "present" else "")


def test_a_wait_sees_a_change_within_a_second(velero: Velero, name: str) -> None:
    options = dict.fromkeys(("host", "api_key", "ca_cert", "validate_certs"))
    options |= {"kubeconfig": velero.kubernetes["kubeconfig"], "context": velero.kubernetes["context"]}
    client = connect(options)
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

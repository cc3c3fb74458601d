# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The playbooks that back up, prove and bring back the cluster's state, on the lab's Velero.

The tests build on each other in the order of the file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client as kubernetes

from tests.ansible_runner import AnsibleRunner, PlaybookResult
from tests.conftest import LabFixture
from tests.integration.velero.velero_lab import Velero, phase_of
from tests.staging import ROOT

PREFIX = "playbook-tests"
APPS, DATA = "playbook-apps", "playbook-data"
SCHEDULE = "nightly"
WORKLOADS = ["deployments.apps", "replicasets.apps", "pods"]
ORDER = [
    {"name": "foundation", "namespaces": [APPS, DATA], "excluded_resources": WORKLOADS},
    {"name": "data", "namespaces": [DATA]},
    {"name": "auth", "services": ["auth"]},
]
Play = Callable[..., PlaybookResult]


@pytest.fixture(scope="module")
def velero(lab: LabFixture) -> Iterator[Velero]:
    """A location, a schedule of two namespaces, and a Deployment in each of them."""
    velero = Velero(lab, PREFIX)
    velero.make_location()
    template = {"includedNamespaces": [APPS, DATA], "storageLocation": PREFIX}
    velero.create("schedules", SCHEDULE, {"schedule": "0 0 1 1 *", "template": template, "skipImmediately": True})
    velero.create("schedules", "paused", {"schedule": "0 0 1 1 *", "template": template, "paused": True})
    for namespace, name in ((APPS, "auth"), (DATA, "store")):
        velero.core.create_namespace({"metadata": {"name": namespace}})
        velero.core.create_namespaced_config_map(namespace, {"metadata": {"name": name}, "data": {"k": "v"}})
        kubernetes.AppsV1Api(velero.core.api_client).create_namespaced_deployment(namespace, deployment(name))
    yield velero
    velero.delete("schedules", SCHEDULE)
    velero.delete("schedules", "paused")
    velero.remove_location()
    velero.remove_namespaces(APPS, DATA)


def deployment(name: str) -> dict[str, Any]:
    labels = {"app.kubernetes.io/name": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    return {"metadata": {"name": name, "labels": labels}, "spec": spec}


@pytest.fixture
def play(ansible: AnsibleRunner, velero: Velero, tmp_path: Path) -> Play:
    """``play("backup_now", "--check", backup_now_schedules=[…])`` runs a playbook; evidence goes to ``tmp_path``."""

    def call(name: str, *arguments: str, **variables: Any) -> PlaybookResult:
        given = {
            "dcm_environment": "test",
            "dcm_kubeconfig": velero.kubernetes["kubeconfig"],
            "dcm_kubernetes_context": velero.kubernetes["context"],
            "dcm_objectives": {"cluster": {"rpo": 86400}},
            "backups_schedules": {SCHEDULE: {"cron": "0 0 1 1 *", "objective": "cluster"}},
            "backups_timeout": 60,
            "verify_backups_directory": str(tmp_path),
            "restore_cluster_state_timeout": 60,
            **variables,
        }
        hosts = {
            "localhost": {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
        }
        inventory = ansible.private_file("velero-hosts.yml", json.dumps({"platform": {"hosts": hosts}}))
        options = ("-i", str(inventory), "-e", json.dumps(given))
        return ansible.playbook(ROOT / "playbooks" / f"{name}.yml", *options, *arguments)

    return call


def evidence(directory: Path) -> tuple[Any, str]:
    """What verify_backups wrote: the JSON, and the table."""
    (table,) = directory.glob("backups-test-*.md")
    return json.loads(table.with_suffix(".json").read_text()), table.read_text()


@pytest.mark.row("MNT-07")
@pytest.mark.row("BDR-03")
def test_a_backup_now_is_one_of_its_schedule(velero: Velero, play: Play) -> None:
    result = play("backup_now")
    assert result.returncode == 0, result.output
    (backup,) = velero.items()
    assert phase_of(backup) == "Completed"
    assert backup["metadata"]["labels"]["velero.io/schedule-name"] == SCHEDULE
    assert backup["metadata"]["name"].removeprefix(f"{SCHEDULE}-").isdigit()
    assert backup["spec"]["includedNamespaces"] == [APPS, DATA]


@pytest.mark.row("BDR-37")
@pytest.mark.row("BDR-36")
def test_backups_are_proven_with_evidence(velero: Velero, play: Play, tmp_path: Path) -> None:
    result = play("verify_backups")
    assert result.returncode == 0, result.output
    report, table = evidence(tmp_path)
    assert report["passed"]
    (row,) = report["schedules"]
    assert (row["schedule"], row["backup"]) == (SCHEDULE, velero.items()[0]["metadata"]["name"])
    assert (row["proven"], row["within_objective"], row["objective"]) == (True, True, 86400)
    assert row["namespaces"] == [APPS, DATA]
    assert {"kind": "apps/v1/Deployment", "backed_up": 2, "restored": 2} in row["kinds"]
    assert row["size"] == velero.files(row["backup"])[f"{row['backup']}.tar.gz"]
    assert f"| {SCHEDULE} | {row['backup']} | 0.0 h | 24.0 h | {row['objects']} |" in table
    assert ": proven" in table
    assert not [name for name in velero.namespaces() if name.startswith("verify-")]


def test_a_backup_that_is_not_proven_fails_the_play_after_the_evidence(
    velero: Velero, play: Play, tmp_path: Path
) -> None:
    with velero.faults(restores_lose="verify-*"):
        result = play("verify_backups", verify_backups_objective=0, backups_schedules={})
    assert result.returncode != 0
    report, table = evidence(tmp_path)
    assert not report["passed"]
    assert not report["schedules"][0]["proven"]
    assert not report["schedules"][0]["within_objective"]
    lost = f"1 of {number_of_objects(report)} objects are missing: ConfigMap {DATA}/store."
    assert any(lost in problem for problem in report["problems"])
    assert "NOT PROVEN" in table
    assert "MISSED" in table


def test_a_schedule_of_which_nothing_is_known_is_not_proven(ansible: AnsibleRunner, tmp_path: Path) -> None:
    template = "{{ lookup('ansible.builtin.template', template_file) }}"
    variables = {
        "template_file": str(ROOT / "playbooks/templates/verify_backups.json.j2"),
        "dcm_environment": "test",
        "verify_backups_at": "2026-11-21T00:00:00Z",
        "verify_backups_found": {"violations": [], "backups": [], "schedules": []},
        "verify_backups_proofs": {"results": [{"item": "silent"}]},
    }
    task = {"ansible.builtin.copy": {"content": template, "dest": str(tmp_path / "evidence"), "mode": "0600"}}
    plays = [{"hosts": "localhost", "gather_facts": False, "vars": variables, "tasks": [task]}]
    result = ansible.playbook(plays, "-i", "localhost,", "-c", "local")
    assert result.returncode == 0, result.output
    report = json.loads((tmp_path / "evidence").read_text())
    assert not report["passed"]
    assert report["problems"] == ["The backup of silent was not verified."]
    assert [row["proven"] for row in report["schedules"]] == [False]


def number_of_objects(report: Any) -> str:
    """From the one sentence that says it."""
    return str(report["schedules"][0]["reason"].partition(" objects are missing")[0].rpartition(" ")[2])


@pytest.mark.row("BDR-26")
def test_the_state_comes_back_in_order_and_a_second_run_changes_nothing(velero: Velero, play: Play) -> None:
    velero.remove_namespaces(APPS, DATA)
    (backup,) = velero.objects("backups")
    chosen: dict[str, Any] = {"restore_cluster_state_schedule": SCHEDULE, "dcm_recovery_order": ORDER}
    assert play("restore_cluster_state", "--check", **{**chosen, "dcm_recovery_order": ORDER[:1]}).total("failed") == 0
    assert not velero.items("restores")
    result = play("restore_cluster_state", **chosen)
    assert result.returncode == 0, result.output
    restores = velero.objects("restores")
    assert list(restores) == [f"recovery-{backup}-{number:02d}-{stage['name']}" for number, stage in enumerate(ORDER)]
    ends = [restores[name]["status"]["completionTimestamp"] for name in restores]
    assert ends == sorted(ends)
    apps = kubernetes.AppsV1Api(velero.core.api_client)
    for namespace, name, stage in ((APPS, "auth", 2), (DATA, "store", 1)):
        assert velero.core.read_namespaced_config_map(name, namespace).data == {"k": "v"}
        found = apps.read_namespaced_deployment(name, namespace)
        assert found.status.ready_replicas == 1
        assert found.metadata.labels["velero.io/restore-name"] == list(restores)[stage]
    assert play("restore_cluster_state", **chosen).total("changed") == 0


def test_nothing_is_overwritten_without_the_typed_confirmation(velero: Velero, play: Play) -> None:
    (backup,) = velero.objects("backups")
    velero.core.patch_namespaced_config_map("store", DATA, {"data": {"k": "changed"}})
    chosen = {
        "restore_cluster_state_backup": backup,
        "restore_cluster_state_update": True,
        "dcm_recovery_order": [{"name": "configuration", "namespaces": [DATA], "included_resources": ["configmaps"]}],
    }
    refused = play("restore_cluster_state", confirm="overwrite production", **chosen)
    assert refused.returncode != 0
    assert (
        'Type -e confirm="overwrite test" to go on.' in json.dumps(refused.output) or "overwrite test" in refused.output
    )
    assert velero.core.read_namespaced_config_map("store", DATA).data == {"k": "changed"}
    assert list(velero.objects("backups")) == [backup]
    location = {"spec": {"default": True}}
    velero.patch("backupstoragelocations", PREFIX, location)
    result = play("restore_cluster_state", confirm="overwrite test", **chosen)
    assert result.returncode == 0, result.output
    assert velero.core.read_namespaced_config_map("store", DATA).data == {"k": "v"}
    assert phase_of(velero.get(f"before-recovery-{backup}")) == "Completed"


@pytest.mark.row("BDR-26")
def test_the_default_order_is_that_of_the_call_graph() -> None:
    order = yaml.safe_load((ROOT / "playbooks/vars/recovery_order.yml").read_text())[
        "restore_cluster_state_default_order"
    ]
    names = [stage["name"] for stage in order]
    services = ["data", "auth", "permission", "api", "task", "notification", "bot", "frontend"]
    assert [name for name in names if name in services] == services
    assert (names[0], names[-1]) == ("foundation", "rest")
    assert not {"deployments.apps", "statefulsets.apps", "pods"} - set(order[0]["excluded_resources"])
    assert not any(key in order[-1] for key in ("namespaces", "services", "excluded_resources")), "nothing is forgotten"

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``playbooks/talos.yml`` for 18 nodes: 3 control planes, 10 for applications, 5 for data. The tests are one story."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hvac
import pytest
import yaml

from tests.ansible_runner import AnsibleRunner, PlaybookResult
from tests.conftest import LabFixture
from tests.integration.talos.talos_machines import Machines
from tests.sandbox.talos.fleet import fleet
from tests.sandbox.talos.fleet import inventory as inventory_of
from tests.staging import ROOT

PATH = "dcm/talos/test-scale"
POOLS = {"cp": 3, "application": 10, "database": 5}


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    with fleet(tmp_path_factory.mktemp("fleet"), POOLS) as settings:
        yield Machines(lambda _name: settings, tmp_path_factory.mktemp("talos"))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def vault(lab: LabFixture) -> Any:
    settings = lab("vault")
    client = hvac.Client(url=settings["url"], token=settings["token"])
    for path in (PATH, f"{PATH}/kubeconfig"):
        client.secrets.kv.v2.delete_metadata_and_all_versions(path=path, mount_point=settings["mount"])
    return settings


@pytest.fixture(scope="module")
def bundle(vault: Any) -> Any:
    """What the role has made."""
    client = hvac.Client(url=vault["url"], token=vault["token"])
    reply = client.secrets.kv.v2.read_secret_version(
        path=PATH, mount_point=vault["mount"], raise_on_deleted_version=True
    )
    return yaml.safe_load(reply["data"]["data"]["bundle"])


@pytest.fixture(scope="module")
def inventory(machines: Machines, vault: Any, ansible: AnsibleRunner) -> Path:
    content = inventory_of(machines.settings, vault, PATH)
    return ansible.private_file("talos-18.yml", json.dumps(content))


def run(ansible: AnsibleRunner, inventory: Path, *arguments: str) -> PlaybookResult:
    result = ansible.playbook(ROOT / "playbooks/talos.yml", "-i", str(inventory), "--forks", "18", *arguments)
    assert result.returncode == 0, result.output
    return result


def secrets_of(bundle: Any) -> list[str]:
    return [text for value in bundle.values() for text in (secrets_of(value) if isinstance(value, dict) else [value])]


@pytest.mark.row("TAL-01")
@pytest.mark.row("TAL-03")
@pytest.mark.row("TAL-04")
def test_one_run_makes_the_cluster(machines: Machines, ansible: AnsibleRunner, inventory: Path) -> None:
    run(ansible, inventory)
    assert all(machines.status(name)["ready"] for name in machines.nodes)
    (etcd,) = machines.etcd()
    assert sorted(etcd["members"]) == sorted(machines.control_planes)


@pytest.mark.row("TAL-07")
@pytest.mark.row("TAL-12")
@pytest.mark.row("TAL-23")
def test_pools_hardening_and_audit(machines: Machines, bundle: Any) -> None:
    application, database, control_plane = (
        machines.config(name, bundle) for name in ("application-1", "database-1", "cp-1")
    )
    assert application[0]["machine"]["nodeLabels"] == {"dcm.io/pool": "application"}
    assert not application[0]["machine"].get("nodeTaints")
    assert database[0]["machine"]["nodeLabels"] == {"dcm.io/pool": "database"}
    assert database[0]["machine"]["nodeTaints"] == {"dcm.io/pool": "database:NoSchedule"}
    assert "dcm.io/pool" not in control_plane[0]["machine"]["nodeLabels"]
    for documents in (application, database, control_plane):
        volumes = {one["name"]: one["encryption"] for one in documents if one.get("kind") == "VolumeConfig"}
        encryption = {"provider": "luks2", "keys": [{"nodeID": {}, "slot": 0}]}
        assert volumes == {"STATE": encryption, "EPHEMERAL": encryption}
    rules = control_plane[0]["cluster"]["apiServer"]["auditPolicy"]["rules"]
    secret_rules = [rule for rule in rules if "secrets" in str(rule.get("resources"))]
    assert [rule["level"] for rule in secret_rules] == ["Metadata"]


@pytest.mark.row("TAL-01")
def test_the_second_run_changes_nothing_and_asks_little(
    machines: Machines, ansible: AnsibleRunner, inventory: Path
) -> None:
    machines.forget_requests()
    result = run(ansible, inventory)
    assert result.total("changed") == 0, result.output
    requests = {name: sum(machines.requests(name).values()) for name in machines.nodes}
    assert max(requests.values()) <= 3, requests


@pytest.mark.row("TAL-09")
def test_a_changed_label_is_all_that_the_diff_shows(ansible: AnsibleRunner, inventory: Path, bundle: Any) -> None:
    pools = {"talos_cluster_pools": {"application": {"labels": {"example.com/tier": "web"}}}}
    result = run(ansible, inventory, "--check", "--diff", "--limit", "cp-1,application-1", "-e", json.dumps(pools))
    assert {name: counters["changed"] for name, counters in result.recap.items()} == {"cp-1": 0, "application-1": 1}
    changed = [line for line in result.output.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    assert [line for line in changed if ":" in line and "{" not in line] == [
        '+            "example.com/tier": "web"'
    ], changed
    assert not [secret for secret in secrets_of(bundle) if secret in result.output]

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``playbooks/talos.yml`` on machines of Talos 1.14, whose configurations are of many documents."""

from __future__ import annotations

import json
from pathlib import Path

import hvac
import pytest
import yaml

from tests.ansible_runner import AnsibleRunner
from tests.conftest import LabFixture
from tests.integration.talos.talos_machines import Machines
from tests.sandbox.talos.fleet import fleet, inventory
from tests.staging import ROOT

PATH = "dcm/talos/test-contract"


@pytest.mark.row("TAL-01")
def test_a_cluster_of_talos_1_14_comes_up_and_stays(ansible: AnsibleRunner, lab: LabFixture, tmp_path: Path) -> None:
    vault = lab("vault")
    client = hvac.Client(url=vault["url"], token=vault["token"])
    for path in (PATH, f"{PATH}/kubeconfig"):
        client.secrets.kv.v2.delete_metadata_and_all_versions(path=path, mount_point=vault["mount"])
    with fleet(tmp_path, {"cp": 1, "application": 1}, version="v1.14.0") as settings:
        machines = Machines(lambda _name: settings, tmp_path)  # type: ignore[arg-type]
        file = ansible.private_file("talos-1.14.yml", json.dumps(inventory(settings, vault, PATH)))

        def converge() -> int:
            result = ansible.playbook(ROOT / "playbooks/talos.yml", "-i", str(file))
            assert result.returncode == 0, result.output
            return result.total("changed")

        assert converge()
        assert all(machines.status(name)["ready"] for name in machines.nodes)
        read = client.secrets.kv.v2.read_secret_version
        reply = read(path=PATH, mount_point=vault["mount"], raise_on_deleted_version=True)
        documents = machines.config("cp-1", yaml.safe_load(reply["data"]["data"]["bundle"]))
        assert {"KubeClusterConfig", "KubeNodeConfig", "VolumeConfig"} <= {
            document.get("kind") for document in documents
        }
        assert converge() == 0

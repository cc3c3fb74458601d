# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The playbooks for the worst days of a Talos cluster. The tests build on each other in this order."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import hvac
import kubernetes
import pytest
import yaml

from tests.ansible_runner import AnsibleRunner, PlaybookResult
from tests.conftest import LabFixture
from tests.integration.talos.talos_machines import Cluster, Machines, until
from tests.sandbox.services.s3 import client
from tests.staging import ROOT

PATH = "dcm/talos/test-recovery"
RESET = "/machine.MachineService/Reset"
Play = Callable[..., PlaybookResult]


@pytest.fixture(scope="module")
def cluster(lab: LabFixture, ansible: AnsibleRunner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three control planes that run; their secrets are where the role keeps them."""
    lab("talos", "vault", "s3", "kubernetes")
    cluster = Cluster(ansible, Machines(lab, tmp_path_factory.mktemp("talos")))
    cluster.configure(*cluster.machines.control_planes)
    assert cluster.bootstrap()["changed"]
    vault = lab("vault")
    store = hvac.Client(url=vault["url"], token=vault["token"]).secrets.kv.v2
    store.create_or_update_secret(PATH, {"bundle": yaml.safe_dump(cluster.bundle)}, mount_point=vault["mount"])
    yield cluster
    for path in (PATH, f"{PATH}/kubeconfig"):
        store.delete_metadata_and_all_versions(path, mount_point=vault["mount"])


@pytest.fixture(scope="module")
def bucket(lab: LabFixture) -> dict[str, str]:
    s3 = lab("s3")
    keys = {"access_key": s3["access_key"], "secret_key": s3["secret_key"], "endpoint_url": s3["endpoint"]}
    return {"bucket": s3["buckets"]["backups"], **keys}


@pytest.fixture(scope="module")
def play(cluster: Cluster, lab: LabFixture, ansible: AnsibleRunner) -> Play:
    """Run a playbook of the collection for the cluster, with more variables."""
    vault, machines = lab("vault"), cluster.machines
    variables = {
        "ansible_connection": "local",
        "talos_cluster_name": "test",
        "talos_cluster_endpoint": machines.settings["endpoint"],
        "talos_cluster_secrets_path": PATH,
        "talos_cluster_connect_timeout": 1,
        "talos_cluster_wait_timeout": 60,
        "dcm_kubernetes_version": "1.36.3",
        "dcm_vault_url": vault["url"],
        "dcm_vault_token": vault["token"],
    }
    hosts = {name: {"ansible_host": address} for name, address in machines.control_planes.items()}
    groups = {"talos_controlplane": {"hosts": hosts}, "talos_worker": {}}
    inventory = {"all": {"vars": variables, "children": {"talos": {"children": groups}}}}
    file = ansible.private_file("recovery-inventory.yml", json.dumps(inventory))

    def run(name: str, **extra: Any) -> PlaybookResult:
        options = ansible.private_file("recovery-variables.json", json.dumps(extra))
        return ansible.playbook(ROOT / f"playbooks/{name}.yml", "-i", str(file), "-e", f"@{options}")

    return run


ALL = ["cp-1", "cp-2", "cp-3"]


@pytest.mark.row("BDR-17")
def test_backup_into_a_bucket(play: Play, lab: LabFixture, bucket: dict[str, str]) -> None:
    def objects() -> set[str]:
        listed = client(lab("s3")).list_objects_v2(Bucket=bucket["bucket"], Prefix="talos/test/etcd-")
        return {found["Key"] for found in listed.get("Contents", [])}

    before = objects()
    result = play("backup_etcd", etcd_snapshot_s3=bucket)
    assert (result.returncode, result.total("changed")) == (0, 1), result.output
    assert bucket["secret_key"] not in result.output
    (bucket["object"],) = objects() - before


def test_nothing_happens_without_the_typed_name(cluster: Cluster, play: Play, bucket: dict[str, str]) -> None:
    for name, options in (
        ("replace_node", {"node": "cp-3", "confirm": "replace cp-2"}),
        ("recover_etcd", {"etcd_snapshot_s3": bucket, "confirm": "recover"}),
        ("reset_cluster", {"confirm": "reset another"}),
    ):
        result = play(name, **options)
        assert result.returncode != 0
        assert result.total("changed") == 0
        assert "Nothing was touched." in result.output
    assert [sorted(one["members"]) for one in cluster.machines.etcd()] == [ALL]


@pytest.mark.row("TAL-21")
def test_a_node_that_burnt_down_is_replaced(cluster: Cluster, play: Play, lab: LabFixture) -> None:
    """The new machine waits in maintenance mode; the old one is still a member of etcd and a node of Kubernetes."""
    machines, settings = cluster.machines, lab("kubernetes")
    nodes = kubernetes.client.CoreV1Api(
        kubernetes.config.new_client_from_config(settings["kubeconfig"], context=settings["context"])
    )
    nodes.create_node({"metadata": {"name": "cp-3"}})
    machines.wipe("cp-3")
    options = {"node": "cp-3", "confirm": "replace cp-3", "replace_node_kubeconfig": settings["kubeconfig"]}
    (before,) = machines.etcd()
    result = play("replace_node", gone=True, **options)
    assert result.returncode == 0, result.output
    assert "cp-3" not in [node.metadata.name for node in nodes.list_node().items]
    (after,) = machines.etcd()
    assert (after["id"], sorted(after["members"])) == (before["id"], ALL)  # and no member twice
    assert machines.status("cp-3")["stage"] == "running"


@pytest.mark.row("BDR-17")
@pytest.mark.row("BDR-25")
def test_etcd_begins_again_after_most_of_it_was_lost(cluster: Cluster, play: Play, bucket: dict[str, str]) -> None:
    machines = cluster.machines
    lost = ("cp-1", "cp-2")
    wipe = [{"label": "EPHEMERAL", "wipe": True}]
    for name in lost:
        machines.call(name, cluster.bundle, RESET, reboot=True, system_partitions_to_wipe=wipe)
    for name in lost:
        until(lambda name=name: machines.status(name)["etcd"] == "Preparing", f"etcd on {name} to wait")  # type: ignore[misc]
    before = {one["id"] for one in machines.etcd()}
    options = {"confirm": "recover test", "etcd_snapshot_s3": bucket}
    result = play("recover_etcd", **options)
    assert (result.returncode, result.total("changed")) == (0, 1), result.output
    (recovered,) = [one["members"] for one in machines.etcd() if one["id"] not in before]
    assert (recovered[0], sorted(recovered)) == ("cp-1", ALL)
    again = play("recover_etcd", **options)
    assert (again.returncode, again.total("changed")) == (0, 0), again.output


def test_the_whole_cluster_is_reset(cluster: Cluster, play: Play) -> None:
    result = play("reset_cluster", confirm="reset test")
    assert (result.returncode, result.total("changed")) == (0, 3), result.output
    assert {cluster.machines.status(name)["stage"] for name in ALL} == {"maintenance"}

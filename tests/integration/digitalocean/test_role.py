# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""production_doks from an empty account: everything in one run, nothing in the second, nothing left at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hvac
import pytest
import requests
import yaml

from tests.ansible_runner import AnsibleRunner, PlaybookResult
from tests.integration.kubernetes.kubernetes_nodes import Nodes
from tests.sandbox.lab import Lab
from tests.sandbox.services.s3 import client
from tests.staging import ROOT

INVENTORIES = ROOT / "inventories"
SECRETS = "dcm/digitalocean/production_doks"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """An account, a Vault and a store of this module's own, because the first test needs empty ones."""
    lab = Lab(tmp_path_factory.mktemp("cloud") / "lab")
    try:
        lab.up(["digitalocean", "vault", "s3", "kubernetes"])
        yield lab.settings()
    finally:
        lab.down()


@pytest.fixture
def run(cloud: dict[str, Any], ansible: AnsibleRunner) -> Any:
    """``run("digitalocean", "--check")`` runs a playbook on production_doks."""
    account, store, vault = cloud["digitalocean"], cloud["s3"], cloud["vault"]
    environment = {
        "DIGITALOCEAN_TOKEN": account["token"],
        "SPACES_ACCESS_KEY_ID": store["access_key"],
        "SPACES_SECRET_ACCESS_KEY": store["secret_key"],
        "VAULT_ADDR": vault["url"],
        "VAULT_TOKEN": vault["token"],
    }
    places = [f"digitalocean_api_url={account['url']}", f"digitalocean_spaces_endpoint={store['endpoint']}"]

    def run_playbook(name: str, *arguments: str) -> PlaybookResult:
        requests.delete(f"{account['url']}/_sandbox/journal", timeout=10)
        extra = [part for place in places for part in ("-e", place)]
        playbook = ROOT / "playbooks" / f"{name}.yml"
        result = ansible.playbook(
            playbook, "-i", str(INVENTORIES / "production_doks"), *extra, *arguments, environment=environment
        )
        assert requests.get(f"{account['url']}/_sandbox/mismatches", timeout=10).json() == []
        return result

    return run_playbook


def state(cloud: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = requests.get(f"{cloud['digitalocean']['url']}/_sandbox/state", timeout=10).json()
    return found


def only(cloud: dict[str, Any], kind: str) -> dict[str, Any]:
    (item,) = state(cloud)["objects"][kind].values()
    return dict(item)


def kept(cloud: dict[str, Any], name: str) -> dict[str, Any]:
    vault = hvac.Client(url=cloud["vault"]["url"], token=cloud["vault"]["token"])
    data: dict[str, Any] = vault.secrets.kv.v2.read_secret_version(f"{SECRETS}/{name}", raise_on_deleted_version=True)[
        "data"
    ]["data"]
    return data


@pytest.mark.row("C-10")
@pytest.mark.row("DO-01")
@pytest.mark.row("DO-02")
@pytest.mark.row("DO-14")
@pytest.mark.row("DO-18")
@pytest.mark.row("DO-23")
def test_everything_runs_after_one_run(cloud: dict[str, Any], run: Any, tmp_path: Path) -> None:
    result = run("digitalocean", "--diff", "-vvv", "-e", f"digitalocean_terraform_directory={tmp_path}")
    assert result.returncode == 0, result.output
    cluster = only(cloud, "kubernetes_cluster")
    assert cluster["status"]["state"] == "running"
    pools = {pool["name"]: pool["count"] for pool in cluster["node_pools"]}
    assert pools == {"system": 2, "application": 3, "database": 3, "monitoring": 2}
    assert only(cloud, "vpc")["ip_range"] == "10.100.0.0/16"
    assert only(cloud, "load_balancer")["status"] == "active"
    buckets = {item["Name"] for item in client(cloud["s3"]).list_buckets()["Buckets"]}
    assert buckets >= {f"production-doks-{use}" for use in ("state", "files", "backups")}
    urns = {urn.split(":")[1] for urn, owner in state(cloud)["projects"].items() if owner == _project(cloud)}
    assert urns == {"kubernetes", "dbaas", "droplet", "floatingip", "loadbalancer", "space"}
    assert f'id = "{cluster["id"]}"' in (tmp_path / "imports.tf").read_text()
    assert 'bucket = "production-doks-state"' in (tmp_path / "backend.tf").read_text()
    assert yaml.safe_load(kept(cloud, "kubernetes")["kubeconfig"])["kind"] == "Config"
    secrets = [kept(cloud, "kubernetes")["kubeconfig"].rpartition("token: ")[2].strip(), cloud["digitalocean"]["token"]]
    secrets += [only(cloud, "database")["connection"]["password"], kept(cloud, "postgres")["provisioner"]]
    secrets += [kept(cloud, f"spaces-{use}")["secret_key"] for use in ("state", "files", "backups")]
    assert not [secret for secret in secrets if secret in result.output]


def _project(cloud: dict[str, Any]) -> str:
    projects = state(cloud)["objects"]["project"]
    return next(str(key) for key, item in projects.items() if item["name"] == "production-doks")


@pytest.mark.row("DO-17")
def test_the_database_and_the_ingress_are_reached_by_few(cloud: dict[str, Any]) -> None:
    cluster, database = only(cloud, "kubernetes_cluster"), only(cloud, "database")
    sources = {(rule["type"], rule["value"]) for rule in database["_rules"]}
    assert sources == {("k8s", cluster["id"]), ("ip_addr", "10.100.0.0/16"), ("tag", "production-doks-gateway")}
    allowed = only(cloud, "load_balancer")["firewall"]["allow"]
    assert "cidr:173.245.48.0/20" in allowed
    assert "cidr:0.0.0.0/0" not in allowed
    (tunnel,) = [rule for rule in only(cloud, "firewall")["inbound_rules"] if rule["protocol"] == "udp"]
    assert tunnel["ports"] == "51820"


def test_the_second_run_changes_nothing_and_lists_every_type_once(cloud: dict[str, Any], run: Any) -> None:
    result = run("digitalocean")
    assert result.returncode == 0, result.output
    assert result.total("changed") == 0, result.output
    journal = requests.get(f"{cloud['digitalocean']['url']}/_sandbox/journal", timeout=10).json()
    assert {entry["method"] for entry in journal} == {"GET"}
    assert max(Counter(entry["path"] for entry in journal).values()) == 1


@pytest.mark.row("DO-11")
def test_a_pool_gets_larger_nodes_once_its_pods_have_left(cloud: dict[str, Any], run: Any) -> None:
    def pool() -> dict[str, Any]:
        pools = only(cloud, "kubernetes_cluster")["node_pools"]
        return next(dict(pool) for pool in pools if pool["name"] == "monitoring")

    nodes = Nodes(cloud["kubernetes"], "monitoring-pods")
    for name in (*(node["name"] for node in pool()["nodes"]), "another-node"):
        nodes.add(name)
    nodes.deploy(replicas=3, min_available=2)
    kubeconfig = f"dcm_kubeconfig={cloud['kubernetes']['kubeconfig']}"
    result = run("resize_nodes", "-e", "pool=monitoring", "-e", "size=s-8vcpu-16gb", "-e", kubeconfig)
    assert result.returncode == 0, result.output
    assert (pool()["size"], pool()["count"]) == ("s-8vcpu-16gb", 2)
    assert len(only(cloud, "kubernetes_cluster")["node_pools"]) == 4
    old, other = nodes.names[:2], nodes.names[2]
    assert [nodes.pods(name) for name in old] == [[], []]
    assert all(nodes.cordoned(name) for name in old)
    assert len(nodes.pods(other)) == 3


@pytest.mark.row("DO-16")
def test_old_images_go_and_what_is_kept_stays(cloud: dict[str, Any], run: Any) -> None:
    account = cloud["digitalocean"]
    registry = only(cloud, "registry")["name"]
    tags = [("bot", f"build-{day:02}", f"2024-01-{day:02}T00:00:00Z") for day in range(1, 15)]
    tags += [("bot", "v1.0.0", "2023-01-01T00:00:00Z"), ("api", "latest", "2023-01-01T00:00:00Z")]
    for repository, tag, moment in tags:
        image = {"registry": registry, "repository": repository, "tag": tag, "updated_at": moment}
        requests.post(f"{account['url']}/_sandbox/push", json=image, timeout=10).raise_for_status()

    def left() -> set[str]:
        return set(state(cloud)["objects"][f"image tags of {registry}"])

    before = left()
    predicted = run("registry_gc", "--check")
    assert predicted.total("changed") == 1, predicted.output
    assert left() == before
    result = run("registry_gc")
    assert result.returncode == 0, result.output
    kept = {f"bot:build-{day:02}" for day in range(5, 15)}  # the ten newest
    assert left() == {*kept, "bot:v1.0.0", "api:latest"}
    runs = state(cloud)["objects"][f"garbage collections of {registry}"].values()
    assert [item["status"] for item in runs] == ["succeeded"]
    assert run("registry_gc").total("changed") == 0


def test_nothing_is_destroyed_without_the_name(cloud: dict[str, Any], run: Any) -> None:
    before = state(cloud)
    result = run("destroy_cloud", "-e", "confirm=yes")
    assert "Nothing was touched" in result.output
    assert state(cloud) == before


def test_what_is_owned_is_destroyed_in_order_and_the_rest_stays(
    cloud: dict[str, Any], run: Any, run_module: Any
) -> None:
    account = cloud["digitalocean"]
    foreign = {"name": "foreign", "region": "nyc3", "size": "s-1vcpu-1gb", "image": "debian-12-x64"}
    headers = {"Authorization": f"Bearer {account['token']}"}
    requests.post(f"{account['url']}/v2/droplets", json=foreign, headers=headers, timeout=10).raise_for_status()
    more = '{"digitalocean_buckets": {"state": {}, "files": {}, "backups": {}, "exports": {}}}'
    store = client(cloud["s3"])
    exports = {
        "endpoint": cloud["s3"]["endpoint"],
        "access_key": cloud["s3"]["access_key"],
        "secret_key": cloud["s3"]["secret_key"],
        "owner": "production_doks",
        "buckets": [{"name": "production-doks-exports"}],
    }
    assert run_module("digitalocean_spaces_bucket", exports)["changed"]
    store.put_object(Bucket="production-doks-exports", Key="one", Body=b"1")
    result = run("destroy_cloud", "-e", "confirm='destroy production_doks'", "-e", "destroy_buckets=true", "-e", more)
    assert result.returncode == 0, result.output
    assert not [item for item in store.list_buckets()["Buckets"] if item["Name"].startswith("production-doks-")]
    objects = state(cloud)["objects"]
    for kind in (
        "kubernetes_cluster",
        "database",
        "load_balancer",
        "firewall",
        "reserved_ip",
        "registry",
        "spaces_key",
    ):
        assert objects[kind] == {}, kind
    assert [item["name"] for item in objects["droplet"].values()] == ["foreign"]


# -- inventories ------------------------------------------------------------------------------------------------


def _variables(environment: str) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for path in sorted((INVENTORIES / environment / "group_vars" / "all").glob("*.yml")):
        merged |= yaml.safe_load(path.read_text())
    return merged


@pytest.mark.row("C-44")
@pytest.mark.row("DO-25")
def test_staging_is_another_network_and_a_smaller_cluster() -> None:
    production, staging = _variables("production_doks"), _variables("staging")
    assert production.keys() <= staging.keys() | {"digitalocean_postgres_size", "backups_second_region"}
    assert production["dcm_networks"]["cloud"] == "10.100.0.0/16"
    shared = {name for name in production["dcm_networks"] if name != "on_premises"}
    assert not {production["dcm_networks"][name] for name in shared} & {
        staging["dcm_networks"][name] for name in shared
    }
    assert (production["digitalocean_size_profile"], staging["digitalocean_size_profile"]) == ("pools", "small")

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The DigitalOcean modules through real Ansible, read back through other clients."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from tests.sandbox.services.s3 import client

VPC = {"name": "modules", "region": "fra1", "ip_range": "10.110.0.0/16", "description": "Modules"}


@pytest.fixture
def cloud(lab: Any) -> Any:
    """The simulator's settings. A call that is not as the vendor describes it fails the test."""
    settings = lab("digitalocean")
    yield settings
    assert requests.get(f"{settings['url']}/_sandbox/mismatches", timeout=10).json() == []


@pytest.fixture
def connection(cloud: Any) -> dict[str, Any]:
    return {"api_url": cloud["url"], "api_token": cloud["token"]}


def objects(cloud: Any, kind: str) -> list[dict[str, Any]]:
    """Straight from the simulator's state."""
    state = requests.get(f"{cloud['url']}/_sandbox/state", timeout=10).json()
    return list(state["objects"].get(kind, {}).values())


def named(cloud: Any, kind: str, name: str) -> list[dict[str, Any]]:
    return [item for item in objects(cloud, kind) if item["name"] == name]


@pytest.mark.row("DO-06")
def test_a_network_is_predicted_made_repaired_and_removed(run_module: Any, cloud: Any, connection: Any) -> None:
    requests.post(
        f"{cloud['url']}/v2/vpcs",
        json={"name": "default-of-fra1", "region": "fra1"},
        headers={"Authorization": f"Bearer {cloud['token']}"},
        timeout=10,
    )
    arguments = {**connection, "owner": "modules", "vpcs": [VPC]}
    predicted = run_module("digitalocean_vpc", arguments, check=True, diff=True)
    assert predicted["changed"]
    assert predicted["diff"][0]["after"]["ip_range"] == VPC["ip_range"]
    assert named(cloud, "vpc", "modules") == []
    made = run_module("digitalocean_vpc", arguments)
    assert made["changed"]
    (vpc,) = named(cloud, "vpc", "modules")
    assert vpc["id"] == made["vpcs"][0]["id"]
    assert not run_module("digitalocean_vpc", arguments)["changed"]
    drift = {"kind": "vpc", "id": vpc["id"], "fields": {"description": "changed by hand"}}
    requests.post(f"{cloud['url']}/_sandbox/drift", json=drift, timeout=10)
    repaired = run_module("digitalocean_vpc", arguments, diff=True)
    assert repaired["diff"][0]["before"] == {"description": "changed by hand"}
    assert named(cloud, "vpc", "modules")[0]["description"] == "Modules dcm:modules"
    absent = {**arguments, "vpcs": [{"name": "modules", "state": "absent"}]}
    assert run_module("digitalocean_vpc", absent)["changed"]
    assert named(cloud, "vpc", "modules") == []
    assert not run_module("digitalocean_vpc", absent)["changed"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"api_url": "http://127.0.0.1:9", "retries": 0}, "DigitalOcean at http://127.0.0.1:9 is not reachable"),
        ({"api_token": "wrong"}, "HTTP 401 on GET /v2/tags: Unable to authenticate you"),
    ],
)
def test_errors_are_one_sentence_about_the_service(
    changed: dict[str, Any], message: str, run_module: Any, cloud: Any, connection: Any
) -> None:
    failed = run_module("digitalocean_tag", {**connection, "tags": [{"name": "one"}], **changed})
    assert failed["failed"]
    assert message in failed["msg"]
    assert "Traceback" not in failed.output


def test_no_secret_is_printed(run_module: Any, cloud: Any, connection: Any) -> None:
    canary = "canary-of-cloud-init"
    droplet = {"name": "canary", "region": "nyc3", "size": "s-1vcpu-1gb", "image": "ubuntu-24-04-x64"}
    made = run_module(
        "digitalocean_droplet", {**connection, "droplets": [{**droplet, "user_data": canary}]}, diff=True, verbosity=3
    )
    assert made["changed"]
    cluster = {"name": "canary", "engine": "pg", "size": "db-s-1vcpu-1gb", "num_nodes": 1, "region": "nyc3"}
    database = run_module("digitalocean_database", {**connection, "clusters": [cluster]}, diff=True, verbosity=3)
    (stored,) = named(cloud, "database", "canary")
    for secret in (canary, cloud["token"]):
        assert secret not in made.output
    for secret in (stored["connection"]["password"], stored["connection"]["uri"], cloud["token"]):
        assert secret not in database.output
        assert secret not in str(database)


def test_info_reads_every_type_with_one_list_each(run_module: Any, cloud: Any, connection: Any) -> None:
    types = ["vpcs", "droplets", "kubernetes_clusters", "database_clusters", "registries", "tags", "projects"]
    requests.delete(f"{cloud['url']}/_sandbox/journal", timeout=10)
    found = run_module("digitalocean_info", {**connection, "types": types})
    assert not found["changed"]
    assert {item["name"] for item in found["projects"]} >= {"Default"}
    journal = requests.get(f"{cloud['url']}/_sandbox/journal", timeout=10).json()
    assert len(journal) == len(types)


# -- Spaces -----------------------------------------------------------------------------------------------------


@pytest.mark.row("DO-12")
@pytest.mark.row("DO-13")
@pytest.mark.row("X-19")
def test_a_bucket_is_predicted_made_repaired_and_removed(run_module: Any, lab: Any) -> None:
    settings = lab("s3")
    store = client(settings)
    keys = {name: settings[name] for name in ("endpoint", "access_key", "secret_key")}
    bucket: dict[str, Any] = {"name": "modules-backups", "versioning": True, "acl": "private"}
    bucket["lifecycle"] = [{"id": "retention", "expire_days": 30, "expire_noncurrent_days": 7}]
    bucket["cors"] = [{"allowed_origins": ["https://example.com"], "allowed_methods": ["GET"]}]
    arguments = {**keys, "owner": "modules", "buckets": [bucket]}
    predicted = run_module("digitalocean_spaces_bucket", arguments, check=True, diff=True)
    assert predicted["changed"]
    assert settings["secret_key"] not in predicted.output
    assert "modules-backups" not in {item["Name"] for item in store.list_buckets()["Buckets"]}
    assert run_module("digitalocean_spaces_bucket", arguments)["changed"]
    (rule,) = store.get_bucket_lifecycle_configuration(Bucket="modules-backups")["Rules"]
    assert (rule["Expiration"]["Days"], rule["NoncurrentVersionExpiration"]["NoncurrentDays"]) == (30, 7)
    assert store.get_bucket_versioning(Bucket="modules-backups")["Status"] == "Enabled"
    assert not run_module("digitalocean_spaces_bucket", arguments)["changed"]
    store.delete_bucket_lifecycle(Bucket="modules-backups")
    store.put_bucket_acl(Bucket="modules-backups", ACL="public-read")
    repaired = run_module("digitalocean_spaces_bucket", arguments, diff=True)
    assert [sorted(entry["after"]) for entry in repaired["diff"]] == [["acl"], ["lifecycle"]]
    store.put_object(Bucket="modules-backups", Key="old", Body=b"1")
    store.delete_object(Bucket="modules-backups", Key="old")  # leaves a version and a delete marker
    absent = {**arguments, "buckets": [{"name": "modules-backups", "state": "absent"}]}
    assert "BucketNotEmpty" in run_module("digitalocean_spaces_bucket", absent)["msg"]
    absent["buckets"][0]["delete_contents"] = True
    assert run_module("digitalocean_spaces_bucket", absent)["changed"]
    assert "modules-backups" not in {item["Name"] for item in store.list_buckets()["Buckets"]}

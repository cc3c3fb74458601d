# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The tables of all types against the simulator: made once, unchanged the second time, repaired, removed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.database import DATABASE_CLUSTER
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.droplet import DROPLET, RESERVED_IP
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.kubernetes import CLUSTER
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.registry import REGISTRY
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.resource_type import ResourceType
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.types import (
    DOMAIN,
    FIREWALL,
    LOAD_BALANCER,
    PROJECT,
    SPACES_KEY,
    SSH_KEY,
    TAG,
    VPC,
)
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError, RefusedError

from tests.unit.module_utils.digitalocean.conftest import Account

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1nG8WcSrEdNyoYuH6d8AGsAeXK4RRpyYwLPUa4RZ7q operator"
OWNER = "production"
RULE = {"protocol": "tcp", "ports": "443", "sources": {"addresses": ["198.51.100.0/24", "203.0.113.0/24"]}}


@dataclass(frozen=True)
class Case:
    """An object, the drift of every kind that somebody may cause, and what cannot be changed."""

    kind: ResourceType
    wanted: dict[str, Any]
    table: str  # of the simulator
    drift: dict[str, Any] = field(default_factory=dict)
    immutable: dict[str, Any] = field(default_factory=dict)
    changes: int = 1  # of making it


CASES = [
    Case(
        VPC,
        {"name": "production", "region": "nyc3", "ip_range": "10.100.0.0/16", "description": "Production"},
        "vpc",
        {"description": "changed by hand"},
        {"region": "nyc1", "ip_range": "10.101.0.0/16"},
    ),
    Case(TAG, {"name": "gateway"}, "tag"),
    Case(
        PROJECT,
        {"name": "production", "purpose": "API", "environment": "Production", "description": "all"},
        "project",
        {"purpose": "Other", "environment": "Staging", "description": "none"},
    ),
    Case(SSH_KEY, {"name": "operator", "public_key": KEY}, "ssh_key", {"name": "renamed"}),
    Case(DOMAIN, {"name": "example.com", "ip_address": "192.0.2.1"}, "domain"),
    Case(
        FIREWALL,
        {"name": "production-entry", "inbound_rules": [RULE], "outbound_rules": []},
        "firewall",
        {"inbound_rules": [{"protocol": "tcp", "ports": "22", "sources": {"addresses": ["0.0.0.0/0"]}}]},
    ),
    Case(
        LOAD_BALANCER,
        {
            "name": "production-entry",
            "region": "nyc3",
            "size_unit": 2,
            "algorithm": "round_robin",
            "tag": "entry",
            "forwarding_rules": [
                {"entry_protocol": "tcp", "entry_port": 443, "target_protocol": "tcp", "target_port": 30443}
            ],
            "health_check": {"protocol": "tcp", "port": 30443},
            "firewall": {"allow": ["cidr:198.51.100.0/24"]},
        },
        "load_balancer",
        {"size_unit": 1, "algorithm": "least_connections", "firewall": {"allow": [], "deny": []}},
        {"region": "nyc1", "network": "INTERNAL"},
    ),
    Case(
        CLUSTER,
        {
            "name": "production",
            "region": "nyc3",
            "version": "1.34",
            "auto_upgrade": True,
            "maintenance_policy": {"day": "sunday", "start_time": "04:00"},
            "control_plane_firewall": {"enabled": True, "allowed_addresses": ["198.51.100.1", "198.51.100.2"]},
            "node_pools": [{"name": "system", "size": "s-2vcpu-4gb", "count": 2}],
        },
        "kubernetes_cluster",
        {"auto_upgrade": False, "maintenance_policy": {"day": "any", "start_time": "20:00"}},
        {"region": "nyc1", "service_subnet": "10.246.0.0/16"},
    ),
    Case(
        DATABASE_CLUSTER,
        {
            "name": "production",
            "engine": "pg",
            "version": "15",
            "size": "db-s-2vcpu-4gb",
            "num_nodes": 2,
            "region": "nyc3",
            "rules": [{"type": "ip_addr", "value": "192.0.2.1"}],
            "maintenance_window": {"day": "sunday", "hour": "04:00"},
        },
        "database",
        {"num_nodes": 1, "_rules": [], "maintenance_window": {"day": "monday", "hour": "01:00:00"}},
        {"engine": "mysql"},
        changes=2,
    ),
    Case(
        REGISTRY,
        {"name": "production-images", "region": "nyc3", "subscription_tier_slug": "basic"},
        "registry",
        {},
        {"region": "fra1"},
    ),
    Case(
        DROPLET,
        {"name": "gateway", "region": "nyc3", "size": "s-1vcpu-1gb", "image": "ubuntu-24-04-x64", "tags": ["gateway"]},
        "droplet",
        {"size_slug": "s-1vcpu-2gb", "tags": ["dcm:production", "other"]},
        {"region": "nyc1", "image": "debian-12-x64"},
    ),
    Case(
        SPACES_KEY,
        {"name": "production-files", "grants": [{"bucket": "files", "permission": "readwrite"}]},
        "spaces_key",
        {},
        {"grants": [{"bucket": "files", "permission": "read"}]},
    ),
]
EVERY = pytest.mark.parametrize("case", CASES, ids=lambda case: case.kind.noun)


def owner(case: Case) -> str | None:
    return OWNER if case.kind.mark else None


@EVERY
@pytest.mark.row("DO-01")
@pytest.mark.row("DO-06")
@pytest.mark.row("DO-07")
@pytest.mark.row("DO-08")
@pytest.mark.row("DO-09")
@pytest.mark.row("DO-15")
@pytest.mark.row("DO-17")
@pytest.mark.row("DO-19")
def test_made_once_and_unchanged_the_second_time(case: Case, account: Account) -> None:
    made, objects = account.run(case.kind, [case.wanted], owner=owner(case))
    assert [change.action for change in made] == ["create"] + ["update"] * (case.changes - 1)
    assert objects[0][case.kind.id_field]
    account.api.journal.clear()
    again, same = account.run(case.kind, [case.wanted], owner=owner(case))
    assert again == []
    assert same[0][case.kind.id_field] == objects[0][case.kind.id_field]
    assert {entry.method for entry in account.api.journal} == {"GET"}
    assert account.calls("GET").count(case.kind.path) == 1


@EVERY
@pytest.mark.row("DO-04")
@pytest.mark.row("MNT-06")
def test_each_drifted_field_is_repaired_and_shown(case: Case, account: Account) -> None:
    account.run(case.kind, [case.wanted], owner=owner(case))
    account.api.world.use_tags(["other"])
    for name, value in case.drift.items():
        thing = next(
            item
            for item in account.api.world.table(case.table).values()
            if item["name"] in (case.wanted["name"], "renamed")
        )
        before = thing[name]
        thing[name] = value
        changes = account.plan(case.kind, [case.wanted], owner=owner(case))
        option = name.removeprefix("_").removesuffix("_slug")
        assert [(change.action, list(change.after or ())) for change in changes] == [("update", [option])], name
        account.run(case.kind, [case.wanted], owner=owner(case))
        after = next(
            item for item in account.api.world.table(case.table).values() if item["name"] == case.wanted["name"]
        )
        assert _comparable(after[name]) == _comparable(before)
        assert account.plan(case.kind, [case.wanted], owner=owner(case)) == []


def _comparable(value: Any) -> Any:
    """Without what the server adds, in any order."""
    if isinstance(value, list):
        return sorted(str(_comparable(item)) for item in value)
    if isinstance(value, dict):
        hidden = ("uuid", "cluster_uuid", "created_at")
        return {name: _comparable(item) for name, item in value.items() if name not in hidden}
    return value


@EVERY
def test_what_cannot_be_changed_is_refused_and_replaced_on_demand(case: Case, account: Account) -> None:
    _unused, objects = account.run(case.kind, [case.wanted], owner=owner(case))
    for vpc in account.api.world.table("vpc").values():
        vpc["default"] = False  # the first of a region, which is never deleted
    for name, value in case.immutable.items():
        different = {**case.wanted, name: value}
        with pytest.raises(RefusedError, match=f"cannot be changed: {name} is .*wanted is") as refused:
            account.plan(case.kind, [different], owner=owner(case))
        assert case.kind.replacing in str(refused.value)
    if case.immutable:
        _unused, replaced = account.run(case.kind, [{**different, "replace": True}], owner=owner(case))
        assert replaced[0].get("id", 0) != objects[0].get("id", 1)
        assert account.plan(case.kind, [different], owner=owner(case)) == []


@EVERY
def test_only_what_is_owned_is_deleted(case: Case, account: Account) -> None:
    if case.kind.mark:
        account.run(case.kind, [case.wanted], owner=OWNER)
        for vpc in account.api.world.table("vpc").values():
            vpc["default"] = False
        with pytest.raises(RefusedError, match="does not belong to staging"):
            account.plan(case.kind, [{"name": case.wanted["name"], "state": "absent"}], owner="staging")
        assert account.plan(case.kind, [], owner="staging", purge=True) == []
        purged, _unused = account.run(case.kind, [], owner=OWNER, purge=True)
        assert [change.action for change in purged] == ["delete"]
    else:
        account.run(case.kind, [case.wanted])
        account.run(case.kind, [{**case.wanted, "state": "absent"}])
    assert account.plan(case.kind, [{**case.wanted, "state": "absent"}]) == []


@pytest.mark.parametrize("owner", [None, OWNER])
def test_check_mode_writes_nothing(owner: str | None, account: Account) -> None:
    for case in CASES:
        account.plan(case.kind, [case.wanted], owner=owner if case.kind.mark else None)
    assert {entry.method for entry in account.api.journal} == {"GET"}


def test_forty_five_networks_on_three_pages_are_found(account: Account) -> None:
    for number in range(45):
        account.api.world.add_vpc(f"network-{number}", "nyc3", f"10.{number}.0.0/16", "")
    assert account.plan(VPC, [{"name": "network-44", "region": "nyc3"}]) == []
    assert account.calls("GET") == ["/v2/vpcs"] * 3


def test_two_objects_of_a_name_are_an_error_that_names_both(account: Account) -> None:
    for _unused in range(2):
        account.client().post("/v2/droplets", _droplet("twin"), done=lambda: None)
    ids = list(account.api.world.table("droplet"))
    with pytest.raises(RefusedError, match=f"2 objects are Droplet twin: {ids[0]} and {ids[1]}"):
        account.plan(DROPLET, [{"name": "twin", "size": "s-1vcpu-1gb"}])


def _droplet(name: str) -> dict[str, Any]:
    return {"name": name, "region": "nyc3", "size": "s-1vcpu-1gb", "image": "ubuntu-24-04-x64"}


def test_a_second_object_of_the_list_with_the_same_name_is_refused(account: Account) -> None:
    with pytest.raises(InputError, match="declared twice"):
        account.plan(TAG, [{"name": "a"}, {"name": "A"}])


def test_a_name_that_cannot_show_its_owner_is_refused(account: Account) -> None:
    with pytest.raises(InputError, match="must begin with production-"):
        account.plan(FIREWALL, [{"name": "entry", "inbound_rules": [RULE]}], owner=OWNER)


def test_a_network_is_deleted_when_its_members_have_let_go(account: Account) -> None:
    account.api.world.add_vpc("default", "nyc3", None, "")
    _unused, (vpc,) = account.run(VPC, [{"name": "production", "region": "nyc3"}])
    account.run(DROPLET, [{**_droplet("member"), "vpc_uuid": vpc["id"]}])
    account.run(DROPLET, [{"name": "member", "state": "absent"}])
    began = account.time.now
    account.run(VPC, [{"name": "production", "state": "absent"}])
    assert account.time.now - began >= 20
    assert vpc["id"] not in account.api.world.table("vpc")


def test_the_default_network_of_a_region_is_refused_at_once(account: Account) -> None:
    account.run(VPC, [{"name": "production", "region": "nyc3"}])
    with pytest.raises(RefusedError, match="default VPC"):
        account.plan(VPC, [{"name": "production", "state": "absent"}])


def test_a_tag_keeps_its_first_spelling(account: Account) -> None:
    account.run(TAG, [{"name": "Gateway"}])
    _unused, (one,) = account.run(DROPLET, [_droplet("one")])
    account.run(DROPLET, [{"name": "one", "tags": ["gateway"]}])
    assert account.api.world.table("droplet")[str(one["id"])]["tags"] == ["Gateway"]
    assert account.plan(DROPLET, [{"name": "one", "tags": ["GATEWAY"]}]) == []


def test_records_of_a_domain(account: Account) -> None:
    record = {"type": "CNAME", "name": "www", "data": "example.com.", "ttl": 300}
    domain: dict[str, Any] = {"name": "example.com", "ip_address": "192.0.2.1", "records": [record]}
    account.run(DOMAIN, [domain])
    assert account.plan(DOMAIN, [domain]) == []
    record["ttl"] = 600
    assert [change.after for change in account.run(DOMAIN, [domain])[0]] == [{"ttl": 600}]
    domain["purge_records"] = True
    purged, _unused = account.run(DOMAIN, [domain])
    assert [change.name for change in purged] == ["example.com/A @ 192.0.2.1"]  # and none of the server's own


def test_a_project_gets_resources_and_never_loses_them(account: Account) -> None:
    _unused, (droplet,) = account.run(DROPLET, [_droplet("one")])
    project = {"name": "production", "purpose": "API", "resources": [f"do:droplet:{droplet['id']}"]}
    account.run(PROJECT, [project])
    assert account.plan(PROJECT, [project]) == []
    assert account.plan(PROJECT, [{**project, "resources": []}]) == []
    with pytest.raises(RefusedError, match="412"):
        account.run(PROJECT, [{"name": "production", "state": "absent"}])


def test_a_reserved_ip_follows_its_droplet(account: Account) -> None:
    _unused, (one,) = account.run(DROPLET, [_droplet("one")])
    _unused, (two,) = account.run(DROPLET, [_droplet("two")])
    _unused, (address,) = account.run(RESERVED_IP, [{"droplet_id": one["id"], "region": "nyc3"}])
    assert account.plan(RESERVED_IP, [{"droplet_id": one["id"], "region": "nyc3"}]) == []
    moved, _objects = account.run(RESERVED_IP, [{"ip": address["ip"], "droplet_id": two["id"]}])
    assert [change.after for change in moved] == [{"droplet_id": two["id"]}]
    assert account.plan(RESERVED_IP, [{"droplet_id": two["id"]}]) == []


def test_a_load_balancer_changes_its_kind_of_target_and_of_size(account: Account) -> None:
    _unused, (droplet,) = account.run(DROPLET, [_droplet("one")])
    balancer = next(case.wanted for case in CASES if case.kind is LOAD_BALANCER)
    account.run(LOAD_BALANCER, [balancer])
    other = {"name": balancer["name"], "droplet_ids": [droplet["id"]], "size": "lb-small"}
    account.run(LOAD_BALANCER, [other])
    assert account.plan(LOAD_BALANCER, [other]) == []
    (item,) = account.api.world.table("load_balancer").values()
    assert item["health_check"]["port"] == 30443  # what is not given stays, though the API would reset it


def test_a_load_balancer_of_a_service_is_never_deleted(account: Account) -> None:
    balancer = {**next(case.wanted for case in CASES if case.kind is LOAD_BALANCER), "name": "a" + "0" * 31}
    account.run(LOAD_BALANCER, [balancer])
    with pytest.raises(RefusedError, match="Kubernetes Service"):
        account.plan(LOAD_BALANCER, [{"name": balancer["name"], "state": "absent"}])

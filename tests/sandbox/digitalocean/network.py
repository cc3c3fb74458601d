# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""VPCs, firewalls, load balancers, reserved IPs."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from tests.sandbox.digitalocean.world import (
    Answer,
    Call,
    Object,
    Refusal,
    World,
    check_region,
    region_object,
    route,
)

# -- VPCs -------------------------------------------------------------------------------------------------------


@route("GET", "/v2/vpcs")
def list_vpcs(world: World, call: Call) -> Answer:
    return world.listing("vpcs", list(world.table("vpc").values()), call, "/v2/vpcs")


@route("POST", "/v2/vpcs")
def create_vpc(world: World, call: Call) -> Answer:
    body = call.body
    world.unique("vpc", body["name"], 422)
    if body.get("ip_range"):
        _check_range(world, body["ip_range"])
    region = check_region(body["region"])
    return 201, {"vpc": world.add_vpc(body["name"], region, body.get("ip_range"), body.get("description", ""))}


def _check_range(world: World, text: str) -> None:
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise Refusal(422, f"ip_range: {error}") from None
    if not 16 <= network.prefixlen <= 28 or not network.is_private:
        raise Refusal(422, "ip_range must be a private network between /28 and /16")
    for vpc in world.table("vpc").values():
        if network.overlaps(ipaddress.ip_network(vpc["ip_range"])):
            raise Refusal(422, f"This range/size overlaps with another VPC network in your account: {vpc['name']}")


@route("GET", "/v2/vpcs/{}")
def get_vpc(world: World, call: Call) -> Answer:
    return 200, {"vpc": world.get("vpc", call.arguments[0])}


@route("PATCH", "/v2/vpcs/{}")
def patch_vpc(world: World, call: Call) -> Answer:
    vpc = world.get("vpc", call.arguments[0])
    if len(call.body.get("description", "")) > 255:
        raise Refusal(422, "description is too long")
    if call.body.get("default"):
        for other in world.table("vpc").values():
            other["default"] = other["default"] and other["region"] != vpc["region"]
    vpc.update(call.body)
    return 200, {"vpc": vpc}


@route("DELETE", "/v2/vpcs/{}")
def delete_vpc(world: World, call: Call) -> Answer:
    vpc = world.get("vpc", call.arguments[0])
    if vpc["default"]:
        raise Refusal(403, "Can not delete default VPCs")
    if world.members.get(vpc["id"]):
        raise Refusal(403, "Can not delete VPC with members")
    del world.table("vpc")[vpc["id"]]
    return 204, None


@route("GET", "/v2/vpcs/{}/members")
def list_members(world: World, call: Call) -> Answer:
    world.get("vpc", call.arguments[0])
    members = [
        {"name": name, "urn": urn, "created_at": world.timestamp()}
        for urn, name in world.members.get(call.arguments[0], {}).items()
        if urn.startswith(f"do:{call.query.get('resource_type', '')}")
    ]
    return world.listing("members", members, call, f"/v2/vpcs/{call.arguments[0]}/members")


# -- firewalls --------------------------------------------------------------------------------------------------


def _firewall_fields(world: World, body: Object) -> Object:
    """A whole firewall: what is left out is empty. Raises :class:`Refusal`."""
    if not body.get("inbound_rules") and not body.get("outbound_rules"):
        raise Refusal(422, "at least one rule must be given")
    world.require_tags(body.get("tags"))
    rules = {}
    for direction, side in (("inbound_rules", "sources"), ("outbound_rules", "destinations")):
        rules[direction] = [_rule(world, rule, side) for rule in body.get(direction) or ()]
    return {
        "name": body["name"],
        **rules,
        "droplet_ids": body.get("droplet_ids") or [],
        "tags": body.get("tags") or [],
    }


def _rule(world: World, rule: Object, side: str) -> Object:
    peers = rule[side]
    world.require_tags(peers.get("tags"))
    for address in peers.get("addresses", ()):
        try:
            ipaddress.ip_network(address, strict=False)
        except ValueError as error:
            raise Refusal(422, f"address: {error}") from None
    for number in peers.get("droplet_ids", ()):
        world.get("droplet", str(number))
    for identifier in peers.get("kubernetes_ids", ()):
        world.get("kubernetes_cluster", identifier)
    ports = "0" if rule["protocol"] == "icmp" or rule["ports"] in ("all", "0") else rule["ports"]
    if not re.fullmatch(r"\d+(-\d+)?", ports):
        raise Refusal(422, f"ports {ports} is invalid")
    # order is not kept
    return {"protocol": rule["protocol"], "ports": ports, side: {name: peers[name][::-1] for name in peers}}


@route("GET", "/v2/firewalls")
def list_firewalls(world: World, call: Call) -> Answer:
    return world.listing("firewalls", list(world.table("firewall").values()), call, "/v2/firewalls")


@route("POST", "/v2/firewalls")
def create_firewall(world: World, call: Call) -> Answer:
    world.unique("firewall", call.body["name"])
    identifier = world.new_id()
    firewall = {
        "id": identifier,
        "status": "waiting",
        "created_at": world.timestamp(),
        "pending_changes": [],
        **_firewall_fields(world, call.body),
    }
    world.table("firewall")[identifier] = firewall
    world.later(world.delay, lambda: firewall.update(status="succeeded"))
    return 202, {"firewall": firewall}


@route("GET", "/v2/firewalls/{}")
def get_firewall(world: World, call: Call) -> Answer:
    return 200, {"firewall": world.get("firewall", call.arguments[0])}


@route("PUT", "/v2/firewalls/{}")
def replace_firewall(world: World, call: Call) -> Answer:
    firewall = world.get("firewall", call.arguments[0])
    firewall.update(_firewall_fields(world, call.body), status="waiting")
    world.later(world.delay, lambda: firewall.update(status="succeeded"))
    return 200, {"firewall": firewall}


@route("DELETE", "/v2/firewalls/{}")
def delete_firewall(world: World, call: Call) -> Answer:
    world.get("firewall", call.arguments[0])
    del world.table("firewall")[call.arguments[0]]
    return 204, None


# -- load balancers ---------------------------------------------------------------------------------------------

_LB_DEFAULTS: Object = {
    "algorithm": "round_robin",
    "health_check": {
        "protocol": "http",
        "port": 80,
        "path": "/",
        "check_interval_seconds": 10,
        "response_timeout_seconds": 5,
        "unhealthy_threshold": 5,
        "healthy_threshold": 3,
    },
    "sticky_sessions": {"type": "none"},
    "redirect_http_to_https": False,
    "enable_proxy_protocol": False,
    "enable_backend_keepalive": False,
    "http_idle_timeout_seconds": 60,
    "disable_lets_encrypt_dns_records": False,
    "network": "EXTERNAL",
    "network_stack": "IPV4",
    "type": "REGIONAL",
    "tls_cipher_policy": "DEFAULT",
}


def _lb_fields(world: World, body: Object, region: str) -> Object:
    if "size" in body and "size_unit" in body:
        raise Refusal(422, "only one of size and size_unit can be given")
    if "tag" in body and "droplet_ids" in body:
        raise Refusal(422, "only one of tag and droplet_ids can be given")
    if not body.get("forwarding_rules"):
        raise Refusal(422, "at least one forwarding rule is needed")
    for number in body.get("droplet_ids", ()):
        world.get("droplet", str(number))
    fields = {**_LB_DEFAULTS, **{name: item for name, item in body.items() if name not in ("region", "vpc_uuid")}}
    fields["health_check"] = {**_LB_DEFAULTS["health_check"], **body.get("health_check", {})}
    fields["firewall"] = {"allow": [], "deny": [], **body.get("firewall", {})}
    fields["forwarding_rules"] = [
        {"certificate_id": "", "tls_passthrough": False, **rule} for rule in body["forwarding_rules"]
    ]
    if "size" not in body:
        fields["size_unit"] = body.get("size_unit", 1)
    if "tag" in fields:
        tagged = (item for item in world.table("droplet").values() if fields["tag"] in item["tags"])
        fields["droplet_ids"] = [item["id"] for item in tagged]
    else:
        fields |= {"tag": "", "droplet_ids": fields.get("droplet_ids", [])}
    fields.setdefault("project_id", world.default_project)
    return {**fields, "region": region_object(region)}


@route("GET", "/v2/load_balancers")
def list_load_balancers(world: World, call: Call) -> Answer:
    return world.listing("load_balancers", list(world.table("load_balancer").values()), call, "/v2/load_balancers")


@route("POST", "/v2/load_balancers")
def create_load_balancer(world: World, call: Call) -> Answer:
    region = check_region(call.body.get("region"))
    identifier, name = world.new_id(), call.body.get("name", "")
    urn = f"do:loadbalancer:{identifier}"
    fields = _lb_fields(world, call.body, region)
    balancer = {
        "id": identifier,
        "ip": "",
        "status": "new",
        "created_at": world.timestamp(),
        **fields,
        "vpc_uuid": world.join(call.body.get("vpc_uuid"), region, urn, name),
    }
    world.table("load_balancer")[identifier] = balancer
    world.assign(urn, call.body.get("project_id"))
    world.later(world.delay, lambda: balancer.update(status="active", ip="203.0.113.10"))
    return 202, {"load_balancer": balancer}


@route("GET", "/v2/load_balancers/{}")
def get_load_balancer(world: World, call: Call) -> Answer:
    return 200, {"load_balancer": world.get("load_balancer", call.arguments[0])}


@route("PUT", "/v2/load_balancers/{}")
def replace_load_balancer(world: World, call: Call) -> Answer:
    balancer = world.get("load_balancer", call.arguments[0])
    region = balancer["region"]["slug"]
    if call.body.get("region", region) != region:
        raise Refusal(422, "region can not be changed")
    if call.body.get("vpc_uuid", balancer["vpc_uuid"]) != balancer["vpc_uuid"]:
        raise Refusal(422, "vpc_uuid can not be changed")
    kept = {name: balancer[name] for name in ("id", "ip", "status", "created_at", "vpc_uuid")}
    fields = _lb_fields(world, call.body, region)
    balancer.clear()
    balancer.update({**kept, **fields, **kept})
    world.assign(f"do:loadbalancer:{balancer['id']}", balancer["project_id"])
    return 200, {"load_balancer": balancer}


@route("DELETE", "/v2/load_balancers/{}")
def delete_load_balancer(world: World, call: Call) -> Answer:
    world.get("load_balancer", call.arguments[0])
    del world.table("load_balancer")[call.arguments[0]]
    world.leave(f"do:loadbalancer:{call.arguments[0]}")
    return 204, None


# -- reserved IPs -----------------------------------------------------------------------------------------------


def _address(world: World, item: Object) -> Object:
    droplet = world.table("droplet").get(str(item["droplet_id"])) if item["droplet_id"] else None
    shown: dict[str, Any] = {"ip": item["ip"], "region": region_object(item["region"]), "locked": item["locked"]}
    return {**shown, "droplet": droplet, "project_id": item["project_id"]}


@route("GET", "/v2/reserved_ips")
def list_addresses(world: World, call: Call) -> Answer:
    items = [_address(world, item) for item in world.table("reserved_ip").values()]
    return world.listing("reserved_ips", items, call, "/v2/reserved_ips")


@route("POST", "/v2/reserved_ips")
def create_address(world: World, call: Call) -> Answer:
    droplet = world.get("droplet", str(call.body["droplet_id"])) if "droplet_id" in call.body else None
    region = droplet["region"]["slug"] if droplet else check_region(call.body.get("region"))
    ip = f"192.0.2.{len(world.table('reserved_ip')) + 1}"
    if droplet:
        _refuse_second(world, droplet["id"])
    item: Object = {
        "ip": ip,
        "region": region,
        "droplet_id": droplet["id"] if droplet else None,
        "locked": bool(droplet),
    }
    item["project_id"] = call.body.get("project_id", world.default_project)
    world.table("reserved_ip")[ip] = item
    world.assign(f"do:floatingip:{ip}", item["project_id"])
    world.later(world.delay, lambda: item.update(locked=False))
    return 202, {"reserved_ip": _address(world, item), "links": {"droplets": [], "actions": []}}


def _refuse_second(world: World, droplet: int) -> None:
    if any(other["droplet_id"] == droplet for other in world.table("reserved_ip").values()):
        raise Refusal(422, "The Droplet already has a reserved IP")


@route("GET", "/v2/reserved_ips/{}")
def get_address(world: World, call: Call) -> Answer:
    return 200, {"reserved_ip": _address(world, world.get("reserved_ip", call.arguments[0]))}


@route("DELETE", "/v2/reserved_ips/{}")
def delete_address(world: World, call: Call) -> Answer:
    world.get("reserved_ip", call.arguments[0])
    del world.table("reserved_ip")[call.arguments[0]]
    world.leave(f"do:floatingip:{call.arguments[0]}")
    return 204, None


@route("POST", "/v2/reserved_ips/{}/actions")
def act_on_address(world: World, call: Call) -> Answer:
    item = world.get("reserved_ip", call.arguments[0])
    if item["locked"]:
        raise Refusal(422, "The reserved IP already has a pending event.")
    droplet = call.body.get("droplet_id") if call.body["type"] == "assign" else None
    if droplet is not None:
        world.get("droplet", str(droplet))
        _refuse_second(world, droplet)
    item["locked"] = True
    action = {"id": world.new_number(), "status": "in-progress", "type": "assign_ip", "started_at": world.timestamp()}
    action |= {"completed_at": None, "resource_id": None, "resource_type": "reserved_ip", "region_slug": item["region"]}
    world.table(f"actions of {item['ip']}")[str(action["id"])] = action

    def done() -> None:
        item.update(locked=False, droplet_id=droplet)
        action.update(status="completed", completed_at=world.timestamp())

    world.later(world.delay, done)
    return 201, {"action": action}


@route("GET", "/v2/reserved_ips/{}/actions/{}")
def get_address_action(world: World, call: Call) -> Answer:
    return 200, {"action": world.get(f"actions of {call.arguments[0]}", call.arguments[1])}

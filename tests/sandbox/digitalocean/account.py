# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Account, projects, tags, SSH keys, domains."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Any

from tests.sandbox.digitalocean.world import Answer, Call, Object, Refusal, World, route


@route("GET", "/v2/account")
def account(world: World, call: Call) -> Answer:
    return 200, {
        "account": {
            "droplet_limit": 25,
            "floating_ip_limit": 5,
            "email": "operator@example.com",
            "uuid": "b6fr89dbf6d9156cace5f3c78dc9851d957381ef",
            "email_verified": True,
            "status": "active",
            "status_message": "",
        }
    }


# -- projects ---------------------------------------------------------------------------------------------------


def _project(world: World, identifier: str) -> Object:
    return world.get("project", world.default_project if identifier == "default" else identifier)


@route("GET", "/v2/projects")
def list_projects(world: World, call: Call) -> Answer:
    return world.listing("projects", list(world.table("project").values()), call, "/v2/projects")


@route("POST", "/v2/projects")
def create_project(world: World, call: Call) -> Answer:
    world.unique("project", call.body["name"])
    return 201, {"project": world.add_project(**call.body)}


@route("GET", "/v2/projects/{}")
def get_project(world: World, call: Call) -> Answer:
    return 200, {"project": _project(world, call.arguments[0])}


@route("PATCH", "/v2/projects/{}")
def patch_project(world: World, call: Call) -> Answer:
    project = _project(world, call.arguments[0])
    if call.body.get("is_default"):
        for other in world.table("project").values():
            other["is_default"] = False
    project.update(call.body, updated_at=world.timestamp())
    return 200, {"project": project}


@route("DELETE", "/v2/projects/{}")
def delete_project(world: World, call: Call) -> Answer:
    project = _project(world, call.arguments[0])
    if project["is_default"] or project["id"] in world.projects.values():
        raise Refusal(412, "cannot delete a project with resources. move or delete them first")
    del world.table("project")[project["id"]]
    return 204, None


@route("GET", "/v2/projects/{}/resources")
def list_project_resources(world: World, call: Call) -> Answer:
    project = _project(world, call.arguments[0])
    urns = [urn for urn, owner in world.projects.items() if owner == project["id"]]
    resources = [_resource(world, urn, "ok") for urn in urns]
    return world.listing("resources", resources, call, f"/v2/projects/{call.arguments[0]}/resources")


@route("POST", "/v2/projects/{}/resources")
def assign_resources(world: World, call: Call) -> Answer:
    project = _project(world, call.arguments[0])
    answered = []
    for urn in call.body.get("resources", []):
        known = urn in world.projects or urn.startswith("do:space:")
        status = "not_found"
        if known:
            status = "already_assigned" if world.projects.get(urn) == project["id"] else "assigned"
            world.projects[urn] = project["id"]
        answered.append(_resource(world, urn, status))
    return 200, {"resources": answered}


def _resource(world: World, urn: str, status: str) -> Object:
    return {
        "urn": urn,
        "assigned_at": world.timestamp(),
        "links": {"self": "https://api.digitalocean.com/v2"},
        "status": status,
    }


# -- tags -------------------------------------------------------------------------------------------------------


def _tag(world: World, name: str) -> Object:
    if name not in world.tags.values():  # URLs know the first spelling only
        raise Refusal(404, f"tag {name} not found")
    count = sum(name in item.get("tags", ()) for item in world.table("droplet").values())
    return {"name": name, "resources": {"count": count, "droplets": {"count": count}}}


@route("GET", "/v2/tags")
def list_tags(world: World, call: Call) -> Answer:
    return world.listing("tags", [_tag(world, name) for name in world.tags.values()], call, "/v2/tags")


@route("POST", "/v2/tags")
def create_tag(world: World, call: Call) -> Answer:
    return 201, {"tag": _tag(world, world.use_tags([call.body["name"]])[0])}


@route("GET", "/v2/tags/{}")
def get_tag(world: World, call: Call) -> Answer:
    return 200, {"tag": _tag(world, call.arguments[0])}


@route("DELETE", "/v2/tags/{}")
def delete_tag(world: World, call: Call) -> Answer:
    name = _tag(world, call.arguments[0])["name"]
    del world.tags[name.lower()]
    for droplet in world.table("droplet").values():
        droplet["tags"] = [tag for tag in droplet["tags"] if tag != name]
    return 204, None


def _tagged(world: World, call: Call) -> list[Object]:
    _tag(world, call.arguments[0])
    return [world.get("droplet", item["resource_id"]) for item in call.body["resources"]]


@route("POST", "/v2/tags/{}/resources")
def tag_resources(world: World, call: Call) -> Answer:
    for droplet in _tagged(world, call):
        droplet["tags"] = [*(tag for tag in droplet["tags"] if tag != call.arguments[0]), call.arguments[0]]
    return 204, None


@route("DELETE", "/v2/tags/{}/resources")
def untag_resources(world: World, call: Call) -> Answer:
    for droplet in _tagged(world, call):
        droplet["tags"] = [tag for tag in droplet["tags"] if tag != call.arguments[0]]
    return 204, None


# -- SSH keys ---------------------------------------------------------------------------------------------------


@route("GET", "/v2/account/keys")
def list_keys(world: World, call: Call) -> Answer:
    return world.listing("ssh_keys", list(world.table("ssh_key").values()), call, "/v2/account/keys")


@route("POST", "/v2/account/keys")
def create_key(world: World, call: Call) -> Answer:
    try:
        blob = base64.b64decode(call.body["public_key"].split()[1], validate=True)
    except (IndexError, binascii.Error):
        raise Refusal(422, "Key invalid, key should be of the format `ssh-ed25519 AAAA...`") from None
    digest = hashlib.md5(blob, usedforsecurity=False).hexdigest()
    fingerprint = ":".join(re.findall("..", digest))
    if any(key["fingerprint"] == fingerprint for key in world.table("ssh_key").values()):
        raise Refusal(422, "SSH Key is already in use on your account")
    key = {"id": world.new_number(), "fingerprint": fingerprint, **call.body}
    world.table("ssh_key")[str(key["id"])] = key
    return 201, {"ssh_key": key}


@route("GET", "/v2/account/keys/{}")
def get_key(world: World, call: Call) -> Answer:
    return 200, {"ssh_key": world.get("ssh_key", call.arguments[0])}


@route("PUT", "/v2/account/keys/{}")
def update_key(world: World, call: Call) -> Answer:
    key = world.get("ssh_key", call.arguments[0])
    key["name"] = call.body.get("name", key["name"])
    return 200, {"ssh_key": key}


@route("DELETE", "/v2/account/keys/{}")
def delete_key(world: World, call: Call) -> Answer:
    world.get("ssh_key", call.arguments[0])
    del world.table("ssh_key")[call.arguments[0]]
    return 204, None


# -- domains ----------------------------------------------------------------------------------------------------


@route("GET", "/v2/domains")
def list_domains(world: World, call: Call) -> Answer:
    return world.listing("domains", list(world.table("domain").values()), call, "/v2/domains")


@route("POST", "/v2/domains")
def create_domain(world: World, call: Call) -> Answer:
    name = call.body["name"]
    world.unique("domain", name, 422)
    domain = {"name": name, "ttl": 1800, "zone_file": f"$ORIGIN {name}."}
    world.table("domain")[name] = domain
    world.assign(f"do:domain:{name}")
    for number in (1, 2, 3):
        _add_record(world, name, {"type": "NS", "name": "@", "data": f"ns{number}.digitalocean.com"})
    if call.body.get("ip_address"):
        _add_record(world, name, {"type": "A", "name": "@", "data": call.body["ip_address"]})
    return 201, {"domain": {**domain, "ttl": None, "zone_file": None}}


@route("GET", "/v2/domains/{}")
def get_domain(world: World, call: Call) -> Answer:
    return 200, {"domain": world.get("domain", call.arguments[0])}


@route("DELETE", "/v2/domains/{}")
def delete_domain(world: World, call: Call) -> Answer:
    world.get("domain", call.arguments[0])
    del world.table("domain")[call.arguments[0]]
    world.table(f"records of {call.arguments[0]}").clear()
    world.leave(f"do:domain:{call.arguments[0]}")
    return 204, None


def _add_record(world: World, domain: str, fields: dict[str, Any]) -> Object:
    empty = dict.fromkeys(("priority", "port", "weight", "flags", "tag"))
    record = {"id": world.new_number(), "ttl": 1800, **empty, **fields}
    world.table(f"records of {domain}")[str(record["id"])] = record
    return record


@route("GET", "/v2/domains/{}/records")
def list_records(world: World, call: Call) -> Answer:
    world.get("domain", call.arguments[0])
    records = list(world.table(f"records of {call.arguments[0]}").values())
    return world.listing("domain_records", records, call, f"/v2/domains/{call.arguments[0]}/records")


@route("POST", "/v2/domains/{}/records")
def create_record(world: World, call: Call) -> Answer:
    world.get("domain", call.arguments[0])
    if call.body["type"] in ("CNAME", "MX", "SRV") and not call.body["data"].endswith(".") and call.body["data"] != "@":
        raise Refusal(422, "Data needs to end with a dot (.)")
    return 201, {"domain_record": _add_record(world, call.arguments[0], call.body)}


@route("GET", "/v2/domains/{}/records/{}")
def get_record(world: World, call: Call) -> Answer:
    return 200, {"domain_record": world.get(f"records of {call.arguments[0]}", call.arguments[1])}


@route("PATCH", "/v2/domains/{}/records/{}")
def update_record(world: World, call: Call) -> Answer:
    record = world.get(f"records of {call.arguments[0]}", call.arguments[1])
    record.update(call.body)
    return 200, {"domain_record": record}


@route("DELETE", "/v2/domains/{}/records/{}")
def delete_record(world: World, call: Call) -> Answer:
    world.get(f"records of {call.arguments[0]}", call.arguments[1])
    del world.table(f"records of {call.arguments[0]}")[call.arguments[1]]
    return 204, None

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Droplets and reserved IPs, whose changes are actions that are waited for."""

from __future__ import annotations

from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.plan import Entry
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.resource import Resources
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.resource_type import (
    Call,
    ResourceType,
    Tree,
    region_slug,
    tag_set,
)
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError, RefusedError
from ansible_collections.dcm.platform.plugins.module_utils.engine.wait import NotYet


def _flat_droplet(actual: Tree) -> dict[str, Any]:
    image = actual.get("image") or {}
    networks = (actual.get("networks") or {}).get("v4") or ()
    addresses = {item["type"]: item["ip_address"] for item in networks}
    return {
        **region_slug(actual),
        "size": actual.get("size_slug"),
        "image": image.get("slug") or str(image.get("id") or ""),
        "image_id": str(image.get("id") or ""),
        "private_ip": addresses.get("private"),
        "public_ip": addresses.get("public"),
    }


def _image(wanted: Tree, actual: Tree | None) -> Tree:
    """An image may be given by its id as well; one that DigitalOcean has withdrawn has no slug any more."""
    if actual and "image" in wanted and (not actual["image"] or str(wanted["image"]) == actual["image_id"]):
        return {name: item for name, item in wanted.items() if name != "image"}
    return wanted


def _resize(resources: Resources, entry: Entry, merged: Tree) -> None:
    """Off, resized, on: the disk stays, so that the way back is open."""
    _act(resources, entry, {"type": "power_off"}, lambda actual: actual.get("status") == "off")
    _act(
        resources,
        entry,
        {"type": "resize", "size": merged["size"], "disk": False},
        lambda actual: actual.get("size") == merged["size"],
    )
    _act(resources, entry, {"type": "power_on"}, lambda actual: actual.get("status") == "active")


def _act(resources: Resources, entry: Entry, body: Tree, reached: Any) -> None:
    """Ask for an action unless its effect is there, and wait until it is."""

    def effect() -> Tree | None:
        resources.refresh(entry)
        return {} if reached(entry.actual or {}) else None

    if effect() is not None:
        return
    answer = resources.client.post(f"{entry.path}/actions", body, done=effect)
    action = (answer.get("action") or {}).get("id")

    def completed() -> None:
        if action is not None:
            status = resources.client.get(f"{entry.path}/actions/{action}")["action"]["status"]
            if status == "errored":
                raise RefusedError(f"{body['type']} of {entry.title} failed.", hint="Look at it in the control panel.")
        if effect() is None:
            raise NotYet("the action is still in progress")

    resources.wait(f"{body['type']} of {entry.title}", completed)


def _retag(resources: Resources, entry: Entry, merged: Tree) -> None:
    """Tags of a Droplet are set tag by tag; a tag that does not exist is made."""
    actual = entry.actual or {}
    before, after = set(tag_set(actual.get("tags"))), set(tag_set(merged["tags"]))
    spelt = {str(tag).lower(): str(tag) for tag in (*(actual.get("tags") or ()), *merged["tags"])}
    body = {"resources": [{"resource_id": str(actual["id"]), "resource_type": "droplet"}]}
    for tag in sorted(after - before):
        made = resources.client.post("/v2/tags", {"name": spelt[tag]}, done=lambda: None)
        first_spelling = made["tag"]["name"]  # the only one that paths know
        resources.client.post(f"/v2/tags/{first_spelling}/resources", body, done=lambda: None)
    for tag in sorted(before - after):
        resources.client.delete(f"/v2/tags/{spelt[tag]}/resources", body)
    resources.refresh(entry)


DROPLET = ResourceType(
    noun="Droplet",
    path="/v2/droplets",
    key="droplet",
    plural="droplets",
    option="droplets",
    immutable=("region", "image", "vpc_uuid"),
    create_only=("ssh_keys", "user_data", "monitoring", "ipv6", "backups", "public_networking"),
    secret=("user_data",),
    calls=(
        Call(("size",), "POST", "/actions", perform=_resize),
        Call(("tags",), "POST", "/tags", perform=_retag),
    ),
    flatten=_flat_droplet,
    adapt=_image,
    replacing="destroys it with its disk and makes a new one",
    status=lambda actual: str(actual.get("status", "")),
    ready=("active",),
    gone=("deleted",),
    mark="tags",
)


def _flat_address(actual: Tree) -> dict[str, Any]:
    return {**region_slug(actual), "droplet_id": (actual.get("droplet") or {}).get("id")}


def _assign(resources: Resources, entry: Entry, merged: Tree) -> None:
    wanted = merged["droplet_id"]
    _act(
        resources,
        entry,
        {"type": "assign", "droplet_id": wanted},
        lambda actual: actual.get("droplet_id") == wanted and not actual.get("locked"),
    )


def _place(wanted: Tree, actual: Tree | None) -> Tree:
    """An address is made for a Droplet, and nobody can choose it."""
    if actual is None and "ip" in wanted and wanted.get("state") != "absent":
        raise InputError(f"Reserved IP {wanted['ip']} does not exist, and an address cannot be chosen.")
    if actual is None and "droplet_id" in wanted:
        return {name: item for name, item in wanted.items() if name not in ("region", "project_id")}
    return wanted


RESERVED_IP = ResourceType(
    noun="reserved IP",
    path="/v2/reserved_ips",
    key="reserved_ip",
    plural="reserved_ips",
    option="reserved_ips",
    identity=("ip",),
    label=("ip", "droplet_id"),
    id_field="ip",
    immutable=("region",),
    create_only=("project_id",),
    calls=(Call(("droplet_id",), "POST", "/actions", perform=_assign),),
    match_on=lambda wanted: ("ip",) if "ip" in wanted else ("droplet_id",),
    flatten=_flat_address,
    adapt=_place,
    status=lambda actual: "locked" if actual.get("locked") else "",
)

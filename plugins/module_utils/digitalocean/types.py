# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The types of resources that need nothing but a table."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.resource_type import (
    Call,
    ResourceType,
    Tree,
    contains,
    region_slug,
    unordered,
)
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError

# -- VPC --------------------------------------------------------------------------------------------------------

VPC = ResourceType(
    noun="VPC",
    path="/v2/vpcs",
    key="vpc",
    plural="vpcs",
    option="vpcs",
    immutable=("region", "ip_range"),
    updatable=("description", "default"),
    update_only=("default",),
    keep=lambda actual: "it is the default VPC of its region." if actual.get("default") else None,
    replacing="needs every member to be gone first, deletes the network and makes a new one",
    busy=(403, 409),  # members of a deleted cluster or load balancer linger
    mark="description",
)

# -- tag --------------------------------------------------------------------------------------------------------


def _lower(value: Any) -> str:
    return str(value).lower()


TAG = ResourceType(
    noun="tag",
    path="/v2/tags",
    key="tag",
    plural="tags",
    option="tags",
    id_field="name",
    canonical={"name": _lower},  # the first spelling stays, and another one means the same tag
)

# -- project ----------------------------------------------------------------------------------------------------


def _includes(wanted: Any, actual: Any) -> bool:
    return set(wanted) <= set(_urns(actual))


def _urns(resources: Any) -> list[str]:
    return [item["urn"] if isinstance(item, dict) else str(item) for item in resources or ()]


PROJECT = ResourceType(
    noun="project",
    path="/v2/projects",
    key="project",
    plural="projects",
    option="projects",
    updatable=("purpose", "description", "environment", "is_default"),
    update_only=("is_default",),
    calls=(
        Call(
            ("resources",),
            "POST",
            "/resources",
            lambda _merged, given: {"resources": given["resources"]},
            read=("/resources", "resources"),
            paged=True,
            in_create=False,
        ),
    ),
    matches={"resources": _includes},  # there is no removing: a resource is assigned to another project
    mark="description",
)

# -- domain and its records -------------------------------------------------------------------------------------


def _host(value: Any) -> str:
    return str(value).rstrip(".").lower()


def _server_record(actual: Tree) -> str | None:
    return "it is kept by DigitalOcean itself." if actual.get("type") in ("SOA", "NS") else None


RECORD = ResourceType(
    noun="DNS record",
    path="/records",
    key="domain_record",
    plural="domain_records",
    option="records",
    identity=("type", "name", "data"),
    updatable=("ttl", "priority", "port", "weight", "flags", "tag"),
    always_sent=("type",),
    canonical={"data": _host, "name": _lower},
    keep=_server_record,
)
DOMAIN = ResourceType(
    noun="domain",
    path="/v2/domains",
    key="domain",
    plural="domains",
    option="domains",
    id_field="name",
    create_only=("ip_address",),
    canonical={"name": _host},
    children=(RECORD,),
)

# -- SSH key ----------------------------------------------------------------------------------------------------


def fingerprint(public_key: str) -> str:
    """MD5 of the key as DigitalOcean writes it. Raises :class:`InputError` for what is no public key."""
    try:
        blob = base64.b64decode(public_key.split()[1], validate=True)
    except (IndexError, binascii.Error) as error:
        raise InputError("public_key must be a line like: ssh-ed25519 AAAA… comment.") from error
    digest = hashlib.md5(blob, usedforsecurity=False).hexdigest()
    return ":".join(digest[at : at + 2] for at in range(0, 32, 2))


SSH_KEY = ResourceType(
    noun="SSH key",
    path="/v2/account/keys",
    key="ssh_key",
    plural="ssh_keys",
    option="ssh_keys",
    # the key itself: its name may have been changed by somebody
    identity=("public_key",),
    label=("name",),
    updatable=("name",),
    update="put",
    canonical={"public_key": fingerprint},
)

# -- firewall ---------------------------------------------------------------------------------------------------


def _rules(rules: Any) -> Any:
    return unordered({**rule, "ports": _ports(rule)} for rule in rules or ())


def _ports(rule: Tree) -> str:
    ports = str(rule.get("ports") or "0")
    return "0" if ports == "all" or rule.get("protocol") == "icmp" else ports


FIREWALL = ResourceType(
    noun="firewall",
    path="/v2/firewalls",
    key="firewall",
    plural="firewalls",
    option="firewalls",
    updatable=("inbound_rules", "outbound_rules", "droplet_ids", "tags"),
    update="replace",
    canonical={"inbound_rules": _rules, "outbound_rules": _rules, "droplet_ids": unordered},
    status=lambda actual: str(actual.get("status", "")),
    ready=("succeeded",),
    failed=("failed",),
    mark="name",
)

# -- load balancer ----------------------------------------------------------------------------------------------

_LB_UPDATABLE = (
    "size_unit",
    "size",
    "algorithm",
    "forwarding_rules",
    "health_check",
    "sticky_sessions",
    "redirect_http_to_https",
    "enable_proxy_protocol",
    "enable_backend_keepalive",
    "http_idle_timeout_seconds",
    "project_id",
    "disable_lets_encrypt_dns_records",
    "firewall",
    "network_stack",
    "tls_cipher_policy",
    "droplet_ids",
    "tag",
)


def _flat_load_balancer(actual: Tree) -> dict[str, Any]:
    """What a full replacement may send again: one of the two sizes, one of the two kinds of targets."""
    flat = region_slug(actual)
    if flat.get("size_unit"):
        flat.pop("size", None)
    if flat.get("tag"):
        flat.pop("droplet_ids", None)
    else:
        flat.pop("tag", None)
    return flat


def _same_firewall(wanted: Any, actual: Any) -> bool:
    return all(sorted(wanted[side]) == sorted((actual or {}).get(side) or []) for side in wanted)


LOAD_BALANCER = ResourceType(
    noun="load balancer",
    path="/v2/load_balancers",
    key="load_balancer",
    plural="load_balancers",
    option="load_balancers",
    immutable=("region", "vpc_uuid", "type", "network"),
    updatable=_LB_UPDATABLE,
    update="replace",
    canonical={"forwarding_rules": unordered, "droplet_ids": unordered},
    matches={"firewall": _same_firewall, "health_check": contains},
    flatten=_flat_load_balancer,
    exclusive=(("size", "size_unit"), ("droplet_ids", "tag")),
    keep=lambda actual: (
        "a Kubernetes Service owns it; delete the Service."
        if re.fullmatch(r"a[0-9a-f]{31}", str(actual.get("name")))
        else None
    ),
    replacing="deletes it, which frees its address, and makes a new one",
    status=lambda actual: str(actual.get("status", "")),
    ready=("active",),
    failed=("errored",),
    mark="name",
)

# -- Spaces key -------------------------------------------------------------------------------------------------


def _renew(resources: Any, entry: Any, _merged: Tree) -> None:
    resources.delete(entry)
    resources.create(entry)


SPACES_KEY = ResourceType(
    noun="Spaces key",
    path="/v2/spaces/keys",
    key="key",
    plural="keys",
    option="keys",
    id_field="access_key",
    immutable=("grants",),
    calls=(Call(("renew",), "POST", "", perform=_renew),),
    update_only=("renew",),
    canonical={"grants": unordered},
    matches={"renew": lambda wanted, _actual: not wanted},
    answer_only=("secret_key",),
    replacing="makes a new key, which everything that uses the old one needs",
    mark="name",
)

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Managed databases: the tables, and what must not happen by accident."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.resource import ResourceReconciler
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.resource_type import Call, ResourceType, Tree
from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change
from ansible_collections.dcm.platform.plugins.module_utils.rest import RestClient

ADMINISTRATOR = "doadmin"
DEFAULT_DATABASE = "defaultdb"

USER = ResourceType(
    noun="database user",
    path="/users",
    key="user",
    plural="users",
    option="users",
    id_field="name",
    create_only=("settings",),
    paged=False,
    keep=lambda actual: "it is the administrator." if actual.get("name") == ADMINISTRATOR else None,
)
DATABASE = ResourceType(
    noun="database",
    path="/dbs",
    key="db",
    plural="dbs",
    option="databases",
    id_field="name",
    paged=False,
    keep=lambda actual: "it is the default one." if actual.get("name") == DEFAULT_DATABASE else None,
)
_POOL_FIELDS = ("mode", "size", "db", "user")
POOL = ResourceType(
    noun="connection pool",
    path="/pools",
    key="pool",
    plural="pools",
    option="pools",
    id_field="name",
    updatable=_POOL_FIELDS,
    update="put",
    always_sent=_POOL_FIELDS,
    paged=False,
)


def sources(rules: Any) -> list[tuple[str, str]]:
    """Trusted sources as they are compared: the rest of a rule is the server's, or a comment."""
    return sorted((str(rule["type"]), str(rule["value"])) for rule in rules or ())


def _window(window: Any) -> Any:
    return {**window, "hour": str(window.get("hour", ""))[:5]} if window else window


def slug_resources(slug: str) -> tuple[int, ...]:
    """``db-s-2vcpu-4gb`` as (4, 2): memory in GB, then processors. Empty for a slug of another form."""
    found = re.search(r"-(\d+)vcpu-(\d+)gb", slug)
    return (int(found[2]), int(found[1])) if found else ()


def shrinking(merged: Tree, actual: Tree) -> str | None:
    """What would get smaller, or None."""
    before, after = slug_resources(str(actual["size"])), slug_resources(str(merged["size"]))
    if before and after and after < before:
        return f"size goes from {actual['size']} down to {merged['size']}"
    for name in ("num_nodes", "storage_size_mib"):
        if actual.get(name) and merged.get(name, actual[name]) < actual[name]:
            return f"{name} goes from {actual[name]} down to {merged[name]}"
    return None


def _refusal(merged: Tree, actual: Tree) -> str | None:
    smaller = shrinking(merged, actual)
    if smaller and not merged.get("_allow_shrink"):
        return f"{smaller}. Set allow_shrink if that is meant."
    if merged["region"] != actual["region"] and not merged.get("_allow_migrate"):
        return f"region goes from {actual['region']} to {merged['region']}. Set allow_migrate if that is meant."
    if float(merged.get("version") or 0) < float(actual.get("version") or 0):
        return f"it runs version {actual['version']} and cannot go back to {merged['version']}."
    return None


def _permissions(wanted: Tree, _actual: Tree | None) -> Tree:
    """Permissions are options of the module, no fields; kept under names that are never sent."""
    flags = {f"_{name}": True for name in ("allow_shrink", "allow_migrate") if wanted.get(name)}
    return {**wanted, **flags}


def _picked(*names: str) -> Any:
    return lambda merged, _given: {name: merged[name] for name in names if merged.get(name) is not None}


_RESIZED = ("size", "num_nodes", "storage_size_mib")
DATABASE_CLUSTER = ResourceType(
    noun="database cluster",
    path="/v2/databases",
    key="database",
    plural="databases",
    option="clusters",
    immutable=("engine", "private_network_uuid"),
    create_only=("tags", "project_id", "backup_restore"),
    calls=(
        Call(_RESIZED, "PUT", "/resize", _picked(*_RESIZED)),
        Call(("region",), "PUT", "/migrate", _picked("region")),
        Call(("version",), "PUT", "/upgrade", _picked("version")),
        Call(("rules",), "PUT", "/firewall", _picked("rules"), read=("/firewall", "rules")),
        Call(
            ("maintenance_window",),
            "PUT",
            "/maintenance",
            lambda merged, _given: {name: merged["maintenance_window"][name] for name in ("day", "hour")},
            in_create=False,
        ),
        Call(
            ("config",),
            "PATCH",
            "/config",
            lambda _merged, given: {"config": given["config"]},
            read=("/config", "config"),
            in_create=False,
        ),
        Call(
            ("autoscale",),
            "PUT",
            "/autoscale",
            lambda merged, _given: merged["autoscale"],
            read=("/autoscale", "autoscale"),
        ),
    ),
    children=(USER, DATABASE, POOL),  # a pool names a user and a database
    paged=False,
    canonical={"rules": sources, "maintenance_window": _window},
    adapt=_permissions,
    refusal=_refusal,
    replacing="deletes the database cluster with all its data and its backups, and makes an empty one",
    status=lambda actual: str(actual.get("status", "")),
    ready=("online",),
    gone=("deleted",),
    mark="tags",
)


class DatabaseReconciler(ResourceReconciler):
    """Database clusters, and their credentials when these are asked for."""

    def __init__(self, client: RestClient, options: Mapping[str, Any], *, check_mode: bool) -> None:
        super().__init__(client, DATABASE_CLUSTER, options)
        self._credentials = options["credentials"] and not check_mode

    def result(self, actual: list[dict[str, Any]], changes: Sequence[Change]) -> dict[str, Any]:
        """Credentials are read anew: users were made after the cluster was listed."""
        result = super().result(actual, changes)
        for cluster in result["clusters"] if self._credentials else ():
            if cluster.get("id"):
                cluster["credentials"] = self._read_credentials(f"{DATABASE_CLUSTER.path}/{cluster['id']}")
        return result

    def _read_credentials(self, path: str) -> dict[str, Any]:
        cluster = self._client.get(path)["database"]
        authority = self._client.get(f"{path}/ca")["ca"]["certificate"]
        return {
            "connection": cluster["connection"],
            "private_connection": cluster.get("private_connection"),
            "passwords": {user["name"]: user.get("password") for user in cluster.get("users") or ()},
            "ca_certificate": base64.b64decode(authority).decode(),
        }

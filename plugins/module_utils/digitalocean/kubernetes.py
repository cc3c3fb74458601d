# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""DOKS clusters and their node pools: the tables, the upgrade path, and pools that the autoscaler sizes."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.plan import Entry
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.resource import ResourceReconciler, Resources
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.resource_type import (
    Call,
    ResourceType,
    Tree,
    contains,
    unordered,
)
from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import RefusedError
from ansible_collections.dcm.platform.plugins.module_utils.engine.wait import NotYet

# -- node pools -------------------------------------------------------------------------------------------------


def _flat_pool(actual: Tree) -> dict[str, Any]:
    """Without the bounds that an answer holds for a pool of a fixed size, and that no request may."""
    flat = {**actual, "labels": actual.get("labels") or {}, "taints": actual.get("taints") or []}
    if not flat.get("auto_scale"):
        flat.pop("min_nodes", None)
        flat.pop("max_nodes", None)
    return flat


def leave_to_autoscaler(wanted: Tree, actual: Tree | None) -> Tree:
    """The count of an autoscaled pool is the autoscaler's; a pool of a fixed size has no bounds.

    A new pool starts with its smallest size when no count is given.
    """
    scaled = wanted.get("auto_scale", bool(actual and actual.get("auto_scale")))
    if not scaled:
        adapted = {name: item for name, item in wanted.items() if name not in ("min_nodes", "max_nodes")}
        return {"count": 1, **adapted} if actual is None and wanted.get("state") != "absent" else adapted
    if actual is None:
        return {"count": max(1, wanted.get("min_nodes", 1)), **wanted}
    return {name: item for name, item in wanted.items() if name != "count"}


def pool_state(actual: Tree) -> str:
    """``running`` when every node runs and, in a pool of a fixed size, all of them are there."""
    nodes = actual.get("nodes")
    if nodes is None:
        return "running"
    states = {str((node.get("status") or {}).get("state")) for node in nodes} - {"running"}
    if states:
        return sorted(states)[0]
    return "running" if actual.get("auto_scale") or len(nodes) == actual.get("count") else "provisioning"


def _drain_and_delete(resources: Resources, entry: Entry) -> None:
    """Node by node, which drains each, and then the pool with its last one."""
    resources.refresh(entry)
    actual = entry.actual or {}
    if actual.get("auto_scale"):  # or the autoscaler brings back what is drained
        resources.client.put(entry.path, {"name": actual["name"], "count": actual["count"], "auto_scale": False})
    for node in (actual.get("nodes") or [])[:-1]:
        resources.client.delete(f"{entry.path}/nodes/{node['id']}")
        _await_drained(resources, entry, node)
    resources.client.delete(entry.path)


def _await_drained(resources: Resources, entry: Entry, node: Tree) -> None:
    def drained() -> None:
        resources.refresh(entry)
        if node["id"] in {other["id"] for other in (entry.actual or {}).get("nodes") or ()}:
            raise NotYet("it is still there")

    resources.wait(f"node {node.get('name')} of {entry.title} to be drained", drained)


_POOL_UPDATABLE = ("count", "tags", "labels", "taints", "auto_scale", "min_nodes", "max_nodes")
NODE_POOL = ResourceType(
    noun="node pool",
    path="/node_pools",
    key="node_pool",
    plural="node_pools",
    option="node_pools",
    immutable=("size",),
    updatable=_POOL_UPDATABLE,
    update="put",
    always_sent=("name", *_POOL_UPDATABLE),  # what is left out would be reset, autoscaling included
    fresh=True,
    paged=False,
    canonical={"taints": unordered},
    matches={"labels": lambda wanted, actual: dict(wanted) == dict(actual or {})},
    flatten=_flat_pool,
    adapt=leave_to_autoscaler,
    delete=_drain_and_delete,
    retired="-old",
    replacing="makes a pool of the new size, drains the old one node by node and deletes it",
    status=pool_state,
    ready=("running",),
    gone=("deleted",),
)

# -- versions ---------------------------------------------------------------------------------------------------


def version_key(slug: str) -> tuple[int, ...]:
    """``1.33.1-do.0`` as (1, 33, 1, 0); a minor such as ``1.33`` as (1, 33)."""
    return tuple(int(part) for part in re.findall(r"\d+", slug))


def same_version(wanted: str, actual: str) -> bool:
    """Whether a cluster runs what is wanted: a full version, any patch of a minor, or ``latest`` when it was made."""
    key = version_key(wanted)
    return wanted == "latest" or version_key(actual or "")[: len(key)] == key


def next_version(current: str, wanted: str, offered: Sequence[str]) -> str | None:
    """The largest offered step towards the wanted version that does not go past it."""
    goal = version_key(wanted)
    steps = [slug for slug in offered if version_key(current) < version_key(slug)]
    steps = [slug for slug in steps if version_key(slug)[: len(goal)] <= goal]
    return max(steps, key=version_key, default=None)


def _upgrade(resources: Resources, entry: Entry, merged: Tree) -> None:
    """Along the offered path, one minor after another, until the wanted version runs."""
    wanted = merged["version"]
    while not same_version(wanted, current := _running_version(entry)):
        document = resources.client.get(f"{entry.path}/upgrades")
        offered = [item["slug"] for item in document.get("available_upgrade_versions") or ()]
        step = next_version(current, wanted, offered)
        if step is None:
            raise RefusedError(
                f"{entry.title} runs {current} and cannot be upgraded to {wanted}.",
                hint=f"Offered are: {', '.join(offered) or 'no upgrades'}.",
            )
        _upgrade_once(resources, entry, step)


def _running_version(entry: Entry) -> str:
    return str((entry.actual or {})["version"])


def _upgrade_once(resources: Resources, entry: Entry, step: str) -> None:
    def begun() -> Tree | None:
        resources.refresh(entry)
        upgrading = cluster_state(entry.actual or {}) == "upgrading"
        return {} if upgrading or _running_version(entry) == step else None

    def upgraded() -> None:
        resources.refresh(entry)
        state = cluster_state(entry.actual or {})
        if _running_version(entry) != step or state != "running":
            raise NotYet(f"it is {state} and runs {_running_version(entry)}")

    resources.client.post(f"{entry.path}/upgrade", {"version": step}, done=begun)
    resources.wait(f"{entry.title} to run {step}", upgraded)


# -- clusters ---------------------------------------------------------------------------------------------------


def cluster_state(actual: Tree) -> str:
    return str((actual.get("status") or {}).get("state", "running"))


def _flat_cluster(actual: Tree) -> dict[str, Any]:
    flat = dict(actual)
    if isinstance(flat.get("maintenance_policy"), Mapping):
        flat["maintenance_policy"] = {k: v for k, v in flat["maintenance_policy"].items() if k != "duration"}
    flat["tags"] = [tag for tag in flat.get("tags") or () if tag != "k8s" and not tag.startswith(("k8s:", "k8s-"))]
    if "registries" not in flat:
        flat["registries"] = ["*"] if flat.get("registry_enabled") else []
    return flat


def _same_policy(wanted: Tree, actual: Tree | None) -> bool:
    """A start time is the same in UTC with and without seconds and leading zero."""
    actual = dict(actual or {})
    return all(_clock(wanted[name]) == _clock(actual.get(name)) for name in wanted)


def _clock(value: Any) -> Any:
    return value[:5].rjust(5, "0") if isinstance(value, str) and ":" in value else value


def _upgraded_by_itself(wanted: Tree, actual: Tree | None) -> Tree:
    """A cluster that upgrades itself may run a newer patch than the one that is declared."""
    if actual is None or "version" not in wanted or wanted["version"] == "latest":
        return wanted
    goal, runs = version_key(wanted["version"]), version_key(actual["version"])
    if wanted.get("auto_upgrade", actual.get("auto_upgrade")) and goal[:2] == runs[:2] and goal < runs:
        return {**wanted, "version": actual["version"]}
    return wanted


def _cluster_refusal(merged: Tree, actual: Tree) -> str | None:
    if actual.get("ha") and not merged.get("ha"):
        return "the highly available control plane cannot be switched off."
    wanted = merged["version"]
    if not same_version(wanted, actual["version"]) and version_key(wanted) < version_key(actual["version"]):
        return f"it runs {actual['version']} and cannot go back to {wanted}."
    return None


def _delete_cluster(resources: Resources, entry: Entry) -> None:
    associated = "/destroy_with_associated_resources/dangerous" if entry.wanted.get("delete_associated") else ""
    resources.client.delete(entry.path + associated)


def _use_registries(resources: Resources, entry: Entry, merged: Tree) -> None:
    body = {"cluster_uuids": [merged["id"]], "registries": merged["registries"]}
    resources.client.post("/v2/kubernetes/registries", body, done=lambda: None)
    entry.actual = {**(entry.actual or {}), "registries": merged["registries"]}


_CLUSTER_UPDATABLE = (
    "tags",
    "maintenance_policy",
    "auto_upgrade",
    "surge_upgrade",
    "ha",
    "control_plane_firewall",
    "cluster_autoscaler_configuration",
    "routing_agent",
)
CLUSTER = ResourceType(
    noun="Kubernetes cluster",
    path="/v2/kubernetes/clusters",
    key="kubernetes_cluster",
    plural="kubernetes_clusters",
    option="clusters",
    immutable=("region", "vpc_uuid", "cluster_subnet", "service_subnet"),
    updatable=_CLUSTER_UPDATABLE,
    update="put",
    always_sent=("name", *_CLUSTER_UPDATABLE),  # what is left out might be reset to its default
    calls=(
        Call(("version",), "POST", "/upgrade", perform=_upgrade),
        Call(("registries",), "POST", "", in_create=False, perform=_use_registries),
    ),
    children=(NODE_POOL,),
    children_in_create=("node_pools",),
    matches={
        "version": same_version,
        "maintenance_policy": _same_policy,
        "registries": lambda wanted, actual: "*" in (actual or ()) or set(wanted) <= set(actual or ()),
        "control_plane_firewall": lambda wanted, actual: contains(_sorted(wanted), _sorted(actual)),
    },
    flatten=_flat_cluster,
    adapt=_upgraded_by_itself,
    refusal=_cluster_refusal,
    delete=_delete_cluster,
    replacing="deletes the cluster with everything in it and makes an empty one",
    status=cluster_state,
    ready=("running",),
    failed=("error", "degraded", "deleted"),
    gone=("deleted",),
    mark="tags",
)


def _sorted(firewall: Tree | None) -> dict[str, Any]:
    known = dict(firewall or {})
    return (
        {**known, "allowed_addresses": sorted(known["allowed_addresses"])} if known.get("allowed_addresses") else known
    )


class ClusterReconciler(ResourceReconciler):
    """Clusters, and their kubeconfigs when these are asked for."""

    def __init__(self, client: Any, options: Mapping[str, Any], *, check_mode: bool) -> None:
        super().__init__(client, CLUSTER, options)
        self._expiry = options["kubeconfig_expiry"]
        self._check_mode = check_mode

    def result(self, actual: list[dict[str, Any]], changes: Sequence[Change]) -> dict[str, Any]:
        """A kubeconfig holds a new token each time, so it is never compared and no change."""
        result = super().result(actual, changes)
        if self._expiry is None or self._check_mode:
            return result
        for cluster in result["clusters"]:
            if cluster.get("id"):
                cluster.update(self._kubeconfig(cluster["id"]))
        return result

    def _kubeconfig(self, cluster: str) -> dict[str, str]:
        text = self._client.text(f"{CLUSTER.path}/{cluster}/kubeconfig", {"expiry_seconds": self._expiry})
        expires = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=self._expiry)
        return {"kubeconfig": text, "kubeconfig_expires_at": expires.strftime("%Y-%m-%dT%H:%M:%SZ")}

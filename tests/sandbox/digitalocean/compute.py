# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Kubernetes clusters with their node pools, and Droplets."""

from __future__ import annotations

from typing import Any

from tests.sandbox.digitalocean.world import Answer, Call, Object, Refusal, World, check_region, region_object, route

VERSIONS = (
    "1.32.5-do.0",
    "1.32.10-do.2",
    "1.33.1-do.0",
    "1.33.6-do.2",
    "1.34.1-do.2",
    "1.34.4-do.0",
    "1.35.0-do.1",
    "1.36.0-do.0",
)
SIZES = ("s-1vcpu-1gb", "s-1vcpu-2gb", "s-2vcpu-4gb", "s-4vcpu-8gb", "s-8vcpu-16gb", "g-8vcpu-32gb", "g-16vcpu-64gb")


def _key(slug: str) -> tuple[int, ...]:
    return tuple(int(part) for part in slug.replace("-do", "").split("."))


def _check_size(size: str) -> str:
    if size not in SIZES:
        raise Refusal(422, f"invalid size {size}")
    return size


# -- options, versions ------------------------------------------------------------------------------------------


@route("GET", "/v2/kubernetes/options")
def options(world: World, call: Call) -> Answer:
    versions = [{"slug": slug, "kubernetes_version": slug.partition("-")[0]} for slug in reversed(VERSIONS)]
    sizes = [{"name": slug, "slug": slug} for slug in SIZES]
    return 200, {"options": {"versions": versions, "regions": [{"name": "NYC3", "slug": "nyc3"}], "sizes": sizes}}


def _version(wanted: str) -> str:
    """The slug that a full version, a minor or ``latest`` means."""
    fitting = [slug for slug in VERSIONS if wanted in ("latest", slug) or slug.startswith(f"{wanted}.")]
    if not fitting:
        raise Refusal(422, f"invalid version slug {wanted}")
    return fitting[-1]


def _offered(current: str) -> list[str]:
    """The newer patches of the same minor and of the next one."""
    major, minor = _key(current)[:2]
    return [slug for slug in VERSIONS if _key(slug) > _key(current) and _key(slug)[:2] <= (major, minor + 1)]


# -- clusters ---------------------------------------------------------------------------------------------------

_PLUGINS = ("control_plane_firewall", "cluster_autoscaler_configuration", "routing_agent")


@route("GET", "/v2/kubernetes/clusters")
def list_clusters(world: World, call: Call) -> Answer:
    clusters = list(world.table("kubernetes_cluster").values())
    return world.listing("kubernetes_clusters", clusters, call, "/v2/kubernetes/clusters")


@route("POST", "/v2/kubernetes/clusters")
def create_cluster(world: World, call: Call) -> Answer:
    body = call.body
    world.unique("kubernetes_cluster", body["name"], 422)
    region, version = check_region(body["region"]), _version(body["version"])
    if not body["node_pools"]:
        raise Refusal(422, "at least one node pool is needed")
    identifier = world.new_id()
    urn = f"do:kubernetes:{identifier}"
    cluster = {
        "id": identifier,
        "name": body["name"],
        "region": region,
        "version": version,
        "cluster_subnet": body.get("cluster_subnet", "10.244.0.0/16"),
        "service_subnet": body.get("service_subnet", "10.245.0.0/16"),
        "vpc_uuid": world.join(body.get("vpc_uuid"), region, urn, body["name"]),
        "ipv4": "203.0.113.20",
        "endpoint": f"https://{identifier}.k8s.ondigitalocean.com",
        "tags": [*world.use_tags(body.get("tags")), "k8s", f"k8s:{identifier}"],
        "node_pools": [],
        "maintenance_policy": {"duration": "4h0m0s", "day": "any", "start_time": "20:00"}
        | (body.get("maintenance_policy") or {}),
        "auto_upgrade": body.get("auto_upgrade", False),
        "surge_upgrade": body.get("surge_upgrade", False),
        "ha": body.get("ha", _key(version) >= (1, 36)),
        "registry_enabled": False,
        "status": {"state": "provisioning", "message": "provisioning"},
        "created_at": world.timestamp(),
        "updated_at": world.timestamp(),
        **{name: body[name] for name in _PLUGINS if name in body},
    }
    for pool in body["node_pools"]:
        _add_pool(world, cluster, pool)
    world.table("kubernetes_cluster")[identifier] = cluster
    world.assign(urn)
    _work(world, cluster, "provisioning")
    return 201, {"kubernetes_cluster": cluster}


def _work(world: World, cluster: Object, state: str, **then: Any) -> None:
    cluster["status"] = {"state": state, "message": state}

    def done() -> None:
        cluster.update(status={"state": "running", "message": ""}, updated_at=world.timestamp(), **then)

    world.later(world.delay, done)


@route("GET", "/v2/kubernetes/clusters/{}")
def get_cluster(world: World, call: Call) -> Answer:
    return 200, {"kubernetes_cluster": world.get("kubernetes_cluster", call.arguments[0])}


@route("PUT", "/v2/kubernetes/clusters/{}")
def update_cluster(world: World, call: Call) -> Answer:
    cluster = _running(world, call.arguments[0])
    body = dict(call.body)
    if cluster["ha"] and body.get("ha") is False:
        raise Refusal(422, "ha can not be disabled")
    if "tags" in body:
        body["tags"] = [*world.use_tags(body["tags"]), "k8s", f"k8s:{cluster['id']}"]
    if body.get("maintenance_policy"):
        body["maintenance_policy"] = {"duration": "4h0m0s", **body["maintenance_policy"]}
    # the documented defaults: what is left out is reset
    cluster.update({"auto_upgrade": False, "surge_upgrade": False, **body}, updated_at=world.timestamp())
    return 202, {"kubernetes_cluster": cluster}


def _running(world: World, identifier: str) -> Object:
    cluster = world.get("kubernetes_cluster", identifier)
    if cluster["status"]["state"] != "running":
        raise Refusal(422, f"the cluster is {cluster['status']['state']}")
    return cluster


@route("GET", "/v2/kubernetes/clusters/{}/upgrades")
def upgrades(world: World, call: Call) -> Answer:
    cluster = world.get("kubernetes_cluster", call.arguments[0])
    offered = [{"slug": slug, "kubernetes_version": slug.partition("-")[0]} for slug in _offered(cluster["version"])]
    return 200, {"available_upgrade_versions": offered or None}


@route("POST", "/v2/kubernetes/clusters/{}/upgrade")
def upgrade(world: World, call: Call) -> Answer:
    cluster = _running(world, call.arguments[0])
    if call.body["version"] not in _offered(cluster["version"]):
        raise Refusal(422, f"version {call.body['version']} is not available for upgrade")
    _work(world, cluster, "upgrading", version=call.body["version"])
    return 202, None


@route("GET", "/v2/kubernetes/clusters/{}/kubeconfig")
def kubeconfig(world: World, call: Call) -> Answer:
    cluster = world.get("kubernetes_cluster", call.arguments[0])
    name = f"do-{cluster['region']}-{cluster['name']}"
    user = f"{name}-admin"
    text = (
        "apiVersion: v1\nkind: Config\n"
        f"clusters:\n- name: {name}\n  cluster:\n    server: {cluster['endpoint']}\n"
        f"contexts:\n- name: {name}\n  context:\n    cluster: {name}\n    user: {user}\n"
        f"current-context: {name}\nusers:\n- name: {user}\n  user:\n    token: dop_v1_{world.secret()}\n"
    )
    return 200, text


@route("DELETE", "/v2/kubernetes/clusters/{}")
def delete_cluster(world: World, call: Call) -> Answer:
    cluster = world.get("kubernetes_cluster", call.arguments[0])
    cluster["status"] = {"state": "deleting", "message": "deleting"}

    def gone() -> None:
        world.table("kubernetes_cluster").pop(cluster["id"], None)
        world.leave(f"do:kubernetes:{cluster['id']}")

    world.later(world.delay, gone)
    return 204, None


@route("DELETE", "/v2/kubernetes/clusters/{}/destroy_with_associated_resources/dangerous")
def destroy_cluster(world: World, call: Call) -> Answer:
    for identifier, balancer in list(world.table("load_balancer").items()):
        if balancer["tag"] == f"k8s:{call.arguments[0]}":
            del world.table("load_balancer")[identifier]
            world.leave(f"do:loadbalancer:{identifier}")
    return delete_cluster(world, call)


@route("GET", "/v2/kubernetes/clusters/{}/destroy_with_associated_resources")
def associated(world: World, call: Call) -> Answer:
    world.get("kubernetes_cluster", call.arguments[0])
    balancers = [
        {"id": identifier, "name": item["name"]}
        for identifier, item in world.table("load_balancer").items()
        if item["tag"] == f"k8s:{call.arguments[0]}"
    ]
    return 200, {"load_balancers": balancers, "volumes": [], "volume_snapshots": []}


@route("POST", "/v2/kubernetes/registries")
def use_registries(world: World, call: Call) -> Answer:
    for name in call.body["registries"]:
        world.get("registry", name)
    for identifier in call.body["cluster_uuids"]:
        world.get("kubernetes_cluster", identifier)["registry_enabled"] = True
    return 204, None


# -- node pools -------------------------------------------------------------------------------------------------


def _add_pool(world: World, cluster: Object, body: Object) -> Object:
    if any(pool["name"] == body["name"] for pool in cluster["node_pools"]):
        raise Refusal(422, f"a node pool with the name {body['name']} already exists")
    pool = {
        "id": world.new_id(),
        "name": body["name"],
        "size": _check_size(body["size"]),
        "count": 0,
        "tags": [],
        "labels": {},
        "taints": [],
        "auto_scale": False,
        "min_nodes": 0,
        "max_nodes": 0,
        "nodes": [],
    }
    cluster["node_pools"].append(pool)
    _set_pool(world, cluster, pool, body)
    return pool


def _set_pool(world: World, cluster: Object, pool: Object, body: Object) -> None:
    scaled = bool(body.get("auto_scale"))
    low, high = (body.get("min_nodes", 1), body.get("max_nodes", 0)) if scaled else (0, 0)
    if scaled and low > high:
        raise Refusal(422, "min_nodes must not exceed max_nodes")
    count = min(max(body["count"], low), high) if scaled else body["count"]
    if count < 1:
        raise Refusal(422, "count must be at least 1")
    tags = [*world.use_tags(body.get("tags")), "k8s", f"k8s:{cluster['id']}", "k8s-worker"]
    pool.update(name=body["name"], auto_scale=scaled, min_nodes=low, max_nodes=high, tags=tags)
    pool.update(labels=body.get("labels") or {}, taints=body.get("taints") or [])
    resize(world, pool, count)


def resize(world: World, pool: Object, count: int) -> None:
    """Give a pool so many nodes, as the user does, or the autoscaler."""
    pool["count"] = count
    while len(pool["nodes"]) > count:
        _remove_node(world, pool, pool["nodes"][-1])
    while len(pool["nodes"]) < count:
        _add_node(world, pool)


def _add_node(world: World, pool: Object) -> None:
    identifier = world.new_id()
    node = {
        "id": identifier,
        "name": f"{pool['name']}-{identifier[:5]}",
        "status": {"state": "provisioning"},
        "droplet_id": str(world.new_number()),
        "created_at": world.timestamp(),
        "updated_at": world.timestamp(),
    }
    pool["nodes"].append(node)
    world.later(world.delay, lambda: node.update(status={"state": "running"}))


def _remove_node(world: World, pool: Object, node: Object) -> None:
    pool["nodes"].remove(node)


def _pool(world: World, call: Call) -> tuple[Object, Object]:
    cluster = world.get("kubernetes_cluster", call.arguments[0])
    for pool in cluster["node_pools"]:
        if pool["id"] == call.arguments[1]:
            return cluster, pool
    raise Refusal(404, f"node pool {call.arguments[1]} not found")


@route("GET", "/v2/kubernetes/clusters/{}/node_pools")
def list_pools(world: World, call: Call) -> Answer:
    return 200, {"node_pools": world.get("kubernetes_cluster", call.arguments[0])["node_pools"]}


@route("POST", "/v2/kubernetes/clusters/{}/node_pools")
def create_pool(world: World, call: Call) -> Answer:
    return 201, {"node_pool": _add_pool(world, _running(world, call.arguments[0]), call.body)}


@route("GET", "/v2/kubernetes/clusters/{}/node_pools/{}")
def get_pool(world: World, call: Call) -> Answer:
    return 200, {"node_pool": _pool(world, call)[1]}


@route("PUT", "/v2/kubernetes/clusters/{}/node_pools/{}")
def update_pool(world: World, call: Call) -> Answer:
    cluster, pool = _pool(world, call)
    _set_pool(world, cluster, pool, call.body)
    return 202, {"node_pool": pool}


@route("DELETE", "/v2/kubernetes/clusters/{}/node_pools/{}")
def delete_pool(world: World, call: Call) -> Answer:
    cluster, pool = _pool(world, call)
    if len(cluster["node_pools"]) == 1:
        raise Refusal(422, "the last node pool can not be deleted")
    for node in pool["nodes"]:
        node["status"] = {"state": "deleting"}

    def gone() -> None:
        cluster["node_pools"] = [other for other in cluster["node_pools"] if other is not pool]

    world.later(world.delay, gone)
    return 204, None


@route("DELETE", "/v2/kubernetes/clusters/{}/node_pools/{}/nodes/{}")
def delete_node(world: World, call: Call) -> Answer:
    _cluster, pool = _pool(world, call)
    node = next((node for node in pool["nodes"] if node["id"] == call.arguments[2]), None)
    if node is None:
        raise Refusal(404, f"node {call.arguments[2]} not found")
    node["status"] = {"state": "draining"}

    def drained() -> None:
        if node in pool["nodes"]:
            _remove_node(world, pool, node)
            pool["count"] = len(pool["nodes"])

    world.later(world.delay, drained)
    return 202, None


# -- Droplets ---------------------------------------------------------------------------------------------------


def _size(slug: str) -> Object:
    return {
        "slug": slug,
        "memory": 2048,
        "vcpus": 1,
        "disk": 25,
        "transfer": 2,
        "price_monthly": 12,
        "price_hourly": 0.01786,
        "regions": ["nyc3"],
        "available": True,
        "description": "Basic",
    }


@route("GET", "/v2/droplets")
def list_droplets(world: World, call: Call) -> Answer:
    return world.listing("droplets", list(world.table("droplet").values()), call, "/v2/droplets")


@route("POST", "/v2/droplets")
def create_droplet(world: World, call: Call) -> Answer:
    body = call.body
    region, number = check_region(body.get("region")), world.new_number()
    known = {key["fingerprint"] for key in world.table("ssh_key").values()}
    known |= {str(key["id"]) for key in world.table("ssh_key").values()}
    for key in body.get("ssh_keys", ()):
        if str(key) not in known:
            raise Refusal(422, f"{key} are invalid key identifiers for Droplet creation.")
    urn = f"do:droplet:{number}"
    address = number % 250 + 1
    networks = [
        {"ip_address": f"10.100.9.{address}", "netmask": "255.255.0.0", "gateway": "10.100.0.1", "type": "private"},
        {
            "ip_address": f"198.51.100.{address}",
            "netmask": "255.255.255.0",
            "gateway": "198.51.100.1",
            "type": "public",
        },
    ]
    image = {"id": 7555620, "name": "image", "type": "base", "distribution": "Ubuntu", "slug": str(body["image"])}
    droplet = {
        "id": number,
        "name": body["name"],
        "memory": 2048,
        "vcpus": 1,
        "disk": 25,
        "locked": False,
        "status": "new",
        "kernel": None,
        "created_at": world.timestamp(),
        "features": ["private_networking"],
        "backup_ids": [],
        "next_backup_window": None,
        "snapshot_ids": [],
        "image": image,
        "volume_ids": [],
        "size": _size(_check_size(body["size"])),
        "size_slug": body["size"],
        "networks": {"v4": networks, "v6": []},
        "region": region_object(region),
        "tags": world.use_tags(body.get("tags")),
        "vpc_uuid": world.join(body.get("vpc_uuid"), region, urn, body["name"]),
    }
    world.table("droplet")[str(number)] = droplet
    world.assign(urn)
    world.later(world.delay, lambda: droplet.update(status="active"))
    return 202, {"droplet": droplet, "links": {"actions": []}}


@route("GET", "/v2/droplets/{}")
def get_droplet(world: World, call: Call) -> Answer:
    return 200, {"droplet": world.get("droplet", call.arguments[0])}


@route("DELETE", "/v2/droplets/{}")
def delete_droplet(world: World, call: Call) -> Answer:
    droplet = world.get("droplet", call.arguments[0])

    def gone() -> None:
        world.table("droplet").pop(str(droplet["id"]), None)
        world.leave(f"do:droplet:{droplet['id']}")
        for address in world.table("reserved_ip").values():
            if address["droplet_id"] == droplet["id"]:
                address["droplet_id"] = None

    world.later(world.delay, gone)
    return 204, None


@route("POST", "/v2/droplets/{}/actions")
def act_on_droplet(world: World, call: Call) -> Answer:
    droplet = world.get("droplet", call.arguments[0])
    kind = call.body["type"]
    if kind == "resize" and droplet["status"] != "off":
        raise Refusal(422, "Droplet must be powered off to resize")
    effects: dict[str, Object] = {
        "power_off": {"status": "off"},
        "power_on": {"status": "active"},
        "resize": {"size_slug": call.body.get("size"), "size": _size(call.body.get("size", ""))},
    }
    if kind not in effects:
        raise Refusal(422, f"action {kind} is not simulated")
    action = {"id": world.new_number(), "status": "in-progress", "type": kind, "started_at": world.timestamp()}
    action |= {"completed_at": None, "resource_id": droplet["id"], "resource_type": "droplet", "region_slug": "nyc3"}
    world.table(f"actions of droplet {droplet['id']}")[str(action["id"])] = action

    def done() -> None:
        droplet.update(effects[kind])
        action.update(status="completed", completed_at=world.timestamp())

    world.later(world.delay, done)
    return 201, {"action": action}


@route("GET", "/v2/droplets/{}/actions/{}")
def get_droplet_action(world: World, call: Call) -> Answer:
    return 200, {"action": world.get(f"actions of droplet {call.arguments[0]}", call.arguments[1])}

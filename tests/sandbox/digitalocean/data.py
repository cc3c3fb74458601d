# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Managed databases, registries, keys of Spaces."""

from __future__ import annotations

from typing import Any

from tests.sandbox.digitalocean.world import Answer, Call, Object, Refusal, World, check_region, route

BASE = "/v2/databases/{}"

# -- database clusters ------------------------------------------------------------------------------------------


def _connection(host: str, user: Object, database: str = "defaultdb") -> Object:
    uri = f"postgresql://{user['name']}:{user['password']}@{host}:25060/{database}?sslmode=require"
    fields = {"database": database, "host": host, "port": 25060, "user": user["name"]}
    return {"uri": uri, **fields, "password": user["password"], "ssl": True}


def _shown(cluster: Object) -> Object:
    """An answer does not hold what has a call of its own."""
    return {name: item for name, item in cluster.items() if not name.startswith("_")}


@route("GET", "/v2/databases")
def list_databases(world: World, call: Call) -> Answer:
    return 200, {"databases": [_shown(item) for item in world.table("database").values()]}


@route("POST", "/v2/databases")
def create_database(world: World, call: Call) -> Answer:
    body = call.body
    world.unique("database", body["name"])
    region, identifier = check_region(body["region"]), world.new_id()
    if not 1 <= body["num_nodes"] <= 3:
        raise Refusal(422, "num_nodes must be between 1 and 3")
    source = body.get("backup_restore")
    if source:
        _check_source(world, source)
    urn = f"do:dbaas:{identifier}"
    admin = {"name": "doadmin", "role": "primary", "password": world.secret()}
    host = f"{body['name']}-do-user.db.ondigitalocean.com"
    cluster = {
        "id": identifier,
        "name": body["name"],
        "engine": body["engine"],
        "version": body.get("version", "17"),
        "num_nodes": body["num_nodes"],
        "size": body["size"],
        "region": region,
        "status": "forking" if source else "creating",
        "created_at": world.timestamp(),
        "private_network_uuid": world.join(body.get("private_network_uuid"), region, urn, body["name"]),
        "tags": world.use_tags(body.get("tags")),
        "db_names": ["defaultdb"],
        "connection": _connection(host, admin),
        "private_connection": _connection(f"private-{host}", admin),
        "users": [admin],
        "maintenance_window": {"day": "sunday", "hour": "02:00:00", "pending": False, "description": []},
        "storage_size_mib": body.get("storage_size_mib", 61440),
        "_rules": [_rule(world, identifier, rule) for rule in body.get("rules", ())],
        "_config": {"autovacuum_naptime": 60, "jit": True},
        "_autoscale": body.get("autoscale", {"storage": {"enabled": False}}),
        "_pools": [],
        "_backups": [{"created_at": world.timestamp(), "size_gigabytes": 0.5, "incremental": False}],
    }
    if "project_id" in body:
        cluster["project_id"] = body["project_id"]
    world.table("database")[identifier] = cluster
    world.assign(urn, body.get("project_id"))
    world.later(world.delay, lambda: cluster.update(status="online"))
    return 201, {"database": _shown(cluster)}


def _check_source(world: World, source: Object) -> None:
    for cluster in world.table("database").values():
        if cluster["name"] == source["database_name"]:
            return
    raise Refusal(422, f"no database cluster {source['database_name']} to restore from")


def _rule(world: World, cluster: str, rule: Object) -> Object:
    if rule["type"] == "k8s":
        world.get("kubernetes_cluster", rule["value"])
    if rule["type"] == "ip_addr" and ":" in rule["value"]:
        raise Refusal(422, "IPv6 is not supported")
    fields = {"uuid": world.new_id(), "cluster_uuid": cluster, "created_at": world.timestamp()}
    return {**fields, "type": rule["type"], "value": rule["value"], "description": rule.get("description", "")}


def _cluster(world: World, call: Call) -> Object:
    return world.get("database", call.arguments[0])


def _online(world: World, call: Call) -> Object:
    cluster = _cluster(world, call)
    if cluster["status"] != "online":
        raise Refusal(412, f"the database cluster is {cluster['status']}")
    return cluster


@route("GET", BASE)
def get_database(world: World, call: Call) -> Answer:
    return 200, {"database": _shown(_cluster(world, call))}


@route("DELETE", BASE)
def delete_database(world: World, call: Call) -> Answer:
    cluster = _cluster(world, call)
    del world.table("database")[cluster["id"]]
    world.leave(f"do:dbaas:{cluster['id']}")
    return 204, None


def _work(world: World, cluster: Object, status: str, fields: Object) -> Answer:
    cluster["status"] = status
    world.later(world.delay, lambda: cluster.update(fields, status="online"))
    return 202, None


@route("PUT", BASE + "/resize")
def resize(world: World, call: Call) -> Answer:
    cluster = _online(world, call)
    if call.body.get("storage_size_mib", cluster["storage_size_mib"]) < cluster["storage_size_mib"]:
        raise Refusal(422, "storage can not shrink")
    return _work(world, cluster, "resizing", call.body)


@route("PUT", BASE + "/migrate")
def migrate(world: World, call: Call) -> Answer:
    return _work(world, _online(world, call), "migrating", {"region": check_region(call.body["region"])})


@route("PUT", BASE + "/upgrade")
def upgrade(world: World, call: Call) -> Answer:
    cluster = _online(world, call)
    if float(call.body["version"]) <= float(cluster["version"]):
        raise Refusal(422, "the version must be newer")
    cluster["version"] = call.body["version"]
    return 204, None


@route("GET", BASE + "/firewall")
def get_rules(world: World, call: Call) -> Answer:
    return 200, {"rules": _cluster(world, call)["_rules"]}


@route("PUT", BASE + "/firewall")
def set_rules(world: World, call: Call) -> Answer:
    cluster = _cluster(world, call)
    if len(call.body["rules"]) > 100:
        raise Refusal(422, "at most 100 rules")
    cluster["_rules"] = [_rule(world, cluster["id"], rule) for rule in call.body["rules"]]
    return 204, None


@route("PUT", BASE + "/maintenance")
def set_maintenance(world: World, call: Call) -> Answer:
    window = {"day": call.body["day"], "hour": f"{call.body['hour']}:00", "pending": False, "description": []}
    _cluster(world, call)["maintenance_window"] = window
    return 204, None


@route("GET", BASE + "/config")
def get_config(world: World, call: Call) -> Answer:
    return 200, {"config": _cluster(world, call)["_config"]}


@route("PATCH", BASE + "/config")
def set_config(world: World, call: Call) -> Answer:
    _cluster(world, call)["_config"].update(call.body["config"])
    return 200, None


@route("GET", BASE + "/autoscale")
def get_autoscale(world: World, call: Call) -> Answer:
    return 200, {"autoscale": _cluster(world, call)["_autoscale"]}


@route("PUT", BASE + "/autoscale")
def set_autoscale(world: World, call: Call) -> Answer:
    if call.body["storage"]["enabled"] and "threshold_percent" not in call.body["storage"]:
        raise Refusal(422, "threshold_percent is needed")
    _cluster(world, call)["_autoscale"] = call.body
    return 204, None


@route("GET", BASE + "/backups")
def list_backups(world: World, call: Call) -> Answer:
    schedule = {"backup_hour": 3, "backup_minute": 30, "backup_interval_hours": 24}
    return 200, {"backups": _cluster(world, call)["_backups"], "scheduled_backup_time": schedule}


@route("GET", BASE + "/ca")
def get_ca(world: World, call: Call) -> Answer:
    _cluster(world, call)
    return 200, {"ca": {"certificate": "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t"}}


# -- users, databases, pools ------------------------------------------------------------------------------------


def _named(items: list[Object], name: str) -> Object:
    for item in items:
        if item["name"] == name:
            return item
    raise Refusal(404, f"{name} not found")


def _refuse_known(items: Any, name: str) -> None:
    if name in items:
        raise Refusal(422, f"{name} already exists")


@route("GET", BASE + "/users")
def list_users(world: World, call: Call) -> Answer:
    return 200, {"users": _cluster(world, call)["users"]}


@route("POST", BASE + "/users")
def create_user(world: World, call: Call) -> Answer:
    cluster = _online(world, call)
    _refuse_known([user["name"] for user in cluster["users"]], call.body["name"])
    user = {**call.body, "role": "normal", "password": world.secret()}
    cluster["users"].append(user)
    return 201, {"user": user}


@route("GET", BASE + "/users/{}")
def get_user(world: World, call: Call) -> Answer:
    return 200, {"user": _named(_cluster(world, call)["users"], call.arguments[1])}


@route("DELETE", BASE + "/users/{}")
def delete_user(world: World, call: Call) -> Answer:
    cluster = _cluster(world, call)
    cluster["users"].remove(_named(cluster["users"], call.arguments[1]))
    return 204, None


@route("GET", BASE + "/dbs")
def list_dbs(world: World, call: Call) -> Answer:
    return 200, {"dbs": [{"name": name} for name in _cluster(world, call)["db_names"]]}


@route("POST", BASE + "/dbs")
def create_db(world: World, call: Call) -> Answer:
    cluster = _online(world, call)
    _refuse_known(cluster["db_names"], call.body["name"])
    cluster["db_names"].append(call.body["name"])
    return 201, {"db": {"name": call.body["name"]}}


@route("DELETE", BASE + "/dbs/{}")
def delete_db(world: World, call: Call) -> Answer:
    names = _cluster(world, call)["db_names"]
    if call.arguments[1] not in names:
        raise Refusal(404, f"{call.arguments[1]} not found")
    names.remove(call.arguments[1])
    return 204, None


@route("GET", BASE + "/pools")
def list_pools(world: World, call: Call) -> Answer:
    return 200, {"pools": _cluster(world, call)["_pools"]}


@route("POST", BASE + "/pools")
def create_pool(world: World, call: Call) -> Answer:
    cluster = _online(world, call)
    _refuse_known([pool["name"] for pool in cluster["_pools"]], call.body["name"])
    _check_pool(cluster, call.body)
    cluster["_pools"].append(dict(call.body))
    return 201, {"pool": call.body}


def _check_pool(cluster: Object, body: Object) -> None:
    if body["db"] not in cluster["db_names"]:
        raise Refusal(422, f"database {body['db']} does not exist")
    if body.get("user"):
        _named(cluster["users"], body["user"])


@route("PUT", BASE + "/pools/{}")
def update_pool(world: World, call: Call) -> Answer:
    cluster = _online(world, call)
    pool = _named(cluster["_pools"], call.arguments[1])
    _check_pool(cluster, call.body)
    pool.update(call.body)
    return 204, None


@route("DELETE", BASE + "/pools/{}")
def delete_pool(world: World, call: Call) -> Answer:
    cluster = _cluster(world, call)
    cluster["_pools"].remove(_named(cluster["_pools"], call.arguments[1]))
    return 204, None


# -- registries -------------------------------------------------------------------------------------------------

TIERS = {"starter": (1, 0), "basic": (5, 500), "professional": (-1, 2000)}


def _subscription(world: World) -> Object:
    table = world.table("subscription")
    slug = table.setdefault("account", {"tier": "starter"})["tier"]
    repositories, price = TIERS[slug]
    tier = {"name": slug.title(), "slug": slug, "included_repositories": repositories, "monthly_price_in_cents": price}
    return {"tier": tier, "created_at": world.timestamp(), "updated_at": world.timestamp()}


def _set_tier(world: World, slug: str) -> None:
    world.table("subscription")["account"] = {"tier": slug}


@route("GET", "/v2/registries")
def list_registries(world: World, call: Call) -> Answer:
    registries = world.table("registry").values()
    return 200, {"registries": [{**item, "subscription": _subscription(world)} for item in registries]}


@route("POST", "/v2/registries")
def create_registry(world: World, call: Call) -> Answer:
    name = call.body["name"]
    world.unique("registry", name)
    region = check_region(call.body.get("region", "nyc3"))
    registry = {"name": name, "region": region, "created_at": world.timestamp(), "storage_usage_bytes": 0}
    world.table("registry")[name] = registry
    if "subscription_tier_slug" in call.body:
        _set_tier(world, call.body["subscription_tier_slug"])
    return 201, {"registry": registry}


@route("GET", "/v2/registries/subscription")
def get_subscription(world: World, call: Call) -> Answer:
    return 200, {"subscription": _subscription(world)}


@route("POST", "/v2/registries/subscription")
def set_subscription(world: World, call: Call) -> Answer:
    _set_tier(world, call.body["tier_slug"])
    return 200, {"subscription": _subscription(world)}


@route("GET", "/v2/registries/{}")
def get_registry(world: World, call: Call) -> Answer:
    return 200, {"registry": world.get("registry", call.arguments[0])}


@route("DELETE", "/v2/registries/{}")
def delete_registry(world: World, call: Call) -> Answer:
    world.get("registry", call.arguments[0])
    del world.table("registry")[call.arguments[0]]
    return 204, None


@route("GET", "/v2/registries/{}/docker-credentials")
def docker_credentials(world: World, call: Call) -> Answer:
    world.get("registry", call.arguments[0])
    return 200, {"auths": {"registry.digitalocean.com": {"auth": world.secret()}}}


@route("GET", "/v2/registries/{}/repositoriesV2")
def list_repositories(world: World, call: Call) -> Answer:
    name = call.arguments[0]
    world.get("registry", name)
    counted: dict[str, int] = {}
    for tag in world.table(f"image tags of {name}").values():
        counted[tag["repository"]] = counted.get(tag["repository"], 0) + 1
    repositories = [
        {"registry_name": name, "name": repository, "tag_count": count, "manifest_count": count}
        for repository, count in counted.items()
    ]
    return world.listing("repositories", repositories, call, f"/v2/registries/{name}/repositoriesV2")


@route("GET", "/v2/registries/{}/repositories/{}/tags")
def list_image_tags(world: World, call: Call) -> Answer:
    name, repository = call.arguments
    tags = [tag for tag in world.table(f"image tags of {name}").values() if tag["repository"] == repository]
    return world.listing("tags", tags, call, f"/v2/registries/{name}/repositories/{repository}/tags")


@route("DELETE", "/v2/registries/{}/repositories/{}/tags/{}")
def delete_image_tag(world: World, call: Call) -> Answer:
    name, repository, tag = call.arguments
    _refuse_collecting(world, name)
    world.get(f"image tags of {name}", f"{repository}:{tag}")
    del world.table(f"image tags of {name}")[f"{repository}:{tag}"]
    return 204, None


def push(world: World, registry: str, repository: str, tag: str, updated_at: str) -> None:
    """What a client of the registry does."""
    world.get("registry", registry)
    world.table(f"image tags of {registry}")[f"{repository}:{tag}"] = {
        "registry_name": registry,
        "repository": repository,
        "tag": tag,
        "manifest_digest": f"sha256:{world.secret()}",
        "compressed_size_bytes": 1000,
        "size_bytes": 2000,
        "updated_at": updated_at,
    }


def _collection(world: World, name: str) -> Object | None:
    runs = world.table(f"garbage collections of {name}").values()
    return next((run for run in runs if run["status"] not in ("succeeded", "failed", "cancelled")), None)


def _refuse_collecting(world: World, name: str) -> None:
    if _collection(world, name):
        raise Refusal(409, "the registry is read-only while garbage is collected")


@route("POST", "/v2/registries/{}/garbage-collection")
def collect_garbage(world: World, call: Call) -> Answer:
    name = call.arguments[0]
    world.get("registry", name)
    _refuse_collecting(world, name)
    run: Object = {
        "uuid": world.new_id(),
        "registry_name": name,
        "status": "requested",
        "created_at": world.timestamp(),
    }
    run |= {"updated_at": world.timestamp(), "blobs_deleted": 0, "freed_bytes": 0}
    world.table(f"garbage collections of {name}")[run["uuid"]] = run
    world.later(world.delay, lambda: run.update(status="scanning manifests"))
    world.later(2 * world.delay, lambda: run.update(status="succeeded", blobs_deleted=3, freed_bytes=3000))
    return 201, {"garbage_collection": run}


@route("GET", "/v2/registries/{}/garbage-collection")
def active_collection(world: World, call: Call) -> Answer:
    run = _collection(world, call.arguments[0])
    if run is None:
        raise Refusal(404, "no active garbage collection")
    return 200, {"garbage_collection": run}


@route("GET", "/v2/registries/{}/garbage-collections")
def list_collections(world: World, call: Call) -> Answer:
    runs = sorted(
        world.table(f"garbage collections of {call.arguments[0]}").values(),
        key=lambda run: run["created_at"],
        reverse=True,
    )
    return 200, {"garbage_collections": runs}


# -- keys of Spaces ---------------------------------------------------------------------------------------------


def _key(key: Object) -> Object:
    return {name: item for name, item in key.items() if name != "secret_key"}


@route("GET", "/v2/spaces/keys")
def list_keys(world: World, call: Call) -> Answer:
    keys = [_key(key) for key in world.table("spaces_key").values()]
    keys = [key for key in keys if call.query.get("name", key["name"]) == key["name"]]
    return world.listing("keys", keys, call, "/v2/spaces/keys")


@route("POST", "/v2/spaces/keys")
def create_key(world: World, call: Call) -> Answer:
    grants = call.body.get("grants", [])
    if any(grant["permission"] == "fullaccess" for grant in grants) and len(grants) > 1:
        raise Refusal(400, "fullaccess can not be mixed with other grants")
    key = {
        "name": call.body["name"],
        "grants": grants,
        "access_key": f"DO{world.secret()[:18].upper()}",
        "secret_key": world.secret(),
        "created_at": world.timestamp(),
    }
    world.table("spaces_key")[key["access_key"]] = key
    return 201, {"key": key}


@route("GET", "/v2/spaces/keys/{}")
def get_key(world: World, call: Call) -> Answer:
    return 200, {"key": _key(world.get("spaces_key", call.arguments[0]))}


@route("DELETE", "/v2/spaces/keys/{}")
def delete_key(world: World, call: Call) -> Answer:
    world.get("spaces_key", call.arguments[0])
    del world.table("spaces_key")[call.arguments[0]]
    return 204, None

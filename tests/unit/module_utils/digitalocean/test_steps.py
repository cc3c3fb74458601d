# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Node pools, upgrades, databases, registries: what their own steps do, against the simulator."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.database import (
    DATABASE_CLUSTER,
    DatabaseReconciler,
    shrinking,
)
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.kubernetes import (
    CLUSTER,
    ClusterReconciler,
    next_version,
    same_version,
)
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.registry import REGISTRY, RegistryReconciler
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.types import SPACES_KEY
from ansible_collections.dcm.platform.plugins.module_utils.engine.change import render_diff
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import RefusedError

from tests.sandbox.digitalocean import compute, data
from tests.sandbox.digitalocean.faults import Planned
from tests.unit.module_utils.digitalocean.conftest import Account

FIXED = {"name": "system", "size": "s-2vcpu-4gb", "count": 2}
SCALED = {"name": "application", "size": "s-2vcpu-4gb", "auto_scale": True, "min_nodes": 3, "max_nodes": 10}
CLUSTER_WANTED: dict[str, Any] = {"name": "production", "region": "nyc3", "version": "1.33.1-do.0"}
POSTGRES: dict[str, Any] = {
    "name": "production",
    "engine": "pg",
    "version": "15",
    "size": "db-s-2vcpu-4gb",
    "num_nodes": 2,
    "region": "nyc3",
    "users": [{"name": "provisioner"}],
    "databases": [{"name": "dcm"}],
    "pools": [{"name": "app", "mode": "transaction", "size": 10, "db": "dcm", "user": "provisioner"}],
}


def with_pools(*pools: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
    return [{**CLUSTER_WANTED, "node_pools": list(pools), **fields}]


def pools_of(account: Account) -> dict[str, dict[str, Any]]:
    (cluster,) = account.api.world.table("kubernetes_cluster").values()
    return {pool["name"]: pool for pool in cluster["node_pools"]}


# -- node pools -------------------------------------------------------------------------------------------------


@pytest.mark.row("AUT-11")
@pytest.mark.row("DO-04")
@pytest.mark.parametrize(
    "declared",
    [
        SCALED,
        {"name": "application", "labels": {"pool": "application"}},  # autoscaling left out
        {**SCALED, "count": 3, "labels": {"pool": "application"}},
        {**SCALED, "max_nodes": 12},
    ],
)
def test_the_count_of_an_autoscaled_pool_is_never_touched(declared: dict[str, Any], account: Account) -> None:
    account.run(CLUSTER, with_pools(FIXED, SCALED))
    compute.resize(account.api.world, pools_of(account)["application"], 7)
    account.run(CLUSTER, with_pools(declared))
    pool = pools_of(account)["application"]
    assert (pool["count"], pool["auto_scale"], pool["min_nodes"]) == (7, True, 3)
    assert account.plan(CLUSTER, with_pools(declared)) == []


def test_the_count_that_is_sent_is_read_just_before(account: Account) -> None:
    account.run(CLUSTER, with_pools(FIXED, SCALED))
    world = account.api.world

    def autoscaler(method: str, path: str) -> None:
        if method == "GET" and path.endswith("/node_pools/" + pools_of(account)["application"]["id"]):
            compute.resize(world, pools_of(account)["application"], 8)

    account.api.faults = [autoscaler]
    account.run(CLUSTER, with_pools({**SCALED, "max_nodes": 12}))
    assert pools_of(account)["application"]["count"] == 8


def test_autoscaling_is_switched_off_when_that_is_said(account: Account) -> None:
    account.run(CLUSTER, with_pools(FIXED, SCALED))
    account.run(CLUSTER, with_pools({"name": "application", "auto_scale": False, "count": 2}))
    pool = pools_of(account)["application"]
    assert (pool["count"], pool["auto_scale"]) == (2, False)


@pytest.mark.row("DO-03")
def test_pools_are_added_resized_and_removed(account: Account) -> None:
    account.run(CLUSTER, with_pools(FIXED, SCALED))
    database = {"name": "database", "size": "s-4vcpu-8gb", "count": 3, "labels": {"pool": "database"}}
    database["taints"] = [{"key": "pool", "value": "database", "effect": "NoSchedule"}]
    wanted = with_pools({**FIXED, "count": 3}, database, purge_node_pools=True)
    changes, _unused = account.run(CLUSTER, wanted)
    assert [(change.action, change.name) for change in changes] == [
        ("update", "production/system"),
        ("create", "production/database"),
        ("delete", "production/application"),
    ]
    assert {name: pool["count"] for name, pool in pools_of(account).items()} == {"system": 3, "database": 3}
    assert account.plan(CLUSTER, wanted) == []


@pytest.mark.row("DO-11")
@pytest.mark.parametrize("pool", [FIXED, SCALED], ids=["fixed", "autoscaled"])
def test_a_pool_of_another_size_comes_before_the_old_one_is_drained(pool: dict[str, Any], account: Account) -> None:
    account.run(CLUSTER, with_pools(pool))
    compute.resize(account.api.world, pools_of(account)[pool["name"]], 4)
    account.time.sleep(30)
    larger = {**pool, "size": "s-4vcpu-8gb"}
    if "count" in pool:
        larger["count"] = 4
    with pytest.raises(RefusedError, match="size is 's-2vcpu-4gb', wanted is 's-4vcpu-8gb'"):
        account.plan(CLUSTER, with_pools(larger))
    account.api.journal.clear()
    account.run(CLUSTER, with_pools({**larger, "replace": True}))
    after = pools_of(account)
    assert {name: (item["size"], item["count"]) for name, item in after.items()} == {pool["name"]: ("s-4vcpu-8gb", 4)}
    assert after[pool["name"]]["auto_scale"] == pool.get("auto_scale", False)
    deleted = account.calls("DELETE")
    assert [("/nodes/" in path) for path in deleted] == [True, True, True, False]
    created = account.api.journal.index(next(e for e in account.api.journal if e.method == "POST"))
    assert created < account.api.journal.index(next(e for e in account.api.journal if e.method == "DELETE"))
    assert account.plan(CLUSTER, with_pools({**larger, "replace": True})) == []


@pytest.mark.parametrize("requests", range(1, 8))
def test_an_interrupted_replacement_is_finished_by_the_next_run(requests: int, account: Account) -> None:
    account.run(CLUSTER, with_pools(FIXED))
    larger = with_pools({**FIXED, "size": "s-4vcpu-8gb", "replace": True})
    account.api.faults = [_dies_after(requests)]
    with pytest.raises(RefusedError):
        account.run(CLUSTER, larger)
    account.api.faults = []
    account.time.sleep(60)
    account.run(CLUSTER, larger)
    assert {name: pool["size"] for name, pool in pools_of(account).items()} == {"system": "s-4vcpu-8gb"}


def _dies_after(writes: int) -> Any:
    """Lets so many requests through, list included, and then refuses: as if the run had been killed there."""
    left = [writes]

    def fault(method: str, path: str) -> Any:
        left[0] -= 1
        return "refuse" if left[0] < 0 else None

    return fault


# -- versions ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "actual", "same"),
    [
        ("1.33", "1.33.6-do.2", True),
        ("1.33.6-do.2", "1.33.6-do.2", True),
        ("1.33.1-do.0", "1.33.6-do.2", False),
        ("1.3", "1.33.6-do.2", False),
        ("latest", "1.33.6-do.2", True),
    ],
)
def test_same_version(wanted: str, actual: str, same: bool) -> None:
    assert same_version(wanted, actual) is same


def test_next_version_goes_no_further_than_wanted() -> None:
    offered = ["1.32.10-do.2", "1.33.1-do.0", "1.33.6-do.2"]
    assert next_version("1.32.5-do.0", "1.34", offered) == "1.33.6-do.2"
    assert next_version("1.32.5-do.0", "1.33.1-do.0", offered) == "1.33.1-do.0"
    assert next_version("1.32.5-do.0", "1.32", offered) == "1.32.10-do.2"
    assert next_version("1.33.6-do.2", "1.34", []) is None


@pytest.mark.row("DO-01")
def test_an_upgrade_follows_the_offered_path(account: Account) -> None:
    account.run(CLUSTER, with_pools(FIXED))
    account.run(CLUSTER, with_pools(FIXED, version="1.35"))
    assert len([path for path in account.calls("POST") if path.endswith("/upgrade")]) == 2
    (cluster,) = account.api.world.table("kubernetes_cluster").values()
    assert cluster["version"] == "1.35.0-do.1"
    with pytest.raises(RefusedError, match="cannot go back"):
        account.plan(CLUSTER, with_pools(FIXED, version="1.33.1-do.0"))
    with pytest.raises(RefusedError, match=r"cannot be upgraded to 1\.99"):
        account.run(CLUSTER, with_pools(FIXED, version="1.99"))


def test_a_cluster_that_patches_itself_is_not_fought(account: Account) -> None:
    account.run(CLUSTER, with_pools(FIXED, auto_upgrade=True))
    (cluster,) = account.api.world.table("kubernetes_cluster").values()
    cluster["version"] = "1.33.6-do.2"
    assert account.plan(CLUSTER, with_pools(FIXED, auto_upgrade=True)) == []


def test_a_highly_available_control_plane_stays(account: Account) -> None:
    account.run(CLUSTER, with_pools(FIXED, ha=True))
    with pytest.raises(RefusedError, match="cannot be switched off"):
        account.plan(CLUSTER, with_pools(FIXED, ha=False))


def test_an_update_resets_nothing_that_is_left_out(account: Account) -> None:
    account.run(CLUSTER, with_pools(FIXED, auto_upgrade=True, surge_upgrade=True, tags=["one"]))
    account.run(CLUSTER, with_pools(FIXED, maintenance_policy={"day": "monday", "start_time": "4:00"}))
    (cluster,) = account.api.world.table("kubernetes_cluster").values()
    assert (cluster["auto_upgrade"], cluster["surge_upgrade"], "one" in cluster["tags"]) == (True, True, True)


@pytest.mark.row("DO-18")
def test_a_kubeconfig_is_returned_on_demand_and_is_no_change(account: Account) -> None:
    def make(client: Any, options: Any) -> ClusterReconciler:
        return ClusterReconciler(client, {**options, "kubeconfig_expiry": 3600}, check_mode=False)

    account.run(CLUSTER, with_pools(FIXED))
    changes, (cluster,) = account.run(CLUSTER, with_pools(FIXED), make=make)
    assert changes == []
    assert "token: dop_v1_" in cluster["kubeconfig"]


# -- databases --------------------------------------------------------------------------------------------------


@pytest.mark.row("DO-09")
def test_users_databases_and_pools_of_a_database(account: Account) -> None:
    def make(client: Any, options: Any) -> DatabaseReconciler:
        return DatabaseReconciler(client, {**options, "credentials": True}, check_mode=False)

    changes, (cluster,) = account.run(DATABASE_CLUSTER, [POSTGRES], make=make)
    assert [change.kind for change in changes] == ["database cluster", "database user", "database", "connection pool"]
    assert set(cluster["credentials"]["passwords"]) == {"doadmin", "provisioner"}
    passwords = list(cluster["credentials"]["passwords"].values())
    changes, (cluster,) = account.run(DATABASE_CLUSTER, [POSTGRES])
    assert changes == []
    assert not any(password in str(cluster) for password in passwords)
    changed = {**POSTGRES, "pools": [{**POSTGRES["pools"][0], "size": 20}], "users": [], "purge_users": True}
    changes, _unused = account.run(DATABASE_CLUSTER, [changed])
    assert [(change.action, change.name) for change in changes] == [
        ("update", "production/app"),
        ("delete", "production/provisioner"),
    ]
    assert not any(password in str(render_diff(changes)) for password in passwords)


@pytest.mark.row("DO-10")
@pytest.mark.parametrize(
    "smaller", [{"size": "db-s-1vcpu-2gb"}, {"num_nodes": 1}, {"storage_size_mib": 30720}], ids=str
)
def test_a_silent_shrink_is_refused(smaller: dict[str, Any], account: Account) -> None:
    account.run(DATABASE_CLUSTER, [POSTGRES])
    with pytest.raises(RefusedError, match="allow_shrink"):
        account.plan(DATABASE_CLUSTER, [{**POSTGRES, **smaller}])
    assert len(account.plan(DATABASE_CLUSTER, [{**POSTGRES, **smaller, "allow_shrink": True}])) == 1


def test_shrinking_compares_memory_before_processors() -> None:
    actual = {"size": "db-s-4vcpu-8gb", "num_nodes": 1}
    assert shrinking({"size": "db-s-2vcpu-16gb"}, actual) is None
    assert shrinking({"size": "db-s-8vcpu-4gb"}, actual)


@pytest.mark.row("DO-10")
def test_a_resize_is_waited_for_before_the_next_change(account: Account) -> None:
    account.run(DATABASE_CLUSTER, [POSTGRES])
    larger = {**POSTGRES, "size": "db-s-4vcpu-8gb", "pools": [{**POSTGRES["pools"][0], "size": 20}], "version": "16"}
    account.run(DATABASE_CLUSTER, [larger])
    assert account.plan(DATABASE_CLUSTER, [larger]) == []
    with pytest.raises(RefusedError, match="cannot go back to 15"):
        account.plan(DATABASE_CLUSTER, [{**larger, "version": "15"}])


@pytest.mark.row("BDR-10")
def test_a_point_in_time_is_restored_as_a_new_cluster(account: Account) -> None:
    account.run(DATABASE_CLUSTER, [POSTGRES])
    point = {"database_name": "production", "backup_created_at": "2026-01-31T12:00:00Z"}
    restored = {**POSTGRES, "name": "restored", "num_nodes": 1, "backup_restore": point}
    account.run(DATABASE_CLUSTER, [restored])
    assert {item["name"] for item in account.api.world.table("database").values()} == {"production", "restored"}
    assert account.plan(DATABASE_CLUSTER, [restored]) == []


# -- registries, keys -------------------------------------------------------------------------------------------


@pytest.mark.row("DO-16")
@pytest.mark.row("MNT-09")
def test_images_that_nothing_keeps_go_and_their_garbage_with_them(account: Account) -> None:
    registry: dict[str, Any] = {"name": "images", "region": "nyc3", "subscription_tier_slug": "basic"}
    account.run(REGISTRY, [registry])
    for day in range(1, 10):
        data.push(account.api.world, "images", "bot", f"build-{day}", f"2023-01-0{day}T00:00:00Z")
    data.push(account.api.world, "images", "bot", "v1", "2023-01-01T00:00:00Z")
    data.push(account.api.world, "images", "bot", "fresh", "2999-01-01T00:00:00Z")
    registry["retention"] = {"keep_newest": 3, "keep": ["v*"], "older_than_days": 30}
    make = RegistryReconciler
    changes, _unused = account.run(REGISTRY, [registry], make=make)
    assert [change.action for change in changes] == ["delete"] * 7 + ["run"]
    left = {tag["tag"] for tag in account.api.world.table("image tags of images").values()}
    assert left == {"v1", "fresh", "build-9", "build-8"}
    (run,) = account.api.world.table("garbage collections of images").values()
    assert run["status"] == "succeeded"
    assert account.run(REGISTRY, [registry], make=make)[0] == []


def test_a_key_whose_secret_was_lost_is_made_anew(account: Account) -> None:
    account.api.faults = [Planned("cut-after", "POST")]
    key = {"name": "files", "grants": [{"bucket": "files", "permission": "read"}]}
    _unused, (made,) = account.run(SPACES_KEY, [key])
    (stored,) = account.api.world.table("spaces_key").values()
    assert made["secret_key"] == stored["secret_key"]

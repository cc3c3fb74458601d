# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One reader for every type of resource."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.database import DATABASE_CLUSTER
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.droplet import DROPLET, RESERVED_IP
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.kubernetes import CLUSTER
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.plan import owned
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.registry import REGISTRY
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.resource import list_all, public
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
from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, Outcome
from ansible_collections.dcm.platform.plugins.module_utils.engine.concurrent import map_concurrently
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import Reconciler
from ansible_collections.dcm.platform.plugins.module_utils.rest import RestClient

TYPES: Mapping[str, ResourceType] = {
    "database_clusters": DATABASE_CLUSTER,
    "domains": DOMAIN,
    "droplets": DROPLET,
    "firewalls": FIREWALL,
    "kubernetes_clusters": CLUSTER,
    "load_balancers": LOAD_BALANCER,
    "projects": PROJECT,
    "registries": REGISTRY,
    "reserved_ips": RESERVED_IP,
    "spaces_keys": SPACES_KEY,
    "ssh_keys": SSH_KEY,
    "tags": TAG,
    "vpcs": VPC,
}
Found = dict[str, list[dict[str, Any]]]


class Reader(Reconciler[Found]):
    """Reads chosen types, one list each, and changes nothing."""

    def __init__(
        self, client: RestClient, types: Sequence[str], names: Sequence[str], owner: str | None, workers: int
    ) -> None:
        self._client = client
        self._types = types
        self._names = set(names)
        self._owner = owner
        self._workers = workers

    def read(self) -> Found:
        lists = map_concurrently(self._read, self._types, self._workers)
        return dict(zip(self._types, lists, strict=True))

    def _read(self, name: str) -> list[dict[str, Any]]:
        kind = TYPES[name]
        return [
            public(kind, item)
            for item in list_all(self._client, kind)
            if (not self._names or item.get("name") in self._names)
            and (not self._owner or owned(kind, item, self._owner))
        ]

    def plan(self, actual: Found) -> list[Change]:
        return []

    def apply(self, changes: Sequence[Change]) -> list[Outcome]:
        return []

    def result(self, actual: Found, changes: Sequence[Change]) -> dict[str, Any]:
        return dict(actual)

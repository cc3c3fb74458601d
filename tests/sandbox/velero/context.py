# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What every controller works with."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.sandbox.cluster import Cluster, Object, Resource
from tests.sandbox.velero import terms
from tests.sandbox.velero.faults import INJECTED, Faults
from tests.sandbox.velero.storage import ObjectStore, StorageError, StoreSettings, store_settings


@dataclass(frozen=True)
class Periods:
    """Seconds between two looks. Velero's own: one minute, and one hour for what has expired."""

    validation: float = 2.0
    synchronisation: float = 5.0
    expiry: float = 10.0
    waiting: float = 0.5  # for something that a change of the object itself does not announce


def _nobody_looks() -> None:
    """Before the controllers run."""


class Context:
    """The cluster, the namespace of the server, the object stores, the faults to show."""

    def __init__(self, cluster: Cluster, namespace: str, scratch: Path, periods: Periods) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.scratch = scratch
        self.periods = periods
        self.faults = Faults(cluster, namespace)
        self.look_again: Callable[[], None] = _nobody_looks  # has every object handled; set by who runs the controllers
        self._stores: dict[StoreSettings, ObjectStore] = {}

    def get(self, kind: Resource, name: str) -> Object | None:
        """An object of the server's namespace."""
        return self.cluster.get(kind.path(self.namespace, name)) if name else None

    def items(self, kind: Resource, label_selector: str = "") -> list[Object]:
        """The objects of a kind in the server's namespace."""
        return list(self.cluster.items(kind.path(self.namespace), label_selector))

    def patch(self, kind: Resource, item: Object, patch: Object) -> Object:
        """Merge a patch into an object; the kinds of Velero have no status subresource, so it may hold a status.

        It names the object's uid, so that what was found out of one object is never written into its namesake.
        """
        metadata = {**patch.get("metadata", {}), "uid": item["metadata"]["uid"]}
        path = kind.path(self.namespace, item["metadata"]["name"])
        return self.cluster.merge_patch(path, {**patch, "metadata": metadata})

    def delete(self, kind: Resource, item: Object) -> None:
        """Delete an object of the server's namespace."""
        self.cluster.delete(kind.path(self.namespace, item["metadata"]["name"]))

    def store(self, location: Object) -> ObjectStore:
        """The store of a location. Raises :class:`StorageError`."""
        if self.faults.active(terms.LOCATIONS, "unavailable", location["metadata"]["name"]):
            raise StorageError(f"rpc error: code = Unknown desc = {INJECTED}")
        settings = store_settings(location, self._secret)
        store = self._stores.get(settings)
        if store is None:
            store = self._stores[settings] = ObjectStore(settings, self.scratch)
        return store

    def store_of_backup(self, backup: Object) -> ObjectStore:
        """The store that holds a backup. Raises :class:`StorageError`."""
        name = terms.spec(backup).get("storageLocation", "")
        location = self.get(terms.LOCATIONS, name)
        if location is None:
            raise StorageError(f"backup storage location {name} not found")
        return self.store(location)

    def _secret(self, name: str, key: str) -> bytes:
        secret = self.get(terms.SECRETS, name)
        if secret is None:
            raise StorageError(f'unable to get credentials: unable to get key for secret: Secret "{name}" not found')
        value = secret.get("data", {}).get(key)
        if value is None:
            raise StorageError(
                f'unable to get credentials: unable to get key for secret: "{key}" not found in Secret "{name}"'
            )
        return base64.b64decode(value)

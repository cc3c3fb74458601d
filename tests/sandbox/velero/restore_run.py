# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The work of one restore: objects of an archive into the cluster."""

from __future__ import annotations

import dataclasses
import functools
import tarfile
import tempfile
import time
from collections.abc import Iterator

from kubernetes.client.exceptions import ApiException

from tests.sandbox import crds
from tests.sandbox.cluster import Object, Resource, message_of
from tests.sandbox.velero import filters, relations, restoring, selectors, terms
from tests.sandbox.velero.archive import Key, Reader, json_gzip, reading, resource_list
from tests.sandbox.velero.context import Context
from tests.sandbox.velero.faults import INJECTED, victim
from tests.sandbox.velero.journal import Journal
from tests.sandbox.velero.storage import BACKUP_FILES, RESTORE_FILES, ObjectStore, StorageError

PROGRESS_PERIOD = 1.0
READY_WITHIN = 600.0  # for a namespace that is about to go, and for a definition
DIFFERENT = (
    'could not restore, {} "{}" already exists. Warning: the in-cluster version is different than the backed-up version'
)
ALONG = ("persistentvolumes", "ingressclasses.networking.k8s.io")  # restored with what needs them


class RestoreRun:
    """Restores what a Restore chooses of its backup."""

    def __init__(self, context: Context, restore: Object, store: ObjectStore) -> None:
        self._context = context
        self._cluster = context.cluster
        self._restore = restore
        self._name: str = restore["metadata"]["name"]
        self._spec: Object = restore["spec"]
        self._store = store
        self._journal = Journal(f"restore={context.namespace}/{self._name}")
        self._resources: dict[str, Resource] = {}
        self._kinds = filters.IncludesExcludes()
        self._namespaces = filters.namespaces_of(self._spec)
        self._ensured: set[str] = set()
        self._provisioned_anew: set[str] = set()
        self._altered: Key | None = None  # by a fault
        self._done: dict[Key, str] = {}  # what became of an object

    def execute(self) -> Object:
        """The status of the restore when its items are restored. Raises :class:`StorageError`."""
        scratch, backup = self._context.scratch, self._spec["backupName"]
        if (self._spec.get("hooks") or {}).get("resources"):
            self._journal.warning("the stand-in runs no hooks")
        with tempfile.TemporaryFile(dir=scratch) as file:
            if self._context.faults.active(terms.RESTORES, "fail", self._name):
                raise StorageError(f"error downloading backup: {INJECTED}")
            if not self._store.fetch(self._store.backup_key(backup, BACKUP_FILES["BackupContents"]), file):
                raise StorageError(f"error downloading backup: no contents of {backup} in the store")
            try:
                with reading(file, scratch) as archive:
                    self._restore_all(archive)
            except (tarfile.TarError, OSError) as error:
                raise StorageError(f"error unzipping and extracting: {error}") from error
        self._upload()
        return self._status()

    def _restore_all(self, archive: Reader) -> None:
        self._discover()
        definitions = [key for key in self._chosen(archive) if key.resource == relations.DEFINITIONS]
        self._restore_items(archive, definitions)
        if definitions:
            self._discover()
        self._restore_items(archive, self._struck(list(self._chosen(archive))))

    def _struck(self, keys: list[Key]) -> list[Key]:
        """What is left to restore after a fault has struck one object."""
        active = functools.partial(self._context.faults.active, terms.RESTORES)
        key = victim(keys)
        if active("alter", self._name):
            self._altered = key
        elif active("partially-fail", self._name):
            if key is None:
                self._journal.error(f"error restoring item: {INJECTED}")
            else:
                self._journal.error(f"error restoring item {key.path}: {INJECTED}", self._target(key))
        elif not active("lose", self._name):
            return keys
        return [other for other in keys if other != key or key == self._altered]

    def _target(self, key: Key) -> str:
        """The namespace that an object comes into."""
        return str((self._spec.get("namespaceMapping") or {}).get(key.namespace, key.namespace))

    def _discover(self) -> None:
        resources = self._cluster.resources()
        self._resources = {str(resource): resource for resource in resources}
        self._kinds = filters.resources_of(self._spec, filters.resolver(resources))

    def _chosen(self, archive: Reader) -> Iterator[Key]:
        """The objects that the filters choose, in the order of their restore."""
        wanted = filters.selectors_of(self._spec)
        for resource in restoring.ordered(archive.resources()):
            if resource == "namespaces" or resource not in self._resources or resource not in self._kinds:
                continue  # a namespace is made when something comes into it
            for key in archive.keys(resource):
                if self._may_choose(key):
                    labels = archive.read(key)["metadata"].get("labels") or {} if wanted else {}
                    if not wanted or any(selectors.matches(selector, labels) for selector in wanted):
                        yield key

    def _may_choose(self, key: Key) -> bool:
        if key.namespace:
            return key.namespace in self._namespaces
        cluster_wide = self._spec.get("includeClusterResources")
        return self._namespaces.everything if cluster_wide is None else bool(cluster_wide)

    def _restore_items(self, archive: Reader, keys: list[Key]) -> None:
        shown = 0.0
        for count, key in enumerate(keys):
            if time.monotonic() - shown > PROGRESS_PERIOD:
                self._show_progress(len(self._done) + len(keys) - count)
                shown = time.monotonic()
            self._restore_item(archive, key)
        self._show_progress(len(self._done))

    def _show_progress(self, total: int) -> None:
        progress = terms.without_zeros({"totalItems": total, "itemsRestored": len(self._done)})
        self._context.patch(terms.RESTORES, self._restore, {"status": {"progress": progress}})

    def _restore_item(self, archive: Reader, key: Key) -> None:
        if key in self._done:
            return
        item = archive.read(key)
        reason = restoring.skipped(key, item)
        if reason is not None:
            self._journal.info(f"{key.path} {reason} - skipping")
            return
        target = self._target(key)
        if not self._ensure_namespace(archive, key.namespace, target):
            return
        self._done[key] = "skipped"
        if key.resource == "persistentvolumes" and restoring.deletes_volume(item):
            self._journal.info(f"Dynamically re-provisioning {key.path}: no snapshot, and its reclaim policy is Delete")
            self._provisioned_anew.add(key.name)
            return
        self._restore_needed(archive, key, item)
        wanted = restoring.labelled(
            restoring.prepared(key, item, self._spec, self._provisioned_anew), self._spec["backupName"], self._name
        )
        if key == self._altered:
            wanted["data"] = {**(wanted.get("data") or {}), "altered": INJECTED}
        self._done[key] = self._create(key, target, item, wanted)

    def _restore_needed(self, archive: Reader, key: Key, item: Object) -> None:
        for needed in relations.needed_by(key, item):
            if needed.resource not in ALONG or self._spec.get("includeClusterResources") is False:
                continue
            if needed not in archive:
                self._journal.warning(f"stat {needed.path}: no such file or directory", "")
            elif needed.resource in self._kinds:
                self._restore_item(archive, needed)

    def _ensure_namespace(self, archive: Reader, source: str, target: str) -> bool:
        """Make the namespace if there is none; wait for one that is about to go."""
        if not target or target in self._ensured:
            return True
        deadline = time.monotonic() + READY_WITHIN
        path = terms.NAMESPACES.path(name=target)
        while (existing := self._cluster.get(path)) and "deletionTimestamp" in existing["metadata"]:
            if time.monotonic() > deadline:
                self._journal.error(f"timed out waiting for terminating namespace {target} to disappear")
                return False
            time.sleep(self._context.periods.waiting)
        if existing is None:
            self._cluster.create(terms.NAMESPACES.path(), self._namespace(archive, source, target))
            self._done[Key("namespaces", "", target)] = "created"
        self._ensured.add(target)
        return True

    @staticmethod
    def _namespace(archive: Reader, source: str, target: str) -> Object:
        """The Namespace as it was backed up, under its new name; a bare one if it was not."""
        key = Key("namespaces", "", source)
        metadata: Object = archive.read(key)["metadata"] if key in archive else {}
        kept = {name: metadata[name] for name in ("labels", "annotations") if metadata.get(name)}
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": target, **kept}}

    def _create(self, key: Key, target: str, item: Object, wanted: Object) -> str:
        """Create an object, or deal with the one that exists. Returns what became of it."""
        resource = self._resource_of(key, item)
        path = resource.path(target, key.name)
        try:
            created = self._cluster.create(resource.path(target), wanted)
        except ApiException as error:
            existing = self._cluster.get(path)
            if existing is not None:
                return self._reconcile(key, path, target, existing, wanted)
            where = "/".join(part for part in (key.resource, target, key.name) if part)
            self._journal.error(f"error restoring {where}: {message_of(error)}", target)
            return "failed"
        self._complete(key, path, target, item, created)
        return "created"

    def _resource_of(self, key: Key, item: Object) -> Resource:
        """The resource in the version in which the object was backed up."""
        version = item["apiVersion"].rpartition("/")[2]
        return dataclasses.replace(self._resources[key.resource], version=version)

    def _complete(self, key: Key, path: str, target: str, item: Object, created: Object) -> None:
        """Give a created object what only an existing one can get: its status, the owners of its fields."""
        try:
            if self._restores_status(key) and item.get("status"):
                self._cluster.merge_patch(f"{path}/status", {"status": item["status"]})
            managed = item["metadata"].get("managedFields")
            if managed and managed != created["metadata"].get("managedFields"):
                self._cluster.merge_patch(path, {"metadata": {"managedFields": managed}})
        except ApiException as error:
            # not found: a controller has removed it already
            tell = self._journal.warning if error.status == 404 else self._journal.error
            tell(f"error patch for managed fields {key.path}: {message_of(error)}", target)
        if key.resource == relations.DEFINITIONS:
            self._await_definition(key)

    def _restores_status(self, key: Key) -> bool:
        chosen = self._spec.get("restoreStatus")
        if not chosen:
            return False
        return key.resource in filters.resources_of(chosen, filters.resolver(self._resources.values()))

    def _await_definition(self, key: Key) -> None:
        deadline = time.monotonic() + READY_WITHIN
        while crds.not_served(self._cluster, [key.name]):
            if time.monotonic() > deadline:
                self._journal.error(f"CRD {key.name} is not available to use for custom resources.", "")
                return
            time.sleep(0.1)

    def _reconcile(self, key: Key, path: str, target: str, existing: Object, wanted: Object) -> str:
        """Deal with an object that exists already, by ``existingResourcePolicy``."""
        labels = existing["metadata"].get("labels") or {}
        comparable = restoring.labelled(restoring.stripped(existing), self._spec["backupName"], self._name)
        updates = self._spec.get("existingResourcePolicy") == "update"
        if comparable == wanted:
            self._journal.info(f"Restore of {key.path} skipped: it exists and is the same as the backed up version")
            patch = {"metadata": {"labels": restoring.difference(labels, wanted["metadata"]["labels"])}}
            return self._patch(path, target, patch) if updates else "skipped"
        if key.resource == "serviceaccounts":
            desired = restoring.merged_account(comparable, wanted)
            patch = restoring.difference(comparable, desired)
            return self._patch(path, target, patch) if patch else "skipped"
        if not updates:
            self._journal.warning(DIFFERENT.format(wanted["kind"], key.name), target)
            return "failed"
        existing = {**comparable, "metadata": {**comparable["metadata"], "labels": labels}}
        changes = restoring.difference(existing, wanted)
        changes.get("metadata", {}).pop("managedFields", None)  # ours become those of the patch
        return self._patch(path, target, changes)

    def _patch(self, path: str, target: str, patch: Object) -> str:
        try:
            self._cluster.merge_patch(path, patch)
        except ApiException as error:
            self._journal.warning(f"could not update {path}: {message_of(error)}", target)
            return "failed"
        return "updated"

    def _upload(self) -> None:
        items = (
            (f"{self._resources[key.resource].api_version}/{self._resources[key.resource].kind}", key, action)
            for key, action in self._done.items()
        )
        listed = resource_list((kind, key.namespace, f"{key.name}({action})") for kind, key, action in items)
        files = {
            RESTORE_FILES["RestoreLog"]: self._journal.log_gzip(),
            RESTORE_FILES["RestoreResults"]: json_gzip(self._journal.results()),
            RESTORE_FILES["RestoreResourceList"]: json_gzip(listed),
            RESTORE_FILES["RestoreItemOperations"]: json_gzip([]),
            RESTORE_FILES["RestoreVolumeInfo"]: json_gzip([]),
        }
        for file, content in files.items():
            self._store.put(self._store.restore_key(self._name, file), content)

    def _status(self) -> Object:
        counts = {"errors": len(self._journal.errors), "warnings": len(self._journal.warnings)}
        waits = self._context.faults.active(terms.RESTORES, "hold-WaitingForPluginOperations", self._name)
        phase = "WaitingForPluginOperations" if waits else "Finalizing"
        suffix = "PartiallyFailed" if self._journal.errors else ""
        return {"phase": phase + suffix, **terms.without_zeros(counts)}

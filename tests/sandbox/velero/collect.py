# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Finds the objects of a backup in the cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from kubernetes.client.exceptions import ApiException

from tests.sandbox.cluster import Cluster, Object, Resource, message_of
from tests.sandbox.velero import selectors, terms
from tests.sandbox.velero.archive import Key, Spool
from tests.sandbox.velero.filters import BackupFilter
from tests.sandbox.velero.journal import Journal
from tests.sandbox.velero.relations import BINDINGS, bindings_of, needed_by

NEEDED_VERBS = frozenset(["list", "create", "get", "delete"])
FIRST = ("pods", "persistentvolumeclaims", "persistentvolumes")
# Served twice, under an old and a new group: the first is taken.
COHABITING = frozenset(["deployments", "daemonsets", "replicasets", "networkpolicies", "events"])


def backed_up(resources: Iterable[Resource]) -> list[Resource]:
    """The resources that a backup can take, in Velero's order."""
    chosen, seen = [], set()
    for resource in sorted(resources, key=lambda item: FIRST.index(str(item)) if str(item) in FIRST else len(FIRST)):
        if resource.verbs >= NEEDED_VERBS and resource.name not in seen:
            chosen.append(resource)
            if resource.name in COHABITING:
                seen.add(resource.name)
    return chosen


def tracked(namespace: Object, chosen: BackupFilter) -> bool:
    """Whether the Namespace object itself is taken, even if nothing in it is."""
    if namespace.get("status", {}).get("phase") != "Active":
        return False
    labels = namespace["metadata"].get("labels") or {}
    if any(selectors.matches(selector, labels) for selector in chosen.selectors):
        return True
    if chosen.selectors and chosen.namespaces.everything:
        return False
    return namespace["metadata"]["name"] in chosen.namespaces


def left_out(item: Object) -> bool:
    """Whether an object asks to be left out, or is about to go."""
    metadata = item["metadata"]
    return (metadata.get("labels") or {}).get(terms.EXCLUDE) == "true" or "deletionTimestamp" in metadata


class Collector:
    """Fills a spool with what a filter chooses."""

    def __init__(self, cluster: Cluster, chosen: BackupFilter, journal: Journal, spool: Spool) -> None:
        self._cluster = cluster
        self._filter = chosen
        self._journal = journal
        self._spool = spool
        self._resources = {str(resource): resource for resource in backed_up(cluster.resources())}
        self._namespaces = list(cluster.items(terms.NAMESPACES.path()))
        self._bindings: list[Object] | None = None

    def collect(self) -> None:
        """What the filters choose, then what that needs."""
        self._miss_namespaces()
        for resource in self._resources.values():
            if resource.name != "namespaces" and self._filter.includes(resource):
                self._journal.info(f"Getting items for resource {resource}")
                for item in self._list(resource):
                    self._add(resource, item)
        if self._filter.includes(terms.NAMESPACES):
            self._add_namespaces()
        self._add_needed()

    def _miss_namespaces(self) -> None:
        existing = {namespace["metadata"]["name"] for namespace in self._namespaces}
        for name in self._filter.namespaces.includes:
            if "*" not in name and name not in existing:
                self._journal.error(f"fail to get the namespace {name} specified in backup.Spec.IncludedNamespaces")

    def _list(self, resource: Resource) -> Iterator[Object]:
        queries = [selectors.query(selector) for selector in self._filter.selectors] or [""]
        for namespace in self._places() if resource.namespaced else [""]:
            for query in queries:
                try:
                    yield from self._cluster.items(resource.path(namespace), query)
                except ApiException as error:
                    self._journal.error(f"Error listing items of {resource}: {message_of(error)}", namespace)

    def _places(self) -> Sequence[str]:
        """Namespaces to list in; an empty name stands for all at once."""
        includes = self._filter.namespaces.includes
        if not includes or any("*" in name for name in includes):
            return [""]
        return [name for name in includes if name in self._filter.namespaces]

    def _add(self, resource: Resource, item: Object) -> None:
        metadata = item["metadata"]
        namespace = metadata.get("namespace", "")
        if left_out(item) or (namespace and namespace not in self._filter.namespaces):
            return
        key = Key(str(resource), namespace, metadata["name"])
        if key not in self._spool:
            self._spool.add(key, item)

    def _add_namespaces(self) -> None:
        occupied = {key.namespace for key in self._spool}
        for namespace in self._namespaces:
            if namespace["metadata"]["name"] in occupied or tracked(namespace, self._filter):
                self._add(terms.NAMESPACES, namespace)

    def _add_needed(self) -> None:
        waiting = list(self._spool)
        asked: set[Key] = set()
        while waiting:
            for key in self._needed_by(waiting.pop()):
                if key not in self._spool and key not in asked and self._may_come_along(key):
                    asked.add(key)
                    resource = self._resources[key.resource]
                    item = self._cluster.get(resource.path(key.namespace, key.name))
                    if item is not None:
                        self._add(resource, item)
                        waiting += [key] if key in self._spool else []

    def _needed_by(self, key: Key) -> Iterator[Key]:
        yield from needed_by(key, self._spool.item(key))
        if key.resource == "serviceaccounts":
            yield from bindings_of(key, self._cluster_role_bindings())

    def _may_come_along(self, key: Key) -> bool:
        resource = self._resources.get(key.resource)
        if resource is None or self._filter.excludes_related(resource):
            return False
        return not key.namespace or (key.namespace in self._filter.namespaces and self._filter.includes(resource))

    def _cluster_role_bindings(self) -> list[Object]:
        if self._bindings is None:
            self._bindings = list(self._cluster.items(self._resources[BINDINGS].path()))
        return self._bindings

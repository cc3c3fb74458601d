# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which kinds and namespaces a backup or a restore takes: Velero's old and new filters, and what it refuses of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.sandbox.cluster import Resource
from tests.sandbox.velero.selectors import Selector
from tests.sandbox.velero.terms import matches_any

OLD_LISTS = ("includedResources", "excludedResources")
NEW_LISTS = (
    "includedClusterScopedResources",
    "excludedClusterScopedResources",
    "includedNamespaceScopedResources",
    "excludedNamespaceScopedResources",
)
MIXED_FILTERS = (
    "include-resources, exclude-resources and include-cluster-resources are old filter parameters.\n"
    "include-cluster-scoped-resources, exclude-cluster-scoped-resources, include-namespace-scoped-resources and "
    "exclude-namespace-scoped-resources are new filter parameters.\n"
    "They cannot be used together"
)
BOTH_SELECTORS = "encountered labelSelector as well as orLabelSelectors in {} spec, only one can be specified"
NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")

Spec = Mapping[str, Any]
Resolve = Callable[[str], Resource | None]


@dataclass(frozen=True)
class IncludesExcludes:
    """Two lists of patterns: what is in the first (all when it is empty) and not in the second."""

    includes: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()

    def __contains__(self, name: str) -> bool:
        return not matches_any(name, self.excludes) and (not self.includes or matches_any(name, self.includes))

    @property
    def everything(self) -> bool:
        """Nothing is left out, now or in future."""
        return not self.excludes and self.includes in ((), ("*",))


@dataclass(frozen=True)
class BackupFilter:
    """What a backup takes. ``namespaces`` filters namespaced objects, ``includes`` kinds."""

    namespaces: IncludesExcludes
    includes: Callable[[Resource], bool]
    excludes_related: Callable[[Resource], bool]
    selectors: tuple[Selector, ...]


def resolver(resources: Iterable[Resource]) -> Resolve:
    """A function that finds a resource by plural, singular, short name or kind, with or without its group."""
    by_name: dict[str, Resource] = {}
    for resource in resources:
        for name in (resource.name, *resource.aliases, resource.kind.lower()):
            by_name.setdefault(f"{name}.{resource.group}", resource)
            by_name.setdefault(name, resource)

    def resolve(name: str) -> Resource | None:
        return by_name.get(name.lower())

    return resolve


def uses_old_filters(spec: Spec) -> bool:
    """Old parameters, or none at all."""
    return _has_old(spec) or not _has_new(spec)


def mixes_filters(spec: Spec) -> bool:
    """Old and new parameters together, which Velero refuses."""
    return _has_old(spec) and _has_new(spec)


def _has_old(spec: Spec) -> bool:
    return any(spec.get(name) for name in OLD_LISTS) or spec.get("includeClusterResources") is not None


def _has_new(spec: Spec) -> bool:
    return any(spec.get(name) for name in NEW_LISTS)


def errors_of_lists(includes: Sequence[str], excludes: Sequence[str]) -> list[str]:
    """What is wrong with a pair of old lists."""
    errors = []
    if len(set(includes)) > 1 and "*" in includes:
        errors.append("includes list must either contain '*' only, or a non-empty list of items")
    if "*" in excludes:
        errors.append("excludes list cannot contain '*'")
    return errors + _in_both(includes, excludes)


def errors_of_scoped_lists(includes: Sequence[str], excludes: Sequence[str]) -> list[str]:
    """What is wrong with a pair of new lists, in which all may be excluded."""
    errors = []
    if len(set(includes)) > 1 and "*" in includes:
        errors.append("includes list must either contain '*' only, or a non-empty list of items")
    if len(set(excludes)) > 1 and "*" in excludes:
        errors.append("excludes list must either contain '*' only, or a non-empty list of items")
    if includes and "*" in excludes:
        errors.append("when exclude is '*', include cannot have value")
    return errors + _in_both(includes, excludes)


def errors_of_namespaces(includes: Sequence[str], excludes: Sequence[str]) -> list[str]:
    """What is wrong with a pair of lists of namespaces, in which ``*`` may stand for characters."""
    errors = errors_of_lists(includes, excludes)
    for name in [*sorted(set(includes)), *sorted(set(excludes))]:
        if name and not NAMESPACE.fullmatch(name.replace("*", "x")):
            errors.append(
                f'invalid namespace "{name}": a lowercase RFC 1123 label must consist of lower case alphanumeric '
                "characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or "
                "'123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
            )
    return errors


def _in_both(includes: Sequence[str], excludes: Sequence[str]) -> list[str]:
    both = sorted(set(includes) & set(excludes))
    return [f"excludes list cannot contain an item in the includes list: {name}" for name in both]


def namespaces_of(spec: Spec) -> IncludesExcludes:
    """The filter of namespaces of a backup's or a restore's spec."""
    return IncludesExcludes(tuple(spec.get("includedNamespaces") or ()), tuple(spec.get("excludedNamespaces") or ()))


def resources_of(
    spec: Spec, resolve: Resolve, includes: str = OLD_LISTS[0], excludes: str = OLD_LISTS[1]
) -> IncludesExcludes:
    """The filter of kinds of two lists of a spec, as full names; what discovery does not know stays as it is."""

    def resolved(key: str) -> tuple[str, ...]:
        return tuple(str(resolve(name) or name) for name in spec.get(key) or ())

    return IncludesExcludes(resolved(includes), resolved(excludes))


def selectors_of(spec: Spec) -> tuple[Selector, ...]:
    """The label selectors of a spec, of which an object must match one; none: every object matches."""
    if spec.get("orLabelSelectors"):
        return tuple(spec["orLabelSelectors"])
    return (spec["labelSelector"],) if spec.get("labelSelector") else ()


def backup_filter(spec: Spec, resolve: Resolve) -> BackupFilter:
    """The filter of a validated backup's spec."""
    namespaces = namespaces_of(spec)
    make = _old_filter if uses_old_filters(spec) else _new_filter
    includes, excludes_related = make(spec, namespaces, resolve)
    return BackupFilter(namespaces, includes, excludes_related, selectors_of(spec))


Predicates = tuple[Callable[[Resource], bool], Callable[[Resource], bool]]


def _old_filter(spec: Spec, namespaces: IncludesExcludes, resolve: Resolve) -> Predicates:
    kinds = resources_of(spec, resolve)
    cluster_wide = spec.get("includeClusterResources")

    def includes(resource: Resource) -> bool:
        if not resource.namespaced:
            if cluster_wide is False and str(resource) != "namespaces":
                return False
            # None: the related ones only, unless the whole cluster is taken
            if cluster_wide is None and str(resource) != "namespaces" and not namespaces.everything:
                return False
        return str(resource) in kinds

    def excludes_related(resource: Resource) -> bool:
        if matches_any(str(resource), kinds.excludes):
            return True
        return not resource.namespaced and (
            cluster_wide is False or (cluster_wide is None and str(resource) not in kinds)
        )

    return includes, excludes_related


def _new_filter(spec: Spec, namespaces: IncludesExcludes, resolve: Resolve) -> Predicates:
    namespaced = resources_of(spec, resolve, NEW_LISTS[2], NEW_LISTS[3])
    cluster_wide = resources_of(spec, resolve, NEW_LISTS[0], NEW_LISTS[1])
    unfiltered = not (cluster_wide.includes or cluster_wide.excludes)

    def includes(resource: Resource) -> bool:
        name = str(resource)
        if resource.namespaced:
            return name in namespaced
        if matches_any(name, cluster_wide.excludes):
            return False
        if unfiltered and namespaces.everything and namespaced.everything:
            return True
        return matches_any(name, cluster_wide.includes) or name == "namespaces"

    def excludes_related(resource: Resource) -> bool:
        lists = namespaced if resource.namespaced else cluster_wide
        return matches_any(str(resource), lists.excludes)

    return includes, excludes_related

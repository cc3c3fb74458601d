# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which kinds and namespaces the stand-in's backups take."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.cluster import Object, Resource
from tests.sandbox.velero import filters, selectors
from tests.sandbox.velero.collect import backed_up, tracked

VERBS = frozenset(["list", "create", "get", "delete", "patch"])


def resource(name: str, group: str, kind: str, namespaced: bool, *aliases: str) -> Resource:
    return Resource(group, "v1", name, kind, namespaced, frozenset(aliases), VERBS)


PODS = resource("pods", "", "Pod", True, "po", "pod")
SECRETS = resource("secrets", "", "Secret", True, "secret")
NAMESPACES = resource("namespaces", "", "Namespace", False, "ns", "namespace")
VOLUMES = resource("persistentvolumes", "", "PersistentVolume", False, "pv", "persistentvolume")
EVENTS = resource("events", "", "Event", True, "ev", "event")
NEW_EVENTS = resource("events", "events.k8s.io", "Event", True, "ev", "event")
DEPLOYMENTS = resource("deployments", "apps", "Deployment", True, "deploy", "deployment")
ROLES = resource("clusterroles", "rbac.authorization.k8s.io", "ClusterRole", False, "clusterrole")
REVIEWS = Resource("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", False, verbs=frozenset(["create"]))
ALL = [SECRETS, NAMESPACES, VOLUMES, PODS, EVENTS, DEPLOYMENTS, ROLES, NEW_EVENTS, REVIEWS]
NAMESPACED = {"secrets", "pods", "events", "deployments.apps"}
CLUSTER = {"namespaces", "persistentvolumes", "clusterroles.rbac.authorization.k8s.io"}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, NAMESPACED | CLUSTER),
        ({"includedNamespaces": ["*"]}, NAMESPACED | CLUSTER),
        ({"includedNamespaces": ["a"]}, NAMESPACED | {"namespaces"}),
        ({"excludedNamespaces": ["a"]}, NAMESPACED | {"namespaces"}),
        ({"includedNamespaces": ["a"], "includeClusterResources": True}, NAMESPACED | CLUSTER),
        ({"includeClusterResources": False}, NAMESPACED | {"namespaces"}),
        ({"includedResources": ["po", "Deployment"]}, {"pods", "deployments.apps"}),
        ({"includedResources": ["deploy.apps", "pv"]}, {"deployments.apps", "persistentvolumes"}),
        ({"includedResources": ["*.apps"]}, {"deployments.apps"}),
        ({"includedResources": ["unknown"]}, set()),
        ({"excludedResources": ["secrets"]}, (NAMESPACED | CLUSTER) - {"secrets"}),
        ({"includedNamespaceScopedResources": ["pods"]}, {"pods", "namespaces"}),
        ({"includedNamespaceScopedResources": ["*"]}, NAMESPACED | CLUSTER),
        ({"excludedNamespaceScopedResources": ["*"]}, {"namespaces"}),
        ({"excludedNamespaceScopedResources": ["po"]}, (NAMESPACED - {"pods"}) | {"namespaces"}),
        ({"includedClusterScopedResources": ["pv"]}, NAMESPACED | {"persistentvolumes", "namespaces"}),
        ({"excludedClusterScopedResources": ["*"]}, NAMESPACED),
        (
            {"includedNamespaces": ["a"], "includedClusterScopedResources": ["*"]},
            NAMESPACED | CLUSTER,
        ),
    ],
)
def test_kinds_of_a_backup(spec: dict[str, Any], expected: set[str]) -> None:
    chosen = filters.backup_filter(spec, filters.resolver(ALL))
    assert {str(item) for item in backed_up(ALL) if chosen.includes(item)} == expected


@pytest.mark.parametrize(
    ("spec", "excluded"),
    [
        ({}, False),
        ({"includedNamespaces": ["a"]}, False),
        ({"includeClusterResources": False}, True),
        ({"excludedResources": ["persistentvolumes"]}, True),
        ({"includedResources": ["pods"]}, True),
        ({"includedResources": ["pods"], "includeClusterResources": True}, False),
        ({"includedNamespaceScopedResources": ["pods"]}, False),
        ({"excludedClusterScopedResources": ["pv"]}, True),
    ],
)
def test_a_related_volume_comes_along(spec: dict[str, Any], excluded: bool) -> None:
    chosen = filters.backup_filter(spec, filters.resolver(ALL))
    assert chosen.excludes_related(VOLUMES) is excluded


def test_what_can_be_backed_up_at_all() -> None:
    found = [str(item) for item in backed_up(ALL)]
    assert found[0] == "pods", "pods come first"
    assert "events.events.k8s.io" not in found, "served twice, taken once"
    assert "tokenreviews.authentication.k8s.io" not in found, "cannot be listed"


@pytest.mark.parametrize(
    ("includes", "excludes", "name", "inside"),
    [
        ((), (), "a", True),
        (("*",), (), "a", True),
        (("a",), (), "b", False),
        (("team-*",), ("team-x",), "team-y", True),
        (("team-*",), ("team-x",), "team-x", False),
        ((), ("kube-*",), "kube-system", False),
    ],
)
def test_includes_and_excludes(includes: tuple[str, ...], excludes: tuple[str, ...], name: str, inside: bool) -> None:
    assert (name in filters.IncludesExcludes(includes, excludes)) is inside


@pytest.mark.parametrize(
    ("function", "includes", "excludes", "errors"),
    [
        (filters.errors_of_lists, ["a"], ["b"], []),
        (
            filters.errors_of_lists,
            ["*", "a"],
            [],
            ["includes list must either contain '*' only, or a non-empty list of items"],
        ),
        (filters.errors_of_lists, [], ["*"], ["excludes list cannot contain '*'"]),
        (
            filters.errors_of_lists,
            ["a", "b"],
            ["b", "a"],
            [
                "excludes list cannot contain an item in the includes list: a",
                "excludes list cannot contain an item in the includes list: b",
            ],
        ),
        (filters.errors_of_scoped_lists, [], ["*"], []),
        (filters.errors_of_scoped_lists, ["a"], ["*"], ["when exclude is '*', include cannot have value"]),
        (
            filters.errors_of_scoped_lists,
            [],
            ["*", "a"],
            ["excludes list must either contain '*' only, or a non-empty list of items"],
        ),
        (filters.errors_of_namespaces, ["team-*", ""], ["team-x"], []),
    ],
)
def test_errors_of_lists(function: Any, includes: list[str], excludes: list[str], errors: list[str]) -> None:
    assert function(includes, excludes) == errors


def test_an_invalid_namespace_is_named() -> None:
    [error] = filters.errors_of_namespaces(["Not_Valid"], [])
    assert error.startswith('invalid namespace "Not_Valid": a lowercase RFC 1123 label must consist of')


@pytest.mark.parametrize(
    ("spec", "old", "mixed"),
    [
        ({}, True, False),
        ({"includeClusterResources": False}, True, False),
        ({"includedResources": ["a"]}, True, False),
        ({"excludedClusterScopedResources": ["a"]}, False, False),
        ({"excludedClusterScopedResources": ["a"], "includeClusterResources": True}, True, True),
    ],
)
def test_old_and_new_filters(spec: dict[str, Any], old: bool, mixed: bool) -> None:
    assert (filters.uses_old_filters(spec), filters.mixes_filters(spec)) == (old, mixed)


SELECTOR = {
    "matchLabels": {"app": "web", "a": "1"},
    "matchExpressions": [
        {"key": "tier", "operator": "In", "values": ["x", "b"]},
        {"key": "env", "operator": "NotIn", "values": ["prod"]},
        {"key": "owner", "operator": "Exists"},
        {"key": "draft", "operator": "DoesNotExist"},
    ],
}
MATCHING = {"app": "web", "a": "1", "tier": "b", "owner": "me"}


def test_a_selector_as_query() -> None:
    assert selectors.query(SELECTOR) == "a=1,app=web,tier in (b,x),env notin (prod),owner,!draft"
    assert selectors.query({}) == ""


@pytest.mark.parametrize(
    ("change", "matches"),
    [({}, True), ({"app": "db"}, False), ({"tier": "y"}, False), ({"env": "prod"}, False), ({"draft": ""}, False)],
)
def test_a_selector_and_labels(change: dict[str, str], matches: bool) -> None:
    assert selectors.matches(SELECTOR, {**MATCHING, **change}) is matches


def test_a_selector_misses_a_label() -> None:
    assert not selectors.matches(SELECTOR, {name: value for name, value in MATCHING.items() if name != "owner"})


def namespace(labels: dict[str, str], phase: str = "Active") -> Object:
    return {"metadata": {"name": "a", "labels": labels}, "status": {"phase": phase}}


@pytest.mark.parametrize(
    ("spec", "labels", "phase", "taken"),
    [
        ({}, {}, "Active", True),
        ({}, {}, "Terminating", False),
        ({"includedNamespaces": ["b"]}, {}, "Active", False),
        ({"labelSelector": {"matchLabels": {"x": "1"}}}, {}, "Active", False),
        ({"labelSelector": {"matchLabels": {"x": "1"}}}, {"x": "1"}, "Active", True),
        ({"orLabelSelectors": [{"matchLabels": {"y": "1"}}, {"matchLabels": {"x": "1"}}]}, {"x": "1"}, "Active", True),
        ({"includedNamespaces": ["a"], "labelSelector": {"matchLabels": {"x": "1"}}}, {}, "Active", True),
    ],
)
def test_the_namespace_itself(spec: dict[str, Any], labels: dict[str, str], phase: str, taken: bool) -> None:
    chosen = filters.backup_filter(spec, filters.resolver(ALL))
    assert tracked(namespace(labels, phase), chosen) is taken

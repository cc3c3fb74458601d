# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Roles of people, and the groups that have them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.cluster_baseline.entries import (
    Object,
    Table,
    as_list,
    check_keys,
    manifest,
)

API = "rbac.authorization.k8s.io"
KEYS = ("includes", "namespaces", "rules", "title")
PREFIX = "dcm:"  # of bindings: one called cluster-admin is there from the beginning and is Kubernetes' own


def access_objects(roles: Table, groups: Mapping[str, Sequence[str]], namespaces: Collection[str]) -> Iterator[Object]:
    """Every role with rules, and a binding for each that somebody has.

    A role holds in the namespaces that it names, as far as they are among ``namespaces``, or everywhere. Whoever has a
    role also has those that it includes. Raises :class:`InputError` for roles that nobody describes.
    """
    check_keys("cluster_baseline_groups", groups, roles, what="role")
    for name, role in roles.items():
        check_keys(f"cluster_baseline_roles.{name}", role, KEYS)
        included = dict.fromkeys(as_list(role.get("includes")))
        check_keys(f"cluster_baseline_roles.{name}.includes", included, roles, what="role")
        if role.get("rules"):
            title = {"dcm.io/title": role.get("title") or name}
            yield manifest(f"{API}/v1", "ClusterRole", name, annotations=title, rules=list(role["rules"]))
        subjects = [{"apiGroup": API, "kind": "Group", "name": group} for group in _holders(name, roles, groups)]
        if subjects:
            yield from _bindings(name, role, subjects, namespaces)


def _holders(name: str, roles: Table, groups: Mapping[str, Sequence[str]]) -> list[str]:
    """The groups that have a role, by itself or with another."""
    through = [other for other, role in roles.items() if name in as_list(role.get("includes"))]
    return sorted({group for one in (name, *through) for group in groups.get(one) or ()})


def _bindings(
    name: str, role: Mapping[str, Any], subjects: list[Object], namespaces: Collection[str]
) -> Iterator[Object]:
    content: Object = {"roleRef": {"apiGroup": API, "kind": "ClusterRole", "name": name}, "subjects": subjects}
    if "namespaces" not in role:
        yield manifest(f"{API}/v1", "ClusterRoleBinding", PREFIX + name, **content)
        return
    for namespace in as_list(role["namespaces"]):
        if namespace in namespaces:
            yield manifest(f"{API}/v1", "RoleBinding", PREFIX + name, namespace, **content)

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Namespaces, roles and classes: from tables to objects."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.dcm.platform.plugins.filter.cluster_baseline import FilterModule

FILTERS = FilterModule().filters()
PEERS = {"dns": [{"namespace": "kube-system"}]}
DEFAULTS = {
    "pod_security": {"enforce": "restricted", "warn": "restricted"},
    "quota": {"pods": "100", "services.nodeports": "0"},
    "limits": {"requests": {"cpu": "100m"}, "limits": {"cpu": "500m"}, "maximum": {"cpu": "4"}},
    "quotas": {"velero": {"pods": "200"}},
    "dns_port": 53,
}
RULE = {"name": "open", "ingress": [{"from": ["everywhere"], "ports": [1]}]}


def objects(*tables: dict[str, Any], **others: Any) -> dict[str, dict[str, Any]]:
    """By kind, namespace and name."""
    empty: dict[str, Any] = {"roles": {}, "groups": {}, "priorities": {}, "storage": {}}
    found = FILTERS["cluster_baseline_objects"](tables, defaults=DEFAULTS, peers=PEERS, **{**empty, **others})
    names = {
        f"{item['kind']} {item['metadata'].get('namespace', '')}/{item['metadata']['name']}": item for item in found
    }
    assert len(names) == len(found)
    assert all(item["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "dcm.platform" for item in found)
    return names


def test_what_every_namespace_gets() -> None:
    found = objects({"a": {}})
    assert list(found) == [
        "Namespace /a",
        "ResourceQuota a/namespace-quota",
        "LimitRange a/container-defaults",
        "ServiceAccount a/default",
        "NetworkPolicy a/default-deny",
        "NetworkPolicy a/allow-dns",
    ]
    assert found["ServiceAccount a/default"]["automountServiceAccountToken"] is False
    assert found["ResourceQuota a/namespace-quota"]["spec"] == {"hard": {"pods": "100", "services.nodeports": "0"}}
    assert found["LimitRange a/container-defaults"]["spec"]["limits"] == [
        {"type": "Container", "defaultRequest": {"cpu": "100m"}, "default": {"cpu": "500m"}, "max": {"cpu": "4"}}
    ]
    assert found["NetworkPolicy a/default-deny"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@pytest.mark.row("SEC-03")
def test_a_token_is_mounted_only_where_it_is_asked_for() -> None:
    assert objects({"a": {"automount_token": True}})["ServiceAccount a/default"]["automountServiceAccountToken"] is True


def test_later_tables_win_key_by_key() -> None:
    found = objects(
        {"velero": {"quota": {"pods": "1", "services.nodeports": "9"}, "limits": {"limits": {"cpu": "1"}}}},
        {"velero": {"quota": {"services.nodeports": None}, "reason": "Host paths."}},
        {"velero": {"pod_security": {"enforce": "privileged"}, "limits": {"maximum": {"cpu": None, "memory": "1Gi"}}}},
        {"velero": None},
    )
    assert found["ResourceQuota velero/namespace-quota"]["spec"]["hard"] == {"pods": "1"}
    (limits,) = found["LimitRange velero/container-defaults"]["spec"]["limits"]
    assert (limits["default"], limits["max"]) == ({"cpu": "1"}, {"memory": "1Gi"})
    metadata = found["Namespace /velero"]["metadata"]
    assert metadata["labels"]["pod-security.kubernetes.io/enforce"] == "privileged"
    assert metadata["labels"]["pod-security.kubernetes.io/warn"] == "restricted"
    assert metadata["annotations"] == {"dcm.io/pod-security-reason": "Host paths."}


def test_the_quota_of_a_single_namespace_comes_before_that_of_all() -> None:
    assert objects({"velero": {}})["ResourceQuota velero/namespace-quota"]["spec"]["hard"]["pods"] == "200"


def test_rules_of_several_tables_add_up_and_the_last_of_a_name_counts() -> None:
    other = {"name": "other", "ingress": [{"from": ["dns"]}]}
    again = {"name": "open", "ingress": [{"from": ["everywhere"], "ports": [2]}]}
    found = objects({"a": {"allow": [RULE]}}, {"a": {"allow": [other]}}, {"a": {"allow": [again]}})
    assert {"NetworkPolicy a/open", "NetworkPolicy a/other"} < set(found)
    assert found["NetworkPolicy a/open"]["spec"]["ingress"][0]["ports"] == [{"protocol": "TCP", "port": 2}]


def test_namespaces_of_kubernetes_itself_are_left_alone() -> None:
    assert objects({"kube-system": {"allow": [RULE]}, "kube-public": {}, "kube-node-lease": {}, "default": {}}) == {}


ROLES: dict[str, Any] = {
    "cluster-admin": {"title": "Administrators"},
    "developer": {"includes": ["reader"], "namespaces": ["a", "elsewhere"], "rules": [{"verbs": ["create"]}]},
    "reader": {"title": "Viewers", "rules": [{"verbs": ["get"]}]},
}


@pytest.mark.row("SEC-02")
def test_roles_and_who_has_them() -> None:
    groups = {"cluster-admin": ["root"], "developer": ["dev"], "reader": ["guests", "dev"]}
    found = {key: item for key, item in objects({"a": {}}, roles=ROLES, groups=groups).items() if "Role" in key}
    assert list(found) == [
        "ClusterRoleBinding /dcm:cluster-admin",
        "ClusterRole /developer",
        "RoleBinding a/dcm:developer",
        "ClusterRole /reader",
        "ClusterRoleBinding /dcm:reader",
    ]
    binding = found["ClusterRoleBinding /dcm:reader"]
    assert [subject["name"] for subject in binding["subjects"]] == ["dev", "guests"]
    assert {subject["kind"] for subject in binding["subjects"]} == {"Group"}
    assert found["RoleBinding a/dcm:developer"]["roleRef"]["name"] == "developer"


def test_a_role_that_nobody_has_is_bound_to_nobody() -> None:
    found = objects({"a": {}}, roles=ROLES, groups={"reader": []})
    assert not [key for key in found if "Binding" in key]


def test_classes() -> None:
    found = objects(
        priorities={"high": {"value": 5, "default": True}, "low": {"value": -1, "preemption": "Never"}},
        storage={"fast": {"provisioner": "p", "parameters": {"n": 3}, "default": True, "mount_options": ["hard"]}},
    )
    high, low, fast = found.values()
    assert (high["value"], high["globalDefault"], high["preemptionPolicy"]) == (5, True, "PreemptLowerPriority")
    assert (low["value"], low["globalDefault"], low["preemptionPolicy"]) == (-1, False, "Never")
    assert fast["metadata"]["annotations"] == {"storageclass.kubernetes.io/is-default-class": "true"}
    assert (fast["parameters"], fast["mountOptions"]) == ({"n": "3"}, ["hard"])
    assert (fast["reclaimPolicy"], fast["volumeBindingMode"]) == ("Delete", "WaitForFirstConsumer")


@pytest.mark.parametrize(
    ("table", "others", "message"),
    [
        ({"a": {"quotas": {}}}, {}, "The namespace a names an unknown key: quotas."),
        ({"a": ["x"]}, {}, "The namespace a is no dictionary."),
        ({"a": {"pod_security": {"force": "x"}}}, {}, "The namespace a names an unknown mode of Pod Security: force."),
        ({"a": {"limits": {"max": {}}}}, {}, "The namespace a names an unknown kind of limits: max."),
        (
            {"a": {"pod_security": {"enforce": "privileged"}}},
            {},
            "The namespace a is to be privileged for no reason. Say in 'reason' what cannot do without.",
        ),
        (
            {"a": {"allow": [{**RULE, "name": "default-deny"}]}},
            {},
            "a: a network rule may not be called default-deny: every namespace has one.",
        ),
        ({"a": {"allow": [RULE, RULE]}}, {}, "a: two network rules are called open."),
        ({"a": {"allow": ["dns"]}}, {}, "a: a network rule is no dictionary, but 'dns'."),
        ({}, {"groups": {"king": []}}, "cluster_baseline_groups names an unknown role: king."),
        (
            {},
            {"roles": {"a": {"includes": ["b"]}}},
            "cluster_baseline_roles.a.includes names an unknown role: b. Known: a.",
        ),
        (
            {},
            {"storage": {"a": {"provisioner": "p", "default": True}, "b": {"provisioner": "p", "default": True}}},
            "cluster_baseline_storage_classes: a, b are all the default. A cluster has one at most.",
        ),
        (
            {},
            {"priorities": {"a": {"value": 1, "default": True}, "b": {"value": 2, "default": True}}},
            "cluster_baseline_priority_classes: a, b are all the default.",
        ),
        ({}, {"priorities": {"a": {}}}, "cluster_baseline_priority_classes.a is not complete: value is missing."),
        ({}, {"storage": {"a": {}}}, "cluster_baseline_storage_classes.a is not complete: provisioner is missing."),
    ],
)
def test_tables_that_make_no_sense(table: dict[str, Any], others: dict[str, Any], message: str) -> None:
    with pytest.raises(AnsibleFilterError) as raised:
        objects(table, **others)
    assert message in str(raised.value)

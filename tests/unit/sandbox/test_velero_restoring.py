# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What becomes of objects on their way from a backup into a cluster."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.sandbox.cluster import Object
from tests.sandbox.velero import relations, restoring
from tests.sandbox.velero.archive import Key

MAPPING = {"namespaceMapping": {"a": "b"}}


def key(resource: str, namespace: str = "a", name: str = "x") -> Key:
    return Key(resource, namespace, name)


def item(**content: Any) -> Object:
    metadata = {"name": "x", "namespace": "a", **content.pop("metadata", {})}
    return {"apiVersion": "v1", "kind": "Thing", "metadata": metadata, **content}


def test_the_order_of_a_restore() -> None:
    assert restoring.ordered(["zebras.example", "pods", "configmaps", "deployments.apps", relations.DEFINITIONS]) == [
        relations.DEFINITIONS,
        "configmaps",
        "pods",
        "deployments.apps",
        "zebras.example",
    ]


@pytest.mark.parametrize(
    ("resource", "content", "reason"),
    [
        ("pods", {"status": {"phase": "Running"}}, None),
        ("pods", {"status": {"phase": "Succeeded"}}, "is complete"),
        ("pods", {"status": {"phase": "Failed"}}, "is complete"),
        ("pods", {"metadata": {"annotations": {"kubernetes.io/config.mirror": "1"}}}, "is a mirror pod"),
        ("jobs.batch", {"status": {"active": 1}}, None),
        ("jobs.batch", {"status": {"completionTime": "2026-01-01T00:00:00Z"}}, "is complete"),
        (
            "apiservices.apiregistration.k8s.io",
            {"metadata": {"labels": {"kube-aggregator.kubernetes.io/automanaged": "true"}}},
            "is managed by the API server",
        ),
        ("configmaps", {"status": {"phase": "Succeeded"}}, None),
    ],
)
def test_what_is_never_restored(resource: str, content: Object, reason: str | None) -> None:
    assert restoring.skipped(key(resource), item(**content)) == reason


def test_what_the_server_sets_is_left_out() -> None:
    backed_up = item(
        metadata={
            "uid": "u",
            "resourceVersion": "1",
            "generation": 2,
            "creationTimestamp": "t",
            "generateName": "x-",
            "ownerReferences": [{"name": "o"}],
            "labels": {"a": "1"},
            "annotations": {"b": "2"},
            "finalizers": ["f"],
            "managedFields": [{"manager": "m"}],
        },
        data={"k": "v"},
        status={"phase": "x"},
    )
    before = copy.deepcopy(backed_up)
    assert restoring.stripped(backed_up) == {
        "apiVersion": "v1",
        "kind": "Thing",
        "metadata": {
            "name": "x",
            "namespace": "a",
            "labels": {"a": "1"},
            "annotations": {"b": "2"},
            "finalizers": ["f"],
            "managedFields": [{"manager": "m"}],
        },
        "data": {"k": "v"},
    }
    assert backed_up == before


@pytest.mark.parametrize(
    ("resource", "spec", "backed_up", "expected"),
    [
        ("configmaps", MAPPING, {}, {"metadata": {"namespace": "b"}}),
        ("configmaps", {}, {}, {"metadata": {"namespace": "a"}}),
        ("pods", {}, {"spec": {"nodeName": "n", "priority": 1, "containers": []}}, {"spec": {"containers": []}}),
        (
            "services",
            {},
            {"spec": {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ports": [{"port": 1, "nodePort": 2}]}},
            {"spec": {"ports": [{"port": 1}]}},
        ),
        (
            "services",
            {"preserveNodePorts": True},
            {"spec": {"clusterIP": "10.0.0.1", "healthCheckNodePort": 3, "ports": [{"port": 1, "nodePort": 2}]}},
            {"spec": {"healthCheckNodePort": 3, "ports": [{"port": 1, "nodePort": 2}]}},
        ),
        (
            "services",
            {},
            {"spec": {"clusterIP": "None", "clusterIPs": ["None"]}},
            {"spec": {"clusterIP": "None", "clusterIPs": ["None"]}},
        ),
        (
            "jobs.batch",
            {},
            {
                "spec": {
                    "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}},
                    "template": {"metadata": {"labels": {"controller-uid": "u", "app": "x"}}},
                }
            },
            {"spec": {"selector": {"matchLabels": {}}, "template": {"metadata": {"labels": {"app": "x"}}}}},
        ),
        (
            "persistentvolumeclaims",
            {},
            {"spec": {"volumeName": "anew"}, "metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}}},
            {"spec": {}, "metadata": {"annotations": {}}},
        ),
        ("persistentvolumeclaims", {}, {"spec": {"volumeName": "kept"}}, {"spec": {"volumeName": "kept"}}),
        (
            "rolebindings.rbac.authorization.k8s.io",
            MAPPING,
            {"subjects": [{"kind": "ServiceAccount", "namespace": "a"}, {"kind": "User"}, {"namespace": "c"}]},
            {
                "metadata": {"namespace": "b"},
                "subjects": [{"kind": "ServiceAccount", "namespace": "b"}, {"kind": "User"}, {"namespace": "c"}],
            },
        ),
        (
            "serviceaccounts",
            {},
            {"secrets": [{"name": "x-token-abc"}, {"name": "mine"}]},
            {"secrets": [{"name": "mine"}]},
        ),
        (
            "secrets",
            {},
            {
                "type": "kubernetes.io/service-account-token",
                "data": {"token": "t"},
                "metadata": {"annotations": {"kubernetes.io/service-account.uid": "u"}},
            },
            {"type": "kubernetes.io/service-account-token", "metadata": {"annotations": {}}},
        ),
        ("secrets", {}, {"type": "Opaque", "data": {"k": "v"}}, {"type": "Opaque", "data": {"k": "v"}}),
    ],
)
def test_objects_are_prepared(resource: str, spec: Object, backed_up: Object, expected: Object) -> None:
    made = restoring.prepared(key(resource), item(**copy.deepcopy(backed_up)), spec, {"anew"})
    metadata = {"name": "x", "namespace": "a", **expected.pop("metadata", {})}
    assert made == {"apiVersion": "v1", "kind": "Thing", "metadata": metadata, **expected}


def test_a_volume_is_released_for_the_claim_in_its_new_namespace() -> None:
    claim = {"namespace": "a", "name": "c", "uid": "u", "resourceVersion": "1"}
    volume = {"metadata": {"name": "x"}, "spec": {"claimRef": claim, "persistentVolumeReclaimPolicy": "Retain"}}
    made = restoring.prepared(key("persistentvolumes", ""), volume, MAPPING, ())
    assert made["spec"]["claimRef"] == {"namespace": "b", "name": "c"}
    assert not restoring.deletes_volume(volume)
    assert restoring.deletes_volume({"spec": {"persistentVolumeReclaimPolicy": "Delete"}})


def test_restored_objects_tell_where_they_are_from() -> None:
    labels = restoring.labelled(item(metadata={"labels": {"a": "1"}}), "b" * 70, "r")["metadata"]["labels"]
    assert labels.keys() == {"a", "velero.io/backup-name", "velero.io/restore-name"}
    assert len(labels["velero.io/backup-name"]) == 63


def test_an_existing_service_account_gets_what_it_lacks() -> None:
    existing = {"metadata": {"labels": {"a": "1"}}, "secrets": [{"name": "s"}]}
    wanted = {
        "metadata": {"labels": {"a": "2", "b": "2"}, "annotations": {"c": "3"}},
        "secrets": [{"name": "s"}, {"name": "t"}],
        "imagePullSecrets": [{"name": "p"}],
    }
    assert restoring.merged_account(existing, wanted) == {
        "metadata": {"labels": {"a": "1", "b": "2"}, "annotations": {"c": "3"}},
        "secrets": [{"name": "s"}, {"name": "t"}],
        "imagePullSecrets": [{"name": "p"}],
    }


@pytest.mark.parametrize(
    ("existing", "wanted", "patch"),
    [
        ({"a": 1}, {"a": 1}, {}),
        ({"a": 1, "b": 2}, {"a": 1}, {"b": None}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, {"a": {"c": 3}}),
        ({"a": [1]}, {"a": [1, 2]}, {"a": [1, 2]}),
        ({}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"a": {"b": 1}}, {"a": None}, {"a": None}),
        ({"a": {"b": 1}}, {}, {"a": None}),
    ],
)
def test_the_difference_as_a_merge_patch(existing: Object, wanted: Object, patch: Object) -> None:
    assert restoring.difference(existing, wanted) == patch


@pytest.mark.parametrize(
    ("needing", "spec", "needed"),
    [
        (
            key("pods"),
            {"volumes": [{"persistentVolumeClaim": {"claimName": "c"}}, {"emptyDir": {}}], "priorityClassName": "p"},
            [Key("persistentvolumeclaims", "a", "c"), Key("priorityclasses.scheduling.k8s.io", "", "p")],
        ),
        (key("persistentvolumeclaims"), {"volumeName": "v"}, [Key("persistentvolumes", "", "v")]),
        (key("persistentvolumeclaims"), {}, []),
        (
            key("ingresses.networking.k8s.io"),
            {"ingressClassName": "nginx"},
            [Key("ingressclasses.networking.k8s.io", "", "nginx")],
        ),
        (key("widgets.example.com"), {}, [Key(relations.DEFINITIONS, "", "widgets.example.com")]),
        (key("deployments.apps"), {"volumeName": "v"}, []),
    ],
)
def test_what_an_object_needs(needing: Key, spec: Object, needed: list[Key]) -> None:
    assert list(relations.needed_by(needing, item(spec=spec))) == needed


def test_the_bindings_of_a_service_account() -> None:
    def binding(name: str, namespace: str) -> Object:
        subject = {"kind": "ServiceAccount", "namespace": namespace, "name": "x"}
        return {"metadata": {"name": name}, "roleRef": {"name": "view"}, "subjects": [subject]}

    found = relations.bindings_of(
        key("serviceaccounts"),
        [binding("mine", "a"), binding("other", "b"), {"metadata": {"name": "none"}, "roleRef": {"name": "view"}}],
    )
    assert list(found) == [Key(relations.BINDINGS, "", "mine"), Key(relations.ROLES, "", "view")]

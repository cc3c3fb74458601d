# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is read out of a backup's archive, and which differences between two objects count."""

from __future__ import annotations

import copy
import io
import json
import tarfile
from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import RefusedError
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.client import Resource
from ansible_collections.dcm.platform.plugins.module_utils.velero import contents
from hypothesis import given
from hypothesis import strategies as st

Object = dict[str, Any]
CONTROLLER = {"ownerReferences": [{"kind": "ReplicaSet", "name": "x", "controller": True}]}
OWNER = {"ownerReferences": [{"kind": "Guild", "name": "x"}]}


def item(kind: str = "ConfigMap", version: str = "v1", **content: Any) -> Object:
    metadata = {"name": "x", "namespace": "a", **content.pop("metadata", {})}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **content}


def archive(files: dict[str, Object | str]) -> io.BytesIO:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz") as tar:
        for path, content in files.items():
            text = (content if isinstance(content, str) else json.dumps(content)).encode()
            entry = tarfile.TarInfo(path)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text))
    written.seek(0)
    return written


def test_every_object_is_read_once_with_its_kind() -> None:
    deployment = item("Deployment", "apps/v1", spec={"replicas": 1})
    found = list(
        contents.read(
            archive(
                {
                    "metadata/version": "1.1.0",
                    "resources/configmaps/namespaces/a/x.json": item(data={"k": "v"}),
                    "resources/configmaps/v1-preferredversion/namespaces/a/x.json": item(data={"k": "v"}),
                    "resources/deployments.apps/namespaces/a/x.json": deployment,
                    "resources/namespaces/cluster/a.json": item("Namespace"),
                }
            ),
            "daily",
        )
    )
    assert [(entry.kind, entry.namespace, entry.name) for entry in found] == [
        ("v1/ConfigMap", "a", "x"),
        ("apps/v1/Deployment", "a", "x"),
        ("v1/Namespace", "", "a"),
    ]
    assert found[1].resource == Resource("apps", "v1", "deployments", "Deployment")
    assert str(found[1]) == "Deployment a/x"


@pytest.mark.parametrize(
    ("path", "content", "required"),
    [
        ("configmaps/namespaces/a/x", item(), True),
        ("configmaps/namespaces/a/x", item(metadata=OWNER), True),
        ("pods/namespaces/a/x", item("Pod", metadata=CONTROLLER), False),
        ("pods/namespaces/a/x", item("Pod", status={"phase": "Running"}), True),
        ("pods/namespaces/a/x", item("Pod", status={"phase": "Succeeded"}), False),
        ("jobs.batch/namespaces/a/x", item("Job", "batch/v1", status={"active": 1}), True),
        ("jobs.batch/namespaces/a/x", item("Job", "batch/v1", status={"completionTime": "t"}), False),
        ("endpoints/namespaces/a/x", item("Endpoints"), False),
    ],
)
def test_what_a_restore_must_bring(path: str, content: Object, required: bool) -> None:
    (entry,) = contents.read(archive({f"resources/{path}.json": content}), "daily")
    assert entry.required is required


@pytest.mark.parametrize(
    "damaged",
    [
        io.BytesIO(b"not packed"),
        io.BytesIO(archive({"resources/configmaps/namespaces/a/x.json": item(data={"k": "v" * 9000})}).read()[:60]),
        archive({"resources/configmaps/namespaces/a/x.json": "no JSON"}),
    ],
)
def test_a_damaged_archive_is_refused(damaged: io.BytesIO) -> None:
    with pytest.raises(RefusedError, match="The contents of backup daily are damaged"):
        list(contents.read(damaged, "daily"))


@pytest.mark.parametrize(
    ("resource", "backed_up", "restored"),
    [
        (
            "services",
            item(spec={"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ports": [{"port": 1, "nodePort": 2}]}),
            item(spec={"clusterIP": "10.0.0.2", "clusterIPs": ["10.0.0.2"], "ports": [{"port": 1, "nodePort": 3}]}),
        ),
        (
            "jobs.batch",
            item(spec={"selector": {"u": "1"}, "template": {"metadata": {"labels": {"controller-uid": "1"}}}}),
            item(spec={"selector": {"u": "2"}, "template": {"metadata": {"labels": {"controller-uid": "2"}}}}),
        ),
        ("persistentvolumeclaims", item(spec={"volumeName": "1", "x": 1}), item(spec={"x": 1})),
        ("serviceaccounts", item(secrets=[{"name": "x-token-1"}]), item()),
        (
            "secrets",
            item(type=contents.OF_ACCOUNTS, data={"token": "1"}),
            item(type=contents.OF_ACCOUNTS, data={"token": "2"}),
        ),
        (
            "rolebindings.rbac.authorization.k8s.io",
            item(subjects=[{"kind": "User", "name": "u"}, {"namespace": "a", "name": "x"}]),
            item(subjects=[{"kind": "User", "name": "u"}, {"namespace": "verify-a", "name": "x"}]),
        ),
        (
            "deployments.apps",
            item(metadata={"annotations": {"deployment.kubernetes.io/revision": "7"}}),
            item(metadata={"labels": {"velero.io/backup-name": "b", "velero.io/restore-name": "r"}}),
        ),
    ],
)
def test_what_servers_write_does_not_count(resource: str, backed_up: Object, restored: Object) -> None:
    assert contents.digest(resource, backed_up) == contents.digest(resource, restored, {"verify-a": "a"})


@pytest.mark.parametrize(
    ("resource", "backed_up", "restored"),
    [
        ("configmaps", item(data={"k": "1"}), item(data={"k": "2"})),
        ("configmaps", item(data={}), item(data={}, immutable=True)),
        ("configmaps", item(metadata={"labels": {"a": "1"}}), item()),
        ("configmaps", item(metadata={"annotations": {"a": "1"}}), item()),
        ("services", item(spec={"clusterIP": "None"}), item(spec={"clusterIP": "10.0.0.1"})),
        ("services", item(spec={"ports": [{"port": 1}]}), item(spec={"ports": [{"port": 2}]})),
        ("secrets", item(data={"token": "1"}), item(data={"token": "2"})),
        (
            "rolebindings.rbac.authorization.k8s.io",
            item(subjects=[{"namespace": "a", "name": "x"}]),
            item(subjects=[{"namespace": "verify-b", "name": "x"}]),
        ),
    ],
)
def test_what_people_write_counts(resource: str, backed_up: Object, restored: Object) -> None:
    assert contents.digest(resource, backed_up) != contents.digest(resource, restored, {"verify-a": "a"})


@given(
    st.dictionaries(st.sampled_from(["uid", "resourceVersion", "generation", "managedFields"]), st.text()),
    st.dictionaries(st.text(), st.text()),
    st.dictionaries(st.text(), st.integers()),
)
def test_a_digest_is_of_the_content_alone(metadata: Object, data: Object, status: Object) -> None:
    plain = item(data=data)
    live = item(metadata=metadata, data=dict(reversed(data.items())), status=status)
    before = copy.deepcopy(live)
    assert contents.digest("configmaps", plain) == contents.digest("configmaps", live)
    assert live == before


@pytest.mark.parametrize(
    ("name", "matches"),
    [
        ("deployments", True),
        ("deployments.apps", True),
        ("Deployment", True),
        ("deployment.apps", True),
        ("*", True),
        ("deploy", False),
        ("deployments.example.com", False),
    ],
)
def test_how_a_kind_may_be_named(name: str, matches: bool) -> None:
    assert contents.is_named(Resource("apps", "v1", "deployments", "Deployment"), [name]) is matches


def test_the_digest_of_all_knows_no_order() -> None:
    entries = [contents.Entry(Resource("", "v1", "configmaps", "ConfigMap"), "a", name, True, name) for name in "xyz"]
    assert contents.tree_digest(entries) == contents.tree_digest(entries[::-1])
    assert contents.tree_digest(entries) != contents.tree_digest(entries[:2])

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What add-ons become: Applications, namespaces, definitions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.addons.definitions import check_sources, definitions
from ansible_collections.dcm.platform.plugins.module_utils.addons.render import Target, applications, namespaces
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError

from tests.unit.module_utils.addons.catalogue_entries import entry

GIT = {"repository": "https://git.example.org/one", "revision": "v1", "path": "crds"}


def only(addons: list[dict[str, Any]], **target: Any) -> dict[str, Any]:
    (application,) = applications(addons, Target(**target))
    return application


def test_what_an_application_made_goes_with_it_only_if_asked_for() -> None:
    assert "finalizers" not in only([entry("one", values={})])["metadata"]
    made = only([entry("one", values={})], cascade=True)
    assert made["metadata"]["finalizers"] == ["resources-finalizer.argocd.argoproj.io"]


def test_an_application() -> None:
    addon = entry("one", wave=-5, values={"a": None}, ignore_differences=[{"kind": "Service", "jsonPointers": ["/x"]}])
    assert only([addon]) == {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {
            "name": "one",
            "namespace": "argocd",
            "labels": {"app.kubernetes.io/part-of": "addons", "app.kubernetes.io/name": "one"},
            "annotations": {"argocd.argoproj.io/sync-wave": "-5"},
        },
        "spec": {
            "project": "platform-addons",
            "source": {
                "repoURL": "https://charts.example.org",
                "chart": "one",
                "targetRevision": "1.0.0",
                "helm": {"releaseName": "one", "skipCrds": True, "skipTests": True, "valuesObject": {"a": None}},
            },
            "destination": {"server": "https://kubernetes.default.svc", "namespace": "platform-system"},
            "syncPolicy": {
                "automated": {"prune": True, "selfHeal": True},
                "syncOptions": [
                    "ServerSideApply=true",
                    "RespectIgnoreDifferences=true",
                    "SkipDryRunOnMissingResource=true",
                ],
                "retry": {"limit": 20, "backoff": {"duration": "10s", "factor": 2, "maxDuration": "3m"}},
            },
            "ignoreDifferences": [{"kind": "Service", "jsonPointers": ["/x"]}],
        },
    }


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (
            {"chart": {"repository": "oci://r.example.org/charts", "name": "one", "version": "2"}},
            "r.example.org/charts",
        ),
        ({"chart": {"repository": "https://c.example.org", "name": "one", "version": "2"}}, "https://c.example.org"),
    ],
)
def test_a_registry_is_named_without_its_scheme(keys: dict[str, Any], expected: str) -> None:
    assert only([entry("one", values={}, **keys)])["spec"]["source"]["repoURL"] == expected


def test_a_chart_in_a_folder_of_git() -> None:
    addon = {key: value for key, value in entry("one", values={}, git=GIT).items() if key != "chart"}
    source = only([addon])["spec"]["source"]
    assert {key: source[key] for key in ("repoURL", "path", "targetRevision")} == {
        "repoURL": "https://git.example.org/one",
        "path": "crds",
        "targetRevision": "v1",
    }


def test_the_target_and_what_an_entry_adds() -> None:
    addon = entry("one", values={}, release="uno", skip_schema_validation=True)
    made = only([addon], namespace="cd", project="p", server="https://192.0.2.1:6443", prefix="talos-", cascade=False)
    assert made["metadata"]["name"] == "talos-one"
    assert made["metadata"]["namespace"] == "cd"
    assert "finalizers" not in made["metadata"]
    assert made["spec"]["project"] == "p"
    assert made["spec"]["destination"]["server"] == "https://192.0.2.1:6443"
    assert made["spec"]["source"]["helm"] == {
        "releaseName": "uno",
        "skipCrds": True,
        "skipTests": True,
        "skipSchemaValidation": True,
    }


def test_definitions_as_applications_come_first_and_are_never_deleted() -> None:
    addons = [
        entry("one", values={}, provides=["one.io"], crds={"file": "one.yaml", "git": {**GIT, "include": "v1/*.yaml"}}),
        entry(
            "two",
            values={},
            provides=["two.io"],
            crds={"file": "two.yaml", "chart": {**entry("x")["chart"], "values": {"a": 1}}},
        ),
        entry("three", values={}, provides=["three.io"], crds={"file": "three.yaml", "git": GIT}),
    ]
    made = applications(addons, Target(definitions=True), provided_crds=["three.io"])
    assert [application["metadata"]["name"] for application in made] == ["crds-one", "crds-two", "one", "two", "three"]
    for application in made[:2]:
        assert application["metadata"]["annotations"] == {"argocd.argoproj.io/sync-wave": "-40"}
        assert "finalizers" not in application["metadata"]
        assert application["spec"]["syncPolicy"]["automated"] == {"prune": False, "selfHeal": True}
        assert "Prune=false" in application["spec"]["syncPolicy"]["syncOptions"]
    assert made[0]["spec"]["source"]["directory"] == {"include": "v1/*.yaml", "recurse": True}
    assert made[1]["spec"]["source"]["helm"] == {"releaseName": "two-crds", "valuesObject": {"a": 1}}


def test_what_has_no_chart_is_no_application() -> None:
    addon = {key: value for key, value in entry("one", manifests=[{"kind": "Service"}]).items() if key != "chart"}
    assert applications([addon], Target()) == []


@pytest.mark.row("SEC-23")
def test_a_namespace_has_the_rules_of_all_and_the_level_that_one_needs() -> None:
    privileged = {"enforce": "privileged", "reason": "It reads the host."}
    addons = [
        entry("one", namespace="agents", pod_security=privileged, network=[{"name": "one"}], values={}),
        entry("two", namespace="agents", network=[{"name": "two"}], values={}),
        entry("three", namespace="kube-system", network=[{"name": "three"}], values={}),
        entry("four", values={}, extra_namespaces=[{"namespace": "further", "pod_security": privileged}]),
    ]
    table = namespaces(addons)
    assert set(table) == {"agents", "further", "platform-system"}  # the cluster's own namespace is left alone
    assert table["agents"] == {
        "pod_security": {"enforce": "privileged", "audit": "privileged", "warn": "privileged"},
        "reason": "It reads the host.",
        "allow": [{"name": "one"}, {"name": "two"}],
    }
    assert table["platform-system"] == {"pod_security": {"enforce": "restricted"}, "reason": "It passes.", "allow": []}


def test_namespaces_leave_the_entries_as_they_are() -> None:
    addons = [entry("one", network=[{"name": "one"}], values={}), entry("two", network=[{"name": "two"}], values={})]
    assert namespaces(addons) == namespaces(addons)
    assert addons[0]["network"] == [{"name": "one"}]


DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: ones.one.io}
spec: {choices: [=, "!="]}
---
apiVersion: v1
kind: ConfigMap
---
"""


def test_definitions_are_read_with_a_bare_equals_sign(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(DEFINITION)
    addons = [entry("one", provides=["one.io"], crds={"file": "one.yaml"}), entry("two")]
    (found,) = definitions(addons, str(tmp_path))
    assert found["spec"] == {"choices": ["=", "!="]}
    assert definitions(addons, str(tmp_path), ["one.io"]) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "lacks one.yaml (one), other.yaml (other)."), ("a: [", "one.yaml is not YAML")],
)
def test_a_directory_that_will_not_do(tmp_path: Path, content: str | None, message: str) -> None:
    addons = [entry("one", crds={"file": "one.yaml"}), entry("other", crds={"file": "other.yaml"})]
    if content:
        (tmp_path / "one.yaml").write_text(content)
        (tmp_path / "other.yaml").write_text("")
    with pytest.raises(InputError) as raised:
        definitions([{**addon, "provides": ["x.io"]} for addon in addons], str(tmp_path))
    assert message in str(raised.value)


def test_kinds_without_a_source_of_their_own_need_a_directory() -> None:
    with pytest.raises(InputError, match="No upstream source has the kinds of one alone: give a directory"):
        check_sources([entry("one", provides=["x.io"], crds={"file": "one.yaml"})])

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``argocd_application_info`` on the real API server; Argo CD's part, the status, is written by the tests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kubernetes import client as kubernetes
from kubernetes import config
from kubernetes.client.exceptions import ApiException

from tests.ansible_runner import ModuleResult, failed
from tests.conftest import LabFixture
from tests.integration.argocd import argocd_lab
from tests.sandbox.service import Settings, free_port

NAMESPACE = "argocd-info-tests"  # where no controller looks
NAME = "argocd_application_info"
COMMIT = "3f2a1bc9d0e8b7a6f5e4d3c2b1a09f8e7d6c5b4a"
SPEC = {
    "project": "default",
    "source": {"repoURL": "https://git.example.com/infra.git", "path": "apps", "targetRevision": "main"},
    "destination": {"server": "https://kubernetes.default.svc", "namespace": "platform-apps"},
}
WELL: dict[str, Any] = {
    "sync": {
        "status": "Synced",
        "revision": COMMIT,
        "comparedTo": {"source": SPEC["source"], "destination": SPEC["destination"]},
    },
    "health": {"status": "Healthy"},
}
DEGRADED = {
    **WELL,
    "health": {"status": "Degraded"},
    "resources": [
        {
            "group": "apps",
            "version": "v1",
            "kind": "Deployment",
            "namespace": "platform-apps",
            "name": "web",
            "status": "Synced",
            "health": {"status": "Degraded", "message": 'Deployment "web" exceeded its progress deadline'},
        }
    ],
}
BAD_REVISION = {
    "sync": {**WELL["sync"], "status": "Unknown"},
    "health": {"status": "Healthy"},
    "conditions": [{"type": "ComparisonError", "message": "unable to resolve 'nowhere' to a commit SHA"}],
}


class Applications:
    """Applications of the tests, through a client of their own."""

    def __init__(self, settings: Settings) -> None:
        self.connection = {"kubeconfig": settings["kubeconfig"], "context": settings["context"]}
        api = config.new_client_from_config(settings["kubeconfig"], context=settings["context"])
        self.core = kubernetes.CoreV1Api(api)
        self._custom = kubernetes.CustomObjectsApi(api)
        self._place = {
            "group": "argoproj.io",
            "version": "v1alpha1",
            "namespace": NAMESPACE,
            "plural": "applications",
        }

    def put(self, name: str, status: Any = None, labels: Any = None) -> None:
        """An Application with that status, instead of the one before."""
        body = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Application",
            "metadata": {"name": name, "labels": labels or {}},
            "spec": SPEC,
            **({"status": status} if status else {}),
        }
        self.remove(name)
        self._custom.create_namespaced_custom_object(**self._place, body=body)

    def set_status(self, name: str, status: Any) -> None:
        self._custom.patch_namespaced_custom_object(
            **self._place, name=name, body={"status": status}, _content_type="application/merge-patch+json"
        )

    def remove(self, name: str) -> None:
        try:
            self._custom.delete_namespaced_custom_object(**self._place, name=name)
        except ApiException as error:
            if error.status != 404:
                raise

    def versions(self) -> dict[str, str]:
        found = self._custom.list_namespaced_custom_object(**self._place)["items"]
        return {item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in found}


@pytest.fixture(scope="module")
def applications(lab: LabFixture, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Applications]:
    settings = lab("kubernetes", "argocd_kinds")["kubernetes"]
    cluster = argocd_lab.connect(settings, tmp_path_factory.mktemp("cluster"))
    with argocd_lab.namespace(cluster, NAMESPACE):
        yield Applications(settings)


@pytest.fixture
def ask(run_module: Callable[..., ModuleResult], applications: Applications) -> Callable[..., ModuleResult]:
    """``ask(names=[…], wait=True)`` runs the module."""

    def call(*, check: bool = False, **options: Any) -> ModuleResult:
        options = {**applications.connection, "namespace": NAMESPACE, **options}
        return run_module(NAME, options, check=check)

    return call


Ask = Callable[..., ModuleResult]


@pytest.mark.row("GIT-07")
def test_one_several_and_all(applications: Applications, ask: Ask) -> None:
    applications.put("well", WELL, {"team": "one"})
    applications.put("degraded", DEGRADED, {"team": "two"})
    before = applications.versions()

    one = ask(names=["well"])
    assert (one["changed"], one["ready"]) == (False, True)
    assert one["applications"][0]["revisions"] == [COMMIT]

    every = ask()
    assert [(item["name"], item["ready"]) for item in every["applications"]] == [("degraded", False), ("well", True)]
    assert not every["ready"]
    assert every["applications"][0]["resources"] == [
        {
            "group": "apps",
            "kind": "Deployment",
            "namespace": "platform-apps",
            "name": "web",
            "sync": "Synced",
            "health": "Degraded",
            "message": 'Deployment "web" exceeded its progress deadline',
        }
    ]

    labelled = ask(label_selectors=["team=one"])
    assert [item["name"] for item in labelled["applications"]] == ["well"]

    ordered = ask(names=["well", "nowhere", "degraded"])
    assert [(item["name"], item["exists"]) for item in ordered["applications"]] == [
        ("well", True),
        ("nowhere", False),
        ("degraded", True),
    ]
    assert applications.versions() == before  # nothing was written


def test_nothing_found_is_no_error(ask: Ask) -> None:
    assert ask(label_selectors=["team=none"])["applications"] == []


@pytest.mark.row("GIT-07")
def test_waits_until_each_is_well(applications: Applications, ask: Ask) -> None:
    applications.put("first")
    applications.put("second", DEGRADED)
    applications.remove("third")

    def argo_cd() -> None:
        applications.set_status("first", WELL)
        applications.set_status("second", WELL)
        applications.put("third", WELL)

    timer = threading.Timer(0.5, argo_cd)
    timer.start()
    found = ask(names=["first", "second", "third"], wait=True, wait_timeout=30)
    timer.join()
    assert found["ready"], found
    assert [item["health"] for item in found["applications"]] == ["Healthy"] * 3


@pytest.mark.row("GIT-07")
def test_one_message_names_what_is_not_well_and_why(applications: Applications, ask: Ask) -> None:
    applications.put("well", WELL)
    applications.put("degraded", DEGRADED)
    applications.put("astray", BAD_REVISION)
    applications.remove("third")
    message = failed(ask(names=["well", "degraded", "astray", "third"], wait=True, wait_timeout=1))
    assert (
        "Gave up after 1 s waiting for 3 of 4 Applications in argocd-info-tests of the cluster at https://" in message
    )
    assert 'Deployment platform-apps/web is Degraded: Deployment "web" exceeded its progress deadline' in message
    assert "astray: it is Unknown (ComparisonError: unable to resolve 'nowhere' to a commit SHA)" in message
    assert "third: it does not exist" in message
    assert "well:" not in message.replace("Applications", "")


def test_only_what_is_asked_for_is_waited_for(applications: Applications, ask: Ask) -> None:
    applications.put("degraded", DEGRADED)
    assert ask(names=["degraded"], wait=True, wait_for=["synced"], wait_timeout=5)["ready"]
    assert "compared with revision" in failed(
        ask(names=["degraded"], wait=True, wait_for=[], revision="0" * 40, wait_timeout=0)
    )


def test_no_application_with_the_labels(ask: Ask) -> None:
    message = failed(ask(label_selectors=["team=none"], wait=True, wait_timeout=1))
    assert "none carries the labels team=none" in message


def test_check_mode_waits_for_nothing(applications: Applications, ask: Ask) -> None:
    applications.put("degraded", DEGRADED)
    found = ask(names=["degraded"], wait=True, wait_timeout=60, check=True)
    assert (found["failed"], found["ready"]) == (False, False)


def test_unreachable_server_is_named(ask: Ask) -> None:
    address = f"https://127.0.0.1:{free_port()}"
    message = failed(ask(host=address, api_key="x", validate_certs=False, names=["well"], wait=True, wait_timeout=1))
    assert f"Kubernetes API at {address} is not reachable" in message


def test_wrong_credentials(applications: Applications, ask: Ask, lab: LabFixture) -> None:
    settings = lab("kubernetes")
    message = failed(
        ask(
            kubeconfig=None,
            context=None,
            host=settings["server"],
            api_key="planted-secret-token",
            ca_cert=settings["certificate_authority"],
        )
    )
    assert "does not accept the credentials" in message
    assert "planted-secret-token" not in message


def test_contradicting_options(ask: Ask) -> None:
    assert "names|label_selectors" in failed(ask(names=["well"], label_selectors=["a=b"]))

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``kubernetes_object`` on the real API server, read back through the library's own client."""

from __future__ import annotations

import contextlib
import math
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kubernetes import client as kubernetes
from kubernetes import config
from kubernetes.client.exceptions import ApiException

from tests.ansible_runner import ModuleResult, failed
from tests.conftest import LabFixture
from tests.sandbox.service import free_port
from tests.waiting import eventually

Run = Callable[..., ModuleResult]
RULES = [{"api_version": "networking.k8s.io/v1", "kind": "NetworkPolicy"}]
CANARY = "canary-in-a-secret"


class Space:
    """A namespace's manifests, and what the cluster has of them."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.name = f"objects-{secrets.token_hex(3)}"
        self.kubeconfig = settings["kubeconfig"]
        api = config.new_client_from_config(settings["kubeconfig"], context=settings["context"])
        self.core = kubernetes.CoreV1Api(api)
        self.rules = kubernetes.NetworkingV1Api(api)
        self.definitions = kubernetes.ApiextensionsV1Api(api)
        self.custom = kubernetes.CustomObjectsApi(api)
        self.admission = kubernetes.AdmissionregistrationV1Api(api)

    def namespace(self, **labels: str) -> dict[str, Any]:
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name, "labels": labels}}

    def config_map(self, name: str, **data: str) -> dict[str, Any]:
        metadata = {"name": name, "namespace": self.name}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}

    def rule(self, name: str) -> dict[str, Any]:
        metadata = {"name": name, "namespace": self.name}
        spec = {"podSelector": {}, "policyTypes": ["Ingress"]}
        return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}

    def exists(self) -> bool:
        return self.name in {item.metadata.name for item in self.core.list_namespace().items}

    def read(self, name: str) -> Any:
        return self.core.read_namespaced_config_map(name, self.name)

    def versions(self) -> dict[str, str]:
        """What every write changes, of all but what Kubernetes brings into a namespace in its own time."""
        maps = self.core.list_namespaced_config_map(self.name).items
        rules = self.rules.list_namespaced_network_policy(self.name).items
        found = {item.metadata.name: item.metadata.resource_version for item in [*maps, *rules]}
        found.pop("kube-root-ca.crt", None)
        return found


@pytest.fixture
def space(lab: LabFixture) -> Iterator[Space]:
    found = Space(lab("kubernetes"))
    yield found
    try:
        found.core.delete_namespace(found.name)
    except ApiException as error:
        if error.status != 404:
            raise


@pytest.fixture
def run(run_module: Run, space: Space) -> Run:
    def call(
        *objects: Any, check: bool = False, diff: bool = False, verbosity: int = 0, **options: Any
    ) -> ModuleResult:
        arguments = {"kubeconfig": space.kubeconfig, "objects": list(objects), **options}
        return run_module("kubernetes_object", arguments, check=check, diff=diff, verbosity=verbosity)

    return call


def results(result: ModuleResult) -> dict[str, str]:
    return {f"{item['kind']} {item['name']}": item["result"] for item in result["objects"]}


def test_a_list_from_nothing_to_nothing(space: Space, run: Run) -> None:
    wanted = [space.config_map("one", a="1"), space.rule("deny"), space.namespace(team="blue")]
    options = {"owner": space.name, "prune": True}
    predicted = run(*wanted, check=True, diff=True, **options)
    assert predicted["changed"], predicted
    assert set(results(predicted).values()) == {"created"}
    assert not space.exists()

    created = run(*wanted, diff=True, **options)
    assert created["objects"] == predicted["objects"]
    assert created["diff"] == predicted["diff"]
    assert space.read("one").metadata.labels == {"dcm.io/owner": space.name}

    before = space.versions()
    again = run(*wanted, **options)
    assert not again["changed"]
    assert set(results(again).values()) == {"unchanged"}
    assert space.versions() == before

    changed = [space.config_map("one", a="2"), space.namespace(team="blue")]
    predicted = run(*changed, check=True, diff=True, prune_kinds=RULES, **options)
    assert space.versions() == before
    updated = run(*changed, diff=True, prune_kinds=RULES, **options)
    assert updated["diff"] == predicted["diff"]
    assert updated["diff"][0]["before"] == {"data": {"a": "1"}}
    assert updated["diff"][0]["after"] == {"data": {"a": "2"}}
    assert results(updated) == {
        "ConfigMap one": "updated",
        f"Namespace {space.name}": "unchanged",
        "NetworkPolicy deny": "deleted",
    }
    assert set(space.versions()) == {"one"}
    assert not run(*changed, prune_kinds=RULES, **options)["changed"]

    kinds = [*RULES, {"api_version": "v1", "kind": "Namespace"}, {"api_version": "v1", "kind": "ConfigMap"}]
    emptied = run(prune_kinds=[*kinds, {"api_version": "gone.example.com/v1", "kind": "Gone"}], **options)
    assert results(emptied) == {"ConfigMap one": "deleted"}
    assert [item["name"] for item in emptied["kept"]] == [space.name]
    assert space.exists()
    assert not space.versions()


def test_fields_of_others_stay_and_ours_are_repaired(space: Space, run: Run) -> None:
    wanted = [space.namespace(), space.config_map("one", ours="right")]
    run(*wanted, owner=space.name)
    patch = {"metadata": {"annotations": {"example.com/by": "others"}}, "data": {"ours": "wrong", "theirs": "kept"}}
    space.core.patch_namespaced_config_map("one", space.name, patch, field_manager="somebody")
    repaired = run(*wanted, owner=space.name, diff=True)
    [entry] = repaired["diff"]
    assert (entry["before"], entry["after"]) == ({"data": {"ours": "wrong"}}, {"data": {"ours": "right"}})
    found = space.read("one")
    assert found.data == {"ours": "right", "theirs": "kept"}
    assert found.metadata.annotations == {"example.com/by": "others"}
    assert not run(*wanted, owner=space.name)["changed"]


def test_only_what_the_owner_applied_is_pruned(space: Space, run: Run) -> None:
    run(space.namespace(), space.config_map("mine"), owner=space.name)
    run(space.config_map("other-list"), owner="another")
    metadata = {"name": "copied-label", "labels": {"dcm.io/owner": space.name}}
    space.core.create_namespaced_config_map(space.name, {"metadata": metadata})
    pruned = run(space.config_map("new"), owner=space.name, prune=True)
    assert results(pruned) == {"ConfigMap new": "created", "ConfigMap mine": "deleted"}
    assert set(space.versions()) == {"new", "other-list", "copied-label"}


def test_a_definition_and_its_objects_in_one_list(space: Space, run: Run) -> None:
    group = f"{space.name}.example.com"
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": "Widget", "plural": "widgets", "singular": "widget"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }
    widget: dict[str, Any] = {
        "apiVersion": f"{group}/v1",
        "kind": "Widget",
        "metadata": {"name": "one"},
        "spec": {"size": 3},
    }
    try:
        message = failed(run(widget))
        assert f"does not serve Widget ({group}/v1), which Widget one needs" in message
        assert "says no namespace" in failed(run(definition, widget))
        widget["metadata"]["namespace"] = space.name
        predicted = run(widget, space.namespace(), definition, check=True)
        created = run(widget, space.namespace(), definition)
        assert created["objects"] == predicted["objects"]
        found = space.custom.get_namespaced_custom_object(group, "v1", space.name, "widgets", "one")
        assert found["spec"] == {"size": 3}
        assert not run(widget, space.namespace(), definition)["changed"]
        wrong = {**widget, "spec": {"sise": 3}}
        assert "sise" in failed(run(wrong, space.namespace(), definition))
    finally:
        space.definitions.delete_custom_resource_definition(f"widgets.{group}")


def test_check_mode_takes_a_namespace_that_is_not_there_for_one_to_come(space: Space, run: Run) -> None:
    """As an earlier task of the same play may make it; nothing but check mode does."""
    name = f"{space.name}-to-come"
    wanted = {**space.config_map("one"), "metadata": {"name": "one", "namespace": name}}
    predicted = run(wanted, check=True)
    assert results(predicted) == {"ConfigMap one": "created"}
    assert predicted["warnings"] == [
        f"There is no namespace {name}: what goes there cannot be tried, and fails if nothing makes it before."
    ]
    assert f'namespaces "{name}" not found' in failed(run(wanted))


def test_secrets_are_never_seen(space: Space, run: Run) -> None:
    secret = {
        "name": "repository",
        "namespace": space.name,
        "labels": {"example.com/kind": "repository"},
        "string_data": {"url": "https://git.example.com/infra.git"},
        "secret_data": {"password": CANARY},
    }
    run(space.namespace())
    created = run(secrets=[secret], diff=True, verbosity=3)
    assert CANARY not in created.output
    stored = space.core.read_namespaced_secret("repository", space.name)
    assert set(stored.data) == {"url", "password"}
    secret["secret_data"] = {"password": f"{CANARY}-2"}
    updated = run(secrets=[secret], diff=True)
    [entry] = updated["diff"]
    assert entry["after"] == {"data": {"password": "(secret, new)"}}
    assert not run(secrets=[secret])["changed"]
    manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "open", "namespace": space.name},
        "stringData": {"password": "x"},
    }
    assert "Give it in secrets instead" in failed(run(manifest))


class TestRefusals:
    """One message, nothing written."""

    def test_everything_that_the_server_refuses_is_told_at_once(self, space: Space, run: Run) -> None:
        run(space.namespace())
        wrong = space.rule("wrong")
        wrong["spec"]["podSelektor"] = {}
        elsewhere = space.config_map("elsewhere")
        elsewhere["metadata"]["namespace"] = f"{space.name}-not"
        message = failed(run(space.config_map("fine"), wrong, elsewhere))
        assert "2 objects are refused" in message
        assert f"NetworkPolicy {space.name}/wrong" in message
        assert "podSelektor" in message
        assert f'namespaces "{space.name}-not" not found' in message
        assert "Nothing was changed" in message
        assert not space.versions()

    @pytest.mark.parametrize(
        ("manifest", "words"),
        [
            ({"kind": "ConfigMap"}, "ConfigMap without a name is not a manifest"),
            ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": 5}}, "is not a manifest"),
            ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": None}, "is not a manifest"),
        ],
    )
    def test_what_is_no_manifest(self, run: Run, manifest: Any, words: str) -> None:
        assert words in failed(run(manifest))

    def test_one_object_twice(self, space: Space, run: Run) -> None:
        assert "is given twice" in failed(run(space.config_map("one"), space.config_map("one", a="b")))

    def test_a_namespace_that_does_not_go(self, space: Space, run: Run) -> None:
        held = space.config_map("held")
        held["metadata"]["finalizers"] = ["example.com/held"]
        run(space.namespace(), held)
        space.core.delete_namespace(space.name)
        try:
            eventually(
                lambda: space.core.read_namespace(space.name).status.conditions or (),
                "the namespace says what keeps it",
            )
            message = failed(run(space.namespace(), space.config_map("new")))
            assert f"Namespace {space.name} is being deleted" in message
            assert "example.com/held" in message
        finally:
            space.core.patch_namespaced_config_map("held", space.name, {"metadata": {"finalizers": None}})
        eventually(lambda: not space.exists(), "the namespace is gone")
        assert run(space.namespace(), space.config_map("new"))["changed"]

    def test_a_webhook_that_does_not_answer_is_named(self, space: Space, run: Run) -> None:
        run(space.namespace(guarded=space.name))
        rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"]}
        webhook = {
            "name": "guard.example.com",
            "clientConfig": {"url": f"https://127.0.0.1:{free_port()}/guard"},
            "rules": [rule],
            "namespaceSelector": {"matchLabels": {"guarded": space.name}},
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "timeoutSeconds": 1,
        }
        body = {"metadata": {"name": space.name}, "webhooks": [webhook]}
        space.admission.create_validating_webhook_configuration(body)
        wanted = space.config_map("guarded")
        try:
            message = eventually(lambda: run(wanted, check=True).get("msg"), "the webhook is asked")
            assert "guard.example.com" in message
            assert f"ConfigMap {space.name}/guarded" in message
        finally:
            space.admission.delete_validating_webhook_configuration(space.name)
        eventually(lambda: not run(wanted)["failed"], "nobody is asked any more")
        assert space.read("guarded")

    def test_a_server_that_is_not_there_is_named(self, run_module: Run, space: Space) -> None:
        address = f"https://127.0.0.1:{free_port()}"
        message = failed(
            run_module("kubernetes_object", {"host": address, "api_key": "any", "objects": [space.namespace()]})
        )
        assert f"Kubernetes API at {address}" in message


class Cut:
    """A way to the API server that breaks once ``budget`` bytes have passed."""

    def __init__(self, server: str, budget: float = math.inf) -> None:
        host, port = server.removeprefix("https://").split(":")
        self._upstream = (host, int(port))
        self._budget = budget
        self.passed = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = [self._listener]
        self.address = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _peer = self._listener.accept()
                far = socket.create_connection(self._upstream)
                self._sockets += [near, far]
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=(source, target), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self.passed += len(data)
                if self.passed > self._budget:
                    self.close()
                    return
                target.sendall(data)


def test_a_server_that_goes_away_in_the_middle(space: Space, run: Run, run_module: Run, lab: LabFixture) -> None:
    """The run tells what it did and what it did not try; the next one finishes."""
    wanted = [space.namespace(), *(space.config_map(f"many-{number:03}", a="b" * 500) for number in range(100))]
    settings = lab("kubernetes")

    def through(cut: Cut, *, check: bool = False) -> ModuleResult:
        there = {"host": cut.address, "api_key": settings["token"], "ca_cert": settings["certificate_authority"]}
        with contextlib.closing(cut):
            return run_module("kubernetes_object", {**there, "objects": wanted}, check=check)

    whole = Cut(settings["server"])
    assert through(whole, check=True)["changed"]
    broken = Cut(settings["server"], whole.passed * 1.2)
    result = through(broken)
    assert f"Kubernetes API at {broken.address}" in failed(result)
    there_now = {name for name in space.versions() if name.startswith("many-")}
    told = {change["name"].rpartition("/")[2] for change in result["applied"]} - {space.name}
    assert 0 < len(told) < 100
    assert told <= there_now
    assert result["not_tried"]
    finished = run(*wanted)
    assert finished["changed"]
    assert not run(*wanted)["changed"]

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The role ``addons`` on the real API server: what it makes, changes and removes, and what the server says of it.

The tests of the role build on each other in the order of the file. No controller of Argo CD runs here.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import io
import json
import shutil
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.dcm.platform.plugins.filter.addons import (
    addon_applications,
    addon_definitions,
    addons_resolve,
)
from kubernetes import client as kubernetes
from kubernetes import config
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic import DynamicClient

from tests.addon_table import SCHEMA, entries
from tests.ansible_runner import AnsibleRunner, PlaybookResult
from tests.conftest import LabFixture
from tests.sandbox import crds, golang
from tests.sandbox.cluster import Cluster
from tests.sandbox.service import Settings
from tests.sandbox.services import gitops
from tests.serving import serving
from tests.staging import ROOT
from tests.waiting import eventually

CATALOGUE = entries()
APPLICATION = {"api_version": "argoproj.io/v1alpha1", "kind": "Application"}
DEFINITION = {"api_version": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
ARGOCD_KINDS = {
    ("argoproj.io", kind) for kind in ("Application", "ApplicationSet", "AppProject")
}  # there for all tests
SAMPLES = ROOT.parent / "shared" / "data" / "cr-samples"
HOST = "127.0.0.1"
MARK = "dcm.io/made-by=addons-tests"  # a label
ARGOCD = "addons-argocd"
OWN_NAMESPACE = "addons-demo"
ROLE_TASKS = ROOT / "roles" / "addons" / "tasks"
Apply = Callable[..., PlaybookResult]

# An add-on of the user's own, with everything but a chart; its kind is like upstream's, a bare equals sign included.
DEMO: dict[str, Any] = {
    "name": "demo",
    "title": "Demo",
    "purpose": "Serves the tests.",
    "requirements": [],
    "licence": "GPL-3.0-or-later",
    "namespace": OWN_NAMESPACE,
    "wave": 1,
    "environments": ["production_talos"],
    "provides": ["addons.example.org"],
    "requires": {"addons": ["nginx-ingress"]},
    "crds": {"file": "demo.yaml"},
    "pod_security": {"enforce": "restricted", "reason": "It has no pods."},
    "manifests": [
        {
            "apiVersion": "addons.example.org/v1",
            "kind": "Demo",
            "metadata": {"name": "demo", "namespace": OWN_NAMESPACE},
            "spec": {"host": "demo.<domain>"},
        },
    ],
}
DEMO_DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: demos.addons.example.org, labels: {dcm.io/made-by: addons-tests}}
spec:
  group: addons.example.org
  scope: Namespaced
  names: {kind: Demo, plural: demos, singular: demo}
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec: {type: object, properties: {host: {type: string}, relation: {type: string, enum: [=, "!="]}}}
"""

# Facts that no environment has by itself.
FACTS = {
    "acme_email": "ops@example.org",
    "domain": "example.org",
    "load_balancer_addresses": ["192.0.2.1-192.0.2.9"],
    "mesh_trust_anchor": "a certificate",
    "metrics_write_url": "https://prometheus.example.org/api/v1/write",
    "nfs_server": "192.0.2.10",
    "nfs_share": "/export",
    "object_store_host": "s3.example.org",
    "object_store_url": "https://s3.example.org",
}


@pytest.fixture(scope="module")
def cluster(lab: LabFixture) -> Settings:
    settings: Settings = lab("kubernetes", "argocd_kinds")["kubernetes"]
    return settings


@pytest.fixture(scope="module")
def vendors(cluster: Settings, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """The cluster, to bring the vendors' kinds into."""
    return Cluster(Path(cluster["kubeconfig"]), tmp_path_factory.mktemp("cluster"), "addons-tests")


@pytest.fixture(scope="module")
def api(cluster: Settings) -> Iterator[DynamicClient]:
    """An independent client. The namespaces are there for these tests only."""
    plain = config.new_client_from_config(cluster["kubeconfig"], context=cluster["context"])
    core = kubernetes.CoreV1Api(plain)
    for name in (ARGOCD, OWN_NAMESPACE):
        core.create_namespace({"metadata": {"name": name}})
    yield DynamicClient(plain)
    for name in (ARGOCD, OWN_NAMESPACE):
        core.delete_namespace(name)
    remaining = {ARGOCD, OWN_NAMESPACE}
    eventually(
        lambda: not remaining & {item.metadata.name for item in core.list_namespace().items}, "they go", within=90
    )
    remove_definitions(plain)


def remove_definitions(api: kubernetes.ApiClient) -> None:
    """Those of the tests: the more kinds a cluster has, the longer a namespace takes to go."""
    kubernetes.ApiextensionsV1Api(api).delete_collection_custom_resource_definition(label_selector=MARK)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with an entry of the catalogue, and one of definitions."""
    directory = tmp_path_factory.mktemp("addons")
    (directory / "demo.yml").write_text(json.dumps(DEMO))
    (directory / "demo.yaml").write_text(DEMO_DEFINITION)
    return directory


@pytest.fixture(scope="module")
def apply(ansible: AnsibleRunner, cluster: Settings, own: Path) -> Apply:
    """``apply("--check", addons_disabled=…)`` runs the role for production on Talos, without the vendors' kinds."""
    groups = sorted({group for entry in CATALOGUE for group in entry.get("provides", ())})

    def call(*arguments: str, **variables: Any) -> PlaybookResult:
        given = {
            "dcm_environment": "production_talos",
            "dcm_kubeconfig": cluster["kubeconfig"],
            "dcm_kubernetes_context": cluster["context"],
            "dcm_argocd_namespace": ARGOCD,
            "addons_provided_crds": groups,
            "addons_disabled": ["letsencrypt", "metallb-pool", "kubelet-serving-cert-approver"],
            "addons_catalogue_directory": str(own),
            "addons_crds_directory": str(own),
            "addons_facts": FACTS,
            "addons_cascade": False,  # nobody is here who would do it
        }
        play = {
            "hosts": "localhost",
            "gather_facts": False,
            "vars": {**given, **variables},
            "roles": ["dcm.platform.addons"],
        }
        return ansible.playbook([play], "-i", "localhost,", "-c", "local", *arguments)

    return call


def applications(api: DynamicClient) -> dict[str, Any]:
    found = api.resources.get(**APPLICATION).get(namespace=ARGOCD).to_dict()["items"]
    return {item["metadata"]["name"]: item for item in found}


def demos(api: DynamicClient) -> list[Any]:
    api.resources.invalidate_cache()
    resource = api.resources.get(api_version="addons.example.org/v1", kind="Demo")
    return [item["spec"]["host"] for item in resource.get(namespace=OWN_NAMESPACE).to_dict()["items"]]


def test_check_mode_predicts_and_touches_nothing(apply: Apply, api: DynamicClient) -> None:
    result = apply("--check", "--diff")
    assert result.returncode == 0, result.output
    assert result.total("changed") == 2
    assert f"Application {ARGOCD}/loki (create)" in result.output
    assert applications(api) == {}
    names = [item["metadata"]["name"] for item in api.resources.get(**DEFINITION).get().to_dict()["items"]]
    assert "demos.addons.example.org" not in names


@pytest.mark.row("GIT-01")
@pytest.mark.row("COL-02")
def test_everything_is_made_and_the_second_run_changes_nothing(apply: Apply, api: DynamicClient) -> None:
    first = apply(dcm_kubernetes_version="", addons_kubernetes_version="")  # asks the cluster
    assert first.returncode == 0, first.output
    assert first.total("changed") == 2
    made = applications(api)
    assert len(made) > 30
    assert made["loki"]["spec"]["source"]["helm"]["valuesObject"]["loki"]["limits_config"]["retention_period"] == "720h"
    assert made["nginx-ingress"]["metadata"]["labels"]["dcm.io/owner"] == "addons"
    assert made["falco"]["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"] == "-4"
    assert demos(api) == ["demo.example.org"]
    second = apply()
    assert second.returncode == 0, second.output
    assert second.total("changed") == 0
    versions = {name: item["metadata"]["resourceVersion"] for name, item in made.items()}
    assert {name: item["metadata"]["resourceVersion"] for name, item in applications(api).items()} == versions


def test_drift_is_repaired_a_new_value_taken_and_what_left_the_data_removed(apply: Apply, api: DynamicClient) -> None:
    resource = api.resources.get(**APPLICATION)
    by_hand = {"spec": {"source": {"targetRevision": "0.0.1"}}}
    resource.patch(body=by_hand, name="tempo", namespace=ARGOCD, content_type="application/merge-patch+json")
    note = {"metadata": {"annotations": {"example.org/note": "of somebody else"}}}
    resource.patch(body=note, name="tempo", namespace=ARGOCD, content_type="application/merge-patch+json")
    disabled = ["letsencrypt", "metallb-pool", "kubelet-serving-cert-approver", "opencost", "demo"]
    options = {"loki": {"version": "18.11.1", "values": {"gateway": {"replicas": 5}}}}
    result = apply("--diff", addons_disabled=disabled, addons_options=options)
    assert result.returncode == 0, result.output
    assert result.total("changed") == 2
    assert "0.0.1" in result.output
    found = applications(api)
    assert found["tempo"]["spec"]["source"]["targetRevision"] != "0.0.1"
    assert found["tempo"]["metadata"]["annotations"]["example.org/note"] == "of somebody else"
    assert found["loki"]["spec"]["source"]["targetRevision"] == "18.11.1"
    assert found["loki"]["spec"]["source"]["helm"]["valuesObject"]["gateway"]["replicas"] == 5
    assert "opencost" not in found
    assert demos(api) == []


def test_a_missing_helm_is_named_before_anything_is_written(apply: Apply, api: DynamicClient) -> None:
    before = applications(api)
    result = apply(addons_mode="helm", addons_helm="no-such-helm")
    assert result.returncode != 0
    assert "needs the program no-such-helm on the controller" in " ".join(result.output.split())
    assert result.total("changed") == 0
    assert applications(api) == before


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a directory and says nothing."""

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@contextlib.contextmanager
def serving_files(directory: Path) -> Iterator[str]:
    """The address at which the directory can be read."""
    handler = functools.partial(Quiet, directory=str(directory))
    with serving(http.server.ThreadingHTTPServer((HOST, 0), handler)) as port:
        yield f"http://{HOST}:{port}"


def helm() -> str:
    """A real Helm: the one that the lab's Argo CD uses, where that is built, or the machine's own."""
    built = golang.executable(gitops.MODULES / "tools", "helm")
    found = str(built) if built.exists() else shutil.which("helm")
    return found or pytest.skip("there is no helm: neither the lab's Argo CD is built nor is one on PATH")


CHART = {
    "Chart.yaml": "apiVersion: v2\nname: own\nversion: 1.0.0\n",
    "values.yaml": "host: none\n",
    "crds/own.yaml": DEMO_DEFINITION.replace("demos", "charts").replace("Demo", "Chart").replace("demo", "chart"),
    "templates/own.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: own}\ndata: {host: {{ .Values.host }}}\n",
}


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[str]:
    """The address of a chart repository with one chart of ours, as no vendor's can be downloaded here."""
    with tarfile.open(tmp_path / "own-1.0.0.tgz", "w:gz") as archive:
        for name, content in CHART.items():
            entry = tarfile.TarInfo(f"own/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content.encode()))
    (tmp_path / "index.yaml").write_text(
        "apiVersion: v1\nentries: {own: [{name: own, version: 1.0.0, apiVersion: v2, urls: [own-1.0.0.tgz]}]}\n"
    )
    with serving_files(tmp_path) as address:
        yield address


def test_helm_installs_without_argo_cd(apply: Apply, api: DynamicClient, own: Path, repository: str) -> None:
    chart = {"repository": repository, "name": "own", "version": "1.0.0"}
    entry = {key: value for key, value in DEMO.items() if key not in ("crds", "provides", "manifests", "requires")}
    (own / "own.yml").write_text(
        json.dumps({**entry, "name": "own", "chart": chart, "values": {"host": "own.<domain>"}})
    )
    bootstrap: dict[str, Any] = {"addons_environment": "bootstrap", "addons_enabled": ["own"], "addons_mode": "helm"}
    bootstrap |= {"addons_disabled": [], "addons_helm": helm()}
    maps = kubernetes.CoreV1Api(api.client)
    first = apply(**bootstrap)
    assert first.returncode == 0, first.output
    assert maps.read_namespaced_config_map("own", OWN_NAMESPACE).data == {"host": "own.example.org"}
    second = apply(**bootstrap)
    assert second.total("changed") == 0, second.output
    names = [item["metadata"]["name"] for item in api.resources.get(**DEFINITION).get().to_dict()["items"]]
    assert "charts.addons.example.org" not in names
    (own / "own.yml").unlink()


def test_a_kind_that_nobody_brings_is_named(apply: Apply, own: Path) -> None:
    entry = {key: value for key, value in DEMO.items() if key not in ("crds", "provides")}
    entry["manifests"] = [{**DEMO["manifests"][0], "apiVersion": "nobody.example.org/v1"}]
    (own / "demo.yml").write_text(json.dumps(entry))
    result = apply("--check", addons_environment="minikube", addons_enabled=["demo"], addons_disabled=[])
    (own / "demo.yml").write_text(json.dumps(DEMO))
    assert result.returncode != 0
    assert "nobody.example.org/v1" in result.output
    assert "Traceback" not in result.output


def test_no_more_than_eight_tasks_talk_to_the_api() -> None:
    """However many add-ons there are: only the releases of Helm, which is for the first start, are one by one."""
    tasks = "".join((ROLE_TASKS / f"{name}.yml").read_text() for name in ("resolve", "main", "objects", "applications"))
    assert 2 <= tasks.count("dcm.platform.kubernetes_object:") + tasks.count("kubernetes.core.") <= 8


# What every environment renders, tried by the server with the vendors' own definitions.

ENVIRONMENTS = {
    "lab": "single",
    "minikube": "single",
    "k3d": "single",
    "dev": "single",
    "staging": "small",
    "production_doks": "pools",
    "production_talos": "orgs1000",
}


def vendors_definitions(kinds: set[tuple[str, str]]) -> list[Any]:
    """Those of the given groups and kinds, of all that the vendors' files hold."""
    directory = crds.directory()
    if directory is None or not SAMPLES.is_dir():
        pytest.skip("the vendors' definitions and samples are not beside the checkout")
    groups = {group for group, _kind in kinds}
    owners = [entry for entry in CATALOGUE if groups & set(entry.get("provides", ()))]
    every = addon_definitions(owners, str(directory))
    return [item for item in every if (item["spec"]["group"], item["spec"]["names"]["kind"]) in kinds]


def kind_of(manifest: Mapping[str, Any]) -> tuple[str, str]:
    return manifest["apiVersion"].rpartition("/")[0], manifest["kind"]


def rendered() -> dict[str, list[Any]]:
    """All Applications and own objects of each environment, and of one with everything switched on."""
    schema = json.loads(SCHEMA.read_text())
    facts = {**FACTS, **dict.fromkeys(("cluster", "object_store_region", "backups_bucket", "logs_bucket"), "x")}
    facts |= {"traces_bucket": "x", "load_balancer_range": "192.0.2.0/24", "postgres_host": "pg"}
    provided = ["snapshot.storage.k8s.io", "groupsnapshot.storage.k8s.io", "talos.dev", "csi.ceph.io"]
    all_on = [entry["name"] for entry in CATALOGUE if not {"alternative_to", "installed_by"} & set(entry)]
    found = {}
    for environment, profile in {**ENVIRONMENTS, "everything": "pools"}.items():
        resolved = addons_resolve(
            CATALOGUE,
            schema,
            environment=environment,
            profile=profile,
            kubernetes_version="1.34.4",
            enabled=all_on if environment == "everything" else [],
            facts=facts,
            provided_crds=provided,
        )
        made = addon_applications(
            resolved["addons"], provided, definitions=environment != "everything", namespace=ARGOCD
        )
        found[environment] = [*made, *resolved["manifests"]]
    return found


@pytest.mark.row("NET-19")
@pytest.mark.row("NET-21")
def test_the_server_accepts_what_every_environment_renders_and_all_samples(
    api: DynamicClient, vendors: Cluster
) -> None:
    everything = rendered()
    samples = [
        one
        for path in sorted(SAMPLES.glob("*.yaml"))
        for one in yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader)
        if one
    ]
    distinct = {json.dumps(one, sort_keys=True): one for made in everything.values() for one in made}
    manifests = [*distinct.values(), *samples]
    definitions = vendors_definitions({kind_of(one) for one in manifests} - ARGOCD_KINDS)
    for definition in definitions:
        definition["metadata"].setdefault("labels", {}).update([MARK.split("=")])
    crds.create(vendors, definitions)
    core = kubernetes.CoreV1Api(api.client)
    wanted = {one["metadata"].get("namespace") for one in manifests} - {None}
    new = wanted - {item.metadata.name for item in core.list_namespace().items}
    for name in new:
        core.create_namespace({"metadata": {"name": name}})
    try:
        api.resources.invalidate_cache()
        refused = [text for one in manifests if (text := refusal(api, one))]
        assert not refused, refused
        assert len(samples) == 45
        assert min(len(made) for made in everything.values()) >= 5
        wrong = {**manifests[0], "spec": {**manifests[0]["spec"], "destinations": []}}
        assert "destinations" in (refusal(api, wrong) or "")
    finally:
        remove_definitions(api.client)
        for name in new:
            core.delete_namespace(name)


def refusal(api: DynamicClient, manifest: Mapping[str, Any]) -> str | None:
    """What the server says against an object when it tries it; None if nothing."""
    resource = api.resources.get(api_version=manifest["apiVersion"], kind=manifest["kind"])
    try:
        resource.server_side_apply(
            body=manifest,
            name=manifest["metadata"]["name"],
            namespace=manifest["metadata"].get("namespace"),
            field_manager="tests",
            force_conflicts=True,
            dry_run="All",
            query_params=[("fieldValidation", "Strict")],
        )
    except ApiException as error:
        return f"{manifest['kind']} {manifest['metadata']['name']}: {error.body}"
    return None


# addons_outdated.yml: an index of our own, by path and by URL.

INDEX = """
apiVersion: v1
entries:
  keda: [{version: 2.21.0, appVersion: 2.21.0}, {version: 2.20.2}, {version: 3.0.0-rc.1}]
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The address of a chart repository that has one chart, at the version that is pinned."""
    directory = tmp_path / "repository"
    directory.mkdir()
    (directory / "index.yaml").write_text("entries: {falco: [{version: 9.1.0}]}")
    with serving_files(directory) as address:
        yield address


def test_pins_are_compared_with_indexes(ansible: AnsibleRunner, server: str, tmp_path: Path) -> None:
    (tmp_path / "index.yaml").write_text(INDEX)
    variables = {
        "addons_outdated_indexes": {
            "https://kedacore.github.io/charts": str(tmp_path / "index.yaml"),
            "https://falcosecurity.github.io/charts": f"{server}/index.yaml",
            "https://helm.cilium.io": f"{server}/nothing",
        },
        "addons_outdated_only": ["keda", "falco", "cilium", "cert-manager"],
        "addons_outdated_directory": str(tmp_path / "report"),
        "addons_outdated_fail": True,
    }
    result = ansible.playbook(ROOT / "playbooks" / "addons_outdated.yml", "-e", json.dumps(variables))
    assert result.returncode != 0, result.output
    assert "Behind: keda." in result.output
    report = json.loads((tmp_path / "report" / "addons-outdated.json").read_text())
    assert [(line["name"], line["pinned"], line["newest"]) for line in report["outdated"]] == [
        ("keda", "2.20.2", "2.21.0")
    ]
    assert [line["name"] for line in report["current"]] == ["falco"]
    reasons = {line["name"]: line["reason"] for line in report["unknown"]}
    assert reasons["cert-manager"] == "a registry has no index"
    assert "404" in reasons["cilium"]
    assert "| keda | keda | 2.20.2 | **2.21.0** (2.21.0) |" in result.output

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the role ``argocd`` renders, kept by Argo CD's real controllers in two real clusters as a Git repository says.

Charts cannot be downloaded here. One of the tests' own, in the Git repository, stands for those of add-ons and, with
the same values interface as far as the tests look, for Argo CD's.

The tests build on each other in the order of the file: there is nothing at first.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hvac
import pytest
import yaml
from ansible_collections.dcm.platform.plugins.module_utils.addons import render

from tests.ansible_runner import AnsibleRunner, ModuleResult, PlaybookResult, failed
from tests.conftest import LabFixture
from tests.integration.argocd import argocd_lab
from tests.integration.vault.conftest import mounted
from tests.sandbox.cluster import Cluster, Object, Resource
from tests.sandbox.service import Settings
from tests.sandbox.services import gitops
from tests.staging import ROOT
from tests.waiting import eventually

pytestmark = pytest.mark.skipif(bool(gitops.unavailable()), reason=gitops.unavailable())

APPS = "gitops-tests"
OWN_CLUSTER = {"server": "https://kubernetes.default.svc", "environment": "production"}
REFERENCE = "platform-apps"
CHILD = "platform-apps-staging-second"
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment", True)
GREETING = gitops.CONFIG_MAPS.path(APPS, "greeting")
EXTRA = gitops.CONFIG_MAPS.path(APPS, "extra")
CHART = {
    "Chart.yaml": "{apiVersion: v2, name: demo, version: 1.0.0}",
    "values.yaml": "{replicas: 1}",
    "templates/all.yaml": """
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}-values", namespace: "{{ .Release.Namespace }}"}
data: {values: {{ .Values | toJson | quote }}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: "{{ .Release.Name }}-server", namespace: "{{ .Release.Namespace }}"}
spec:
  replicas: {{ (.Values.server).replicas | default .Values.replicas }}
  selector: {matchLabels: {app: "{{ .Release.Name }}"}}
  template:
    metadata: {labels: {app: "{{ .Release.Name }}"}}
    spec: {containers: [{name: main, image: "example.org/main:1"}]}
""",
}
Apply = Callable[..., PlaybookResult]
Ask = Callable[..., ModuleResult]


def config_map(name: str, value: str) -> str:
    return yaml.safe_dump(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"value": value}}
    )


DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: main, image: "example.org/web:1"}]}
"""


class Repository:
    """A bare repository and a clone of it, in which the tests commit."""

    def __init__(self, bare: Path, clone: Path) -> None:
        self.url = f"file://{bare}"
        self._clone = clone
        self._git("init", "--quiet", "--bare", "--initial-branch=main", str(bare), at=bare.parent)
        self._git("init", "--quiet", "--initial-branch=main", str(clone), at=clone.parent)
        self._git("remote", "add", "origin", self.url)

    def commit(self, **files: str | None) -> str:
        """Write files (None: remove) and push; the commit's hash."""
        for name, content in files.items():
            path = self._clone / name
            if content is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        self._git("add", "--all")
        self._git("commit", "--quiet", "--message", ", ".join(files))
        return self._push()

    def revert(self) -> str:
        """Undo the last commit by another; its hash."""
        self._git("revert", "--no-edit", "HEAD")
        return self._push()

    def _push(self) -> str:
        self._git("push", "--quiet", "origin", "main")
        return self._git("rev-parse", "HEAD").strip()

    def _git(self, *arguments: str, at: Path | None = None) -> str:
        who = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in PERSON.items()}
        environment = {**os.environ, **who, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
        return subprocess.run(
            ["git", *arguments], cwd=at or self._clone, env=environment, check=True, stdout=subprocess.PIPE, text=True
        ).stdout


PERSON = {"NAME": "Tests", "EMAIL": "tests@example.org"}


@pytest.fixture(scope="module")
def services(lab: LabFixture) -> dict[str, Settings]:
    found: dict[str, Settings] = lab("kubernetes", "kubernetes_second", "vault", "gitops")
    return found


@pytest.fixture(scope="module")
def clusters(services: dict[str, Settings], tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Cluster]]:
    """Both clusters, each with the namespace of the applications, which is gone afterwards."""
    names = ("kubernetes", "kubernetes_second")
    found = [argocd_lab.connect(services[name], tmp_path_factory.mktemp(name)) for name in names]
    path = gitops.NAMESPACES.path(name=APPS)
    for cluster in found:
        cluster.apply(path, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": APPS}})
    yield found
    for kind in (argocd_lab.SETS, argocd_lab.APPLICATIONS):
        for item in list(found[0].items(kind.path("argocd"))):
            found[0].delete(kind.path("argocd", item["metadata"]["name"]))
    eventually(lambda: not list(found[0].items(argocd_lab.APPLICATIONS.path("argocd"))), "no Application is left")
    found[0].delete(gitops.SECRETS.path("argocd"), "argocd.argoproj.io/secret-type")
    for cluster in found:
        cluster.delete(path)
        for kind in (DEPLOYMENTS, gitops.CONFIG_MAPS):
            for item in list(cluster.items(kind.path("kube-system"))):
                if item["metadata"]["name"].startswith("demo"):
                    cluster.delete(kind.path("kube-system", item["metadata"]["name"]))


@pytest.fixture(scope="module")
def repository(services: dict[str, Settings], tmp_path_factory: pytest.TempPathFactory) -> Repository:
    clone = tmp_path_factory.mktemp("clone")
    found = Repository(Path(services["gitops"]["repositories"]) / f"{clone.parent.name}.git", clone)
    found.commit(
        **{f"charts/demo/{name}": content for name, content in CHART.items()},
        **{
            "kubernetes/apps/greeting.yaml": config_map("greeting", "hello"),
            "kubernetes/apps/extra.yaml": config_map("extra", "one"),
            "kubernetes/apps/web.yaml": DEPLOYMENT,
        },
    )
    return found


@pytest.fixture(scope="module")
def mount(services: dict[str, Settings]) -> Iterator[str]:
    """A mount with the second cluster's kubeconfig."""
    server = hvac.Client(url=services["vault"]["url"], token=services["vault"]["token"])
    content = Path(services["kubernetes_second"]["kubeconfig"]).read_text()
    with mounted(server) as path:
        server.secrets.kv.v2.create_or_update_secret("second", {"kubeconfig": content}, mount_point=path)
        yield path


@pytest.fixture
def apply(
    ansible: AnsibleRunner, services: dict[str, Settings], clusters: list[Cluster], repository: Repository, mount: str
) -> Apply:
    """``apply(argocd_wait=True)`` runs the role."""
    own = {
        "argocd_vault_mount": mount,
        "argocd_secrets": {},
        "argocd_repository_url": repository.url,
        "argocd_apps_namespace": APPS,
        "argocd_clusters": {"in-cluster": OWN_CLUSTER, "second": {"environment": "staging", "secret": "second"}},
        "argocd_application_sets": {"platform-apps": {"environments": [{"name": "staging", "revision": "main"}]}},
    }
    return lambda **variables: argocd_lab.run_role(ansible, services, {**own, **variables})


@pytest.fixture
def ask(run_module: Callable[..., ModuleResult], services: dict[str, Settings]) -> Ask:
    """``ask(names=[…])`` waits for Applications."""
    connection = {key: services["kubernetes"][key] for key in ("kubeconfig", "context")}
    return lambda **options: run_module(
        "argocd_application_info", {**connection, "wait": True, "wait_timeout": 60, **options}
    )


def refresh(cluster: Cluster, *names: str) -> None:
    """What a webhook of the Git host does after a push."""
    for name in names:
        annotation = {"argocd.argoproj.io/refresh": "normal"}
        cluster.merge_patch(argocd_lab.APPLICATIONS.path("argocd", name), {"metadata": {"annotations": annotation}})


def arrive(ask: Ask, cluster: Cluster, revision: str) -> None:
    """Wait until both Applications run the revision."""
    refresh(cluster, REFERENCE, CHILD)
    found = ask(names=[REFERENCE, CHILD], revision=revision)
    assert not found["failed"], found["msg"]


def value(cluster: Cluster, path: str) -> str | None:
    found = cluster.get(path)
    return found["data"]["value"] if found else None


def values_of(cluster: Cluster, namespace: str, release: str) -> dict[str, Any]:
    """The values that reached the chart."""
    found: Object = cluster.get(gitops.CONFIG_MAPS.path(namespace, f"{release}-values")) or {}
    values: dict[str, Any] = json.loads(found["data"]["values"])
    return values


def is_value(cluster: Cluster, path: str, wanted: str) -> bool:
    return value(cluster, path) == wanted


@pytest.mark.row("GIT-01")
@pytest.mark.row("GIT-05")
@pytest.mark.row("GIT-10")
def test_both_clusters_become_what_git_says(apply: Apply, ask: Ask, clusters: list[Cluster]) -> None:
    result = apply(argocd_wait=True, argocd_wait_timeout=60)
    assert result.returncode == 0, result.output
    (child,) = ask(names=[CHILD])["applications"]
    assert (child["sync"], child["health"]) == ("Synced", "Healthy")
    for cluster in clusters:
        assert value(cluster, GREETING) == "hello"
        web: Object = cluster.get(DEPLOYMENTS.path(APPS, "web")) or {}
        assert web["status"]["availableReplicas"] == 2


def test_a_second_run_changes_nothing_though_argo_cd_writes_too(apply: Apply) -> None:
    result = apply(argocd_wait=True, argocd_wait_timeout=60)
    assert (result.returncode, result.total("changed")) == (0, 0), result.output


@pytest.mark.row("GIT-03")
def test_drift_is_healed_in_both(clusters: list[Cluster]) -> None:
    for cluster in clusters:
        cluster.merge_patch(GREETING, {"data": {"value": "changed by hand"}})
    for cluster in clusters:
        eventually(functools.partial(is_value, cluster, GREETING, "hello"), "the drift is healed")


@pytest.mark.row("GIT-03")
def test_a_removed_file_is_pruned_in_both(ask: Ask, clusters: list[Cluster], repository: Repository) -> None:
    arrive(ask, clusters[0], repository.commit(**{"kubernetes/apps/extra.yaml": None}))
    assert [value(cluster, EXTRA) for cluster in clusters] == [None, None]


@pytest.mark.row("GIT-08")
@pytest.mark.row("X-24")
def test_rollback_is_a_revert_in_git(ask: Ask, clusters: list[Cluster], repository: Repository) -> None:
    bad = repository.commit(**{"kubernetes/apps/greeting.yaml": config_map("greeting", "a bad release")})
    arrive(ask, clusters[0], bad)
    assert [value(cluster, GREETING) for cluster in clusters] == ["a bad release"] * 2
    arrive(ask, clusters[0], repository.revert())
    assert [value(cluster, GREETING) for cluster in clusters] == ["hello"] * 2


@pytest.mark.row("GIT-16")
def test_what_a_project_does_not_allow_is_not_synced(ask: Ask, clusters: list[Cluster], repository: Repository) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "plain"}, "stringData": {"password": "x"}}
    repository.commit(**{"kubernetes/apps/secret.yaml": yaml.safe_dump(secret)})
    refresh(clusters[0], REFERENCE)
    message = failed(ask(names=[REFERENCE], wait_timeout=4))
    assert "plain" in message
    assert "is not permitted in project default" in message
    assert clusters[0].get(gitops.SECRETS.path(APPS, "plain")) is None
    # The Application as printed would try the refused revision again for minutes; this is `argocd app terminate-op`.
    application = argocd_lab.APPLICATIONS.path("argocd", REFERENCE)
    clusters[0].merge_patch(application, {"status": {"operationState": {"phase": "Terminating"}}})
    arrive(ask, clusters[0], repository.revert())


@pytest.mark.row("GIT-17")
def test_lost_applications_return_from_git(apply: Apply, ask: Ask, clusters: list[Cluster]) -> None:
    """All that Argo CD was told, and all that it deployed, is gone."""
    for kind in (argocd_lab.SETS, argocd_lab.APPLICATIONS):
        clusters[0].delete(kind.path("argocd"), "dcm.io/owner=argocd")
    clusters[0].delete(argocd_lab.APPLICATIONS.path("argocd"), "dcm.io/application-set")
    for cluster in clusters:
        for kind in (DEPLOYMENTS, gitops.CONFIG_MAPS):
            cluster.delete(kind.path(APPS), "!nothing")
        assert value(cluster, GREETING) is None
    result = apply(argocd_wait=True, argocd_wait_timeout=60)
    assert result.returncode == 0, result.output
    found = ask(names=[REFERENCE, CHILD])
    assert not found["failed"], found["msg"]
    assert [value(cluster, GREETING) for cluster in clusters] == ["hello"] * 2


@pytest.mark.row("GIT-07")
def test_a_bad_revision_is_reported_with_the_reason(apply: Apply, ask: Ask, clusters: list[Cluster]) -> None:
    result = apply(argocd_revision="nowhere", argocd_wait=True, argocd_wait_timeout=4)
    assert result.returncode != 0
    assert "platform-apps: it is Unknown (ComparisonError:" in result.output
    assert "unable to resolve 'nowhere' to a commit SHA" in result.output
    assert apply().returncode == 0
    refresh(clusters[0], REFERENCE)
    assert ask(names=[REFERENCE])["ready"]


@pytest.mark.row("GIT-04")
def test_children_come_and_go_with_their_data(apply: Apply, ask: Ask, clusters: list[Cluster]) -> None:
    def children() -> set[str]:
        found = clusters[0].items(argocd_lab.APPLICATIONS.path("argocd"), "dcm.io/application-set=platform-apps")
        return {item["metadata"]["name"] for item in found}

    assert children() == {CHILD}
    second = {"environment": "qa", "secret": "second"}
    environments = [{"name": "staging"}, {"name": "qa", "path": "charts/demo"}]
    result = apply(
        argocd_clusters={"in-cluster": OWN_CLUSTER, "second": second},
        argocd_application_sets={"platform-apps": {"environments": environments}},
    )
    assert result.returncode == 0, result.output
    eventually(lambda: children() == {"platform-apps-qa-second"}, "the child of the other environment is there alone")
    assert ask(names=["platform-apps-qa-second"])["ready"]
    assert value(clusters[1], GREETING) == "hello"  # what an Application leaves behind stays


def test_an_add_on_is_synced_as_its_role_renders_it(
    apply: Apply, ask: Ask, clusters: list[Cluster], repository: Repository
) -> None:
    addon = yaml.safe_load((ROOT / "roles/addons/files/catalogue/metrics-server.yml").read_text())
    (application,) = render.applications([addon], render.Target())
    spec = application["spec"]
    helm = {**spec["source"]["helm"], "releaseName": "demo"}
    spec["source"] = {"repoURL": repository.url, "targetRevision": "main", "path": "charts/demo", "helm": helm}
    result = apply(argocd_applications={"metrics-server": spec}, argocd_wait=True, argocd_wait_timeout=60)
    assert result.returncode == 0, result.output
    assert addon["values"].items() <= values_of(clusters[0], "kube-system", "demo").items()
    server: Object = clusters[0].get(DEPLOYMENTS.path("kube-system", "demo-server")) or {}
    assert server["status"]["availableReplicas"] == addon["values"]["replicas"]


@pytest.mark.row("GIT-01")
@pytest.mark.row("GIT-14")
def test_helm_installs_the_chart_with_the_values_of_the_role(
    apply: Apply, services: dict[str, Settings], clusters: list[Cluster], tmp_path: Path
) -> None:
    for name, content in CHART.items():
        path = tmp_path / "chart" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    variables = {
        "argocd_install": True,
        "argocd_helm": str(Path(services["gitops"]["bin"]) / "helm"),
        "argocd_chart": {"name": str(tmp_path / "chart")},
        "argocd_replicas": 3,
        "argocd_url": "http://argocd.dev.127.0.0.1.nip.io:8080",
    }
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(clusters[0].delete, DEPLOYMENTS.path("argocd", "argocd-server"))
        cleanup.callback(clusters[0].delete, gitops.CONFIG_MAPS.path("argocd", "argocd-values"))
        cleanup.callback(clusters[0].delete, gitops.SECRETS.path("argocd"), "owner=helm")
        first = apply(**variables)
        assert first.returncode == 0, first.output
        values = values_of(clusters[0], "argocd", "argocd")
        assert values["configs"]["params"]["controller.resource.health.persist"] == "true"
        assert values["redis-ha"] == {"enabled": False}  # the catalogue's
        assert values["global"]["domain"] == "argocd.dev.127.0.0.1.nip.io"
        assert (values["server"]["ingress"]["enabled"], values["server"]["ingress"]["tls"]) == (True, False)
        server: Object = clusters[0].get(DEPLOYMENTS.path("argocd", "argocd-server")) or {}
        assert (server["spec"]["replicas"], server["status"]["availableReplicas"]) == (3, 3)
        second = apply(**variables)
        assert (second.returncode, second.total("changed")) == (0, 0), second.output

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The role ``argocd`` on the real API server with Argo CD's real definitions, and a real Vault; no controller runs.

The tests build on each other in the order of the file: there is nothing at first.
"""

from __future__ import annotations

import base64
import fnmatch
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import hvac
import pytest
import yaml
from ansible_collections.dcm.platform.plugins.module_utils.addons import render

from tests.ansible_runner import AnsibleRunner, PlaybookResult
from tests.conftest import LabFixture
from tests.integration.argocd import argocd_lab
from tests.integration.vault.conftest import mounted
from tests.sandbox.cluster import Cluster
from tests.sandbox.service import Settings, free_port
from tests.sandbox.services import gitops
from tests.staging import ROOT

NAMESPACE = "argocd-role-tests"  # where no controller looks
REPOSITORY = "https://github.com/org/platform-infra.git"
CHARTS = Path(ROOT).parent / "shared" / "data" / "chart-values"

# Everything that must not be seen in any output. Long, and said nowhere else.
TOKEN, KEY, PASSWORD, WEBHOOK, SESSIONS, SLACK = (
    f"planted-{name}-ohQu3eeTh7oe" for name in ("a", "b", "c", "d", "e", "f")
)
KUBECONFIG = {
    "current-context": "talos",
    "contexts": [{"name": "other", "context": {}}, {"name": "talos", "context": {"cluster": "c", "user": "u"}}],
    "clusters": [{"name": "c", "cluster": {"server": "https://192.0.2.10:6443", "certificate-authority-data": "Q0E="}}],
    "users": [{"name": "u", "user": {"client-certificate-data": "Q0VSVA==", "client-key-data": KEY}}],
}
VAULT = {
    "argocd": {"server_secret_key": SESSIONS, "webhook_secret": WEBHOOK},
    "talos": {"kubeconfig": yaml.safe_dump(KUBECONFIG)},
    "doks": {"token": TOKEN, "ca_certificate": "CA"},
    "git": {"username": "git", "password": PASSWORD},
    "notifications": {"slack-token": SLACK},
    "broken": {"kubeconfig": f"users: [{{token: {TOKEN}"},
}
CLUSTERS = {
    "in-cluster": {"server": "https://kubernetes.default.svc", "environment": "production"},
    "talos": {"environment": "production", "secret": "talos", "labels": {"dcm.io/site": "on-premises"}},
    "doks": {"server": "https://192.0.2.20", "environment": "staging", "secret": "doks", "namespaces": ["one", "two"]},
}
DATA = {
    "argocd_clusters": CLUSTERS,
    "argocd_secrets": {
        "server.secretkey": {"path": "argocd", "key": "server_secret_key"},
        "webhook.github.secret": {"path": "argocd", "key": "webhook_secret"},
    },
    "argocd_repositories": {
        "infra": {"url": REPOSITORY, "secret": "git", "project": "platform-apps"},
        "everything": {"url": "https://github.com/org", "secret": "git", "prefix": True},
        "charts": {"url": "ghcr.io/nginx/charts", "type": "helm", "oci": True},
    },
    "argocd_application_sets": {"platform-apps": {"environments": [{"name": "staging", "revision": "next"}]}},
    "argocd_notifications": {
        "recipients": ["slack:alerts"],
        "services": {"slack": {"token": "$slack-token"}},
        "secret_path": "notifications",
    },
    "dcm_groups": {"argocd:admin": ["gitops"], "platform:developer": ["developers"], "platform:readonly": ["viewers"]},
    "argocd_config": {"oidc.config": "name: Login\n"},
}

# The Application of the architecture (004), as printed.
REFERENCE = yaml.safe_load("""
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata:
  name: platform-apps
  namespace: argocd
spec:
  project: default
  source:
    repoURL: https://github.com/org/platform-infra.git
    targetRevision: main
    path: kubernetes/apps
  destination:
    server: https://kubernetes.default.svc
    namespace: platform-apps
  syncPolicy:
    automated:
      prune: true
      selfHeal: true
""")
Apply = Callable[..., PlaybookResult]


@pytest.fixture(scope="module")
def services(lab: LabFixture) -> dict[str, Settings]:
    found: dict[str, Settings] = lab("kubernetes", "vault", "argocd_kinds")
    return found


@pytest.fixture(scope="module")
def cluster(services: dict[str, Settings], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    found = argocd_lab.connect(services["kubernetes"], tmp_path_factory.mktemp("cluster"))
    with argocd_lab.namespace(found, NAMESPACE):
        yield found


@pytest.fixture(scope="module")
def mount(services: dict[str, Settings]) -> Iterator[str]:
    """A mount of these tests with their secrets."""
    server = hvac.Client(url=services["vault"]["url"], token=services["vault"]["token"])
    with mounted(server) as path:
        for name, content in VAULT.items():
            server.secrets.kv.v2.create_or_update_secret(name, content, mount_point=path)
        yield path


@pytest.fixture
def apply(ansible: AnsibleRunner, services: dict[str, Settings], cluster: Cluster, mount: str) -> Apply:
    """``apply("--check", argocd_clusters=…)`` runs the role without installing."""

    own = {**DATA, "dcm_argocd_namespace": NAMESPACE, "argocd_vault_mount": mount}

    def call(*arguments: str, **variables: Any) -> PlaybookResult:
        return argocd_lab.run_role(ansible, services, {**own, **variables}, *arguments)

    return call


def check_nothing_is_seen(result: PlaybookResult) -> None:
    for secret in (TOKEN, KEY, PASSWORD, WEBHOOK, SESSIONS, SLACK):
        assert secret not in result.output
        assert base64.b64encode(secret.encode()).decode() not in result.output


def data(item: Mapping[str, Any]) -> dict[str, str]:
    """The content of a Secret, readable."""
    return {key: base64.b64decode(value).decode() for key, value in (item.get("data") or {}).items()}


def test_check_mode_predicts_and_writes_nothing(apply: Apply, cluster: Cluster) -> None:
    result = apply("--check", "--diff", "-vvv")
    assert result.returncode == 0, result.output
    assert result.total("changed") == 1
    assert "ApplicationSet argocd-role-tests/platform-apps (create)" in result.output
    assert argocd_lab.objects(cluster, NAMESPACE) == {}
    check_nothing_is_seen(result)


@pytest.mark.row("GIT-02")
@pytest.mark.row("GIT-03")
def test_everything_is_made_and_no_credential_is_seen(apply: Apply, cluster: Cluster) -> None:
    result = apply("--diff", "-vvv")
    assert result.returncode == 0, result.output
    assert result.total("changed") == 1
    check_nothing_is_seen(result)
    found = argocd_lab.objects(cluster, NAMESPACE)
    assert set(found) == {
        "AppProject default",
        "AppProject platform-addons",
        "AppProject platform-apps",
        "Application platform-apps",
        "ApplicationSet platform-apps",
        "ConfigMap argocd-cm",
        "ConfigMap argocd-notifications-cm",
        "ConfigMap argocd-rbac-cm",
        "Secret argocd-notifications-secret",
        "Secret argocd-secret",
        "Secret cluster-doks",
        "Secret cluster-in-cluster",
        "Secret cluster-talos",
        "Secret repository-charts",
        "Secret repository-everything",
        "Secret repository-infra",
    }
    application = found["Application platform-apps"]
    assert (application["apiVersion"], application["spec"]) == (REFERENCE["apiVersion"], REFERENCE["spec"])
    assert application["metadata"]["name"] == REFERENCE["metadata"]["name"]


def test_a_second_run_writes_nothing(apply: Apply, cluster: Cluster) -> None:
    before = argocd_lab.versions(cluster, NAMESPACE)
    result = apply()
    assert (result.returncode, result.total("changed")) == (0, 0), result.output
    assert argocd_lab.versions(cluster, NAMESPACE) == before


@pytest.mark.row("GIT-05")
@pytest.mark.row("TAL-19")
def test_clusters_are_registered_with_credentials_from_vault(cluster: Cluster) -> None:
    found = argocd_lab.objects(cluster, NAMESPACE)
    talos, doks, own = (found[f"Secret cluster-{name}"] for name in ("talos", "doks", "in-cluster"))
    for item, name, environment in (
        (talos, "talos", "production"),
        (doks, "doks", "staging"),
        (own, "in-cluster", "production"),
    ):
        labels = item["metadata"]["labels"]
        assert labels["argocd.argoproj.io/secret-type"] == "cluster"
        assert (labels["dcm.io/cluster"], labels["dcm.io/environment"]) == (name, environment)
        assert data(item)["name"] == name
    assert talos["metadata"]["labels"]["dcm.io/site"] == "on-premises"
    assert data(talos)["server"] == "https://192.0.2.10:6443"  # the kubeconfig's
    assert json.loads(data(talos)["config"]) == {
        "tlsClientConfig": {"insecure": False, "caData": "Q0E=", "certData": "Q0VSVA==", "keyData": KEY}
    }
    assert (data(doks)["server"], data(doks)["namespaces"]) == ("https://192.0.2.20", "one,two")
    assert json.loads(data(doks)["config"]) == {
        "bearerToken": TOKEN,
        "tlsClientConfig": {"insecure": False, "caData": base64.b64encode(b"CA").decode()},
    }
    assert data(own)["server"] == "https://kubernetes.default.svc"
    assert json.loads(data(own)["config"]) == {"tlsClientConfig": {"insecure": False}}


@pytest.mark.row("GIT-06")
def test_credentials_of_repositories_webhook_and_notifications(cluster: Cluster) -> None:
    found = argocd_lab.objects(cluster, NAMESPACE)
    kinds = {
        name: found[f"Secret repository-{name}"]["metadata"]["labels"]["argocd.argoproj.io/secret-type"]
        for name in ("infra", "everything", "charts")
    }
    assert kinds == {"infra": "repository", "everything": "repo-creds", "charts": "repository"}
    assert data(found["Secret repository-infra"]) == {
        "name": "infra",
        "url": REPOSITORY,
        "type": "git",
        "project": "platform-apps",
        "username": "git",
        "password": PASSWORD,
    }
    assert data(found["Secret repository-charts"])["enableOCI"] == "true"
    assert data(found["Secret argocd-secret"]) == {"server.secretkey": SESSIONS, "webhook.github.secret": WEBHOOK}
    assert data(found["Secret argocd-notifications-secret"]) == {"slack-token": SLACK}
    notifications = found["ConfigMap argocd-notifications-cm"]["data"]
    assert yaml.safe_load(notifications["service.slack"]) == {"token": "$slack-token"}
    (subscription,) = yaml.safe_load(notifications["subscriptions"])
    assert subscription["recipients"] == ["slack:alerts"]
    for trigger in subscription["triggers"]:
        (rule,) = yaml.safe_load(notifications[f"trigger.{trigger}"])
        for template in rule["send"]:
            assert "{{.app.metadata.name}}" in yaml.safe_load(notifications[f"template.{template}"])["message"]
    assert found["ConfigMap argocd-cm"]["data"]["oidc.config"] == "name: Login\n"
    for name in ("ConfigMap argocd-cm", "ConfigMap argocd-rbac-cm", "Secret argocd-secret", "Secret cluster-talos"):
        assert found[name]["metadata"]["labels"]["app.kubernetes.io/part-of"] == "argocd"


def may(policy: str, group: str, resource: str, action: str, thing: str) -> bool:
    """Argo CD's own rule, in short: a policy of a role of the group matches by globs; the built-in admin may all."""
    rows = [[part.strip() for part in line.split(",")] for line in policy.splitlines() if line.strip()]
    roles = {row[2] for row in rows if row[0] == "g" and row[1] == group}
    return "role:admin" in roles or any(
        row[0] == "p"
        and row[1] in roles
        and all(fnmatch.fnmatchcase(have, want) for have, want in zip((resource, action, thing), row[2:5], strict=True))
        and row[5] == "allow"
        for row in rows
    )


POLICY = [
    ("gitops", "applications", "delete", "platform-addons/loki", True),
    ("gitops", "clusters", "create", "https://192.0.2.20", True),
    ("developers", "applications", "get", "platform-apps/web", True),
    ("developers", "applications", "sync", "platform-apps/web", True),
    ("developers", "applications", "sync", "default/platform-apps", True),
    ("developers", "applications", "sync", "platform-addons/loki", False),
    ("developers", "applications", "delete", "platform-apps/web", False),
    ("developers", "applications", "override", "platform-apps/web", False),
    ("developers", "repositories", "get", REPOSITORY, False),
    ("developers", "exec", "create", "platform-apps/web", False),
    ("viewers", "applications", "get", "platform-addons/loki", True),
    ("viewers", "applications", "sync", "platform-apps/web", False),
    ("viewers", "clusters", "get", "https://192.0.2.20", False),
    ("viewers", "logs", "get", "platform-apps/web", False),
    ("strangers", "applications", "get", "platform-apps/web", False),
    ("argocd:admin", "applications", "get", "platform-apps/web", False),  # a role; its groups are in the data
]


@pytest.mark.row("GIT-13")
@pytest.mark.row("SEC-02")
def test_who_may_do_what(cluster: Cluster) -> None:
    found = argocd_lab.objects(cluster, NAMESPACE)["ConfigMap argocd-rbac-cm"]["data"]
    assert (found["policy.default"], found["scopes"]) == ("", "[groups]")
    wrong = [case for case in POLICY if may(found["policy.csv"], *case[:4]) is not case[4]]
    assert wrong == []


def test_projects_have_the_least_they_need(cluster: Cluster) -> None:
    found = argocd_lab.objects(cluster, NAMESPACE)
    for name, server in (("default", "https://kubernetes.default.svc"), ("platform-apps", "*")):
        spec = found[f"AppProject {name}"]["spec"]
        assert spec["sourceRepos"] == [REPOSITORY]
        assert spec["destinations"] == [{"server": server, "namespace": "platform-apps"}]
        assert spec["clusterResourceWhitelist"] == []
        assert {"group": "", "kind": "Secret"} in spec["namespaceResourceBlacklist"]
    addons = found["AppProject platform-addons"]["spec"]
    assert "*" not in addons["sourceRepos"]
    assert {"https://argoproj.github.io/argo-helm", "ghcr.io/nginx/charts"} <= set(addons["sourceRepos"])
    namespaces = {item["namespace"] for item in addons["destinations"]}
    assert {"platform-system", "platform-monitoring", "kube-system"} <= namespaces
    assert not {"*", "platform-apps"} & namespaces
    assert {"group": "*", "kind": "*"} not in addons["clusterResourceWhitelist"]


@pytest.mark.row("GIT-04")
@pytest.mark.row("X-25")
def test_a_set_is_environment_by_cluster_beside_the_reference(cluster: Cluster) -> None:
    spec = argocd_lab.objects(cluster, NAMESPACE)["ApplicationSet platform-apps"]["spec"]
    environments, clusters = spec["generators"][0]["matrix"]["generators"]
    assert environments["list"]["elements"] == [
        {"environment": "staging", "revision": "next", "path": "kubernetes/apps"}
    ]
    assert clusters["clusters"]["selector"] == {
        "matchLabels": {"dcm.io/environment": "{{ .environment }}"},
        "matchExpressions": [{"key": "dcm.io/cluster", "operator": "NotIn", "values": ["in-cluster"]}],
    }
    template = spec["template"]
    assert template["metadata"]["name"] == "platform-apps-{{ .environment }}-{{ .nameNormalized }}"
    assert template["spec"]["destination"] == {"server": "{{ .server }}", "namespace": "platform-apps"}
    assert template["spec"]["syncPolicy"] == {
        **REFERENCE["spec"]["syncPolicy"],
        "retry": {"limit": 5, "refresh": True},
    }


def test_every_add_on_of_the_catalogue_is_allowed_in_its_project(cluster: Cluster) -> None:
    project = argocd_lab.objects(cluster, NAMESPACE)["AppProject platform-addons"]["spec"]
    files = (ROOT / "roles/addons/files/catalogue").glob("*.yml")
    addons = [yaml.safe_load(file.read_text()) for file in files]
    rendered = render.applications(addons, render.Target())
    with_sources = [item for item in addons if {"git", "chart"} & set(item.get("crds", ()))]
    rendered += render.applications(with_sources, render.Target(definitions=True))
    assert rendered
    for application in (item["spec"] for item in rendered):
        for source in application.get("sources", [application.get("source")]):
            assert source["repoURL"] in project["sourceRepos"]
        where = application["destination"]
        assert {"server": "*", "namespace": where["namespace"]} in project["destinations"]


def paths(values: Mapping[str, Any], known: Any, prefix: str = "") -> Iterator[str]:
    """The values' paths that the chart's defaults do not have. What is empty there is of free form."""
    for key, value in values.items():
        if not isinstance(known, Mapping) or key not in known:
            yield f"{prefix}{key}"
        elif isinstance(value, Mapping) and known[key]:
            yield from paths(value, known[key], f"{prefix}{key}.")


@pytest.mark.skipif(not CHARTS.is_dir(), reason="the charts' defaults are not on this machine")
def test_values_are_ones_that_the_chart_knows() -> None:
    own = yaml.safe_load((ROOT / "roles/argocd/vars/main.yml").read_text())["__argocd_own_values"]
    own["configs"]["cm"] = {}  # of free form, as are the parameters
    assert own["configs"].pop("params") == {"controller.resource.health.persist": "true"}
    chart = yaml.safe_load((CHARTS / "argo-cd.yaml").read_text())
    assert list(paths(own, chart)) == []
    assert list(paths({"server": {"nonsense": 1}}, chart)) == ["server.nonsense"]


def test_drift_is_repaired_and_what_others_own_stays(apply: Apply, cluster: Cluster) -> None:
    application = argocd_lab.APPLICATIONS.path(NAMESPACE, "platform-apps")
    cluster.merge_patch(application, {"spec": {"syncPolicy": {"automated": {"selfHeal": False}}}})
    cluster.merge_patch(application, {"metadata": {"annotations": {"argocd.argoproj.io/refresh": "normal"}}})
    secret = gitops.SECRETS.path(NAMESPACE, "argocd-secret")
    cluster.merge_patch(secret, {"stringData": {"admin.passwordMtime": "2026-11-21T00:00:00Z"}})
    result = apply("--diff")
    assert result.total("changed") == 1, result.output
    assert '+                "selfHeal": true' in result.output, result.output
    found = cluster.get(application) or {}
    assert found["spec"] == REFERENCE["spec"]
    assert found["metadata"]["annotations"]["argocd.argoproj.io/refresh"] == "normal"
    assert data(cluster.get(secret) or {})["admin.passwordMtime"] == "2026-11-21T00:00:00Z"


def test_what_leaves_the_data_is_removed(apply: Apply, cluster: Cluster) -> None:
    less: dict[str, Any] = {
        "argocd_repositories": {},
        "argocd_application_sets": {},
        "argocd_notifications": {"recipients": []},
    }
    fewer = {name: CLUSTERS[name] for name in ("in-cluster", "talos")}
    result = apply(**less, argocd_clusters=fewer, argocd_secrets={})
    assert result.returncode == 0, result.output
    found = argocd_lab.objects(cluster, NAMESPACE)
    assert {name for name in found if name.startswith(("Secret", "ApplicationSet"))} == {
        "Secret argocd-secret",
        "Secret cluster-in-cluster",
        "Secret cluster-talos",
    }
    assert data(found["Secret argocd-secret"]) == {"admin.passwordMtime": "2026-11-21T00:00:00Z"}


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"argocd_clusters": {"lost": {"server": "https://192.0.2.1", "secret": "no/such"}}}, "do not exist"),
        ({"argocd_secrets": {"server.secretkey": {"path": "no/such", "key": "key"}}}, "do not exist"),
        ({"argocd_secrets": {"server.secretkey": {"path": "broken", "key": "no-such-key"}}}, "no-such-key"),
        ({"argocd_clusters": {"broken": {"server": "https://192.0.2.1", "secret": "broken"}}}, "broken"),
        ({"argocd_projects": {"typo": {"sourceRepositories": []}}}, "sourceRepositories"),
        ({"argocd_install": True, "argocd_helm": "/nonexistent/helm"}, "argocd_helm"),
    ],
    ids=["missing secret", "missing own secret", "missing key", "broken kubeconfig", "unknown field", "no helm"],
)
def test_clear_errors(apply: Apply, cluster: Cluster, variables: dict[str, Any], message: str) -> None:
    before = argocd_lab.versions(cluster, NAMESPACE)
    result = apply("-vvv", **variables)
    assert result.returncode != 0
    assert message in result.output
    assert "Traceback" not in result.output
    check_nothing_is_seen(result)
    assert argocd_lab.versions(cluster, NAMESPACE) == before


def test_unreachable_cluster_is_named(apply: Apply, ansible: AnsibleRunner) -> None:
    address = f"https://127.0.0.1:{free_port()}"
    config = {
        "current-context": "gone",
        "contexts": [{"name": "gone", "context": {"cluster": "gone", "user": "gone"}}],
        "clusters": [{"name": "gone", "cluster": {"server": address}}],
        "users": [{"name": "gone", "user": {"token": TOKEN}}],
    }
    path = ansible.private_file("gone.yml", yaml.safe_dump(config))
    result = apply("-vvv", dcm_kubeconfig=str(path), dcm_kubernetes_context="")
    assert f"Kubernetes API at {address} is not reachable" in result.output
    check_nothing_is_seen(result)

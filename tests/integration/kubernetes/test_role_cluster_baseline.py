# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The role ``cluster_baseline`` on the real API server: what it makes, and what the cluster then really refuses.

The tests build on each other in the order of the file: there is nothing at first.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from kubernetes import client as kubernetes
from kubernetes import config
from kubernetes.client.exceptions import ApiException

from tests.addon_table import entries
from tests.ansible_runner import AnsibleRunner, PlaybookResult
from tests.conftest import LabFixture
from tests.sandbox.service import Settings, free_port
from tests.service_graph import allowed, reachable
from tests.staging import ROOT
from tests.waiting import eventually

LEVELS = {
    "platform-system": "restricted",
    "platform-apps": "restricted",
    "platform-data": "baseline",
    "platform-monitoring": "restricted",
}
OWN = "baseline-own"  # a namespace that only the tests' data names
ARGOCD = "baseline-argocd"  # so that Argo CD's own, where other tests have it, is left alone
DATA = {
    **yaml.safe_load((ROOT / "inventories/service_graph.yml").read_text()),
    **yaml.safe_load((ROOT / "inventories/access.yml").read_text()),
    "dcm_argocd_namespace": ARGOCD,
    "cluster_baseline_addon_namespaces": {ARGOCD: {"reason": "All of Argo CD runs without privilege."}},
}
OWNED = {"label_selector": "dcm.io/owner=cluster-baseline"}
WEBHOOKS = {
    "name": "webhooks",
    "pods": {"app": "agent"},
    "ingress": [{"from": ["api_server", {"namespace": "kube-system"}], "ports": [9443, "8000-8100/udp"]}],
}
ADDON_RULES = [rule for addon in entries() for rule in addon.get("network", ())]
OWN_DATA = {
    "cluster_baseline_namespaces": {
        OWN: {
            "pod_security": {"enforce": "privileged"},
            "reason": "It shows that node agents may read the host.",
            "quota": {"pods": "2", "services.nodeports": None},
            "limits": {"limits": {"cpu": "1"}, "maximum": {"cpu": "16"}},
            "automount_token": True,
            # Every rule of every add-on, so that the API server is asked what it thinks of them.
            "allow": [WEBHOOKS, *({**rule, "name": f"addon-{number}"} for number, rule in enumerate(ADDON_RULES))],
        }
    },
    "cluster_baseline_storage_classes": {
        "baseline-fast": {"provisioner": "rancher.io/local-path", "parameters": {"nodePath": "/var/fast"}},
    },
}
Apply = Callable[..., PlaybookResult]

RESTRICTED = {
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


@pytest.fixture(scope="module")
def cluster(lab: LabFixture) -> Settings:
    settings: Settings = lab("kubernetes")
    return settings


@pytest.fixture(scope="module")
def api(cluster: Settings) -> Iterator[kubernetes.ApiClient]:
    """An independent client; what the role makes is gone before and after these tests."""
    client = config.new_client_from_config(cluster["kubeconfig"], context=cluster["context"])
    remove(client)
    yield client
    remove(client)


def remove(client: kubernetes.ApiClient) -> None:
    core = kubernetes.CoreV1Api(client)
    access, scheduling = kubernetes.RbacAuthorizationV1Api(client), kubernetes.SchedulingV1Api(client)
    access.delete_collection_cluster_role_binding(**OWNED)
    access.delete_collection_cluster_role(**OWNED)
    scheduling.delete_collection_priority_class(**OWNED)
    kubernetes.StorageV1Api(client).delete_collection_storage_class(**OWNED)

    def gone() -> bool:
        left = {item.metadata.name for item in core.list_namespace().items} & {*LEVELS, OWN, ARGOCD}
        for name in left:
            try:
                core.delete_namespace(name)
            except ApiException as error:
                if error.status not in (404, 409):
                    raise
        return not left

    eventually(gone, "the namespaces are gone", within=90)


@pytest.fixture
def second(lab: LabFixture) -> Iterator[Settings]:
    """A second cluster, as empty before as it is afterwards."""
    settings: Settings = lab("kubernetes", "kubernetes_second")["kubernetes_second"]
    client = config.new_client_from_config(settings["kubeconfig"], context=settings["context"])
    remove(client)
    yield settings
    remove(client)


@pytest.fixture
def apply(ansible: AnsibleRunner, cluster: Settings) -> Apply:
    """``apply("--check", cluster_baseline_dns=…)`` runs the role."""

    def call(*arguments: str, **variables: Any) -> PlaybookResult:
        connection = {"dcm_kubeconfig": cluster["kubeconfig"], "dcm_kubernetes_context": cluster["context"]}
        play = {
            "hosts": "localhost",
            "gather_facts": False,
            "vars": {**connection, **DATA, **variables},
            "roles": ["dcm.platform.cluster_baseline"],
        }
        return ansible.playbook([play], "-i", "localhost,", "-c", "local", *arguments)

    return call


def made(api: kubernetes.ApiClient) -> dict[str, str]:
    """The version of every object of the role, as the API server has them."""
    access, core = kubernetes.RbacAuthorizationV1Api(api), kubernetes.CoreV1Api(api)
    lists = (
        core.list_namespace,
        core.list_resource_quota_for_all_namespaces,
        core.list_limit_range_for_all_namespaces,
        core.list_service_account_for_all_namespaces,
        kubernetes.NetworkingV1Api(api).list_network_policy_for_all_namespaces,
        access.list_cluster_role,
        access.list_cluster_role_binding,
        access.list_role_binding_for_all_namespaces,
        kubernetes.SchedulingV1Api(api).list_priority_class,
        kubernetes.StorageV1Api(api).list_storage_class,
    )
    return {
        f"{type(item).__name__} {item.metadata.namespace or ''}/{item.metadata.name}": item.metadata.resource_version
        for call in lists
        for item in call(**OWNED).items
    }


def pod(name: str, **container: Any) -> dict[str, Any]:
    """A pod that the level ``restricted`` allows, unless ``container`` says otherwise."""
    content = {"name": "main", "image": "example.org/main:1", "securityContext": RESTRICTED, **container}
    return {"metadata": {"name": name}, "spec": {"containers": [content]}}


def create_pod(api: kubernetes.ApiClient, namespace: str, body: dict[str, Any]) -> Any:
    """Create a pod once its namespace has a service account."""
    core = kubernetes.CoreV1Api(api)
    accounts = functools.partial(core.list_namespaced_service_account, namespace)
    eventually(lambda: accounts().items, f"there is a service account in {namespace}")
    return core.create_namespaced_pod(namespace, body)


def refusal_of(api: kubernetes.ApiClient, namespace: str, body: dict[str, Any]) -> str:
    with pytest.raises(ApiException) as raised:
        create_pod(api, namespace, body)
    assert raised.value.status == 403
    return str(raised.value.body)


def test_check_mode_on_an_empty_cluster_predicts_and_touches_nothing(apply: Apply, api: kubernetes.ApiClient) -> None:
    before = made(api)
    result = apply("--check", "--diff")
    assert result.returncode == 0, result.output
    assert result.total("changed") == 1
    for name in LEVELS:
        for what in ("ResourceQuota {}/namespace-quota", "LimitRange {}/container-defaults", "Namespace {}"):
            assert f"{what.format(name)} (create)" in result.output
        for policy in ("default-deny", "allow-dns"):
            assert f"NetworkPolicy {name}/{policy} (create)" in result.output
    assert made(api) == before


@pytest.mark.row("APP-04")
@pytest.mark.row("C-28")
@pytest.mark.row("SEC-04")
@pytest.mark.row("X-04")
def test_the_namespaces_are_made_and_the_second_run_changes_nothing(apply: Apply, api: kubernetes.ApiClient) -> None:
    first = apply()
    assert first.returncode == 0, first.output
    assert first.total("changed") == 1
    namespaces = {item.metadata.name: item.metadata for item in kubernetes.CoreV1Api(api).list_namespace().items}
    for name, level in LEVELS.items():
        labels = namespaces[name].labels
        assert labels["pod-security.kubernetes.io/enforce"] == level
        assert labels["pod-security.kubernetes.io/warn"] == labels["pod-security.kubernetes.io/audit"] == "restricted"
        assert namespaces[name].annotations["dcm.io/pod-security-reason"]
    before = made(api)
    again = apply()
    assert again.returncode == 0, again.output
    assert again.total("changed") == 0, again.output
    assert made(api) == before


@pytest.mark.row("NET-25")
@pytest.mark.row("X-15")
def test_every_namespace_denies_everything_but_dns(api: kubernetes.ApiClient) -> None:
    for name in LEVELS:
        policies = kubernetes.NetworkingV1Api(api).list_namespaced_network_policy(name).items
        by_name = {policy.metadata.name: policy.spec for policy in policies}
        assert all(extra.startswith("service-") for extra in {*by_name} - {"default-deny", "allow-dns"})
        deny, dns = by_name["default-deny"], by_name["allow-dns"]
        assert (deny.pod_selector.match_labels, deny.policy_types) == (None, ["Ingress", "Egress"])
        assert (deny.ingress, deny.egress) == (None, None)
        assert (dns.pod_selector.match_labels, dns.policy_types, dns.ingress) == (None, ["Egress"], None)
        (rule,) = dns.egress
        (peer,) = rule.to
        assert peer.namespace_selector.match_labels == {"kubernetes.io/metadata.name": "kube-system"}
        assert peer.pod_selector.match_labels == {"k8s-app": "kube-dns"}
        assert sorted((port.protocol, port.port) for port in rule.ports) == [("TCP", 53), ("UDP", 53)]


@pytest.mark.row("NET-26")
@pytest.mark.row("APP-03")
@pytest.mark.row("DATA-26")
@pytest.mark.row("SEC-15")
def test_what_the_server_keeps_allows_the_call_graph_and_nothing_else(api: kubernetes.ApiClient) -> None:
    policies = kubernetes.NetworkingV1Api(api).list_network_policy_for_all_namespaces(**OWNED)
    assert reachable(api.sanitize_for_serialization(policies)["items"]) == allowed()


READER, DEVELOPER, ARGOCD_ADMIN, ADMIN = (
    "platform-viewers",
    "platform-developers",
    "argocd-administrators",
    "platform-administrators",
)
EVERYWHERE = ("platform-apps", "platform-data", "kube-system", "")
MAY = [
    *((ADMIN, verb, "secrets", namespace) for verb in ("get", "delete") for namespace in EVERYWHERE),
    *((group, "get", "pods", name) for group in (READER, DEVELOPER, ARGOCD_ADMIN) for name in EVERYWHERE),
    *((READER, "list", kind, "") for kind in ("nodes", "namespaces", "events", "storageclasses.storage.k8s.io")),
    (READER, "get", "pods/log", "platform-apps"),
    (READER, "watch", "applications.argoproj.io", ARGOCD),
    *((DEVELOPER, verb, "deployments.apps", "platform-apps") for verb in ("get", "create", "patch", "delete")),
    (DEVELOPER, "patch", "deployments.apps/scale", "platform-apps"),
    (DEVELOPER, "create", "jobs.batch", "platform-apps"),
    *((ARGOCD_ADMIN, verb, "applications.argoproj.io", ARGOCD) for verb in ("create", "patch", "delete")),
    (ARGOCD_ADMIN, "patch", "appprojects.argoproj.io", ARGOCD),
]
MAY_NOT = [
    *(
        (group, verb, "secrets", namespace)
        for group in (READER, DEVELOPER, ARGOCD_ADMIN)
        for verb in ("get", "list", "watch")
        for namespace in (*EVERYWHERE, ARGOCD)
    ),
    *((READER, verb, kind, "platform-apps") for verb in ("create", "patch", "delete") for kind in ("pods", "services")),
    *((READER, "create", kind, "platform-apps") for kind in ("pods/exec", "pods/portforward", "serviceaccounts/token")),
    *((group, "get", "nodes/proxy", "") for group in (READER, DEVELOPER, ARGOCD_ADMIN)),
    (READER, "patch", "applications.argoproj.io", ARGOCD),
    *((DEVELOPER, "create", "deployments.apps", name) for name in ("platform-data", "platform-system", "kube-system")),
    *((DEVELOPER, "create", kind, "platform-apps") for kind in ("pods/exec", "networkpolicies.networking.k8s.io")),
    *((DEVELOPER, "patch", kind, "platform-apps") for kind in ("resourcequotas", "limitranges", "serviceaccounts")),
    (DEVELOPER, "create", "rolebindings.rbac.authorization.k8s.io", "platform-apps"),
    (DEVELOPER, "patch", "namespaces", ""),
    (DEVELOPER, "impersonate", "users", ""),
    (DEVELOPER, "patch", "applications.argoproj.io", ARGOCD),
    (ARGOCD_ADMIN, "create", "applications.argoproj.io", "platform-apps"),
    (ARGOCD_ADMIN, "create", "deployments.apps", "platform-apps"),
    ("strangers", "get", "pods", "platform-apps"),
]


def may(api: kubernetes.ApiClient, group: str, verb: str, what: str, namespace: str) -> bool:
    """Whether the API server would let a member of a group; ``what``: resource.group/subresource."""
    full, _slash, subresource = what.partition("/")
    resource, _dot, api_group = full.partition(".")
    attributes = {"verb": verb, "resource": resource, "group": api_group, "subresource": subresource}
    spec = {"user": "somebody", "groups": [group], "resourceAttributes": {**attributes, "namespace": namespace}}
    review = kubernetes.AuthorizationV1Api(api).create_subject_access_review({"spec": spec})
    return bool(review.status.allowed)


@pytest.mark.row("SEC-01")
@pytest.mark.row("SEC-02")
@pytest.mark.row("SEC-16")
def test_each_role_may_what_it_is_for_and_nothing_else(api: kubernetes.ApiClient) -> None:
    assert [request for request in MAY if not may(api, *request)] == []
    assert [request for request in MAY_NOT if may(api, *request)] == []


@pytest.mark.row("SEC-04")
@pytest.mark.parametrize("namespace", LEVELS)
def test_a_privileged_pod_is_refused(api: kubernetes.ApiClient, namespace: str) -> None:
    body = pod("privileged", securityContext={"privileged": True})
    assert "violates PodSecurity" in refusal_of(api, namespace, body)


@pytest.mark.row("SEC-04")
def test_a_pod_without_seccomp_profile_is_refused_only_where_restricted(api: kubernetes.ApiClient) -> None:
    body = pod("plain", securityContext={})
    assert "seccompProfile" in refusal_of(api, "platform-apps", body)
    assert create_pod(api, "platform-data", body).metadata.name == "plain"


@pytest.mark.row("APP-05")
@pytest.mark.row("AUT-09")
def test_a_container_that_asks_for_nothing_gets_the_defaults(api: kubernetes.ApiClient) -> None:
    for namespace in LEVELS:
        resources = create_pod(api, namespace, pod("modest")).spec.containers[0].resources
        assert resources.requests == {"cpu": "100m", "memory": "256Mi"}
        assert resources.limits == {"cpu": "500m", "memory": "512Mi"}


@pytest.mark.row("SEC-07")
def test_a_container_beyond_the_maximum_is_refused(api: kubernetes.ApiClient) -> None:
    for resources, message in (
        ({"cpu": "4001m", "memory": "1Gi"}, "maximum cpu usage per Container is 4"),
        ({"cpu": "1", "memory": "9Gi"}, "maximum memory usage per Container is 8Gi"),
    ):
        body = pod("large", resources={"requests": {"cpu": "1m", "memory": "1Mi"}, "limits": resources})
        assert message in refusal_of(api, "platform-apps", body)


def quota_counts(api: kubernetes.ApiClient, namespace: str) -> None:
    """Wait for the quota's controller: until it has counted once, the server lets everything in."""
    core = kubernetes.CoreV1Api(api)

    def counted() -> bool:
        quota = core.read_namespaced_resource_quota("namespace-quota", namespace)
        return bool(quota.status.hard == quota.spec.hard and quota.status.used)

    eventually(counted, f"the quota of {namespace} counts")


@pytest.mark.row("AUT-08")
@pytest.mark.row("SEC-07")
def test_a_pod_beyond_the_quota_is_refused(api: kubernetes.ApiClient) -> None:
    resources = {"cpu": "4", "memory": "1Mi"}
    container = pod("greedy", resources={"requests": resources, "limits": resources})["spec"]["containers"][0]
    body = pod("greedy")
    body["spec"]["containers"] = [{**container, "name": f"part-{number}"} for number in range(16)]
    for namespace in LEVELS:
        quota_counts(api, namespace)
        assert "exceeded quota: namespace-quota" in refusal_of(api, namespace, body)


@pytest.mark.row("AUT-08")
@pytest.mark.row("NET-25")
@pytest.mark.row("SEC-03")
@pytest.mark.row("SEC-23")
def test_a_namespace_of_ones_own_is_one_entry_of_data(apply: Apply, api: kubernetes.ApiClient) -> None:
    assert apply(**OWN_DATA).total("changed") == 1
    core, networking = kubernetes.CoreV1Api(api), kubernetes.NetworkingV1Api(api)
    hard = core.read_namespaced_resource_quota("namespace-quota", OWN).spec.hard
    assert hard["pods"] == "2"
    assert hard["requests.cpu"] == "4"
    assert "services.nodeports" not in hard
    policies = {policy.metadata.name: policy.spec for policy in networking.list_namespaced_network_policy(OWN).items}
    assert {"default-deny", "allow-dns", "webhooks"} < set(policies)
    assert len(policies) == 3 + len(ADDON_RULES)
    (opening,) = policies["webhooks"].ingress
    assert [(port.protocol, port.port, port.end_port) for port in opening.ports] == [
        ("TCP", 9443, None),
        ("UDP", 8000, 8100),
    ]
    assert kubernetes.StorageV1Api(api).read_storage_class("baseline-fast").parameters == {"nodePath": "/var/fast"}

    quota_counts(api, OWN)
    agent = pod("agent", securityContext={"privileged": True})
    agent["spec"] |= {"hostPID": True, "volumes": [{"name": "host", "hostPath": {"path": "/"}}]}
    created = create_pod(api, OWN, agent)
    assert created.spec.containers[0].resources.limits == {"cpu": "1", "memory": "512Mi"}
    assert has_token(created)
    create_pod(api, OWN, pod("second"))
    assert "exceeded quota" in refusal_of(api, OWN, pod("third"))


def has_token(created: Any) -> bool:
    return any(volume.name.startswith("kube-api-access") for volume in created.spec.volumes or ())


@pytest.mark.row("SEC-03")
def test_a_pod_that_does_not_ask_gets_no_token(api: kubernetes.ApiClient) -> None:
    assert not has_token(create_pod(api, "platform-apps", pod("quiet")))


def test_what_leaves_the_data_is_removed_but_namespaces_and_what_others_made(
    apply: Apply, api: kubernetes.ApiClient
) -> None:
    networking = kubernetes.NetworkingV1Api(api)
    theirs = {"metadata": {"name": "theirs"}, "spec": {"podSelector": {}, "policyTypes": ["Ingress"]}}
    networking.create_namespaced_network_policy(OWN, theirs)
    result = apply("--diff", cluster_baseline_priority_classes={})
    assert result.total("changed") == 1, result.output
    left = made(api)
    assert not [name for name in left if "PriorityClass" in name or "StorageClass" in name]
    assert [name for name in left if OWN in name] == [f"V1Namespace /{OWN}"]
    assert [policy.metadata.name for policy in networking.list_namespaced_network_policy(OWN).items] == ["theirs"]
    assert f"NetworkPolicy {OWN}/webhooks (delete)" in result.output


def test_what_was_changed_by_hand_is_repaired_and_what_others_added_stays(
    apply: Apply, api: kubernetes.ApiClient
) -> None:
    core = kubernetes.CoreV1Api(api)
    labels = {"pod-security.kubernetes.io/enforce": "privileged", "team": "apps"}
    core.patch_namespace("platform-apps", {"metadata": {"labels": labels}})
    core.patch_namespaced_resource_quota("namespace-quota", "platform-apps", {"spec": {"hard": {"pods": "9999"}}})
    result = apply("--diff", cluster_baseline_priority_classes={})
    assert result.total("changed") == 1
    assert all(text in result.output for text in ("(update)", "9999", "privileged"))
    assert "team" not in result.output
    repaired = core.read_namespace("platform-apps").metadata.labels
    assert (repaired["pod-security.kubernetes.io/enforce"], repaired["team"]) == ("restricted", "apps")
    quota = core.read_namespaced_resource_quota("namespace-quota", "platform-apps")
    assert quota.spec.hard["pods"] == "500"


@contextlib.contextmanager
def refusing_webhook(api: kubernetes.ApiClient) -> Iterator[None]:
    """A webhook on quotas that nobody answers, so that the API server refuses."""
    admission = kubernetes.AdmissionregistrationV1Api(api)
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["resourcequotas"]}
    webhook = {
        "name": "baseline.example.org",
        "clientConfig": {"url": f"https://127.0.0.1:{free_port()}/"},
        "rules": [rule],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "platform-data"}},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    admission.create_validating_webhook_configuration({"metadata": {"name": "baseline"}, "webhooks": [webhook]})
    try:
        yield
    finally:
        admission.delete_validating_webhook_configuration("baseline")


@contextlib.contextmanager
def stuck_namespace(api: kubernetes.ApiClient) -> Iterator[None]:
    """The own namespace in deletion, held by a finalizer."""
    core = kubernetes.CoreV1Api(api)
    core.patch_namespace(OWN, {"metadata": {"finalizers": ["example.org/held"]}})
    core.delete_namespace(OWN)
    try:
        yield
    finally:
        core.patch_namespace(OWN, {"metadata": {"finalizers": None}})


def test_a_refusing_webhook_and_a_stuck_namespace_are_named_and_the_next_run_converges(
    apply: Apply, api: kubernetes.ApiClient
) -> None:
    variables = {"cluster_baseline_namespaces": {OWN: {}}, "cluster_baseline_quota": {"pods": "11"}}
    with refusing_webhook(api), stuck_namespace(api):
        refused = apply(**variables)
    assert refused.returncode != 0
    assert "Traceback" not in refused.output
    assert f"Namespace {OWN}" in refused.output
    assert "baseline.example.org" in refused.output
    core = kubernetes.CoreV1Api(api)
    assert core.read_namespaced_resource_quota("namespace-quota", ARGOCD).spec.hard["pods"] == "100"
    eventually(lambda: OWN not in {item.metadata.name for item in core.list_namespace().items}, f"{OWN} is gone")
    converged = apply(**variables)
    assert converged.returncode == 0, converged.output
    assert converged.total("changed") == 1


@pytest.mark.parametrize(
    ("environment", "differences"),
    [
        ("production_doks", ("25060", "NetworkPolicy platform-data/service-postgresql (delete)")),
        ("production_talos", ()),
    ],
)
def test_the_data_of_an_environment_is_accepted(
    ansible: AnsibleRunner, cluster: Settings, environment: str, differences: tuple[str, ...]
) -> None:
    connection = {"dcm_kubeconfig": cluster["kubeconfig"], "dcm_kubernetes_context": cluster["context"]}
    inventory = ROOT / "inventories" / environment
    result = ansible.playbook(
        ROOT / "playbooks/baseline.yml", "-i", str(inventory), "--check", "--diff", "-e", json.dumps(connection)
    )
    assert result.returncode == 0, result.output
    assert all(text in result.output for text in differences), result.output
    assert differences or "service-" not in result.output, "the graph of all environments is the one applied before"


@pytest.mark.skipif("DCM_LAB_KUBECONFIG" in os.environ, reason="the lab was given one cluster")
def test_two_clusters_in_one_run(ansible: AnsibleRunner, cluster: Settings, second: Settings) -> None:
    clusters = {"doks": cluster, "talos": second}
    play = {
        "hosts": "all",
        "gather_facts": False,
        "vars": {
            **DATA,
            "clusters": clusters,
            "dcm_kubeconfig": "{{ clusters[inventory_hostname].kubeconfig }}",
            "dcm_kubernetes_context": "{{ clusters[inventory_hostname].context }}",
        },
        "roles": ["dcm.platform.cluster_baseline"],
    }
    run = functools.partial(ansible.playbook, [play], "-i", "doks,talos,", "-c", "local")
    first = run()
    assert first.returncode == 0, first.output
    clients = {
        name: kubernetes.CoreV1Api(config.new_client_from_config(one["kubeconfig"], context=one["context"]))
        for name, one in clusters.items()
    }
    for core in clients.values():
        assert {*LEVELS} < {item.metadata.name for item in core.list_namespace(**OWNED).items}
    clients["talos"].patch_namespaced_resource_quota(
        "namespace-quota", "platform-apps", {"spec": {"hard": {"pods": "9999"}}}
    )
    again = run()
    assert {name: host["changed"] for name, host in again.recap.items()} == {"doks": 0, "talos": 1}, again.output


def test_an_unreachable_server_is_named(ansible: AnsibleRunner, apply: Apply) -> None:
    address = f"https://127.0.0.1:{free_port()}"
    content = (
        f'{{"clusters": [{{"name": "c", "cluster": {{"server": "{address}"}}}}], "users": [], "current-context": "c", '
        '"contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}]}'
    )
    kubeconfig = ansible.private_file("kubeconfig-of-nobody", content)
    result = apply(dcm_kubeconfig=str(kubeconfig), dcm_kubernetes_context="")
    assert result.returncode != 0
    assert f"Kubernetes API at {address} is not reachable: Connection refused." in result.output
    assert "Traceback" not in result.output


def test_a_level_that_does_not_exist_is_refused_at_the_door(apply: Apply) -> None:
    result = apply("--check", cluster_baseline_pod_security={"enforce": "strict"})
    assert result.returncode != 0
    assert "value of enforce must be one of: privileged, baseline, restricted, got: strict" in result.output

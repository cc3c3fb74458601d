# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The role ``cluster_baseline`` on the real API server: what it makes, and what the cluster then really refuses.

The tests build on each other in the order of the file: there is nothing at first.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kubernetes import client as kubernetes
from kubernetes import config
from kubernetes.client.exceptions import ApiException

from tests.ansible_runner import AnsibleRunner, PlaybookResult
from tests.conftest import LabFixture
from tests.sandbox.service import Settings, free_port
from tests.waiting import eventually

LEVELS = {
    "platform-system": "restricted",
    "platform-apps": "restricted",
    "platform-data": "baseline",
    "platform-monitoring": "restricted",
}
OWN = "baseline-own"  # a namespace that only the tests' data names
SMALL_QUOTA = {"pods": "1", "services.nodeports": None}
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
    """An independent client; the namespaces are gone before and after these tests."""
    client = config.new_client_from_config(cluster["kubeconfig"], context=cluster["context"])
    remove_namespaces(kubernetes.CoreV1Api(client))
    yield client
    remove_namespaces(kubernetes.CoreV1Api(client))


def remove_namespaces(core: kubernetes.CoreV1Api) -> None:
    def gone() -> bool:
        left = {item.metadata.name for item in core.list_namespace().items} & {*LEVELS, OWN}
        for name in left:
            try:
                core.delete_namespace(name)
            except ApiException as error:
                if error.status not in (404, 409):
                    raise
        return not left

    eventually(gone, "the namespaces are gone", within=90)


@pytest.fixture
def apply(ansible: AnsibleRunner, cluster: Settings) -> Apply:
    """``apply("--check", cluster_baseline_dns=…)`` runs the role."""

    def call(*arguments: str, **variables: Any) -> PlaybookResult:
        connection = {"dcm_kubeconfig": cluster["kubeconfig"], "dcm_kubernetes_context": cluster["context"]}
        play = {
            "hosts": "localhost",
            "gather_facts": False,
            "vars": {**connection, **variables},
            "roles": ["dcm.platform.cluster_baseline"],
        }
        return ansible.playbook([play], "-i", "localhost,", "-c", "local", *arguments)

    return call


def namespaced(api: kubernetes.ApiClient) -> dict[str, Any]:
    """Every object of the kinds that the role makes, as the API server has them."""
    core, networking = kubernetes.CoreV1Api(api), kubernetes.NetworkingV1Api(api)
    items = [
        *core.list_namespace().items,
        *core.list_resource_quota_for_all_namespaces().items,
        *core.list_limit_range_for_all_namespaces().items,
        *networking.list_network_policy_for_all_namespaces().items,
    ]
    return {
        f"{type(item).__name__} {item.metadata.namespace or ''}/{item.metadata.name}": item.metadata.resource_version
        for item in items
    }


def pod(name: str, **container: Any) -> dict[str, Any]:
    """A pod that the level ``restricted`` allows, unless ``container`` says otherwise."""
    content = {"name": "main", "image": "example.org/main:1", "securityContext": RESTRICTED, **container}
    return {"metadata": {"name": name}, "spec": {"containers": [content], "automountServiceAccountToken": False}}


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
    before = namespaced(api)
    result = apply("--check", "--diff")
    assert result.returncode == 0, result.output
    assert result.total("changed") == 2
    for name in LEVELS:
        for what in ("ResourceQuota {}/namespace-quota", "LimitRange {}/container-defaults"):
            assert f"{what.format(name)} will be created" in result.output
        for policy in ("default-deny", "allow-dns"):
            assert f"NetworkPolicy {name}/{policy} will be created" in result.output
    assert namespaced(api) == before


@pytest.mark.row("APP-04")
@pytest.mark.row("SEC-04")
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
    made = namespaced(api)
    for arguments in ((), ("--check", "--diff")):
        again = apply(*arguments)
        assert again.returncode == 0, again.output
        assert again.total("changed") == 0, again.output
    assert namespaced(api) == made


@pytest.mark.row("NET-25")
@pytest.mark.row("X-15")
def test_every_namespace_denies_everything_but_dns(api: kubernetes.ApiClient) -> None:
    for name in LEVELS:
        policies = kubernetes.NetworkingV1Api(api).list_namespaced_network_policy(name).items
        by_name = {policy.metadata.name: policy.spec for policy in policies}
        assert set(by_name) == {"default-deny", "allow-dns"}
        deny, dns = by_name["default-deny"], by_name["allow-dns"]
        assert (deny.pod_selector.match_labels, deny.policy_types) == (None, ["Ingress", "Egress"])
        assert (deny.ingress, deny.egress) == (None, None)
        assert (dns.pod_selector.match_labels, dns.policy_types, dns.ingress) == (None, ["Egress"], None)
        (rule,) = dns.egress
        (peer,) = rule.to
        assert peer.namespace_selector.match_labels == {"kubernetes.io/metadata.name": "kube-system"}
        assert peer.pod_selector.match_labels == {"k8s-app": "kube-dns"}
        assert sorted((port.protocol, port.port) for port in rule.ports) == [("TCP", 53), ("UDP", 53)]


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


@pytest.mark.row("AUT-08")
def test_a_pod_beyond_the_quota_is_refused(api: kubernetes.ApiClient) -> None:
    greedy = {"cpu": "1000", "memory": "1Mi"}
    for namespace in LEVELS:
        message = refusal_of(api, namespace, pod("greedy", resources={"requests": greedy, "limits": greedy}))
        assert "exceeded quota: namespace-quota" in message


@pytest.mark.row("AUT-08")
def test_a_namespace_of_ones_own_is_one_entry_of_data(apply: Apply, api: kubernetes.ApiClient) -> None:
    own = {OWN: {"pod_security": {"enforce": "privileged"}, "quota": SMALL_QUOTA, "limits": {"limits": {"cpu": "1"}}}}
    assert apply(cluster_baseline_namespaces=own).total("changed") == 1
    core = kubernetes.CoreV1Api(api)
    hard = core.read_namespaced_resource_quota("namespace-quota", OWN).spec.hard
    assert hard["pods"] == "1"
    assert hard["requests.cpu"] == "4"
    assert "services.nodeports" not in hard
    created = create_pod(api, OWN, pod("first", securityContext={"privileged": True}))
    assert created.spec.containers[0].resources.limits == {"cpu": "1", "memory": "512Mi"}
    assert "exceeded quota" in refusal_of(api, OWN, pod("second"))
    assert apply(cluster_baseline_namespaces=own).total("changed") == 0


def test_what_was_changed_by_hand_is_repaired_and_what_others_added_stays(
    apply: Apply, api: kubernetes.ApiClient
) -> None:
    core = kubernetes.CoreV1Api(api)
    labels = {"pod-security.kubernetes.io/enforce": "privileged", "team": "apps"}
    core.patch_namespace("platform-apps", {"metadata": {"labels": labels}})
    core.patch_namespaced_resource_quota("namespace-quota", "platform-apps", {"spec": {"hard": {"pods": "9000"}}})
    assert apply("--check").total("changed") == 1
    assert core.read_namespace("platform-apps").metadata.labels["pod-security.kubernetes.io/enforce"] == "privileged"
    assert apply().total("changed") == 1
    repaired = core.read_namespace("platform-apps").metadata.labels
    assert (repaired["pod-security.kubernetes.io/enforce"], repaired["team"]) == ("restricted", "apps")
    quota = core.read_namespaced_resource_quota("namespace-quota", "platform-apps")
    assert quota.spec.hard["pods"] == "500"
    assert apply().total("changed") == 0


def test_an_unreachable_server_is_named(ansible: AnsibleRunner, apply: Apply) -> None:
    address = f"https://127.0.0.1:{free_port()}"
    content = (
        f'{{"clusters": [{{"name": "c", "cluster": {{"server": "{address}"}}}}], "users": [], "current-context": "c", '
        '"contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}]}'
    )
    kubeconfig = ansible.private_file("kubeconfig-of-nobody", content)
    for arguments in ((), ("--check",)):
        result = apply(*arguments, dcm_kubeconfig=str(kubeconfig), dcm_kubernetes_context="")
        assert result.returncode != 0
        assert f"Kubernetes API at {address} is not reachable: Connection refused." in result.output
        assert "Traceback" not in result.output


def test_a_level_that_does_not_exist_is_refused_at_the_door(apply: Apply) -> None:
    result = apply("--check", cluster_baseline_pod_security={"enforce": "strict"})
    assert result.returncode != 0
    assert "value of enforce must be one of: privileged, baseline, restricted, got: strict" in result.output

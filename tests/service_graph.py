# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The call graph of the platform (APP-03) as the documents have it, and who is there to try it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import yaml

from tests.policy_evaluator import Endpoint, reaches, selects
from tests.staging import ROOT

Connection = tuple[str, str, int, str]  # source, target, port, protocol


ROLE = yaml.safe_load((ROOT / "roles/cluster_baseline/defaults/main.yml").read_text())

# The role's own, with what its templates say on a cluster like the platform's.
PEERS = {
    **ROLE["cluster_baseline_platform_peers"],
    "dns": [{"namespace": "kube-system", "pods": {"k8s-app": "kube-dns"}}],
    "nodes": [{"cidr": "192.168.10.0/24"}],
    "api_server": [{"cidr": "192.168.10.0/24"}],
}

SERVICES = ("api-gateway", "discord-bot", "task", "auth", "permission", "notification", "frontend")
NAMESPACES = ("platform-apps", "platform-data", "platform-monitoring", "platform-system")
PORTS = (
    (53, "UDP"),
    (53, "TCP"),
    (443, "TCP"),
    (5432, "TCP"),
    (6379, "TCP"),
    (8080, "TCP"),
    (9090, "TCP"),
)

POSTGRESQL, REDIS, PUBLIC = ("spilo", "pooler"), ("redis",), ("discord", "elsewhere")
CALLS: Mapping[str, tuple[tuple[tuple[str, ...], int], ...]] = {
    "ingress": ((("api-gateway",), 8080),),
    "api-gateway": ((("discord-bot", "task", "auth", "permission", "notification", "frontend"), 8080),),
    "task": ((POSTGRESQL, 5432), (REDIS, 6379)),
    "auth": ((POSTGRESQL, 5432), (REDIS, 6379)),
    "permission": ((POSTGRESQL, 5432),),
    "notification": ((POSTGRESQL, 5432),),
    "discord-bot": ((PUBLIC, 443),),  # Discord says no addresses of its own, so its peer is the internet
    "prometheus": ((SERVICES, 9090),),
}


def _pods() -> Iterator[Endpoint]:
    labels = [
        *(("platform-apps", name, {"app.kubernetes.io/name": name}) for name in SERVICES),
        ("platform-apps", "stranger", {"app.kubernetes.io/name": "stranger"}),
        ("platform-data", "spilo", {"application": "spilo", "cluster-name": "dcm-pg"}),
        ("platform-data", "pooler", {"application": "db-connection-pooler", "cluster-name": "dcm-pg"}),
        ("platform-data", "redis", {"redis_setup_type": "cluster", "role": "leader"}),
        ("platform-data", "kafka", {"app.kubernetes.io/name": "kafka"}),
        ("platform-monitoring", "prometheus", {"app.kubernetes.io/name": "prometheus"}),
        ("platform-monitoring", "grafana", {"app.kubernetes.io/name": "grafana"}),
        ("platform-system", "ingress", {"app.kubernetes.io/name": "nginx-ingress"}),
        ("platform-system", "cert-manager", {"app.kubernetes.io/name": "cert-manager"}),
        ("kube-system", "dns", {"k8s-app": "kube-dns"}),
        ("kube-system", "proxy", {"k8s-app": "kube-proxy"}),
    ]
    for number, (namespace, name, own) in enumerate(labels, start=1):
        yield Endpoint(name, f"10.244.0.{number}", namespace, own, {"kubernetes.io/metadata.name": namespace})


ENDPOINTS = (
    *_pods(),
    Endpoint("discord", "162.159.128.233"),
    Endpoint("elsewhere", "8.8.8.8"),
    Endpoint("machine", "192.168.10.11"),
    Endpoint("metadata", "169.254.169.254"),
)
GOVERNED = tuple(endpoint for endpoint in ENDPOINTS if endpoint.namespace in NAMESPACES)


def allowed() -> set[Connection]:
    """Every connection that the documents allow, with DNS for all."""
    calls = {
        (source, target, port, "TCP")
        for source, called in CALLS.items()
        for targets, port in called
        for target in targets
    }
    return calls | {(pod.name, "dns", 53, protocol) for pod in GOVERNED for protocol in ("TCP", "UDP")}


def reachable(policies: Iterable[Mapping[str, Any]]) -> set[Connection]:
    """Every connection that the policies allow, among those with an end in a namespace of the platform."""
    policies = list(policies)
    of = {endpoint: [policy for policy in policies if selects(policy, endpoint)] for endpoint in ENDPOINTS}
    pairs = [pair for pair in itertools.permutations(ENDPOINTS, 2) if {*pair} & {*GOVERNED}]
    return {
        (source.name, target.name, port, protocol)
        for source, target in pairs
        for port, protocol in PORTS
        if reaches([*of[source], *of[target]], source, target, port, protocol)
    }

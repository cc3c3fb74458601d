# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Network rules in few words, and what they mean."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.cluster_baseline.network import network_policy
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError

PEERS = {
    "dns": [{"namespace": "kube-system", "pods": {"k8s-app": "kube-dns"}}],
    "nodes": [{"cidr": ["10.0.0.0/8", "192.168.0.0/16"]}],
    "nobody": [],
}
DNS = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
    "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
}


@pytest.mark.parametrize(
    ("peers", "expected"),
    [
        (["dns"], [DNS]),
        ("dns", [DNS]),
        (["nodes"], [{"ipBlock": {"cidr": "10.0.0.0/8"}}, {"ipBlock": {"cidr": "192.168.0.0/16"}}]),
        (
            [{"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}, "dns"],
            [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}, DNS],
        ),
        (
            [{"namespace": "a"}],
            [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "a"}}}],
        ),
        ([{"pods": {"app": "x"}}], [{"podSelector": {"matchLabels": {"app": "x"}}}]),
        ([{"pods": {}}], [{"podSelector": {}}]),
    ],
)
def test_peers(peers: Any, expected: list[Any]) -> None:
    rule = {"name": "r", "egress": [{"to": peers, "ports": [80]}], "ingress": [{"from": peers}]}
    spec = network_policy("n", rule, PEERS)["spec"]
    assert spec["egress"] == [{"to": expected, "ports": [{"protocol": "TCP", "port": 80}]}]
    assert spec["ingress"] == [{"from": expected}]
    assert (spec["policyTypes"], spec["podSelector"]) == (["Ingress", "Egress"], {})


@pytest.mark.parametrize("others", [[], ["dns"]])
def test_everywhere_names_no_peer(others: list[str]) -> None:
    rule = {"name": "r", "pods": {"app": "x"}, "ingress": [{"from": ["everywhere", *others], "ports": [80]}]}
    spec = network_policy("n", rule, PEERS)["spec"]
    assert spec == {
        "podSelector": {"matchLabels": {"app": "x"}},
        "policyTypes": ["Ingress"],
        "ingress": [{"ports": [{"protocol": "TCP", "port": 80}]}],
    }


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        (5432, {"protocol": "TCP", "port": 5432}),
        ("5432", {"protocol": "TCP", "port": 5432}),
        ("53/udp", {"protocol": "UDP", "port": 53}),
        ("8000-8100/tcp", {"protocol": "TCP", "port": 8000, "endPort": 8100}),
        ("1-65535/sctp", {"protocol": "SCTP", "port": 1, "endPort": 65535}),
    ],
)
def test_ports(port: Any, expected: dict[str, Any]) -> None:
    policy = network_policy("n", {"name": "r", "egress": [{"to": ["dns"], "ports": [port]}]}, PEERS)
    assert policy["spec"]["egress"][0]["ports"] == [expected]


@pytest.mark.parametrize("port", [0, 65536, -1, True, None, 1.5, "http", "53/icmp", "8100-8000", "80 ", "\uff11"])
def test_what_is_no_port(port: Any) -> None:
    with pytest.raises(InputError, match=r"^n: the network rule r, egress, names the port .+\. Ports are like 5432"):
        network_policy("n", {"name": "r", "egress": [{"to": ["dns"], "ports": [port]}]}, PEERS)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"name": "r"}, "n: the network rule r is not complete. It needs a name, and ingress or egress."),
        ({"ingress": [{"from": ["dns"]}]}, "n: the network rule without a name is not complete."),
        ({"name": "r", "ingres": []}, "n: the network rule r names an unknown key: ingres."),
        ({"name": "r", "ingress": [{"to": ["dns"]}]}, "n: the network rule r, ingress, names an unknown key: to."),
        ({"name": "r", "ingress": ["dns"]}, "n: the network rule r, ingress, is no dictionary."),
        (
            {"name": "r", "ingress": [{"from": []}]},
            "n: the network rule r, ingress, names nobody in 'from'. For all there are say everywhere.",
        ),
        (
            {"name": "r", "ingress": [{"from": ["dsn"]}]},
            "n: the network rule r, ingress, names an unknown peer: dsn. Known: dns, nodes, nobody, everywhere.",
        ),
        (
            {"name": "r", "ingress": [{"from": ["nobody"]}]},
            "n: the network rule r, ingress, names the peer nobody, which is empty.",
        ),
        ({"name": "r", "ingress": [{"from": [{}]}]}, "n: the network rule r, ingress, names a peer that is none: {}."),
        (
            {"name": "r", "ingress": [{"from": [{"cidr": "10.0.0.0/8", "pods": {}}]}]},
            "n: the network rule r, ingress, names an unknown key of a peer: pods. Known: cidr, except.",
        ),
    ],
)
def test_a_rule_that_makes_no_sense(rule: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as raised:
        network_policy("n", rule, PEERS)
    assert str(raised.value).startswith(message)

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The evaluator of network policies against the sentences of Kubernetes' reference, so that others may believe it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.policy_evaluator import Endpoint, reaches

Spec = dict[str, Any]

WEB = Endpoint("web", "10.0.0.1", "a", {"app": "web"}, {"team": "one"}, {"http": 8080})
DATABASE = Endpoint("database", "10.0.0.2", "b", {"app": "database"}, {"team": "two"}, {"sql": 5432})
OTHER = Endpoint("other", "10.0.0.3", "b", {}, {"team": "two"})
OUTSIDE = Endpoint("outside", "192.0.2.7")


def policy(namespace: str, spec: Spec) -> dict[str, Any]:
    return {"metadata": {"name": "p", "namespace": namespace}, "spec": {"podSelector": {}, **spec}}


def incoming(*peers: Spec, ports: list[Spec] | None = None, **spec: Any) -> dict[str, Any]:
    """A policy of the database's namespace that lets ``peers`` in."""
    rule = {"from": list(peers), **({"ports": ports} if ports else {})}
    return policy("b", {"policyTypes": ["Ingress"], "ingress": [rule], **spec})


def outgoing(*peers: Spec, **spec: Any) -> dict[str, Any]:
    """A policy of the web's namespace that lets its pods out to ``peers``."""
    return policy("a", {"policyTypes": ["Egress"], "egress": [{"to": list(peers)}], **spec})


DENY_IN = policy("b", {"policyTypes": ["Ingress"]})
DENY_OUT = policy("a", {"policyTypes": ["Egress"]})
TEAM_ONE = {"namespaceSelector": {"matchLabels": {"team": "one"}}}
TEAM_TWO = {"namespaceSelector": {"matchLabels": {"team": "two"}}}
WEB_PODS = {"podSelector": {"matchLabels": {"app": "web"}}}


def expression(operator: str, key: str, *values: str) -> Spec:
    given = {"values": list(values)} if values else {}
    return {"namespaceSelector": {"matchExpressions": [{"key": key, "operator": operator, **given}]}}


@pytest.mark.parametrize(
    ("policies", "expected"),
    [
        ([], True),
        ([DENY_IN], False),
        ([DENY_OUT], False),
        ([policy("c", {"policyTypes": ["Ingress", "Egress"]})], True),
        ([policy("b", {"policyTypes": ["Egress"]})], True),
        ([policy("b", {"podSelector": {"matchLabels": {"app": "other"}}, "policyTypes": ["Ingress"]})], True),
        ([policy("b", {})], False),
        ([policy("a", {})], True),
        ([policy("a", {"egress": [{"to": [TEAM_ONE]}]})], False),
        ([DENY_IN, incoming(TEAM_ONE)], True),
        ([DENY_IN, incoming(TEAM_TWO)], False),
        ([DENY_OUT, DENY_IN, incoming(TEAM_ONE)], False),
        ([DENY_OUT, outgoing(TEAM_TWO), DENY_IN], False),
        ([DENY_OUT, outgoing(TEAM_TWO), DENY_IN, incoming(TEAM_ONE)], True),
        ([incoming(TEAM_TWO), incoming(TEAM_ONE)], True),
        ([incoming()], True),
        ([incoming(WEB_PODS)], False),
        ([incoming({**TEAM_ONE, **WEB_PODS})], True),
        ([incoming({**TEAM_TWO, **WEB_PODS})], False),
        ([incoming(TEAM_TWO, WEB_PODS)], False),
        ([incoming({"namespaceSelector": {}})], True),
        ([incoming({"podSelector": {}})], False),
        ([incoming({"ipBlock": {"cidr": "10.0.0.0/24"}})], True),
        ([incoming({"ipBlock": {"cidr": "10.0.0.0/24", "except": ["10.0.0.1/32"]}})], False),
        ([incoming({"ipBlock": {"cidr": "192.0.2.0/24"}})], False),
        ([incoming(expression("In", "team", "one", "three"))], True),
        ([incoming(expression("In", "team", "three"))], False),
        ([incoming(expression("NotIn", "team", "two"))], True),
        ([incoming(expression("NotIn", "team", "one"))], False),
        ([incoming(expression("Exists", "team"))], True),
        ([incoming(expression("Exists", "tier"))], False),
        ([incoming(expression("DoesNotExist", "tier"))], True),
        ([incoming(expression("DoesNotExist", "team"))], False),
        ([incoming(ports=[{"port": 5432}])], True),
        ([incoming(ports=[{"port": 5433}])], False),
        ([incoming(ports=[{"protocol": "UDP", "port": 5432}])], False),
        ([incoming(ports=[{"protocol": "TCP"}])], True),
        ([incoming(ports=[{"port": 5000, "endPort": 5432}])], True),
        ([incoming(ports=[{"port": 5000, "endPort": 5431}])], False),
        ([incoming(ports=[{"port": "sql"}])], True),
        ([incoming(ports=[{"port": "http"}])], False),
        ([incoming(TEAM_TWO, ports=[{"port": 5432}]), incoming(TEAM_ONE, ports=[{"port": 1}])], False),
    ],
)
def test_from_the_web_to_the_database(policies: list[dict[str, Any]], expected: bool) -> None:
    assert reaches(policies, WEB, DATABASE, 5432) is expected


def test_pods_of_one_namespace() -> None:
    only_web = incoming(WEB_PODS)
    assert not reaches([only_web], OTHER, DATABASE, 5432)
    assert reaches([incoming({"podSelector": {}})], OTHER, DATABASE, 5432)


def test_what_is_no_pod() -> None:
    assert reaches([DENY_IN], WEB, OUTSIDE, 443)
    assert not reaches([DENY_OUT], WEB, OUTSIDE, 443)
    assert not reaches([outgoing({"namespaceSelector": {}})], WEB, OUTSIDE, 443)
    assert reaches([outgoing({"ipBlock": {"cidr": "192.0.2.0/24"}})], WEB, OUTSIDE, 443)
    assert not reaches([incoming({"namespaceSelector": {}})], OUTSIDE, DATABASE, 5432)


def test_a_direction_that_no_policy_is_about_stays_open() -> None:
    assert reaches([DENY_IN], DATABASE, WEB, 8080)
    assert reaches([DENY_OUT], DATABASE, WEB, 8080)

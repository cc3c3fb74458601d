# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The policies of the platform's own call graph, tried by the evaluator: what is allowed, and that nothing else is."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from ansible_collections.dcm.platform.plugins.module_utils.addons.render import namespaces as addon_namespaces
from ansible_collections.dcm.platform.plugins.module_utils.cluster_baseline.entries import Table
from ansible_collections.dcm.platform.plugins.module_utils.cluster_baseline.namespaces import (
    Defaults,
    merged,
    namespace_objects,
)
from ansible_collections.dcm.platform.plugins.module_utils.cluster_baseline.service_graph import (
    HOME,
    NAME_LABEL,
    service_graph_namespaces,
)
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from hypothesis import given
from hypothesis import strategies as st

from tests.addon_table import entries
from tests.policy_evaluator import Endpoint, reaches
from tests.service_graph import GOVERNED, NAMESPACES, PEERS, POSTGRESQL, REDIS, SERVICES, Connection, allowed, reachable
from tests.staging import ROOT

GRAPH = yaml.safe_load((ROOT / "inventories/service_graph.yml").read_text())["dcm_service_graph"]
DEFAULTS = Defaults(pod_security={}, quota={}, limits={}, quotas={}, dns_port=53)


def policies(graph: dict[str, Any], *others: Table) -> list[dict[str, Any]]:
    tables: list[Table] = [{name: {} for name in NAMESPACES}, service_graph_namespaces(graph, PEERS, NAMESPACES)]
    namespaces = merged([*tables, *others]).items()
    objects = [item for name, entry in namespaces for item in namespace_objects(name, entry, DEFAULTS, PEERS)]
    return [item for item in objects if item["kind"] == "NetworkPolicy"]


POLICIES = policies(GRAPH)
NOBODY = {"ipBlock": {"cidr": "203.0.113.0/24"}}


def less(policy: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """The policy with one thing less, each in turn: the whole, or a peer or port that becomes one that is nobody's."""
    yield "all of it", None
    nobody = {"from": NOBODY, "to": NOBODY, "ports": {"protocol": "TCP", "port": 1}}
    for key, side in (("ingress", "from"), ("egress", "to")):
        for number, rule in enumerate(policy["spec"].get(key, ())):
            for part in (side, "ports"):
                for index in range(len(rule[part])):
                    changed = copy.deepcopy(policy)
                    changed["spec"][key][number][part][index] = nobody[part]
                    yield f"{key} {number}, {part} {index}", changed


def one_way(policy: dict[str, Any], direction: str) -> dict[str, Any]:
    """What the policy says of one direction."""
    types = [direction] if direction in policy["spec"]["policyTypes"] else []
    spec = {**policy["spec"], "policyTypes": types or ["None"]}
    return {**policy, "spec": spec}


@pytest.mark.row("APP-03")
@pytest.mark.row("NET-26")
@pytest.mark.row("NET-27")
@pytest.mark.row("DATA-26")
@pytest.mark.row("SEC-06")
def test_what_the_call_graph_says_is_allowed_and_nothing_else() -> None:
    assert reachable(POLICIES) == allowed()


def test_no_add_on_gives_a_service_or_a_caller_of_a_store_more() -> None:
    def concerned(calls: set[Connection]) -> set[Connection]:
        return {call for call in calls if call[0] in SERVICES or call[1] in (*SERVICES, *POSTGRESQL, *REDIS)}

    with_addons = policies(GRAPH, addon_namespaces(entries()))
    assert len(with_addons) > len(POLICIES)
    assert concerned(reachable(with_addons)) == concerned(allowed())


@pytest.mark.parametrize(("direction", "end"), [("Ingress", 1), ("Egress", 0)])
def test_each_end_alone_allows_no_more_than_that(direction: str, end: int) -> None:
    governed = {endpoint.name for endpoint in GOVERNED}
    found = {call for call in reachable(one_way(policy, direction) for policy in POLICIES) if call[end] in governed}
    assert found == {call for call in allowed() if call[end] in governed}


@pytest.mark.parametrize("policy", POLICIES, ids=lambda p: f"{p['metadata']['namespace']}-{p['metadata']['name']}")
def test_nothing_in_a_policy_can_be_left_out(policy: dict[str, Any]) -> None:
    others = [other for other in POLICIES if other is not policy]
    expected = allowed()
    for what, changed in less(policy):
        assert reachable([*others, *([changed] if changed else [])]) != expected, what


def test_a_call_that_leaves_the_graph_is_no_longer_allowed() -> None:
    graph = {**GRAPH, "auth": {**GRAPH["auth"], "calls": ["postgresql"]}}
    assert allowed() - reachable(policies(graph)) == {("auth", "redis", 6379, "TCP")}
    assert reachable(policies(graph)) < allowed()


def test_a_store_outside_the_cluster() -> None:
    graph = {**GRAPH, "postgresql": {"at": {"cidr": "192.168.10.0/24"}, "ports": [25060]}}
    rules = service_graph_namespaces(graph, PEERS, NAMESPACES)
    assert not any(rule["name"].startswith("service-postgresql") for rule in rules["platform-data"]["allow"])
    (permission,) = (rule for rule in rules["platform-apps"]["allow"] if rule["name"] == "service-permission")
    assert permission["egress"] == [{"to": [{"cidr": "192.168.10.0/24"}], "ports": [25060]}]


def test_a_named_peer_where_nothing_is_denied_needs_no_rule_of_its_own() -> None:
    peers = {**PEERS, "ingress_controller": [{"namespace": "their-ingress"}]}
    table = service_graph_namespaces(GRAPH, peers, NAMESPACES)
    assert set(table) == {"platform-apps", "platform-data", "platform-monitoring"}


@given(
    st.dictionaries(st.sampled_from("abcd"), st.sets(st.sampled_from("abcd")), min_size=1).map(
        lambda calls: {name: sorted(called & {*calls} - {name}) for name, called in calls.items()}
    )
)
def test_any_graph_is_what_its_policies_allow(calls: dict[str, list[str]]) -> None:
    graph = {name: {"ports": [8080], "calls": called} for name, called in calls.items()}
    own = policies(graph)
    pods = [
        Endpoint(name, "10.0.0.1", HOME, {NAME_LABEL: name}, {"kubernetes.io/metadata.name": HOME}) for name in "abcd"
    ]
    found = {(a.name, b.name) for a, b in itertools.permutations(pods, 2) if reaches(own, a, b, 8080)}
    assert found == {(caller, callee) for caller, called in calls.items() for callee in called}


def test_no_graph_means_no_rules() -> None:
    assert service_graph_namespaces({}, PEERS, NAMESPACES) == {}


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (
            {"a": {"calls": ["b"]}, "c": {}},
            "dcm_service_graph.a.calls names an unknown service: b. Known: a, c.",
        ),
        (
            {"a": {"calls": ["b"]}, "b": None},
            "dcm_service_graph.a calls b, which names no ports. Say in dcm_service_graph.b.ports where it listens.",
        ),
        (
            {"a": {"port": 1}},
            "dcm_service_graph.a names an unknown key: port. Known: at, calls, metrics, ports.",
        ),
        (
            {"a": {"calls": ["b"]}, "b": {"at": {"namespace": "nowhere"}, "ports": [1]}},
            "dcm_service_graph.b.at: the namespace nowhere is not in the data of the cluster.",
        ),
        (
            {"a": {"calls": ["b"]}, "b": {"at": "the-moon", "ports": [1]}},
            "dcm_service_graph.b.at names an unknown peer: the-moon.",
        ),
    ],
)
def test_a_graph_that_makes_no_sense(graph: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as raised:
        service_graph_namespaces(graph, PEERS, NAMESPACES)
    assert str(raised.value).startswith(message)

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who reaches whom under NetworkPolicies, after Kubernetes' own reference and nothing that is in this collection.

A pod that no policy selects for a direction is open in it; one that some select has what any of them allows. A
connection needs the leave of both its ends; what is no pod has no policies.
"""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Policy = Mapping[str, Any]

_address, _network = functools.cache(ipaddress.ip_address), functools.cache(ipaddress.ip_network)


@dataclass(frozen=True)
class Endpoint:
    """A pod with its labels, its namespace's labels and its named ports; or, without a namespace, just an address."""

    name: str
    address: str
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    namespace_labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    port_names: Mapping[str, int] = field(default_factory=dict, hash=False)


def reaches(policies: Iterable[Policy], source: Endpoint, target: Endpoint, port: int, protocol: str = "TCP") -> bool:
    """Whether ``source`` may open a connection to ``port`` of ``target``."""
    policies = list(policies)
    return _lets(policies, "Egress", source, target, target, port, protocol) and _lets(
        policies, "Ingress", target, source, target, port, protocol
    )


def _lets(
    policies: list[Policy],
    direction: str,
    governed: Endpoint,
    other: Endpoint,
    target: Endpoint,
    port: int,
    protocol: str,
) -> bool:
    if not governed.namespace:
        return True
    concerned = [policy for policy in policies if selects(policy, governed) and direction in _types(policy["spec"])]
    if not concerned:
        return True
    key, side = ("egress", "to") if direction == "Egress" else ("ingress", "from")
    return any(
        _any_peer(rule.get(side), other, policy["metadata"]["namespace"])
        and _any_port(rule.get("ports"), target, port, protocol)
        for policy in concerned
        for rule in policy["spec"].get(key) or ()
    )


def selects(policy: Policy, pod: Endpoint) -> bool:
    """Whether the policy is about the pod."""
    same = policy["metadata"]["namespace"] == pod.namespace
    return same and _matches(policy["spec"].get("podSelector") or {}, pod.labels)


def _types(spec: Mapping[str, Any]) -> list[str]:
    if spec.get("policyTypes"):
        return list(spec["policyTypes"])
    return ["Ingress", *(["Egress"] if spec.get("egress") else [])]


def _any_peer(peers: list[Mapping[str, Any]] | None, other: Endpoint, home: str) -> bool:
    return not peers or any(_is_peer(peer, other, home) for peer in peers)


def _is_peer(peer: Mapping[str, Any], other: Endpoint, home: str) -> bool:
    if "ipBlock" in peer:
        address = _address(other.address)
        blocks = [peer["ipBlock"]["cidr"], *(peer["ipBlock"].get("except") or ())]
        inside = [address in _network(block) for block in blocks]
        return inside[0] and not any(inside[1:])
    if not other.namespace:
        return False
    if "namespaceSelector" in peer:
        if not _matches(peer["namespaceSelector"] or {}, other.namespace_labels):
            return False
    elif other.namespace != home:
        return False
    return _matches(peer.get("podSelector") or {}, other.labels)


def _any_port(ports: list[Mapping[str, Any]] | None, target: Endpoint, port: int, protocol: str) -> bool:
    return not ports or any(_is_port(entry, target, port, protocol) for entry in ports)


def _is_port(entry: Mapping[str, Any], target: Endpoint, port: int, protocol: str) -> bool:
    if entry.get("protocol", "TCP") != protocol:
        return False
    first = entry.get("port")
    if first is None:
        return True
    if isinstance(first, str):
        return target.port_names.get(first) == port
    return bool(first <= port <= entry.get("endPort", first))


def _matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    pairs = all(labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items())
    return pairs and all(_holds(expression, labels) for expression in selector.get("matchExpressions") or ())


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values") or ()
    return {
        "In": value is not None and value in values,
        "NotIn": value not in values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }[expression["operator"]]

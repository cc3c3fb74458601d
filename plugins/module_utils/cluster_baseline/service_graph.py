# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who calls whom, as network rules at both ends of every call."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.cluster_baseline.entries import Object, as_list, check_keys
from ansible_collections.dcm.platform.plugins.module_utils.cluster_baseline.network import (
    Peers,
    plain_peers,
)
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError

HOME = "platform-apps"  # of a service that does not say where it is
NAME_LABEL = "app.kubernetes.io/name"
SCRAPER = "prometheus"  # the named peer that reads metrics


@dataclass
class Node:
    """A service, a store, or whoever else calls or is called; ``at``: one or several peers."""

    name: str
    at: list[Any]
    ports: list[Any] = field(default_factory=list)
    metrics: list[Any] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Call:
    """One side may open connections to the other's ports."""

    caller: Node
    callee: Node
    ports: Sequence[Any]


def service_graph_namespaces(
    graph: Mapping[str, Any], peers: Peers, namespaces: Collection[str]
) -> dict[str, dict[str, list[Object]]]:
    """The rules of a service graph as a table of namespaces, each with ``allow``.

    A rule goes to every end of a call that is pods in one of ``namespaces``; elsewhere nothing is denied. Raises
    :class:`InputError` for calls of what is not in the graph or has no ports, and for services in other namespaces.
    """
    nodes = {name: _node(name, entry) for name, entry in graph.items()}
    calls = list(_calls(nodes))
    everybody = {node.name: node for call in calls for node in (call.caller, call.callee)}
    table: dict[str, dict[str, list[Object]]] = {}
    for node in everybody.values():
        for number, (namespace, pods) in enumerate(_ends(node, peers, namespaces), start=1):
            name = f"service-{node.name}" + (f"-{number}" if number > 1 else "")
            rule = {"name": name, "pods": pods, **_openings(node, calls)}
            table.setdefault(namespace, {"allow": []})["allow"].append(rule)
    return table


def _node(name: str, entry: Mapping[str, Any] | None) -> Node:
    given = entry or {}
    check_keys(f"dcm_service_graph.{name}", given, ("at", "calls", "metrics", "ports"))
    home = {"namespace": HOME, "pods": {NAME_LABEL: name}}
    lists = {key: as_list(given.get(key)) for key in ("ports", "metrics", "calls")}
    return Node(name, as_list(given.get("at") or home), **lists)


def _calls(nodes: Mapping[str, Node]) -> Iterator[Call]:
    for caller in nodes.values():
        for name in caller.calls:
            check_keys(f"dcm_service_graph.{caller.name}.calls", {name: None}, nodes, what="service")
            if not nodes[name].ports:
                raise InputError(
                    f"dcm_service_graph.{caller.name} calls {name}, which names no ports.",
                    hint=f"Say in dcm_service_graph.{name}.ports where it listens.",
                )
            yield Call(caller, nodes[name], nodes[name].ports)
    scraper = nodes.get(SCRAPER) or Node(SCRAPER, [SCRAPER])
    for node in nodes.values():
        if node.metrics:
            yield Call(scraper, node, node.metrics)


def _ends(node: Node, peers: Peers, namespaces: Collection[str]) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Where the node's pods are, as far as rules are needed there."""
    where = f"dcm_service_graph.{node.name}.at"
    for given in node.at:
        for peer in plain_peers(where, given, peers):
            if "cidr" in peer:
                continue
            namespace = peer.get("namespace")
            if namespace in namespaces:
                yield str(namespace), peer.get("pods") or {}
            elif not isinstance(given, str):
                raise InputError(f"{where}: the namespace {namespace} is not in the data of the cluster.")


def _openings(node: Node, calls: Sequence[Call]) -> Object:
    """``ingress`` and ``egress`` of a node, one opening for all that have the same ports."""
    taken: dict[tuple[Any, ...], Object] = {}
    made: dict[tuple[Any, ...], Object] = {}
    for call in calls:
        if call.callee is node:
            opening = taken.setdefault(tuple(call.ports), {"from": [], "ports": list(call.ports)})
            opening["from"] += call.caller.at
        if call.caller is node:
            opening = made.setdefault(tuple(call.ports), {"to": [], "ports": list(call.ports)})
            opening["to"] += call.callee.at
    return {
        **({"ingress": list(taken.values())} if taken else {}),
        **({"egress": list(made.values())} if made else {}),
    }

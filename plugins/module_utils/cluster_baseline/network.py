# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Network rules in few words, and the NetworkPolicies that they mean."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.cluster_baseline.entries import (
    Object,
    as_list,
    check_keys,
    manifest,
)
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError

Peers = Mapping[str, Any]

EVERYWHERE = "everywhere"  # the one peer whose meaning is no data: a list that came out empty must not open all doors
NAMESPACE_LABEL = "kubernetes.io/metadata.name"
LARGEST_PORT = 65535
_PORT = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/(tcp|udp|sctp))?")
_DIRECTIONS = (("Ingress", "ingress", "from"), ("Egress", "egress", "to"))


def network_policy(namespace: str, rule: Mapping[str, Any], peers: Peers) -> Object:
    """The NetworkPolicy of one rule: ``name``, ``pods`` (labels; default: all), ``ingress`` and ``egress``.

    ``peers`` says what the named ones are. Raises :class:`InputError` that names the rule.
    """
    where = f"{namespace}: the network rule {rule.get('name') or 'without a name'}"
    check_keys(where, rule, ("name", "pods", "ingress", "egress"))
    given = [direction for direction in _DIRECTIONS if rule.get(direction[1])]
    if not rule.get("name") or not given:
        raise InputError(f"{where} is not complete.", hint="It needs a name, and ingress or egress.")
    directions = {
        key: [_opening(f"{where}, {key},", opening, side, peers) for opening in rule[key]] for _type, key, side in given
    }
    spec = {"podSelector": _labels(rule.get("pods")), "policyTypes": [kind for kind, _key, _side in given]}
    return policy(namespace, rule["name"], {**spec, **directions})


def policy(namespace: str, name: str, spec: Mapping[str, Any]) -> Object:
    """A NetworkPolicy."""
    return manifest("networking.k8s.io/v1", "NetworkPolicy", name, namespace, spec=dict(spec))


def plain_peers(where: str, given: Any, peers: Peers) -> Iterator[Mapping[str, Any]]:
    """The peers behind a name, or behind peers that are described where they are used; ``everywhere`` is none of them.

    Raises :class:`InputError` for a name that nobody knows and for what is no peer.
    """
    for one in as_list(given):
        if one == EVERYWHERE:
            continue
        if isinstance(one, str):
            check_keys(where, {one: None}, [*peers, EVERYWHERE], what="peer")
            described = as_list(peers[one])
            if not described:
                raise InputError(f"{where} names the peer {one}, which is empty.", hint="Say what it is.")
        else:
            described = [one]
        for peer in described:
            if not isinstance(peer, Mapping) or not peer:
                raise InputError(f"{where} names a peer that is none: {peer!r}.")
            check_keys(
                where, peer, ("cidr", "except") if "cidr" in peer else ("namespace", "pods"), what="key of a peer"
            )
            yield peer


def _opening(where: str, opening: Mapping[str, Any], side: str, peers: Peers) -> Object:
    check_keys(where, opening, (side, "ports"))
    given = as_list(opening.get(side))
    if not given:
        raise InputError(f"{where} names nobody in '{side}'.", hint=f"For all there are say {EVERYWHERE}.")
    described = [selector for peer in plain_peers(where, given, peers) for selector in _selectors(peer)]
    ports = [_port(where, port) for port in as_list(opening.get("ports"))]
    return {
        **({} if EVERYWHERE in given else {side: described}),
        **({"ports": ports} if ports else {}),
    }


def _selectors(peer: Mapping[str, Any]) -> Iterator[Object]:
    for cidr in as_list(peer.get("cidr")):
        yield {"ipBlock": {"cidr": cidr, **({"except": list(peer["except"])} if peer.get("except") else {})}}
    if "cidr" in peer:
        return
    selector = {}
    if peer.get("namespace"):
        selector["namespaceSelector"] = _labels({NAMESPACE_LABEL: peer["namespace"]})
    if peer.get("pods") or not selector:
        selector["podSelector"] = _labels(peer.get("pods"))
    yield selector


def _labels(labels: Mapping[str, str] | None) -> Object:
    return {"matchLabels": dict(labels)} if labels else {}


def _port(where: str, value: Any) -> Object:
    """``5432``, ``"53/udp"`` or ``"8000-8100/tcp"``."""
    found = _PORT.fullmatch(str(value)) if isinstance(value, (int, str)) and not isinstance(value, bool) else None
    first, last, protocol = found.groups() if found else ("0", None, None)
    if not 1 <= int(first) <= int(last or first) <= LARGEST_PORT:
        raise InputError(f"{where} names the port {value!r}.", hint='Ports are like 5432, "53/udp" or "8000-8100/tcp".')
    port: Object = {"protocol": (protocol or "tcp").upper(), "port": int(first)}
    return {**port, "endPort": int(last)} if last else port

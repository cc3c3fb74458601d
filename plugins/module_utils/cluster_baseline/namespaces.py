# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tables of namespaces, merged, and what governs each namespace."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.cluster_baseline.entries import (
    Object,
    Table,
    as_list,
    check_keys,
    manifest,
    present,
)
from ansible_collections.dcm.platform.plugins.module_utils.cluster_baseline.network import (
    Peers,
    network_policy,
    policy,
)
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError

# These belong to Kubernetes itself: what denies everything there takes the cluster down.
LEFT_ALONE = frozenset({"default", "kube-node-lease", "kube-public", "kube-system"})

KEYS = ("allow", "automount_token", "limits", "pod_security", "quota", "reason")
MODES = ("enforce", "audit", "warn")
LIMITS = {"requests": "defaultRequest", "limits": "default", "maximum": "max"}
DENY = "default-deny"
DNS = "allow-dns"


@dataclass(frozen=True)
class Defaults:
    """What a namespace gets that names nothing else: Pod Security levels by mode, a quota and limits of containers.

    ``quotas`` are those of single namespaces, over ``quota``; ``dns_port`` is where the peer ``dns`` answers.
    """

    pod_security: Mapping[str, str]
    quota: Mapping[str, Any]
    limits: Mapping[str, Mapping[str, Any]]
    quotas: Mapping[str, Mapping[str, Any]]
    dns_port: int


def merged(tables: Iterable[Table]) -> dict[str, Object]:
    """One table of several: later ones win key by key, and add their network rules to those of the earlier ones.

    Of rules of one name the last one counts. Namespaces of Kubernetes itself are left out. Raises :class:`InputError`
    for keys that nobody reads.
    """
    namespaces: dict[str, Object] = {}
    for table in tables:
        for name, entry in table.items():
            if name not in LEFT_ALONE:
                check_keys(f"The namespace {name}", entry or {}, KEYS)
                namespaces[name] = _over(name, namespaces.get(name, {}), entry or {})
    return namespaces


def _over(name: str, earlier: Mapping[str, Any], later: Mapping[str, Any]) -> Object:
    result = {**earlier, **{key: value for key, value in later.items() if key not in ("allow", "limits")}}
    for key in ("pod_security", "quota"):
        result[key] = {**(earlier.get(key) or {}), **(later.get(key) or {})}
    result["limits"] = _limits(earlier.get("limits") or {}, later.get("limits") or {})
    result["allow"] = list({**_rules(name, earlier), **_rules(name, later)}.values())
    return result


def _rules(name: str, entry: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """By name. Raises :class:`InputError` for two of one name, of which one would be lost."""
    rules: dict[str, Mapping[str, Any]] = {}
    for rule in as_list(entry.get("allow")):
        if not isinstance(rule, Mapping):
            raise InputError(f"{name}: a network rule is no dictionary, but {rule!r}.")
        if rule.get("name") in rules:
            raise InputError(f"{name}: two network rules are called {rule.get('name')}.")
        rules[str(rule.get("name"))] = rule
    return rules


def _limits(*levels: Mapping[str, Mapping[str, Any]]) -> dict[str, Object]:
    result: dict[str, Object] = {}
    for level in levels:
        for key, values in level.items():
            result[key] = {**result.get(key, {}), **(values or {})}
    return result


def namespace_objects(name: str, entry: Mapping[str, Any], defaults: Defaults, peers: Peers) -> Iterator[Object]:
    """A namespace and all that governs it. Raises :class:`InputError` for an entry that makes no sense."""
    yield _namespace(name, entry, defaults)
    quota = {**defaults.quota, **defaults.quotas.get(name, {}), **(entry.get("quota") or {})}
    yield manifest("v1", "ResourceQuota", "namespace-quota", name, spec={"hard": present(quota)})
    yield _limit_range(name, entry, defaults)
    automount = bool(entry.get("automount_token"))
    yield manifest("v1", "ServiceAccount", "default", name, automountServiceAccountToken=automount)
    yield policy(name, DENY, {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})
    dns = {"name": DNS, "egress": [{"to": ["dns"], "ports": [f"{defaults.dns_port}/udp", defaults.dns_port]}]}
    yield network_policy(name, dns, peers)
    for rule in entry.get("allow") or ():
        if rule.get("name") in (DENY, DNS):
            raise InputError(f"{name}: a network rule may not be called {rule['name']}: every namespace has one.")
        yield network_policy(name, rule, peers)


def _namespace(name: str, entry: Mapping[str, Any], defaults: Defaults) -> Object:
    where = f"The namespace {name}"
    levels = {**defaults.pod_security, **(entry.get("pod_security") or {})}
    check_keys(where, levels, MODES, what="mode of Pod Security")
    if levels.get("enforce") == "privileged" and not entry.get("reason"):
        raise InputError(f"{where} is to be privileged for no reason.", hint="Say in 'reason' what cannot do without.")
    created = manifest("v1", "Namespace", name, annotations={"dcm.io/pod-security-reason": entry.get("reason") or ""})
    created["metadata"]["labels"] |= {f"pod-security.kubernetes.io/{mode}": level for mode, level in levels.items()}
    return created


def _limit_range(name: str, entry: Mapping[str, Any], defaults: Defaults) -> Object:
    limits = _limits(defaults.limits, entry.get("limits") or {})
    check_keys(f"The namespace {name}", limits, LIMITS, what="kind of limits")
    values = {LIMITS[key]: present(resources) for key, resources in limits.items()}
    return manifest("v1", "LimitRange", "container-defaults", name, spec={"limits": [{"type": "Container", **values}]})

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Rules between the values of one environment, which no single key can break alone. Pure functions on data."""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.guild import guild_id
from ansible_collections.dcm.platform.plugins.module_utils.inventory.specification import Problem

Values = Mapping[str, Any]
KUBERNETES_FLOOR = (1, 32)  # the add-ons' floor; the documents' own is 1.28


def networks(values: Values) -> Iterator[tuple[str, Any]]:
    """Every declared network as (key, CIDR)."""
    declared = values.get("dcm_networks")
    for name, entry in declared.items() if isinstance(declared, Mapping) else ():
        for index, cidr in enumerate(entry if isinstance(entry, (list, tuple)) else [entry]):
            yield f"dcm_networks.{name}" + (f"[{index}]" if isinstance(entry, (list, tuple)) else ""), cidr
    for variable in ("talos_cluster_pod_subnets", "talos_cluster_service_subnets"):
        entry = values.get(variable)
        for index, cidr in enumerate(entry if isinstance(entry, (list, tuple)) else ()):
            yield f"{variable}[{index}]", cidr


def cidr_overlaps(named: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The pairs of names whose networks share an address. Raises :class:`ValueError` for what is no network."""
    parsed = [(name, ipaddress.ip_network(cidr)) for name, cidr in named]
    return [
        (left, right)
        for (left, one), (right, other) in itertools.combinations(parsed, 2)
        if one.version == other.version and one.overlaps(other)
    ]


def check_networks(values: Values) -> Iterator[Problem]:
    """Each declared network is one, and none overlaps another."""
    valid = []
    for key, cidr in networks(values):
        try:
            ipaddress.ip_network(cidr)
        except ValueError as error:
            yield Problem(key, f"is no network: {error}")
        else:
            valid.append((key, str(cidr)))
    cidrs = dict(valid)
    for left, right in cidr_overlaps(valid):
        yield Problem(right, f"{cidrs[right]} overlaps {left} ({cidrs[left]})")


def check_guilds(values: Values) -> Iterator[Problem]:
    """Guild ids are what Discord gives out, and unique."""
    seen: dict[str, int] = {}
    guilds = values.get("dcm_guilds")
    for index, guild in enumerate(guilds if isinstance(guilds, (list, tuple)) else ()):
        if not isinstance(guild, Mapping) or "id" not in guild:
            continue
        try:
            identifier = guild_id(guild["id"])
        except InputError as error:
            yield Problem(f"dcm_guilds[{index}].id", str(error))
            continue
        if identifier in seen:
            yield Problem(f"dcm_guilds[{index}].id", f"{identifier} stands already in dcm_guilds[{seen[identifier]}]")
        seen.setdefault(identifier, index)


def check_guild_tiers(values: Values) -> Iterator[Problem]:
    """Every tier a guild names is described."""
    guilds, tiers = values.get("dcm_guilds"), values.get("dcm_guild_tiers")
    if not isinstance(guilds, (list, tuple)) or not isinstance(tiers, Mapping):
        return
    for index, guild in enumerate(guilds):
        tier = guild.get("tier") if isinstance(guild, Mapping) else None
        if tier is not None and tier not in tiers:
            yield Problem(f"dcm_guilds[{index}].tier", f"{tier} is not described in dcm_guild_tiers")


def check_kubernetes_version(values: Values) -> Iterator[Problem]:
    """The Kubernetes version is one the chosen add-ons run on."""
    version = values.get("dcm_kubernetes_version")
    if version is None:
        return
    try:
        parsed = tuple(int(part) for part in str(version).removeprefix("v").split(".")[:2])
    except ValueError:
        yield Problem("dcm_kubernetes_version", f"is no version: {version!r}")
        return
    if parsed < KUBERNETES_FLOOR:
        floor = ".".join(map(str, KUBERNETES_FLOOR))
        yield Problem("dcm_kubernetes_version", f"{version} is older than {floor}, the oldest the add-ons run on")


def check_network_plugin(values: Values) -> Iterator[Problem]:
    """What denies everything by default must not be only words: Talos' own Flannel heeds policies if it is told to."""
    flannel = values.get("talos_cluster_cni", "flannel") == "flannel"
    if flannel and values.get("talos_cluster_network_policies", True) is False:
        yield Problem(
            "talos_cluster_network_policies",
            "is false: Flannel would let everything through that the cluster's network policies deny; "
            "leave it true, or set talos_cluster_cni to none and install Cilium",
        )


def check_nodes(values: Values) -> Iterator[Problem]:
    """Node addresses are unique and, where ``dcm_networks.nodes`` is declared, inside it."""
    nodes = values.get("node_addresses") or {}
    owners: dict[str, str] = {}
    allowed = []
    for key, cidr in networks(values):
        if key.startswith("dcm_networks.nodes"):
            try:
                allowed.append(ipaddress.ip_network(cidr))
            except ValueError:
                continue
    for host, address in nodes.items():
        key = f"ansible_host of {host}"
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            continue  # a name: resolved when the node is dialled
        if str(parsed) in owners:
            yield Problem(key, f"{address} is the address of {owners[str(parsed)]}, too")
        owners.setdefault(str(parsed), host)
        if allowed and not any(parsed in network for network in allowed):
            yield Problem(key, f"{address} is outside dcm_networks.nodes ({', '.join(map(str, allowed))})")


RULES: tuple[Callable[[Values], Iterator[Problem]], ...] = (
    check_networks,
    check_guilds,
    check_guild_tiers,
    check_kubernetes_version,
    check_network_plugin,
    check_nodes,
)

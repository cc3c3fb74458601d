# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A node as the person knows it: its name, and where its API listens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError

API_PORT = 50000


@dataclass(frozen=True)
class Node:
    """``host`` is a name or an address, without brackets."""

    name: str
    host: str
    port: int = API_PORT

    @property
    def address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def service(self) -> str:
        """The API of this node, for messages."""
        return f"Talos API on {self.name}"


def parse_node(address: str, name: str | None = None) -> Node:
    """The node of ``host``, ``host:port``, ``[v6]:port`` or a URL; without a name it is called by its address.

    Raises :class:`InputError` for anything else.
    """
    bare_v6 = address.count(":") > 1 and "[" not in address and "//" not in address
    try:
        url = urlsplit(address if "//" in address else f"//[{address}]" if bare_v6 else f"//{address}")
        host, port = url.hostname, url.port
    except ValueError:
        host, port = None, None
    if not host or url.path.strip("/") or url.query or url.username is not None:
        raise InputError(f"{address!r} is not the address of a node: host, host:port or [IPv6]:port.")
    return Node(name or address, host, port or (443 if url.scheme == "https" else API_PORT))


def parse_nodes(option: str, addresses: Mapping[str, Any]) -> list[Node]:
    """The nodes of an option that maps names to addresses.

    Raises :class:`InputError` if it has two names for one address.
    """
    nodes = [parse_node(str(address), name) for name, address in addresses.items()]
    if len({node.address for node in nodes}) < len(nodes):
        raise InputError(f"{option} has two names for one address.")
    return nodes


def parse_control_planes(addresses: Mapping[str, Any]) -> list[Node]:
    """All control planes of a cluster, from a mapping of names to addresses.

    Raises :class:`InputError` if there are none, or two of one address.
    """
    if not addresses:
        raise InputError("control_planes is empty: name all control planes of the cluster.")
    return parse_nodes("control_planes", addresses)

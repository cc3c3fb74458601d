# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The documents of a machine configuration that look the same in every contract: names, addresses and time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.talos.documents import Document
from ansible_collections.dcm.platform.plugins.module_utils.talos.inputs import Inputs, Link


def document(kind: str, name: str = "", **fields: Any) -> Document:
    """A document of its own kind, beside the v1alpha1 document."""
    return {"apiVersion": "v1alpha1", "kind": kind, **({"name": name} if name else {}), **fields}


def hostname_document(inputs: Inputs) -> Document:
    """The host name that was asked for, else one that Talos makes up and keeps."""
    return document("HostnameConfig", **({"hostname": inputs.hostname} if inputs.hostname else {"auto": "stable"}))


def resolver(inputs: Inputs) -> dict[str, Any]:
    """The fields of a ResolverConfig; empty if none of them was asked for."""
    return {"nameservers": [{"address": address} for address in inputs.nameservers]} if inputs.nameservers else {}


def network_documents(inputs: Inputs) -> Iterator[Document]:
    """What was asked for of interfaces, the virtual address and time servers; nothing by default."""
    if inputs.time_servers:
        yield document("TimeSyncConfig", ntp={"servers": list(inputs.time_servers)})
    for link in inputs.links:
        yield _link(link)
        if link.dhcp:
            yield document("DHCPv4Config", link.name)
    if inputs.vip and inputs.is_control_plane:
        yield document("Layer2VIPConfig", inputs.vip, link=inputs.vip_link)


def _link(link: Link) -> Document:
    routes = [{"gateway": link.gateway}] if link.gateway else []
    routes += [{key: value for key, value in route.items() if value is not None} for route in link.routes]
    fields = {
        "mtu": link.mtu,
        "addresses": [{"address": address} for address in link.addresses],
        "routes": routes,
    }
    return document("LinkConfig", link.name, up=True, **{key: value for key, value in fields.items() if value})

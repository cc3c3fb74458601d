# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What many nodes say about themselves, asked all at once; one that does not answer takes nothing from the others."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ansible_collections.dcm.platform.plugins.module_utils.engine.concurrent import map_concurrently
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import NotFoundError, PlatformError
from ansible_collections.dcm.platform.plugins.module_utils.talos.client import Resource, TalosClient
from ansible_collections.dcm.platform.plugins.module_utils.talos.connection import Connector, Session
from ansible_collections.dcm.platform.plugins.module_utils.talos.node import Node
from ansible_collections.dcm.platform.plugins.module_utils.talos.sensitive import shown

WORKERS = 32  # nodes asked at once
DEFINITIONS = ("meta", "ResourceDefinitions.meta.cosi.dev")

R = TypeVar("R")


@dataclass(frozen=True)
class Answer:
    """What became of asking one node: what it told, or why it could not be asked."""

    node: Node
    value: Any = None
    error: PlatformError | None = None


def ask_all(nodes: Sequence[Node], ask: Callable[[Node], Any]) -> list[Answer]:
    """``ask`` every node at once; the answers come in the order of the nodes."""

    def answer(node: Node) -> Answer:
        try:
            return Answer(node, ask(node))
        except PlatformError as error:
            return Answer(node, error=error)

    return map_concurrently(answer, nodes, WORKERS)


def attempt(question: Callable[[], R], refused: dict[str, str], name: str) -> R | None:
    """The answer to one question; a node that refuses only this one tells the rest, and why is noted."""
    try:
        return question()
    except NotFoundError:
        return None
    except PlatformError as error:
        refused[name] = error.message
        return None


def _services(client: TalosClient) -> list[dict[str, Any]]:
    return [dataclasses.asdict(service) for service in client.services()]


def _members(client: TalosClient) -> list[dict[str, Any]]:
    members = client.resources("cluster", "Members.cluster.talos.dev").values()
    return [
        {
            "hostname": member.get("hostname"),
            "machine_type": member.get("machineType"),
            "operating_system": member.get("operatingSystem"),
            "addresses": member.get("addresses") or [],
        }
        for member in members
    ]


def addresses(client: TalosClient) -> list[str]:
    """The addresses of a node, with the lengths of their prefixes."""
    found = client.resources("network", "NodeAddresses.net.talos.dev").get("current") or {}
    return [str(address) for address in found.get("addresses") or ()]


def _extensions(client: TalosClient) -> list[dict[str, Any]]:
    found = client.resources("runtime", "ExtensionStatuses.runtime.talos.dev").values()
    metadata = [extension.get("metadata") or {} for extension in found]
    return [{"name": one.get("name"), "version": one.get("version")} for one in metadata]


SUBSETS: Mapping[str, Callable[[TalosClient], Any]] = {
    "version": TalosClient.build,
    "services": _services,
    "disks": TalosClient.disks,
    "members": _members,
    "addresses": addresses,
    "extensions": _extensions,
}


@dataclass(frozen=True)
class Query:
    """COSI resources to look for. ``type`` is a name or an alias; an empty ``namespace`` is the type's own, an empty
    ``id`` means all."""

    type: str
    namespace: str = ""
    id: str = ""


def inspect(
    nodes: Sequence[Node], connector: Connector, subsets: Sequence[str], queries: Sequence[Query]
) -> list[Answer]:
    """The named :data:`SUBSETS` and resources of every node; values are for a result, without secrets."""

    def ask(node: Node) -> dict[str, Any]:
        return connector.patiently(f"{node.service} to answer", lambda: look(node))

    def look(node: Node) -> dict[str, Any]:
        with connector.session(node) as session:
            return _inspected(session, subsets, queries)

    return ask_all(nodes, ask)


def _inspected(session: Session, subsets: Sequence[str], queries: Sequence[Query]) -> dict[str, Any]:
    refused: dict[str, str] = {}
    status, client = session.status, session.client
    found: dict[str, Any] = {
        "insecure": session.insecure,
        "stage": status.stage,
        "ready": status.ready,
        "unmet_conditions": list(status.unmet),
    }
    for name in subsets:
        found[name] = attempt(lambda name=name: SUBSETS[name](client), refused, name)  # type: ignore[misc]
    if queries:
        found["resources"] = attempt(lambda: _resources(client, queries, refused), refused, "resources") or []
    return {**found, "refused": refused}


def _resources(client: TalosClient, queries: Sequence[Query], refused: dict[str, str]) -> list[dict[str, Any]]:
    definitions = list(client.resources(*DEFINITIONS).values())
    found: list[dict[str, Any]] = []
    for query in queries:
        definition = definition_of(definitions, query.type)
        if definition is None:
            refused[query.type] = f"{client.node.name} knows no resources of type {query.type}."
            continue
        namespace = query.namespace or definition["defaultNamespace"]
        listed = attempt(
            lambda namespace=namespace, kind=definition["type"]: client.resource_list(namespace, kind),  # type: ignore[misc]
            refused,
            query.type,
        )
        hidden = definition.get("sensitivity") == "sensitive"
        found += [_tree(one, hidden=hidden) for one in listed or () if query.id in ("", one.id)]
    return found


def definition_of(definitions: Sequence[Mapping[str, Any]], name: str) -> Mapping[str, Any] | None:
    """The definition with this type or alias, in any case."""
    wanted = name.lower()
    for definition in definitions:
        names = (definition.get("type"), definition.get("displayType"), *(definition.get("aliases") or ()))
        if wanted in (str(one).lower() for one in names):
            return definition
    return None


def _tree(resource: Resource, *, hidden: bool) -> dict[str, Any]:
    """A resource for a result. Of a sensitive one only machine configurations are shown, which we know our way in."""
    tree = dataclasses.asdict(resource)
    readable = not hidden or resource.namespace == "config"
    return {**tree, "spec": shown(tree["spec"]) if readable else None}

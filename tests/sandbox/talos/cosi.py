# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The COSI state service: clients get, list and watch resources, and nobody writes them.

Machine configurations have their protobuf form too; clients read all other resources from YAML.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import yaml
from ansible_collections.dcm.platform.plugins.module_utils.talos.messages import message
from grpclib.const import Status

from tests.sandbox.talos.calls import Call, procedure, refuse
from tests.sandbox.talos.machine import Machine
from tests.sandbox.talos.machine_config import MachineConfig
from tests.sandbox.talos.resources import RESOURCE_TYPES, ResourceType

_STATE = "/cosi.resource.State"
_NAMESPACES = {kind.namespace for kind in RESOURCE_TYPES}
_BY_NAME = {kind.name.lower(): kind for kind in RESOURCE_TYPES}
_NOT_EXISTS = message("cosi.resource.LabelTerm").Operation.Value("NOT_EXISTS")


@dataclass
class Revision:
    """The version of a resource that a machine counts while it runs."""

    content: tuple[str, bytes]
    number: int
    created: datetime.datetime
    updated: datetime.datetime


def _resources(call: Call, request: Any) -> dict[str, Any]:
    """The resources of the requested type by id, after the checks that all three methods make."""
    machine = call.machine
    kind = _BY_NAME.get(request.type.lower())
    if request.namespace not in _NAMESPACES:
        raise refuse(Status.PERMISSION_DENIED, f'namespace "{request.namespace}" is not supported')
    if kind is None or machine.minor < kind.since:
        raise refuse(Status.PERMISSION_DENIED, f'resource type "{request.type}" is not supported')
    if kind.sensitive and not call.is_admin:
        raise refuse(Status.PERMISSION_DENIED, "not authorized")
    if request.namespace != kind.namespace or request.type != kind.name:
        return {}
    return {key: _resource(machine, kind, key, spec) for key, spec in kind.build(machine).items()}


def _resource(machine: Machine, kind: ResourceType, key: str, spec: Any) -> Any:
    content = _encode(machine, spec)
    now = datetime.datetime.now(datetime.UTC)
    revision = machine.revisions.get((kind.name, key))
    if revision is None:
        revision = Revision(content, 1, now, now)
    elif revision.content != content:
        revision = Revision(content, revision.number + 1, revision.created, now)
    machine.revisions[kind.name, key] = revision
    metadata = {
        "namespace": kind.namespace,
        "type": kind.name,
        "id": key,
        "version": str(revision.number),
        "phase": "running",
        "created": revision.created,
        "updated": revision.updated,
    }
    return message("cosi.resource.Resource")(
        metadata=metadata, spec={"yaml_spec": content[0], "proto_spec": content[1]}
    )


def _encode(machine: Machine, spec: Any) -> tuple[str, bytes]:
    if isinstance(spec, MachineConfig):
        encoded = message("resource.config.MachineConfigSpec")(yaml_marshalled=spec.raw).SerializeToString()
        text = spec.raw.decode()
        return (_yaml(text) if machine.minor >= 12 else text), encoded
    return _yaml(spec), b""


def _yaml(value: Any) -> str:
    if isinstance(value, str) and "\n" not in value:
        return f"{value}\n"
    style = "|" if isinstance(value, str) else None
    return yaml.safe_dump(value, indent=4, sort_keys=False, default_style=style)


@procedure(f"{_STATE}/Get")
async def get(call: Call) -> AsyncIterator[Any]:
    request = call.request
    resource = _resources(call, request).get(request.id)
    if resource is None:
        pointer = f"{request.type}({request.namespace}/{request.id}@undefined)"
        raise refuse(Status.NOT_FOUND, f"resource {pointer} doesn't exist")
    yield message("cosi.resource.GetResponse")(resource=resource)


@procedure(f"{_STATE}/List")
async def list_resources(call: Call) -> AsyncIterator[Any]:
    options = call.request.options
    for resource in _resources(call, call.request).values():
        if _selected(resource.metadata.id, options):
            yield message("cosi.resource.ListResponse")(resource=resource)


@procedure(f"{_STATE}/Watch")
async def watch(call: Call) -> AsyncIterator[Any]:
    """First an empty message, then what there is, then every change until the client or the machine goes away."""
    request, response = call.request, message("cosi.resource.WatchResponse")
    known = _watched(call)
    yield response()
    if request.HasField("id"):
        yield response(event=[_first_event(call, known)])
    elif request.options.bootstrap_contents:
        for resource in known.values():
            yield response(event=[{"event_type": "CREATED", "resource": resource}])
        yield response(event=[{"event_type": "BOOTSTRAPPED", "resource": {}}])
    while True:
        await call.machine.world.change()
        now = _watched(call)
        for event in _events(known, now):
            yield response(event=[event])
        known = now


def _watched(call: Call) -> dict[str, Any]:
    request = call.request
    return {
        key: resource
        for key, resource in _resources(call, request).items()
        if (key == request.id if request.HasField("id") else _selected(key, request.options))
    }


def _first_event(call: Call, known: dict[str, Any]) -> dict[str, Any]:
    if known:
        return {"event_type": "CREATED", "resource": known[call.request.id]}
    metadata = {"namespace": call.request.namespace, "type": call.request.type, "id": call.request.id}
    return {"event_type": "DESTROYED", "resource": {"metadata": metadata}}


def _events(before: dict[str, Any], after: dict[str, Any]) -> list[dict[str, Any]]:
    gone = [{"event_type": "DESTROYED", "resource": before[key]} for key in before if key not in after]
    new = [{"event_type": "CREATED", "resource": after[key]} for key in after if key not in before]
    changed = [
        {"event_type": "UPDATED", "resource": after[key], "old": before[key]}
        for key in after
        if key in before and after[key].metadata.version != before[key].metadata.version
    ]
    return gone + new + changed


def _selected(key: str, options: Any) -> bool:
    """Resources here have no labels, so only queries for their absence find any."""
    labels = not options.label_query or any(
        all((term.op == _NOT_EXISTS) != term.invert for term in query.terms) for query in options.label_query
    )
    return labels and re.search(options.id_query.regexp, key) is not None


async def _refuse_write(_unused: Call) -> AsyncIterator[Any]:
    nothing: tuple[Any, ...] = ()
    for reply in nothing:  # makes it a generator, as every procedure is
        yield reply
    raise refuse(Status.PERMISSION_DENIED, "write access is not allowed")


for _method in ("Create", "Update", "Destroy"):
    procedure(f"{_STATE}/{_method}")(_refuse_write)

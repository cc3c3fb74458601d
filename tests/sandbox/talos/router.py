# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From a request to its procedure: which machine it is for, whether its caller may, and what comes back."""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import AsyncIterator
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.talos.messages import METHODS, message
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from tests.sandbox.talos import (
    configuration,
    cosi,
    etcd_calls,
    health,
    information,
    lifecycle,
)
from tests.sandbox.talos.authorization import OLD_MAINTENANCE_METHODS, READER, may_call
from tests.sandbox.talos.calls import PROCEDURES, Call, refuse
from tests.sandbox.talos.listener import roles_of
from tests.sandbox.talos.machine import Machine

# Importing them registers their procedures.
PARTS = (configuration, cosi, etcd_calls, health, information, lifecycle)

_SERVICES_OF_13 = {"machine.ImageService", "machine.LifecycleService"}
# Services whose replies say which machine they come from, and so may come from many.
_ONE_TO_MANY = ("/machine.MachineService/", "/cluster.", "/inspect.", "/storage.", "/time.")


APPLY = "/machine.MachineService/ApplyConfiguration"
_LOSABLE = {
    APPLY,
    "/machine.LifecycleService/Upgrade",
    *(f"/machine.MachineService/{name}" for name in ("Reboot", "Reset", "Upgrade")),
}


async def serve(endpoint: Machine, path: str, stream: Any) -> None:
    """Answer one request that arrived at ``endpoint``."""
    roles = frozenset({READER}) if endpoint.in_maintenance else roles_of(stream)
    request = None if METHODS[path].client_streaming else await stream.recv_message()
    call = Call(endpoint, roles, request, stream)
    targets = _targets(endpoint, path, stream.metadata)
    if targets is None:
        replies = _execute(call, path)
    elif "nodes" in stream.metadata:
        replies = _collect(call, path, targets)
    else:
        replies = _execute_at(call, path, targets[0])
    async for reply in replies:
        if path in _LOSABLE and endpoint.faults.lost_replies:
            endpoint.faults.lost_replies -= 1
            endpoint.listener.drop_connections()
            return
        await stream.send_message(reply)


def _targets(endpoint: Machine, path: str, metadata: Any) -> list[str] | None:
    """Whom a request names; None when it is for the endpoint itself."""
    if endpoint.in_maintenance or "proxyfrom" in metadata:
        return None
    one, many = metadata.getall("node", []), metadata.getall("nodes", [])
    if len(one) > 1:
        raise refuse(Status.INVALID_ARGUMENT, "node metadata must be single-valued")
    if many and not path.startswith(_ONE_TO_MANY):
        raise refuse(Status.INVALID_ARGUMENT, f"one-2-many proxying is not supported for method {path}")
    targets = many or one
    if not endpoint.is_control_plane:
        if targets in ([], [endpoint.address]):
            return None
        raise refuse(Status.PERMISSION_DENIED, "no request forwarding")
    for target in targets:
        _require_target(target)
    return targets or None


def _require_target(target: str) -> None:
    """Targets are addresses or names, never with a port."""
    is_address = True
    try:
        ipaddress.ip_address(target)
    except ValueError:
        is_address = False
    if not target or (":" in target and not is_address):
        raise refuse(Status.INTERNAL, f'invalid target "{target}"')


async def _execute(call: Call, path: str) -> AsyncIterator[Any]:
    """Answer at the machine of the call."""
    machine = call.machine
    machine.requests[path] += 1
    service, _unused, method = path.lstrip("/").rpartition("/")
    if machine.in_maintenance and machine.minor <= 12 and path not in OLD_MAINTENANCE_METHODS:
        raise refuse(Status.UNIMPLEMENTED, "API is not implemented in maintenance mode")
    if service in _SERVICES_OF_13 and machine.minor < 13:
        raise refuse(Status.UNIMPLEMENTED, f"unknown service {service}")
    if path not in PROCEDURES:
        raise refuse(Status.UNIMPLEMENTED, f"unknown method {method} for service {service}")
    if not may_call(path, call.roles) and not (path == APPLY and machine.in_maintenance):
        raise refuse(Status.PERMISSION_DENIED, "not authorized")
    async for reply in PROCEDURES[path](call):
        yield reply


async def _execute_at(call: Call, path: str, target: str) -> AsyncIterator[Any]:
    """Answer at another machine, as far as the endpoint can get there with its own certificate."""
    endpoint = call.machine
    machine = endpoint.world.at(target)
    failed = "connection error: desc = "
    if machine is None or machine.faults.unreachable == "hang":
        raise refuse(Status.UNAVAILABLE, f'{failed}"transport: Error while dialing: dial tcp {target}: i/o timeout"')
    if not machine.in_maintenance and (not machine.reachable or not machine.api_open):
        text = f'{failed}"transport: Error while dialing: dial tcp {target}: connect: connection refused"'
        raise refuse(Status.UNAVAILABLE, text)
    if machine.in_maintenance or not _trust(endpoint, machine):
        text = f'{failed}"transport: authentication handshake failed: x509: certificate signed by unknown authority"'
        raise refuse(Status.UNAVAILABLE, text)
    async for reply in _execute(dataclasses.replace(call, machine=machine), path):
        yield reply


def _trust(one: Machine, other: Machine) -> bool:
    configs = one.config, other.config
    return all(configs) and len({config.os_authority.certificate for config in configs if config}) == 1


async def _collect(call: Call, path: str, targets: list[str]) -> AsyncIterator[Any]:
    """Answer at many machines: every reply says where it comes from, and errors are replies too."""
    reply_type, streaming = message(METHODS[path].reply), METHODS[path].server_streaming
    merged = reply_type()
    for target in targets:
        try:
            async for reply in _execute_at(call, path, target):
                for one in [reply] if streaming else reply.messages:
                    one.metadata.hostname = target
                if streaming:
                    yield reply
                merged.MergeFrom(reply)
        except GRPCError as error:
            failed = reply_type() if streaming else merged.messages.add()
            status = {"code": error.status.value, "message": error.message}
            failed.metadata.MergeFrom(
                message("common.Metadata")(
                    hostname=target,
                    error=f"rpc error: code = {_code_name(error.status)} desc = {error.message}",
                    status=status,
                )
            )
            if streaming:
                yield failed
    if not streaming:
        yield merged


def _code_name(status: Status) -> str:
    """As Go spells it."""
    return str(status.name).title().replace("_", "")

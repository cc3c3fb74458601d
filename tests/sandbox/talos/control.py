# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The door for tests: look at the machines from behind, and break them.

Each connection to ``control.sock`` sends one line of JSON and gets one back: ``{"result": ...}`` or ``{"error": ...}``.
:func:`ask` is the client. Commands::

    {"command": "status"}                                 all machines and etcd clusters
    {"command": "set", "machine": NAME, FAULT: VALUE}     any field of hardware.Faults
    {"command": "power_off" | "power_on" | "power_cycle" | "wipe", "machine": NAME}
    {"command": "forget_requests"}                        set all request counters to zero
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.sandbox.talos import pki
from tests.sandbox.talos.machine import Machine
from tests.sandbox.talos.world import World

SOCKET = "control.sock"


def ask(directory: Path, command: str, **arguments: Any) -> Any:
    """Send a command to the simulator of ``directory``; raises ``ValueError`` with its complaint."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(directory / SOCKET))
        connection.sendall(json.dumps({"command": command, **arguments}).encode() + b"\n")
        answer = json.loads(connection.makefile().readline())
    if "error" in answer:
        raise ValueError(answer["error"])
    return answer["result"]


async def listen(world: World) -> asyncio.AbstractServer:
    """Answer on the socket in the simulator's directory, which only its owner can enter."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            result = await _execute(world, json.loads(await reader.readline()))
            reply = {"result": result}
        except (ValueError, TypeError, KeyError) as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        writer.write(json.dumps(reply).encode() + b"\n")
        await writer.drain()
        writer.close()

    path = world.directory / SOCKET
    path.unlink(missing_ok=True)
    return await asyncio.start_unix_server(answer, path)


async def _execute(world: World, request: dict[str, Any]) -> Any:
    command = request.pop("command")
    if command == "status":
        return _status(world)
    if command == "forget_requests":
        for machine in world.machines.values():
            machine.requests.clear()
        return None
    machine = world.machines[request.pop("machine")]
    if command == "set":
        machine.faults = dataclasses.replace(machine.faults, **request)
        await machine.refresh_api()
        world.notify()
        return dataclasses.asdict(machine.faults)
    _POWER[command](machine)
    return None


def _power_cycle(machine: Machine) -> None:
    machine.power_off()
    machine.power_on()


_POWER: dict[str, Callable[[Machine], None]] = {
    "power_off": Machine.power_off,
    "power_on": Machine.power_on,
    "power_cycle": _power_cycle,
    "wipe": Machine.wipe,
}


def _status(world: World) -> dict[str, Any]:
    return {
        "machines": {machine.name: _machine_status(machine) for machine in world.machines.values()},
        "etcd": [
            {"id": cluster.id, "revision": cluster.revision, "members": [m.machine for m in cluster.members.values()]}
            for cluster in world.etcd_clusters.values()
        ],
    }


def _machine_status(machine: Machine) -> dict[str, Any]:
    return {
        "address": machine.address,
        "hostname": machine.hostname,
        "stage": machine.stage,
        "listening": machine.listener.is_open,
        "ready": machine.stage == "running" and not machine.unmet_conditions(),
        "version": machine.version,
        "boot_id": machine.boot_id,
        "installed": machine.disk.installed is not None,
        "etcd": machine.etcd_state,
        "fingerprint": pki.fingerprint(machine.maintenance.certificate) if machine.maintenance else None,
        "requests": dict(machine.requests),
    }

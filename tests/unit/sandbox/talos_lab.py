# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Simulated machines inside the test's own event loop, and a bare client that knows nothing of the collection's own."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.dcm.platform.plugins.module_utils.talos.messages import METHODS, message
from grpclib.client import Channel, StreamStreamMethod
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from tests.sandbox.talos import pki
from tests.sandbox.talos.addresses import free_network
from tests.sandbox.talos.machine import Machine
from tests.sandbox.talos.world import World

MACHINE = "/machine.MachineService"
STATE = "/cosi.resource.State"
DEADLINE = 10.0
QUICK = dict.fromkeys(("apply", "install", "reboot", "boot", "etcd", "shutdown"), 0.005)

Config = dict[str, Any]


def _encoded(authority: pki.Authority) -> dict[str, str]:
    certificate, key = (base64.b64encode(text.encode()).decode() for text in (authority.certificate, authority.key))
    return {"crt": certificate, "key": key}


class Cluster:
    """The secrets of one cluster, and the configurations of its machines."""

    def __init__(self, endpoint: str = "https://127.0.0.1:6443") -> None:
        self.endpoint = endpoint
        self.os, self.etcd, self.kubernetes = (pki.new_authority(name) for name in ("talos", "etcd", "kubernetes"))

    def config(self, kind: str = "controlplane", **machine: Any) -> Config:
        """A complete configuration; keywords are more keys of ``machine``."""

        def keyed(authority: pki.Authority) -> pki.Authority:
            return authority if kind == "controlplane" else authority.public

        cluster: Config = {
            "id": "cluster-id",
            "clusterName": "test",
            "controlPlane": {"endpoint": self.endpoint},
            "ca": _encoded(keyed(self.kubernetes)),
            "discovery": {"enabled": True},
        }
        if kind == "controlplane":
            cluster["etcd"] = {"ca": _encoded(self.etcd)}
        common = {"token": "abcdef.0123456789abcdef", "ca": _encoded(keyed(self.os)), "install": {"disk": "/dev/sda"}}
        return {"version": "v1alpha1", "machine": {"type": kind, **common, **machine}, "cluster": cluster}

    def credentials(self, *roles: str) -> pki.Identity:
        return pki.issue_client(self.os, roles or ["os:admin"], pki.ADMIN_LIFETIME)


def client_context(directory: Path, identity: pki.Identity | None, authority: str | None) -> ssl.SSLContext:
    """As ``talosctl`` connects; without an authority nothing is verified, as in maintenance."""
    context = ssl.create_default_context(cadata=authority)
    if authority is None:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    if identity is not None:
        file = directory / "client.pem"
        file.write_text(identity.certificate + identity.key.replace(pki.TALOS_KEY_LABEL, "PRIVATE KEY"))
        context.load_cert_chain(file)
    return context


@contextlib.asynccontextmanager
async def connected(address: str, port: int, context: ssl.SSLContext) -> AsyncIterator[Channel]:
    """One connection."""
    channel = Channel(address, port, ssl=context)
    try:
        yield channel
    finally:
        channel.close()


async def request(
    channel: Channel, path: str, fields: Config | None = None, metadata: Any = None, chunks: list[Any] | None = None
) -> list[Any]:
    """All replies to one request; ``chunks`` are the requests of a method that takes many."""
    types = METHODS.get(path)
    request_type = message(types.request if types else "google.protobuf.Empty")
    reply_type = message(types.reply if types else "google.protobuf.Empty")
    method = StreamStreamMethod(channel, path, request_type, reply_type)
    async with method.open(metadata=metadata, timeout=DEADLINE) as stream:
        requests = chunks if chunks is not None else [request_type(**(fields or {}))]
        for one in requests[:-1]:
            await stream.send_message(one)
        await stream.send_message(requests[-1], end=True)
        return [reply async for reply in stream]


class TalosLab:
    """A running world and a client for it."""

    def __init__(self, world: World, directory: Path) -> None:
        self.world = world
        self.directory = directory
        self.cluster = Cluster(f"https://{next(iter(world.machines.values())).address}:6443")
        self._admin = self.cluster.credentials()

    def __getitem__(self, name: str) -> Machine:
        return self.world.machines[name]

    async def call(
        self, name: str, path: str, identity: pki.Identity | None = None, /, metadata: Any = None, **fields: Any
    ) -> Any:
        """The last reply; as administrator, or in maintenance as nobody."""
        replies = await self.stream(name, path, identity, metadata=metadata, **fields)
        return replies[-1] if replies else None

    async def stream(
        self,
        name: str,
        path: str,
        identity: pki.Identity | None = None,
        /,
        metadata: Any = None,
        chunks: list[Any] | None = None,
        **fields: Any,
    ) -> list[Any]:
        """All replies."""
        machine = self[name]
        if machine.in_maintenance:
            context = client_context(self.directory, None, None)
        else:
            context = client_context(self.directory, identity or self._admin, self.cluster.os.certificate)
        async with connected(machine.address, self.world.platform.port, context) as channel:
            return await request(channel, path, fields, metadata, chunks)

    async def resource(self, name: str, namespace: str, kind: str, key: str) -> Any:
        """A resource's YAML."""
        reply = await self.call(name, f"{STATE}/Get", namespace=namespace, type=kind, id=key)
        return yaml.safe_load(reply.resource.spec.yaml_spec)

    async def apply(self, name: str, config: Config | bytes, mode: str = "AUTO", **fields: Any) -> Any:
        """The answer of ApplyConfiguration."""
        data = config if isinstance(config, bytes) else yaml.safe_dump(config).encode()
        reply = await self.call(name, f"{MACHINE}/ApplyConfiguration", data=data, mode=mode, **fields)
        return reply.messages[0]

    async def stage(self, name: str, stage: str) -> None:
        """Wait until a machine is at a stage."""
        await self.until(lambda: self[name].stage == stage)

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait for something to become true."""
        async with asyncio.timeout(DEADLINE):
            await self.world.until(condition)

    async def up(self, *names: str) -> None:
        """Configure machines; those whose names start with ``worker`` as workers, and bootstrap the first one."""
        for name in names:
            kind = "worker" if name.startswith("worker") else "controlplane"
            await self.apply(name, self.cluster.config(kind))
        await self.until(lambda: self[names[0]].bootstrap_allowed)
        await self.call(names[0], f"{MACHINE}/Bootstrap")
        for name in names:
            await self.stage(name, "running")


Scenario = Callable[[TalosLab], Awaitable[None]]


def play(directory: Path, scenario: Scenario, machines: str = "cp-1", **world: Any) -> None:
    """Run a scenario with the named machines, switched on; ``world`` are further keys of ``nodes.json``."""
    names = dict(enumerate(machines.split(), start=11))
    network = free_network(names)
    nodes = [{"name": name, "address": f"{network}.{host}"} for host, name in names.items()]
    nodes = [{**node, **world.get("hardware", {})} for node in nodes]
    settings = {key: value for key, value in world.items() if key != "hardware"}
    (directory / "nodes.json").write_text(json.dumps({"durations": QUICK, **settings, "nodes": nodes}))

    async def run() -> None:
        running = World(directory)
        running.start()
        try:
            async with asyncio.timeout(DEADLINE):
                await running.until(lambda: all(machine.settled for machine in running.machines.values()))
                await scenario(TalosLab(running, directory))
        finally:
            await running.stop()

    asyncio.run(run())


@contextlib.contextmanager
def refused(status: Status, text: str) -> Iterator[None]:
    """The body must end in this error, whose message contains ``text``."""
    try:
        yield
    except GRPCError as error:
        assert (error.status, text in (error.message or "")) == (status, True), error
    else:
        raise AssertionError(f"not refused with {status}: {text}")

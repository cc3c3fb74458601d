# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Simulated Talos machines, each on its own loopback address, as they wait in maintenance for a configuration."""

from __future__ import annotations

import functools
import json
import socket
import ssl
from collections.abc import Iterable
from pathlib import Path

from tests.sandbox.service import NotReady, Process, Service, Settings, write_private
from tests.sandbox.talos.addresses import PORT, free_network
from tests.sandbox.talos.control import ask

VERSION = "v1.13.9"


class TalosService(Service):
    """Three control planes and two workers.

    Settings: ``version`` of Talos, ``nodes`` (``name``, ``address`` and the ``type`` they are meant for), ``port``,
    ``endpoint`` of the cluster to be (nothing listens there), and the ``directory`` of the simulator's control socket.
    """

    name = "talos"
    control_planes = 3
    workers = 2

    def settings(self) -> Settings:
        hosts = {f"cp-{number}": 10 + number for number in range(1, self.control_planes + 1)}
        hosts |= {f"worker-{number}": 20 + number for number in range(1, self.workers + 1)}
        network = free_network(hosts.values())
        nodes = [
            {"name": name, "address": f"{network}.{host}", "type": "controlplane" if host < 20 else "worker"}
            for name, host in hosts.items()
        ]
        return {
            "version": VERSION,
            "port": PORT,
            "endpoint": f"https://{nodes[0]['address']}:6443",
            "nodes": nodes,
            "directory": str(self.directory),
        }

    def prepare(self, settings: Settings) -> None:
        # The lab's Kubernetes stands for the network plugin too: nobody can install one on these machines.
        world = {"version": settings["version"], "port": settings["port"], "network_plugin": True}
        write_private(self.directory / "nodes.json", json.dumps({**world, "nodes": settings["nodes"]}))

    def processes(self, settings: Settings) -> Iterable[Process]:
        command = (self.python, "-m", "tests.sandbox.talos", "--directory", str(self.directory))
        return [Process("talos", command, functools.partial(_answers, self.directory, settings["port"]))]


def _answers(directory: Path, port: int) -> None:
    """Raise :class:`NotReady` until every machine that is to listen speaks HTTP/2 over TLS."""
    for name, machine in ask(directory, "status")["machines"].items():
        if machine["listening"] and _protocol(machine["address"], port) != "h2":
            raise NotReady(f"{name} ({machine['address']}) does not speak HTTP/2")


def _protocol(address: str, port: int) -> str | None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # machines in maintenance sign for themselves
    context.set_alpn_protocols(["h2"])
    with socket.create_connection((address, port), timeout=5) as plain, context.wrap_socket(plain) as secured:
        return secured.selected_alpn_protocol()

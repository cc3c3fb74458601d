# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Loopback networks: machines all listen on the port of the Talos API, so each needs an address of its own."""

from __future__ import annotations

import random
import socket
from collections.abc import Collection

from tests.sandbox.service import LabError

PORT = 50000


def free_network(hosts: Collection[int]) -> str:
    """The first three octets of a network on whose hosts nobody uses the port; raises :class:`LabError` if none is."""
    for _unused in range(100):
        network = f"127.{random.randint(2, 250)}.{random.randint(1, 250)}"
        if all(_is_free(f"{network}.{host}") for host in hosts):
            return network
    raise LabError(f"no loopback network with a free port {PORT}")


def _is_free(address: str) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((address, PORT))
        except OSError:
            return False
    return True

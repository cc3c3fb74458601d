# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The API port of a simulated machine."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.talos import pki
from tests.sandbox.talos.addresses import PORT, free_network
from tests.sandbox.talos.listener import Listener


async def nobody(_path: str, _stream: Any) -> None:
    """Serves nothing."""


@pytest.mark.parametrize("turns", range(8))
def test_a_boot_that_is_interrupted_while_it_opens_the_port_leaves_it_free(turns: int, tmp_path: Path) -> None:
    """``turns`` of the event loop after it began; at the last of them the port is open."""
    address = f"{free_network([1])}.1"
    context = pki.server_context(
        pki.issue_server(pki.new_authority("talos"), "machine", [address]), [], tmp_path / "key"
    )

    async def interrupted() -> None:
        listener = Listener(address, PORT, nobody)
        opening = asyncio.create_task(listener.open(context))
        for _unused in range(turns):
            await asyncio.sleep(0)
        opening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await opening
        listener.close()
        with socket.socket() as probe:
            probe.bind((address, PORT))  # raises if it is not

    asyncio.run(interrupted())

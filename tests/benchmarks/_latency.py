# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A TCP proxy that answers as late as a server far away: ``python -m tests.benchmarks._latency PORT MILLISECONDS``."""

from __future__ import annotations

import asyncio
import sys


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    """Pass on every piece ``delay`` seconds after it came; pieces overlap, as they do on a long line."""
    loop = asyncio.get_running_loop()
    while piece := await reader.read(65536):
        loop.call_later(delay, writer.write, piece)
    loop.call_later(delay, writer.close)


async def _serve(port: int, milliseconds: float) -> None:
    """Print the proxy's port, then pass on connections to ``port`` until the process ends."""
    each_way = milliseconds / 2000

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_pump(reader, to_writer, each_way), _pump(to_reader, writer, each_way))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2])))

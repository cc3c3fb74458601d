# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Run the simulator in the foreground until it is told to end."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
from pathlib import Path

from tests.sandbox.talos import control
from tests.sandbox.talos.world import World


async def run(directory: Path) -> None:
    """Serve the machines of ``directory`` until SIGTERM or SIGINT."""
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end.set)
    world = World(directory)
    world.start()
    await world.until(lambda: all(machine.settled for machine in world.machines.values()))
    door = await control.listen(world)
    await end.wait()
    door.close()
    await world.stop()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Simulated Talos machines.")
    parser.add_argument("--directory", type=Path, required=True, help="holds nodes.json; everything is written there")
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    asyncio.run(run(parser.parse_args().directory))


if __name__ == "__main__":
    main()

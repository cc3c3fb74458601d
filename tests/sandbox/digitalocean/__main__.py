# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``python -m tests.sandbox.digitalocean --settings <file>``, with the settings of the lab's service."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path

from tests.sandbox.digitalocean.description import UNCHECKED, load
from tests.sandbox.digitalocean.server import Api, make_server
from tests.sandbox.digitalocean.world import World


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=Path, required=True)
    settings = json.loads(parser.parse_args().settings.read_text())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    world = World(settings["token"], delay=settings["delay"], page=settings["page"])
    world.limits.minute = settings["requests_a_minute"]
    description = load()
    print("checked against the OpenAPI description" if description else UNCHECKED, flush=True)
    make_server(Api(world, description), settings["port"]).serve_forever()


if __name__ == "__main__":
    main()

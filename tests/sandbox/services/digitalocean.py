# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""DigitalOcean: a simulator, because the vendor's API cannot run here. Calls are checked against its description."""

from __future__ import annotations

import functools
import json
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.sandbox.service import Process, Service, Settings, accepts_connections, free_port, write_private


class DigitalOceanService(Service):
    """An account that is empty at first.

    Settings: ``url``, ``token``, ``port``; ``delay`` (seconds that provisioning takes), ``page`` (largest page of a
    list), ``requests_a_minute`` (far above the real 250, as time is short here).
    """

    name = "digitalocean"

    def settings(self) -> Settings:
        port = free_port()
        return {
            "url": f"http://127.0.0.1:{port}",
            "port": port,
            "token": f"dop_v1_{secrets.token_hex(32)}",
            "delay": 0.05,
            "page": 20,
            "requests_a_minute": 5000,
        }

    def prepare(self, settings: Settings) -> None:
        write_private(self._file, json.dumps(settings))

    def processes(self, settings: Settings) -> Iterable[Process]:
        return [
            Process(
                "digitalocean",
                (self.python, "-m", "tests.sandbox.digitalocean", "--settings", str(self._file)),
                functools.partial(accepts_connections, "127.0.0.1", settings["port"]),
            )
        ]

    @classmethod
    def environment(cls, settings: Settings) -> Mapping[str, str]:
        """For the modules of this collection."""
        return {"DIGITALOCEAN_API_URL": settings["url"], "DIGITALOCEAN_TOKEN": settings["token"]}

    @property
    def _file(self) -> Path:
        return self.directory / "settings.json"

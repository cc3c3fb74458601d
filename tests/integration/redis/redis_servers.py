# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Real Redis servers for tests of guild isolation, looked at with redis-py and never through the collection."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import redis
from ansible_collections.dcm.platform.plugins.module_utils.isolation.redis import FOR_NOBODY

from tests.sandbox.service import Settings

SINGLE, CLUSTER = "redis", "redis_cluster"  # services of the lab


class RedisServers:
    """The nodes of one service of the lab. ``prefix`` is one test's own: other tests have other guilds."""

    def __init__(self, service: str, settings: Settings, prefix: str | None = None) -> None:
        self.service = service
        self.settings = settings
        self.ports: list[int] = settings.get("ports", [settings["port"]])
        self.prefix = prefix or f"t{secrets.token_hex(4)}_"
        self.options = {
            "login_host": settings["host"],
            "login_port": settings["port"],
            "login_password": settings["password"],
            "tls": False,
            "prefix": self.prefix,
        }
        self.nodes: dict[str, Any] = {
            f"{settings['host']}:{port}": redis.Redis(
                settings["host"], port, password=settings["password"], decode_responses=True, protocol=2
            )
            for port in self.ports
        }

    @property
    def clustered(self) -> bool:
        return len(self.ports) > 1

    @property
    def first(self) -> Any:
        """The administrator on the first node."""
        return next(iter(self.nodes.values()))

    def version(self) -> tuple[int, int]:
        major, minor, *_rest = self.first.info("server")["redis_version"].split(".")
        return int(major), int(minor)

    def user(self, guild: str) -> str:
        return f"{self.prefix}{guild}"

    def keys_of(self, guild: str) -> str:
        """What the keys of the guild begin with."""
        return f"{{{self.prefix}{guild}}}:"

    def lines(self) -> dict[str, list[str]]:
        """The users of this test by node, as the server writes them, but for the order of commands, which varies."""
        return {
            address: sorted(" ".join(sorted(line.split())) for line in _list(node) if f"user {self.prefix}" in line)
            for address, node in self.nodes.items()
        }

    def home(self, guild: str) -> Any:
        """The administrator on the node that holds the guild's keys."""
        if not self.clustered:
            return self.first
        slot = self.first.execute_command("CLUSTER KEYSLOT", self.keys_of(guild))
        for node in self.nodes.values():
            for line in _raw(node, "CLUSTER", "NODES").splitlines():
                place, ranges = line.split(), line.split()[8:]
                if "myself" in place[2] and any(_holds(one, slot) for one in ranges):
                    return node
        raise AssertionError(f"nobody holds slot {slot}")

    def put(self, guild: str, **values: str) -> None:
        """Store values under keys of the guild."""
        for name, value in values.items():
            self.home(guild).set(f"{self.keys_of(guild)}{name}", value)

    def stored(self, guild: str) -> dict[str, bytes]:
        """All keys of the guild on all nodes in database 0, and what they hold."""
        home = self.home(guild)
        names = [name for node in self.nodes.values() for name in node.scan_iter(f"{self.keys_of(guild)}*")]
        raw = redis.Redis(connection_pool=_undecoded(home))
        return {name: raw.dump(name) or b"" for name in names}

    def clear(self) -> None:
        """Remove what the test left."""
        for node in self.nodes.values():
            users = [name for name in node.acl_users() if name.startswith(self.prefix)]
            if users:
                node.acl_deluser(*users)
            for key in list(node.scan_iter(f"{{{self.prefix}*")):
                node.unlink(key)
            node.execute_command("ACL SAVE")

    def close(self) -> None:
        for node in self.nodes.values():
            node.close()

    @contextlib.contextmanager
    def login(self, guild: str, password: str, port: int | None = None) -> Iterator[Login]:
        """A connection as a guild's user, to the first node or the one at this port."""
        login = Login(self.settings["host"], port or self.ports[0], self.user(guild), password)
        try:
            yield login
        finally:
            login.close()


class Login:
    """One connection. ``say`` returns the answer, and raises what the server refuses."""

    def __init__(self, host: str, port: int, user: str, password: str) -> None:
        connection: Any = redis.Connection
        self._connection = connection(
            host=host,
            port=port,
            username=user,
            password=password,
            protocol=2,
            socket_timeout=5,
            decode_responses=True,
            encoding_errors="replace",
        )
        self._connection.connect()

    def say(self, *words: object) -> Any:
        self._connection.send_command(*words, check_health=False)
        return self._connection.read_response()

    def close(self) -> None:
        self._connection.disconnect()


@dataclass
class Outcome:
    """Whether the server let a user run all commands, whatever came of them; its answers, and what it refused with."""

    allowed: bool = True
    answers: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def attempt(login: Login, commands: Sequence[Sequence[str]]) -> Outcome:
    """Run the commands, also after a refusal."""
    outcome = Outcome()
    for words in commands:
        try:
            outcome.answers.append(repr(login.say(*words)))
        except (redis.ResponseError, redis.AuthenticationError) as error:
            refused = isinstance(error, (redis.exceptions.NoPermissionError, redis.AuthenticationError))
            outcome.allowed &= not (refused or any(words in str(error).lower() for words in FOR_NOBODY))
            outcome.errors.append(str(error))
    return outcome


def _raw(node: Any, *words: object) -> str:
    """The answer as text, not as redis-py reads it."""
    connection = node.connection_pool.get_connection()
    try:
        connection.send_command(*words)
        answer: str = connection.read_response()
        return answer
    finally:
        node.connection_pool.release(connection)


def _list(node: Any) -> list[str]:
    lines: list[str] = node.acl_list()
    return lines


def _holds(shown: str, slot: int) -> bool:
    first, _dash, last = shown.partition("-")
    return shown[0] != "[" and int(first) <= slot <= int(last or first)


def _undecoded(node: Any) -> redis.ConnectionPool:
    options: Mapping[str, Any] = node.connection_pool.connection_kwargs
    return redis.ConnectionPool(**{**options, "decode_responses": False})

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs the attacks on Redis with the guilds' own users, on every node of a cluster."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.guild import GuildNames, guild_key_prefix
from ansible_collections.dcm.platform.plugins.module_utils.isolation.check import NOT_TESTED, Finding
from ansible_collections.dcm.platform.plugins.module_utils.isolation.redis import (
    ATTACKS,
    CANARY,
    FOR_NOBODY,
    MARK,
    Attack,
)
from ansible_collections.dcm.platform.plugins.module_utils.redis.client import connecting_failed, other_nodes

with contextlib.suppress(ImportError):  # reported with the pip command before anything is called here
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

LIFE = 600  # seconds after which the text that is looked for is gone, even if the check was killed
Address = tuple[str, int]


class RedisStore:
    """The guilds of one server or one cluster."""

    def __init__(self, options: Mapping[str, Any], credentials: Mapping[str, Mapping[str, str]], prefix: str) -> None:
        """``credentials`` by guild: ``password``."""
        self._options = options
        self._credentials = credentials
        self._prefix = prefix

    def attack(self, own: GuildNames, other: GuildNames) -> Iterator[Finding]:
        """All attacks, each on a connection of its own; in a cluster on every node."""
        nodes, version = self._nodes(own)
        canary = secrets.token_hex(16)
        planted = f"{guild_key_prefix(other.id, self._prefix)}{MARK}{CANARY}"
        self._everywhere(nodes, other, [("SET", planted, canary, "EX", LIFE)])
        written = {planted}
        try:
            for one in ATTACKS:
                words = one.words(own.id, other.id, self._prefix)
                written.update(word for command in words for word in command[1:] if "{" in word)
                got = self._worst(one, own, words, nodes, version, canary)
                yield Finding("redis", one.row, one.name, "app", own.id, other.id, one.model, got)
        finally:
            removals = [("UNLINK", key) for key in sorted(written)]
            for names in (own, other):
                self._everywhere(nodes, names, removals)

    def _nodes(self, names: GuildNames) -> tuple[list[Address], tuple[int, ...]]:
        """The addresses of all nodes, and the version, as a guild is told them."""
        address = (self._options["login_host"], self._options["login_port"])
        with self._log_in(names, address) as client:
            told = client.execute_command("HELLO", "2")
            version = tuple(int(part) for part in told[told.index("version") + 1].split(".")[:2])
            if told[told.index("mode") + 1] != "cluster":
                return [address], version
            table = client.execute_command("CLUSTER", "NODES")
        return [address, *other_nodes(table, f"{address[0]}:{address[1]}", by_name=self._options["tls"])], version

    @contextlib.contextmanager
    def _log_in(self, names: GuildNames, address: Address) -> Iterator[Any]:
        password = self._credentials.get(names.id, {}).get("password")
        if not password:
            raise InputError(f"credentials has no redis.password of guild {names.id}.")
        options = self._options
        tls = {"ssl": True, "ssl_ca_certs": options["ca_certs"]} if options["tls"] else {}
        if options["tls"] and not options["validate_certs"]:
            tls |= {"ssl_cert_reqs": "none", "ssl_check_hostname": False}
        client = redis.Redis(
            host=address[0],
            port=address[1],
            username=names.schema,
            password=password,
            socket_timeout=options["timeout"],
            socket_connect_timeout=options["timeout"],
            decode_responses=True,
            encoding_errors="replace",
            protocol=2,
            single_connection_client=True,
            retry=Retry(NoBackoff(), 0),
            **tls,
        )
        client.response_callbacks.clear()  # answers are wanted as they are
        with contextlib.closing(client):
            try:
                client.ping()
                yield client
            except (redis.RedisError, OSError) as error:
                raise connecting_failed(f"{address[0]}:{address[1]}", error) from error

    def _everywhere(self, nodes: Sequence[Address], names: GuildNames, commands: Sequence[tuple[Any, ...]]) -> None:
        """Commands of a guild on all nodes. Most are refused: for want of rights, or since another node has the key."""
        for address in nodes:
            with self._log_in(names, address) as client:
                for command in commands:
                    with contextlib.suppress(redis.ResponseError):
                        client.execute_command(*command)

    def _worst(
        self,
        one: Attack,
        own: GuildNames,
        words: Sequence[Sequence[str]],
        nodes: Sequence[Address],
        version: tuple[int, ...],
        canary: str,
    ) -> str:
        """``allow`` if any node allows what is not expected to be."""
        if version < one.since or (one.cluster_only and len(nodes) == 1):
            return NOT_TESTED
        outcomes = {self._outcome(own, address, words, canary) for address in nodes}
        surprising = outcomes - {one.model}
        return surprising.pop() if surprising else one.model

    def _outcome(self, own: GuildNames, address: Address, commands: Sequence[Sequence[str]], canary: str) -> str:
        """``allow`` if every command was, or if any told what is the other guild's."""
        outcome = "allow"
        with self._log_in(own, address) as client:
            for words in commands:
                try:
                    answer = str(client.execute_command(*words))
                except (redis.exceptions.NoPermissionError, redis.AuthenticationError):
                    answer, outcome = "", "deny"
                except redis.ResponseError as error:
                    answer = str(error)
                    if any(phrase in answer.lower() for phrase in FOR_NOBODY):
                        outcome = "deny"
                if canary in answer:
                    return "allow"
        return outcome

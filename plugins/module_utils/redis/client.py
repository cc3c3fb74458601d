# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Connections to the nodes of Redis: commands by the batch, and errors that say what happened at which address."""

from __future__ import annotations

import contextlib
import ssl
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import (
    InputError,
    PlatformError,
    RefusedError,
    TransientError,
    UnreachableError,
)
from ansible_collections.dcm.platform.plugins.module_utils.redis.acl import CommandTable, parse_users
from ansible_collections.dcm.platform.plugins.module_utils.redis.model import NodeState

with contextlib.suppress(ImportError):  # reported with the pip command before anything is called here
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

SERVICE = "Redis"
OLDEST_VERSION = (6, 2)  # the first in which a user can be kept to its channels
CLIENT_NAME = "dcm.platform"
PAGE = 1000  # keys looked at by one SCAN, and commands sent in one go

Command = Sequence[object]


class Node:
    """One server, logged in to as the options of :data:`REDIS_ARGUMENTS` say. For one thread at a time."""

    def __init__(self, host: str, port: int, options: Mapping[str, Any], database: int = 0) -> None:
        self.address = f"{host}:{port}"
        self._host, self._port, self._options = host, port, options
        self._connection = _connection(host, port, options, database)

    def neighbour(self, host: str, port: int) -> Node:
        """Another node, by the same options."""
        return Node(host, port, self._options)

    def database(self, number: int) -> Node:
        """The same server with another of its numbered databases."""
        return Node(self._host, self._port, self._options, number)

    def close(self) -> None:
        self._connection.disconnect()

    def call(self, *words: object) -> Any:
        """The answer to one command."""
        (answer,) = self.run([words])
        return answer

    def run(self, commands: Sequence[Command]) -> list[Any]:
        """The answers to many commands. Raises :class:`RefusedError` for the first that is refused."""
        answers = self.attempt(commands)
        for answer in answers:
            if isinstance(answer, PlatformError):
                raise answer
        return answers

    def attempt(self, commands: Sequence[Command]) -> list[Any]:
        """The answers to many commands; in place of an answer the error it was refused with.

        All of them are sent before the first answer is waited for, a thousand at a time. Raises
        :class:`UnreachableError` when the server is gone, or :class:`RefusedError` when it lets us not in.
        """
        answers: list[Any] = []
        for start in range(0, len(commands), PAGE):
            answers += self._exchange(commands[start : start + PAGE])
        return answers

    def _exchange(self, commands: Sequence[Command]) -> list[Any]:
        try:
            self._connection.send_packed_command(self._connection.pack_commands(commands))
            return [self._answer(command) for command in commands]
        except (redis.RedisError, OSError) as error:
            self._connection.disconnect()
            raise connecting_failed(self.address, error) from error

    def _answer(self, command: Command) -> Any:
        try:
            return self._connection.read_response()
        except redis.ResponseError as error:
            # Of the command no more than its name: what follows may be the sum of a password.
            name = " ".join(str(word) for word in command[:2] if str(word).isalpha())
            return RefusedError(f"{SERVICE} at {self.address} refused {name}: {str(error).rstrip('.')}.")


def _connection(host: str, port: int, options: Mapping[str, Any], database: int) -> Any:
    settings: dict[str, Any] = {
        "host": host,
        "port": port,
        "db": database,
        "username": options["login_user"],
        "password": options["login_password"],
        "socket_timeout": options["timeout"],
        "socket_connect_timeout": options["timeout"],
        "decode_responses": True,
        "encoding_errors": "surrogateescape",  # keys are bytes, and must come back as they were
        "protocol": 2,
        "client_name": CLIENT_NAME,
        "retry": Retry(NoBackoff(), 0),  # with its timeouts and pauses it would take minutes to say that nobody answers
    }
    kind: Any = redis.Connection
    if options["tls"]:
        kind = redis.SSLConnection
        settings["ssl_ca_certs"] = options["ca_certs"]
        settings["ssl_cert_reqs"] = "required" if options["validate_certs"] else "none"
        settings["ssl_check_hostname"] = options["validate_certs"]
    return kind(**settings)


def connecting_failed(address: str, error: Exception) -> PlatformError:
    """The error for what ended a connection, or kept it from being made."""
    said = str(error).rstrip(".")
    if isinstance(error, redis.BusyLoadingError):
        return TransientError(f"{SERVICE} at {address} is still reading its data: {said}.")
    if isinstance(error, (redis.AuthenticationError, redis.exceptions.NoPermissionError)):
        return RefusedError(
            f"{SERVICE} at {address} refused the login: {said}.", hint="Check login_user and login_password."
        )
    cause = _innermost(error)
    if isinstance(cause, ssl.SSLError):
        return RefusedError(
            f"The TLS connection to {SERVICE} at {address} failed: {getattr(cause, 'reason', None) or cause}.",
            hint="Check tls, ca_certs, and the names in the server's certificate.",
        )
    if isinstance(cause, FileNotFoundError):  # the one file there is to open
        return InputError("There is no file where ca_certs says.")
    reason = getattr(cause, "strerror", None) or str(cause) or said
    return UnreachableError(SERVICE, address, reason.rstrip("."))


def _innermost(error: BaseException) -> BaseException:
    while inner := error.__cause__ or error.__context__:
        error = inner
    return error


def open_nodes(options: Mapping[str, Any]) -> list[Node]:
    """Every node of the cluster that the options name a node of, or the one server.

    Raises :class:`RefusedError` for a server that is too old.
    """
    seed = Node(options["login_host"], options["login_port"], options)
    if information(seed).get("redis_mode") != "cluster":
        return [seed]
    others = other_nodes(seed.call("CLUSTER", "NODES"), seed.address, by_name=options["tls"])
    return [seed, *(seed.neighbour(host, port) for host, port in others)]


def other_nodes(table: str, address: str, *, by_name: bool) -> list[tuple[str, int]]:
    """The other nodes in what ``CLUSTER NODES`` of the node at this address says, replicas included.

    ``by_name``: by the names they announce, as certificates have them. Raises :class:`RefusedError` for a node
    without an address: it would be left out.
    """
    found = []
    for line in table.splitlines():
        _identifier, where, flags, *_rest = line.split()
        if {"myself", "handshake"} & set(flags.split(",")):
            continue
        place, _comma, name = where.partition(",")
        host, _colon, port = place.partition("@")[0].rpartition(":")
        if "noaddr" in flags.split(",") or not host:
            raise RefusedError(
                f"The cluster of {SERVICE} at {address} has lost the address of its node {_identifier}.",
                hint="If it is gone for good, have every node forget it with CLUSTER FORGET.",
            )
        found.append(((name.partition(",")[0] if by_name else "") or host, int(port)))
    return found


def information(node: Node) -> dict[str, str]:
    """What ``INFO`` says. Raises :class:`RefusedError` for a server that is too old."""
    lines = (line.partition(":") for line in node.call("INFO").splitlines())
    found = {name: value for name, colon, value in lines if colon}
    version = found.get("redis_version", "0.0")
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_VERSION:
        oldest = ".".join(map(str, OLDEST_VERSION))
        raise RefusedError(f"{SERVICE} at {node.address} has version {version}.", hint=f"{oldest} or newer is needed.")
    return found


def read_node(node: Node, closed: Sequence[str], removed: Mapping[str, str]) -> NodeState:
    """The state of one node, in two rounds, whatever the number of guilds.

    The sessions of the users ``closed`` are counted, and the keys below the prefixes ``removed`` (of guilds' ids).
    """
    told = information(node)
    categories = node.call("ACL", "CAT")
    questions = [*(("ACL", "CAT", name) for name in categories), ("ACL", "LIST"), ("CONFIG", "GET", "aclfile")]
    *members, lines, setting = node.attempt(questions)
    for answer in (*members, lines):
        if isinstance(answer, PlatformError):
            raise answer
    table = CommandTable({name: frozenset(found) for name, found in zip(categories, members, strict=True)})
    return NodeState(
        address=node.address,
        version=told["redis_version"],
        primary=told.get("role") != "slave",
        table=table,
        users=parse_users(lines, table),
        acl_file=setting[1] if isinstance(setting, list) and len(setting) > 1 else None,
        sessions=count_sessions(node, closed) if closed else {},
        keys=count_keys(node, told, removed) if removed else {},
    )


def count_sessions(node: Node, users: Sequence[str]) -> dict[str, int]:
    """How many sessions these users have, where they have any."""
    lines = node.call("CLIENT", "LIST").splitlines()
    names = (word[len("user=") :] for line in lines for word in line.split() if word.startswith("user="))
    return dict(Counter(name for name in names if name in set(users)))


def count_keys(node: Node, told: Mapping[str, str], prefixes: Mapping[str, str]) -> dict[str, int]:
    """How many keys there are below these prefixes (of guilds' ids) in all databases, where there are any."""
    found: Counter[str] = Counter()
    for database in _databases(node, told):
        for keys in pages(database, prefixes):
            found.update({prefixes[prefix]: len(named) for prefix, named in keys.items()})
    return dict(found)


def unlink_keys(node: Node, prefixes: Mapping[str, str]) -> None:
    """Remove all keys below these prefixes from all databases."""
    for database in _databases(node, information(node)):
        for keys in pages(database, prefixes):
            # A command for each guild: its keys are in one slot, those of two guilds need not be.
            database.run([("UNLINK", *named) for named in keys.values()])


def _databases(node: Node, told: Mapping[str, str]) -> Iterator[Node]:
    """Every numbered database that holds a key: COPY reaches those that SELECT is denied for."""
    for name in told:
        if name.startswith("db") and name[2:].isdigit():
            database = node.database(int(name[2:]))
            try:
                yield database
            finally:
                database.close()


def pages(node: Node, prefixes: Mapping[str, str]) -> Iterator[dict[str, list[str]]]:
    """The keys below these prefixes, by prefix, page by page through one database."""
    pattern = "{*}:*" if len(prefixes) > 1 else f"{''.join(prefixes)}*"
    cursor = "0"
    while True:
        cursor, keys = node.call("SCAN", cursor, "MATCH", pattern, "COUNT", PAGE)
        found: dict[str, list[str]] = {}
        for key in keys:
            prefix = f"{key.partition('}:')[0]}}}:"
            if prefix in prefixes:
                found.setdefault(prefix, []).append(key)
        if found:
            yield found
        if str(cursor) == "0":
            return

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The API port of one machine: TLS, HTTP/2 and who may connect."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from ansible_collections.dcm.platform.plugins.module_utils.talos.messages import METHODS, message
from grpclib.const import Cardinality, Status
from grpclib.const import Handler as Route
from grpclib.encoding.proto import ProtoCodec
from grpclib.exceptions import GRPCError
from grpclib.protocol import H2Protocol
from grpclib.server import Handler, Server

from tests.sandbox.talos.pki import is_client_certificate

Serve = Callable[[str, Any], Awaitable[None]]

PORT_FREE_WITHIN = 5.0  # seconds


class Listener:
    """Listens on one address, with one TLS context at a time.

    ``serve(path, stream)`` answers one request.
    """

    def __init__(self, address: str, port: int, serve: Serve) -> None:
        self.address = address
        self.port = port
        self._routes = _Routes(self._counting(serve))
        self._server: asyncio.AbstractServer | None = None
        self._connections: set[asyncio.Transport] = set()
        self._busy = 0
        self._idle = asyncio.Event()

    @property
    def is_open(self) -> bool:
        return self._server is not None

    async def open(self, context: ssl.SSLContext) -> None:
        """Serve the API; connections of before stay open, only their port is taken over."""
        self._close_port()
        await self._listen(_ApiServer(self._routes, self._connections).protocol, context)

    async def hang(self) -> None:
        """Accept connections and never say a word, as a machine does that died in the middle of one."""
        self.close()
        await self._listen(lambda: _Silent(self._connections), None)

    async def _listen(self, protocol: Callable[[], asyncio.BaseProtocol], context: ssl.SSLContext | None) -> None:
        """The port may still be in the kernel's hands for a moment after it was closed, on a busy machine."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(PORT_FREE_WITHIN):
            while True:
                try:
                    # Known to us before it serves: who is interrupted while it starts to must find something to close.
                    self._server = await loop.create_server(
                        protocol, self.address, self.port, ssl=context, start_serving=False
                    )
                    return await self._server.start_serving()
                except OSError as error:
                    self._close_port()
                    if error.errno != errno.EADDRINUSE:
                        raise
                    await asyncio.sleep(0.05)

    async def finish_requests(self) -> None:
        """Wait until the replies under way are written; a second at most, as streams may have no end."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                while self._busy:
                    self._idle.clear()
                    await self._idle.wait()

    def close(self) -> None:
        """Refuse new connections and drop all there are, after what was already written to them."""
        self._close_port()
        for transport in list(self._connections):
            transport.close()

    def abandon(self) -> None:
        """As when the power fails: nobody tells the clients, whose connections are silent from then on."""
        self._close_port()
        for transport in self._connections:
            transport.pause_reading()
        self._connections.clear()

    def drop_connections(self) -> None:
        """At once, with what is not written yet."""
        for transport in list(self._connections):
            transport.abort()

    def _close_port(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _counting(self, serve: Serve) -> Serve:
        async def counted(path: str, stream: Any) -> None:
            self._busy += 1
            try:
                await serve(path, stream)
            finally:
                self._busy -= 1
                if not self._busy:
                    self._idle.set()

        return counted


class _Routes(dict[str, Any]):
    """What grpclib asks for the handler of a path; paths that Talos does not have get an error in Talos's words."""

    def __init__(self, serve: Serve) -> None:
        super().__init__()
        for path, method in METHODS.items():
            self[path] = Route(
                lambda stream, path=path: serve(path, stream),
                Cardinality((method.client_streaming, method.server_streaming)),
                message(method.request),
                message(method.reply),
            )

    def get(self, path: str, default: Any = None) -> Any:
        """Never misses."""
        empty = message("google.protobuf.Empty")
        return super().get(path) or Route(lambda _: _refuse(path), Cardinality.UNARY_UNARY, empty, empty)


async def _refuse(path: str) -> None:
    service, _unused, method = path.lstrip("/").rpartition("/")
    if any(known.startswith(f"/{service}/") for known in METHODS):
        raise GRPCError(Status.UNIMPLEMENTED, f"unknown method {method} for service {service}")
    raise GRPCError(Status.UNIMPLEMENTED, f"unknown service {service}")


class _ApiServer(Server):
    """grpclib's server with our own routes and a look at every connection."""

    def __init__(self, routes: _Routes, connections: set[asyncio.Transport]) -> None:
        super().__init__([], codec=ProtoCodec())
        self._mapping = routes
        self._connections = connections

    def protocol(self) -> H2Protocol:
        handler = Handler(self._mapping, self._codec, self._status_details_codec, self.__dispatch__)
        return _ApiProtocol(handler, self._config, self._h2_config, self._connections)


class _ApiProtocol(H2Protocol):
    def __init__(self, handler: Handler, config: Any, h2_config: Any, connections: set[asyncio.Transport]) -> None:
        super().__init__(handler, config, h2_config)
        self._connections = connections

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._connections.add(transport)
        self._transport = transport
        certificate = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        if certificate is not None and not is_client_certificate(certificate):
            transport.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._connections.discard(self._transport)
        super().connection_lost(exc)


class _Silent(asyncio.Protocol):
    def __init__(self, connections: set[asyncio.Transport]) -> None:
        self._connections = connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self._transport)


def roles_of(stream: Any) -> frozenset[str]:
    """Talos keeps a client's roles as the organizations of its certificate."""
    subject: Mapping[str, Any] = stream.peer.cert() or {}
    return frozenset(
        value for attribute in subject.get("subject", ()) for key, value in attribute if key == "organizationName"
    )

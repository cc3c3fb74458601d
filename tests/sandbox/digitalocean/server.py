# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The HTTP front of the simulator: authentication, limits, faults, and the check against the description."""

from __future__ import annotations

import copy
import email.utils
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.sandbox.digitalocean import account, compute, data, network
from tests.sandbox.digitalocean import faults as fault
from tests.sandbox.digitalocean.description import Description, load
from tests.sandbox.digitalocean.world import SLUGS, Call, Refusal, World, find_route
from tests.serving import serving

PARTS = (account, compute, data, network)  # importing them registers their routes
CONTROL = "/_sandbox/"
PROXY_PAGE = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
STORM_PAUSE = 7  # seconds a throttled client is told to wait


@dataclass(frozen=True)
class Reply:
    """What goes over the wire; None in place of one: the connection is cut."""

    status: int
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Entry:
    """One request in the journal. ``time``: by the simulator's clock."""

    time: float
    method: str
    path: str
    status: int  # 0: cut


class Api:
    """Requests in, replies out, one at a time."""

    def __init__(self, world: World, description: Description | None) -> None:
        self.world = world
        self.description = description
        self.faults: list[fault.Faults] = []
        self.journal: list[Entry] = []
        self.mismatches: list[str] = []
        self._lock = threading.Lock()

    def handle(self, method: str, target: str, headers: Mapping[str, str], content: bytes) -> Reply | None:
        """The reply to one request; None: cut the connection."""
        parts = urlsplit(target)
        path = unquote(parts.path)
        with self._lock:
            if path.startswith(CONTROL):
                return self._control(method, path.removeprefix(CONTROL), content)
            self.world.advance()
            reply = self._answer(method, path, dict(parse_qsl(parts.query)), headers, content)
            self.journal.append(Entry(self.world.now(), method, path, reply.status if reply else 0))
            return reply

    def _answer(
        self, method: str, path: str, query: dict[str, str], headers: Mapping[str, str], content: bytes
    ) -> Reply | None:
        if headers.get("Authorization") != f"Bearer {self.world.token}":
            return self._error(401, "Unable to authenticate you")
        if (throttled := self.world.limits.refuse(self.world.now())) is not None:
            return self._error(429, "API Rate limit exceeded.", throttled)
        kind = next((kind for faults in self.faults if (kind := faults(method, path))), None)
        if kind in ("throttle", "throttle-with-pause"):
            pause = {"retry-after": str(STORM_PAUSE)} if kind == "throttle-with-pause" else {}
            return self._error(429, "Too many requests", pause)
        if kind == "refuse":
            return self._error(403, "You are not authorized to perform this operation")
        if kind == "error-before":
            return self._error(500, "Server was unable to give you a response.")
        if kind == "error-as-success":
            return self._json(200, {"id": "server_error", "message": "Unexpected server-side error"})
        if kind == "page-before":
            return Reply(502, PROXY_PAGE.encode(), {"Content-Type": "text/html"})
        if kind == "cut-before":
            return None
        reply = self._dispatch(method, path, query, headers, content)
        if kind == "error-after":
            return self._error(500, "Server was unable to give you a response.")
        if kind == "page-after":
            return Reply(504, PROXY_PAGE.encode(), {"Content-Type": "text/html"})
        return None if kind == "cut-after" else reply

    def _dispatch(
        self, method: str, path: str, query: dict[str, str], headers: Mapping[str, str], content: bytes
    ) -> Reply:
        try:
            if (
                method == "DELETE"
                and path.startswith("/v2/projects/")
                and "json" not in headers.get("Content-Type", "")
            ):
                raise Refusal(415, "Content-Type must be application/json")
            body = json.loads(content) if content else None
            self._check_request(method, path, body, query)
            handler, arguments = find_route(method, path)
            status, document = handler(self.world, Call(arguments, query, body))
        except Refusal as refusal:
            return self._error(refusal.status, str(refusal))
        if isinstance(document, str):
            return Reply(status, document.encode(), {"Content-Type": "application/yaml", **self._limits()})
        if self.description and document is not None:
            self.mismatches += self.description.check_answer(method, path, status, document)
        return self._json(status, document)

    def _check_request(self, method: str, path: str, body: Any, query: Mapping[str, str]) -> None:
        if self.description is None:
            return
        problems = list(self.description.check_request(method, path, body, query))
        if problems:
            self.mismatches += problems
            raise Refusal(400, f"the request is not as described: {'; '.join(problems)}")

    def _limits(self) -> dict[str, str]:
        return self.world.limits.headers(self.world.now())

    def _json(self, status: int, document: Any, headers: Mapping[str, str] | None = None) -> Reply:
        content = b"" if document is None else json.dumps(document).encode()
        return Reply(status, content, {"Content-Type": "application/json", **self._limits(), **(headers or {})})

    def _error(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> Reply:
        document = {"id": SLUGS[status], "message": message, "request_id": "4d9d8375-3c56-4925-a3e7-eb137fed17e9"}
        return self._json(status, document, headers)

    # -- control -----------------------------------------------------------------------------------------------

    def _control(self, method: str, name: str, content: bytes) -> Reply:
        """What tests ask of a simulator in another process: its journal, its mismatches, faults, drift."""
        body: Any = json.loads(content) if content else None
        if name == "state":
            self.world.advance()
            state: Any = {
                "objects": copy.deepcopy(self.world.objects),
                "projects": self.world.projects,
                "tags": list(self.world.tags.values()),
                "checked": self.description is not None,
            }
        elif name == "journal":
            state = [vars(entry) for entry in self.journal]
            if method == "DELETE":
                self.journal.clear()
        elif name == "mismatches":
            state = self.mismatches
        elif name == "faults":
            self.faults = [fault.Planned.parse(item) for item in body or ()]
            state = {}
        elif name == "drift":
            self.world.get(body["kind"], body["id"]).update(body["fields"])
            state = {}
        elif name == "scale":
            pools = self.world.get("kubernetes_cluster", body["cluster"])["node_pools"]
            compute.resize(self.world, next(p for p in pools if p["name"] == body["pool"]), body["count"])
            state = {}
        elif name == "reset":
            self.reset()
            state = {}
        elif name == "push":
            data.push(self.world, **body)
            state = {}
        else:
            return Reply(404, b"{}", {})
        return Reply(200, json.dumps(state).encode(), {"Content-Type": "application/json"})

    def reset(self) -> None:
        """An empty account, with the same token, clock and limits."""
        old = self.world
        self.world = World(old.token, now=old.now, delay=old.delay, page=old.page)
        self.world.limits = old.limits
        self.faults, self.journal = [], []


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    api: Api

    def _serve(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        reply = self.api.handle(self.command, self.path, dict(self.headers), content)
        if reply is None:
            self.close_connection = True
            return
        self.send_response_only(reply.status)
        self.send_header("Date", email.utils.formatdate(self.api.world.now(), usegmt=True))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.status != 204:
            self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if reply.status != 204:
            self.wfile.write(reply.body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    def log_message(self, format: str, *arguments: Any) -> None:
        """The journal takes its place."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


def make_server(api: Api, port: int = 0) -> ThreadingHTTPServer:
    """A server on loopback; port 0 chooses a free one."""
    handler = type("Handler", (_Handler,), {"api": api, "wbufsize": -1, "disable_nagle_algorithm": True})
    return _Server(("127.0.0.1", port), handler)


@contextmanager
def simulating(world: World) -> Iterator[tuple[Api, str]]:
    """A simulator in this process, checked against the description when it is at hand, and its address."""
    api = Api(world, load())
    with serving(make_server(api)) as port:
        yield api, f"http://127.0.0.1:{port}"

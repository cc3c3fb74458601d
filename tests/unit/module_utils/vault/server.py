# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An HTTP server on loopback that answers as a test says, for what a healthy OpenBao does not do on demand."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.serving import serving


@dataclass(frozen=True)
class Answer:
    """``body``: JSON, unless it is text already."""

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Scripted:
    """Gives the ``answers`` in turn, the last one for ever, and notes each request as (method, path, token)."""

    url: str
    answers: list[Answer]
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)


@contextlib.contextmanager
def scripted(*answers: Answer) -> Iterator[Scripted]:
    """A server for the time of a ``with``."""
    script = Scripted("", list(answers))

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            script.requests.append((self.command, self.path, self.headers.get("X-Vault-Token")))
            answer = script.answers.pop(0) if len(script.answers) > 1 else script.answers[0]
            text = isinstance(answer.body, str)
            content = (answer.body if text else json.dumps(answer.body)).encode()
            self.send_response(answer.status)
            self.send_header("Content-Type", "text/html" if text else "application/json")
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = _answer

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: the requests are noted."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with serving(server) as port:
        script.url = f"http://127.0.0.1:{port}"
        yield script

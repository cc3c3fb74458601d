# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The REST client alone: what is repeated, what is an error, what leaves this host."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.clock import Clock
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import (
    InputError,
    PlatformError,
    TransientError,
    UnreachableError,
)
from ansible_collections.dcm.platform.plugins.module_utils.rest import (
    AbsentError,
    AnsweredError,
    Dialect,
    ErrorBody,
    RestClient,
    query_of,
    retry_after,
    until_reset,
)

TOKEN = "canary-token"
Answer = tuple[int, str, dict[str, str]]


def error_in(document: Any) -> ErrorBody | None:
    return ErrorBody(document["error"], document.get("code")) if "error" in document else None


VENDOR = Dialect("Vendor", error_in, lambda document: query_of(document["next"]) if "next" in document else None)


class Server:
    """Answers with a list of replies in their order, and remembers what was asked."""

    def __init__(self) -> None:
        self.replies: list[Answer] = []
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                server.asked.append((self.command, self.path, dict(self.headers)))
                status, body, headers = server.replies.pop(0)
                self.send_response_only(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body.encode())

            do_GET = do_POST = do_PUT = do_DELETE = answer

            def log_message(self, format: str, *arguments: Any) -> None:
                """Nothing: the list of what was asked is the log."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.http.shutdown()
    running.http.server_close()


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def client(server: Server, pauses: list[float]) -> RestClient:
    now = [0.0]

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        now[0] += seconds

    return RestClient(VENDOR, server.url, TOKEN, clock=Clock(lambda: now[0], sleep))


def test_pages_are_read_to_the_end_and_only_the_query_of_a_link_is_used(server: Server, client: RestClient) -> None:
    server.replies = [
        (200, '{"items": [1], "next": "https://elsewhere.example.com/steal?page=2"}', {}),
        (200, '{"items": [2]}', {}),
    ]
    assert client.pages("/items", "items", {"per_page": 1}) == [1, 2]
    assert [path for _method, path, _headers in server.asked] == ["/items?per_page=1", "/items?per_page=1&page=2"]


def test_a_redirect_is_refused_and_the_token_stays(server: Server, client: RestClient) -> None:
    server.replies = [(302, "", {"Location": "http://127.0.0.2/"})]
    with pytest.raises(PlatformError):
        client.get("/items")
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("reply", "error", "message"),
    [
        ((404, '{"error": "no such thing"}', {}), AbsentError, "HTTP 404 on GET /x: no such thing."),
        ((422, '{"error": "bad name"}', {}), AnsweredError, "HTTP 422 on GET /x: bad name."),
        ((401, '{"error": "who?"}', {}), AnsweredError, "Check the token"),
        ((200, '{"error": "gone", "code": 404}', {}), AbsentError, "HTTP 404 on GET /x: gone."),
        ((200, '{"error": "odd"}', {}), AnsweredError, "HTTP 400 on GET /x: odd."),
        ((200, "<html>login</html>", {}), PlatformError, "is not Vendor"),
        ((403, "<html>proxy</html>", {}), AnsweredError, "HTTP 403 on GET /x."),
    ],
)
def test_refusals_name_service_address_and_call(
    reply: Answer, error: type[PlatformError], message: str, server: Server, client: RestClient
) -> None:
    server.replies = [reply]
    with pytest.raises(error) as caught:
        client.get("/x")
    assert message in str(caught.value)
    assert server.url in str(caught.value)
    assert "<html>" not in str(caught.value)
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("first", [(502, "<html>", {}), (500, '{"error": "oops"}', {}), (429, "{}", {})])
@pytest.mark.parametrize("call", [lambda c: c.get("/x"), lambda c: c.put("/x", {}), lambda c: c.delete("/x")])
def test_what_may_be_repeated_is(
    first: Answer, call: Callable[[RestClient], Any], server: Server, client: RestClient, pauses: list[float]
) -> None:
    server.replies = [first, (200, "{}", {})]
    call(client)
    assert len(server.asked) == 2
    assert len(pauses) == 1


def test_a_post_with_a_lost_answer_is_looked_for_first(server: Server, client: RestClient) -> None:
    server.replies = [(500, "{}", {}), (500, "{}", {}), (201, '{"made": 2}', {})]
    looks = iter([None, None])
    assert client.post("/x", {}, done=lambda: next(looks)) == {"made": 2}
    server.replies = [(502, "<html>", {})]
    assert client.post("/x", {}, done=lambda: "found") == "found"
    assert [method for method, _path, _headers in server.asked] == ["POST"] * 4


def test_a_post_that_was_rejected_for_its_rate_is_repeated_without_looking(server: Server, client: RestClient) -> None:
    def look() -> None:
        raise AssertionError("nothing was lost")

    server.replies = [(429, "{}", {"Retry-After": "3"}), (201, '{"made": 1}', {})]
    assert client.post("/x", {}, done=look) == {"made": 1}


def test_a_pause_that_is_too_long_is_an_error_at_once(server: Server, client: RestClient, pauses: list[float]) -> None:
    server.replies = [(429, "{}", {"Retry-After": "86400"})]
    with pytest.raises(TransientError):
        client.get("/x")
    assert pauses == []


def test_the_gate_holds_the_next_request_when_none_is_left(
    server: Server, client: RestClient, pauses: list[float]
) -> None:
    left = {"ratelimit-remaining": "0", "ratelimit-reset": "1700000042", "Date": "Tue, 14 Nov 2023 22:13:20 GMT"}
    server.replies = [(200, "{}", left), (200, "{}", {})]
    client.get("/x")
    client.get("/x")
    assert pauses == [42.0]


def test_retry_after_is_seconds_or_a_date() -> None:
    assert retry_after({"Retry-After": "7"}) == 7.0
    date = {"Retry-After": "Tue, 14 Nov 2023 22:13:30 GMT", "Date": "Tue, 14 Nov 2023 22:13:20 GMT"}
    assert retry_after(date) == 10.0
    assert retry_after({}) is None
    assert until_reset({"ratelimit-remaining": "17", "ratelimit-reset": "1700000042"}) is None


def test_nobody_there_and_no_address() -> None:
    clock = Clock(lambda: 0.0, lambda seconds: None)
    with pytest.raises(UnreachableError, match=r"Vendor at http://127\.0\.0\.1:9 is not reachable: Connection refused"):
        RestClient(VENDOR, "http://127.0.0.1:9", TOKEN, clock=clock).get("/x")
    with pytest.raises(InputError, match="is not an address"):
        RestClient(VENDOR, "vendor", TOKEN, clock=clock).get("/x")
    with pytest.raises(InputError, match="line break"):
        RestClient(VENDOR, "http://127.0.0.1:9", "two\nlines", clock=clock).get("/x")

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The client against a scripted API server on loopback: what it sends, and what it makes of every kind of answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.clock import Clock
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import (
    ConflictError,
    InputError,
    NotFoundError,
    PlatformError,
    RefusedError,
    TimedOutError,
    TransientError,
    UnreachableError,
)
from ansible_collections.dcm.platform.plugins.module_utils.engine.wait import NotYet
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.client import (
    LONGEST_OUTAGE,
    KubernetesClient,
    NotServedError,
    Object,
    Resource,
    connect,
)

WIDGET = Resource("example.org", "v1", "widgets", "Widget")
COLLECTION = "/apis/example.org/v1/namespaces/here/widgets"
TOKEN = "canary-token"
CUT = object()  # an answer that breaks the connection

Answer = Any  # (status, body[, headers]), or a list of watch events, or CUT


class Script:
    """The answers to come, and the requests that were made."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.requests: list[tuple[str, str, Any, str | None]] = []
        self.tokens: set[str | None] = set()


def _handler(script: Script) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            script.requests.append((self.command, self.path, body, self.headers["Content-Type"]))
            script.tokens.add(self.headers["Authorization"])
            answer = script.answers.pop(0)
            if answer is CUT:
                self.close_connection = True
                return
            if isinstance(answer, list):
                lines = "".join(json.dumps(event) + "\n" for event in answer)
                answer = (200, lines)
            status, content, *headers = answer
            data = (content if isinstance(content, str) else json.dumps(content)).encode()
            self.send_response(status)
            for name, value in headers[0].items() if headers else ():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = do_DELETE = answer

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    return Handler


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def address(script: Script) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(script))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


class FakeTime:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.clock = Clock(now=lambda: self.seconds, sleep=self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.seconds += max(seconds, 0.001)


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def client(address: str, time: FakeTime) -> KubernetesClient:
    made = connect(options(host=address, api_key=TOKEN))
    made.clock = time.clock
    return made


def options(**given: Any) -> dict[str, Any]:
    names = ("kubeconfig", "context", "host", "api_key", "ca_cert", "validate_certs")
    return {**dict.fromkeys(names), **given}


def widget(version: int, **rest: Any) -> Object:
    return {"metadata": {"name": "one", "resourceVersion": str(version)}, **rest}


def status(code: int, message: str) -> tuple[int, Object]:
    return code, {"kind": "Status", "apiVersion": "v1", "code": code, "message": message, "reason": "Because"}


def test_an_object_is_read_with_the_token(client: KubernetesClient, script: Script) -> None:
    script.answers = [(200, widget(1))]
    assert client.get(WIDGET, "here", "one") == widget(1)
    assert script.requests[0][:2] == ("GET", f"{COLLECTION}/one")
    assert script.tokens == {f"Bearer {TOKEN}"}


def test_an_object_that_is_not_there_is_none(client: KubernetesClient, script: Script) -> None:
    script.answers = [status(404, 'widgets "one" not found')]
    assert client.get(WIDGET, "here", "one") is None


def test_a_selection_is_one_request(client: KubernetesClient, script: Script) -> None:
    script.answers = [(200, {"kind": "WidgetList", "items": [widget(1), widget(2)]})]
    assert client.select(WIDGET, "here", "a=b,c=d") == [widget(1), widget(2)]
    assert [request[1] for request in script.requests] == [f"{COLLECTION}?labelSelector=a%3Db%2Cc%3Dd"]


def test_an_object_is_created_with_our_field_manager(client: KubernetesClient, script: Script) -> None:
    script.answers = [(201, widget(1))]
    client.create(WIDGET, "here", {"metadata": {"name": "one"}, "spec": {}})
    body = {"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": "one"}, "spec": {}}
    assert script.requests[0][:3] == ("POST", f"{COLLECTION}?fieldManager=dcm.platform", body)


def test_a_change_is_a_merge_patch(client: KubernetesClient, script: Script) -> None:
    script.answers = [(200, widget(2))]
    client.merge_patch(WIDGET, "here", "one", {"spec": {"size": None}})
    method, path, body, content_type = script.requests[0]
    assert (method, path) == ("PATCH", f"{COLLECTION}/one?fieldManager=dcm.platform")
    assert (body, content_type) == ({"spec": {"size": None}}, "application/merge-patch+json")


@pytest.mark.parametrize("answer", [(200, {"kind": "Status"}), status(404, "not found")])
def test_what_is_gone_may_be_deleted(client: KubernetesClient, script: Script, answer: Answer) -> None:
    script.answers = [answer]
    client.delete(WIDGET, "here", "one")
    assert script.requests[0][:2] == ("DELETE", f"{COLLECTION}/one")


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (status(400, "bad thing"), RefusedError, "refuses: bad thing."),
        (status(401, "Unauthorized"), RefusedError, "does not accept the credentials"),
        (status(403, "user x cannot create widgets"), RefusedError, "refuses: user x cannot create widgets."),
        (status(404, 'namespaces "here" not found'), NotFoundError, 'refuses: namespaces "here" not found.'),
        ((404, "404 page not found\n"), NotServedError, "does not serve widgets.example.org (example.org/v1)"),
        (status(409, 'widgets "one" already exists'), ConflictError, 'refuses: widgets "one" already exists.'),
        (status(422, "spec.size: too big"), RefusedError, "refuses: spec.size: too big."),
        (status(500, "etcdserver: request timed out"), TransientError, "refuses: etcdserver: request timed out."),
        ((503, "<html>proxy</html>"), TransientError, "refuses: Service Unavailable."),
        (CUT, UnreachableError, "is not reachable: the connection broke."),
    ],
    ids=lambda value: str(value[0]) if isinstance(value, tuple) else "",
)
def test_a_refused_write_says_who_refused_and_why(
    client: KubernetesClient, script: Script, answer: Answer, error: type[PlatformError], words: str
) -> None:
    script.answers = [answer]
    with pytest.raises(error) as raised:
        client.create(WIDGET, "here", {"metadata": {"name": "one"}})
    assert raised.value.__class__ is error
    assert str(raised.value).startswith(f"Kubernetes API at {client.address} ")
    assert words in str(raised.value)
    assert TOKEN not in str(raised.value)


def test_a_write_is_repeated_only_when_it_had_no_effect(
    client: KubernetesClient, script: Script, time: FakeTime
) -> None:
    script.answers = [(*status(429, "too many requests"), {"Retry-After": "7"}), (201, widget(1))]
    assert client.create(WIDGET, "here", {"metadata": {"name": "one"}}) == widget(1)
    assert time.seconds == 7


def test_a_read_survives_short_trouble(client: KubernetesClient, script: Script) -> None:
    script.answers = [CUT, status(503, "busy"), (200, widget(1))]
    assert client.get(WIDGET, "here", "one") == widget(1)


def test_nobody_there(time: FakeTime) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        address = f"http://127.0.0.1:{server.server_port}"
    client = connect(options(host=address, api_key=TOKEN))
    client.clock = time.clock
    with pytest.raises(UnreachableError, match=f"^Kubernetes API at {address} is not reachable: Connection refused"):
        client.get(WIDGET, "here", "one")


def size_is(wanted: int, seen: list[int | None] | None = None) -> Callable[[Object | None], int]:
    """An examination that ends when the widget has a size, and notes what it was shown."""

    def examine(current: Object | None) -> int:
        size = current["size"] if current else None
        if seen is not None:
            seen.append(size)
        if size != wanted:
            raise NotYet(f"its size is {size}")
        return wanted

    return examine


def event(kind: str, version: int, size: int) -> Object:
    return {"type": kind, "object": widget(version, size=size)}


def test_following_ends_at_once_when_all_is_well(client: KubernetesClient, script: Script) -> None:
    script.answers = [(200, widget(1, size=3))]
    assert client.follow(WIDGET, "here", "one", size_is(3), timeout=9) == 3
    assert len(script.requests) == 1


def test_following_watches_from_what_was_read(client: KubernetesClient, script: Script) -> None:
    seen: list[int | None] = []
    script.answers = [(200, widget(1, size=1)), [event("MODIFIED", 2, 2), event("MODIFIED", 3, 3)]]
    assert client.follow(WIDGET, "here", "one", size_is(3, seen), timeout=9) == 3
    assert seen == [1, 2, 3]
    method, path, _body, _type = script.requests[1]
    assert method == "GET"
    query = {"fieldSelector=metadata.name%3Done", "resourceVersion=1", "timeoutSeconds=9", "watch=true"}
    assert set(path.lower().partition("?")[2].split("&")) == {part.lower() for part in query}


GONE = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}}


@pytest.mark.parametrize(
    "ending",
    [[], [event("MODIFIED", 2, 2)], [GONE], status(410, "too old"), status(500, "leader changed"), CUT],
    ids=["closed", "closed after an event", "410 event", "410 answer", "500", "cut"],
)
def test_following_survives_the_end_of_a_watch(
    client: KubernetesClient, script: Script, time: FakeTime, ending: Answer
) -> None:
    script.answers = [(200, widget(1, size=1)), ending, (200, widget(9, size=3))]
    assert client.follow(WIDGET, "here", "one", size_is(3), timeout=9) == 3
    assert [request[1].partition("?")[0] for request in script.requests] == [
        f"{COLLECTION}/one",
        COLLECTION,
        f"{COLLECTION}/one",
    ]
    assert time.seconds <= 0.5  # so that a change in between is seen within a second


def test_following_sees_the_object_go(client: KubernetesClient, script: Script) -> None:
    seen: list[int | None] = []

    def gone(current: Object | None) -> None:
        seen.append(current["size"] if current else None)
        if current:
            raise NotYet("still there")

    script.answers = [(200, widget(1, size=1)), [event("DELETED", 2, 1)]]
    client.follow(WIDGET, "here", "one", gone, timeout=9)
    assert seen == [1, None]


def test_following_that_times_out_says_what_it_saw_last(client: KubernetesClient, script: Script) -> None:
    script.answers = [(200, widget(1, size=2)), []] * 50
    with pytest.raises(TimedOutError, match=r"^Gave up after 4 s waiting for Widget here/one: its size is 2\."):
        client.follow(WIDGET, "here", "one", size_is(3), timeout=4)


def test_following_does_not_wait_for_ever_for_a_dead_server(
    client: KubernetesClient, script: Script, time: FakeTime
) -> None:
    script.answers = [(200, widget(1, size=1)), [], *[CUT] * 1000]
    with pytest.raises(TimedOutError, match=f"^Kubernetes API at {client.address} is not reachable"):
        client.follow(WIDGET, "here", "one", size_is(3), timeout=9999)
    assert LONGEST_OUTAGE <= time.seconds < LONGEST_OUTAGE + 10


def test_following_stops_when_the_right_to_read_is_lost(client: KubernetesClient, script: Script) -> None:
    script.answers = [(200, widget(1, size=1)), status(403, "no more")]
    with pytest.raises(RefusedError, match="refuses: no more"):
        client.follow(WIDGET, "here", "one", size_is(3), timeout=9)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No configuration found"),
        ("", "file is empty"),
        ("[]", "it is not a kubeconfig"),
        ("token: [canary", "it is not a kubeconfig"),
        ("{}", "Expected key current-context"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used(tmp_path: Path, content: str | None, words: str) -> None:
    path = tmp_path / "kubeconfig"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError) as raised:
        connect(options(kubeconfig=str(path)))
    assert str(raised.value).startswith(f"The kubeconfig {path} cannot be used: ")
    assert words in str(raised.value)
    assert "canary" not in str(raised.value)


def test_a_kubeconfig_and_its_contexts(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    clusters = [{"name": name, "cluster": {"server": f"https://{name}.example.org"}} for name in ("a", "b")]
    contexts = [{"name": name, "context": {"cluster": name, "user": "me"}} for name in ("a", "b")]
    users = [{"name": "me", "user": {"token": TOKEN}}]
    path.write_text(json.dumps({"clusters": clusters, "contexts": contexts, "users": users, "current-context": "a"}))
    assert connect(options(kubeconfig=str(path))).address == "https://a.example.org"
    assert connect(options(kubeconfig=str(path), context="b")).address == "https://b.example.org"
    assert connect(options(kubeconfig=str(path), host="https://c.example.org/")).address == "https://c.example.org"
    with pytest.raises(InputError, match="Expected object with name c"):
        connect(options(kubeconfig=str(path), context="c"))


def test_a_host_that_is_no_url() -> None:
    with pytest.raises(InputError, match=r"^host: '192\.0\.2\.1:6443' is not a URL"):
        connect(options(host="192.0.2.1:6443", api_key=TOKEN))

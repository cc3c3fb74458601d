# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``velero_schedule`` on the real API server and the lab's stand-in for Velero; requests are counted on their way."""

from __future__ import annotations

import contextlib
import http.client
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.ansible_runner import ModuleResult
from tests.conftest import LabFixture
from tests.integration.velero.velero_lab import Velero, eventually, phase_of
from tests.serving import serving

PREFIX = "test-schedule"
MANY = 200
Schedule = Callable[..., ModuleResult]


def clean(velero: Velero) -> None:
    for name in velero.objects("schedules"):
        if name.startswith(PREFIX):
            velero.delete("schedules", name)


@pytest.fixture(scope="module")
def velero(lab: LabFixture) -> Iterator[Velero]:
    velero = Velero(lab, PREFIX)
    clean(velero)
    yield velero
    clean(velero)


@pytest.fixture
def schedule(run_module: Callable[..., ModuleResult], velero: Velero) -> Schedule:
    """``schedule({"name": …}, …, check=…)`` runs the module."""

    def call(*schedules: Any, check: bool = False, diff: bool = False, **options: Any) -> ModuleResult:
        arguments = {**velero.connection, "schedules": list(schedules), **options}
        return run_module("velero_schedule", arguments, check=check, diff=diff)

    return call


@pytest.mark.row("BDR-02")
@pytest.mark.row("BDR-03")
def test_from_nothing_to_a_schedule_and_back(velero: Velero, schedule: Schedule) -> None:
    name = f"{PREFIX}-daily"
    hook = {"name": "sync", "pre": [{"command": ["sync"], "timeout": "60s"}]}
    template = {"included_namespaces": ["a", "b"], "ttl": "168h", "storage_location": "primary", "hooks": [hook]}
    wanted = {"name": name, "cron": "0 2 * * *", "time_zone": "Europe/Berlin", "rpo": "24h", "template": template}

    predicted = schedule(wanted, check=True, diff=True)
    assert predicted["changed"], predicted
    assert predicted["diff"][0]["after"]["spec"]["schedule"] == "CRON_TZ=Europe/Berlin 0 2 * * *"
    assert velero.get(name, "schedules") is None

    assert schedule(wanted)["changed"]
    eventually(lambda: phase_of(velero.get(name, "schedules")) == "Enabled", "the server takes it")
    stored = velero.get(name, "schedules")
    assert stored["spec"]["skipImmediately"] is False, "the server writes into the spec"
    assert stored["spec"]["template"]["hooks"]["resources"][0]["pre"] == [
        {"exec": {"command": ["sync"], "timeout": "60s"}}
    ]
    again = schedule(wanted)
    assert not again["changed"], again
    assert again["schedules"] == [
        {
            "name": name,
            "state": "present",
            "changed": False,
            "phase": "Enabled",
            "last_backup": None,
            "paused": False,
        }
    ]

    other = {**wanted, "cron": "0 3 * * *", "paused": True, "template": {**template, "ttl": "24h"}}
    changed = schedule(other, diff=True)
    assert changed["diff"][0]["before"]["spec"] == {
        "schedule": "CRON_TZ=Europe/Berlin 0 2 * * *",
        "paused": None,
        "template": {"ttl": "168h"},
    }
    velero.patch("schedules", name, {"spec": {"template": {"includedNamespaces": ["b"]}}})
    assert schedule(other)["changed"], "drift is repaired"
    spec = velero.get(name, "schedules")["spec"]
    assert spec["paused"]
    assert spec["template"].items() >= {"includedNamespaces": ["a", "b"], "ttl": "24h"}.items()
    assert spec["template"]["storageLocation"] == "primary"
    assert not schedule({"name": name, "template": {"ttl": "24h0m"}})["changed"], "only what is given is compared"

    gone = {"name": name, "state": "absent"}
    assert schedule(gone, check=True)["changed"]
    assert velero.get(name, "schedules")
    assert schedule(gone)["changed"]
    assert velero.get(name, "schedules") is None
    assert not schedule(gone)["changed"]


class Counting:
    """A way to the API server that counts what goes through it."""

    def __init__(self, kubernetes: Any) -> None:
        self.requests: Counter[str] = Counter()
        context = ssl.create_default_context(cafile=kubernetes["certificate_authority"])
        server, requests, lock = urlsplit(kubernetes["server"]), self.requests, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def forward(self) -> None:
                with lock:
                    requests[self.command] += 1
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                upstream = http.client.HTTPSConnection(server.hostname or "", server.port, context=context)
                upstream.request(self.command, self.path, body, dict(self.headers))
                answer = upstream.getresponse()
                content = answer.read()
                upstream.close()
                self.send_response(answer.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = do_DELETE = forward

            def log_message(self, format: str, *args: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.options = {
            "kubeconfig": None,
            "context": None,
            "host": f"http://127.0.0.1:{self._server.server_port}",
            "api_key": kubernetes["token"],
        }

    @contextlib.contextmanager
    def open(self) -> Iterator[Counting]:
        """The way is there for the time of a ``with``."""
        with serving(self._server):
            yield self


def test_many_schedules_are_one_list_and_one_write_for_each_that_differs(velero: Velero, schedule: Schedule) -> None:
    wanted = [
        {"name": f"{PREFIX}-{number:03}", "cron": "0 2 * * *", "paused": True, "template": {"ttl": "24h"}}
        for number in range(MANY)
    ]
    with Counting(velero.kubernetes).open() as way:
        first = schedule(*wanted, **way.options)
        assert first["changed"], first
        assert way.requests == {"GET": 1, "POST": MANY}
        assert len([name for name in velero.objects("schedules") if name.startswith(PREFIX)]) == MANY
        way.requests.clear()
        assert not schedule(*wanted, **way.options)["changed"]
        assert way.requests == {"GET": 1}
        way.requests.clear()
        for item in wanted[:3]:
            item["cron"] = "0 4 * * *"
        changed = schedule(*wanted, {"name": f"{PREFIX}-none", "state": "absent"}, **way.options)
        assert [item["name"] for item in changed["schedules"] if item["changed"]] == [x["name"] for x in wanted[:3]]
        assert way.requests == {"GET": 1, "PATCH": 3}
        assert velero.kubernetes["token"] not in changed.output
        way.requests.clear()
        schedule(*({"name": item["name"], "state": "absent"} for item in wanted), **way.options)
        assert way.requests == {"GET": 1, "DELETE": MANY}


def test_a_schedule_that_velero_refuses(velero: Velero, schedule: Schedule) -> None:
    name = f"{PREFIX}-zone"
    wanted = {"name": name, "cron": "0 2 * * *", "time_zone": "Europe/Nowhere"}
    assert schedule(wanted)["changed"], "only the server knows the time zones"
    eventually(lambda: phase_of(velero.get(name, "schedules")) == "FailedValidation", "the server refuses it")
    for check in (True, False):
        result = schedule(wanted, check=check)
        assert result["failed"]
        assert f"Schedule {velero.namespace}/{name} is refused by Velero: invalid schedule: provided" in result["msg"]
    assert schedule({**wanted, "time_zone": "Europe/Berlin"})["changed"]
    eventually(lambda: phase_of(velero.get(name, "schedules")) == "Enabled", "the server takes it")


def test_what_cannot_be_asked_for(schedule: Schedule) -> None:
    for item, words in (
        ({"name": "a", "cron": "0 24 * * *"}, "Schedule a: cron: the hour '24' is not within 0 to 23."),
        ({"name": "a", "cron": "0 2 * * 1", "rpo": "24h"}, "more than the objective of 24h"),
        ({"name": "a", "template": {"label_selector": {}, "or_label_selectors": []}}, "mutually exclusive"),
    ):
        result = schedule(item)
        assert result["failed"]
        assert words in result["msg"]
        assert "Traceback" not in result.output
    nowhere = schedule({"name": "a", "cron": "@daily"}, namespace="nowhere")
    assert 'refuses: namespaces "nowhere" not found.' in nowhere["msg"]
    assert nowhere["failed_changes"][0]["name"] == "a"

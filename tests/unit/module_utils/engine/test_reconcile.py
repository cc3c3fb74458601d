# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The engine's sequence: what is read, planned, applied and reported, in every mode."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, Outcome, Secret
from ansible_collections.dcm.platform.plugins.module_utils.engine.concurrent import apply_each
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import (
    PlatformError,
    RefusedError,
    TimedOutError,
    UnreachableError,
)
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import Library
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import Reconciler, reconcile


class Ended(SystemExit):
    """The exit of the module, as AnsibleModule does it."""


class FakeModule:
    """What the engine uses of AnsibleModule."""

    _name = "fake"

    def __init__(self, *, check: bool = False, diff: bool = False, verbosity: int = 0, secrets: Iterable[str] = ()):
        self.check_mode, self._diff, self._verbosity = check, diff, verbosity
        self.no_log_values = set(secrets)
        self.result: dict[str, Any] = {}

    def exit_json(self, **result: Any) -> None:
        self.result = result
        raise Ended

    def fail_json(self, **result: Any) -> None:
        self.result = {"failed": True, **result}
        raise Ended


class Shelf(Reconciler[dict[str, Any]]):
    """A system of named values; ``broken`` maps a name to the error that applying it raises."""

    def __init__(self, desired: dict[str, Any], actual: dict[str, Any], broken: dict[str, Exception] | None = None):
        self.desired, self.actual, self.broken = desired, actual, broken or {}
        self.calls: list[str] = []
        self.settle_error: Exception | None = None

    def read(self) -> dict[str, Any]:
        self.calls.append("read")
        return dict(self.actual)

    def plan(self, actual: dict[str, Any]) -> list[Change]:
        return [
            Change("update", "value", name, {"value": actual.get(name)}, {"value": value}, payload=value)
            for name, value in self.desired.items()
            if actual.get(name) != value
        ]

    def apply(self, changes: Sequence[Change]) -> Iterator[Outcome]:
        return apply_each(changes, self._apply)

    def _apply(self, change: Change) -> None:
        self.calls.append(f"apply {change.name}")
        if change.name in self.broken:
            raise self.broken[change.name]
        self.actual[change.name] = change.payload

    def settle(self) -> None:
        self.calls.append("settle")
        if self.settle_error:
            raise self.settle_error

    def result(self, actual: dict[str, Any], changes: Sequence[Change]) -> dict[str, Any]:
        return {"values": sorted(self.desired)}


def run(shelf: Reconciler[Any], libraries: Sequence[Library] = (), **options: Any) -> dict[str, Any]:
    module = FakeModule(**options)
    with pytest.raises(Ended):
        reconcile(cast(AnsibleModule, module), lambda: shelf, libraries=libraries)
    return module.result


@pytest.mark.row("COL-07")
def test_check_mode_reads_and_plans_but_does_not_apply() -> None:
    shelf = Shelf({"a": 1, "b": 2}, {"a": 1})
    predicted = run(shelf, check=True, diff=True)
    assert shelf.calls == ["read"]
    real = run(Shelf({"a": 1, "b": 2}, {"a": 1}), diff=True)
    assert predicted == real
    assert real["changed"] is True
    assert [entry["before_header"] for entry in real["diff"]] == ["value b"]


def test_nothing_to_do_is_not_a_change_but_still_settles() -> None:
    shelf = Shelf({"a": 1}, {"a": 1})
    assert run(shelf) == {"changed": False, "values": ["a"]}
    assert shelf.calls == ["read", "settle"]


def test_one_refusal_does_not_stop_the_others_and_everything_is_reported() -> None:
    shelf = Shelf({"a": 1, "b": 2, "c": 3}, {}, {"b": RefusedError("b is forbidden.", hint="Ask for it.")})
    result = run(shelf)
    assert result["failed"] is True
    assert result["changed"] is True
    assert result["msg"] == "b is forbidden. Ask for it. 2 of 3 changes were made, 1 failed, 0 not tried."
    assert [change["name"] for change in result["applied"]] == ["a", "c"]
    assert [change["name"] for change in result["failed_changes"]] == ["b"]
    assert shelf.actual == {"a": 1, "c": 3}


def test_an_unreachable_server_stops_the_run_and_the_rest_is_not_tried() -> None:
    shelf = Shelf({"a": 1, "b": 2, "c": 3}, {}, {"b": UnreachableError("Shelf", "127.0.0.1:1", "refused")})
    result = run(shelf)
    assert [change["name"] for change in result["not_tried"]] == ["c"]
    assert "Shelf at 127.0.0.1:1 is not reachable: refused." in result["msg"]


def test_a_second_run_finishes_what_the_first_left() -> None:
    shelf = Shelf({"a": 1, "b": 2, "c": 3}, {}, {"b": UnreachableError("Shelf", "127.0.0.1:1", "refused")})
    run(shelf)
    shelf.broken = {}
    assert run(shelf)["changed"] is True
    assert run(shelf)["changed"] is False


def test_a_wait_that_fails_after_the_write_still_reports_the_write() -> None:
    shelf = Shelf({"a": 1}, {})
    shelf.settle_error = TimedOutError("Gave up after 1 s waiting for a.")
    result = run(shelf)
    assert result["changed"] is True
    assert [change["name"] for change in result["applied"]] == ["a"]


class Broken(Shelf):
    def read(self) -> dict[str, Any]:
        raise ValueError("the password hunter22 is wrong")


@pytest.mark.row("SECR-12")
@pytest.mark.parametrize("verbosity", [0, 3])
def test_what_was_not_foreseen_is_one_message_without_secrets(verbosity: int) -> None:
    result = run(Broken({}, {}), secrets=["hunter22"], verbosity=verbosity)
    assert result["failed"] is True
    assert "Unexpected ValueError in fake: the password (secret) is wrong." in result["msg"]
    assert "Traceback" not in result["msg"]
    assert "hunter22" not in str(result)
    assert ("exception" in result) is (verbosity >= 3)


@pytest.mark.row("SECR-12")
def test_secrets_show_in_the_diff_only_as_such() -> None:
    shelf = Shelf({"a": Secret("new-value")}, {"a": Secret("old-value")})
    result = run(shelf, diff=True)
    assert result["diff"][0]["before"] == {"value": "(secret, old)"}
    assert result["diff"][0]["after"] == {"value": "(secret, new)"}
    assert "new-value" not in str(result)


@pytest.mark.parametrize(
    ("library", "message"),
    [
        (Library("no_such_library", ("no-such",), "1.0"), "no-such is not installed, 1.0 or newer is needed"),
        (Library("yaml", ("PyYAML",), "999"), "PyYAML is 6"),
    ],
)
def test_a_missing_or_old_library_is_named_with_the_command_that_helps(library: Library, message: str) -> None:
    shelf = Shelf({"a": 1}, {})
    result = run(shelf, libraries=[library])
    assert message in result["msg"]
    assert f"-m pip install '{library.packages[0]}>={library.minimum}'" in result["msg"]
    assert shelf.calls == []


def test_the_error_of_making_the_client_is_reported_like_any_other() -> None:
    module = FakeModule()

    def make() -> Shelf:
        raise PlatformError("No token.", hint="Give one.")

    with pytest.raises(Ended):
        reconcile(cast(AnsibleModule, module), make)
    assert module.result == {"failed": True, "msg": "No token. Give one."}

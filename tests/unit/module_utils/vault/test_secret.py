# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The run over many secrets: conflicts, refusals and losses on the way, on a store in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Outcome
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import ConflictError, RefusedError
from ansible_collections.dcm.platform.plugins.module_utils.vault.errors import ForbiddenError, InvalidTokenError
from ansible_collections.dcm.platform.plugins.module_utils.vault.generate import Recipe
from ansible_collections.dcm.platform.plugins.module_utils.vault.key_value import KeyValue, Stored
from ansible_collections.dcm.platform.plugins.module_utils.vault.plan import (
    FINGERPRINT,
    Fingerprints,
    Wanted,
    plan_secret,
)
from ansible_collections.dcm.platform.plugins.module_utils.vault.secret import SecretReconciler


@dataclass
class Memory:
    """Behaves as :class:`KeyValue`. ``before_write`` is called with the path in the place where others interfere."""

    secrets: dict[str, Stored] = field(default_factory=dict)
    before_write: Callable[[str], None] = lambda path: None
    forbidden: frozenset[str] = frozenset()
    mount: str = "secret"
    version: int = 2
    lists_details: bool = False
    lock: Any = field(default_factory=threading.Lock)

    def read(self, path: str) -> Stored:
        if path in self.forbidden:
            raise ForbiddenError(f"forbids {path}", "permission denied")
        return self.secrets.get(path, Stored())

    read_metadata = read

    def write(self, path: str, data: Any, cas: int) -> int:
        self.before_write(path)
        with self.lock:
            version = self.read(path).version
            if version != cas:
                raise ConflictError("did not match")
            self.secrets[path] = Stored(version + 1, dict(data), exists=True)
            return version + 1

    def delete(self, path: str) -> None:
        self.secrets[path] = Stored(self.secrets[path].version, exists=True)

    def destroy(self, path: str) -> None:
        del self.secrets[path]

    def settle(self) -> None:
        """It is settled at once."""

    def put(self, path: str, **data: Any) -> None:
        """Somebody else's write."""
        self.secrets[path] = Stored(self.read(path).version + 1, data, exists=True)


def run(store: Memory, *wanted: Wanted, check: bool = False) -> tuple[dict[str, Any], list[Outcome]]:
    """What the engine does, up to the result; the outcomes that are errors, too."""
    reconciler = SecretReconciler(cast(KeyValue, store), wanted, workers=4)
    actual = reconciler.read()
    changes = reconciler.plan(actual)
    outcomes = [] if check else list(reconciler.apply(changes))
    errors = [outcome for outcome in outcomes if outcome.error is not None]
    return ({} if errors else reconciler.result(actual, changes)), errors


def once(action: Callable[[], None]) -> Callable[[str], None]:
    pending = [action]
    return lambda path: pending.pop()() if pending else None


WANTED = (
    Wanted("new", data={"b": 2, "a": 1}),
    Wanted("same", data={"a": 1}),
    Wanted("gone", state="absent"),
    Wanted("never", state="destroyed"),
    Wanted("dead", state="destroyed"),
)


def filled() -> Memory:
    store = Memory()
    for path in ("same", "gone", "dead"):
        store.put(path, a=1)
    return store


def test_the_result_lists_every_secret_and_check_mode_predicts_it() -> None:
    predicted, _errors = run(filled(), *WANTED, check=True)
    result, _errors = run(filled(), *WANTED)
    assert predicted == result
    assert result["changed"] is True
    assert result["counts"] == {
        "created": 1,
        "updated": 0,
        "deleted": 1,
        "destroyed": 1,
        "undeleted": 0,
        "unchanged": 2,
    }
    assert [(one["path"], one["version"], one["keys"], one["changed"]) for one in result["secrets"]] == [
        ("new", 1, ["a", "b"], True),
        ("same", 1, ["a"], False),
        ("gone", 1, [], True),
        ("never", 0, [], False),
        ("dead", 0, [], True),
    ]


def test_a_second_run_changes_nothing() -> None:
    store = filled()
    run(store, *WANTED)
    result, errors = run(store, *WANTED)
    assert not errors
    assert result["changed"] is False
    assert result["counts"]["unchanged"] == 5


def test_a_generated_value_of_somebody_faster_is_kept() -> None:
    store = Memory()
    store.before_write = once(lambda: store.put("p", key="theirs"))
    result, errors = run(store, Wanted("p", generate={"key": Recipe()}))
    assert not errors
    assert store.secrets["p"].data == {"key": "theirs"}
    assert result["changed"] is False
    assert result["secrets"][0]["version"] == 1


def test_both_changes_are_made_if_they_fit() -> None:
    store = Memory()
    store.before_write = once(lambda: store.put("p", theirs=1))
    result, errors = run(store, Wanted("p", data={"ours": 2}, replace=False))
    assert not errors
    assert store.secrets["p"].data == {"theirs": 1, "ours": 2}
    assert result["changed"] is True
    assert result["secrets"][0]["version"] == 2


def test_a_write_whose_answer_was_lost_counts_as_a_change() -> None:
    store = Memory()
    store.before_write = once(lambda: store.put("p", key="ours"))
    result, errors = run(store, Wanted("p", data={"key": "ours"}))
    assert not errors
    assert result["changed"] is True
    assert result["secrets"][0]["version"] == 1


def test_what_contradicts_fails_alone_and_is_not_overwritten() -> None:
    store = Memory()
    store.before_write = lambda path: store.put("p", key="theirs") if path == "p" else None
    _result, errors = run(store, Wanted("p", data={"key": "ours"}), Wanted("q", data={"key": 1}))
    [error] = errors
    assert isinstance(error.error, ConflictError)
    assert "Secret p was changed by somebody else" in str(error.error)
    assert store.secrets["p"].data == {"key": "theirs"}
    assert store.secrets["q"].data == {"key": 1}


def test_somebody_who_never_stops_writing_wins() -> None:
    store = Memory()
    counter = iter(range(10))
    store.before_write = lambda path: store.put("p", **{f"key{next(counter)}": 1})
    _result, errors = run(store, Wanted("p", data={"ours": 2}, replace=False))
    assert [type(error.error) for error in errors] == [ConflictError]
    assert "ours" not in (store.secrets["p"].data or {})


def test_a_forbidden_path_fails_alone() -> None:
    store = Memory(forbidden=frozenset({"p"}))
    _result, errors = run(store, Wanted("p", data={"a": 1}), Wanted("q", data={"a": 1}))
    assert [outcome.change.name for outcome in errors] == ["p"]
    assert store.secrets["q"].data == {"a": 1}


def test_check_mode_fails_where_the_run_would() -> None:
    store = Memory(forbidden=frozenset({"p"}))
    with pytest.raises(ForbiddenError, match="forbids p"):
        run(store, Wanted("q", data={"a": 1}), Wanted("p", data={"a": 1}), check=True)
    deleted = Memory({"p": Stored(2, exists=True)})
    with pytest.raises(RefusedError, match="version 2 of it is deleted"):
        run(deleted, Wanted("p", data={"a": 1}, overwrite=False), check=True)


def test_a_token_that_expires_on_the_way_ends_the_run() -> None:
    store = Memory()
    tried: list[str] = []

    def expire(path: str) -> None:
        tried.append(path)
        raise InvalidTokenError("http://vault", "expired", "log in")

    store.before_write = expire
    _result, errors = run(store, *(Wanted(f"p{number}", data={"a": 1}) for number in range(40)))
    assert 1 <= len(tried) == len(errors) <= 4  # those that were under way; the others are reported as not tried


FINGERPRINTS = Fingerprints("a-key-of-a-test-long-enough")
WISH = Wanted("p", data={"user": "u"}, generate={"password": Recipe()})


def listed(wanted: Wanted, version: int = 3, mark_of: int = 3, live: bool = True) -> Stored:
    custom = {FINGERPRINT: FINGERPRINTS.of(wanted, mark_of)}
    return Stored(version, exists=True, custom=custom, listed_live=live)


def test_a_right_fingerprint_stands_for_the_secret() -> None:
    assert FINGERPRINTS.fulfilled(WISH, listed(WISH))
    assert plan_secret(WISH, listed(WISH), fingerprints=FINGERPRINTS) is None


@pytest.mark.parametrize(
    ("wanted", "stored"),
    [
        pytest.param(WISH, listed(WISH, version=4), id="somebody wrote since"),
        pytest.param(WISH, listed(WISH, live=False), id="deleted"),
        pytest.param(replace(WISH, data={"user": "v"}), listed(WISH), id="other data"),
        pytest.param(replace(WISH, generate={}), listed(WISH), id="one key less"),
        pytest.param(replace(WISH, replace=False), listed(WISH), id="merged"),
        pytest.param(replace(WISH, path="q"), listed(WISH), id="another path"),
        pytest.param(WISH, Stored(3, exists=True, listed_live=True), id="no mark"),
    ],
)
def test_any_other_does_not(wanted: Wanted, stored: Stored) -> None:
    assert not FINGERPRINTS.fulfilled(wanted, stored)


def test_without_the_key_a_fingerprint_tells_nothing() -> None:
    assert not Fingerprints("another-key-of-a-test").fulfilled(WISH, listed(WISH))


def test_a_write_is_marked_with_the_version_it_makes() -> None:
    change = plan_secret(WISH, Stored(7, exists=True), fingerprints=FINGERPRINTS)
    assert change is not None
    assert change.payload.metadata == {"custom_metadata": {FINGERPRINT: FINGERPRINTS.of(WISH, 8)}}

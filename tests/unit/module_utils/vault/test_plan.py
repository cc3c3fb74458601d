# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is planned for a secret, without a server."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.change import render_diff
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import (
    ConflictError,
    InputError,
    RefusedError,
)
from ansible_collections.dcm.platform.plugins.module_utils.vault.generate import ALPHABETS, Recipe, generate
from ansible_collections.dcm.platform.plugins.module_utils.vault.key_value import Stored
from ansible_collections.dcm.platform.plugins.module_utils.vault.plan import (
    Wanted,
    Write,
    plan_again,
    plan_secret,
    same,
    wanted_secrets,
)
from hypothesis import given
from hypothesis import strategies as st

DATA = st.dictionaries(st.sampled_from("abcd"), st.one_of(st.none(), st.booleans(), st.integers(0, 2), st.text()))
RECIPES = st.dictionaries(st.sampled_from("abcd"), st.just(Recipe()))
ABSENT = Stored()
DELETED = Stored(version=4, exists=True)


def stored(version: int = 3, **data: Any) -> Stored:
    return Stored(version, data, exists=True)


def counting() -> Any:
    """A generator whose values tell how often it was asked."""
    numbers = iter(range(1000))
    return lambda recipe: {"": f"generated-{next(numbers)}"}


PRESENT = [
    # wanted, stored → action, data, version to write on
    pytest.param(Wanted("p", data={"a": 1}), ABSENT, ("create", {"a": 1}, 0), id="absent"),
    pytest.param(Wanted("p", data={"a": 1}), DELETED, ("create", {"a": 1}, 4), id="deleted: its version is the cas"),
    pytest.param(Wanted("p", data={"a": 1}), stored(a=1), None, id="equal"),
    pytest.param(Wanted("p", data={"a": 1}), stored(a=2), ("update", {"a": 1}, 3), id="differs"),
    pytest.param(Wanted("p", data={"a": True}), stored(a=1), ("update", {"a": True}, 3), id="true is not 1"),
    pytest.param(Wanted("p", data={"a": {"x": 1, "y": 2}}), stored(a={"y": 2, "x": 1}), None, id="order of keys"),
    pytest.param(Wanted("p", data={"a": 1}), stored(a=1, b=2), ("update", {"a": 1}, 3), id="replace drops keys"),
    pytest.param(Wanted("p", data={"a": 1}, replace=False), stored(a=1, b=2), None, id="merge keeps keys"),
    pytest.param(
        Wanted("p", data={"a": 0}, replace=False), stored(a=1, b=2), ("update", {"a": 0, "b": 2}, 3), id="merge updates"
    ),
    pytest.param(
        Wanted("p", generate={"a": Recipe()}), ABSENT, ("create", {"a": "generated-0"}, 0), id="generated if absent"
    ),
    pytest.param(Wanted("p", generate={"a": Recipe()}), stored(a="old"), None, id="never generated again"),
    pytest.param(Wanted("p", generate={"a": Recipe()}), stored(a=None), None, id="null is a value"),
    pytest.param(
        Wanted("p", data={"b": 2}, generate={"a": Recipe()}),
        stored(a="old", c=3),
        ("update", {"a": "old", "b": 2}, 3),
        id="replace keeps what was generated",
    ),
    pytest.param(Wanted("p", data={"a": 1}, overwrite=False), stored(a=2), None, id="not overwritten"),
    pytest.param(
        Wanted("p", data={"a": 1}, generate={"b": Recipe()}, overwrite=False), stored(a=2), None, id="nor completed"
    ),
    pytest.param(Wanted("p", data={"a": 1}, overwrite=False), ABSENT, ("create", {"a": 1}, 0), id="written if absent"),
]


@pytest.mark.parametrize(("wanted", "actual", "expected"), PRESENT)
def test_present(wanted: Wanted, actual: Stored, expected: Any) -> None:
    change = plan_secret(wanted, actual, counting())
    if expected is None:
        assert change is None
    else:
        assert change is not None
        assert (change.action, change.payload.data, change.payload.stored.version) == expected


def test_a_deleted_secret_is_not_buried_when_it_must_not_be_overwritten() -> None:
    with pytest.raises(RefusedError, match="version 4 of it is deleted"):
        plan_secret(Wanted("p", data={"a": 1}, overwrite=False), DELETED)


@pytest.mark.parametrize(
    ("state", "actual", "deletes"),
    [
        ("absent", ABSENT, False),
        ("absent", DELETED, False),
        ("absent", stored(a=1), True),
        ("destroyed", ABSENT, False),
        ("destroyed", DELETED, True),
        ("destroyed", stored(a=1), True),
        ("destroyed", Stored(0, exists=True), True),  # nothing but metadata
    ],
)
def test_removal(state: Any, actual: Stored, deletes: bool) -> None:
    change = plan_secret(Wanted("p", state=state), actual)
    assert (change is not None and change.action == "delete") is deletes


def test_the_diff_names_keys_and_hides_values() -> None:
    change = plan_secret(
        Wanted("p", data={"same": "s3cret", "new": "n3w", "other": "aft3r"}),
        stored(same="s3cret", other="bef0re", old="0ld"),
    )
    assert change is not None
    [diff] = render_diff([change])
    assert diff["before"] == {"same": "(secret)", "other": "(secret, old)", "old": "(secret)"}
    assert diff["after"] == {"same": "(secret)", "other": "(secret, new)", "new": "(secret)"}
    shown = repr((change, diff))
    assert not [value for value in ("s3cret", "n3w", "aft3r", "bef0re", "0ld") if value in shown]


@given(data=DATA, recipes=RECIPES, actual=st.one_of(st.none(), DATA), replace=st.booleans())
def test_what_was_written_needs_no_second_write(data: Any, recipes: Any, actual: Any, replace: bool) -> None:
    recipes = {key: recipe for key, recipe in recipes.items() if key not in data}
    wanted = Wanted("p", data=data, generate=recipes, replace=replace)
    before = ABSENT if actual is None else stored(**actual)
    change = plan_secret(wanted, before)
    after = before if change is None else Stored(before.version + 1, change.payload.data, exists=True)
    assert plan_secret(wanted, after) is None
    assert after.data is not None
    assert all(same(after.data[key], value) for key, value in data.items())
    kept = set(before.data or {}) if not replace else set(before.data or {}) & set(recipes)
    assert all(same(after.data[key], (before.data or {})[key]) for key in kept - set(data))


class TestAfterAConflict:
    """``plan_again``: somebody wrote between our read and our write."""

    def write(self, wanted: Wanted, before: Stored) -> Write:
        change = plan_secret(wanted, before)
        assert change is not None
        write: Write = change.payload
        return write

    def test_our_own_repeated_write_is_recognised(self) -> None:
        wanted = Wanted("p", generate={"a": Recipe()})
        write = self.write(wanted, ABSENT)
        assert plan_again(wanted, write, Stored(1, write.data, exists=True)) is None

    def test_what_the_other_generated_is_kept(self) -> None:
        wanted = Wanted("p", generate={"a": Recipe()})
        assert plan_again(wanted, self.write(wanted, ABSENT), stored(1, a="theirs")) is None

    def test_changes_that_fit_together_are_both_made(self) -> None:
        wanted = Wanted("p", data={"a": 1}, replace=False)
        change = plan_again(wanted, self.write(wanted, stored(3, x=0)), stored(4, x=0, b=2))
        assert change is not None
        assert change.payload.data == {"x": 0, "a": 1, "b": 2}
        assert change.payload.stored.version == 4

    @pytest.mark.parametrize(
        "now", [stored(4, x=0, b=2), stored(4, x=9), Stored(4, exists=True)], ids=["added", "changed", "deleted"]
    )
    def test_what_the_other_did_is_not_undone(self, now: Stored) -> None:
        wanted = Wanted("p", data={"a": 1})
        with pytest.raises(ConflictError, match="Secret p was changed by somebody else"):
            plan_again(wanted, self.write(wanted, stored(3, x=0)), now)

    @given(wanted=DATA, before=DATA, now=DATA, replace=st.booleans())
    def test_no_update_is_lost(self, wanted: Any, before: Any, now: Any, replace: bool) -> None:
        secret = Wanted("p", data=wanted, replace=replace)
        change = plan_secret(secret, stored(3, **before))
        if change is None:
            return
        try:
            again = plan_again(secret, change.payload, stored(4, **now))
        except ConflictError:
            return
        final = now if again is None else again.payload.data
        missing = object()
        for key in {*before, *now}:
            theirs = now.get(key, missing)
            if not _equal(before.get(key, missing), theirs, missing):
                assert _equal(final.get(key, missing), theirs, missing)


def _equal(one: Any, other: Any, missing: object) -> bool:
    if one is missing or other is missing:
        return one is other
    return same(one, other)


@pytest.mark.parametrize("alphabet", list(ALPHABETS))
def test_generated_values(alphabet: str) -> None:
    values = {generate(Recipe(length=40, alphabet=alphabet))[""] for _attempt in range(50)}
    assert len(values) == 50
    assert {len(value) for value in values} == {40}
    assert set("".join(values)) == set(ALPHABETS[alphabet])  # 2000 characters: every one of at most 64 occurs


def item(path: str = "p", **options: Any) -> dict[str, Any]:
    return {
        "path": path,
        "state": "present",
        "data": None,
        "generate": None,
        "replace": True,
        "overwrite": True,
        **options,
    }


def test_options_become_wanted_secrets() -> None:
    [one, two, three] = wanted_secrets(
        [
            item("/a//b/", data={"x": 1}, generate={"y": {"length": "40", "alphabet": "hex"}, "z": None}),
            item("c", state="absent"),
            item("d", data='{"x": 1}', overwrite=False),
        ]
    )
    assert one == Wanted("a/b", data={"x": 1}, generate={"y": Recipe(length=40, alphabet="hex"), "z": Recipe()})
    assert two == Wanted("c", state="absent")
    assert three == Wanted("d", data={"x": 1}, overwrite=False)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([item("a", data={}), item("/a/", data={})], r"secrets\[1\] and secrets\[0\] have the same path a\."),
        ([item("a")], r"secrets\[0\] \(a\): state present needs data, generate or both"),
        ([item("a", data={"k": 1}, generate={"k": {}})], "k: given in data and in generate"),
        ([item("a", state="absent", data={"k": 1})], "data and generate mean nothing with state absent"),
        ([item("a", state="destroyed", generate={"k": {}})], "mean nothing with state destroyed"),
        ([item(" / ", data={})], "path must name a secret"),
        ([item("a/../b", data={})], r"without \. and \.\. segments"),
        ([item("a", data="hunter2")], r"secrets\[0\] \(a\): data must be a dictionary"),
        ([item("a", data=["hunter2"])], "data must be a dictionary"),
        ([item("a", generate={"k": {"length": 0}})], "generate.k: length must be 1 to 4096 characters, not 0"),
        ([item("a", generate={"k": {"length": 4097}})], "not 4097"),
        ([item("a", generate={"k": {"length": "long"}})], "generate.k: .*length"),
        ([item("a", generate={"k": {"alphabet": "klingon"}})], "generate.k: .*alphanumeric, hex, urlsafe"),
        ([item("a", generate={"k": {"size": 3}})], "generate.k: .*size"),
        ([item("a", generate={"k": 40})], "generate.k must be a dictionary of length and alphabet"),
    ],
)
def test_wrong_options_are_one_clear_message(items: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        wanted_secrets(items)
    assert "hunter2" not in str(raised.value)

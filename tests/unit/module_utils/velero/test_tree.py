# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Trees of wanted values: what differs, and that the patch brings it about."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.velero.backup_spec import same_members
from ansible_collections.dcm.platform.plugins.module_utils.velero.tree import (
    Leaf,
    difference,
    document,
    replacing,
    same_flag,
)
from hypothesis import given
from hypothesis import strategies as some


def merged(stored: Any, patch: Any) -> Any:
    """RFC 7386, as the API server does it."""
    if not isinstance(patch, dict):
        return patch
    result = dict(stored) if isinstance(stored, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


STORED = {"a": 1, "list": ["x", "y"], "map": {"k": "v", "old": "w"}, "inner": {"b": 2, "c": 3}, "status": "kept"}


@pytest.mark.parametrize(
    ("wanted", "patch", "before", "after"),
    [
        ({}, {}, {}, {}),
        ({"a": Leaf(1), "inner": {"b": Leaf(2)}}, {}, {}, {}),
        ({"a": Leaf(2)}, {"a": 2}, {"a": 1}, {"a": 2}),
        ({"list": Leaf(["y", "x"], same_members)}, {}, {}, {}),
        ({"list": Leaf(["y"], same_members)}, {"list": ["y"]}, {"list": ["x", "y"]}, {"list": ["y"]}),
        (
            {"map": Leaf({"k": "v", "new": "n"})},
            {"map": {"new": "n", "old": None}},
            {"map": {"k": "v", "old": "w"}},
            {"map": {"k": "v", "new": "n"}},
        ),
        ({"inner": {"b": Leaf(5)}}, {"inner": {"b": 5}}, {"inner": {"b": 2}}, {"inner": {"b": 5}}),
        ({"list": Leaf([])}, {"list": None}, {"list": ["x", "y"]}, {"list": None}),
        ({"none": Leaf(""), "deep": {"none": Leaf([])}}, {}, {}, {}),
        ({"flag": Leaf(False, same_flag)}, {}, {}, {}),
        ({"flag": Leaf(True, same_flag)}, {"flag": True}, {"flag": None}, {"flag": True}),
        ({"new": {"x": Leaf(1)}}, {"new": {"x": 1}}, {"new": {"x": None}}, {"new": {"x": 1}}),
    ],
)
def test_only_what_was_given_is_compared(wanted: Any, patch: Any, before: Any, after: Any) -> None:
    assert difference(wanted, STORED) == (patch, before, after)
    assert difference(wanted, merged(STORED, patch)).patch == {}


def test_a_new_object_has_no_empty_values() -> None:
    wanted = {"a": Leaf(1), "no": Leaf(None), "off": Leaf(False), "inner": {"b": Leaf(""), "c": Leaf("d")}, "e": {}}
    assert document(wanted) == {"a": 1, "off": False, "inner": {"c": "d"}}


VALUES = some.recursive(
    some.integers() | some.text(max_size=3) | some.booleans(),
    lambda inner: some.dictionaries(some.sampled_from("abc"), inner, max_size=3),
)


@given(some.dictionaries(some.sampled_from("abc"), VALUES), some.dictionaries(some.sampled_from("abc"), VALUES))
def test_a_replacing_patch_leaves_nothing_of_the_old(old: Any, new: Any) -> None:
    assert merged(old, replacing(old, new)) == new

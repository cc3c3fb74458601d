# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What counts as the same: parameters in the spellings of both sides, and policies by what they say."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.vault.documents import same, seconds
from ansible_collections.dcm.platform.plugins.module_utils.vault.policy import (
    CAPABILITIES,
    canonical,
    parse,
    render,
    same_policy,
)
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "expected"),
    [(90, 90), ("90", 90), ("1h30m", 5400), ("720h0m0s", 2592000), ("7d", 604800), ("soon", None), ("", None)],
)
def test_durations(text: Any, expected: int | None) -> None:
    assert seconds(text) == expected


SAME = [
    ("token_ttl", "20m", 1200),
    ("token_ttl", "0s", 0),
    ("max_versions", 5, "5"),
    ("token_policies", ["a", "b"], ["b", "a"]),
    ("token_policies", "a, b", ["b", "a"]),
    ("jwt_validation_pubkeys", ["key\n"], ["key"]),
    ("creation_statements", ["a", "b"], ["a", "b"]),
    ("bound_claims", {"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ("disable_local_ca_jwt", "true", True),
    ("disable_local_ca_jwt", False, None),
    ("description", "", None),
]
DIFFERENT = [
    ("token_ttl", "20m", 1201),
    ("token_policies", ["a"], ["a", "b"]),
    ("token_policies", [], ["a"]),
    ("creation_statements", ["a", "b"], ["b", "a"]),
    ("bound_claims", {"a": 1}, {"a": 1, "b": 2}),
    ("disable_local_ca_jwt", True, None),
    ("description", "x", None),
    ("max_versions", 0, 5),
]


@pytest.mark.parametrize(("name", "wanted", "actual"), SAME)
def test_the_same(name: str, wanted: Any, actual: Any) -> None:
    assert same(name, wanted, actual)


@pytest.mark.parametrize(("name", "wanted", "actual"), DIFFERENT)
def test_different(name: str, wanted: Any, actual: Any) -> None:
    assert not same(name, wanted, actual)


PATHS = st.dictionaries(
    st.text(min_size=1), st.sets(st.sampled_from(CAPABILITIES), min_size=1).map(sorted), min_size=1, max_size=5
)


@given(PATHS, st.randoms(use_true_random=False))
def test_order_spelling_and_comments_make_no_difference(paths: dict[str, list[str]], order: random.Random) -> None:
    rules = [{"path": path, "capabilities": capabilities} for path, capabilities in paths.items()]
    text = render(rules)
    assert parse(text) == {"path": {path: {"capabilities": capabilities} for path, capabilities in paths.items()}}
    order.shuffle(rules)
    for rule in rules:
        order.shuffle(rule["capabilities"])  # type: ignore[arg-type]
    other = "# a comment\n" + render(rules).replace("\n", "  // more\n")
    assert same_policy(text, other)
    assert same_policy(text, json.dumps(parse(text)))


@given(PATHS, PATHS)
def test_other_rules_are_another_policy(one: dict[str, list[str]], other: dict[str, list[str]]) -> None:
    rules = [[{"path": path, "capabilities": found} for path, found in paths.items()] for paths in (one, other)]
    assert same_policy(render(rules[0]), render(rules[1])) == (one == other)


def test_what_cannot_be_read_is_compared_as_text() -> None:
    assert canonical('path "a" {\n  capabilities') == 'path "a" { capabilities'
    assert not same_policy('path "a" {', 'path "b" {')
    twice = 'path "a" { capabilities = ["read"] } path "a" { capabilities = ["list"] }'
    assert not same_policy(twice, 'path "a" { capabilities = ["list"] }')


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"capabilities": ["read"]}, r"paths\[0\] needs path and a list capabilities"),
        ({"path": "a", "capabilities": "read"}, r"paths\[0\] needs path and a list capabilities"),
        ({"path": "a", "capabilities": ["reed"]}, r"paths\[0\] \(a\): there is no capability reed"),
    ],
)
def test_wrong_rules(rule: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        render([rule])

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What must never leave a module, in the shapes in which it tries to."""

from __future__ import annotations

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, Secret, render_diff
from ansible_collections.dcm.platform.plugins.module_utils.engine.redaction import Redactor
from hypothesis import given
from hypothesis import strategies as st

PEM = "-----BEGIN ED25519 PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA\n-----END ED25519 PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (f"key: {PEM}!", "key: (secret)!"),
        ("-----BEGIN RSA PRIVATE KEY-----\ncut off here", "(secret)"),
        ("PASSWORD 'SCRAM-SHA-256$4096:c2FsdA==$aGFzaA==:c2VydmVy'", "PASSWORD '(secret)'"),
        ("token hvs.CAESIJ1234567890abcdefghij denied", "token (secret) denied"),
        ("https://user:pass@host:5432/db", "https://(secret)@host:5432/db"),
        ("nothing to hide: 127.0.0.1:5432", "nothing to hide: 127.0.0.1:5432"),
    ],
)
def test_what_looks_like_a_secret_is_masked(text: str, clean: str) -> None:
    assert Redactor().text(text) == clean


@given(st.text(min_size=4), st.text(), st.text())
def test_a_known_value_never_survives(value: str, before: str, after: str) -> None:
    masked = Redactor([value]).text(f"{before}{value}{after}")
    assert value not in masked.replace("(secret)", "")


def test_trees_are_masked_to_the_leaves() -> None:
    tree = {"a": ["hunter22", {"b": "x hunter22"}], "n": 1}
    assert Redactor(["hunter22"]).tree(tree) == {"a": ["(secret)", {"b": "x (secret)"}], "n": 1}


def test_a_longer_secret_is_masked_before_its_part() -> None:
    assert Redactor(["hunter", "hunter22"]).text("hunter22") == "(secret)"


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        (None, {"k": Secret("x")}, ({}, {"k": "(secret)"})),
        ({"k": Secret("x")}, None, ({"k": "(secret)"}, {})),
        ({"k": Secret("x")}, {"k": Secret("x")}, ({"k": "(secret)"}, {"k": "(secret)"})),
        ({"k": Secret("x")}, {"k": Secret("y")}, ({"k": "(secret, old)"}, {"k": "(secret, new)"})),
        ({"l": [Secret("x"), 1]}, {"l": [Secret("y"), 1]}, ({"l": ["(secret, old)", 1]}, {"l": ["(secret, new)", 1]})),
        ({"m": {"k": Secret("x")}}, {"m": {"k": "open"}}, ({"m": {"k": "(secret)"}}, {"m": {"k": "open"}})),
    ],
)
def test_the_diff_tells_that_a_secret_differs_and_not_what_it_is(before: object, after: object, shown: object) -> None:
    entry = render_diff([Change("update", "thing", "a", before, after)])[0]  # type: ignore[arg-type]
    assert (entry["before"], entry["after"]) == shown


def test_a_secret_has_no_telling_representation() -> None:
    assert repr(Secret("hunter22")) == str(Secret("hunter22")) == "(secret)"
    assert hash(Secret("a")) == hash(Secret("b"))

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which guilds attack which, what counts as a surprise, and that the attacks are what they should be."""

from __future__ import annotations

import string
from collections import Counter

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.guild import guild_names
from ansible_collections.dcm.platform.plugins.module_utils.isolation import postgres, vault
from ansible_collections.dcm.platform.plugins.module_utils.isolation.check import (
    NOT_TESTED,
    Finding,
    findings_of,
    pairs_of,
    table,
)
from hypothesis import given
from hypothesis import strategies as st

GUILDS = [guild_names(number) for number in range(1, 8)]


def finding(expected: str, got: str, attack: str = "x") -> Finding:
    return Finding("postgresql", "A1", attack, "app", "1", "2", expected, got)


@given(size=st.integers(2, 7), number=st.integers(0, 60), seed=st.integers())
def test_pairs_are_different_and_spread_evenly(size: int, number: int, seed: int) -> None:
    pairs = pairs_of(GUILDS[:size], number, seed)
    assert pairs == pairs_of(GUILDS[:size], number, seed)
    everything = size * (size - 1)
    assert len(set(pairs)) == len(pairs) == (min(number, everything) or everything)
    assert all(own != other for own, other in pairs)
    for side in zip(*pairs, strict=True):
        counts = Counter(names.id for names in side)
        assert max(counts.values()) <= -(-len(pairs) // size)


@pytest.mark.parametrize(
    ("expected", "got", "surprising"),
    [
        ("deny", "deny", False),
        ("deny", "allow", True),
        ("allow", "deny", True),
        ("deny", "error", True),
        ("allow", "error", True),
        ("either", "allow", False),
        ("either", "deny", False),
        ("either", "error", True),
        ("deny", NOT_TESTED, False),
    ],
)
def test_what_is_a_surprise(expected: str, got: str, surprising: bool) -> None:
    assert finding(expected, got).surprising is surprising


def test_the_table_has_one_row_an_attack() -> None:
    rows = table([finding("deny", "deny"), finding("deny", "allow"), finding("allow", "allow", "y")])
    assert [(row["attack"], row["expected"], row["got"], row["outcomes"]) for row in rows] == [
        ("x", "deny", "allow, deny", {"deny": 1, "allow": 1}),
        ("y", "allow", "allow", {"allow": 1}),
    ]


def test_every_pair_attacks_in_every_store() -> None:
    class Store:
        def attack(self, own: object, other: object) -> list[Finding]:
            return [finding("deny", "deny")]

    pairs = pairs_of(GUILDS[:3], 0, 0)
    assert len(list(findings_of([Store(), Store()], pairs, workers=2))) == 12


def test_attacks_on_postgresql_name_only_what_there_is() -> None:
    known = {f"{whose}{suffix}" for whose in ("own", "other") for suffix in ("", "_name")}
    known |= {
        f"{whose}_{role}{suffix}"
        for whose in ("own", "other")
        for role in ("owner", "app", "ro")
        for suffix in ("", "_name")
    }
    known |= {
        f"{whose}_{kind}{suffix}"
        for whose in ("own", "other")
        for kind in postgres.TARGETS
        for suffix in ("", "_alone", "_text")
    }
    known |= {"other_session", "other_sequence_name"}
    for attack in postgres.ATTACKS:
        for text in (*attack.before, attack.statement, attack.effect):
            assert {name for _text, name, _format, _conversion in string.Formatter().parse(text) if name} <= known
    keys = [(attack.row, attack.name, attack.login) for attack in postgres.ATTACKS]
    assert len(set(keys)) == len(keys)


def test_expectations_follow_level_and_version() -> None:
    by_name = {attack.name: attack for attack in postgres.ATTACKS}
    assert by_name["DO $$ BEGIN END $$"].expected("model", 16) == "allow"
    assert by_name["DO $$ BEGIN END $$"].expected("hardened", 16) == "deny"
    connect = by_name["SET ROLE guild_connect"]
    assert (connect.expected("model", 15), connect.expected("model", 16)) == ("allow", "deny")
    assert by_name["connect to database postgres"].expected("model", 16) == "either"


def test_attacks_on_vault_name_only_what_there_is() -> None:
    known = {"own", "other", "own_policy", "other_policy", "mount", "path", "secret"}
    for attack in vault.ATTACKS:
        assert {name for _text, name, _format, _conversion in string.Formatter().parse(attack.path) if name} <= known

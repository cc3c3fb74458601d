# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which ids are guild ids, and what is derived from them."""

from __future__ import annotations

import math
from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.guild import (
    LARGEST_ID,
    guild_id,
    guild_ids,
    guild_key_prefix,
    guild_names,
    guild_passwords,
    guild_prefix,
    require_confirmation,
)
from hypothesis import given
from hypothesis import strategies as st

LONGEST_NAME = 63  # bytes, in PostgreSQL; it cuts longer names without an error

identifiers = st.integers(1, LARGEST_ID)
prefixes = st.from_regex(r"[a-z]([a-z0-9_]{0,19}[a-z_])?", fullmatch=True).filter(lambda text: text[:3] != "pg_")


@given(identifiers)
def test_every_snowflake_is_accepted_as_text_and_as_a_number(number: int) -> None:
    assert guild_id(number) == guild_id(str(number)) == str(number)


@pytest.mark.row("DATA-08")
@pytest.mark.parametrize(
    "value",
    [
        "",
        "0",
        "01",
        "+1",
        "-1",
        " 1",
        "1 ",
        "1\n",
        "1\0",
        "1_000",
        "1e5",
        "0x1f",
        "\uff11\uff12",
        "\u0661",
        "\u00b2",
        "18446744073709551616",
        "1" * 21,
        "guild",
        "1; DROP SCHEMA public",
        '1" --',
        0,
        -1,
        LARGEST_ID + 1,
        pytest.param(10**5000, id="huge"),
        pytest.param(-(10**5000), id="huge negative"),
        pytest.param([10**5000], id="huge in a list"),
        True,
        False,
        1.0,
        1.2e18,
        math.nan,
        None,
        b"1",
        [1],
        {"id": 1},
    ],
)
def test_everything_else_is_refused(value: Any) -> None:
    with pytest.raises(InputError, match="is not a guild id") as refusal:
        guild_id(value)
    assert refusal.value.message.isascii() or "…" in refusal.value.message


@given(st.text() | st.integers() | st.floats() | st.booleans() | st.none() | st.binary())
def test_what_is_accepted_is_always_plain_digits(value: Any) -> None:
    try:
        text = guild_id(value)
    except InputError:
        return
    assert set(text) <= set("0123456789")
    assert 1 <= int(text) <= LARGEST_ID
    assert text == str(int(text))


@pytest.mark.row("DATA-08")
@given(identifiers, prefixes)
def test_names_fit_and_consist_of_harmless_characters(number: int, prefix: str) -> None:
    names = guild_names(number, prefix)
    for name in (names.schema, *names.roles.values()):
        assert len(name.encode()) <= LONGEST_NAME
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_")
        assert not name.startswith("pg_")


@given(identifiers, prefixes, identifiers, prefixes)
def test_no_two_guilds_share_a_name(one: int, one_prefix: str, other: int, other_prefix: str) -> None:
    if (one, one_prefix) == (other, other_prefix):
        return
    first, second = guild_names(one, one_prefix), guild_names(other, other_prefix)
    assert not {first.schema, *first.roles.values()} & {second.schema, *second.roles.values()}


@given(identifiers, identifiers)
def test_no_key_prefix_is_the_start_of_another(one: int, other: int) -> None:
    if one != other:
        assert not guild_key_prefix(one).startswith(guild_key_prefix(other))


def test_names_of_one_guild() -> None:
    names = guild_names("105844944714224099")
    assert names.schema == "g_105844944714224099"
    assert names.roles == {
        "owner": "g_105844944714224099_owner",
        "app": "g_105844944714224099_app",
        "ro": "g_105844944714224099_ro",
    }
    assert guild_key_prefix(7, "staging_") == "{staging_7}:"


@pytest.mark.parametrize(
    "prefix",
    ["", "G_", "_g", "1g", "g1", "pg_", "pg_g", "g-", "g ", 'g"', "gü", "g_\n", "g" * 22, "g" * 21 + "1", 1, None],
)
def test_bad_prefixes_are_refused(prefix: Any) -> None:
    with pytest.raises(InputError, match="is no prefix"):
        guild_prefix(prefix)


@pytest.mark.parametrize("prefix", ["g", "g_", "staging_", "pgx", "a2_", "g" * 21])
def test_good_prefixes_are_kept(prefix: str) -> None:
    assert guild_prefix(prefix) == prefix


def test_ids_of_a_list() -> None:
    assert guild_ids([{"id": 1}, {"id": "2"}]) == ["1", "2"]
    with pytest.raises(InputError, match="stands more than once in guilds: 7"):
        guild_ids([{"id": 7}, {"id": "8"}, {"id": "7"}])


@pytest.mark.parametrize("confirmation", ["7", 7])
def test_a_repeated_id_confirms(confirmation: Any) -> None:
    require_confirmation("7", confirmation)


@pytest.mark.parametrize("confirmation", [None, "8", "*", "all", True, ""])
def test_nothing_else_confirms(confirmation: Any) -> None:
    with pytest.raises(InputError, match=r"not removed without confirmation|is not a guild id"):
        require_confirmation("7", confirmation)


def test_passwords_are_those_of_the_list() -> None:
    assert guild_passwords(None, ["1"]) == {}
    assert guild_passwords('{"1": "x"}', ["1", "2"]) == {"1": "x"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{planted", "is no JSON"),
        ('["planted"]', "is no dictionary"),
        ('{"2": "planted"}', "not in guilds: 2"),
        ('{"x": "planted"}', "'x' is not a guild id"),
    ],
)
def test_bad_passwords_are_refused_unshown(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as refusal:
        guild_passwords(text, ["1"])
    assert "planted" not in str(refusal.value)

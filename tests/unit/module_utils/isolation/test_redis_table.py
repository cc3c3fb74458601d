# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The table of attacks on Redis says what it means."""

from __future__ import annotations

from ansible_collections.dcm.platform.plugins.module_utils.isolation.redis import ATTACKS, MARK


def test_names_are_the_rows_and_stand_once() -> None:
    names = [attack.name for attack in ATTACKS]
    assert len(set(names)) == len(names) > 150


def test_everything_is_filled_in_and_every_key_bears_the_mark() -> None:
    for attack in ATTACKS:
        for words in attack.words(1, "2", "s_"):
            assert not any("<" in word for word in words), attack.name
            lookalikes = attack.row == "K4"
            keys = [word for word in words if "{s_" in word]
            assert lookalikes or all(MARK in key for key in keys), attack.name


def test_words() -> None:
    (one,) = [attack for attack in ATTACKS if attack.commands[0].startswith('EVAL \'return redis.call("MGET"')]
    (words,) = one.words("1", "2")
    assert words == (
        "EVAL",
        'return redis.call("MGET", KEYS[1], KEYS[2])',
        "2",
        "{g_1}:dcm-check:a",
        "{g_2}:dcm-check:canary",
    )


def test_the_model_denies_whatever_another_guild_is_named_in() -> None:
    for attack in ATTACKS:
        if any("<other" in command for command in attack.commands):
            assert attack.model == "deny", attack.name
        assert (attack.model == "allow") == (attack.row == "W1"), attack.name

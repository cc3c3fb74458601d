# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Users of Redis, read and compared."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Secret
from ansible_collections.dcm.platform.plugins.module_utils.redis.acl import CommandTable, User, parse_users
from hypothesis import given
from hypothesis import strategies as st

OLD = CommandTable(
    {
        "read": frozenset({"get", "keys"}),
        "write": frozenset({"set"}),
        "dangerous": frozenset({"keys", "client"}),
        "fast": frozenset({"ping", "get", "set"}),
    }
)
NEW = CommandTable(
    {
        "read": frozenset({"get", "keys", "object|freq"}),
        "write": frozenset({"set"}),
        "dangerous": frozenset({"keys", "client|kill"}),
        "slow": frozenset({"client", "client|kill", "client|id", "object", "object|freq"}),
        "fast": frozenset({"ping", "get", "set"}),
    }
)
SUM = "a" * 64


@pytest.mark.parametrize(
    ("rules", "granted"),
    [
        ("-@all", set()),
        ("+get", {"get"}),
        ("+@read -keys", {"get"}),
        ("-keys +@read", {"get", "keys"}),
        ("+@all -@dangerous -@fast", set()),
        ("-client +client|id", {"client|id"}),
        ("+client|id -client", set()),
        ("+client|id -@dangerous", set()),
        ("+client|id +client|kill -client|id", {"client|kill"}),
        ("+@no-such-category +ping", {"ping"}),
    ],
)
def test_rules_of_a_server_that_lists_no_subcommands(rules: str, granted: set[str]) -> None:
    assert OLD.granted(tuple(rules.split())) == granted


@pytest.mark.parametrize(
    ("rules", "granted"),
    [
        ("+client", {"client", "client|id", "client|kill"}),
        ("+client -client|kill", {"client", "client|id"}),
        ("+@slow -@dangerous", {"client", "client|id", "object", "object|freq"}),
        ("+@all -client -object -@read -@write", {"ping"}),
    ],
)
def test_rules_of_a_server_that_lists_subcommands(rules: str, granted: set[str]) -> None:
    assert NEW.granted(tuple(rules.split())) == granted


@given(st.lists(st.sampled_from(["+get", "-get", "+@read", "-@read", "+@all", "-@all", "+client|id", "-client"])))
def test_the_last_word_counts(rules: list[str]) -> None:
    assert "get" in NEW.granted((*rules, "+get"))
    assert "get" not in NEW.granted((*rules, "-@read"))
    assert NEW.granted((*rules, "-@all")) == frozenset()
    assert NEW.granted((*rules, "+@all")) == NEW.commands


@pytest.mark.parametrize(
    ("command", "old", "new"),
    [
        ("get", True, True),
        ("lcs", False, False),
        ("client|id", True, True),
        ("client|setinfo", True, False),
        ("cluster|shards", False, False),
    ],
)
def test_what_a_rule_may_name(command: str, old: bool, new: bool) -> None:
    assert (OLD.knows(command), NEW.knows(command)) == (old, new)


LINES: list[tuple[str, dict[str, Any]]] = [
    (f"on sanitize-payload #{SUM} ~{{g_1}}:* resetchannels &{{g_1}}:* -@all +get", {"commands": frozenset({"get"})}),
    (f"on #{SUM} ~{{g_1}}:* &{{g_1}}:* +@read -keys", {"commands": frozenset({"get", "object|freq"})}),
    (f"on #{SUM} ~{{g_1}}:* &{{g_1}}:* nocommands", {"commands": frozenset()}),
    (f"on #{SUM} ~{{g_1}}:* &{{g_1}}:* allcommands", {"commands": NEW.commands}),
    (f"on #{SUM} ~{{g_1}}:* allkeys &{{g_1}}:* -@all", {"keys": frozenset({"~{g_1}:*", "~*"})}),
    (f"on #{SUM} ~{{g_1}}:* allchannels -@all", {"channels": frozenset({"&*"})}),
    (f"on #{SUM} ~{{g_1}}:* %R~{{g_2}}:* &{{g_1}}:* -@all", {"keys": frozenset({"~{g_1}:*", "%R~{g_2}:*"})}),
    ("on nopass ~{g_1}:* &{g_1}:* -@all", {"passwords": frozenset(), "others": frozenset({"nopass"})}),
    (f"off #{SUM} ~{{g_1}}:* &{{g_1}}:* -@all", {"enabled": False}),
    (
        f"on skip-sanitize-payload #{SUM} ~{{g_1}}:* &{{g_1}}:* -@all (~g_2* resetchannels -@all +get)",
        {"others": frozenset({"skip-sanitize-payload", "(~g_2* resetchannels -@all +get)"})},
    ),
]


@pytest.mark.parametrize(("line", "differences"), LINES, ids=[line for line, _differences in LINES])
def test_a_user_is_read(line: str, differences: dict[str, Any]) -> None:
    expected: dict[str, Any] = {
        "enabled": True,
        "passwords": frozenset({SUM}),
        "keys": frozenset({"~{g_1}:*"}),
        "channels": frozenset({"&{g_1}:*"}),
    }
    users = parse_users(["user default on nopass ~* &* +@all", f"user g_1 {line}"], NEW)
    assert users["g_1"] == User(**{**expected, **differences})
    assert users["default"].commands == NEW.commands


def test_a_user_is_set_in_one_step_without_a_clear_password_and_shown_without_any() -> None:
    rules = ("-@all", "+get")
    user = User(True, frozenset({SUM}), frozenset({"~a*"}), frozenset({"&a*"}), frozenset({"get"}), rules=rules)
    assert user.setting() == ("reset", "on", "resetchannels", f"#{SUM}", "~a*", "&a*", "-@all", "+get")
    assert User().setting() == ("reset", "off", "resetchannels", "-@all")
    tree = user.tree()
    assert tree["password"] == Secret(frozenset({SUM}))
    assert SUM not in repr(tree)
    assert "others" not in tree

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is to change for guilds in Redis."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Secret, render_diff
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError, RefusedError
from ansible_collections.dcm.platform.plugins.module_utils.guild import guild_key_prefix, guild_names
from ansible_collections.dcm.platform.plugins.module_utils.redis.acl import CommandTable, User
from ansible_collections.dcm.platform.plugins.module_utils.redis.client import other_nodes
from ansible_collections.dcm.platform.plugins.module_utils.redis.model import (
    CATEGORIES,
    FORBIDDEN_CATEGORIES,
    NEEDED,
    WITHHELD,
    Guild,
    GuildIs,
    NodeState,
    password_sum,
    wanted_rules,
)
from ansible_collections.dcm.platform.plugins.module_utils.redis.options import desired
from ansible_collections.dcm.platform.plugins.module_utils.redis.plan import Desired, plan

TABLE = CommandTable(
    {
        **{category: frozenset({f"{category}-work"}) for category in CATEGORIES},
        **{category: frozenset({f"{category}-harm"}) for category in FORBIDDEN_CATEGORIES},
        "slow": frozenset({*WITHHELD, *NEEDED} - {"client|setinfo"}),
    }
)
RULES = wanted_rules(TABLE, CATEGORIES)
DEFAULT = User(enabled=True, passwords=frozenset({"x"}), commands=TABLE.commands)
OPTIONS: dict[str, Any] = {"guilds": [], "prefix": "g_", "passwords": None, "categories": CATEGORIES, "persist": True}


def user(guild: str, password: str | None = None) -> User:
    return User(
        enabled=True,
        passwords=frozenset({password_sum(password)} if password else set()),
        keys=frozenset({f"~{{g_{guild}}}:*"}),
        channels=frozenset({f"&{{g_{guild}}}:*"}),
        commands=TABLE.granted(RULES),
        rules=("written", "otherwise"),
    )


def guild(identifier: str, state: GuildIs = "present", password: str | None = None) -> Guild:
    secret = Secret(password) if password else None
    return Guild(guild_names(identifier), guild_key_prefix(identifier), state, secret)


def node(address: str = "a:1", users: dict[str, User] | None = None, **others: Any) -> NodeState:
    known = {"default": DEFAULT, **(users or {})}
    return NodeState(
        **{"version": "7.0.15", "primary": True, "acl_file": "/users", **others},
        address=address,
        table=TABLE,
        users=known,
    )


def actions(guilds: list[Guild], *nodes: NodeState) -> dict[str, str]:
    return {change.name: change.action for change in plan(Desired(guilds), nodes)}


def test_a_guild_that_is_right_is_left_alone_however_its_rules_are_written() -> None:
    there = node(users={"g_1": user("1", "x")})
    assert actions([guild("1", password="x")], there) == {}
    assert actions([guild("1")], there) == {}


def test_a_guild_is_made_on_all_nodes() -> None:
    (change,) = plan(Desired([guild("1", password="hidden")]), [node("a:1"), node("b:2")])
    assert (change.action, change.before) == ("create", None)
    assert change.after is not None
    assert set(change.after) == {"a:1", "b:2"}
    assert change.after["a:1"]["commands"] == " ".join(RULES)
    assert password_sum("hidden") not in repr(render_diff([change]))


DRIFT: list[dict[str, Any]] = [
    {"enabled": False},
    {"passwords": frozenset()},
    {"keys": frozenset({"~*"})},
    {"keys": frozenset()},
    {"channels": frozenset({"&*", "&{g_1}:*"})},
    {"commands": TABLE.commands},
    {"commands": frozenset()},
    {"others": frozenset({"nopass"})},
]


@pytest.mark.parametrize("difference", DRIFT)
def test_drift_on_one_node_is_put_back_there(difference: dict[str, Any]) -> None:
    right = user("1", "x")
    nodes = [node("a:1", {"g_1": right}), node("b:2", {"g_1": replace(right, **difference)})]
    (change,) = plan(Desired([guild("1", password="x")]), nodes)
    assert change.action == "update"
    assert change.before is not None
    assert change.after is not None
    assert list(change.before) == list(change.after) == ["b:2"]
    assert change.before != change.after


def test_commands_are_shown_as_changed_only_where_they_are() -> None:
    there = node(users={"g_1": replace(user("1"), enabled=False)})
    (change,) = plan(Desired([guild("1")]), [there])
    assert change.before is not None
    assert change.after is not None
    assert change.before["a:1"]["commands"] == change.after["a:1"]["commands"]


def test_a_new_node_gets_the_password_of_the_others() -> None:
    (change,) = plan(Desired([guild("1")]), [node("a:1"), node("b:2", {"g_1": user("1", "x")})])
    assert change.action == "update"
    assert change.payload.after["a:1"].user.passwords == {password_sum("x")}


def test_a_suspended_guild_keeps_its_password_and_nothing_else() -> None:
    (change,) = plan(Desired([guild("1", "suspended")]), [node(users={"g_1": user("1", "x")})])
    assert change.payload.after["a:1"].user == User(passwords=frozenset({password_sum("x")}))
    out = User(passwords=frozenset({password_sum("x")}))
    assert actions([guild("1", "suspended")], node(users={"g_1": out})) == {}
    assert actions([guild("1", "suspended")], node(users={"g_1": out}, sessions={"g_1": 1})) == {"1": "update"}


def test_guilds_are_removed_last_and_only_if_anything_is_left() -> None:
    there = node(users={"g_1": user("1")}, keys={"2": 7})
    guilds = [guild("1", "absent"), guild("2", "absent"), guild("3", "absent"), guild("4")]
    changes = plan(Desired(guilds), [there])
    assert [(change.name, change.action) for change in changes] == [("4", "create"), ("1", "delete"), ("2", "delete")]
    assert changes[2].before == {"a:1": {"keys_stored": 7}}


def test_a_server_that_lets_everybody_in_is_refused() -> None:
    open_to_all = replace(DEFAULT, passwords=frozenset(), others=frozenset({"nopass"}))
    with pytest.raises(RefusedError, match="b:2 lets everybody in"):
        actions([], node("a:1"), node("b:2", {"default": open_to_all}))
    assert actions([], node("b:2", {"default": replace(open_to_all, enabled=False)})) == {}


@pytest.mark.parametrize(("persist", "file", "refused"), [(True, "", True), (False, "", False), (True, None, False)])
def test_a_server_that_forgets_its_users_is_refused(persist: bool, file: str | None, refused: bool) -> None:
    wanted = Desired([guild("1")], persist=persist)
    if refused:
        with pytest.raises(RefusedError, match="has no aclfile"):
            plan(wanted, [node(acl_file=file)])
    else:
        assert len(plan(wanted, [node(acl_file=file)])) == 1


def test_what_is_dangerous_is_withheld_whatever_category_it_is_in() -> None:
    mixed = CommandTable({**TABLE.categories, "keyspace": frozenset({"keyspace-work", "dangerous-harm", *WITHHELD})})
    granted = mixed.granted(wanted_rules(mixed, CATEGORIES))
    assert granted == {*(f"{category}-work" for category in CATEGORIES), *NEEDED} - {"client|setinfo"}
    assert mixed.granted(wanted_rules(mixed, ["keyspace"])) == {"keyspace-work", *NEEDED} - {"client|setinfo"}


CLUSTER = """\
07c3 127.0.0.1:30004@31004,two.example.com slave e7d1 0 1426238317239 4 connected
67ed 127.0.0.1:30002@31002 master - 0 1426238316232 2 connected 5461-10922 [93-<-292f]
e7d1 127.0.0.1:30001@31001 myself,master - 0 0 1 connected 0-5460
6ec2 ::1:30003@31003 master,fail - 1426238316232 1426238316232 3 disconnected
292f 127.0.0.1:30005@31005 handshake - 0 0 0 connected
"""


@pytest.mark.parametrize(("by_name", "first"), [(False, "127.0.0.1"), (True, "two.example.com")])
def test_the_nodes_of_a_cluster(by_name: bool, first: str) -> None:
    found = other_nodes(CLUSTER, "x:1", by_name=by_name)
    assert found == [(first, 30004), ("127.0.0.1", 30002), ("::1", 30003)]


def test_a_node_without_an_address_is_not_passed_over() -> None:
    with pytest.raises(RefusedError, match="x:1 has lost the address of its node 07c3"):
        other_nodes("07c3 :0@0 master,noaddr - 0 1 4 disconnected", "x:1", by_name=False)


def test_options() -> None:
    entries = [{"id": 1, "state": "present", "confirm": None}, {"id": "2", "state": "absent", "confirm": 2}]
    wanted = desired({**OPTIONS, "guilds": entries, "passwords": '{"1": "x"}', "prefix": "s_", "categories": ["hash"]})
    assert wanted.guilds == [
        Guild(guild_names("1", "s_"), "{s_1}:", "present", Secret("x")),
        Guild(guild_names("2", "s_"), "{s_2}:", "absent"),
    ]
    assert wanted.guilds[0].user == "s_1"
    assert (wanted.categories, wanted.prefix, wanted.persist) == (("hash",), "s_", True)


@pytest.mark.parametrize("confirm", [None, "3", "*"])
def test_no_removal_without_confirmation(confirm: object) -> None:
    with pytest.raises(InputError):
        desired({**OPTIONS, "guilds": [{"id": "2", "state": "absent", "confirm": confirm}]})

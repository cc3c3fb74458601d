# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is planned for which state, and what is refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Secret, render_diff
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import RefusedError
from ansible_collections.dcm.platform.plugins.module_utils.guild import guild_names
from ansible_collections.dcm.platform.plugins.module_utils.postgres.model import (
    ABSENT,
    Catalog,
    DatabaseState,
    Doors,
    Guild,
    GuildState,
    Role,
    Routine,
    Server,
    wanted_database,
    wanted_guild,
)
from ansible_collections.dcm.platform.plugins.module_utils.postgres.plan import (
    Desired,
    GuildDifference,
    comparable,
    database_difference,
    differing,
    open_doors,
    plan,
    refuse_unmet,
    uncompared_passwords,
    unmet_guild,
)
from ansible_collections.dcm.platform.plugins.module_utils.postgres.scram import make_verifier

SUPERUSER = Server("d", 16, superuser=True)
PROVISIONER = Server("d", 16, superuser=False)
SET_UP = wanted_database({})
PASSWORD, OTHER_PASSWORD = "correct horse", "battery staple"
VERIFIER = Secret(make_verifier(PASSWORD))


def guild(number: int, state: Any = "present", **passwords: str) -> Guild:
    secrets = {kind: Secret(password) for kind, password in passwords.items()}
    return Guild(guild_names(number), state, {"app": 10, "ro": 3}, secrets)


def present(number: int, verifier: Secret | None = None) -> GuildState:
    state = wanted_guild(guild(number), 16)
    return dataclasses.replace(
        state, roles={kind: dataclasses.replace(role, verifier=verifier) for kind, role in state.roles.items()}
    )


def planned(*guilds: Guild, server: Server = SUPERUSER, compare: bool = False, **states: GuildState) -> list[str]:
    found = {one.names.id: states.get(f"g{one.names.id}", ABSENT) for one in guilds}
    changes = plan(Desired(guilds, compare_passwords=compare), Catalog(found, SET_UP), server)
    return [f"{change.action} {change.kind} {change.name}" for change in changes]


def test_nothing_is_planned_where_nothing_differs() -> None:
    assert planned(guild(1), guild(2), g1=present(1), g2=present(2)) == []
    assert planned(guild(1, "absent")) == []


def test_removals_come_last_and_the_order_of_the_list_is_kept() -> None:
    guilds = [guild(9), guild(3, "absent"), guild(5, "suspended"), guild(1)]
    assert planned(*guilds, g3=present(3), g5=present(5)) == [
        "create guild 9",
        "update guild 5",
        "create guild 1",
        "delete guild 3",
    ]


def test_the_database_comes_first() -> None:
    changes = plan(Desired([guild(1)]), Catalog({"1": ABSENT}), SUPERUSER)
    assert [change.kind for change in changes] == ["database", "guild"]


@pytest.mark.parametrize(
    ("verifier", "compare", "superuser", "expected"),
    [
        (None, False, True, ["update guild 1"]),  # it has none, and that can be seen
        (None, False, False, []),
        (None, True, False, []),
        (VERIFIER, False, True, []),
        (VERIFIER, True, True, []),
        (Secret(make_verifier(OTHER_PASSWORD)), False, True, []),
        (Secret(make_verifier(OTHER_PASSWORD)), True, True, ["update guild 1"]),
        (Secret("md5" + "0" * 32), True, True, ["update guild 1"]),
    ],
)
def test_when_a_password_is_set(verifier: Secret | None, compare: bool, superuser: bool, expected: list[str]) -> None:
    server = SUPERUSER if superuser else PROVISIONER
    found = planned(guild(1, app=PASSWORD), server=server, compare=compare, g1=present(1, verifier))
    assert found == expected


def test_a_password_that_a_login_refuses_is_set() -> None:
    desired = Desired([guild(1, app="a", ro="b")], compare_passwords=True)
    catalog = Catalog({"1": present(1)}, SET_UP, tried_passwords=frozenset({"g_1_app", "g_1_ro"}))
    assert plan(desired, catalog, PROVISIONER) == []
    wrong = dataclasses.replace(catalog, wrong_passwords=frozenset({"g_1_ro"}))
    (change,) = plan(desired, wrong, PROVISIONER)
    assert change.payload.passwords == ("ro",)
    assert comparable(desired, catalog) == {"g_1_app": Secret("a"), "g_1_ro": Secret("b")}
    assert uncompared_passwords(desired, wrong, PROVISIONER) == 0


ADVISORY = Routine("pg_catalog", "pg_advisory_lock", "bigint")
OPEN = dataclasses.replace(
    SET_UP,
    doors=Doors(routines=(ADVISORY,), large_objects=True, databases=("postgres",)),
    language_privileges={"": frozenset({"USAGE"})},
    other_databases=("shop",),
)


def test_only_a_superuser_is_asked_to_harden() -> None:
    hardened = Desired([], hardened=True)
    assert database_difference(hardened, OPEN, PROVISIONER) is None
    assert database_difference(Desired([]), OPEN, SUPERUSER) is None
    difference = database_difference(hardened, OPEN, SUPERUSER)
    assert difference is not None
    assert difference.before.tree()["open_to_guilds"] == {
        "routines": ["pg_catalog.pg_advisory_lock(bigint)"],
        "large_object_metadata": True,
        "databases": ["postgres"],
    }
    assert "open_to_guilds" not in difference.after.tree()
    assert database_difference(hardened, wanted_database({}, hardened=True), SUPERUSER) is None


def test_what_keeps_a_database_from_being_hardened_is_named() -> None:
    everything = [
        "guilds may call pg_catalog.pg_advisory_lock(bigint)",
        "PUBLIC may use the language plpgsql",
        "PUBLIC may read pg_largeobject_metadata",
        "PUBLIC may connect to database postgres",
        "PUBLIC may connect to database shop",
    ]
    assert open_doors(Desired([], hardened=True), OPEN, PROVISIONER) == everything
    assert open_doors(Desired([]), OPEN, SUPERUSER) == everything
    assert open_doors(Desired([], hardened=True), OPEN, SUPERUSER) == everything[-1:]
    assert open_doors(Desired([]), wanted_database({}, hardened=True), PROVISIONER) == []


def test_passwords_that_cannot_be_compared_are_counted() -> None:
    desired = Desired([guild(1, app="a", ro="b"), guild(2, app="c")], compare_passwords=True)
    catalog = Catalog({"1": present(1), "2": ABSENT}, SET_UP)
    assert uncompared_passwords(desired, catalog, PROVISIONER) == 2
    assert uncompared_passwords(desired, catalog, SUPERUSER) == 0
    assert uncompared_passwords(dataclasses.replace(desired, compare_passwords=False), catalog, PROVISIONER) == 0


def test_a_diff_tells_that_a_password_changes_and_nothing_more() -> None:
    old, new = make_verifier(OTHER_PASSWORD), "new-password-text"
    desired = Desired([guild(1, app=new), guild(2, ro=new)], compare_passwords=True)
    catalog = Catalog({"1": present(1, Secret(old)), "2": ABSENT}, SET_UP)
    changes = plan(desired, catalog, SUPERUSER)
    first, second = render_diff(changes)
    assert first["before"]["roles"]["app"]["password"] == "(secret, old)"
    assert first["after"]["roles"]["app"]["password"] == "(secret, new)"
    assert second["before"] == {}
    assert second["after"]["roles"]["ro"]["password"] == "(secret)"
    assert old not in str(render_diff(changes))
    assert new not in str(changes)


def orphan(**role: Any) -> GuildState:
    """A guild of which only a role with the name of its app exists."""
    return GuildState(roles={"app": Role(**{"login": True, **role})})


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (orphan(attributes=frozenset({"SUPERUSER"})), "Role g_1_app exists already and has SUPERUSER."),
        (orphan(member_of={"admins": frozenset()}), "Role g_1_app exists already and is a member of admins."),
        (orphan(members={"eve": frozenset()}), "Role g_1_app exists already and has the member eve."),
    ],
)
def test_a_strangers_role_is_not_adopted(found: GuildState, reason: str) -> None:
    with pytest.raises(RefusedError) as refusal:
        planned(guild(1), g1=found)
    assert reason in str(refusal.value)
    assert planned(guild(1), g1=orphan()) == ["update guild 1"]


@pytest.mark.parametrize("state", ["present", "suspended", "absent"])
def test_roles_that_serve_another_database_are_left_alone(state: Any) -> None:
    catalog = Catalog({"1": orphan()}, SET_UP, foreign_databases={"g_1_app": ["other"]})
    with pytest.raises(RefusedError, match="Role g_1_app has rights in database other"):
        plan(Desired([guild(1, state)]), catalog, SUPERUSER)


def test_many_reasons_are_counted() -> None:
    catalog = Catalog({"1": present(1)}, SET_UP, dependents={"g_1": [f"view report.v{number}" for number in range(14)]})
    with pytest.raises(RefusedError, match=r"view report\.v9 .* And 4 more\."):
        plan(Desired([guild(1, "absent")]), catalog, SUPERUSER)


def test_the_database_is_compared_only_where_there_is_an_opinion() -> None:
    settings = {"statement_timeout": "30s", "work_mem": None}
    right = wanted_database(settings)
    operators = dataclasses.replace(
        right,
        settings={**right.settings, "log_statement": "ddl"},
        roles={
            **right.roles,
            "guild_migrator": dataclasses.replace(
                right.roles["guild_migrator"],
                connection_limit=5,
                settings={"log_statement": "all"},
                member_of={"g_1_owner": frozenset({"set"})},
            ),
        },
    )
    desired = Desired([], settings)
    assert database_difference(desired, operators, SUPERUSER) is None
    for wrong in (
        dataclasses.replace(operators, settings={**operators.settings, "work_mem": "1GB"}),
        dataclasses.replace(operators, settings={}),
        dataclasses.replace(operators, extensions_privileges=None),
        dataclasses.replace(operators, privileges={**operators.privileges, "": frozenset({"CONNECT"})}),
        dataclasses.replace(operators, roles={}),
        DatabaseState(),
    ):
        assert database_difference(desired, wrong, SUPERUSER) is not None


def test_what_still_differs_after_writing_is_named() -> None:
    wanted = guild(1, app=PASSWORD)
    difference = GuildDifference(wanted, ABSENT, wanted_guild(wanted, 16), ("app",))
    sent = {"g_1_app": make_verifier(PASSWORD)}
    good = present(1, Secret(sent["g_1_app"]))
    assert unmet_guild(difference, good, sent, SUPERUSER) == ""
    assert unmet_guild(difference, present(1), sent, PROVISIONER) == ""
    assert unmet_guild(difference, present(1), sent, SUPERUSER) == "guild 1 (roles.app.password)"
    partly = dataclasses.replace(good, schema_privileges={"g_1_owner": frozenset({"USAGE", "CREATE"})})
    assert unmet_guild(difference, partly, sent, SUPERUSER) == (
        "guild 1 (schema_privileges.g_1_app, schema_privileges.g_1_ro)"
    )
    with pytest.raises(RefusedError, match=r"not done: guild 1 \(x\), guild 2 \(y\)\. A GRANT or REVOKE"):
        refuse_unmet(["guild 1 (x)", "", "guild 2 (y)"])
    refuse_unmet(["", ""])


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {}, []),
        ({"a": 1}, {"a": 1}, []),
        ({"a": {"b": {"c": 1}}}, {"a": {"b": {"c": 2}}}, ["a.b.c"]),
        ({"a": {"b": 1}}, {"a": {}}, ["a.b"]),
        ({"a": 1}, {"b": [1]}, ["a", "b"]),
        ({"a": {"b": 1}}, {"a": 1}, ["a"]),
    ],
)
def test_differing_keys(before: dict[str, Any], after: dict[str, Any], expected: list[str]) -> None:
    assert differing(before, after) == expected

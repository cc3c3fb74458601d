# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From differences to statements: which, in which order, and with every name as an identifier."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.guild import guild_names
from ansible_collections.dcm.platform.plugins.module_utils.postgres import statements
from ansible_collections.dcm.platform.plugins.module_utils.postgres.model import (
    ABSENT,
    DatabaseState,
    Doors,
    Guild,
    GuildState,
    Membership,
    Role,
    Routine,
    SchemaObject,
    Server,
    object_privileges,
    wanted_database,
    wanted_guild,
)
from ansible_collections.dcm.platform.plugins.module_utils.postgres.plan import GuildDifference
from hypothesis import given
from hypothesis import strategies as st
from psycopg2 import sql

SUPERUSER = Server("d", 16, superuser=True)
PROVISIONER = Server("d", 16, superuser=False)
OLD = Server("d", 15, superuser=False)
GUILD = Guild(guild_names(1), "present", {"app": 10, "ro": 3})
PRESENT = wanted_guild(GUILD, 16)


def words(statement: sql.Composable) -> str:
    """The statement as it is sent, but names bare where that is possible."""
    if isinstance(statement, sql.Composed):
        return "".join(map(words, statement.seq))
    if isinstance(statement, sql.Identifier):
        return ".".join(name if re.fullmatch("[a-z0-9_]+", name) else f"<{name}>" for name in statement.strings)
    if isinstance(statement, sql.Literal):
        return f"'{statement.wrapped}'"
    assert isinstance(statement, sql.SQL)
    return statement.string


def identifiers(statement: sql.Composable) -> set[str]:
    """Every name that is quoted as one."""
    if isinstance(statement, sql.Composed):
        return set().union(*map(identifiers, statement.seq))
    return set(statement.strings) if isinstance(statement, sql.Identifier) else set()


def written(found: Iterable[sql.Composable]) -> list[str]:
    return [" ".join(words(statement).split()) for statement in found]


def changed(
    before: GuildState, after: GuildState = PRESENT, guild: Guild = GUILD, creator: str | None = None
) -> GuildDifference:
    return GuildDifference(guild, before, after, creator=creator)


def guild_statements(batch: Sequence[GuildDifference], server: Server) -> list[sql.Composable]:
    """All of a batch, in the order in which they run."""
    parts = (statements.role_statements, statements.schema_statements, statements.membership_statements)
    return [statement for part in parts for statement in part(batch, server)]


def with_role(kind: str, **fields: Any) -> GuildState:
    """The guild as it should be but for one role."""
    role = dataclasses.replace(PRESENT.roles[kind], **fields)
    return dataclasses.replace(PRESENT, roles={**PRESENT.roles, kind: role})


def test_a_new_guild_is_the_model_statement_by_statement() -> None:
    assert written(guild_statements([changed(ABSENT)], SUPERUSER)) == [
        "CREATE ROLE g_1_owner NOLOGIN NOINHERIT CONNECTION LIMIT '-1'",
        "CREATE ROLE g_1_app LOGIN INHERIT CONNECTION LIMIT '10'",
        "ALTER ROLE g_1_app SET search_path = g_1, extensions, pg_temp",
        "CREATE ROLE g_1_ro LOGIN INHERIT CONNECTION LIMIT '3'",
        "ALTER ROLE g_1_ro SET default_transaction_read_only = 'on'",
        "ALTER ROLE g_1_ro SET search_path = g_1, extensions, pg_temp",
        "CREATE SCHEMA g_1 AUTHORIZATION g_1_owner",
        "GRANT USAGE ON SCHEMA g_1 TO g_1_app, g_1_ro",
        "ALTER DEFAULT PRIVILEGES FOR ROLE g_1_owner REVOKE ALL ON FUNCTIONS FROM PUBLIC CASCADE",
        "ALTER DEFAULT PRIVILEGES FOR ROLE g_1_owner IN SCHEMA g_1 GRANT EXECUTE ON FUNCTIONS TO g_1_app",
        "ALTER DEFAULT PRIVILEGES FOR ROLE g_1_owner IN SCHEMA g_1 GRANT SELECT, USAGE ON SEQUENCES TO g_1_app",
        "ALTER DEFAULT PRIVILEGES FOR ROLE g_1_owner IN SCHEMA g_1 GRANT SELECT ON SEQUENCES TO g_1_ro",
        "ALTER DEFAULT PRIVILEGES FOR ROLE g_1_owner IN SCHEMA g_1 "
        "GRANT DELETE, INSERT, SELECT, UPDATE ON TABLES TO g_1_app",
        "ALTER DEFAULT PRIVILEGES FOR ROLE g_1_owner IN SCHEMA g_1 GRANT SELECT ON TABLES TO g_1_ro",
        "ALTER DEFAULT PRIVILEGES FOR ROLE g_1_owner REVOKE ALL ON TYPES FROM PUBLIC CASCADE",
        "ALTER DEFAULT PRIVILEGES FOR ROLE g_1_owner IN SCHEMA g_1 GRANT USAGE ON TYPES TO g_1_app, g_1_ro",
        "GRANT g_1_owner TO guild_migrator WITH INHERIT FALSE, SET TRUE",
        "GRANT guild_owners TO g_1_owner WITH INHERIT TRUE, SET FALSE",
        "GRANT guild_connect TO g_1_app, g_1_ro WITH INHERIT TRUE, SET FALSE",
    ]


def test_what_a_creator_made_it_changes() -> None:
    found = written(guild_statements([changed(ABSENT, creator="guild_creator_x")], PROVISIONER))
    become, itself = found.index("SET LOCAL ROLE guild_creator_x"), found.index("SET LOCAL ROLE NONE")
    assert all(text.split()[:2] in (["CREATE", "ROLE"], ["ALTER", "ROLE"]) for text in found[become + 1 : itself])
    assert "CREATE ROLE g_1_owner NOLOGIN NOINHERIT CONNECTION LIMIT '-1'" in found[become:itself]
    grant = found.index("GRANT g_1_owner TO SESSION_USER WITH INHERIT TRUE, SET TRUE")
    revoke = found.index("REVOKE g_1_owner FROM SESSION_USER")
    for index in (grant, revoke, found.index("GRANT g_1_owner TO guild_migrator WITH INHERIT FALSE, SET TRUE")):
        assert found[index - 1] == "SET LOCAL ROLE guild_creator_x"
        assert found[index + 1] == "SET LOCAL ROLE NONE"
    assert grant < found.index("CREATE SCHEMA g_1 AUTHORIZATION g_1_owner") < revoke
    # What the administrator may grant itself comes last: others wait for it.
    assert found[-2:] == [
        "GRANT guild_owners TO g_1_owner WITH INHERIT TRUE, SET FALSE",
        "GRANT guild_connect TO g_1_app, g_1_ro WITH INHERIT TRUE, SET FALSE",
    ]
    assert written(statements.borrow(["guild_creator_x"])) == [
        "SET LOCAL createrole_self_grant = ''",
        "GRANT guild_creator_x TO CURRENT_USER WITH INHERIT FALSE, SET TRUE",
    ]
    assert written(statements.give_back(["guild_creator_x"])) == ["REVOKE guild_creator_x FROM CURRENT_USER"]
    assert statements.borrow([]) == statements.give_back([]) == []


def test_a_provisioner_takes_the_owners_of_a_batch_in_one_statement_and_gives_them_back() -> None:
    guilds = [Guild(guild_names(number), "present", {"app": 10, "ro": 3}) for number in (1, 2)]
    batch = [changed(ABSENT, wanted_guild(guild, 16), guild) for guild in guilds]
    found = written(guild_statements(batch, PROVISIONER))
    memberships = [text for text in found if re.match(r"(GRANT|REVOKE) \S+ (TO|FROM)|(GRANT|REVOKE) g_1_owner", text)]
    assert memberships == [
        "GRANT g_1_owner, g_2_owner TO SESSION_USER WITH INHERIT TRUE, SET TRUE",
        "REVOKE g_1_owner, g_2_owner FROM SESSION_USER",
        "GRANT g_1_owner, g_2_owner TO guild_migrator WITH INHERIT FALSE, SET TRUE",
        "GRANT guild_owners TO g_1_owner, g_2_owner WITH INHERIT TRUE, SET FALSE",
        "GRANT guild_connect TO g_1_app, g_1_ro, g_2_app, g_2_ro WITH INHERIT TRUE, SET FALSE",
    ]
    assert found[-1] == memberships[-1]
    roles = [index for index, text in enumerate(found) if "ROLE" in text.split()[:2]]
    assert max(roles) < found.index(memberships[0])


def test_grants_of_roles_have_no_options_before_postgresql_16() -> None:
    before = wanted_guild(GUILD, 15)
    before = dataclasses.replace(
        before,
        roles={**before.roles, "app": dataclasses.replace(before.roles["app"], member_of={})},
        memberships=(),
    )
    assert written(guild_statements([changed(before, wanted_guild(GUILD, 15))], OLD)) == [
        "GRANT guild_connect TO g_1_app"
    ]


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (PRESENT, []),
        (with_role("app", connection_limit=99), ["ALTER ROLE g_1_app CONNECTION LIMIT '10'"]),
        (with_role("app", attributes=frozenset({"CREATEDB"})), ["ALTER ROLE g_1_app NOCREATEDB"]),
        (with_role("ro", expires="2020-01-01"), ["ALTER ROLE g_1_ro VALID UNTIL 'infinity'"]),
        (with_role("owner", login=True, inherit=True), ["ALTER ROLE g_1_owner NOLOGIN NOINHERIT"]),
        (
            with_role("app", settings={"search_path": "public", "work_mem": "1GB"}),
            [
                "ALTER ROLE g_1_app SET search_path = g_1, extensions, pg_temp",
                "ALTER ROLE g_1_app RESET work_mem",
            ],
        ),
        (
            with_role("app", database_settings={"my.setting": "x"}),
            ["ALTER ROLE g_1_app IN DATABASE d RESET my.setting"],
        ),
        (
            dataclasses.replace(PRESENT, schema_owner="postgres"),
            ["ALTER SCHEMA g_1 OWNER TO g_1_owner"],
        ),
        (
            dataclasses.replace(PRESENT, schema_privileges={**PRESENT.schema_privileges, "": frozenset({"USAGE"})}),
            ["REVOKE ALL ON SCHEMA g_1 FROM PUBLIC CASCADE"],
        ),
        (
            dataclasses.replace(
                PRESENT,
                schema_privileges={**PRESENT.schema_privileges, "g_1_app": frozenset({"USAGE", "CREATE"})},
            ),
            ["REVOKE ALL ON SCHEMA g_1 FROM g_1_app CASCADE", "GRANT USAGE ON SCHEMA g_1 TO g_1_app"],
        ),
        (
            dataclasses.replace(
                PRESENT,
                default_privileges={**PRESENT.default_privileges, ("TABLES", False): {"": frozenset({"SELECT"})}},
            ),
            ["ALTER DEFAULT PRIVILEGES FOR ROLE g_1_owner REVOKE ALL ON TABLES FROM PUBLIC CASCADE"],
        ),
    ],
)
def test_only_what_differs_is_written(before: GuildState, expected: list[str]) -> None:
    assert written(guild_statements([changed(before)], SUPERUSER)) == expected


NOTE = SchemaObject("TABLES", "note", "eve", {"": frozenset({"SELECT"})})


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (
            NOTE,
            [
                "ALTER TABLE g_1.note OWNER TO g_1_owner",
                "REVOKE ALL ON TABLE g_1.note FROM PUBLIC CASCADE",
                "GRANT DELETE, INSERT, SELECT, UPDATE ON TABLE g_1.note TO g_1_app",
                "GRANT SELECT ON TABLE g_1.note TO g_1_ro",
            ],
        ),
        (
            SchemaObject("SEQUENCES", "number", "eve", object_privileges(GUILD.names)["SEQUENCES"], bound=True),
            [],  # the owner follows the table's
        ),
        (
            SchemaObject("FUNCTIONS", "twice", "g_1_owner", {"": frozenset({"EXECUTE"})}, "integer"),
            [
                "REVOKE ALL ON ROUTINE g_1.twice(integer) FROM PUBLIC CASCADE",
                "GRANT EXECUTE ON ROUTINE g_1.twice(integer) TO g_1_app",
            ],
        ),
        (
            SchemaObject("TYPES", "mood", "g_1_owner", {"g_1_app": frozenset({"USAGE"})}),
            ["GRANT USAGE ON TYPE g_1.mood TO g_1_ro"],
        ),
    ],
)
def test_an_object_gets_what_default_privileges_would_have_given_it(found: SchemaObject, expected: list[str]) -> None:
    before = dataclasses.replace(PRESENT, objects=(found,))
    assert written(guild_statements([changed(before)], SUPERUSER)) == expected


def test_doors_are_closed_but_for_those_who_are_trusted() -> None:
    lock = Routine("pg_catalog", "pg_advisory_lock", "bigint")
    levenshtein, dblink = Routine("extensions", "levenshtein", "text, text"), Routine("extensions", "dblink", "text")
    right = wanted_database({})
    doors = Doors((lock,), (levenshtein, dblink), (levenshtein,), large_objects=True, databases=("postgres",))
    before = dataclasses.replace(right, doors=doors, language_privileges={"": frozenset({"USAGE"})})
    after = wanted_database({}, hardened=True)
    guilds = "guild_connect, guild_owners"
    assert written(statements.database_statements(before, after, SUPERUSER)) == [
        "REVOKE ALL ON LANGUAGE plpgsql FROM PUBLIC CASCADE",
        "GRANT USAGE ON LANGUAGE plpgsql TO guild_owners, pg_database_owner",
        "REVOKE EXECUTE ON ROUTINE pg_catalog.pg_advisory_lock(bigint), extensions.levenshtein(text, text), "
        f"extensions.dblink(text) FROM PUBLIC, {guilds} CASCADE",
        "GRANT EXECUTE ON ROUTINE pg_catalog.pg_advisory_lock(bigint) TO pg_database_owner, guild_migrator",
        f"GRANT EXECUTE ON ROUTINE extensions.levenshtein(text, text) TO {guilds}",
        "REVOKE ALL ON pg_catalog.pg_largeobject_metadata FROM PUBLIC CASCADE",
        "REVOKE ALL ON DATABASE postgres FROM PUBLIC CASCADE",
    ]


def test_a_membership_goes_with_every_grant_of_it_whoever_made_it() -> None:
    grants = tuple(Membership("g_1_owner", "g_1_app", grantor, frozenset({"set"})) for grantor in ("postgres", "eve"))
    before = dataclasses.replace(
        with_role("app", member_of={**PRESENT.roles["app"].member_of, "g_1_owner": frozenset({"set"})}),
        memberships=grants + grants,
    )
    assert written(guild_statements([changed(before)], SUPERUSER)) == [
        "REVOKE g_1_owner FROM g_1_app GRANTED BY postgres CASCADE",
        "REVOKE g_1_owner FROM g_1_app GRANTED BY eve CASCADE",
    ]


def test_a_guild_is_closed_before_it_is_removed() -> None:
    assert written(statements.closing_statements(GUILD.names, PRESENT, PROVISIONER)) == [
        "ALTER ROLE g_1_app NOLOGIN",
        "ALTER ROLE g_1_ro NOLOGIN",
        "GRANT g_1_owner TO SESSION_USER WITH INHERIT TRUE, SET TRUE",
        "REVOKE ALL ON SCHEMA g_1 FROM g_1_app CASCADE",
        "REVOKE ALL ON SCHEMA g_1 FROM g_1_ro CASCADE",
        "REVOKE g_1_owner FROM SESSION_USER",
    ]
    assert written(statements.removal_statements(GUILD.names, PRESENT, SUPERUSER)) == [
        "DROP SCHEMA g_1 CASCADE",
        "DROP OWNED BY g_1_owner, g_1_app, g_1_ro",
        "DROP ROLE g_1_owner, g_1_app, g_1_ro",
    ]


def test_what_is_left_of_a_half_removed_guild_is_removed() -> None:
    only_ro = GuildState(roles={"ro": PRESENT.roles["ro"]})
    assert written(statements.closing_statements(GUILD.names, only_ro, SUPERUSER)) == ["ALTER ROLE g_1_ro NOLOGIN"]
    assert written(statements.removal_statements(GUILD.names, only_ro, SUPERUSER)) == [
        "DROP OWNED BY g_1_ro",
        "DROP ROLE g_1_ro",
    ]
    only_schema = GuildState(schema_owner="postgres")
    assert written(statements.closing_statements(GUILD.names, only_schema, SUPERUSER)) == []
    assert written(statements.removal_statements(GUILD.names, only_schema, SUPERUSER)) == ["DROP SCHEMA g_1 CASCADE"]


def test_the_database_is_set_up() -> None:
    before = DatabaseState(
        privileges={"": frozenset({"CONNECT", "TEMPORARY"})}, public_privileges={"": frozenset({"USAGE"})}
    )
    after = wanted_database({"statement_timeout": "30s", "work_mem": "8MB"})
    assert written(statements.database_statements(before, after, PROVISIONER)) == [
        "CREATE ROLE guild_connect NOLOGIN INHERIT CONNECTION LIMIT '-1'",
        "CREATE ROLE guild_migrator LOGIN NOINHERIT CONNECTION LIMIT '-1'",
        "ALTER ROLE guild_migrator IN DATABASE d SET statement_timeout = '0'",
        "CREATE ROLE guild_owners NOLOGIN INHERIT CONNECTION LIMIT '-1'",
        "REVOKE ALL ON DATABASE d FROM PUBLIC CASCADE",
        "GRANT CONNECT ON DATABASE d TO guild_connect, guild_migrator",
        "REVOKE ALL ON SCHEMA public FROM PUBLIC CASCADE",
        "CREATE SCHEMA extensions",
        "GRANT USAGE ON SCHEMA extensions TO guild_connect, guild_owners",
        "ALTER DATABASE d SET statement_timeout = '30s'",
        "ALTER DATABASE d SET work_mem = '8MB'",
    ]


@pytest.mark.row("DATA-08")
@given(st.text(min_size=1).filter(lambda text: not re.fullmatch(r"[\w :',=.()-]*", text)), st.text(min_size=1))
def test_a_hostile_name_or_value_never_becomes_part_of_a_statement(name: str, value: str) -> None:
    """Names come from the catalogs, too: anybody who may create roles chose them."""
    before = dataclasses.replace(
        with_role("app", member_of={name: frozenset({"set"})}, settings={"application_name": value}),
        schema_owner=name,
        schema_privileges={name: frozenset({"USAGE"})},
        default_privileges={("TABLES", True): {name: frozenset({"SELECT"})}},
        objects=(SchemaObject("TABLES", name, name, {name: frozenset({"SELECT"})}),),
        memberships=(Membership(name, "g_1_app", name, frozenset({"set"})),),
    )
    hostile = Server(name, 16, superuser=False)
    shared = DatabaseState(
        roles={"guild_connect": Role(login=False, member_of={name: frozenset()})},
        privileges={name: frozenset({"CONNECT"})},
        memberships=(Membership(name, "guild_connect", name, frozenset()),),
        settings={"application_name": value},
    )
    found = [
        *guild_statements([changed(before)], hostile),
        *statements.closing_statements(GUILD.names, before, hostile),
        *statements.emptying_statements(GUILD.names, before, [name], hostile),
        *statements.removal_statements(GUILD.names, before, hostile),
        *statements.database_statements(shared, wanted_database({"application_name": f"new {value}"}), hostile),
    ]
    assert any(name in identifiers(statement) for statement in found)
    for statement in found:
        assert name not in "".join(_plain(statement))


def _plain(statement: sql.Composable) -> Iterable[str]:
    if isinstance(statement, sql.Composed):
        for part in statement.seq:
            yield from _plain(part)
    elif isinstance(statement, sql.SQL):
        yield statement.string

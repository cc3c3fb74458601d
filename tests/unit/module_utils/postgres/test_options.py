# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The options of ``pg_guild_schema``."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.postgres.options import desired
from hypothesis import example, given
from hypothesis import strategies as st

DEFAULTS: dict[str, Any] = {
    "guilds": [],
    "prefix": "g_",
    "passwords": None,
    "update_password": "on_create",
    "settings": {},
    "level": "model",
    "extension_routines": [],
    "batch_size": 50,
    "connections": 4,
}


def entry(identifier: Any, **options: Any) -> dict[str, Any]:
    limits = {"connection_limit_app": 10, "connection_limit_ro": 3}
    return {"id": identifier, "state": "present", "confirm": None, **limits, **options}


def test_options_become_what_is_wanted() -> None:
    wanted = desired(
        {
            **DEFAULTS,
            "guilds": [entry(1, connection_limit_app=30), entry("2", state="suspended")],
            "prefix": "staging_",
            "passwords": json.dumps({"1": {"app": "swordfish", "ro": None}, "2": {}}),
            "update_password": "always",
            "level": "hardened",
            "extension_routines": ["levenshtein"],
            "settings": {"statement_timeout": "30s", "work_mem": None, "jit": False, "pgaudit.log": "ddl", "seed": 1},
        }
    )
    first, second = wanted.guilds
    assert first.names.app == "staging_1_app"
    assert first.connection_limits == {"app": 30, "ro": 3}
    assert {kind: secret.reveal() for kind, secret in first.passwords.items()} == {"app": "swordfish"}
    assert (second.names.id, second.state, second.passwords) == ("2", "suspended", {})
    assert wanted.compare_passwords
    assert wanted.hardened
    assert wanted.harmless == ["levenshtein"]
    assert wanted.settings == {
        "statement_timeout": "30s",
        "work_mem": None,
        "jit": "off",
        "pgaudit.log": "ddl",
        "seed": "1",
    }
    assert "swordfish" not in repr(wanted)


@pytest.mark.parametrize("confirm", ["1", 1])
def test_a_removal_is_confirmed_by_the_id(confirm: Any) -> None:
    (guild,) = desired({**DEFAULTS, "guilds": [entry("1", state="absent", confirm=confirm)]}).guilds
    assert guild.state == "absent"


@pytest.mark.parametrize("confirm", [None, "2", True, "", "*", "yes", 1.0])
def test_anything_else_is_no_confirmation(confirm: Any) -> None:
    with pytest.raises(InputError):
        desired({**DEFAULTS, "guilds": [entry("1", state="absent", confirm=confirm)]})


HOSTILE = st.text() | st.integers() | st.floats() | st.booleans() | st.none() | st.binary() | st.lists(st.integers())


@pytest.mark.row("DATA-08")
@given(HOSTILE, st.just("g_") | st.text())
@example("1\n", "g_")
@example("\uff11\uff12", "g_")
@example("1", "g_1")
@example('1"; DROP SCHEMA public; --', "g_")
@example(2**64, "g_")
def test_an_id_and_a_prefix_are_derived_names_or_an_error(identifier: Any, prefix: str) -> None:
    try:
        (guild,) = desired({**DEFAULTS, "guilds": [entry(identifier)], "prefix": prefix}).guilds
    except InputError as error:
        assert "\n" not in str(error)
        return
    for name in (guild.names.schema, *guild.names.roles.values()):
        assert re.fullmatch(r"[a-z][a-z0-9_]{0,20}[1-9][0-9]{0,19}(_owner|_app|_ro)?", name, re.ASCII)
        assert len(name) < 64


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.dictionaries(st.text(), x)))
def test_passwords_of_any_shape_are_an_error_without_their_content(shape: Any) -> None:
    text = json.dumps({"1": {"app": "canary-in-passwords"}, "x": shape})
    with pytest.raises(InputError) as refusal:
        desired({**DEFAULTS, "guilds": [entry("1")], "passwords": text})
    assert "canary" not in str(refusal.value)


@pytest.mark.parametrize(
    "text", ["[]", '"x"', "1", "{", '{"1": []}', '{"1": {"app": 1}}', '{"1": {"app": "a\\u0000b"}}']
)
def test_bad_passwords_are_refused(text: str) -> None:
    with pytest.raises(InputError):
        desired({**DEFAULTS, "guilds": [entry("1")], "passwords": text})


@pytest.mark.parametrize(
    "name", ["search_path", "role", "A", "a b", "a;b", 'a"b', "", "a.b.c", "session_authorization"]
)
def test_what_cannot_be_a_setting_of_the_database(name: str) -> None:
    with pytest.raises(InputError, match="cannot be a setting of the database"):
        desired({**DEFAULTS, "settings": {name: "x"}})


def test_a_setting_is_one_value() -> None:
    with pytest.raises(InputError, match="The setting jit is neither text"):
        desired({**DEFAULTS, "settings": {"jit": ["on"]}})


@pytest.mark.parametrize("connections", [0, -1, 5])
def test_more_connections_than_lanes_are_of_no_use(connections: int) -> None:
    with pytest.raises(InputError, match="it is from 1 to 4"):
        desired({**DEFAULTS, "connections": connections})

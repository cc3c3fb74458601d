# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What ``pg_guild_schema_info`` makes of what it read."""

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.guild import guild_names
from ansible_collections.dcm.platform.plugins.module_utils.postgres.info import drift, guilds_among, state_of, unknown
from ansible_collections.dcm.platform.plugins.module_utils.postgres.model import (
    ABSENT,
    Guild,
    GuildIs,
    GuildState,
    Role,
    SchemaObject,
    wanted_guild,
)

NAMES = guild_names(1)


def wanted(state: GuildIs) -> GuildState:
    return wanted_guild(Guild(NAMES, state, {"app": 7, "ro": 2}), 16)


@pytest.mark.parametrize("state", ["present", "suspended", "absent"])
def test_a_guild_as_it_should_be_has_not_drifted(state: GuildIs) -> None:
    assert state_of(wanted(state)) == state
    assert drift(NAMES, wanted(state), 16) == []


def test_drift_is_named() -> None:
    present = wanted("present")
    roles = {**present.roles, "app": dataclasses.replace(present.roles["app"], settings={"work_mem": "1GB"})}
    note = SchemaObject("TABLES", "note", "eve", {})
    odd = dataclasses.replace(present, roles=roles, objects=(note,))
    assert drift(NAMES, odd, 16) == [
        "objects.TABLE note",
        "roles.app.settings.search_path",
        "roles.app.settings.work_mem",
    ]
    assert "schema_owner" in drift(NAMES, GuildState(roles={"app": Role(login=True)}), 16)
    assert drift(NAMES, ABSENT, 16) == []


def test_guilds_are_found_by_their_names() -> None:
    names = ["g_2", "g_10_app", "g_10_ro", "g_01", "g_x", "g_3_admin", "h_4", "g_18446744073709551616", "g_5\n"]
    assert [guild.id for guild in guilds_among(names, "g_")] == ["2", "10"]


def test_what_belongs_to_no_guild_is_listed() -> None:
    named = [("schemas", "g_1"), ("schemas", "g_9"), ("roles", "g_1_app"), ("roles", "g_1_admin")]
    assert unknown(named, [NAMES]) == {"schemas": ["g_9"], "roles": ["g_1_admin"]}

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filters on guild ids."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.dcm.platform.plugins.filter.guilds import FilterModule

FILTERS = FilterModule().filters()


@pytest.mark.row("DATA-08")
@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("guild_id", {}, "105844944714224099"),
        ("guild_schema_name", {}, "g_105844944714224099"),
        ("guild_schema_name", {"prefix": "staging_"}, "staging_105844944714224099"),
        ("guild_key_prefix", {}, "{g_105844944714224099}:"),
        ("guild_key_prefix", {"prefix": "staging_"}, "{staging_105844944714224099}:"),
    ],
)
@pytest.mark.parametrize("value", [105844944714224099, "105844944714224099"])
def test_a_filter(name: str, options: dict[str, str], expected: str, value: Any) -> None:
    assert FILTERS[name](value, **options) == expected


@pytest.mark.parametrize("name", sorted(FILTERS))
@pytest.mark.parametrize("value", ["", "1x", 1.5, True, None, "\uff11"])
def test_a_bad_id_is_an_error_of_the_filter(name: str, value: Any) -> None:
    with pytest.raises(AnsibleFilterError, match="is not a guild id"):
        FILTERS[name](value)


@pytest.mark.parametrize("name", ["guild_schema_name", "guild_key_prefix"])
def test_a_bad_prefix_is_an_error_of_the_filter(name: str) -> None:
    with pytest.raises(AnsibleFilterError, match="'pg_' is no prefix"):
        FILTERS[name](1, prefix="pg_")

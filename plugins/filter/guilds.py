# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filters: from the id of a guild to its names."""

from __future__ import annotations

from collections.abc import Callable

from ansible_collections.dcm.platform.plugins.module_utils import guild
from ansible_collections.dcm.platform.plugins.plugin_utils.errors import filter_errors


def _schema_name(value: object, prefix: str = guild.PREFIX) -> str:
    return guild.guild_names(value, prefix).schema


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., str]]:
        return {
            "guild_id": filter_errors(guild.guild_id),
            "guild_key_prefix": filter_errors(guild.guild_key_prefix),
            "guild_schema_name": filter_errors(_schema_name),
        }

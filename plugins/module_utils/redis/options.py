# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From the options of ``redis_guild`` to what is wanted. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Secret
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.guild import (
    guild_ids,
    guild_key_prefix,
    guild_names,
    guild_passwords,
    guild_prefix,
    require_confirmation,
)
from ansible_collections.dcm.platform.plugins.module_utils.redis.model import Guild
from ansible_collections.dcm.platform.plugins.module_utils.redis.plan import Desired


def desired(options: Mapping[str, Any]) -> Desired:
    """What the module's options ask for. Raises :class:`InputError`; no message holds a password."""
    prefix = guild_prefix(options["prefix"])
    identifiers = guild_ids(options["guilds"])
    passwords = guild_passwords(options["passwords"], identifiers)
    guilds = []
    for identifier, entry in zip(identifiers, options["guilds"], strict=True):
        if entry["state"] == "absent":
            require_confirmation(identifier, entry["confirm"])
        password = _password(identifier, passwords.get(identifier))
        names, keys = guild_names(identifier, prefix), guild_key_prefix(identifier, prefix)
        guilds.append(Guild(names, keys, entry["state"], password))
    return Desired(guilds, tuple(options["categories"]), prefix, options["persist"])


def _password(identifier: str, value: object) -> Secret | None:
    if value is None:
        return None
    if not isinstance(value, str) or not value:
        raise InputError(f"The password of guild {identifier} is no text, or is empty.")
    return Secret(value)

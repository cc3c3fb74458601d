# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From the options of ``pg_guild_schema`` to what is wanted. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Secret
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.guild import (
    guild_ids,
    guild_names,
    guild_passwords,
    guild_prefix,
    require_confirmation,
)
from ansible_collections.dcm.platform.plugins.module_utils.postgres.model import LANES, LOGINS, Guild
from ansible_collections.dcm.platform.plugins.module_utils.postgres.plan import Desired

_SETTING = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?")
ROLES_OWN = ("search_path", "default_transaction_read_only", "role", "session_authorization")


def desired(options: Mapping[str, Any]) -> Desired:
    """What the module's options ask for. Raises :class:`InputError`; no message holds a password."""
    prefix = guild_prefix(options["prefix"])
    identifiers = guild_ids(options["guilds"])
    passwords = {
        identifier: _logins(identifier, entry)
        for identifier, entry in guild_passwords(options["passwords"], identifiers).items()
    }
    guilds = [
        Guild(
            guild_names(identifier, prefix),
            entry["state"],
            {kind: _limit(identifier, kind, entry[f"connection_limit_{kind}"]) for kind in LOGINS},
            passwords.get(identifier, {}),
        )
        for identifier, entry in zip(identifiers, options["guilds"], strict=True)
    ]
    for guild, entry in zip(guilds, options["guilds"], strict=True):
        if guild.state == "absent":
            require_confirmation(guild.names.id, entry["confirm"])
    if options["batch_size"] < 1:
        raise InputError(f"batch_size is {options['batch_size']}; at least 1 guild is needed in a batch.")
    if not 1 <= options["connections"] <= LANES:
        raise InputError(f"connections is {options['connections']}; it is from 1 to {LANES}.")
    return Desired(
        guilds,
        _settings(options["settings"]),
        prefix,
        compare_passwords=options["update_password"] == "always",  # noqa: S105 - this is no password
        hardened=options["level"] == "hardened",
        harmless=options["extension_routines"],
    )


def _limit(identifier: str, kind: str, limit: int) -> int:
    if limit < -1:
        raise InputError(f"connection_limit_{kind} of guild {identifier} is {limit}; it is at least 0, or -1 for none.")
    return limit


def _logins(identifier: str, entry: object) -> dict[str, Secret]:
    if not isinstance(entry, dict) or not set(entry) <= set(LOGINS):
        raise InputError(f"The passwords of guild {identifier} are not a dictionary of {' and '.join(LOGINS)}.")
    for kind, password in entry.items():
        if password is not None and (not isinstance(password, str) or not password or "\0" in password):
            raise InputError(f"The password of {kind} of guild {identifier} is no text, is empty, or has a NUL in it.")
    return {kind: Secret(password) for kind, password in entry.items() if password is not None}


def _settings(options: Mapping[str, Any]) -> dict[str, str | None]:
    for name in options:
        if not _SETTING.fullmatch(name) or name in ROLES_OWN:
            raise InputError(
                f"{name!r} cannot be a setting of the database.",
                hint=f"It is the name of a server parameter in small letters, and none of {', '.join(ROLES_OWN)}.",
            )
    return {name: _text(name, value) for name, value in options.items()}


def _text(name: str, value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, (int, float)):
        return str(value)
    raise InputError(f"The setting {name} is neither text nor a number nor a boolean.")

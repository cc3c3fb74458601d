# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a guild is called in every store: names are derived from its id, never taken from people."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError

PREFIX = "g_"
LARGEST_ID = 2**64 - 1  # a Discord snowflake is an unsigned 64-bit number
_ID = re.compile(r"[1-9][0-9]{0,19}")
# Not ending in a digit: g1 and guild 2 would be named like g and guild 12. With 21 characters the longest name
# derived has 47 bytes, and PostgreSQL cuts, with no error, what is longer than 63.
_PREFIX = re.compile(r"(?!pg_)[a-z](?:[a-z0-9_]{0,19}[a-z_])?")


def guild_id(value: object) -> str:
    """The id as text in its one form, from a string or an integer.

    Raises :class:`InputError` for everything else: signs, blanks, leading zeros, other scripts' digits, numbers that
    went through floating point, and what does not fit into 64 bits.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        text = str(int(value)) if 0 < value <= LARGEST_ID else ""  # Python writes no number of thousands of digits
    elif isinstance(value, str):
        text = str(value)
    else:
        raise InputError(
            f"{_shown(value)} is not a guild id: it is a {type(value).__name__}, not a string or an integer.",
            hint="Write the id in quotes; a floating-point number has already lost digits.",
        )
    if not _ID.fullmatch(text) or int(text) > LARGEST_ID:
        raise InputError(
            f"{_shown(value)} is not a guild id.",
            hint=f"It is a number from 1 to {LARGEST_ID} in plain digits, without sign, blanks or leading zeros.",
        )
    return text


def guild_prefix(value: str) -> str:
    """The prefix of all names, checked. Raises :class:`InputError`."""
    if not isinstance(value, str) or not _PREFIX.fullmatch(value):
        raise InputError(
            f"{_shown(value)} is no prefix for the names of guilds.",
            hint="It has 1 to 21 of a-z, 0-9 and _, starts with a letter, ends with a letter or _, and is not pg_….",
        )
    return value


@dataclass(frozen=True)
class GuildNames:
    """A guild's names in PostgreSQL: its schema and its roles."""

    id: str
    schema: str
    owner: str
    app: str
    ro: str

    @property
    def roles(self) -> dict[str, str]:
        """The names of the roles by kind."""
        return {"owner": self.owner, "app": self.app, "ro": self.ro}


def guild_names(value: object, prefix: str = PREFIX) -> GuildNames:
    """The names of the guild with this id. Raises :class:`InputError` for a bad id or prefix."""
    identifier = guild_id(value)
    schema = f"{guild_prefix(prefix)}{identifier}"
    return GuildNames(identifier, schema, f"{schema}_owner", f"{schema}_app", f"{schema}_ro")


def guild_key_prefix(value: object, prefix: str = PREFIX) -> str:
    """The prefix of a guild's keys in a key-value store, ``{g_1}:``.

    In a Redis cluster the braces put all keys of a guild into one slot, so that commands on several of them work;
    the closing brace keeps guild 1 from matching the keys of guild 12. Raises :class:`InputError`.
    """
    return f"{{{guild_names(value, prefix).schema}}}:"


def guild_ids(entries: Iterable[Mapping[str, Any]]) -> list[str]:
    """The ids of a module's list of guilds. Raises :class:`InputError` for a bad one and for one that stands twice."""
    identifiers = [guild_id(entry["id"]) for entry in entries]
    repeated = [identifier for identifier, count in Counter(identifiers).items() if count > 1]
    if repeated:
        raise InputError(f"The same guild stands more than once in guilds: {', '.join(repeated[:10])}.")
    return identifiers


def require_confirmation(identifier: str, confirmation: object) -> None:
    """Raise :class:`InputError` unless the id of a guild that is to be removed was given a second time."""
    if confirmation is None or guild_id(confirmation) != identifier:
        raise InputError(
            f"Guild {identifier} is not removed without confirmation.",
            hint=f'All its data would be lost. If that is meant, repeat its id: confirm: "{identifier}".',
        )


def guild_passwords(text: str | None, identifiers: Sequence[str]) -> dict[str, Any]:
    """What a module's option ``passwords``, which is JSON, says of each guild.

    Raises :class:`InputError` that shows ids, never what is in them.
    """
    try:
        entries = json.loads(text) if text else {}
    except ValueError as error:
        raise InputError("passwords is no JSON.") from error
    if not isinstance(entries, dict):
        raise InputError("passwords is no dictionary of guild ids.")
    found = {guild_id(key): entry for key, entry in entries.items()}
    unknown = sorted(set(found) - set(identifiers))
    if unknown:
        raise InputError(f"passwords has guilds that are not in guilds: {', '.join(unknown[:10])}.")
    return found


def _shown(value: object) -> str:
    try:
        text = ascii(value)
    except ValueError:  # a number of thousands of digits
        text = f"a {type(value).__name__} with a huge number"
    return text if len(text) <= 60 else f"{text[:60]}…"

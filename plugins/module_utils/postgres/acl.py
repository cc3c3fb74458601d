# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Access privileges as PostgreSQL writes them in its catalogs, in a form that can be compared."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping

PUBLIC = ""  # how the catalogs write the grantee PUBLIC; a role may be called "PUBLIC", but none has an empty name

# By grantee. A privilege that its holder may pass on carries the suffix.
Privileges = Mapping[str, frozenset[str]]
GRANTABLE = " WITH GRANT OPTION"

_WORDS = {
    "r": "SELECT",
    "a": "INSERT",
    "w": "UPDATE",
    "d": "DELETE",
    "D": "TRUNCATE",
    "x": "REFERENCES",
    "t": "TRIGGER",
    "m": "MAINTAIN",
    "U": "USAGE",
    "C": "CREATE",
    "X": "EXECUTE",
    "c": "CONNECT",
    "T": "TEMPORARY",
    "s": "SET",
    "A": "ALTER SYSTEM",
}
_ITEM = re.compile(r'(?P<grantee>"(?:[^"]|"")*"|[^"=]*)=(?P<letters>[A-Za-z*]*)/', re.DOTALL)


@functools.cache
def _parsed(item: str) -> tuple[str, frozenset[str]]:
    match = _ITEM.match(item)
    if match is None:
        raise ValueError(f"not an access control item: {item!r}")
    grantee = match["grantee"]
    if grantee.startswith('"'):
        grantee = grantee[1:-1].replace('""', '"')
    letters = re.findall(r"([A-Za-z])(\*?)", match["letters"])
    return grantee, frozenset(_WORDS.get(letter, letter) + (GRANTABLE if star else "") for letter, star in letters)


def privileges(items: Iterable[str]) -> dict[str, frozenset[str]]:
    """The privileges in ``aclitem`` texts (``grantee=letters/grantor``), whoever granted them."""
    found: dict[str, frozenset[str]] = {}
    for item in items:
        grantee, words = _parsed(item)
        found[grantee] = found.get(grantee, frozenset()) | words
    return {grantee: words for grantee, words in found.items() if words}


def shown(granted: Privileges) -> dict[str, list[str]]:
    """The same for a person: sorted, PUBLIC by its name."""
    return {grantee or "PUBLIC": sorted(granted[grantee]) for grantee in sorted(granted)}

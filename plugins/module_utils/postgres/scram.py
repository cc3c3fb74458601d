# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Password verifiers made where the password is, so that neither the server nor its log ever sees it.

SCRAM-SHA-256 (RFC 5802, RFC 7677) in the form that PostgreSQL stores.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import stringprep
import unicodedata

ITERATIONS = 4096  # PostgreSQL's own figure; the server spends the same time again on each verifier it is given
SALT_BYTES = 16
_VERIFIER = re.compile(
    r"SCRAM-SHA-256\$(?P<iterations>[0-9]+):(?P<salt>[A-Za-z0-9+/=]+)\$[A-Za-z0-9+/=]+:[A-Za-z0-9+/=]+"
)
_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
    stringprep.in_table_a1,
)


def make_verifier(password: str) -> str:
    """A new verifier, with a salt of its own."""
    return _verifier(password, secrets.token_bytes(SALT_BYTES), ITERATIONS)


def matches(password: str, verifier: str) -> bool:
    """Whether the verifier is one of this password. False for verifiers of another kind."""
    parts = _VERIFIER.fullmatch(verifier)
    if parts is None:
        return False
    expected = _verifier(password, base64.b64decode(parts["salt"]), int(parts["iterations"]))
    return hmac.compare_digest(expected, verifier)


def _verifier(password: str, salt: bytes, iterations: int) -> str:
    salted = hashlib.pbkdf2_hmac("sha256", _prepared(password), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    salt_text, stored_text, server_text = (base64.b64encode(part).decode() for part in (salt, stored_key, server_key))
    return f"SCRAM-SHA-256${iterations}:{salt_text}${stored_text}:{server_text}"


def _prepared(password: str) -> bytes:
    """SASLprep (RFC 4013). Like the server and libpq: a password that it forbids is taken as it is."""
    raw = password.encode()
    if password.isascii():
        return raw
    mapped = "".join(
        " " if stringprep.in_table_c12(character) else character
        for character in password
        if stringprep.in_table_c12(character) or not stringprep.in_table_b1(character)
    )
    # The server examines the text before it normalises it, and so the same characters must count here.
    if not mapped or any(prohibited(character) for character in mapped for prohibited in _PROHIBITED):
        return raw
    if any(map(stringprep.in_table_d1, mapped)):  # right to left: throughout, or not at all
        mixed = any(map(stringprep.in_table_d2, mapped))
        if mixed or not (stringprep.in_table_d1(mapped[0]) and stringprep.in_table_d1(mapped[-1])):
            return raw
    return unicodedata.normalize("NFKC", mapped).encode()

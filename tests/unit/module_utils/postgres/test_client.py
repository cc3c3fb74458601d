# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is made of libpq's words, and the format of COPY. The connection itself is tested on real servers."""

from __future__ import annotations

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import RefusedError, UnreachableError
from ansible_collections.dcm.platform.plugins.module_utils.postgres.client import binary_copy, connecting_failed

REFUSED = 'connection to server at "db" (::1), port 5432 failed: Connection refused\n\tIs the server running?\n'
WRONG = 'connection to server at "db" (10.0.0.1), port 5432 failed: FATAL:  password authentication failed for "x"\n'
STARTING = 'connection to server at "db", port 5432 failed: FATAL:  the database system is starting up\n'


@pytest.mark.parametrize(
    ("text", "kind", "reason"),
    [
        (REFUSED, UnreachableError, "is not reachable: Connection refused."),
        ('could not translate host name "db" to address: x\n', UnreachableError, "could not translate host name"),
        (STARTING, UnreachableError, "is not reachable: the database system is starting up."),
        (WRONG, RefusedError, 'refused the connection: password authentication failed for "x". Check login_user'),
        (REFUSED + WRONG, RefusedError, "password authentication failed"),
    ],
)
def test_why_a_connection_failed(text: str, kind: type[Exception], reason: str) -> None:
    error = connecting_failed("db:5432", text)
    assert isinstance(error, kind)
    assert reason in str(error)
    assert str(error).startswith("PostgreSQL at db:5432 ")
    assert "\n" not in str(error)


def test_rows_for_copy() -> None:
    assert binary_copy([("a", "\u00e9\t\n")]) == (
        b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\0\x02\0\0\0\x01a\0\0\0\x04\xc3\xa9\t\n\xff\xff"
    )

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a person reads when a connection to Redis ends or cannot be made."""

from __future__ import annotations

import ssl

import pytest
import redis
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import (
    InputError,
    PlatformError,
    RefusedError,
    TransientError,
    UnreachableError,
)
from ansible_collections.dcm.platform.plugins.module_utils.redis.client import connecting_failed


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (
            caused(redis.ConnectionError("Error 111 connecting to x:1."), ConnectionRefusedError(111, "refused")),
            UnreachableError,
            "Redis at x:1 is not reachable: refused.",
        ),
        (
            redis.TimeoutError("Timeout reading from socket"),
            UnreachableError,
            "Redis at x:1 is not reachable: Timeout reading from socket.",
        ),
        (
            redis.AuthenticationError("invalid username-password pair or user is disabled."),
            RefusedError,
            "Redis at x:1 refused the login: invalid username-password pair or user is disabled.",
        ),
        (
            redis.BusyLoadingError("Redis is loading the dataset in memory"),
            TransientError,
            "Redis at x:1 is still reading its data: Redis is loading the dataset in memory.",
        ),
        (
            caused(redis.ConnectionError("Error 1 connecting"), ssl.SSLError(1, "certificate verify failed")),
            RefusedError,
            "The TLS connection to Redis at x:1 failed: ",
        ),
        (caused(redis.ConnectionError("Error 2"), FileNotFoundError(2, "no")), InputError, "no file where ca_certs"),
    ],
)
def test_an_error_says_what_happened_and_where(error: Exception, kind: type[PlatformError], text: str) -> None:
    failed = connecting_failed("x:1", error)
    assert failed.__class__ is kind
    assert text in str(failed)

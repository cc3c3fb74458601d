# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The ways to log in. A new one is a function, a row of :data:`AUTH_METHODS`, and its options in ``arguments.py``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Options = Mapping[str, Any]


@dataclass(frozen=True)
class AuthMethod:
    """``required`` names the options it cannot do without; ``login`` leaves the token in the hvac client."""

    required: tuple[str, ...]
    login: Callable[[Any, Options], None]


def _token(client: Any, options: Options) -> None:
    client.token = options["token"]


def _approle(client: Any, options: Options) -> None:
    client.auth.approle.login(role_id=options["role_id"], secret_id=options["secret_id"])


def _userpass(client: Any, options: Options) -> None:
    client.auth.userpass.login(username=options["username"], password=options["password"])


AUTH_METHODS: Mapping[str, AuthMethod] = {
    "token": AuthMethod(("token",), _token),
    "approle": AuthMethod(("role_id",), _approle),  # a role may be bound by address instead of a secret_id
    "userpass": AuthMethod(("username", "password"), _userpass),
}

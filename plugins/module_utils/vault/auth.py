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


def _mount_point(options: Options) -> str:
    """Where the method is mounted: below its own name, unless told otherwise."""
    return str(options["mount_point"] or options["auth_method"]).strip("/")


def _approle(client: Any, options: Options) -> None:
    client.auth.approle.login(options["role_id"], options["secret_id"], mount_point=_mount_point(options))


def _userpass(client: Any, options: Options) -> None:
    client.auth.userpass.login(options["username"], options["password"], mount_point=_mount_point(options))


def _jwt(client: Any, options: Options) -> None:
    """Service accounts of Kubernetes log in in the same way as everybody else with a signed token."""
    client.adapter.login(
        f"/v1/auth/{_mount_point(options)}/login", json={"role": options["role_id"], "jwt": options["jwt"]}
    )


def _cert(client: Any, options: Options) -> None:
    """The certificate belongs to the connection; the role is the server's choice if none is named."""
    client.adapter.login(
        f"/v1/auth/{_mount_point(options)}/login", json={"name": options["role_id"]} if options["role_id"] else {}
    )


AUTH_METHODS: Mapping[str, AuthMethod] = {
    "token": AuthMethod(("token",), _token),
    "approle": AuthMethod(("role_id",), _approle),  # a role may be bound by address instead of a secret_id
    "userpass": AuthMethod(("username", "password"), _userpass),
    "kubernetes": AuthMethod(("role_id", "jwt"), _jwt),
    "jwt": AuthMethod(("role_id", "jwt"), _jwt),
    "cert": AuthMethod(("cert_auth_public_key", "cert_auth_private_key"), _cert),
}

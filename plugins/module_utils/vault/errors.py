# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an OpenBao or Vault server refuses with, as errors that name the server and the API path, never a value."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import (
    ConflictError,
    InputError,
    NotFoundError,
    PlatformError,
    RefusedError,
    TransientError,
    UnreachableError,
)

try:
    import requests
except ImportError:  # it comes with hvac, which the engine reports with its package
    requests = None  # type: ignore[assignment]

SERVICE = "OpenBao or Vault"
SNAPSHOT = "application/gzip"  # what the server calls a snapshot of its storage
LONGEST_REASON = 500  # characters quoted of what a server says


class ForbiddenError(RefusedError):
    """The token may not do this on this path. ``reason``: the server's own words."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message, hint="Extend the policy of the token, or use another token.")
        self.reason = reason


class MissingError(NotFoundError):
    """HTTP 404. ``document`` is its body: of a deleted secret it still holds the metadata."""

    def __init__(self, message: str, document: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.document = document


class UnusableError(UnreachableError):
    """The server answers, but no request can succeed: it ends a run as a server does that is not there."""

    def __init__(self, address: str, message: str, hint: str) -> None:
        super().__init__(SERVICE, address, message)
        self.message = message
        self.hint = hint


class SealedError(UnusableError):
    """The server runs and cannot serve anybody."""


class InvalidTokenError(UnusableError):
    """The token itself is not accepted (any more)."""


def raise_for_status(response: requests.Response, **_options: Any) -> None:
    """Turn an answer that is none into its error. A hook of the session, so that it sees status and headers.

    Raises a :class:`PlatformError` for every status but success.
    """
    address, call = _address(response), _call(response)
    status, reason = response.status_code, _reason_given(response)
    answer = f"{SERVICE} at {address} answered HTTP {status} on {call}" + (f": {reason}." if reason else ".")
    if status < 300:
        _check_content(response, address)
    elif status < 400:
        # The token would go along to whatever host the answer names.
        raise RefusedError(
            f"{SERVICE} at {address} redirects {call} to {_origin(response.headers.get('Location', ''))}.",
            hint="The token is not sent there: give the address of the active node, or of a load balancer, as url.",
        )
    elif status == 403:
        raise ForbiddenError(f"{SERVICE} at {address} forbids {call}: permission denied.", reason)
    elif status == 404:
        raise MissingError(answer, _document(response))
    elif status == 503 and "sealed" in reason:
        raise SealedError(
            address,
            f"{SERVICE} at {address} is sealed, or not initialised yet.",
            "Unseal it, then run again: what was done is kept.",
        )
    elif status == 400 and "check-and-set" in reason:
        raise ConflictError(f"{call} at {address} was refused: the secret changed since it was read.")
    elif status in (412, 429) or (status >= 500 and status != 501) or "Upgrading from non-versioned" in reason:
        raise TransientError(answer, retry_after=_retry_after(response))
    else:
        raise RefusedError(answer)


def unreachable(address: str, error: requests.RequestException) -> PlatformError:
    """The error to raise for a request that got no answer at all."""
    cause = _innermost(error)
    if isinstance(error, requests.exceptions.InvalidHeader):
        return InputError("The token or the namespace holds characters that cannot be sent; is there a line break?")
    if isinstance(error, ValueError):  # requests' own errors about a URL
        return InputError(f"url {address!r}, or its proxy, is not an address like https://vault.example.com:8200.")
    if isinstance(error, requests.exceptions.SSLError):
        return RefusedError(
            f"The TLS connection to {SERVICE} at {address} failed: {_text(cause)}.",
            hint="Give the certificate authority as ca_cert, and the name that its certificate holds in url.",
        )
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return UnreachableError(SERVICE, address, "no connection within the timeout", sent=False)
    if isinstance(error, requests.exceptions.Timeout):
        return UnreachableError(SERVICE, address, "no answer within the timeout")
    never_sent = isinstance(cause, (ConnectionRefusedError, socket.gaierror))
    return UnreachableError(SERVICE, address, _text(cause), sent=not never_sent)


def _innermost(error: BaseException) -> BaseException:
    while inner := error.__cause__ or error.__context__:
        error = inner
    return error


def _text(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).rstrip(".")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else "another path"


def _address(response: requests.Response) -> str:
    return _origin(response.url)


def _call(response: requests.Response) -> str:
    """Method and path as policies spell it, without ``/v1/``."""
    path = unquote(urlsplit(response.url).path).lstrip("/").removeprefix("v1/")
    return f"{response.request.method} {path}"


def _document(response: requests.Response) -> Mapping[str, Any]:
    try:
        document = response.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _reason_given(response: requests.Response) -> str:
    """The server's own words on one line. Of anything but its JSON (a proxy's page) nothing is quoted."""
    if response.status_code < 400:
        return ""
    errors = _document(response).get("errors") or []
    words = " ".join("; ".join(str(error) for error in errors).split())
    return words[:LONGEST_REASON].rstrip(".")


def _retry_after(response: requests.Response) -> float | None:
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isdigit() else None


def _check_content(response: requests.Response, address: str) -> None:
    kind = response.headers.get("Content-Type", "")
    if response.status_code != 204 and "json" not in kind and kind != SNAPSHOT and response.content:
        raise PlatformError(
            f"What answers at {address} is not {SERVICE}: {_call(response)} returned no JSON.",
            hint="Check url: scheme, host and port of the server, without a path.",
        )

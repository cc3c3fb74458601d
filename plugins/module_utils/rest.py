# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One REST client for vendors' APIs: a token, JSON, pages, rate limits, and no object made twice."""

from __future__ import annotations

import email.utils
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from ansible_collections.dcm.platform.plugins.module_utils.engine.clock import SYSTEM_CLOCK, Clock
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import (
    InputError,
    NotFoundError,
    PlatformError,
    RefusedError,
    TransientError,
    UnreachableError,
)
from ansible_collections.dcm.platform.plugins.module_utils.engine.retry import RetryPolicy, retrying

try:
    import requests
except ImportError:  # the engine reports a missing library with its package
    requests = None  # type: ignore[assignment]

Document = Any  # parsed JSON
LONGEST_REASON = 500  # characters quoted of what a server says
POLICY = RetryPolicy(attempts=10, longest_retry_after=600.0)  # an hourly limit may ask for minutes


class AnsweredError(RefusedError):
    """The API refused. ``status`` is the HTTP status, ``reason`` the API's own words."""

    def __init__(self, message: str, status: int, reason: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.reason = reason


class AbsentError(AnsweredError, NotFoundError):
    """HTTP 404, or what means the same."""


@dataclass(frozen=True)
class ErrorBody:
    """An error as a vendor writes it. ``status`` is what it means in HTTP, where the body tells."""

    reason: str
    status: int | None = None


@dataclass(frozen=True)
class Dialect:
    """What differs between vendors.

    ``error_in`` finds the error in a body (None: the body is none), also in one that came with HTTP 200;
    ``next_page`` gives the query of the next page, or None on the last one.
    """

    service: str
    error_in: Callable[[Document], ErrorBody | None]
    next_page: Callable[[Document], Mapping[str, str] | None]
    refused_hint: str = "Check the token and what it may do."


def query_of(url: str) -> dict[str, str]:
    """The query of a link to another page. Only that is used: the token must not follow to another host."""
    return dict(parse_qsl(urlsplit(url).query))


@dataclass
class _Gate:
    """Keeps every thread from sending before the time that the server named."""

    clock: Clock
    opens: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def close_for(self, seconds: float) -> None:
        with self.lock:
            self.opens = max(self.opens, self.clock.now() + seconds)

    def wait(self) -> None:
        while (left := self.opens - self.clock.now()) > 0:
            self.clock.sleep(left)


class RestClient:
    """One API at one address with one token. Several threads may call it at once."""

    def __init__(
        self,
        dialect: Dialect,
        url: str,
        token: str,
        *,
        verify: bool | str = True,
        timeout: float = 30.0,
        policy: RetryPolicy = POLICY,
        clock: Clock = SYSTEM_CLOCK,
        connections: int = 8,
    ) -> None:
        """``verify`` as in ``requests``: yes, no, or a file of authorities. ``timeout``: seconds for each answer."""
        self.dialect = dialect
        self.url = url.rstrip("/")
        self.clock = clock
        self._policy = policy
        self._timeout = timeout
        self._gate = _Gate(clock)
        self._session = requests.Session()
        self._session.verify = verify
        # DELETE without a content type is refused by some calls, so every request has one.
        self._session.headers.update(
            {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Accept": "application/json"}
        )
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, requests.adapters.HTTPAdapter(pool_connections=1, pool_maxsize=connections))

    # -- requests ----------------------------------------------------------------------------------------------

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> Document:
        """The document at a path. Raises :class:`AbsentError` for 404."""
        return retrying(lambda: self._send("GET", path, query=query), idempotent=True, **self._retries())

    def text(self, path: str, query: Mapping[str, Any] | None = None) -> str:
        """An answer that is not JSON, as text."""
        return str(retrying(lambda: self._send("GET", path, query=query, raw=True), idempotent=True, **self._retries()))

    def put(self, path: str, body: Document) -> Document:
        """Replace what is at a path; repeated when the answer is lost."""
        return self._idempotent("PUT", path, body)

    def patch(self, path: str, body: Document) -> Document:
        """Set fields of what is at a path; repeated when the answer is lost, as it sets values and adds nothing."""
        return self._idempotent("PATCH", path, body)

    def delete(self, path: str, body: Document = None, query: Mapping[str, Any] | None = None) -> bool:
        """Remove what is at a path. False: it was not there (any more)."""
        try:
            retrying(lambda: self._send("DELETE", path, body, query=query), idempotent=True, **self._retries())
        except AbsentError:
            return False
        return True

    def post(self, path: str, body: Document, *, done: Callable[[], Any]) -> Any:
        """Ask for something once.

        A POST is repeated only when the server said that it did nothing (429, no connection), or when ``done``, called
        after an answer was lost, finds nothing. What ``done`` finds is returned instead of the answer.
        """
        lost = False

        def attempt() -> Any:
            nonlocal lost
            if lost and (found := done()) is not None:
                return found
            try:
                return self._send("POST", path, body)
            except TransientError as error:
                lost = lost or error.sent
                raise

        return retrying(attempt, idempotent=True, **self._retries())

    def pages(self, path: str, key: str, query: Mapping[str, Any] | None = None) -> list[Any]:
        """All objects of a collection, over all its pages."""
        found: list[Any] = []
        at: Mapping[str, Any] | None = query
        while True:
            document = self.get(path, at)
            found += document.get(key) or []
            following = self.dialect.next_page(document)
            if following is None:
                return found
            at = {**(query or {}), **following}

    # -- one request -------------------------------------------------------------------------------------------

    def _retries(self) -> dict[str, Any]:
        return {"policy": self._policy, "clock": self.clock}

    def _idempotent(self, method: str, path: str, body: Document) -> Document:
        return retrying(lambda: self._send(method, path, body), idempotent=True, **self._retries())

    def _send(
        self,
        method: str,
        path: str,
        body: Document = None,
        *,
        query: Mapping[str, Any] | None = None,
        raw: bool = False,
    ) -> Document:
        self._gate.wait()
        try:
            response = self._session.request(
                method,
                self.url + path,
                params=query,
                json=body,
                timeout=self._timeout,
                allow_redirects=False,  # the token must not follow to another host
            )
        except requests.RequestException as error:
            raise self._unreachable(error) from error
        self._heed_limits(response)
        return self._read(response, f"{method} {path}", raw)

    def _heed_limits(self, response: requests.Response) -> None:
        """Close the gate for as long as the server wants, also when it still answered."""
        pause = retry_after(response.headers) if response.status_code == 429 else None
        if pause is None:
            pause = until_reset(response.headers)
        if pause is not None and pause <= self._policy.longest_retry_after:
            self._gate.close_for(pause)

    def _read(self, response: requests.Response, call: str, raw: bool) -> Document:
        status = response.status_code
        if status == 204 or (status < 300 and not response.content):
            return {}
        if raw and status < 300:
            return response.text
        document, is_json = _parsed(response)
        body = self.dialect.error_in(document) if is_json else None
        if status < 300 and body is None:
            if not is_json:
                raise PlatformError(
                    f"What answers at {self.url} is not {self.dialect.service}: {call} returned no JSON.",
                    hint="Check the API's address: scheme, host and port, without a path.",
                )
            return document
        if status < 300 and body is not None:  # an error that came as a success
            status = body.status or 400
        raise self._error(status, call, body.reason if body else "", response)

    def _error(self, status: int, call: str, reason: str, response: requests.Response) -> PlatformError:
        words = " ".join(reason.split())[:LONGEST_REASON].rstrip(".")
        message = f"{self.dialect.service} at {self.url} answered HTTP {status} on {call}" + (
            f": {words}." if words else "."
        )
        if status == 429:
            pause = retry_after(response.headers)
            pause = until_reset(response.headers) if pause is None else pause
            return TransientError(message, retry_after=pause, sent=False, hint="Too many requests for this token.")
        if status >= 500 and status != 501:
            return TransientError(message, retry_after=retry_after(response.headers))
        if status == 404:
            return AbsentError(message, status, words)
        hint = self.dialect.refused_hint if status in (401, 403) else None
        return AnsweredError(message, status, words, hint=hint)

    def _unreachable(self, error: requests.RequestException) -> PlatformError:
        service = self.dialect.service
        if isinstance(error, requests.exceptions.InvalidHeader):
            return InputError(f"The token of {service} holds characters that cannot be sent; is there a line break?")
        if isinstance(error, ValueError):  # requests' own errors about an address
            return InputError(f"{self.url!r} is not an address like https://api.example.com.")
        cause = _innermost(error)
        text = str(getattr(cause, "strerror", None) or cause or type(cause).__name__).rstrip(".")
        if isinstance(error, requests.exceptions.SSLError):
            return RefusedError(
                f"The TLS connection to {service} at {self.url} failed: {text}.",
                hint="Give the certificate authority, and the name that its certificate holds in the address.",
            )
        if isinstance(error, requests.exceptions.ConnectTimeout):
            return UnreachableError(service, self.url, "no connection within the timeout", sent=False)
        if isinstance(error, requests.exceptions.Timeout):
            return UnreachableError(service, self.url, "no answer within the timeout")
        never_sent = isinstance(cause, (ConnectionRefusedError, socket.gaierror))
        return UnreachableError(service, self.url, text, sent=not never_sent)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of a ``Retry-After`` header, in either of its forms."""
    value = headers.get("Retry-After", "")
    if value.isdigit():
        return float(value)
    moment = _epoch(value)
    return max(0.0, moment - _server_time(headers)) if moment is not None else None


def until_reset(headers: Mapping[str, str]) -> float | None:
    """Seconds until ``ratelimit-reset``, by the server's own clock, when no request is left until then."""
    value = headers.get("ratelimit-reset", "") if headers.get("ratelimit-remaining") == "0" else ""
    return max(0.0, float(value) - _server_time(headers)) if value.isdigit() else None


def _server_time(headers: Mapping[str, str]) -> float:
    moment = _epoch(headers.get("Date", ""))
    return time.time() if moment is None else moment


def _epoch(date: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError):
        return None


def _parsed(response: requests.Response) -> tuple[Document, bool]:
    try:
        return response.json(), True
    except ValueError:
        return None, False  # a proxy's page; nothing of it is quoted


def _innermost(error: BaseException) -> BaseException:
    while inner := error.__cause__ or error.__context__:
        error = inner
    return error

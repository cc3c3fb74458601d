# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A connection to OpenBao or Vault: one login, one pool of connections, its failures as the engine's errors."""

from __future__ import annotations

import base64
import contextlib
import json
import os
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError, PlatformError
from ansible_collections.dcm.platform.plugins.module_utils.engine.retry import RetryPolicy, retrying
from ansible_collections.dcm.platform.plugins.module_utils.vault.arguments import ENVIRONMENT
from ansible_collections.dcm.platform.plugins.module_utils.vault.auth import AUTH_METHODS
from ansible_collections.dcm.platform.plugins.module_utils.vault.errors import (
    SERVICE,
    ForbiddenError,
    InvalidTokenError,
    MissingError,
    raise_for_status,
    unreachable,
)

try:
    import hvac
    import requests
except ImportError:  # the engine reports a missing library with its package
    hvac = None
    requests = None  # type: ignore[assignment]

INDEX = "X-Vault-Index"  # of a write in the server's storage
Options = Mapping[str, Any]


class Vault:
    """A logged-in server. Several threads may call it at once."""

    def __init__(self, url: str, client: Any, policy: RetryPolicy) -> None:
        """``client`` is an ``hvac.Client`` whose session raises the engine's errors."""
        self.url = url
        self._client = client
        self._policy = policy
        self._written = ""

    def note_index(self, response: requests.Response, **_options: Any) -> None:
        """Keep the highest index that the server gave a write. A hook of the session."""
        index = response.headers.get(INDEX, "")
        if index and _position(index) >= _position(self._written):
            self._written = index

    def call(self, operation: Callable[[Any], Any], *, idempotent: bool = True) -> Any:
        """``operation(hvac client)``, repeated while the server is busy or away, within the bounds of ``retries``.

        Raises the errors of :mod:`.errors`, :class:`UnreachableError` and :class:`TransientError` among them.
        """

        def attempt() -> Any:
            try:
                return operation(self._client)
            except requests.RequestException as error:
                raise unreachable(self.url, error) from error

        return retrying(attempt, idempotent=idempotent, policy=self._policy)

    def request(self, method: str, path: str, **options: Any) -> Any:
        """One call of the HTTP API: the answer as a document, empty if there is none.

        ``path`` is spelt as in policies; ``options`` are those of ``requests``. Raises what :meth:`call` raises, and
        :class:`InvalidTokenError` where that is why the server forbids it.
        """
        try:
            answer = self.call(lambda client: client.adapter.request(method, f"/v1/{quote(path)}", **options))
        except ForbiddenError:
            self.check_token()
            raise
        return answer if isinstance(answer, dict) else {}

    def read(self, path: str) -> Any:
        """The ``data`` at a path; None if there is nothing."""
        try:
            return self.request("get", path).get("data")
        except MissingError:
            return None

    def settle(self) -> None:
        """Return once this server shows what was written through it.

        A standby hands writes on and answers reads itself, from what has reached it by then. Given the index of the
        last write, it answers "busy" until it has that. It matters to who reads next, and is no reason to fail.
        """
        with contextlib.suppress(PlatformError):
            if self._written:
                self.request("get", "auth/token/lookup-self", headers={INDEX: self._written})

    def check_token(self) -> None:
        """Raise :class:`InvalidTokenError` unless the token is good.

        The server forbids with the same words what a token may not and a token it does not know. Only of a good one
        does it speak of its preflight check.
        """
        try:
            self.call(lambda client: client.adapter.get("/v1/sys/internal/ui/mounts/sys"))
        except MissingError:
            return
        except ForbiddenError as error:
            if "preflight" not in error.reason:
                raise InvalidTokenError(
                    self.url,
                    f"{SERVICE} at {self.url} does not accept the token: it is unknown, revoked or expired.",
                    "Get a new one, then run again: what was done is kept.",
                ) from error


def open_connection(options: Options, *, connections: int = 1) -> Vault:
    """A server nobody has logged in to yet, for what is asked of it before that is possible.

    Raises :class:`InputError` if the address is missing.
    """
    url = (options["url"] or "").rstrip("/")
    if not url:
        raise InputError("The server's address is missing.", hint=f"Give it as url, or in {_variables('url')}.")
    policy = RetryPolicy(attempts=max(0, options["retries"]) + 1)
    client = _hvac_client(url, options, connections)
    vault = Vault(url, client, policy)
    client.session.hooks["response"].append(vault.note_index)
    return vault


def connect(options: Options, *, connections: int = 1) -> Vault:
    """Log in with the options of :data:`VAULT_ARGUMENTS`. ``connections``: how many threads will call at a time.

    Raises :class:`InputError` for options that are missing, else what :meth:`Vault.call` raises.
    """
    vault = open_connection(options, connections=connections)
    log_in(vault, options)
    return vault


def log_in(vault: Vault, options: Options) -> None:
    """Raises :class:`InputError` for options that are missing, else what :meth:`Vault.call` raises."""
    method = AUTH_METHODS[options["auth_method"]]
    for name in method.required:
        if not options[name]:
            raise InputError(
                f"auth_method {options['auth_method']} needs {name}.", hint=f"Give it, or set {_variables(name)}."
            )
    # Not repeated once it was sent: a secret_id may be good for a single use.
    vault.call(lambda client: method.login(client, options), idempotent=False)


def _hvac_client(url: str, options: Options, connections: int) -> Any:
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, requests.adapters.HTTPAdapter(pool_connections=1, pool_maxsize=connections))
    session.hooks["response"].append(raise_for_status)
    # Once for all requests: requests would go through the environment for each of them.
    settings = session.merge_environment_settings(url, _proxies(options["proxies"]), None, _verification(options), None)
    session.trust_env = False
    session.verify = verify = settings["verify"]
    if options["auth_method"] == "cert":
        session.cert = (options["cert_auth_public_key"], options["cert_auth_private_key"])
    return hvac.Client(
        url=url,
        token="",  # none of hvac's own guessing: the method's login sets it
        verify=verify,
        timeout=options["timeout"],
        proxies=settings["proxies"],
        allow_redirects=False,  # the token must not follow to another host
        session=session,
        namespace=options["namespace"] or None,
    )


def _position(index: str) -> int:
    """What OpenBao counts in an index; without order (0) where it is another server's."""
    try:
        return int(json.loads(base64.b64decode(index))["value"])
    except (ValueError, KeyError, TypeError):
        return 0


def _verification(options: Options) -> bool | str:
    """What ``requests`` calls ``verify``: no, yes, or with this authority."""
    wanted = options["validate_certs"]
    if wanted is None:
        wanted = not boolean(os.environ.get("VAULT_SKIP_VERIFY") or "no", strict=False)
    return (options["ca_cert"] or True) if wanted else False


def _proxies(value: Any) -> dict[str, str]:
    """One address stands for both schemes; without one, the variables that ``requests`` knows apply."""
    if not value:
        return {}
    return dict(value) if isinstance(value, Mapping) else {"http": str(value), "https": str(value)}


def _variables(option: str) -> str:
    return " or ".join(reversed(ENVIRONMENT[option]))

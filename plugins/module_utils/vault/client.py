# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A connection to OpenBao or Vault: one login, one pool of connections, its failures as the engine's errors."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.engine.retry import RetryPolicy, retrying
from ansible_collections.dcm.platform.plugins.module_utils.vault.arguments import ENVIRONMENT
from ansible_collections.dcm.platform.plugins.module_utils.vault.auth import AUTH_METHODS
from ansible_collections.dcm.platform.plugins.module_utils.vault.errors import raise_for_status, unreachable

try:
    import hvac
    import requests
except ImportError:  # the engine reports a missing library with its package
    hvac = None
    requests = None  # type: ignore[assignment]

Options = Mapping[str, Any]


class Vault:
    """A logged-in server. Several threads may call it at once."""

    def __init__(self, url: str, client: Any, policy: RetryPolicy) -> None:
        """``client`` is an ``hvac.Client`` whose session raises the engine's errors."""
        self.url = url
        self._client = client
        self._policy = policy

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


def connect(options: Options, *, connections: int = 1) -> Vault:
    """Log in with the options of :data:`VAULT_ARGUMENTS`. ``connections``: how many threads will call at a time.

    Raises :class:`InputError` for options that are missing, else what :meth:`Vault.call` raises.
    """
    url = (options["url"] or "").rstrip("/")
    if not url:
        raise InputError("The server's address is missing.", hint=f"Give it as url, or in {_variables('url')}.")
    method = AUTH_METHODS[options["auth_method"]]
    for name in method.required:
        if not options[name]:
            raise InputError(
                f"auth_method {options['auth_method']} needs {name}.", hint=f"Give it, or set {_variables(name)}."
            )
    vault = Vault(url, _hvac_client(url, options, connections), RetryPolicy(attempts=max(0, options["retries"]) + 1))
    # Not repeated once it was sent: a secret_id may be good for a single use.
    vault.call(lambda client: method.login(client, options), idempotent=False)
    return vault


def _hvac_client(url: str, options: Options, connections: int) -> Any:
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, requests.adapters.HTTPAdapter(pool_connections=1, pool_maxsize=connections))
    session.hooks["response"].append(raise_for_status)
    session.verify = verify = _verification(options)
    return hvac.Client(
        url=url,
        token="",  # none of hvac's own guessing: the method's login sets it
        verify=verify,
        timeout=options["timeout"],
        proxies=_proxies(options["proxies"]),
        allow_redirects=False,  # the token must not follow to another host
        session=session,
        namespace=options["namespace"] or None,
    )


def _verification(options: Options) -> bool | str:
    """What ``requests`` calls ``verify``: no, yes, or with this authority."""
    wanted = options["validate_certs"]
    if wanted is None:
        wanted = not boolean(os.environ.get("VAULT_SKIP_VERIFY") or "no", strict=False)
    return (options["ca_cert"] or True) if wanted else False


def _proxies(value: Any) -> Mapping[str, str] | None:
    """One address stands for both schemes; without one, the variables that ``requests`` knows apply."""
    if not value:
        return None
    return value if isinstance(value, Mapping) else {"http": str(value), "https": str(value)}


def _variables(option: str) -> str:
    return " or ".join(reversed(ENVIRONMENT[option]))

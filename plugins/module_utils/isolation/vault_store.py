# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs the attacks on OpenBao or Vault, with a short-lived token that has one guild's policy."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import PlatformError, TransientError
from ansible_collections.dcm.platform.plugins.module_utils.guild import GuildNames
from ansible_collections.dcm.platform.plugins.module_utils.isolation.check import Finding
from ansible_collections.dcm.platform.plugins.module_utils.isolation.vault import ATTACKS, Attack
from ansible_collections.dcm.platform.plugins.module_utils.vault.client import Vault, connect
from ansible_collections.dcm.platform.plugins.module_utils.vault.errors import ForbiddenError

LIFE = "5m"  # of a token that was not revoked because the check was killed


class VaultStore:
    """The guilds' secrets below one path of a key-value engine."""

    def __init__(self, vault: Vault, options: Mapping[str, Any]) -> None:
        """``vault``: logged in with the right to make tokens. ``options``: those of the module's ``vault``."""
        self._vault = vault
        self._options = options

    def attack(self, own: GuildNames, other: GuildNames) -> Iterator[Finding]:
        """All attacks with one token, which is revoked in the end with all that it made."""
        values = {
            "own": own.id,
            "other": other.id,
            "own_policy": f"{self._options['policy_prefix']}{own.id}",
            "other_policy": f"{self._options['policy_prefix']}{other.id}",
            "mount": self._options["mount"].strip("/"),
            "path": self._options["path"].strip("/"),
            "secret": self._options["secret"],
        }
        with self._token_of(values["own_policy"]) as guild:
            for one in ATTACKS:
                got = _outcome(guild, one, values)
                yield Finding("vault", one.row, one.name, "app", own.id, other.id, one.expected, got)

    @contextlib.contextmanager
    def _token_of(self, policy: str) -> Iterator[Vault]:
        body = {"policies": [policy], "ttl": LIFE, "renewable": False, "display_name": "isolation-check"}
        made = self._vault.request("post", "auth/token/create", json=body)["auth"]
        try:
            yield connect({**self._options, "auth_method": "token", "token": made["client_token"]})
        finally:
            self._vault.request("post", "auth/token/revoke-accessor", json={"accessor": made["accessor"]})


def _outcome(guild: Vault, one: Attack, values: Mapping[str, str]) -> str:
    path = quote(one.path.format(**values))
    body = {name: _filled(value, values) for name, value in one.body.items()} or None
    try:
        guild.call(lambda client: client.adapter.request(one.method, f"/v1/{path}", json=body))
    except ForbiddenError:
        return "deny"
    except TransientError:  # it says nothing about rights
        raise
    except PlatformError:
        return "allow"
    return "allow"


def _filled(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_filled(item, values) for item in value]
    return value.format(**values) if isinstance(value, str) and value.startswith("{") else value

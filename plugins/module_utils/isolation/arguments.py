# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The options of ``guild_isolation_check``: the connections of the stores, but for who logs in."""

from __future__ import annotations

from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments
from ansible_collections.dcm.platform.plugins.module_utils.guild import PREFIX
from ansible_collections.dcm.platform.plugins.module_utils.postgres.arguments import POSTGRESQL_ARGUMENTS
from ansible_collections.dcm.platform.plugins.module_utils.redis.arguments import REDIS_ARGUMENTS
from ansible_collections.dcm.platform.plugins.module_utils.vault.arguments import VAULT_ARGUMENTS


def _part(arguments: Arguments, *names: str) -> dict[str, Any]:
    """Some options of a connection: guilds log in as themselves."""
    return {name: arguments.spec[name] for name in names}


POSTGRESQL = _part(
    POSTGRESQL_ARGUMENTS, "login_host", "login_port", "login_db", "ssl_mode", "ca_cert", "connect_timeout"
)
VAULT = {
    **_part(VAULT_ARGUMENTS, "url", "token", "namespace", "validate_certs"),
    "ca_cert": {key: value for key, value in VAULT_ARGUMENTS.spec["ca_cert"].items() if key != "aliases"},
    "mount": {"type": "str", "default": "secret"},
    "path": {"type": "str", "default": "dcm/guilds"},
    "secret": {"type": "str", "default": "postgresql", "no_log": False},
    "policy_prefix": {"type": "str", "default": "guild-"},
}
REDIS_OPTIONS = _part(REDIS_ARGUMENTS, "login_host", "login_port", "tls", "validate_certs", "ca_certs", "timeout")
ARGUMENTS = Arguments(
    {
        "guilds": {"type": "list", "elements": "raw", "required": True},
        "prefix": {"type": "str", "default": PREFIX},
        "credentials": {"type": "json", "no_log": True},
        "postgresql": {"type": "dict", "options": POSTGRESQL},
        "redis": {"type": "dict", "options": REDIS_OPTIONS},
        "vault": {"type": "dict", "options": VAULT},
        "level": {"type": "str", "choices": ["model", "hardened"], "default": "model"},
        "pairs": {"type": "int", "default": 20},
        "seed": {"type": "int"},
        "workers": {"type": "int", "default": 2},
    },
    required_one_of=(("postgresql", "redis", "vault"),),
)

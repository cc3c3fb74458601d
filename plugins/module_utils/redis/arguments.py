# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options to connect to Redis, named as in ``community.general``."""

from __future__ import annotations

from ansible.module_utils.basic import env_fallback
from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments

REDIS_ARGUMENTS = Arguments(
    {
        "login_host": {"type": "str", "default": "localhost", "fallback": (env_fallback, ["REDIS_HOST"])},
        "login_port": {"type": "int", "default": 6379, "fallback": (env_fallback, ["REDIS_PORT"])},
        "login_user": {"type": "str", "fallback": (env_fallback, ["REDIS_USER"])},
        "login_password": {"type": "str", "no_log": True, "fallback": (env_fallback, ["REDISCLI_AUTH"])},
        "tls": {"type": "bool", "default": True},
        "validate_certs": {"type": "bool", "default": True},
        "ca_certs": {"type": "path"},
        "timeout": {"type": "int", "default": 30},
    }
)

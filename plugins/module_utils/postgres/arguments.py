# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options to connect to PostgreSQL, named as in ``community.postgresql``."""

from __future__ import annotations

from ansible.module_utils.basic import env_fallback
from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")

POSTGRESQL_ARGUMENTS = Arguments(
    {
        "login_host": {"type": "str", "default": "localhost", "fallback": (env_fallback, ["PGHOST"])},
        "login_port": {"type": "int", "default": 5432, "fallback": (env_fallback, ["PGPORT"])},
        "login_user": {"type": "str", "default": "postgres", "fallback": (env_fallback, ["PGUSER"])},
        "login_password": {"type": "str", "no_log": True, "fallback": (env_fallback, ["PGPASSWORD"])},
        "login_db": {"type": "str", "required": True, "fallback": (env_fallback, ["PGDATABASE"])},
        "ssl_mode": {
            "type": "str",
            "default": "prefer",
            "choices": list(SSL_MODES),
            "fallback": (env_fallback, ["PGSSLMODE"]),
        },
        "ca_cert": {"type": "path", "fallback": (env_fallback, ["PGSSLROOTCERT"])},
        "connect_timeout": {"type": "int", "default": 10, "fallback": (env_fallback, ["PGCONNECT_TIMEOUT"])},
    }
)

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The options that the modules of the Talos API share."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule, env_fallback
from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import (
    CRYPTOGRAPHY,
    GRPCLIB,
    PROTOBUF,
    PYYAML,
)

OFFLINE_LIBRARIES = (PYYAML, CRYPTOGRAPHY)
API_LIBRARIES = (*OFFLINE_LIBRARIES, PROTOBUF, GRPCLIB)

CREDENTIALS = Arguments(
    {
        "secrets": {"type": "raw", "no_log": True},
        "ca": {"type": "str"},
        "crt": {"type": "str"},
        "key": {"type": "str", "no_log": True},
        "talosconfig": {"type": "raw", "no_log": True, "fallback": (env_fallback, ["TALOSCONFIG"])},
        "context": {"type": "str"},
        "tls_server_name": {"type": "str"},
        "connect_timeout": {"type": "int", "default": 30},
    },
    required_together=(("ca", "crt", "key"),),
    required_one_of=(("secrets", "key", "talosconfig"),),
)
CONTROL_PLANES = Arguments({"control_planes": {"type": "dict", "required": True}})
SOURCE = Arguments({"node": {"type": "str"}, "name": {"type": "str"}})
KEPT = Arguments(
    {
        "path": {"type": "path"},
        "overwrite": {"type": "bool", "default": False},
        "lifetime": {"type": "int", "default": 365},
        "renew_before": {"type": "int", "default": 30},
    }
)
NODE = Arguments({"node": {"type": "str", "required": True}, "name": {"type": "str"}})

HIDDEN = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"


def release(module: AnsibleModule, *options: str) -> None:
    """Let secrets become part of the result, for a module that is there to return them.

    Ansible would otherwise blank them, wherever they stand in the result; the options themselves stay hidden.
    """
    for option in options:
        if module.params[option] is not None:
            module.params[option] = HIDDEN
    module.no_log_values.clear()

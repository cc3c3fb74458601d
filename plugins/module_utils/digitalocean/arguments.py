# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How to reach DigitalOcean, and what every module of it understands besides its own fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.basic import env_fallback
from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments, waiting

ENVIRONMENT: Mapping[str, tuple[str, ...]] = {
    "api_token": ("DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN", "DO_API_TOKEN"),
    "api_url": ("DIGITALOCEAN_API_URL",),
    "ca_cert": ("DIGITALOCEAN_CA_CERT",),
}
DEFAULT_URL = "https://api.digitalocean.com"
DEFAULT_TIMEOUT = 1800  # seconds; a cluster or a database of several nodes takes many minutes


def _option(name: str, **spec: Any) -> dict[str, Any]:
    return {**spec, "fallback": (env_fallback, list(ENVIRONMENT[name]))}


DIGITALOCEAN_ARGUMENTS = Arguments(
    {
        "api_token": _option("api_token", type="str", no_log=True),
        "api_url": _option("api_url", type="str", default=DEFAULT_URL),
        "ca_cert": _option("ca_cert", type="path"),
        "timeout": {"type": "int", "default": 30},
        "retries": {"type": "int", "default": 9},
        "workers": {"type": "int", "default": 8},
    }
)

_STATE = {"state": {"type": "str", "choices": ["present", "absent"], "default": "present"}}
_REPLACE = {"replace": {"type": "bool", "default": False}}
_OWNER = Arguments({"owner": {"type": "str"}, "purge": {"type": "bool", "default": False}})


def resource_arguments(
    plural: str, fields: Mapping[str, Any], *, replaceable: bool = True, ownable: bool = True
) -> Arguments:
    """The options of a module that manages a list of objects of one type."""
    item = {**fields, **_STATE, **(_REPLACE if replaceable else {})}
    own = Arguments({plural: {"type": "list", "elements": "dict", "required": True, "no_log": False, "options": item}})
    return DIGITALOCEAN_ARGUMENTS | waiting(DEFAULT_TIMEOUT) | own | (_OWNER if ownable else Arguments({}))

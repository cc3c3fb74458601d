# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How to connect and log in: the options that everything about OpenBao and Vault shares.

Named, with their environment variables, as in ``community.hashi_vault``, so that what people know carries over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule, env_fallback
from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments
from ansible_collections.dcm.platform.plugins.module_utils.vault.auth import AUTH_METHODS

ENVIRONMENT: Mapping[str, tuple[str, ...]] = {
    "url": ("ANSIBLE_HASHI_VAULT_ADDR", "VAULT_ADDR"),
    "auth_method": ("ANSIBLE_HASHI_VAULT_AUTH_METHOD",),
    "token": ("ANSIBLE_HASHI_VAULT_TOKEN", "VAULT_TOKEN"),
    "role_id": ("ANSIBLE_HASHI_VAULT_ROLE_ID",),
    "secret_id": ("ANSIBLE_HASHI_VAULT_SECRET_ID",),
    "username": ("ANSIBLE_HASHI_VAULT_USERNAME",),
    "password": ("ANSIBLE_HASHI_VAULT_PASSWORD",),
    "jwt": ("ANSIBLE_HASHI_VAULT_JWT",),
    "cert_auth_public_key": ("ANSIBLE_HASHI_VAULT_CERT_AUTH_PUBLIC_KEY",),
    "cert_auth_private_key": ("ANSIBLE_HASHI_VAULT_CERT_AUTH_PRIVATE_KEY",),
    "mount_point": ("ANSIBLE_HASHI_VAULT_MOUNT_POINT",),
    "namespace": ("ANSIBLE_HASHI_VAULT_NAMESPACE", "VAULT_NAMESPACE"),
    "ca_cert": ("ANSIBLE_HASHI_VAULT_CA_CERT", "VAULT_CACERT"),
    "proxies": ("ANSIBLE_HASHI_VAULT_PROXIES",),
    "timeout": ("ANSIBLE_HASHI_VAULT_TIMEOUT",),
    "retries": ("ANSIBLE_HASHI_VAULT_RETRIES",),
}
HIDDEN = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"  # what Ansible itself writes in the place of a masked option


def _option(name: str, **spec: Any) -> dict[str, Any]:
    return {**spec, "fallback": (env_fallback, list(ENVIRONMENT[name]))}


VAULT_ARGUMENTS = Arguments(
    {
        "url": _option("url", type="str"),
        "auth_method": _option("auth_method", type="str", default="token", choices=list(AUTH_METHODS)),
        "token": _option("token", type="str", no_log=True),
        "role_id": _option("role_id", type="str"),
        "secret_id": _option("secret_id", type="str", no_log=True),
        "username": _option("username", type="str"),
        "password": _option("password", type="str", no_log=True),
        "jwt": _option("jwt", type="str", no_log=True),
        "cert_auth_public_key": _option("cert_auth_public_key", type="path"),
        "cert_auth_private_key": _option("cert_auth_private_key", type="path", no_log=False),  # a path, not the key
        "mount_point": _option("mount_point", type="str"),
        "namespace": _option("namespace", type="str"),
        "ca_cert": _option("ca_cert", type="path", aliases=["cacert"]),
        "validate_certs": {"type": "bool"},  # the connection knows the default: it inverts VAULT_SKIP_VERIFY
        "proxies": _option("proxies", type="raw"),
        "timeout": _option("timeout", type="int", default=30),
        "retries": _option("retries", type="int", default=3),
    }
)


def take(module: AnsibleModule, option: str, *names: str) -> list[dict[str, Any]]:
    """The items of a list ``option``, of whose suboptions ``names`` no value stays in the module.

    So none can be printed or need be masked. Ansible would mask each value wherever it occurs: a port or a user's name
    would garble numbers, paths and messages, at a cost that grows with the square of their number.
    """
    items: list[dict[str, Any]] = module.params[option] or []
    module.params[option] = [{**item, **{name: item[name] and HIDDEN for name in names}} for item in items]
    credentials = {module.params[name] for name, spec in module.argument_spec.items() if spec.get("no_log")}
    module.no_log_values = credentials - {None, ""}
    return items

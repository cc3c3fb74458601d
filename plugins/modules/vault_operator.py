#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Initialise and unseal OpenBao or Vault, and look after its nodes."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: vault_operator
short_description: Initialise and unseal OpenBao or Vault, and look after its peers and audit devices
version_added: "0.1.0"
description:
  - Brings a server from its first start to one that serves, in one call if wanted, and tells its state.
  - Key shares and the root token are never returned. They go to a file of the user's choice, encrypted to the PGP keys
    of their recipients if these are given.
author:
  - The dcm.platform authors (@dcm-platform)
options:
  initialize:
    description: How to initialise a server that is not. If not set, it is left alone.
    type: dict
    suboptions:
      secret_shares:
        description: How many key shares.
        type: int
        default: 5
      secret_threshold:
        description: How many of them unseal the server.
        type: int
        default: 3
      pgp_keys:
        description: Public PGP keys, base64 without armour, one for each share.
        type: list
        elements: str
      root_token_pgp_key:
        description: The public PGP key for the root token. Required with O(initialize.pgp_keys).
        type: str
      keys_file:
        description:
          - Path of a file that does not exist yet. It is made for the user alone (mode 0600), before the server is
            initialised, and gets a JSON document of C(keys) and C(root_token).
        type: path
        required: true
  unseal:
    description: With what to unseal a server that is sealed. If not set, it is left sealed.
    type: dict
    suboptions:
      keys:
        description: Key shares.
        type: list
        elements: str
      keys_file:
        description: Path of a file as O(initialize.keys_file), with shares that are not encrypted.
        type: path
  absent_peers:
    description: Names of raft nodes that do not exist any more. They are removed from the cluster.
    type: list
    elements: str
    default: []
  audit_devices:
    description:
      - Audit devices that must be there. Others are not touched.
      - OpenBao takes them from its configuration file, and so only what is missing is found and reported.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Its path.
        type: str
        required: true
      type:
        description: Its type.
        type: str
        default: file
      description:
        description: For people.
        type: str
        default: ""
      options:
        description: Its options, such as C(file_path).
        type: dict
        default: {}
  step_down:
    description: Whether the active node hands over to another one. That is a change each time.
    type: bool
    default: false
  wait_timeout:
    description: Seconds to wait for the server to serve after it was unsealed.
    type: int
    default: 60
extends_documentation_fragment:
  - dcm.platform.attributes
  - dcm.platform.vault
"""

EXAMPLES = r"""
- name: From the first start to a server that serves
  dcm.platform.vault_operator:
    url: https://vault.example.com:8200
    initialize:
      keys_file: "{{ playbook_dir }}/../vault-keys.json"
    unseal:
      keys_file: "{{ playbook_dir }}/../vault-keys.json"

- name: Is the audit log on?
  dcm.platform.vault_operator:
    token: "{{ platform_token }}"
    audit_devices:
      - {path: file, options: {file_path: /var/log/openbao/audit.log}}
"""

RETURN = r"""
initialized:
  description: Whether the server is initialised, in check mode, whether it would be.
  returned: success
  type: bool
  sample: true
sealed:
  description: Whether the server is sealed, in check mode, whether it would be.
  returned: success
  type: bool
  sample: false
version:
  description: The server's version.
  returned: success
  type: str
  sample: "2.7.2"
peers:
  description: Names of the raft nodes before the call, if O(absent_peers).
  returned: success
  type: list
  elements: str
  sample: [node-1]
audit_devices:
  description: Paths of the audit devices before the call, if O(audit_devices).
  returned: success
  type: list
  elements: str
  sample: [file]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import HVAC
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import reconcile
from ansible_collections.dcm.platform.plugins.module_utils.vault.arguments import VAULT_ARGUMENTS
from ansible_collections.dcm.platform.plugins.module_utils.vault.client import open_connection
from ansible_collections.dcm.platform.plugins.module_utils.vault.operator import Operator

INITIALIZE = {
    "secret_shares": {"type": "int", "default": 5, "no_log": False},
    "secret_threshold": {"type": "int", "default": 3, "no_log": False},
    "pgp_keys": {"type": "list", "elements": "str", "no_log": False},  # public ones
    "root_token_pgp_key": {"type": "str", "no_log": False},
    "keys_file": {"type": "path", "required": True, "no_log": False},
}
DEVICE = {
    "path": {"type": "str", "required": True},
    "type": {"type": "str", "default": "file"},
    "description": {"type": "str", "default": ""},
    "options": {"type": "dict", "default": {}},
}
ARGUMENTS = Arguments(
    {
        "initialize": {
            "type": "dict",
            "options": INITIALIZE,
            "required_together": [["pgp_keys", "root_token_pgp_key"]],
        },
        "unseal": {
            "type": "dict",
            "options": {
                "keys": {"type": "list", "elements": "str", "no_log": True},
                "keys_file": {"type": "path", "no_log": False},
            },
            "mutually_exclusive": [["keys", "keys_file"]],
            "required_one_of": [["keys", "keys_file"]],
        },
        "absent_peers": {"type": "list", "elements": "str", "default": []},
        "audit_devices": {"type": "list", "elements": "dict", "default": [], "options": DEVICE},
        "step_down": {"type": "bool", "default": False},
        "wait_timeout": {"type": "int", "default": 60},
    }
)


def main() -> None:
    module = AnsibleModule(**(VAULT_ARGUMENTS | ARGUMENTS).for_module(), supports_check_mode=True)
    reconcile(module, lambda: Operator(open_connection(module.params), module.params), libraries=(HVAC,))


if __name__ == "__main__":
    main()

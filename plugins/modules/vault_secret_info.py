#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What secrets there are in OpenBao or Vault."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: vault_secret_info
short_description: Read versions, metadata, ages and key names of secrets in OpenBao or Vault
version_added: "0.1.0"
description:
  - Tells of secrets of a key-value engine which versions and keys exist, how old they are, and what their metadata say.
  - Values are read only to know the names of the keys, and returned only on request.
author:
  - The dcm.platform authors (@dcm-platform)
options:
  mount:
    description: Where the key-value engine is mounted.
    type: str
    default: secret
  paths:
    description: Paths of secrets below the mount. At least one of this and O(prefix) must be given.
    type: list
    elements: str
    default: []
  prefix:
    description: Read all secrets below this path, at any depth. An empty text stands for all of the mount.
    type: str
  keys:
    description:
      - Whether the names of the keys are returned, for which the secret itself must be read. If V(false), a token that
        may read metadata only is enough, unless O(values).
    type: bool
    default: true
  values:
    description:
      - Whether the values are returned, too. The task must then set C(no_log), or the module refuses.
    type: bool
    default: false
  workers:
    description: How many requests run at a time.
    type: int
    default: 24
extends_documentation_fragment:
  - dcm.platform.attributes.reader
  - dcm.platform.vault
seealso:
  - module: dcm.platform.vault_secret
"""

EXAMPLES = r"""
- name: Which secrets of the guilds are older than a year?
  dcm.platform.vault_secret_info:
    url: https://vault.example.com:8200
    token: "{{ platform_token }}"
    prefix: dcm/guilds
    keys: false
  register: found

- name: Read one secret, without showing it
  dcm.platform.vault_secret_info:
    paths: [dcm/platform/grafana]
    values: true
  no_log: true
  register: grafana
"""

RETURN = r"""
secrets:
  description: The secrets, those of O(paths) first. One that does not exist has version V(0).
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: Path below the mount.
      type: str
      sample: dcm/guilds/ember
    version:
      description: Number of the latest version.
      type: int
      sample: 3
    live:
      description: Whether the latest version can be read, that is, neither deleted nor destroyed.
      type: bool
      sample: true
    keys:
      description: Names of the keys, sorted.
      returned: if O(keys) or O(values)
      type: list
      elements: str
      sample: [app_password]
    age:
      description: Seconds since the latest version was written. Not with engines of version 1.
      type: int
      sample: 86400
    metadata:
      description: The metadata as the server tells them, all versions included. Not with engines of version 1.
      type: dict
      sample: {current_version: 3, custom_metadata: {dcm_owner: platform}}
    values:
      description: Keys and values.
      returned: if O(values)
      type: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import HVAC
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import reconcile
from ansible_collections.dcm.platform.plugins.module_utils.vault.arguments import VAULT_ARGUMENTS
from ansible_collections.dcm.platform.plugins.module_utils.vault.client import connect
from ansible_collections.dcm.platform.plugins.module_utils.vault.info import SecretReader
from ansible_collections.dcm.platform.plugins.module_utils.vault.key_value import open_mount

ARGUMENTS = Arguments(
    {
        "mount": {"type": "str", "default": "secret"},
        "paths": {"type": "list", "elements": "str", "default": []},
        "prefix": {"type": "str"},
        "keys": {"type": "bool", "default": True, "no_log": False},
        "values": {"type": "bool", "default": False},
        "workers": {"type": "int", "default": 24},
    }
)


def make(module: AnsibleModule) -> SecretReader:
    """The reader for the module's options, connected."""
    options: dict[str, Any] = module.params
    if options["values"] and not module.no_log:
        raise InputError("Values are not returned to a task that shows them.", hint="Set no_log: true on the task.")
    if not options["paths"] and options["prefix"] is None:
        raise InputError("Nothing is asked for.", hint="Give paths, prefix or both.")
    store = open_mount(connect(options, connections=options["workers"]), options["mount"])
    return SecretReader(store, options)


def main() -> None:
    module = AnsibleModule(**(VAULT_ARGUMENTS | ARGUMENTS).for_module(), supports_check_mode=True)
    reconcile(module, lambda: make(module), libraries=(HVAC,))


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Secrets engines of OpenBao or Vault."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: vault_mount
short_description: Keep the secrets engines of OpenBao or Vault mounted and tuned
version_added: "0.1.0"
description:
  - Mounts, tunes and configures a list of secrets engines.
  - Parameters that are not given stay as they are. Durations may be seconds or text such as V(1h30m).
  - After a write the module reads back what it wrote, and fails if the server took a parameter for something else.
author:
  - The dcm.platform authors (@dcm-platform)
options:
  mounts:
    description: The mounts. Each path may appear once. What is not listed is not touched.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Where it is mounted. If not set, its type.
        type: str
      type:
        description: Its type. It cannot be changed later.
        type: str
        required: true
      state:
        description: Whether it is mounted.
        type: str
        choices: [present, absent]
        default: present
      description:
        description: For people.
        type: str
      local:
        description: Whether it is left out of replication. Cannot be changed later.
        type: bool
      seal_wrap:
        description: Whether what it stores is wrapped by the seal, too. Cannot be changed later.
        type: bool
      options:
        description: Options of the type, such as C(version) V(2) of a key-value engine.
        type: dict
        default: {}
      tune:
        description:
          - Tuning as the server names it, such as C(default_lease_ttl), C(max_lease_ttl), C(listing_visibility),
            C(audit_non_hmac_request_keys).
        type: dict
        default: {}
      config:
        description: What is written to the path C(config) below the mount, compared with what is read there.
        type: dict
        default: {}
      config_secrets:
        description:
          - More of it, of which the server never shows the values.
          - They are written when the mount is created or anything of it changes; see O(update_secrets).
        type: raw
      force:
        description: Whether an engine is removed together with everything in it, for O(mounts[].state=absent).
        type: bool
        default: false
  update_secrets:
    description: Whether O(mounts[].config_secrets) are written in every run, which is a change each time.
    type: bool
    default: false
extends_documentation_fragment:
  - dcm.platform.attributes
  - dcm.platform.vault
"""

EXAMPLES = r"""
- name: Key-value engine and database engine
  dcm.platform.vault_mount:
    url: https://vault.example.com:8200
    token: "{{ platform_token }}"
    mounts:
      - path: secret
        type: kv
        options: {version: "2"}
        config: {max_versions: 20}
      - type: database
        tune: {max_lease_ttl: 24h}

- name: Remove an engine with everything in it
  dcm.platform.vault_mount:
    mounts:
      - {path: old, type: kv, state: absent, force: true}
"""

RETURN = r"""
mounts:
  description: The mounts of the list, in its order. In check mode, as they would be.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
      sample: secret
    state:
      description: The state that was asked for.
      type: str
      sample: present
    changed:
      description: Whether it was changed.
      type: bool
      sample: true
applied:
  description: The changes that were made before the failure.
  returned: failure after the first write
  type: list
  elements: dict
failed_changes:
  description: The changes that failed, each with its C(reason).
  returned: failure after the first write
  type: list
  elements: dict
not_tried:
  description: The changes that were not tried any more.
  returned: failure after the first write
  type: list
  elements: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import HVAC
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import reconcile
from ansible_collections.dcm.platform.plugins.module_utils.vault.arguments import VAULT_ARGUMENTS, take
from ansible_collections.dcm.platform.plugins.module_utils.vault.client import connect
from ansible_collections.dcm.platform.plugins.module_utils.vault.kinds import ENGINE, Engines, wanted_engine
from ansible_collections.dcm.platform.plugins.module_utils.vault.objects import ObjectReconciler

ARGUMENTS = Arguments(
    {
        "mounts": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": {**ENGINE, "force": {"type": "bool", "default": False}},
        },
        "update_secrets": {"type": "bool", "default": False, "no_log": False},
    }
)


def make(options: dict[str, Any], mounts: list[dict[str, Any]]) -> ObjectReconciler:
    """The reconciler for the module's options, connected."""
    wanted = [wanted_engine(mount) for mount in mounts]
    kind = Engines(connect(options, connections=Engines.workers))
    return ObjectReconciler(kind, wanted, update_secrets=options["update_secrets"])


def main() -> None:
    # no_log: AnsibleModule writes its options to the system log, and its masking misses values with line breaks there.
    module = AnsibleModule(**(VAULT_ARGUMENTS | ARGUMENTS).for_module(), supports_check_mode=True, no_log=True)
    mounts = take(module, "mounts", "config_secrets")
    reconcile(module, lambda: make(module.params, mounts), libraries=(HVAC,))


if __name__ == "__main__":
    main()

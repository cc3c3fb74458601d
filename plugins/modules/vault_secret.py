#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Many secrets in OpenBao or Vault in one call."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: vault_secret
short_description: Write, generate and remove many secrets in OpenBao or Vault in one call
version_added: "0.1.0"
description:
  - Makes a list of secrets of a key-value engine of version 2 as described, with values that are given, values that are
    generated once, or both.
  - Each secret is read first and written only if it differs, on top of the very version that was read (check-and-set).
    If somebody else wrote in between, the secret is read once more. What they wrote is kept if that will do or if both
    changes fit together; otherwise that secret fails and the others go on.
  - Requests run concurrently over one login.
  - Results, diffs and errors tell paths, versions and the names of keys, never values.
author:
  - The dcm.platform authors (@dcm-platform)
options:
  mount:
    description: Where the key-value engine is mounted.
    type: str
    default: secret
  secrets:
    description:
      - The secrets; about 1000 in one call are fine. Each path may appear once.
      - Secrets that are not in the list are not touched.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Path of the secret below the mount.
        type: str
        required: true
      state:
        description:
          - With V(present), the secret holds the keys of O(secrets[].data) and O(secrets[].generate).
          - With V(absent), its latest version is deleted. That version can be undeleted, and earlier ones stay readable
            by their number.
          - With V(destroyed), all its versions and its metadata are removed for good.
        type: str
        choices: [present, absent, destroyed]
        default: present
      data:
        description:
          - A dictionary of keys and their values, for O(secrets[].state=present). Values may be of any type that JSON
            knows.
        type: raw
      generate:
        description:
          - Keys whose values are random, for O(secrets[].state=present). Each is a dictionary of C(length) (in
            characters, V(1) to V(4096), default V(32)) and C(alphabet), which is V(alphanumeric) (letters and digits,
            the default), V(hex) (lower case) or V(urlsafe) (letters, digits, C(-) and C(_)).
          - A value is generated when the secret lacks the key, and never again. A changed C(length) or C(alphabet)
            applies to keys generated later.
        type: dict
      replace:
        description:
          - Whether the secret holds nothing but the keys of O(secrets[].data) and O(secrets[].generate).
          - If V(false), other keys stay as they are.
        type: bool
        default: true
      overwrite:
        description:
          - Whether a secret that exists is changed. If V(false), it is written only when it does not exist, and left as
            it is otherwise, whatever it holds.
          - With V(false), a secret whose latest version is deleted is an error, as a new version would bury it.
        type: bool
        default: true
  workers:
    description: How many requests run at a time.
    type: int
    default: 8
attributes:
  check_mode:
    support: full
    description: Reads, predicts the changes and the versions, and writes nothing.
  diff_mode:
    support: full
    description: Shows which keys come, change and go, without their values.
extends_documentation_fragment:
  - dcm.platform.vault
seealso:
  - plugin: dcm.platform.vault_secret
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Give every service its password, once
  dcm.platform.vault_secret:
    url: https://vault.example.com:8200
    token: "{{ platform_token }}"
    secrets:
      - path: dcm/guilds/ember
        generate:
          app_password: {length: 40}
      - path: dcm/platform/grafana
        data: {admin_user: admin}
        generate:
          admin_password: {}

- name: Store values that come from elsewhere, and keep the other keys of the secret
  dcm.platform.vault_secret:
    secrets:
      - path: dcm/platform/object-store
        data:
          access_key: "{{ spaces_access_key }}"
          secret_key: "{{ spaces_secret_key }}"
        replace: false

- name: Keep what must never be replaced, whatever a later run says
  dcm.platform.vault_secret:
    secrets:
      - path: dcm/clusters/production/talos
        data: "{{ talos_secrets }}"
        overwrite: false

- name: Remove one secret so that it can be undeleted, and another one for good
  dcm.platform.vault_secret:
    auth_method: approle
    role_id: "{{ platform_role_id }}"
    secret_id: "{{ platform_secret_id }}"
    secrets:
      - {path: dcm/guilds/ash, state: absent}
      - {path: dcm/guilds/cinder, state: destroyed}
"""

RETURN = r"""
secrets:
  description: The secrets in the order of the option. In check mode, as they would be.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: Path below the mount, without slashes at its ends.
      type: str
      sample: dcm/guilds/ember
    mount:
      description: The mount.
      type: str
      sample: secret
    state:
      description: The state that was asked for.
      type: str
      sample: present
    version:
      description: Number of the latest version, V(0) if there is none.
      type: int
      sample: 1
    keys:
      description: The names of the keys, sorted. Empty unless O(secrets[].state=present).
      type: list
      elements: str
      sample: [app_password]
    changed:
      description: Whether this secret was changed.
      type: bool
      sample: true
counts:
  description: How many secrets were C(created), C(updated), C(deleted), C(destroyed) and left C(unchanged).
  returned: success
  type: dict
  sample: {created: 2, updated: 0, deleted: 0, destroyed: 0, unchanged: 0}
applied:
  description: The changes that were made before the failure.
  returned: failure after the first write
  type: list
  elements: dict
  sample: [{action: create, kind: secret, name: dcm/guilds/ember}]
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
from ansible_collections.dcm.platform.plugins.module_utils.vault.arguments import VAULT_ARGUMENTS
from ansible_collections.dcm.platform.plugins.module_utils.vault.client import connect
from ansible_collections.dcm.platform.plugins.module_utils.vault.key_value import KeyValue
from ansible_collections.dcm.platform.plugins.module_utils.vault.plan import wanted_secrets
from ansible_collections.dcm.platform.plugins.module_utils.vault.secret import SecretReconciler

HIDDEN = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"  # what Ansible itself writes in the place of a masked option
SECRET = {
    "path": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent", "destroyed"], "default": "present"},
    # raw, not dict: of a dictionary written as text, Ansible would mask the text only, and print the parsed values
    "data": {"type": "raw", "no_log": True},
    "generate": {"type": "dict"},
    "replace": {"type": "bool", "default": True},
    "overwrite": {"type": "bool", "default": True},
}
ARGUMENTS = Arguments(
    {
        "mount": {"type": "str", "default": "secret"},
        "secrets": {"type": "list", "elements": "dict", "required": True, "no_log": False, "options": SECRET},
        "workers": {"type": "int", "default": 8},
    }
)


def take_secrets(module: AnsibleModule) -> list[dict[str, Any]]:
    """The option ``secrets``, of which no value stays in the module, so that none can be printed or need be masked.

    Ansible would mask each value wherever it occurs: a port or a user's name would garble numbers, paths and messages,
    at a cost that grows with the square of the secrets.
    """
    secrets: list[dict[str, Any]] = module.params["secrets"]
    module.params["secrets"] = [{**secret, "data": secret["data"] and HIDDEN} for secret in secrets]
    credentials = {module.params[name] for name, spec in VAULT_ARGUMENTS.spec.items() if spec.get("no_log")}
    module.no_log_values = credentials - {None, ""}
    return secrets


def make(module: AnsibleModule, secrets: list[dict[str, Any]]) -> SecretReconciler:
    """The reconciler for the module's options, connected."""
    options = module.params
    wanted = wanted_secrets(secrets)
    vault = connect(options, connections=options["workers"])
    return SecretReconciler(KeyValue(vault, options["mount"]), wanted, options["workers"])


def main() -> None:
    # no_log: AnsibleModule writes its options to the system log, and its masking misses values with line breaks there.
    module = AnsibleModule(**(VAULT_ARGUMENTS | ARGUMENTS).for_module(), supports_check_mode=True, no_log=True)
    secrets = take_secrets(module)
    reconcile(module, lambda: make(module, secrets), libraries=(HVAC,))


if __name__ == "__main__":
    main()

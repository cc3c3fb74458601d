#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""ACL policies of OpenBao or Vault."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: vault_policy
short_description: Keep the ACL policies of OpenBao or Vault as described
version_added: "0.1.0"
description:
  - Makes a list of ACL policies as described. What is not listed is not touched.
  - Policies are compared by what they say, so comments, spacing, the order of paths and of capabilities, and whether
    the text is HCL or JSON make no difference.
author:
  - The dcm.platform authors (@dcm-platform)
options:
  policies:
    description: The policies. Each name may appear once.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the policy. The server keeps names in lower case.
        type: str
        required: true
      state:
        description: Whether the policy is there.
        type: str
        choices: [present, absent]
        default: present
      policy:
        description: The rules as text in HCL or JSON. Either this or O(policies[].paths) for V(present).
        type: str
      paths:
        description:
          - The rules as data. Each is a dictionary of C(path) and C(capabilities) (a list of V(create), V(read),
            V(update), V(patch), V(delete), V(list), V(scan), V(sudo), V(deny)), and may hold what else the server
            knows of a path, such as C(allowed_parameters) or C(min_wrapping_ttl).
        type: list
        elements: dict
extends_documentation_fragment:
  - dcm.platform.attributes
  - dcm.platform.vault
"""

EXAMPLES = r"""
- name: A service reads its own secrets and no others
  dcm.platform.vault_policy:
    url: https://vault.example.com:8200
    token: "{{ platform_token }}"
    policies:
      - name: service-grafana
        paths:
          - {path: secret/data/dcm/platform/grafana, capabilities: [read]}
      - name: auditors
        policy: |
          path "sys/audit" { capabilities = ["read", "sudo"] }
      - name: nobody-needs-this-any-more
        state: absent
"""

RETURN = r"""
policies:
  description: The policies of the list, in its order. In check mode, as they would be.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
      sample: service-grafana
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
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import HVAC
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import reconcile
from ansible_collections.dcm.platform.plugins.module_utils.vault.arguments import VAULT_ARGUMENTS
from ansible_collections.dcm.platform.plugins.module_utils.vault.client import connect
from ansible_collections.dcm.platform.plugins.module_utils.vault.kinds import Policies
from ansible_collections.dcm.platform.plugins.module_utils.vault.objects import ObjectReconciler, Wanted
from ansible_collections.dcm.platform.plugins.module_utils.vault.policy import render

POLICY = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "policy": {"type": "str"},
    "paths": {"type": "list", "elements": "dict"},
}
ARGUMENTS = Arguments(
    {
        "policies": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": POLICY,
            "mutually_exclusive": [["policy", "paths"]],
            "required_if": [["state", "present", ["policy", "paths"], True]],
        },
    }
)


def wanted_policy(item: dict[str, Any]) -> Wanted:
    """One item of the option. Raises :class:`InputError` that names the policy."""
    name = item["name"].lower()
    if item["state"] == "absent":
        return Wanted(name, "absent")
    try:
        text = item["policy"] if item["policy"] is not None else render(item["paths"])
    except InputError as error:
        raise InputError(f"Policy {name}: {error}") from error
    return Wanted(name, document={"policy": text})


def make(options: dict[str, Any]) -> ObjectReconciler:
    """The reconciler for the module's options, connected."""
    wanted = [wanted_policy(item) for item in options["policies"]]
    return ObjectReconciler(Policies(connect(options, connections=Policies.workers)), wanted)


def main() -> None:
    module = AnsibleModule(**(VAULT_ARGUMENTS | ARGUMENTS).for_module(), supports_check_mode=True)
    reconcile(module, lambda: make(module.params), libraries=(HVAC,))


if __name__ == "__main__":
    main()

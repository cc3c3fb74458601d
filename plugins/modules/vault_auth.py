#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Auth methods of OpenBao or Vault."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: vault_auth
short_description: Keep the auth methods of OpenBao or Vault enabled and tuned
version_added: "0.1.0"
description:
  - Enables, tunes and configures a list of auth methods. Their roles are the matter of M(dcm.platform.vault_role).
  - Parameters that are not given stay as they are. Durations may be seconds or text such as V(1h30m).
  - After a write the module reads back what it wrote, and fails if the server took a parameter for something else.
author:
  - The dcm.platform authors (@dcm-platform)
options:
  methods:
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
          - More of it, of which the server never shows the values, such as C(token_reviewer_jwt).
          - They are written when the mount is created or anything of it changes; see O(update_secrets).
        type: raw
  update_secrets:
    description: Whether O(methods[].config_secrets) are written in every run, which is a change each time.
    type: bool
    default: false
extends_documentation_fragment:
  - dcm.platform.attributes
  - dcm.platform.vault
"""

EXAMPLES = r"""
- name: Service accounts of both clusters, and the CI's own tokens
  dcm.platform.vault_auth:
    url: https://vault.example.com:8200
    token: "{{ platform_token }}"
    methods:
      - path: kubernetes-production
        type: kubernetes
        config:
          kubernetes_host: https://production.example.com:6443
          kubernetes_ca_cert: "{{ production_ca }}"
          disable_local_ca_jwt: true
        config_secrets:
          token_reviewer_jwt: "{{ production_reviewer }}"
      - path: jwt
        type: jwt
        tune: {default_lease_ttl: 15m, max_lease_ttl: 1h}
        config:
          oidc_discovery_url: https://token.actions.githubusercontent.com
          bound_issuer: https://token.actions.githubusercontent.com
"""

RETURN = r"""
auth_methods:
  description: The mounts of the list, in its order. In check mode, as they would be.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
      sample: kubernetes-production
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
from ansible_collections.dcm.platform.plugins.module_utils.vault.kinds import ENGINE, AuthMethods, wanted_engine
from ansible_collections.dcm.platform.plugins.module_utils.vault.objects import ObjectReconciler

ARGUMENTS = Arguments(
    {
        "methods": {"type": "list", "elements": "dict", "required": True, "options": ENGINE},
        "update_secrets": {"type": "bool", "default": False, "no_log": False},
    }
)


def make(options: dict[str, Any], mounts: list[dict[str, Any]]) -> ObjectReconciler:
    """The reconciler for the module's options, connected."""
    wanted = [wanted_engine(mount) for mount in mounts]
    kind = AuthMethods(connect(options, connections=AuthMethods.workers))
    return ObjectReconciler(kind, wanted, update_secrets=options["update_secrets"])


def main() -> None:
    # no_log: AnsibleModule writes its options to the system log, and its masking misses values with line breaks there.
    module = AnsibleModule(**(VAULT_ARGUMENTS | ARGUMENTS).for_module(), supports_check_mode=True, no_log=True)
    mounts = take(module, "methods", "config_secrets")
    reconcile(module, lambda: make(module.params, mounts), libraries=(HVAC,))


if __name__ == "__main__":
    main()

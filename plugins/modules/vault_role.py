#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Roles of auth methods and of database engines of OpenBao or Vault."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: vault_role
short_description: Keep roles of auth methods and database engines of OpenBao or Vault as described
version_added: "0.1.0"
description:
  - Makes a list of roles of one mount as described. Whom an auth method lets in and with which policies is a role (for
    V(userpass), a user; for V(cert), a certificate); so is what a database engine hands out.
  - Parameters that are not given stay as they are. Durations may be seconds or text such as V(1h30m).
  - After a write the module reads back what it wrote, and fails if the server took a parameter for something else.
author:
  - The dcm.platform authors (@dcm-platform)
options:
  type:
    description:
      - What kind of roles.
      - V(database_connection) are the databases of a database engine, V(database) the roles that it makes for a short
        time, V(database_static) existing ones whose passwords it rotates.
    type: str
    required: true
    choices: [approle, cert, database, database_connection, database_static, jwt, kubernetes, token, userpass]
  mount:
    description: Where the auth method (without C(auth/)) or the engine is mounted. If not set, where it usually is.
    type: str
  roles:
    description: The roles. Each name may appear once. What is not listed is not touched.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the role.
        type: str
        required: true
      state:
        description: Whether the role is there.
        type: str
        choices: [present, absent]
        default: present
      options:
        description:
          - The parameters as the server names them, such as C(token_policies), C(token_ttl),
            C(bound_service_account_names) or C(creation_statements).
          - Lists are compared without their order, but for statements.
        type: dict
        default: {}
      secrets:
        description:
          - More parameters, of which the server never shows the values, such as C(password).
          - They are written when the role is created. When something else of it changes, they are written again only if
            the server would forget them otherwise. See O(update_secrets).
        type: raw
  update_secrets:
    description: Whether O(roles[].secrets) are written in every run, which is a change each time.
    type: bool
    default: false
extends_documentation_fragment:
  - dcm.platform.attributes
  - dcm.platform.vault
"""

EXAMPLES = r"""
- name: Grafana logs in with its service account
  dcm.platform.vault_role:
    url: https://vault.example.com:8200
    token: "{{ platform_token }}"
    type: kubernetes
    mount: kubernetes-production
    roles:
      - name: grafana
        options:
          bound_service_account_names: [grafana]
          bound_service_account_namespaces: [monitoring]
          token_policies: [service-grafana]
          token_ttl: 20m

- name: A database that hands out roles
  dcm.platform.vault_role:
    type: database_connection
    roles:
      - name: discord
        options:
          plugin_name: postgresql-database-plugin
          connection_url: postgresql://{{ '{{username}}:{{password}}' }}@db.example.com:5432/discord
          username: vault
          allowed_roles: [reporting]
        secrets:
          password: "{{ vault_database_password }}"

- name: A role of an hour
  dcm.platform.vault_role:
    type: database
    roles:
      - name: reporting
        options:
          db_name: discord
          default_ttl: 1h
          creation_statements: "{{ reporting_statements }}"
"""

RETURN = r"""
roles:
  description: The roles of the list, in its order. In check mode, as they would be.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
      sample: grafana
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
from ansible_collections.dcm.platform.plugins.module_utils.vault.kinds import ROLE_TYPES, Roles, secret_dict
from ansible_collections.dcm.platform.plugins.module_utils.vault.objects import ObjectReconciler, Wanted

ROLE = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "options": {"type": "dict", "default": {}},
    # raw, not dict: of a dictionary written as text, Ansible would mask the text only, and print the parsed values
    "secrets": {"type": "raw", "no_log": True},
}
ARGUMENTS = Arguments(
    {
        "type": {"type": "str", "required": True, "choices": list(ROLE_TYPES)},
        "mount": {"type": "str"},
        "roles": {"type": "list", "elements": "dict", "required": True, "options": ROLE},
        "update_secrets": {"type": "bool", "default": False, "no_log": False},
    }
)


def wanted_role(item: dict[str, Any]) -> Wanted:
    """One item of the option."""
    if item["state"] == "absent":
        return Wanted(item["name"], "absent")
    return Wanted(item["name"], document=item["options"], secrets=secret_dict(item["name"], item["secrets"]))


def make(options: dict[str, Any], roles: list[dict[str, Any]]) -> ObjectReconciler:
    """The reconciler for the module's options, connected."""
    wanted = [wanted_role(role) for role in roles]
    update = options["update_secrets"]
    kind = Roles(connect(options, connections=Roles.workers), options["type"], options["mount"], update_secrets=update)
    return ObjectReconciler(kind, wanted, update_secrets=update)


def main() -> None:
    # no_log: AnsibleModule writes its options to the system log, and its masking misses values with line breaks there.
    module = AnsibleModule(**(VAULT_ARGUMENTS | ARGUMENTS).for_module(), supports_check_mode=True, no_log=True)
    roles = take(module, "roles", "secrets")
    reconcile(module, lambda: make(module.params, roles), libraries=(HVAC,))


if __name__ == "__main__":
    main()

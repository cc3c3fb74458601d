#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage access keys of Spaces."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: digitalocean_spaces_key
short_description: Manage access keys of Spaces
version_added: 0.1.0
author:
  - The dcm.platform authors (@dcm-platform)
description:
  - 'Makes and removes access keys of Spaces. DigitalOcean shows the secret of a key once, when it is made: the
    result holds it then, so set C(no_log) on the task and keep it at once.'
  - A key whose secret was lost with the answer is removed and made anew.
  - All objects of the type are listed once, over all pages, however many are managed. What is not given is neither
    set nor compared. Two objects that could both be meant are an error that names both.
options:
  keys:
    description:
      - The keys. Those that are not in the list are not touched, unless O(purge) is set.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - Its name, by which it is found again.
        type: str
        required: true
      grants:
        description:
          - What it may do. It cannot be changed.
        type: list
        elements: dict
        suboptions:
          bucket:
            description:
              - The bucket; empty for V(fullaccess).
            type: str
            default: ''
          permission:
            description:
              - The permission.
            type: str
            choices:
              - read
              - readwrite
              - fullaccess
            required: true
      renew:
        description:
          - Whether a key that exists is removed and made anew, because its secret was lost.
        type: bool
        default: false
      state:
        description:
          - Whether it exists.
        type: str
        choices:
          - present
          - absent
        default: present
      replace:
        description:
          - Whether to replace it when it differs in what cannot be changed. Everything that uses the old key
            needs the new one.
          - Without it, such a difference is an error that tells what differs.
        type: bool
        default: false
extends_documentation_fragment:
  - dcm.platform.attributes
  - dcm.platform.digitalocean
  - dcm.platform.digitalocean.owner
"""

EXAMPLES = r"""
- name: A key for backups
  dcm.platform.digitalocean_spaces_key:
    owner: production
    keys:
      - name: production-backups
        grants: [{bucket: production-backups, permission: readwrite}]
  no_log: true
  register: made
"""

RETURN = r"""
keys:
  description:
    - The keys in the order of the option, as the API shows them, without secrets. In check mode, as they would
      be; what only the API knows, such as an id, is missing then.
  returned: success
  type: list
  elements: dict
  contains:
    access_key:
      description:
        - The key's id.
      type: str
      sample: DOACCESSKEYEXAMPLE
    name:
      description:
        - Its name.
      type: str
      sample: production-backups
    secret_key:
      description:
        - The secret, only when the key was made by this very task.
      type: str
      sample: (secret)
applied:
  description:
    - The changes that were made before the failure.
  returned: failure after the first write
  type: list
  elements: dict
  sample:
    - action: create
      kind: VPC
      name: production
failed_changes:
  description:
    - The changes that failed, each with its C(reason).
  returned: failure after the first write
  type: list
  elements: dict
not_tried:
  description:
    - The changes that were not tried any more.
  returned: failure after the first write
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.arguments import resource_arguments
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.client import connect
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.resource import ResourceReconciler
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.types import SPACES_KEY
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import REQUESTS
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import reconcile

FIELDS = {
    "name": {"type": "str", "required": True},
    "grants": {
        "type": "list",
        "elements": "dict",
        "options": {
            "bucket": {"type": "str", "default": ""},
            "permission": {"type": "str", "choices": ["read", "readwrite", "fullaccess"], "required": True},
        },
    },
    "renew": {"type": "bool", "default": False},
}


def main() -> None:
    module = AnsibleModule(**resource_arguments("keys", FIELDS).for_module(), supports_check_mode=True)
    reconcile(
        module, lambda: ResourceReconciler(connect(module.params), SPACES_KEY, module.params), libraries=(REQUESTS,)
    )


if __name__ == "__main__":
    main()

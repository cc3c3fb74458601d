#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage SSH keys of DigitalOcean."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: digitalocean_ssh_key
short_description: Manage SSH keys of DigitalOcean
version_added: 0.1.0
author:
  - The dcm.platform authors (@dcm-platform)
description:
  - Makes, renames and removes the public keys that new Droplets can be given. A key is known by its fingerprint,
    so that renaming it does not make it twice.
  - All objects of the type are listed once, over all pages, however many are managed. What is not given is neither
    set nor compared. Two objects that could both be meant are an error that names both.
options:
  ssh_keys:
    description:
      - The keys. Those that are not in the list are not touched.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - Its name.
        type: str
        required: true
      public_key:
        description:
          - The public key, as a line of C(authorized_keys).
        type: str
        required: true
      state:
        description:
          - Whether it exists.
        type: str
        choices:
          - present
          - absent
        default: present
extends_documentation_fragment:
  - dcm.platform.attributes
  - dcm.platform.digitalocean
"""

EXAMPLES = r"""
- name: The operator's key
  dcm.platform.digitalocean_ssh_key:
    ssh_keys:
      - name: operator
        public_key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1nG8WcSrEdNyoYuH6d8AGsAeXK4RRpyYwLPUa4RZ7q operator
"""

RETURN = r"""
ssh_keys:
  description:
    - The keys in the order of the option, as the API shows them, without secrets. In check mode, as they would
      be; what only the API knows, such as an id, is missing then.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description:
        - Its id.
      type: int
      sample: 512189
    fingerprint:
      description:
        - MD5 of the key.
      type: str
      sample: 3b:16:e4:bf:8b:00:8b:b8:59:8c:a9:d3:f0:19:fa:45
    name:
      description:
        - Its name.
      type: str
      sample: operator
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
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.types import SSH_KEY
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import REQUESTS
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import reconcile

FIELDS = {"name": {"type": "str", "required": True}, "public_key": {"type": "str", "required": True, "no_log": False}}


def main() -> None:
    module = AnsibleModule(
        **resource_arguments("ssh_keys", FIELDS, replaceable=False, ownable=False).for_module(),
        supports_check_mode=True,
    )
    reconcile(module, lambda: ResourceReconciler(connect(module.params), SSH_KEY, module.params), libraries=(REQUESTS,))


if __name__ == "__main__":
    main()

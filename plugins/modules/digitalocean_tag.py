#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage tags of DigitalOcean."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: digitalocean_tag
short_description: Manage tags of DigitalOcean
version_added: 0.1.0
author:
  - The dcm.platform authors (@dcm-platform)
description:
  - Makes and removes tags. Removing one takes it from everything that carries it.
  - 'The first spelling of a tag stays: a tag that differs in upper and lower case only is the same one.'
  - All objects of the type are listed once, over all pages, however many are managed. What is not given is neither
    set nor compared. Two objects that could both be meant are an error that names both.
options:
  tags:
    description:
      - The tags. Those that are not in the list are not touched.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - 'The tag: letters, digits, C(_), C(-) and C(:).'
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
- name: Tags that firewalls refer to
  dcm.platform.digitalocean_tag:
    tags:
      - name: gateway
      - {name: old, state: absent}
"""

RETURN = r"""
tags:
  description:
    - The tags in the order of the option, as the API shows them, without secrets. In check mode, as they would
      be; what only the API knows, such as an id, is missing then.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description:
        - The tag in its first spelling.
      type: str
      sample: gateway
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
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.types import TAG
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import REQUESTS
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import reconcile

FIELDS = {"name": {"type": "str", "required": True}}


def main() -> None:
    module = AnsibleModule(
        **resource_arguments("tags", FIELDS, replaceable=False, ownable=False).for_module(), supports_check_mode=True
    )
    reconcile(module, lambda: ResourceReconciler(connect(module.params), TAG, module.params), libraries=(REQUESTS,))


if __name__ == "__main__":
    main()

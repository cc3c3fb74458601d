#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage VPC networks of DigitalOcean."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: digitalocean_vpc
short_description: Manage VPC networks of DigitalOcean
version_added: 0.1.0
author:
  - The dcm.platform authors (@dcm-platform)
description:
  - Makes, changes and removes VPC networks.
  - All objects of the type are listed once, over all pages, however many are managed. What is not given is neither
    set nor compared. Two objects that could both be meant are an error that names both.
options:
  vpcs:
    description:
      - The networks. Those that are not in the list are not touched, unless O(purge) is set.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - Its name, by which it is found again.
        type: str
        required: true
      region:
        description:
          - Slug of the region, such as V(nyc3). Needed to make it; it cannot be changed.
        type: str
      ip_range:
        description:
          - Its network as a CIDR, private and from V(/28) to V(/16). DigitalOcean chooses one if it is not given.
            It cannot be changed.
        type: str
      description:
        description:
          - A description of up to 255 characters.
        type: str
      default:
        description:
          - Whether it is the default network of its region. It can be set, and not be unset.
        type: bool
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
          - Whether to replace it when it differs in what cannot be changed. All its members must be gone first.
          - Without it, such a difference is an error that tells what differs.
        type: bool
        default: false
notes:
  - A network whose members are being deleted is released late; deleting it is repeated until O(wait_timeout).
  - The first network of a region is its default one, and DigitalOcean never deletes that.
extends_documentation_fragment:
  - dcm.platform.attributes
  - dcm.platform.digitalocean
  - dcm.platform.digitalocean.owner
"""

EXAMPLES = r"""
- name: The network of production
  dcm.platform.digitalocean_vpc:
    owner: production
    vpcs:
      - name: production
        region: nyc3
        ip_range: 10.100.0.0/16
        description: Production
"""

RETURN = r"""
vpcs:
  description:
    - The networks in the order of the option, as the API shows them, without secrets. In check mode, as they
      would be; what only the API knows, such as an id, is missing then.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description:
        - Its id.
      type: str
      sample: 6b2e3c0a-3a1f-4a5e-9a8e-2b7f1c0d9e11
    name:
      description:
        - Its name.
      type: str
      sample: production
    urn:
      description:
        - Its URN.
      type: str
      sample: do:vpc:6b2e3c0a
    ip_range:
      description:
        - Its network.
      type: str
      sample: 10.100.0.0/16
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
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.types import VPC
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import REQUESTS
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import reconcile

FIELDS = {
    "name": {"type": "str", "required": True},
    "region": {"type": "str"},
    "ip_range": {"type": "str"},
    "description": {"type": "str"},
    "default": {"type": "bool"},
}


def main() -> None:
    module = AnsibleModule(**resource_arguments("vpcs", FIELDS).for_module(), supports_check_mode=True)
    reconcile(module, lambda: ResourceReconciler(connect(module.params), VPC, module.params), libraries=(REQUESTS,))


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage reserved IPs of DigitalOcean."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: digitalocean_reserved_ip
short_description: Manage reserved IPs of DigitalOcean
version_added: 0.1.0
author:
  - The dcm.platform authors (@dcm-platform)
description:
  - Makes and removes reserved addresses and assigns them to Droplets. An address is known by itself, or by the
    Droplet that it is assigned to.
  - All objects of the type are listed once, over all pages, however many are managed. What is not given is neither
    set nor compared. Two objects that could both be meant are an error that names both.
options:
  reserved_ips:
    description:
      - The addresss. Those that are not in the list are not touched.
    type: list
    elements: dict
    required: true
    suboptions:
      ip:
        description:
          - The address. One that does not exist cannot be made.
        type: str
      droplet_id:
        description:
          - Id of the Droplet that it belongs to. Without O(reserved_ips[].ip), the Droplet gets an address if
            it has none.
        type: int
      region:
        description:
          - Slug of its region. It cannot be changed.
        type: str
      project_id:
        description:
          - Id of its project, set when it is made.
        type: str
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
- name: An address for the gateway
  dcm.platform.digitalocean_reserved_ip:
    reserved_ips:
      - droplet_id: 3164494
"""

RETURN = r"""
reserved_ips:
  description:
    - The addresss in the order of the option, as the API shows them, without secrets. In check mode, as they
      would be; what only the API knows, such as an id, is missing then.
  returned: success
  type: list
  elements: dict
  contains:
    ip:
      description:
        - The address.
      type: str
      sample: 192.0.2.1
    droplet_id:
      description:
        - Id of its Droplet.
      type: int
      sample: 3164494
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
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.droplet import RESERVED_IP
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.resource import ResourceReconciler
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import REQUESTS
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import reconcile

FIELDS = {
    "ip": {"type": "str"},
    "droplet_id": {"type": "int"},
    "region": {"type": "str"},
    "project_id": {"type": "str"},
}


def main() -> None:
    module = AnsibleModule(
        **resource_arguments("reserved_ips", FIELDS, replaceable=False, ownable=False).for_module(),
        supports_check_mode=True,
    )
    reconcile(
        module, lambda: ResourceReconciler(connect(module.params), RESERVED_IP, module.params), libraries=(REQUESTS,)
    )


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage Droplets of DigitalOcean."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: digitalocean_droplet
short_description: Manage Droplets of DigitalOcean
version_added: 0.1.0
author:
  - The dcm.platform authors (@dcm-platform)
description:
  - 'Makes, resizes, tags and removes Droplets. Names need not be unique at DigitalOcean: with O(owner), the one
    with the owner''s tag is meant.'
  - All objects of the type are listed once, over all pages, however many are managed. What is not given is neither
    set nor compared. Two objects that could both be meant are an error that names both.
options:
  droplets:
    description:
      - The Droplets. Those that are not in the list are not touched, unless O(purge) is set.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - Its name.
        type: str
        required: true
      region:
        description:
          - Slug of the region, such as V(nyc3). Needed to make it; it cannot be changed.
        type: str
      size:
        description:
          - Slug of its size. Needed to make it. Another one switches it off, resizes it without its disk, and
            switches it on.
        type: str
      image:
        description:
          - Slug or id of its image. Needed to make it; it cannot be changed.
        type: str
      vpc_uuid:
        description:
          - Id of its network. It cannot be changed.
        type: str
      tags:
        description:
          - Its tags; all of them.
        type: list
        elements: str
      ssh_keys:
        description:
          - Fingerprints or ids of SSH keys, for when it is made.
        type: list
        elements: str
      user_data:
        description:
          - Data for cloud-init, for when it is made. It is never shown and cannot be compared.
        type: str
      monitoring:
        description:
          - Whether the agent is installed when it is made.
        type: bool
      ipv6:
        description:
          - Whether it gets an IPv6 address when it is made.
        type: bool
      backups:
        description:
          - Whether backups are switched on when it is made.
        type: bool
      public_networking:
        description:
          - Whether it gets a public address when it is made.
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
          - Whether to replace it when it differs in what cannot be changed. Its disk is lost.
          - Without it, such a difference is an error that tells what differs.
        type: bool
        default: false
extends_documentation_fragment:
  - dcm.platform.attributes
  - dcm.platform.digitalocean
  - dcm.platform.digitalocean.owner
"""

EXAMPLES = r"""
- name: A gateway
  dcm.platform.digitalocean_droplet:
    owner: production
    droplets:
      - name: production-gateway
        region: nyc3
        size: s-1vcpu-1gb
        image: ubuntu-24-04-x64
        tags: [gateway]
"""

RETURN = r"""
droplets:
  description:
    - The Droplets in the order of the option, as the API shows them, without secrets. In check mode, as they
      would be; what only the API knows, such as an id, is missing then.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description:
        - Its id.
      type: int
      sample: 3164494
    name:
      description:
        - Its name.
      type: str
      sample: production-gateway
    private_ip:
      description:
        - Its address in its network.
      type: str
      sample: 10.100.0.5
    public_ip:
      description:
        - Its public address.
      type: str
      sample: 198.51.100.5
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
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.droplet import DROPLET
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.resource import ResourceReconciler
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import REQUESTS
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import reconcile

FIELDS = {
    "name": {"type": "str", "required": True},
    "region": {"type": "str"},
    "size": {"type": "str"},
    "image": {"type": "str"},
    "vpc_uuid": {"type": "str"},
    "tags": {"type": "list", "elements": "str"},
    "ssh_keys": {"type": "list", "elements": "str", "no_log": False},
    "user_data": {"type": "str", "no_log": True},
    "monitoring": {"type": "bool"},
    "ipv6": {"type": "bool"},
    "backups": {"type": "bool"},
    "public_networking": {"type": "bool"},
}


def main() -> None:
    module = AnsibleModule(**resource_arguments("droplets", FIELDS).for_module(), supports_check_mode=True)
    reconcile(module, lambda: ResourceReconciler(connect(module.params), DROPLET, module.params), libraries=(REQUESTS,))


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage domains of DigitalOcean and their records."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: digitalocean_domain
short_description: Manage domains of DigitalOcean and their records
version_added: 0.1.0
author:
  - The dcm.platform authors (@dcm-platform)
description:
  - Makes and removes domains, and makes, changes and removes their DNS records. A record is known by type, name
    and data.
  - All objects of the type are listed once, over all pages, however many are managed. What is not given is neither
    set nor compared. Two objects that could both be meant are an error that names both.
options:
  domains:
    description:
      - The domains. Those that are not in the list are not touched.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - The domain.
        type: str
        required: true
      ip_address:
        description:
          - Address of an A record to make together with the domain.
        type: str
      records:
        description:
          - Records of the domain. Others are not touched unless O(domains[].purge_records) is set.
        type: list
        elements: dict
        suboptions:
          type:
            description:
              - Type of the record.
            type: str
            choices:
              - A
              - AAAA
              - CAA
              - CNAME
              - MX
              - NS
              - SRV
              - TXT
            required: true
          name:
            description:
              - Host name relative to the domain, V(@) for the domain itself.
            type: str
            required: true
          data:
            description:
              - Its value. Names end with a dot.
            type: str
            required: true
          ttl:
            description:
              - Time to live in seconds; DigitalOcean's default is V(1800).
            type: int
          priority:
            description:
              - Priority, of MX and SRV.
            type: int
          port:
            description:
              - Port, of SRV.
            type: int
          weight:
            description:
              - Weight, of SRV.
            type: int
          flags:
            description:
              - Flags, of CAA.
            type: int
          tag:
            description:
              - Tag, of CAA.
            type: str
          state:
            description:
              - Whether it exists.
            type: str
            choices:
              - present
              - absent
            default: present
      purge_records:
        description:
          - Whether records that are not listed are removed. SOA and NS records never are.
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
extends_documentation_fragment:
  - dcm.platform.attributes
  - dcm.platform.digitalocean
"""

EXAMPLES = r"""
- name: A domain with one record
  dcm.platform.digitalocean_domain:
    domains:
      - name: example.com
        records:
          - {type: CNAME, name: www, data: example.com., ttl: 300}
"""

RETURN = r"""
domains:
  description:
    - The domains in the order of the option, as the API shows them, without secrets. In check mode, as they would
      be; what only the API knows, such as an id, is missing then.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description:
        - The domain.
      type: str
      sample: example.com
    ttl:
      description:
        - Default time to live in seconds.
      type: int
      sample: 1800
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
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.types import DOMAIN
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import REQUESTS
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import reconcile

FIELDS = {
    "name": {"type": "str", "required": True},
    "ip_address": {"type": "str"},
    "records": {
        "type": "list",
        "elements": "dict",
        "options": {
            "type": {
                "type": "str",
                "choices": ["A", "AAAA", "CAA", "CNAME", "MX", "NS", "SRV", "TXT"],
                "required": True,
            },
            "name": {"type": "str", "required": True},
            "data": {"type": "str", "required": True},
            "ttl": {"type": "int"},
            "priority": {"type": "int"},
            "port": {"type": "int"},
            "weight": {"type": "int"},
            "flags": {"type": "int"},
            "tag": {"type": "str"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
    },
    "purge_records": {"type": "bool", "default": False},
}


def main() -> None:
    module = AnsibleModule(
        **resource_arguments("domains", FIELDS, replaceable=False, ownable=False).for_module(), supports_check_mode=True
    )
    reconcile(module, lambda: ResourceReconciler(connect(module.params), DOMAIN, module.params), libraries=(REQUESTS,))


if __name__ == "__main__":
    main()

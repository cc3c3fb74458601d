#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage cloud firewalls of DigitalOcean."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: digitalocean_firewall
short_description: Manage cloud firewalls of DigitalOcean
version_added: 0.1.0
author:
  - The dcm.platform authors (@dcm-platform)
description:
  - Makes, changes and removes firewalls. Rules are compared without regard to their order, and a list that is
    given is the whole list.
  - All objects of the type are listed once, over all pages, however many are managed. What is not given is neither
    set nor compared. Two objects that could both be meant are an error that names both.
options:
  firewalls:
    description:
      - The firewalls. Those that are not in the list are not touched, unless O(purge) is set.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - 'Its name: letters, digits, dots and dashes.'
        type: str
        required: true
      inbound_rules:
        description:
          - What may come in.
        type: list
        elements: dict
        suboptions:
          protocol:
            description:
              - Protocol.
            type: str
            choices:
              - tcp
              - udp
              - icmp
            required: true
          ports:
            description:
              - A port, a range such as V(8000-9000), or V(all).
            type: str
            default: all
          sources:
            description:
              - From where.
            type: dict
            required: true
            suboptions:
              addresses:
                description:
                  - Addresses and networks.
                type: list
                elements: str
              droplet_ids:
                description:
                  - Ids of Droplets.
                type: list
                elements: int
              load_balancer_uids:
                description:
                  - Ids of load balancers.
                type: list
                elements: str
              kubernetes_ids:
                description:
                  - Ids of clusters.
                type: list
                elements: str
              tags:
                description:
                  - Tags of Droplets.
                type: list
                elements: str
      outbound_rules:
        description:
          - What may go out. Without any, nothing may.
        type: list
        elements: dict
        suboptions:
          protocol:
            description:
              - Protocol.
            type: str
            choices:
              - tcp
              - udp
              - icmp
            required: true
          ports:
            description:
              - A port, a range such as V(8000-9000), or V(all).
            type: str
            default: all
          destinations:
            description:
              - To where.
            type: dict
            required: true
            suboptions:
              addresses:
                description:
                  - Addresses and networks.
                type: list
                elements: str
              droplet_ids:
                description:
                  - Ids of Droplets.
                type: list
                elements: int
              load_balancer_uids:
                description:
                  - Ids of load balancers.
                type: list
                elements: str
              kubernetes_ids:
                description:
                  - Ids of clusters.
                type: list
                elements: str
              tags:
                description:
                  - Tags of Droplets.
                type: list
                elements: str
      droplet_ids:
        description:
          - Droplets that it guards.
        type: list
        elements: int
      tags:
        description:
          - Tags of the Droplets that it guards. The tags must exist.
        type: list
        elements: str
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
  - dcm.platform.digitalocean.owner
"""

EXAMPLES = r"""
- name: Only WireGuard reaches the gateway
  dcm.platform.digitalocean_firewall:
    owner: production
    firewalls:
      - name: production-gateway
        tags: [gateway]
        inbound_rules:
          - {protocol: udp, ports: "51820", sources: {addresses: [0.0.0.0/0]}}
        outbound_rules:
          - {protocol: tcp, destinations: {addresses: [0.0.0.0/0]}}
"""

RETURN = r"""
firewalls:
  description:
    - The firewalls in the order of the option, as the API shows them, without secrets. In check mode, as they
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
      sample: production-gateway
    status:
      description:
        - Its state.
      type: str
      sample: succeeded
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
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.types import FIREWALL
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import REQUESTS
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import reconcile

FIELDS = {
    "name": {"type": "str", "required": True},
    "inbound_rules": {
        "type": "list",
        "elements": "dict",
        "options": {
            "protocol": {"type": "str", "choices": ["tcp", "udp", "icmp"], "required": True},
            "ports": {"type": "str", "default": "all"},
            "sources": {
                "type": "dict",
                "required": True,
                "options": {
                    "addresses": {"type": "list", "elements": "str"},
                    "droplet_ids": {"type": "list", "elements": "int"},
                    "load_balancer_uids": {"type": "list", "elements": "str"},
                    "kubernetes_ids": {"type": "list", "elements": "str"},
                    "tags": {"type": "list", "elements": "str"},
                },
            },
        },
    },
    "outbound_rules": {
        "type": "list",
        "elements": "dict",
        "options": {
            "protocol": {"type": "str", "choices": ["tcp", "udp", "icmp"], "required": True},
            "ports": {"type": "str", "default": "all"},
            "destinations": {
                "type": "dict",
                "required": True,
                "options": {
                    "addresses": {"type": "list", "elements": "str"},
                    "droplet_ids": {"type": "list", "elements": "int"},
                    "load_balancer_uids": {"type": "list", "elements": "str"},
                    "kubernetes_ids": {"type": "list", "elements": "str"},
                    "tags": {"type": "list", "elements": "str"},
                },
            },
        },
    },
    "droplet_ids": {"type": "list", "elements": "int"},
    "tags": {"type": "list", "elements": "str"},
}


def main() -> None:
    module = AnsibleModule(
        **resource_arguments("firewalls", FIELDS, replaceable=False).for_module(), supports_check_mode=True
    )
    reconcile(
        module, lambda: ResourceReconciler(connect(module.params), FIREWALL, module.params), libraries=(REQUESTS,)
    )


if __name__ == "__main__":
    main()

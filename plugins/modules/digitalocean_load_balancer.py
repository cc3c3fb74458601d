#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage load balancers of DigitalOcean."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: digitalocean_load_balancer
short_description: Manage load balancers of DigitalOcean
version_added: 0.1.0
author:
  - The dcm.platform authors (@dcm-platform)
description:
  - Makes, changes and removes load balancers. An update starts from the load balancer as it is, because DigitalOcean
    resets what an update leaves out.
  - Those that a Kubernetes Service made belong to their cluster and are never purged.
  - All objects of the type are listed once, over all pages, however many are managed. What is not given is neither
    set nor compared. Two objects that could both be meant are an error that names both.
options:
  load_balancers:
    description:
      - The load balancers. Those that are not in the list are not touched, unless O(purge) is set.
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
      vpc_uuid:
        description:
          - Id of its network. It cannot be changed.
        type: str
      type:
        description:
          - Its type. It cannot be changed.
        type: str
        choices:
          - REGIONAL
          - REGIONAL_NETWORK
          - GLOBAL
      network:
        description:
          - Whether it has a public address. It cannot be changed.
        type: str
        choices:
          - EXTERNAL
          - INTERNAL
      network_stack:
        description:
          - Its addresses.
        type: str
        choices:
          - IPV4
          - DUALSTACK
      size_unit:
        description:
          - Number of nodes, V(1) to V(100).
        type: int
      size:
        description:
          - Its size in the older way; not together with O(load_balancers[].size_unit).
        type: str
        choices:
          - lb-small
          - lb-medium
          - lb-large
      algorithm:
        description:
          - How requests are spread.
        type: str
        choices:
          - round_robin
          - least_connections
      forwarding_rules:
        description:
          - What is forwarded where; the whole list. Needed to make it.
        type: list
        elements: dict
        suboptions:
          entry_protocol:
            description:
              - Protocol that comes in.
            type: str
            choices:
              - http
              - https
              - http2
              - http3
              - tcp
              - udp
            required: true
          entry_port:
            description:
              - Port that it comes in at.
            type: int
            required: true
          target_protocol:
            description:
              - Protocol to the targets.
            type: str
            choices:
              - http
              - https
              - http2
              - tcp
              - udp
            required: true
          target_port:
            description:
              - Port of the targets.
            type: int
            required: true
          certificate_id:
            description:
              - Certificate for TLS.
            type: str
          tls_passthrough:
            description:
              - Whether TLS goes through to the targets.
            type: bool
      health_check:
        description:
          - How targets are checked.
        type: dict
        suboptions:
          protocol:
            description:
              - Protocol.
            type: str
            choices:
              - http
              - https
              - tcp
          port:
            description:
              - Port.
            type: int
          path:
            description:
              - Path, of HTTP.
            type: str
          check_interval_seconds:
            description:
              - Seconds between two checks.
            type: int
          response_timeout_seconds:
            description:
              - Seconds to wait for an answer.
            type: int
          unhealthy_threshold:
            description:
              - Failures until a target is out.
            type: int
          healthy_threshold:
            description:
              - Successes until it is in again.
            type: int
      sticky_sessions:
        description:
          - Whether a client stays with a target.
        type: dict
        suboptions:
          type:
            description:
              - How.
            type: str
            choices:
              - cookies
              - none
          cookie_name:
            description:
              - Name of the cookie.
            type: str
          cookie_ttl_seconds:
            description:
              - Seconds that it lives.
            type: int
      redirect_http_to_https:
        description:
          - Whether HTTP is redirected.
        type: bool
      enable_proxy_protocol:
        description:
          - Whether targets get the PROXY protocol.
        type: bool
      enable_backend_keepalive:
        description:
          - Whether connections to targets are kept.
        type: bool
      http_idle_timeout_seconds:
        description:
          - Seconds that a connection may idle, V(30) to V(600).
        type: int
      project_id:
        description:
          - Id of its project.
        type: str
      disable_lets_encrypt_dns_records:
        description:
          - Whether no DNS records are made for certificates.
        type: bool
      tls_cipher_policy:
        description:
          - Which ciphers.
        type: str
        choices:
          - DEFAULT
          - STRONG
      firewall:
        description:
          - Who may reach it.
        type: dict
        suboptions:
          allow:
            description:
              - Allowed, as V(ip:192.0.2.1) or V(cidr:10.0.0.0/8).
            type: list
            elements: str
          deny:
            description:
              - Denied, in the same form.
            type: list
            elements: str
      droplet_ids:
        description:
          - Droplets as targets.
        type: list
        elements: int
      tag:
        description:
          - Tag of the Droplets that are targets; not together with O(load_balancers[].droplet_ids).
        type: str
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
          - Whether to replace it when it differs in what cannot be changed. Its address changes then.
          - Without it, such a difference is an error that tells what differs.
        type: bool
        default: false
extends_documentation_fragment:
  - dcm.platform.attributes
  - dcm.platform.digitalocean
  - dcm.platform.digitalocean.owner
"""

EXAMPLES = r"""
- name: HTTPS to the nodes of a tag, from one network only
  dcm.platform.digitalocean_load_balancer:
    owner: production
    load_balancers:
      - name: production-entry
        region: nyc3
        tag: entry
        forwarding_rules:
          - {entry_protocol: tcp, entry_port: 443, target_protocol: tcp, target_port: 30443}
        health_check: {protocol: tcp, port: 30443}
        firewall:
          allow: ["cidr:198.51.100.0/24"]
"""

RETURN = r"""
load_balancers:
  description:
    - The load balancers in the order of the option, as the API shows them, without secrets. In check mode, as
      they would be; what only the API knows, such as an id, is missing then.
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
      sample: production-entry
    ip:
      description:
        - Its address.
      type: str
      sample: 203.0.113.10
    status:
      description:
        - Its state.
      type: str
      sample: active
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
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.types import LOAD_BALANCER
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import REQUESTS
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import reconcile

FIELDS = {
    "name": {"type": "str", "required": True},
    "region": {"type": "str"},
    "vpc_uuid": {"type": "str"},
    "type": {"type": "str", "choices": ["REGIONAL", "REGIONAL_NETWORK", "GLOBAL"]},
    "network": {"type": "str", "choices": ["EXTERNAL", "INTERNAL"]},
    "network_stack": {"type": "str", "choices": ["IPV4", "DUALSTACK"]},
    "size_unit": {"type": "int"},
    "size": {"type": "str", "choices": ["lb-small", "lb-medium", "lb-large"]},
    "algorithm": {"type": "str", "choices": ["round_robin", "least_connections"]},
    "forwarding_rules": {
        "type": "list",
        "elements": "dict",
        "options": {
            "entry_protocol": {
                "type": "str",
                "choices": ["http", "https", "http2", "http3", "tcp", "udp"],
                "required": True,
            },
            "entry_port": {"type": "int", "required": True},
            "target_protocol": {"type": "str", "choices": ["http", "https", "http2", "tcp", "udp"], "required": True},
            "target_port": {"type": "int", "required": True},
            "certificate_id": {"type": "str"},
            "tls_passthrough": {"type": "bool"},
        },
    },
    "health_check": {
        "type": "dict",
        "options": {
            "protocol": {"type": "str", "choices": ["http", "https", "tcp"]},
            "port": {"type": "int"},
            "path": {"type": "str"},
            "check_interval_seconds": {"type": "int"},
            "response_timeout_seconds": {"type": "int"},
            "unhealthy_threshold": {"type": "int"},
            "healthy_threshold": {"type": "int"},
        },
    },
    "sticky_sessions": {
        "type": "dict",
        "options": {
            "type": {"type": "str", "choices": ["cookies", "none"]},
            "cookie_name": {"type": "str"},
            "cookie_ttl_seconds": {"type": "int"},
        },
    },
    "redirect_http_to_https": {"type": "bool"},
    "enable_proxy_protocol": {"type": "bool"},
    "enable_backend_keepalive": {"type": "bool"},
    "http_idle_timeout_seconds": {"type": "int"},
    "project_id": {"type": "str"},
    "disable_lets_encrypt_dns_records": {"type": "bool"},
    "tls_cipher_policy": {"type": "str", "choices": ["DEFAULT", "STRONG"]},
    "firewall": {
        "type": "dict",
        "options": {"allow": {"type": "list", "elements": "str"}, "deny": {"type": "list", "elements": "str"}},
    },
    "droplet_ids": {"type": "list", "elements": "int"},
    "tag": {"type": "str"},
}


def main() -> None:
    module = AnsibleModule(**resource_arguments("load_balancers", FIELDS).for_module(), supports_check_mode=True)
    reconcile(
        module, lambda: ResourceReconciler(connect(module.params), LOAD_BALANCER, module.params), libraries=(REQUESTS,)
    )


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What there is at DigitalOcean."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: digitalocean_info
short_description: Read what there is at DigitalOcean
version_added: "0.1.0"
author:
  - The dcm.platform authors (@dcm-platform)
description:
  - Reads every object of the chosen types, over all pages, with one list for each type.
  - Passwords, tokens and connection strings are left out.
options:
  types:
    description: What to read.
    type: list
    elements: str
    required: true
    choices:
      - database_clusters
      - domains
      - droplets
      - firewalls
      - kubernetes_clusters
      - load_balancers
      - projects
      - registries
      - reserved_ips
      - spaces_keys
      - ssh_keys
      - tags
      - vpcs
  names:
    description: Only objects of these names; all if not given.
    type: list
    elements: str
    default: []
  owner:
    description: Only objects that carry the mark of this owner, as the other modules set it.
    type: str
extends_documentation_fragment:
  - dcm.platform.attributes.reader
  - dcm.platform.digitalocean
"""

EXAMPLES = r"""
- name: What belongs to production
  dcm.platform.digitalocean_info:
    types: [vpcs, kubernetes_clusters, database_clusters]
    owner: production
  register: found
"""

RETURN = r"""
vpcs:
  description: The networks, if asked for. Every other type is returned in the same way, under its name.
  returned: success
  type: list
  elements: dict
  sample: [{id: 6b2e3c0a-3a1f-4a5e-9a8e-2b7f1c0d9e11, name: production, region: nyc3}]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.arguments import (
    DEFAULT_TIMEOUT,
    DIGITALOCEAN_ARGUMENTS,
)
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.client import connect
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.info import TYPES, Reader
from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments, waiting
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import REQUESTS
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import reconcile

ARGUMENTS = Arguments(
    {
        "types": {"type": "list", "elements": "str", "required": True, "choices": sorted(TYPES)},
        "names": {"type": "list", "elements": "str", "default": []},
        "owner": {"type": "str"},
    }
)


def make(module: AnsibleModule) -> Reader:
    """The reader for the module's options."""
    options = module.params
    return Reader(connect(options), options["types"], options["names"], options["owner"], options["workers"])


def main() -> None:
    arguments = DIGITALOCEAN_ARGUMENTS | waiting(DEFAULT_TIMEOUT) | ARGUMENTS
    module = AnsibleModule(**arguments.for_module(), supports_check_mode=True)
    reconcile(module, lambda: make(module), libraries=(REQUESTS,))


if __name__ == "__main__":
    main()

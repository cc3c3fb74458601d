#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage projects of DigitalOcean."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: digitalocean_project
short_description: Manage projects of DigitalOcean
version_added: 0.1.0
author:
  - The dcm.platform authors (@dcm-platform)
description:
  - Makes, changes and removes projects, and assigns resources to them.
  - All objects of the type are listed once, over all pages, however many are managed. What is not given is neither
    set nor compared. Two objects that could both be meant are an error that names both.
options:
  projects:
    description:
      - The projects. Those that are not in the list are not touched, unless O(purge) is set.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - Its name, by which it is found again.
        type: str
        required: true
      purpose:
        description:
          - What it is for. Needed to make it.
        type: str
      description:
        description:
          - A description.
        type: str
      environment:
        description:
          - The kind of environment.
        type: str
        choices:
          - Development
          - Staging
          - Production
      is_default:
        description:
          - Whether new resources go to it.
        type: bool
      resources:
        description:
          - 'URNs of resources that belong to it. Others stay where they are: a resource is never without a project.'
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
notes:
  - A project with resources is not deleted by DigitalOcean (HTTP 412).
extends_documentation_fragment:
  - dcm.platform.attributes
  - dcm.platform.digitalocean
  - dcm.platform.digitalocean.owner
"""

EXAMPLES = r"""
- name: One project for everything of production
  dcm.platform.digitalocean_project:
    owner: production
    projects:
      - name: production
        purpose: Service or API
        environment: Production
        resources: ["do:space:production-files"]
"""

RETURN = r"""
projects:
  description:
    - The projects in the order of the option, as the API shows them, without secrets. In check mode, as they
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
    environment:
      description:
        - The kind of environment.
      type: str
      sample: Production
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
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.types import PROJECT
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import REQUESTS
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import reconcile

FIELDS = {
    "name": {"type": "str", "required": True},
    "purpose": {"type": "str"},
    "description": {"type": "str"},
    "environment": {"type": "str", "choices": ["Development", "Staging", "Production"]},
    "is_default": {"type": "bool"},
    "resources": {"type": "list", "elements": "str"},
}


def main() -> None:
    module = AnsibleModule(
        **resource_arguments("projects", FIELDS, replaceable=False).for_module(), supports_check_mode=True
    )
    reconcile(module, lambda: ResourceReconciler(connect(module.params), PROJECT, module.params), libraries=(REQUESTS,))


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage container registries of DigitalOcean."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: digitalocean_registry
short_description: Manage container registries of DigitalOcean
version_added: 0.1.0
author:
  - The dcm.platform authors (@dcm-platform)
description:
  - Makes and removes registries, sets the tier, removes images that nothing keeps, and collects the garbage that
    they leave.
  - All objects of the type are listed once, over all pages, however many are managed. What is not given is neither
    set nor compared. Two objects that could both be meant are an error that names both.
options:
  registries:
    description:
      - The registries. Those that are not in the list are not touched, unless O(purge) is set.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - 'Its name: lower case letters, digits and dashes, unique over all of DigitalOcean.'
        type: str
        required: true
      region:
        description:
          - Slug of the region. It cannot be changed.
        type: str
      subscription_tier_slug:
        description:
          - Tier. It is that of the account, so that all registries share it.
        type: str
        choices:
          - starter
          - basic
          - professional
      retention:
        description:
          - Which tags of each repository may go. A tag is kept if a pattern fits, if it is among the newest,
            or if it is young.
        type: dict
        suboptions:
          keep_newest:
            description:
              - How many tags to keep in each repository.
            type: int
            default: 10
          keep:
            description:
              - Patterns of tags to keep, such as V(v*) or V(latest).
            type: list
            elements: str
          older_than_days:
            description:
              - How old a tag must be to go, in days.
            type: int
            default: 30
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
          - Whether to replace it when it differs in what cannot be changed. All its images are lost.
          - Without it, such a difference is an error that tells what differs.
        type: bool
        default: false
  garbage_collection:
    description:
      - When to collect garbage. The registry is read-only meanwhile.
    type: str
    choices:
      - never
      - after_deletion
      - always
    default: after_deletion
extends_documentation_fragment:
  - dcm.platform.attributes
  - dcm.platform.digitalocean
  - dcm.platform.digitalocean.owner
"""

EXAMPLES = r"""
- name: A registry that keeps releases and what is young
  dcm.platform.digitalocean_registry:
    owner: production
    registries:
      - name: production-images
        region: nyc3
        subscription_tier_slug: basic
        retention: {keep_newest: 10, keep: ["v*", latest], older_than_days: 30}
"""

RETURN = r"""
registries:
  description:
    - The registries in the order of the option, as the API shows them, without secrets. In check mode, as they
      would be; what only the API knows, such as an id, is missing then.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description:
        - Its name.
      type: str
      sample: production-images
    region:
      description:
        - Its region.
      type: str
      sample: nyc3
    subscription_tier_slug:
      description:
        - The account's tier.
      type: str
      sample: basic
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
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.registry import RegistryReconciler
from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import REQUESTS
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import reconcile

FIELDS = {
    "name": {"type": "str", "required": True},
    "region": {"type": "str"},
    "subscription_tier_slug": {"type": "str", "choices": ["starter", "basic", "professional"]},
    "retention": {
        "type": "dict",
        "options": {
            "keep_newest": {"type": "int", "default": 10},
            "keep": {"type": "list", "elements": "str"},
            "older_than_days": {"type": "int", "default": 30},
        },
    },
}
EXTRA = Arguments(
    {
        "garbage_collection": {
            "type": "str",
            "choices": ["never", "after_deletion", "always"],
            "default": "after_deletion",
        }
    }
)


def main() -> None:
    module = AnsibleModule(**(resource_arguments("registries", FIELDS) | EXTRA).for_module(), supports_check_mode=True)
    reconcile(module, lambda: RegistryReconciler(connect(module.params), module.params), libraries=(REQUESTS,))


if __name__ == "__main__":
    main()

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: inventory_check
short_description: Find every problem of an environment's inventory before anything is touched
version_added: "0.1.0"
description:
  - Checks the variables of an inventory against the argument specifications of all roles of this collection, and the
    rules between them, and reports every problem at once with the file, the line and the key.
  - Found are missing and unknown keys, wrong types and values, overlapping networks, duplicate guild ids, undescribed
    guild tiers, Kubernetes versions that are too old, and node addresses used twice or outside their network.
  - It runs on the controller, where the files are, and reads only.
author:
  - The dcm.platform authors (@dcm-platform)
options:
  roles:
    description:
      - The roles whose required options must be there, each with the inventory group it is applied to.
      - The options of the other roles are known, but need not be set.
    type: dict
    required: true
  nodes_group:
    description: The inventory group of the machines whose addresses are checked.
    type: str
    default: talos
requirements:
  - PyYAML >= 6.0
attributes:
  check_mode:
    support: full
    description: Reads only.
  diff_mode:
    support: none
    description: Changes nothing, so there is nothing to show.
"""

EXAMPLES = r"""
- name: Check the inventory for the roles of site.yml
  dcm.platform.inventory_check:
    roles:
      vault: platform
      guilds: platform
      talos_cluster: talos
"""

RETURN = r"""
problems:
  description: What is wrong; empty when all is well. With problems the task fails and its message lists them.
  returned: always
  type: list
  elements: dict
  sample: []
  contains:
    file:
      description: The file below the inventory directory, and the line, where the variable is set or expected.
      type: str
      sample: group_vars/all/guilds.yml:12
    key:
      description: The path of the key.
      type: str
      sample: dcm_guilds[3].id
    message:
      description: What is wrong with it.
      type: str
      sample: unknown key; did you mean dcm_guilds?
"""

#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read what Talos nodes say about themselves."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: talos_machine_info
short_description: Read what Talos nodes say about themselves
version_added: "0.1.0"
author: The dcm.platform authors (@dcm-platform)
description:
  - Asks any number of nodes at once, in maintenance mode or not, for their stage and whatever is asked for besides,
    versions, services, disks, members, and any resource that the API has.
  - A node that does not answer is listed with its address and the reason in RV(unreachable); the others are reported
    all the same, and the module does not fail.
  - No secret is returned. In machine configurations they are masked; of other resources that Talos calls sensitive only
    the names are returned.
extends_documentation_fragment:
  - dcm.platform.talos
options:
  nodes:
    description:
      - The nodes, as a mapping of names to addresses. The names are for messages and results, the addresses are
        C(host), C(host:port) or C([IPv6]:port).
    type: dict
    required: true
  gather_subset:
    description: What to ask for besides the stage. Each is one more call.
    type: list
    elements: str
    choices: [version, services, disks, members, addresses, extensions]
    default: [version]
  resources:
    description: Resources to read.
    type: list
    elements: dict
    default: []
    suboptions:
      type:
        description:
          - The type, such as V(MachineStatuses.runtime.talos.dev), or one of its aliases, such as V(machinestatus).
        type: str
        required: true
      namespace:
        description: The namespace. By default that of the type.
        type: str
      id:
        description: The id. By default all.
        type: str
attributes:
  check_mode:
    support: full
    description: Nothing is ever changed.
  diff_mode:
    support: N/A
    description: Nothing is ever changed.
seealso:
  - module: dcm.platform.talos_health
"""

EXAMPLES = r"""
- name: Which Talos runs where, and on which disk
  dcm.platform.talos_machine_info:
    secrets: "{{ cluster.secrets }}"
    nodes:
      cp-1: 192.168.10.11
      worker-1: 192.168.10.21
    gather_subset: [version, disks]
  register: found

- name: The state of all volumes
  dcm.platform.talos_machine_info:
    secrets: "{{ cluster.secrets }}"
    nodes:
      worker-1: 192.168.10.21
    resources:
      - type: VolumeStatuses.block.talos.dev
"""

RETURN = r"""
machines:
  description: The nodes that answered, by their names.
  returned: success
  type: dict
  contains:
    address:
      description: Where its API is.
      type: str
      sample: 192.168.10.11:50000
    insecure:
      description: Whether it could not prove who it is, because it is in maintenance mode.
      type: bool
    stage:
      description: Its stage, as Talos calls it, such as V(maintenance), V(booting) or V(running).
      type: str
    ready:
      description: Whether all its conditions are met.
      type: bool
    unmet_conditions:
      description: The conditions that are not met, with the reasons.
      type: list
      elements: str
    version:
      description: The running Talos, C(version), C(arch), C(platform) and C(mode).
      returned: if asked for
      type: dict
      sample: {"version": "v1.13.9", "arch": "amd64", "platform": "metal", "mode": "metal"}
    services:
      description: Its services, each with C(id), C(state), C(healthy) (V(null) if nobody checks) and C(message).
      returned: if asked for
      type: list
      elements: dict
    disks:
      description: Its disks, C(size) in bytes; C(system_disk) is the one that Talos is on.
      returned: if asked for
      type: list
      elements: dict
    members:
      description:
        - The members of the cluster that it knows, each with C(hostname), C(machine_type), C(operating_system) and
          C(addresses).
      returned: if asked for
      type: list
      elements: dict
    addresses:
      description: Its addresses, in CIDR notation.
      returned: if asked for
      type: list
      elements: str
    extensions:
      description: Its system extensions with C(name) and C(version); C(schematic) has the id of the schematic.
      returned: if asked for
      type: list
      elements: dict
    resources:
      description:
        - The resources, each with C(namespace), C(type), C(id), C(version), C(phase), C(owner), C(labels) and C(spec).
      returned: if O(resources) is set
      type: list
      elements: dict
    refused:
      description: What it refused to tell and why, by the names of the subsets and types.
      type: dict
unreachable:
  description: The nodes that could not be asked, each with C(name), C(address) and C(reason).
  returned: success
  type: list
  elements: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import require
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import boundary
from ansible_collections.dcm.platform.plugins.module_utils.engine.redaction import Redactor
from ansible_collections.dcm.platform.plugins.module_utils.talos.arguments import API_LIBRARIES, CREDENTIALS
from ansible_collections.dcm.platform.plugins.module_utils.talos.connection import Connector
from ansible_collections.dcm.platform.plugins.module_utils.talos.inspection import SUBSETS, Query, inspect
from ansible_collections.dcm.platform.plugins.module_utils.talos.node import parse_nodes

RESOURCE = {"type": {"type": "str", "required": True}, "namespace": {"type": "str"}, "id": {"type": "str"}}
ARGUMENTS = CREDENTIALS | Arguments(
    {
        "nodes": {"type": "dict", "required": True},
        "gather_subset": {"type": "list", "elements": "str", "choices": list(SUBSETS), "default": ["version"]},
        "resources": {"type": "list", "elements": "dict", "default": [], "options": RESOURCE},
    }
)


def inspected(options: dict[str, Any]) -> dict[str, Any]:
    """The result for a module's options."""
    queries = [Query(one["type"], one["namespace"] or "", one["id"] or "") for one in options["resources"]]
    nodes, connector = parse_nodes("nodes", options["nodes"]), Connector.from_options(options)
    answers = inspect(nodes, connector, options["gather_subset"], queries)
    return {
        "machines": {one.node.name: {"address": one.node.address, **one.value} for one in answers if one.error is None},
        "unreachable": [
            {"name": one.node.name, "address": one.node.address, "reason": str(one.error)}
            for one in answers
            if one.error is not None
        ],
    }


def main() -> None:
    module = AnsibleModule(**ARGUMENTS.for_module(), supports_check_mode=True)
    with boundary(module, Redactor(module.no_log_values)):
        require(*API_LIBRARIES)
        module.exit_json(changed=False, **inspected(module.params))


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""List the members of the etcd of a Talos cluster, and have one go."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: talos_etcd_member
short_description: List the members of the etcd of a Talos cluster, and have one go
version_added: "0.1.0"
author: The dcm.platform authors (@dcm-platform)
description:
  - Lists the members of etcd with their health; has one leave, or has the others remove it.
  - A member only goes if etcd keeps its quorum without it. Otherwise nothing is done, and the message says the numbers.
    The same holds for the last member.
  - Members join by themselves, when their machine gets the configuration of a control plane.
extends_documentation_fragment:
  - dcm.platform.talos
  - dcm.platform.talos.control_planes
options:
  state:
    description:
      - With V(listed), nothing is changed.
      - With V(left), the O(member) leaves by itself, stops etcd and wipes the data of it. It joins again with the next
        boot, unless its machine is reset before that.
      - With V(removed), the others remove the O(member), as when its machine does not come back. The data on its disk
        stays, and it cannot join again with that.
    type: str
    choices: [listed, left, removed]
    default: listed
  member:
    description:
      - The member, by its id (16 hexadecimal digits), its host name, or its name in O(control_planes). If there is none
        such, it is gone already, and nothing is changed.
      - Needed for O(state=left) and O(state=removed).
    type: str
attributes:
  check_mode:
    support: full
    description: The quorum is judged, too.
  diff_mode:
    support: full
    description: Shows the member that goes.
notes:
  - Name all O(control_planes). A member that nobody speaks for does not count as healthy.
  - The role C(os:reader) is enough for O(state=listed).
seealso:
  - module: dcm.platform.talos_machine
  - module: dcm.platform.talos_etcd_snapshot
"""

EXAMPLES = r"""
- name: See how etcd is
  dcm.platform.talos_etcd_member:
    secrets: "{{ cluster.secrets }}"
    control_planes: &control_planes
      cp-1: 192.168.10.11
      cp-2: 192.168.10.12
      cp-3: 192.168.10.13
  register: etcd

- name: Remove a member whose machine burnt down
  dcm.platform.talos_etcd_member:
    secrets: "{{ cluster.secrets }}"
    control_planes: *control_planes
    state: removed
    member: cp-3
"""

RETURN = r"""
members:
  description: The members of etcd, without the one that went.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: The member's id, 16 hexadecimal digits.
      type: str
      sample: 8e9e05c52164694d
    hostname:
      description: Its host name.
      type: str
    is_learner:
      description: Whether it has no vote yet.
      type: bool
    peer_urls:
      description: Where the other members reach it.
      type: list
      elements: str
    is_leader:
      description: Whether it leads.
      type: bool
    healthy:
      description: Whether it runs, knows a leader, and has no damaged data.
      type: bool
    size:
      description: Size of its database in bytes; V(null) if it did not tell.
      type: int
    alarms:
      description: Its alarms, such as C(NOSPACE) or C(CORRUPT).
      type: list
      elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import reconcile
from ansible_collections.dcm.platform.plugins.module_utils.talos.arguments import (
    API_LIBRARIES,
    CONTROL_PLANES,
    CREDENTIALS,
)
from ansible_collections.dcm.platform.plugins.module_utils.talos.connection import Connector
from ansible_collections.dcm.platform.plugins.module_utils.talos.etcd_member import (
    LEFT,
    LISTED,
    REMOVED,
    MemberReconciler,
)
from ansible_collections.dcm.platform.plugins.module_utils.talos.node import parse_control_planes

ARGUMENTS = Arguments(
    {"state": {"type": "str", "choices": [LISTED, LEFT, REMOVED], "default": LISTED}, "member": {"type": "str"}},
    required_if=(("state", LEFT, ("member",)), ("state", REMOVED, ("member",))),
)


def reconciler(module: AnsibleModule) -> MemberReconciler:
    """For a module's options."""
    options = module.params
    nodes, connector = parse_control_planes(options["control_planes"]), Connector.from_options(options)
    return MemberReconciler(nodes, connector, options["state"], options["member"])


def main() -> None:
    arguments = CREDENTIALS | CONTROL_PLANES | ARGUMENTS
    module = AnsibleModule(**arguments.for_module(), supports_check_mode=True)
    reconcile(module, lambda: reconciler(module), libraries=API_LIBRARIES)


if __name__ == "__main__":
    main()

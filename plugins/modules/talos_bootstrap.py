#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bootstrap etcd on a Talos cluster, exactly once."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: talos_bootstrap
short_description: Bootstrap etcd on a Talos cluster, exactly once
version_added: "0.1.0"
author: The dcm.platform authors (@dcm-platform)
description:
  - Starts etcd on the first of the control planes, if it runs on none, and waits until all of them are members. The
    cluster starts Kubernetes by itself then.
  - All control planes are asked first. A second bootstrap would split the cluster, so nothing is done while one of
    them, on which etcd might have data, cannot be asked.
  - The control planes must have their configurations, see M(dcm.platform.talos_machine).
extends_documentation_fragment:
  - dcm.platform.talos
options:
  control_planes:
    description:
      - All control planes of the cluster, as a mapping of names to addresses. The names are for messages and results,
        the addresses are C(host), C(host:port) or C([IPv6]:port).
      - The first one is bootstrapped.
    type: dict
    required: true
  wait:
    description: Whether to wait until all control planes are members of etcd.
    type: bool
    default: true
  wait_timeout:
    description:
      - How long to wait until all control planes are ready for the bootstrap, and then again until they are members,
        in seconds.
    type: int
    default: 600
attributes:
  check_mode:
    support: full
    description: Control planes may still be in maintenance mode then.
  diff_mode:
    support: full
    description: Says which control plane is bootstrapped.
seealso:
  - module: dcm.platform.talos_machine
  - module: dcm.platform.talos_kubeconfig
"""

EXAMPLES = r"""
- name: Bootstrap the cluster once
  dcm.platform.talos_bootstrap:
    secrets: "{{ cluster.secrets }}"
    control_planes:
      cp-1: 192.168.10.11
      cp-2: 192.168.10.12
      cp-3: 192.168.10.13
"""

RETURN = r"""
bootstrapped_on:
  description: The control plane that was bootstrapped by this call, V(null) if that was done before.
  returned: success
  type: str
members:
  description: The members of etcd. Empty in check mode before the bootstrap.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: The member's id, 16 hexadecimal digits.
      type: str
    hostname:
      description: Its host name.
      type: str
    is_learner:
      description: Whether it has no vote yet.
      type: bool
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments, waiting
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import reconcile
from ansible_collections.dcm.platform.plugins.module_utils.talos.arguments import API_LIBRARIES, CREDENTIALS
from ansible_collections.dcm.platform.plugins.module_utils.talos.bootstrap import BootstrapReconciler
from ansible_collections.dcm.platform.plugins.module_utils.talos.connection import Connector
from ansible_collections.dcm.platform.plugins.module_utils.talos.node import parse_node

ARGUMENTS = CREDENTIALS | waiting(600) | Arguments({"control_planes": {"type": "dict", "required": True}})


def reconciler(module: AnsibleModule) -> BootstrapReconciler:
    """For a module's options."""
    options = module.params
    nodes = [parse_node(str(address), name) for name, address in options["control_planes"].items()]
    if not nodes:
        raise InputError("control_planes is empty: name all control planes of the cluster.")
    if len({node.address for node in nodes}) < len(nodes):
        raise InputError("control_planes has two names for one address.")
    connector = Connector.from_options(options)
    return BootstrapReconciler(nodes, connector, options["wait_timeout"], wait=options["wait"])


def main() -> None:
    module = AnsibleModule(**ARGUMENTS.for_module(), supports_check_mode=True)
    reconcile(module, lambda: reconciler(module), libraries=API_LIBRARIES)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Drain nodes of a Kubernetes cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: kubernetes_node
short_description: Drain nodes of a Kubernetes cluster as disruption budgets allow
version_added: 0.1.0
author:
  - The dcm.platform authors (@dcm-platform)
description:
  - Cordons nodes and evicts their pods, one node after another, or lets pods back.
  - A disruption budget that forbids an eviction is waited for until O(wait_timeout), unlike with
    M(kubernetes.core.k8s_drain), which fails at the first refusal. The pods that stayed are then named.
  - Pods of DaemonSets, static pods and those that have ended stay. All others go, also those that nothing makes anew.
options:
  names:
    description:
      - Names of the nodes, in the order in which they are drained. One that is not registered is left out.
    type: list
    elements: str
    required: true
  state:
    description:
      - V(drained), to have no pods and take no new ones; V(schedulable), to take them again.
    type: str
    choices: [drained, schedulable]
    default: drained
  wait_timeout:
    description:
      - Seconds for the pods of one node to be gone.
    type: int
    default: 600
extends_documentation_fragment:
  - dcm.platform.attributes
  - dcm.platform.kubernetes
seealso:
  - module: dcm.platform.digitalocean_kubernetes
  - module: dcm.platform.talos_upgrade
"""

EXAMPLES = r"""
- name: Take the pods off two nodes before they go
  dcm.platform.kubernetes_node:
    kubeconfig: ~/.kube/production
    names: [pool-old-1, pool-old-2]

- name: Let them back
  dcm.platform.kubernetes_node:
    kubeconfig: ~/.kube/production
    names: [pool-old-1]
    state: schedulable
"""

RETURN = r"""
nodes:
  description:
    - The nodes in the order of O(names); in check mode, as they would be.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description:
        - Its name.
      type: str
      sample: pool-old-1
    registered:
      description:
        - Whether the cluster knows it.
      type: bool
      sample: true
    cordoned:
      description:
        - Whether it takes no new pods.
      returned: if it is registered
      type: bool
      sample: true
    pods:
      description:
        - The pods on it that draining takes off, as namespace and name.
      returned: if it is registered
      type: list
      elements: str
      sample: []
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import KUBERNETES
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import reconcile
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.arguments import KUBERNETES_ARGUMENTS
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.client import open_apis
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.drain import drainer_of
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.node import NodeReconciler

ARGUMENTS = Arguments(
    {
        "names": {"type": "list", "elements": "str", "required": True},
        "state": {"type": "str", "choices": ["drained", "schedulable"], "default": "drained"},
        "wait_timeout": {"type": "int", "default": 600},
    }
)


def make(module: AnsibleModule) -> NodeReconciler:
    """The reconciler for the module's options."""
    options = module.params
    api, _patching, address = open_apis(options)
    return NodeReconciler(drainer_of(api, address, options["wait_timeout"]), options["names"], options["state"])


def main() -> None:
    module = AnsibleModule(**(KUBERNETES_ARGUMENTS | ARGUMENTS).for_module(), supports_check_mode=True)
    reconcile(module, lambda: make(module), libraries=(KUBERNETES,))


if __name__ == "__main__":
    main()

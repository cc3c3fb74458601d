#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Upgrade Kubernetes on a Talos cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: talos_kubernetes_upgrade
short_description: Upgrade Kubernetes on a Talos cluster
version_added: "0.1.0"
author: The dcm.platform authors (@dcm-platform)
description:
  - Brings Kubernetes on all nodes of a cluster to one version, without a reboot. First the API servers, one control
    plane after the other, then the controller managers, the schedulers and the proxies, then the kubelets of the
    control planes and of the workers. Each must run and be ready before the next one is touched.
  - The first that does not come up ends the upgrade. The next run goes on from there.
  - Only the images in the machine configurations change, and keep their registry. A configuration that leaves the
    image to Talos keeps doing so.
  - Refused are more than one minor version at a time, a minor version back, kubelets that would be more than three
    minor versions older than the API server, and a cluster whose nodes are not all well.
  - Talos does not change the DaemonSet kube-proxy of a cluster that exists. Bring
    it up with M(kubernetes.core.k8s) where it runs. It may be three minor versions older than the API server.
extends_documentation_fragment:
  - dcm.platform.talos
  - dcm.platform.talos.control_planes
options:
  workers:
    description: All workers of the cluster, in the same form.
    type: dict
    default: {}
  version:
    description: The full version of Kubernetes, such as V(1.36.3).
    type: str
    required: true
  wait_timeout:
    description: How long to wait for one component on one node to run again, in seconds.
    type: int
    default: 600
attributes:
  check_mode:
    support: full
    description: Also refuses what the upgrade would refuse.
  diff_mode:
    support: full
    description: One entry for each component on each node, in the order of the upgrade.
seealso:
  - module: dcm.platform.talos_upgrade
"""

EXAMPLES = r"""
- name: Upgrade Kubernetes
  dcm.platform.talos_kubernetes_upgrade:
    secrets: "{{ cluster.secrets }}"
    control_planes:
      cp-1: 192.168.10.11
      cp-2: 192.168.10.12
      cp-3: 192.168.10.13
    workers:
      worker-1: 192.168.10.21
    version: 1.36.4
"""

RETURN = r"""
nodes:
  description: All nodes with the versions that they run; in check mode, that they would run.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
    address:
      description: Where its API is.
      type: str
      sample: 192.168.10.11:50000
    versions:
      description: The version of each component that its configuration names.
      type: dict
      sample:
        kubelet: 1.36.4
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import reconcile
from ansible_collections.dcm.platform.plugins.module_utils.talos.arguments import (
    API_LIBRARIES,
    CONTROL_PLANES,
    CREDENTIALS,
)
from ansible_collections.dcm.platform.plugins.module_utils.talos.connection import Connector
from ansible_collections.dcm.platform.plugins.module_utils.talos.kubernetes_upgrade import (
    KubernetesUpgradeReconciler,
    parse_version,
)
from ansible_collections.dcm.platform.plugins.module_utils.talos.node import parse_control_planes, parse_node

ARGUMENTS = (
    CREDENTIALS
    | CONTROL_PLANES
    | Arguments(
        {
            "workers": {"type": "dict", "default": {}},
            "version": {"type": "str", "required": True},
            "wait_timeout": {"type": "int", "default": 600},
        }
    )
)


def reconciler(module: AnsibleModule) -> KubernetesUpgradeReconciler:
    """For a module's options."""
    options = module.params
    wanted = parse_version(options["version"])
    control_planes = parse_control_planes(options["control_planes"])
    workers = [parse_node(str(address), name) for name, address in options["workers"].items()]
    if options["control_planes"].keys() & options["workers"].keys():
        raise InputError("control_planes and workers name the same node.")
    connector = Connector.from_options(options)
    return KubernetesUpgradeReconciler(control_planes, workers, connector, wanted, options["wait_timeout"])


def main() -> None:
    module = AnsibleModule(**ARGUMENTS.for_module(), supports_check_mode=True)
    reconcile(module, lambda: reconciler(module), libraries=API_LIBRARIES)


if __name__ == "__main__":
    main()

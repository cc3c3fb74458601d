#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Upgrade Talos on one node."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: talos_upgrade
short_description: Upgrade Talos on one node
version_added: "0.1.0"
author: The dcm.platform authors (@dcm-platform)
description:
  - Brings the system of one node to what an installer image installs, reboots it, and waits until it is well again. A
    node that runs that system already is only waited for.
  - The running version decides the method. From Talos 1.13 on, the image is put beside the running system, the node is
    drained and then rebooted. Older versions do all that by themselves, in one call.
  - A control plane is not upgraded if etcd would lose its quorum while it is down. Upgrade one node at a time, as
    C(playbooks/upgrade_talos.yml) does.
  - A node that comes up with its old system, because the new one could not be installed or did not boot, is reported
    as a failure.
  - A leap over a minor version is refused, as Talos does not support it.
extends_documentation_fragment:
  - dcm.platform.talos
  - dcm.platform.talos.node
  - dcm.platform.talos.drain
options:
  image:
    description:
      - The installer image with a full version as its tag, such as C(ghcr.io/siderolabs/installer:v1.13.9), or one of
        the image factory with a schematic.
      - A node with this version and another schematic is upgraded, too.
    type: str
    required: true
  schematic:
    description:
      - The id of the schematic that O(image) was built from, where its name does not say. By default the one in the
        name of an image of the factory, none for the installers that Talos publishes, and for all other images the
        schematic is not compared.
    type: str
  wait_for:
    description:
      - V(running) waits until the boot sequence is complete, V(ready) until all conditions of the node are met, which
        includes a Kubernetes node that is ready.
    type: str
    choices: [running, ready]
    default: ready
  wait_timeout:
    description: How long to wait for the installation, for the next boot, and for the node to be well, in seconds each.
    type: int
    default: 1200
attributes:
  check_mode:
    support: full
    description: Also refuses what the upgrade would refuse.
  diff_mode:
    support: full
    description: Shows the versions and the schematics.
seealso:
  - module: dcm.platform.talos_machine
  - module: dcm.platform.talos_kubernetes_upgrade
"""

EXAMPLES = r"""
- name: Upgrade a node, after its pods have moved away
  dcm.platform.talos_upgrade:
    node: 192.168.10.21
    name: worker-1
    secrets: "{{ cluster.secrets }}"
    image: ghcr.io/siderolabs/installer:v1.13.9
    kubeconfig: ~/.kube/config
"""

RETURN = r"""
previous_version:
  description: The version of Talos that the node ran when the call began.
  returned: success
  type: str
  sample: v1.13.8
machine:
  description: The node.
  returned: success
  type: dict
  contains:
    name:
      description: O(name).
      type: str
    address:
      description: Where its API is.
      type: str
      sample: 192.168.10.21:50000
    version:
      description: The version that it runs; in check mode, that it would run.
      type: str
      sample: v1.13.9
    schematic:
      description: The id of the schematic that it runs, V(null) if there is none.
      type: str
    stage:
      description: Its stage, as Talos calls it.
      type: str
    ready:
      description: Whether all its conditions are met.
      type: bool
    unmet_conditions:
      description: The conditions that are not met, with the reasons.
      type: list
      elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import KUBERNETES
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import reconcile
from ansible_collections.dcm.platform.plugins.module_utils.talos.arguments import API_LIBRARIES, CREDENTIALS, NODE
from ansible_collections.dcm.platform.plugins.module_utils.talos.connection import Connector
from ansible_collections.dcm.platform.plugins.module_utils.talos.node import parse_node
from ansible_collections.dcm.platform.plugins.module_utils.talos.restart import DRAIN, restarter
from ansible_collections.dcm.platform.plugins.module_utils.talos.upgrade import UpgradeReconciler, system_of

ARGUMENTS = (
    CREDENTIALS
    | NODE
    | DRAIN
    | Arguments(
        {
            "image": {"type": "str", "required": True},
            "schematic": {"type": "str"},
            "wait_for": {"type": "str", "choices": ["running", "ready"], "default": "ready"},
            "wait_timeout": {"type": "int", "default": 1200},
        }
    )
)


def reconciler(module: AnsibleModule) -> UpgradeReconciler:
    """For a module's options."""
    options = module.params
    wanted = system_of(options["image"], options["schematic"])
    node, connector = parse_node(options["node"], options["name"]), Connector.from_options(options)
    return UpgradeReconciler(
        restarter(node, connector, options), options["image"], wanted, condition=options["wait_for"]
    )


def main() -> None:
    module = AnsibleModule(**ARGUMENTS.for_module(), supports_check_mode=True)
    libraries = (*API_LIBRARIES, KUBERNETES) if module.params["kubeconfig"] else API_LIBRARIES
    reconcile(module, lambda: reconciler(module), libraries=libraries)


if __name__ == "__main__":
    main()

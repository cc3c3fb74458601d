#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Apply a machine configuration to a Talos node."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: talos_machine
short_description: Apply a machine configuration to a Talos node
version_added: "0.1.0"
author: The dcm.platform authors (@dcm-platform)
description:
  - Gives a node its machine configuration, whether it is in maintenance mode (booted, not configured) or running, and
    waits until the node runs with it.
  - What the node has is read back and compared document by document, so that a second run changes nothing and costs
    two API calls. Comments, the order of keys and the order of documents do not count.
  - A node in maintenance mode has no certificate that could be verified. Its first configuration, which holds
    secrets, is sent to whoever answers at the address, unless O(maintenance_fingerprint) is set; the result says so
    in RV(insecure).
extends_documentation_fragment:
  - dcm.platform.talos
  - dcm.platform.talos.node
options:
  config:
    description:
      - The whole machine configuration as a YAML stream, as M(dcm.platform.talos_config) renders it.
      - Its C(machine.ca) must be an authority that the credentials trust, or the node would be lost.
    type: str
    required: true
  mode:
    description:
      - How a node that is configured already takes the configuration. One in maintenance mode always gets V(auto).
      - V(auto) applies at once; up to Talos 1.13 the node reboots if the change needs it.
      - V(no_reboot) fails if the change needs a reboot (up to Talos 1.13).
      - V(staged) stores it for the next reboot.
      - V(try) applies without storing; the node goes back by itself after a minute.
    type: str
    choices: [auto, no_reboot, staged, try]
    default: auto
  maintenance_fingerprint:
    description:
      - The fingerprint of the public key of a node in maintenance mode, as its console shows it (base64 of the
        SHA-256). A node that has another one gets nothing. It changes with every boot.
    type: str
  wait:
    description: Whether to wait until the node is as O(wait_for) says.
    type: bool
    default: true
  wait_for:
    description:
      - V(applied) means that the node is installed, has left maintenance mode and runs with the configuration. A new
        control plane gets no further before M(dcm.platform.talos_bootstrap), a new worker not before a control plane
        answers.
      - V(running) means that its boot sequence is complete, V(ready) that all its conditions are met, which includes
        a Kubernetes node that is ready.
      - With O(mode=staged), only that the configuration is stored.
    type: str
    choices: [applied, running, ready]
    default: applied
  wait_timeout:
    description: How long to wait, in seconds.
    type: int
    default: 600
attributes:
  check_mode:
    support: full
    description: The configuration is compared here; the node is only read, so that nothing on trial is confirmed.
  diff_mode:
    support: full
    description: Only what differs is shown, and of secrets only that they differ.
seealso:
  - module: dcm.platform.talos_bootstrap
  - module: dcm.platform.talos_config
"""

EXAMPLES = r"""
- name: Configure a node, from maintenance mode or anew
  dcm.platform.talos_machine:
    node: 192.168.10.11
    name: cp-1
    secrets: "{{ cluster.secrets }}"
    config: "{{ control_plane.config }}"

- name: Wait until the node runs completely
  dcm.platform.talos_machine:
    node: 192.168.10.11
    name: cp-1
    secrets: "{{ cluster.secrets }}"
    config: "{{ control_plane.config }}"
    wait_for: running
"""

RETURN = r"""
insecure:
  description:
    - Whether the node could not prove who it is when the call began, because it was in maintenance mode and
      O(maintenance_fingerprint) was not set.
  returned: success
  type: bool
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
      sample: 192.168.10.11:50000
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
    applied_mode:
      description: The mode that the node really used, V(null) if nothing was applied.
      type: str
    details:
      description: What the node said about how it applied the configuration, V(null) if nothing was applied.
      type: str
    warnings:
      description: What the node warns about in the configuration.
      type: list
      elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments, waiting
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import reconcile
from ansible_collections.dcm.platform.plugins.module_utils.talos.arguments import API_LIBRARIES, CREDENTIALS, NODE
from ansible_collections.dcm.platform.plugins.module_utils.talos.connection import Connector
from ansible_collections.dcm.platform.plugins.module_utils.talos.documents import load
from ansible_collections.dcm.platform.plugins.module_utils.talos.machine import Goal, MachineReconciler
from ansible_collections.dcm.platform.plugins.module_utils.talos.node import parse_node
from ansible_collections.dcm.platform.plugins.module_utils.talos.sensitive import secret_texts

ARGUMENTS = (
    CREDENTIALS
    | NODE
    | waiting(600)
    | Arguments(
        {
            "config": {"type": "str", "required": True, "no_log": True},
            "mode": {"type": "str", "choices": ["auto", "no_reboot", "staged", "try"], "default": "auto"},
            "maintenance_fingerprint": {"type": "str"},
            "wait_for": {"type": "str", "choices": ["applied", "running", "ready"], "default": "applied"},
        }
    )
)


def reconciler(module: AnsibleModule) -> MachineReconciler:
    """For a module's options. What is secret in the configuration is made known to Ansible, which blanks it."""
    options = module.params
    module.no_log_values.update(secret_texts(load(options["config"])))
    goal = Goal(
        config=options["config"],
        mode=options["mode"],
        condition=options["wait_for"],
        timeout=options["wait_timeout"] if options["wait"] else None,
        fingerprint=options["maintenance_fingerprint"],
    )
    node = parse_node(options["node"], options["name"])
    return MachineReconciler(node, Connector.from_options(options), goal, module.warn)


def main() -> None:
    module = AnsibleModule(**ARGUMENTS.for_module(), supports_check_mode=True)
    reconcile(module, lambda: reconciler(module), libraries=API_LIBRARIES)


if __name__ == "__main__":
    main()

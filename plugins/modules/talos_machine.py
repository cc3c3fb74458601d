#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Apply a machine configuration to a Talos node, or reset the node."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: talos_machine
short_description: Apply a machine configuration to a Talos node, or reset the node
version_added: "0.1.0"
author: The dcm.platform authors (@dcm-platform)
description:
  - Gives a node its machine configuration, whether it is in maintenance mode (booted, not configured) or running, and
    waits until the node runs with it.
  - What the node has is read back and compared document by document, so that a second run changes nothing and costs
    two API calls. Comments, the order of keys and the order of documents do not count.
  - Both the configuration that the node runs with and the one that it would boot with must be as asked for.
  - A node reboots only if O(reboot) allows it, and is reset only with O(state=absent). Neither happens to a control
    plane without which etcd would lose its quorum.
  - Another version of Kubernetes is refused on a configured node; that is what M(dcm.platform.talos_kubernetes_upgrade)
    is for.
  - A node in maintenance mode has no certificate that could be verified. Its first configuration, which holds
    secrets, is sent to whoever answers at the address, unless O(maintenance_fingerprint) is set; the result says so
    in RV(insecure).
extends_documentation_fragment:
  - dcm.platform.talos
  - dcm.platform.talos.node
  - dcm.platform.talos.drain
options:
  state:
    description:
      - V(present) configures the node. V(absent) resets it, out of etcd and Kubernetes and back to maintenance mode; a
        node that is in maintenance mode stays as it is.
      - A reset does not delete the Node object of Kubernetes.
    type: str
    choices: [present, absent]
    default: present
  config:
    description:
      - The whole machine configuration as a YAML stream, as M(dcm.platform.talos_config) renders it.
      - Its C(machine.ca) must be an authority that the credentials trust, or the node would be lost.
      - Required with O(state=present), not used with O(state=absent).
    type: str
  mode:
    description:
      - How a node that is configured already takes the configuration. One in maintenance mode always gets V(auto).
      - V(auto) applies it at once, and what needs a reboot as O(reboot) says.
      - V(no_reboot) applies it at once and never reboots.
      - V(staged) stores it for the next reboot.
      - V(try) applies it without storing; the node goes back by itself after O(try_timeout). To keep it, apply it again
        with another mode before that. Check mode neither keeps nor ends what is on trial.
    type: str
    choices: [auto, no_reboot, staged, try]
    default: auto
  try_timeout:
    description: How long a configuration is on trial, in seconds. By default a minute, as Talos has it.
    type: int
  reboot:
    description:
      - Whether the node reboots for a changed configuration, with O(mode=auto). A reboot is always waited for.
      - V(never) fails where the change needs one (up to Talos 1.13; later versions do not tell, so there it warns).
      - V(if_needed) reboots if what differs comes true with a reboot only, V(always) with every difference.
      - A new node reboots after its installation in any case.
    type: str
    choices: [never, if_needed, always]
    default: never
  wipe:
    description:
      - The system partitions that O(state=absent) wipes, by their labels. V(STATE) holds the configuration,
        V(EPHEMERAL) the data of etcd and of the pods.
      - An empty list wipes the whole system disk. The node then needs other media to boot from.
    type: list
    elements: str
    choices: [BOOT, EFI, BIOS, META, STATE, EPHEMERAL]
    default: [STATE, EPHEMERAL]
  wipe_user_disks:
    description: The other disks that O(state=absent) wipes, such as V(/dev/sdb).
    type: list
    elements: str
    default: []
  power_off:
    description: Whether O(state=absent) switches the node off in place of booting it into maintenance mode.
    type: bool
    default: false
  graceful:
    description:
      - Whether O(state=absent) drains the node and takes it out of etcd first. Talos does both itself, also without
        O(kubeconfig).
    type: bool
    default: true
  destroy_cluster:
    description:
      - The name of the cluster, typed by who means to reset nodes that etcd cannot spare. All data of the cluster is
        lost with them.
    type: str
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

- name: Reboot with a configuration that needs it, after the pods have moved away
  dcm.platform.talos_machine:
    node: 192.168.10.21
    name: worker-1
    secrets: "{{ cluster.secrets }}"
    config: "{{ worker.config }}"
    reboot: if_needed
    kubeconfig: "{{ lookup('dcm.platform.vault_secret', 'dcm/talos/production/kubeconfig').kubeconfig }}"

- name: Take a node out of the cluster
  dcm.platform.talos_machine:
    node: 192.168.10.21
    name: worker-1
    secrets: "{{ cluster.secrets }}"
    state: absent
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
    rebooted:
      description: Whether the node was rebooted for the configuration; in check mode, whether it would be.
      type: bool
    applied_mode:
      description: The mode that was used, V(staged) before a reboot; V(null) if nothing was applied.
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
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import KUBERNETES
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import reconcile
from ansible_collections.dcm.platform.plugins.module_utils.talos.arguments import API_LIBRARIES, CREDENTIALS, NODE
from ansible_collections.dcm.platform.plugins.module_utils.talos.connection import Connector
from ansible_collections.dcm.platform.plugins.module_utils.talos.documents import load
from ansible_collections.dcm.platform.plugins.module_utils.talos.machine import Goal, MachineReconciler
from ansible_collections.dcm.platform.plugins.module_utils.talos.node import parse_node
from ansible_collections.dcm.platform.plugins.module_utils.talos.reset import ResetReconciler, Wiping
from ansible_collections.dcm.platform.plugins.module_utils.talos.restart import DRAIN, restarter
from ansible_collections.dcm.platform.plugins.module_utils.talos.sensitive import secret_texts

ARGUMENTS = (
    CREDENTIALS
    | NODE
    | DRAIN
    | waiting(600)
    | Arguments(
        {
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "config": {"type": "str", "no_log": True},
            "mode": {"type": "str", "choices": ["auto", "no_reboot", "staged", "try"], "default": "auto"},
            "try_timeout": {"type": "int"},
            "reboot": {"type": "str", "choices": ["never", "if_needed", "always"], "default": "never"},
            "maintenance_fingerprint": {"type": "str"},
            "wait_for": {"type": "str", "choices": ["applied", "running", "ready"], "default": "applied"},
            "wipe": {
                "type": "list",
                "elements": "str",
                "choices": ["BOOT", "EFI", "BIOS", "META", "STATE", "EPHEMERAL"],
                "default": ["STATE", "EPHEMERAL"],
            },
            "wipe_user_disks": {"type": "list", "elements": "str", "default": []},
            "power_off": {"type": "bool", "default": False},
            "graceful": {"type": "bool", "default": True},
            "destroy_cluster": {"type": "str"},
        },
        required_if=(("state", "present", ("config",)),),
    )
)


def reconciler(module: AnsibleModule) -> MachineReconciler:
    """For ``state=present``. What is secret in the configuration is made known to Ansible, which blanks it."""
    options = module.params
    module.no_log_values.update(secret_texts(load(options["config"])))
    if options["reboot"] != "never" and options["mode"] != "auto":
        raise InputError(f"reboot={options['reboot']} goes with mode=auto only, not with mode={options['mode']}.")
    goal = Goal(
        config=options["config"],
        mode=options["mode"],
        condition=options["wait_for"],
        timeout=options["wait_timeout"] if options["wait"] else None,
        fingerprint=options["maintenance_fingerprint"],
        reboot=options["reboot"],
        try_seconds=options["try_timeout"],
    )
    node, connector = parse_node(options["node"], options["name"]), Connector.from_options(options)
    if options["reboot"] == "never":
        options["kubeconfig"] = None  # the environment may set one, and there is nothing to drain for
    return MachineReconciler(node, connector, goal, restarter(node, connector, options), module.warn)


def resetter(module: AnsibleModule) -> ResetReconciler:
    """For ``state=absent``."""
    options = module.params
    wiping = Wiping(
        partitions=options["wipe"],
        user_disks=options["wipe_user_disks"],
        reboot=not options["power_off"],
        graceful=options["graceful"],
        destroy_cluster=options["destroy_cluster"],
    )
    node = parse_node(options["node"], options["name"])
    timeout = options["wait_timeout"] if options["wait"] else None
    return ResetReconciler(node, Connector.from_options(options), wiping, timeout)


def main() -> None:
    module = AnsibleModule(**ARGUMENTS.for_module(), supports_check_mode=True)
    libraries = (*API_LIBRARIES, KUBERNETES) if module.params["kubeconfig"] else API_LIBRARIES
    if module.params["state"] == "absent":
        reconcile(module, lambda: resetter(module), libraries=libraries)
    reconcile(module, lambda: reconciler(module), libraries=libraries)


if __name__ == "__main__":
    main()

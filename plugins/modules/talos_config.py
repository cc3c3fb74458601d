#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Render the machine configuration of a Talos node."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: talos_config
short_description: Render the machine configuration of a Talos node
version_added: "0.1.0"
author: The dcm.platform authors (@dcm-platform)
description:
  - Renders what C(talosctl gen config) generates for one node, with patches applied by Talos's own rules, and checks
    it.
  - Runs offline and changes nothing. The same options always give the same text, so that a second run of
    M(dcm.platform.talos_machine) finds nothing to do.
  - The result holds the secrets of the cluster. Set C(no_log=true) on the task.
options:
  secrets:
    description: The secrets bundle of the cluster, as a mapping or as YAML text. See M(dcm.platform.talos_secrets).
    type: raw
    required: true
  cluster_name:
    description: The name of the cluster.
    type: str
    required: true
  endpoint:
    description:
      - The URL of the Kubernetes API, the same for all nodes, such as V(https://192.168.10.10:6443). Normally the
        address of a load balancer or a virtual IP. The port is 6443 if none is given.
    type: str
    required: true
  machine_type:
    description: What the node is.
    type: str
    required: true
    choices: [controlplane, worker]
  talos_version:
    description:
      - The full version of Talos to install, such as V(1.13.9).
    type: str
    required: true
  version_contract:
    description:
      - The version of Talos that the cluster was created with, such as V(1.13). It decides the form of the
        configuration and should stay when O(talos_version) rises. By default that of O(talos_version). This release
        knows 1.13.
    type: str
  kubernetes_version:
    description: The full version of Kubernetes, such as V(1.36.3).
    type: str
    required: true
  hostname:
    description:
      - The host name of the node. By default Talos makes up a stable one.
    type: str
  install_disk:
    description: The disk to install Talos on. The default is Talos's own.
    type: str
    default: /dev/sda
  install_image:
    description:
      - The installer image. By default the one that Talos publishes for O(talos_version).
    type: str
  pod_subnets:
    description:
      - The networks of the pods, in CIDR notation. The default is Talos's own; it is the default of other systems,
        too, so set it explicitly where networks are connected.
    type: list
    elements: str
    default: [10.244.0.0/16]
  service_subnets:
    description:
      - The networks of the services, in CIDR notation. The default is Talos's own and spans V(10.96.0.0) to
        V(10.111.255.255).
    type: list
    elements: str
    default: [10.96.0.0/12]
  dns_domain:
    description: The domain of the services inside the cluster. The default is Talos's own.
    type: str
    default: cluster.local
  cert_sans:
    description: More names and addresses that the certificates of the Talos API and of the Kubernetes API are for.
    type: list
    elements: str
    default: []
  cni:
    description:
      - V(none) leaves the network to a later step, such as the installation of Cilium. V(flannel) is also what Talos
        does if this is not set.
    type: str
    choices: [flannel, none]
  patches:
    description:
      - Patches, applied in this order. Each is a mapping (one document), a YAML text (one or more documents, or a
        list of operations), or a list of RFC 6902 operations.
      - A document is merged into the one with the same C(apiVersion), C(kind) and C(name), or added. Mappings are
        merged by key, single values replaced, lists appended, except where Talos replaces them or merges their
        elements by name.
      - C($patch=delete) in a mapping removes that key, in an element of a list the first element that matches its
        first key, and at the top of a document the document.
      - RFC 6902 operations only work on configurations of a single document, which those of contract 1.13 are not.
    type: list
    elements: raw
    default: []
attributes:
  check_mode:
    support: full
    description: Nothing is ever changed.
  diff_mode:
    support: N/A
    description: Nothing is ever changed.
requirements:
  - "cryptography >= 41.0"
  - "PyYAML >= 6.0"
seealso:
  - module: dcm.platform.talos_machine
  - module: dcm.platform.talos_secrets
"""

EXAMPLES = r"""
- name: Make secrets to render with
  dcm.platform.talos_secrets:
  register: cluster
  no_log: true

- name: Render the configuration of a control plane
  dcm.platform.talos_config:
    secrets: "{{ cluster.secrets }}"
    cluster_name: production
    endpoint: https://192.168.10.10:6443
    machine_type: controlplane
    talos_version: 1.13.9
    kubernetes_version: 1.36.3
    hostname: cp-1
    install_disk: /dev/nvme0n1
    pod_subnets: [10.64.0.0/16]
    service_subnets: [10.65.0.0/16]
    cni: none
    patches:
      - machine:
          sysctls:
            vm.max_map_count: "262144"
      - apiVersion: v1alpha1
        kind: TimeSyncConfig
        ntp:
          servers: [192.168.10.1]
  register: control_plane
  no_log: true
"""

RETURN = r"""
config:
  description: The machine configuration as a YAML stream. It holds the secrets of the cluster.
  returned: success
  type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import require
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import boundary
from ansible_collections.dcm.platform.plugins.module_utils.engine.redaction import Redactor
from ansible_collections.dcm.platform.plugins.module_utils.talos.arguments import OFFLINE_LIBRARIES, release
from ansible_collections.dcm.platform.plugins.module_utils.talos.config import MACHINE_TYPES, render
from ansible_collections.dcm.platform.plugins.module_utils.talos.contract import parse_contract
from ansible_collections.dcm.platform.plugins.module_utils.talos.inputs import Inputs
from ansible_collections.dcm.platform.plugins.module_utils.talos.secrets import parse
from ansible_collections.dcm.platform.plugins.module_utils.talos.sensitive import plain_texts

ARGUMENTS = Arguments(
    {
        "secrets": {"type": "raw", "required": True, "no_log": True},
        "cluster_name": {"type": "str", "required": True},
        "endpoint": {"type": "str", "required": True},
        "machine_type": {"type": "str", "required": True, "choices": list(MACHINE_TYPES)},
        "talos_version": {"type": "str", "required": True},
        "version_contract": {"type": "str"},
        "kubernetes_version": {"type": "str", "required": True},
        "hostname": {"type": "str"},
        "install_disk": {"type": "str", "default": "/dev/sda"},
        "install_image": {"type": "str"},
        "pod_subnets": {"type": "list", "elements": "str", "default": ["10.244.0.0/16"]},
        "service_subnets": {"type": "list", "elements": "str", "default": ["10.96.0.0/12"]},
        "dns_domain": {"type": "str", "default": "cluster.local"},
        "cert_sans": {"type": "list", "elements": "str", "default": []},
        "cni": {"type": "str", "choices": ["flannel", "none"]},
        "patches": {"type": "list", "elements": "raw", "default": [], "no_log": True},
    }
)
NOT_INPUTS = ("secrets", "version_contract", "patches")


def rendered(options: dict[str, Any]) -> str:
    """The configuration for a module's options."""
    inputs = {name: value for name, value in options.items() if name not in NOT_INPUTS and value is not None}
    contract = parse_contract(options["version_contract"] or options["talos_version"])
    return render(Inputs(bundle=parse(options["secrets"]), **inputs), contract, options["patches"])


def main() -> None:
    module = AnsibleModule(**ARGUMENTS.for_module(), supports_check_mode=True)
    for patch in module.params["patches"]:
        if isinstance(patch, dict):  # or every ordinary word of a patch would be blanked in messages
            module.no_log_values.difference_update(plain_texts(patch))
    with boundary(module, Redactor(module.no_log_values)):
        require(*OFFLINE_LIBRARIES)
        config = rendered(module.params)
        release(module, "secrets", "patches")
        module.exit_json(changed=False, config=config)


if __name__ == "__main__":
    main()

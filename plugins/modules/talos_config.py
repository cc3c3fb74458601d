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
  - Two version contracts are known. Configurations of 1.13 are one C(v1alpha1) document with few others beside it,
    those of 1.14 have one document for each subject. The options are the same for both, patches are not.
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
        knows 1.13 and 1.14.
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
    description:
      - The disk to install Talos on. By default V(/dev/sda), which is Talos's own, unless O(install_disk_selector) is
        set.
      - Empty for machines that boot from an image on their disk, as in clouds.
    type: str
  install_disk_selector:
    description:
      - The disk by what it is, where its name may change. Excludes O(install_disk).
      - For contract 1.13 a mapping with the keys of Talos's C(diskSelector), such as C(model), C(size), C(type).
      - For contract 1.14 a CEL expression on C(disk), such as V(disk.transport == 'nvme' && disk.size > 100u * GB).
    type: raw
  install_image:
    description:
      - The installer image. By default the one of O(install_schematic), else the one that Talos publishes for
        O(talos_version).
    type: str
  install_schematic:
    description:
      - The id of a schematic of the image factory, 64 hexadecimal digits, for an installer with system extensions.
        Excludes O(install_image).
    type: str
  image_factory:
    description:
      - Where the image factory keeps its installers, without the schematic. The last part says the platform and
        whether it is for Secure Boot, such as V(factory.talos.dev/metal-installer-secureboot).
      - Also used without a schematic from Talos 1.14 on, which is published there only.
    type: str
    default: factory.talos.dev/metal-installer
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
  network_policies:
    description:
      - Whether Flannel enforces network policies. Without it, Kubernetes accepts them and nothing happens. The default
        is Talos's own.
    type: bool
    default: false
  vip:
    description:
      - An address that the control planes share, for O(endpoint). One of them has it at any time, on O(vip_link).
        Control planes only; has no effect on workers.
    type: str
  vip_link:
    description: The interface for O(vip).
    type: str
  links:
    description:
      - Interfaces with addresses of their own. By default all use DHCP. Everything else about networks (bonds, VLANs,
        bridges, WireGuard) is a document for O(patches).
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The name of the interface, such as V(eth0) or V(enp3s0).
        type: str
        required: true
      addresses:
        description: Its addresses with the length of the prefix, such as V(192.168.10.11/24).
        type: list
        elements: str
        default: []
      gateway:
        description: The gateway of the default route through it.
        type: str
      routes:
        description: More routes through it.
        type: list
        elements: dict
        default: []
        suboptions:
          destination:
            description: The network, in CIDR notation. By default everything.
            type: str
          gateway:
            description: The gateway. By default none, the network is on the link itself.
            type: str
          source:
            description: The address to send from.
            type: str
          metric:
            description: The lower, the better.
            type: int
          mtu:
            description: The longest packet on the route, in bytes.
            type: int
          table:
            description: The routing table. By default the main one.
            type: str
      mtu:
        description: The longest packet, in bytes. By default that of the interface.
        type: int
      dhcp:
        description: Whether to use DHCP for IPv4 besides.
        type: bool
        default: false
  nameservers:
    description: The addresses of name servers. By default those that DHCP says, or Talos's own.
    type: list
    elements: str
    default: []
  time_servers:
    description: Time servers. By default those that DHCP says, or Talos's own.
    type: list
    elements: str
    default: []
  node_labels:
    description:
      - Labels of the Kubernetes node. Kubernetes refuses labels of its own domains from workers; see RV(hints).
    type: dict
    default: {}
  node_taints:
    description:
      - Taints of the Kubernetes node, as a mapping of names to V(VALUE:EFFECT) or V(EFFECT). A worker gets them when it
        registers, and they never change by this later.
    type: dict
    default: {}
  allow_scheduling_on_control_planes:
    description: Whether ordinary pods may run on control planes, too. The default is Talos's own.
    type: bool
    default: false
  audit_policy:
    description:
      - The audit policy of the API server, as the mapping that Kubernetes knows (C(audit.k8s.io/v1), C(Policy)). By
        default Talos's own, which logs the metadata of every request.
    type: dict
  patches:
    description:
      - Patches, applied in this order. Each is a mapping (one document), a YAML text (one or more documents, or a
        list of operations), or a list of RFC 6902 operations.
      - A document is merged into the one with the same C(apiVersion), C(kind) and C(name), or added. Mappings are
        merged by key, single values replaced, lists appended, except where Talos replaces them or merges their
        elements by name.
      - C($patch=delete) in a mapping removes that key, in an element of a list the first element that matches its
        first key, and at the top of a document the document.
      - RFC 6902 operations only work on configurations of a single document, which no contract here renders.
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
    vip: 192.168.10.10
    vip_link: eth0
    pod_subnets: [10.64.0.0/16]
    service_subnets: [10.65.0.0/16]
    network_policies: true
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

- name: Say what is valid and still rarely meant
  ansible.builtin.debug:
    var: control_plane.hints

- name: Render the configuration of a worker of a cluster that was made with Talos 1.14
  dcm.platform.talos_config:
    secrets: "{{ cluster.secrets }}"
    cluster_name: production
    endpoint: https://192.168.10.10:6443
    machine_type: worker
    talos_version: 1.14.0
    kubernetes_version: 1.37.0
    hostname: data-1
    install_disk_selector: disk.transport == "nvme" && !disk.readonly
    links:
      - name: eth0
        addresses: [192.168.10.31/24]
        gateway: 192.168.10.1
    nameservers: [192.168.10.1]
    node_labels:
      dcm.platform/pool: data
    node_taints:
      dcm.platform/pool: data:NoSchedule
  register: worker
  no_log: true
"""

RETURN = r"""
config:
  description: The machine configuration as a YAML stream. It holds the secrets of the cluster.
  returned: success
  type: str
hints:
  description:
    - What is valid and still rarely meant, one sentence each, without any secret. For example an installer of another
      version than O(talos_version), Talos's own service network, labels that Kubernetes refuses from workers, an
      authority that ends within a year.
  returned: success
  type: list
  elements: str
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
from ansible_collections.dcm.platform.plugins.module_utils.talos.hints import hints
from ansible_collections.dcm.platform.plugins.module_utils.talos.inputs import IMAGE_FACTORY, Inputs, Link
from ansible_collections.dcm.platform.plugins.module_utils.talos.secrets import parse
from ansible_collections.dcm.platform.plugins.module_utils.talos.sensitive import plain_texts

ROUTE = {
    "destination": {"type": "str"},
    "gateway": {"type": "str"},
    "source": {"type": "str"},
    "metric": {"type": "int"},
    "mtu": {"type": "int"},
    "table": {"type": "str"},
}
LINK = {
    "name": {"type": "str", "required": True},
    "addresses": {"type": "list", "elements": "str", "default": []},
    "gateway": {"type": "str"},
    "routes": {"type": "list", "elements": "dict", "default": [], "options": ROUTE},
    "mtu": {"type": "int"},
    "dhcp": {"type": "bool", "default": False},
}
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
        "install_disk": {"type": "str"},
        "install_disk_selector": {"type": "raw"},
        "install_image": {"type": "str"},
        "install_schematic": {"type": "str"},
        "image_factory": {"type": "str", "default": IMAGE_FACTORY},
        "pod_subnets": {"type": "list", "elements": "str", "default": ["10.244.0.0/16"]},
        "service_subnets": {"type": "list", "elements": "str", "default": ["10.96.0.0/12"]},
        "dns_domain": {"type": "str", "default": "cluster.local"},
        "cert_sans": {"type": "list", "elements": "str", "default": []},
        "cni": {"type": "str", "choices": ["flannel", "none"]},
        "network_policies": {"type": "bool", "default": False},
        "vip": {"type": "str"},
        "vip_link": {"type": "str"},
        "links": {"type": "list", "elements": "dict", "default": [], "options": LINK},
        "nameservers": {"type": "list", "elements": "str", "default": []},
        "time_servers": {"type": "list", "elements": "str", "default": []},
        "node_labels": {"type": "dict", "default": {}},
        "node_taints": {"type": "dict", "default": {}},
        "allow_scheduling_on_control_planes": {"type": "bool", "default": False},
        "audit_policy": {"type": "dict"},
        "patches": {"type": "list", "elements": "raw", "default": [], "no_log": True},
    }
)
NOT_INPUTS = ("secrets", "version_contract", "links", "patches")


def inputs_of(options: dict[str, Any]) -> Inputs:
    """The inputs of one node's configuration for a module's options."""
    given = {name: value for name, value in options.items() if name not in NOT_INPUTS and value is not None}
    links = [Link(**link) for link in options.get("links") or ()]
    return Inputs(bundle=parse(options["secrets"]), links=links, **given)


def rendered(options: dict[str, Any]) -> str:
    """The configuration for a module's options."""
    contract = parse_contract(options["version_contract"] or options["talos_version"])
    return render(inputs_of(options), contract, options["patches"])


def main() -> None:
    module = AnsibleModule(**ARGUMENTS.for_module(), supports_check_mode=True)
    for patch in module.params["patches"]:
        if isinstance(patch, dict):  # or every ordinary word of a patch would be blanked in messages
            module.no_log_values.difference_update(plain_texts(patch))
    with boundary(module, Redactor(module.no_log_values)):
        require(*OFFLINE_LIBRARIES)
        config, found = rendered(module.params), hints(inputs_of(module.params))
        release(module, "secrets", "patches")
        module.exit_json(changed=False, config=config, hints=found)


if __name__ == "__main__":
    main()

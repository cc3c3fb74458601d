#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage Kubernetes clusters of DigitalOcean with their node pools."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: digitalocean_kubernetes
short_description: Manage Kubernetes clusters of DigitalOcean with their node pools
version_added: 0.1.0
author:
  - The dcm.platform authors (@dcm-platform)
description:
  - Makes, changes, upgrades and removes DOKS clusters with all their node pools in one declaration.
  - New pools come before old ones go. A pool that goes is drained node by node.
  - The count of an autoscaled pool is the autoscaler's and never touched; autoscaling is switched off only by
    V(false), never by leaving it out.
  - All objects of the type are listed once, over all pages, however many are managed. What is not given is neither
    set nor compared. Two objects that could both be meant are an error that names both.
options:
  clusters:
    description:
      - The clusters. Those that are not in the list are not touched, unless O(purge) is set.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - Its name, by which it is found again.
        type: str
        required: true
      region:
        description:
          - Slug of the region, such as V(nyc3). Needed to make it; it cannot be changed.
        type: str
      version:
        description:
          - 'Kubernetes version: a full one such as V(1.33.1-do.0), a minor such as V(1.33), or V(latest) when
            it is made. An upgrade follows the offered path, one minor after another; going back is refused. Needed
            to make it.'
        type: str
      vpc_uuid:
        description:
          - Id of its network. It cannot be changed.
        type: str
      cluster_subnet:
        description:
          - Network of its pods. It cannot be changed.
        type: str
      service_subnet:
        description:
          - Network of its services. It cannot be changed.
        type: str
      tags:
        description:
          - Its tags, without those that DOKS adds itself.
        type: list
        elements: str
      maintenance_policy:
        description:
          - When DigitalOcean may maintain it.
        type: dict
        suboptions:
          day:
            description:
              - Day of the week, or V(any).
            type: str
            choices:
              - any
              - monday
              - tuesday
              - wednesday
              - thursday
              - friday
              - saturday
              - sunday
          start_time:
            description:
              - Time in UTC, such as V(04:00).
            type: str
      auto_upgrade:
        description:
          - Whether patches are installed in the maintenance window.
        type: bool
      surge_upgrade:
        description:
          - Whether upgrades add nodes before they take any.
        type: bool
      ha:
        description:
          - Whether the control plane is highly available, which costs extra. It cannot be switched off.
        type: bool
      control_plane_firewall:
        description:
          - Who may reach the control plane.
        type: dict
        suboptions:
          enabled:
            description:
              - Whether it is guarded.
            type: bool
          allowed_addresses:
            description:
              - Addresses and networks that may.
            type: list
            elements: str
      cluster_autoscaler_configuration:
        description:
          - How the autoscaler decides.
        type: dict
        suboptions:
          scale_down_utilization_threshold:
            description:
              - Share of use below which a node may go.
            type: float
          scale_down_unneeded_time:
            description:
              - How long it must be unneeded, such as V(10m).
            type: str
          expanders:
            description:
              - Which pool grows first.
            type: list
            elements: str
            choices:
              - random
              - priority
              - least_waste
      routing_agent:
        description:
          - The routing agent.
        type: dict
        suboptions:
          enabled:
            description:
              - Whether it runs.
            type: bool
      registries:
        description:
          - Names of container registries that its nodes can pull from.
        type: list
        elements: str
      node_pools:
        description:
          - Its node pools. At least one is needed to make it.
        type: list
        elements: dict
        suboptions:
          name:
            description:
              - Its name, unique in the cluster.
            type: str
            required: true
          size:
            description:
              - Slug of its Droplets' size. Needed to make it; it cannot be changed.
            type: str
          count:
            description:
              - Number of nodes. Of an autoscaled pool it counts only when the pool is made; by default the fewest
                nodes.
            type: int
          auto_scale:
            description:
              - Whether the autoscaler sizes it. If not given, it stays as it is.
            type: bool
          min_nodes:
            description:
              - Fewest nodes, of an autoscaled pool.
            type: int
          max_nodes:
            description:
              - Most nodes, of an autoscaled pool.
            type: int
          tags:
            description:
              - Tags of its nodes.
            type: list
            elements: str
          labels:
            description:
              - Labels of its nodes; all of them. DigitalOcean does not take a removed one from nodes that exist.
            type: dict
          taints:
            description:
              - Taints of its nodes; all of them.
            type: list
            elements: dict
            suboptions:
              key:
                description:
                  - Key.
                type: str
                required: true
              value:
                description:
                  - Value.
                type: str
              effect:
                description:
                  - Effect.
                type: str
                choices:
                  - NoSchedule
                  - PreferNoSchedule
                  - NoExecute
                required: true
          state:
            description:
              - Whether it exists. A pool that goes is drained node by node.
            type: str
            choices:
              - present
              - absent
            default: present
          replace:
            description:
              - 'Whether to replace it when its size differs: it is renamed, its successor made and waited for,
                and then it is drained and deleted.'
            type: bool
            default: false
          keep_retired:
            description:
              - Whether the old pool stays under its new name, with C(-old) at its end, so that somebody else
                can drain it. The same declaration without this option removes it.
            type: bool
            default: false
      purge_node_pools:
        description:
          - Whether pools that are not listed are drained and removed.
        type: bool
        default: false
      delete_associated:
        description:
          - Whether load balancers and volumes that the cluster made go with it, for O(clusters[].state=absent).
        type: bool
        default: false
      state:
        description:
          - Whether it exists.
        type: str
        choices:
          - present
          - absent
        default: present
      replace:
        description:
          - Whether to replace it when it differs in what cannot be changed. Everything in the cluster is lost.
          - Without it, such a difference is an error that tells what differs.
        type: bool
        default: false
  kubeconfig_expiry:
    description:
      - Seconds that the token of a kubeconfig is valid. If given, each cluster of the result has a kubeconfig;
        set C(no_log) on the task then. It is new each time and no change.
    type: int
extends_documentation_fragment:
  - dcm.platform.attributes
  - dcm.platform.digitalocean
  - dcm.platform.digitalocean.owner
"""

EXAMPLES = r"""
- name: Two pools, one of them autoscaled
  dcm.platform.digitalocean_kubernetes:
    owner: production
    clusters:
      - name: production
        region: nyc3
        version: "1.34"
        maintenance_policy: {day: sunday, start_time: "04:00"}
        node_pools:
          - {name: system, size: s-2vcpu-4gb, count: 2}
          - {name: application, size: s-4vcpu-8gb, auto_scale: true, min_nodes: 3, max_nodes: 10}

- name: Larger nodes for a pool
  dcm.platform.digitalocean_kubernetes:
    clusters:
      - name: production
        node_pools:
          - {name: system, size: s-4vcpu-8gb, count: 2, replace: true}
"""

RETURN = r"""
clusters:
  description:
    - The clusters in the order of the option, as the API shows them, without secrets. In check mode, as they
      would be; what only the API knows, such as an id, is missing then.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description:
        - Its id.
      type: str
      sample: 6b2e3c0a-3a1f-4a5e-9a8e-2b7f1c0d9e11
    name:
      description:
        - Its name.
      type: str
      sample: production
    version:
      description:
        - Version that it runs.
      type: str
      sample: 1.34.1-do.2
    endpoint:
      description:
        - Address of its API.
      type: str
      sample: https://example.k8s.ondigitalocean.com
    kubeconfig:
      description:
        - A kubeconfig with a new token, with O(kubeconfig_expiry). It is secret.
      type: str
      sample: 'apiVersion: v1'
    kubeconfig_expires_at:
      description:
        - Until when that token is valid.
      type: str
      sample: '2026-01-01T00:00:00Z'
applied:
  description:
    - The changes that were made before the failure.
  returned: failure after the first write
  type: list
  elements: dict
  sample:
    - action: create
      kind: VPC
      name: production
failed_changes:
  description:
    - The changes that failed, each with its C(reason).
  returned: failure after the first write
  type: list
  elements: dict
not_tried:
  description:
    - The changes that were not tried any more.
  returned: failure after the first write
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.arguments import resource_arguments
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.client import connect
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.kubernetes import ClusterReconciler
from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import REQUESTS
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import reconcile

FIELDS = {
    "name": {"type": "str", "required": True},
    "region": {"type": "str"},
    "version": {"type": "str"},
    "vpc_uuid": {"type": "str"},
    "cluster_subnet": {"type": "str"},
    "service_subnet": {"type": "str"},
    "tags": {"type": "list", "elements": "str"},
    "maintenance_policy": {
        "type": "dict",
        "options": {
            "day": {
                "type": "str",
                "choices": ["any", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"],
            },
            "start_time": {"type": "str"},
        },
    },
    "auto_upgrade": {"type": "bool"},
    "surge_upgrade": {"type": "bool"},
    "ha": {"type": "bool"},
    "control_plane_firewall": {
        "type": "dict",
        "options": {"enabled": {"type": "bool"}, "allowed_addresses": {"type": "list", "elements": "str"}},
    },
    "cluster_autoscaler_configuration": {
        "type": "dict",
        "options": {
            "scale_down_utilization_threshold": {"type": "float"},
            "scale_down_unneeded_time": {"type": "str"},
            "expanders": {"type": "list", "elements": "str", "choices": ["random", "priority", "least_waste"]},
        },
    },
    "routing_agent": {"type": "dict", "options": {"enabled": {"type": "bool"}}},
    "registries": {"type": "list", "elements": "str"},
    "node_pools": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "size": {"type": "str"},
            "count": {"type": "int"},
            "auto_scale": {"type": "bool"},
            "min_nodes": {"type": "int"},
            "max_nodes": {"type": "int"},
            "tags": {"type": "list", "elements": "str"},
            "labels": {"type": "dict"},
            "taints": {
                "type": "list",
                "elements": "dict",
                "options": {
                    "key": {"type": "str", "required": True, "no_log": False},
                    "value": {"type": "str"},
                    "effect": {
                        "type": "str",
                        "choices": ["NoSchedule", "PreferNoSchedule", "NoExecute"],
                        "required": True,
                    },
                },
            },
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "replace": {"type": "bool", "default": False},
            "keep_retired": {"type": "bool", "default": False},
        },
    },
    "purge_node_pools": {"type": "bool", "default": False},
    "delete_associated": {"type": "bool", "default": False},
}
EXTRA = Arguments({"kubeconfig_expiry": {"type": "int"}})


def main() -> None:
    module = AnsibleModule(**(resource_arguments("clusters", FIELDS) | EXTRA).for_module(), supports_check_mode=True)
    reconcile(
        module,
        lambda: ClusterReconciler(connect(module.params), module.params, check_mode=module.check_mode),
        libraries=(REQUESTS,),
    )


if __name__ == "__main__":
    main()

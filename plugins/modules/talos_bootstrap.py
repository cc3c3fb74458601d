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
  - Starts etcd on the first of the O(control_planes), if it runs on none, and waits until all of them are members. The
    cluster starts Kubernetes by itself then.
  - All control planes are asked first. A second bootstrap would split the cluster, so nothing is done while one of
    them, on which etcd might have data, cannot be asked.
  - A cluster that lost its etcd begins again with the data of a snapshot, see O(recover_from).
  - The control planes must have their configurations, see M(dcm.platform.talos_machine).
extends_documentation_fragment:
  - dcm.platform.talos
  - dcm.platform.talos.control_planes
options:
  recover_from:
    description:
      - The snapshot to begin with, as M(dcm.platform.talos_etcd_snapshot) or C(talosctl etcd snapshot) took it. If etcd
        runs already, nothing is done.
      - It is checked against the checksum that was stored with it and against the hash at its end, sent to the first of
        the O(control_planes), and etcd begins there with that one member. The others join as they do in a new cluster.
      - While a control plane has data of etcd, nothing is done either, see O(recover_from.discard_data).
    type: dict
    suboptions:
      path:
        description:
          - A file. One of O(recover_from.path) and O(recover_from.s3) is needed.
        type: path
      s3:
        description: An object in a bucket.
        type: dict
        suboptions:
          bucket:
            description: The bucket.
            type: str
            required: true
          object:
            description: Name of the object.
            type: str
            required: true
          endpoint_url:
            description: Address of the object storage. If not set, that of Amazon's.
            type: str
          region:
            description: Region of the bucket.
            type: str
            default: us-east-1
          access_key:
            description: The access key. If not set, what boto3 finds in the environment.
            type: str
          secret_key:
            description: The secret key.
            type: str
      discard_data:
        description:
          - Whether data that is still there may be lost. The partition C(EPHEMERAL) of each control plane that has any
            is wiped first, with all that its pods kept there. Only if etcd does not run, or has no quorum, for as long
            as O(connect_timeout) says.
        type: bool
        default: false
      skip_hash_check:
        description:
          - Whether the snapshot is a copy of C(/var/lib/etcd/member/snap/db), which does not end with a hash.
        type: bool
        default: false
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
requirements:
  - boto3 >= 1.28, for O(recover_from.s3)
seealso:
  - module: dcm.platform.talos_etcd_snapshot
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

- name: Begin again with a snapshot, after the control planes' data was lost
  dcm.platform.talos_bootstrap:
    secrets: "{{ cluster.secrets }}"
    control_planes:
      cp-1: 192.168.10.11
      cp-2: 192.168.10.12
      cp-3: 192.168.10.13
    recover_from:
      s3:
        bucket: dcm-backups
        object: talos/etcd.snapshot
        endpoint_url: https://nyc3.digitaloceanspaces.com
        access_key: "{{ spaces_access_key }}"
        secret_key: "{{ spaces_secret_key }}"
"""

RETURN = r"""
bootstrapped_on:
  description: The control plane that was bootstrapped by this call, V(null) if that was done before.
  returned: success
  type: str
recovered_from:
  description: The snapshot that etcd began with in this call, V(null) if there was none.
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
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import reconcile
from ansible_collections.dcm.platform.plugins.module_utils.snapshot_store import PLACE, store_of
from ansible_collections.dcm.platform.plugins.module_utils.talos.arguments import (
    API_LIBRARIES,
    CONTROL_PLANES,
    CREDENTIALS,
)
from ansible_collections.dcm.platform.plugins.module_utils.talos.bootstrap import BootstrapReconciler, Recovery
from ansible_collections.dcm.platform.plugins.module_utils.talos.connection import Connector
from ansible_collections.dcm.platform.plugins.module_utils.talos.node import parse_control_planes

RECOVERY = {
    "type": "dict",
    "options": {
        **PLACE.spec,
        "discard_data": {"type": "bool", "default": False},
        "skip_hash_check": {"type": "bool", "default": False},
    },
    "mutually_exclusive": PLACE.mutually_exclusive,
    "required_one_of": PLACE.required_one_of,
}
ARGUMENTS = CREDENTIALS | CONTROL_PLANES | waiting(600) | Arguments({"recover_from": RECOVERY})


def reconciler(module: AnsibleModule) -> BootstrapReconciler:
    """For a module's options."""
    options = module.params
    nodes, connector = parse_control_planes(options["control_planes"]), Connector.from_options(options)
    source = options["recover_from"]
    recovery = Recovery(store_of(source), source["skip_hash_check"], source["discard_data"]) if source else None
    return BootstrapReconciler(nodes, connector, options["wait_timeout"], wait=options["wait"], recovery=recovery)


def main() -> None:
    module = AnsibleModule(**ARGUMENTS.for_module(), supports_check_mode=True)
    reconcile(module, lambda: reconciler(module), libraries=API_LIBRARIES)


if __name__ == "__main__":
    main()

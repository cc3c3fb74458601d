#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Take a snapshot of the etcd of a Talos cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: talos_etcd_snapshot
short_description: Take a snapshot of the etcd of a Talos cluster
version_added: "0.1.0"
author: The dcm.platform authors (@dcm-platform)
description:
  - Takes a snapshot of everything that Kubernetes keeps into a file or into a bucket, with a checksum. That is a change
    each time.
  - It comes from the first of the O(control_planes) whose etcd is healthy, so a backup does not depend on one node.
  - A snapshot that is not whole, by the hash at its own end, is not stored.
  - Kubernetes Secrets are in it as the API server wrote them. Talos has it encrypt them, with a key of the secrets
    bundle, so a snapshot is of use only together with that.
  - Begin again with a snapshot by M(dcm.platform.talos_bootstrap).
extends_documentation_fragment:
  - dcm.platform.talos
  - dcm.platform.talos.control_planes
  - dcm.platform.snapshot_store
attributes:
  check_mode:
    support: full
    description: Asks the control planes, and takes nothing.
  diff_mode:
    support: full
    description: Shows where the snapshot comes from and where it goes.
notes:
  - The role C(os:etcd:backup) is enough for the credentials.
seealso:
  - module: dcm.platform.talos_bootstrap
  - module: dcm.platform.talos_etcd_member
"""

EXAMPLES = r"""
- name: Back up etcd into a bucket
  dcm.platform.talos_etcd_snapshot:
    secrets: "{{ cluster.secrets }}"
    control_planes:
      cp-1: 192.168.10.11
      cp-2: 192.168.10.12
      cp-3: 192.168.10.13
    s3:
      bucket: dcm-backups
      object: talos/2026-11-21.snapshot
      endpoint_url: https://nyc3.digitaloceanspaces.com
      access_key: "{{ spaces_access_key }}"
      secret_key: "{{ spaces_secret_key }}"
"""

RETURN = r"""
snapshot:
  description: Where the snapshot is.
  returned: success
  type: str
  sample: s3://dcm-backups/talos/2026-11-21.snapshot
source:
  description: The control plane it comes from; in check mode, the one that would be asked.
  returned: success
  type: str
  sample: cp-1
sha256:
  description: The snapshot's checksum. Not known in check mode.
  returned: success
  type: str
size:
  description: The snapshot's size in bytes. Not known in check mode.
  returned: success
  type: int
  sample: 20971552
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import reconcile
from ansible_collections.dcm.platform.plugins.module_utils.snapshot_store import PLACE, store_of
from ansible_collections.dcm.platform.plugins.module_utils.talos.arguments import (
    API_LIBRARIES,
    CONTROL_PLANES,
    CREDENTIALS,
)
from ansible_collections.dcm.platform.plugins.module_utils.talos.connection import Connector
from ansible_collections.dcm.platform.plugins.module_utils.talos.etcd_snapshot import SnapshotReconciler
from ansible_collections.dcm.platform.plugins.module_utils.talos.node import parse_control_planes


def reconciler(module: AnsibleModule) -> SnapshotReconciler:
    """For a module's options."""
    options = module.params
    nodes = parse_control_planes(options["control_planes"])
    return SnapshotReconciler(nodes, Connector.from_options(options), store_of(options))


def main() -> None:
    arguments = CREDENTIALS | CONTROL_PLANES | PLACE
    module = AnsibleModule(**arguments.for_module(), supports_check_mode=True)
    reconcile(module, lambda: reconciler(module), libraries=API_LIBRARIES)


if __name__ == "__main__":
    main()

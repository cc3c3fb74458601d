#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Snapshots of OpenBao's or Vault's raft storage."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: vault_snapshot
short_description: Take and restore snapshots of the raft storage of OpenBao or Vault
version_added: "0.1.0"
description:
  - Takes a snapshot of everything a cluster holds into a file or into a bucket, with a checksum; or restores one.
  - A snapshot is encrypted with the cluster's own key. It is of use only to who has the unseal keys of its time.
author:
  - The dcm.platform authors (@dcm-platform)
options:
  state:
    description:
      - With V(present), a snapshot is taken, which is a change each time.
      - With V(restored), a snapshot replaces everything in the cluster.
    type: str
    choices: [present, restored]
    default: present
  confirm:
    description: For O(state=restored), the id of the cluster that is overwritten, or its address as in O(url).
    type: str
  force:
    description: For O(state=restored), whether a snapshot of a cluster with other unseal keys is taken, too.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: Checks the server and the confirmation, and does nothing.
  diff_mode:
    support: full
    description: Shows where the snapshot goes.
extends_documentation_fragment:
  - dcm.platform.vault
  - dcm.platform.snapshot_store
"""

EXAMPLES = r"""
- name: Back up into a bucket
  dcm.platform.vault_snapshot:
    url: https://vault.example.com:8200
    token: "{{ platform_token }}"
    s3:
      bucket: dcm-backups
      object: vault/2026-11-21.snap
      endpoint_url: https://nyc3.digitaloceanspaces.com
      access_key: "{{ spaces_access_key }}"
      secret_key: "{{ spaces_secret_key }}"

- name: Restore from a file
  dcm.platform.vault_snapshot:
    state: restored
    path: /var/backups/vault.snap
    confirm: "{{ vault_cluster_id }}"
"""

RETURN = r"""
snapshot:
  description: Where the snapshot is.
  returned: success
  type: str
  sample: s3://dcm-backups/vault/2026-11-21.snap
cluster_id:
  description: The cluster.
  returned: success
  type: str
  sample: 3baa86a0-d465-f9ab-86ca-0b2981cf38c4
sha256:
  description: The snapshot's checksum. Not known in check mode.
  returned: success
  type: str
size:
  description: The snapshot's size in bytes. Not known in check mode.
  returned: success
  type: int
  sample: 48213
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import HVAC
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import reconcile
from ansible_collections.dcm.platform.plugins.module_utils.snapshot_store import PLACE, store_of
from ansible_collections.dcm.platform.plugins.module_utils.vault.arguments import VAULT_ARGUMENTS
from ansible_collections.dcm.platform.plugins.module_utils.vault.client import connect
from ansible_collections.dcm.platform.plugins.module_utils.vault.snapshot import Snapshot

ARGUMENTS = PLACE | Arguments(
    {
        "state": {"type": "str", "choices": ["present", "restored"], "default": "present"},
        "confirm": {"type": "str"},
        "force": {"type": "bool", "default": False},
    },
    required_if=(("state", "restored", ("confirm",)),),
)


def make(options: dict[str, Any]) -> Snapshot:
    """The reconciler for the module's options, connected."""
    return Snapshot(connect(options), store_of(options), options)


def main() -> None:
    module = AnsibleModule(**(VAULT_ARGUMENTS | ARGUMENTS).for_module(), supports_check_mode=True)
    reconcile(module, lambda: make(module.params), libraries=(HVAC,))


if __name__ == "__main__":
    main()

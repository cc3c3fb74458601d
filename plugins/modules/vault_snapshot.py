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
  path:
    description:
      - A file. It is replaced as a whole, and readable for the user alone. Its SHA-256 is kept beside it in a file
        whose name has V(.sha256) appended.
    type: path
  s3:
    description: An object in a bucket, with its SHA-256 in its metadata.
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
requirements:
  - boto3 >= 1.28, for O(s3)
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
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import BOTO3, HVAC, require
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import reconcile
from ansible_collections.dcm.platform.plugins.module_utils.vault.arguments import VAULT_ARGUMENTS
from ansible_collections.dcm.platform.plugins.module_utils.vault.client import connect
from ansible_collections.dcm.platform.plugins.module_utils.vault.snapshot import BucketStore, FileStore, Snapshot

S3 = {
    "bucket": {"type": "str", "required": True},
    "object": {"type": "str", "required": True},
    "endpoint_url": {"type": "str"},
    "region": {"type": "str", "default": "us-east-1"},
    "access_key": {"type": "str", "no_log": False},  # names the key, and is no secret
    "secret_key": {"type": "str", "no_log": True},
}
ARGUMENTS = Arguments(
    {
        "state": {"type": "str", "choices": ["present", "restored"], "default": "present"},
        "path": {"type": "path"},
        "s3": {"type": "dict", "options": S3, "required_together": [["access_key", "secret_key"]]},
        "confirm": {"type": "str"},
        "force": {"type": "bool", "default": False},
    },
    mutually_exclusive=(("path", "s3"),),
    required_one_of=(("path", "s3"),),
    required_if=(("state", "restored", ("confirm",)),),
)


def make(options: dict[str, Any]) -> Snapshot:
    """The reconciler for the module's options, connected."""
    if options["s3"]:
        require(BOTO3)
    store = BucketStore(options["s3"]) if options["s3"] else FileStore(options["path"])
    return Snapshot(connect(options), store, options)


def main() -> None:
    module = AnsibleModule(**(VAULT_ARGUMENTS | ARGUMENTS).for_module(), supports_check_mode=True)
    reconcile(module, lambda: make(module.params), libraries=(HVAC,))


if __name__ == "__main__":
    main()

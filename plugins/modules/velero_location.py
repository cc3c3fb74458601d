#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where Velero keeps backups."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: velero_location
short_description: Keep Velero's storage locations as described, and wait until they are usable
version_added: "0.1.0"
author: The dcm.platform authors (@dcm-platform)
description:
  - Makes, changes and removes C(BackupStorageLocation) and C(VolumeSnapshotLocation) objects through the Kubernetes
    API. The C(velero) program is not needed, which can change few of their fields.
  - Locations are changed by merge patches of what differs. Only what was given is compared; O(locations[].config) and
    the references to Secrets are compared as a whole.
  - The storage locations are waited for until the server has found them C(Available), those that were changed by a look
    after the change.
  - A location that a disaster would take together with what it saves is refused before anything is written, see
    O(sources) and O(require_external).
extends_documentation_fragment:
  - dcm.platform.kubernetes
  - dcm.platform.velero
attributes:
  check_mode:
    description: >-
      Predicts the changes without making them, also where Velero's kinds are still to be installed. Nothing is waited
      for.
    support: full
  diff_mode:
    description: Shows what of each location changes.
    support: full
options:
  locations:
    description:
      - The storage locations. Those that are not in the list are not touched, but for O(locations[].default).
    type: list
    elements: dict
    default: []
    suboptions:
      name: &name
        description: Name of the location, a DNS subdomain of up to 253 characters.
        type: str
        required: true
      state: &state
        description:
          - Whether the location is there. What it holds stays in the store when it is removed.
        type: str
        choices: [present, absent]
        default: present
      provider: &provider
        description:
          - The plug-in of the server that reaches it; V(aws) for every S3. Needed for a new location.
        type: str
      bucket:
        description:
          - The bucket, which must exist. Needed for a new location.
        type: str
      prefix:
        description:
          - Folder in the bucket; an empty text is the bucket itself. Clusters that share a folder see each other's
            backups.
        type: str
      config: &config
        description:
          - Settings of the plug-in, such as C(region), C(s3Url), C(s3ForcePathStyle), C(checksumAlgorithm). Values
            become text. Settings that are not listed are removed.
        type: dict
      ca_cert:
        description:
          - The certificate authority of the store, as PEM text; an empty text takes it away. Not together with
            O(locations[].ca_cert_ref).
        type: str
      ca_cert_ref:
        description:
          - The Secret of the server's namespace that holds the certificate authority instead.
        type: dict
        suboptions: &reference
          name:
            description: Name of the Secret.
            type: str
            required: true
          key:
            description: The key in it.
            type: str
            required: true
      credential: &credential
        description:
          - The Secret of the server's namespace that holds the credentials, for S3 an AWS credentials file. Without
            it, the server's own credentials.
        type: dict
        suboptions: *reference
      access_mode:
        description: Whether backups can be made in it. Without it, the server takes it for V(ReadWrite).
        type: str
        choices: [ReadWrite, ReadOnly]
      default:
        description:
          - Whether backups that name no location go there. At most one; another location that was it gives it up first.
        type: bool
      backup_sync_period:
        description:
          - How often the server looks for backups of others in it, such as V(1m), which is also its default; V(0s) is
            never.
        type: str
      validation_frequency:
        description:
          - How often the server looks whether it is usable, such as V(1m), which is also its default; V(0s) is never,
            and then it is not waited for.
        type: str
      labels: &labels
        description: Labels of the object. Other labels are left alone.
        type: dict
        default: {}
  snapshot_locations:
    description:
      - The locations of volume snapshots. The server does not look at them, so they are not waited for.
    type: list
    elements: dict
    default: []
    suboptions:
      name: *name
      state: *state
      provider: *provider
      config: *config
      credential: *credential
      labels: *labels
  sources:
    description:
      - Where the data is that the backups save, as URLs of object stores, or of single buckets with the bucket as path
        or before the host name. A location in one of them is refused.
    type: list
    elements: str
    default: []
  require_external:
    description:
      - Whether to refuse a location that is a Service of the cluster (a host name that ends in C(.svc)).
    type: bool
    default: false
  revalidate:
    description:
      - Whether to wait for a new look of the server also at locations that did not change. Say yes when the content of
        their Secrets did.
    type: bool
    default: false
  wait:
    description:
      - Whether to wait until all of O(locations) are available.
    type: bool
    default: true
  wait_timeout:
    description:
      - Longest wait in seconds. The default is thrice the server's minute between two looks.
    type: int
    default: 180
"""

EXAMPLES = r"""
- name: Keep backups in two regions
  dcm.platform.velero_location:
    kubeconfig: "{{ dcm_kubeconfig }}"
    locations:
      - name: primary
        provider: aws
        bucket: dcm-production-backups
        config:
          region: nyc3
          s3Url: https://nyc3.digitaloceanspaces.com
          s3ForcePathStyle: true
          checksumAlgorithm: ""
        credential: {name: velero-location-primary, key: cloud}
        default: true
      - name: second
        provider: aws
        bucket: dcm-production-backups-second
        config:
          region: "{{ second_region }}"
          s3Url: "https://{{ second_region }}.digitaloceanspaces.com"
          s3ForcePathStyle: true
          checksumAlgorithm: ""
        credential: {name: velero-location-second, key: cloud}
    sources:
      - https://nyc3.digitaloceanspaces.com/dcm-production-data
    require_external: true
  vars:
    second_region: sfo3

- name: Let nobody write into the old one any more, and take snapshots of volumes
  dcm.platform.velero_location:
    kubeconfig: "{{ dcm_kubeconfig }}"
    locations:
      - name: old
        access_mode: ReadOnly
    snapshot_locations:
      - name: volumes
        provider: digitalocean.com/velero
"""

RETURN = r"""
locations:
  description: The storage locations of the list, in its order. In check mode, as they were.
  returned: success
  type: list
  elements: dict
  contains:
    name: &name
      description: Name of the location.
      type: str
      sample: primary
    state: &state
      description: Whether it is there.
      type: str
      sample: present
    changed: &changed
      description: Whether it was, or would be, changed.
      type: bool
      sample: false
    phase:
      description: What the server found.
      type: str
      sample: Available
    message:
      description: Why it is not available.
      type: str
      sample:
    last_validation:
      description: When the server last looked.
      type: str
      sample: "2026-11-21T12:00:01Z"
    default:
      description: Whether it is the default.
      type: bool
      sample: true
snapshot_locations:
  description: The locations of volume snapshots, likewise.
  returned: success
  type: list
  elements: dict
  contains:
    name: *name
    state: *state
    changed: *changed
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments, waiting
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import KUBERNETES
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import reconcile
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.client import connect
from ansible_collections.dcm.platform.plugins.module_utils.velero.arguments import VELERO_ARGUMENTS
from ansible_collections.dcm.platform.plugins.module_utils.velero.backup import Waiting
from ansible_collections.dcm.platform.plugins.module_utils.velero.client import VeleroClient
from ansible_collections.dcm.platform.plugins.module_utils.velero.locations import (
    Locations,
    wanted_location,
    wanted_snapshot_location,
)
from ansible_collections.dcm.platform.plugins.module_utils.velero.objects import PRESENT

REFERENCE = {
    "type": "dict",
    "options": {"name": {"type": "str", "required": True}, "key": {"type": "str", "required": True, "no_log": False}},
}
SNAPSHOT_LOCATION = {
    "name": {"type": "str", "required": True},
    "state": PRESENT,
    "provider": {"type": "str"},
    "config": {"type": "dict"},
    "credential": REFERENCE,
    "labels": {"type": "dict", "default": {}},
}
LOCATION = {
    **SNAPSHOT_LOCATION,
    "bucket": {"type": "str"},
    "prefix": {"type": "str"},
    "ca_cert": {"type": "str"},
    "ca_cert_ref": REFERENCE,
    "access_mode": {"type": "str", "choices": ["ReadWrite", "ReadOnly"]},
    "default": {"type": "bool"},
    "backup_sync_period": {"type": "str"},
    "validation_frequency": {"type": "str"},
}
ARGUMENTS = Arguments(
    {
        "locations": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": LOCATION,
            "mutually_exclusive": [["ca_cert", "ca_cert_ref"]],
        },
        "snapshot_locations": {"type": "list", "elements": "dict", "default": [], "options": SNAPSHOT_LOCATION},
        "sources": {"type": "list", "elements": "str", "default": []},
        "require_external": {"type": "bool", "default": False},
        "revalidate": {"type": "bool", "default": False},
    }
)


def make(module: AnsibleModule) -> Locations:
    """The reconciler for the module's options."""
    options = module.params
    return Locations(
        VeleroClient(connect(options), options["namespace"]),
        [
            *map(wanted_location, options["locations"]),
            *map(wanted_snapshot_location, options["snapshot_locations"]),
        ],
        Waiting(options["wait"], options["wait_timeout"]),
        sources=options["sources"],
        external=options["require_external"],
        revalidate=options["revalidate"],
        predicting=module.check_mode,
    )


def main() -> None:
    module = AnsibleModule(**(VELERO_ARGUMENTS | ARGUMENTS | waiting(180)).for_module(), supports_check_mode=True)
    reconcile(module, lambda: make(module), libraries=(KUBERNETES,))


if __name__ == "__main__":
    main()

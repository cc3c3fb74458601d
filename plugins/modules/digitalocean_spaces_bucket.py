#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Buckets of DigitalOcean Spaces."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: digitalocean_spaces_bucket
short_description: Manage buckets of DigitalOcean Spaces
version_added: "0.1.0"
author:
  - The dcm.platform authors (@dcm-platform)
description:
  - Makes, sets up and removes buckets of Spaces through their S3 API. Any other S3 store will do as well.
  - What is not given of a bucket is neither set nor compared.
options:
  buckets:
    description: The buckets. Others are not touched.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Its name.
        type: str
        required: true
      state:
        description: Whether it exists.
        type: str
        choices: [present, absent]
        default: present
      versioning:
        description: Whether old versions of objects are kept.
        type: bool
      acl:
        description: Who may read it.
        type: str
        choices: [private, public-read]
      lifecycle:
        description: When objects go; all rules. Spaces knows no rules for tags, and none that move objects.
        type: list
        elements: dict
        suboptions:
          id:
            description: Name of the rule.
            type: str
            required: true
          prefix:
            description: What the names of the objects begin with; all objects if not given.
            type: str
          enabled:
            description: Whether the rule works.
            type: bool
          expire_days:
            description: Days after which an object goes.
            type: int
          expire_noncurrent_days:
            description: Days after which an old version goes.
            type: int
          abort_multipart_days:
            description: Days after which an unfinished upload goes.
            type: int
      cors:
        description: Which web pages may use it; all rules.
        type: list
        elements: dict
        suboptions:
          allowed_origins:
            description: Origins of the pages.
            type: list
            elements: str
            required: true
          allowed_methods:
            description: HTTP methods.
            type: list
            elements: str
            required: true
          allowed_headers:
            description: Request headers.
            type: list
            elements: str
          max_age_seconds:
            description: Seconds that a browser remembers the answer.
            type: int
      policy:
        description: Its policy as a dictionary. An empty one removes it.
        type: dict
      delete_contents:
        description: Whether all objects, with all their versions, are deleted with it. Otherwise it must be empty.
        type: bool
        default: false
  owner:
    description: With it, only buckets whose names begin with C(<owner>-) are deleted.
    type: str
  region:
    description: Slug of the region of Spaces.
    type: str
    default: nyc3
  endpoint:
    description: Address of the S3 API. If not set, that of Spaces in the region.
    type: str
  signing_region:
    description: Region that requests are signed for. Spaces wants V(us-east-1) everywhere.
    type: str
    default: us-east-1
  access_key:
    description: The key's id. If not set, the environment variable E(SPACES_ACCESS_KEY_ID) is used.
    type: str
  secret_key:
    description: The key's secret. If not set, the environment variable E(SPACES_SECRET_ACCESS_KEY) is used.
    type: str
  ca_cert:
    description: Path of a PEM file with the certificate authorities to trust instead of the usual ones.
    type: path
  timeout:
    description: Seconds to wait for a connection, and for each answer.
    type: int
    default: 30
  retries:
    description: How often a request is repeated when the store is busy or away.
    type: int
    default: 5
  workers:
    description: How many buckets are read at a time.
    type: int
    default: 4
requirements:
  - boto3 >= 1.28
extends_documentation_fragment:
  - dcm.platform.attributes
"""

EXAMPLES = r"""
- name: Backups go after a month, their old versions after a week
  dcm.platform.digitalocean_spaces_bucket:
    buckets:
      - name: production-backups
        versioning: true
        acl: private
        lifecycle:
          - {id: retention, expire_days: 30, expire_noncurrent_days: 7, abort_multipart_days: 1}
"""

RETURN = r"""
buckets:
  description: The buckets in the order of the option. In check mode, as they would be.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
      sample: production-backups
    urn:
      description: Its URN, for a project.
      type: str
      sample: do:space:production-backups
    versioning:
      description: Whether old versions are kept.
      type: bool
      sample: true
applied:
  description: The changes that were made before the failure.
  returned: failure after the first write
  type: list
  elements: dict
failed_changes:
  description: The changes that failed, each with its C(reason).
  returned: failure after the first write
  type: list
  elements: dict
not_tried:
  description: The changes that were not tried any more.
  returned: failure after the first write
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule, env_fallback
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.bucket import BucketReconciler, connect
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import BOTO3
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import reconcile

LIFECYCLE = {
    "id": {"type": "str", "required": True},
    "prefix": {"type": "str"},
    "enabled": {"type": "bool"},
    "expire_days": {"type": "int"},
    "expire_noncurrent_days": {"type": "int"},
    "abort_multipart_days": {"type": "int"},
}
CORS = {
    "allowed_origins": {"type": "list", "elements": "str", "required": True},
    "allowed_methods": {"type": "list", "elements": "str", "required": True},
    "allowed_headers": {"type": "list", "elements": "str"},
    "max_age_seconds": {"type": "int"},
}
BUCKET = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "versioning": {"type": "bool"},
    "acl": {"type": "str", "choices": ["private", "public-read"]},
    "lifecycle": {"type": "list", "elements": "dict", "options": LIFECYCLE},
    "cors": {"type": "list", "elements": "dict", "options": CORS},
    "policy": {"type": "dict"},
    "delete_contents": {"type": "bool", "default": False},
}
ARGUMENTS = {
    "buckets": {"type": "list", "elements": "dict", "required": True, "options": BUCKET},
    "owner": {"type": "str"},
    "region": {"type": "str", "default": "nyc3"},
    "endpoint": {"type": "str"},
    "signing_region": {"type": "str", "default": "us-east-1"},
    "access_key": {"type": "str", "no_log": False, "fallback": (env_fallback, ["SPACES_ACCESS_KEY_ID"])},
    "secret_key": {"type": "str", "no_log": True, "fallback": (env_fallback, ["SPACES_SECRET_ACCESS_KEY"])},
    "ca_cert": {"type": "path"},
    "timeout": {"type": "int", "default": 30},
    "retries": {"type": "int", "default": 5},
    "workers": {"type": "int", "default": 4},
}


def make(module: AnsibleModule) -> BucketReconciler:
    """The reconciler for the module's options."""
    options = module.params
    return BucketReconciler(connect(options), options["buckets"], options["owner"], options["workers"])


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    reconcile(module, lambda: make(module), libraries=(BOTO3,))


if __name__ == "__main__":
    main()

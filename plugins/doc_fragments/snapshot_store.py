# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the options that say where a snapshot is kept."""

from __future__ import annotations


class ModuleDocFragment:
    """``dcm.platform.snapshot_store``: a file or a bucket."""

    DOCUMENTATION = r"""
options:
  path:
    description:
      - A file. It is replaced as a whole, and readable for the user alone. Its SHA-256 is kept beside it in a file
        whose name has V(.sha256) appended.
      - One of O(path) and O(s3) is needed.
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
requirements:
  - boto3 >= 1.28, for O(s3)
"""

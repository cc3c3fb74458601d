#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Verified archives of single guilds."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: pg_guild_archive
short_description: Archive the schema of one guild, and restore one guild alone
version_added: "0.1.0"
description:
  - Makes an archive of the schema of one guild with C(pg_dump), in its custom format, and verifies it. The archive is
    read again as it would be restored, and has to hold as many rows of every table as the schema has in the very
    snapshot that was archived.
  - Beside the archive lies its description in JSON, with its size, its SHA-256, the rows of every table, and the roles,
    limits and settings of the guild, which no archive of PostgreSQL holds. It is written last, when the archive is safe
    on disk.
  - Archives are never overwritten. Their names are made of the schema and the time. If the newest archive of the guild
    in the directory holds the same as the schema, nothing is done.
  - Restores an archive into the empty schema that M(dcm.platform.pg_guild_schema) made, in one transaction, and makes
    sure that the schema then holds what the archive does. No other guild is touched.
  - All this is done as the owner of the guild's schema, and nothing in it runs with more rights.
author:
  - The dcm.platform authors (@dcm-platform)
options:
  guild:
    description: The guild's id, a number from 1 to 18446744073709551615, as a string or an integer.
    type: raw
    required: true
  prefix:
    description: What the names of all guilds start with, as in M(dcm.platform.pg_guild_schema).
    type: str
    default: g_
  state:
    description:
      - With V(present), there is an archive of what the guild has now. For a guild that is gone, its newest archive is
        enough; without one it is an error.
      - With V(restored), the guild has what O(archive) holds. Refused if the schema is not empty and holds something
        else.
    type: str
    choices: [present, restored]
    default: present
  directory:
    description: Where archives are kept. It is made if it is not there, for the user alone.
    type: path
  archive:
    description: Path of the archive to restore. Its description has to lie beside it.
    type: path
  programs:
    description:
      - Directory of C(pg_dump) and C(pg_restore), which must not be older than the server. If not set, they are looked
        for in E(PATH).
    type: path
notes:
  - Large objects are no part of a schema and not in its archive.
  - Log in as for M(dcm.platform.pg_guild_migrate).
attributes:
  check_mode:
    support: partial
    description: Reads, predicts the changes, and makes none.
    details:
      - Nothing is dumped to be compared. A guild that exists counts as changed since its newest archive, and a schema
        that is not empty as different from the archive.
  diff_mode:
    support: full
    description: Shows the archive that is replaced as the newest, and the rows by table that are restored.
requirements:
  - pg_dump and pg_restore, of the server's version or newer
extends_documentation_fragment:
  - dcm.platform.postgresql
seealso:
  - module: dcm.platform.pg_guild_schema
"""

EXAMPLES = r"""
- name: Archive a guild
  dcm.platform.pg_guild_archive:
    login_host: postgres.example.com
    login_user: provisioner
    login_password: "{{ provisioner_password }}"
    login_db: dcm
    guild: "126491441817359442"
    directory: /var/backups/guilds
  register: kept

- name: Restore it into the empty schema that pg_guild_schema made
  dcm.platform.pg_guild_archive:
    login_db: dcm
    guild: "126491441817359442"
    state: restored
    archive: "{{ kept.archive.path }}"
"""

RETURN = r"""
guild:
  description: The guild's id.
  returned: success
  type: str
  sample: "126491441817359442"
schema:
  description: The name of its schema.
  returned: success
  type: str
  sample: g_126491441817359442
exists:
  description: Whether the guild has a schema.
  returned: success
  type: bool
  sample: true
others:
  description:
    - Checksum of what the catalogs say of all other guilds with the same prefix, their roles, schemas, objects and
      privileges, before the call. The same as long as nobody changes any of that.
  returned: success
  type: str
archive:
  description: The archive that was made, was there already, or was restored. Null in check mode if there is none yet.
  returned: success
  type: dict
  contains:
    path:
      description: Path of the file.
      type: str
      sample: /var/backups/guilds/g_126491441817359442-20261121T120000000000Z.dump
    file:
      description: Its name.
      type: str
    guild:
      description: The guild's id.
      type: str
    schema:
      description: The name of its schema.
      type: str
    taken_at:
      description: When it was made, in UTC.
      type: str
      sample: "2026-11-21T12:00:00Z"
    server_version:
      description: The version of the server.
      type: str
      sample: "16.14"
    size:
      description: Size in bytes.
      type: int
      sample: 48213
    sha256:
      description: Checksum of the file.
      type: str
    content:
      description: Checksum of the statements and rows in it, the same for two archives of the same state.
      type: str
    tables:
      description: Rows by table.
      type: dict
      sample: {note: 2, dcm_migrations: 1}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import PSYCOPG2
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import reconcile
from ansible_collections.dcm.platform.plugins.module_utils.guild import PREFIX, guild_names
from ansible_collections.dcm.platform.plugins.module_utils.postgres.archiving import ArchiveReconciler, Programs
from ansible_collections.dcm.platform.plugins.module_utils.postgres.arguments import POSTGRESQL_ARGUMENTS
from ansible_collections.dcm.platform.plugins.module_utils.postgres.client import Session

ARGUMENTS = Arguments(
    {
        "guild": {"type": "raw", "required": True},
        "prefix": {"type": "str", "default": PREFIX},
        "state": {"type": "str", "choices": ["present", "restored"], "default": "present"},
        "directory": {"type": "path"},
        "archive": {"type": "path"},
        "programs": {"type": "path"},
    },
    required_if=(("state", "present", ("directory",)), ("state", "restored", ("archive",))),
)


def make(module: AnsibleModule) -> ArchiveReconciler:
    """The reconciler for the module's options, connected."""
    options = {**module.params, "check_mode": module.check_mode}
    names = guild_names(options["guild"], options["prefix"])
    session = Session(options, "dcm.platform.pg_guild_archive")
    return ArchiveReconciler(session, Programs(options["programs"], options), names, options)


def main() -> None:
    module = AnsibleModule(**(POSTGRESQL_ARGUMENTS | ARGUMENTS).for_module(), supports_check_mode=True)
    reconcile(module, lambda: make(module), libraries=(PSYCOPG2,))


if __name__ == "__main__":
    main()

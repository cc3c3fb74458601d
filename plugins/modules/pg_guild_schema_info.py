#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""State and drift of many guilds' schemas."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: pg_guild_schema_info
short_description: Tell state, drift and size of guilds' schemas in a PostgreSQL database
version_added: "0.1.0"
description:
  - Reads what M(dcm.platform.pg_guild_schema) makes, and says of each guild whether it is there and where it differs
    from the model. Nothing is changed.
  - Lists schemas and roles that have the prefix of guilds and belong to none.
  - Takes a constant number of queries, in one transaction in which the server refuses any write.
author:
  - The dcm.platform authors (@dcm-platform)
options:
  guilds:
    description:
      - Ids of guilds, as strings or integers. Each may appear once.
      - If empty, all guilds are told of whose schema or roles there are.
    type: list
    elements: raw
    default: []
  prefix:
    description: What the names of all guilds start with.
    type: str
    default: g_
  sizes:
    description: Whether the size of each schema is measured, which takes a look at every table's files.
    type: bool
    default: true
attributes:
  check_mode:
    support: full
    description: Nothing is ever changed.
  diff_mode:
    support: none
    description: Nothing is ever changed.
extends_documentation_fragment:
  - dcm.platform.postgresql
seealso:
  - module: dcm.platform.pg_guild_schema
"""

EXAMPLES = r"""
- name: Look at all guilds
  dcm.platform.pg_guild_schema_info:
    login_db: dcm
  register: found

- name: Nothing may have drifted
  ansible.builtin.assert:
    that:
      - found.counts.drifted == 0
      - found.database.drift == []
      - found.unknown.roles == []

- name: Look at one guild
  dcm.platform.pg_guild_schema_info:
    login_db: dcm
    guilds: ["105844944714224099"]
    sizes: false
"""

RETURN = r"""
guilds:
  description: The guilds, in the order in which they were asked for, or by id.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: The guild's id.
      type: str
      sample: "105844944714224099"
    schema:
      description: The name of its schema.
      type: str
      sample: g_105844944714224099
    owner:
      description: The role that owns the schema.
      type: str
      sample: g_105844944714224099_owner
    app:
      description: The login that reads and writes.
      type: str
      sample: g_105844944714224099_app
    ro:
      description: The login that reads.
      type: str
      sample: g_105844944714224099_ro
    state:
      description:
        - C(present), C(suspended) (there, but no login may log in) or C(absent).
      type: str
      sample: present
    drift:
      description:
        - Where the guild differs from the model in that state, as dotted keys of what M(dcm.platform.pg_guild_schema)
          shows as diff. Empty if nowhere.
        - Limits of connections are as they are; passwords are not looked at.
      type: list
      elements: str
      sample: [roles.app.settings.work_mem, "objects.TABLE note"]
    connection_limits:
      description: How many sessions C(app) and C(ro) may have. Null where there is no such login.
      type: dict
      sample: {app: 10, ro: 3}
    size:
      description: Bytes of its tables on disk, indexes included.
      returned: if O(sizes)
      type: int
      sample: 81920
counts:
  description: How many C(guilds) there are, how many of them C(present), C(suspended), C(absent), and C(drifted).
  returned: success
  type: dict
  sample: {guilds: 200, present: 199, suspended: 1, absent: 0, drifted: 0}
unknown:
  description:
    - C(schemas) of the database and C(roles) of the server that start with the prefix and belong to none of C(guilds).
  returned: success
  type: dict
  sample: {schemas: [], roles: [g_1_admin]}
database:
  description:
    - C(name), C(drift) of what all guilds share, the C(level) of isolation (C(model) or C(hardened)), and what is
      C(open) that keeps it from being C(hardened).
  returned: success
  type: dict
  sample: {name: dcm, drift: [], level: model, open: [PUBLIC may use the language plpgsql]}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import PSYCOPG2
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import reconcile
from ansible_collections.dcm.platform.plugins.module_utils.guild import PREFIX, guild_ids, guild_names, guild_prefix
from ansible_collections.dcm.platform.plugins.module_utils.postgres.arguments import POSTGRESQL_ARGUMENTS
from ansible_collections.dcm.platform.plugins.module_utils.postgres.client import Session
from ansible_collections.dcm.platform.plugins.module_utils.postgres.info import GuildReader

ARGUMENTS = Arguments(
    {
        "guilds": {"type": "list", "elements": "raw", "default": []},
        "prefix": {"type": "str", "default": PREFIX},
        "sizes": {"type": "bool", "default": True},
    }
)


def make(module: AnsibleModule) -> GuildReader:
    """The reader for the module's options, connected."""
    options = module.params
    prefix = guild_prefix(options["prefix"])
    guilds = [guild_names(identifier, prefix) for identifier in guild_ids({"id": one} for one in options["guilds"])]
    session = Session(options, "dcm.platform.pg_guild_schema_info")
    return GuildReader(session, guilds, prefix, sizes=options["sizes"])


def main() -> None:
    module = AnsibleModule(**(POSTGRESQL_ARGUMENTS | ARGUMENTS).for_module(), supports_check_mode=True)
    reconcile(module, lambda: make(module), libraries=(PSYCOPG2,))


if __name__ == "__main__":
    main()

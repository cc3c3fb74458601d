#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Versioned migrations of the schemas of many guilds in one call."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: pg_guild_migrate
short_description: Apply versioned SQL migrations to the schemas of many guilds
version_added: "0.1.0"
description:
  - Applies the SQL files of a directory, in the order of their versions, to the schema of every guild of a list that
    M(dcm.platform.pg_guild_schema) made.
  - Each file runs as the owner of the guild's schema, with that schema in front of the C(search_path), so that the same
    file with plain names serves all guilds, and reaches no other guild and nothing of the administrator's.
  - All that a guild lacks is applied in one transaction, or nothing of it. A file cannot end the transaction; what
    PostgreSQL allows only outside of one (for example C(CREATE INDEX CONCURRENTLY)) is refused by it.
  - What was applied is kept in the table C(dcm_migrations) of each schema, which the guild's logins may read and not
    write. A call that was broken off goes on where it was when it is run again.
  - A guild that fails does not stop the others, until more than O(failure_budget) have failed. The rest is then not
    tried, and reported so.
  - Refused for all guilds, before anything is done, if a file was edited or removed after it was applied to any of
    them, if a new one is older than one that was applied, or if a guild has no schema.
  - Several calls at a time do no harm.
author:
  - The dcm.platform authors (@dcm-platform)
options:
  guilds:
    description:
      - Ids of the guilds, numbers from 1 to 18446744073709551615, as strings or integers. Each may appear once.
    type: list
    elements: raw
    required: true
  prefix:
    description:
      - What the names of all guilds start with, as in M(dcm.platform.pg_guild_schema).
    type: str
    default: g_
  directory:
    description:
      - Directory of the migrations. A file is named by its version, an underscore, what it does, and C(.sql), for
        example C(0007_add_notes.sql). Versions are compared as numbers. Other files than C(.sql) are ignored.
    type: path
    required: true
  seeds:
    description:
      - Directory of seeds, which are data for tests, named like migrations. Each is applied once, after the migrations.
      - Refused where O(environment=production).
    type: path
  environment:
    description:
      - What the database is for. Must be given with O(seeds).
    type: str
    choices: [development, staging, production]
  workers:
    description:
      - How many guilds are worked on at a time, each on a connection of its own.
    type: int
    default: 4
  failure_budget:
    description:
      - How many guilds may fail before no other one is begun. With V(0) the first failure stops the run.
    type: int
    default: 5
  lock_timeout:
    description:
      - Seconds to wait for each lock, on a table that the guild is using for example. Then the guild fails, instead of
        keeping everybody else waiting behind the migration.
    type: int
    default: 10
notes:
  - Log in as C(guild_migrator), who may become the owner of every guild and nothing else. A superuser may, too. An
    administrator with C(CREATEROLE) who made C(guild_migrator), as on managed servers, is made a member of it for the
    time of the call.
  - With the server's C(log_statement=ddl), the statements of a migration are not logged one by one, since they run
    inside of one. C(pgaudit) logs them.
extends_documentation_fragment:
  - dcm.platform.postgresql
  - dcm.platform.attributes
seealso:
  - module: dcm.platform.pg_guild_schema
"""

EXAMPLES = r"""
- name: Bring all guilds to the version of this release
  dcm.platform.pg_guild_migrate:
    login_host: postgres.example.com
    login_user: guild_migrator
    login_password: "{{ migrator_password }}"
    login_db: dcm
    ssl_mode: verify-full
    guilds: "{{ dcm_guilds | map(attribute='id') }}"
    directory: "{{ playbook_dir }}/migrations"

- name: The same for a test environment, with data to test with
  dcm.platform.pg_guild_migrate:
    login_db: dcm
    guilds: ["105844944714224099"]
    directory: "{{ playbook_dir }}/migrations"
    seeds: "{{ playbook_dir }}/seeds"
    environment: staging
"""

RETURN = r"""
guilds:
  description: The guilds, those first that lacked something, at most 100 of them.
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
    version:
      description: The last migration after the call; null if there is none.
      type: str
      sample: 0007_add_notes.sql
    applied:
      description: The files that were applied, or would be.
      type: list
      elements: str
      sample: [0006_add_tags.sql, 0007_add_notes.sql]
    changed:
      description: Whether anything was applied.
      type: bool
      sample: true
counts:
  description:
    - How many C(guilds) were asked for, how many of them were C(migrated) and C(unchanged), and how many files of
      C(migrations) and C(seeds) there are.
  returned: success
  type: dict
  sample: {guilds: 200, migrated: 199, unchanged: 1, migrations: 7, seeds: 0}
applied:
  description: The guilds that were migrated before or in spite of the failure.
  returned: failure after the first write
  type: list
  elements: dict
  sample: [{action: run, kind: migrations of guild, name: "105844944714224099"}]
failed_changes:
  description: The guilds that failed, each with its C(reason). Nothing was changed for them.
  returned: failure after the first write
  type: list
  elements: dict
not_tried:
  description: The guilds that were not tried any more.
  returned: failure after the first write
  type: list
  elements: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import PSYCOPG2
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import reconcile
from ansible_collections.dcm.platform.plugins.module_utils.guild import PREFIX, guild_ids, guild_names
from ansible_collections.dcm.platform.plugins.module_utils.postgres.arguments import POSTGRESQL_ARGUMENTS
from ansible_collections.dcm.platform.plugins.module_utils.postgres.client import Session
from ansible_collections.dcm.platform.plugins.module_utils.postgres.migrate import MigrationReconciler, Wanted
from ansible_collections.dcm.platform.plugins.module_utils.postgres.migrations import read_migrations

ARGUMENTS = Arguments(
    {
        "guilds": {"type": "list", "elements": "raw", "required": True},
        "prefix": {"type": "str", "default": PREFIX},
        "directory": {"type": "path", "required": True},
        "seeds": {"type": "path"},
        "environment": {"type": "str", "choices": ["development", "staging", "production"]},
        "workers": {"type": "int", "default": 4},
        "failure_budget": {"type": "int", "default": 5},
        "lock_timeout": {"type": "int", "default": 10},
    },
    required_by={"seeds": ("environment",)},
)


def wanted(options: dict[str, Any]) -> Wanted:
    """What the options ask for. Raises :class:`InputError`."""
    for name, least in (("workers", 1), ("failure_budget", 0), ("lock_timeout", 1)):
        if options[name] < least:
            raise InputError(f"{name} is {options[name]}; it is at least {least}.")
    if options["seeds"] and options["environment"] == "production":
        raise InputError(
            "Seeds are data for tests and never go into a production database.",
            hint="Leave seeds out, or connect to another database.",
        )
    files = read_migrations("migration", options["directory"])
    seeds = read_migrations("seed", options["seeds"]) if options["seeds"] else []
    guilds = [guild_names(one, options["prefix"]) for one in guild_ids({"id": value} for value in options["guilds"])]
    return Wanted(guilds, files + seeds, options["workers"], options["failure_budget"], options["lock_timeout"])


def make(options: dict[str, Any]) -> MigrationReconciler:
    """The reconciler for the module's options, connected."""
    asked = wanted(options)

    def connect() -> Session:
        return Session(options, "dcm.platform.pg_guild_migrate")

    return MigrationReconciler(connect(), connect, asked)


def main() -> None:
    module = AnsibleModule(**(POSTGRESQL_ARGUMENTS | ARGUMENTS).for_module(), supports_check_mode=True)
    reconcile(module, lambda: make(module.params), libraries=(PSYCOPG2,))


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Isolated schemas for many guilds in one call."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: pg_guild_schema
short_description: Give many guilds an isolated schema each in a PostgreSQL database, in one call
version_added: "0.1.0"
description:
  - Makes a schema, three roles, their grants, default privileges, settings and limits for every guild of a list, and
    keeps them so. Names are derived from the guild's id.
  - For the guild V(1) and the default prefix, the schema is C(g_1). It belongs to C(g_1_owner), which nobody logs in
    as. C(g_1_app) may read and write rows of what the owner creates, C(g_1_ro) may read them, and nobody else may
    anything.
  - Once for the database, makes the role C(guild_connect), which holds the right to connect for all logins; the role
    C(guild_owners), which holds what all owners may use; the login C(guild_migrator), which may become every owner, to
    run migrations; and the schema C(extensions), which all of them may use. C(PUBLIC) loses all rights on the database
    and on the schema C(public).
  - What was changed by hand, or by the guild itself where PostgreSQL lets it, is put back. That includes attributes,
    limits, expiry, settings and memberships of the roles, the owner and the privileges of the schema, default
    privileges, and the owner and the privileges of every table, view, sequence, routine and type in it.
  - The whole state is read in seven queries, and in one more if objects in schemas differ. Guilds are written in
    batches, each in a transaction of its own, several of them at a time, under a lock and on top of what is read again
    under it, so that several runs at a time do no harm. A batch that fails is rolled back as a whole and the others are
    made; a later run does the rest.
  - After each batch the catalogs are read again. A GRANT or REVOKE without the right to it is no error for PostgreSQL;
    here it is one.
  - Works for a superuser and for the owner of the database with C(CREATEROLE), as on managed servers. From PostgreSQL
    16 on, such an owner has the roles made by roles of its own that are called C(guild_creator_) and a number and that
    nobody logs in as, about 50 guilds each, because PostgreSQL gets slower with the number of roles that one role has
    made. The module becomes them for as long as it needs.
author:
  - The dcm.platform authors (@dcm-platform)
options:
  guilds:
    description:
      - The guilds. Each id may appear once.
      - Guilds that are not in the list are not touched.
    type: list
    elements: dict
    required: true
    suboptions:
      id:
        description:
          - The guild's id, a number from 1 to 18446744073709551615, as a string or an integer.
        type: raw
        required: true
      state:
        description:
          - With V(present), the guild has its schema, and its logins can use it.
          - With V(suspended), it has its schema, but its logins cannot log in, may not use the schema, and have their
            sessions ended.
          - With V(absent), it is suspended first, then its schema is dropped B(with all its data), and its roles with
            all they own and may do in this database. Refused if anything outside the schema depends on what is in it.
            Very many tables are dropped in several transactions.
        type: str
        choices: [present, suspended, absent]
        default: present
      connection_limit_app:
        description: How many sessions C(_app) may have at a time. V(-1) is without limit.
        type: int
        default: 10
      connection_limit_ro:
        description: How many sessions C(_ro) may have at a time. V(-1) is without limit.
        type: int
        default: 3
      confirm:
        description: The guild's id once more, without which O(guilds[].state=absent) is refused.
        type: raw
  prefix:
    description:
      - What the names of all guilds start with. 1 to 21 of the characters a-z, 0-9 and C(_), starting with a letter,
        not ending in a digit, not C(pg_).
      - Roles belong to the whole server. Two databases of one server need different prefixes; a guild whose roles have
        rights in another database is refused.
    type: str
    default: g_
  passwords:
    description:
      - The passwords of the logins, a dictionary of guild id to a dictionary of C(app) and C(ro). Either may be missing
        or null. A login without a password cannot log in by password.
      - Only guilds of O(guilds) may be in it.
      - What PostgreSQL gets is a verifier (SCRAM-SHA-256) made here, in a way that keeps it out of the server's log.
      - Pass it as one string, with the filter P(ansible.builtin.to_json#filter). From a dictionary Ansible searches its
        whole output for every single password, which takes long for a thousand of them.
    type: json
  update_password:
    description:
      - With V(on_create), a password is set when its login is created, or has none as far as that can be seen.
      - With V(always), existing passwords are compared with those given and set if they differ. A superuser reads the
        verifiers. Without one, a login is tried with every password, in check mode, too. Where the server's
        C(pg_hba.conf) asks for none, all are taken for right; where it lets nobody in from here, there is a warning.
    type: str
    choices: [on_create, always]
    default: on_create
  settings:
    description:
      - Server parameters that are set for everybody who connects to this database, for example C(statement_timeout).
      - Values are compared as text. With null, a parameter is reset.
      - A guild can override most of them for its own sessions. They are defaults, not limits.
      - For C(guild_migrator), those whose names end in C(_timeout) are 0, which is without limit.
      - Parameters that are not listed are left alone.
    type: dict
    default: {}
  level:
    description:
      - With V(model), guilds cannot read, write, lock or alter what is another guild's.
      - With V(hardened), they also lose what all of a server can be disturbed by and only a superuser can take away -
        advisory locks, large objects, messages in the log of changes, the language C(plpgsql) but for migrations,
        routines of extensions, and connections to the databases C(postgres) and C(template1). Those rights go to the
        owner of the database and, but for the last two, to C(guild_migrator).
      - Without a superuser V(hardened) changes nothing, and with other databases that C(PUBLIC) may connect to it is
        not reached. There is a warning then, and RV(level) says what the server really has.
      - A database that is hardened is not opened by V(model).
    type: str
    choices: [model, hardened]
    default: model
  extension_routines:
    description:
      - Names of functions in the schema C(extensions) that guilds may call at the level V(hardened).
    type: list
    elements: str
    default: []
  batch_size:
    description:
      - How many guilds are written in one transaction. Each takes about 6 locks.
    type: int
    default: 50
  connections:
    description:
      - How many transactions are written at a time, each on a connection of its own, from 1 to 4. If the server grants
        fewer, there are fewer.
    type: int
    default: 4
notes:
  - No pooler in transaction mode may be between this module and the server.
  - Guilds can see each other's names in the system catalogs, and can disturb each other through shared resources.
    PostgreSQL offers no way to hide or prevent that.
attributes:
  check_mode:
    support: full
    description: Reads in a transaction in which the server refuses any write.
  diff_mode:
    support: full
    description: Shows the state before and after of the guilds that differ. Of passwords, that one changes.
extends_documentation_fragment:
  - dcm.platform.postgresql
seealso:
  - module: dcm.platform.pg_guild_schema_info
  - module: dcm.platform.pg_guild_archive
  - plugin: dcm.platform.guild_schema_name
    plugin_type: filter
  - module: dcm.platform.vault_secret
"""

EXAMPLES = r"""
- name: Give three guilds their schemas, one of them with higher limits
  dcm.platform.pg_guild_schema:
    login_host: postgres.example.com
    login_user: provisioner
    login_password: "{{ provisioner_password }}"
    login_db: dcm
    ssl_mode: verify-full
    guilds:
      - id: "105844944714224099"
        connection_limit_app: 30
        connection_limit_ro: 6
      - id: "126491441817359442"
      - id: "286136111355821548"
    passwords: "{{ guild_passwords | ansible.builtin.to_json }}"
    settings:
      statement_timeout: 30s
      idle_in_transaction_session_timeout: 60s

- name: Keep a guild out, with all its data
  dcm.platform.pg_guild_schema:
    login_db: dcm
    guilds:
      - id: "126491441817359442"
        state: suspended

- name: Remove a guild with all its data, of which pg_guild_archive made an archive before
  dcm.platform.pg_guild_schema:
    login_db: dcm
    guilds:
      - id: "126491441817359442"
        state: absent
        confirm: "126491441817359442"
"""

RETURN = r"""
guilds:
  description: The guilds, those that changed first, at most 100 of them.
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
      description: The state that was asked for.
      type: str
      sample: present
    changed:
      description: Whether anything of this guild was changed.
      type: bool
      sample: true
counts:
  description: How many C(guilds) were asked for, and how many were C(created), C(updated), C(removed) and C(unchanged).
  returned: success
  type: dict
  sample: {guilds: 200, created: 200, updated: 0, removed: 0, unchanged: 0}
database:
  description: The C(name) of the database, and whether anything was C(changed) that all guilds share.
  returned: success
  type: dict
  sample: {name: dcm, changed: true}
level:
  description:
    - The level that was C(asked) for, the one the server has been C(given), in check mode would have been, and what is
      C(open) that keeps it from being hardened, at most 100 of it.
  returned: success
  type: dict
  sample: {asked: hardened, given: model, open: [PUBLIC may connect to database shop]}
batches:
  description: How many transactions the changes of guilds took, or would take.
  returned: success
  type: int
  sample: 4
applied:
  description: The changes that were made before or in spite of the failure.
  returned: failure after the first write
  type: list
  elements: dict
  sample: [{action: create, kind: guild, name: "105844944714224099"}]
failed_changes:
  description: The changes that were rolled back, each with its C(reason).
  returned: failure after the first write
  type: list
  elements: dict
not_tried:
  description: The changes that were not tried any more.
  returned: failure after the first write
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import PSYCOPG2
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import reconcile
from ansible_collections.dcm.platform.plugins.module_utils.guild import PREFIX
from ansible_collections.dcm.platform.plugins.module_utils.postgres.arguments import POSTGRESQL_ARGUMENTS
from ansible_collections.dcm.platform.plugins.module_utils.postgres.client import Session
from ansible_collections.dcm.platform.plugins.module_utils.postgres.guilds import GuildReconciler, Pace
from ansible_collections.dcm.platform.plugins.module_utils.postgres.options import desired

GUILD = {
    "id": {"type": "raw", "required": True},
    "state": {"type": "str", "choices": ["present", "suspended", "absent"], "default": "present"},
    "connection_limit_app": {"type": "int", "default": 10},
    "connection_limit_ro": {"type": "int", "default": 3},
    "confirm": {"type": "raw"},
}
ARGUMENTS = Arguments(
    {
        "guilds": {"type": "list", "elements": "dict", "required": True, "options": GUILD},
        "prefix": {"type": "str", "default": PREFIX},
        "passwords": {"type": "json", "no_log": True},
        "update_password": {
            "type": "str",
            "choices": ["on_create", "always"],
            "default": "on_create",
            "no_log": False,
        },
        "settings": {"type": "dict", "default": {}},
        "level": {"type": "str", "choices": ["model", "hardened"], "default": "model"},
        "extension_routines": {"type": "list", "elements": "str", "default": []},
        "batch_size": {"type": "int", "default": 50},
        "connections": {"type": "int", "default": 4},
    }
)


def make(module: AnsibleModule) -> GuildReconciler:
    """The reconciler for the module's options, connected."""
    options = module.params
    wanted = desired(options)
    pace = Pace(options["batch_size"], options["connections"])
    return GuildReconciler(lambda: Session(options, "dcm.platform.pg_guild_schema"), wanted, pace, module.warn)


def main() -> None:
    module = AnsibleModule(**(POSTGRESQL_ARGUMENTS | ARGUMENTS).for_module(), supports_check_mode=True)
    reconcile(module, lambda: make(module), libraries=(PSYCOPG2,))


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Proof by attack that guilds are isolated from each other."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: guild_isolation_check
short_description: Prove by attack that guilds are isolated from each other
version_added: "0.1.0"
description:
  - Logs in as one guild and tries what a guild must not be able to do to another one, about a hundred attacks a pair of
    guilds and store. Returns a table of attack, expected and actual outcome, and fails if any outcome is a surprise.
  - Some attacks are expected to succeed, since PostgreSQL has no way to prevent them, and some are a guild's ordinary
    work. A surprise is therefore also an attack that fails where it should not.
  - Attacks are tried and not derived from catalogs, and what counts is their effect. In PostgreSQL, every table,
    sequence and function of the other guild is looked at besides for rights that were granted by any way.
  - Leaves nothing behind, not even where an attack succeeds. In PostgreSQL each one is rolled back. What cannot be
    taken back is aimed at what the server refuses after it has looked at the rights.
  - Which stores are checked follows from which of O(postgresql), O(redis) and O(vault) are given.
author:
  - The dcm.platform authors (@dcm-platform)
options:
  guilds:
    description:
      - Ids of the guilds, numbers from 1 to 18446744073709551615, as strings or integers. At least two.
    type: list
    elements: raw
    required: true
  prefix:
    description: What the names of all guilds start with, as in M(dcm.platform.pg_guild_schema).
    type: str
    default: g_
  credentials:
    description:
      - The credentials of guilds, a dictionary of guild id to a dictionary of store to the store's secret as the role
        C(guilds) keeps it. That of C(postgresql) is a dictionary of C(app_password) and C(ro_password), that of
        C(redis) of C(password).
      - Needed of every guild, except for O(vault).
      - Pass it as one string, with the filter P(ansible.builtin.to_json#filter).
    type: json
  postgresql:
    description: The database of the guilds.
    type: dict
    suboptions:
      login_host:
        description:
          - Name or address of the server.
          - If not set, the environment variable E(PGHOST) is used.
        type: str
        default: localhost
      login_port:
        description:
          - Port of the server.
          - If not set, the environment variable E(PGPORT) is used.
        type: int
        default: 5432
      login_db:
        description:
          - The database.
          - Must be given, here or in the environment variable E(PGDATABASE).
        type: str
        required: true
      ssl_mode:
        description:
          - Encryption of the connection, as in libpq.
          - If not set, the environment variable E(PGSSLMODE) is used.
        type: str
        choices: [disable, allow, prefer, require, verify-ca, verify-full]
        default: prefer
      ca_cert:
        description:
          - Path of a PEM file with the certificate authorities to trust.
          - If not set, the environment variable E(PGSSLROOTCERT) is used.
        type: path
      connect_timeout:
        description:
          - Seconds to wait for a connection.
          - If not set, the environment variable E(PGCONNECT_TIMEOUT) is used.
        type: int
        default: 10
  redis:
    description: The Redis server or cluster of the guilds.
    type: dict
    suboptions:
      login_host:
        description:
          - Name or address of the server, or of any node of the cluster.
          - If not set, the environment variable E(REDIS_HOST) is used.
        type: str
        default: localhost
      login_port:
        description:
          - Port of the server.
          - If not set, the environment variable E(REDIS_PORT) is used.
        type: int
        default: 6379
      tls:
        description: Whether the connection is encrypted.
        type: bool
        default: true
      validate_certs:
        description: Whether the server's certificate is checked.
        type: bool
        default: true
      ca_certs:
        description: Path of a PEM file with the certificate authorities to trust, instead of the system's.
        type: path
      timeout:
        description: Seconds to wait for a connection, and for the answer to a command.
        type: int
        default: 30
  vault:
    description:
      - The OpenBao or Vault server with the guilds' secrets. The attacks are made with tokens that live for the time of
        a pair and have the policy of one guild, as the role C(vault) makes it with C(vault_guild_policies).
    type: dict
    suboptions:
      url:
        description:
          - Address of the server.
          - If not set, the environment variable E(VAULT_ADDR) is used.
        type: str
      token:
        description:
          - A token that may make tokens with the guilds' policies, and revoke them.
          - If not set, the environment variable E(VAULT_TOKEN) is used.
        type: str
      namespace:
        description:
          - The namespace; the root namespace if not set.
          - If not set, the environment variable E(VAULT_NAMESPACE) is used.
        type: str
      ca_cert:
        description:
          - Path of a PEM file with the certificate authorities to trust.
          - If not set, the environment variable E(VAULT_CACERT) is used.
        type: path
      validate_certs:
        description:
          - Whether the server's certificate must be valid.
          - If not set, it must, unless the environment variable E(VAULT_SKIP_VERIFY) is true.
        type: bool
      mount:
        description: Where the key-value engine, version 2, is mounted.
        type: str
        default: secret
      path:
        description: Path below the mount. The secrets of a guild are at C(path/id/).
        type: str
        default: dcm/guilds
      secret:
        description: The name of a secret that every guild has there.
        type: str
        default: postgresql
      policy_prefix:
        description: What the names of the guilds' policies start with, before the id.
        type: str
        default: guild-
  level:
    description:
      - What is expected of PostgreSQL. V(model) is what M(dcm.platform.pg_guild_schema) makes by itself, V(hardened)
        where a superuser has revoked what only a superuser can.
    type: str
    choices: [model, hardened]
    default: model
  pairs:
    description:
      - How many ordered pairs of guilds are tried. V(0) is all of them, which is the square of the number of guilds.
      - As long as there are no more pairs than guilds, each guild attacks once and is attacked once.
    type: int
    default: 20
  seed:
    description:
      - Decides which pairs are tried. The same number gives the same pairs. If not set, each call tries others.
    type: int
  workers:
    description:
      - How many pairs are tried at a time. Each takes up to four connections to PostgreSQL, one or two of each guild.
    type: int
    default: 2
notes:
  - The attacks need something to be aimed at. In PostgreSQL that is a table, a sequence, a function and a type in the
    guilds' schemas; what there is none of is reported as not tested.
  - A login of PostgreSQL without a limit of sessions is a surprise.
  - The attacks on PostgreSQL stand in the server's log as errors of the guilds' logins.
requirements:
  - psycopg2 >= 2.9 (pip package psycopg2-binary), for O(postgresql)
  - redis >= 5.0, for O(redis)
  - hvac >= 2.0.0, for O(vault)
extends_documentation_fragment:
  - dcm.platform.attributes.reader
seealso:
  - module: dcm.platform.pg_guild_schema
  - module: dcm.platform.redis_guild
"""

EXAMPLES = r"""
- name: Each guild attacks one other guild
  dcm.platform.guild_isolation_check:
    guilds: "{{ dcm_guilds | map(attribute='id') }}"
    credentials: "{{ guild_credentials | ansible.builtin.to_json }}"
    pairs: "{{ dcm_guilds | length }}"
    postgresql:
      login_host: postgres.example.com
      login_db: dcm
      ssl_mode: verify-full
    vault:
      url: https://vault.example.com:8200
      token: "{{ platform_token }}"
"""

RETURN = r"""
attacks:
  description: The table, one row an attack.
  returned: success, and failure by a surprise
  type: list
  elements: dict
  contains:
    store:
      description: Where, V(postgresql), V(redis) or V(vault).
      type: str
      sample: postgresql
    row:
      description: The group of attacks it belongs to.
      type: str
      sample: A1
    attack:
      description: What was tried; names in braces stand for those of the two guilds.
      type: str
      sample: SELECT * FROM {other_table}
    login:
      description: With which of the guild's logins.
      type: str
      sample: app
    expected:
      description: V(deny), V(allow), or V(either).
      type: str
      sample: deny
    got:
      description:
        - V(deny), V(allow), V(error) for what failed for another reason, V(not tested), or several of them.
      type: str
      sample: deny
    outcomes:
      description: How many pairs had which outcome.
      type: dict
      sample: {deny: 20}
surprises:
  description: Every unexpected outcome, at most 100 of them, with who attacked whom and what was gained.
  returned: success, and failure by a surprise
  type: list
  elements: dict
  sample: []
counts:
  description: How many C(pairs) there were, C(attacks) in all, C(surprises), and attacks that were C(not_tested).
  returned: success, and failure by a surprise
  type: dict
  sample: {pairs: 20, attacks: 2360, surprises: 0, not_tested: 0}
seed:
  description: The number that gives the same pairs again.
  returned: success, and failure by a surprise
  type: int
  sample: 1861
"""


from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import boundary
from ansible_collections.dcm.platform.plugins.module_utils.engine.redaction import Redactor
from ansible_collections.dcm.platform.plugins.module_utils.isolation.arguments import ARGUMENTS
from ansible_collections.dcm.platform.plugins.module_utils.isolation.run import check_isolation, complaint


def main() -> None:
    module = AnsibleModule(**ARGUMENTS.for_module(), supports_check_mode=True)
    redactor = Redactor(module.no_log_values)
    with boundary(module, redactor):
        output = check_isolation(module.params)
        if output["surprises"]:
            module.fail_json(**redactor.tree({"msg": complaint(output), **output}))
        module.exit_json(changed=False, **output)


if __name__ == "__main__":
    main()

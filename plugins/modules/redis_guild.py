#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Isolated users for many guilds in Redis in one call."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: redis_guild
short_description: Give many guilds an isolated user each in Redis, on one server or all nodes of a cluster
version_added: "0.1.0"
description:
  - Makes a user for every guild of a list and keeps it so, on the server or on B(every) node of the cluster, since
    nodes do not tell each other about users. Names are derived from the guild's id.
  - For the guild V(1) and the default prefix, the user is C(g_1). It may do the ordinary work of applications on keys
    and channels that begin with C({g_1}:), and nothing else. The braces are the hash tag of a cluster, so that all keys
    of a guild lie in one slot and commands on several of them work.
  - The user gets no command that shows the names of others' keys or channels (C(KEYS), C(SCAN), C(RANDOMKEY),
    C(PUBSUB), C(MONITOR)), none that acts on the server (C(CONFIG), C(ACL), C(DEBUG), C(FLUSHALL) and what else is
    C(admin) or C(dangerous)), no scripts, and no other database.
  - What was changed by hand is put back.
  - All users are read with one command and written with one batch a node for every thousand of them. Each user is
    replaced as a whole in one step, so that several runs at a time do no harm and nobody sees half a user.
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
          - With V(present), the guild has its user.
          - With V(suspended), the user cannot log in, may do nothing, and has its sessions ended. Its keys and its
            password are kept.
          - With V(absent), the user is locked out first, then B(all keys of the guild are removed) from all databases
            of all nodes. They are counted again, and when none is left, the user is removed.
        type: str
        choices: [present, suspended, absent]
        default: present
      confirm:
        description: The guild's id once more, without which O(guilds[].state=absent) is refused.
        type: raw
  prefix:
    description:
      - What the names of all guilds start with. 1 to 21 of the characters a-z, 0-9 and C(_), starting with a letter,
        not ending in a digit, not C(pg_).
    type: str
    default: g_
  passwords:
    description:
      - The passwords of the users, a dictionary of guild id to password. A guild may be missing or null.
      - Only guilds of O(guilds) may be in it.
      - A user has the password given here and no other one. If none is given, it keeps what it has; without any, nobody
        can log in as it.
      - What Redis gets and keeps is the SHA-256 sum made here. It is not salted, so take long random passwords.
      - Pass it as one string, with the filter P(ansible.builtin.to_json#filter). From a dictionary Ansible searches its
        whole output for every single password, which takes long for a thousand of them.
    type: json
  categories:
    description:
      - The categories of commands that guilds may use on their keys and channels.
      - Of these, commands that are also C(admin), C(dangerous) or C(scripting), or that would show what others have,
        are withheld all the same.
    type: list
    elements: str
    choices:
      - string
      - hash
      - list
      - set
      - sortedset
      - stream
      - bitmap
      - hyperloglog
      - geo
      - keyspace
      - transaction
      - pubsub
    default: [string, hash, list, set, sortedset, stream, bitmap, hyperloglog, geo, keyspace, transaction, pubsub]
  persist:
    description:
      - Whether every node writes its users to its file (C(ACL SAVE)), also when nothing changed. A node that has no
        C(aclfile) is refused before anything is changed.
      - With V(false), users are gone when a node restarts, until the next run.
    type: bool
    default: true
notes:
  - The user C(default) must have a password or be switched off; a server that lets everybody in is refused.
  - The administrator needs C(+acl +info +cluster +config|get +client +scan +unlink +select) and C(~*).
  - Redis 6.2 or newer, or a server that is compatible with it. Managed servers that forbid C(ACL SETUSER) cannot be
    used.
  - Replicas outside of a cluster get their users by calls of their own.
  - Redis has no limits for one user. A guild can fill the memory and use up the connections that all share; set
    C(maxmemory) and watch.
  - Listing and saving users costs a server of version 6.2 about 0.2 ms a user and one of 7.0 about 0.6 ms a changed
    user, during which it does nothing else.
attributes:
  check_mode:
    support: full
    description: Reads, predicts the changes, and writes nothing. Keys of guilds that would be removed are counted.
  diff_mode:
    support: full
    description: Shows the state before and after of the guilds that differ, by node. Of passwords, that one changes.
extends_documentation_fragment:
  - dcm.platform.redis
seealso:
  - plugin: dcm.platform.guild_key_prefix
    plugin_type: filter
  - module: dcm.platform.pg_guild_schema
  - module: dcm.platform.vault_secret
"""

EXAMPLES = r"""
- name: Give three guilds their users on all nodes of a cluster
  dcm.platform.redis_guild:
    login_host: redis.example.com
    login_password: "{{ redis_password }}"
    guilds:
      - id: "105844944714224099"
      - id: "126491441817359442"
      - id: "286136111355821548"
    passwords: "{{ guild_passwords | ansible.builtin.to_json }}"

- name: Keep a guild out, with all its data
  dcm.platform.redis_guild:
    login_host: redis.example.com
    guilds:
      - id: "126491441817359442"
        state: suspended

- name: Remove a guild with all its data
  dcm.platform.redis_guild:
    login_host: redis.example.com
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
    user:
      description: The name of its user.
      type: str
      sample: g_105844944714224099
    key_prefix:
      description: What its keys and channels begin with.
      type: str
      sample: "{g_105844944714224099}:"
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
nodes:
  description: The nodes, each with its C(address), its C(version), and whether it is a C(primary).
  returned: success
  type: list
  elements: dict
  sample: [{address: "10.100.0.5:6379", version: 7.0.15, primary: true}]
removed:
  description:
    - The guilds that are to be absent, at most 100 of them. Each has its C(id) and its C(nodes) with their C(address),
      the number of the guild's keys that were counted before (C(keys_before)) and after (C(keys_after)) the removal.
    - C(keys_after) is null in check mode, in which nothing is counted a second time.
  returned: success
  type: list
  elements: dict
  sample: [{id: "126491441817359442", nodes: [{address: "10.100.0.5:6379", keys_before: 4711, keys_after: 0}]}]
persisted:
  description: Whether the users outlive a restart.
  returned: success
  type: bool
  sample: true
applied:
  description: The changes that were made before or in spite of the failure.
  returned: failure after the first write
  type: list
  elements: dict
  sample: [{action: create, kind: guild, name: "105844944714224099"}]
failed_changes:
  description: The changes that failed on a node at least, each with its C(reason).
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
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import REDIS
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import reconcile
from ansible_collections.dcm.platform.plugins.module_utils.guild import PREFIX
from ansible_collections.dcm.platform.plugins.module_utils.redis.arguments import REDIS_ARGUMENTS
from ansible_collections.dcm.platform.plugins.module_utils.redis.client import open_nodes
from ansible_collections.dcm.platform.plugins.module_utils.redis.guilds import RedisGuildReconciler
from ansible_collections.dcm.platform.plugins.module_utils.redis.model import CATEGORIES
from ansible_collections.dcm.platform.plugins.module_utils.redis.options import desired

GUILD = {
    "id": {"type": "raw", "required": True},
    "state": {"type": "str", "choices": ["present", "suspended", "absent"], "default": "present"},
    "confirm": {"type": "raw"},
}
ARGUMENTS = Arguments(
    {
        "guilds": {"type": "list", "elements": "dict", "required": True, "options": GUILD},
        "prefix": {"type": "str", "default": PREFIX},
        "passwords": {"type": "json", "no_log": True},
        "categories": {
            "type": "list",
            "elements": "str",
            "choices": list(CATEGORIES),
            "default": list(CATEGORIES),
        },
        "persist": {"type": "bool", "default": True},
    }
)


def make(module: AnsibleModule) -> RedisGuildReconciler:
    """The reconciler for the module's options, connected."""
    wanted = desired(module.params)
    return RedisGuildReconciler(open_nodes(module.params), wanted)


def main() -> None:
    module = AnsibleModule(**(REDIS_ARGUMENTS | ARGUMENTS).for_module(), supports_check_mode=True)
    reconcile(module, lambda: make(module), libraries=(REDIS,))


if __name__ == "__main__":
    main()

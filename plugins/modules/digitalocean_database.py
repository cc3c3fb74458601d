#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manage database clusters of DigitalOcean."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: digitalocean_database
short_description: Manage database clusters of DigitalOcean
version_added: 0.1.0
author:
  - The dcm.platform authors (@dcm-platform)
description:
  - Makes, changes and removes managed database clusters with their users, databases, connection pools and trusted
    sources, each change by the call that DigitalOcean has for it.
  - A restore to a point in time makes a new cluster, with O(clusters[].backup_restore).
  - All objects of the type are listed once, over all pages, however many are managed. What is not given is neither
    set nor compared. Two objects that could both be meant are an error that names both.
options:
  clusters:
    description:
      - The clusters. Those that are not in the list are not touched, unless O(purge) is set.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - Its name, by which it is found again.
        type: str
        required: true
      engine:
        description:
          - Its engine. Needed to make it; it cannot be changed.
        type: str
        choices:
          - pg
          - mysql
          - redis
          - valkey
          - mongodb
          - kafka
          - opensearch
      version:
        description:
          - Major version. It can be raised, and not be lowered.
        type: str
      size:
        description:
          - Slug of its nodes' size. Needed to make it. A smaller one is refused without O(clusters[].allow_shrink).
        type: str
      num_nodes:
        description:
          - Number of nodes, V(1) to V(3); with V(2) or more it is highly available. Needed to make it.
        type: int
      region:
        description:
          - Slug of the region. Needed to make it. Another one moves the cluster, with O(clusters[].allow_migrate).
        type: str
      private_network_uuid:
        description:
          - Id of its network. It cannot be changed.
        type: str
      storage_size_mib:
        description:
          - Storage in MiB. It can be raised, and not be lowered.
        type: int
      tags:
        description:
          - Its tags, set when it is made.
        type: list
        elements: str
      project_id:
        description:
          - Id of its project, set when it is made.
        type: str
      rules:
        description:
          - Trusted sources; all of them. An empty list lets everybody try.
        type: list
        elements: dict
        suboptions:
          type:
            description:
              - Type of the source.
            type: str
            choices:
              - droplet
              - k8s
              - ip_addr
              - tag
              - app
            required: true
          value:
            description:
              - Its id, address or tag.
            type: str
            required: true
          description:
            description:
              - A comment; it is not compared.
            type: str
      maintenance_window:
        description:
          - When DigitalOcean may maintain it.
        type: dict
        suboptions:
          day:
            description:
              - Day of the week.
            type: str
            choices:
              - monday
              - tuesday
              - wednesday
              - thursday
              - friday
              - saturday
              - sunday
            required: true
          hour:
            description:
              - Time in UTC, such as V(04:00).
            type: str
            required: true
      config:
        description:
          - Settings of the engine; only those that are given are set.
        type: dict
      autoscale:
        description:
          - Growth of the storage.
        type: dict
        suboptions:
          storage:
            description:
              - When and how much.
            type: dict
            required: true
            suboptions:
              enabled:
                description:
                  - Whether it grows.
                type: bool
                required: true
              threshold_percent:
                description:
                  - Use at which it grows, V(15) to V(95).
                type: int
              increment_gib:
                description:
                  - By how many GiB, V(10) to V(500).
                type: int
      users:
        description:
          - Users of the engine; their passwords are generated.
        type: list
        elements: dict
        suboptions:
          name:
            description:
              - Name.
            type: str
            required: true
          settings:
            description:
              - Settings, set when the user is made.
            type: dict
          state:
            description:
              - Whether the user exists.
            type: str
            choices:
              - present
              - absent
            default: present
      purge_users:
        description:
          - Whether users that are not listed are removed. The administrator never is.
        type: bool
        default: false
      databases:
        description:
          - Databases of the engine.
        type: list
        elements: dict
        suboptions:
          name:
            description:
              - Name.
            type: str
            required: true
          state:
            description:
              - Whether the database exists.
            type: str
            choices:
              - present
              - absent
            default: present
      purge_databases:
        description:
          - Whether databases that are not listed are removed, with their data. The default one never is.
        type: bool
        default: false
      pools:
        description:
          - Connection pools of PostgreSQL.
        type: list
        elements: dict
        suboptions:
          name:
            description:
              - Name.
            type: str
            required: true
          mode:
            description:
              - When a connection is given back.
            type: str
            choices:
              - session
              - transaction
              - statement
          size:
            description:
              - Number of connections.
            type: int
          db:
            description:
              - Database.
            type: str
          user:
            description:
              - User; without one, that of the client.
            type: str
          state:
            description:
              - Whether the pool exists.
            type: str
            choices:
              - present
              - absent
            default: present
      purge_pools:
        description:
          - Whether pools that are not listed are removed.
        type: bool
        default: false
      backup_restore:
        description:
          - The cluster to make this one of, when it is made.
        type: dict
        suboptions:
          database_name:
            description:
              - Name of the cluster whose backup it is.
            type: str
            required: true
          backup_created_at:
            description:
              - Point in time, as RFC 3339; the newest backup if not given.
            type: str
      allow_shrink:
        description:
          - Whether a smaller size or fewer nodes are meant.
        type: bool
        default: false
      allow_migrate:
        description:
          - Whether another region is meant.
        type: bool
        default: false
      state:
        description:
          - Whether it exists.
        type: str
        choices:
          - present
          - absent
        default: present
      replace:
        description:
          - Whether to replace it when it differs in what cannot be changed. All its data and its backups are
            lost.
          - Without it, such a difference is an error that tells what differs.
        type: bool
        default: false
  credentials:
    description:
      - Whether each cluster of the result has its credentials; set C(no_log) on the task then.
    type: bool
    default: false
extends_documentation_fragment:
  - dcm.platform.attributes
  - dcm.platform.digitalocean
  - dcm.platform.digitalocean.owner
"""

EXAMPLES = r"""
- name: PostgreSQL with two standby nodes
  dcm.platform.digitalocean_database:
    owner: production
    clusters:
      - name: production-postgres
        engine: pg
        version: "15"
        size: db-s-2vcpu-4gb
        num_nodes: 3
        region: nyc3
        maintenance_window: {day: sunday, hour: "04:00"}
        databases: [{name: dcm}]
        users: [{name: provisioner}]

- name: The state of yesterday noon, as a cluster of its own
  dcm.platform.digitalocean_database:
    clusters:
      - name: production-postgres-restored
        engine: pg
        size: db-s-2vcpu-4gb
        num_nodes: 1
        region: nyc3
        backup_restore: {database_name: production-postgres, backup_created_at: "2026-01-31T12:00:00Z"}
"""

RETURN = r"""
clusters:
  description:
    - The clusters in the order of the option, as the API shows them, without secrets. In check mode, as they
      would be; what only the API knows, such as an id, is missing then.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description:
        - Its id.
      type: str
      sample: 6b2e3c0a-3a1f-4a5e-9a8e-2b7f1c0d9e11
    name:
      description:
        - Its name.
      type: str
      sample: production
    status:
      description:
        - Its state.
      type: str
      sample: online
    credentials:
      description:
        - With O(credentials), C(connection), C(private_connection), C(passwords) by user, and C(ca_certificate).
          It is secret.
      type: dict
      sample:
        passwords: {}
applied:
  description:
    - The changes that were made before the failure.
  returned: failure after the first write
  type: list
  elements: dict
  sample:
    - action: create
      kind: VPC
      name: production
failed_changes:
  description:
    - The changes that failed, each with its C(reason).
  returned: failure after the first write
  type: list
  elements: dict
not_tried:
  description:
    - The changes that were not tried any more.
  returned: failure after the first write
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.arguments import resource_arguments
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.client import connect
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.database import DatabaseReconciler
from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import REQUESTS
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import reconcile

FIELDS = {
    "name": {"type": "str", "required": True},
    "engine": {"type": "str", "choices": ["pg", "mysql", "redis", "valkey", "mongodb", "kafka", "opensearch"]},
    "version": {"type": "str"},
    "size": {"type": "str"},
    "num_nodes": {"type": "int"},
    "region": {"type": "str"},
    "private_network_uuid": {"type": "str"},
    "storage_size_mib": {"type": "int"},
    "tags": {"type": "list", "elements": "str"},
    "project_id": {"type": "str"},
    "rules": {
        "type": "list",
        "elements": "dict",
        "options": {
            "type": {"type": "str", "choices": ["droplet", "k8s", "ip_addr", "tag", "app"], "required": True},
            "value": {"type": "str", "required": True},
            "description": {"type": "str"},
        },
    },
    "maintenance_window": {
        "type": "dict",
        "options": {
            "day": {
                "type": "str",
                "choices": ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"],
                "required": True,
            },
            "hour": {"type": "str", "required": True},
        },
    },
    "config": {"type": "dict"},
    "autoscale": {
        "type": "dict",
        "options": {
            "storage": {
                "type": "dict",
                "required": True,
                "options": {
                    "enabled": {"type": "bool", "required": True},
                    "threshold_percent": {"type": "int"},
                    "increment_gib": {"type": "int"},
                },
            }
        },
    },
    "users": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "settings": {"type": "dict"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
    },
    "purge_users": {"type": "bool", "default": False},
    "databases": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
    },
    "purge_databases": {"type": "bool", "default": False},
    "pools": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "mode": {"type": "str", "choices": ["session", "transaction", "statement"]},
            "size": {"type": "int"},
            "db": {"type": "str"},
            "user": {"type": "str"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
    },
    "purge_pools": {"type": "bool", "default": False},
    "backup_restore": {
        "type": "dict",
        "options": {"database_name": {"type": "str", "required": True}, "backup_created_at": {"type": "str"}},
    },
    "allow_shrink": {"type": "bool", "default": False},
    "allow_migrate": {"type": "bool", "default": False},
}
EXTRA = Arguments({"credentials": {"type": "bool", "default": False}})


def main() -> None:
    module = AnsibleModule(**(resource_arguments("clusters", FIELDS) | EXTRA).for_module(), supports_check_mode=True)
    reconcile(
        module,
        lambda: DatabaseReconciler(connect(module.params), module.params, check_mode=module.check_mode),
        libraries=(REQUESTS,),
    )


if __name__ == "__main__":
    main()

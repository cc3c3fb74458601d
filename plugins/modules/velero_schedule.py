#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Velero's schedules."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: velero_schedule
short_description: Keep Velero's schedules as described
version_added: "0.1.0"
author: The dcm.platform authors (@dcm-platform)
description:
  - Makes, changes and removes C(Schedule) objects through the Kubernetes API. The C(velero) program is not needed,
    which cannot change a schedule.
  - All schedules are read with one request, and each that differs is written with one, by a merge patch of what
    differs. Only what was given is compared, durations by their length and lists in any order. Fields that the server
    writes by itself are left alone.
  - Cron expressions are checked before anything is written. A schedule that the server refused, and that is not
    corrected, fails the task with the server's reasons.
extends_documentation_fragment:
  - dcm.platform.kubernetes
  - dcm.platform.velero
  - dcm.platform.velero.schedules
attributes:
  check_mode:
    description: Predicts the changes without making them, also where Velero's kinds are still to be installed.
    support: full
  diff_mode:
    description: Shows what of each schedule changes.
    support: full
"""

EXAMPLES = r"""
- name: Back up everything every night, and keep it for a week
  dcm.platform.velero_schedule:
    kubeconfig: "{{ dcm_kubeconfig }}"
    schedules:
      - name: cluster-state
        cron: "0 2 * * *"
        time_zone: Europe/Berlin
        rpo: 24h
        template:
          included_namespaces: ["*"]
          ttl: 168h

- name: Freeze the database's pods while they are backed up, pause one schedule, remove another
  dcm.platform.velero_schedule:
    kubeconfig: "{{ dcm_kubeconfig }}"
    schedules:
      - name: data
        cron: "@every 6h"
        template:
          included_namespaces: [platform-data]
          snapshot_volumes: true
          hooks:
            - name: freeze
              label_selector:
                matchLabels: {app: postgresql}
              pre:
                - command: [/sbin/fsfreeze, --freeze, /var/lib/postgresql]
                  on_error: Fail
                  timeout: 30s
              post:
                - command: [/sbin/fsfreeze, --unfreeze, /var/lib/postgresql]
      - name: experiments
        paused: true
      - name: of-last-year
        state: absent
"""

RETURN = r"""
schedules:
  description: The schedules of the list, in its order. In check mode, as they were.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the schedule.
      type: str
      sample: cluster-state
    state:
      description: Whether it is there.
      type: str
      sample: present
    changed:
      description: Whether it was, or would be, changed.
      type: bool
      sample: false
    phase:
      description: What the server last said of it; nothing of a new one and of one that was made paused.
      type: str
      sample: Enabled
    last_backup:
      description: When it last made a backup.
      type: str
      sample: "2026-11-21T02:00:00Z"
    paused:
      description: Whether it makes no backups for now.
      type: bool
      sample: false
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import KUBERNETES
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import reconcile
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.client import connect
from ansible_collections.dcm.platform.plugins.module_utils.velero.arguments import VELERO_ARGUMENTS
from ansible_collections.dcm.platform.plugins.module_utils.velero.backup_spec import BACKUP_SPEC_ARGUMENTS
from ansible_collections.dcm.platform.plugins.module_utils.velero.client import VeleroClient
from ansible_collections.dcm.platform.plugins.module_utils.velero.objects import PRESENT
from ansible_collections.dcm.platform.plugins.module_utils.velero.schedules import Schedules, wanted_schedule

CONTENTS = BACKUP_SPEC_ARGUMENTS.for_module()
SCHEDULE = {
    "name": {"type": "str", "required": True},
    "state": PRESENT,
    "cron": {"type": "str"},
    "time_zone": {"type": "str"},
    "rpo": {"type": "str"},
    "paused": {"type": "bool"},
    "use_owner_references": {"type": "bool"},
    "skip_immediately": {"type": "bool"},
    "labels": {"type": "dict", "default": {}},
    "backup_labels": {"type": "dict"},
    "template": {
        "type": "dict",
        "options": CONTENTS["argument_spec"],
        "mutually_exclusive": CONTENTS["mutually_exclusive"],
    },
}
ARGUMENTS = Arguments({"schedules": {"type": "list", "elements": "dict", "required": True, "options": SCHEDULE}})


def make(module: AnsibleModule) -> Schedules:
    """The reconciler for the module's options."""
    wanted = [wanted_schedule(item) for item in module.params["schedules"]]
    client = VeleroClient(connect(module.params), module.params["namespace"])
    return Schedules(client, wanted, predicting=module.check_mode)


def main() -> None:
    module = AnsibleModule(**(VELERO_ARGUMENTS | ARGUMENTS).for_module(), supports_check_mode=True)
    reconcile(module, lambda: make(module), libraries=(KUBERNETES,))


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which Velero backups there are, and whether they are young enough."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: velero_backup_info
short_description: Read Velero backups with their ages, sizes and errors, and check recovery points
version_added: "0.1.0"
author: The dcm.platform authors (@dcm-platform)
description:
  - Reads all backups, or those of some names and schedules, with one list of backups and one of schedules.
  - Tells for each schedule how old its newest complete backup is, which is what would be lost now (the recovery point),
    and whether that is more than its objective allows. Backups that failed, are being deleted or have expired do not
    count.
  - Sizes and the texts of errors and warnings are in the storage location. The server gives a signed link to them by a
    C(DownloadRequest), which is removed afterwards.
extends_documentation_fragment:
  - dcm.platform.kubernetes
  - dcm.platform.velero
attributes:
  check_mode:
    description: Changes nothing; links to files are asked for in check mode, too.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
options:
  names:
    description:
      - Only backups of these names, and those of O(schedules).
    type: list
    elements: str
    default: []
  schedules:
    description:
      - Only backups of these schedules, and those of O(names); only these schedules are returned and those of
        O(objectives).
    type: list
    elements: str
    default: []
  results:
    description:
      - Whether to read the texts of errors and warnings of each backup.
    type: bool
    default: false
  sizes:
    description:
      - Whether to read the size of each backup's archive of objects. Data of volumes is not in it.
    type: bool
    default: false
  objectives:
    description:
      - How old the newest complete backup of a schedule may be, by the schedule's name, as a duration such as V(24h) or
        a number of seconds. A schedule that does not exist has an objective, too, if it is named here.
    type: dict
    default: {}
  default_objective:
    description:
      - The objective of all other schedules that are not paused. Without it, any age will do.
    type: str
  measured_from:
    description:
      - Whether an age is counted from the V(start) of a backup, whose state it holds, or from its V(completion), as the
        server's own metric does.
    type: str
    choices: [start, completion]
    default: start
  allow_partially_failed:
    description:
      - Whether a backup counts that ended with errors.
    type: bool
    default: false
  fail_on_violation:
    description:
      - Whether the task fails when a schedule misses its objective.
    type: bool
    default: false
seealso:
  - module: dcm.platform.velero_backup
  - module: dcm.platform.velero_restore
"""

EXAMPLES = r"""
- name: Which backups are there, and what went wrong?
  dcm.platform.velero_backup_info:
    kubeconfig: "{{ dcm_kubeconfig }}"
    results: true
    sizes: true
  register: found

- name: Fail when more than a day of cluster state would be lost
  dcm.platform.velero_backup_info:
    kubeconfig: "{{ dcm_kubeconfig }}"
    default_objective: 24h
    objectives:
      data: 6h
    fail_on_violation: true
"""

RETURN = r"""
backups:
  description: The backups, newest first.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the backup.
      type: str
      sample: daily-20261121020000
    schedule:
      description: The schedule it was made by or for; a name over 63 characters is cut as the server cuts it.
      type: str
      sample: daily
    phase:
      description: Velero's phase; C(New) when no server has taken it up yet.
      type: str
      sample: Completed
    started:
      description: When the server began; the state of this moment is in the backup.
      type: str
      sample: "2026-11-21T02:00:01Z"
    completed:
      description: When the server ended.
      type: str
      sample: "2026-11-21T02:00:09Z"
    expires:
      description: When the server will delete it.
      type: str
      sample: "2026-11-28T02:00:01Z"
    age:
      description: Seconds since it began.
      type: int
      sample: 36000
    items:
      description: How many objects were to be backed up (C(total)) and how many are (C(backed_up)).
      type: dict
      sample: {total: 301, backed_up: 301}
    errors:
      description: Number of errors.
      type: int
      sample: 0
    warnings:
      description: Number of warnings.
      type: int
      sample: 0
    storage_location:
      description: The storage location that holds it.
      type: str
      sample: default
    size:
      description: Bytes of its archive.
      returned: with O(sizes), for a backup that has ended with V(Completed) or V(PartiallyFailed)
      type: int
      sample: 48213
    results:
      description: The texts of C(errors) and C(warnings), by C(velero), C(cluster) and C(namespaces).
      returned: with O(results), for a backup that has ended with V(Completed) or V(PartiallyFailed)
      type: dict
      sample: {errors: {namespaces: {platform-apps: [error backing up item]}}, warnings: {}}
    unreadable:
      description: Why its files cannot be read.
      returned: when that is so
      type: str
      sample: The server gave no link.
schedules:
  description: The schedules, by name.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the schedule.
      type: str
      sample: daily
    exists:
      description: Whether there is a schedule of that name.
      type: bool
      sample: true
    paused:
      description: Whether it is paused.
      type: bool
      sample: false
    newest:
      description: Its newest complete backup, null without one.
      type: str
      sample: daily-20261121020000
    age:
      description: Seconds that would be lost now, null without a complete backup.
      type: int
      sample: 36000
    objective:
      description: Seconds that may be lost, null without an objective.
      type: int
      sample: 86400
    violated:
      description: Whether it is more.
      type: bool
      sample: false
violations:
  description: What is wrong with each schedule that misses its objective.
  returned: success
  type: list
  elements: str
  sample: ["schedule data has its newest complete backup from 7.5 h ago, 6 h is allowed"]
"""

from datetime import timedelta
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import KUBERNETES
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import reconcile
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.objects import connect_objects
from ansible_collections.dcm.platform.plugins.module_utils.velero.arguments import VELERO_ARGUMENTS
from ansible_collections.dcm.platform.plugins.module_utils.velero.backup_spec import checked_duration
from ansible_collections.dcm.platform.plugins.module_utils.velero.info import BackupReader, Question
from ansible_collections.dcm.platform.plugins.module_utils.velero.recovery_point import TIMES, Objectives
from ansible_collections.dcm.platform.plugins.module_utils.velero.restore import RestoreClient

ARGUMENTS = Arguments(
    {
        "names": {"type": "list", "elements": "str", "default": []},
        "schedules": {"type": "list", "elements": "str", "default": []},
        "results": {"type": "bool", "default": False},
        "sizes": {"type": "bool", "default": False},
        "objectives": {"type": "dict", "default": {}},
        "default_objective": {"type": "str"},
        "measured_from": {"type": "str", "choices": list(TIMES), "default": "start"},
        "allow_partially_failed": {"type": "bool", "default": False},
        "fail_on_violation": {"type": "bool", "default": False},
    }
)


def objective(option: str, value: Any) -> timedelta:
    """A duration, or a number of seconds. Raises :class:`InputError` for what is neither."""
    text = str(value)
    return checked_duration(option, f"{text}s" if text.isdigit() else text)


def make(parameters: dict[str, Any]) -> BackupReader:
    """The reader for the module's options."""
    named = {name: objective(f"objectives.{name}", value) for name, value in parameters["objectives"].items()}
    default = parameters["default_objective"]
    objectives = Objectives(
        named,
        objective("default_objective", default) if default else None,
        parameters["measured_from"],
        parameters["allow_partially_failed"],
    )
    asked = {key: parameters[key] for key in ("names", "schedules", "results", "sizes", "fail_on_violation")}
    client = RestoreClient(connect_objects(parameters), parameters["namespace"])
    return BackupReader(client, Question(objectives=objectives, **asked))


def main() -> None:
    module = AnsibleModule(**(VELERO_ARGUMENTS | ARGUMENTS).for_module(), supports_check_mode=True)
    reconcile(module, lambda: make(module.params), libraries=(KUBERNETES,))


if __name__ == "__main__":
    main()

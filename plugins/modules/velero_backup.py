#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A Velero backup: made, waited for, found again, deleted with its files."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: velero_backup
short_description: Make, reuse or delete a Velero backup
version_added: "0.1.0"
author: The dcm.platform authors (@dcm-platform)
description:
  - Makes a backup by a C(Backup) object in the Kubernetes API and waits until it is usable. The C(velero) program is
    not needed.
  - With O(name), a backup that exists is left as it is. With O(name_prefix) and O(max_age), a complete backup of that
    prefix that is young enough is reused, and otherwise a new one is made, so that a play can demand "there is a backup
    of the last 24 hours" and change nothing the second time.
  - With O(from_schedule), a backup contains what that schedule's backups do. Together with O(max_age), the backups that
    the schedule made itself serve, too.
  - A backup is never reported as fine when it is not usable. One that ended in a phase of O(fail_on) fails the task,
    also when it was made long ago.
  - A backup cannot be changed once it was asked for. When one of that O(name) exists and differs in an option that was
    given, the task fails and names what differs. Options that were not given are not compared, O(excluded_namespaces)
    and the other excluding lists are compared as supersets because the server adds to them, and durations are
    compared by their length. O(labels) are the exception, they are added to a backup that lacks them.
  - With O(state=absent), the server is asked to delete the backup and its files by a C(DeleteBackupRequest), and its
    reasons are passed on when it refuses.
extends_documentation_fragment:
  - dcm.platform.kubernetes
  - dcm.platform.velero
  - dcm.platform.velero.contents
attributes:
  check_mode:
    description: >-
      Predicts the changes without making them, also where the schedule or Velero's kinds are still to come.
    support: full
  diff_mode:
    description: Shows the spec of a backup to be made, and the summary of one to be deleted.
    support: full
options:
  state:
    description:
      - V(present) makes or reuses a backup, V(absent) deletes the one of that O(name) with its files.
    type: str
    choices: [present, absent]
    default: present
  name:
    description:
      - Name of the backup, a DNS subdomain of up to 253 characters. Required with O(state=absent).
    type: str
  name_prefix:
    description:
      - Prefix of the name of a backup. A new one is called C(<prefix>-<YYYYMMDDhhmmss>), in UTC, and carries the label
        C(dcm.io/backup-prefix), by which it is found again.
      - A backup whose spec differs from the options given is not reused.
    type: str
  max_age:
    description:
      - How old a backup of that O(name_prefix) or O(from_schedule) may be to be reused, such as V(24h) or V(1h30m).
        Counted from its start, because that is the state it holds. With V(0s) there is always a new one.
      - A young one that is still running is waited for instead of making another.
      - Needed unless there is a O(name).
    type: str
  from_schedule:
    description:
      - Name of a schedule. What the other options leave open is taken from its template, and the backup gets its labels
        and C(velero.io/schedule-name), so that it counts as one of that schedule.
      - Without O(name) and O(name_prefix), the backup is called C(<schedule>-<YYYYMMDDhhmmss>), as the server does.
    type: str
  labels:
    description:
      - Labels of the C(Backup) object. Other labels are left alone.
    type: dict
    default: {}
  fail_on:
    description:
      - Phases in which a backup counts as failed. A backup that ends in one of the others gives a warning.
      - A backup that V(Failed) or V(FailedValidation) is never reused by O(name_prefix), whatever is listed here.
    type: list
    elements: str
    choices: [FailedValidation, Failed, PartiallyFailed]
    default: [FailedValidation, Failed, PartiallyFailed]
  wait:
    description:
      - Whether to wait until the backup has ended, or until it, its files and the request to delete it are gone.
      - Without waiting, a backup that is still running is not judged.
    type: bool
    default: true
  wait_timeout:
    description:
      - Longest wait in seconds. The default is half of the shortest time to recover a cluster, two hours.
    type: int
    default: 3600
notes:
  - The server must be able to reach its storage location; wait until the C(BackupStorageLocation) is C(Available).
"""

EXAMPLES = r"""
- name: Back up the namespaces of the platform before a change
  dcm.platform.velero_backup:
    kubeconfig: "{{ dcm_kubeconfig }}"
    name: before-upgrade-1-35
    included_namespaces: [platform-apps, platform-data]
    ttl: 168h
    wait_timeout: 900

- name: See to it that there is a complete backup of the last 24 hours
  dcm.platform.velero_backup:
    kubeconfig: "{{ dcm_kubeconfig }}"
    name_prefix: cluster-state
    max_age: 24h
  register: cluster_state

- name: See to it that the nightly schedule has a backup of the last 24 hours, and make one as it does if not
  dcm.platform.velero_backup:
    kubeconfig: "{{ dcm_kubeconfig }}"
    from_schedule: cluster-state
    max_age: 24h

- name: Start a backup of everything that a label marks, and go on meanwhile
  dcm.platform.velero_backup:
    kubeconfig: "{{ dcm_kubeconfig }}"
    name: guild-1042
    label_selector:
      matchLabels:
        dcm.io/guild: "1042"
    snapshot_volumes: false
    wait: false

- name: Delete a backup with its files
  dcm.platform.velero_backup:
    kubeconfig: "{{ dcm_kubeconfig }}"
    name: before-upgrade-1-35
    state: absent
"""

RETURN = r"""
backup:
  description: The backup as it is now; in check mode as it would be asked for.
  returned: with O(state=present)
  type: dict
  contains:
    name:
      description: Name of the backup.
      type: str
      sample: cluster-state-20261121020000
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
    items:
      description: How many objects were to be backed up (C(total)) and how many are (C(backed_up)).
      type: dict
      sample: {total: 301, backed_up: 301}
    errors:
      description: Number of errors; the texts are in the results file in the storage location.
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
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments, waiting
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import KUBERNETES
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import Reconciler, reconcile
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.client import connect
from ansible_collections.dcm.platform.plugins.module_utils.velero.arguments import VELERO_ARGUMENTS
from ansible_collections.dcm.platform.plugins.module_utils.velero.backup import AbsentBackup, PresentBackup, Waiting
from ansible_collections.dcm.platform.plugins.module_utils.velero.backup_spec import (
    BACKUP_SPEC_ARGUMENTS,
    backup_spec,
    checked_duration,
)
from ansible_collections.dcm.platform.plugins.module_utils.velero.client import VeleroClient
from ansible_collections.dcm.platform.plugins.module_utils.velero.phases import FAILURES
from ansible_collections.dcm.platform.plugins.module_utils.velero.plan import WantedBackup

ARGUMENTS = Arguments(
    {
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "name": {"type": "str"},
        "name_prefix": {"type": "str"},
        "max_age": {"type": "str"},
        "from_schedule": {"type": "str"},
        "labels": {"type": "dict", "default": {}},
        "fail_on": {"type": "list", "elements": "str", "choices": list(FAILURES), "default": list(FAILURES)},
    },
    mutually_exclusive=(("name", "name_prefix"), ("name", "max_age")),
    required_one_of=(("name", "name_prefix", "from_schedule"), ("name", "max_age")),
    required_if=(("state", "absent", ("name",)),),
)


def make(module: AnsibleModule) -> Reconciler[Any]:
    """The reconciler for the module's options."""
    parameters = module.params
    client = VeleroClient(connect(parameters), parameters["namespace"])
    patience = Waiting(parameters["wait"], parameters["wait_timeout"])
    if parameters["state"] == "absent":
        return AbsentBackup(client, parameters["name"], patience)
    wanted = WantedBackup(
        name=parameters["name"],
        prefix=parameters["name_prefix"],
        max_age=checked_duration("max_age", parameters["max_age"] or "0"),
        schedule=parameters["from_schedule"],
        spec=backup_spec(parameters),
        labels=parameters["labels"],
        fail_on=frozenset(parameters["fail_on"]),
    )
    return PresentBackup(client, wanted, patience, predicting=module.check_mode)


def main() -> None:
    module = AnsibleModule(
        **(VELERO_ARGUMENTS | BACKUP_SPEC_ARGUMENTS | ARGUMENTS | waiting(3600)).for_module(), supports_check_mode=True
    )
    reconcile(module, lambda: make(module), libraries=(KUBERNETES,))


if __name__ == "__main__":
    main()

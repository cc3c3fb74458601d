#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A Velero restore: made, waited for, deleted; or a backup proven by one."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: velero_restore
short_description: Restore a Velero backup, or prove that it can be restored
version_added: "0.1.0"
author: The dcm.platform authors (@dcm-platform)
description:
  - Restores a backup by a C(Restore) object in the Kubernetes API and waits until it has ended. The C(velero) program
    is not needed.
  - A restore that exists under O(name) is left as it is, so that a second run changes nothing. One with another content
    is refused, as a restore cannot be changed; only options that were given are compared.
  - A restore is never reported as fine when it is not. One that ended in a phase of O(fail_on) fails the task with the
    server's reasons, also when it was made long ago. Warnings of the server, such as those for objects that were there
    and are different, are passed on.
  - The backup must be complete and its storage location available before anything is asked for.
  - With O(state=verified), the backup is restored into scratch namespaces, one for each of its namespaces. What is
    there then is compared with what the backup holds, by kind, name and number, and by content with
    O(verify_contents). The scratch namespaces and the restore are removed afterwards, whatever the outcome. Any
    difference fails the task.
  - Nothing starts in scratch namespaces, as a quota there allows no pods, volume claims and load balancers. Operators
    that watch all namespaces may still act upon their own kinds of objects; leave such kinds out by
    O(verify_excluded_resources).
  - Objects that another object makes, jobs and pods that have ended, and objects without a namespace are not compared.
    The result says how many there are.
extends_documentation_fragment:
  - dcm.platform.kubernetes
  - dcm.platform.velero
attributes:
  check_mode:
    description: Predicts the changes without making them.
    support: full
  diff_mode:
    description: Shows the spec of a restore to be made, and the summary of one to be deleted.
    support: full
options:
  state:
    description:
      - V(present) makes a restore or finds the one of O(name), V(absent) deletes its object and files and leaves alone
        what it brought, V(verified) proves a backup.
      - Proving is a change each time, although nothing of it stays.
    type: str
    choices: [present, absent, verified]
    default: present
  name:
    description:
      - Name of the restore, a DNS subdomain of up to 253 characters. Required unless O(state=verified), which finds its
        own.
    type: str
  backup:
    description:
      - Name of the backup. One of this and O(schedule) is required unless O(state=absent).
    type: str
  schedule:
    description:
      - Name of a schedule, of which the complete backup with the newest start is taken.
      - A restore that exists under O(name) from any backup of the schedule serves.
    type: str
  allow_partially_failed:
    description:
      - Whether a backup serves that ended with errors.
    type: bool
    default: false
  labels:
    description:
      - Labels of the C(Restore) object. Other labels are left alone.
    type: dict
    default: {}
  included_namespaces:
    description:
      - Namespaces of the backup to restore; V(*) or nothing is all of them.
    type: list
    elements: str
  excluded_namespaces:
    description:
      - Namespaces of the backup to leave out.
    type: list
    elements: str
  included_resources:
    description:
      - Kinds to restore, such as V(deployments.apps); V(*) or nothing is all of them.
    type: list
    elements: str
  excluded_resources:
    description:
      - Kinds to leave out. The server adds those that it never restores.
    type: list
    elements: str
  include_cluster_resources:
    description:
      - Whether to restore objects without a namespace; without it, only those that the others need.
    type: bool
  label_selector:
    description:
      - Only objects that match, as Kubernetes writes it, with C(matchLabels) and C(matchExpressions).
    type: dict
  or_label_selectors:
    description:
      - Only objects that match at least one of these. Not together with O(label_selector).
    type: list
    elements: dict
  namespace_mapping:
    description:
      - Where to restore namespaces that are not to come back under their own name, each name with the new one.
    type: dict
  existing_resource_policy:
    description:
      - What becomes of objects that are there already. V(none), also the server's default, leaves them alone and warns
        of those that differ, V(update) changes them into what the backup holds.
    type: str
    choices: [none, update]
  restore_volumes:
    description:
      - Whether to restore volumes from snapshots.
    type: bool
  preserve_node_ports:
    description:
      - Whether services keep the ports of nodes that the backup holds.
    type: bool
  restore_status:
    description:
      - Kinds whose status is restored, too.
    type: dict
    suboptions:
      included_resources:
        description: Such kinds.
        type: list
        elements: str
      excluded_resources:
        description: Kinds to leave out of them.
        type: list
        elements: str
  hooks:
    description:
      - Commands to run in restored pods, as C(spec.hooks) of a C(Restore) has them.
    type: dict
  item_operation_timeout:
    description:
      - How long the server waits for operations of plug-ins, such as V(4h); that is also its default.
    type: str
  verify_contents:
    description:
      - With O(state=verified), whether contents are compared, by SHA-256 over what servers and controllers do not
        write.
      - A backup from before an upgrade of Kubernetes may differ in defaults that are new.
    type: bool
    default: false
  verify_excluded_resources:
    description:
      - With O(state=verified), kinds that are neither restored nor compared, by plural or kind, with or without group;
        short names are not known.
      - The default leaves out what would act beyond its namespace.
    type: list
    elements: str
    default:
      - pods
      - persistentvolumeclaims
      - ingresses.networking.k8s.io
      - gateways.gateway.networking.k8s.io
      - httproutes.gateway.networking.k8s.io
  fail_on:
    description:
      - Phases in which a restore counts as failed. A restore that ends in one of the others gives a warning.
      - With O(state=verified), all of them.
    type: list
    elements: str
    choices: [FailedValidation, Failed, PartiallyFailed]
    default: [FailedValidation, Failed, PartiallyFailed]
  wait:
    description:
      - Whether to wait until the restore has ended, or until it and its files are gone. Without waiting, a restore that
        is still running is not judged. O(state=verified) always waits.
    type: bool
    default: true
  wait_timeout:
    description:
      - Longest wait in seconds; for a verification, for the restore and again for the removal of what it made. The
        default is half of the shortest time to recover a cluster, two hours.
    type: int
    default: 3600
notes:
  - O(state=verified) needs the right to make and delete namespaces, and to list all kinds that the backup holds. It
    reads the contents of the backup by a signed link into the storage location, which must be reachable from here.
  - Data in volumes is not verified.
seealso:
  - module: dcm.platform.velero_backup
  - module: dcm.platform.velero_backup_info
"""

EXAMPLES = r"""
- name: Bring back what was deleted by mistake, from the newest complete backup
  dcm.platform.velero_restore:
    kubeconfig: "{{ dcm_kubeconfig }}"
    name: undo-2026-11-21
    schedule: daily
    included_namespaces: [platform-apps]

- name: Restore a guild beside itself, to look at it
  dcm.platform.velero_restore:
    kubeconfig: "{{ dcm_kubeconfig }}"
    name: look-at-guild-1042
    backup: daily-20261121020000
    included_namespaces: [guild-1042]
    namespace_mapping:
      guild-1042: guild-1042-yesterday

- name: Set everything back to what it was before the upgrade
  dcm.platform.velero_restore:
    kubeconfig: "{{ dcm_kubeconfig }}"
    name: back-from-1-35
    backup: before-upgrade-1-35
    existing_resource_policy: update

- name: Prove that the newest backup can be restored
  dcm.platform.velero_restore:
    kubeconfig: "{{ dcm_kubeconfig }}"
    state: verified
    schedule: daily
    verify_contents: true
  register: proof
"""

RETURN = r"""
restore:
  description: The restore as it is now; in check mode as it would be asked for.
  returned: with O(state=present)
  type: dict
  contains:
    name:
      description: Name of the restore.
      type: str
      sample: undo-2026-11-21
    label_selector:
      description: What selects the objects that it brought.
      type: str
      sample: velero.io/restore-name=undo-2026-11-21
    backup:
      description: The backup it is from.
      type: str
      sample: daily-20261121020000
    phase:
      description: Velero's phase; C(New) when no server has taken it up yet.
      type: str
      sample: Completed
    started:
      description: When the server began.
      type: str
      sample: "2026-11-21T10:00:01Z"
    completed:
      description: When the server ended.
      type: str
      sample: "2026-11-21T10:00:09Z"
    items:
      description: How many objects were to be restored (C(total)) and how many were looked at (C(restored)).
      type: dict
      sample: {total: 301, restored: 301}
    errors:
      description: Number of errors.
      type: int
      sample: 0
    warnings:
      description: Number of warnings.
      type: int
      sample: 2
results:
  description: The texts of C(errors) and C(warnings), by C(velero), C(cluster) and C(namespaces).
  returned: with O(state=present) and O(wait), when there are any
  type: dict
  sample: {errors: {}, warnings: {namespaces: {platform-apps: ['could not restore, ConfigMap "a" already exists.']}}}
verification:
  description: What was proven; in check mode only the backup.
  returned: with O(state=verified)
  type: dict
  contains:
    backup:
      description: The backup.
      type: str
      sample: daily-20261121020000
    started:
      description: The moment whose state it holds.
      type: str
      sample: "2026-11-21T02:00:01Z"
    namespaces:
      description: The namespaces that were restored.
      type: list
      elements: str
      sample: [platform-apps, platform-data]
    objects:
      description: How many objects were compared.
      type: int
      sample: 301
    kinds:
      description: How many of each kind the backup holds, and how many were restored.
      type: list
      elements: dict
      sample: [{kind: apps/v1/Deployment, backed_up: 6, restored: 6}]
    contents_compared:
      description: Whether contents were compared, too.
      type: bool
      sample: true
    sha256:
      description: SHA-256 over the names and contents of all objects that were restored and are in the backup.
      type: str
      sample: 5c0ff8e0a3e3c6c5a2e7e7a6ab2f3f0de4ab0b0d4f6b9ce1a79c3f1f62c7be5e
    held_back:
      description: Objects that the quota of the scratch namespaces refused.
      type: list
      elements: str
      sample: ["Service platform-system/ingress"]
    not_compared:
      description: How many objects of the backup were left out, by reason.
      type: dict
      sample: {cluster scoped: 12, excluded kinds: 4, made anew: 9}
    warnings:
      description: Number of warnings of the restore.
      type: int
      sample: 0
    seconds:
      description: How long it took.
      type: float
      sample: 12.3
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments, waiting
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import KUBERNETES
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import Reconciler, reconcile
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.objects import connect_objects
from ansible_collections.dcm.platform.plugins.module_utils.velero.arguments import VELERO_ARGUMENTS
from ansible_collections.dcm.platform.plugins.module_utils.velero.backup import Waiting
from ansible_collections.dcm.platform.plugins.module_utils.velero.backup_spec import backup_spec
from ansible_collections.dcm.platform.plugins.module_utils.velero.phases import FAILURES
from ansible_collections.dcm.platform.plugins.module_utils.velero.plan import require_name
from ansible_collections.dcm.platform.plugins.module_utils.velero.restore import (
    AbsentRestore,
    PresentRestore,
    RestoreClient,
)
from ansible_collections.dcm.platform.plugins.module_utils.velero.restore_spec import (
    FIELDS,
    RESTORE_SPEC_ARGUMENTS,
    Source,
    WantedRestore,
)
from ansible_collections.dcm.platform.plugins.module_utils.velero.verification import Scope, VerifiedRestore

SCOPE = ("included_namespaces", "excluded_namespaces", "included_resources", "excluded_resources")
ACTING_BEYOND = [
    "pods",
    "persistentvolumeclaims",
    "ingresses.networking.k8s.io",
    "gateways.gateway.networking.k8s.io",
    "httproutes.gateway.networking.k8s.io",
]
ARGUMENTS = Arguments(
    {
        "state": {"type": "str", "choices": ["present", "absent", "verified"], "default": "present"},
        "name": {"type": "str"},
        "backup": {"type": "str"},
        "schedule": {"type": "str"},
        "allow_partially_failed": {"type": "bool", "default": False},
        "labels": {"type": "dict", "default": {}},
        "verify_contents": {"type": "bool", "default": False},
        "verify_excluded_resources": {"type": "list", "elements": "str", "default": ACTING_BEYOND},
        "fail_on": {"type": "list", "elements": "str", "choices": list(FAILURES), "default": list(FAILURES)},
    },
    mutually_exclusive=(("backup", "schedule"),),
    required_if=(
        ("state", "present", ("name",)),
        ("state", "present", ("backup", "schedule"), True),
        ("state", "verified", ("backup", "schedule"), True),
        ("state", "absent", ("name",)),
    ),
)


def make(parameters: dict[str, Any]) -> Reconciler[Any]:
    """The reconciler for the module's options."""
    client = RestoreClient(connect_objects(parameters), parameters["namespace"])
    patience = Waiting(parameters["wait"], parameters["wait_timeout"])
    if parameters["state"] == "absent":
        return AbsentRestore(client, parameters["name"], patience)
    source = Source(parameters["backup"], parameters["schedule"], parameters["allow_partially_failed"])
    spec = backup_spec(parameters, FIELDS)
    if parameters["state"] == "present":
        require_name(parameters["name"], "restore")
        wanted = WantedRestore(parameters["name"], source, spec, parameters["labels"], frozenset(parameters["fail_on"]))
        return PresentRestore(client, wanted, patience)
    other = [entry.option for entry in FIELDS if entry.key in spec and entry.option not in SCOPE]
    if other:
        raise InputError(f"A verification restores what the backup holds as it is; remove {', '.join(other)}.")
    scope = {option: parameters[option] or [] for option in SCOPE}
    scope["excluded_resources"] = [*scope["excluded_resources"], *parameters["verify_excluded_resources"]]
    return VerifiedRestore(client, source, Scope(**scope, contents=parameters["verify_contents"]), patience.timeout)


def main() -> None:
    module = AnsibleModule(
        **(VELERO_ARGUMENTS | RESTORE_SPEC_ARGUMENTS | ARGUMENTS | waiting(3600)).for_module(), supports_check_mode=True
    )
    reconcile(module, lambda: make(module.params), libraries=(KUBERNETES,))


if __name__ == "__main__":
    main()

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options shared by the modules for Velero."""

from __future__ import annotations

import textwrap


class ModuleDocFragment:
    """``velero`` mirrors what ``VELERO_ARGUMENTS`` adds to ``KUBERNETES_ARGUMENTS``; ``velero.contents``: what a backup
    contains; ``velero.schedules``: a list of schedules."""

    DOCUMENTATION = r"""
options:
  namespace:
    description:
      - Namespace of the Velero server, where all of its objects are.
    type: str
    default: velero
"""

    CONTENTS = r"""
options:
  included_namespaces:
    description:
      - Namespaces to back up; V(*) or nothing is all of them.
    type: list
    elements: str
  excluded_namespaces:
    description:
      - Namespaces to leave out. The server adds those with the label C(velero.io/exclude-from-backup=true).
    type: list
    elements: str
  included_resources:
    description:
      - Kinds to back up, such as V(deployments.apps); V(*) or nothing is all of them.
      - Not together with the options for cluster scoped and namespace scoped resources.
    type: list
    elements: str
  excluded_resources:
    description:
      - Kinds to leave out. Not together with the options for cluster scoped and namespace scoped resources.
    type: list
    elements: str
  include_cluster_resources:
    description:
      - Whether to back up objects without a namespace; without it, only those that the others refer to.
      - Not together with the options for cluster scoped and namespace scoped resources.
    type: bool
  included_cluster_scoped_resources:
    description:
      - Kinds without a namespace to back up.
    type: list
    elements: str
  excluded_cluster_scoped_resources:
    description:
      - Kinds without a namespace to leave out.
    type: list
    elements: str
  included_namespace_scoped_resources:
    description:
      - Kinds with a namespace to back up.
    type: list
    elements: str
  excluded_namespace_scoped_resources:
    description:
      - Kinds with a namespace to leave out.
    type: list
    elements: str
  label_selector:
    description:
      - Only objects that match, as Kubernetes writes it, with C(matchLabels) and C(matchExpressions).
    type: dict
  or_label_selectors:
    description:
      - Only objects that match at least one of these. Not together with C(label_selector).
    type: list
    elements: dict
  ttl:
    description:
      - How long to keep the backup, such as V(168h). Without it the server's default, 720 hours unless set otherwise.
    type: str
  storage_location:
    description:
      - Name of the C(BackupStorageLocation); without it the server's default one.
    type: str
  volume_snapshot_locations:
    description:
      - Names of the C(VolumeSnapshotLocation) objects, at most one for each provider.
    type: list
    elements: str
  snapshot_volumes:
    description:
      - Whether to take snapshots of volumes; without it, where a provider is set up for them.
    type: bool
  snapshot_move_data:
    description:
      - Whether to move the data of snapshots into the storage location.
    type: bool
  default_volumes_to_fs_backup:
    description:
      - Whether to back up the files of all pod volumes.
    type: bool
  csi_snapshot_timeout:
    description:
      - How long the server waits for a CSI snapshot, such as V(10m); that is also its default.
    type: str
  item_operation_timeout:
    description:
      - How long the server waits for operations of plug-ins, such as V(4h); that is also its default.
    type: str
  ordered_resources:
    description:
      - Objects to back up before the others of their kind, by plural kind, such as V(pods); each a list of
        C(namespace/name), in this order.
    type: dict
  hooks:
    description:
      - Commands to run in containers before and after their pod is backed up.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the hook, for messages.
        type: str
        required: true
      included_namespaces:
        description: Namespaces it is for; nothing is all of them.
        type: list
        elements: str
      excluded_namespaces:
        description: Namespaces it is not for.
        type: list
        elements: str
      included_resources:
        description: Kinds it is for; the server knows V(pods) only.
        type: list
        elements: str
      excluded_resources:
        description: Kinds it is not for.
        type: list
        elements: str
      label_selector:
        description: Only pods that match, as Kubernetes writes it.
        type: dict
      pre: &commands
        description: Commands, in this order.
        type: list
        elements: dict
        suboptions:
          container:
            description: The container; without it the pod's first one.
            type: str
          command:
            description: The command and its arguments. No shell is between.
            type: list
            elements: str
            required: true
          on_error:
            description: Whether the backup goes on when the command fails; without it, the server lets it V(Fail).
            type: str
            choices: [Continue, Fail]
          timeout:
            description: Longest time it may take, such as V(30s), which is also the server's default.
            type: str
      post: *commands
  resource_policy:
    description:
      - Name of a ConfigMap in the server's namespace with one resource policy, which says what to do with volumes.
    type: str
  datamover:
    description:
      - The data mover for snapshots, where their data is moved; without it Velero's own.
    type: str
  parallel_files_upload:
    description:
      - How many files of a volume are uploaded at a time; without it, what the server takes for right.
    type: int
  volume_group_snapshot_label_key:
    description:
      - Label by which volumes are snapshot together; without it V(velero.io/volume-group).
    type: str
"""

    SCHEDULES = r"""
options:
  schedules:
    description:
      - The schedules. Those that are not in the list are not touched.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the schedule, a DNS subdomain of up to 253 characters. Its backups' names begin with it.
        type: str
        required: true
      state:
        description:
          - Whether the schedule is there. The backups of one that is removed stay.
        type: str
        choices: [present, absent]
        default: present
      cron:
        description:
          - When it runs, as five fields such as V(0 2 * * *), as V(@daily) and the like, or as V(@every 6h). Sunday is
            V(0). Needed for a new schedule.
        type: str
      time_zone:
        description:
          - Time zone of O(schedules[].cron), such as V(Europe/Berlin); without it the server's, normally UTC.
        type: str
      rpo:
        description:
          - The longest time that may pass between two runs, such as V(24h). A O(schedules[].cron) that leaves more is
            refused. It is not part of the schedule's object.
        type: str
      paused:
        description: Whether it makes no backups for now. Without it, what it was; a new one is not paused.
        type: bool
      use_owner_references:
        description:
          - Whether the C(Backup) objects are removed with the schedule. Their files stay, and bring them back.
        type: bool
      skip_immediately:
        description:
          - Whether a new schedule lets its first run pass when that is due at once. Only a new one gets it and it is
            never compared, as the server takes it back when it was used.
        type: bool
      labels:
        description: Labels of the C(Schedule) object. Other labels are left alone.
        type: dict
        default: {}
      backup_labels:
        description:
          - Labels of its backups, instead of the schedule's own. Labels that are not listed are removed.
        type: dict
      template:
        description:
          - What its backups contain. What is not given is not compared; an empty list, dictionary or text says that
            it should not be there. A change takes effect at the next run.
        type: dict
        suboptions:
"""


# A schedule's template has the same options; ansible-test reads only plain strings inside the class.
ModuleDocFragment.SCHEDULES += textwrap.indent(ModuleDocFragment.CONTENTS.removeprefix("\noptions:\n"), " " * 8)

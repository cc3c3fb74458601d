# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Classes of priority and of storage."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.dcm.platform.plugins.module_utils.cluster_baseline.entries import (
    Object,
    Table,
    check_keys,
    check_one_default,
    manifest,
)

PRIORITY_KEYS = ("default", "description", "preemption", "value")
STORAGE_KEYS = (
    "allow_expansion",
    "binding_mode",
    "default",
    "mount_options",
    "parameters",
    "provisioner",
    "reclaim_policy",
)
DEFAULT_STORAGE = "storageclass.kubernetes.io/is-default-class"


def priority_classes(table: Table) -> Iterator[Object]:
    """Raises :class:`InputError` for unknown keys, and when more than one is the default."""
    check_one_default("cluster_baseline_priority_classes", table)
    for name, entry in table.items():
        check_keys(f"cluster_baseline_priority_classes.{name}", entry, PRIORITY_KEYS, required=("value",))
        yield manifest(
            "scheduling.k8s.io/v1",
            "PriorityClass",
            name,
            value=entry["value"],
            description=entry.get("description", ""),
            globalDefault=bool(entry.get("default")),
            preemptionPolicy=entry.get("preemption", "PreemptLowerPriority"),
        )


def storage_classes(table: Table) -> Iterator[Object]:
    """Raises :class:`InputError` for unknown keys, and when more than one is the default."""
    check_one_default("cluster_baseline_storage_classes", table)
    for name, entry in table.items():
        check_keys(f"cluster_baseline_storage_classes.{name}", entry, STORAGE_KEYS, required=("provisioner",))
        parameters = {key: str(value) for key, value in (entry.get("parameters") or {}).items()}
        options: Object = {"parameters": parameters, "mountOptions": entry.get("mount_options")}
        yield manifest(
            "storage.k8s.io/v1",
            "StorageClass",
            name,
            annotations={DEFAULT_STORAGE: "true" if entry.get("default") else "false"},
            provisioner=entry["provisioner"],
            reclaimPolicy=entry.get("reclaim_policy", "Delete"),
            volumeBindingMode=entry.get("binding_mode", "WaitForFirstConsumer"),
            allowVolumeExpansion=entry.get("allow_expansion", True),
            **{key: value for key, value in options.items() if value},
        )

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a backup contains: the options, the spec they make, and how a stored spec is compared with it.

The server writes into the spec of a backup: defaults, what it always leaves out, durations in its own notation. So only
what the user gave is compared, and each option says how.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.velero.durations import parse_duration

Compare = Callable[[Any, Any], bool]

LIST = {"type": "list", "elements": "str"}
FLAG = {"type": "bool"}
TEXT = {"type": "str"}


def equal(wanted: Any, stored: Any) -> bool:
    """The same value."""
    return bool(wanted == stored)


def same_members(wanted: list[str], stored: list[str] | None) -> bool:
    """The same items in any order."""
    return set(wanted) == set(stored or [])


def superset(wanted: list[str], stored: list[str] | None) -> bool:
    """All that was asked for; the server adds what it always leaves out."""
    return set(wanted) <= set(stored or [])


def same_duration(wanted: str, stored: str | None) -> bool:
    """The same length of time, however it is written."""
    return stored is not None and parse_duration(wanted) == parse_duration(stored)


@dataclass(frozen=True)
class Field:
    """An option of the module and the key of the spec that it sets."""

    option: str
    key: str
    argument: Mapping[str, Any]
    agrees: Compare


FIELDS = (
    Field("included_namespaces", "includedNamespaces", LIST, same_members),
    Field("excluded_namespaces", "excludedNamespaces", LIST, superset),
    Field("included_resources", "includedResources", LIST, same_members),
    Field("excluded_resources", "excludedResources", LIST, superset),
    Field("include_cluster_resources", "includeClusterResources", FLAG, equal),
    Field("included_cluster_scoped_resources", "includedClusterScopedResources", LIST, same_members),
    Field("excluded_cluster_scoped_resources", "excludedClusterScopedResources", LIST, superset),
    Field("included_namespace_scoped_resources", "includedNamespaceScopedResources", LIST, same_members),
    Field("excluded_namespace_scoped_resources", "excludedNamespaceScopedResources", LIST, superset),
    Field("label_selector", "labelSelector", {"type": "dict"}, equal),
    Field("or_label_selectors", "orLabelSelectors", {"type": "list", "elements": "dict"}, equal),
    Field("ttl", "ttl", TEXT, same_duration),
    Field("storage_location", "storageLocation", TEXT, equal),
    Field("volume_snapshot_locations", "volumeSnapshotLocations", LIST, same_members),
    Field("snapshot_volumes", "snapshotVolumes", FLAG, equal),
    Field("snapshot_move_data", "snapshotMoveData", FLAG, equal),
    Field("default_volumes_to_fs_backup", "defaultVolumesToFsBackup", FLAG, equal),
    Field("csi_snapshot_timeout", "csiSnapshotTimeout", TEXT, same_duration),
    Field("item_operation_timeout", "itemOperationTimeout", TEXT, same_duration),
)

# Velero refuses a backup that uses both.
OLD_FILTERS = ("included_resources", "excluded_resources", "include_cluster_resources")
NEW_FILTERS = (
    "included_cluster_scoped_resources",
    "excluded_cluster_scoped_resources",
    "included_namespace_scoped_resources",
    "excluded_namespace_scoped_resources",
)

BACKUP_SPEC_ARGUMENTS = Arguments(
    {field.option: field.argument for field in FIELDS},
    mutually_exclusive=(("label_selector", "or_label_selectors"), *itertools.product(OLD_FILTERS, NEW_FILTERS)),
)


def backup_spec(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The spec of the options that were given; an empty list or dictionary says nothing.

    Raises :class:`InputError` for a duration that is none.
    """
    spec = {}
    for field in FIELDS:
        value = parameters[field.option]
        if value in (None, [], {}):
            continue
        if field.agrees is same_duration:
            checked_duration(field.option, value)
        spec[field.key] = value
    return spec


def checked_duration(option: str, text: str) -> timedelta:
    """The option's value as a length of time. Raises :class:`InputError`, naming the option."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise InputError(f"{option}: {error}.") from error


def differences(wanted: Mapping[str, Any], stored: Mapping[str, Any]) -> list[str]:
    """The keys of ``wanted`` whose stored value is another one."""
    return [
        field.key
        for field in FIELDS
        if field.key in wanted and not field.agrees(wanted[field.key], stored.get(field.key))
    ]

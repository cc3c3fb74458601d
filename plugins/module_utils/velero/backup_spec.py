# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a backup contains: the options, the spec they make, and how a stored spec is compared with it.

The server writes into the spec of a backup: defaults, what it always leaves out, durations in its own notation. So only
what the user gave is compared, and each option says how.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.velero.durations import parse_duration
from ansible_collections.dcm.platform.plugins.module_utils.velero.tree import NOTHING, Leaf, equal

Compare = Callable[[Any, Any], bool]

LIST = {"type": "list", "elements": "str"}
FLAG = {"type": "bool"}
TEXT = {"type": "str"}
MAP = {"type": "dict"}

HOOK = {
    "type": "list",
    "elements": "dict",
    "options": {
        "container": TEXT,
        "command": {**LIST, "required": True},
        "on_error": {"type": "str", "choices": ["Continue", "Fail"]},
        "timeout": TEXT,
    },
}
HOOKS = {
    "type": "list",
    "elements": "dict",
    "options": {
        "name": {"type": "str", "required": True},
        "included_namespaces": LIST,
        "excluded_namespaces": LIST,
        "included_resources": LIST,
        "excluded_resources": LIST,
        "label_selector": MAP,
        "pre": HOOK,
        "post": HOOK,
    },
}
AS_WRITTEN = ("labelSelector",)  # dictionaries whose keys are the user's own


def same_members(wanted: list[str], stored: list[str] | None) -> bool:
    """The same items in any order."""
    return set(wanted) == set(stored or [])


def superset(wanted: list[str], stored: list[str] | None) -> bool:
    """All that was asked for; the server adds what it always leaves out."""
    return set(wanted) <= set(stored or [])


def same_duration(wanted: str, stored: str | None) -> bool:
    """The same length of time, however it is written."""
    return stored is not None and parse_duration(wanted) == parse_duration(stored)


def same_hooks(wanted: Any, stored: Any) -> bool:
    """What was given of each hook, in this order; the server may add to it and writes durations in its own way."""
    if isinstance(wanted, Mapping):
        twin = stored if isinstance(stored, Mapping) else {}
        return all(
            same_duration(value, twin.get(key)) if key == "timeout" else same_hooks(value, twin.get(key))
            for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        twins = stored or []
        return len(wanted) == len(twins) and all(map(same_hooks, wanted, twins))
    return equal(wanted, stored)


def camel_case(value: Any) -> Any:
    """Suboptions as the API spells them, without those that were not given."""
    if isinstance(value, list):
        return [camel_case(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    return {
        (name := _camel_key(key)): item if name in AS_WRITTEN else camel_case(item)
        for key, item in value.items()
        if item is not None
    }


def _camel_key(option: str) -> str:
    first, *rest = option.split("_")
    return first + "".join(map(str.capitalize, rest))


def hooks_spec(hooks: list[dict[str, Any]]) -> dict[str, Any]:
    """``spec.hooks`` of the option. Raises :class:`InputError` for a timeout that is none."""
    resources = []
    for hook in hooks:
        for action in (*(hook["pre"] or ()), *(hook["post"] or ())):
            if action["timeout"] is not None:
                checked_duration(f"timeout of the hook {hook['name']}", action["timeout"])
        phases = {when: [{"exec": action} for action in hook[when]] for when in ("pre", "post") if hook[when]}
        resources.append(camel_case({**hook, "pre": None, "post": None, **phases}))
    return {"resources": resources}


def policy_spec(config_map: str) -> dict[str, str]:
    """A reference to the ConfigMap that holds the policy."""
    return {"kind": "configmap", "name": config_map}


def ordered_spec(order: Mapping[str, Any]) -> dict[str, str]:
    """Names by kind, as the API joins them."""
    return {kind: names if isinstance(names, str) else ",".join(map(str, names)) for kind, names in order.items()}


def uploader_spec(parallel: int) -> dict[str, int]:
    """How many files go at a time."""
    return {"parallelFilesUpload": parallel}


def as_given(value: Any) -> Any:
    """The option's value is the key's."""
    return value


@dataclass(frozen=True)
class Field:
    """An option of the module and the key of the spec that it sets, to what ``encode`` makes of it."""

    option: str
    key: str
    argument: Mapping[str, Any]
    agrees: Compare
    encode: Callable[[Any], Any] = as_given


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
    Field("ordered_resources", "orderedResources", MAP, equal, ordered_spec),
    Field("hooks", "hooks", HOOKS, same_hooks, hooks_spec),
    Field("resource_policy", "resourcePolicy", TEXT, equal, policy_spec),
    Field("datamover", "datamover", TEXT, equal),
    Field("parallel_files_upload", "uploaderConfig", {"type": "int"}, equal, uploader_spec),
    Field("volume_group_snapshot_label_key", "volumeGroupSnapshotLabelKey", {**TEXT, "no_log": False}, equal),
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


def backup_spec(parameters: Mapping[str, Any], fields: Sequence[Field] = FIELDS) -> dict[str, Any]:
    """The spec of the options that were given; an empty list or dictionary says nothing.

    Raises :class:`InputError` for a duration that is none.
    """
    spec = {}
    for field in fields:
        value = parameters[field.option]
        if value in NOTHING:
            continue
        spec[field.key] = _encoded(field, value)
    return spec


def template_spec(parameters: Mapping[str, Any]) -> dict[str, Leaf]:
    """The template of a schedule, in which the server adds nothing; what is given empty should not be there.

    Raises :class:`InputError` for a duration that is none.
    """
    return {
        field.key: Leaf(
            _encoded(field, value) if value not in NOTHING else None,
            same_members if field.agrees is superset else field.agrees,
        )
        for field in FIELDS
        if (value := parameters[field.option]) is not None
    }


def _encoded(field: Field, value: Any) -> Any:
    if field.agrees is same_duration:
        checked_duration(field.option, value)
    return field.encode(value)


def checked_duration(option: str, text: str) -> timedelta:
    """The option's value as a length of time. Raises :class:`InputError`, naming the option."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise InputError(f"{option}: {error}.") from error


def differences(wanted: Mapping[str, Any], stored: Mapping[str, Any], fields: Sequence[Field] = FIELDS) -> list[str]:
    """The keys of ``wanted`` whose stored value is another one."""
    return [
        field.key
        for field in fields
        if wanted.get(field.key) not in NOTHING and not field.agrees(wanted[field.key], stored.get(field.key))
    ]

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manifests as data: what they are called, in which order they are applied, and how two states of an object differ."""

from __future__ import annotations

import base64
import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Secret
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.client import Object, Resource

OWNER = "dcm.io/owner"  # the label that says which list an object is of
DEFINITION = "CustomResourceDefinition"
NAMESPACE = "Namespace"

# With these go data or other people's objects: to delete one is left to people.
NEVER_PRUNED = frozenset({DEFINITION, NAMESPACE, "PersistentVolume", "PersistentVolumeClaim"})

# Applied one group after another; what is in none comes last. Others are governed by these, or refer to them.
ORDER: tuple[frozenset[str], ...] = (
    frozenset({DEFINITION}),
    frozenset({NAMESPACE}),
    frozenset({"PriorityClass", "StorageClass", "ResourceQuota", "LimitRange", "NetworkPolicy", "IngressClass"}),
    frozenset({"ServiceAccount", "Secret", "ConfigMap", "ClusterRole", "Role", "AppProject"}),
)

# What the server keeps for itself; it differs between any two states.
_KEPT_BY_SERVER = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid")
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


class Identity(NamedTuple):
    """Which object of a cluster; ``namespace`` is empty for one that is in none."""

    api_version: str
    kind: str
    namespace: str
    name: str

    @property
    def shown(self) -> str:
        """The object as people name it within its kind."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    def __str__(self) -> str:
        return f"{self.kind} {self.shown}"


def identity(manifest: Mapping[str, Any]) -> Identity:
    """Raises :class:`InputError` for a manifest that does not say which object it is of."""
    metadata = manifest.get("metadata")
    values = (manifest.get("apiVersion"), manifest.get("kind"), (metadata or {}).get("name"))
    if not all(isinstance(value, str) and value for value in values):
        raise InputError(
            f"objects: {values[1] or 'an object'} {values[2] or 'without a name'} is not a manifest.",
            hint="Each needs the texts apiVersion, kind and metadata.name.",
        )
    api_version, kind, name = (str(value) for value in values)
    return Identity(api_version, kind, str((metadata or {}).get("namespace") or ""), name)


def prepared(manifests: Iterable[Mapping[str, Any]], owner: str | None) -> dict[Identity, Object]:
    """The manifests as they are sent, marked as the owner's.

    Raises :class:`InputError` for what is no manifest, and for two of the same object.
    """
    wanted: dict[Identity, Object] = {}
    for manifest in manifests:
        key = identity(manifest)
        if key in wanted:
            raise InputError(f"objects: {key} ({key.api_version}) is given twice.")
        body = copy.deepcopy(dict(manifest))
        if owner:
            body["metadata"]["labels"] = {**(body["metadata"].get("labels") or {}), OWNER: owner}
        wanted[key] = body
    return wanted


def secret_manifest(options: Mapping[str, Any]) -> Object:
    """A Secret from an item of the module's ``secrets``."""
    plain = {**(options["string_data"] or {}), **(options["secret_data"] or {})}
    metadata = {name: options[name] for name in ("name", "namespace", "labels", "annotations") if options[name]}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": options["type"],
        "data": {name: base64.b64encode(str(value).encode()).decode() for name, value in plain.items()},
    }


def refuse_secrets(manifests: Iterable[Mapping[str, Any]]) -> None:
    """Raise :class:`InputError` for a Secret with values: as a manifest it would be shown and logged."""
    for manifest in manifests:
        if manifest.get("kind") == "Secret" and (manifest.get("data") or manifest.get("stringData")):
            raise InputError(
                f"objects: {identity(manifest)} has values, which Ansible would show and log.",
                hint="Give it in secrets instead.",
            )


def rank(key: Identity) -> int:
    """The place of an object's kind in :data:`ORDER`."""
    return next((place for place, kinds in enumerate(ORDER) if key.kind in kinds), len(ORDER))


def defined(definition: Mapping[str, Any]) -> dict[tuple[str, str], tuple[Resource, bool]]:
    """The kinds that a CustomResourceDefinition brings, by apiVersion and kind, and whether they are in namespaces."""
    spec = definition["spec"]
    names, namespaced = spec["names"], spec.get("scope") == "Namespaced"
    versions = [version["name"] for version in spec["versions"] if version.get("served", True)]
    return {
        (f"{spec['group']}/{version}", names["kind"]): (
            Resource(spec["group"], version, names["plural"], names["kind"]),
            namespaced,
        )
        for version in versions
    }


def shown(item: Mapping[str, Any]) -> Object:
    """An object as it is compared and shown: without the server's own notes, a Secret's values only by name."""
    metadata = {key: value for key, value in item.get("metadata", {}).items() if key not in _KEPT_BY_SERVER}
    annotations = {key: value for key, value in metadata.get("annotations", {}).items() if key != _LAST_APPLIED}
    metadata.pop("annotations", None)
    if annotations:
        metadata["annotations"] = annotations
    rest = {key: value for key, value in item.items() if key not in ("metadata", "status", "apiVersion", "kind")}
    if item.get("kind") == "Secret":
        rest["data"] = {name: Secret(value) for name, value in (rest.get("data") or {}).items()}
    return {"metadata": metadata, **rest}


def differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Object, Object]:
    """Of two states only what differs: of mappings the keys, of lists of the same length the items that do."""
    left: Object = {}
    right: Object = {}
    for key in [*before, *(key for key in after if key not in before)]:
        if key not in after:
            left[key] = before[key]
        elif key not in before:
            right[key] = after[key]
        elif before[key] != after[key]:
            left[key], right[key] = _narrowed(before[key], after[key])
    return left, right


def _narrowed(before: Any, after: Any) -> tuple[Any, Any]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return differing(before, after)
    if _alike(before) and _alike(after) and len(before) == len(after):
        pairs = [_named(one, differing(one, other)) for one, other in zip(before, after, strict=True) if one != other]
        return [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    return before, after


def _alike(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(v, Mapping) for v in value)


def _named(item: Mapping[str, Any], pair: tuple[Object, Object]) -> tuple[Object, Object]:
    """A container, say, that differs is told from the others by its name."""
    name = {"name": item["name"]} if "name" in item else {}
    return {**name, **pair[0]}, {**name, **pair[1]}


def ours(item: Mapping[str, Any], manager: str) -> bool:
    """Whether an object was applied by ``manager`` and belongs to no other object, whose labels it may have got."""
    metadata = item["metadata"]
    applied = any(
        entry.get("manager") == manager and entry.get("operation") == "Apply"
        for entry in metadata.get("managedFields", ())
    )
    return applied and not metadata.get("ownerReferences")

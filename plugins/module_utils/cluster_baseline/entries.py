# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Entries of the tables of a cluster, checked, and the manifests that they become."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError

Object = dict[str, Any]
Table = Mapping[str, Mapping[str, Any]]

MANAGED_BY = {"app.kubernetes.io/managed-by": "dcm.platform"}


def manifest(
    api_version: str, kind: str, name: str, namespace: str = "", annotations: Object | None = None, **content: Any
) -> Object:
    """A manifest, with the label that all objects of the role carry."""
    metadata: Object = {"name": name, "labels": dict(MANAGED_BY)}
    if namespace:
        metadata["namespace"] = namespace
    if annotations:
        metadata["annotations"] = annotations
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **content}


def as_list(value: Any) -> list[Any]:
    """One thing, several or none, as a list."""
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def present(values: Mapping[str, Any]) -> Object:
    """What is not null; null in a later table takes out what an earlier one names."""
    return {key: value for key, value in values.items() if value is not None}


def check_keys(where: str, entry: Any, known: Iterable[str], what: str = "key", required: Iterable[str] = ()) -> None:
    """Raises :class:`InputError` for a key that nobody reads, and for a required one that is not there."""
    if not isinstance(entry, Mapping):
        raise InputError(f"{where} is no dictionary.")
    names = list(known)
    unknown = [str(key) for key in entry if key not in names]
    if unknown:
        raise InputError(f"{where} names an unknown {what}: {', '.join(unknown)}.", hint=f"Known: {', '.join(names)}.")
    missing = [key for key in required if entry.get(key) is None]
    if missing:
        raise InputError(f"{where} is not complete: {', '.join(missing)} is missing.")


def check_one_default(what: str, table: Table) -> None:
    """Raises :class:`InputError` when more than one entry says that it is the default."""
    defaults = sorted(name for name, entry in table.items() if entry.get("default"))
    if len(defaults) > 1:
        raise InputError(f"{what}: {', '.join(defaults)} are all the default.", hint="A cluster has one at most.")

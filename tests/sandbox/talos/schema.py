# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Talos's own schema of machine configurations, where it is at hand: it is not part of the collection."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]

SCHEMA = Path(
    os.environ.get("DCM_TALOS_SCHEMA") or Path(__file__).resolve().parents[4] / "shared/data/talos-config.schema.json"
)
# Fields of configurations of 1.13 that Talos 1.14, whose schema it is, still reads but does not list any more.
NOT_LISTED = {
    "machine": ("install", "kubelet", "network", "nodeLabels", "nodeTaints", "sysctls"),
    "machine.features": ("hostDNS", "kubePrism"),
    "": ("persist",),
    "cluster": (
        "aescbcEncryptionSecret",
        "aggregatorCA",
        "allowSchedulingOnControlPlanes",
        "apiServer",
        "ca",
        "clusterName",
        "controlPlane",
        "controllerManager",
        "discovery",
        "id",
        "network",
        "proxy",
        "scheduler",
        "secret",
        "secretboxEncryptionSecret",
        "serviceAccount",
    ),
}
NAMED_WRONG = {"UnattendedInstallConfig": "UnattendedInstall"}  # what Talos calls it: what the schema does


def problems(documents: Iterable[dict[str, Any]]) -> list[str]:
    """What the schema has against the documents, each with its place; nothing where there is no schema."""
    if not SCHEMA.exists():
        return []
    return [problem for document in documents for problem in _problems(document)]


def _problems(document: dict[str, Any]) -> Iterable[str]:
    kind = document.get("kind", "v1alpha1")
    kind = NAMED_WRONG.get(kind, kind)
    known = {**document, "kind": kind} if "kind" in document else _listed(document)
    for error in _validator(kind).iter_errors(known):
        worst = jsonschema.exceptions.best_match([error])
        yield f"{'.'.join(map(str, (kind, *worst.absolute_path)))}: {worst.message}"


@functools.cache
def _schema() -> Any:
    return json.loads(SCHEMA.read_text())


@functools.cache
def _validator(kind: str) -> Any:
    schema = _schema()
    names = {
        kind: name
        for name, definition in schema["$defs"].items()
        for kind in definition.get("properties", {}).get("kind", {}).get("enum", ())
    }
    reference = {"$ref": f"#/$defs/{names.get(kind, 'v1alpha1.Config')}"}
    return jsonschema.Draft202012Validator({**schema, "oneOf": [reference]})


def _listed(legacy: dict[str, Any]) -> dict[str, Any]:
    known: dict[str, Any] = json.loads(json.dumps(legacy, default=str))
    for place, names in NOT_LISTED.items():
        parent = known
        for part in filter(None, place.split(".")):
            parent = parent.get(part) or {}
        for name in names:
            parent.pop(name, None)
    return known

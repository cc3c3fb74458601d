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

import pytest

SCHEMA = Path(
    os.environ.get("DCM_TALOS_SCHEMA") or Path(__file__).resolve().parents[5] / "shared/data/talos-config.schema.json"
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


@functools.cache
def _schema() -> Any:
    if not SCHEMA.exists():
        pytest.skip("Talos's configuration schema is not here: set DCM_TALOS_SCHEMA to it")
    return json.loads(SCHEMA.read_text())


def validate(documents: Iterable[dict[str, Any]]) -> None:
    """Raise unless every document is one that Talos knows, with fields that it knows; skip the test without schema."""
    jsonschema, schema = pytest.importorskip("jsonschema"), _schema()
    by_kind = {
        kind: {"$ref": f"#/$defs/{name}"}
        for name, definition in schema["$defs"].items()
        for kind in definition.get("properties", {}).get("kind", {}).get("enum", ())
    }
    by_kind["UnattendedInstallConfig"] = by_kind.pop("UnattendedInstall")  # where the schema has the name wrong
    by_kind["v1alpha1"] = {"$ref": "#/$defs/v1alpha1.Config"}
    for document in documents:
        kind = document.get("kind", "v1alpha1")
        known = dict(document)
        if kind == "v1alpha1":
            known = _listed(document)
        elif kind == "UnattendedInstallConfig":
            known["kind"] = "UnattendedInstall"
        jsonschema.Draft202012Validator({**schema, "oneOf": [by_kind[kind]]}).validate(known)


def _listed(legacy: dict[str, Any]) -> dict[str, Any]:
    known: dict[str, Any] = json.loads(json.dumps(legacy))
    for place, names in NOT_LISTED.items():
        parent = known
        for part in filter(None, place.split(".")):
            parent = parent[part]
        for name in names:
            parent.pop(name, None)
    return known

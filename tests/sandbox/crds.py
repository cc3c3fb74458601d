# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Vendors' CustomResourceDefinitions: found on the machine, never copied into the repository, applied to a cluster.

One file a vendor, in the directory of ``DCM_CRD_DIRECTORY`` or in ``../shared/data/crds`` beside the checkout. Without
it permissive placeholders of the same names serve: they accept every field and know no defaults.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml
from kubernetes.client.exceptions import ApiException

from tests.sandbox.cluster import Cluster, Object, Resource
from tests.sandbox.service import LabError
from tests.waiting import eventually

BESIDE_CHECKOUT = Path(__file__).resolve().parents[3] / "shared" / "data" / "crds"
DEFINITIONS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", False)
SERVED_WITHIN = 30.0


@dataclass(frozen=True)
class Placeholder:
    """A kind of a vendor, for the machine that lacks the vendor's file. ``status``: it has a status subresource."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    status: bool = True


def directory() -> Path | None:
    """Where the vendors' files are. Raises :class:`LabError` when the variable names no directory."""
    given = os.environ.get("DCM_CRD_DIRECTORY")
    if given and not Path(given).is_dir():
        raise LabError(f"DCM_CRD_DIRECTORY={given} is no directory")
    found = Path(given) if given else BESIDE_CHECKOUT
    return found if found.is_dir() else None


def load(vendor: str, placeholders: Iterable[Placeholder]) -> tuple[list[Object], str]:
    """The definitions of ``<vendor>.yaml``, and a line that says where they are from."""
    where = directory()
    file = where / f"{vendor}.yaml" if where else None
    if file is None or not file.is_file():
        made = [_definition(placeholder) for placeholder in placeholders]
        return made, f"{vendor}: permissive placeholders, as DCM_CRD_DIRECTORY holds no {vendor}.yaml"
    return _read(file), f"{vendor}: real definitions from {file}"


@functools.cache
def _read(file: Path) -> list[Object]:
    with file.open() as stream:
        return [document for document in yaml.load_all(stream, Loader=yaml.CSafeLoader) if document]


def create(cluster: Cluster, definitions: Iterable[Object]) -> None:
    """Create what the server does not serve yet, and wait until it does. Raises :class:`LabError` if it does not."""

    wanted = {definition["metadata"]["name"]: definition for definition in definitions}
    for name in not_served(cluster, wanted):
        try:
            cluster.create(DEFINITIONS.path(), wanted[name])
        except ApiException as error:
            if error.status != 409:  # there, and about to be served
                raise
    eventually(
        lambda: not not_served(cluster, wanted),
        f"served: {', '.join(wanted)}",
        within=SERVED_WITHIN,
        error=LabError,
    )


def not_served(cluster: Cluster, names: Iterable[str]) -> list[str]:
    """Those of the definitions whose kinds the server does not offer: it takes a moment after they are established."""
    served = {str(resource) for resource in cluster.resources()}
    return [name for name in names if name not in served]


def _definition(kind: Placeholder) -> Object:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version: Object = {
        "name": kind.version,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
    }
    if kind.status:
        version["subresources"] = {"status": {}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{kind.group}"},
        "spec": {
            "group": kind.group,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "names": {"kind": kind.kind, "plural": kind.plural, "singular": kind.kind.lower()},
            "versions": [version],
        },
    }

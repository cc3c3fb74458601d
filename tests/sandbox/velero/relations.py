# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which objects a backup takes along because another object needs them, though no filter names them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tests.sandbox.cluster import Object
from tests.sandbox.velero.archive import Key

DEFINITIONS = "customresourcedefinitions.apiextensions.k8s.io"
BINDINGS = "clusterrolebindings.rbac.authorization.k8s.io"
ROLES = "clusterroles.rbac.authorization.k8s.io"


def needed_by(key: Key, item: Object) -> Iterator[Key]:
    """What an object names: a pod its claims and priority class, a claim its volume, an ingress its class, a custom
    resource its definition (which is one only if the API has it)."""
    spec = item.get("spec") or {}
    match key.resource:
        case "pods":
            for volume in spec.get("volumes") or ():
                if "persistentVolumeClaim" in volume:
                    yield Key("persistentvolumeclaims", key.namespace, volume["persistentVolumeClaim"]["claimName"])
            if spec.get("priorityClassName"):
                yield Key("priorityclasses.scheduling.k8s.io", "", spec["priorityClassName"])
        case "persistentvolumeclaims" if spec.get("volumeName"):
            yield Key("persistentvolumes", "", spec["volumeName"])
        case "ingresses.networking.k8s.io" if spec.get("ingressClassName"):
            yield Key("ingressclasses.networking.k8s.io", "", spec["ingressClassName"])
        case resource if "." in resource.partition(".")[2]:
            yield Key(DEFINITIONS, "", resource)


def bindings_of(account: Key, bindings: Iterable[Object]) -> Iterator[Key]:
    """The ClusterRoleBindings of a ServiceAccount, and their ClusterRoles."""
    for binding in bindings:
        subjects = binding.get("subjects") or ()
        if any(_is(subject, account) for subject in subjects):
            yield Key(BINDINGS, "", binding["metadata"]["name"])
            yield Key(ROLES, "", binding["roleRef"]["name"])


def _is(subject: Object, account: Key) -> bool:
    return (subject["kind"], subject.get("namespace"), subject["name"]) == (
        "ServiceAccount",
        account.namespace,
        account.name,
    )

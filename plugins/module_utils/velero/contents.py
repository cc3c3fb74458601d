# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a backup holds, object by object, and how it is compared with what a restore made of it."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import RefusedError
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.client import Resource
from ansible_collections.dcm.platform.plugins.module_utils.velero.resources import (
    BACKUP_NAME_LABEL,
    RESTORE_NAME_LABEL,
    ROOT_CERTIFICATES,
)

Object = Mapping[str, Any]

# Velero restores none of these, or only into the cluster that they come from.
NEVER_RESTORED = (
    "nodes",
    "events",
    "events.events.k8s.io",
    "backups.velero.io",
    "restores.velero.io",
    "resticrepositories.velero.io",
    "csinodes.storage.k8s.io",
    "volumeattachments.storage.k8s.io",
    "backuprepositories.velero.io",
)
# Their controllers make them anew, and keep writing them.
LIVE = ("endpoints", "endpointslices.discovery.k8s.io", "leases.coordination.k8s.io")
OF_ACCOUNTS = "kubernetes.io/service-account-token"  # type of Secrets that the cluster fills
LABELS_OF_RESTORES = (BACKUP_NAME_LABEL, RESTORE_NAME_LABEL)
LABELS_OF_JOBS = ("controller-uid", "batch.kubernetes.io/controller-uid")
ANNOTATIONS_OF_CONTROLLERS = (
    "deployment.kubernetes.io/revision",
    "kubernetes.io/service-account.uid",
    "pv.kubernetes.io/bind-completed",
    "pv.kubernetes.io/bound-by-controller",
)
ADDRESSES = ("clusterIP", "clusterIPs", "healthCheckNodePort")


@dataclass(frozen=True)
class Entry:
    """An object of a backup. ``required``: a restore must bring it. ``digest``: of its content, empty if it has none
    that could be compared."""

    resource: Resource
    namespace: str
    name: str
    required: bool = True
    digest: str = ""

    @property
    def kind(self) -> str:
        """As Velero's own list of resources says it: ``apps/v1/Deployment``."""
        return f"{self.resource.api_version}/{self.resource.kind}"

    def __str__(self) -> str:
        return f"{self.resource.kind} {self.namespace}/{self.name}"


def read(archive: IO[bytes], name: str) -> Iterator[Entry]:
    """The objects of a backup's archive, one after the other. Raises :class:`RefusedError` for a damaged one."""
    try:
        with tarfile.open(fileobj=archive, mode="r|gz") as tar:
            for member in tar:
                place = _place(member.name)
                content = tar.extractfile(member) if place else None
                if place and content:
                    yield _entry(*place, json.load(content))
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise RefusedError(f"The contents of backup {name} are damaged: {error}.") from error


def _place(path: str) -> tuple[str, str, str] | None:
    """Resource, namespace and name of the object at a path, None where something else is. (Velero writes each object
    a second time, below the version of its API; those paths are longer.)"""
    match path.removesuffix(".json").split("/"):
        case ["resources", resource, "namespaces", namespace, name]:
            return resource, namespace, name
        case ["resources", resource, "cluster", name]:
            return resource, "", name
    return None


def _entry(resource: str, namespace: str, name: str, item: Object) -> Entry:
    plural, _dot, group = resource.partition(".")
    version = item["apiVersion"].rpartition("/")[2]
    return Entry(
        resource=Resource(group, version, plural, item["kind"]),
        namespace=namespace,
        name=name,
        required=not (resource in LIVE or _has_controller(item) or _has_ended(item)),
        digest="" if name == ROOT_CERTIFICATES else digest(resource, item),
    )


def _has_controller(item: Object) -> bool:
    """Whether another object made it and will make it anew, maybe under another name."""
    return any(owner.get("controller") for owner in item["metadata"].get("ownerReferences") or ())


def _has_ended(item: Object) -> bool:
    """Whether it is a job or pod that is done, which Velero does not restore."""
    status = item.get("status") or {}
    if item["kind"] == "Pod":
        return status.get("phase") in ("Succeeded", "Failed")
    return item["kind"] == "Job" and "completionTime" in status


def digest(resource: str, item: Object, names: Mapping[str, str] | None = None) -> str:
    """SHA-256 of an object without what servers and controllers write. ``names``: what its namespaces are called."""
    content = {key: value for key, value in item.items() if key not in ("apiVersion", "kind", "metadata", "status")}
    match resource:
        case "services":
            content["spec"] = _without_addresses(item.get("spec") or {})
        case "jobs.batch":
            content["spec"] = _without_uids(item.get("spec") or {})
        case "persistentvolumeclaims":
            content["spec"] = _without(item.get("spec") or {}, ("volumeName",))
        case "serviceaccounts":
            content.pop("secrets", None)
        case "secrets" if item.get("type") == OF_ACCOUNTS:
            content.pop("data", None)
        case "rolebindings.rbac.authorization.k8s.io":
            content["subjects"] = [_renamed(subject, names or {}) for subject in item.get("subjects") or ()]
    metadata = item["metadata"]
    content["labels"] = _without(metadata.get("labels") or {}, LABELS_OF_RESTORES + LABELS_OF_JOBS)
    content["annotations"] = _without(metadata.get("annotations") or {}, ANNOTATIONS_OF_CONTROLLERS)
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _without(content: Object, keys: Sequence[str]) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key not in keys}


def _without_addresses(spec: Object) -> dict[str, Any]:
    """The cluster gives addresses and ports anew; a headless service stays headless."""
    headless = {"clusterIP": "None"} if spec.get("clusterIP") == "None" else {}
    ports = [_without(port, ("nodePort",)) for port in spec.get("ports") or ()]
    return {**_without(spec, ADDRESSES), **headless, "ports": ports}


def _without_uids(spec: Object) -> dict[str, Any]:
    """The job's controller selects its pods anew."""
    template = spec.get("template") or {}
    metadata = template.get("metadata") or {}
    labels = _without(metadata.get("labels") or {}, LABELS_OF_JOBS)
    return {**_without(spec, ("selector",)), "template": {**template, "metadata": {**metadata, "labels": labels}}}


def _renamed(subject: Object, names: Mapping[str, str]) -> dict[str, Any]:
    namespace = subject.get("namespace")
    return {**subject, **({"namespace": names.get(namespace, namespace)} if namespace else {})}


def is_named(resource: Resource, names: Collection[str]) -> bool:
    """Whether one of the names stands for the resource: its plural or kind, alone or with its group."""
    own = {resource.plural, resource.kind.lower(), str(resource), f"{resource.kind.lower()}.{resource.group}"}
    return "*" in names or any(name.lower() in own for name in names)


def tree_digest(entries: Sequence[Entry]) -> str:
    """SHA-256 over the contents of all entries, whatever their order."""
    lines = sorted(f"{entry.kind} {entry.namespace}/{entry.name} {entry.digest}" for entry in entries)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()

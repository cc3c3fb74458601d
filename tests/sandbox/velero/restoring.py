# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What becomes of an object on its way from a backup into a cluster. No I/O."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from tests.sandbox.cluster import Object
from tests.sandbox.velero import terms
from tests.sandbox.velero.archive import Key

# What others refer to comes before them; everything else follows by name.
FIRST = (
    "customresourcedefinitions.apiextensions.k8s.io",
    "namespaces",
    "storageclasses.storage.k8s.io",
    "volumesnapshotclasses.snapshot.storage.k8s.io",
    "volumesnapshotcontents.snapshot.storage.k8s.io",
    "volumesnapshots.snapshot.storage.k8s.io",
    "persistentvolumes",
    "persistentvolumeclaims",
    "serviceaccounts",
    "secrets",
    "configmaps",
    "limitranges",
    "priorityclasses.scheduling.k8s.io",
    "pods",
    "replicasets.apps",
    "endpoints",
    "services",
)
SERVER_SET = (
    "generateName",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "ownerReferences",
)
BINDING_ANNOTATIONS = ("pv.kubernetes.io/bind-completed", "pv.kubernetes.io/bound-by-controller")
JOB_LABELS = ("controller-uid", "batch.kubernetes.io/controller-uid")
TOKEN_SECRET = "kubernetes.io/service-account-token"


def ordered(resources: Iterable[str]) -> list[str]:
    """Resources in the order of their restore."""
    return sorted(resources, key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), name))


def skipped(key: Key, item: Object) -> str | None:
    """Why an object is never restored, None when it may be."""
    status, metadata = item.get("status") or {}, item["metadata"]
    match key.resource:
        case "pods" if status.get("phase") in ("Succeeded", "Failed"):
            return "is complete"
        case "pods" if "kubernetes.io/config.mirror" in (metadata.get("annotations") or {}):
            return "is a mirror pod"
        case "jobs.batch" if status.get("completionTime"):
            return "is complete"
        case "apiservices.apiregistration.k8s.io" if "kube-aggregator.kubernetes.io/automanaged" in (
            metadata.get("labels") or {}
        ):
            return "is managed by the API server"
    return None


def stripped(item: Object) -> Object:
    """A copy without what the server sets: most of the metadata, the status."""
    result = {name: copy.deepcopy(value) for name, value in item.items() if name != "status"}
    result["metadata"] = {name: value for name, value in result["metadata"].items() if name not in SERVER_SET}
    return result


def labelled(item: Object, backup: str, restore: str) -> Object:
    """A copy with the labels that tell what a restore brought."""
    labels = {
        **(item["metadata"].get("labels") or {}),
        terms.BACKUP_NAME: terms.label_value(backup),
        terms.RESTORE_NAME: terms.label_value(restore),
    }
    return {**item, "metadata": {**item["metadata"], "labels": labels}}


def prepared(key: Key, item: Object, spec: Mapping[str, Any], provisioned_anew: Collection[str]) -> Object:
    """The object to create, without the restore's labels. ``spec``: of the restore. ``provisioned_anew``: volumes
    that are not restored, as nothing holds their data."""
    result = stripped(item)
    mapping = spec.get("namespaceMapping") or {}
    if key.namespace:
        result["metadata"]["namespace"] = mapping.get(key.namespace, key.namespace)
    match key.resource:
        case "pods":
            for name in ("nodeName", "priority"):
                result["spec"].pop(name, None)
        case "services":
            _release_addresses(result["spec"], bool(spec.get("preserveNodePorts")))
        case "jobs.batch":
            _release_job(result["spec"])
        case "persistentvolumes":
            _unbind(result)
            claim = result["spec"].get("claimRef") or {}
            for name in ("uid", "resourceVersion"):
                claim.pop(name, None)
            if claim:
                claim["namespace"] = mapping.get(claim["namespace"], claim["namespace"])
        case "persistentvolumeclaims":
            _unbind(result)
            if result["spec"].get("volumeName") in provisioned_anew:
                del result["spec"]["volumeName"]
        case "rolebindings.rbac.authorization.k8s.io" | "clusterrolebindings.rbac.authorization.k8s.io":
            for subject in result.get("subjects") or ():
                if subject.get("namespace"):
                    subject["namespace"] = mapping.get(subject["namespace"], subject["namespace"])
        case "serviceaccounts":
            prefix = f"{key.name}-token-"
            kept = [entry for entry in result.pop("secrets", ()) if not entry.get("name", "").startswith(prefix)]
            result |= {"secrets": kept} if kept else {}
        case "secrets" if result.get("type") == TOKEN_SECRET:
            result.pop("data", None)
            (result["metadata"].get("annotations") or {}).pop("kubernetes.io/service-account.uid", None)
    return result


def _release_addresses(service: Object, keep_node_ports: bool) -> None:
    """Let the cluster give addresses and ports anew. A headless service stays headless."""
    if service.get("clusterIP") not in (None, "None"):
        for name in ("clusterIP", "clusterIPs"):
            service.pop(name, None)
    if not keep_node_ports:
        service.pop("healthCheckNodePort", None)
        for port in service.get("ports") or ():
            port.pop("nodePort", None)


def _release_job(job: Object) -> None:
    """Let the controller select the job's pods anew."""
    template = job["template"].get("metadata") or {}
    for labels in ((job.get("selector") or {}).get("matchLabels"), template.get("labels")):
        for name in JOB_LABELS:
            (labels or {}).pop(name, None)


def _unbind(item: Object) -> None:
    for name in BINDING_ANNOTATIONS:
        (item["metadata"].get("annotations") or {}).pop(name, None)


def deletes_volume(volume: Object) -> bool:
    """Whether a PersistentVolume is provisioned anew instead of being restored."""
    return bool((volume.get("spec") or {}).get("persistentVolumeReclaimPolicy") == "Delete")


def merged_account(existing: Object, wanted: Object) -> Object:
    """An existing ServiceAccount with what the backed up one has more."""
    result = copy.deepcopy(existing)
    for name in ("secrets", "imagePullSecrets"):
        known = {entry.get("name") for entry in result.get(name) or ()}
        more = [entry for entry in wanted.get(name) or () if entry.get("name") not in known]
        if more:
            result[name] = [*(result.get(name) or ()), *more]
    for name in ("labels", "annotations"):
        both = {**(wanted["metadata"].get(name) or {}), **(result["metadata"].get(name) or {})}
        if both:
            result["metadata"][name] = both
    return result


def difference(existing: Any, wanted: Any) -> Any:
    """The JSON merge patch that turns one object into the other; empty when they are equal."""
    patch: Object = {name: None for name in existing if name not in wanted}
    for name, value in wanted.items():
        before = existing.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            inner = difference(before, value)
            if inner:
                patch[name] = inner
        elif name not in existing or value != before:
            patch[name] = value
    return patch

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Objects of twelve kinds to back up, and what is left of them afterwards, read without the collection."""

from __future__ import annotations

import json

from tests.sandbox.cluster import Cluster, Object, Resource
from tests.sandbox.velero import terms
from tests.sandbox.velero.filters import resolver

CONTENTS: dict[str, tuple[int, Object]] = {
    "configmaps": (40, {"data": {"k": "v" * 200}, "metadata": {"labels": {"kind": "data"}}}),
    "secrets": (25, {"stringData": {"password": "correct horse"}}),
    "services": (8, {"spec": {"selector": {"app": "x"}, "ports": [{"port": 80}]}}),
    "serviceaccounts": (6, {"metadata": {"annotations": {"note": "kept"}}}),
    "networkpolicies.networking.k8s.io": (8, {"spec": {"podSelector": {}}}),
    "roles.rbac.authorization.k8s.io": (6, {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}),
    "rolebindings.rbac.authorization.k8s.io": (
        6,
        {
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "x-0"},
            "subjects": [{"kind": "ServiceAccount", "name": "x-0", "namespace": "{namespace}"}],
        },
    ),
    "resourcequotas": (1, {"spec": {"hard": {"configmaps": "100"}}}),
    "limitranges": (1, {"spec": {"limits": [{"type": "Container", "default": {"cpu": "10m"}}]}}),
    "poddisruptionbudgets.policy": (2, {"spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "x"}}}}),
    "deployments.apps": (
        2,
        {
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": {"app": "x"}},
                "template": {
                    "metadata": {"labels": {"app": "x"}},
                    "spec": {"containers": [{"name": "c", "image": "i"}]},
                },
            }
        },
    ),
    "cronjobs.batch": (
        2,
        {
            "spec": {
                "schedule": "0 0 1 1 *",
                "jobTemplate": {
                    "spec": {
                        "template": {
                            "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]},
                        }
                    }
                },
            }
        },
    ),
}
SET_BY_SERVERS = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields")


class VeleroObjects:
    """What there is in namespaces of a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._find = resolver(cluster.resources())

    def _resource(self, name: str) -> Resource:
        found = self._find(name)
        assert found is not None, name
        return found

    def make_namespace(self, name: str) -> None:
        """A namespace with a label of its own."""
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"guild": name}}}
        self._cluster.create(terms.NAMESPACES.path(), body)

    def fill(self, namespace: str, at_most: int = 1000) -> None:
        """Make the objects, of each kind so many at most."""
        for name, (count, content) in CONTENTS.items():
            resource = self._resource(name)
            for number in range(min(count, at_most)):
                body = json.loads(json.dumps(content).replace("{namespace}", namespace))
                metadata = {"name": f"x-{number}", **body.pop("metadata", {})}
                manifest = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, **body}
                self._cluster.create(resource.path(namespace), manifest)

    def contents(self, namespace: str, called: str | None = None) -> dict[tuple[str, str], str]:
        """Those objects by resource and name, without what servers set, as if the namespace was ``called``."""
        found = {}
        for resource in CONTENTS:
            for item in self._cluster.items(self._resource(resource).path(namespace)):
                metadata = item["metadata"]
                if not metadata["name"].startswith("x-"):
                    continue
                metadata["labels"] = {
                    name: value
                    for name, value in metadata.get("labels", {}).items()
                    if name not in (terms.BACKUP_NAME, terms.RESTORE_NAME)
                }
                for name in SET_BY_SERVERS:
                    metadata.pop(name, None)
                annotations = metadata.pop("annotations", {})
                annotations.pop("deployment.kubernetes.io/revision", None)  # its controller's
                metadata["annotations"] = annotations
                item.pop("status", None)
                for name in ("clusterIP", "clusterIPs") if resource == "services" else ():
                    item["spec"].pop(name)
                text = json.dumps(item, sort_keys=True)
                found[resource, metadata["name"]] = text.replace(f'"{namespace}"', f'"{called or namespace}"')
        return found


def differing(found: dict[tuple[str, str], str], expected: dict[tuple[str, str], str]) -> list[tuple[object, ...]]:
    """What is missing, too much or different."""
    keys = sorted(found.keys() | expected.keys())
    return [(key, found.get(key), expected.get(key)) for key in keys if found.get(key) != expected.get(key)]

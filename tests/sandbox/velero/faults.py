# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Failures on demand, from the ConfigMap ``stand-in-faults`` in the server's namespace.

A key is ``<plural of the kind>.<fault>``, its value the names of the objects that it strikes, separated by white space;
``*`` stands for any characters. It strikes for as long as the key is there.

==================================  ==================================================================================
``backups.never-answered``          the object is not looked at; likewise for every other kind
``backups.hold-<phase>``            stays in ``InProgress``, ``WaitingForPluginOperations`` (which only this fault
                                    brings about) or ``Finalizing``; likewise ``restores.hold-<phase>``
``backups.fail``                    the upload fails: phase Failed
``backups.partially-fail``          one ConfigMap cannot be written: phase PartiallyFailed
``restores.fail``                   the backup cannot be downloaded: phase Failed
``restores.partially-fail``         one ConfigMap cannot be restored: phase PartiallyFailed
``restores.lose``                   one ConfigMap is not restored, and nobody says so
``restores.alter``                  one ConfigMap is restored with another content, and nobody says so
``deletebackuprequests.fail``       the files cannot be removed (name of the request or of its backup)
``backupstoragelocations.unavailable``  the store refuses every request
==================================  ==================================================================================
"""

from __future__ import annotations

from collections.abc import Iterable

from tests.sandbox.cluster import Cluster, Resource
from tests.sandbox.velero import terms
from tests.sandbox.velero.archive import Key

CONFIG_MAP = "stand-in-faults"
INJECTED = f"injected by {CONFIG_MAP}"


def victim(keys: Iterable[Key]) -> Key | None:
    """The object that a fault strikes: the last ConfigMap that is not the cluster's own."""
    own = "kube-root-ca.crt"
    return max((key for key in keys if key.resource == "configmaps" and key.name != own), default=None)


class Faults:
    """Reads the ConfigMap anew for every question."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._path = terms.CONFIG_MAPS.path(namespace, CONFIG_MAP)

    def active(self, kind: Resource, fault: str, *names: str) -> bool:
        """Whether a fault strikes an object that goes by one of the names."""
        data = (self._cluster.get(self._path) or {}).get("data") or {}
        patterns = data.get(f"{kind.name}.{fault}", "").split()
        return any(terms.matches_any(name, patterns) for name in names)

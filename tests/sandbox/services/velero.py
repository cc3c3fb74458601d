# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Velero: its real definitions in the cluster, and the stand-in for its server (``tests/sandbox/velero``)."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Iterable
from pathlib import Path

from tests.sandbox import crds
from tests.sandbox.cluster import Cluster, Object
from tests.sandbox.service import Process, Progress, Service, Settings, accepts_connections, free_port, write_private
from tests.sandbox.velero import terms
from tests.sandbox.velero.context import Periods

PLACEHOLDERS = tuple(
    crds.Placeholder(kind.group, kind.version, kind.name, kind.kind, status=False)
    for kind in (
        terms.BACKUPS,
        terms.RESTORES,
        terms.SCHEDULES,
        terms.LOCATIONS,
        terms.SNAPSHOT_LOCATIONS,
        terms.DELETE_REQUESTS,
        terms.DOWNLOAD_REQUESTS,
        terms.STATUS_REQUESTS,
    )
)


class VeleroService(Service):
    """Backup and restore of the cluster's objects. The BackupStorageLocation is the inventory's business.

    Settings: ``namespace`` of the server, ``version`` that it claims, ``port`` on which it shows that it is ready.
    """

    name = "velero"
    needs = ("kubernetes", "s3")

    def build(self, progress: Progress) -> None:
        progress(self._definitions()[1])

    def settings(self) -> Settings:
        return {"namespace": "velero", "version": terms.SERVER_VERSION, "port": free_port()}

    def prepare(self, settings: Settings) -> None:
        """Install the definitions and the namespace, and write the server's settings."""
        cluster = Cluster(Path(self.others["kubernetes"]["kubeconfig"]), self.directory, "velero-install")
        crds.create(cluster, self._definitions()[0])
        name = settings["namespace"]
        cluster.apply(
            terms.NAMESPACES.path(name=name), {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        )
        content = {
            "kubeconfig": self.others["kubernetes"]["kubeconfig"],
            "namespace": name,
            "port": settings["port"],
            "periods": dataclasses.asdict(Periods()),
        }
        write_private(self.directory / "server.json", json.dumps(content))

    def processes(self, settings: Settings) -> Iterable[Process]:
        return [
            Process(
                "velero",
                (self.python, "-m", "tests.sandbox.velero", "--directory", str(self.directory)),
                functools.partial(accepts_connections, "127.0.0.1", settings["port"]),
                # twenty threads that mostly sleep: one heap for each would be more than all they hold
                environment={"MALLOC_ARENA_MAX": "2"},
            )
        ]

    @staticmethod
    def _definitions() -> tuple[list[Object], str]:
        return crds.load("velero", PLACEHOLDERS)

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``python -m tests.sandbox.velero --directory <dir>``: run the stand-in with the settings in ``<dir>/server.json``.

It accepts connections on its port of the loopback interface once it has seen every object there is.
"""

from __future__ import annotations

import argparse
import json
import logging
import signal
import socket
import sys
import time
from pathlib import Path

from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from tests.sandbox.cluster import Cluster
from tests.sandbox.velero.backups import BackupController, QueueController
from tests.sandbox.velero.clock import ClockController
from tests.sandbox.velero.context import Context, Periods
from tests.sandbox.velero.deletions import DeletionController, ExpiryController
from tests.sandbox.velero.locations import LocationController, SynchronisationController
from tests.sandbox.velero.loop import Controller, Watcher, Worker
from tests.sandbox.velero.requests import DownloadController, StatusController
from tests.sandbox.velero.restores import RestoreController
from tests.sandbox.velero.schedules import ScheduleController

CONTROLLERS: tuple[type[Controller], ...] = (
    LocationController,
    SynchronisationController,
    QueueController,
    BackupController,
    ExpiryController,
    DeletionController,
    RestoreController,
    ScheduleController,
    DownloadController,
    StatusController,
    ClockController,
)


def run(context: Context, port: int) -> None:
    """Start everything and serve until the process is told to end."""
    controllers = [controller(context) for controller in CONTROLLERS]
    for controller in controllers:
        _persistently(controller)
    workers = [Worker(controller) for controller in controllers]
    kinds = {controller.kind.name: controller.kind for controller in controllers}
    watchers = [
        Watcher(context, kind, [worker for worker in workers if worker.controller.kind == kind])
        for kind in kinds.values()
    ]

    def look_again() -> None:
        for watcher in watchers:
            watcher.tell_all()

    context.look_again = look_again
    for worker in workers:
        worker.start()
    for watcher in watchers:
        watcher.start()
    for watcher in watchers:
        watcher.synchronised.wait()
    with socket.create_server(("127.0.0.1", port)) as listener:
        while True:
            connection, _address = listener.accept()
            connection.close()


def _persistently(controller: Controller) -> None:
    """Let a controller clear up what its predecessor left, however long the API server is away."""
    while True:
        try:
            controller.start()
            return
        except (ApiException, HTTPError) as error:
            logging.warning("start of %s: %s", type(controller).__name__, str(error).splitlines()[0])
            time.sleep(1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", type=Path, required=True)
    directory: Path = parser.parse_args().directory
    settings = json.loads((directory / "server.json").read_text())
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # it warns of every single attempt
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    cluster = Cluster(Path(settings["kubeconfig"]), directory, "velero-server")
    run(Context(cluster, settings["namespace"], directory, Periods(**settings["periods"])), settings["port"])


if __name__ == "__main__":
    main()

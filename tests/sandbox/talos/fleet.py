# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""As many simulated machines as one likes, in a process of their own beside the lab's."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.sandbox.service import LabError, write_private
from tests.sandbox.talos.addresses import PORT, free_network
from tests.sandbox.talos.control import ask
from tests.staging import ROOT

STARTED_WITHIN = 30.0  # seconds
VERSION = "v1.13.9"


@contextlib.contextmanager
def fleet(
    directory: Path,
    pools: Mapping[str, int],
    durations: Mapping[str, float] | None = None,
    version: str = VERSION,
) -> Iterator[dict[str, Any]]:
    """Machines in maintenance mode, named after their pools, of which ``cp`` are the control planes.

    Yields settings as those of the lab's service ``talos``; each node has its ``pool``, too. ``durations``: seconds, as
    in :class:`~tests.sandbox.talos.hardware.Durations`.
    """
    names = [(pool, number) for pool, count in pools.items() for number in range(1, count + 1)]
    network = free_network(range(11, 11 + len(names)))
    nodes = [
        {
            "name": f"{pool}-{number}",
            "address": f"{network}.{host}",
            "type": "controlplane" if pool == "cp" else "worker",
        }
        for host, (pool, number) in enumerate(names, start=11)
    ]
    world = {"version": version, "port": PORT, "network_plugin": True, "durations": dict(durations or {})}
    write_private(directory / "nodes.json", json.dumps({**world, "nodes": nodes}))
    command = (sys.executable, "-m", "tests.sandbox.talos", "--directory", str(directory))
    with (directory / "log").open("w") as log, subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log) as process:
        try:
            _await(directory, process)
            yield {
                "version": version,
                "port": PORT,
                "endpoint": f"https://{nodes[0]['address']}:6443",
                "nodes": [{**node, "pool": pool} for node, (pool, _unused) in zip(nodes, names, strict=True)],
                "directory": str(directory),
            }
        finally:
            process.terminate()


def _await(directory: Path, process: subprocess.Popen[bytes]) -> None:
    """Until the machines answer. Raises :class:`LabError` if they do not."""
    deadline = time.monotonic() + STARTED_WITHIN
    while True:
        with contextlib.suppress(OSError):
            ask(directory, "status")
            return
        if process.poll() is not None or time.monotonic() > deadline:
            raise LabError(f"the simulator does not start: {(directory / 'log').read_text()}")
        time.sleep(0.05)


def inventory(settings: Mapping[str, Any], vault: Mapping[str, Any], secrets_path: str) -> dict[str, Any]:
    """For the role ``talos_cluster`` on machines with these settings, each worker in the group of its pool."""

    def hosts(pool: str) -> dict[str, Any]:
        found = [node for node in settings["nodes"] if node["pool"] == pool]
        return {"hosts": {node["name"]: {"ansible_host": node["address"]} for node in found}}

    variables = {
        "ansible_connection": "local",
        "talos_cluster_name": "test",
        "talos_cluster_talos_version": settings["version"].removeprefix("v"),
        "talos_cluster_version_contract": settings["version"].removeprefix("v").rpartition(".")[0],
        "talos_cluster_endpoint": settings["endpoint"],
        "talos_cluster_secrets_path": secrets_path,
        "talos_cluster_wait_for": "ready",
        "dcm_kubernetes_version": "1.36.3",
        "dcm_vault_url": vault["url"],
        "dcm_vault_token": vault["token"],
    }
    pools = dict.fromkeys(node["pool"] for node in settings["nodes"] if node["type"] == "worker")
    workers = {f"talos_pool_{pool}": hosts(pool) for pool in pools}
    groups = {"talos_controlplane": hosts("cp"), "talos_worker": {"children": workers}}
    return {"all": {"vars": variables, "children": {"talos": {"children": groups}}}}

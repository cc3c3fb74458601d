# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Eighteen Talos nodes: one run of talos.yml, and a client that goes from node to node as scripts do."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.wait import NotYet, wait_for
from ansible_collections.dcm.platform.plugins.module_utils.talos.connection import Connector
from ansible_collections.dcm.platform.plugins.module_utils.talos.contract import Contract
from ansible_collections.dcm.platform.plugins.module_utils.talos.credentials import credentials
from ansible_collections.dcm.platform.plugins.module_utils.talos.node import Node, parse_node
from ansible_collections.dcm.platform.plugins.module_utils.talos.secrets import generate
from ansible_collections.dcm.platform.plugins.modules.talos_config import rendered

from tests.benchmarks import Bench, Comparison, timed
from tests.sandbox.talos.fleet import fleet, inventory
from tests.staging import ROOT

POOLS = {"cp": 3, "application": 10, "database": 5}
COUNT = sum(POOLS.values())
# Half of what a real machine takes, which makes what Ansible itself costs weigh twice as much.
DURATIONS = {"install": 45.0, "reboot": 22.5, "boot": 22.5}
PATH = "bench/talos"


def measure(bench: Bench) -> Iterator[Comparison]:
    """Bring-up and unchanged run. The client is measured on one node and multiplied: it takes one after the other."""
    vault = bench.settings("vault")
    with tempfile.TemporaryDirectory(prefix="dcm-bench-talos-") as directory:
        with fleet(_made(directory, "one"), {"cp": 1}, DURATIONS) as settings:
            client = _Client(settings)
            one = timed(client.bring_up)
            unchanged = timed(client.compare)
        with fleet(_made(directory, "all"), POOLS, DURATIONS) as settings:
            file = bench.ansible.private_file("bench-talos.yml", json.dumps(inventory(settings, vault, PATH)))
            first = timed(lambda: _converge(bench, file))
            yield Comparison(
                f"{COUNT} Talos nodes, bring-up", first, {"node by node": one * COUNT, "slowest single node": one}
            )
            second = timed(lambda: _converge(bench, file))
            alone = timed(lambda: _converge(bench, file, "--limit", "cp-1"))
            others = {"ours on one node": alone, "node by node, without Ansible": unchanged * COUNT}
            yield Comparison(f"{COUNT} Talos nodes, unchanged", second, others)


def _made(directory: str, name: str) -> Path:
    path = Path(directory, name)
    path.mkdir()
    return path


def _converge(bench: Bench, inventory_file: Path, *arguments: str) -> None:
    playbook = ROOT / "playbooks/talos.yml"
    result = bench.ansible.playbook(playbook, "-i", str(inventory_file), "--forks", str(COUNT), *arguments)
    if result.returncode != 0:
        raise RuntimeError(result.output)


class _Client:
    """Configures the first of the nodes and waits for it, without Ansible."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.bundle = generate(Contract(1, 13)).tree
        self.node: Node = parse_node(settings["nodes"][0]["address"], "cp-1")
        options = {"secrets": self.bundle, "ca": None, "crt": None, "key": None, "talosconfig": None, "context": None}
        self.connector = Connector(credentials(options), None, 30.0)
        self.config = rendered(
            {
                "secrets": self.bundle,
                "cluster_name": "bench",
                "endpoint": settings["endpoint"],
                "machine_type": "controlplane",
                "talos_version": "1.13.9",
                "kubernetes_version": "1.36.3",
                "hostname": "cp-1",
                "version_contract": None,
                "patches": [],
            }
        )

    def bring_up(self) -> None:
        with self.connector.session(self.node) as session:
            session.client.apply_configuration(self.config, "auto")
        wait_for("etcd to wait for its bootstrap", self._bootstrap, timeout=600)
        wait_for("the node to run", self._runs, timeout=600)

    def _bootstrap(self) -> None:
        with self.connector.client(self.node) as client:
            client.bootstrap()

    def _runs(self) -> None:
        with self.connector.client(self.node) as client:
            status = client.machine_status()
        if status.stage != "running" or not status.ready:
            raise NotYet(status.stage)

    def compare(self) -> None:
        """What a run that changes nothing asks of a node."""
        with self.connector.session(self.node) as session:
            if session.client.machine_configs()["v1alpha1"] != self.config:
                raise RuntimeError("the node has another configuration")

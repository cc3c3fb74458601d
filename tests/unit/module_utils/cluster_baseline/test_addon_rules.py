# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the add-ons of the catalogue ask of their namespaces is what the baseline can give."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.addons.render import namespaces
from ansible_collections.dcm.platform.plugins.module_utils.cluster_baseline.namespaces import merged
from ansible_collections.dcm.platform.plugins.module_utils.cluster_baseline.network import network_policy

from tests.addon_table import entries
from tests.service_graph import PEERS, ROLE

PLATFORM = ROLE["cluster_baseline_platform_namespaces"]
LEVELS = {name: entry["pod_security"]["enforce"] for name, entry in PLATFORM.items()}
PRIVILEGED = {
    *("linkerd-cni", "metallb-system", "platform-agents", "platform-storage", "rook-ceph", "velero"),
}  # measured: what runs there reads the host, or changes its network or disks


@pytest.mark.parametrize("addon", entries(), ids=lambda addon: str(addon["name"]))
def test_an_add_on_gets_its_rules(addon: dict[str, Any]) -> None:
    table = merged([PLATFORM, namespaces([addon])])
    for name, entry in table.items():
        for rule in entry["allow"]:
            assert network_policy(name, rule, PEERS)["metadata"]["namespace"] == name


@pytest.mark.row("SEC-04")
@pytest.mark.row("SEC-23")
def test_only_what_runs_on_nodes_is_privileged_and_no_add_on_loosens_the_platform() -> None:
    table = merged([PLATFORM, namespaces(entries())])
    levels = {name: entry["pod_security"]["enforce"] for name, entry in table.items()}
    assert {name for name, level in levels.items() if level == "privileged"} <= PRIVILEGED
    assert {name: levels[name] for name in LEVELS} == LEVELS

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Every input of a machine configuration that has no place by default, for the tests of all contracts."""

from __future__ import annotations

from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.talos.inputs import Link

EVERYTHING: dict[str, Any] = {
    "vip": "10.0.0.10",
    "vip_link": "eth0",
    "links": [
        Link(
            "eth0",
            addresses=["10.0.0.11/24"],
            gateway="10.0.0.1",
            routes=[{"destination": "10.1.0.0/16", "metric": 100, "gateway": None}],
            mtu=9000,
        ),
        Link("eth1", dhcp=True),
    ],
    "nameservers": ["10.0.0.1"],
    "time_servers": ["time.example.com"],
    "node_labels": {"dcm.platform/pool": "data"},
    "node_taints": {"dcm.platform/pool": "data:NoSchedule"},
    "network_policies": True,
    "allow_scheduling_on_control_planes": True,
}

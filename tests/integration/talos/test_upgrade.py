# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``talos_upgrade`` on the lab's machines. The tests build on each other in this order."""

from __future__ import annotations

from typing import Any

import pytest

from tests.ansible_runner import AnsibleRunner, ModuleResult, failed
from tests.integration.talos.talos_machines import Cluster, Machines

INSTALLER = "ghcr.io/siderolabs/installer"
SCHEMATIC = "ab" * 32
FACTORY = f"factory.talos.dev/metal-installer/{SCHEMATIC}"
SERVICE = "/machine.MachineService"
LIFECYCLE = "/machine.LifecycleService/Upgrade"
REBOOT, OLD_UPGRADE = f"{SERVICE}/Reboot", f"{SERVICE}/Upgrade"


@pytest.fixture(scope="module")
def cluster(ansible: AnsibleRunner, machines: Machines) -> Cluster:
    """Three control planes that run Talos 1.12, with etcd."""
    cluster = Cluster(ansible, machines)
    patch = {"machine": {"install": {"image": f"{INSTALLER}:v1.12.4"}}}
    for name in machines.control_planes:
        result = cluster.machine(name, cluster.config(name, patch))
        assert result.get("changed"), result
    assert cluster.bootstrap()["changed"]
    return cluster


def upgrade(cluster: Cluster, image: str, node: str = "cp-1", **options: Any) -> ModuleResult:
    flags = {name: options.pop(name) for name in ("check", "diff", "verbosity") if name in options}
    arguments = {"node": cluster.machines.nodes[node], "name": node, "secrets": cluster.bundle, "image": image}
    return cluster.ansible.run_module("talos_upgrade", {**arguments, "wait_timeout": 60, **options}, **flags)


class TestUpTo112:
    def test_check_mode_predicts_and_touches_nothing(self, machines: Machines, cluster: Cluster) -> None:
        machines.forget_requests()
        result = upgrade(cluster, f"{INSTALLER}:v1.13.9", check=True, diff=True)
        assert result["changed"], result
        assert (result["previous_version"], result["machine"]["version"]) == ("v1.12.4", "v1.13.9")
        (diff,) = result["diff"]
        assert (diff["before"], diff["after"]) == (
            {"version": "v1.12.4", "schematic": ""},
            {"version": "v1.13.9", "schematic": ""},
        )
        assert not {REBOOT, OLD_UPGRADE, LIFECYCLE} & set(machines.requests("cp-1"))

    def test_an_image_that_there_is_not(self, machines: Machines, cluster: Cluster) -> None:
        assert "has no tag that is a version of Talos" in failed(upgrade(cluster, f"{INSTALLER}:latest"))
        assert machines.status("cp-1")["version"] == "v1.12.4"

    def test_no_leap_over_a_minor_version(self, cluster: Cluster) -> None:
        message = failed(upgrade(cluster, f"{INSTALLER}:v1.14.0"))
        assert "cp-1 runs Talos v1.12.4: from there, v1.14.0 is more than one minor version away." in message

    @pytest.mark.row("TAL-11")
    def test_not_while_another_control_plane_is_down(self, machines: Machines, cluster: Cluster) -> None:
        machines.ask("power_off", machine="cp-3")
        try:
            for check in (True, False):
                message = failed(upgrade(cluster, f"{INSTALLER}:v1.13.9", check=check))
                assert f"cp-1 ({machines.address('cp-1')}) is not upgraded: etcd would lose its quorum" in message
                assert "1 of 3 voting members would be healthy, and 2 are needed" in message
        finally:
            machines.ask("power_on", machine="cp-3")
            machines.await_control_planes()
        assert machines.status("cp-1")["version"] == "v1.12.4"

    def test_the_old_method(self, machines: Machines, cluster: Cluster) -> None:
        machines.forget_requests()
        boot_id = machines.status("cp-1")["boot_id"]
        result = upgrade(cluster, f"{INSTALLER}:v1.13.9")
        assert result["changed"], result
        assert result["machine"]["version"] == machines.status("cp-1")["version"] == "v1.13.9"
        assert machines.status("cp-1")["boot_id"] != boot_id
        assert machines.requests("cp-1")[OLD_UPGRADE] == 1
        assert REBOOT not in machines.requests("cp-1")


class TestFrom113:
    @pytest.mark.row("MNT-05")
    def test_a_second_run_changes_nothing(self, machines: Machines, cluster: Cluster) -> None:
        machines.forget_requests()
        result = upgrade(cluster, f"{INSTALLER}:v1.13.9", diff=True)
        assert not result["changed"], result
        assert result["diff"] == []
        assert not {REBOOT, OLD_UPGRADE, LIFECYCLE} & set(machines.requests("cp-1"))

    def test_another_schematic_is_a_change(self, machines: Machines, cluster: Cluster) -> None:
        """With all that can go wrong on the way: slow, replies lost, and connections that nobody ends."""
        machines.fault("cp-1", lost_replies=2, half_open=True, install_seconds=1)
        result = upgrade(cluster, f"{FACTORY}:v1.13.9")
        machines.fault("cp-1", half_open=False, install_seconds=0)
        assert result["changed"], result
        assert result["machine"]["schematic"] == SCHEMATIC
        assert machines.requests("cp-1")[REBOOT] == 1
        assert not upgrade(cluster, f"{FACTORY}:v1.13.9")["changed"]
        assert not upgrade(cluster, "registry.example.com/installer:v1.13.9")["changed"]
        assert upgrade(cluster, "registry.example.com/installer:v1.13.9", schematic="", check=True)["changed"]

    def test_an_installer_that_fails(self, machines: Machines, cluster: Cluster) -> None:
        machines.fault("cp-1", install_fails=True)
        boot_id = machines.status("cp-1")["boot_id"]
        message = failed(upgrade(cluster, f"{FACTORY}:v1.13.10"))
        machines.fault("cp-1", install_fails=False)
        assert f"The installer {FACTORY}:v1.13.10 failed with exit code 7 on cp-1" in message
        assert machines.status("cp-1")["boot_id"] == boot_id

    def test_a_rollback_is_reported(self, machines: Machines, cluster: Cluster) -> None:
        machines.fault("cp-1", boot_fails=True)
        message = failed(upgrade(cluster, f"{FACTORY}:v1.14.0"))
        machines.fault("cp-1", boot_fails=False)
        assert f"cp-1 ({machines.address('cp-1')}) rolled back: it runs Talos v1.13.9" in message
        assert machines.status("cp-1")["version"] == "v1.13.9"

    def test_to_the_next_minor_version(self, machines: Machines, cluster: Cluster) -> None:
        result = upgrade(cluster, f"{FACTORY}:v1.14.0", verbosity=3)
        assert result["changed"], result
        assert machines.status("cp-1")["version"] == "v1.14.0"
        assert cluster.bundle["certs"]["os"]["key"] not in result.output
        assert not upgrade(cluster, f"{FACTORY}:v1.14.0")["changed"]

    def test_a_node_that_does_not_answer(self, machines: Machines, cluster: Cluster) -> None:
        machines.fault("cp-2", unreachable="refuse")
        message = failed(upgrade(cluster, f"{INSTALLER}:v1.13.9", node="cp-2", connect_timeout=1))
        machines.fault("cp-2", unreachable="")
        assert f"Talos API on cp-2 at {machines.address('cp-2')} is not reachable: connection refused" in message

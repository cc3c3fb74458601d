# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""ClusterService.HealthCheck: the checks that Talos makes, in its order, until all pass or time is up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.talos.messages import message
from grpclib.const import Status

from tests.sandbox.talos.calls import Call, procedure, refuse, require_control_plane
from tests.sandbox.talos.hardware import GIB
from tests.sandbox.talos.machine import Machine

DEFAULT_SECONDS = 20 * 60.0
CONTROL_PLANE_MIB, WORKER_MIB, TOLERANCE_MIB = 1848, 1024, 150
EPHEMERAL_BYTES = 6 * GIB


@dataclass(frozen=True)
class _Nodes:
    """What is checked. A machine that is None is an address where nobody answers."""

    control_planes: list[Machine | None]
    workers: list[Machine | None]

    @property
    def all(self) -> list[Machine | None]:
        return self.control_planes + self.workers


def _failing(machines: list[Machine | None], passes: Callable[[Machine], bool]) -> str:
    bad = [machine.address if machine else "unknown" for machine in machines if not (machine and passes(machine))]
    return f"not true for {', '.join(bad)}" if bad else ""


def _service_runs(name: str) -> Callable[[Machine], bool]:
    return lambda machine: any(service.id == name and service.state == "Running" for service in machine.services())


def _same_members(nodes: _Nodes) -> str:
    clusters = [machine.etcd_cluster for machine in nodes.control_planes if machine]
    views = {tuple(sorted(cluster.members)) if cluster else () for cluster in clusters}
    return "" if len(views) == 1 else "etcd members are not consistent"


def _members_are_nodes(nodes: _Nodes) -> str:
    addresses = {machine.address for machine in nodes.control_planes if machine}
    clusters = [machine.etcd_cluster for machine in nodes.control_planes if machine]
    members = {member.address for cluster in clusters if cluster for member in cluster.members.values()}
    return f"etcd members are not control planes: {members - addresses}" if members - addresses else ""


def _enough_memory(machine: Machine) -> bool:
    wanted = CONTROL_PLANE_MIB if machine.is_control_plane else WORKER_MIB
    return machine.hardware.memory_mib >= wanted - TOLERANCE_MIB


def _enough_disk(machine: Machine) -> bool:
    return machine.system_disk is None or machine.system_disk.size >= EPHEMERAL_BYTES


_CHECKS: list[tuple[str, Callable[[_Nodes], str]]] = [
    ("etcd to be healthy", lambda nodes: _failing(nodes.control_planes, lambda one: one.etcd_running)),
    ("etcd members to be consistent across nodes", _same_members),
    ("etcd members to be control plane nodes", _members_are_nodes),
    ("apid to be ready", lambda nodes: _failing(nodes.all, lambda one: one.reachable and one.api_open)),
    ("all nodes memory sizes", lambda nodes: _failing(nodes.all, _enough_memory)),
    ("all nodes disk sizes", lambda nodes: _failing(nodes.all, _enough_disk)),
    ("no diagnostics", lambda _: ""),
    ("kubelet to be healthy", lambda nodes: _failing(nodes.all, _service_runs("kubelet"))),
    ("all nodes to finish boot sequence", lambda nodes: _failing(nodes.all, lambda one: one.stage == "running")),
    ("all k8s nodes to report", lambda nodes: _failing(nodes.all, lambda one: "available" not in one.node_problem())),
    ("all k8s nodes to report ready", lambda nodes: _failing(nodes.all, lambda one: not one.node_problem())),
]


@procedure("/cluster.ClusterService/HealthCheck")
async def health_check(call: Call) -> AsyncIterator[Any]:
    require_control_plane(call, "health check")
    nodes = _nodes(call)
    line = message("cluster.HealthCheckProgress")
    yield line(message=f"discovered nodes: {[machine.address for machine in nodes.all if machine]}")
    wait = call.request.wait_timeout.ToNanoseconds() / 1e9 if call.request.HasField("wait_timeout") else DEFAULT_SECONDS
    deadline = asyncio.get_running_loop().time() + wait
    for name, check in _CHECKS:
        last = ""
        while problem := check(nodes):
            if problem != last:
                yield line(message=f"waiting for {name}: {problem}")
            last = problem
            if asyncio.get_running_loop().time() >= deadline:
                raise refuse(Status.UNKNOWN, f"healthcheck error: {name}: {problem}")
            await _change(call, deadline)
        yield line(message=f"waiting for {name}: OK")


async def _change(call: Call, deadline: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout_at(deadline):
            await call.machine.world.change()


def _nodes(call: Call) -> _Nodes:
    """As the request names them, else those that the cluster knows."""
    world, info = call.machine.world, call.request.cluster_info
    if info.control_plane_nodes or info.worker_nodes:
        return _Nodes(
            [world.at(node) for node in info.control_plane_nodes], [world.at(node) for node in info.worker_nodes]
        )
    members = world.members_of(call.machine)
    return _Nodes(
        [machine for machine in members if machine.is_control_plane],
        [machine for machine in members if not machine.is_control_plane],
    )

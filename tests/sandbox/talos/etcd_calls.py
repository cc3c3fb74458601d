# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Procedures about etcd; on control planes only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.talos.messages import message
from grpclib.const import Status

from tests.sandbox.talos.calls import Call, procedure, refuse, require_control_plane, single
from tests.sandbox.talos.etcd import PAGE, EtcdCluster
from tests.sandbox.talos.machine import Machine

_SERVICE = "/machine.MachineService"
_ALARM = message("machine.EtcdMemberAlarm").AlarmType


def _running_cluster(call: Call, action: str, *, quorum: bool) -> EtcdCluster:
    """The cluster that the machine's own etcd answers for."""
    require_control_plane(call, action)
    machine, cluster = call.machine, call.machine.etcd_cluster
    if cluster is None or not machine.etcd_running:
        raise refuse(Status.UNAVAILABLE, "connection error: dial tcp 127.0.0.1:2379: connect: connection refused")
    if quorum and not machine.world.quorum(cluster):
        raise refuse(Status.UNAVAILABLE, "etcdserver: no leader")
    return cluster


@procedure(f"{_SERVICE}/EtcdMemberList")
async def member_list(call: Call) -> AsyncIterator[Any]:
    cluster = _running_cluster(call, "member list", quorum=not call.request.query_local)
    members = [
        {
            "id": member.id,
            "hostname": member.hostname,
            "peer_urls": member.peer_urls,
            "client_urls": member.client_urls,
            "is_learner": member.learner,
        }
        for member in cluster.members.values()
    ]
    names = [member.hostname for member in cluster.members.values()]
    yield message("machine.EtcdMemberListResponse")(messages=[{"legacy_members": names, "members": members}])


@procedure(f"{_SERVICE}/EtcdStatus")
async def status(call: Call) -> AsyncIterator[Any]:
    cluster = _running_cluster(call, "etcd status", quorum=False)
    member = cluster.members[call.machine.disk.etcd_member]
    size = len(cluster.pages())
    leader = cluster.elect(call.machine.world.running_members(cluster))
    alarms = [f"memberID:{one.disk.etcd_member} alarm:{one.faults.etcd_alarm} " for one in _alarmed(call)]
    yield single(
        "machine.EtcdStatus",
        member_status={
            "storage_version": "3.6.0",
            "protocol_version": "3.6.4",
            "db_size": size,
            "db_size_in_use": size,
            "leader": leader,
            "raft_index": cluster.revision,
            "raft_term": cluster.term,
            "raft_applied_index": cluster.revision,
            "errors": ([] if leader else ["etcdserver: no leader"]) + alarms,
            "is_learner": member.learner,
            "member_id": member.id,
        },
    )


def _alarmed(call: Call) -> list[Machine]:
    """The machines of the same cluster whose member has an alarm."""
    machines = call.machine.world.machines.values()
    cluster = call.machine.disk.etcd_cluster
    return [machine for machine in machines if machine.faults.etcd_alarm and machine.disk.etcd_cluster == cluster]


@procedure(f"{_SERVICE}/EtcdAlarmList")
async def alarm_list(call: Call) -> AsyncIterator[Any]:
    _running_cluster(call, "etcd alarm list", quorum=True)
    alarms = [
        {"member_id": machine.disk.etcd_member, "alarm": _ALARM.Value(machine.faults.etcd_alarm)}
        for machine in _alarmed(call)
    ]
    yield message("machine.EtcdAlarmListResponse")(messages=[{"member_alarms": alarms}])


@procedure(f"{_SERVICE}/EtcdAlarmDisarm")
async def alarm_disarm(call: Call) -> AsyncIterator[Any]:
    _running_cluster(call, "etcd alarm disarm", quorum=True)
    for machine in _alarmed(call):
        machine.faults.etcd_alarm = ""
    yield single("machine.EtcdAlarmDisarm")


@procedure(f"{_SERVICE}/EtcdDefragment")
async def defragment(call: Call) -> AsyncIterator[Any]:
    _running_cluster(call, "etcd defragment", quorum=False)
    yield single("machine.EtcdDefragment")


@procedure(f"{_SERVICE}/EtcdSnapshot")
async def snapshot(call: Call) -> AsyncIterator[Any]:
    cluster = _running_cluster(call, "etcd snapshot", quorum=True)
    data = cluster.snapshot()
    for start in range(0, len(data), PAGE):
        yield message("common.Data")(bytes=data[start : start + PAGE])


@procedure(f"{_SERVICE}/EtcdRecover")
async def recover(call: Call) -> AsyncIterator[Any]:
    require_control_plane(call, "etcd recover")
    if not call.machine.services_started:
        raise refuse(Status.FAILED_PRECONDITION, "etcd service is not ready for recovery yet")
    chunks = [chunk.bytes async for chunk in call.requests]
    call.machine.disk.recovery_snapshot = b"".join(chunks)
    call.machine.save()
    yield single("machine.EtcdRecover")


@procedure(f"{_SERVICE}/EtcdLeaveCluster")
async def leave(call: Call) -> AsyncIterator[Any]:
    _running_cluster(call, "etcd leave", quorum=True)
    if reason := call.machine.leave_etcd():
        raise refuse(Status.UNKNOWN, f"failed to leave cluster: {reason}")
    yield single("machine.EtcdLeaveCluster")


@procedure(f"{_SERVICE}/EtcdForfeitLeadership")
async def forfeit_leadership(call: Call) -> AsyncIterator[Any]:
    cluster = _running_cluster(call, "etcd forfeit leadership", quorum=True)
    own = call.machine.disk.etcd_member
    running = call.machine.world.running_members(cluster)
    if cluster.elect(running) != own:
        yield single("machine.EtcdForfeitLeadership")
        return
    others = [member for member in cluster.voters() if member in running and member != own]
    if not others:
        raise refuse(Status.UNKNOWN, "failed to forfeit leadership: cannot find follower")
    cluster.leader, cluster.term = others[0], cluster.term + 1
    call.machine.world.save_etcd()
    yield single("machine.EtcdForfeitLeadership", member=cluster.members[others[0]].hostname)


@procedure(f"{_SERVICE}/EtcdRemoveMemberByID")
async def remove_member(call: Call) -> AsyncIterator[Any]:
    cluster = _running_cluster(call, "etcd remove member", quorum=True)
    if call.request.member_id not in cluster.members:
        raise refuse(Status.NOT_FOUND, "etcdserver: member not found")
    world = call.machine.world
    if reason := cluster.why_not_removed(call.request.member_id, world.running_members(cluster)):
        raise refuse(Status.UNKNOWN, f"failed to remove member: {reason}")
    removed = cluster.members[call.request.member_id].machine
    cluster.remove(call.request.member_id)
    if removed in world.machines:
        world.machines[removed].etcd_removed()
    world.save_etcd()
    world.notify()
    yield single("machine.EtcdRemoveMemberByID")

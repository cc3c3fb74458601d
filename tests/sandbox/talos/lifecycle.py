# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Procedures that move a machine: bootstrap, reboot, shutdown, reset, upgrade, and its images and services."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import AsyncIterator
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.talos.messages import message
from grpclib.const import Status

from tests.sandbox.talos.calls import Call, procedure, refuse, single
from tests.sandbox.talos.hardware import image_slot
from tests.sandbox.talos.machine import Machine
from tests.sandbox.talos.machine_config import ConfigError, Installation

SYSTEM_PARTITIONS = frozenset({"EFI", "BIOS", "BOOT", "META", "STATE", "EPHEMERAL"})
_RESET = message("machine.ResetRequest").WipeMode
_LAYER = message("machine.ImageServicePullLayerProgress").Status
_INSTALLED, _INSTALL_FAILED = 0, 7


def _require_mode(machine: Machine) -> None:
    if machine.world.platform.mode == "container":
        raise refuse(Status.FAILED_PRECONDITION, "method is not supported in container mode")


@procedure("/machine.MachineService/Bootstrap")
async def bootstrap(call: Call) -> AsyncIterator[Any]:
    machine, request = call.machine, call.request
    if not machine.bootstrap_allowed or machine.config is None:
        raise refuse(Status.FAILED_PRECONDITION, "bootstrap is not available yet")
    if not machine.config.machine_type:
        raise refuse(Status.UNIMPLEMENTED, "machine type is not set, cannot use bootstrap API")
    if not machine.is_control_plane:
        raise refuse(Status.UNIMPLEMENTED, "bootstrap is only available on control plane nodes")
    if not machine.config.etcd_authority.certificate:
        raise refuse(Status.INVALID_ARGUMENT, "etcd is not configured, bootstrap is not possible")
    if machine.faults.time_unsynchronised:
        raise refuse(Status.FAILED_PRECONDITION, "time is not in sync yet")
    if machine.disk.etcd_cluster:
        raise refuse(Status.ALREADY_EXISTS, "etcd data directory is not empty")
    try:
        machine.bootstrap_etcd(recover=request.recover_etcd, check_hash=not request.recover_skip_hash_check)
    except ValueError as error:
        raise refuse(Status.UNKNOWN, f"failed to recover from the snapshot: {error}") from error
    yield single("machine.Bootstrap")


@procedure("/machine.MachineService/Reboot")
async def reboot(call: Call) -> AsyncIterator[Any]:
    _require_mode(call.machine)
    call.machine.start("reboot", call.machine.reboot())
    yield single("machine.Reboot", actor_id=str(uuid.uuid4()))


@procedure("/machine.MachineService/Shutdown")
async def shutdown(call: Call) -> AsyncIterator[Any]:
    _require_mode(call.machine)
    call.machine.start("shutdown", call.machine.shut_down(), takeover=True)
    yield single("machine.Shutdown", actor_id=str(uuid.uuid4()))


@procedure("/machine.MachineService/Rollback")
async def rollback(call: Call) -> AsyncIterator[Any]:
    machine = call.machine
    _require_mode(machine)
    if machine.system_disk is None:
        raise refuse(Status.FAILED_PRECONDITION, "system disk not found")
    if machine.disk.fallback is None:
        raise refuse(Status.UNKNOWN, "cannot rollback, there is no other system to boot")
    machine.disk.pending = machine.disk.fallback
    machine.save()
    machine.start("reboot", machine.reboot(), takeover=True)
    yield single("machine.Rollback")


@procedure("/machine.MachineService/Reset")
async def reset(call: Call) -> AsyncIterator[Any]:
    machine, request = call.machine, call.request
    _require_wipeable_disks(machine, request)
    partitions = request.system_partitions_to_wipe
    if partitions and request.mode == _RESET.Value("USER_DISKS"):
        text = "wipe mode USER_DISKS doesn't support SystemPartitionsToWipe parameter"
        raise refuse(Status.UNKNOWN, f"reset failed: invalid input, {text}")
    for partition in partitions:
        if partition.label not in SYSTEM_PARTITIONS:
            raise refuse(Status.UNKNOWN, f'failed to get volume status with label "{partition.label}": not found')
    sequence = machine.reset(
        wipe=frozenset(partition.label for partition in partitions if partition.wipe),
        whole_disk=not partitions and request.mode != _RESET.Value("USER_DISKS"),
        graceful=request.graceful,
        reboot=request.reboot,
    )
    machine.start("reset", sequence)
    yield single("machine.Reset", actor_id=str(uuid.uuid4()))


def _require_wipeable_disks(machine: Machine, request: Any) -> None:
    if request.user_disks_to_wipe and request.mode == _RESET.Value("SYSTEM_DISK"):
        text = "wipe mode SYSTEM_DISK doesn't support UserDisksToWipe parameter"
        raise refuse(Status.UNKNOWN, f"reset failed: invalid input, {text}")
    disks = {disk.path: disk for disk in machine.hardware.disks}
    for path in request.user_disks_to_wipe:
        problem = ""
        if path not in disks:
            problem = "wasn't found"
        elif disks[path].readonly:
            problem = "is readonly"
        elif path == machine.disk.path:
            problem = "is the system disk"
        if problem:
            raise refuse(Status.UNKNOWN, f"reset user disk failed: device {path} {problem}")


@procedure("/machine.MachineService/Upgrade")
async def upgrade(call: Call) -> AsyncIterator[Any]:
    machine, request = call.machine, call.request
    _require_mode(machine)
    try:
        image_slot(request.image)
    except ValueError as error:
        text = f'error validating installer image "{request.image}": {error}'
        raise refuse(Status.UNKNOWN, text) from error
    if machine.disk.installed is None:
        raise refuse(Status.FAILED_PRECONDITION, "Talos is not installed")
    if machine.is_control_plane and not request.force and not (request.preserve and machine.minor < 8):
        _require_healthy_etcd(machine)
    machine.start("upgrade", machine.upgrade(request.image))
    yield single("machine.Upgrade", ack="Upgrade request received", actor_id=str(uuid.uuid4()))


def _require_healthy_etcd(machine: Machine) -> None:
    cluster = machine.etcd_cluster
    if cluster is None or not machine.etcd_running:
        raise refuse(Status.UNKNOWN, "failed to create etcd client: error getting kubernetes endpoints")
    problem = ""
    members = len(cluster.members)
    if members == 2:
        problem = f"etcd member count({members}) is insufficient to maintain quorum if upgrade commences"
    elif len(machine.world.running_members(cluster)) < members:
        problem = "not all etcd members are healthy"
    if problem:
        raise refuse(Status.UNKNOWN, f"error validating etcd for upgrade: {problem}")


@procedure("/machine.ImageService/Pull")
async def pull_image(call: Call) -> AsyncIterator[Any]:
    machine, reference = call.machine, call.request.image_ref
    if not reference:
        raise refuse(Status.INVALID_ARGUMENT, "image reference is required")
    reply = message("machine.ImageServicePullResponse")
    try:
        image_slot(reference)
    except ValueError as error:
        raise refuse(Status.NOT_FOUND, str(error)) from error
    for status in ("DOWNLOADING", "DOWNLOAD_COMPLETE", "EXTRACTING", "EXTRACT_COMPLETE"):
        progress = {"status": _LAYER.Value(status), "offset": 1024, "total": 1024}
        yield reply(pull_progress={"layer_id": _digest(reference), "progress": progress})
    instance = _instance(call.request)
    if (entry := f"{instance} {reference}") not in machine.disk.images:
        machine.disk.images.append(entry)
        machine.save()
    yield reply(name=reference)


@procedure("/machine.ImageService/List")
async def list_images(call: Call) -> AsyncIterator[Any]:
    for entry in call.machine.disk.images:
        instance, _unused, reference = entry.partition(" ")
        if instance == _instance(call.request):
            yield message("machine.ImageServiceListResponse")(name=reference, digest=_digest(reference), size=1024)


@procedure("/machine.ImageService/Remove")
async def remove_image(call: Call) -> AsyncIterator[Any]:
    entry = f"{_instance(call.request)} {call.request.image_ref}"
    if entry not in call.machine.disk.images:
        raise refuse(Status.NOT_FOUND, f'image "{call.request.image_ref}": not found')
    call.machine.disk.images.remove(entry)
    call.machine.save()
    yield message("google.protobuf.Empty")()


def _instance(request: Any) -> str:
    return f"{request.containerd.driver}/{request.containerd.namespace}"


def _digest(reference: str) -> str:
    return f"sha256:{hashlib.sha256(reference.encode()).hexdigest()}"


@procedure("/machine.LifecycleService/Upgrade")
async def upgrade_in_place(call: Call) -> AsyncIterator[Any]:
    """Writes the new system and does not reboot. A failed installer is an exit code, not an error."""
    machine = call.machine
    _require_ready_for_installer(call, "upgrade")
    if machine.disk.installed is None:
        raise refuse(Status.FAILED_PRECONDITION, "machine is not installed")
    image = call.request.source.image_name
    async for reply in _installer(call, "machine.LifecycleServiceUpgradeResponse", machine.write_upgrade(image)):
        yield reply


@procedure("/machine.LifecycleService/Install")
async def install(call: Call) -> AsyncIterator[Any]:
    """Writes the system to an empty disk and does not reboot."""
    machine = call.machine
    _require_ready_for_installer(call, "install")
    if machine.disk.installed is not None:
        raise refuse(Status.FAILED_PRECONDITION, "machine is already installed")
    disk = call.request.destination.disk
    if not disk:
        raise refuse(Status.INVALID_ARGUMENT, "installation disk is required")
    installation = Installation(call.request.source.image_name, disk, {}, False, False)
    async for reply in _installer(call, "machine.LifecycleServiceInstallResponse", machine.write_system(installation)):
        yield reply


def _require_ready_for_installer(call: Call, action: str) -> None:
    machine, image = call.machine, call.request.source.image_name
    if machine.world.platform.mode == "container":
        raise refuse(Status.FAILED_PRECONDITION, f"{action} is not supported in container mode")
    if machine.writing_system:
        raise refuse(Status.FAILED_PRECONDITION, "another installation/upgrade is already in progress")
    if not image:
        raise refuse(Status.INVALID_ARGUMENT, "installer image name is required")
    if f"{_instance(call.request)} {image}" not in machine.disk.images:
        raise refuse(Status.INTERNAL, f"{action} failed: image {image} not found in containerd store")


async def _installer(call: Call, reply_name: str, work: Any) -> AsyncIterator[Any]:
    machine, reply = call.machine, message(reply_name)
    machine.writing_system = True
    try:
        yield reply(progress={"message": f"running Talos installer {call.request.source.image_name}"})
        await work
    except (ConfigError, ValueError) as error:
        yield reply(progress={"message": str(error)})
        yield reply(progress={"exit_code": _INSTALL_FAILED})
    else:
        machine.reboot_pending = True
        yield reply(progress={"exit_code": _INSTALLED})
    finally:
        machine.writing_system = False


async def _operate_service(call: Call, operation: str, *, allowed: bool) -> AsyncIterator[Any]:
    machine, name = call.machine, call.request.id
    if name not in {service.id for service in machine.services()}:
        raise refuse(Status.UNKNOWN, f'service "{name}" not defined')
    if not allowed:
        raise refuse(Status.UNKNOWN, f'service "{name}" doesn\'t support {operation} operation via API')
    if operation == "stop":
        machine.stopped_services.add(name)
    else:
        machine.stopped_services.discard(name)
    machine.world.notify()
    past = {"start": "started", "stop": "stopped", "restart": "restarted"}[operation]
    yield single(f"machine.Service{operation.title()}", resp=f'Service "{name}" {past}')


@procedure("/machine.MachineService/ServiceStart")
async def service_start(call: Call) -> AsyncIterator[Any]:
    async for reply in _operate_service(call, "start", allowed=call.request.id == "kubelet"):
        yield reply


@procedure("/machine.MachineService/ServiceStop")
async def service_stop(call: Call) -> AsyncIterator[Any]:
    async for reply in _operate_service(call, "stop", allowed=call.request.id.startswith("ext-")):
        yield reply


@procedure("/machine.MachineService/ServiceRestart")
async def service_restart(call: Call) -> AsyncIterator[Any]:
    async for reply in _operate_service(call, "restart", allowed=call.request.id == "kubelet"):
        yield reply


@procedure("/machine.MachineService/MetaWrite")
async def meta_write(call: Call) -> AsyncIterator[Any]:
    if call.request.key > 255:
        raise refuse(Status.INVALID_ARGUMENT, "key must be a uint8")
    call.machine.disk.meta[str(call.request.key)] = call.request.value.decode()
    call.machine.save()
    yield single("machine.MetaWrite")


@procedure("/machine.MachineService/MetaDelete")
async def meta_delete(call: Call) -> AsyncIterator[Any]:
    if call.machine.disk.meta.pop(str(call.request.key), None) is None:
        raise refuse(Status.NOT_FOUND, "meta key not found")
    call.machine.save()
    yield single("machine.MetaDelete")

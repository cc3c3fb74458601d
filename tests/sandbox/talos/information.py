# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Procedures that only tell: version, services, hardware, files, and credentials made on request."""

from __future__ import annotations

import base64
import datetime
import gzip
import re
import tarfile
from collections.abc import AsyncIterator
from typing import Any

import yaml
from ansible_collections.dcm.platform.plugins.module_utils.talos.messages import message
from grpclib.const import Status

from tests.sandbox.talos import pki
from tests.sandbox.talos.calls import Call, procedure, refuse, require_control_plane, single
from tests.sandbox.talos.etcd import PAGE
from tests.sandbox.talos.machine import Machine

_DISK_TYPE = message("storage.Disk").DiskType


@procedure("/machine.MachineService/Version")
async def version(call: Call) -> AsyncIterator[Any]:
    machine, platform = call.machine, call.machine.world.platform
    fields: dict[str, Any] = {
        "version": {"tag": machine.version, "sha": "simulated", "os": "linux", "arch": "amd64"},
        "platform": {"name": platform.platform, "mode": platform.mode},
    }
    if machine.config is not None:
        fields["features"] = {"rbac": True}
    yield single("machine.Version", **fields)


@procedure("/machine.MachineService/Hostname")
async def hostname(call: Call) -> AsyncIterator[Any]:
    yield single("machine.Hostname", hostname=call.machine.hostname)


@procedure("/machine.MachineService/ServiceList")
async def service_list(call: Call) -> AsyncIterator[Any]:
    services = [
        {
            "id": service.id,
            "state": service.state,
            "health": {"unknown": service.healthy is None, "healthy": bool(service.healthy)},
            "events": {"events": [{"state": service.state, "msg": f"Service is {service.state}"}]},
        }
        for service in call.machine.services()
    ]
    yield single("machine.ServiceList", services=services)


@procedure("/machine.MachineService/Memory")
async def memory(call: Call) -> AsyncIterator[Any]:
    total = call.machine.hardware.memory_mib * 1024
    yield single("machine.Memory", meminfo={"memtotal": total, "memfree": total // 2, "memavailable": total // 2})


@procedure("/machine.MachineService/Mounts")
async def mounts(call: Call) -> AsyncIterator[Any]:
    stats = []
    if (disk := call.machine.system_disk) is not None:
        stats.append({"filesystem": disk.path, "size": disk.size, "available": disk.size // 2, "mounted_on": "/var"})
    yield single("machine.Mounts", stats=stats)


@procedure("/storage.StorageService/Disks")
async def disks(call: Call) -> AsyncIterator[Any]:
    found = [
        {
            "size": disk.size,
            "model": disk.model,
            "device_name": disk.path,
            "serial": disk.serial,
            "wwid": disk.wwid,
            "type": _DISK_TYPE.Value(disk.type.upper()),
            "bus_path": disk.bus_path,
            "system_disk": disk.path == call.machine.disk.path,
            "subsystem": "/sys/class/block",
            "readonly": disk.readonly,
        }
        for disk in call.machine.hardware.disks
    ]
    yield single("storage.Disks", disks=found)


@procedure("/time.TimeService/Time")
async def time(call: Call) -> AsyncIterator[Any]:
    now = datetime.datetime.now(datetime.UTC)
    remote = now + datetime.timedelta(minutes=5) if call.machine.faults.time_unsynchronised else now
    yield single("time.Time", server="time.cloudflare.com", localtime=now, remotetime=remote)


@procedure("/machine.MachineService/Read")
async def read(call: Call) -> AsyncIterator[Any]:
    machine, path = call.machine, call.request.path
    files = {"/proc/sys/kernel/random/boot_id": f"{machine.boot_id}\n".encode()}
    if machine.services_started and machine.etcd_cluster:  # before that, the data is not mounted
        files["/var/lib/etcd/member/snap/db"] = machine.etcd_cluster.pages()
    if path not in files:
        raise refuse(Status.UNKNOWN, f"stat {path}: no such file or directory")
    for start in range(0, len(files[path]), PAGE):
        yield message("common.Data")(bytes=files[path][start : start + PAGE])


@procedure("/machine.MachineService/Kubeconfig")
async def kubeconfig(call: Call) -> AsyncIterator[Any]:
    """One gzip chunk with a tar that ends right after the content, without the padding that tar wants."""
    require_control_plane(call, "kubeconfig")
    content = _kubeconfig(call.machine)
    entry = tarfile.TarInfo("kubeconfig")
    entry.size, entry.mode = len(content), 0o600
    yield message("common.Data")(bytes=gzip.compress(entry.tobuf() + content))


def _kubeconfig(machine: Machine) -> bytes:
    config = machine.config
    if config is None or not config.kubernetes_authority.key:
        raise refuse(Status.FAILED_PRECONDITION, "k8s API server CA config is not set")
    authority, cluster = config.kubernetes_authority, config.cluster_name
    lifetime = _duration(config.admin_lifetime) or pki.ADMIN_LIFETIME
    identity = pki.issue_client(authority, ["system:masters"], lifetime, "admin")
    user = f"admin@{cluster}"
    credentials = {"client-certificate-data": _base64(identity.certificate), "client-key-data": _base64(identity.key)}
    server = {"server": config.endpoint, "certificate-authority-data": _base64(authority.certificate)}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster, "cluster": server}],
        "users": [{"name": user, "user": credentials}],
        "contexts": [{"name": user, "context": {"cluster": cluster, "namespace": "default", "user": user}}],
        "current-context": user,
    }
    return yaml.safe_dump(content, sort_keys=False).encode()


@procedure("/machine.MachineService/GenerateClientConfiguration")
async def generate_client_configuration(call: Call) -> AsyncIterator[Any]:
    require_control_plane(call, "client configuration generation")
    config = call.machine.config
    if config is None:
        raise refuse(Status.FAILED_PRECONDITION, "machine configuration is not set")
    roles = list(call.request.roles)
    seconds = call.request.crt_ttl.ToSeconds() if call.request.HasField("crt_ttl") else 0
    lifetime = datetime.timedelta(seconds=seconds) or pki.ADMIN_LIFETIME
    identity = pki.issue_client(config.os_authority, roles, lifetime)
    authority = "".join(config.accepted_os_authorities)
    context = f"{roles[0]}@{config.cluster_name}" if len(roles) == 1 else config.cluster_name
    texts = {"ca": authority, "crt": identity.certificate, "key": identity.key}
    entry = {"endpoints": [], **{name: _base64(text) for name, text in texts.items()}}
    talosconfig = yaml.safe_dump({"context": context, "contexts": {context: entry}}, sort_keys=False)
    encoded = {name: text.encode() for name, text in texts.items()}
    yield single("machine.GenerateClientConfiguration", talosconfig=talosconfig.encode(), **encoded)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _duration(text: str) -> datetime.timedelta:
    """As Go writes them, such as ``8760h0m0s``; without a fraction."""
    units = {"h": "hours", "m": "minutes", "s": "seconds"}
    parts = {units[unit]: int(number) for number, unit in re.findall(r"(\d+)([hms])", text)}
    return datetime.timedelta(**parts)

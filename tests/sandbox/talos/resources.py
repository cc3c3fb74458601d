# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the COSI resources of a machine say, by type and id."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.sandbox.talos.machine import Machine

Specs = dict[str, Any]


@dataclass(frozen=True)
class ResourceType:
    """``name`` is in the plural, ``since`` the first minor version of Talos 1 that has it; ``build`` makes specs by id.

    A spec is plain data, or a machine configuration.
    """

    namespace: str
    name: str
    build: Callable[[Machine], Specs]
    since: int = 0
    sensitive: bool = False


def _machine_configs(machine: Machine) -> Specs:
    found = {"v1alpha1": machine.config, "persistent": machine.stored}
    return {key: config for key, config in found.items() if config is not None}


def _machine_types(machine: Machine) -> Specs:
    return {"machine-type": machine.config.machine_type} if machine.config and machine.config.machine_type else {}


def _machine_statuses(machine: Machine) -> Specs:
    unmet = [{"name": name, "reason": reason} for name, reason in machine.unmet_conditions()]
    return {"machine": {"stage": machine.stage, "status": {"ready": not unmet, "unmetConditions": unmet}}}


def _unattended_installs(machine: Machine) -> Specs:
    installation = machine.config.installation if machine.config else None
    if installation is None or not installation.unattended:
        return {}
    phase = "installed" if machine.disk.installed else "pending"
    if machine.install_error:
        phase = "failed"
    elif machine.reboot_pending:
        phase = "waiting-for-reboot"
    elif machine.stage == "installing":
        phase = "installing"
    return {"unattended-install": {"image": installation.image, "phase": phase, "error": machine.install_error}}


def _versions(machine: Machine) -> Specs:
    return {"version": {"name": "Talos", "version": machine.version}}


def _boot_ids(machine: Machine) -> Specs:
    return {"boot-id": {"bootID": machine.boot_id}}


def _schematics(machine: Machine) -> Specs:
    schematic = machine.running_system.schematic
    spec = {"schematicId": schematic, "flavor": "metal", "apiUrl": "https://factory.talos.dev"}
    return {"image-factory-schematic": spec} if schematic else {}


def _extensions(machine: Machine) -> Specs:
    schematic = machine.running_system.schematic
    metadata = {
        "name": "schematic",
        "version": schematic,
        "author": "Image Factory",
        "description": "Virtual extension",
    }
    return {"0": {"image": "", "metadata": metadata}} if schematic else {}


def _security_states(_unused: Machine) -> Specs:
    return {"securitystate": {"secureBoot": False, "selinuxState": "enabled", "fipsState": "disabled"}}


def _meta_keys(machine: Machine) -> Specs:
    return {f"0x{int(key):02x}": value for key, value in machine.disk.meta.items()}


def _platform_metadata(machine: Machine) -> Specs:
    return {"platformmetadata": {"platform": machine.world.platform.platform, "hostname": machine.hostname}}


def _disks(machine: Machine) -> Specs:
    return {
        disk.name: {
            "dev_path": disk.path,
            "size": disk.size,
            "pretty_size": f"{disk.size / 10**9:.0f} GB",
            "io_size": 512,
            "sector_size": 512,
            "readonly": disk.readonly,
            "cdrom": False,
            "model": disk.model,
            "serial": disk.serial,
            "wwid": disk.wwid,
            "bus_path": disk.bus_path,
            "transport": "nvme" if disk.type == "nvme" else "sata",
            "rotational": disk.type == "hdd",
        }
        for disk in machine.hardware.disks
    }


def _system_disks(machine: Machine) -> Specs:
    disk = machine.system_disk
    return {"system-disk": {"diskID": disk.name, "devPath": disk.path}} if disk else {}


def _volumes(machine: Machine) -> Specs:
    disk = machine.system_disk
    if disk is None:
        return {}
    partitions = {"META": (4, 2**20, "none"), "STATE": (5, 100 * 2**20, "xfs"), "EPHEMERAL": (6, disk.size // 2, "xfs")}
    return {
        label: {
            "phase": "ready",
            "type": "partition",
            "location": f"{disk.path}{number}",
            "size": size,
            "filesystem": filesystem,
        }
        for label, (number, size, filesystem) in partitions.items()
    }


def _services(machine: Machine) -> Specs:
    return {
        service.id: {
            "running": service.state == "Running",
            "healthy": bool(service.healthy),
            "unknown": service.healthy is None,
        }
        for service in machine.services()
    }


def _time_statuses(machine: Machine) -> Specs:
    return {"node": {"synced": not machine.faults.time_unsynchronised, "epoch": 1, "syncDisabled": False}}


def _members(machine: Machine) -> Specs:
    return {
        member.hostname: {
            "nodeId": member.node_id,
            "addresses": [member.address],
            "hostname": member.hostname,
            "machineType": member.config.machine_type if member.config else "unknown",
            "operatingSystem": f"Talos ({member.version})",
            **({"controlPlane": {"port": 6443}} if member.is_control_plane else {}),
        }
        for member in machine.world.members_of(machine)
    }


def _identities(machine: Machine) -> Specs:
    return {"local": {"nodeId": machine.node_id}}


def _cluster_infos(machine: Machine) -> Specs:
    config = machine.config
    return {"current": {"clusterId": config.cluster_id, "clusterName": config.cluster_name}} if config else {}


def _node_addresses(machine: Machine) -> Specs:
    return {name: {"addresses": [f"{machine.address}/24"]} for name in ("default", "current", "routed", "accumulative")}


def _hostnames(machine: Machine) -> Specs:
    return {"hostname": {"hostname": machine.hostname, "domainname": ""}}


def _network_statuses(_unused: Machine) -> Specs:
    ready = ("addressReady", "connectivityReady", "hostnameReady", "etcFilesReady")
    return {"status": dict.fromkeys(ready, True)}


def _etcd_members(machine: Machine) -> Specs:
    return {"local": {"memberID": f"{machine.disk.etcd_member:016x}"}} if machine.etcd_running else {}


def _nodenames(machine: Machine) -> Specs:
    config = machine.config
    if config is None or machine.in_maintenance:
        return {}
    return {"nodename": {"nodename": machine.hostname, "skipNodeRegistration": not config.registers_node}}


def _node_statuses(machine: Machine) -> Specs:
    if not machine.services_started or not machine.config or not machine.world.kubernetes_up(machine.config):
        return {}
    return {machine.hostname: {"nodename": machine.hostname, "nodeReady": not machine.node_problem()}}


def _static_pods(machine: Machine) -> Specs:
    return {
        f"kube-system/{name}-{machine.hostname}": {
            "podStatus": {
                "phase": "Running",
                "conditions": [{"type": "Ready", "status": str(ready)}],
                "containerStatuses": [{"name": name, "image": image, "ready": ready}],
            }
        }
        for name, (image, ready) in machine.static_pods().items()
    }


def _kubelet_specs(machine: Machine) -> Specs:
    return {"kubelet": {"image": machine.config.kubelet_image}} if machine.config and machine.services_started else {}


def _system_information(machine: Machine) -> Specs:
    spec = {
        "manufacturer": "Simulated",
        "productName": "Machine",
        "serialnumber": machine.name,
        "uuid": machine.node_id,
    }
    return {"systeminformation": spec}


def _definitions(_unused: Machine) -> Specs:
    return {
        kind.name.lower(): {
            "type": kind.name,
            "displayType": kind.name.partition(".")[0],
            "defaultNamespace": kind.namespace,
            "aliases": [kind.name.partition(".")[0].lower(), kind.name.partition(".")[0].lower().removesuffix("s")],
            "sensitivity": "sensitive" if kind.sensitive else "",
        }
        for kind in RESOURCE_TYPES
    }


RESOURCE_TYPES = [
    ResourceType("config", "MachineConfigs.config.talos.dev", _machine_configs, sensitive=True),
    ResourceType("config", "MachineTypes.config.talos.dev", _machine_types),
    ResourceType("runtime", "MachineStatuses.runtime.talos.dev", _machine_statuses),
    ResourceType("runtime", "UnattendedInstallStatuses.runtime.talos.dev", _unattended_installs, since=14),
    ResourceType("runtime", "Versions.runtime.talos.dev", _versions, since=10),
    ResourceType("runtime", "BootIDs.runtime.talos.dev", _boot_ids, since=14),
    ResourceType("runtime", "ImageFactorySchematics.runtime.talos.dev", _schematics, since=14),
    ResourceType("runtime", "ExtensionStatuses.runtime.talos.dev", _extensions),
    ResourceType("runtime", "SecurityStates.talos.dev", _security_states),
    ResourceType("runtime", "MetaKeys.runtime.talos.dev", _meta_keys),
    ResourceType("runtime", "Diagnostics.runtime.talos.dev", lambda _: {}),
    ResourceType("runtime", "PlatformMetadatas.talos.dev", _platform_metadata),
    ResourceType("runtime", "Disks.block.talos.dev", _disks),
    ResourceType("runtime", "SystemDisks.block.talos.dev", _system_disks),
    ResourceType("runtime", "VolumeStatuses.block.talos.dev", _volumes),
    ResourceType("runtime", "Services.v1alpha1.talos.dev", _services),
    ResourceType("runtime", "TimeStatuses.v1alpha1.talos.dev", _time_statuses),
    ResourceType("cluster", "Members.cluster.talos.dev", _members),
    ResourceType("cluster", "Identities.cluster.talos.dev", _identities),
    ResourceType("cluster", "Infos.cluster.talos.dev", _cluster_infos),
    ResourceType("network", "NodeAddresses.net.talos.dev", _node_addresses),
    ResourceType("network", "HostnameStatuses.net.talos.dev", _hostnames),
    ResourceType("network", "NetworkStatuses.net.talos.dev", _network_statuses),
    ResourceType("etcd", "EtcdMembers.etcd.talos.dev", _etcd_members),
    ResourceType("k8s", "Nodenames.kubernetes.talos.dev", _nodenames),
    ResourceType("k8s", "NodeStatuses.kubernetes.talos.dev", _node_statuses),
    ResourceType("k8s", "StaticPodStatuses.kubernetes.talos.dev", _static_pods),
    ResourceType("k8s", "KubeletSpecs.kubernetes.talos.dev", _kubelet_specs),
    ResourceType("hardware", "SystemInformations.hardware.talos.dev", _system_information),
    ResourceType("meta", "ResourceDefinitions.meta.cosi.dev", _definitions),
]

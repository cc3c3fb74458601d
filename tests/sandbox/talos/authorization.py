# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which role may call which method."""

from __future__ import annotations

from collections.abc import Collection

ADMIN, OPERATOR, READER = "os:admin", "os:operator", "os:reader"
ETCD_BACKUP, META_WRITER = "os:etcd:backup", "os:meta:writer"

_READERS = {READER, OPERATOR, ADMIN}
_OPERATORS = {OPERATOR, ADMIN}

_ALLOWED = {
    "/machine.MachineService": {
        "Version Hostname ServiceList Logs Dmesg Events Mounts Memory": _READERS,
        "EtcdMemberList EtcdStatus EtcdAlarmList": _READERS | {ETCD_BACKUP},
        "EtcdSnapshot": _OPERATORS | {ETCD_BACKUP},
        "Reboot Shutdown ServiceStart ServiceStop ServiceRestart EtcdDefragment EtcdAlarmDisarm": _OPERATORS,
        "MetaWrite MetaDelete": {ADMIN, META_WRITER},
    },
    "/machine.ImageService": {"List": _READERS, "Pull": _OPERATORS},
    "/storage.StorageService": {"Disks": _READERS},
    "/time.TimeService": {"Time": _READERS},
    "/cluster.ClusterService": {"HealthCheck": _READERS},
    "/cosi.resource.State": {"Get List Watch Create Update Destroy": _READERS},
}

_ROLES = {
    f"{service}/{method}": roles
    for service, methods in _ALLOWED.items()
    for names, roles in methods.items()
    for method in names.split()
}

# What servers up to Talos 1.12 answer in maintenance.
OLD_MAINTENANCE_METHODS = {
    "/machine.MachineService/ApplyConfiguration",
    "/storage.StorageService/Disks",
    "/cosi.resource.State/Get",
    "/cosi.resource.State/List",
    "/cosi.resource.State/Watch",
}


def may_call(path: str, roles: Collection[str]) -> bool:
    """Methods that are not in the table are for administrators only."""
    return not _ROLES.get(path, {ADMIN}).isdisjoint(roles)

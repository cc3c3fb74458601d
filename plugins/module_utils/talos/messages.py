# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The messages and methods of the Talos API, as one table; protobuf classes are built from it at run time.

A table instead of generated code: it works with every protobuf runtime, and what the modules use fits on a few screens.
Only :func:`message` needs the protobuf library.

One line of a package is one type::

    Name: type field=number, ...        a message; unqualified types are of the same package
    reply Name: type field=number, ...  the message Name with its metadata=1, and NameResponse that lists it
    enum Name: VALUE=number, ...        an enumeration
    Outer.Name                          is nested in Outer, which comes before it

``[]type`` is repeated, ``{}type`` a map from strings, ``?type`` optional (knows absent from zero), ``|type`` one of the
alternatives of the oneof ``response``.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

try:
    from google.protobuf import (
        any_pb2,
        descriptor_pb2,
        descriptor_pool,
        duration_pb2,
        empty_pb2,
        message_factory,
        timestamp_pb2,
    )
except ImportError as error:
    # The engine reports a missing library with its package; the import itself must work without it.
    PROTOBUF_IMPORT_ERROR: ImportError | None = error
else:
    PROTOBUF_IMPORT_ERROR = None

_PACKAGES: Mapping[str, str] = {
    "google.rpc": """
        Status: int32 code=1, string message=2, []google.protobuf.Any details=3
    """,
    "common": """
        enum Code: FATAL=0, LOCKED=1, CANCELED=2
        enum ContainerDriver: CONTAINERD=0, CRI=1
        enum ContainerdNamespace: NS_UNKNOWN=0, NS_SYSTEM=1, NS_CRI=2
        Metadata: string hostname=1, string error=2, google.rpc.Status status=3
        Error: Code code=1, string message=2, []google.protobuf.Any details=3
        Data: Metadata metadata=1, bytes bytes=2
        Empty: Metadata metadata=1
        ContainerdInstance: ContainerDriver driver=1, ContainerdNamespace namespace=2
    """,
    "machine": """
        ApplyConfigurationRequest: bytes data=1, ApplyConfigurationRequest.Mode mode=4, bool dry_run=5, \
            google.protobuf.Duration try_mode_timeout=6
        enum ApplyConfigurationRequest.Mode: REBOOT=0, AUTO=1, NO_REBOOT=2, STAGED=3, TRY=4
        reply ApplyConfiguration: []string warnings=2, ApplyConfigurationRequest.Mode mode=3, string mode_details=4
        BootstrapRequest: bool recover_etcd=1, bool recover_skip_hash_check=2
        reply Bootstrap:
        ResetRequest: bool graceful=1, bool reboot=2, []ResetPartitionSpec system_partitions_to_wipe=3, \
            []string user_disks_to_wipe=4, ResetRequest.WipeMode mode=5
        enum ResetRequest.WipeMode: ALL=0, SYSTEM_DISK=1, USER_DISKS=2
        ResetPartitionSpec: string label=1, bool wipe=2
        reply Reset: string actor_id=2
        RebootRequest: RebootRequest.Mode mode=1
        enum RebootRequest.Mode: DEFAULT=0, POWERCYCLE=1, FORCE=2
        reply Reboot: string actor_id=2
        ShutdownRequest: bool force=1
        reply Shutdown: string actor_id=2
        RollbackRequest:
        reply Rollback:
        UpgradeRequest: string image=1, bool preserve=2, bool stage=3, bool force=4, \
            UpgradeRequest.RebootMode reboot_mode=5
        enum UpgradeRequest.RebootMode: DEFAULT=0, POWERCYCLE=1
        reply Upgrade: string ack=2, string actor_id=3
        VersionInfo: string tag=1, string sha=2, string built=3, string go_version=4, string os=5, string arch=6
        PlatformInfo: string name=1, string mode=2
        FeaturesInfo: bool rbac=1
        reply Version: VersionInfo version=2, PlatformInfo platform=3, FeaturesInfo features=4
        reply Hostname: string hostname=2
        ServiceEvent: string msg=1, string state=2, google.protobuf.Timestamp ts=3
        ServiceEvents: []ServiceEvent events=1
        ServiceHealth: bool unknown=1, bool healthy=2, string last_message=3, google.protobuf.Timestamp last_change=4
        ServiceInfo: string id=1, string state=2, ServiceEvents events=3, ServiceHealth health=4
        reply ServiceList: []ServiceInfo services=2
        ServiceStartRequest: string id=1
        reply ServiceStart: string resp=2
        ServiceStopRequest: string id=1
        reply ServiceStop: string resp=2
        ServiceRestartRequest: string id=1
        reply ServiceRestart: string resp=2
        EtcdMemberListRequest: bool query_local=1
        EtcdMember: uint64 id=2, string hostname=3, []string peer_urls=4, []string client_urls=5, bool is_learner=6
        EtcdMembers: common.Metadata metadata=1, []string legacy_members=2, []EtcdMember members=3
        EtcdMemberListResponse: []EtcdMembers messages=1
        EtcdMemberStatus: string protocol_version=1, int64 db_size=2, int64 db_size_in_use=3, uint64 leader=4, \
            uint64 raft_index=5, uint64 raft_term=6, uint64 raft_applied_index=7, []string errors=8, \
            bool is_learner=9, uint64 member_id=10, string storage_version=11
        reply EtcdStatus: EtcdMemberStatus member_status=2
        EtcdMemberAlarm: uint64 member_id=1, EtcdMemberAlarm.AlarmType alarm=2
        enum EtcdMemberAlarm.AlarmType: NONE=0, NOSPACE=1, CORRUPT=2
        EtcdAlarm: common.Metadata metadata=1, []EtcdMemberAlarm member_alarms=2
        EtcdAlarmListResponse: []EtcdAlarm messages=1
        reply EtcdAlarmDisarm: []EtcdMemberAlarm member_alarms=2
        reply EtcdDefragment:
        EtcdSnapshotRequest:
        reply EtcdRecover:
        EtcdLeaveClusterRequest:
        reply EtcdLeaveCluster:
        EtcdForfeitLeadershipRequest:
        reply EtcdForfeitLeadership: string member=2
        EtcdRemoveMemberByIDRequest: uint64 member_id=1
        reply EtcdRemoveMemberByID:
        GenerateClientConfigurationRequest: []string roles=1, google.protobuf.Duration crt_ttl=2
        reply GenerateClientConfiguration: bytes ca=2, bytes crt=3, bytes key=4, bytes talosconfig=5
        MemInfo: uint64 memtotal=1, uint64 memfree=2, uint64 memavailable=3, uint64 buffers=4, uint64 cached=5
        reply Memory: MemInfo meminfo=2
        MountStat: string filesystem=1, uint64 size=2, uint64 available=3, string mounted_on=4
        reply Mounts: []MountStat stats=2
        ReadRequest: string path=1
        LogsRequest: string namespace=1, string id=2, common.ContainerDriver driver=3, bool follow=4, int32 tail_lines=5
        DmesgRequest: bool follow=1, bool tail=2
        EventsRequest: int32 tail_events=1, string tail_id=2, int32 tail_seconds=3, string with_actor_id=4
        Event: common.Metadata metadata=1, google.protobuf.Any data=2, string id=3, string actor_id=4
        SequenceEvent: string sequence=1, SequenceEvent.Action action=2, common.Error error=3
        enum SequenceEvent.Action: NOOP=0, START=1, STOP=2
        MetaWriteRequest: uint32 key=1, bytes value=2
        reply MetaWrite:
        MetaDeleteRequest: uint32 key=1
        reply MetaDelete:
        ImageServicePullRequest: common.ContainerdInstance containerd=1, string image_ref=3
        ImageServicePullLayerProgress: ImageServicePullLayerProgress.Status status=1, \
            google.protobuf.Duration elapsed=2, int64 offset=3, int64 total=4
        enum ImageServicePullLayerProgress.Status: DOWNLOADING=0, DOWNLOAD_COMPLETE=1, EXTRACTING=2, \
            EXTRACT_COMPLETE=3, ALREADY_EXISTS=4
        ImageServicePullProgress: string layer_id=1, ImageServicePullLayerProgress progress=2
        ImageServicePullResponse: |string name=1, |ImageServicePullProgress pull_progress=2
        ImageServiceListRequest: common.ContainerdInstance containerd=1
        ImageServiceListResponse: string name=1, string digest=2, int64 size=3, \
            google.protobuf.Timestamp created_at=4, {}string labels=5
        ImageServiceRemoveRequest: common.ContainerdInstance containerd=1, string image_ref=2
        InstallArtifactsSource: string image_name=1
        InstallDestination: string disk=1
        LifecycleServiceInstallRequest: common.ContainerdInstance containerd=1, InstallArtifactsSource source=2, \
            InstallDestination destination=3
        LifecycleServiceInstallProgress: |string message=1, |int32 exit_code=2
        LifecycleServiceInstallResponse: LifecycleServiceInstallProgress progress=1
        LifecycleServiceUpgradeRequest: common.ContainerdInstance containerd=1, InstallArtifactsSource source=2
        LifecycleServiceUpgradeResponse: LifecycleServiceInstallProgress progress=1
    """,
    "storage": """
        Disk: uint64 size=1, string model=2, string device_name=3, string name=4, string serial=5, string modalias=6, \
            string uuid=7, string wwid=8, Disk.DiskType type=9, string bus_path=10, bool system_disk=11, \
            string subsystem=12, bool readonly=13
        enum Disk.DiskType: UNKNOWN=0, SSD=1, HDD=2, NVME=3, SD=4, CD=5
        reply Disks: []Disk disks=2
    """,
    "time": """
        reply Time: string server=2, google.protobuf.Timestamp localtime=3, google.protobuf.Timestamp remotetime=4
    """,
    "cluster": """
        ClusterInfo: []string control_plane_nodes=1, []string worker_nodes=2, string force_endpoint=3
        HealthCheckRequest: google.protobuf.Duration wait_timeout=1, ClusterInfo cluster_info=2
        HealthCheckProgress: common.Metadata metadata=1, string message=2
    """,
    "cosi.resource": """
        Metadata: string namespace=1, string type=2, string id=3, string version=4, string owner=5, string phase=6, \
            google.protobuf.Timestamp created=7, google.protobuf.Timestamp updated=8, []string finalizers=9, \
            {}string labels=10, {}string annotations=11
        Spec: bytes proto_spec=1, string yaml_spec=2
        Resource: Metadata metadata=1, Spec spec=2
        LabelTerm: string key=1, LabelTerm.Operation op=2, []string value=3, bool invert=5
        enum LabelTerm.Operation: EXISTS=0, EQUAL=1, NOT_EXISTS=2, IN=3, LT=4, LTE=5, LT_NUMERIC=6, LTE_NUMERIC=7
        LabelQuery: []LabelTerm terms=1
        IDQuery: string regexp=1
        GetOptions:
        GetRequest: string namespace=1, string type=2, string id=3, GetOptions options=4
        GetResponse: Resource resource=1
        ListOptions: []LabelQuery label_query=1, IDQuery id_query=2
        ListRequest: string namespace=1, string type=2, ListOptions options=3
        ListResponse: Resource resource=1
        enum EventType: CREATED=0, UPDATED=1, DESTROYED=2, BOOTSTRAPPED=3, ERRORED=4, NOOP=5
        Event: Resource resource=1, EventType event_type=2, Resource old=3, ?string error=4, ?bytes bookmark=5
        WatchOptions: bool bootstrap_contents=1, int32 tail_events=2, []LabelQuery label_query=3, IDQuery id_query=4, \
            bool aggregated=5, ?bytes start_from_bookmark=6, bool bootstrap_bookmark=7
        WatchRequest: string namespace=1, string type=2, ?string id=3, WatchOptions options=4, int32 api_version=5
        WatchResponse: []Event event=1
        CreateRequest: Resource resource=1
        CreateResponse: Resource resource=1
        UpdateRequest: Resource new_resource=2
        UpdateResponse: Resource resource=1
        DestroyRequest: string namespace=1, string type=2, string id=3
        DestroyResponse:
    """,
    # What MachineConfigs resources carry in proto_spec.
    "resource.config": """
        MachineConfigSpec: bytes yaml_marshalled=1
    """,
}

# Service, then "Method: request -> reply"; types without a package are of the service's package.
_SERVICES: Mapping[str, str] = {
    "machine.MachineService": """
        ApplyConfiguration: ApplyConfigurationRequest -> ApplyConfigurationResponse
        Bootstrap: BootstrapRequest -> BootstrapResponse
        Dmesg: DmesgRequest -> stream common.Data
        EtcdAlarmDisarm: google.protobuf.Empty -> EtcdAlarmDisarmResponse
        EtcdAlarmList: google.protobuf.Empty -> EtcdAlarmListResponse
        EtcdDefragment: google.protobuf.Empty -> EtcdDefragmentResponse
        EtcdForfeitLeadership: EtcdForfeitLeadershipRequest -> EtcdForfeitLeadershipResponse
        EtcdLeaveCluster: EtcdLeaveClusterRequest -> EtcdLeaveClusterResponse
        EtcdMemberList: EtcdMemberListRequest -> EtcdMemberListResponse
        EtcdRecover: stream common.Data -> EtcdRecoverResponse
        EtcdRemoveMemberByID: EtcdRemoveMemberByIDRequest -> EtcdRemoveMemberByIDResponse
        EtcdSnapshot: EtcdSnapshotRequest -> stream common.Data
        EtcdStatus: google.protobuf.Empty -> EtcdStatusResponse
        Events: EventsRequest -> stream Event
        GenerateClientConfiguration: GenerateClientConfigurationRequest -> GenerateClientConfigurationResponse
        Hostname: google.protobuf.Empty -> HostnameResponse
        Kubeconfig: google.protobuf.Empty -> stream common.Data
        Logs: LogsRequest -> stream common.Data
        Memory: google.protobuf.Empty -> MemoryResponse
        MetaDelete: MetaDeleteRequest -> MetaDeleteResponse
        MetaWrite: MetaWriteRequest -> MetaWriteResponse
        Mounts: google.protobuf.Empty -> MountsResponse
        Read: ReadRequest -> stream common.Data
        Reboot: RebootRequest -> RebootResponse
        Reset: ResetRequest -> ResetResponse
        Rollback: RollbackRequest -> RollbackResponse
        ServiceList: google.protobuf.Empty -> ServiceListResponse
        ServiceRestart: ServiceRestartRequest -> ServiceRestartResponse
        ServiceStart: ServiceStartRequest -> ServiceStartResponse
        ServiceStop: ServiceStopRequest -> ServiceStopResponse
        Shutdown: ShutdownRequest -> ShutdownResponse
        Upgrade: UpgradeRequest -> UpgradeResponse
        Version: google.protobuf.Empty -> VersionResponse
    """,
    "machine.ImageService": """
        List: ImageServiceListRequest -> stream ImageServiceListResponse
        Pull: ImageServicePullRequest -> stream ImageServicePullResponse
        Remove: ImageServiceRemoveRequest -> google.protobuf.Empty
    """,
    "machine.LifecycleService": """
        Install: LifecycleServiceInstallRequest -> stream LifecycleServiceInstallResponse
        Upgrade: LifecycleServiceUpgradeRequest -> stream LifecycleServiceUpgradeResponse
    """,
    "storage.StorageService": """
        Disks: google.protobuf.Empty -> DisksResponse
    """,
    "time.TimeService": """
        Time: google.protobuf.Empty -> TimeResponse
    """,
    "cluster.ClusterService": """
        HealthCheck: HealthCheckRequest -> stream HealthCheckProgress
    """,
    "cosi.resource.State": """
        Get: GetRequest -> GetResponse
        List: ListRequest -> stream ListResponse
        Watch: WatchRequest -> stream WatchResponse
        Create: CreateRequest -> CreateResponse
        Update: UpdateRequest -> UpdateResponse
        Destroy: DestroyRequest -> DestroyResponse
    """,
}


class Method(NamedTuple):
    """Types of one remote procedure: names for :func:`message`, and whether each side sends many messages."""

    request: str
    reply: str
    client_streaming: bool
    server_streaming: bool


def _lines(table: str) -> Iterator[tuple[str, str]]:
    for line in table.strip().splitlines():
        name, _unused, rest = line.partition(":")
        yield name.strip(), rest.strip()


def _qualified(package: str, name: str) -> str:
    """Names that start with a capital are of ``package``; all packages are lower case."""
    return f"{package}.{name}" if name[0].isupper() else name


def _methods() -> dict[str, Method]:
    methods = {}
    for service, table in _SERVICES.items():
        package = service.rpartition(".")[0]
        for name, types in _lines(table):
            request, reply = (side.strip() for side in types.split("->"))
            methods[f"/{service}/{name}"] = Method(
                request=_qualified(package, request.removeprefix("stream ")),
                reply=_qualified(package, reply.removeprefix("stream ")),
                client_streaming=request.startswith("stream "),
                server_streaming=reply.startswith("stream "),
            )
    return methods


METHODS: Mapping[str, Method] = _methods()
"""Every method that client and simulator know, by its full path ``/package.Service/Method``."""


def message(name: str) -> type[Any]:
    """The protobuf class of a message, by its full name, such as ``machine.ApplyConfigurationRequest``.

    The class is a ``google.protobuf.message.Message``; nested enumerations are attributes (``.Mode.Value("AUTO")``).
    Raises ``ImportError`` without the protobuf library and ``KeyError`` for a name that is not in the table.
    """
    if PROTOBUF_IMPORT_ERROR is not None:
        raise PROTOBUF_IMPORT_ERROR
    with _BUILDING:
        return _message_class(name)


_BUILDING = threading.RLock()  # a cache alone would let two threads build a pool each, with classes that do not mix


@functools.cache
def _message_class(name: str) -> type[Any]:
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(name))


@functools.cache
def _pool() -> descriptor_pool.DescriptorPool:
    """A pool of our own, so that nothing clashes with other users of protobuf in the process."""
    pool = descriptor_pool.DescriptorPool()
    imports = []
    for module in (any_pb2, duration_pb2, empty_pb2, timestamp_pb2):
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
        imports.append(module.DESCRIPTOR.name)
    enums: set[str] = set()
    for package, table in _PACKAGES.items():
        file = _FileBuilder(package, imports, enums).build(table)
        pool.Add(file)
        imports.append(file.name)
    return pool


class _FileBuilder:
    """Turns the table of one package into a file descriptor."""

    def __init__(self, package: str, imports: list[str], enums: set[str]) -> None:
        """``enums``: full names of all enumerations so far; this package's are added to it."""
        self.package = package
        self.enums = enums
        self.file = descriptor_pb2.FileDescriptorProto(
            name=f"{package}.proto", package=package, syntax="proto3", dependency=imports
        )
        self.messages: dict[str, Any] = {}

    def build(self, table: str) -> descriptor_pb2.FileDescriptorProto:
        lines = list(_lines(table))
        kinds = {"enum": self._add_enum, "reply": self._add_reply}
        self.enums.update(f"{self.package}.{name.split()[1]}" for name, _unused in lines if name.startswith("enum "))
        for line, members in lines:
            kind, _unused, name = line.rpartition(" ")
            kinds.get(kind, self._add_message)(name, [member.split() for member in members.split(",") if member])
        return self.file

    def _add_enum(self, name: str, values: list[list[str]]) -> None:
        outer, _unused, own = name.rpartition(".")
        enum = (self.messages[outer] if outer else self.file).enum_type.add(name=own)
        for (value,) in values:
            label, number = value.split("=")
            enum.value.add(name=label, number=int(number))

    def _add_reply(self, name: str, fields: list[list[str]]) -> None:
        self._add_message(name, [["common.Metadata", "metadata=1"], *fields])
        self._add_message(f"{name}Response", [[f"[]{name}", "messages=1"]])

    def _add_message(self, name: str, fields: list[list[str]]) -> None:
        self.messages[name] = self.file.message_type.add(name=name)
        for type_name, field in fields:
            self._add_field(self.messages[name], type_name, *field.split("="))
        # Real alternatives come before the ones that optional fields imply.
        for field in self.messages[name].field:
            if field.proto3_optional:
                field.oneof_index = len(self.messages[name].oneof_decl)
                self.messages[name].oneof_decl.add(name=f"_{field.name}")

    def _add_field(self, owner: Any, type_name: str, name: str, number: str) -> None:
        field = owner.field.add(name=name, number=int(number), label=descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL)
        if type_name.startswith(("[]", "{}")):
            field.label = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
        if type_name.startswith("|"):
            if not owner.oneof_decl:
                owner.oneof_decl.add(name="response")
            field.oneof_index = 0
        field.proto3_optional = type_name.startswith("?")
        if type_name.startswith("{}"):
            self._set_type(field, self._add_map_entry(owner, name, type_name[2:]))
        else:
            self._set_type(field, type_name.lstrip("[]|?"))

    def _add_map_entry(self, owner: Any, name: str, value_type: str) -> str:
        """On the wire a map is a list of entries; returns the type name of the entry."""
        entry = owner.nested_type.add(name=f"{name.title()}Entry")
        entry.options.map_entry = True
        self._add_field(entry, "string", "key", "1")
        self._add_field(entry, value_type, "value", "2")
        return f"{owner.name}.{entry.name}"

    def _set_type(self, field: Any, type_name: str) -> None:
        types = descriptor_pb2.FieldDescriptorProto.Type
        if type_name.islower() and "." not in type_name:
            field.type = types.Value(f"TYPE_{type_name.upper()}")
            return
        full_name = _qualified(self.package, type_name)
        field.type = types.TYPE_ENUM if full_name in self.enums else types.TYPE_MESSAGE
        field.type_name = f".{full_name}"

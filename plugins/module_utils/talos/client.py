# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The Talos API of one node. Every error names the node and its address."""

from __future__ import annotations

import asyncio
import gzip
import io
import ssl
import tarfile
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, BinaryIO, TypeVar

from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import (
    ConflictError,
    InputError,
    NotFoundError,
    PlatformError,
    RefusedError,
    TransientError,
    UnreachableError,
)
from ansible_collections.dcm.platform.plugins.module_utils.talos import pki
from ansible_collections.dcm.platform.plugins.module_utils.talos.documents import load_any
from ansible_collections.dcm.platform.plugins.module_utils.talos.messages import METHODS, message
from ansible_collections.dcm.platform.plugins.module_utils.talos.node import Node
from ansible_collections.dcm.platform.plugins.module_utils.talos.tls import (
    NAME_MISMATCHES,
    OUT_OF_DATE,
    PinMismatchError,
    TalosContext,
)

try:
    from grpclib.client import Channel, StreamUnaryMethod, UnaryStreamMethod, UnaryUnaryMethod
    from grpclib.config import Configuration
    from grpclib.const import Status
    from grpclib.exceptions import GRPCError, ProtocolError, StreamTerminatedError
except ImportError:  # the engine reports a missing library with its package
    Channel = None

CALL_TIMEOUT = 10.0  # seconds for connecting and for the answer; a half-open connection costs no more than this
APPLY_TIMEOUT = 60.0  # a node validates a configuration, and may pull an image, before it answers
TRANSFER_TIMEOUT = 1800.0  # for a snapshot of etcd, which may have 8 GB, over a slow line
CHUNK = 1 << 16  # bytes of a snapshot in one message

_MACHINE = "/machine.MachineService"
_COSI = "/cosi.resource.State"

R = TypeVar("R")


class UntrustedError(RefusedError):
    """The node's certificate is not signed by one of our authorities, or is not for the name that was dialled."""

    def __init__(self, node: Node, error: ssl.SSLCertVerificationError) -> None:
        self.name_mismatch = getattr(error, "verify_code", None) in NAME_MISMATCHES
        if self.name_mismatch:
            hint = "Set tls_server_name to a name that the certificate is for."
        elif isinstance(error, PinMismatchError):
            hint = "Compare with the fingerprint on the node's console; it changes with every boot."
        elif getattr(error, "verify_code", None) in OUT_OF_DATE:
            hint = "Check the clocks of the node and of this host: a node renews its certificate by itself."
        else:
            hint = "The node belongs to another cluster, or the credentials do."
        reason = getattr(error, "verify_message", None) or str(error)
        super().__init__(
            f"{node.service} at {node.address} presents a certificate that cannot be trusted: {reason}.", hint=hint
        )


class _EnoughError(Exception):
    """Raised on purpose while an answer comes in: the rest of it is not wanted."""


class RejectedError(RefusedError):
    """The node does not accept our client certificate, or wants one and got none."""

    def __init__(self, node: Node, alert: str) -> None:
        super().__init__(
            f"{node.service} at {node.address} does not accept the client certificate: {alert}.",
            hint="Check that the credentials are of the cluster that the node belongs to.",
        )


@dataclass(frozen=True)
class MachineStatus:
    """``stage`` in the words of Talos; ``unmet`` are the conditions that keep the node from being ready."""

    stage: str
    ready: bool = False
    unmet: tuple[str, ...] = ()


@dataclass(frozen=True)
class Applied:
    """What became of a configuration: the mode the node really used, and what it had to say about it."""

    mode: str
    details: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class EtcdMember:
    """A member of etcd; a learner has no vote yet."""

    id: int
    hostname: str
    is_learner: bool
    peer_urls: tuple[str, ...] = ()


@dataclass(frozen=True)
class EtcdStatus:
    """What one member says of itself. ``leader`` is 0 while it knows none; ``size`` is that of its data in bytes."""

    member_id: int
    leader: int
    is_learner: bool
    size: int


@dataclass(frozen=True)
class Service:
    """A service of a node. ``healthy`` is None for one that nobody checks, ``message`` is what the check said last."""

    id: str
    state: str
    healthy: bool | None
    message: str


@dataclass(frozen=True)
class Resource:
    """A COSI resource: what it is about, and what it says."""

    namespace: str
    type: str
    id: str
    version: str
    phase: str
    owner: str
    labels: dict[str, str]
    spec: Any


class TalosClient:
    """One connection, opened by the first call and again when it was lost. Not for several threads."""

    def __init__(self, node: Node, context: TalosContext, *, server_name: str | None = None) -> None:
        self.node = node
        self._context = context
        self._server_name = server_name
        self._runner = asyncio.Runner()
        self._channel: Any = None
        self._answered = False

    def __enter__(self) -> TalosClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        self._runner.close()

    # --- what the modules ask ----------------------------------------------------------------------------------------

    def machine_status(self) -> MachineStatus:
        """The stage of the node; ``unknown`` if it does not know it yet."""
        try:
            reply = self._unary(
                f"{_COSI}/Get", namespace="runtime", type="MachineStatuses.runtime.talos.dev", id="machine"
            )
        except NotFoundError:
            return MachineStatus("unknown")
        values = load_any(reply.resource.spec.yaml_spec, f"The machine status of {self.node.name}")
        spec = values[0] if values and isinstance(values[0], dict) else {}
        status = spec.get("status") or {}
        unmet = [f"{item.get('name')}: {item.get('reason')}" for item in status.get("unmetConditions") or []]
        return MachineStatus(str(spec.get("stage", "unknown")), bool(status.get("ready")), tuple(unmet))

    def machine_configs(self) -> dict[str, str]:
        """The YAML of every configuration by id: ``v1alpha1`` is the active one, ``persistent`` the stored one."""
        replies = self._stream(f"{_COSI}/List", namespace="config", type="MachineConfigs.config.talos.dev")
        decode = message("resource.config.MachineConfigSpec").FromString
        resources = [reply.resource for reply in replies]
        return {item.metadata.id: decode(item.spec.proto_spec).yaml_marshalled.decode() for item in resources}

    def resources(self, namespace: str, kind: str) -> dict[str, Any]:
        """What the COSI resources of a kind say, by their ids."""
        replies = self._stream(f"{_COSI}/List", namespace=namespace, type=kind)
        what = f"{kind} of {self.node.name}"
        return {
            reply.resource.metadata.id: next(iter(load_any(reply.resource.spec.yaml_spec, what)), None)
            for reply in replies
        }

    def version(self) -> str:
        """The tag of the running Talos, such as ``v1.13.9``."""
        return self.build()["version"]

    def boot_id(self) -> str:
        """Another one after each boot."""
        parts = self._stream(f"{_MACHINE}/Read", path="/proc/sys/kernel/random/boot_id")
        return b"".join(part.bytes for part in parts).decode().strip()

    def apply_configuration(self, config: str, mode: str, try_seconds: int | None = None) -> Applied:
        """``mode`` is one of auto, no_reboot, staged, try. Sent always: without one, older nodes reboot.

        ``try_seconds``: how long a configuration is on trial.
        """
        modes = message("machine.ApplyConfigurationRequest").Mode
        fields: dict[str, Any] = {"data": config.encode(), "mode": modes.Value(mode.upper())}
        if try_seconds is not None:
            fields["try_mode_timeout"] = {"seconds": try_seconds}
        reply = self._unary(f"{_MACHINE}/ApplyConfiguration", timeout=APPLY_TIMEOUT, **fields).messages[0]
        first_line = reply.mode_details.partition("\n")[0]  # what follows is a diff with every secret in it
        return Applied(modes.Name(reply.mode).lower(), first_line, tuple(reply.warnings))

    def etcd_members(self, target: str | None = None) -> list[EtcdMember]:
        """The members as this control plane sees them, or the control plane ``target`` that the node reaches.

        Raises while etcd does not run there.
        """
        reply = self._unary(f"{_MACHINE}/EtcdMemberList", target=target).messages[0]
        return [
            EtcdMember(member.id, member.hostname, member.is_learner, tuple(member.peer_urls))
            for member in reply.members
        ]

    def etcd_status(self, target: str | None = None) -> EtcdStatus:
        """Of the node's own member, or of the control plane ``target`` as the node sees it.

        Raises while etcd does not run there.
        """
        status = self._unary(f"{_MACHINE}/EtcdStatus", target=target).messages[0].member_status
        return EtcdStatus(status.member_id, status.leader, status.is_learner, status.db_size)

    def etcd_alarms(self) -> dict[int, list[str]]:
        """The alarms (``NOSPACE``, ``CORRUPT``) of all members that have any, by the member's id."""
        name = message("machine.EtcdMemberAlarm").AlarmType.Name
        alarms: dict[int, list[str]] = {}
        for reply in self._unary(f"{_MACHINE}/EtcdAlarmList").messages:
            for item in reply.member_alarms:
                alarms.setdefault(item.member_id, []).append(name(item.alarm))
        return alarms

    def etcd_snapshot(self, file: BinaryIO) -> None:
        """Write a snapshot of the whole cluster to ``file`` while it comes in."""

        async def receive(stream: Any) -> None:
            async for part in stream:
                try:
                    file.write(part.bytes)
                except OSError as error:  # here, and no fault of the connection
                    raise InputError(f"The snapshot cannot be written: {error.strerror}.") from error

        path = f"{_MACHINE}/EtcdSnapshot"
        self._run(UnaryStreamMethod, path, [message(METHODS[path].request)()], TRANSFER_TIMEOUT, receive)

    def etcd_recover(self, file: BinaryIO) -> None:
        """Give the node a snapshot, for a bootstrap that recovers from it."""

        def parts() -> Iterator[Any]:
            while block := file.read(CHUNK):
                yield message("common.Data")(bytes=block)

        async def receive(stream: Any) -> Any:
            return await stream.recv_message()

        self._run(StreamUnaryMethod, f"{_MACHINE}/EtcdRecover", parts(), TRANSFER_TIMEOUT, receive)

    def etcd_leave(self) -> None:
        """The node leaves etcd, stops its own and wipes its data. It joins again with its next boot."""
        self._unary(f"{_MACHINE}/EtcdLeaveCluster", timeout=APPLY_TIMEOUT)

    def etcd_remove(self, member_id: int) -> None:
        """Remove another member. Raises :class:`NotFoundError` if there is none with this id."""
        self._unary(f"{_MACHINE}/EtcdRemoveMemberByID", timeout=APPLY_TIMEOUT, member_id=member_id)

    def has_file(self, path: str) -> bool:
        """Whether there is a regular file on the node. No more than its beginning is sent."""

        async def receive(stream: Any) -> None:
            if await stream.recv_message() is not None:
                raise _EnoughError

        method = f"{_MACHINE}/Read"
        request = message(METHODS[method].request)(path=path)
        try:
            self._run(UnaryStreamMethod, method, [request], CALL_TIMEOUT, receive)
        except _EnoughError:
            return True
        except RefusedError as error:
            if "no such file or directory" in error.message:
                return False
            raise
        return True

    def service_states(self) -> dict[str, str]:
        """The state of every service by its id."""
        reply = self._unary(f"{_MACHINE}/ServiceList").messages[0]
        return {service.id: service.state for service in reply.services}

    def services(self) -> list[Service]:
        """All services, with their health."""
        reply = self._unary(f"{_MACHINE}/ServiceList").messages[0]
        return [
            Service(
                one.id, one.state, None if one.health.unknown else one.health.healthy, one.health.last_message.strip()
            )
            for one in reply.services
        ]

    def build(self) -> dict[str, str]:
        """The running Talos: ``version`` (its tag), ``arch``, ``platform`` and ``mode``."""
        reply = self._unary(f"{_MACHINE}/Version").messages[0]
        return {
            "version": reply.version.tag,
            "arch": reply.version.arch,
            "platform": reply.platform.name,
            "mode": reply.platform.mode,
        }

    def disks(self) -> list[dict[str, Any]]:
        """All disks in the words of the API; ``size`` in bytes, ``type`` such as ``nvme``."""
        names = message("storage.Disk").DiskType
        texts = ("device_name", "model", "serial", "wwid", "uuid", "bus_path")
        return [
            {
                **{text: getattr(disk, text) for text in texts},
                "size": disk.size,
                "type": names.Name(disk.type).lower(),
                "system_disk": disk.system_disk,
                "readonly": disk.readonly,
            }
            for reply in self._unary("/storage.StorageService/Disks").messages
            for disk in reply.disks
        ]

    def memory(self) -> int:
        """The memory of the node in bytes."""
        return int(self._unary(f"{_MACHINE}/Memory").messages[0].meminfo.memtotal) * 1024

    def resource_list(self, namespace: str, kind: str) -> list[Resource]:
        """The COSI resources of a kind. Machine configurations say a list of documents."""
        replies = self._stream(f"{_COSI}/List", namespace=namespace, type=kind)
        return [self._resource(reply.resource) for reply in replies]

    def _resource(self, resource: Any) -> Resource:
        metadata = resource.metadata
        text = resource.spec.yaml_spec
        is_config = metadata.type == "MachineConfigs.config.talos.dev"
        if is_config:
            text = message("resource.config.MachineConfigSpec").FromString(resource.spec.proto_spec).yaml_marshalled
            text = text.decode()
        values = load_any(text, f"{metadata.type} {metadata.id} of {self.node.name}")
        spec = values if is_config else next(iter(values), None)
        return Resource(
            metadata.namespace,
            metadata.type,
            metadata.id,
            metadata.version,
            metadata.phase,
            metadata.owner,
            dict(metadata.labels),
            spec,
        )

    def reboot(self, *, power_cycle: bool = False) -> None:
        """Without draining anything. ``power_cycle``: through the firmware instead of straight into the kernel."""
        mode = message("machine.RebootRequest").Mode.Value("POWERCYCLE" if power_cycle else "DEFAULT")
        self._unary(f"{_MACHINE}/Reboot", mode=mode)

    def reset(self, *, graceful: bool, reboot: bool, partitions: Sequence[str], user_disks: Sequence[str]) -> None:
        """Wipe the system partitions, or without any the whole system disk, and the user disks besides.

        ``graceful``: drained and out of etcd first. Without ``reboot`` the node is switched off.
        """
        modes = message("machine.ResetRequest").WipeMode
        self._unary(
            f"{_MACHINE}/Reset",
            timeout=APPLY_TIMEOUT,
            graceful=graceful,
            reboot=reboot,
            system_partitions_to_wipe=[{"label": label, "wipe": True} for label in partitions],
            user_disks_to_wipe=list(user_disks),
            mode=modes.Value("ALL" if user_disks else "SYSTEM_DISK"),
        )

    def upgrade(self, image: str, *, timeout: float, power_cycle: bool = False) -> None:
        """Up to Talos 1.12: the node drains itself, installs the image and reboots. Returns once it has begun."""
        mode = message("machine.UpgradeRequest").RebootMode.Value("POWERCYCLE" if power_cycle else "DEFAULT")
        self._unary(f"{_MACHINE}/Upgrade", timeout=timeout, image=image, preserve=True, reboot_mode=mode)

    def write_upgrade(self, image: str, *, timeout: float) -> None:
        """From Talos 1.13 on: put the image beside the running system, for the next boot.

        Raises :class:`RefusedError` with the installer's last words if it fails.
        """
        containerd = {"driver": 1, "namespace": 1}  # CRI, NS_SYSTEM
        self._stream("/machine.ImageService/Pull", timeout=timeout, containerd=containerd, image_ref=image)
        replies = self._stream(
            "/machine.LifecycleService/Upgrade", timeout=timeout, containerd=containerd, source={"image_name": image}
        )
        words, code = "", None
        for progress in (reply.progress for reply in replies):
            if progress.WhichOneof("response") == "exit_code":
                code = progress.exit_code
            else:
                words = progress.message
        if code != 0:
            result = "ended without a result" if code is None else f"failed with exit code {code}"
            raise RefusedError(
                f"The installer {image} {result} on {self.node.name} ({self.node.address}): {words.rstrip('.')}.",
                hint="The node runs on as it was.",
            )

    def bootstrap(self, *, recover: bool = False, skip_hash_check: bool = False) -> None:
        """Start etcd with this node as its first member. Raises :class:`ConflictError` if it already holds data.

        ``recover``: with the data that :meth:`etcd_recover` brought.
        """
        fields: dict[str, Any] = {"recover_etcd": recover, "recover_skip_hash_check": skip_hash_check}
        self._unary(f"{_MACHINE}/Bootstrap", timeout=APPLY_TIMEOUT, **fields)

    def kubeconfig(self) -> str:
        """A new administrator's kubeconfig; control planes only."""
        archive = b"".join(part.bytes for part in self._stream(f"{_MACHINE}/Kubeconfig"))
        try:
            # The archive ends right after the content, without the padding that listing it would need.
            with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
                member = tar.next()
                content = tar.extractfile(member) if member else None
                return content.read().decode() if content else ""
        except (tarfile.TarError, gzip.BadGzipFile, EOFError) as error:
            raise RefusedError(f"{self.node.service} at {self.node.address} sent no kubeconfig: {error}.") from error

    def client_configuration(self, roles: Sequence[str], seconds: int) -> tuple[bytes, pki.KeyPair]:
        """The authorities to trust, and a new client certificate with these roles; control planes only."""
        reply = self._unary(
            f"{_MACHINE}/GenerateClientConfiguration", roles=list(roles), crt_ttl={"seconds": seconds}
        ).messages[0]
        return reply.ca, pki.KeyPair(reply.crt, reply.key)

    # --- the calls ---------------------------------------------------------------------------------------------------

    def _unary(self, method: str, timeout: float = CALL_TIMEOUT, *, target: str | None = None, **fields: Any) -> Any:
        """``target``: the address of another node of the cluster, to which a control plane forwards the request."""

        async def call(stream: Any) -> Any:
            return await stream.recv_message()

        requests = [message(METHODS[method].request)(**fields)]
        return self._run(UnaryUnaryMethod, method, requests, timeout, call, target)

    def _stream(self, method: str, timeout: float = CALL_TIMEOUT, **fields: Any) -> list[Any]:
        async def call(stream: Any) -> list[Any]:
            return [reply async for reply in stream]

        return self._run(UnaryStreamMethod, method, [message(METHODS[method].request)(**fields)], timeout, call)

    def _run(
        self,
        kind: Any,
        path: str,
        requests: Iterable[Any],
        timeout: float,
        receive: Callable[[Any], Awaitable[R]],
        target: str | None = None,
    ) -> R:
        sent = False
        metadata = {"node": target} if target else None

        async def call() -> R:
            nonlocal sent
            if self._channel is None:
                self._channel = self._open()
            method = METHODS[path]
            remote = kind(self._channel, path, message(method.request), message(method.reply))
            async with remote.open(timeout=timeout, metadata=metadata) as stream:
                await stream.send_request()
                sent = True
                for request in requests:
                    await stream.send_message(request)
                await stream.end()
                return await receive(stream)

        self._context.alert = None
        try:
            reply = self._runner.run(call())
        except GRPCError as error:
            raise self._refusal(path, error) from error
        except (TimeoutError, StreamTerminatedError, ProtocolError, OSError) as error:
            raise self._failure(error, sent) from error
        self._answered = True
        return reply

    def _open(self) -> Any:
        return Channel(
            self.node.host,
            self.node.port,
            ssl=self._context,
            config=Configuration(ssl_target_name_override=self._server_name),
        )

    def _failure(self, error: Exception, sent: bool) -> PlatformError:
        """The connection could not be made, or was lost."""
        if self._context.alert is not None:
            return RejectedError(self.node, self._context.alert)
        if isinstance(error, ssl.SSLCertVerificationError):
            return UntrustedError(self.node, error)
        reason = _reason(error)
        if isinstance(error, StreamTerminatedError) and not self._answered:
            reason = "it closed the connection at once, as it does when it does not accept the client certificate"
        return UnreachableError(self.node.service, self.node.address, reason, sent=sent)

    def _refusal(self, path: str, error: GRPCError) -> PlatformError:
        """The node answered with a status. What may be tried again, and what never, is talosctl's own choice."""
        # What follows "diff:" shows the secrets of two configurations.
        text = (error.message or error.status.name).partition("\ndiff:")[0].strip().rstrip(".")
        if error.status in (Status.UNAVAILABLE, Status.DEADLINE_EXCEEDED):
            return UnreachableError(self.node.service, self.node.address, text)
        method = path.rpartition("/")[2]
        sentence = f"{self.node.service} at {self.node.address} refused {method}: {text} ({_words(error.status)})."
        if error.status is Status.FAILED_PRECONDITION:
            return TransientError(sentence, sent=False)
        kinds: dict[Any, type[RefusedError]] = {
            Status.NOT_FOUND: NotFoundError,
            Status.ALREADY_EXISTS: ConflictError,
        }
        return kinds.get(error.status, RefusedError)(sentence)


def _words(status: Any) -> str:
    return str(status.name).lower().replace("_", " ")


def _reason(error: Exception) -> str:
    if isinstance(error, asyncio.TimeoutError):
        return "it did not answer in time"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, ssl.SSLError):
        return f"the TLS handshake failed ({error.reason or 'no reason given'})"
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    return str(error) or "the connection was lost"

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The Talos API of one node. Every error names the node and its address."""

from __future__ import annotations

import asyncio
import gzip
import io
import ssl
import tarfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import (
    ConflictError,
    NotFoundError,
    PlatformError,
    RefusedError,
    TransientError,
    UnreachableError,
)
from ansible_collections.dcm.platform.plugins.module_utils.talos.documents import load_any
from ansible_collections.dcm.platform.plugins.module_utils.talos.messages import METHODS, message
from ansible_collections.dcm.platform.plugins.module_utils.talos.node import Node
from ansible_collections.dcm.platform.plugins.module_utils.talos.tls import (
    NAME_MISMATCHES,
    PinMismatchError,
    TalosContext,
)

try:
    from grpclib.client import Channel, UnaryStreamMethod, UnaryUnaryMethod
    from grpclib.config import Configuration
    from grpclib.const import Status
    from grpclib.exceptions import GRPCError, ProtocolError, StreamTerminatedError
except ImportError:  # the engine reports a missing library with its package
    Channel = None

CALL_TIMEOUT = 10.0  # seconds for connecting and for the answer; a half-open connection costs no more than this
APPLY_TIMEOUT = 60.0  # a node validates a configuration, and may pull an image, before it answers

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
        else:
            hint = "The node belongs to another cluster, or the credentials do."
        reason = getattr(error, "verify_message", None) or str(error)
        super().__init__(
            f"{node.service} at {node.address} presents a certificate that cannot be trusted: {reason}.", hint=hint
        )


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

    def apply_configuration(self, config: str, mode: str) -> Applied:
        """``mode`` is one of auto, no_reboot, staged, try. Sent always: without one, older nodes reboot."""
        modes = message("machine.ApplyConfigurationRequest").Mode
        reply = self._unary(
            f"{_MACHINE}/ApplyConfiguration",
            timeout=APPLY_TIMEOUT,
            data=config.encode(),
            mode=modes.Value(mode.upper()),
        ).messages[0]
        first_line = reply.mode_details.partition("\n")[0]  # what follows is a diff with every secret in it
        return Applied(modes.Name(reply.mode).lower(), first_line, tuple(reply.warnings))

    def etcd_members(self) -> list[EtcdMember]:
        """The members as this control plane sees them. Raises while its etcd does not run."""
        reply = self._unary(f"{_MACHINE}/EtcdMemberList").messages[0]
        return [EtcdMember(member.id, member.hostname, member.is_learner) for member in reply.members]

    def service_states(self) -> dict[str, str]:
        """The state of every service by its id."""
        reply = self._unary(f"{_MACHINE}/ServiceList").messages[0]
        return {service.id: service.state for service in reply.services}

    def bootstrap(self) -> None:
        """Start etcd with this node as its first member. Raises :class:`ConflictError` if it already holds data."""
        self._unary(f"{_MACHINE}/Bootstrap", timeout=APPLY_TIMEOUT)

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

    # --- the calls ---------------------------------------------------------------------------------------------------

    def _unary(self, method: str, timeout: float = CALL_TIMEOUT, **fields: Any) -> Any:
        async def call(stream: Any) -> Any:
            return await stream.recv_message()

        return self._run(UnaryUnaryMethod, method, fields, timeout, call)

    def _stream(self, method: str, timeout: float = CALL_TIMEOUT, **fields: Any) -> list[Any]:
        async def call(stream: Any) -> list[Any]:
            return [reply async for reply in stream]

        return self._run(UnaryStreamMethod, method, fields, timeout, call)

    def _run(
        self,
        kind: Any,
        path: str,
        fields: dict[str, Any],
        timeout: float,
        receive: Callable[[Any], Awaitable[R]],
    ) -> R:
        sent = False

        async def call() -> R:
            nonlocal sent
            if self._channel is None:
                self._channel = self._open()
            method = METHODS[path]
            remote = kind(self._channel, path, message(method.request), message(method.reply))
            async with remote.open(timeout=timeout) as stream:
                await stream.send_request()
                sent = True
                await stream.send_message(message(method.request)(**fields), end=True)
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
        text = (error.message or error.status.name).strip().rstrip(".")
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

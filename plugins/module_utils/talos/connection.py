# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From a module's options to the API of a node, in maintenance mode or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import (
    PlatformError,
    TimedOutError,
    UnreachableError,
)
from ansible_collections.dcm.platform.plugins.module_utils.engine.wait import wait_for
from ansible_collections.dcm.platform.plugins.module_utils.talos import tls
from ansible_collections.dcm.platform.plugins.module_utils.talos.client import (
    MachineStatus,
    RejectedError,
    TalosClient,
    UntrustedError,
)
from ansible_collections.dcm.platform.plugins.module_utils.talos.credentials import Credentials, credentials
from ansible_collections.dcm.platform.plugins.module_utils.talos.node import Node

R = TypeVar("R")


@dataclass(frozen=True)
class Session:
    """An open connection and what the node said first. ``insecure``: the node could not prove who it is."""

    client: TalosClient
    status: MachineStatus
    insecure: bool


@dataclass(frozen=True)
class Connector:
    """Opens connections to nodes of one cluster.

    ``patience``: seconds to keep trying a node that does not answer, as one that just reboots does.
    """

    credentials: Credentials
    server_name: str | None = None
    patience: float = 0.0

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Connector:
        """Raises :class:`InputError` if the credentials cannot be used."""
        return cls(credentials(options), options["tls_server_name"], options["connect_timeout"])

    def client(self, node: Node) -> TalosClient:
        """A client that proves who it is, and has the node do the same. Nothing is sent yet."""
        return TalosClient(node, tls.secured(self.credentials), server_name=self.server_name)

    @contextmanager
    def session(self, node: Node, fingerprint: str | None = None) -> Iterator[Session]:
        """Connect to a node, whether it is in maintenance mode or not.

        A node in maintenance mode has a certificate that proves nothing, unless its ``fingerprint`` is known. Raises
        :class:`UntrustedError` for a node of another cluster, :class:`UnreachableError` if nobody answers.
        """
        session = self._open(node, fingerprint)
        try:
            yield session
        finally:
            session.client.close()

    def _open(self, node: Node, fingerprint: str | None) -> Session:
        try:
            return _greet(self.client(node), insecure=False)
        except UntrustedError as error:
            if error.name_mismatch:
                raise
        try:
            return _greet(TalosClient(node, tls.maintenance(fingerprint)), insecure=True)
        except (RejectedError, UnreachableError):
            # It wants a client certificate, so it is not in maintenance mode; but it may have left it just now.
            return _greet(self.client(node), insecure=False)

    def patiently(self, what: str, probe: Callable[[], R]) -> R:
        """Call ``probe`` until the node answers; raises its last error when patience ends."""
        try:
            return wait_for(what, probe, timeout=self.patience)
        except TimedOutError as error:
            reason = error.__cause__
            raise reason if isinstance(reason, PlatformError) else error from None


def _greet(client: TalosClient, *, insecure: bool) -> Session:
    try:
        return Session(client, client.machine_status(), insecure)
    except BaseException:
        client.close()
        raise

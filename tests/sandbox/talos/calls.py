# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What every procedure of the API gets, how it is found by its path, and how it refuses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.talos.messages import message
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from tests.sandbox.talos.authorization import ADMIN
from tests.sandbox.talos.machine import Machine


@dataclass(frozen=True)
class Call:
    """One request to one machine. ``requests`` is the rest of it where clients send streams."""

    machine: Machine
    roles: frozenset[str]
    request: Any
    requests: AsyncIterator[Any]

    @property
    def is_admin(self) -> bool:
        return ADMIN in self.roles


Procedure = Callable[[Call], AsyncIterator[Any]]

PROCEDURES: dict[str, Procedure] = {}


def procedure(path: str) -> Callable[[Procedure], Procedure]:
    """Make an asynchronous generator of replies answer the method with this path."""

    def register(function: Procedure) -> Procedure:
        PROCEDURES[path] = function
        return function

    return register


def single(name: str, **fields: Any) -> Any:
    """The reply of most methods of one message: ``<name>Response`` with one ``<name>``, such as ``machine.Reboot``."""
    return message(f"{name}Response")(messages=[message(name)(**fields)])


def refuse(status: Status, text: str) -> GRPCError:
    """For ``raise``: the error as Talos words it. Errors without a code of their own have ``Status.UNKNOWN``."""
    return GRPCError(status, text)


def require_control_plane(call: Call, action: str) -> None:
    """Many methods make sense on control planes only."""
    if not call.machine.is_control_plane:
        raise refuse(Status.UNIMPLEMENTED, f"{action} is only available on control plane nodes")

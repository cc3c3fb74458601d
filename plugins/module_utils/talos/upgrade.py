# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The upgrade of Talos itself on one node, by the method that its running version has."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, Outcome
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError, RefusedError
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import Reconciler
from ansible_collections.dcm.platform.plugins.module_utils.engine.wait import NotYet, wait_for
from ansible_collections.dcm.platform.plugins.module_utils.talos.client import MachineStatus, TalosClient
from ansible_collections.dcm.platform.plugins.module_utils.talos.plan import Condition
from ansible_collections.dcm.platform.plugins.module_utils.talos.restart import Restarter

LIFECYCLE_SINCE = (1, 13)  # older versions drain, install and reboot by themselves, in one call
SYSTEM = "Talos"  # the kind of change that an upgrade is
_UPGRADED = "upgraded"

_TAG = re.compile(r":v(\d+)\.(\d+)\.(\d+)([\w.-]*?)(?:@sha256:[0-9a-f]{64})?$")
_SCHEMATIC = re.compile(r"/([0-9a-f]{64}):")
_VANILLA = re.compile(r"^(?:ghcr\.io/)?siderolabs/installer:")


class System(NamedTuple):
    """A version of Talos such as ``v1.13.9``. ``schematic`` is what was built into it, None where nobody can tell."""

    version: str
    schematic: str | None

    def tree(self) -> dict[str, Any]:
        """For a diff."""
        return {"version": self.version, **({} if self.schematic is None else {"schematic": self.schematic})}


@dataclass(frozen=True)
class Running:
    """A node as it is now."""

    system: System
    status: MachineStatus


def system_of(image: str, schematic: str | None = None) -> System:
    """What an installer image installs. Raises :class:`InputError` for a reference without a full version."""
    match = _TAG.search(image)
    if match is None:
        raise InputError(f"image {image!r} has no tag that is a version of Talos, such as :v1.13.9.")
    found = _SCHEMATIC.search(image)
    if schematic is None:
        schematic = found[1] if found else "" if _VANILLA.search(image) else None
    return System("v{}.{}.{}{}".format(*match.groups()), schematic)


def minor(version: str) -> tuple[int, int]:
    """Major and minor. Raises :class:`InputError` for anything but a version."""
    match = re.match(r"v(\d+)\.(\d+)\.", version)
    if match is None:
        raise InputError(f"{version!r} is not a version of Talos.")
    return int(match[1]), int(match[2])


def differs(running: System, wanted: System) -> bool:
    """A schematic counts only where both sides know theirs."""
    known = wanted.schematic is not None and running.schematic != wanted.schematic
    return running.version != wanted.version or known


def plan(running: System, wanted: System, name: str) -> list[Change]:
    """One change or none. Raises :class:`RefusedError` for a leap over a minor version."""
    if not differs(running, wanted):
        return []
    (major, old), (new_major, new) = minor(running.version), minor(wanted.version)
    if major != new_major or abs(new - old) > 1:
        raise RefusedError(
            f"{name} runs Talos {running.version}: from there, {wanted.version} is more than one minor version away.",
            hint="Upgrade to the last patch of each minor version in between.",
        )
    return [Change("update", SYSTEM, name, running.tree(), wanted.tree())]


class UpgradeReconciler(Reconciler[Running]):
    """Brings the system of one node to what an installer image installs."""

    def __init__(self, restarter: Restarter, image: str, wanted: System, condition: Condition) -> None:
        self._restarter = restarter
        self._node = restarter.node
        self._connector = restarter.connector
        self._image = image
        self._wanted = wanted
        self._condition = condition
        self._unfinished: list[Change] = []
        self._latest: Running | None = None

    def read(self) -> Running:
        running = self._connector.patiently(f"{self._node.service} to answer", self._first_look)
        if plan(running.system, self._wanted, self._node.name):
            self._restarter.guard(_UPGRADED)
        return running

    def _first_look(self) -> Running:
        with self._connector.client(self._node) as client:
            self._unfinished = self._restarter.look(client)
            return _running(client)

    def plan(self, actual: Running) -> list[Change]:
        return [*plan(actual.system, self._wanted, self._node.name), *self._unfinished]

    def apply(self, changes: Sequence[Change]) -> Iterator[Outcome]:
        if any(change.kind == SYSTEM for change in changes):
            self._upgrade(changes[0].before or {})
        elif changes:
            self._wait_until_up()
            self._restarter.release()
        for change in changes:
            yield Outcome(change)

    def _upgrade(self, before: Any) -> None:
        if minor(before["version"]) >= LIFECYCLE_SINCE:
            # May be repeated: a second installation is refused while the first one runs, and then does the same.
            what = f"{self._image} to be installed on {self._node.name} ({self._node.address})"
            wait_for(what, self._write, timeout=self._restarter.timeout)
            self._restarter.guard(_UPGRADED)  # the installation took minutes
            self._restarter.restart(self._restarter.reboot, self._wait_until_up)
        else:
            self._restarter.restart(self._upgrade_old, self._wait_until_up)

    def _write(self) -> None:
        with self._connector.client(self._node) as client:
            client.write_upgrade(self._image, timeout=self._restarter.timeout)

    def _upgrade_old(self, client: TalosClient) -> None:
        client.upgrade(self._image, timeout=self._restarter.timeout, power_cycle=self._restarter.power_cycle)

    def settle(self) -> None:
        """Also where nothing changed: whoever goes on to the next node needs to know that this one is well."""
        if self._latest is None:
            self._wait_until_up()

    def _wait_until_up(self) -> None:
        what = f"{self._node.name} ({self._node.address}) to be {self._condition}"
        self._latest = wait_for(what, self._up, timeout=self._restarter.timeout)

    def _up(self) -> Running:
        """Raises :class:`RefusedError` for a node that is up again with the system of before."""
        with self._connector.client(self._node) as client:
            running = _running(client)
        if differs(running.system, self._wanted):
            raise RefusedError(
                f"{self._node.name} ({self._node.address}) rolled back: it runs {_words(running.system)} after the "
                f"reboot, and not {_words(self._wanted)}, as the new system could not be installed or did not boot.",
                hint="Look at its console; the node is as it was before and stays cordoned if it was drained.",
            )
        status = running.status
        if status.stage != "running":
            raise NotYet(f"its stage is {status.stage}")
        if self._condition == "ready" and not status.ready:
            raise NotYet("; ".join(status.unmet) or "it is not ready")
        return running

    def result(self, actual: Running, changes: Sequence[Change]) -> dict[str, Any]:
        running = self._latest or actual
        upgraded = any(change.kind == SYSTEM for change in changes)
        return {
            "previous_version": actual.system.version,
            "machine": {
                "name": self._node.name,
                "address": self._node.address,
                "version": self._wanted.version if upgraded else running.system.version,
                "schematic": running.system.schematic or None,
                "stage": running.status.stage,
                "ready": running.status.ready,
                "unmet_conditions": list(running.status.unmet),
            },
        }


def _words(system: System) -> str:
    return f"Talos {system.version}" + (f" with the schematic {system.schematic[:12]}…" if system.schematic else "")


def _running(client: TalosClient) -> Running:
    extensions = client.resources("runtime", "ExtensionStatuses.runtime.talos.dev").values()
    metadata = [(extension or {}).get("metadata") or {} for extension in extensions]
    schematic = next((str(one.get("version", "")) for one in metadata if one.get("name") == "schematic"), "")
    return Running(System(client.version(), schematic), client.machine_status())

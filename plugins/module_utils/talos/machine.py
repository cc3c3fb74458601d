# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One node and its configuration: read, compared, applied, rebooted where that is asked for, and waited for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, Outcome
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError, RefusedError
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import Reconciler
from ansible_collections.dcm.platform.plugins.module_utils.engine.retry import RetryPolicy, retrying
from ansible_collections.dcm.platform.plugins.module_utils.engine.wait import NotYet, wait_for
from ansible_collections.dcm.platform.plugins.module_utils.talos.client import Applied, TalosClient
from ansible_collections.dcm.platform.plugins.module_utils.talos.config import check
from ansible_collections.dcm.platform.plugins.module_utils.talos.connection import Connector, Session
from ansible_collections.dcm.platform.plugins.module_utils.talos.documents import at, legacy_document, load
from ansible_collections.dcm.platform.plugins.module_utils.talos.node import Node
from ansible_collections.dcm.platform.plugins.module_utils.talos.pki import from_base64
from ansible_collections.dcm.platform.plugins.module_utils.talos.plan import (
    KIND,
    Condition,
    Machine,
    Mode,
    Reboot,
    missing,
    needs_reboot,
    plan,
)
from ansible_collections.dcm.platform.plugins.module_utils.talos.restart import Restarter

_APPLY_POLICY = RetryPolicy(attempts=8)
_NOT_AT_ONCE = "immediate mode"  # in the words of a node that would have to reboot
_REBOOTED = "rebooted"


@dataclass(frozen=True)
class Goal:
    """What a node should be. ``timeout`` None: do not wait for it. ``try_seconds``: how long a trial lasts."""

    config: str
    mode: Mode
    condition: Condition
    timeout: float | None
    fingerprint: str | None
    reboot: Reboot = "never"
    try_seconds: int | None = None


class MachineReconciler(Reconciler[Machine]):
    """Brings the configuration of one node to what it should be."""

    def __init__(
        self, node: Node, connector: Connector, goal: Goal, restarter: Restarter, warn: Callable[[str], None]
    ) -> None:
        """``warn`` gets what the node has to say about the configuration.

        Raises :class:`InputError` for a configuration that no node, or no node of these credentials, would run with.
        """
        self._warn = warn
        self._node = node
        self._connector = connector
        self._goal = goal
        self._restarter = restarter
        self._unfinished: list[Change] = []
        self._will_reboot = False
        self._desired = load(goal.config)
        self._machine: Machine | None = None
        self._applied: Applied | None = None
        check(self._desired)
        self._check_authority()

    def _check_authority(self) -> None:
        """A node that trusts other authorities than ours would be lost to us."""
        legacy = legacy_document(self._desired)
        accepted = [at(legacy, "machine.ca"), *(at(legacy, "machine.acceptedCAs") or [])]
        certificates = [from_base64(at(pair, "crt"), "machine.ca.crt") for pair in accepted if at(pair, "crt")]
        if not any(self._connector.credentials.trusts(certificate) for certificate in certificates):
            raise InputError(
                "The machine configuration and the credentials are of different clusters: machine.ca is not the "
                "authority that the credentials trust.",
                hint="Nothing was changed.",
            )

    def read(self) -> Machine:
        self._machine = self._connector.patiently(f"{self._node.service} to answer", self._first_look)
        self._will_reboot = self._goal.reboot != "never" and self._must_reboot(self._machine)
        if self._will_reboot:
            self._restarter.guard(_REBOOTED)
        return self._machine

    def _first_look(self) -> Machine:
        with self._connector.session(self._node, self._goal.fingerprint) as session:
            self._unfinished = [] if session.insecure else self._restarter.look(session.client)
            return _machine(session)

    def _must_reboot(self, machine: Machine) -> bool:
        """Whether a reboot comes with what differs, as far as one can tell without asking the node."""
        if machine.maintenance or self._goal.mode != "auto" or not self._differences(machine):
            return False
        return self._goal.reboot == "always" or needs_reboot(machine.active, self._desired)

    def _differences(self, machine: Machine) -> list[Change]:
        return plan(self._desired, machine, self._goal.mode, self._node.name)

    def _look(self) -> Machine:
        with self._connector.session(self._node, self._goal.fingerprint) as session:
            return _machine(session)

    def plan(self, actual: Machine) -> list[Change]:
        reboot = [Change("run", "reboot", self._node.name)] if self._will_reboot else []
        return [*self._differences(actual), *reboot, *self._unfinished]

    def apply(self, changes: Sequence[Change]) -> Iterator[Outcome]:
        """One call replaces the whole configuration, so all changes come true together."""
        if any(change.kind == KIND for change in changes):
            self._applied = retrying(self._send, idempotent=True, policy=_APPLY_POLICY)
            self._machine = None
            for warning in self._applied.warnings:
                self._warn(f"{self._node.name}: {warning}")
        if self._will_reboot:
            self._restarter.restart(self._restarter.reboot, self._wait_until_up)
        elif self._unfinished:
            self._wait_until_up()
            self._restarter.release()
        for change in changes:
            yield Outcome(change)

    def _send(self) -> Applied:
        """Look first: the reply to an earlier try may have been lost, as it often is on leaving maintenance mode."""
        with self._connector.session(self._node, self._goal.fingerprint) as session:
            machine = _machine(session)
            if not self._differences(machine):
                return Applied(self._goal.mode, "")
            if machine.maintenance:  # there is nothing to stage or to try on a node without a configuration
                return session.client.apply_configuration(self._goal.config, "auto")
            if self._goal.mode != "auto":
                seconds = self._goal.try_seconds if self._goal.mode == "try" else None
                return session.client.apply_configuration(self._goal.config, self._goal.mode, seconds)
            return self._apply_now(session.client, machine)

    def _apply_now(self, client: TalosClient, machine: Machine) -> Applied:
        """Without a reboot where that can be, and else only if a reboot was asked for."""
        if self._will_reboot:
            return self._stage(client)
        try:
            applied = client.apply_configuration(self._goal.config, "no_reboot")
        except RefusedError as error:
            if _NOT_AT_ONCE not in error.message:
                raise
            if self._goal.reboot == "never":
                hint = "Nothing was changed. Allow it with reboot=if_needed, or store it for later with mode=staged."
                raise RefusedError(error.message, hint=hint) from error
            self._will_reboot = True
            return self._stage(client)
        if needs_reboot(machine.active, self._desired):  # from 1.14 on, nodes do not tell
            self._warn(f"{self._node.name}: a part of the configuration takes effect with the next reboot only.")
        return applied

    def _stage(self, client: TalosClient) -> Applied:
        """For the reboot that follows. A run that ends in between leaves a difference for the next one to find."""
        self._restarter.guard(_REBOOTED)
        return client.apply_configuration(self._goal.config, "staged")

    def settle(self) -> None:
        if self._goal.timeout is not None:
            self._wait(self._goal.condition, self._goal.timeout)

    def _wait_until_up(self) -> None:
        """After a reboot. Pods may come back only to a node that is ready for them."""
        self._machine = None
        self._wait("ready" if self._restarter.drainer else self._goal.condition, self._restarter.timeout)

    def _wait(self, condition: Condition, timeout: float) -> None:
        what = f"{self._node.name} ({self._node.address}) to be {condition}"
        self._machine = wait_for(what, lambda: self._settled(condition), timeout=timeout)

    def _settled(self, condition: Condition) -> Machine:
        machine, self._machine = self._machine or self._look(), None
        reason = missing(self._desired, machine, self._goal.mode, condition)
        if reason is not None:
            raise NotYet(reason)
        return machine

    def result(self, actual: Machine, changes: Sequence[Change]) -> dict[str, Any]:
        machine = self._machine or actual
        return {
            "insecure": actual.maintenance and self._goal.fingerprint is None,
            "machine": {
                "name": self._node.name,
                "address": self._node.address,
                "stage": machine.stage,
                "ready": machine.ready,
                "unmet_conditions": list(machine.unmet),
                "rebooted": self._will_reboot,
                "applied_mode": self._applied.mode if self._applied else None,
                "details": self._applied.details if self._applied else None,
                "warnings": list(self._applied.warnings) if self._applied else [],
            },
        }


def _machine(session: Session) -> Machine:
    status = session.status
    if session.insecure:
        return Machine(True, status.stage, status.ready, status.unmet)
    configs = session.client.machine_configs()
    active = load(configs.get("v1alpha1", ""), "The active configuration")
    stored = load(configs["persistent"], "The stored configuration") if "persistent" in configs else active
    return Machine(False, status.stage, status.ready, status.unmet, active, stored)

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One node and its configuration: read, compared, applied, and waited for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, Outcome
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import Reconciler
from ansible_collections.dcm.platform.plugins.module_utils.engine.retry import RetryPolicy, retrying
from ansible_collections.dcm.platform.plugins.module_utils.engine.wait import NotYet, wait_for
from ansible_collections.dcm.platform.plugins.module_utils.talos.client import Applied
from ansible_collections.dcm.platform.plugins.module_utils.talos.config import check
from ansible_collections.dcm.platform.plugins.module_utils.talos.connection import Connector, Session
from ansible_collections.dcm.platform.plugins.module_utils.talos.documents import at, legacy_document, load
from ansible_collections.dcm.platform.plugins.module_utils.talos.node import Node
from ansible_collections.dcm.platform.plugins.module_utils.talos.pki import from_base64
from ansible_collections.dcm.platform.plugins.module_utils.talos.plan import Condition, Machine, Mode, missing, plan

_APPLY_POLICY = RetryPolicy(attempts=8)


@dataclass(frozen=True)
class Goal:
    """What a node should be. ``timeout`` None: do not wait for it."""

    config: str
    mode: Mode
    condition: Condition
    timeout: float | None
    fingerprint: str | None


class MachineReconciler(Reconciler[Machine]):
    """Brings the configuration of one node to what it should be."""

    def __init__(self, node: Node, connector: Connector, goal: Goal, warn: Callable[[str], None]) -> None:
        """``warn`` gets what the node has to say about the configuration.

        Raises :class:`InputError` for a configuration that no node, or no node of these credentials, would run with.
        """
        self._warn = warn
        self._node = node
        self._connector = connector
        self._goal = goal
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
        self._machine = self._connector.patiently(f"{self._node.service} to answer", self._look)
        return self._machine

    def _look(self) -> Machine:
        with self._connector.session(self._node, self._goal.fingerprint) as session:
            return _machine(session)

    def plan(self, actual: Machine) -> list[Change]:
        return plan(self._desired, actual, self._goal.mode, self._node.name)

    def apply(self, changes: Sequence[Change]) -> Iterator[Outcome]:
        """One call replaces the whole configuration, so all changes come true together."""
        if not changes:
            return
        self._applied = retrying(self._send, idempotent=True, policy=_APPLY_POLICY)
        self._machine = None
        for warning in self._applied.warnings:
            self._warn(f"{self._node.name}: {warning}")
        for change in changes:
            yield Outcome(change)

    def _send(self) -> Applied:
        """Look first: the reply to an earlier try may have been lost, as it often is on leaving maintenance mode."""
        with self._connector.session(self._node, self._goal.fingerprint) as session:
            machine = _machine(session)
            if not plan(self._desired, machine, self._goal.mode, self._node.name):
                return Applied(self._goal.mode, "")
            # There is nothing to stage or to try on a node without a configuration.
            mode = "auto" if machine.maintenance else self._goal.mode
            return session.client.apply_configuration(self._goal.config, mode)

    def settle(self) -> None:
        if self._goal.timeout is None:
            return
        what = f"{self._node.name} ({self._node.address}) to be {self._goal.condition}"
        self._machine = wait_for(what, self._settled, timeout=self._goal.timeout)

    def _settled(self) -> Machine:
        machine, self._machine = self._machine or self._look(), None
        reason = missing(self._desired, machine, self._goal.mode, self._goal.condition)
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

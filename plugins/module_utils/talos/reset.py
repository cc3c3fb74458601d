# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The end of a node's membership: out of Kubernetes and etcd, and its disks wiped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, Outcome
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import (
    InputError,
    RefusedError,
    UnreachableError,
)
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import Reconciler
from ansible_collections.dcm.platform.plugins.module_utils.engine.retry import retrying
from ansible_collections.dcm.platform.plugins.module_utils.engine.wait import NotYet, wait_for
from ansible_collections.dcm.platform.plugins.module_utils.talos.client import TalosClient
from ansible_collections.dcm.platform.plugins.module_utils.talos.connection import Connector, Session
from ansible_collections.dcm.platform.plugins.module_utils.talos.etcd import DATA_FILE, WAITING_STATE
from ansible_collections.dcm.platform.plugins.module_utils.talos.etcd_health import refuse_unless_spared, was_removed
from ansible_collections.dcm.platform.plugins.module_utils.talos.inputs import CONTROL_PLANE
from ansible_collections.dcm.platform.plugins.module_utils.talos.node import Node
from ansible_collections.dcm.platform.plugins.module_utils.talos.quorum import why_not_removed

_RESETTING = "resetting"


@dataclass(frozen=True)
class Wiping:
    """What a reset takes: ``partitions`` of Talos, or with none the whole system disk, and ``user_disks`` besides.

    ``destroy_cluster`` is the name of the cluster, typed by who means to lose the last of its etcd, too.
    """

    partitions: Sequence[str] = ("STATE", "EPHEMERAL")
    user_disks: Sequence[str] = ()
    reboot: bool = True
    graceful: bool = True
    destroy_cluster: str | None = None

    @property
    def comes_back(self) -> bool:
        """Whether the node boots into maintenance mode from its own disk."""
        return self.reboot and bool(self.partitions)


@dataclass(frozen=True)
class Member:
    """A node as it is now. ``holds_etcd``: there is data of etcd on its disk."""

    maintenance: bool
    stage: str
    machine_type: str = ""
    cluster_name: str = ""
    holds_etcd: bool = False


def plan(member: Member, wiping: Wiping, name: str) -> list[Change]:
    """One change, which names what is lost, or none. Raises :class:`InputError` for the name of another cluster."""
    if wiping.destroy_cluster is not None and member.cluster_name not in ("", wiping.destroy_cluster):
        raise InputError(f"{name} belongs to the cluster {member.cluster_name!r}, not to {wiping.destroy_cluster!r}.")
    if member.maintenance or member.stage == _RESETTING:
        return []
    lost: dict[str, Any] = {
        "cluster": member.cluster_name,
        "type": member.machine_type,
        "wiped": [*(wiping.partitions or ["the whole system disk"]), *wiping.user_disks],
    }
    if member.holds_etcd:
        lost["etcd"] = "all data of the cluster" if wiping.destroy_cluster else "this member and its copy of the data"
    return [Change("delete", "node", name, lost)]


class ResetReconciler(Reconciler[Member]):
    """Brings one node back to maintenance mode, or switches it off, unless the cluster needs it."""

    def __init__(self, node: Node, connector: Connector, wiping: Wiping, timeout: float | None) -> None:
        """``timeout``: seconds to wait for the end of it; None does not wait."""
        self._node = node
        self._connector = connector
        self._wiping = wiping
        self._timeout = timeout
        self._member: Member | None = None

    def read(self) -> Member:
        return self._connector.patiently(f"{self._node.service} to answer", self._look)

    def _look(self) -> Member:
        with self._connector.session(self._node) as session:
            return self._judged(session)

    def _judged(self, session: Session) -> Member:
        """Raises :class:`RefusedError` if etcd cannot spare the node."""
        stage = session.status.stage
        if session.insecure or stage == _RESETTING:
            return Member(session.insecure, stage)
        client = session.client
        machine_type = str(client.resources("config", "MachineTypes.config.talos.dev").get("machine-type", ""))
        info = client.resources("cluster", "Infos.cluster.talos.dev").get("current") or {}
        holds_etcd = machine_type == CONTROL_PLANE and self._holds_etcd(client)
        return Member(False, stage, machine_type, str(info.get("clusterName", "")), holds_etcd)

    def _holds_etcd(self, client: TalosClient) -> bool:
        state = client.service_states().get("etcd", "")
        if state == WAITING_STATE and not client.has_file(DATA_FILE):
            return False  # it never joined
        if self._wiping.destroy_cluster is not None:
            return True
        if state != "Running":
            if was_removed(client):
                return True
            raise RefusedError(
                f"{self._node.name} ({self._node.address}) is not reset: its etcd is {state or 'not there'}, so nobody "
                "can tell whether the others have a quorum without it.",
                hint="Let it finish booting, or remove its member with talos_etcd_member first.",
            )
        refuse_unless_spared(client, why_not_removed, "reset")
        return True

    def plan(self, actual: Member) -> list[Change]:
        self._member = actual
        return plan(actual, self._wiping, self._node.name)

    def apply(self, changes: Sequence[Change]) -> Iterator[Outcome]:
        for change in changes:
            retrying(self._reset, idempotent=True)
            yield Outcome(change)

    def _reset(self) -> None:
        """Look first: an earlier try may have arrived, and its reply been lost."""
        wiping = self._wiping
        with self._connector.session(self._node) as session:
            if plan(self._judged(session), wiping, self._node.name):
                session.client.reset(
                    # The last member cannot leave etcd, so whoever ends the cluster does not ask it to.
                    graceful=wiping.graceful and wiping.destroy_cluster is None,
                    reboot=wiping.reboot,
                    partitions=wiping.partitions,
                    user_disks=wiping.user_disks,
                )

    def settle(self) -> None:
        if self._timeout is None or self._member is None or self._member.maintenance:
            return
        what = f"{self._node.name} ({self._node.address}) to be reset"
        wait_for(what, self._ended, timeout=self._timeout)

    def _ended(self) -> None:
        """Back in maintenance mode, or gone where nothing brings it back."""
        try:
            with self._connector.session(self._node) as session:
                insecure, stage = session.insecure, session.status.stage
        except UnreachableError:
            if self._wiping.comes_back:
                raise
            return
        if not insecure:
            raise NotYet(f"its stage is {stage}")

    def result(self, actual: Member, changes: Sequence[Change]) -> dict[str, Any]:
        stage = actual.stage if actual.maintenance else "maintenance" if self._wiping.comes_back else "off"
        return {
            "insecure": actual.maintenance,
            "machine": {
                "name": self._node.name,
                "address": self._node.address,
                "stage": stage,
                "ready": False,
                "unmet_conditions": [],
                "rebooted": False,
                "applied_mode": None,
                "details": None,
                "warnings": [],
            },
        }

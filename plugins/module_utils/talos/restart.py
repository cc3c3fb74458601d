# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Taking a node down and up again without harm: etcd keeps its quorum, and pods move away first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from ansible.module_utils.basic import env_fallback
from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments
from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import UnreachableError
from ansible_collections.dcm.platform.plugins.module_utils.engine.retry import retrying
from ansible_collections.dcm.platform.plugins.module_utils.engine.wait import NotYet, wait_for
from ansible_collections.dcm.platform.plugins.module_utils.talos.client import TalosClient
from ansible_collections.dcm.platform.plugins.module_utils.talos.connection import Connector
from ansible_collections.dcm.platform.plugins.module_utils.talos.etcd_health import refuse_unless_spared
from ansible_collections.dcm.platform.plugins.module_utils.talos.node import Node
from ansible_collections.dcm.platform.plugins.module_utils.talos.quorum import why_not_down

if TYPE_CHECKING:
    from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.drain import Drainer

CORDON = "cordon of Kubernetes node"  # the kind of change that ends one
R = TypeVar("R")

DRAIN = Arguments(
    {
        "kubeconfig": {"type": "raw", "no_log": True, "fallback": (env_fallback, ["K8S_AUTH_KUBECONFIG"])},
        "drain_timeout": {"type": "int", "default": 600},
        "power_cycle": {"type": "bool", "default": False},
    }
)


@dataclass
class Restarter:
    """For one node. ``timeout``: seconds for it to have booted; without a ``drainer`` its pods die with it."""

    node: Node
    connector: Connector
    timeout: float
    drainer: Drainer | None = None
    power_cycle: bool = False
    kubernetes_node: str | None = None

    def look(self, client: TalosClient) -> list[Change]:
        """What an interrupted run has left to do: its cordon is in the way of the pods."""
        if self.drainer is None:
            return []
        names = client.resources("k8s", "Nodenames.kubernetes.talos.dev")
        self.kubernetes_node = (names.get("nodename") or {}).get("nodename")
        if self.kubernetes_node is None or not self.drainer.holds(self.kubernetes_node):
            return []
        before: dict[str, Any] = {"unschedulable": True}
        return [Change("delete", CORDON, self.kubernetes_node, before)]

    def guard(self, action: str) -> None:
        """Raise :class:`RefusedError` if etcd would lose its quorum while this control plane is down.

        One whose etcd does not run carries nothing: then there is nothing to lose.
        """
        with self.connector.client(self.node) as client:
            if client.service_states().get("etcd") == "Running":
                refuse_unless_spared(client, why_not_down, action)

    def restart(self, go_down: Callable[[TalosClient], None], wait_until_up: Callable[[], R]) -> R:
        """Drain, ``go_down``, wait for the next boot and then for ``wait_until_up``, and let the pods back."""
        with self.connector.client(self.node) as client:
            before = retrying(client.boot_id, idempotent=True)
        if self.drainer is not None and self.kubernetes_node is not None:
            self.drainer.drain(self.kubernetes_node)
        try:
            with self.connector.client(self.node) as client:
                retrying(lambda: go_down(client), idempotent=False)
        except UnreachableError as error:
            if not error.sent:
                raise
            # The node may have gone down before it could reply: whether it has, the next boot tells.
        wait_for(f"{self.node.name} ({self.node.address}) to boot", lambda: self._booted(before), timeout=self.timeout)
        result = wait_until_up()
        self.release()
        return result

    def _booted(self, before: str) -> None:
        """Each look is a connection of its own: one from before the boot may hang half-open for ever."""
        with self.connector.client(self.node) as client:
            if client.boot_id() == before:
                raise NotYet("it has not gone down yet")

    def reboot(self, client: TalosClient) -> None:
        """For ``go_down``."""
        client.reboot(power_cycle=self.power_cycle)

    def release(self) -> None:
        """Undo the cordon, if it is ours."""
        if self.drainer is not None and self.kubernetes_node is not None:
            self.drainer.uncordon(self.kubernetes_node)


def restarter(node: Node, connector: Connector, options: Mapping[str, Any]) -> Restarter:
    """From the options of :data:`DRAIN` and ``wait_timeout``."""
    drainer = _drainer(options) if options["kubeconfig"] else None
    return Restarter(node, connector, options["wait_timeout"], drainer, options["power_cycle"])


def _drainer(options: Mapping[str, Any]) -> Drainer:
    # Imported here, as the library costs more time than all else that most calls do.
    from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.drain import connect_drainer

    return connect_drainer(options["kubeconfig"], options["drain_timeout"])

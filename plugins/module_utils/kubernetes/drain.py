# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Taking the pods off a node before it goes down, and letting them back afterwards, as disruption budgets allow."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ansible_collections.dcm.platform.plugins.module_utils.engine.clock import SYSTEM_CLOCK, Clock
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import (
    ConflictError,
    InputError,
    NotFoundError,
    TransientError,
)
from ansible_collections.dcm.platform.plugins.module_utils.engine.retry import retrying
from ansible_collections.dcm.platform.plugins.module_utils.engine.wait import NotYet, wait_for
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.client import (
    REQUEST_TIMEOUT,
    Resource,
    translated,
)

try:
    import kubernetes.client
    import kubernetes.config
    import yaml
except ImportError:
    pass  # the module's boundary has named the missing library before anything here runs

CORDONED_BY_US = "dcm.platform/cordoned"  # an annotation: who finds it may undo the cordon, after an interrupted run
NODES = Resource("", "v1", "nodes", "Node")

_MIRROR = "kubernetes.io/config.mirror"
_NAMED = 5  # pods that a message names

T = TypeVar("T")


@dataclass(frozen=True)
class Occupancy:
    """Whether the node takes no new pods, and the ones that :meth:`Drainer.drain` would evict, as namespace/name."""

    cordoned: bool
    pods: tuple[str, ...] = ()


class Drainer:
    """Cordons, drains and uncordons nodes of one cluster.

    Raises :class:`UnreachableError` when nobody answers, :class:`RefusedError` when the server says no.
    """

    def __init__(self, core: Any, address: str, timeout: float, clock: Clock = SYSTEM_CLOCK) -> None:
        """``core``: a ``kubernetes.client.CoreV1Api``; ``timeout``: seconds for the pods of one node to be gone."""
        self._core = core
        self._address = address
        self._timeout = timeout
        self._clock = clock

    def holds(self, node: str) -> bool:
        """Whether the node is cordoned by an earlier call of :meth:`drain`, and not by somebody else."""
        found = self._read(node)
        return found is not None and bool(found.spec.unschedulable) and CORDONED_BY_US in _annotations(found)

    def look(self, node: str) -> Occupancy | None:
        """What is on the node; None if it is not registered."""
        found = self._read(node)
        return found and Occupancy(bool(found.spec.unschedulable), tuple(sorted(self._evictable(node))))

    def drain(self, node: str) -> None:
        """Cordon the node and evict its pods; one that is not registered has none.

        Pods of DaemonSets, of the node's own files and those that have ended stay. All others are evicted, also those
        that nothing makes anew. Raises :class:`TimedOutError` that names the pods which stayed.
        """
        found = self._read(node)
        if found is None:
            return
        if not found.spec.unschedulable:
            self._patch(node, unschedulable=True, annotation="true")
        wait_for(
            f"node {node} to be drained",
            lambda: self._evict_all(node),
            timeout=self._timeout,
            clock=self._clock,
        )

    def uncordon(self, node: str) -> None:
        """Let pods back, unless it was somebody else who cordoned the node."""
        if self.holds(node):
            self.open(node)

    def open(self, node: str) -> None:
        """Let pods back, whoever cordoned the node."""
        self._patch(node, unschedulable=None, annotation=None)

    def _read(self, node: str) -> Any:
        with contextlib.suppress(NotFoundError):
            return self._repeatable(lambda: self._core.read_node(node, _request_timeout=REQUEST_TIMEOUT))
        return None

    def _patch(self, node: str, *, unschedulable: bool | None, annotation: str | None) -> None:
        body = {
            "metadata": {"annotations": {CORDONED_BY_US: annotation}},
            "spec": {"unschedulable": unschedulable},
        }
        self._repeatable(lambda: self._core.patch_node(node, body, _request_timeout=REQUEST_TIMEOUT))

    def _evictable(self, node: str) -> dict[str, Any]:
        pods = self._repeatable(
            lambda: self._core.list_pod_for_all_namespaces(
                field_selector=f"spec.nodeName={node}", _request_timeout=REQUEST_TIMEOUT
            )
        )
        return {f"{pod.metadata.namespace}/{pod.metadata.name}": pod for pod in pods.items if _is_evicted(pod)}

    def _evict_all(self, node: str) -> None:
        left = self._evictable(node)
        if not left:
            return
        reasons = {reason for pod in left.values() if (reason := self._evict(pod)) is not None}
        names = ", ".join(sorted(left)[:_NAMED]) + (f" and {len(left) - _NAMED} more" if len(left) > _NAMED else "")
        raise NotYet("; ".join([f"still there: {names}", *sorted(reasons)]))

    def _evict(self, pod: Any) -> str | None:
        """Why the pod may not go now; None if it is on its way."""
        if pod.metadata.deletion_timestamp is not None:
            return None
        metadata = kubernetes.client.V1ObjectMeta(name=pod.metadata.name, namespace=pod.metadata.namespace)
        eviction = kubernetes.client.V1Eviction(metadata=metadata)
        try:
            with translated(self._address, NODES):
                self._core.create_namespaced_pod_eviction(
                    pod.metadata.name, pod.metadata.namespace, eviction, _request_timeout=REQUEST_TIMEOUT
                )
        except TransientError as error:  # a disruption budget says 429
            return error.message
        except (NotFoundError, ConflictError):
            return None  # gone already, or replaced by another of the same name
        return None

    def _repeatable(self, call: Callable[[], T]) -> T:
        def attempt() -> T:
            with translated(self._address, NODES):
                return call()

        return retrying(attempt, idempotent=True, clock=self._clock)


def drainer_of(api: Any, address: str, timeout: float) -> Drainer:
    """On the connection of any other API of the kubernetes library."""
    return Drainer(kubernetes.client.CoreV1Api(api.api_client), address, timeout)


def connect_drainer(kubeconfig: Any, timeout: float) -> Drainer:
    """From a kubeconfig: its mapping, its YAML text or the path of its file. Sends nothing yet.

    Raises :class:`InputError` if it cannot be used.
    """
    configuration = kubernetes.client.Configuration()
    try:
        content = kubeconfig if isinstance(kubeconfig, Mapping) else yaml.safe_load(_text(str(kubeconfig)))
        kubernetes.config.load_kube_config_from_dict(dict(content), client_configuration=configuration)
    except (
        kubernetes.config.ConfigException,
        OSError,
        yaml.YAMLError,
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
    ):
        # the parser's own words may quote a line with a key
        raise InputError("The kubeconfig cannot be used: it is not one, or it has no context.") from None
    configuration.retries = False  # ours are bounded, and know what may be repeated
    core = kubernetes.client.CoreV1Api(kubernetes.client.ApiClient(configuration))
    return Drainer(core, configuration.host, timeout)


def _text(value: str) -> str:
    return value if "\n" in value else Path(value).expanduser().read_text(encoding="utf-8")


def _annotations(found: Any) -> Mapping[str, str]:
    return found.metadata.annotations or {}


def _is_evicted(pod: Any) -> bool:
    if _MIRROR in _annotations(pod) or pod.status.phase in ("Succeeded", "Failed"):
        return False
    return not any(owner.kind == "DaemonSet" and owner.controller for owner in pod.metadata.owner_references or ())

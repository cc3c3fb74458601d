# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The run of ``kubernetes_node``: nodes one after another, so that what leaves one finds room on the next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, Outcome
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import PlatformError
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import Reconciler
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.drain import Drainer, Occupancy

Nodes = Mapping[str, Occupancy]


def plan(actual: Nodes, state: str) -> list[Change]:
    """What keeps the registered nodes from being ``drained`` or ``schedulable``; the others are as they should be."""
    changes = []
    for name, found in actual.items():
        before = {"cordoned": found.cordoned, "pods": list(found.pods)}
        if state == "schedulable" and found.cordoned:
            changes.append(Change("update", "node", name, before, {**before, "cordoned": False}))
        if state == "drained" and (found.pods or not found.cordoned):
            changes.append(Change("update", "node", name, before, {"cordoned": True, "pods": []}))
    return changes


class NodeReconciler(Reconciler[Nodes]):
    """Drains nodes, or lets pods back."""

    def __init__(self, drainer: Drainer, names: Sequence[str], state: str) -> None:
        self._drainer = drainer
        self._names = names
        self._state = state

    def read(self) -> Nodes:
        found = ((name, self._drainer.look(name)) for name in self._names)
        return {name: occupancy for name, occupancy in found if occupancy is not None}

    def plan(self, actual: Nodes) -> list[Change]:
        return plan(actual, self._state)

    def apply(self, changes: Sequence[Change]) -> Iterator[Outcome]:
        """The first node that cannot be drained ends the run: the pods of the next would have nowhere to go."""
        for change in changes:
            try:
                self._drainer.drain(change.name) if self._state == "drained" else self._drainer.open(change.name)
            except PlatformError as error:
                yield Outcome(change, error)
                return
            yield Outcome(change)

    def result(self, actual: Nodes, changes: Sequence[Change]) -> dict[str, Any]:
        done = {change.name: change.after or {} for change in changes}
        nodes = []
        for name in self._names:
            found = actual.get(name)
            state = {} if found is None else {"cordoned": found.cordoned, "pods": list(found.pods)}
            nodes.append({"name": name, "registered": found is not None, **state, **done.get(name, {})})
        return {"nodes": nodes}

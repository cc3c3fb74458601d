# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Schedules and locations: objects of one kind, found by name in one list and made as they are wanted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, Outcome
from ansible_collections.dcm.platform.plugins.module_utils.engine.concurrent import apply_each
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import Reconciler
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.client import NotServedError, Object, Resource
from ansible_collections.dcm.platform.plugins.module_utils.velero.client import VeleroClient
from ansible_collections.dcm.platform.plugins.module_utils.velero.plan import require_name
from ansible_collections.dcm.platform.plugins.module_utils.velero.tree import Leaf, Tree, difference, document

WORKERS = 8
PRESENT = {"type": "str", "choices": ["present", "absent"], "default": "present"}

Key = tuple[str, str]  # kind and name
Stored = dict[Key, Object]


@dataclass(frozen=True)
class Wanted:
    """One object as it should be. ``spec``: leaves of what the user gave; ``initial``: what only a new one gets."""

    resource: Resource
    name: str
    present: bool = True
    spec: Tree = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    initial: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        """By what it is known among all."""
        return self.resource.kind, self.name

    def tree(self) -> dict[str, Any]:
        """Everything that is compared."""
        labels = {"labels": {key: Leaf(value) for key, value in self.labels.items()}}
        return {**({"metadata": labels} if self.labels else {}), **({"spec": self.spec} if self.spec else {})}


@dataclass(frozen=True)
class Write:
    """What a change sends: a whole object, a merge patch, or nothing to delete it."""

    resource: Resource
    body: Object | None = None


def require_unique(wanted: Sequence[Wanted]) -> None:
    """Raise :class:`InputError` for an object that is listed twice, or that cannot have its name."""
    seen: set[Key] = set()
    for one in wanted:
        require_name(one.name, one.resource.kind)
        if one.key in seen:
            raise InputError(f"{one.resource.kind} {one.name} is listed twice.")
        seen.add(one.key)


def plan_object(wanted: Wanted, stored: Object | None) -> list[Change]:
    """What to do about one object. Raises :class:`InputError` for a new one that lacks what it needs."""
    kind, name = wanted.key
    if not wanted.present:
        if stored is None:
            return []
        return [Change("delete", kind, name, {"spec": stored.get("spec", {})}, None, Write(wanted.resource))]
    if stored is None:
        body = document(wanted.tree())
        body["spec"] = {**wanted.initial, **body.get("spec", {})}
        missing = [option for option in wanted.required if not _at(body["spec"], option)]
        if missing:
            raise InputError(f"{kind} {name} does not exist yet; to make it, these are needed: {', '.join(missing)}.")
        named = {**body, "metadata": {"name": name, **body.get("metadata", {})}}
        return [Change("create", kind, name, None, body, Write(wanted.resource, named))]
    found = difference(wanted.tree(), stored)
    if not found.patch:
        return []
    return [Change("update", kind, name, found.before, found.after, Write(wanted.resource, found.patch))]


def _at(spec: Tree, path: str) -> Any:
    value: Any = spec
    for key in path.split("."):
        value = value.get(key) or {}
    return value


class ObjectReconciler(Reconciler[Stored]):
    """Makes the listed objects as they are wanted. What is not listed is not touched.

    ``predicting``: check mode, in which kinds that are still to be installed hold nothing.
    """

    workers = WORKERS

    def __init__(self, client: VeleroClient, wanted: Sequence[Wanted], *, predicting: bool = False) -> None:
        require_unique(wanted)
        self._client = client
        self._wanted = wanted
        self._predicting = predicting
        self._after: Stored = {}

    def read(self) -> Stored:
        resources = dict.fromkeys(wanted.resource for wanted in self._wanted)
        found = {resource.kind: self._all(resource) for resource in resources}
        return {(kind, item["metadata"]["name"]): item for kind, items in found.items() for item in items}

    def _all(self, resource: Resource) -> list[Object]:
        try:
            return self._client.objects(resource)
        except NotServedError:
            if self._predicting:
                return []
            raise

    def plan(self, actual: Stored) -> list[Change]:
        self._after = {wanted.key: actual[wanted.key] for wanted in self._wanted if wanted.key in actual}
        return [change for wanted in self._wanted for change in plan_object(wanted, actual.get(wanted.key))]

    def apply(self, changes: Sequence[Change]) -> Iterator[Outcome]:
        return apply_each(changes, self._apply, self.workers)

    def _apply(self, change: Change) -> None:
        write: Write = change.payload
        if write.body is None:
            self._client.delete_object(write.resource, change.name)
        elif change.action == "create":
            self._after[change.kind, change.name] = self._client.create_object(write.resource, write.body)
        else:
            self._after[change.kind, change.name] = self._client.patch_object(write.resource, change.name, write.body)

    def summaries(
        self, changes: Sequence[Change], resource: Resource, *, with_status: bool = True
    ) -> list[dict[str, Any]]:
        """The listed objects of one kind in their order: name, state, whether changed, and their status."""
        changed = {(change.kind, change.name) for change in changes}
        return [
            {
                "name": wanted.name,
                "state": "present" if wanted.present else "absent",
                "changed": wanted.key in changed,
                **(self.status_of(self._after.get(wanted.key) if wanted.present else None) if with_status else {}),
            }
            for wanted in self._wanted
            if wanted.resource == resource
        ]

    def status_of(self, item: Object | None) -> dict[str, Any]:
        """What of an object's status a result shows; None for one that is not there."""
        return {"phase": (item or {}).get("status", {}).get("phase")}

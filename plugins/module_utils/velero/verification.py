# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The proof that a backup can be restored: it is, into scratch namespaces, and compared with what it holds.

Nothing starts there: a quota allows no pods, volumes or load balancers, and goes before anything is restored.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, Outcome
from ansible_collections.dcm.platform.plugins.module_utils.engine.concurrent import apply_each, map_concurrently
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import (
    PlatformError,
    RefusedError,
    TimedOutError,
)
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import Reconciler
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.client import Object, Resource
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.objects import NAMESPACES
from ansible_collections.dcm.platform.plugins.module_utils.velero import contents, phases
from ansible_collections.dcm.platform.plugins.module_utils.velero.contents import Entry
from ansible_collections.dcm.platform.plugins.module_utils.velero.downloads import quoted, texts
from ansible_collections.dcm.platform.plugins.module_utils.velero.resources import RESTORE, label_value
from ansible_collections.dcm.platform.plugins.module_utils.velero.restore import RestoreClient
from ansible_collections.dcm.platform.plugins.module_utils.velero.restore_spec import Source

LABEL = "dcm.io/verification"  # on all that a verification makes; its value is the name of its restore
GUARD = "dcm-verification"
GUARDED = {"pods": "0", "persistentvolumeclaims": "0", "services.loadbalancers": "0"}
QUOTAS = Resource("", "v1", "resourcequotas", "ResourceQuota")
LEFT_AFTER = timedelta(days=1)  # what is that old was left by a verification that was killed
WORKERS = 8
NAMED = 20  # objects that a failure names
READABLE = 48  # characters of a namespace that its scratch namespace shows

Content = dict[tuple[Resource, str], dict[str, str]]  # digests by name, by kind and original namespace


@dataclass(frozen=True)
class Scope:
    """What of a backup is verified; an empty list of what to include is all."""

    included_namespaces: Sequence[str] = ()
    excluded_namespaces: Sequence[str] = ()
    included_resources: Sequence[str] = ()
    excluded_resources: Sequence[str] = ()
    contents: bool = False

    def leaves_out(self, entry: Entry) -> str:
        """Why an object is not restored and compared, empty if it is."""
        if not entry.namespace:
            return "cluster scoped"
        if str(entry.resource) in contents.NEVER_RESTORED:
            return "never restored"
        chosen = not self.included_namespaces or {entry.namespace, "*"} & set(self.included_namespaces)
        if not chosen or entry.namespace in self.excluded_namespaces:
            return "other namespaces"
        if self.included_resources and not contents.is_named(entry.resource, self.included_resources):
            return "excluded kinds"
        return "excluded kinds" if contents.is_named(entry.resource, self.excluded_resources) else ""


@dataclass
class Held:
    """What a backup holds: what to compare, what may be missing, how much of the rest there is."""

    entries: list[Entry] = field(default_factory=list)
    remade: int = 0
    left_out: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, entries: Iterable[Entry], scope: Scope) -> Held:
        """Sorted by the scope."""
        held = cls()
        for entry in entries:
            reason = scope.leaves_out(entry)
            if reason:
                held.left_out[reason] += 1
            elif entry.required:
                held.entries.append(entry)
            else:
                held.remade += 1
        return held

    def namespaces(self) -> list[str]:
        """Where the objects to compare are from."""
        return sorted({entry.namespace for entry in self.entries})


@dataclass(frozen=True)
class Comparison:
    """What became of the objects of a backup."""

    missing: list[Entry]
    differing: list[Entry]
    held_back: list[Entry]  # by the guard
    restored: list[Entry]


def compare(entries: Sequence[Entry], found: Content, refusals: Sequence[str], *, by_content: bool) -> Comparison:
    """Compare what a backup holds with what there is. ``refusals``: what the server said of the guard."""
    result = Comparison([], [], [], [])
    for entry in entries:
        digest = found.get((entry.resource, entry.namespace), {}).get(entry.name)
        if digest is None:
            refused = f'{entry.resource} "{entry.name}" is forbidden'
            (result.held_back if any(refused in text for text in refusals) else result.missing).append(entry)
        else:
            result.restored.append(entry)
            if by_content and entry.digest and digest != entry.digest:
                result.differing.append(entry)
    return result


def scratch_names(restore: str, namespaces: Iterable[str]) -> dict[str, str]:
    """The scratch namespace of each namespace, of at most 63 characters."""
    return {
        name: f"verify-{name[:READABLE]}-{hashlib.sha256(f'{restore}/{name}'.encode()).hexdigest()[:6]}"
        for name in namespaces
    }


def counts(entries: Iterable[Entry], restored: Iterable[Entry]) -> list[dict[str, Any]]:
    """How many of each kind are in the backup, and how many were restored."""
    there = Counter(entry.kind for entry in restored)
    backed_up = Counter(entry.kind for entry in entries)
    return [{"kind": kind, "backed_up": count, "restored": there[kind]} for kind, count in sorted(backed_up.items())]


def listed(entries: Sequence[Entry]) -> str:
    """The first of some objects, for a message."""
    more = f" and {len(entries) - NAMED} more" if len(entries) > NAMED else ""
    return ", ".join(map(str, entries[:NAMED])) + more


@dataclass(frozen=True)
class Actual:
    """The backup to verify, and what verifications that were killed have left."""

    backup: Object
    namespaces: Sequence[str]
    restores: Sequence[str]


class VerifiedRestore(Reconciler[Actual]):
    """Restores a backup into scratch namespaces, compares, and removes all it made."""

    def __init__(self, client: RestoreClient, source: Source, scope: Scope, timeout: float) -> None:
        self._client = client
        self._kubernetes = client.kubernetes
        self._source = source
        self._scope = scope
        self._timeout = timeout
        self._report: dict[str, Any] = {}

    def read(self) -> Actual:
        client = self._client
        return Actual(
            backup=client.chosen(self._source),
            namespaces=_left(self._kubernetes.items(NAMESPACES, label_selector=LABEL)),
            restores=_left(self._kubernetes.select(RESTORE, client.namespace, LABEL)),
        )

    def plan(self, actual: Actual) -> Sequence[Change]:
        backup = actual.backup["metadata"]["name"]
        left = [Change("delete", "Namespace", name, {"labels": [LABEL]}) for name in actual.namespaces]
        left += [Change("delete", "Restore", name, {"labels": [LABEL]}) for name in actual.restores]
        after = {"backup": backup, "into": "scratch namespaces that are removed afterwards"}
        return [*left, Change("run", "Restore", f"verify-{label_value(backup)}", None, after, actual.backup)]

    def apply(self, changes: Sequence[Change]) -> Iterable[Outcome]:
        return apply_each(changes, self._apply)

    def _apply(self, change: Change) -> None:
        if change.action == "run":
            self._report = self._verify(change.payload, f"{change.name}-{secrets.token_hex(3)}")
        elif change.kind == "Restore":
            self._client.delete_restore(change.name, self._timeout)
        else:
            self._kubernetes.remove_namespaces([change.name], self._timeout)

    def result(self, actual: Actual, changes: Sequence[Change]) -> dict[str, Any]:
        return {"verification": self._report or {"backup": actual.backup["metadata"]["name"]}}

    def _verify(self, backup: Object, name: str) -> dict[str, Any]:
        clock = self._kubernetes.clock
        started = clock.now()
        source = backup["metadata"]["name"]
        with self._client.downloads.fetch("BackupContents", source, backup) as archive:
            held = Held.of(contents.read(archive, source), self._scope)
        if not held.entries:
            raise RefusedError(
                f"Backup {source} holds nothing that can be verified: {_counted(held.left_out) or 'it is empty'}.",
                hint="Look at its namespaces and filters.",
            )
        names = scratch_names(name, held.namespaces())
        try:
            restore, refusals = self._restore(source, name, names)
            found = self._found(held.entries, names)
        except PlatformError as error:
            error.message = " ".join([error.message, *self._clean_up(name, names)])
            raise
        left = self._clean_up(name, names)
        comparison = compare(held.entries, found, refusals, by_content=self._scope.contents)
        _require_equal(source, held, comparison, left)
        return {
            "backup": source,
            "started": backup["status"].get("startTimestamp"),
            "namespaces": held.namespaces(),
            "objects": len(held.entries),
            "kinds": counts(held.entries, comparison.restored),
            "contents_compared": self._scope.contents,
            "sha256": contents.tree_digest(comparison.restored),
            "held_back": sorted(map(str, comparison.held_back)),
            "not_compared": {**held.left_out, **({"made anew": held.remade} if held.remade else {})},
            "warnings": restore["status"].get("warnings", 0),
            "seconds": round(clock.now() - started, 1),
        }

    def _restore(self, backup: str, name: str, names: Mapping[str, str]) -> tuple[Object, list[str]]:
        """Restore into the scratch namespaces. Returns the restore, and what the server said of the guard."""
        labels = {LABEL: label_value(name)}
        for namespace in names.values():
            self._kubernetes.make(NAMESPACES, {"metadata": {"name": namespace, "labels": labels}})
            self._kubernetes.make(QUOTAS, {"metadata": {"name": GUARD}, "spec": {"hard": GUARDED}}, namespace)
        spec = {
            "backupName": backup,
            "includedNamespaces": sorted(names),
            "namespaceMapping": dict(names),
            "includeClusterResources": False,
            "restorePVs": False,
            "includedResources": list(self._scope.included_resources),
            "excludedResources": list(self._scope.excluded_resources),
        }
        restore = self._client.create_object(RESTORE, {"metadata": {"name": name, "labels": labels}, "spec": spec})
        restore = self._client.wait_until_restored(restore, self._timeout)
        if phases.phase(restore) == phases.COMPLETED:
            return restore, []
        errors: list[str] = []
        if phases.phase(restore) == phases.PARTIALLY_FAILED:
            errors = texts((self._client.messages(restore) or {}).get("errors", {}))
        refusals = [text for text in errors if f"quota: {GUARD}" in text]
        others = [text for text in errors if text not in refusals]
        if others or not refusals:
            raise RefusedError(" ".join([phases.failure(restore), *quoted(others)]))
        return restore, refusals

    def _found(self, entries: Sequence[Entry], names: Mapping[str, str]) -> Content:
        """What there is in the scratch namespaces of the kinds that the backup holds."""
        places = list(dict.fromkeys((entry.resource, entry.namespace) for entry in entries))
        back = {scratch: namespace for namespace, scratch in names.items()}

        def items(place: tuple[Resource, str]) -> dict[str, str]:
            resource, namespace = place
            return {
                item["metadata"]["name"]: contents.digest(str(resource), item, back)
                for item in self._kubernetes.items(resource, names[namespace])
            }

        return dict(zip(places, map_concurrently(items, places, WORKERS), strict=True))

    def _clean_up(self, restore: str, names: Mapping[str, str]) -> list[str]:
        """Remove everything. Returns what went wrong, as sentences."""
        kubernetes, client, timeout = self._kubernetes, self._client, self._timeout
        removals: dict[str, Callable[[], None]] = {
            "scratch namespaces": lambda: kubernetes.remove_namespaces(list(names.values()), timeout),
            "restore": lambda: client.delete_restore(restore, timeout),
        }
        problems = []
        for what, remove in removals.items():
            try:
                remove()
            except PlatformError as error:
                problems.append(f"The {what} of the verification could not be removed: {error.message}")
        return problems


def _left(items: Iterable[Object]) -> list[str]:
    before = datetime.now(UTC) - LEFT_AFTER
    return [
        item["metadata"]["name"]
        for item in items
        if datetime.fromisoformat(item["metadata"]["creationTimestamp"]) < before
    ]


def _counted(left_out: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in sorted(left_out.items()))


def _require_equal(backup: str, held: Held, comparison: Comparison, left: Sequence[str]) -> None:
    """Raise unless all is there and equal, and everything is cleaned up."""
    problems = [
        f"{len(entries)} of {len(held.entries)} objects {what}: {listed(entries)}."
        for entries, what in ((comparison.missing, "are missing"), (comparison.differing, "have another content"))
        if entries
    ]
    if problems:
        raise RefusedError(" ".join([f"Backup {backup} is not what a restore of it gives.", *problems, *left]))
    if left:
        raise TimedOutError(" ".join([f"Backup {backup} is proven.", *left]))

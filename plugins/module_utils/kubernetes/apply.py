# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The run of ``kubernetes_object``: the server tries every manifest; those that would change something are applied."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, Outcome
from ansible_collections.dcm.platform.plugins.module_utils.engine.concurrent import apply_each, map_concurrently
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import (
    InputError,
    NotFoundError,
    PlatformError,
    RefusedError,
    UnreachableError,
)
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import Reconciler
from ansible_collections.dcm.platform.plugins.module_utils.engine.wait import NotYet, wait_for
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.client import (
    FIELD_MANAGER,
    NotServedError,
    Object,
    Resource,
)
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.manifests import (
    DEFINITION,
    NAMESPACE,
    NEVER_PRUNED,
    OWNER,
    Identity,
    defined,
    differing,
    identity,
    ours,
    prepared,
    rank,
    shown,
)
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.objects import NAMESPACES, ObjectsClient

WORKERS = 8
NAMED = 10  # refusals that one message tells

Kinds = dict[tuple[str, str], tuple[Resource, bool]]


@dataclass(frozen=True)
class Tried:
    """One object: as it is, and as the server says that it would be. ``after`` is None if that cannot be tried yet,
    as its namespace or its kind is still to come.
    """

    before: Object | None
    after: Object | None


@dataclass
class Found:
    """What a cluster has of the manifests, what else it has of their owner, and what of that nobody deletes for him."""

    tried: dict[Identity, Tried] = field(default_factory=dict)
    left: dict[Identity, Object] = field(default_factory=dict)
    kept: list[Identity] = field(default_factory=list)


class ObjectReconciler(Reconciler[Found]):
    """Applies a list of manifests, and removes what its owner had in it before."""

    def __init__(
        self,
        client: ObjectsClient,
        manifests: Sequence[Mapping[str, Any]],
        *,
        owner: str | None = None,
        prune: Sequence[tuple[str, str]] | None = None,
        timeout: float = 120.0,
        predicting: bool = False,
    ) -> None:
        """``prune``: kinds (apiVersion, kind) beside those of the manifests to remove from; None removes nothing.
        ``timeout``: seconds for definitions to be served. ``predicting``: check mode, where others may only have said
        that they will make a namespace. Raises :class:`InputError` for what is no manifest.
        """
        self._client = client
        self._owner = owner
        self._prune = prune
        self._timeout = timeout
        self._predicting = predicting
        self._manifests = prepared(manifests, owner)
        self._served: Kinds = {}
        self._coming: Kinds = {}
        self._places: Kinds = {}
        self._wanted: dict[Identity, Object] = {}
        self._untried: set[Identity] = set()
        self._absent: set[str] = set()

    def read(self) -> Found:
        """Raises :class:`RefusedError` that tells all that the server refuses, before anything is written."""
        self._discover()
        self._wanted = dict(self._placed())
        found = Found()
        refusals: dict[Identity, PlatformError] = {}
        tried = map_concurrently(self._try, list(self._wanted), WORKERS)
        for key, outcome in zip(self._wanted, tried, strict=True):
            if isinstance(outcome, PlatformError):
                refusals[key] = outcome
            else:
                found.tried[key] = outcome
        _raise(refusals)
        self._untried = {key for key, outcome in found.tried.items() if outcome.after is None}
        for key, item in self._left():
            if key.kind in NEVER_PRUNED:
                found.kept.append(key)
            else:
                found.left[key] = item
        return found

    def plan(self, actual: Found) -> list[Change]:
        changes = []
        for key in sorted(actual.tried, key=rank):
            tried = actual.tried[key]
            change = _difference(key, tried, self._wanted[key])
            if change is not None:
                changes.append(change)
        deletions = [
            Change("delete", key.kind, key.shown, shown(item), payload=key) for key, item in actual.left.items()
        ]
        return [*changes, *sorted(deletions, key=lambda change: -rank(change.payload))]

    def apply(self, changes: Sequence[Change]) -> Iterator[Outcome]:
        """One group of kinds after another; a group that fails ends the run, as the next needs it."""
        for place, group in itertools.groupby(
            changes, lambda change: (change.action == "delete", rank(change.payload))
        ):
            failed = False
            for outcome in apply_each(list(group), self._apply, WORKERS):
                failed = failed or outcome.error is not None
                yield outcome
            if failed and not place[0]:
                return

    def result(self, actual: Found, changes: Sequence[Change]) -> dict[str, Any]:
        words = {"create": "created", "update": "updated", "delete": "deleted"}
        done = {change.payload: words[change.action] for change in changes}
        keys = [*self._wanted, *actual.left]
        return {
            "objects": [{**key._asdict(), "result": done.get(key, "unchanged")} for key in keys],
            "kept": [key._asdict() for key in actual.kept],
            "warnings": [
                f"There is no namespace {name}: what goes there cannot be tried, and fails if nothing makes it before."
                for name in sorted(self._absent)
            ],
        }

    def _discover(self) -> None:
        """Which kinds the server knows, and which it will know once the definitions among the manifests are there."""
        versions = sorted(
            {key.api_version for key in self._manifests} | {version for version, _kind in self._prune or ()}
        )
        for version, kinds in zip(versions, map_concurrently(self._client.kinds, versions, WORKERS), strict=True):
            self._served.update({(version, kind): served for kind, served in kinds.items()})
        for key, manifest in self._manifests.items():
            if key.kind == DEFINITION:
                try:
                    self._coming.update(defined(manifest))
                except (KeyError, TypeError) as error:
                    raise InputError(f"objects: {key} is not complete: {error} is missing or wrong.") from error
        self._places = {**self._coming, **self._served}

    def _placed(self) -> Iterator[tuple[Identity, Object]]:
        """The manifests, with what their kind says about namespaces. Raises what there is to refuse of them."""
        unknown = []
        for key, manifest in self._manifests.items():
            known = self._places.get((key.api_version, key.kind))
            if known is None:
                unknown.append(key)
                continue
            namespaced = known[1]
            if not namespaced and key.namespace:
                manifest["metadata"].pop("namespace")
            if namespaced and not key.namespace:
                raise InputError(f"objects: {key} ({key.api_version}) says no namespace, and its kind is in one.")
            yield identity(manifest), manifest
        if unknown:
            kinds = sorted({f"{key.kind} ({key.api_version})" for key in unknown})
            raise RefusedError(
                f"Kubernetes API at {self._client.address} does not serve {', '.join(kinds)}, which {_names(unknown)} "
                f"{'needs' if len(unknown) == 1 else 'need'}.",
                hint="Install what brings these kinds first, or give its CustomResourceDefinitions along.",
            )

    def _resource(self, key: Identity) -> Resource:
        """Of an object that is placed, or was found."""
        return self._places[key.api_version, key.kind][0]

    def _try(self, key: Identity) -> Tried | PlatformError:
        resource = self._resource(key)
        try:
            before = self._client.find(resource, key.name, key.namespace)
            if before is not None and before["metadata"].get("deletionTimestamp"):
                return _going(key, before)
            return Tried(before, self._client.apply(resource, self._wanted[key], key.namespace, dry_run=True))
        except (NotFoundError, NotServedError) as error:
            comes = key.namespace in self._namespaces or (key.api_version, key.kind) in self._coming
            return Tried(None, None) if comes or self._expected(key) else RefusedError(f"{key}: {error}")
        except UnreachableError:
            raise
        except PlatformError as error:
            return RefusedError(f"{key}: {error}")

    def _expected(self, key: Identity) -> bool:
        """Whether to take the namespace for one that somebody else makes before."""
        if not self._predicting or self._client.find(NAMESPACES, key.namespace):
            return False
        self._absent.add(key.namespace)
        return True

    @functools.cached_property
    def _namespaces(self) -> set[str]:
        return {key.name for key in self._wanted if key.kind == NAMESPACE}

    def _left(self) -> Iterator[tuple[Identity, Object]]:
        """What bears the owner's mark and is in no manifest."""
        if self._prune is None:
            return
        kinds = {(key.api_version, key.kind) for key in self._wanted} | set(self._prune)
        served = [self._served[kind][0] for kind in sorted(kinds) if kind in self._served]
        lists = map_concurrently(self._owned, served, WORKERS)
        for resource, items in zip(served, lists, strict=True):
            for item in items:
                key = identity({**item, "apiVersion": resource.api_version, "kind": resource.kind})
                if key not in self._wanted:
                    yield key, {**item, "kind": resource.kind}

    def _owned(self, resource: Resource) -> list[Object]:
        items = self._client.items(resource, label_selector=f"{OWNER}={self._owner}")
        return [item for item in items if ours(item, FIELD_MANAGER) and not item["metadata"].get("deletionTimestamp")]

    def _apply(self, change: Change) -> None:
        key: Identity = change.payload
        resource = self._resource(key)
        if change.action == "delete":
            self._client.remove(resource, key.name, key.namespace)
        elif key in self._untried:
            self._apply_soon(resource, key)
        else:
            self._client.apply(resource, self._wanted[key], key.namespace)
        if key.kind == DEFINITION and change.action != "delete":
            self._established(resource, key)

    def _apply_soon(self, resource: Resource, key: Identity) -> None:
        """A server takes a moment from saying that a definition is established to serving its kind."""

        def attempt() -> UnreachableError | None:
            try:
                self._client.apply(resource, self._wanted[key], key.namespace)
            except (NotFoundError, NotServedError) as error:
                raise NotYet(str(error)) from error
            except UnreachableError as error:
                return error
            return None

        lost = wait_for(str(key), attempt, timeout=self._timeout, clock=self._client.clock)
        if lost:
            raise lost

    def _established(self, resource: Resource, key: Identity) -> None:
        def probe() -> None:
            found = self._client.find(resource, key.name) or {}
            for condition in found.get("status", {}).get("conditions") or ():
                if condition["type"] == "Established" and condition["status"] == "True":
                    return
                if condition["type"] == "NamesAccepted" and condition["status"] == "False":
                    raise RefusedError(f"{key}: its names are taken: {condition.get('message')}.")
            raise NotYet("it is not established")

        wait_for(f"{key} to be served", probe, timeout=self._timeout, clock=self._client.clock)


def _difference(key: Identity, tried: Tried, wanted: Object) -> Change | None:
    if tried.before is None:
        return Change("create", key.kind, key.shown, None, shown(wanted), payload=key)
    before, after = differing(shown(tried.before), shown(tried.after or {}))
    return Change("update", key.kind, key.shown, before, after, payload=key) if before or after else None


def _going(key: Identity, item: Mapping[str, Any]) -> RefusedError:
    """What keeps an object that is being deleted, as far as it says so."""
    conditions = (item.get("status", {}).get("conditions") or ()) if key.kind == NAMESPACE else ()
    reasons = [
        str(one["message"]).rstrip(".") for one in conditions if one.get("status") == "True" and one.get("message")
    ]
    finalizers = item["metadata"].get("finalizers")
    if finalizers:
        reasons.append(f"finalizers: {', '.join(finalizers)}")
    return RefusedError(
        f"{key} is being deleted{': ' + '; '.join(reasons) if reasons else ''}.",
        hint="Run again once it is gone; what keeps it has to be removed by whoever put it there.",
    )


def _raise(found: Mapping[Identity, PlatformError]) -> None:
    """What is refused in a namespace that is refused itself goes without saying."""
    namespaces = {key.name for key in found if key.kind == NAMESPACE}
    refusals = [error for key, error in found.items() if key.namespace not in namespaces]
    if not refusals:
        return
    if len(refusals) == 1:
        raise refusals[0]
    told = " ".join(f"[{number}] {error.message}" for number, error in enumerate(refusals[:NAMED], 1))
    more = f" … and {len(refusals) - NAMED} more." if len(refusals) > NAMED else ""
    raise RefusedError(f"{len(refusals)} objects are refused. {told}{more}", hint="Nothing was changed.")


def _names(keys: Sequence[Identity]) -> str:
    more = f" and {len(keys) - NAMED} more" if len(keys) > NAMED else ""
    return ", ".join(map(str, keys[:NAMED])) + more

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The run of ``vault_secret``: reads and writes of many secrets at once, each with the version it was planned from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, Outcome
from ansible_collections.dcm.platform.plugins.module_utils.engine.concurrent import apply_each, map_concurrently
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import ConflictError, RefusedError
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import Reconciler
from ansible_collections.dcm.platform.plugins.module_utils.vault.errors import ForbiddenError
from ansible_collections.dcm.platform.plugins.module_utils.vault.generate import TYPES
from ansible_collections.dcm.platform.plugins.module_utils.vault.key_value import KeyValue, Stored
from ansible_collections.dcm.platform.plugins.module_utils.vault.plan import (
    OWNER,
    Fingerprints,
    Mark,
    Wanted,
    Write,
    changed_meanwhile,
    plan_again,
    plan_secret,
    same,
)

VERBS = ("created", "updated", "deleted", "destroyed", "undeleted", "unchanged")

WORTH_LISTING = 10  # wanted secrets in one folder

# By path: what is stored, or why that cannot be known or must not be changed.
Actual = Mapping[str, "Stored | RefusedError"]


@dataclass(frozen=True)
class Prune:
    """What else to delete: the secrets of ``owner`` below ``prefix`` that are not wanted."""

    prefix: str
    owner: str


class SecretReconciler(Reconciler[Actual]):
    """Makes the secrets of one mount as they are wanted."""

    def __init__(
        self,
        store: KeyValue,
        wanted: Sequence[Wanted],
        workers: int,
        *,
        fingerprints: Fingerprints | None = None,
        prune: Prune | None = None,
    ) -> None:
        self._store = store
        self._wanted = {secret.path: secret for secret in wanted}
        self._workers = workers
        self._fingerprints = fingerprints
        self._prune = prune
        self._written: dict[str, Stored] = {}
        self._unneeded: set[str] = set()  # planned, then found to be done by somebody else

    def read(self) -> Actual:
        listed = self._list()
        found = map_concurrently(lambda one: self._read(one, listed), list(self._wanted.values()), self._workers)
        actual = dict(zip(self._wanted, found, strict=True))
        if self._prune is not None:
            superfluous = self._superfluous(self._prune)
            self._wanted.update({path: Wanted(path, "absent") for path in superfluous})
            actual.update(superfluous)
        return actual

    def _list(self) -> Mapping[str, Mapping[str, Stored]]:
        """By folder, the metadata of the secrets in it, in one request each; empty where that is not to be had.

        It spares reading what is not there, and with fingerprints, what is as wanted.
        """
        if not self._store.lists_details:
            return {}
        needed = self._fingerprints or any(wanted.needs_metadata for wanted in self._wanted.values())
        wanted_in = Counter(map(_folder, self._wanted))
        folders = [folder for folder, count in wanted_in.items() if needed or count >= WORTH_LISTING]
        try:
            return dict(zip(folders, map_concurrently(self._store.list_folder, folders, self._workers), strict=True))
        except ForbiddenError:
            return {}  # each secret is read instead

    def _read(self, wanted: Wanted, listed: Mapping[str, Mapping[str, Stored]]) -> Stored | RefusedError:
        try:
            if wanted.state == "destroyed":
                return self._store.read_metadata(wanted.path)
            if (folder := listed.get(_folder(wanted.path))) is not None:
                known = folder.get(wanted.path, Stored())
                if not known.exists or (self._fingerprints and self._fingerprints.fulfilled(wanted, known)):
                    return known
            else:
                known = self._store.read_metadata(wanted.path) if wanted.needs_metadata else Stored()
            stored = self._store.read(wanted.path)
        except RefusedError as error:
            return error  # of this path only: the others go on
        return replace(stored, metadata=known.metadata)

    def _superfluous(self, prune: Prune) -> dict[str, Stored]:
        """The owner's secrets below the prefix that are not wanted any more."""
        below = self._store.list_below(prune.prefix)
        if not isinstance(below, dict):
            paths = [path for path in below if path not in self._wanted]
            below = dict(zip(paths, map_concurrently(self._store.read_metadata, paths, self._workers), strict=True))
        return {
            path: stored
            for path, stored in sorted(below.items())
            if path not in self._wanted and stored.live and stored.custom.get(OWNER) == prune.owner
        }

    def plan(self, actual: Actual) -> list[Change]:
        planned = (self._plan(wanted, actual[path]) for path, wanted in self._wanted.items())
        return [change for change in planned if change is not None]

    def _plan(self, wanted: Wanted, stored: Stored | RefusedError) -> Change | None:
        """A refusal becomes a change that fails when applied, so that it is reported among the others."""
        try:
            if isinstance(stored, RefusedError):
                raise stored
            return plan_secret(wanted, stored, fingerprints=self._fingerprints)
        except RefusedError as error:
            return Change("update", "secret", wanted.path, payload=error)

    def apply(self, changes: Sequence[Change]) -> Iterator[Outcome]:
        yield from apply_each(changes, self._apply, self._workers)
        self._store.settle()

    def _apply(self, change: Change) -> None:
        wanted = self._wanted[change.name]
        if isinstance(change.payload, RefusedError):
            raise change.payload
        if isinstance(change.payload, Write):
            self._write(wanted, change.payload)
        elif isinstance(change.payload, Mark):
            self._store.write_metadata(wanted.path, change.payload.metadata)
        elif wanted.state == "undeleted":
            self._store.undelete(wanted.path, change.payload)
        elif wanted.state == "destroyed":
            self._store.destroy(wanted.path)
        else:
            self._store.delete(wanted.path)

    def _write(self, wanted: Wanted, write: Write) -> None:
        try:
            self._write_once(wanted.path, write)
        except ConflictError:
            self._write_after_conflict(wanted, write)

    def _write_once(self, path: str, write: Write) -> None:
        """The data, then the metadata, so that a fingerprint never speaks of a version that is not there."""
        version = self._store.write(path, write.data, write.stored.version)
        self._written[path] = Stored(version, write.data, exists=True)
        if write.metadata:
            self._store.write_metadata(path, write.metadata)

    def _write_after_conflict(self, wanted: Wanted, write: Write) -> None:
        """Look once more. What is found may be our own: a write whose answer was lost is repeated."""
        stored = replace(self._store.read(wanted.path), metadata=write.stored.metadata)
        change = plan_again(wanted, write, stored, fingerprints=self._fingerprints)
        if change is None or isinstance(change.payload, Mark):
            self._written[wanted.path] = stored
            if change is not None:
                self._store.write_metadata(wanted.path, change.payload.metadata)
            elif stored.version != write.stored.version + 1 or not same(stored.data, write.data):
                self._unneeded.add(wanted.path)
            return
        try:
            self._write_once(wanted.path, change.payload)
        except ConflictError as error:
            raise changed_meanwhile(wanted.path) from error

    def result(self, actual: Actual, changes: Sequence[Change]) -> dict[str, Any]:
        """Every secret by path, version and keys. Raises what stands in the way, in check mode, too."""
        for change in changes:
            if isinstance(change.payload, RefusedError):
                raise change.payload  # check mode: otherwise applying it has raised it before
        planned = {change.name: change for change in changes if change.name not in self._unneeded}
        secrets = [self._describe(path, actual[path], planned.get(path)) for path in self._wanted]
        verbs = Counter(_verb(self._wanted[path], planned.get(path)) for path in self._wanted)
        counts = {verb: verbs[verb] for verb in VERBS}
        return {"changed": bool(planned), "secrets": secrets, "counts": counts}

    def _describe(self, path: str, stored: Stored | RefusedError, change: Change | None) -> dict[str, Any]:
        if isinstance(stored, RefusedError):
            raise stored
        wanted = self._wanted[path]
        after = self._written.get(path) or _after(wanted, stored, change, versioned=self._store.version == 2)
        return {
            "path": path,
            "mount": self._store.mount,
            "state": wanted.state,
            "version": after.version,
            "keys": sorted(_keys(wanted, after)),
            "changed": change is not None,
        }


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _keys(wanted: Wanted, stored: Stored) -> set[str]:
    """The names of the keys; of a secret that was not read because its fingerprint is right, those asked for."""
    if stored.data is not None or wanted.state != "present":
        return set(stored.data or ()) if wanted.state == "present" else set()
    parts = {f"{key}{part}" for key, recipe in wanted.generate.items() for part in ("", *TYPES[recipe.type].parts)}
    return {*wanted.data, *parts} if stored.live else set()


def _after(wanted: Wanted, stored: Stored, change: Change | None, *, versioned: bool) -> Stored:
    """What the change leaves behind, if nobody interferes."""
    if change is None or isinstance(change.payload, Mark) or wanted.state == "undeleted":
        return stored
    if isinstance(change.payload, Write):
        version = stored.version + versioned
        return Stored(version, change.payload.data, exists=True)
    return Stored() if wanted.state == "destroyed" else Stored(stored.version, exists=True)


def _verb(wanted: Wanted, change: Change | None) -> str:
    if change is None:
        return "unchanged"
    verbs = {"destroyed": "destroyed", "undeleted": "undeleted"}
    return verbs.get(wanted.state, f"{change.action}d")

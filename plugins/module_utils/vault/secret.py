# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The run of ``vault_secret``: reads and writes of many secrets at once, each with the version it was planned from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, Outcome
from ansible_collections.dcm.platform.plugins.module_utils.engine.concurrent import apply_each, map_concurrently
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import ConflictError, RefusedError
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import Reconciler
from ansible_collections.dcm.platform.plugins.module_utils.vault.key_value import KeyValue, Stored
from ansible_collections.dcm.platform.plugins.module_utils.vault.plan import (
    Wanted,
    Write,
    changed_meanwhile,
    plan_again,
    plan_secret,
    same,
)

# By path: what is stored, or why that cannot be known or must not be changed.
Actual = Mapping[str, "Stored | RefusedError"]


class SecretReconciler(Reconciler[Actual]):
    """Makes the secrets of one mount as they are wanted."""

    def __init__(self, store: KeyValue, wanted: Sequence[Wanted], workers: int) -> None:
        self._store = store
        self._wanted = {secret.path: secret for secret in wanted}
        self._workers = workers
        self._written: dict[str, Stored] = {}
        self._unneeded: set[str] = set()  # planned, then found to be done by somebody else

    def read(self) -> Actual:
        self._store.check_mount()
        found = map_concurrently(self._read, list(self._wanted.values()), self._workers)
        return dict(zip(self._wanted, found, strict=True))

    def _read(self, wanted: Wanted) -> Stored | RefusedError:
        try:
            if wanted.state == "destroyed":
                return self._store.read_metadata(wanted.path)
            return self._store.read(wanted.path)
        except RefusedError as error:
            return error  # of this path only: the others go on

    def plan(self, actual: Actual) -> list[Change]:
        planned = (self._plan(wanted, actual[path]) for path, wanted in self._wanted.items())
        return [change for change in planned if change is not None]

    def _plan(self, wanted: Wanted, stored: Stored | RefusedError) -> Change | None:
        """A refusal becomes a change that fails when applied, so that it is reported among the others."""
        try:
            if isinstance(stored, RefusedError):
                raise stored
            return plan_secret(wanted, stored)
        except RefusedError as error:
            return Change("update", "secret", wanted.path, payload=error)

    def apply(self, changes: Sequence[Change]) -> Iterator[Outcome]:
        return apply_each(changes, self._apply, self._workers)

    def _apply(self, change: Change) -> None:
        wanted = self._wanted[change.name]
        if isinstance(change.payload, RefusedError):
            raise change.payload
        if isinstance(change.payload, Write):
            self._write(wanted, change.payload)
        elif wanted.state == "destroyed":
            self._store.destroy(wanted.path)
        else:
            self._store.delete(wanted.path)

    def _write(self, wanted: Wanted, write: Write) -> None:
        try:
            version = self._store.write(wanted.path, write.data, write.stored.version)
        except ConflictError:
            self._write_after_conflict(wanted, write)
        else:
            self._written[wanted.path] = Stored(version, write.data, exists=True)

    def _write_after_conflict(self, wanted: Wanted, write: Write) -> None:
        """Look once more. What is found may be our own: a write whose answer was lost is repeated."""
        stored = self._store.read(wanted.path)
        change = plan_again(wanted, write, stored)
        if change is None:
            self._written[wanted.path] = stored
            if stored.version != write.stored.version + 1 or not same(stored.data, write.data):
                self._unneeded.add(wanted.path)
            return
        try:
            version = self._store.write(wanted.path, change.payload.data, stored.version)
        except ConflictError as error:
            raise changed_meanwhile(wanted.path) from error
        self._written[wanted.path] = Stored(version, change.payload.data, exists=True)

    def result(self, actual: Actual, changes: Sequence[Change]) -> dict[str, Any]:
        """Every secret by path, version and keys. Raises what stands in the way, in check mode, too."""
        for change in changes:
            if isinstance(change.payload, RefusedError):
                raise change.payload  # check mode: otherwise applying it has raised it before
        planned = {change.name: change for change in changes if change.name not in self._unneeded}
        secrets = [self._describe(path, actual[path], planned.get(path)) for path in self._wanted]
        verbs = Counter(_verb(self._wanted[path], planned.get(path)) for path in self._wanted)
        counts = {verb: verbs[verb] for verb in ("created", "updated", "deleted", "destroyed", "unchanged")}
        return {"changed": bool(planned), "secrets": secrets, "counts": counts}

    def _describe(self, path: str, stored: Stored | RefusedError, change: Change | None) -> dict[str, Any]:
        if isinstance(stored, RefusedError):
            raise stored
        wanted = self._wanted[path]
        after = self._written.get(path) or _after(wanted, stored, change)
        return {
            "path": path,
            "mount": self._store.mount,
            "state": wanted.state,
            "version": after.version,
            "keys": sorted(after.data or ()),
            "changed": change is not None,
        }


def _after(wanted: Wanted, stored: Stored, change: Change | None) -> Stored:
    """What the change leaves behind, if nobody interferes."""
    if change is None:
        return stored
    if isinstance(change.payload, Write):
        return Stored(stored.version + 1, change.payload.data, exists=True)
    return Stored() if wanted.state == "destroyed" else Stored(stored.version, exists=True)


def _verb(wanted: Wanted, change: Change | None) -> str:
    if change is None:
        return "unchanged"
    return "destroyed" if wanted.state == "destroyed" else f"{change.action}d"

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One way to reconcile what a server keeps under names: policies, mounts, roles. What differs is a :class:`Kind`."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, Outcome, Secret
from ansible_collections.dcm.platform.plugins.module_utils.engine.concurrent import apply_each
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError, RefusedError
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import Reconciler
from ansible_collections.dcm.platform.plugins.module_utils.vault.client import Vault
from ansible_collections.dcm.platform.plugins.module_utils.vault.documents import Document, same

# By name: the document, None for what is not there, or why that cannot be known.
Found = Mapping[str, "Document | RefusedError | None"]


@dataclass(frozen=True)
class Wanted:
    """One object as it should be.

    ``document`` holds the parameters to compare, ``secrets`` those that the server takes and never shows.
    """

    name: str
    state: Literal["present", "absent"] = "present"
    document: Document = field(default_factory=dict)
    secrets: Document = field(default_factory=dict, repr=False)
    force: bool = False


class Kind(abc.ABC):
    """What the server does with one sort of objects."""

    label: str  # in changes and messages
    plural: str  # in the module's result
    workers = 8

    def __init__(self, vault: Vault) -> None:
        self.vault = vault

    @abc.abstractmethod
    def read(self, wanted: Sequence[Wanted]) -> Found:
        """The objects, in few requests or concurrently; a refusal of one stands in its place."""

    @abc.abstractmethod
    def write(self, wanted: Wanted, changed: Document, *, exists: bool) -> None:
        """Create it, or bring about ``changed``, the parameters that differ."""

    @abc.abstractmethod
    def delete(self, name: str) -> None:
        """Remove it."""

    def same(self, name: str, wanted: Any, actual: Any) -> bool:
        """Whether two values of a parameter mean the same."""
        return same(name, wanted, actual)

    def check(self, wanted: Wanted, actual: Document, changed: Document) -> None:  # noqa: B027 - most allow all
        """Raise :class:`RefusedError` for a change that the server cannot make, or that must be asked for."""


class ObjectReconciler(Reconciler[Found]):
    """Makes the objects of one kind as they are wanted."""

    def __init__(self, kind: Kind, wanted: Sequence[Wanted], *, update_secrets: bool = False) -> None:
        self._kind = kind
        self._wanted = _by_name(wanted)
        self._update_secrets = update_secrets

    def read(self) -> Found:
        return self._kind.read(list(self._wanted.values()))

    def plan(self, actual: Found) -> list[Change]:
        planned = (self._plan(wanted, actual[name]) for name, wanted in self._wanted.items())
        return [change for change in planned if change is not None]

    def _plan(self, wanted: Wanted, actual: Document | RefusedError | None) -> Change | None:
        """A refusal becomes a change that fails when applied, so that it is reported among the others."""
        try:
            if isinstance(actual, RefusedError):
                raise actual
            return self._difference(wanted, actual)
        except RefusedError as error:
            return Change("update", self._kind.label, wanted.name, payload=error)

    def _difference(self, wanted: Wanted, actual: Document | None) -> Change | None:
        label, name = self._kind.label, wanted.name
        if wanted.state == "absent":
            if actual is None:
                return None
            self._kind.check(wanted, actual, {})
            return Change("delete", label, name, dict(actual))
        hidden = {key: Secret(value) for key, value in wanted.secrets.items()}
        if actual is None:
            return Change("create", label, name, None, {**wanted.document, **hidden}, payload=wanted.document)
        changed = self._changed(wanted, actual)
        if not changed and not (hidden and self._update_secrets):
            return None
        self._kind.check(wanted, actual, changed)
        before = {key: actual.get(key) for key in changed}
        after = {**changed, **(hidden if self._update_secrets else {})}
        return Change("update", label, name, before, after, payload=changed)

    def _changed(self, wanted: Wanted, actual: Document) -> dict[str, Any]:
        return {
            key: value for key, value in wanted.document.items() if not self._kind.same(key, value, actual.get(key))
        }

    def apply(self, changes: Sequence[Change]) -> Iterator[Outcome]:
        yield from apply_each(changes, self._apply, self._kind.workers)
        self._kind.vault.settle()

    def _apply(self, change: Change) -> None:
        if isinstance(change.payload, RefusedError):
            raise change.payload
        wanted = self._wanted[change.name]
        if change.action == "delete":
            self._kind.delete(change.name)
            return
        self._kind.write(wanted, change.payload, exists=change.action == "update")
        try:
            self._verify(wanted)
        except RefusedError:  # or a standby that does not show it yet
            self._kind.vault.settle()
            self._verify(wanted)

    def _verify(self, wanted: Wanted) -> None:
        """The server takes parameters that it does not know without a word; only reading tells."""
        actual = self._kind.read([wanted])[wanted.name]
        if isinstance(actual, RefusedError):
            raise actual
        ignored = self._changed(wanted, actual or {})
        if ignored:
            shown = "; ".join(f"{key} is {(actual or {}).get(key)!r} there" for key in ignored)
            raise RefusedError(
                f"{self._kind.label} {wanted.name} at {self._kind.vault.url} was written, but {shown}.",
                hint="Check the parameter's name, and spell its value as the server does.",
            )

    def result(self, actual: Found, changes: Sequence[Change]) -> dict[str, Any]:
        """Every object by name. Raises what stands in the way, in check mode, too."""
        for change in changes:
            if isinstance(change.payload, RefusedError):
                raise change.payload
        changed = {change.name for change in changes}
        return {
            self._kind.plural: [
                {"name": name, "state": wanted.state, "changed": name in changed}
                for name, wanted in self._wanted.items()
            ]
        }


def _by_name(wanted: Sequence[Wanted]) -> dict[str, Wanted]:
    found: dict[str, Wanted] = {}
    for one in wanted:
        if one.name in found:
            raise InputError(f"{one.name} is listed twice.")
        found[one.name] = one
    return found

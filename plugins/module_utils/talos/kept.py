# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Credentials that are kept until they are due, in a file that may hold those of other clusters, too, or by the caller.

A talosconfig and a kubeconfig differ in their form only: both are one YAML mapping with entries by name, of which one
is the current one.
"""

from __future__ import annotations

import abc
import datetime
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, Outcome, Tree
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError, RefusedError
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import Reconciler
from ansible_collections.dcm.platform.plugins.module_utils.talos import pki
from ansible_collections.dcm.platform.plugins.module_utils.talos.documents import dump, load

PRIVATE = 0o600
OURS = "of the cluster"


@dataclass(frozen=True)
class Kept:
    """What is there so far: its text, empty if there is none, and the mode of its file, None if there is none."""

    text: str
    mode: int | None = None


@dataclass(frozen=True)
class Entry:
    """The usable credentials for one cluster in a kept text. ``facts`` are what is compared with what is wanted."""

    expires: datetime.datetime
    facts: Tree


@dataclass(frozen=True)
class Store:
    """Where credentials are kept: in the file ``path``, or as ``current``, the caller's own text.

    ``release`` is called before a text becomes part of the result.
    """

    path: Path | None
    current: str
    release: Callable[[], None]

    @classmethod
    def from_options(cls, path: str | None, current: str, release: Callable[[], None]) -> Store:
        return cls(Path(path).expanduser() if path else None, current, release)


def lifetimes(options: Mapping[str, Any], *, decides: bool = True) -> tuple[datetime.timedelta, datetime.timedelta]:
    """``lifetime`` and ``renew_before`` of a module's options, which are days.

    Raises :class:`InputError` for a lifetime that is over before it begins, unless it does not decide on anything.
    """
    if options["lifetime"] < 1:
        raise InputError("lifetime must be at least one day.")
    if decides and options["lifetime"] <= options["renew_before"]:
        raise InputError("renew_before must be shorter than lifetime, or there would be new credentials at each run.")
    return datetime.timedelta(days=options["lifetime"]), datetime.timedelta(days=options["renew_before"])


def plan(
    noun: str, name: str, kept: Kept, entry: Entry | None, wanted: Tree, renew_before: datetime.timedelta
) -> list[Change]:
    """One change or none. ``entry`` is None if the text holds no usable credentials; an empty ``name`` means no file.

    The payload of a change says whether there are to be new credentials.
    """
    mode = {"mode": f"{PRIVATE:04o}"} if name else {}
    if not kept.text:
        return [Change("create", noun, name or noun, None, {**wanted, **mode}, payload=True)]
    if entry is None:
        unusable = {"state": "it holds no usable credentials for the cluster"}
        return [Change("update", noun, name or noun, unusable, {"state": "new", **wanted}, payload=True)]
    before: dict[str, Any] = {
        key: entry.facts.get(key) for key, value in wanted.items() if entry.facts.get(key) != value
    }
    after = {key: wanted[key] for key in before}
    if entry.expires - datetime.datetime.now(datetime.UTC) <= renew_before:
        before["state"], after["state"] = f"expires on {entry.expires:%Y-%m-%d %H:%M} UTC", "new"
    if before:
        return [Change("update", noun, name or noun, before, after, payload=True)]
    if kept.mode not in (None, PRIVATE):
        return [Change("update", noun, name or noun, {"mode": f"{kept.mode:04o}"}, mode, payload=False)]
    return []


class KeptReconciler(Reconciler[Kept]):
    """Keeps credentials for one cluster; everything else in the same text stays as it is."""

    noun: ClassVar[str]

    def __init__(self, store: Store, renew_before: datetime.timedelta) -> None:
        self._store = store
        self._renew_before = renew_before
        self._text = store.current

    @abc.abstractmethod
    def wanted(self) -> Tree:
        """What the credentials must be like, as far as it is known without making them."""

    @abc.abstractmethod
    def entry(self, text: str) -> Entry:
        """The credentials for the cluster in a text. Raises :class:`InputError` if there are no usable ones."""

    @abc.abstractmethod
    def check(self, tree: dict[str, Any], what: str) -> None:
        """Raise :class:`InputError` if a file that holds ``tree`` is of some other kind."""

    @abc.abstractmethod
    def renewed(self, base: dict[str, Any]) -> dict[str, Any]:
        """What is there so far, with new credentials in it. Raises :class:`InputError` if it must not take them."""

    @abc.abstractmethod
    def shown(self, text: str | None) -> dict[str, Any]:
        """What may be shown of the credentials in a text; for None, the same keys without values."""

    def read(self) -> Kept:
        path = self._store.path
        if path is None:
            return Kept(self._store.current)
        try:
            kept = Kept(path.read_text(encoding="utf-8"), stat.S_IMODE(path.stat().st_mode))
        except FileNotFoundError:
            return Kept("")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path} cannot be read: {error}.") from error
        self._base(kept.text)
        self._text = kept.text
        return kept

    def plan(self, actual: Kept) -> list[Change]:
        name = str(self._store.path or "")
        return plan(self.noun, name, actual, self._usable(actual.text), self.wanted(), self._renew_before)

    def _usable(self, text: str) -> Entry | None:
        try:
            return self.entry(text)
        except InputError:
            return None

    def apply(self, changes: Sequence[Change]) -> Iterator[Outcome]:
        for change in changes:
            if change.payload:
                self._text = dump([self.renewed(self._base(self._text))])
            if self._store.path is not None:
                write_private(self._store.path, self._text)
            yield Outcome(change)

    def _base(self, text: str) -> dict[str, Any]:
        """What new credentials are merged into; nothing if the caller's own text is of no use."""
        what = str(self._store.path or self.noun)
        try:
            tree = tree_of(text, what)
            self.check(tree, what)
        except InputError:
            if self._store.path is None:
                return {}
            raise
        return tree

    def result(self, actual: Kept, changes: Sequence[Change]) -> dict[str, Any]:
        usable = self._usable(self._text) is not None  # not in check mode, which makes none
        shown = self.shown(self._text if usable else None)
        if self._store.path is not None:
            return shown
        self._store.release()
        return {self.noun: self._text if usable else None, **shown}


def tree_of(text: str, what: str) -> dict[str, Any]:
    """The one mapping that a text holds, or an empty one. Raises :class:`InputError` for anything else."""
    documents = load(text, what)
    if len(documents) > 1:
        raise InputError(f"{what} holds more than one YAML document.")
    return documents[0] if documents else {}


@dataclass(frozen=True)
class Authority:
    """The authority (PEM) that the credentials of a cluster must name."""

    pem: bytes

    def judge(self, encoded: Any) -> str:
        """What to call the authorities (base64 of PEM) of an entry, for a comparison with :data:`OURS`."""
        own = pki.load_certificates(self.pem, "the authority of the cluster")
        found = pki.load_certificates(pki.from_base64(str(encoded or ""), "the authority"), "the authority")
        return OURS if not set(own).isdisjoint(found) else "of another cluster"


def refuse_another_cluster(what: str, before: Any, after: Any) -> None:
    """Raise :class:`InputError` unless two authorities (base64 of PEM) have a certificate in common.

    ``before`` may be missing; then there is nothing to lose.
    """
    if before and Authority(pki.from_base64(str(after), what)).judge(before) != OURS:
        raise InputError(
            f"{what} is there already and of another cluster: its authority is another one.",
            hint="Nothing was changed. Use another name, or set overwrite, as after a rotation of the authority.",
        )


def write_private(path: Path, text: str) -> None:
    """In one step, so that nobody reads half a file; a temporary file is private from the start."""
    target = path.resolve()  # what a link leads to is replaced, not the link
    try:
        with tempfile.NamedTemporaryFile("w", dir=target.parent, prefix=f".{target.name}", delete=False) as file:
            file.write(text)
        Path(file.name).replace(target)
    except OSError as error:
        raise RefusedError(f"{path} cannot be written: {error.strerror}.") from error

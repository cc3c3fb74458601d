# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The administrator's kubeconfig: fetched from a control plane, and kept until it is due."""

from __future__ import annotations

import datetime
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, Outcome
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError, RefusedError
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import Reconciler
from ansible_collections.dcm.platform.plugins.module_utils.talos import pki
from ansible_collections.dcm.platform.plugins.module_utils.talos.connection import Connector
from ansible_collections.dcm.platform.plugins.module_utils.talos.documents import load
from ansible_collections.dcm.platform.plugins.module_utils.talos.node import Node

PRIVATE = 0o600


@dataclass(frozen=True)
class Kubeconfig:
    """A kubeconfig that can be used. ``text`` is a secret."""

    text: str
    server: str
    context: str
    expires: datetime.datetime


def parse(text: str, what: str = "The kubeconfig") -> Kubeconfig:
    """Raises :class:`InputError` for a text that holds no current context with a client certificate."""
    documents = load(text, what)
    try:
        config = documents[0]
        context = _named(config["contexts"], config["current-context"])["context"]
        cluster = _named(config["clusters"], context["cluster"])["cluster"]
        user = _named(config["users"], context["user"])["user"]
        certificate = pki.from_base64(user["client-certificate-data"], f"{what}'s certificate")
        return Kubeconfig(text, cluster["server"], config["current-context"], pki.expiry(certificate, what))
    except (KeyError, IndexError, TypeError) as error:
        raise InputError(f"{what} has no current context with a server and a client certificate.") from error


def _named(items: Any, name: Any) -> Any:
    return next((item for item in items if item["name"] == name), {})


def plan(current: str, path: str, renew_before: datetime.timedelta, mode: int | None) -> list[Change]:
    """``current`` may be empty or unusable; ``mode`` is the one of the file at ``path``, None without a file.

    The payload of a change says whether a new kubeconfig is to be fetched.
    """
    name = path or "kubeconfig"
    if not current:
        return [Change("create", "kubeconfig", name, None, {"mode": f"{PRIVATE:04o}"} if path else {}, payload=True)]
    problem = _problem(current, renew_before)
    if problem:
        return [Change("update", "kubeconfig", name, {"state": problem}, {"state": "new"}, payload=True)]
    if mode not in (None, PRIVATE):
        return [
            Change("update", "kubeconfig", name, {"mode": f"{mode:04o}"}, {"mode": f"{PRIVATE:04o}"}, payload=False)
        ]
    return []


def _problem(current: str, renew_before: datetime.timedelta) -> str | None:
    """Why the kubeconfig cannot stay."""
    try:
        expires = parse(current).expires
    except InputError as error:
        return error.message
    due = expires - renew_before <= datetime.datetime.now(datetime.UTC)
    return f"expires on {expires:%Y-%m-%d %H:%M} UTC" if due else None


@dataclass(frozen=True)
class Kept:
    """The kubeconfig so far: its text, empty if there is none, and the mode of its file, None if there is none."""

    text: str
    mode: int | None = None


class KubeconfigReconciler(Reconciler[Kept]):
    """Keeps a kubeconfig, in a file or only in the result."""

    def __init__(
        self,
        node: Node,
        connector: Connector,
        current: str,
        path: str,
        renew_before: datetime.timedelta,
        release: Callable[[], None],
    ) -> None:
        """``current``: the kubeconfig so far, unless it is in the file ``path``; both may be empty.

        ``release`` is called before a kubeconfig becomes part of the result.
        """
        self._node = node
        self._connector = connector
        self._current = current
        self._path = Path(path).expanduser() if path else None
        self._renew_before = renew_before
        self._release = release

    def read(self) -> Kept:
        if self._path is None:
            return Kept(self._current)
        try:
            kept = Kept(self._path.read_text(encoding="utf-8"), stat.S_IMODE(self._path.stat().st_mode))
        except FileNotFoundError:
            return Kept("")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{self._path} cannot be read: {error}.") from error
        self._current = kept.text
        return kept

    def plan(self, actual: Kept) -> list[Change]:
        return plan(actual.text, str(self._path or ""), self._renew_before, actual.mode)

    def apply(self, changes: Sequence[Change]) -> Iterator[Outcome]:
        for change in changes:
            if change.payload:
                self._current = self._connector.patiently(f"{self._node.service} to answer", self._fetch)
            if self._path is not None:
                _write(self._path, self._current)
            yield Outcome(change)

    def _fetch(self) -> str:
        with self._connector.client(self._node) as client:
            text = client.kubeconfig()
        parse(text, f"The kubeconfig of {self._node.name}")
        return text

    def result(self, actual: Kept, changes: Sequence[Change]) -> dict[str, Any]:
        try:
            found = parse(self._current)
        except InputError:  # in check mode, which does not fetch the one that would replace it
            return {"kubeconfig": None, "server": None, "context": None, "expires": None}
        shown = {"server": found.server, "context": found.context, "expires": found.expires.isoformat()}
        if self._path is not None:
            return shown
        self._release()
        return {"kubeconfig": found.text, **shown}


def _write(path: Path, text: str) -> None:
    """In one step, so that nobody reads half a file; a temporary file is private from the start."""
    try:
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".kubeconfig", delete=False) as file:
            file.write(text)
        Path(file.name).replace(path)
    except OSError as error:
        raise RefusedError(f"{path} cannot be written: {error.strerror}.") from error

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The run of ``vault_secret_info``: what secrets there are, and what can be told of them."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, Outcome
from ansible_collections.dcm.platform.plugins.module_utils.engine.concurrent import map_concurrently
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import Reconciler
from ansible_collections.dcm.platform.plugins.module_utils.vault.key_value import KeyValue, Stored
from ansible_collections.dcm.platform.plugins.module_utils.vault.plan import checked_path

Actual = Mapping[str, "tuple[Stored, Stored]"]  # by path: what its metadata tell, and with its data if wanted


class SecretReader(Reconciler[Actual]):
    """Changes nothing."""

    def __init__(self, store: KeyValue, options: Mapping[str, Any]) -> None:
        self._store = store
        self._options = options
        self._with_data = options["keys"] or options["values"]

    def read(self) -> Actual:
        paths = [checked_path(path) for path in self._options["paths"]]
        below: dict[str, Stored] = {}
        if self._options["prefix"] is not None:
            found = self._store.list_below(self._options["prefix"].strip("/"))
            below = found if isinstance(found, dict) else {}
            paths += [path for path in sorted(found) if path not in paths]
        workers = self._options["workers"]
        return dict(zip(paths, map_concurrently(lambda path: self._read(path, below), paths, workers), strict=True))

    def _read(self, path: str, below: Mapping[str, Stored]) -> tuple[Stored, Stored]:
        known = below.get(path) or self._store.read_metadata(path)
        if not self._with_data or known.data is not None or not known.live:
            return known, known
        return known, self._store.read(path)

    def plan(self, actual: Actual) -> Sequence[Change]:
        return ()

    def apply(self, changes: Sequence[Change]) -> Iterable[Outcome]:
        return ()

    def result(self, actual: Actual, changes: Sequence[Change]) -> dict[str, Any]:
        """What was asked for of each secret, in the order of the paths."""
        return {"secrets": [self._describe(path, *found) for path, found in actual.items()]}

    def _describe(self, path: str, known: Stored, stored: Stored) -> dict[str, Any]:
        described: dict[str, Any] = {"path": path, "version": known.version, "live": known.live}
        if known.metadata is not None:
            described["metadata"] = dict(known.metadata)
            latest = (known.metadata.get("versions") or {}).get(str(known.version))
            if latest:
                described["age"] = _age(latest["created_time"])
        if self._with_data:
            described["keys"] = sorted(stored.data or ())
        if self._options["values"]:
            described["values"] = dict(stored.data or {})
        return described


def _age(created: str) -> int:
    """Seconds from a moment the server wrote, in UTC, to now."""
    moment = datetime.datetime.strptime(created[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=datetime.UTC)
    return max(0, int((datetime.datetime.now(datetime.UTC) - moment).total_seconds()))

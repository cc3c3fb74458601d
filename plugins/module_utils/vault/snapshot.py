# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The run of ``vault_snapshot``: the whole storage of a raft cluster into a file or a bucket, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, Outcome
from ansible_collections.dcm.platform.plugins.module_utils.engine.concurrent import apply_each
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import (
    InputError,
    PlatformError,
    RefusedError,
)
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import Reconciler
from ansible_collections.dcm.platform.plugins.module_utils.snapshot_store import BLOCK, Store, checksum_of
from ansible_collections.dcm.platform.plugins.module_utils.vault.client import Vault
from ansible_collections.dcm.platform.plugins.module_utils.vault.errors import SERVICE

try:
    from hvac.adapters import RawAdapter
except ImportError:  # the engine reports a missing library with its package
    RawAdapter = None

Options = Mapping[str, Any]


class Snapshot(Reconciler[dict[str, Any]]):
    """Takes a snapshot, or restores one over everything the cluster holds."""

    def __init__(self, vault: Vault, store: Store, options: Options) -> None:
        self._vault = vault
        self._store = store
        self._options = options
        self._checksum: str | None = None
        self._size: int | None = None

    def read(self) -> dict[str, Any]:
        seal = self._vault.request("get", "sys/seal-status")
        if seal.get("storage_type") != "raft":
            raise RefusedError(
                f"{SERVICE} at {self._vault.url} keeps its data in {seal.get('storage_type')}, which has no snapshots.",
                hint="Back up that storage by its own means.",
            )
        return {"cluster_id": seal["cluster_id"], "version": seal["version"]}

    def plan(self, actual: dict[str, Any]) -> list[Change]:
        if self._options["state"] == "present":
            return [Change("create", "snapshot", self._store.name, None, actual, self._take)]
        if self._options["confirm"] not in (actual["cluster_id"], self._vault.url):
            raise InputError(
                f"Restoring replaces everything in {SERVICE} at {self._vault.url}.",
                hint=f"Say that this is meant: confirm: {actual['cluster_id']}",
            )
        return [Change("run", "restore", self._store.name, actual, {"snapshot": self._store.name}, self._restore)]

    def apply(self, changes: Sequence[Change]) -> Iterator[Outcome]:
        return apply_each(changes, lambda change: change.payload())

    def _take(self) -> None:
        with self._store.writing() as file:
            response = self._vault.call(
                lambda client: RawAdapter.from_adapter(client.adapter).get("/v1/sys/storage/raft/snapshot", stream=True)
            )
            with response:
                for block in response.iter_content(BLOCK):
                    file.write(block)
            self._size = file.tell()
            if not self._size:
                raise PlatformError(f"The snapshot that {SERVICE} at {self._vault.url} gave is empty.")
            self._checksum = checksum_of(file)

    def _restore(self) -> None:
        """Nothing is sent unless it is what was stored."""
        with self._store.reading() as (file, expected):
            self._checksum = checksum_of(file)
            self._size = file.tell()
            if self._checksum != expected:
                raise RefusedError(
                    f"{self._store.name} is damaged: its SHA-256 is {self._checksum}, not {expected or 'noted'}.",
                    hint="Nothing was restored. Use another snapshot.",
                )
            path = "snapshot-force" if self._options["force"] else "snapshot"
            file.seek(0)
            self._vault.call(
                lambda client: client.adapter.post(f"/v1/sys/storage/raft/{path}", data=file), idempotent=False
            )

    def result(self, actual: dict[str, Any], changes: Sequence[Change]) -> dict[str, Any]:
        """Where the snapshot is, and what it is like; in check mode, that is not known."""
        return {
            "snapshot": self._store.name,
            "cluster_id": actual["cluster_id"],
            "sha256": self._checksum,
            "size": self._size,
        }

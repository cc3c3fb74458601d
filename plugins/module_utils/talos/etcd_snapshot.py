# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Snapshots of etcd: taken into a store, and checked before they are used."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, Outcome
from ansible_collections.dcm.platform.plugins.module_utils.engine.concurrent import apply_each
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import PlatformError, RefusedError
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import Reconciler
from ansible_collections.dcm.platform.plugins.module_utils.engine.retry import retrying
from ansible_collections.dcm.platform.plugins.module_utils.snapshot_store import BLOCK, Store, checksum_of
from ansible_collections.dcm.platform.plugins.module_utils.talos.connection import Connector
from ansible_collections.dcm.platform.plugins.module_utils.talos.etcd import Etcd, survey
from ansible_collections.dcm.platform.plugins.module_utils.talos.node import Node

SECTOR = 512  # the database is whole sectors, so the hash after it can be told from the lack of one
HASH_SIZE = hashlib.sha256().digest_size


def damage(file: BinaryIO) -> str | None:
    """What is wrong with a snapshot by its own account: it ends with the SHA-256 of all that comes before."""
    size = file.seek(0, os.SEEK_END)
    if size <= HASH_SIZE:
        return "it is empty" if not size else f"it has {size} bytes only"
    if size % SECTOR != HASH_SIZE:
        return "it does not end with a hash, so it is cut off, or a copy of a database and not a snapshot"
    file.seek(0)
    digest, left = hashlib.sha256(), size - HASH_SIZE
    while left and (block := file.read(min(BLOCK, left))):
        digest.update(block)
        left -= len(block)
    return None if file.read() == digest.digest() else "the hash at its end is not that of its content"


@contextlib.contextmanager
def checked(store: Store, *, skip_hash_check: bool = False) -> Iterator[BinaryIO]:
    """The snapshot from its first byte on, if it is what was stored. Raises :class:`RefusedError` otherwise."""
    with store.reading() as (file, noted):
        checksum = checksum_of(file)
        reason = f"its SHA-256 is {checksum}, not {noted}" if noted and checksum != noted else None
        if reason is None and not skip_hash_check:
            reason = damage(file)
        if reason is not None:
            raise RefusedError(
                f"{store.name} is damaged: {reason}.", hint="Nothing was restored. Use another snapshot."
            )
        file.seek(0)
        yield file


class SnapshotReconciler(Reconciler[Etcd]):
    """Takes a snapshot from the first control plane that serves etcd."""

    def __init__(self, nodes: Sequence[Node], connector: Connector, store: Store) -> None:
        self._nodes = nodes
        self._connector = connector
        self._store = store
        self._source: str | None = None
        self._checksum: str | None = None
        self._size: int | None = None

    def read(self) -> Etcd:
        etcd = survey(self._connector, self._nodes)
        etcd.require_serving()
        return etcd

    def plan(self, actual: Etcd) -> list[Change]:
        payload = [one.node for one in actual.require_serving()]
        after = {"source": payload[0].name, "members": [member.hostname for member in actual.members]}
        return [Change("create", "etcd snapshot", self._store.name, None, after, payload)]

    def apply(self, changes: Sequence[Change]) -> Iterator[Outcome]:
        return apply_each(changes, lambda change: retrying(lambda: self._take(change.payload[0]), idempotent=True))

    def _take(self, node: Node) -> None:
        with self._store.writing() as file, self._connector.client(node) as client:
            client.etcd_snapshot(file)
            file.flush()
            if (reason := damage(file)) is not None:
                raise PlatformError(f"The snapshot that {node.service} at {node.address} gave is damaged: {reason}.")
            self._checksum = checksum_of(file)
            self._source, self._size = node.name, file.tell()

    def result(self, actual: Etcd, changes: Sequence[Change]) -> dict[str, Any]:
        """Where the snapshot is, and what it is like; in check mode, that is not known."""
        return {
            "snapshot": self._store.name,
            "source": self._source or changes[0].payload[0].name,
            "sha256": self._checksum,
            "size": self._size,
        }

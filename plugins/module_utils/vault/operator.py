# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The run of ``vault_operator``: a server from its first start to one that serves."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, Outcome
from ansible_collections.dcm.platform.plugins.module_utils.engine.concurrent import apply_each
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import (
    InputError,
    RefusedError,
    TransientError,
)
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import Reconciler
from ansible_collections.dcm.platform.plugins.module_utils.engine.wait import NotYet, wait_for
from ansible_collections.dcm.platform.plugins.module_utils.vault.client import Vault, log_in
from ansible_collections.dcm.platform.plugins.module_utils.vault.documents import same
from ansible_collections.dcm.platform.plugins.module_utils.vault.errors import SERVICE

Options = Mapping[str, Any]


@dataclass(frozen=True)
class Status:
    """What the server says of itself. ``peers`` and ``devices`` are None where nobody asked for them."""

    initialized: bool
    sealed: bool
    threshold: int
    version: str
    peers: Mapping[str, Any] | None = None
    devices: Mapping[str, Any] | None = None


class Operator(Reconciler[Status]):
    """Initialises and unseals, and keeps peers and audit devices as described."""

    def __init__(self, vault: Vault, options: Options) -> None:
        """``vault`` is not logged in: before the server is unsealed, nobody can be."""
        self._vault = vault
        self._options = options
        self._logged_in = False

    def read(self) -> Status:
        seal = self._vault.request("get", "sys/seal-status")
        status = Status(seal["initialized"], seal["sealed"], seal["t"], seal["version"])
        if status.sealed or not self._needs_login():
            return status
        self._log_in()
        peers = devices = None
        if self._options["absent_peers"]:
            peers = self._peers()
        if self._options["audit_devices"]:
            devices = {path.strip("/"): device for path, device in self._vault.read("sys/audit").items()}
        return Status(status.initialized, status.sealed, status.threshold, status.version, peers, devices)

    def _needs_login(self) -> bool:
        return bool(self._options["absent_peers"] or self._options["audit_devices"] or self._options["step_down"])

    def _log_in(self) -> None:
        if not self._logged_in:
            log_in(self._vault, self._options)
            self._logged_in = True

    def _peers(self) -> dict[str, Any]:
        servers = self._vault.read("sys/storage/raft/configuration")["config"]["servers"]
        return {server["node_id"]: server for server in servers}

    def plan(self, actual: Status) -> list[Change]:
        url = self._vault.url
        changes = []
        if not actual.initialized and self._options["initialize"]:
            shares = {name: self._options["initialize"][name] for name in ("secret_shares", "secret_threshold")}
            changes.append(Change("create", "server", url, None, shares, self._initialize))
        unseals = self._options["unseal"] and actual.sealed
        if unseals and (actual.initialized or self._options["initialize"]):
            changes.append(Change("run", "unseal", url, {"sealed": True}, {"sealed": False}, self._unseal))
        for node in self._options["absent_peers"]:
            if node in (actual.peers or {}):
                peer = dict((actual.peers or {})[node])
                changes.append(Change("delete", "raft peer", node, peer, None, self._remover(node)))
        for device in self._options["audit_devices"]:
            changes.extend(self._plan_device(device, (actual.devices or {}).get(device["path"].strip("/"))))
        if self._options["step_down"]:
            changes.append(Change("run", "step down", url, payload=self._step_down))
        return changes

    def _plan_device(self, wanted: Options, actual: Options | None) -> Iterator[Change]:
        path = wanted["path"].strip("/")
        after = {"type": wanted["type"], **wanted["options"]}
        if actual is None:
            yield Change("create", "audit device", path, None, after, self._enabler(path, wanted))
            return
        before = {"type": actual["type"], **(actual.get("options") or {})}
        if not all(same(name, value, before.get(name)) for name, value in after.items()):
            error = RefusedError(
                f"Audit device {path} at {self._vault.url} is another one than described, and cannot be changed.",
                hint="Add the new one under another path, then disable the old one, so that nothing goes unnoted.",
            )
            yield Change("update", "audit device", path, before, after, error)

    def apply(self, changes: Sequence[Change]) -> Iterator[Outcome]:
        return apply_each(changes, self._apply)

    def _apply(self, change: Change) -> None:
        if isinstance(change.payload, RefusedError):
            raise change.payload
        change.payload()

    def _initialize(self) -> None:
        """The file is there, and nobody else's to read, before the server makes what belongs into it."""
        wanted = self._options["initialize"]
        body: dict[str, Any] = {name: wanted[name] for name in ("secret_shares", "secret_threshold")}
        if wanted["pgp_keys"]:
            body.update(pgp_keys=wanted["pgp_keys"], root_token_pgp_key=wanted["root_token_pgp_key"])
        try:
            handle = os.open(wanted["keys_file"], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise InputError(
                f"keys_file {wanted['keys_file']} cannot be made: {error.strerror}.",
                hint="Nothing was initialised. Name a file that does not exist, in a directory that does.",
            ) from error
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            answer = self._request_once("sys/init", body)
            json.dump({"keys": answer["keys_base64"], "root_token": answer["root_token"]}, file)

    def _request_once(self, path: str, body: dict[str, Any]) -> Any:
        return self._vault.call(lambda client: client.adapter.put(f"/v1/{path}", json=body), idempotent=False)

    def _unseal(self) -> None:
        status: dict[str, Any] = {}
        for key in self._unseal_keys():
            status = self._vault.request("put", "sys/unseal", json={"key": key})
            if not status["sealed"]:
                break
        # Enough keys leave no progress; a server that joins a cluster opens a moment after them.
        if not status or status["progress"]:
            raise RefusedError(
                f"{SERVICE} at {self._vault.url} is still sealed after all keys.",
                hint="Give as many keys as its threshold; other operators' keys count if they are given soon.",
            )
        wait_for("the server to serve", self._serves, timeout=self._options["wait_timeout"], interval=0.5)

    def _unseal_keys(self) -> list[str]:
        unseal = self._options["unseal"]
        if unseal["keys"]:
            return list(unseal["keys"])
        try:
            document = json.loads(Path(unseal["keys_file"]).read_text(encoding="utf-8"))
            return [str(key) for key in document["keys"]]
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"No unseal keys can be read from {unseal['keys_file']}.") from error

    def _serves(self) -> None:
        """An active node or a standby will do. With other codes the answer would be an error."""
        options = {"params": {"standbyok": "true"}}
        try:
            self._vault.request("get", "sys/health", **options)
        except TransientError as error:
            raise NotYet(str(error)) from error

    def _remover(self, node: str) -> Callable[[], None]:
        return lambda: self._vault.request("post", "sys/storage/raft/remove-peer", json={"server_id": node})

    def _enabler(self, path: str, wanted: Options) -> Callable[[], None]:
        def enable() -> None:
            self._log_in()
            body = {name: wanted[name] for name in ("type", "options", "description")}
            try:
                self._vault.request("put", f"sys/audit/{path}", json=body)
            except RefusedError as error:
                if "declarative" not in str(error):
                    raise
                raise RefusedError(
                    f"Audit device {path} cannot be enabled: {SERVICE} at {self._vault.url} takes audit devices from "
                    "its configuration file only.",
                    hint="Write it there and reload the server, or allow unsafe_allow_api_audit_creation.",
                ) from error

        return enable

    def _step_down(self) -> None:
        self._log_in()
        self._request_once("sys/step-down", {})

    def result(self, actual: Status, changes: Sequence[Change]) -> dict[str, Any]:
        """The seal's state, as it is by then. Raises what stands in the way, in check mode, too."""
        for change in changes:
            if isinstance(change.payload, RefusedError):
                raise change.payload
        done = {change.kind for change in changes}
        return {
            "initialized": actual.initialized or "server" in done,
            "sealed": actual.sealed and "unseal" not in done,
            "version": actual.version,
            "peers": sorted(actual.peers or ()),
            "audit_devices": sorted(actual.devices or ()),
        }

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The secrets of one mount of the key-value engine, version 1 or 2: reads and writes, nothing decided here."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import NotFoundError, RefusedError
from ansible_collections.dcm.platform.plugins.module_utils.vault.client import Vault
from ansible_collections.dcm.platform.plugins.module_utils.vault.errors import SERVICE, ForbiddenError, MissingError

Data = Mapping[str, Any]
MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}


@dataclass(frozen=True)
class Stored:
    """A secret as the server has it.

    ``version`` is its latest (0: none), which a write must name; ``data`` is None while that version is deleted or was
    not asked for. ``exists`` is true if the path is known at all, be it by its metadata alone; ``live`` if the latest
    version can be read; ``destroyed`` if it is gone for good. ``custom`` is the custom metadata, ``metadata`` all of it
    (None: not read).
    """

    version: int = 0
    data: Data | None = field(default=None, repr=False)
    exists: bool = False
    destroyed: bool = False
    custom: Mapping[str, str] = field(default_factory=dict, compare=False)
    metadata: Mapping[str, Any] | None = field(default=None, compare=False)
    listed_live: bool = field(default=False, compare=False)

    @property
    def live(self) -> bool:
        """Whether there is a value."""
        return self.data is not None or self.listed_live


def _stored(metadata: Mapping[str, Any]) -> Stored:
    """What the metadata of a secret tell of it."""
    version = metadata["current_version"]
    latest = (metadata.get("versions") or {}).get(str(version)) or {}
    destroyed = bool(latest.get("destroyed"))
    return Stored(
        version,
        exists=True,
        destroyed=destroyed,
        custom=metadata.get("custom_metadata") or {},
        metadata=metadata,
        listed_live=bool(latest) and not destroyed and not _past(latest.get("deletion_time") or ""),
    )


def _past(time: str) -> bool:
    """Whether that moment has come, to the second. A secret may be deleted already, or only at some time to come."""
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return bool(time) and time[: len(now)] <= now


class KeyValue:
    """One mount of version 2. ``mount`` is its path without slashes at the ends."""

    version = 2

    def __init__(self, vault: Vault, mount: str, *, lists_details: bool = False) -> None:
        """``lists_details``: whether the server tells the metadata of a whole folder at once, as OpenBao does."""
        self._vault = vault
        self.mount = mount
        self.lists_details = lists_details

    def settle(self) -> None:
        """As :meth:`Vault.settle`."""
        self._vault.settle()

    def read(self, path: str) -> Stored:
        """The latest version."""
        try:
            answer = self._vault.request("get", f"{self.mount}/data/{path}")["data"]
        except MissingError as error:
            answer = error.document.get("data") or {}
        metadata = answer.get("metadata") or {}
        return Stored(
            metadata.get("version", 0),
            answer.get("data"),
            exists=bool(metadata),
            destroyed=bool(metadata.get("destroyed")),
            custom=metadata.get("custom_metadata") or {},
        )

    def read_metadata(self, path: str) -> Stored:
        """Whether the path is known, its latest version, its metadata; no data."""
        metadata = self._vault.read(f"{self.mount}/metadata/{path}")
        return Stored() if metadata is None else _stored(metadata)

    def write(self, path: str, data: Data, cas: int) -> int:
        """Store a new version and return its number. Raises :class:`ConflictError` unless ``cas`` is the latest."""
        body = {"data": dict(data), "options": {"cas": cas}}
        return int(self._vault.request("post", f"{self.mount}/data/{path}", json=body)["data"]["version"])

    def write_metadata(self, path: str, metadata: Mapping[str, Any]) -> None:
        """Change these metadata and no others."""
        self._vault.request("patch", f"{self.mount}/metadata/{path}", json=dict(metadata), headers=dict(MERGE_PATCH))

    def delete(self, path: str) -> None:
        """Delete the latest version, so that it can be undeleted."""
        self._vault.request("delete", f"{self.mount}/data/{path}")

    def undelete(self, path: str, version: int) -> None:
        """Bring a deleted version back."""
        self._vault.request("post", f"{self.mount}/undelete/{path}", json={"versions": [version]})

    def destroy(self, path: str) -> None:
        """Remove all versions and the metadata, for good."""
        self._vault.request("delete", f"{self.mount}/metadata/{path}")

    def list_folder(self, folder: str) -> dict[str, Stored]:
        """The secrets right below a folder with their metadata, in one request. Only if :attr:`lists_details`."""
        return self._details("list", folder)

    def list_below(self, prefix: str) -> dict[str, Stored] | list[str]:
        """All secrets below a folder, at any depth: with their metadata if the server can, else their paths."""
        return self._details("scan", prefix) if self.lists_details else self._walk(prefix)

    def _details(self, method: str, folder: str) -> dict[str, Stored]:
        try:
            answer = self._vault.request(method, f"{self.mount}/detailed-metadata/{folder}")["data"]
        except MissingError:
            return {}
        start = f"{folder}/" if folder else ""
        found = (answer.get("key_info") or {}).items()
        return {f"{start}{key}": _stored(metadata) for key, metadata in found if not key.endswith("/")}

    def _walk(self, folder: str) -> list[str]:
        try:
            keys = self._vault.request("list", f"{self._list_root()}/{folder}")["data"]["keys"]
        except MissingError:
            return []
        start = f"{folder}/" if folder else ""
        below = (self._walk(f"{start}{key.rstrip('/')}") for key in keys if key.endswith("/"))
        return [f"{start}{key}" for key in keys if not key.endswith("/")] + [path for paths in below for path in paths]

    def _list_root(self) -> str:
        return f"{self.mount}/metadata"


class KeyValue1(KeyValue):
    """One mount of version 1: no versions, no metadata, no check-and-set."""

    version = 1

    def read(self, path: str) -> Stored:
        data = self._vault.read(f"{self.mount}/{path}")
        return Stored(data=data, exists=data is not None)

    read_metadata = read

    def write(self, path: str, data: Data, cas: int) -> int:
        self._vault.request("post", f"{self.mount}/{path}", json=dict(data))
        return 0

    def delete(self, path: str) -> None:
        self._vault.request("delete", f"{self.mount}/{path}")

    destroy = delete

    def _list_root(self) -> str:
        return self.mount


def open_mount(vault: Vault, mount: str) -> KeyValue:
    """The mount, as what the server says that it is.

    Requests of one version would be taken for secrets of other names by the other, so it must be known. Raises
    :class:`NotFoundError` or :class:`RefusedError` for a mount that is none, and what :meth:`Vault.call` raises.
    """
    mount = mount.strip("/")
    try:
        found = vault.request("get", f"sys/internal/ui/mounts/{mount}")["data"]
    except (ForbiddenError, MissingError) as error:
        # It answers 403 for an unknown mount, too.
        raise NotFoundError(
            f"{SERVICE} at {vault.url} has no mount {mount}/, or the token may use nothing in it.",
            hint="Check mount (and namespace), and that a key-value engine is mounted there.",
        ) from error
    if found["path"].strip("/") != mount:
        raise NotFoundError(f"{SERVICE} at {vault.url} has no mount {mount}/.")
    if found["type"] != "kv":
        raise RefusedError(
            f"The mount {mount}/ of {SERVICE} at {vault.url} is a {found['type']} engine.",
            hint="A key-value engine is needed: give another mount.",
        )
    if (found["options"] or {}).get("version", "1") == "1":
        return KeyValue1(vault, mount)
    return KeyValue(vault, mount, lists_details=found.get("running_plugin_version", "").endswith(".bao"))

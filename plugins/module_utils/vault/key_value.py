# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The secrets of one mount of the key-value engine, version 2: reads and writes, nothing decided here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import NotFoundError, RefusedError
from ansible_collections.dcm.platform.plugins.module_utils.vault.client import Vault
from ansible_collections.dcm.platform.plugins.module_utils.vault.errors import (
    SERVICE,
    ForbiddenError,
    InvalidTokenError,
    MissingError,
)

Data = Mapping[str, Any]


@dataclass(frozen=True)
class Stored:
    """A secret as the server has it.

    ``version`` is its latest (0: none), which a write must name; ``data`` is None while that version is deleted.
    ``exists`` is true if the path is known at all, be it by its metadata alone.
    """

    version: int = 0
    data: Data | None = field(default=None, repr=False)
    exists: bool = False


class KeyValue:
    """One mount. ``mount`` is its path without slashes at the ends."""

    def __init__(self, vault: Vault, mount: str) -> None:
        self._vault = vault
        self.mount = mount.strip("/")

    def check_mount(self) -> None:
        """Raise unless the mount is there and of version 2, and the token is good.

        A mount of version 1 would take the requests for version 2 as secrets of other names, so it must be known.
        """
        try:
            answer = self._vault.call(lambda client: client.adapter.get(f"/v1/sys/internal/ui/mounts/{self.mount}"))
            mount = answer["data"]
        except (ForbiddenError, MissingError) as error:
            raise self._unusable(error) from error
        if mount["path"].strip("/") != self.mount:
            raise NotFoundError(f"{SERVICE} at {self._vault.url} has no mount {self.mount}/.")
        version = (mount["options"] or {}).get("version", "1")
        if mount["type"] != "kv" or version != "2":
            kind = f"key-value engine of version {version}" if mount["type"] == "kv" else f"{mount['type']} engine"
            raise RefusedError(
                f"The mount {self.mount}/ of {SERVICE} at {self._vault.url} is a {kind}.",
                hint="The key-value engine of version 2 is needed: give another mount, or upgrade this one.",
            )

    def _unusable(self, error: ForbiddenError | MissingError) -> NotFoundError | InvalidTokenError:
        """The server answers 403 for an unknown mount, too, but then speaks of its preflight check."""
        if isinstance(error, ForbiddenError) and "preflight" not in error.reason:
            return InvalidTokenError(
                self._vault.url,
                f"{SERVICE} at {self._vault.url} does not accept the token: it is unknown, revoked or expired.",
                "Get a new one, then run again: what was done is kept.",
            )
        return NotFoundError(
            f"{SERVICE} at {self._vault.url} has no mount {self.mount}/, or the token may use nothing in it.",
            hint="Check mount (and namespace), and that a key-value engine is mounted there.",
        )

    def read(self, path: str) -> Stored:
        """The latest version."""
        try:
            answer = self._call(
                lambda client: client.secrets.kv.v2.read_secret_version(
                    path, mount_point=self.mount, raise_on_deleted_version=True
                )
            )
        except MissingError as error:
            metadata = (error.document.get("data") or {}).get("metadata") or {}
            return Stored(metadata.get("version", 0), exists=bool(metadata))
        return Stored(answer["data"]["metadata"]["version"], answer["data"]["data"], exists=True)

    def read_metadata(self, path: str) -> Stored:
        """Whether the path is known, and its latest version; no data."""
        try:
            answer = self._call(lambda client: client.secrets.kv.v2.read_secret_metadata(path, mount_point=self.mount))
        except MissingError:
            return Stored()
        return Stored(answer["data"]["current_version"], exists=True)

    def write(self, path: str, data: Data, cas: int) -> int:
        """Store a new version and return its number. Raises :class:`ConflictError` unless ``cas`` is the latest."""
        answer = self._call(
            lambda client: client.secrets.kv.v2.create_or_update_secret(
                path, secret=dict(data), cas=cas, mount_point=self.mount
            )
        )
        return int(answer["data"]["version"])

    def delete(self, path: str) -> None:
        """Delete the latest version, so that it can be undeleted."""
        self._call(lambda client: client.secrets.kv.v2.delete_latest_version_of_secret(path, mount_point=self.mount))

    def destroy(self, path: str) -> None:
        """Remove all versions and the metadata, for good."""
        self._call(lambda client: client.secrets.kv.v2.delete_metadata_and_all_versions(path, mount_point=self.mount))

    def _call(self, operation: Callable[[Any], Any]) -> Any:
        try:
            return self._vault.call(operation)
        except ForbiddenError:
            self.check_mount()  # an expired token is refused with the same words as a path: this tells them apart
            raise

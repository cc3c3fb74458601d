# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The kinds of objects: where the server keeps each, and how it spells them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.common.validation import check_type_dict
from ansible_collections.dcm.platform.plugins.module_utils.engine.concurrent import map_concurrently
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError, RefusedError
from ansible_collections.dcm.platform.plugins.module_utils.vault.client import Vault
from ansible_collections.dcm.platform.plugins.module_utils.vault.documents import Document
from ansible_collections.dcm.platform.plugins.module_utils.vault.objects import Found, Kind, Wanted
from ansible_collections.dcm.platform.plugins.module_utils.vault.policy import same_policy


class NamedObjects(Kind):
    """Objects that each lie at a path of their own."""

    def path(self, name: str) -> str:
        """Where the object is read, written and deleted."""
        raise NotImplementedError

    def read(self, wanted: Sequence[Wanted]) -> Found:
        found = map_concurrently(lambda one: self._read(one.name), wanted, self.workers)
        return {one.name: document for one, document in zip(wanted, found, strict=True)}

    def _read(self, name: str) -> Document | RefusedError | None:
        try:
            document = self.vault.read(self.path(name))
        except RefusedError as error:
            return error  # of this one only: the others go on
        return None if document is None else self.shown(document)

    def shown(self, document: Document) -> Document:
        """The parameters in what the server answers."""
        return document

    def delete(self, name: str) -> None:
        self.vault.request("delete", self.path(name))


class Policies(NamedObjects):
    """ACL policies."""

    label = "policy"
    plural = "policies"

    def path(self, name: str) -> str:
        return f"sys/policies/acl/{name}"

    def shown(self, document: Document) -> Document:
        return {"policy": document["policy"]}

    def same(self, name: str, wanted: Any, actual: Any) -> bool:
        return same_policy(wanted, actual or "")

    def write(self, wanted: Wanted, changed: Document, *, exists: bool) -> None:
        self.vault.request("post", self.path(wanted.name), json=dict(wanted.document))


def _as_it_is(document: Document) -> Document:
    return document


def _connection(document: Document) -> Document:
    """The server shows what it was given for a connection in a drawer of its own."""
    return {**document, **(document.get("connection_details") or {})}


@dataclass(frozen=True)
class RoleType:
    """One row of :data:`ROLE_TYPES`.

    ``path`` has the places ``mount`` and ``name``; ``keeps_secrets``: a write without them leaves them as they are.
    """

    mount: str
    path: str
    keeps_secrets: bool = False
    shown: Callable[[Document], Document] = _as_it_is


ROLE_TYPES: Mapping[str, RoleType] = {
    "approle": RoleType("approle", "auth/{mount}/role/{name}"),
    "cert": RoleType("cert", "auth/{mount}/certs/{name}"),
    "database": RoleType("database", "{mount}/roles/{name}"),
    "database_connection": RoleType("database", "{mount}/config/{name}", keeps_secrets=True, shown=_connection),
    "database_static": RoleType("database", "{mount}/static-roles/{name}"),
    "jwt": RoleType("jwt", "auth/{mount}/role/{name}"),
    "kubernetes": RoleType("kubernetes", "auth/{mount}/role/{name}"),
    "token": RoleType("token", "auth/{mount}/roles/{name}"),
    "userpass": RoleType("userpass", "auth/{mount}/users/{name}", keeps_secrets=True),
}


class Roles(NamedObjects):
    """Whom a way to log in lets in, and what a database engine hands out."""

    plural = "roles"

    def __init__(self, vault: Vault, type_name: str, mount: str | None, *, update_secrets: bool) -> None:
        super().__init__(vault)
        self.label = f"{type_name} role"
        self._type = ROLE_TYPES[type_name]
        self._mount = (mount or self._type.mount).strip("/")
        self._update_secrets = update_secrets

    def path(self, name: str) -> str:
        return self._type.path.format(mount=self._mount, name=name)

    def shown(self, document: Document) -> Document:
        return self._type.shown(document)

    def write(self, wanted: Wanted, changed: Document, *, exists: bool) -> None:
        kept = exists and self._type.keeps_secrets and not self._update_secrets
        body = {**wanted.document, **({} if kept else wanted.secrets)}
        self.vault.request("post", self.path(wanted.name), json=body)


class Engines(Kind):
    """Secrets engines, with their tuning (``tune.…``) and their own configuration (``config.…``)."""

    FIXED = ("type", "local", "seal_wrap")

    label = "secrets engine"
    plural = "mounts"
    table = "sys/mounts"  # where the server lists them
    prefix = ""  # before the path of one
    guarded = True  # what it holds is lost with it

    def read(self, wanted: Sequence[Wanted]) -> Found:
        mounts = {path.strip("/"): mount for path, mount in (self.vault.read(self.table) or {}).items()}
        found = map_concurrently(lambda one: self._read(one, mounts.get(one.name)), wanted, self.workers)
        return {one.name: document for one, document in zip(wanted, found, strict=True)}

    def _read(self, wanted: Wanted, mount: Document | None) -> Document | RefusedError | None:
        if mount is None:
            return None
        document = {name: mount.get(name) for name in (*self.FIXED, "description")}
        document.update({f"tune.{name}": value for name, value in (mount.get("config") or {}).items()})
        document.update({f"options.{name}": value for name, value in (mount.get("options") or {}).items()})
        if not any(name.startswith("config.") for name in (*wanted.document, *wanted.secrets)):
            return document
        try:
            config = self.vault.read(f"{self.prefix}{wanted.name}/config")
        except RefusedError as error:
            return error
        return {**document, **{f"config.{name}": value for name, value in (config or {}).items()}}

    def check(self, wanted: Wanted, actual: Document, changed: Document) -> None:
        fixed = [name for name in self.FIXED if name in changed]
        if fixed:
            raise RefusedError(
                f"{self.label} {wanted.name}/ at {self.vault.url} has {fixed[0]} {actual.get(fixed[0])!r}, and that "
                "cannot be changed.",
                hint="Use another path, or remove it first, with everything in it.",
            )
        if self.guarded and wanted.state == "absent" and not wanted.force:
            raise RefusedError(
                f"{self.label} {wanted.name}/ at {self.vault.url} is not removed: everything in it would be destroyed.",
                hint="Set force to say that this is meant.",
            )

    def write(self, wanted: Wanted, changed: Document, *, exists: bool) -> None:
        path = f"{self.table}/{wanted.name}"
        top = {name: value for name, value in changed.items() if "." not in name}
        tune, options = _section(changed, "tune"), _section(changed, "options")
        if not exists:
            self.vault.request("post", path, json={**top, "config": tune, "options": options})
        elif top or tune or options:
            body = {**top, **tune, **({"options": options} if options else {})}
            self.vault.request("post", f"{path}/tune", json=body)
        # As a whole: some forget what a write leaves out.
        config = {**_section(wanted.document, "config"), **_section(wanted.secrets, "config")}
        if config and (not exists or _section(changed, "config") or _section(wanted.secrets, "config")):
            self.vault.request("post", f"{self.prefix}{wanted.name}/config", json=config)

    def delete(self, name: str) -> None:
        self.vault.request("delete", f"{self.table}/{name}")


class AuthMethods(Engines):
    """Ways to log in: mounts of another table."""

    label = "auth method"
    plural = "auth_methods"
    table = "sys/auth"
    prefix = "auth/"
    guarded = False


def _section(document: Document, section: str) -> dict[str, Any]:
    start = f"{section}."
    return {name.removeprefix(start): value for name, value in document.items() if name.startswith(start)}


def sections(**parts: Document | None) -> dict[str, Any]:
    """Parameters of several sections in one document: ``tune={"a": 1}`` is ``{"tune.a": 1}``."""
    return {f"{section}.{name}": value for section, part in parts.items() for name, value in (part or {}).items()}


ENGINE: Mapping[str, Any] = {
    "path": {"type": "str"},
    "type": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "description": {"type": "str"},
    "local": {"type": "bool"},
    "seal_wrap": {"type": "bool"},
    "options": {"type": "dict", "default": {}},
    "tune": {"type": "dict", "default": {}},
    "config": {"type": "dict", "default": {}},
    # raw, not dict: of a dictionary written as text, Ansible would mask the text only, and print the parsed values
    "config_secrets": {"type": "raw", "no_log": True},
}


def wanted_engine(item: Mapping[str, Any]) -> Wanted:
    """One item of a list of :data:`ENGINE`. Raises :class:`InputError` that names the mount."""
    name = (item["path"] or item["type"]).strip("/")
    if item["state"] == "absent":
        return Wanted(name, "absent", force=item.get("force", False))
    top = {key: item[key] for key in ("type", "description", "local", "seal_wrap") if item[key] is not None}
    parts = sections(tune=item["tune"], options=item["options"], config=item["config"])
    return Wanted(name, document={**top, **parts}, secrets=sections(config=secret_dict(name, item["config_secrets"])))


def secret_dict(name: str, value: Any) -> Document:
    """A dictionary, or one written as text. Raises :class:`InputError` that does not quote it."""
    try:
        return check_type_dict(value) if value else {}
    except (TypeError, ValueError):
        raise InputError(f"The secrets of {name} must be a dictionary.") from None

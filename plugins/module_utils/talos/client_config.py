# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Talosconfigs: the credentials come from a control plane or are made from the secrets bundle, and kept until due."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Tree
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.talos import pki
from ansible_collections.dcm.platform.plugins.module_utils.talos.connection import Connector
from ansible_collections.dcm.platform.plugins.module_utils.talos.documents import Document
from ansible_collections.dcm.platform.plugins.module_utils.talos.kept import (
    OURS,
    Authority,
    Entry,
    KeptReconciler,
    Store,
    refuse_another_cluster,
    tree_of,
)
from ansible_collections.dcm.platform.plugins.module_utils.talos.node import Node

WHAT = "The talosconfig"
ROLES = ("os:admin", "os:operator", "os:reader", "os:etcd:backup", "os:image:verifier", "os:meta:writer")


@dataclass(frozen=True)
class ClientConfig:
    """What a context of a talosconfig is to be. ``roles`` are those of its certificate."""

    name: str
    roles: Sequence[str]
    endpoints: Sequence[str]
    nodes: Sequence[str]
    lifetime: datetime.timedelta

    def wanted(self) -> Tree:
        """What is compared with the context that is there."""
        return {
            "roles": sorted(self.roles),
            "endpoints": list(self.endpoints),
            "nodes": list(self.nodes),
            "authority": OURS,
        }

    def context(self, authorities: bytes, pair: pki.KeyPair) -> dict[str, Any]:
        """The context with these credentials."""
        return {
            "endpoints": list(self.endpoints),
            **({"nodes": list(self.nodes)} if self.nodes else {}),
            "ca": pki.to_base64(authorities),
            "crt": pki.to_base64(pair.certificate),
            "key": pki.to_base64(pair.key),
        }


Maker = Callable[[ClientConfig], dict[str, Any]]


def issued(ca: pki.KeyPair) -> Maker:
    """Makes contexts here, from the OS authority of the cluster."""
    return lambda config: config.context(ca.certificate, pki.client_certificate(ca, config.roles, config.lifetime))


def generated(node: Node, connector: Connector) -> Maker:
    """Has a control plane make the credentials."""

    def make(config: ClientConfig) -> dict[str, Any]:
        def ask() -> tuple[bytes, pki.KeyPair]:
            with connector.client(node) as client:
                return client.client_configuration(config.roles, int(config.lifetime.total_seconds()))

        authorities, pair = connector.patiently(f"{node.service} to answer", ask)
        pki.check_pair(pair, f"the client certificate from {node.name}")
        return config.context(authorities, pair)

    return make


def merge(base: Document, name: str, context: Mapping[str, Any]) -> Document:
    """``base`` with the context in it; what else the context has, and the current one, stay as they are."""
    contexts = dict(base.get("contexts") or {})
    kept = {key: value for key, value in (contexts.get(name) or {}).items() if key != "nodes"}
    contexts[name] = {**kept, **context}
    current = base.get("context")
    return {**base, "context": current if current in contexts else name, "contexts": contexts}


class ClientConfigReconciler(KeptReconciler):
    """Keeps a context of a talosconfig, in a file or only in the result."""

    noun = "talosconfig"

    def __init__(
        self,
        store: Store,
        renew_before: datetime.timedelta,
        config: ClientConfig,
        make: Maker,
        authority: Authority,
        *,
        overwrite: bool,
    ) -> None:
        """``overwrite``: a context of the same name may be that of another cluster."""
        super().__init__(store, renew_before)
        self._config = config
        self._make = make
        self._authority = authority
        self._overwrite = overwrite

    def wanted(self) -> Tree:
        return self._config.wanted()

    def _context(self, text: str) -> Any:
        contexts = tree_of(text, WHAT).get("contexts")
        return contexts.get(self._config.name) if isinstance(contexts, Mapping) else None

    def entry(self, text: str) -> Entry:
        context = self._context(text)
        if not isinstance(context, Mapping):
            raise InputError(f"{WHAT} has no context {self._config.name!r}.")
        pair = pki.KeyPair(*(pki.pem_of(context.get(part), part) for part in ("crt", "key")))
        pki.check_pair(pair, WHAT)
        facts = {
            "roles": pki.organizations(pair.certificate, WHAT),
            "endpoints": list(context.get("endpoints") or ()),
            "nodes": list(context.get("nodes") or ()),
            "authority": self._authority.judge(context.get("ca")),
        }
        return Entry(pki.expiry(pair.certificate, WHAT), facts)

    def check(self, tree: dict[str, Any], what: str) -> None:
        contexts = tree.get("contexts") or {}
        if not isinstance(contexts, Mapping) or not all(isinstance(one, Mapping) for one in contexts.values()):
            raise InputError(f"{what} is not a talosconfig: contexts is not a mapping of names to contexts.")

    def renewed(self, base: dict[str, Any]) -> dict[str, Any]:
        name, new = self._config.name, self._make(self._config)
        if self._store.path is not None and not self._overwrite:
            before = ((base.get("contexts") or {}).get(name) or {}).get("ca")
            refuse_another_cluster(f"Context {name!r} in {self._store.path}", before, new["ca"])
        return merge(base, name, new)

    def shown(self, text: str | None) -> dict[str, Any]:
        if text is None:
            return {"context": self._config.name, **dict.fromkeys(("roles", "endpoints", "nodes", "expires"))}
        entry = self.entry(text)
        shown = {key: entry.facts[key] for key in ("roles", "endpoints", "nodes")}
        return {"context": self._config.name, **shown, "expires": entry.expires.isoformat()}

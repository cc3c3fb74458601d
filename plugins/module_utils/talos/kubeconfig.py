# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Kubeconfigs: fetched from a control plane or made from the secrets bundle, and kept until they are due."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Tree
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError, RefusedError
from ansible_collections.dcm.platform.plugins.module_utils.talos import pki
from ansible_collections.dcm.platform.plugins.module_utils.talos.connection import Connector
from ansible_collections.dcm.platform.plugins.module_utils.talos.documents import Document, at
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

WHAT = "The kubeconfig"
ADMINISTRATORS = "system:masters"
SECTIONS = {"clusters": "cluster", "users": "user", "contexts": "context"}


@dataclass(frozen=True)
class Kubeconfig:
    """One context of a kubeconfig, which can be used."""

    context: str
    server: str
    groups: Sequence[str]
    authorities: str
    expires: datetime.datetime


def parse(text: str, context: str = "", what: str = WHAT) -> Kubeconfig:
    """The named context, else the current one.

    Raises :class:`InputError` if it has no server or no client certificate.
    """
    config = tree_of(text, what)
    try:
        name = context or config["current-context"]
        references = _named(config, "contexts", name)
        cluster = _named(config, "clusters", references["cluster"])
        certificate = pki.from_base64(
            _named(config, "users", references["user"])["client-certificate-data"], f"{what}'s certificate"
        )
        return Kubeconfig(
            name,
            cluster["server"],
            pki.organizations(certificate, what),
            cluster.get("certificate-authority-data") or "",
            pki.expiry(certificate, what),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{what} has no context {context} with a server and a client certificate.") from error


def _named(config: Mapping[str, Any], section: str, name: Any) -> Any:
    items = config.get(section) or ()
    return next((item[SECTIONS[section]] for item in items if item["name"] == name), {})


def merge(base: Document, new: Document) -> Document:
    """``base`` with the entries of ``new`` in it. Its current context stays, as long as there is such a context."""
    merged = {"apiVersion": "v1", "kind": "Config", **base}
    for section in SECTIONS:
        entries = {item["name"]: item for item in base.get(section) or ()}
        merged[section] = list({**entries, **{item["name"]: item for item in new[section]}}.values())
    if base.get("current-context") not in {item["name"] for item in merged["contexts"]}:
        merged["current-context"] = new["current-context"]
    return merged


@dataclass(frozen=True)
class Issue:
    """What a kubeconfig that is made here is for."""

    cluster_name: str
    endpoint: str
    user: str
    groups: Sequence[str]
    lifetime: datetime.timedelta

    def make(self, ca: pki.KeyPair) -> Document:
        """A new kubeconfig, with a certificate that the Kubernetes authority of the cluster signs."""
        pair = pki.kubernetes_client_certificate(ca, self.user, self.groups, self.lifetime)
        name = context_name(self.cluster_name, self.user)
        cluster = {"server": self.endpoint, "certificate-authority-data": pki.to_base64(ca.certificate)}
        credentials = {
            "client-certificate-data": pki.to_base64(pair.certificate),
            "client-key-data": pki.to_base64(pair.key),
        }
        context = {"cluster": self.cluster_name, "namespace": "default", "user": name}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": self.cluster_name, "cluster": cluster}],
            "users": [{"name": name, "user": credentials}],
            "contexts": [{"name": name, "context": context}],
            "current-context": name,
        }


def context_name(cluster_name: str, user: str) -> str:
    """What Talos calls a context and its user."""
    return f"{user}@{cluster_name}"


@dataclass(frozen=True)
class Source:
    """Where a new kubeconfig comes from, and what is known of it before. ``context`` is empty if nothing is."""

    make: Callable[[], Document]
    context: str
    wanted: Tree
    authority: Authority | None


def fetched(node: Node, connector: Connector, cluster_name: str, authority: Authority | None) -> Source:
    """From a control plane, for administrators and for as long as its configuration says."""

    def fetch() -> str:
        with connector.client(node) as client:
            return client.kubeconfig()

    def make() -> Document:
        what = f"The kubeconfig of {node.name}"
        text = connector.patiently(f"{node.service} to answer", fetch)
        found = parse(text, context, what)
        return {**tree_of(text, what), "current-context": found.context}

    context = context_name(cluster_name, "admin") if cluster_name else ""
    return Source(make, context, {"authority": OURS} if authority else {}, authority)


def issued(issue: Issue, ca: pki.KeyPair) -> Source:
    """Made here, from the Kubernetes authority of the cluster."""
    wanted = {"server": issue.endpoint, "groups": sorted(issue.groups), "authority": OURS}
    context = context_name(issue.cluster_name, issue.user)
    return Source(lambda: issue.make(ca), context, wanted, Authority(ca.certificate))


class KubeconfigReconciler(KeptReconciler):
    """Keeps a kubeconfig, in a file or only in the result."""

    noun = "kubeconfig"

    def __init__(self, store: Store, renew_before: datetime.timedelta, source: Source, *, overwrite: bool) -> None:
        """``overwrite``: entries of the same names may be those of another cluster."""
        super().__init__(store, renew_before)
        self._source = source
        self._overwrite = overwrite

    def wanted(self) -> Tree:
        return self._source.wanted

    def entry(self, text: str) -> Entry:
        known = bool(self._source.context)
        if not known and len(tree_of(text, WHAT).get("contexts") or ()) > 1:
            raise self._unclear("has several contexts, and it is not known which is this cluster's")
        found = parse(text, self._source.context)
        facts: dict[str, Any] = {"server": found.server, "groups": found.groups}
        if self._source.authority is not None:
            facts["authority"] = self._source.authority.judge(found.authorities)
            if not known and self._store.path is not None and facts["authority"] != OURS:
                raise self._unclear("is of another cluster")
        return Entry(found.expires, facts)

    def _unclear(self, reason: str) -> RefusedError:
        return RefusedError(f"{self._store.path or WHAT} {reason}.", hint="Set cluster_name. Nothing was changed.")

    def check(self, tree: dict[str, Any], what: str) -> None:
        for section, name in SECTIONS.items():
            items = tree.get(section) or []
            if not isinstance(items, list) or not all(isinstance(at(item, name), Mapping) for item in items):
                raise InputError(f"{what} is not a kubeconfig: {section} is not a list of {section} with names.")

    def renewed(self, base: dict[str, Any]) -> dict[str, Any]:
        new = self._source.make()
        if self._store.path is None and not self._source.context:
            base = {}  # the caller's own text is of this cluster only, whatever its name was before
        if self._store.path is not None and not self._overwrite:
            (cluster,) = new["clusters"]
            authority = "certificate-authority-data"
            before = _named(base, "clusters", cluster["name"]).get(authority)
            refuse_another_cluster(
                f"Cluster {cluster['name']!r} in {self._store.path}", before, cluster["cluster"].get(authority)
            )
        return merge(base, new)

    def shown(self, text: str | None) -> dict[str, Any]:
        if text is None:
            return dict.fromkeys(("server", "context", "groups", "expires"))
        found = parse(text, self._source.context)
        return {
            "server": found.server,
            "context": found.context,
            "groups": list(found.groups),
            "expires": found.expires.isoformat(),
        }

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The secrets bundle of a cluster that exists already, from the configuration of one of its control planes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.talos.documents import Document, at, by_identity, load
from ansible_collections.dcm.platform.plugins.module_utils.talos.inputs import CONTROL_PLANE
from ansible_collections.dcm.platform.plugins.module_utils.talos.pki import to_base64
from ansible_collections.dcm.platform.plugins.module_utils.talos.secrets import Bundle, parse

WHAT = "The bundle in the machine configuration"
PROVIDERS = ("secretbox", "aescbc")


def bundle_of(config: str) -> Bundle:
    """The bundle that a control plane's configuration of any contract was rendered from.

    Raises :class:`InputError` for a worker's, which has no keys, and for one that lacks a part.
    """
    documents = {key.kind: document for key, document in by_identity(load(config)).items()}
    legacy = documents.get("", {})
    if at(legacy, "machine.type") != CONTROL_PLANE:
        raise InputError(
            "The machine configuration is not of a control plane.", hint="Only those hold the keys of the cluster."
        )
    return parse(_without_gaps(_tree(legacy, documents)), WHAT)


def _tree(legacy: Document, documents: Mapping[str, Document]) -> dict[str, Any]:
    def found(kind: str, path: str, old_path: str) -> Any:
        """A value of contract 1.14, else of those before."""
        value = at(documents.get(kind), path)
        return at(legacy, old_path) if value is None else value

    return {
        "cluster": {
            "id": found("DiscoveryIdentityConfig", "clusterID", "cluster.id"),
            "secret": found("DiscoveryIdentityConfig", "clusterSecret", "cluster.secret"),
        },
        "secrets": {"bootstraptoken": at(legacy, "cluster.token"), **_encryption(legacy, documents)},
        "trustdinfo": {"token": at(legacy, "machine.token")},
        "certs": {
            "etcd": at(legacy, "cluster.etcd.ca"),
            "k8s": _issuer(documents, "KubeAPIServerCAConfig") or at(legacy, "cluster.ca"),
            "k8saggregator": _issuer(documents, "KubeAggregatorCAConfig") or at(legacy, "cluster.aggregatorCA"),
            "k8sserviceaccount": {"key": _service_account(legacy, documents)},
            "os": at(legacy, "machine.ca"),
        },
    }


def _issuer(documents: Mapping[str, Document], kind: str) -> dict[str, str] | None:
    """The documents of contract 1.14 hold PEM as it is; a bundle holds the base64 of it."""
    issuer = at(documents.get(kind), "issuingCA")
    if not isinstance(issuer, Mapping):
        return None
    return {"crt": _encoded(issuer.get("cert")), "key": _encoded(issuer.get("key"))}


def _service_account(legacy: Document, documents: Mapping[str, Document]) -> Any:
    key = at(documents.get("KubeServiceAccountConfig"), "issuer.privateKey")
    return _encoded(key) if key else at(legacy, "cluster.serviceAccount.key")


def _encoded(text: Any) -> str:
    return to_base64(text.encode()) if isinstance(text, str) else ""


def _encryption(legacy: Document, documents: Mapping[str, Document]) -> dict[str, Any]:
    resources = at(documents.get("KubeEtcdEncryptionConfig"), "config.resources")
    if isinstance(resources, list):
        return dict(_first_keys(resources))
    names = {provider: at(legacy, f"cluster.{provider}EncryptionSecret") for provider in PROVIDERS}
    return {f"{provider}encryptionsecret": secret for provider, secret in names.items() if secret}


def _first_keys(resources: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """The first key of the first provider we know that encrypts secrets."""
    for resource in resources:
        if "secrets" not in (at(resource, "resources") or ()):
            continue
        for entry in at(resource, "providers") or ():
            for provider in PROVIDERS:
                keys = at(entry, f"{provider}.keys")
                if keys:
                    yield f"{provider}encryptionsecret", at(keys[0], "secret")
                    return


def _without_gaps(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Without what the configuration does not have, so that it is reported as missing."""
    return {
        key: _without_gaps(value) if isinstance(value, Mapping) else value
        for key, value in tree.items()
        if value is not None
    }

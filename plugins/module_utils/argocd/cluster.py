# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Credentials of a cluster in the form of Argo CD's cluster Secrets."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Mapping
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError

with contextlib.suppress(ImportError):  # Ansible brings it
    import yaml

_FILES = {"caData": "ca_certificate", "certData": "client_certificate", "keyData": "client_key"}
_INLINE = {"caData": "certificate-authority-data", "certData": "client-certificate-data", "keyData": "client-key-data"}


def cluster_access(stored: Mapping[str, str], name: str) -> dict[str, Any]:
    """``server`` (empty if it is not told) and ``config`` of the cluster's Secret.

    ``stored`` has ``kubeconfig``; or ``token``, or ``client_certificate`` and ``client_key``, with ``ca_certificate``,
    all as text; nothing stands for Argo CD's own service account. Raises :class:`InputError` for a kubeconfig that
    cannot be used, without a word of what is in it.
    """
    if "kubeconfig" in stored:
        server, token, tls = _from_kubeconfig(stored["kubeconfig"], name)
    else:
        encoded = {key: base64.b64encode(stored.get(field, "").encode()).decode() for key, field in _FILES.items()}
        server, token, tls = "", stored.get("token", ""), encoded
    config: dict[str, Any] = {"bearerToken": token} if token else {}
    config["tlsClientConfig"] = {"insecure": False, **{key: value for key, value in tls.items() if value}}
    return {"server": server, "config": config}


def _from_kubeconfig(text: str, name: str) -> tuple[str, str, dict[str, str]]:
    """Of its current context. What a program or file of the controller would bring, Argo CD could not get."""
    try:
        content = yaml.safe_load(text)
        context = _named(content["contexts"], content["current-context"])["context"]
        cluster = _named(content["clusters"], context["cluster"])["cluster"]
        user = _named(content["users"], context["user"])["user"]
        token, tls = user.get("token", ""), {key: {**cluster, **user}.get(part, "") for key, part in _INLINE.items()}
        server = cluster["server"]
    except (yaml.YAMLError, LookupError, TypeError, ValueError, AttributeError, StopIteration):
        # the parser's own words may quote a line with a key
        raise InputError(
            f"The kubeconfig of the cluster {name} cannot be used: it is not one, or is incomplete."
        ) from None
    if not (token or (tls["certData"] and tls["keyData"])):
        raise InputError(
            f"The kubeconfig of the cluster {name} has neither a token nor a certificate with its key in it.",
            hint="What it names instead is not there where Argo CD runs: store one with the credentials in it.",
        )
    return server, token, tls


def _named(items: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(item for item in items if item["name"] == name)

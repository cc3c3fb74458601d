# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a module proves who it is to the Talos API, and whom it trusts."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.talos import pki
from ansible_collections.dcm.platform.plugins.module_utils.talos.documents import load
from ansible_collections.dcm.platform.plugins.module_utils.talos.secrets import parse


@dataclass(frozen=True)
class Credentials:
    """``authorities``: PEM of every CA that may have signed a node's certificate, several while it is rotated."""

    authorities: bytes
    client: pki.KeyPair

    def __post_init__(self) -> None:
        pki.load_certificates(self.authorities, "ca")
        pki.check_pair(self.client, "the client certificate")
        ends = pki.expiry(self.client.certificate, "the client certificate")
        if ends <= datetime.datetime.now(datetime.UTC):
            raise InputError(
                f"The client certificate for the Talos API expired on {ends:%Y-%m-%d %H:%M} UTC.",
                hint="Make a new talosconfig, or give the secrets bundle instead.",
            )

    def trusts(self, certificate: bytes) -> bool:
        """Whether one of our authorities is this certificate (PEM)."""
        known = set(pki.load_certificates(self.authorities, "ca"))
        return not known.isdisjoint(pki.load_certificates(certificate, "machine.ca.crt"))


def credentials(options: Mapping[str, Any]) -> Credentials:
    """From a module's options: the secrets bundle, else ca, crt and key, else a talosconfig.

    Raises :class:`InputError` if they cannot be used.
    """
    if options["secrets"] is not None:
        authority = parse(options["secrets"]).authority("os")
        return Credentials(authority.certificate, pki.client_certificate(authority))
    if options["key"] is not None:
        return Credentials(_pem(options, "ca"), pki.KeyPair(_pem(options, "crt"), _pem(options, "key")))
    return _from_talosconfig(options["talosconfig"], options["context"])


def _pem(values: Mapping[str, Any], key: str) -> bytes:
    return pki.pem_of(values.get(key), key)


def _from_talosconfig(value: Any, name: str | None) -> Credentials:
    documents = [value] if isinstance(value, Mapping) else load(_content(str(value)), "The talosconfig")
    contexts = documents[0].get("contexts") if documents else None
    if not isinstance(contexts, Mapping) or not contexts:
        raise InputError("The talosconfig has no contexts.")
    name = name or documents[0].get("context")
    if name not in contexts:
        raise InputError(f"The talosconfig has no context {name!r}; it has {', '.join(map(repr, contexts))}.")
    try:
        context = contexts[name]
        return Credentials(_pem(context, "ca"), pki.KeyPair(_pem(context, "crt"), _pem(context, "key")))
    except InputError as error:
        raise InputError(f"Context {name!r} of the talosconfig: {error.message}", hint=error.hint) from error


def _content(value: str) -> str:
    """A talosconfig is given as its text, which has several lines, or as the path of a file."""
    if "\n" in value or value.lstrip().startswith("{"):
        return value
    try:
        return Path(value).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise InputError(f"The talosconfig cannot be read: {reason}.") from None

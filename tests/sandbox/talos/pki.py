# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Certificates as Talos makes them, and the TLS settings of a machine's API."""

from __future__ import annotations

import base64
import datetime
import hashlib
import ssl
from collections.abc import Iterable, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.sandbox.certificates import TALOS_KEY_LABEL, Authority, Identity, issue, load_key, new_authority
from tests.sandbox.service import write_private

__all__ = [
    "ADMIN_LIFETIME",
    "TALOS_KEY_LABEL",
    "Authority",
    "Identity",
    "fingerprint",
    "is_client_certificate",
    "issue_client",
    "issue_server",
    "load_key",
    "new_authority",
    "server_context",
]

SERVER_LIFETIME = datetime.timedelta(hours=24)
ADMIN_LIFETIME = datetime.timedelta(hours=8760)


def issue_server(
    authority: Authority, hostname: str, names: Iterable[str], lifetime: datetime.timedelta = SERVER_LIFETIME
) -> Identity:
    """``names``: every address and DNS name of the machine."""
    usages = [ExtendedKeyUsageOID.SERVER_AUTH]
    return issue(authority, usages, lifetime, common_name=hostname, names=[hostname, *names])


def issue_client(
    authority: Authority, organizations: Sequence[str], lifetime: datetime.timedelta, common_name: str = ""
) -> Identity:
    """The organizations are the roles, for Talos and for Kubernetes alike."""
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
    return issue(authority, usages, lifetime, common_name=common_name, organizations=organizations)


def fingerprint(certificate: str) -> str:
    """What a machine in maintenance shows on its console: base64 of the SHA-256 of the public key."""
    public_key = x509.load_pem_x509_certificate(certificate.encode()).public_key()
    der = public_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(der).digest()).decode()


def is_client_certificate(certificate: bytes) -> bool:
    """Talos takes only certificates (DER) that are for clients and for nothing else."""
    extensions = x509.load_der_x509_certificate(certificate).extensions
    try:
        usage = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def server_context(identity: Identity, client_authorities: Sequence[str], keyfile: Path) -> ssl.SSLContext:
    """TLS 1.3 with HTTP/2; without client authorities (PEM) nobody is asked for a certificate.

    ``keyfile`` is written: OpenSSL reads keys from files only.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["h2"])
    write_private(keyfile, identity.certificate + identity.key.replace(TALOS_KEY_LABEL, "PRIVATE KEY"))
    context.load_cert_chain(keyfile)
    if client_authorities:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata="\n".join(client_authorities))
    return context

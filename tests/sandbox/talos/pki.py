# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Certificates as Talos makes them, and the TLS settings of a machine's API."""

from __future__ import annotations

import base64
import datetime
import hashlib
import ipaddress
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.sandbox.service import write_private

TALOS_KEY_LABEL = "ED25519 PRIVATE KEY"
SERVER_LIFETIME = datetime.timedelta(hours=24)
ADMIN_LIFETIME = datetime.timedelta(hours=8760)


@dataclass(frozen=True)
class Authority:
    """A certificate authority as machine configurations carry it; ``key`` is empty where only the certificate is known.

    Both are PEM.
    """

    certificate: str
    key: str = ""

    @property
    def public(self) -> Authority:
        return Authority(self.certificate)


@dataclass(frozen=True)
class Identity:
    """A certificate and its key, PEM; keys of type Ed25519 under the label that Talos gives them."""

    certificate: str
    key: str


def load_key(pem: str) -> CertificateIssuerPrivateKeyTypes:
    """Raises ``ValueError`` if it is not a private key. OpenSSL does not know Talos's label for Ed25519 keys."""
    pem = pem.replace(TALOS_KEY_LABEL, "PRIVATE KEY")
    return serialization.load_pem_private_key(pem.encode(), password=None)  # type: ignore[return-value]


def key_pem(key: CertificateIssuerPrivateKeyTypes) -> str:
    """EC keys as SEC1, Ed25519 keys as PKCS#8 under Talos's own label."""
    is_edwards = isinstance(key, ed25519.Ed25519PrivateKey)
    kind = serialization.PrivateFormat.PKCS8 if is_edwards else serialization.PrivateFormat.TraditionalOpenSSL
    pem = key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption()).decode()
    return pem.replace("PRIVATE KEY", TALOS_KEY_LABEL) if is_edwards else pem


def new_authority(organization: str) -> Authority:
    """A self-signed Ed25519 authority, as for the API of Talos."""
    key = ed25519.Ed25519PrivateKey.generate()
    builder = _builder(_name(organizations=[organization]), key, datetime.timedelta(hours=87600))
    builder = _with_usage(builder, [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH], signs=True)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    builder = builder.issuer_name(_name(organizations=[organization]))
    return Authority(_pem(builder.sign(key, None)), key_pem(key))


def issue_server(authority: Authority, hostname: str, names: Iterable[str]) -> Identity:
    """``names``: every address and DNS name of the machine."""
    alternatives: list[x509.GeneralName] = [x509.DNSName(hostname)]
    for name in names:
        try:
            alternatives.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            alternatives.append(x509.DNSName(name))
    subject = _name(common_name=hostname)
    return _issue(
        authority,
        subject,
        [ExtendedKeyUsageOID.SERVER_AUTH],
        SERVER_LIFETIME,
        x509.SubjectAlternativeName(alternatives),
    )


def issue_client(
    authority: Authority, organizations: Sequence[str], lifetime: datetime.timedelta, common_name: str = ""
) -> Identity:
    """The organizations are the roles, for Talos and for Kubernetes alike."""
    subject = _name(common_name, sorted(organizations))
    return _issue(authority, subject, [ExtendedKeyUsageOID.CLIENT_AUTH], lifetime)


def _issue(
    authority: Authority,
    subject: x509.Name,
    usages: list[x509.ObjectIdentifier],
    lifetime: datetime.timedelta,
    *extensions: x509.ExtensionType,
) -> Identity:
    signer = load_key(authority.key)
    issuer = x509.load_pem_x509_certificate(authority.certificate.encode())
    is_edwards = isinstance(signer, ed25519.Ed25519PrivateKey)
    key = ed25519.Ed25519PrivateKey.generate() if is_edwards else ec.generate_private_key(ec.SECP256R1())
    builder = _with_usage(_builder(subject, key, lifetime), usages, signs=False).issuer_name(issuer.subject)
    for extension in (_reference_to(issuer), *extensions):
        builder = builder.add_extension(extension, critical=False)
    return Identity(_pem(builder.sign(signer, None if is_edwards else hashes.SHA256())), key_pem(key))


def _reference_to(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key())  # type: ignore[arg-type]
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _builder(
    subject: x509.Name, key: CertificateIssuerPrivateKeyTypes, lifetime: datetime.timedelta
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + lifetime)
    )


def _with_usage(
    builder: x509.CertificateBuilder, usages: list[x509.ObjectIdentifier], *, signs: bool
) -> x509.CertificateBuilder:
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    return builder.add_extension(usage, critical=True).add_extension(x509.ExtendedKeyUsage(usages), critical=False)


def _name(common_name: str = "", organizations: Iterable[str] = ()) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, name) for name in organizations]
    if common_name:
        attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, common_name))
    return x509.Name(attributes)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


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

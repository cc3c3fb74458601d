# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Certificates of the lab: authorities, and what they issue for servers and clients."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

TALOS_KEY_LABEL = "ED25519 PRIVATE KEY"


@dataclass(frozen=True)
class Authority:
    """A certificate authority; ``key`` is empty where only the certificate is known.

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


def new_authority(organization: str, key: CertificateIssuerPrivateKeyTypes | None = None) -> Authority:
    """A self-signed authority; Ed25519, as for the API of Talos, if no key is given."""
    key = key or ed25519.Ed25519PrivateKey.generate()
    builder = _builder(_name(organizations=[organization]), key, datetime.timedelta(hours=87600))
    builder = _with_usage(builder, [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH], signs=True)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    builder = builder.issuer_name(_name(organizations=[organization]))
    return Authority(_pem(builder.sign(key, _digest(key))), key_pem(key))


def issue(
    authority: Authority,
    usages: list[x509.ObjectIdentifier],
    lifetime: datetime.timedelta,
    *,
    common_name: str = "",
    organizations: Sequence[str] = (),
    names: Sequence[str] = (),
) -> Identity:
    """A certificate with a new key of the authority's kind. ``names``: addresses and DNS names that it is for."""
    signer = load_key(authority.key)
    issuer = x509.load_pem_x509_certificate(authority.certificate.encode())
    is_edwards = isinstance(signer, ed25519.Ed25519PrivateKey)
    key = ed25519.Ed25519PrivateKey.generate() if is_edwards else new_key()
    builder = _with_usage(_builder(_name(common_name, sorted(organizations)), key, lifetime), usages, signs=False)
    builder = builder.issuer_name(issuer.subject).add_extension(_reference_to(issuer), critical=False)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([_alternative(name) for name in names]), False)
    return Identity(_pem(builder.sign(signer, _digest(signer))), key_pem(key))


def new_key() -> ec.EllipticCurvePrivateKey:
    """ECDSA P-256, as Kubernetes has them."""
    return ec.generate_private_key(ec.SECP256R1())


def _digest(key: CertificateIssuerPrivateKeyTypes) -> hashes.SHA256 | None:
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


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

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keys and certificates exactly as Talos makes them."""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
except ImportError:  # the engine reports a missing library with its package
    x509 = None  # type: ignore[assignment]

CA_LIFETIME = datetime.timedelta(hours=87600)
ADMIN_ROLE = "os:admin"
SESSION_LIFETIME = datetime.timedelta(hours=1)
CLOCK_SKEW = datetime.timedelta(minutes=10)  # how far a node's clock may be behind ours

# Talos writes Ed25519 keys as PKCS#8 under a label of its own, which no library but its own reads.
_TALOS_LABEL, _STANDARD_LABEL = b"ED25519 PRIVATE KEY", b"PRIVATE KEY"


@dataclass(frozen=True)
class KeyPair:
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes = field(repr=False)


def ed25519_key() -> Any:
    """A new key of the kind that the Talos API uses."""
    return ed25519.Ed25519PrivateKey.generate()


def p256_key() -> Any:
    """A new key of the kind that etcd and Kubernetes use."""
    return ec.generate_private_key(ec.SECP256R1())


def rsa_key() -> Any:
    """A new key of the kind that signs service account tokens."""
    return rsa.generate_private_key(public_exponent=65537, key_size=4096)


def key_to_pem(key: Any) -> bytes:
    """The PEM that Talos writes: SEC 1 for elliptic curves, PKCS#1 for RSA, its own label for Ed25519."""
    own_label = isinstance(key, ed25519.Ed25519PrivateKey)
    formats = serialization.PrivateFormat
    pem: bytes = key.private_bytes(
        serialization.Encoding.PEM,
        formats.PKCS8 if own_label else formats.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    return pem.replace(_STANDARD_LABEL, _TALOS_LABEL) if own_label else pem


def load_key(pem: bytes, what: str) -> Any:
    """The private key of a PEM with any label that Talos accepts. Raises :class:`InputError` that names ``what``."""
    try:
        standard = pem.replace(_TALOS_LABEL, _STANDARD_LABEL)
        # The primes of an RSA key are not tested again each time, which would take longer than all the rest.
        return serialization.load_pem_private_key(standard, None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError):
        raise InputError(f"{what} is not a private key in PEM.") from None


def load_certificates(pem: bytes, what: str) -> Sequence[Any]:
    """All certificates of a PEM text, at least one. Raises :class:`InputError` that names ``what``."""
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise InputError(f"{what} is not a certificate in PEM.") from None


def check_pair(pair: KeyPair, what: str) -> None:
    """Raise :class:`InputError` unless the key belongs to the (first) certificate."""
    certificate = load_certificates(pair.certificate, f"the certificate of {what}")[0]
    if certificate.public_key() != load_key(pair.key, f"the key of {what}").public_key():
        raise InputError(f"the key of {what} does not belong to its certificate.")


def expiry(pem: bytes, what: str) -> datetime.datetime:
    """When the first certificate of a PEM text ends, in UTC."""
    ends: datetime.datetime = load_certificates(pem, what)[0].not_valid_after_utc
    return ends


def organizations(pem: bytes, what: str) -> list[str]:
    """The organizations of the first certificate's subject, sorted: roles for Talos, groups for Kubernetes."""
    subject = load_certificates(pem, what)[0].subject
    return sorted(str(name.value) for name in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME))


def common_name(pem: bytes, what: str) -> str:
    """The common name of the first certificate's subject, empty if it has none."""
    names = load_certificates(pem, what)[0].subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def from_base64(text: str, what: str) -> bytes:
    """The PEM of a value that Talos keeps as base64 of it."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InputError(f"{what} is not base64.") from None


def pem_of(text: Any, what: str) -> bytes:
    """A PEM from its text, or from the base64 of it as Talos keeps it."""
    if not isinstance(text, str) or not text:
        raise InputError(f"{what} is missing.")
    return text.encode() if "-----BEGIN" in text else from_base64("".join(text.split()), what)


def to_base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def fingerprint(certificate_der: bytes) -> str:
    """What a node in maintenance mode shows on its console: base64 of the SHA-256 of the public key's DER."""
    public_key = x509.load_der_x509_certificate(certificate_der).public_key()
    encoded = public_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return to_base64(hashlib.sha256(encoded).digest())


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)


def _serial_number() -> int:
    return secrets.randbits(128) or 1


def _sign(builder: Any, key: Any) -> bytes:
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    pem: bytes = builder.sign(key, algorithm).public_bytes(serialization.Encoding.PEM)
    return pem


def _key_usage(*, signs_certificates: bool) -> Any:
    unused = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    return x509.KeyUsage(digital_signature=True, key_cert_sign=signs_certificates, **unused)


def _organizations(names: Sequence[str]) -> list[Any]:
    return [x509.NameAttribute(NameOID.ORGANIZATION_NAME, name) for name in names]


def authority(key: Any, organization: str | None) -> KeyPair:
    """A self-signed certificate authority for ten years; ``organization`` None leaves the subject empty."""
    name, start = x509.Name(_organizations([organization] if organization else [])), _now()
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + CA_LIFETIME)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return KeyPair(_sign(builder, key), key_to_pem(key))


def client_certificate(
    ca: KeyPair, roles: Sequence[str] = (ADMIN_ROLE,), lifetime: datetime.timedelta = SESSION_LIFETIME
) -> KeyPair:
    """A certificate for the Talos API, signed by the OS authority; each role is an organization of the subject."""
    return _client(ca, ed25519_key(), _organizations(sorted(roles)), lifetime)


def kubernetes_client_certificate(
    ca: KeyPair, user: str, groups: Sequence[str], lifetime: datetime.timedelta
) -> KeyPair:
    """A certificate for the Kubernetes API, signed by the Kubernetes authority."""
    subject = [*_organizations(sorted(groups)), x509.NameAttribute(NameOID.COMMON_NAME, user)]
    return _client(ca, p256_key(), subject, lifetime)


def _client(ca: KeyPair, key: Any, subject: list[Any], lifetime: datetime.timedelta) -> KeyPair:
    issuer, start = load_certificates(ca.certificate, "the authority")[0], _now()
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(subject))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(_serial_number())
        .not_valid_before(start - CLOCK_SKEW)
        .not_valid_after(start + lifetime)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(_authority_identifier(issuer), critical=False)
    )
    return KeyPair(_sign(builder, load_key(ca.key, "the key of the authority")), key_to_pem(key))


def _authority_identifier(issuer: Any) -> Any:
    """That of the authority itself; one that was made elsewhere may have none."""
    try:
        own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key())
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)

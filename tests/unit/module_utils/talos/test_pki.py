# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keys and certificates, read back with the program ``openssl``."""

from __future__ import annotations

import datetime
import re
import subprocess
from pathlib import Path

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.talos import pki
from ansible_collections.dcm.platform.plugins.module_utils.talos.secrets import Bundle
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding


def openssl(*arguments: str, data: bytes = b"") -> str:
    completed = subprocess.run(["openssl", *arguments], input=data, capture_output=True, check=True)
    return completed.stdout.decode() + completed.stderr.decode()


def text_of(certificate: bytes) -> str:
    return openssl("x509", "-noout", "-text", "-nameopt", "RFC2253", data=certificate)


MINUTE = datetime.timedelta(minutes=1)
AUTHORITIES = [
    # name, subject, algorithm of the key, signature
    ("os", "O=talos", "ED25519", "ED25519"),
    ("etcd", "O=etcd", "id-ecPublicKey", "ecdsa-with-SHA256"),
    ("k8s", "O=kubernetes", "id-ecPublicKey", "ecdsa-with-SHA256"),
    ("k8saggregator", "", "id-ecPublicKey", "ecdsa-with-SHA256"),
]


@pytest.mark.row("TAL-09")
@pytest.mark.parametrize(("name", "subject", "key", "signature"), AUTHORITIES)
def test_authorities_are_exactly_those_of_talos(
    bundle: Bundle, name: str, subject: str, key: str, signature: str
) -> None:
    text = text_of(bundle.authority(name).certificate)
    lines = [line.strip() for line in text.splitlines()]
    assert f"Subject: {subject}".strip() in lines
    assert f"Issuer: {subject}".strip() in lines
    assert f"Public Key Algorithm: {key}" in lines
    assert f"Signature Algorithm: {signature}" in lines
    assert ("NIST CURVE: P-256" in lines) == (key == "id-ecPublicKey")
    extensions = text.split("X509v3 extensions:")[1].split("Signature Algorithm")[0]
    assert [line.strip() for line in extensions.splitlines() if "X509v3" in line] == [
        "X509v3 Key Usage: critical",
        "X509v3 Extended Key Usage:",
        "X509v3 Basic Constraints: critical",
        "X509v3 Subject Key Identifier:",
    ]
    assert "Digital Signature, Certificate Sign\n" in extensions
    assert "TLS Web Server Authentication, TLS Web Client Authentication\n" in extensions
    assert "CA:TRUE\n" in extensions
    assert re.search(r"([0-9A-F]{2}:){19}[0-9A-F]{2}\n", extensions)


@pytest.mark.parametrize("name", [authority[0] for authority in AUTHORITIES])
def test_authorities_live_for_ten_years(bundle: Bundle, tmp_path: Path, name: str) -> None:
    certificate = x509.load_pem_x509_certificate(bundle.authority(name).certificate)
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc == datetime.timedelta(hours=87600)
    assert abs(certificate.not_valid_before_utc - datetime.datetime.now(datetime.UTC)) < datetime.timedelta(hours=1)
    assert 64 < certificate.serial_number.bit_length() <= 128
    (tmp_path / "ca.pem").write_bytes(bundle.authority(name).certificate)
    assert "OK" in openssl("verify", "-CAfile", str(tmp_path / "ca.pem"), str(tmp_path / "ca.pem"))


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("os", "ED25519 PRIVATE KEY"),
        ("etcd", "EC PRIVATE KEY"),
        ("k8s", "EC PRIVATE KEY"),
        ("k8saggregator", "EC PRIVATE KEY"),
        ("k8sserviceaccount", "RSA PRIVATE KEY"),
    ],
)
def test_keys_have_the_labels_of_talos(bundle: Bundle, name: str, label: str) -> None:
    pem = pki.from_base64(bundle.certs[name]["key"], name)
    assert pem.startswith(f"-----BEGIN {label}-----\n".encode())
    assert pem.endswith(f"-----END {label}-----\n".encode())
    standard = pem.replace(b"ED25519 PRIVATE KEY", b"PRIVATE KEY")
    assert ("4096 bit" in openssl("pkey", "-noout", "-text", data=standard)) == (label == "RSA PRIVATE KEY")


def test_openssl_does_not_read_the_label_of_talos(bundle: Bundle) -> None:
    """If this fails, the relabelling can go."""
    with pytest.raises(subprocess.CalledProcessError):
        openssl("pkey", "-noout", data=bundle.authority("os").key)


def test_client_certificates_are_those_of_talosctl(bundle: Bundle, tmp_path: Path) -> None:
    authority = bundle.authority("os")
    pair = pki.client_certificate(authority, ("os:reader", "os:admin"))
    text = text_of(pair.certificate)
    lines = [line.strip() for line in text.splitlines()]
    assert "Subject: O=os:reader,O=os:admin" in lines  # RFC 2253 prints them backwards: they are sorted
    assert "Issuer: O=talos" in lines
    extensions = text.split("X509v3 extensions:")[1].split("Signature Algorithm")[0]
    assert [line.strip() for line in extensions.splitlines() if line.strip()][:5] == [
        "X509v3 Key Usage: critical",
        "Digital Signature",
        "X509v3 Extended Key Usage:",
        "TLS Web Client Authentication",
        "X509v3 Authority Key Identifier:",
    ]
    identifier = text_of(authority.certificate).split("Subject Key Identifier:")[1].split()[0]
    assert identifier in extensions.split("Authority Key Identifier:")[1]
    for name, content in (("ca.pem", authority.certificate), ("client.pem", pair.certificate)):
        (tmp_path / name).write_bytes(content)
    verified = ("verify", "-x509_strict", "-purpose", "sslclient", "-CAfile")
    assert "OK" in openssl(*verified, str(tmp_path / "ca.pem"), str(tmp_path / "client.pem"))


def test_kubernetes_certificates_are_those_of_talos(bundle: Bundle, tmp_path: Path) -> None:
    authority = bundle.authority("k8s")
    year = datetime.timedelta(hours=8760)
    pair = pki.kubernetes_client_certificate(authority, "admin", ["system:masters"], year)
    lines = [line.strip() for line in text_of(pair.certificate).splitlines()]
    assert "Subject: CN=admin,O=system:masters" in lines
    assert "Issuer: O=kubernetes" in lines
    assert "NIST CURVE: P-256" in lines
    assert "Signature Algorithm: ecdsa-with-SHA256" in lines
    assert "TLS Web Client Authentication" in lines
    assert pair.key.startswith(b"-----BEGIN EC PRIVATE KEY-----\n")
    assert abs(pki.expiry(pair.certificate, "x") - datetime.datetime.now(datetime.UTC) - year) < 5 * MINUTE
    for name, content in (("ca.pem", authority.certificate), ("client.pem", pair.certificate)):
        (tmp_path / name).write_bytes(content)
    verified = ("verify", "-x509_strict", "-purpose", "sslclient", "-CAfile")
    assert "OK" in openssl(*verified, str(tmp_path / "ca.pem"), str(tmp_path / "client.pem"))


def test_an_authority_without_a_key_identifier(tmp_path: Path) -> None:
    """As others than Talos make them; bundles may be built on such."""
    key, cert = tmp_path / "ca.key", tmp_path / "ca.pem"
    openssl("genpkey", "-algorithm", "ed25519", "-out", str(key))
    options = ("-subj", "/O=talos", "-days", "2", "-addext", "subjectKeyIdentifier=none")
    openssl("req", "-x509", "-new", "-key", str(key), *options, "-out", str(cert))
    authority = pki.KeyPair(cert.read_bytes(), key.read_bytes())
    assert "Subject Key Identifier" not in text_of(authority.certificate)
    (tmp_path / "client.pem").write_bytes(pki.client_certificate(authority).certificate)
    assert "OK" in openssl("verify", "-CAfile", str(cert), str(tmp_path / "client.pem"))


def test_a_session_is_short_and_forgives_a_slow_clock(bundle: Bundle) -> None:
    certificate = x509.load_pem_x509_certificate(pki.client_certificate(bundle.authority("os")).certificate)
    now = datetime.datetime.now(datetime.UTC)
    assert now - certificate.not_valid_before_utc >= datetime.timedelta(minutes=9)
    assert certificate.not_valid_after_utc - now <= datetime.timedelta(hours=1)


def test_the_fingerprint_is_that_of_the_public_key(bundle: Bundle) -> None:
    certificate = x509.load_pem_x509_certificate(bundle.authority("os").certificate)
    public_key = openssl("x509", "-noout", "-pubkey", data=bundle.authority("os").certificate)
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-outform", "DER"], input=public_key.encode(), capture_output=True, check=True
    ).stdout
    digest = subprocess.run(
        ["openssl", "dgst", "-sha256", "-binary"], input=der, capture_output=True, check=True
    ).stdout
    assert pki.fingerprint(certificate.public_bytes(Encoding.DER)) == pki.to_base64(digest)


def test_a_key_must_belong_to_its_certificate(bundle: Bundle) -> None:
    own, foreign = bundle.authority("etcd"), bundle.authority("k8s")
    pki.check_pair(own, "certs.etcd")
    with pytest.raises(InputError, match=r"the key of certs\.etcd does not belong to its certificate"):
        pki.check_pair(pki.KeyPair(own.certificate, foreign.key), "certs.etcd")


@pytest.mark.parametrize(
    ("certificate", "key", "message"),
    [
        (b"nothing", b"", "the certificate of x is not a certificate in PEM"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", b"", "is not a certificate in PEM"),
        (None, b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "the key of x is not a private key"),
    ],
)
def test_what_is_no_pem_is_named(bundle: Bundle, certificate: bytes | None, key: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        pki.check_pair(pki.KeyPair(certificate or bundle.authority("os").certificate, key), "x")


def test_a_pair_hides_its_key(bundle: Bundle) -> None:
    assert "PRIVATE" not in repr(bundle.authority("os"))

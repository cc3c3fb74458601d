# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""TLS to the Talos API, on the standard library, which can do the Ed25519 certificates of Talos."""

from __future__ import annotations

import secrets
import ssl
import tempfile
from pathlib import Path
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.talos import pki
from ansible_collections.dcm.platform.plugins.module_utils.talos.credentials import Credentials

try:
    from cryptography.hazmat.primitives import serialization
except ImportError:  # the engine reports a missing library with its package
    serialization = None  # type: ignore[assignment]

# Verification failures that say "right cluster, wrong name": X509_V_ERR_{HOSTNAME,EMAIL,IP_ADDRESS}_MISMATCH.
NAME_MISMATCHES = frozenset({62, 63, 64})
OUT_OF_DATE = frozenset({9, 10})  # X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED


class PinMismatchError(ssl.SSLCertVerificationError):
    """The server's public key is not the one whose fingerprint was given."""


class TalosContext(ssl.SSLContext):
    """Remembers why the server ended a connection, and checks a pinned certificate during the handshake.

    With TLS 1.3 a server refuses a client's certificate only after the handshake; grpclib would report just a lost
    connection.
    """

    sslobject_class: type[ssl.SSLObject]
    alert: str | None = None
    pin: str | None = None


class _WatchedObject(ssl.SSLObject):
    def do_handshake(self) -> None:
        super().do_handshake()
        context = self.context
        if isinstance(context, TalosContext) and context.pin is not None:
            found = pki.fingerprint(self.getpeercert(True) or b"")
            if found != context.pin:
                raise PinMismatchError(f"its fingerprint is {found}, not the one given")

    def read(self, *arguments: Any) -> Any:
        try:
            return super().read(*arguments)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, ssl.SSLZeroReturnError, ssl.SSLSyscallError):
            raise
        except ssl.SSLError as error:
            if isinstance(self.context, TalosContext):
                self.context.alert = (error.reason or "unknown reason").lower().replace("_", " ")
            raise


TalosContext.sslobject_class = _WatchedObject


def _context() -> TalosContext:
    context = TalosContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["h2"])
    return context


def secured(credentials: Credentials) -> TalosContext:
    """Both sides prove who they are."""
    context = _context()
    context.load_verify_locations(cadata=credentials.authorities.decode("ascii"))
    _load_client_certificate(context, credentials.client)
    return context


def maintenance(fingerprint: str | None) -> TalosContext:
    """For a node that has no configuration yet and so nothing to prove itself by, but its pinned public key."""
    context = _context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.pin = fingerprint
    return context


def _load_client_certificate(context: ssl.SSLContext, pair: pki.KeyPair) -> None:
    """The standard library reads keys from files only: so for a moment there is one, private and encrypted."""
    password = secrets.token_hex(32)
    key = pki.load_key(pair.key, "the key of the client certificate").private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password.encode()),
    )
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "client.pem")
        path.touch(mode=0o600)
        path.write_bytes(pair.certificate.rstrip() + b"\n" + key)
        context.load_cert_chain(path, password=password)

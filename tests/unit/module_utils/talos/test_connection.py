# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a node is found to be in maintenance mode or not, also in the moment when it leaves it."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import PlatformError, UnreachableError
from ansible_collections.dcm.platform.plugins.module_utils.talos import connection, pki, tls
from ansible_collections.dcm.platform.plugins.module_utils.talos.client import (
    MachineStatus,
    RejectedError,
    UntrustedError,
)
from ansible_collections.dcm.platform.plugins.module_utils.talos.connection import Connector
from ansible_collections.dcm.platform.plugins.module_utils.talos.credentials import Credentials
from ansible_collections.dcm.platform.plugins.module_utils.talos.node import Node
from ansible_collections.dcm.platform.plugins.module_utils.talos.secrets import Bundle

NODE = Node("cp-1", "10.0.0.1")


def verification_error(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError("certificate verify failed")
    error.verify_code = code
    error.verify_message = "a reason of OpenSSL's"
    return error


UNTRUSTED = UntrustedError(NODE, verification_error(20))
OTHER_NAME = UntrustedError(NODE, verification_error(64))
OTHER_PIN = UntrustedError(NODE, tls.PinMismatchError("its fingerprint is another"))
REJECTED = RejectedError(NODE, "tlsv13 alert certificate required")
LOST = UnreachableError(NODE.service, NODE.address, "the connection was lost")
RUNNING, MAINTENANCE = MachineStatus("running", True), MachineStatus("maintenance")

SEQUENCES: list[tuple[list[Any], Any]] = [
    # what each attempt meets: secured, insecure, secured → the session's status, or the error
    ([RUNNING], RUNNING),
    ([UNTRUSTED, MAINTENANCE], MAINTENANCE),
    ([UNTRUSTED, REJECTED, RUNNING], RUNNING),  # it left maintenance mode between the attempts
    ([UNTRUSTED, LOST, RUNNING], RUNNING),
    ([UNTRUSTED, REJECTED, UNTRUSTED], UNTRUSTED),  # of another cluster
    ([UNTRUSTED, LOST, LOST], LOST),
    ([UNTRUSTED, OTHER_PIN], OTHER_PIN),
    ([OTHER_NAME], OTHER_NAME),
    ([REJECTED], REJECTED),
    ([LOST], LOST),
]


class FakeClient:
    """Meets what the sequence says; every one must be closed."""

    sequence: list[Any]
    insecure: list[bool]
    closed: int

    def __init__(self, node: Node, context: tls.TalosContext, *, server_name: str | None = None) -> None:
        FakeClient.insecure.append(context.verify_mode == ssl.CERT_NONE)

    def machine_status(self) -> MachineStatus:
        met: MachineStatus | PlatformError = FakeClient.sequence.pop(0)
        if isinstance(met, PlatformError):
            raise met
        return met

    def close(self) -> None:
        FakeClient.closed += 1


@pytest.mark.parametrize(("sequence", "end"), SEQUENCES)
def test_sequences(monkeypatch: pytest.MonkeyPatch, bundle: Bundle, sequence: list[Any], end: Any) -> None:
    monkeypatch.setattr(connection, "TalosClient", FakeClient)
    FakeClient.sequence, FakeClient.insecure, FakeClient.closed = list(sequence), [], 0
    authority = bundle.authority("os")
    connector = Connector(Credentials(authority.certificate, pki.client_certificate(authority)))
    if isinstance(end, PlatformError):
        with pytest.raises(type(end)) as caught, connector.session(NODE):
            raise AssertionError("there is no session")
        assert caught.value is end
    else:
        with connector.session(NODE) as session:
            assert session.status == end
            assert session.insecure == (end is MAINTENANCE)
    assert FakeClient.sequence == []
    assert FakeClient.insecure == [False, True, False][: len(sequence)]
    assert FakeClient.closed == len(sequence)


def test_patience_ends_with_the_last_error(bundle: Bundle) -> None:
    authority = bundle.authority("os")
    connector = Connector(Credentials(authority.certificate, pki.client_certificate(authority)), patience=0.1)
    attempts = []

    def probe() -> None:
        attempts.append(1)
        raise LOST

    with pytest.raises(UnreachableError) as caught:
        connector.patiently("cp-1 to answer", probe)
    assert caught.value is LOST
    assert len(attempts) > 1


def test_messages_say_what_to_do() -> None:
    assert "The node belongs to another cluster, or the credentials do." in str(UNTRUSTED)
    assert "Set tls_server_name to a name that the certificate is for." in str(OTHER_NAME)
    assert "Compare with the fingerprint on the node's console" in str(OTHER_PIN)
    for error in (UNTRUSTED, OTHER_NAME, OTHER_PIN, REJECTED, LOST):
        assert "Talos API on cp-1 at 10.0.0.1:50000" in str(error)

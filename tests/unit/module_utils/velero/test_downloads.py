# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files by signed links: what a store may answer, whom it is trusted by, and that no link is ever shown."""

from __future__ import annotations

import base64
import datetime
import gzip
import ipaddress
import json
import ssl
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.clock import Clock
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import (
    NotFoundError,
    PlatformError,
    RefusedError,
    TimedOutError,
    TransientError,
    UnreachableError,
)
from ansible_collections.dcm.platform.plugins.module_utils.engine.wait import NotYet
from ansible_collections.dcm.platform.plugins.module_utils.velero import downloads
from ansible_collections.dcm.platform.plugins.module_utils.velero.downloads import Downloads
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.serving import serving

SIGNATURE = "X-Amz-Signature=canary"
RESULTS = gzip.compress(json.dumps({"errors": {"namespaces": {"a": ["no space"]}}}).encode())
BACKUP = {"metadata": {"name": "daily-1"}, "spec": {"storageLocation": "primary"}}


class Store(BaseHTTPRequestHandler):
    """Answers by path: /<status>, or the results."""

    def do_GET(self) -> None:
        status = self.path[1:4]
        if status.isdigit():
            self.send_error(int(status))
            return
        ranged = self.headers.get("Range") and not self.path.startswith("/whole")
        self.send_response(206 if ranged else 200)
        if ranged:
            self.send_header("Content-Range", f"bytes 0-0/{len(RESULTS)}")
        content = RESULTS[:1] if ranged else RESULTS
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


class FakeKubernetes:
    """A cluster whose server answers each request for a link with the same one."""

    def __init__(self, url: str | None, location: Mapping[str, Any] | None = None, secret: bytes = b"") -> None:
        self.clock = Clock(sleep=lambda seconds: None)
        self.requests: dict[str, Any] = {}
        self.asked: list[Any] = []
        self._url = url
        self._location = location or {}
        self._secret = {"data": {"ca": base64.b64encode(secret).decode()}}

    def get(self, resource: Any, namespace: str, name: str) -> Any:
        assert (resource.kind, name) == ("BackupStorageLocation", "primary")
        return {"spec": self._location}

    def find(self, resource: Any, name: str, namespace: str) -> Any:
        assert (resource.kind, name, namespace) == ("Secret", "authority", "velero")
        return self._secret

    def create(self, resource: Any, namespace: str, body: Any) -> Any:
        name = body["metadata"]["generateName"] + "abcde"
        self.requests[name] = body["spec"]
        self.asked.append(body)
        return {"metadata": {"name": name}}

    def follow(self, resource: Any, namespace: str, name: str, examine: Callable[[Any], Any], timeout: float) -> Any:
        try:
            return examine({"status": {"downloadURL": self._url} if self._url else {}})
        except NotYet as reason:
            raise TimedOutError(str(reason)) from reason

    def delete(self, resource: Any, namespace: str, name: str) -> None:
        del self.requests[name]


@pytest.fixture(scope="module")
def authority() -> tuple[bytes, bytes]:
    """A certificate of 127.0.0.1 that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "store")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(hours=1))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False).sign(
        key, hashes.SHA256()
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    with serving(HTTPServer(("127.0.0.1", 0), Store)) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def secure_store(authority: tuple[bytes, bytes], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    file: Path = tmp_path_factory.mktemp("store") / "store.pem"
    file.touch(mode=0o600)
    file.write_bytes(b"".join(authority))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    server = HTTPServer(("127.0.0.1", 0), Store)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with serving(server) as port:
        yield f"https://127.0.0.1:{port}"


def client(kubernetes: FakeKubernetes) -> Downloads:
    return Downloads(kubernetes, "velero", 60)  # type: ignore[arg-type]


def test_results_are_read_and_the_request_is_removed(store: str) -> None:
    kubernetes = FakeKubernetes(f"{store}/results?{SIGNATURE}")
    results = client(kubernetes).results("BackupResults", "daily-1", BACKUP)
    assert results == {"errors": {"namespaces": {"a": ["no space"]}}, "warnings": {}}
    assert kubernetes.asked[0]["spec"] == {"target": {"kind": "BackupResults", "name": "daily-1"}}
    assert kubernetes.requests == {}


def test_a_long_name_makes_a_name_that_kubernetes_takes(store: str) -> None:
    kubernetes = FakeKubernetes(f"{store}/results")
    client(kubernetes).results("BackupResults", "a" * 56 + ".b" * 60, BACKUP)
    assert kubernetes.asked[0]["metadata"]["generateName"] == "a" * 56 + "-"


@pytest.mark.parametrize("path", ["results", "whole"])
def test_a_size_is_told_by_a_store_with_ranges_and_by_one_without(store: str, path: str) -> None:
    assert client(FakeKubernetes(f"{store}/{path}")).size("BackupContents", "daily-1", BACKUP) == len(RESULTS)


@pytest.mark.parametrize(
    ("path", "error", "words"),
    [
        ("404", NotFoundError, "refuses BackupLog of daily-1: HTTP status 404. The files of the backup are damaged"),
        ("403", RefusedError, "HTTP status 403. Compare the clocks"),
        ("503", TransientError, "HTTP status 503."),
    ],
)
def test_a_store_that_refuses(store: str, path: str, error: type[PlatformError], words: str) -> None:
    kubernetes = FakeKubernetes(f"{store}/{path}?{SIGNATURE}")
    with pytest.raises(error) as raised:
        client(kubernetes).fetch("BackupLog", "daily-1", BACKUP)
    assert str(raised.value).startswith(f"Object store at {store} ")
    assert words in str(raised.value)
    assert "canary" not in str(raised.value)
    assert kubernetes.requests == {}


def test_a_store_that_is_not_there() -> None:
    with pytest.raises(UnreachableError) as raised:
        client(FakeKubernetes(f"http://127.0.0.1:1/x?{SIGNATURE}")).fetch("BackupLog", "daily-1", BACKUP)
    assert str(raised.value).startswith("Object store at http://127.0.0.1:1 is not reachable: Connection refused.")
    assert "canary" not in str(raised.value)


def test_a_server_that_gives_no_link() -> None:
    kubernetes = FakeKubernetes(None)
    with pytest.raises(TimedOutError, match="no link to BackupLog of daily-1; does a Velero server run"):
        client(kubernetes).fetch("BackupLog", "daily-1", BACKUP)
    assert kubernetes.requests == {}


@pytest.mark.parametrize("trust", ["inline", "secret", "nothing is checked"])
def test_a_store_with_an_authority_of_its_own(secure_store: str, authority: tuple[bytes, bytes], trust: str) -> None:
    locations: dict[str, dict[str, Any]] = {
        "inline": {"objectStorage": {"caCert": base64.b64encode(authority[0]).decode()}},
        "secret": {"objectStorage": {"caCertRef": {"name": "authority", "key": "ca"}}},
        "nothing is checked": {"config": {"insecureSkipTLSVerify": "true"}},
    }
    kubernetes = FakeKubernetes(f"{secure_store}/results", locations[trust], authority[0])
    assert client(kubernetes).results("BackupResults", "daily-1", BACKUP)["errors"]


def test_a_store_that_is_not_trusted(secure_store: str) -> None:
    with pytest.raises(UnreachableError) as raised:
        client(FakeKubernetes(f"{secure_store}/results?{SIGNATURE}")).fetch("BackupLog", "daily-1", BACKUP)
    assert "certificate" in str(raised.value).lower()
    assert "canary" not in str(raised.value)


def test_an_authority_that_is_none(store: str) -> None:
    kubernetes = FakeKubernetes(f"{store}/results", {"objectStorage": {"caCert": "%"}})
    with pytest.raises(RefusedError, match="is not base64"):
        client(kubernetes).fetch("BackupLog", "daily-1", BACKUP)


def test_messages_tell_where_they_belong() -> None:
    messages = {"velero": ["v"], "cluster": ["c"], "namespaces": {"b": ["2"], "a": ["1."]}}
    assert downloads.texts(messages) == ["v", "c", "a: 1.", "b: 2"]
    assert downloads.quoted(downloads.texts(messages)) == ["v.", "c.", "a: 1.", "(1 more.)"]
    assert downloads.texts({}) == downloads.quoted([]) == []

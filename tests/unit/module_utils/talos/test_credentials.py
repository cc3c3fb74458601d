# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Addresses of nodes, and the credentials to talk to them."""

from __future__ import annotations

import base64
import datetime
import ssl
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.talos import pki, tls
from ansible_collections.dcm.platform.plugins.module_utils.talos.credentials import Credentials, credentials
from ansible_collections.dcm.platform.plugins.module_utils.talos.node import parse_node
from ansible_collections.dcm.platform.plugins.module_utils.talos.secrets import Bundle

NONE = {"secrets": None, "ca": None, "crt": None, "key": None, "talosconfig": None, "context": None}


@pytest.mark.parametrize(
    ("text", "host", "port", "address"),
    [
        ("10.0.0.1", "10.0.0.1", 50000, "10.0.0.1:50000"),
        ("10.0.0.1:50001", "10.0.0.1", 50001, "10.0.0.1:50001"),
        ("node.example.com", "node.example.com", 50000, "node.example.com:50000"),
        ("fd00::1", "fd00::1", 50000, "[fd00::1]:50000"),
        ("[fd00::1]", "fd00::1", 50000, "[fd00::1]:50000"),
        ("[fd00::1]:50001", "fd00::1", 50001, "[fd00::1]:50001"),
        ("https://proxy.example.com", "proxy.example.com", 443, "proxy.example.com:443"),
        ("https://proxy.example.com:8443/", "proxy.example.com", 8443, "proxy.example.com:8443"),
    ],
)
def test_addresses(text: str, host: str, port: int, address: str) -> None:
    node = parse_node(text, "cp-1")
    assert (node.host, node.port, node.address) == (host, port, address)
    assert node.service == "Talos API on cp-1"
    assert parse_node(text).name == text


@pytest.mark.parametrize("text", ["", "10.0.0.1:port", "10.0.0.1:99999", "[fd00::1", "a@b", "host/path", "host?x"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(InputError, match="is not the address of a node"):
        parse_node(text)


@pytest.fixture(name="pair", scope="module")
def pair_fixture(bundle: Bundle) -> pki.KeyPair:
    return pki.client_certificate(bundle.authority("os"))


def encoded(pem: bytes) -> str:
    return base64.b64encode(pem).decode()


@pytest.fixture(name="talosconfig")
def talosconfig_fixture(bundle: Bundle, pair: pki.KeyPair) -> dict[str, Any]:
    context = {
        "endpoints": ["10.0.0.1"],
        "ca": encoded(bundle.authority("os").certificate),
        "crt": encoded(pair.certificate),
        "key": encoded(pair.key),
    }
    return {"context": "main", "contexts": {"main": context, "empty": {}, "broken": {**context, "key": "S-KEY"}}}


def test_from_the_bundle(bundle: Bundle) -> None:
    found = credentials({**NONE, "secrets": bundle.tree})
    assert found.authorities == bundle.authority("os").certificate
    tls.secured(found)


def test_from_three_parts(bundle: Bundle, pair: pki.KeyPair) -> None:
    authority = bundle.authority("os").certificate
    as_pem = {"ca": authority.decode(), "crt": pair.certificate.decode(), "key": pair.key.decode()}
    as_base64 = {"ca": encoded(authority), "crt": encoded(pair.certificate), "key": encoded(pair.key)}
    assert credentials({**NONE, **as_pem}) == credentials({**NONE, **as_base64}) == Credentials(authority, pair)


def test_from_a_talosconfig(talosconfig: dict[str, Any], tmp_path: Path, pair: pki.KeyPair) -> None:
    path = tmp_path / "talosconfig"
    path.write_text(yaml.safe_dump(talosconfig))
    for value in (talosconfig, yaml.safe_dump(talosconfig), str(path)):
        assert credentials({**NONE, "talosconfig": value}).client == pair


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ("other", "has no context 'other'; it has 'main', 'empty', 'broken'"),
        ("empty", "Context 'empty' of the talosconfig: ca is missing"),
        ("broken", "Context 'broken' of the talosconfig: key is not base64"),
    ],
)
def test_contexts(talosconfig: dict[str, Any], context: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        credentials({**NONE, "talosconfig": talosconfig, "context": context})
    assert message in str(caught.value)
    assert "S-KEY" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("/does/not/exist", "The talosconfig cannot be read: No such file or directory"),
        ("contexts: [\n", "The talosconfig is not valid YAML"),
        ({}, "The talosconfig has no contexts"),
        ("\n", "The talosconfig has no contexts"),
    ],
)
def test_what_is_no_talosconfig(value: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        credentials({**NONE, "talosconfig": value})


def test_an_expired_certificate_is_noticed_before_it_is_used(bundle: Bundle) -> None:
    expired = pki.client_certificate(bundle.authority("os"), lifetime=datetime.timedelta(minutes=-1))
    with pytest.raises(InputError, match=r"The client certificate for the Talos API expired on \d{4}-"):
        Credentials(bundle.authority("os").certificate, expired)


def test_whom_we_trust(bundle: Bundle, other_bundle: Bundle, pair: pki.KeyPair) -> None:
    own, foreign = bundle.authority("os").certificate, other_bundle.authority("os").certificate
    assert Credentials(own, pair).trusts(own)
    assert not Credentials(own, pair).trusts(foreign)
    assert Credentials(foreign + own, pair).trusts(own)


def test_no_key_stays_on_disk(
    bundle: Bundle, pair: pki.KeyPair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[bytes] = []
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    load = ssl.SSLContext.load_cert_chain

    def spy(context: Any, path: Path, **arguments: Any) -> None:
        assert path.stat().st_mode & 0o777 == 0o600
        written.append(path.read_bytes())
        load(context, path, **arguments)

    monkeypatch.setattr(tls.TalosContext, "load_cert_chain", spy)
    tls.secured(Credentials(bundle.authority("os").certificate, pair))
    assert b"BEGIN ENCRYPTED PRIVATE KEY" in written[0]
    assert b"BEGIN PRIVATE KEY" not in written[0]
    assert not list(tmp_path.iterdir())

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the connection makes of the answers of servers, proxies and of nobody."""

from __future__ import annotations

import time
from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import (
    ConflictError,
    InputError,
    PlatformError,
    RefusedError,
    TransientError,
    UnreachableError,
)
from ansible_collections.dcm.platform.plugins.module_utils.vault.client import Vault, connect
from ansible_collections.dcm.platform.plugins.module_utils.vault.errors import (
    ForbiddenError,
    InvalidTokenError,
    MissingError,
    SealedError,
)
from ansible_collections.dcm.platform.plugins.module_utils.vault.key_value import KeyValue, Stored, open_mount

from tests.sandbox.service import free_port
from tests.unit.module_utils.vault.server import Answer, scripted

TOKEN = "s.canary-token-of-a-test"
CANARY = "canary-value"


def options(url: str | None, **rest: Any) -> dict[str, Any]:
    return {
        "url": url,
        "auth_method": "token",
        "token": TOKEN,
        "role_id": None,
        "secret_id": None,
        "username": None,
        "password": None,
        "jwt": None,
        "cert_auth_public_key": None,
        "cert_auth_private_key": None,
        "mount_point": None,
        "namespace": None,
        "ca_cert": None,
        "validate_certs": None,
        "proxies": None,
        "timeout": 5,
        "retries": 0,
        **rest,
    }


def write(vault: Vault) -> int:
    return KeyValue(vault, "secret").write("a/b", {"key": CANARY}, 0)


REFUSALS = [
    (400, {"errors": ["check-and-set parameter did not match the current version"]}, ConflictError, "secret changed"),
    (400, {"errors": ["Upgrading from non-versioned to versioned data"]}, TransientError, "HTTP 400"),
    (400, {"errors": ["no idea\n\tof this"]}, RefusedError, "HTTP 400 on POST secret/data/a/b: no idea of this."),
    (404, {"errors": ["no handler for route"]}, MissingError, "no handler for route"),
    (405, {"errors": []}, RefusedError, "HTTP 405"),
    (412, {"errors": ["required index state not present"]}, TransientError, "HTTP 412"),
    (429, {"errors": ["request path rate limited"]}, TransientError, "rate limited"),
    (500, {"errors": ["internal error"]}, TransientError, "internal error"),
    (501, {"errors": ["not initialized"]}, RefusedError, "not initialized"),
    (502, "<html>Bad Gateway secret-of-the-proxy</html>", TransientError, "HTTP 502 on POST secret/data/a/b."),
    (503, {"errors": ["Vault is sealed"]}, SealedError, "is sealed, or not initialised yet"),
    (503, {"errors": ["local node not active"]}, TransientError, "local node not active"),
    (200, "<html>Welcome</html>", PlatformError, "is not OpenBao or Vault"),
]


@pytest.mark.parametrize(("status", "body", "kind", "message"), REFUSALS)
def test_refusals_name_server_and_path_and_no_value(status: int, body: Any, kind: type, message: str) -> None:
    with scripted(Answer(status, body)) as server, pytest.raises(PlatformError) as raised:
        write(connect(options(server.url)))
    assert raised.type is kind
    assert message in str(raised.value)
    assert server.url in str(raised.value)
    assert not [text for text in (CANARY, TOKEN, "secret-of-the-proxy") if text in str(raised.value)]


def test_a_redirect_is_not_followed_and_the_token_stays() -> None:
    with scripted(Answer()) as other:
        moved = Answer(307, headers={"Location": f"{other.url}/v1/secret/data/a/b?leader=1"})
        with scripted(moved) as server, pytest.raises(RefusedError, match="redirects POST secret/data/a/b") as raised:
            write(connect(options(server.url)))
        assert other.url in str(raised.value)
        assert other.requests == []


MOUNT = Answer(200, {"data": {"path": "secret/", "type": "kv", "options": {"version": "2"}}})


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        ([Answer(403, {"errors": ["1 error occurred:\n\t* permission denied\n\n"]}), MOUNT], ForbiddenError),
        ([Answer(403, {"errors": ["permission denied"]})], InvalidTokenError),
    ],
)
def test_a_forbidden_path_and_a_dead_token_are_told_apart(answers: list[Answer], kind: type) -> None:
    with scripted(*answers) as server, pytest.raises(PlatformError) as raised:
        write(connect(options(server.url)))
    assert raised.type is kind


def test_a_busy_server_is_asked_again_as_it_says() -> None:
    busy = Answer(503, {"errors": ["busy"]}, {"Retry-After": "1"})
    with scripted(busy, Answer(429, {"errors": []}), Answer(200, {"data": {"version": 7}})) as server:
        began = time.monotonic()
        assert write(connect(options(server.url, retries=2))) == 7
        assert time.monotonic() - began >= 1
        assert len(server.requests) == 3


def test_retries_are_bounded() -> None:
    with scripted(Answer(500, {"errors": ["broken"]})) as server:
        with pytest.raises(TransientError, match="broken"):
            write(connect(options(server.url, retries=2)))
        assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("login", "path"),
    [
        ({"auth_method": "approle", "role_id": "r", "secret_id": "s"}, "/v1/auth/approle/login"),
        ({"auth_method": "userpass", "username": "u", "password": "p"}, "/v1/auth/userpass/login/u"),
        ({"auth_method": "jwt", "role_id": "r", "jwt": "j", "mount_point": "/ci/"}, "/v1/auth/ci/login"),
        ({"auth_method": "kubernetes", "role_id": "r", "jwt": "j"}, "/v1/auth/kubernetes/login"),
    ],
)
def test_one_login_for_all_requests_and_none_repeated(login: dict[str, str], path: str) -> None:
    granted = Answer(200, {"auth": {"client_token": "granted"}})
    with scripted(granted, Answer(200, {"data": {"version": 1}})) as server:
        vault = connect(options(server.url, token=None, **login))
        write(vault)
        write(vault)
        write_request = ("POST", "/v1/secret/data/a/b", "granted")
        assert server.requests[0][:2] == ("POST", path)
        assert server.requests[1:] == [write_request, write_request]
    with scripted(Answer(500, {"errors": ["broken"]})) as server:
        with pytest.raises(TransientError):
            connect(options(server.url, token=None, retries=5, **login))
        assert len(server.requests) == 1  # a secret_id may be good for one use


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"url": None}, "address is missing. Give it as url, or in VAULT_ADDR or ANSIBLE_HASHI_VAULT_ADDR"),
        ({"token": ""}, "auth_method token needs token. Give it, or set VAULT_TOKEN or ANSIBLE_HASHI_VAULT_TOKEN"),
        ({"auth_method": "approle"}, "approle needs role_id"),
        ({"auth_method": "userpass", "username": "u"}, "userpass needs password"),
    ],
)
def test_missing_options(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as raised:
        connect({**options("http://127.0.0.1:1"), **change})
    assert message in str(raised.value)


@pytest.mark.parametrize("url", ["vault.example.com:8200", "vault", "http://", "ftp://vault"])
def test_a_wrong_address(url: str) -> None:
    with pytest.raises(InputError, match="is not an address like https"):
        write(connect(options(url)))


def test_a_token_that_cannot_be_sent_is_not_shown() -> None:
    with scripted(Answer()) as server, pytest.raises(InputError, match="is there a line break") as raised:
        write(connect(options(server.url, token=f"{TOKEN}\n")))
    assert TOKEN not in str(raised.value)


def test_nobody_there() -> None:
    port = free_port()
    with pytest.raises(UnreachableError) as raised:
        write(connect(options(f"http://127.0.0.1:{port}/")))
    expected = f"OpenBao or Vault at http://127.0.0.1:{port} is not reachable: Connection refused."
    assert str(raised.value).startswith(expected)
    assert not raised.value.sent


def test_an_unknown_name() -> None:
    with pytest.raises(UnreachableError, match=r"at http://vault\.invalid:8200 is not reachable") as raised:
        write(connect(options("http://vault.invalid:8200")))
    assert not raised.value.sent


def test_no_tls_there() -> None:
    with scripted(Answer()) as server, pytest.raises(RefusedError, match=r"TLS connection .* failed"):
        write(connect(options(server.url.replace("http:", "https:"))))


@pytest.mark.parametrize(
    ("skip", "given", "authority", "expected"),
    [
        (None, None, None, True),
        ("1", None, None, False),
        ("true", None, "ca.pem", False),
        ("0", None, None, True),
        ("", None, None, True),
        ("1", True, None, True),
        (None, False, "ca.pem", False),
        (None, None, "ca.pem", "ca.pem"),
    ],
)
def test_verification(
    monkeypatch: pytest.MonkeyPatch, skip: str | None, given: bool | None, authority: str | None, expected: Any
) -> None:
    for name in ("VAULT_SKIP_VERIFY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    if skip is not None:
        monkeypatch.setenv("VAULT_SKIP_VERIFY", skip)
    seen: list[Any] = []
    vault = connect(options("https://127.0.0.1:1", validate_certs=given, ca_cert=authority))
    vault.call(lambda client: seen.extend([client.session.verify, client._adapter._kwargs["verify"]]))
    assert seen == [expected, expected]


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (404, {"errors": []}, Stored()),
        (
            404,
            {"data": {"data": None, "metadata": {"version": 3, "deletion_time": "2026-01-01T00:00:00Z"}}},
            Stored(3, exists=True),
        ),
        (
            404,
            {"data": {"data": None, "metadata": {"version": 3, "deletion_time": "", "destroyed": True}}},
            Stored(3, exists=True, destroyed=True),
        ),
        (200, {"data": {"data": {"a": 1}, "metadata": {"version": 2}}}, Stored(2, {"a": 1}, exists=True)),
    ],
    ids=["never there", "deleted", "destroyed version", "there"],
)
def test_what_is_stored(status: int, body: Any, expected: Stored) -> None:
    with scripted(Answer(status, body)) as server:
        assert KeyValue(connect(options(server.url)), "secret").read("a") == expected


MOUNTS = [
    ({"path": "secret/", "type": "pki", "options": {}}, "is a pki engine"),
    ({"path": "sec/", "type": "kv", "options": {"version": "2"}}, "has no mount secret/"),
]


@pytest.mark.parametrize(("mount", "message"), MOUNTS)
def test_unusable_mounts(mount: Any, message: str) -> None:
    with scripted(Answer(200, {"data": mount})) as server, pytest.raises(RefusedError, match=message):
        open_mount(connect(options(server.url)), "secret")


@pytest.mark.parametrize(
    ("mount", "version", "lists_details"),
    [
        ({"options": {"version": "1"}}, 1, False),
        ({"options": None}, 1, False),
        ({"options": {"version": "2"}, "running_plugin_version": "v0.20.0+builtin"}, 2, False),
        ({"options": {"version": "2"}, "running_plugin_version": "v2.7.2+builtin.bao"}, 2, True),
    ],
)
def test_what_the_server_says_of_a_mount(mount: dict[str, Any], version: int, lists_details: bool) -> None:
    with scripted(Answer(200, {"data": {"path": "secret/", "type": "kv", **mount}})) as server:
        store = open_mount(connect(options(server.url)), "/secret/")
    assert (store.mount, store.version, store.lists_details) == ("secret", version, lists_details)


def test_stored_data_is_not_part_of_its_representation() -> None:
    assert CANARY not in repr(Stored(1, {"key": CANARY}, exists=True))

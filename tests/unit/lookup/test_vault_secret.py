# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lookup's own logic; tests/integration reads from a real server."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleLookupError
from ansible_collections.dcm.platform.plugins.lookup.vault_secret import LookupModule

from tests.sandbox.service import free_port
from tests.unit.module_utils.vault.server import Answer, scripted

MOUNT = Answer(200, {"data": {"path": "secret/", "type": "kv", "options": {"version": "2"}}})
TOKEN = "canary-token"


def look_up(*terms: Any, url: str, **given: Any) -> Any:
    """Run it with options as Ansible has them after its own defaults."""
    unset = dict.fromkeys(
        ("role_id", "secret_id", "username", "password", "jwt", "mount_point", "namespace", "ca_cert", "proxies")
    )
    options = {"auth_method": "token", "token": TOKEN, "validate_certs": None, "timeout": 5, "retries": 0}
    lookup = LookupModule()
    lookup.set_options = lambda **_sources: None
    lookup.get_options = lambda: {
        **unset,
        **options,
        "mount": "secret",
        "missing": "error",
        "workers": 1,
        "url": url,
        **given,
    }
    return lookup.run(list(terms), {})


def found(**data: Any) -> Answer:
    return Answer(200, {"data": {"data": data, "metadata": {"version": 1}}})


MISSING = Answer(404, {"errors": []})


def test_a_list_stands_for_its_items() -> None:
    with scripted(MOUNT, found(a=1), found(b=2)) as server:
        assert look_up(["one", "two"], url=server.url) == [{"a": 1}, {"b": 2}]
        assert [path for _method, path, _token in server.requests[1:]] == ["/v1/secret/data/one", "/v1/secret/data/two"]


def test_it_remembers_nothing() -> None:
    with scripted(MOUNT, found(a=1), MOUNT, found(a=2)) as server:
        assert look_up("one", url=server.url) == [{"a": 1}]
        assert look_up("one", url=server.url) == [{"a": 2}]


def test_no_paths_need_no_server() -> None:
    assert look_up(url=f"http://127.0.0.1:{free_port()}") == []


def test_all_that_is_missing_is_named() -> None:
    with scripted(MOUNT, found(a=1), MISSING, MISSING) as server, pytest.raises(AnsibleLookupError) as raised:
        look_up("one", "two", "three", url=server.url)
    assert "2 of 3 secrets do not exist, or are deleted, in secret/: two, three." in str(raised.value)


def test_missing_may_be_empty() -> None:
    with scripted(MOUNT, MISSING, found(a=1)) as server:
        assert look_up("one", "two", url=server.url, missing="empty") == [{}, {"a": 1}]


def test_many_missing_are_counted() -> None:
    with scripted(MOUNT, MISSING) as server, pytest.raises(AnsibleLookupError, match="p9 and 2 more"):
        look_up(*(f"p{number}" for number in range(12)), url=server.url)


def test_errors_are_one_sentence_without_the_token() -> None:
    port = free_port()
    with pytest.raises(AnsibleLookupError) as raised:
        look_up("one", url=f"http://127.0.0.1:{port}")
    assert f"OpenBao or Vault at http://127.0.0.1:{port} is not reachable" in str(raised.value)
    with scripted(Answer(400, {"errors": [f"bad token {TOKEN}"]})) as server:
        with pytest.raises(AnsibleLookupError, match="HTTP 400") as raised:
            look_up("one", url=server.url)
        assert TOKEN not in str(raised.value)

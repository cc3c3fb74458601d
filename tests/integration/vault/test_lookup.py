# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lookup ``vault_secret`` in real plays against a real OpenBao server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.ansible_runner import AnsibleRunner, PlaybookResult
from tests.integration.vault.conftest import mounted
from tests.sandbox.service import Settings

CANARY = "canary-of-the-lookup"


@pytest.fixture(scope="module")
def mount(server: Any) -> Iterator[str]:
    """A mount of these tests' own."""
    with mounted(server) as path:
        yield path


@pytest.fixture
def play(ansible: AnsibleRunner, vault: Settings, mount: str) -> Callable[..., PlaybookResult]:
    """Runs tasks; the server and the token come from the environment, the variable ``mount`` is there."""

    def run(*tasks: dict[str, Any], **environment: str) -> PlaybookResult:
        variables = {"VAULT_ADDR": vault["url"], "VAULT_TOKEN": vault["token"], **environment}
        plays = [{"hosts": "localhost", "gather_facts": False, "vars": {"mount": mount}, "tasks": list(tasks)}]
        return ansible.playbook(plays, "-i", "localhost,", "-c", "local", "-vvv", environment=variables)

    return run


def check(that: str, **variables: Any) -> dict[str, Any]:
    return {"name": "Check", "ansible.builtin.assert": {"that": that}, "vars": variables}


@pytest.mark.row("SECR-12")
def test_what_a_task_writes_the_next_one_reads_and_nobody_sees(
    play: Callable[..., PlaybookResult], server: Any, vault: Settings, mount: str
) -> None:
    server.secrets.kv.v2.create_or_update_secret("source", {"value": CANARY}, mount_point=mount)
    result = play(
        check("query('dcm.platform.vault_secret', 'copy', mount=mount, missing='empty') == [{}]"),
        {
            "name": "Copy a value",
            "dcm.platform.vault_secret": {
                "mount": "{{ mount }}",
                "secrets": [{"path": "copy", "data": {"value": "{{ source.value }}"}, "generate": {"password": {}}}],
            },
            "vars": {"source": "{{ lookup('dcm.platform.vault_secret', 'source', mount=mount) }}"},
        },
        check(
            "found.value | length == size and found.password | length == 32",
            found="{{ lookup('dcm.platform.vault_secret', 'copy', mount=mount) }}",
            size=len(CANARY),
        ),
        ANSIBLE_HASHI_VAULT_ADDR=vault["url"],
        VAULT_ADDR="http://127.0.0.1:1",  # the other name comes first, for module and lookup
    )
    assert result.returncode == 0, result.output
    assert CANARY not in result.output
    copied = server.secrets.kv.v2.read_secret_version("copy", None, mount, True)["data"]["data"]
    assert copied["value"] == CANARY
    assert copied["password"] not in result.output


def test_many_paths_keep_their_order(
    play: Callable[..., PlaybookResult], server: Any, vault: Settings, mount: str
) -> None:
    for number in range(20):
        server.secrets.kv.v2.create_or_update_secret(f"order/{number}", {"number": number}, mount_point=mount)
    server.secrets.kv.v2.delete_latest_version_of_secret("order/7", mount_point=mount)
    result = play(
        check(
            "found == expected",
            paths=[f"order/{number}" for number in range(20)],
            found="{{ lookup('dcm.platform.vault_secret', *paths, missing='empty', **there) }}",
            there={"url": vault["url"], "token": vault["token"], "mount": mount},
            expected=[{} if number == 7 else {"number": number} for number in range(20)],
        ),
        VAULT_ADDR="http://127.0.0.1:1",  # options come before the environment
        VAULT_TOKEN="none",
    )
    assert result.returncode == 0, result.output


@pytest.mark.parametrize(
    ("environment", "call", "message"),
    [
        ({}, "'no/a', 'no/b'", "2 of 2 secrets do not exist, or are deleted, in secret/: no/a, no/b."),
        ({}, "'a', mount='nothing'", "has no mount nothing/"),
        ({"VAULT_TOKEN": CANARY}, "'a'", "does not accept the token"),
        ({"VAULT_TOKEN": ""}, "'a'", "auth_method token needs token"),
        (
            {"VAULT_ADDR": "http://127.0.0.1:1"},
            "'a', retries=0",
            "OpenBao or Vault at http://127.0.0.1:1 is not reachable",
        ),
    ],
)
def test_failures_are_one_clear_message(
    play: Callable[..., PlaybookResult], environment: dict[str, str], call: str, message: str
) -> None:
    result = play(check(f"lookup('dcm.platform.vault_secret', {call}) == {{}}"), **environment)
    assert result.total("failed") == 1
    assert message in result.output
    assert "Traceback" not in result.output
    assert CANARY not in result.output

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``vault_secret`` beyond data (metadata, ownership, fingerprints), and ``vault_secret_info``, on a real OpenBao."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tests.ansible_runner import AnsibleRunner, failed
from tests.integration.vault.conftest import Run
from tests.sandbox.service import Settings

KEY = "a-canary-as-a-fingerprint-key"


def metadata(server: Any, mount: str, path: str) -> Any:
    return server.secrets.kv.v2.read_secret_metadata(path, mount_point=mount)["data"]


@pytest.mark.row("SECR-01")
def test_metadata_ownership_and_undeleting(call: Run, server: Any, mount: str) -> None:
    first = {
        "path": "a/one",
        "data": {"k": 1},
        "metadata": {"max_versions": 3, "delete_version_after": "720h", "custom_metadata": {"service": "grafana"}},
    }
    wanted = [first, {"path": "a/two", "data": {"k": 2}}]
    options = {"mount": mount, "owner": "platform", "prune": "a"}
    assert call("vault_secret", secrets=wanted, **options)["counts"]["created"] == 2
    found = metadata(server, mount, "a/one")
    assert found["max_versions"] == 3
    assert found["delete_version_after"] == "720h0m0s"
    assert found["custom_metadata"] == {"service": "grafana", "dcm_owner": "platform"}

    server.secrets.kv.v2.create_or_update_secret("a/theirs", {"k": 3}, mount_point=mount)  # nobody's, so it stays
    server.secrets.kv.v2.update_metadata("a/one", max_versions=9, custom_metadata={"more": "x"}, mount_point=mount)
    predicted = call("vault_secret", secrets=[first], **options, check=True, diff=True)
    assert predicted["diff"][0]["after"]["max_versions"] == 3
    result = call("vault_secret", secrets=[first], **options)
    assert [(one["path"], one["state"], one["changed"]) for one in result["secrets"]] == [
        ("a/one", "present", True),
        ("a/two", "absent", True),
    ]
    assert result["secrets"] == predicted["secrets"]
    found = metadata(server, mount, "a/one")
    assert found["current_version"] == 1
    assert found["max_versions"] == 3
    assert found["custom_metadata"] == {"service": "grafana", "dcm_owner": "platform", "more": "x"}
    assert metadata(server, mount, "a/two")["versions"]["1"]["deletion_time"]
    assert server.secrets.kv.v2.read_secret_version("a/theirs", mount_point=mount, raise_on_deleted_version=True)
    assert not call("vault_secret", secrets=[first], **options)["changed"]

    undeleted = [{"path": "a/two", "state": "undeleted"}]
    assert call("vault_secret", secrets=undeleted, mount=mount, check=True)["counts"]["undeleted"] == 1
    assert call("vault_secret", secrets=undeleted, mount=mount)["counts"]["undeleted"] == 1
    assert server.secrets.kv.v2.read_secret_version("a/two", mount_point=mount, raise_on_deleted_version=True)
    again = call("vault_secret", secrets=[*undeleted, {"path": "a/none", "state": "undeleted"}], mount=mount)
    assert "Secret a/none cannot be undeleted: there is none." in failed(again)


def audited_reads(audit: Path, mount: str) -> int:
    """How many requests for data, and not for metadata, the server noted."""
    entries = (json.loads(line) for line in audit.read_text().splitlines())
    return sum(
        entry["type"] == "request" and entry["request"].get("path", "").startswith(f"{mount}/data/")
        for entry in entries
    )


@pytest.mark.row("SECR-01", "SECR-12")
def test_an_unchanged_run_with_fingerprints_reads_no_secret(call: Run, server: Any, mount: str, lab: Any) -> None:
    audit = lab.directory / "vault" / "audit.log"
    wanted = [
        {"path": f"{folder}/{number}", "data": {"user": f"user-{number}"}, "generate": {"password": {}}}
        for folder in ("one", "two")
        for number in range(10)
    ]
    options = {"secrets": wanted, "mount": mount, "fingerprint_key": KEY}
    created = call("vault_secret", **options, verbosity=3)
    assert created["counts"]["created"] == 20
    assert KEY not in created.output
    writes_and_reads = audited_reads(audit, mount)

    unchanged = call("vault_secret", **options)
    assert not unchanged["changed"]
    assert unchanged["secrets"][0] == {
        "path": "one/0",
        "mount": mount,
        "state": "present",
        "version": 1,
        "keys": ["password", "user"],
        "changed": False,
    }
    assert audited_reads(audit, mount) == writes_and_reads

    server.secrets.kv.v2.create_or_update_secret("one/3", {"user": "drift"}, mount_point=mount)
    repaired = call("vault_secret", **options)
    assert [one["path"] for one in repaired["secrets"] if one["changed"]] == ["one/3"]
    wanted[4]["data"] = {"user": "another"}
    changed = call("vault_secret", **options)
    assert [one["path"] for one in changed["secrets"] if one["changed"]] == ["one/4"]
    assert not call("vault_secret", **options)["changed"]


def test_pairs_and_certificates_are_made_once(call: Run, server: Any, mount: str) -> None:
    generate = {
        "signing": {"type": "key_pair", "algorithm": "ed25519"},
        "deploy": {"type": "ssh_key_pair", "algorithm": "ed25519"},
        "tls": {"type": "certificate", "common_name": "grafana", "dns_names": ["grafana.example.com"], "days": 90},
    }
    wanted = [{"path": "pairs", "generate": generate}]
    made = call("vault_secret", secrets=wanted, mount=mount, verbosity=3, diff=True)
    assert "PRIVATE KEY" not in made.output

    def data() -> Any:
        return server.secrets.kv.v2.read_secret_version("pairs", mount_point=mount, raise_on_deleted_version=True)[
            "data"
        ]["data"]

    first = data()
    assert sorted(first) == ["deploy", "deploy_public", "signing", "signing_public", "tls", "tls_certificate"]
    certificate = x509.load_pem_x509_certificate(first["tls_certificate"].encode())
    key: Any = serialization.load_pem_private_key(first["tls"].encode(), None)
    assert certificate.public_key() == key.public_key()
    assert certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
        x509.DNSName
    ) == ["grafana.example.com"]
    ssh: Any = serialization.load_ssh_private_key(first["deploy"].encode(), None)
    assert ssh.public_key() == serialization.load_ssh_public_key(first["deploy_public"].encode())
    assert not call("vault_secret", secrets=wanted, mount=mount)["changed"]
    assert data() == first


def test_what_is_told_of_secrets(call: Run, ansible: AnsibleRunner, server: Any, vault: Settings, mount: str) -> None:
    for path in ("x/a", "x/y/b", "z"):
        server.secrets.kv.v2.create_or_update_secret(path, {"canary-key": "canary-value"}, mount_point=mount)
    server.secrets.kv.v2.delete_latest_version_of_secret("x/y/b", mount_point=mount)
    result = call("vault_secret_info", mount=mount, paths=["z", "none"], prefix="x", verbosity=3)
    told = [(one["path"], one["version"], one["live"], one["keys"]) for one in result["secrets"]]
    assert told == [
        ("z", 1, True, ["canary-key"]),
        ("none", 0, False, []),
        ("x/a", 1, True, ["canary-key"]),
        ("x/y/b", 1, False, []),
    ]
    assert 0 <= result["secrets"][0]["age"] < 600
    assert "canary-value" not in result.output
    assert "Set no_log: true on the task" in failed(call("vault_secret_info", mount=mount, paths=["z"], values=True))

    there = {"url": vault["url"], "token": vault["token"], "mount": mount}
    tasks = [
        {
            "name": "Read",
            "dcm.platform.vault_secret_info": {**there, "paths": ["z"], "values": True},
            "no_log": True,
            "register": "found",
        },
        {
            "name": "Check",
            "ansible.builtin.assert": {
                "that": "found.secrets[0]['values']['canary-key'] | length == 12",
                "quiet": True,
            },
        },
    ]
    played = ansible.playbook(
        [{"hosts": "localhost", "gather_facts": False, "tasks": tasks}], "-i", "localhost,", "-c", "local", "-vvv"
    )
    assert played.returncode == 0, played.output
    assert "canary-value" not in played.output


def test_a_server_that_lists_no_metadata_is_walked(server: Any, vault: Settings, mount: str) -> None:
    """As on HashiCorp Vault; OpenBao, too, lists in the way that both know."""
    from ansible_collections.dcm.platform.plugins.module_utils.engine.retry import RetryPolicy
    from ansible_collections.dcm.platform.plugins.module_utils.vault.client import Vault
    from ansible_collections.dcm.platform.plugins.module_utils.vault.key_value import KeyValue

    for path in ("x/a", "x/y/b", "x/y/z/c", "other"):
        server.secrets.kv.v2.create_or_update_secret(path, {"k": 1}, mount_point=mount)
    store = KeyValue(Vault(vault["url"], server, RetryPolicy()), mount)
    assert sorted(store.list_below("x")) == ["x/a", "x/y/b", "x/y/z/c"]

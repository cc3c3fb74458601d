# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lab's Talos machines for tests: looked at from behind, and read back over raw gRPC with a client of its own."""

from __future__ import annotations

import asyncio
import base64
import functools
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.dcm.platform.plugins.module_utils.talos.contract import Contract
from ansible_collections.dcm.platform.plugins.module_utils.talos.messages import message
from ansible_collections.dcm.platform.plugins.module_utils.talos.secrets import generate
from ansible_collections.dcm.platform.plugins.modules.talos_config import rendered

from tests import waiting
from tests.ansible_runner import AnsibleRunner, ModuleResult
from tests.conftest import LabFixture
from tests.sandbox.talos import pki
from tests.sandbox.talos.control import ask
from tests.unit.sandbox.talos_lab import client_context, connected, request

DEADLINE = 60.0  # seconds for what a machine does by itself
CONFIGS = ("config", "MachineConfigs.config.talos.dev")
APPLY = "/machine.MachineService/ApplyConfiguration"
MASKED = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"

Tree = dict[str, Any]


until = functools.partial(waiting.eventually, within=DEADLINE)


class Machines:
    """The machines of a lab, wiped: all wait in maintenance mode."""

    def __init__(self, lab: LabFixture, directory: Path) -> None:
        self.lab = lab
        self.settings = lab("talos")
        self.directory = directory
        self.nodes = {node["name"]: node["address"] for node in self.settings["nodes"]}
        self.control_planes = {
            node["name"]: node["address"] for node in self.settings["nodes"] if node["type"] == "controlplane"
        }
        self.workers = {name: address for name, address in self.nodes.items() if name not in self.control_planes}
        self._left_over: set[str] = set()
        self.wipe()
        self._left_over.update(cluster["id"] for cluster in self.etcd())

    def ask(self, command: str, **arguments: Any) -> Any:
        return ask(Path(self.settings["directory"]), command, **arguments)

    def status(self, name: str) -> Tree:
        """What the simulator knows of a machine: stage, ready, boot_id, fingerprint, requests …"""
        status: Tree = self.ask("status")["machines"][name]
        return status

    def await_control_planes(self) -> None:
        """Wait until all of them are well, their etcd too."""
        until(lambda: all(self.status(name)["ready"] for name in self.control_planes), "the control planes to be ready")

    def etcd(self) -> list[Tree]:
        """All etcd clusters that there are since the machines were wiped: wiping does not make a member leave."""
        return [cluster for cluster in self.ask("status")["etcd"] if cluster["id"] not in self._left_over]

    def fault(self, name: str, **faults: Any) -> None:
        self.ask("set", machine=name, **faults)

    def wipe(self, *names: str) -> None:
        """Back to an empty disk and to maintenance mode."""
        for name in names or self.nodes:
            self.ask("wipe", machine=name)
        for name in names or self.nodes:
            until(lambda name=name: self.status(name)["stage"] == "maintenance", f"{name} to be wiped")  # type: ignore[misc]

    def address(self, name: str) -> str:
        """As messages name it."""
        return f"{self.nodes[name]}:{self.settings['port']}"

    def requests(self, name: str) -> Tree:
        """How often each method was called since :meth:`forget_requests`."""
        requests: Tree = self.status(name)["requests"]
        return requests

    def forget_requests(self) -> None:
        self.ask("forget_requests")

    def kill(self) -> None:
        """Kill the simulator, as when the power fails everywhere."""
        pid = self.lab.lab.pid("talos")
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        until(lambda: self.lab.lab.pid("talos") is None, "the simulator to die")

    # --- raw gRPC ----------------------------------------------------------------------------------------------------

    def call(self, name: str, bundle: Tree, path: str, **fields: Any) -> list[Any]:
        """All replies of a secured node to an administrator."""
        authority = bundle["certs"]["os"]
        pair = pki.Authority(*(base64.b64decode(authority[part]).decode() for part in ("crt", "key")))
        identity = pki.issue_client(pair, ["os:admin"], pki.ADMIN_LIFETIME)
        context = client_context(self.directory, identity, pair.certificate)

        async def ask_node() -> list[Any]:
            async with connected(self.nodes[name], self.settings["port"], context) as channel:
                return await request(channel, path, fields)

        return asyncio.run(ask_node())

    def config(self, name: str, bundle: Tree, kind: str = "v1alpha1") -> list[Tree]:
        """The documents of the active (``v1alpha1``) or the stored (``persistent``) configuration."""
        namespace, resource = CONFIGS
        (reply,) = self.call(name, bundle, "/cosi.resource.State/Get", namespace=namespace, type=resource, id=kind)
        spec = message("resource.config.MachineConfigSpec").FromString(reply.resource.spec.proto_spec)
        return list(yaml.safe_load_all(spec.yaml_marshalled))

    def apply(self, name: str, bundle: Tree, config: str, mode: str, **fields: Any) -> None:
        """What somebody else does with talosctl."""
        modes = message("machine.ApplyConfigurationRequest").Mode
        self.call(name, bundle, APPLY, data=config.encode(), mode=modes.Value(mode), **fields)


class Cluster:
    """A cluster to be, with its secrets and configurations.

    Those are made by the code of talos_secrets and talos_config, but in this process: a run of Ansible costs seconds.
    """

    def __init__(self, ansible: AnsibleRunner, machines: Machines) -> None:
        self.ansible = ansible
        self.machines = machines
        self.bundle: Tree = generate(Contract(1, 13)).tree

    def config(self, name: str, *patches: Any) -> str:
        """The configuration of a node."""
        options = {
            "secrets": self.bundle,
            "cluster_name": "test",
            "endpoint": self.machines.settings["endpoint"],
            "machine_type": "controlplane" if name in self.machines.control_planes else "worker",
            "talos_version": "1.13.9",
            "kubernetes_version": "1.36.3",
            "hostname": name,
            "version_contract": None,
            "patches": list(patches),
        }
        return rendered(options)

    def machine(
        self,
        name: str,
        config: str | None,
        *,
        check: bool = False,
        diff: bool = False,
        verbosity: int = 0,
        **options: Any,
    ) -> ModuleResult:
        """Run talos_machine for a node."""
        arguments = {"node": self.machines.nodes[name], "name": name, "secrets": self.bundle, "config": config}
        return self.ansible.run_module(
            "talos_machine", {**arguments, "wait_timeout": 60, **options}, check=check, diff=diff, verbosity=verbosity
        )

    def configure(self, *names: str) -> None:
        """Give nodes their configurations; raises unless all take them."""
        for name in names:
            result = self.machine(name, self.config(name))
            assert result.get("changed"), result

    def bootstrap(
        self, control_planes: Mapping[str, str] | None = None, *, check: bool = False, **options: Any
    ) -> ModuleResult:
        """Run talos_bootstrap, on all control planes if none are named."""
        arguments = {"secrets": self.bundle, "control_planes": control_planes or self.machines.control_planes}
        return self.ansible.run_module("talos_bootstrap", {**arguments, "wait_timeout": 60, **options}, check=check)

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Checks the inventory of an environment against the argument specifications of all roles."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import PlatformError
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import PYYAML, require
from ansible_collections.dcm.platform.plugins.module_utils.inventory.check import Role, find_problems, locate
from ansible_collections.dcm.platform.plugins.module_utils.inventory.files import definitions
from ansible_collections.dcm.platform.plugins.module_utils.inventory.specification import Options, Problem

ROLES = Path(__file__).resolve().parents[2] / "roles"


class ActionModule(ActionBase):
    """Runs on the controller, where the inventory's files are; reads, and touches nothing."""

    _requires_connection = False
    _supports_check_mode = True
    _supports_async = False
    _supports_diff = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        _validation, args = self.validate_argument_spec(
            {
                "roles": {"type": "dict", "required": True},
                "nodes_group": {"type": "str", "default": "talos"},
            }
        )
        try:
            require(PYYAML)
        except PlatformError as error:
            raise AnsibleActionFail(str(error)) from error
        specifications = _specifications()
        inventory = Path(variables.get("inventory_dir") or ".")
        written = list(definitions(inventory)) if variables.get("inventory_dir") else []
        unreadable: set[Problem] = set()
        roles = [
            Role(name, options, self._hosts(args["roles"].get(name), options, variables, unreadable))
            for name, options in specifications.items()
        ]
        shared: dict[str, Any] = {}
        for role in roles:
            for values in role.hosts.values():
                shared.update(values)
        shared["node_addresses"] = {
            host: variables["hostvars"][host].get("ansible_host", host)
            for host in variables["groups"].get(args["nodes_group"], [])
        }
        failed = {problem.key for problem in unreadable}
        found = [problem for problem in find_problems(roles, shared, written) if problem.key not in failed]
        problems = sorted([*found, *unreadable])
        result["problems"] = [
            {"file": locate(problem, written), "key": problem.key, "message": problem.message} for problem in problems
        ]
        if problems:
            result["failed"] = True
            result["msg"] = _report(inventory.name, result["problems"])
        return result

    def _hosts(
        self, group: str | None, options: Options, variables: Mapping[str, Any], unreadable: set[Problem]
    ) -> dict[str, dict[str, Any]]:
        """The role's options as each host of its group has them; what cannot be templated is a problem of its own."""
        hosts: dict[str, dict[str, Any]] = {}
        for host in variables["groups"].get(group, []) if group else []:
            values: dict[str, Any] = {}
            own = variables["hostvars"][host]
            for name in options:
                try:
                    if name in own:
                        values[name] = own[name]
                except AnsibleError as error:
                    unreadable.add(Problem(name, f"cannot be evaluated: {error.message}"))
            hosts[host] = values
        return hosts


def _specifications() -> dict[str, Options]:
    import yaml

    found: dict[str, Options] = {}
    for path in sorted(ROLES.glob("*/meta/argument_specs.yml")):
        entries = yaml.safe_load(path.read_text())["argument_specs"].values()
        found[path.parents[1].name] = {name: option for entry in entries for name, option in entry["options"].items()}
    return found


def _report(inventory: str, problems: list[dict[str, str]]) -> str:
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    lines = [f"  {problem['file']}  {problem['key']}: {problem['message']}" for problem in problems]
    return "\n".join([f"{count} in inventory {inventory}; nothing was touched.", *lines])

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Preflight on whole inventories, as a user runs it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.ansible_runner import AnsibleRunner
from tests.staging import ROOT

PREFLIGHT = ROOT / "playbooks" / "preflight.yml"
COMPLETE = sorted(path.parent.name for path in (ROOT / "inventories").glob("*/hosts.yml") if path.parent.name != "lab")


@pytest.mark.row("COL-02")
@pytest.mark.parametrize("environment", COMPLETE)
def test_the_environments_of_the_collection_are_sound(ansible: AnsibleRunner, environment: str) -> None:
    result = ansible.playbook(PREFLIGHT, "-i", str(ROOT / "inventories" / environment))
    assert result.returncode == 0, result.output


@pytest.mark.row("COL-06")
def test_every_problem_comes_at_once_with_its_place(ansible: AnsibleRunner, tmp_path: Path) -> None:
    inventory = tmp_path / "broken"
    shutil.copytree(ROOT / "inventories" / "production_talos", inventory)
    main = inventory / "group_vars" / "all" / "main.yml"
    text = main.read_text().replace("dcm_environment: production_talos", "dcm_enviroment: production_talos")
    main.write_text(text.replace("nodes: 192.168.0.0/16", "nodes: 10.100.4.0/24").replace(" 5432", " nineteen"))
    guilds = inventory / "group_vars" / "all" / "guilds.yml"
    twice = '\n  - {id: "175928847299117063"}\n  - {id: "175928847299117063", tier: golden}\n'
    guilds.write_text(guilds.read_text().replace(" []", twice))
    result = ansible.playbook(ROOT / "playbooks" / "site.yml", "-i", str(inventory))
    assert result.returncode == 2, result.output
    for place, key, message in (
        ("group_vars/all", "dcm_environment", "missing"),
        ("group_vars/all/main.yml:2", "dcm_enviroment", "unknown key; did you mean dcm_environment?"),
        ("group_vars/all/main.yml:4", "dcm_networks.nodes", "10.100.4.0/24 overlaps dcm_networks.cloud"),
        ("group_vars/all/main.yml:17", "dcm_postgres_port", "must be a whole number, is the text 'nineteen'"),
        ("group_vars/all/guilds.yml", "dcm_guilds[1].id", "175928847299117063 stands already in dcm_guilds[0]"),
        ("group_vars/all/guilds.yml", "dcm_guilds[1].tier", "golden is not described in dcm_guild_tiers"),
    ):
        assert any(place in line and f"{key}: {message}" in line for line in result.output.splitlines()), (
            place,
            key,
            result.output,
        )
    assert "Traceback" not in result.output
    assert "PLAY [Vault]" not in result.output

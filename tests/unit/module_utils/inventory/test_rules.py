# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Rules between values, and the whole check with its places."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.inventory.check import Role, find_problems, locate
from ansible_collections.dcm.platform.plugins.module_utils.inventory.files import Definition, definitions
from ansible_collections.dcm.platform.plugins.module_utils.inventory.rules import (
    check_guild_tiers,
    check_guilds,
    check_kubernetes_version,
    check_network_plugin,
    check_networks,
    check_nodes,
    cidr_overlaps,
)
from ansible_collections.dcm.platform.plugins.module_utils.inventory.specification import Problem
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.row("TAL-14")
@pytest.mark.parametrize(
    ("values", "keys"),
    [
        ({}, []),
        ({"dcm_networks": {"a": "10.0.0.0/16", "b": ["10.1.0.0/16", "10.2.0.0/16"]}}, []),
        ({"dcm_networks": {"a": "10.0.0.0/8", "b": ["10.1.0.0/16"]}}, ["dcm_networks.b[0]"]),
        ({"dcm_networks": {"a": "10.0.0.1/16"}}, ["dcm_networks.a"]),
        ({"dcm_networks": {"a": "fd00::/8", "b": "10.0.0.0/8"}}, []),
        (
            {"dcm_networks": {"cloud": "10.100.0.0/16"}, "talos_cluster_service_subnets": ["10.96.0.0/12"]},
            ["talos_cluster_service_subnets[0]"],
        ),
        (
            {"talos_cluster_pod_subnets": ["10.244.0.0/16"], "talos_cluster_service_subnets": ["10.245.0.0/16"]},
            [],
        ),
    ],
)
def test_networks(values: dict[str, Any], keys: list[str]) -> None:
    assert [problem.key for problem in check_networks(values)] == keys


@given(st.integers(0, 255), st.integers(8, 30))
def test_a_network_overlaps_itself_and_what_it_holds(octet: int, length: int) -> None:
    whole = f"{octet}.0.0.0/8"
    part = f"{octet}.0.0.0/{length}"
    assert cidr_overlaps([("whole", whole), ("part", part)]) == [("whole", "part")]


@pytest.mark.parametrize(
    ("guilds", "keys"),
    [
        ([{"id": "1"}, {"id": "2"}], []),
        ([{"id": "1"}, {"id": "2"}, {"id": 1}], ["dcm_guilds[2].id"]),
        ([{"id": "01"}, {"id": "-1"}, {"id": "1x"}], ["dcm_guilds[0].id", "dcm_guilds[1].id", "dcm_guilds[2].id"]),
        ([{"tier": "x"}, "1"], []),
    ],
)
def test_guilds(guilds: list[Any], keys: list[str]) -> None:
    assert [problem.key for problem in check_guilds({"dcm_guilds": guilds})] == keys


def test_guild_tiers() -> None:
    values = {"dcm_guild_tiers": {"a": {}}, "dcm_guilds": [{"id": "1", "tier": "a"}, {"id": "2", "tier": "b"}]}
    assert [problem.key for problem in check_guild_tiers(values)] == ["dcm_guilds[1].tier"]


@pytest.mark.row("TAL-01")
@pytest.mark.parametrize(
    ("version", "problems"), [("1.34.4", 0), ("v1.32", 0), ("1.31.9", 1), ("1.9", 1), ("latest", 1), (None, 0)]
)
def test_kubernetes_version(version: str | None, problems: int) -> None:
    assert len(list(check_kubernetes_version({"dcm_kubernetes_version": version}))) == problems


@pytest.mark.row("TAL-13")
@pytest.mark.parametrize(
    ("nodes", "hosts"),
    [
        ({"a": "192.168.1.1", "b": "192.168.1.2"}, []),
        ({"a": "192.168.1.1", "b": "192.168.1.1"}, ["b"]),
        ({"a": "192.168.2.1"}, ["a"]),
        ({"a": "node-a.example.com"}, []),
    ],
)
def test_nodes(nodes: dict[str, str], hosts: list[str]) -> None:
    values = {"node_addresses": nodes, "dcm_networks": {"nodes": "192.168.1.0/24"}}
    assert [problem.key for problem in check_nodes(values)] == [f"ansible_host of {host}" for host in hosts]


ROLE = Role("vault", {"dcm_url": {"type": "str", "required": True}, "vault_mount": {"type": "str"}}, {"h": {}})


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("dcm_ulr", "unknown key; did you mean dcm_url?"),
        ("dcm_something_else", "unknown key"),
        ("vault_mout", "unknown key; did you mean vault_mount?"),
    ],
)
def test_unknown_keys_are_found(written: str, message: str) -> None:
    problems = find_problems([ROLE], {}, [Definition(written, "group_vars/all.yml", 3)])
    assert Problem(written, message) in problems


@pytest.mark.parametrize("written", ["vault_database_password", "my_own", "ansible_connection"])
def test_peoples_own_variables_are_left_alone(written: str) -> None:
    problems = find_problems([ROLE], {}, [Definition(written, "group_vars/all.yml", 3)])
    assert [problem.key for problem in problems] == ["dcm_url"]


def test_a_variable_of_the_wrong_type_is_not_judged_by_rules_too() -> None:
    role = Role("guilds", {"dcm_guilds": {"type": "list", "elements": "dict"}}, {"h": {"dcm_guilds": ["1", "1"]}})
    assert {problem.message for problem in find_problems([role], {"dcm_guilds": [{"id": 1}, {"id": 1}]}, [])} == {
        "must be a dictionary, is the text '1'"
    }


def test_definitions_come_with_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "group_vars" / "all").mkdir(parents=True)
    (tmp_path / "group_vars" / "all" / "main.yml").write_text("---\n# comment\ndcm_a: 1\ndcm_b: !vault |\n  x\n")
    (tmp_path / "group_vars" / "talos.yml").write_text("dcm_a: 2\n")
    (tmp_path / "group_vars" / "secret.yml").write_text("$ANSIBLE_VAULT;1.1;AES256\n6162\n")
    (tmp_path / "hosts.yml").write_text("all:\n  vars:\n    dcm_c: 1\n  hosts:\n    h:\n      dcm_d: 1\n")
    found = {(d.name, d.file, d.line) for d in definitions(tmp_path)}
    assert found == {
        ("dcm_a", "group_vars/all/main.yml", 3),
        ("dcm_b", "group_vars/all/main.yml", 4),
        ("dcm_a", "group_vars/talos.yml", 1),
        ("dcm_c", "hosts.yml", 3),
        ("dcm_d", "hosts.yml", 6),
    }


@pytest.mark.parametrize(
    ("key", "place"),
    [("dcm_a[0].id", "b.yml:2"), ("dcm_missing", "group_vars/all")],
)
def test_a_problem_is_located(key: str, place: str) -> None:
    written = [Definition("dcm_a", "a.yml", 1), Definition("dcm_a", "b.yml", 2)]
    assert locate(Problem(key, ""), written) == place


@pytest.mark.parametrize(
    ("values", "problems"),
    [
        ({}, 0),
        ({"talos_cluster_network_policies": True}, 0),
        ({"talos_cluster_network_policies": False}, 1),
        ({"talos_cluster_cni": "flannel", "talos_cluster_network_policies": False}, 1),
        ({"talos_cluster_cni": "none", "talos_cluster_network_policies": False}, 0),
    ],
)
def test_network_policies_are_enforced(values: dict[str, Any], problems: int) -> None:
    assert len(list(check_network_plugin(values))) == problems

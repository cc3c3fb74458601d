# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``talos_secrets`` and ``talos_config`` through Ansible: the results are whole, and hidden where it is asked for."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ansible_runner import AnsibleRunner, ModuleResult, failed
from tests.integration.talos.talos_machines import MASKED

Run = Callable[..., ModuleResult]

CONFIG = {
    "cluster_name": "test",
    "endpoint": "https://10.0.0.10",
    "machine_type": "controlplane",
    "talos_version": "1.13.9",
    "kubernetes_version": "1.36.3",
}


@pytest.fixture(scope="module")
def made(run_module: Run) -> ModuleResult:
    return run_module("talos_secrets", {"talos_version": "1.13.9"}, diff=True)


def texts(tree: Any) -> list[str]:
    return [text for value in tree.values() for text in (texts(value) if isinstance(value, dict) else [value])]


def test_a_new_bundle_is_returned_whole(made: ModuleResult) -> None:
    assert made["changed"]
    assert yaml.safe_load(made["text"]) == made["secrets"]
    assert MASKED not in made["text"]
    assert sorted(made["expires"]) == ["etcd", "k8s", "k8saggregator", "os"]
    (diff,) = made["diff"]
    assert (diff["before"], diff["after"]) == ({}, {})


def test_check_mode_makes_one_to_go_on_with(run_module: Run, made: ModuleResult) -> None:
    result = run_module("talos_secrets", {}, check=True)
    assert result["changed"]
    assert len(texts(result["secrets"])) == len(texts(made["secrets"]))
    assert result["secrets"] != made["secrets"]


def test_a_bundle_that_is_given_stays(run_module: Run, made: ModuleResult, tmp_path: Path) -> None:
    path = tmp_path / "secrets.yaml"
    path.write_text(made["text"])
    for options in ({"secrets": made["secrets"]}, {"secrets": made["text"]}, {"path": str(path)}):
        result = run_module("talos_secrets", options)
        assert not result["changed"]
        assert result["secrets"] == made["secrets"]
        assert result["text"] == made["text"]


@pytest.mark.parametrize("version", ["1.13.9", "1.14.0"])
def test_a_cluster_is_adopted_from_a_control_plane(run_module: Run, made: ModuleResult, version: str) -> None:
    options = {**CONFIG, "talos_version": version, "secrets": made["secrets"]}
    config = run_module("talos_config", options)["config"]
    adopted = run_module("talos_secrets", {"config": config})
    assert not adopted["changed"]
    assert adopted["secrets"] == made["secrets"]
    worker = run_module("talos_config", {**options, "machine_type": "worker"})["config"]
    assert "is not of a control plane" in failed(run_module("talos_secrets", {"config": worker}))


def test_given_authorities_are_built_on(run_module: Run, made: ModuleResult) -> None:
    certs = {"os": made["secrets"]["certs"]["os"]}
    result = run_module("talos_secrets", {"certs": certs, "talos_version": "1.14"}, diff=True)
    assert result["changed"]
    assert result["secrets"]["certs"]["os"] == certs["os"]
    assert result["secrets"]["certs"]["etcd"] != made["secrets"]["certs"]["etcd"]
    assert result["diff"][0]["after"] == {"certs": ["os"]}
    assert "certs has no 'king'" in failed(run_module("talos_secrets", {"certs": {"king": {}}}))


def test_authorities_that_end_soon_are_named(run_module: Run, made: ModuleResult) -> None:
    assert made["warnings"] == []
    warnings = run_module("talos_secrets", {"secrets": made["secrets"], "warn_before": 3660})["warnings"]
    assert [warning.partition(" ends on ")[0] for warning in warnings] == [
        f"The authority {name}" for name in ("etcd", "k8s", "k8saggregator", "os")
    ]


def test_one_option_for_both_contracts(run_module: Run, made: ModuleResult) -> None:
    options = {
        **CONFIG,
        "secrets": made["secrets"],
        "hostname": "cp-1",
        "links": [{"name": "eth0", "addresses": ["10.0.0.11/24"], "gateway": "10.0.0.1"}],
        "node_labels": {"dcm.platform/pool": "data"},
        "network_policies": True,
    }
    old = run_module("talos_config", options)
    new = run_module("talos_config", {**options, "talos_version": "1.14.0"})
    documents = {document.get("kind"): document for document in yaml.safe_load_all(new["config"])}
    assert documents["KubeNodeConfig"]["labels"]["dcm.platform/pool"] == "data"
    assert documents["KubeFlannelCNIConfig"]["kubeNetworkPoliciesEnabled"]
    legacy = next(yaml.safe_load_all(old["config"]))
    assert legacy["machine"]["nodeLabels"]["dcm.platform/pool"] == "data"
    for result in (old, new):
        (link,) = [one for one in yaml.safe_load_all(result["config"]) if one.get("kind") == "LinkConfig"]
        assert link["routes"] == [{"gateway": "10.0.0.1"}]
        assert MASKED not in result["config"]
        assert [hint for hint in result["hints"] if "10.96.0.0/12" in hint]


def test_half_a_bundle_is_refused(run_module: Run, made: ModuleResult) -> None:
    half = {key: value for key, value in made["secrets"].items() if key != "trustdinfo"}
    result = run_module("talos_secrets", {"secrets": half}, verbosity=3)
    assert "The secrets bundle is not valid: trustdinfo.token is missing." in failed(result)
    assert not [text for text in texts(half) if text in result.output]


def test_a_file_that_is_not_there(run_module: Run) -> None:
    message = failed(run_module("talos_secrets", {"path": "/does/not/exist"}))
    assert message.startswith("/does/not/exist cannot be read")


def test_the_same_inputs_give_the_same_configuration(run_module: Run, made: ModuleResult) -> None:
    first = run_module(
        "talos_config", {**CONFIG, "secrets": made["secrets"], "patches": [{"machine": {"sysctls": {"a": "1"}}}]}
    )
    patch = "machine:\n  sysctls:\n    a: '1'\n"
    second = run_module("talos_config", {**CONFIG, "secrets": made["text"], "patches": [patch]}, check=True)
    assert not first["changed"]
    assert first["config"] == second["config"]
    assert MASKED not in first["config"]
    documents = list(yaml.safe_load_all(first["config"]))
    assert documents[0]["machine"]["ca"] == made["secrets"]["certs"]["os"]
    assert documents[0]["machine"]["sysctls"] == {"a": "1"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patches": [{}, {"machine": {"x": {"$patch": "delete"}}}]}, "Patch 2 of 2: patch delete: path 'machine.x'"),
        (
            {"patches": [{"machine": {"token": "CANARY-123", "x": {"y": {"$patch": "replace"}}}}]},
            "machine.x.y: the only",
        ),
        ({"patches": ["machine: {token: CANARY-123]"]}, "Patch 1 of 1: the patch is not valid YAML"),
        ({"talos_version": "1.15.0"}, "'1.15.0' is not a version contract this collection can render"),
        ({"endpoint": "http://10.0.0.10"}, "endpoint 'http://10.0.0.10' is not of the form https://host:6443"),
        ({"machine_type": "init"}, "value of machine_type must be one of: controlplane, worker"),
    ],
)
def test_bad_input_is_one_clear_message(run_module: Run, made: ModuleResult, options: Any, message: str) -> None:
    result = run_module("talos_config", {**CONFIG, "secrets": made["secrets"], **options}, verbosity=3)
    assert message in failed(result)
    assert "CANARY-123" not in result.output
    assert not [text for text in texts(made["secrets"]) if text in result.output]


@pytest.mark.parametrize("package", ["cryptography", "yaml"])
def test_a_missing_library_is_named(run_module: Run, tmp_path: Path, package: str) -> None:
    (tmp_path / f"{package}.py").write_text("raise ImportError('not here')")
    result = run_module("talos_secrets", {}, environment={"PYTHONPATH": str(tmp_path)})
    name = {"yaml": "PyYAML"}.get(package, package)
    assert re.search(rf"{name} is not installed, [\d.]+ or newer is needed", failed(result))
    assert f"pip install '{name}>=" in failed(result)


@pytest.mark.row("TAL-09")
def test_nothing_is_shown_with_no_log(ansible: AnsibleRunner, tmp_path: Path) -> None:
    kept = tmp_path / "bundle"
    tasks = [
        {"name": "Make", "dcm.platform.talos_secrets": {}, "register": "made", "no_log": True},
        {
            "name": "Render",
            "dcm.platform.talos_config": {**CONFIG, "secrets": "{{ made.secrets }}"},
            "register": "rendered",
            "no_log": True,
        },
        {
            "name": "Keep for the test",
            "ansible.builtin.copy": {"content": "{{ made.text ~ rendered.config }}", "dest": str(kept), "mode": "0600"},
            "no_log": True,
        },
    ]
    result = ansible.playbook([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}], "-c", "local", "-vvv")
    assert result.returncode == 0, result.output
    secrets = {word.strip("'\"") for word in kept.read_text().split() if len(word) > 20 and ":" not in word}
    assert len(secrets) > 12
    assert not [secret for secret in secrets if secret in result.output]

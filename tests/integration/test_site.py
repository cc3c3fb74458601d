# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""site.yml on the whole lab, as a user runs it: predicted, run, unchanged, interrupted, and without a leak.

The tests build on each other in the order of the file: the lab is empty at first.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import readback
from tests.ansible_runner import BIN, AnsibleRunner, PlaybookResult, parse_recap
from tests.conftest import LabFixture
from tests.sandbox.lab import Lab
from tests.sandbox.services import default
from tests.staging import ROOT

INVENTORY = str(ROOT / "inventories" / "lab")
SITE = str(ROOT / "playbooks" / "site.yml")
GUILDS = yaml.safe_load((ROOT / "inventories/lab/group_vars/all/guilds.yml").read_text())["dcm_guilds"]
SHORTEST = 8  # shorter values occur by chance


@pytest.fixture(scope="module")
def site_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabFixture]:
    """A whole lab of this module's own, because the first test needs an empty one."""
    lab = Lab(tmp_path_factory.mktemp("site") / "lab")
    try:
        lab.up(default())
        yield LabFixture(lab)
    finally:
        lab.down()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home directory of its own, so that everything Ansible leaves behind can be searched."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def run(site_lab: LabFixture, home: Path, ansible: AnsibleRunner) -> Any:
    """``run("--check", …)`` runs site.yml on the lab."""
    environment = {"DCM_LAB_DIR": str(site_lab.directory), "HOME": str(home), "TMPDIR": str(home)}

    def run_site(*arguments: str, playbook: str = SITE, plain: bool = False, **variables: str) -> PlaybookResult:
        given = {**environment, **variables}
        return ansible.playbook(playbook, "-i", INVENTORY, *arguments, environment=given, plain=plain)

    return run_site


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the collection's tarball is installed, and nothing else."""
    directory = tmp_path_factory.mktemp("installed")
    galaxy: list[str | Path] = [BIN / "ansible-galaxy", "collection"]
    subprocess.run([*galaxy, "build", ROOT, "--output-path", directory], check=True, capture_output=True)
    (tarball,) = directory.glob("*.tar.gz")
    subprocess.run([*galaxy, "install", tarball, "-p", directory, "--no-deps"], check=True, capture_output=True)
    return directory


def snapshot(lab: LabFixture) -> dict[str, Any]:
    """Everything site.yml could have touched."""
    settings = lab.lab.settings()
    return {
        "schemas": readback.schemas(settings["postgres"]),
        "roles": readback.roles(settings["postgres"]),
        "secrets": readback.secret_paths(settings["vault"]),
        "objects": readback.api_objects(settings["kubernetes"]),
        "nodes": readback.talos_nodes(settings),
        "stored": readback.stored_objects(settings["s3"], settings["s3"]["buckets"]["backups"]),
    }


def changed_roles(output: str) -> list[str]:
    """``role on host`` for every role that changes something on a host."""
    changed, role = set(), ""
    for line in output.splitlines():
        header = re.match(r"TASK \[(\S+) : ", line)
        if header:
            role = header[1]
        elif line.startswith("changed: ["):
            changed.add(f"{role} on {line.split('[')[1].split(']')[0]}")
    return sorted(changed)


predicted: list[str] = []


@pytest.mark.row("COL-07")
def test_check_mode_on_an_empty_lab_touches_nothing(site_lab: LabFixture, run: Any) -> None:
    before = snapshot(site_lab)
    result = run("--check", "--diff")
    assert result.returncode == 0, result.output
    assert snapshot(site_lab) == before
    predicted.extend(changed_roles(result.output))
    assert predicted


def secrets_of(lab: LabFixture) -> set[str]:
    """Every secret value there is: the lab's credentials, and all that lies in OpenBao."""
    settings = lab.lab.settings()
    vault = settings["vault"]
    found: set[str] = set()

    def collect(value: Any, secret: bool = False) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                collect(item, secret or bool(re.search(r"password|token|secret|_key$|unseal", str(key))))
        elif isinstance(value, (list, tuple)):
            for item in value:
                collect(item, secret)
        elif secret and isinstance(value, str) and len(value) >= SHORTEST:
            found.add(value)

    collect(settings)
    for path in readback.secret_paths(vault):
        for value in readback.secret(vault, path).values():
            collect(str(value), secret=True)
            found |= {line for line in str(value).split() if re.fullmatch(r"[A-Za-z0-9+/=_-]{40,}", line)}
    return found


@pytest.mark.row("COL-01")
@pytest.mark.row("COL-04")
@pytest.mark.row("SECR-12")
def test_the_first_run_is_the_tarballs_does_what_was_predicted_and_leaks_nothing(
    site_lab: LabFixture, run: Any, home: Path, installed: Path
) -> None:
    result = run("--diff", "-vvv", playbook="dcm.platform.site", plain=True, ANSIBLE_COLLECTIONS_PATH=str(installed))
    assert result.returncode == 0, result.output
    assert f"{ROOT}/plugins" not in result.output
    assert f"{ROOT}/roles" not in result.output
    secrets = secrets_of(site_lab)
    assert len(secrets) > 50
    leaked = [secret for secret in secrets if secret in result.output]
    assert not leaked, f"{len(leaked)} of {len(secrets)} secrets are in the output"
    places = [path for path in home.rglob("*") if path.is_file()]
    leaks = {str(path) for path in places for secret in secrets if secret.encode() in path.read_bytes()}
    assert not leaks
    assert changed_roles(result.output) == predicted


def test_what_was_asked_for_exists(site_lab: LabFixture) -> None:
    settings = site_lab.lab.settings()
    assert readback.schemas(settings["postgres"]) == {f"g_{guild['id']}" for guild in GUILDS}
    paths = readback.secret_paths(settings["vault"])
    assert {f"dcm/guilds/{guild['id']}/postgresql" for guild in GUILDS} <= paths
    namespaces = readback.namespaces(settings["kubernetes"])
    for name in ("platform-system", "platform-apps", "platform-data", "platform-monitoring"):
        assert namespaces[name]["pod-security.kubernetes.io/enforce"] in ("privileged", "baseline", "restricted")
    nodes = readback.talos_nodes(settings)
    assert len(nodes) == 5
    assert all(node.stage == "running" for node in nodes)
    assert {node.name for node in nodes if node.etcd_member} == {
        node.name for node in nodes if node.machine_type == "controlplane"
    }
    backups = readback.backups(settings["kubernetes"])
    assert set(backups.values()) == {"Completed"}
    stored = readback.stored_objects(settings["s3"], settings["s3"]["buckets"]["backups"])
    for name in backups:
        assert any(key.endswith(f"backups/{name}/{name}.tar.gz") and size > 0 for key, size in stored.items())


def test_the_checkouts_second_run_changes_nothing(run: Any) -> None:
    result = run()
    assert result.returncode == 0, result.output
    assert result.total("changed") == result.total("failed") == 0, result.output


@pytest.mark.parametrize(
    ("process", "task", "service"),
    [
        ("vault", "dcm.platform.vault : Write", "OpenBao or Vault"),
        ("postgres", "dcm.platform.guilds : ", "PostgreSQL"),
        ("kube-apiserver", "dcm.platform.backups : ", "Kubernetes API"),
    ],
)
def test_a_service_that_dies_in_the_middle_is_named(
    site_lab: LabFixture, home: Path, ansible: AnsibleRunner, process: str, task: str, service: str
) -> None:
    """Each dies in a later stage than the one before: that the run gets there shows that the repaired one converges."""
    pid = site_lab.lab.pid(process)
    assert pid is not None
    address = address_of(site_lab, process)
    output = run_and_kill(ansible, site_lab, home, pid, task)
    assert parse_recap(output)["lab"]["failed"] == 1, output
    failure = output[output.index("fatal: [lab]") :]
    assert service in failure
    assert address in failure
    assert "Traceback" not in output
    assert not [secret for secret in secrets_of_settings(site_lab) if secret in output]
    site_lab.repair()


def test_after_the_repairs_the_next_run_converges(run: Any) -> None:
    result = run()
    assert result.returncode == 0, result.output
    assert result.total("failed") == 0


def address_of(lab: LabFixture, process: str) -> str:
    """host:port of the service that the process is."""
    settings = lab.lab.settings()
    addresses: dict[str, str] = {
        "postgres": f"{settings['postgres']['host']}:{settings['postgres']['port']}",
        "vault": settings["vault"]["url"].partition("://")[2],
        "kube-apiserver": settings["kubernetes"]["server"].partition("://")[2],
    }
    return addresses[process]


def secrets_of_settings(lab: LabFixture) -> set[str]:
    """The lab's own credentials, without asking a service that may be down."""
    settings = lab.lab.settings()
    return {settings["vault"]["token"], settings["s3"]["secret_key"], settings["postgres"]["provisioner"]["password"]}


def run_and_kill(ansible: AnsibleRunner, lab: LabFixture, home: Path, pid: int, task: str) -> str:
    """Run site.yml and kill a process as soon as the first task with that name begins."""
    environment = {**ansible.environment(), "DCM_LAB_DIR": str(lab.directory), "HOME": str(home)}
    lines, killed = [], False
    warm, command = ansible.warm_playbook(environment, home)
    with subprocess.Popen(
        [*warm.client, *command, "-i", INVENTORY, SITE],
        cwd=home,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as playbook:
        for line in playbook.stdout or ():
            lines.append(line)
            if not killed and line.startswith(f"TASK [{task}"):
                os.kill(pid, signal.SIGKILL)
                killed = True
    assert killed, "".join(lines)
    return "".join(lines)

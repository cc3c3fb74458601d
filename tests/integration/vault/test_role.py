# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The role ``vault`` and its playbooks: each generated policy is tried as its holder, allowed and denied paths both."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hvac
import pytest
from kubernetes import client as kubernetes
from kubernetes import config

from tests.ansible_runner import AnsibleRunner, PlaybookResult, failed
from tests.conftest import LabFixture
from tests.integration.vault.conftest import Run
from tests.sandbox.service import Settings

GUILDS = ("105844944714224099", "126491441817359442")
SERVICES = {"grafana": ["platform/grafana"], "argocd": ["platform/argocd", "platform/shared"]}
Play = Callable[..., PlaybookResult]


@pytest.fixture
def play(ansible: AnsibleRunner, vault: Settings, mount: str) -> Play:
    """Runs a playbook of the collection against the lab's server and the test's own mount."""

    def run(playbook: str, **variables: Any) -> PlaybookResult:
        settings = {"dcm_vault_url": vault["url"], "dcm_vault_token": vault["token"], "vault_mount": mount, **variables}
        file = ansible.private_file(f"{secrets.token_hex(4)}.json", json.dumps(settings))
        inventory = ansible.private_file("platform.yml", json.dumps({"platform": {"hosts": {"localhost": {}}}}))
        return ansible.playbook(
            f"dcm.platform.{playbook}", "-i", str(inventory), "-c", "local", "-vvv", "--extra-vars", f"@{file}"
        )

    return run


def may_read(client: Any, mount: str, path: str) -> bool:
    try:
        client.secrets.kv.v2.read_secret_version(path, mount_point=mount, raise_on_deleted_version=True)
    except hvac.exceptions.Forbidden:
        return False
    return True


@pytest.mark.row("SECR-04", "SECR-10")
def test_policies_allow_what_they_say_and_nothing_else(play: Play, server: Any, vault: Settings, mount: str) -> None:
    owned = {f"service-{name}": paths for name, paths in SERVICES.items()}
    owned.update({f"guild-{guild}": [f"guilds/{guild}/postgresql"] for guild in GUILDS})
    everything = sorted({path for paths in owned.values() for path in paths} | {"platform/nobody", "guilds/1/x"})
    options = {
        "vault_secrets": [{"path": path, "data": {"k": path}} for path in everything],
        "vault_services": [{"name": name, "secrets": paths} for name, paths in SERVICES.items()],
        "vault_guild_policies": True,
        "vault_guilds_path": "guilds",
        "dcm_guilds": [{"id": guild} for guild in GUILDS],
        "vault_audit_devices": [{"path": "file", "type": "file"}],
    }
    first = play("vault", **options)
    assert first.returncode == 0, first.output
    assert first.total("changed") == 2
    assert vault["token"] not in first.output
    second = play("vault", **options)
    assert (second.returncode, second.total("changed")) == (0, 0), second.output
    for policy, paths in owned.items():
        token = server.auth.token.create(policies=[policy], no_parent=True)["auth"]["client_token"]
        holder = hvac.Client(url=vault["url"], token=token)
        assert [path for path in everything if may_read(holder, mount, path)] == sorted(paths)
        with pytest.raises(hvac.exceptions.Forbidden):
            holder.secrets.kv.v2.create_or_update_secret(paths[0], {"k": "mine"}, mount_point=mount)
        with pytest.raises(hvac.exceptions.Forbidden):
            holder.secrets.kv.v2.list_secrets("", mount_point=mount)
        server.sys.delete_acl_policy(policy)


@pytest.mark.row("SECR-08")
def test_rotation_changes_consumers_first_and_goes_on_where_it_was_broken_off(
    play: Play, server: Any, vault: Settings, mount: str, tmp_path: Path
) -> None:
    path = f"rotate-{secrets.token_hex(4)}"
    server.sys.enable_auth_method("userpass", path=path)
    try:
        server.auth.userpass.create_or_update_user("service", "the-old-one", "default", mount_point=path)
        server.secrets.kv.v2.create_or_update_secret(
            "service", {"user": "service", "password": "the-old-one"}, mount_point=mount
        )
        consumers = tmp_path / "consumers.yml"
        task = {
            "name": "Set the password",
            "dcm.platform.vault_role": {
                "url": vault["url"],
                "token": "{{ dcm_vault_token }}",
                "type": "userpass",
                "mount": path,
                "update_secrets": True,
                "roles": [{"name": "service", "secrets": {"password": "{{ vault_rotation_value }}"}}],
            },
        }
        broken = {"name": "Fail", "ansible.builtin.fail": {"msg": "the consumer is away"}}
        rotation = {"path": "service", "key": "password", "generate": {"length": 40}, "consumers": str(consumers)}

        def stored() -> Any:
            read = server.secrets.kv.v2.read_secret_version
            return read("service", mount_point=mount, raise_on_deleted_version=True)["data"]["data"]

        def accepted(password: str) -> bool:
            try:
                server.auth.userpass.login("service", password, use_token=False, mount_point=path)
            except hvac.exceptions.InvalidRequest:
                return False
            return True

        consumers.write_text(json.dumps([broken]))
        assert play("rotate_secrets", vault_rotations=[rotation]).total("failed") == 1
        begun = stored()
        assert begun["password"] == "the-old-one"
        assert accepted("the-old-one")

        consumers.write_text(json.dumps([task]))
        rotated = play("rotate_secrets", vault_rotations=[rotation])
        assert rotated.returncode == 0, rotated.output
        assert stored() == {"user": "service", "password": begun["password_next"]}
        assert len(begun["password_next"]) == 40
        assert accepted(begun["password_next"])
        assert not accepted("the-old-one")
        assert begun["password_next"] not in rotated.output
    finally:
        server.sys.disable_auth_method(path)


@pytest.mark.row("SECR-06", "BDR-16")
def test_playbooks_back_up_and_ask_before_they_restore(play: Play, lab: LabFixture, tmp_path: Path) -> None:
    snapshot = tmp_path / "vault.snap"
    assert play("backup_vault", vault_snapshot_path=str(snapshot)).total("changed") == 1
    assert snapshot.stat().st_size > 0
    refused = play("restore_vault", vault_snapshot_path=str(snapshot))
    assert refused.total("failed") == 1
    assert "Say that this is meant: confirm: " in refused.output


@pytest.fixture
def cluster(lab: LabFixture) -> Iterator[tuple[Any, Any, str]]:
    """The lab's API server: its client, its core API, and a namespace of the test's own."""
    settings = lab("kubernetes")
    client = config.new_client_from_config(settings["kubeconfig"], context=settings["context"])
    core, access = kubernetes.CoreV1Api(client), kubernetes.RbacAuthorizationV1Api(client)
    namespace = f"vault-{secrets.token_hex(4)}"
    core.create_namespace({"metadata": {"name": namespace}})
    for account in ("grafana", "other", "reviewer"):
        core.create_namespaced_service_account(namespace, {"metadata": {"name": account}})
    access.create_cluster_role_binding(
        {
            "metadata": {"name": namespace},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "system:auth-delegator",
            },
            "subjects": [{"kind": "ServiceAccount", "name": "reviewer", "namespace": namespace}],
        }
    )
    yield client, core, namespace
    access.delete_cluster_role_binding(namespace)
    core.delete_namespace(namespace)


@pytest.mark.row("SECR-03")
def test_a_service_account_logs_in_and_reads_its_own(
    play: Play, server: Any, vault: Settings, mount: str, cluster: tuple[Any, Any, str], call: Run
) -> None:
    client, core, namespace = cluster

    def token_of(account: str) -> str:
        request = {"spec": {"expirationSeconds": 600}}
        return str(core.create_namespaced_service_account_token(account, namespace, request).status.token)

    path = f"kubernetes-{secrets.token_hex(4)}"
    reviewer = token_of("reviewer")
    options = {
        "vault_secrets": [
            {"path": "platform/grafana", "data": {"k": 1}},
            {"path": "platform/argocd", "data": {"k": 2}},
        ],
        "vault_services": [
            {
                "name": "grafana",
                "secrets": ["platform/grafana"],
                "kubernetes": [{"mount": path, "namespaces": [namespace]}],
            }
        ],
        "vault_auth_methods": [
            {
                "path": path,
                "type": "kubernetes",
                "config": {
                    "kubernetes_host": client.configuration.host,
                    "kubernetes_ca_cert": Path(client.configuration.ssl_ca_cert).read_text(),
                    "disable_local_ca_jwt": True,
                },
                "config_secrets": {"token_reviewer_jwt": reviewer},
            }
        ],
    }
    try:
        first = play("vault", **options)
        assert first.returncode == 0, first.output
        assert reviewer not in first.output
        second = play("vault", **options)
        assert (second.returncode, second.total("changed")) == (0, 0), second.output
        login = {"auth_method": "kubernetes", "mount_point": path, "role_id": "grafana", "token": None, "mount": mount}
        state = {"path": "platform/grafana", "data": {"k": 1}}
        token = token_of("grafana")
        result = call("vault_secret", secrets=[state], jwt=token, verbosity=3, check=True, **login)
        assert not result["failed"], result["msg"]
        assert not result["changed"]
        assert token not in result.output
        other = {"path": "platform/argocd", "data": {"k": 2}}
        assert f"forbids GET {mount}/data/platform/argocd" in failed(
            call("vault_secret", secrets=[other], jwt=token, check=True, **login)
        )
        assert f"POST auth/{path}/login" in failed(
            call("vault_secret", secrets=[state], jwt=token_of("other"), **login)
        )
    finally:
        server.sys.disable_auth_method(path)
        server.sys.delete_acl_policy("service-grafana")

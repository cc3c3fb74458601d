# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``vault_policy``, ``vault_mount``, ``vault_auth``, ``vault_role`` on a real OpenBao server, read back with hvac."""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Iterator
from typing import Any

import hvac
import psycopg2
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.ansible_runner import failed
from tests.conftest import LabFixture
from tests.integration.vault.conftest import Run
from tests.sandbox.service import Settings

CANARY = "canary-of-a-role"


def unique(prefix: str) -> str:
    return f"{prefix}-{secrets.token_hex(4)}"


def policy_of(server: Any, name: str) -> str | None:
    try:
        return str(server.sys.read_acl_policy(name)["data"]["policy"])
    except hvac.exceptions.InvalidPath:
        return None


class TestPolicies:
    @pytest.mark.row("SECR-04")
    def test_from_creation_to_removal(self, call: Run, server: Any) -> None:
        name = unique("life")
        paths = [
            {"path": "secret/data/one", "capabilities": ["read", "list"]},
            {"path": "secret/data/two", "capabilities": ["create"], "allowed_parameters": {"data": []}},
        ]
        wanted = [{"name": name, "paths": paths}]
        predicted = call("vault_policy", policies=wanted, check=True, diff=True)
        assert predicted["changed"]
        assert "secret/data/two" in predicted["diff"][0]["after"]["policy"]
        assert policy_of(server, name) is None

        created = call("vault_policy", policies=wanted)
        assert created["policies"] == predicted["policies"] == [{"name": name, "state": "present", "changed": True}]
        assert 'allowed_parameters = {"data" = []}' in str(policy_of(server, name))
        assert not call("vault_policy", policies=wanted)["changed"]

        other_spelling = """
            # the same in other words
            path "secret/data/two" { allowed_parameters = { "data" = [] } capabilities = ["create"] }
            path "secret/data/one" { capabilities = ["list", "read", ] }
        """
        assert not call("vault_policy", policies=[{"name": name, "policy": other_spelling}])["changed"]
        as_json = {"path": {"secret/data/one": {"capabilities": ["read", "list"]}}}
        changed = call("vault_policy", policies=[{"name": name, "policy": json.dumps(as_json)}])
        assert changed["changed"]

        server.sys.create_or_update_acl_policy(name, 'path "*" { capabilities = ["sudo"] }')
        assert call("vault_policy", policies=wanted)["changed"]  # drift
        assert "sudo" not in str(policy_of(server, name))

        gone = [{"name": name, "state": "absent"}]
        assert call("vault_policy", policies=gone, check=True)["changed"]
        assert policy_of(server, name)
        assert call("vault_policy", policies=gone)["changed"]
        assert policy_of(server, name) is None
        assert not call("vault_policy", policies=gone)["changed"]

    def test_wrong_rules(self, call: Run, server: Any) -> None:
        name = unique("wrong")
        message = failed(
            call("vault_policy", policies=[{"name": name, "paths": [{"path": "a", "capabilities": ["x"]}]}])
        )
        assert message == f"Policy {name}: paths[0] (a): there is no capability x."
        empty = {"name": name + "2", "policy": "# nothing is allowed"}
        result = call("vault_policy", policies=[{"name": name, "policy": "path {"}, empty])
        assert "HTTP 400" in failed(result)
        assert [change["name"] for change in result["failed_changes"]] == [name]
        assert policy_of(server, name) is None
        server.sys.delete_acl_policy(name + "2")

    def test_nobody_there_and_a_token_without_rights(self, call: Run, server: Any, vault: Settings) -> None:
        wanted = [{"name": "any", "paths": [{"path": "a", "capabilities": ["read"]}]}]
        message = failed(call("vault_policy", policies=wanted, url="http://127.0.0.1:1", retries=0))
        assert "OpenBao or Vault at http://127.0.0.1:1 is not reachable: Connection refused." in message
        assert "does not accept the token" in failed(call("vault_policy", policies=wanted, token="s.nobody-has-this"))
        weak = server.auth.token.create(policies=["default"], no_parent=True)["auth"]["client_token"]
        message = failed(call("vault_policy", policies=wanted, token=weak))
        assert f"{vault['url']} forbids GET sys/policies/acl/any: permission denied" in message


class TestMounts:
    def test_from_creation_to_removal(self, call: Run, server: Any) -> None:
        path = unique("engine")
        wanted = {
            "path": path,
            "type": "kv",
            "description": "for a test",
            "options": {"version": 2},
            "tune": {"default_lease_ttl": "1h", "max_lease_ttl": 7200},
            "config": {"max_versions": 5, "delete_version_after": "24h"},
        }

        def mounted() -> Any:
            return server.sys.list_mounted_secrets_engines()["data"].get(f"{path}/")

        assert call("vault_mount", mounts=[wanted], check=True, diff=True)["changed"]
        assert mounted() is None
        assert call("vault_mount", mounts=[wanted])["changed"]
        assert mounted()["config"]["default_lease_ttl"] == 3600
        assert server.secrets.kv.v2.read_configuration(path)["data"]["max_versions"] == 5
        assert not call("vault_mount", mounts=[wanted])["changed"]

        server.sys.tune_mount_configuration(path, max_lease_ttl="9h")
        server.secrets.kv.v2.configure(max_versions=9, delete_version_after="24h", mount_point=path)
        repaired = call("vault_mount", mounts=[wanted], diff=True)
        assert repaired["diff"][0]["before"] == {"tune.max_lease_ttl": 32400, "config.max_versions": 9}
        assert mounted()["config"]["max_lease_ttl"] == 7200
        assert server.secrets.kv.v2.read_configuration(path)["data"]["max_versions"] == 5

        assert "has type 'kv', and that cannot be changed" in failed(
            call("vault_mount", mounts=[{"path": path, "type": "pki"}], check=True)
        )
        gone = {"path": path, "type": "kv", "state": "absent"}
        assert "everything in it would be destroyed" in failed(call("vault_mount", mounts=[gone]))
        assert mounted()
        assert call("vault_mount", mounts=[{**gone, "force": True}])["changed"]
        assert mounted() is None
        assert not call("vault_mount", mounts=[gone])["changed"]

    def test_a_parameter_that_the_server_does_not_know(self, call: Run, server: Any) -> None:
        path = unique("odd")
        wanted = {"path": path, "type": "kv", "options": {"version": 2}, "config": {"max_version": 5}}
        message = failed(call("vault_mount", mounts=[wanted]))
        assert "was written, but config.max_version is None there" in message
        server.sys.disable_secrets_engine(path)


def signed_token(key: rsa.RSAPrivateKey, **claims: Any) -> str:
    """A JWT as a CI server signs one."""

    def encode(part: Any) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")

    now = int(time.time())
    signed = encode({"alg": "RS256", "typ": "JWT"}) + b"." + encode({"iat": now, "exp": now + 300, **claims})
    signature = key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
    return (signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


@pytest.fixture(scope="module")
def signing_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class TestAuthMethodsAndRoles:
    @pytest.fixture
    def path(self, server: Any) -> Iterator[str]:
        path = unique("login")
        yield path
        server.sys.disable_auth_method(path)

    @pytest.mark.row("SECR-14")
    def test_a_ci_job_logs_in_with_its_own_token(
        self, call: Run, server: Any, path: str, mount: str, signing_key: rsa.RSAPrivateKey
    ) -> None:
        public = signing_key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        config = {"jwt_validation_pubkeys": [public.decode()], "bound_issuer": "https://ci.example.com"}
        method = {"path": path, "type": "jwt", "tune": {"max_lease_ttl": "1h"}, "config": config}
        assert call("vault_auth", methods=[method], check=True)["changed"]
        assert f"{path}/" not in server.sys.list_auth_methods()["data"]
        assert call("vault_auth", methods=[method])["auth_methods"] == [
            {"name": path, "state": "present", "changed": True}
        ]
        assert not call("vault_auth", methods=[method])["changed"]

        paths = [{"path": f"{mount}/{kind}/ci", "capabilities": ["read"]} for kind in ("data", "metadata")]
        call("vault_policy", policies=[{"name": path, "paths": paths}])
        role: dict[str, Any] = {
            "name": "deploy",
            "options": {
                "role_type": "jwt",
                "user_claim": "sub",
                "bound_audiences": ["vault"],
                "bound_claims": {"ref": "refs/heads/main"},
                "token_policies": [path],
                "token_ttl": "15m",
            },
        }
        assert call("vault_role", type="jwt", mount=path, roles=[role], check=True)["changed"]
        assert call("vault_role", type="jwt", mount=path, roles=[role])["changed"]
        assert not call("vault_role", type="jwt", mount=path, roles=[role])["changed"]

        server.secrets.kv.v2.create_or_update_secret("ci", {"registry": "token"}, mount_point=mount)
        claims = {"iss": "https://ci.example.com", "sub": "repo:dcm", "aud": "vault", "ref": "refs/heads/main"}
        login = {"auth_method": "jwt", "token": None, "mount_point": path, "role_id": "deploy"}
        read = call("vault_secret_info", mount=mount, paths=["ci"], **login, jwt=signed_token(signing_key, **claims))
        assert read["secrets"][0]["keys"] == ["registry"]
        other = signed_token(signing_key, **{**claims, "ref": "refs/heads/anything"})
        refused = call("vault_secret_info", mount=mount, paths=["ci"], **login, jwt=other, verbosity=3)
        assert f"POST auth/{path}/login" in failed(refused)
        assert other not in refused.output

        role["options"]["token_ttl"] = "5m"
        assert call("vault_role", type="jwt", mount=path, roles=[role], diff=True)["diff"][0]["before"] == {
            "token_ttl": 900
        }
        gone = [{"name": "deploy", "state": "absent"}]
        assert call("vault_role", type="jwt", mount=path, roles=gone)["changed"]
        assert not call("vault_role", type="jwt", mount=path, roles=gone)["changed"]
        assert call("vault_auth", methods=[{"path": path, "type": "jwt", "state": "absent"}])["changed"]
        assert f"{path}/" not in server.sys.list_auth_methods()["data"]

    @pytest.mark.row("SECR-12")
    def test_a_user_keeps_the_password_and_nobody_sees_it(self, call: Run, server: Any, path: str) -> None:
        call("vault_auth", methods=[{"path": path, "type": "userpass"}])
        user: dict[str, Any] = {
            "name": "ember",
            "options": {"token_policies": ["default"]},
            "secrets": {"password": CANARY},
        }
        options: dict[str, Any] = {"type": "userpass", "mount": path, "diff": True, "verbosity": 3}
        created = call("vault_role", roles=[user], **options)
        assert created["diff"][0]["after"]["password"] == "(secret)"
        assert CANARY not in created.output

        def login(password: str) -> Any:
            return server.auth.userpass.login("ember", password, use_token=False, mount_point=path)

        assert login(CANARY)
        other = {**user, "secrets": {"password": "another-canary"}}
        assert not call("vault_role", roles=[other], **options)["changed"]
        user["options"]["token_ttl"] = "1h"
        assert call("vault_role", roles=[user], **options)["changed"]
        assert login(CANARY)
        rotated = call("vault_role", roles=[other], update_secrets=True, **options)
        assert rotated["changed"]
        assert "another-canary" not in rotated.output
        assert login("another-canary")
        with pytest.raises(hvac.exceptions.InvalidRequest):
            login(CANARY)


@pytest.mark.row("SECR-05")
def test_short_lived_database_roles(call: Run, server: Any, lab: LabFixture) -> None:
    database = lab("postgres")
    path = unique("database")
    call("vault_mount", mounts=[{"path": path, "type": "database"}])
    try:
        placeholders = "{{username}}:{{password}}"
        address = f"{database['host']}:{database['port']}/{database['database']}"
        connection = {
            "name": "lab",
            "options": {
                "plugin_name": "postgresql-database-plugin",
                "connection_url": f"postgresql://{placeholders}@{address}?sslmode=disable",
                "username": database["provisioner"]["user"],
                "allowed_roles": ["reporting"],
            },
            "secrets": {"password": database["provisioner"]["password"]},
        }
        role = {
            "name": "reporting",
            "options": {
                "db_name": "lab",
                "default_ttl": "1h",
                "max_ttl": "24h",
                "creation_statements": [
                    "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'"
                ],
                "revocation_statements": ['DROP ROLE IF EXISTS "{{name}}"'],
            },
        }
        for kind, wanted in (("database_connection", connection), ("database", role)):
            assert call("vault_role", type=kind, mount=path, roles=[wanted], check=True)["changed"]
            result = call("vault_role", type=kind, mount=path, roles=[wanted], diff=True, verbosity=3)
            assert result.get("changed"), result
            assert database["provisioner"]["password"] not in result.output
            assert not call("vault_role", type=kind, mount=path, roles=[wanted])["changed"]

        issued = server.secrets.database.generate_credentials("reporting", mount_point=path)
        login = {
            "host": database["host"],
            "port": database["port"],
            "dbname": database["database"],
            "user": issued["data"]["username"],
            "password": issued["data"]["password"],
        }
        connected = psycopg2.connect(**login)
        connected.close()
        server.sys.revoke_lease(issued["lease_id"])
        with pytest.raises(psycopg2.OperationalError):
            psycopg2.connect(**login)
    finally:
        server.sys.disable_secrets_engine(path)

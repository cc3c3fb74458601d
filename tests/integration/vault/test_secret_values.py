# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``vault_secret`` on a real OpenBao server, read back with hvac."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import hvac
import pytest

from tests.ansible_runner import AnsibleRunner, ModuleResult, failed
from tests.conftest import LabFixture
from tests.integration.vault.conftest import mounted
from tests.sandbox.service import Settings, free_port
from tests.waiting import eventually

Run = Callable[..., ModuleResult]


class Store:
    """The independent client of one mount of the server."""

    def __init__(self, client: Any, mount: str) -> None:
        self.client = client
        self.mount = mount

    def put(self, path: str, **data: Any) -> None:
        self.client.secrets.kv.v2.create_or_update_secret(path, data, mount_point=self.mount)

    def get(self, path: str) -> Any:
        """Data and version; None for a secret that was never there or is deleted."""
        read = self.client.secrets.kv.v2.read_secret_version
        answer = self._unless_missing(read, path, raise_on_deleted_version=True)
        return answer and (answer["data"], answer["metadata"]["version"])

    def metadata(self, path: str) -> Any:
        return self._unless_missing(self.client.secrets.kv.v2.read_secret_metadata, path)

    def list(self, path: str) -> list[str]:
        answer = self._unless_missing(self.client.secrets.kv.v2.list_secrets, path)
        return answer["keys"] if answer else []

    def policy(self, path: str) -> str:
        """The name of a new policy to write below one path."""
        name = f"{self.mount}-{secrets.token_hex(4)}"
        rules = f'path "{self.mount}/data/{path}" {{capabilities = ["create", "read", "update"]}}'
        self.client.sys.create_or_update_policy(name, rules)
        return name

    def token_for(self, path: str, num_uses: int = 0) -> str:
        """A token with such a policy, for that many requests (0: any number)."""
        answer = self.client.auth.token.create(policies=[self.policy(path)], no_parent=True, num_uses=num_uses)
        return str(answer["auth"]["client_token"])

    def _unless_missing(self, read: Callable[..., Any], path: str, **options: Any) -> Any:
        try:
            return read(path, mount_point=self.mount, **options)["data"]
        except hvac.exceptions.InvalidPath:
            return None


@pytest.fixture(scope="module")
def store(server: Any) -> Iterator[Store]:
    """A mount of these tests' own."""
    with mounted(server) as mount:
        yield Store(server, mount)


@pytest.fixture
def write(run_module: Run, vault: Settings, store: Store) -> Run:
    """``write([secrets], check=…, token=…)`` runs the module."""

    def call(
        wanted: list[dict[str, Any]],
        *,
        check: bool = False,
        diff: bool = False,
        verbosity: int = 0,
        environment: dict[str, str] | None = None,
        **options: Any,
    ) -> ModuleResult:
        arguments = {"url": vault["url"], "token": vault["token"], "mount": store.mount, "secrets": wanted, **options}
        arguments = {name: value for name, value in arguments.items() if value is not None}
        return run_module(
            "vault_secret", arguments, check=check, diff=diff, verbosity=verbosity, environment=environment
        )

    return call


@pytest.mark.row("SECR-01")
def test_a_secret_from_creation_to_removal(write: Run, store: Store) -> None:
    secret = {"path": "life/one", "data": {"user": "ember", "nested": {"ports": [1, 2]}}}

    predicted = write([secret], check=True, diff=True)
    assert predicted["changed"]
    assert predicted["diff"] == [
        {
            "before": {},
            "before_header": "secret life/one",
            "after": {"user": "(secret)", "nested": "(secret)"},
            "after_header": "secret life/one (create)",
        }
    ]
    assert store.metadata("life/one") is None

    created = write([secret])
    assert {key: created[key] for key in ("changed", "counts", "secrets")} == {
        key: predicted[key] for key in ("changed", "counts", "secrets")
    }
    assert created["secrets"] == [
        {
            "path": "life/one",
            "mount": store.mount,
            "state": "present",
            "version": 1,
            "keys": ["nested", "user"],
            "changed": True,
        }
    ]
    assert store.get("life/one") == ({"user": "ember", "nested": {"ports": [1, 2]}}, 1)
    assert not write([secret])["changed"]

    store.put("life/one", user="drift")
    repaired = write([secret], diff=True)
    assert repaired["counts"]["updated"] == 1
    assert repaired["diff"][0]["before"] == {"user": "(secret, old)"}
    assert store.get("life/one") == (secret["data"], 3)

    absent = {"path": "life/one", "state": "absent"}
    assert write([absent], check=True)["counts"]["deleted"] == 1
    assert store.get("life/one") == (secret["data"], 3)
    assert write([absent])["counts"]["deleted"] == 1
    assert store.get("life/one") is None
    assert store.metadata("life/one")["versions"]["3"]["destroyed"] is False
    assert not write([absent])["changed"]

    again = write([secret])  # on top of the deleted version, whose number the server wants to hear
    assert again["secrets"][0]["version"] == 4
    assert store.get("life/one") == (secret["data"], 4)

    destroyed = {"path": "life/one", "state": "destroyed"}
    assert write([destroyed], check=True)["counts"]["destroyed"] == 1
    assert store.metadata("life/one")["current_version"] == 4
    assert write([destroyed])["counts"]["destroyed"] == 1
    assert store.metadata("life/one") is None
    assert not write([destroyed])["changed"]


@pytest.mark.row("SECR-01")
def test_undeleting_brings_back_what_the_module_deleted(write: Run, store: Store) -> None:
    write([{"path": "undelete", "data": {"key": 1}}])
    write([{"path": "undelete", "state": "absent"}])
    store.client.secrets.kv.v2.undelete_secret_versions("undelete", [1], store.mount)
    assert not write([{"path": "undelete", "data": {"key": 1}}])["changed"]
    assert store.get("undelete") == ({"key": 1}, 1)


def test_a_value_is_generated_once(write: Run, store: Store) -> None:
    generate: dict[str, Any] = {"password": {"length": 40}, "key": {"alphabet": "hex", "length": 64}}
    assert write([{"path": "once", "generate": generate}], check=True)["changed"]
    assert store.get("once") is None
    write([{"path": "once", "generate": generate}])
    first, version = store.get("once")
    assert version == 1
    assert re.fullmatch(r"[A-Za-z0-9]{40}", first["password"])
    assert re.fullmatch(r"[0-9a-f]{64}", first["key"])

    assert not write([{"path": "once", "generate": generate}])["changed"]
    generate["password"]["length"] = 8  # for values to come
    assert not write([{"path": "once", "generate": generate}])["changed"]
    grown = write([{"path": "once", "data": {"user": "u"}, "generate": {**generate, "more": {}}}])
    assert grown["secrets"][0]["keys"] == ["key", "more", "password", "user"]
    second, _version = store.get("once")
    assert {key: second[key] for key in first} == first
    assert len(second["more"]) == 32


def test_merging_and_never_overwriting(write: Run, store: Store) -> None:
    store.put("merge", theirs=1, ours=1)
    store.put("keep", theirs=1)
    wanted = [
        {"path": "merge", "data": {"ours": 2}, "replace": False},
        {"path": "keep", "data": {"theirs": 2}, "generate": {"more": {}}, "overwrite": False},
        {"path": "keep-new", "data": {"key": 1}, "overwrite": False},
    ]
    result = write(wanted)
    assert [one["changed"] for one in result["secrets"]] == [True, False, True]
    assert store.get("merge") == ({"theirs": 1, "ours": 2}, 2)
    assert store.get("keep") == ({"theirs": 1}, 1)
    assert not write(wanted)["changed"]

    store.client.secrets.kv.v2.delete_latest_version_of_secret("keep-new", store.mount)
    assert "Secret keep-new is not to be overwritten, and version 1 of it is deleted" in failed(write(wanted))
    assert store.get("keep-new") is None


def test_three_hundred_secrets_in_one_call(write: Run, store: Store) -> None:
    wanted = [
        {"path": f"bulk/{number}", "data": {"user": f"user-{number}"}, "generate": {"password": {}}}
        for number in range(300)
    ]
    result = write(wanted)
    assert result["counts"] == {
        "created": 300,
        "updated": 0,
        "deleted": 0,
        "destroyed": 0,
        "undeleted": 0,
        "unchanged": 0,
    }
    assert len(store.list("bulk")) == 300
    found = [store.get(f"bulk/{number}")[0] for number in range(300)]
    assert [data["user"] for data in found] == [f"user-{number}" for number in range(300)]
    assert len({data["password"] for data in found}) == 300
    again = write(wanted)
    assert not again["changed"]
    assert again["counts"]["unchanged"] == 300


def test_two_runs_at_once_generate_each_value_once(write: Run, store: Store) -> None:
    wanted = [{"path": f"race/{number}", "generate": {"password": {}}} for number in range(60)]
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda _run: write(wanted), range(2)))
    assert not [result for result in results if result["failed"]]
    assert sum(result["counts"]["created"] for result in results) == 60
    assert {store.get(f"race/{number}")[1] for number in range(60)} == {1}


def test_results_are_not_garbled_by_ordinary_values(write: Run, store: Store) -> None:
    """Ansible would mask 1, 0 and "ordinary" wherever they occur, in versions and paths."""
    secret = {"path": "ordinary/127.0.0.1", "data": {"port": 1, "user": "ordinary", "host": "127.0.0.1"}}
    result = write([secret])
    assert result["secrets"][0]["path"] == "ordinary/127.0.0.1"
    assert result["secrets"][0]["version"] == 1


class TestFailures:
    """Each is one clear message that names the server."""

    def test_nobody_there(self, write: Run) -> None:
        url = f"http://127.0.0.1:{free_port()}"
        message = failed(write([{"path": "a", "data": {}}], url=url, retries=0))
        assert f"OpenBao or Vault at {url} is not reachable: Connection refused." in message

    def test_wrong_token(self, write: Run, vault: Settings) -> None:
        message = failed(write([{"path": "a", "data": {"k": 1}}], token="s.wrong-token-of-no-one"))
        assert f"OpenBao or Vault at {vault['url']} does not accept the token" in message
        assert "wrong-token" not in message

    def test_no_token(self, write: Run) -> None:
        assert "auth_method token needs token. Give it, or set VAULT_TOKEN" in failed(
            write([{"path": "a", "data": {"k": 1}}], token="")
        )

    def test_missing_mount(self, write: Run, vault: Settings) -> None:
        message = failed(write([{"path": "a", "data": {"k": 1}}], mount="nothing/here"))
        assert f"{vault['url']} has no mount nothing/here/, or the token may use nothing in it" in message

    def test_mount_of_version_1_knows_no_versions(self, write: Run, server: Any) -> None:
        mount = f"old-{secrets.token_hex(4)}"
        server.sys.enable_secrets_engine("kv", mount, options={"version": "1"})
        try:
            wanted = {"path": "a", "data": {"k": 1}, "generate": {"password": {}}}
            assert write([wanted], mount=mount)["counts"]["created"] == 1
            found = server.secrets.kv.v1.read_secret("a", mount_point=mount)["data"]
            assert found["k"] == 1
            assert not write([wanted], mount=mount)["changed"]
            message = failed(write([{"path": "a", "state": "undeleted"}], mount=mount))
            assert message.startswith(f"The mount {mount} is a key-value engine of version 1, which knows no state")
            assert write([{"path": "a", "state": "absent"}], mount=mount)["counts"]["deleted"] == 1
            with pytest.raises(hvac.exceptions.InvalidPath):
                server.secrets.kv.v1.read_secret("a", mount_point=mount)
        finally:
            server.sys.disable_secrets_engine(mount)

    def test_one_path_twice(self, write: Run, store: Store) -> None:
        wanted = [{"path": "twice", "data": {"k": 1}}, {"path": "other", "data": {}}, {"path": "/twice/", "data": {}}]
        assert failed(write(wanted)) == "secrets[2] and secrets[0] have the same path twice."
        assert store.metadata("twice") is None

    def test_one_forbidden_path_of_five_hundred(self, write: Run, store: Store) -> None:
        token = store.token_for("allowed/*")
        wanted = [{"path": f"allowed/{number}", "data": {"k": number}} for number in range(499)]
        wanted.insert(277, {"path": "elsewhere", "data": {"k": 1}})
        assert f"forbids GET {store.mount}/data/elsewhere: permission denied" in failed(
            write(wanted, token=token, check=True)
        )
        result = write(wanted, token=token)
        message = failed(result)
        assert f"forbids GET {store.mount}/data/elsewhere: permission denied" in message
        assert "499 of 500 changes were made, 1 failed, 0 not tried." in message
        assert [change["name"] for change in result["failed_changes"]] == ["elsewhere"]
        assert len(result["applied"]) == 499
        assert len(store.list("allowed")) == 499

    def test_a_token_that_ends_on_the_way(self, write: Run, store: Store) -> None:
        wanted = [{"path": f"ending/{number}", "data": {"k": number}} for number in range(20)]
        result = write(wanted, token=store.token_for("ending/*", num_uses=30), workers=1)
        message = failed(result)
        assert "does not accept the token: it is unknown, revoked or expired" in message
        done = len(store.list("ending"))
        assert 0 < done < 20
        assert f"{done} of 20 changes were made, 1 failed, {19 - done} not tried." in message

    def test_the_library_is_missing(self, write: Run, tmp_path: Path) -> None:
        (tmp_path / "hvac.py").write_text("raise ImportError('not here')")
        message = failed(write([{"path": "a", "data": {"k": 1}}], environment={"PYTHONPATH": str(tmp_path)}))
        assert "hvac is not installed, 2.0.0 or newer is needed" in message
        assert "pip install 'hvac>=2.0.0'" in message

    def test_sealed(self, write: Run, server: Any, vault: Settings, lab: LabFixture) -> None:
        server.sys.seal()
        try:
            message = failed(write([{"path": "sealed", "data": {"k": 1}}], retries=0))
        finally:
            lab.repair("vault")
        assert f"OpenBao or Vault at {vault['url']} is sealed" in message
        assert write([{"path": "sealed", "data": {"k": 1}}])["changed"]

    def test_killed_on_the_way(self, write: Run, store: Store, vault: Settings, lab: LabFixture) -> None:
        """What was done is reported, and the next run finishes it without generating anything anew."""
        wanted = [{"path": f"killed/{number}", "generate": {"password": {}}} for number in range(400)]
        pid = lab.lab.pid("vault")
        assert pid is not None
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(write, wanted, workers=2, retries=1)
            try:
                eventually(lambda: len(store.list("killed")) >= 20, "twenty secrets are written")
            finally:
                os.kill(pid, signal.SIGKILL)
            result = running.result()
        lab.repair("vault")
        message = failed(result)
        assert f"OpenBao or Vault at {vault['url']} is not reachable" in message
        assert re.search(r"\d+ of 400 changes were made, \d+ failed, \d+ not tried\.", message)
        done = {path: store.get(f"killed/{path}") for path in store.list("killed")}
        assert 20 <= len(done) < 400
        finished = write(wanted)
        assert finished["counts"]["created"] == 400 - len(done)
        assert {path: store.get(f"killed/{path}") for path in done} == done


class TestLogin:
    """Other ways in than a token, and other namespaces."""

    SECRET = {"path": "login/one", "data": {"k": 1}}

    def test_approle(self, write: Run, server: Any, store: Store) -> None:
        with _auth_method(server, "approle"):
            policies = [store.policy("login/*")]
            server.auth.approle.create_or_update_approle("platform", token_policies=policies, secret_id_num_uses=1)
            role_id = server.auth.approle.read_role_id("platform")["data"]["role_id"]
            secret_id = server.auth.approle.generate_secret_id("platform")["data"]["secret_id"]
            login = {"auth_method": "approle", "token": None, "role_id": role_id, "secret_id": secret_id}
            assert not write([self.SECRET], **login, verbosity=3)["failed"]
            refused = write([self.SECRET], **login, verbosity=3)  # it was good for one login
            assert "HTTP 400 on POST auth/approle/login" in failed(refused)
            assert secret_id not in refused.output

    def test_userpass_from_the_environment(self, write: Run, server: Any, store: Store) -> None:
        with _auth_method(server, "userpass"):
            password = secrets.token_hex(16)
            server.auth.userpass.create_or_update_user("platform", password, store.policy("login/*"))
            variables = {
                "ANSIBLE_HASHI_VAULT_AUTH_METHOD": "userpass",
                "ANSIBLE_HASHI_VAULT_USERNAME": "platform",
                "ANSIBLE_HASHI_VAULT_PASSWORD": password,
            }
            result = write([self.SECRET], token=None, environment=variables, verbosity=3)
            assert not result["failed"]
            assert password not in result.output
            variables["ANSIBLE_HASHI_VAULT_PASSWORD"] = "wrong"
            assert "HTTP 400 on POST auth/userpass/login/platform" in failed(
                write([self.SECRET], token=None, environment=variables)
            )

    def test_namespace_from_the_environment(self, write: Run, store: Store, vault: Settings) -> None:
        namespace = f"team-{secrets.token_hex(4)}"
        store.client.write_data(f"sys/namespaces/{namespace}", data={})
        try:
            inside = Store(hvac.Client(url=vault["url"], token=vault["token"], namespace=namespace), "apps")
            inside.client.sys.enable_secrets_engine("kv", "apps", options={"version": "2"})
            variables = {"VAULT_ADDR": vault["url"], "VAULT_TOKEN": vault["token"], "VAULT_NAMESPACE": namespace}
            result = write([self.SECRET], url=None, token=None, mount="apps", environment=variables)
            assert result["secrets"][0]["version"] == 1
            assert inside.get("login/one") == ({"k": 1}, 1)
            assert "has no mount apps/" in failed(write([self.SECRET], mount="apps"))
        finally:
            store.client.delete(f"sys/namespaces/{namespace}")


@contextlib.contextmanager
def _auth_method(server: Any, kind: str) -> Iterator[None]:
    """Enabled for the time of a ``with``."""
    server.sys.enable_auth_method(kind)
    try:
        yield
    finally:
        server.sys.disable_auth_method(kind)


CANARIES = {
    "short": "qz7",
    "word": "wednesday",
    "lines": "canary-line-one\ncanary-line-two\n",
    "unicode": "kanári-ключ-金",
    "quoted": "canary\"in'quotes\\and\tmore",
    "nested": {"deep": ["canary-in-a-list", 918273645]},
}
NEEDLES = (
    "qz7",
    "wednesday",
    "canary",
    "kanári",
    "kan\\u00e1ri",
    "ключ",
    "918273645",
)


class TestNoValueIsShown:
    """SECR-12: with -vvv, in diffs, failures and process arguments."""

    @pytest.fixture
    def play(self, ansible: AnsibleRunner, vault: Settings, store: Store) -> Callable[..., str]:
        """Runs the module on the canaries, which come from a private file, and returns all output."""

        def run(*flags: str, plain: bool = False, **options: Any) -> str:
            wanted = [
                {"path": "canary/tree", "data": CANARIES, **options.pop("first", {})},
                {"path": "canary/text", "data": json.dumps(CANARIES)},  # as a file's content would be
            ]
            variables = ansible.private_file("canaries.json", json.dumps({"canaries": wanted}))
            there = {"url": vault["url"], "token": vault["token"], "mount": store.mount}
            arguments = {**there, "secrets": "{{ canaries }}", **options}
            task = {"name": "Write", "dcm.platform.vault_secret": arguments}
            plays = [{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]
            given = ("-i", "localhost,", "-c", "local", "-vvv", "--extra-vars", f"@{variables}", *flags)
            return ansible.playbook(plays, *given, plain=plain).output

        return run

    def shown(self, output: str) -> list[str]:
        """The canaries in an output, the names of the file and of the paths aside."""
        text = output.replace("canaries", "").replace("canary/tree", "").replace("canary/text", "")
        return [needle for needle in NEEDLES if needle in text]

    @pytest.mark.row("SECR-12")
    def test_in_results_and_diffs(self, play: Callable[..., str], store: Store, vault: Settings) -> None:
        for flags, expected in ((["--check", "--diff"], "changed=1"), (["--diff"], "changed=1"), ([], "changed=0")):
            output = play(*flags)
            assert expected in output
            assert self.shown(output) == []
            assert vault["token"] not in output
        assert store.get("canary/tree")[0] == CANARIES
        assert store.get("canary/text")[0] == CANARIES

    @pytest.mark.row("SECR-12")
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"first": {"state": "typo"}}, "value of state must be one of"),
            ({"first": {"state": "absent"}}, "mean nothing with state absent"),
            ({"first": {"data": "qz7 wednesday"}}, "data must be a dictionary"),
            ({"mount": "nothing"}, "has no mount"),
            ({"url": "http://127.0.0.1:1", "retries": 0}, "is not reachable"),
        ],
    )
    def test_in_failures(self, play: Callable[..., str], options: dict[str, Any], message: str) -> None:
        output = play(**options)
        assert message in output
        assert "failed=1" in output
        assert self.shown(output) == []

    @pytest.mark.row("SECR-12")
    def test_in_process_arguments(self, play: Callable[..., str], vault: Settings) -> None:
        seen: set[bytes] = set()
        over = threading.Event()

        def watch() -> None:
            while not over.wait(0.005):
                for file in Path("/proc").glob("[0-9]*/cmdline"):
                    with contextlib.suppress(OSError):
                        seen.add(file.read_bytes())

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            play(plain=True)
        finally:
            over.set()
            watcher.join()
        arguments = b"\n".join(seen).decode(errors="replace")
        assert "canaries.json" in arguments  # the run was seen
        assert self.shown(arguments) == []
        assert vault["token"] not in arguments

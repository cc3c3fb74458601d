# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``redis_guild`` on a real Redis server alone and on a real cluster of three nodes."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.ansible_runner import ModuleResult
from tests.conftest import LabFixture
from tests.integration.postgres.guild_database import eventually
from tests.integration.redis.redis_servers import CLUSTER, SINGLE, RedisServers, attempt
from tests.sandbox.service import NotReady, accepts_connections, free_port
from tests.sandbox.services.redis import ports_with_bus

ONE, TWO = "105844944714224099", "18446744073709551615"
PASSWORDS = {guild: f"password-{secrets.token_hex(12)}" for guild in (ONE, TWO)}
GUILDS = [{"id": ONE}, {"id": TWO}]
Run = Callable[..., ModuleResult]


def absent(guild: str) -> dict[str, str]:
    return {"id": guild, "state": "absent", "confirm": guild}


def suspended(guild: str) -> dict[str, str]:
    return {"id": guild, "state": "suspended"}


@pytest.fixture
def single(lab: LabFixture) -> Iterator[RedisServers]:
    made = RedisServers(SINGLE, lab(SINGLE))
    yield made
    made.clear()
    made.close()


@pytest.fixture(params=[SINGLE, CLUSTER])
def servers(request: pytest.FixtureRequest, lab: LabFixture) -> Iterator[RedisServers]:
    made = RedisServers(request.param, lab(request.param))
    yield made
    made.clear()
    made.close()


@pytest.fixture
def run(run_module: Callable[..., Any]) -> Run:
    """``run(servers, guilds, persist=False, check=True)``."""

    def module(servers: RedisServers, guilds: Any, **options: Any) -> ModuleResult:
        how = {name: options.pop(name) for name in ("check", "diff", "verbosity", "environment") if name in options}
        result: ModuleResult = run_module("redis_guild", {**servers.options, "guilds": guilds, **options}, **how)
        return result

    return module


def changes(result: ModuleResult) -> dict[str, int]:
    assert not result["failed"], result
    return {verb: count for verb, count in result["counts"].items() if count and verb != "guilds"}


def message(result: ModuleResult) -> str:
    assert result["failed"], result
    return str(result["msg"])


def can_log_in(servers: RedisServers, guild: str, password: str) -> list[bool]:
    """On each node."""
    answers = []
    for port in servers.ports:
        try:
            with servers.login(guild, password, port) as login:
                answers.append(login.say("PING") == "PONG")
        except (redis.AuthenticationError, redis.exceptions.NoPermissionError):
            answers.append(False)
    return answers


@pytest.mark.row("DATA-15")
def test_from_nothing_to_nothing(servers: RedisServers, run: Run) -> None:
    given = {"passwords": json.dumps(PASSWORDS)}
    everywhere = [True] * len(servers.ports)
    empty: dict[str, list[str]] = {address: [] for address in servers.nodes}
    predicted = run(servers, GUILDS, **given, check=True, diff=True)
    assert changes(predicted) == {"created": 2}
    assert servers.lines() == empty

    created = run(servers, GUILDS, **given, diff=True)
    assert changes(created) == {"created": 2}
    assert created["diff"] == predicted["diff"]
    assert {part["after_header"] for part in created["diff"]} == {f"guild {ONE} (create)", f"guild {TWO} (create)"}
    assert [guild["key_prefix"] for guild in created["guilds"]] == [servers.keys_of(ONE), servers.keys_of(TWO)]
    assert {node["address"] for node in created["nodes"]} == set(servers.nodes)
    for guild in (ONE, TWO):
        assert can_log_in(servers, guild, PASSWORDS[guild]) == everywhere
        assert not any(can_log_in(servers, guild, "another password"))

    settled = servers.lines()
    assert run(servers, GUILDS, **given)["changed"] is False
    assert run(servers, GUILDS)["changed"] is False
    assert servers.lines() == settled

    servers.put(ONE, mine="x")
    servers.put(TWO, a="x", b="y")
    neighbour = servers.stored(ONE)
    guilds = [{"id": ONE}, absent(TWO)]
    predicted = run(servers, guilds, check=True)
    assert changes(predicted) == {"removed": 1, "unchanged": 1}
    assert [node["keys_after"] for node in predicted["removed"][0]["nodes"]] == [None] * len(servers.ports)
    assert len(servers.stored(TWO)) == 2
    removed = run(servers, guilds)
    assert changes(removed) == {"removed": 1, "unchanged": 1}
    (proof,) = removed["removed"]
    assert proof["id"] == TWO
    assert sum(node["keys_before"] for node in proof["nodes"]) == 2
    assert {node["address"]: node["keys_after"] for node in proof["nodes"]} == dict.fromkeys(servers.nodes, 0)
    assert servers.stored(TWO) == {}
    assert servers.stored(ONE) == neighbour
    assert not any(can_log_in(servers, TWO, PASSWORDS[TWO]))
    assert can_log_in(servers, ONE, PASSWORDS[ONE]) == everywhere
    again = run(servers, guilds)
    assert again["changed"] is False
    assert {node["keys_after"] for node in again["removed"][0]["nodes"]} == {0}


DRIFT = [
    ["+@all"],
    ["+keys"],
    ["+client|kill"],
    ["-get"],
    ["~*"],
    ["~{g_2}:*"],
    ["resetkeys"],
    ["&*"],
    ["resetchannels"],
    ["nopass"],
    [">another password"],
    ["off"],
    ["skip-sanitize-payload"],
]
NEWER_DRIFT = [["%R~*"], ["(+get ~*)"]]


@pytest.mark.row("DATA-15")
def test_what_was_changed_by_hand_is_put_back(servers: RedisServers, run: Run) -> None:
    changed = DRIFT + (NEWER_DRIFT if servers.version() >= (7, 0) else [])
    guilds = [{"id": str(number)} for number in range(1, len(changed) + 2)]
    passwords = json.dumps({guild["id"]: f"password-{guild['id']}" for guild in guilds})
    run(servers, guilds, passwords=passwords)
    settled = servers.lines()
    address, node = list(servers.nodes.items())[-1]
    for guild, rules in zip(guilds, changed, strict=False):
        node.execute_command("ACL SETUSER", servers.user(guild["id"]), *rules)
    drifted = servers.lines()
    assert len(set(drifted[address]) - set(settled[address])) == len(changed)
    predicted = run(servers, guilds, passwords=passwords, check=True, diff=True)
    assert changes(predicted) == {"updated": len(changed), "unchanged": 1}
    assert servers.lines() == drifted
    for difference, rules in zip(predicted["diff"], changed, strict=True):
        assert list(difference["before"]) == [address], rules
        assert difference["before"] != difference["after"], rules
    repaired = run(servers, guilds, passwords=passwords, diff=True)
    assert repaired["diff"] == predicted["diff"]
    assert servers.lines() == settled
    assert run(servers, guilds, passwords=passwords)["changed"] is False


def test_a_node_that_lost_a_user_gets_it_with_the_password_of_the_others(
    lab: LabFixture, run: Run, request: pytest.FixtureRequest
) -> None:
    servers = RedisServers(CLUSTER, lab(CLUSTER))
    request.addfinalizer(servers.clear)
    run(servers, GUILDS, passwords=json.dumps(PASSWORDS))
    settled = servers.lines()
    servers.first.acl_deluser(servers.user(ONE), servers.user(TWO))
    assert changes(run(servers, GUILDS)) == {"updated": 2}
    assert servers.lines() == settled


def test_new_passwords_replace_old_ones(single: RedisServers, run: Run) -> None:
    assert changes(run(single, GUILDS)) == {"created": 2}
    assert can_log_in(single, ONE, "") == [False]
    assert changes(run(single, GUILDS, passwords=json.dumps({ONE: "first-password", TWO: None}))) == {
        "updated": 1,
        "unchanged": 1,
    }
    assert can_log_in(single, ONE, "first-password") == [True]
    assert changes(run(single, GUILDS, passwords=json.dumps({ONE: "second-password"}), diff=True))["updated"] == 1
    assert can_log_in(single, ONE, "first-password") == [False]
    assert can_log_in(single, ONE, "second-password") == [True]


def test_a_suspended_guild_is_out_at_once_and_comes_back_with_its_data(servers: RedisServers, run: Run) -> None:
    run(servers, GUILDS, passwords=json.dumps(PASSWORDS))
    settled = servers.lines()
    servers.put(ONE, mine="x")
    kept = servers.stored(ONE)
    with servers.login(ONE, PASSWORDS[ONE]) as session, servers.login(TWO, PASSWORDS[TWO]) as neighbour:
        assert session.say("PING") == "PONG"
        guilds = [suspended(ONE), {"id": TWO}]
        assert changes(run(servers, guilds, check=True)) == {"updated": 1, "unchanged": 1}
        assert session.say("PING") == "PONG"
        assert changes(run(servers, guilds)) == {"updated": 1, "unchanged": 1}
        with pytest.raises(redis.ConnectionError):
            session.say("PING")
        assert neighbour.say("PING") == "PONG"
    assert not any(can_log_in(servers, ONE, PASSWORDS[ONE]))
    assert run(servers, guilds)["changed"] is False
    assert servers.stored(ONE) == kept
    assert changes(run(servers, GUILDS)) == {"updated": 1, "unchanged": 1}
    assert servers.lines() == settled


@pytest.mark.row("CMP-06")
def test_offboarding_finds_keys_in_every_database_and_of_many_guilds(single: RedisServers, run: Run) -> None:
    guilds = [{"id": str(number)} for number in range(1, 13)]
    run(single, guilds, passwords=json.dumps({"1": PASSWORDS[ONE]}))
    pipeline = single.first.pipeline(transaction=False)
    for number in range(2500):
        pipeline.set(f"{single.keys_of('1')}{number}", "x")
    pipeline.set(f"{single.keys_of('12')}kept", "x")
    pipeline.set(f"{{{single.prefix}1}}beside", "x")
    pipeline.set(b"{%s1}:\xff\xfe" % single.prefix.encode(), "x")
    pipeline.execute()
    with single.login("1", PASSWORDS[ONE]) as login:
        own = single.keys_of("1")
        assert attempt(login, [("COPY", f"{own}1", f"{own}hidden", "DB", "3")]).allowed
    result = run(single, [absent("1"), absent("2")])
    assert changes(result) == {"removed": 2}
    counted = {proof["id"]: proof["nodes"][0] for proof in result["removed"]}
    assert counted["1"]["keys_before"] == 2502
    assert counted["1"]["keys_after"] == counted["2"]["keys_before"] == counted["2"]["keys_after"] == 0
    assert single.stored("1") == {}
    assert len(single.stored("12")) == 1
    assert single.first.get(f"{{{single.prefix}1}}beside") == "x"
    assert "db3" not in single.first.info("keyspace")


def test_users_outlive_a_restart(lab: LabFixture, single: RedisServers, run: Run) -> None:
    """Also those of a run that was stopped before it could save them."""
    kept = run(single, GUILDS, passwords=json.dumps(PASSWORDS), persist=False)
    assert (changes(kept), kept["persisted"]) == ({"created": 2}, False)
    second = run(single, GUILDS)
    assert (second["changed"], second["persisted"]) == (False, True)
    lines = single.lines()
    pid = lab.lab.pid(SINGLE)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: lab.lab.pid(SINGLE) is None, "the server has ended")
    lab.repair(SINGLE)
    single.first.connection_pool.disconnect()
    assert single.lines() == lines
    assert can_log_in(single, ONE, PASSWORDS[ONE]) == [True]


@contextlib.contextmanager
def bare_server(program: str, directory: Path, *arguments: str, port: int | None = None) -> Iterator[RedisServers]:
    """A server without a file of users."""
    port = port or free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(directory), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    servers = RedisServers(SINGLE, {"host": "127.0.0.1", "port": port, "password": "of-the-bare-server"})
    try:
        eventually(lambda: _listens(port), "the server listens")
        yield servers
    finally:
        servers.close()
        process.terminate()
        process.wait()


def _listens(port: int) -> bool:
    try:
        accepts_connections("127.0.0.1", port)
    except NotReady:
        return False
    return True


def test_replicas_get_the_users_and_lose_the_keys(lab: LabFixture, run: Run, tmp_path: Path) -> None:
    """A cluster of one primary and its replica, which does not hear of users from it."""
    ports = list(itertools.islice(ports_with_bus(), 2))
    password = "of-the-bare-server"
    clustered = ["--cluster-enabled", "yes", "--requirepass", password, "--masterauth", password]
    with contextlib.ExitStack() as stack:
        for port in ports:
            directory = tmp_path / str(port)
            directory.mkdir()
            stack.enter_context(bare_server(lab(SINGLE)["server"], directory, *clustered, port=port))
        both = {"host": "127.0.0.1", "port": ports[1], "ports": ports, "password": password}
        servers = RedisServers(CLUSTER, both)
        primary, replica = servers.nodes.values()
        primary.execute_command("CLUSTER ADDSLOTS", *range(16384))
        primary.execute_command("CLUSTER MEET", "127.0.0.1", ports[1])
        eventually(lambda: primary.execute_command("CLUSTER INFO")["cluster_state"] == "ok", "the slots are served")
        name = primary.execute_command("CLUSTER MYID")
        eventually(lambda: _knows(replica, name), "the nodes know each other")
        replica.execute_command("CLUSTER REPLICATE", name)
        eventually(lambda: replica.info("replication").get("master_link_status") == "up", "there is a replica")

        made = run(servers, GUILDS, passwords=json.dumps(PASSWORDS), persist=False)
        assert changes(made) == {"created": 2}
        assert sorted((node["address"], node["primary"]) for node in made["nodes"]) == sorted(
            zip(servers.nodes, (True, False), strict=True)
        )
        assert can_log_in(servers, ONE, PASSWORDS[ONE]) == [True, True]
        for number in range(50):
            primary.set(f"{servers.keys_of(ONE)}{number}", "x")
        eventually(lambda: len(replica.keys(f"{servers.keys_of(ONE)}*")) == 50, "the keys are replicated")
        removed = run(servers, [absent(ONE)], persist=False)
        assert changes(removed) == {"removed": 1}
        counted = [(node["keys_before"], node["keys_after"]) for node in removed["removed"][0]["nodes"]]
        assert counted == [(50, 0), (50, 0)]
        assert replica.keys("*") == primary.keys("*") == []
        assert can_log_in(servers, ONE, PASSWORDS[ONE]) == [False, False]


def _knows(node: Any, name: str) -> bool:
    known = node.execute_command("CLUSTER NODES").values()
    return any(other["node_id"] == name and "handshake" not in other["flags"] for other in known)


def test_a_server_that_would_forget_its_users_is_refused(lab: LabFixture, run: Run, tmp_path: Path) -> None:
    with bare_server(lab(SINGLE)["server"], tmp_path, "--requirepass", "of-the-bare-server") as servers:
        refused = run(servers, GUILDS)
        assert f"127.0.0.1:{servers.ports[0]} has no aclfile" in message(refused)
        assert "set persist to false" in message(refused)
        assert servers.first.acl_users() == ["default"]
        kept = run(servers, GUILDS, persist=False)
        assert (changes(kept), kept["persisted"]) == ({"created": 2}, False)


def test_a_server_that_lets_everybody_in_is_refused(lab: LabFixture, run: Run, tmp_path: Path) -> None:
    with bare_server(lab(SINGLE)["server"], tmp_path) as servers:
        open_to_all = {**servers.options}
        del open_to_all["login_password"]
        servers.options = open_to_all
        assert "lets everybody in without a password" in message(run(servers, GUILDS, persist=False))


def test_an_administrator_with_no_more_rights_than_documented(servers: RedisServers, run: Run) -> None:
    rights = "on >of-the-provisioner ~* resetchannels +acl +info +cluster +config|get +client +scan +unlink +select"
    name = f"{servers.prefix}provisioner"
    for node in servers.nodes.values():
        node.execute_command("ACL SETUSER", name, "reset", *rights.split())
    servers.options |= {"login_user": name, "login_password": "of-the-provisioner"}
    assert changes(run(servers, GUILDS, passwords=json.dumps(PASSWORDS))) == {"created": 2}
    servers.put(ONE, mine="x")
    assert changes(run(servers, [absent(ONE), suspended(TWO)])) == {"updated": 1, "removed": 1}
    servers.first.execute_command("ACL SETUSER", name, "-acl")
    refused = run(servers, GUILDS)
    assert "refused ACL" in message(refused)
    assert "Traceback" not in refused.output


def test_reading_takes_the_same_number_of_commands_for_any_number_of_guilds(single: RedisServers, run: Run) -> None:
    def commands(guilds: int) -> int:
        wanted = [{"id": str(number)} for number in range(1, guilds + 1)]
        run(single, wanted)
        before = int(single.first.info("stats")["total_commands_processed"])
        assert run(single, wanted)["changed"] is False
        return int(single.first.info("stats")["total_commands_processed"]) - before

    assert commands(3) == commands(300) < 50


def test_several_runs_at_a_time(lab: LabFixture, run: Run, request: pytest.FixtureRequest) -> None:
    servers = RedisServers(CLUSTER, lab(CLUSTER))
    request.addfinalizer(servers.clear)
    guilds = [{"id": str(number)} for number in range(1, 101)]
    passwords = json.dumps({guild["id"]: f"password-{guild['id']}" for guild in guilds})
    with ThreadPoolExecutor(4) as pool:
        parts = [pool.submit(run, servers, guilds[start : start + 70], passwords=None) for start in (0, 10, 20, 30)]
        assert [part.result()["failed"] for part in parts] == [False] * 4
    assert run(servers, guilds)["changed"] is False
    assert changes(run(servers, guilds, passwords=passwords)) == {"updated": 100}
    assert [len(lines) for lines in servers.lines().values()] == [100] * len(servers.ports)


def test_no_secret_is_shown_or_sent(single: RedisServers, run: Run) -> None:
    canaries = {guild: f"canary-{secrets.token_hex(12)}" for guild in (ONE, TWO)}
    with single.first.monitor() as monitor:
        shown = run(single, GUILDS, passwords=json.dumps(canaries), diff=True, verbosity=3)
        single.first.echo("the end of the listening")
        heard = []
        while "the end of the listening" not in (line := monitor.next_command()["command"]):
            heard.append(line)
    assert changes(shown) == {"created": 2}
    assert heard
    log = Path(single.settings["log"]).read_text()
    for secret in (*canaries.values(), single.settings["password"]):
        assert secret not in shown.output
        assert secret not in "\n".join(heard)
        assert secret not in log
    assert can_log_in(single, ONE, canaries[ONE]) == [True]
    lines = "".join(single.first.acl_list())
    sums = [line.split("#")[1][:64] for line in single.first.acl_list() if single.prefix in line]
    assert len(sums) == 2
    assert all(one in lines and one not in shown.output for one in sums)


BAD = [
    ({"guilds": [{"id": "1.0"}]}, "is not a guild id"),
    ({"guilds": [{"id": "1 ~*"}]}, "is not a guild id"),
    ({"guilds": [{"id": "*", "state": "absent", "confirm": "*"}]}, "is not a guild id"),
    ({"guilds": [{"id": "1"}, {"id": 1}]}, "stands more than once"),
    ({"guilds": [{"id": "1"}], "prefix": "g}:* ~"}, "is no prefix"),
    ({"guilds": [{"id": "1", "state": "absent"}]}, "not removed without confirmation"),
    ({"guilds": [{"id": "1", "state": "absent", "confirm": "2"}]}, "not removed without confirmation"),
    ({"guilds": [{"id": "1"}], "passwords": "hidden-canary {"}, "passwords is no JSON"),
    ({"guilds": [{"id": "1"}], "passwords": '{"2": "hidden-canary"}'}, "not in guilds: 2"),
    ({"guilds": [{"id": "1"}], "passwords": '{"1": ["hidden-canary"]}'}, "is no text, or is empty"),
    ({"guilds": [{"id": "1"}], "passwords": '{"1": ""}'}, "is no text, or is empty"),
    ({"guilds": [{"id": "1"}], "categories": ["dangerous"]}, "must be one or more of"),
]


@pytest.mark.parametrize(("options", "expected"), BAD, ids=[expected for _options, expected in BAD])
def test_bad_options_are_refused_before_anybody_is_asked(
    run_module: Run, options: dict[str, Any], expected: str
) -> None:
    refused = run_module("redis_guild", {"login_port": free_port(), "tls": False, **options})
    assert expected in message(refused)
    for unwanted in ("hidden-canary", "is not reachable", "Traceback"):
        assert unwanted not in refused.output


def test_errors_name_the_server_and_hold_no_secret(single: RedisServers, run: Run, tmp_path: Path) -> None:
    port = free_port()
    began = time.monotonic()
    nobody = run(single, GUILDS, login_host="127.0.0.1", login_port=port)
    assert f"Redis at 127.0.0.1:{port} is not reachable: Connection refused" in message(nobody)
    assert time.monotonic() - began < 10
    wrong = run(single, GUILDS, login_password="wrong-canary")
    assert f"Redis at 127.0.0.1:{single.ports[0]} refused the login" in message(wrong)
    plain = run(single, GUILDS, tls=True, timeout=3)
    assert f"127.0.0.1:{single.ports[0]}" in message(plain)
    (tmp_path / "redis.py").write_text("raise ImportError('not here')")
    without = run(single, GUILDS, environment={"PYTHONPATH": str(tmp_path)})
    assert "redis is not installed, 5.0 or newer is needed" in message(without)
    for result in (nobody, wrong, plain, without):
        assert "Traceback" not in result.output
        assert "wrong-canary" not in result.output


def test_a_node_that_is_down_stops_everything_before_the_first_write(
    lab: LabFixture, run: Run, request: pytest.FixtureRequest
) -> None:
    servers = RedisServers(CLUSTER, lab(CLUSTER))
    request.addfinalizer(servers.clear)
    request.addfinalizer(lambda: lab.repair(CLUSTER))
    pid = lab.lab.pid("redis-3")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: lab.lab.pid("redis-3") is None, "the node has ended")
    assert f"Redis at 127.0.0.1:{servers.ports[2]} is not reachable" in message(run(servers, GUILDS))
    assert servers.first.acl_users() == ["default"] or servers.user(ONE) not in servers.first.acl_users()
    lab.repair(CLUSTER)
    list(servers.nodes.values())[-1].connection_pool.disconnect()
    assert changes(run(servers, GUILDS)) == {"created": 2}

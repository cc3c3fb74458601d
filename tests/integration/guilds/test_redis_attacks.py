# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One guild's login against another guild in Redis: every row of the table, on a server alone and on a cluster.

``naive`` shows that the attacks are attacks: without the model they succeed where the table says so.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.isolation.redis import ATTACKS, CANARY, MARK

from tests.conftest import LabFixture
from tests.integration.redis.redis_servers import CLUSTER, SINGLE, RedisServers, attempt

OWN, OTHER, ALIKE = "1", "2", "12"
PASSWORDS = {OWN: "password-of-guild-1", OTHER: "password-of-guild-2", ALIKE: "password-of-guild-12"}
SECRET = "what-only-the-other-guild-knows"


@pytest.fixture(params=[SINGLE, CLUSTER])
def servers(request: pytest.FixtureRequest, lab: LabFixture) -> Iterator[RedisServers]:
    made = RedisServers(request.param, lab(request.param))
    for guild in (OTHER, ALIKE):
        made.put(guild, **{f"{MARK}{CANARY}": SECRET})
    yield made
    made.clear()
    made.close()


@pytest.fixture
def model(servers: RedisServers, run_module: Callable[..., Any]) -> RedisServers:
    result = run_module(
        "redis_guild",
        {**servers.options, "guilds": [{"id": guild} for guild in PASSWORDS], "passwords": json.dumps(PASSWORDS)},
    )
    assert result["changed"], result
    return servers


@pytest.fixture
def naive(servers: RedisServers) -> RedisServers:
    for node in servers.nodes.values():
        for guild, password in PASSWORDS.items():
            rules = ["reset", "on", f">{password}", f"~{servers.keys_of(guild)}*", "&*", "+@all"]
            node.execute_command("ACL SETUSER", servers.user(guild), *rules)
    return servers


def surprises(servers: RedisServers, level: str, other: str, port: int) -> list[str]:
    """The attacks of guild 1 on the other guild at this node that did not end as the table says."""
    wrong = []
    version = servers.version()
    for attack in ATTACKS:
        expected = getattr(attack, level)
        if expected is None or attack.since > version or (attack.cluster_only and not servers.clustered):
            continue
        with servers.login(OWN, PASSWORDS[OWN], port) as login:
            outcome = attempt(login, attack.words(OWN, other, servers.prefix))
        told = "".join(outcome.answers)
        if outcome.allowed != (expected == "allow"):
            wrong.append(f"{attack.name}: expected {expected}, got {outcome}")
        elif level == "model" and (SECRET in told or servers.keys_of(other) in told):
            wrong.append(f"{attack.name}: told {outcome}")
    return wrong


@pytest.mark.row("DATA-15")
def test_the_model_denies_what_the_table_says_on_every_node(model: RedisServers) -> None:
    before = {guild: model.stored(guild) for guild in (OTHER, ALIKE)}
    assert all(len(keys) == 1 for keys in before.values())
    lines = model.lines()
    for port in model.ports:
        for other in (OTHER, ALIKE):
            assert surprises(model, "model", other, port) == []
    assert {guild: model.stored(guild) for guild in (OTHER, ALIKE)} == before
    assert model.lines() == lines


def test_without_the_model_the_attacks_succeed(naive: RedisServers) -> None:
    lines = naive.lines()
    assert surprises(naive, "naive", OTHER, naive.ports[0]) == []
    # Nor does an attack that succeeds do harm: what runs them on a server that is in use relies on it.
    assert naive.lines() == lines
    assert len(naive.stored(OTHER)) == 1


def test_names_are_seen_without_the_model_and_only_then(naive: RedisServers) -> None:
    """The canary is found by who looks for it: that the model shows none means something."""
    told = []
    for port in naive.ports:
        with naive.login(OWN, PASSWORDS[OWN], port) as login:
            told += attempt(login, [("KEYS", "*")]).answers
    assert any(naive.keys_of(OTHER) in one for one in told)


@pytest.mark.row("DATA-15")
def test_a_guild_works_with_several_keys_in_a_cluster(model: RedisServers) -> None:
    home = model.home(OWN).connection_pool.connection_kwargs["port"]
    own = model.keys_of(OWN)
    with model.login(OWN, PASSWORDS[OWN], home) as login:
        assert login.say("MSET", f"{own}a", 1, f"{own}b", 2) == "OK"
        assert login.say("MGET", f"{own}a", f"{own}b") == ["1", "2"]
        assert login.say("MULTI") == "OK"
        assert login.say("INCR", f"{own}a") == login.say("RENAME", f"{own}b", f"{own}c") == "QUEUED"
        assert login.say("EXEC") == [2, "OK"]


def test_messages_of_another_guild_do_not_arrive(model: RedisServers) -> None:
    with model.login(OWN, PASSWORDS[OWN]) as mine, model.login(OTHER, PASSWORDS[OTHER]) as theirs:
        own, other = model.keys_of(OWN), model.keys_of(OTHER)
        assert mine.say("SUBSCRIBE", f"{own}news") == ["subscribe", f"{own}news", 1]
        assert not attempt(theirs, [("PUBLISH", f"{own}news", "forged")]).allowed
        assert theirs.say("PUBLISH", f"{other}news", "private") == 0
        with model.login(OWN, PASSWORDS[OWN]) as colleague:
            assert colleague.say("PUBLISH", f"{own}news", "hello") == 1
        assert mine.say("PING") == ["message", f"{own}news", "hello"]

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What goes wrong on the way: lost answers never make two of anything, and nobody is asked before the time."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.droplet import DROPLET
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.types import TAG, VPC
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import TransientError, UnreachableError

from tests.sandbox.digitalocean.faults import KINDS, Kind, Planned, Seeded
from tests.sandbox.digitalocean.server import STORM_PAUSE
from tests.sandbox.digitalocean.world import World
from tests.unit.module_utils.digitalocean.conftest import PLENTY, TOKEN, Account
from tests.unit.module_utils.digitalocean.test_steps import POSTGRES
from tests.unit.module_utils.digitalocean.test_types import CASES, Case

SCHEDULES = 200
AT_A_TIME = 10
DROPLET_WANTED = {"name": "one", "region": "nyc3", "size": "s-1vcpu-1gb", "image": "ubuntu-24-04-x64"}
DETAILED = {"database cluster": POSTGRES}  # with children, whose creation may be lost as well


def names(account: Account, table: str) -> list[str]:
    return [str(item["name"]) for item in account.api.world.table(table).values()]


@pytest.mark.parametrize("first", range(0, SCHEDULES, AT_A_TIME))
def test_every_schedule_of_faults_converges_to_one_of_each(first: int, account: Account) -> None:
    for seed in range(first, first + AT_A_TIME):
        account.api.world = World(TOKEN, now=lambda: account.time.now, delay=0.5, seed=seed)
        account.api.world.limits.minute = account.api.world.limits.hour = PLENTY
        account.api.faults = [Seeded(seed, share=0.3)]
        cases = random.Random(seed).sample(CASES, 3)
        for case in cases:
            account.run(case.kind, [DETAILED.get(case.kind.noun, case.wanted)])
        account.api.faults = []
        for case in cases:
            check_one(account, case, seed)
    assert Counter(entry.status for entry in account.api.journal if entry.status >= 400 or not entry.status)


def check_one(account: Account, case: Case, seed: int) -> None:
    """Exactly one object, with exactly one of each child, and nothing left to do."""
    wanted = DETAILED.get(case.kind.noun, case.wanted)
    found = names(account, case.table) if case.table != "tag" else list(account.api.world.tags.values())
    assert found.count(wanted["name"]) == 1, f"seed {seed}: {case.kind.noun}: {found}"
    for item in account.api.world.table(case.table).values():
        for children in ("node_pools", "users", "_pools"):
            assert len({child["name"] for child in item.get(children, ())}) == len(item.get(children, ())), seed
    assert account.plan(case.kind, [wanted]) == [], f"seed {seed}: {case.kind.noun}"


@pytest.mark.parametrize("kind", KINDS)
def test_one_fault_of_every_kind_at_the_creation(kind: Kind, account: Account) -> None:
    account.api.faults = [Planned(kind, "POST", "/v2/droplets")]
    _unused, (made,) = account.run(DROPLET, [DROPLET_WANTED])
    assert list(account.api.world.table("droplet")) == [str(made["id"])]
    posts = account.calls("POST").count("/v2/droplets")
    looks = account.calls("GET").count("/v2/droplets")
    done = kind in ("error-after", "page-after", "cut-after")
    rejected = kind in ("throttle", "throttle-with-pause")
    assert (posts, looks) == ((1, 2) if done else (2, 1) if rejected else (2, 2))


def test_a_deletion_whose_answer_was_lost_is_one(account: Account) -> None:
    account.run(TAG, [{"name": "one"}])
    account.api.faults = [Planned("cut-after", "DELETE")]
    account.run(TAG, [{"name": "one", "state": "absent"}])
    assert account.api.world.tags == {}


def test_a_storm_of_429_slows_the_run_and_no_request_comes_before_its_time(account: Account) -> None:
    account.api.faults = [Planned("throttle-with-pause", times=5), Planned("throttle-with-pause", "POST", times=3)]
    account.run(VPC, [{"name": f"network-{number}", "region": "nyc3"} for number in range(6)])
    assert len(names(account, "vpc")) == 6
    journal = account.api.journal
    refused = [index for index, entry in enumerate(journal) if entry.status == 429]
    assert len(refused) == 8
    assert all(journal[index + 1].time - journal[index].time >= STORM_PAUSE for index in refused)


def test_the_headers_keep_a_run_below_the_limit_so_that_nothing_is_refused(account: Account) -> None:
    account.api.world.limits.minute = 10
    account.run(TAG, [{"name": f"tag-{number}"} for number in range(45)])
    assert len(account.api.world.tags) == 45
    assert {entry.status for entry in account.api.journal} == {200, 201}
    assert sum(account.time.sleeps) >= 4 * 60
    assert account.time.now - 1_700_000_000 < 10 * 60


def test_a_429_without_any_hint_backs_off(account: Account) -> None:
    account.api.faults = [Planned("throttle", times=6)]
    account.run(TAG, [{"name": "one"}])
    pauses = account.time.sleeps
    assert len(pauses) == 6
    assert sum(pauses[3:]) > sum(pauses[:3])


def test_what_never_ends_is_reported_with_the_service_and_its_address(account: Account) -> None:
    account.api.faults = [Planned("page-before", times=PLENTY)]
    with pytest.raises(
        TransientError, match=f"DigitalOcean at {account.url} answered HTTP 502 on GET /v2/tags"
    ) as caught:
        account.run(TAG, [{"name": "one"}])
    assert "<html>" not in str(caught.value)
    assert TOKEN not in str(caught.value)
    account.api.faults = [Planned("cut-before", times=PLENTY)]
    with pytest.raises(UnreachableError, match=f"DigitalOcean at {account.url} is not reachable"):
        account.run(TAG, [{"name": "one"}])

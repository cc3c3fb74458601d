# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a reset takes, by name."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.talos.reset import Member, Wiping, plan

CONTROL_PLANE = Member(False, "running", "controlplane", "test", holds_etcd=True)
WORKER = Member(False, "running", "worker", "test")
BOTH = ["STATE", "EPHEMERAL"]


@pytest.mark.parametrize(
    ("member", "wiping", "lost"),
    [
        (WORKER, Wiping(), {"cluster": "test", "type": "worker", "wiped": BOTH}),
        (
            WORKER,
            Wiping(partitions=(), user_disks=("/dev/sdb",)),
            {"cluster": "test", "type": "worker", "wiped": ["the whole system disk", "/dev/sdb"]},
        ),
        (
            CONTROL_PLANE,
            Wiping(),
            {
                "cluster": "test",
                "type": "controlplane",
                "wiped": BOTH,
                "etcd": "this member and its copy of the data",
            },
        ),
        (
            CONTROL_PLANE,
            Wiping(destroy_cluster="test"),
            {"cluster": "test", "type": "controlplane", "wiped": BOTH, "etcd": "all data of the cluster"},
        ),
    ],
)
def test_what_is_lost(member: Member, wiping: Wiping, lost: dict[str, Any]) -> None:
    (change,) = plan(member, wiping, "n-1")
    assert (change.action, change.name, change.before, change.after) == ("delete", "n-1", lost, None)


@pytest.mark.parametrize("member", [Member(True, "maintenance"), Member(False, "resetting")])
def test_nothing_twice(member: Member) -> None:
    assert plan(member, Wiping(destroy_cluster="test"), "n-1") == []


def test_the_name_of_another_cluster() -> None:
    with pytest.raises(InputError, match="n-1 belongs to the cluster 'test', not to 'other'"):
        plan(WORKER, Wiping(destroy_cluster="other"), "n-1")


@pytest.mark.parametrize(
    ("wiping", "comes_back"),
    [(Wiping(), True), (Wiping(reboot=False), False), (Wiping(partitions=()), False)],
)
def test_whether_it_comes_back_by_itself(wiping: Wiping, comes_back: bool) -> None:
    assert wiping.comes_back == comes_back

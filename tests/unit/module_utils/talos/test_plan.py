# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What would change on a node, and what a node still lacks."""

from __future__ import annotations

import itertools
from typing import Any, get_args

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.change import render_diff
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import RefusedError
from ansible_collections.dcm.platform.plugins.module_utils.talos.plan import (
    Condition,
    Machine,
    Mode,
    missing,
    needs_reboot,
    plan,
)
from hypothesis import given, settings
from hypothesis import strategies as st


def config(**machine: Any) -> dict[str, Any]:
    return {"version": "v1alpha1", "machine": {"type": "worker", "token": "S-TOKEN", **machine}}


HOSTNAME = {"apiVersion": "v1alpha1", "kind": "HostnameConfig", "hostname": "w-1"}
SYSCTL = {"apiVersion": "v1alpha1", "kind": "SysctlConfig", "sysctls": {"a": "1"}}
OLD, NEW = [config(nodeLabels={"a": "1"}), HOSTNAME], [config(nodeLabels={"a": "2"}), HOSTNAME]


def running(active: Any, stored: Any = None, stage: str = "running", ready: bool = True) -> Machine:
    return Machine(False, stage, ready, (), active, active if stored is None else stored)


MODES: tuple[Mode, ...] = get_args(Mode)
CHANGED = [
    # active, stored → modes in which something is to be done
    (NEW, NEW, ()),
    (OLD, OLD, ("auto", "no_reboot", "staged", "try")),
    (OLD, NEW, ("auto", "no_reboot", "try")),  # staged, by us or by somebody else
    (NEW, OLD, ("auto", "no_reboot", "staged")),  # on trial
]


@pytest.mark.parametrize(("active", "stored", "modes"), CHANGED)
@pytest.mark.parametrize("mode", MODES)
def test_which_mode_needs_what(active: Any, stored: Any, modes: tuple[Mode, ...], mode: Mode) -> None:
    assert bool(plan(NEW, running(active, stored), mode, "w-1")) == (mode in modes)


def test_the_order_of_documents_means_nothing() -> None:
    assert plan([HOSTNAME, config()], running([config(), HOSTNAME]), "auto", "w-1") == []


def test_the_order_of_keys_means_nothing_but_that_of_lists_does() -> None:
    active = [{"machine": {"token": "S-TOKEN", "certSANs": ["a", "b"], "type": "worker"}, "version": "v1alpha1"}]
    assert plan([config(certSANs=["a", "b"])], running(active), "auto", "w-1") == []
    assert plan([config(certSANs=["b", "a"])], running(active), "auto", "w-1") != []


@pytest.mark.row("TAL-08")
def test_a_changed_label_is_all_the_diff_shows() -> None:
    (diff,) = render_diff(plan(NEW, running(OLD), "auto", "w-1"))
    assert diff["before"] == {"machine": {"nodeLabels": {"a": "1"}}}
    assert diff["after"] == {"machine": {"nodeLabels": {"a": "2"}}}
    assert diff["after_header"] == "machine configuration w-1 v1alpha1 (update)"


def test_of_a_changed_secret_only_that_it_changed() -> None:
    (diff,) = render_diff(plan([config(token="S-NEW")], running([config()]), "auto", "w-1"))
    assert diff["before"] == {"machine": {"token": "(secret, old)"}}
    assert diff["after"] == {"machine": {"token": "(secret, new)"}}


def test_documents_come_and_go() -> None:
    changes = plan([config(), SYSCTL], running([config(), HOSTNAME]), "auto", "w-1")
    assert [(change.action, change.name) for change in changes] == [
        ("create", "w-1 SysctlConfig"),
        ("delete", "w-1 HostnameConfig"),
    ]
    assert (changes[0].before, changes[0].after) == (None, SYSCTL)
    assert (changes[1].before, changes[1].after) == (HOSTNAME, None)


@pytest.mark.parametrize("mode", MODES)
def test_maintenance(mode: Mode) -> None:
    (change,) = plan(NEW, Machine(True, "maintenance"), mode, "w-1")
    assert (change.action, change.name, change.before) == ("create", "w-1", None)
    assert "S-TOKEN" not in str(render_diff([change]))
    assert "'a': '2'" in str(render_diff([change]))


def test_a_worker_does_not_become_a_control_plane() -> None:
    with pytest.raises(RefusedError, match="w-1 is a worker; a configuration cannot make it a controlplane"):
        plan([config(type="controlplane")], running([config()]), "auto", "w-1")


def kubelet(version: str) -> dict[str, Any]:
    return config(kubelet={"image": f"ghcr.io/siderolabs/kubelet:v{version}"})


def test_another_kubernetes_version_is_refused() -> None:
    with pytest.raises(RefusedError, match=r"the Kubernetes version of w-1: kubelet from 1\.36\.3 to 1\.37\.0"):
        plan([kubelet("1.37.0")], running([kubelet("1.36.3")]), "auto", "w-1")
    mirrored = config(kubelet={"image": "registry.example.com/kubelet:v1.36.3"})
    assert plan([mirrored], running([kubelet("1.36.3")]), "auto", "w-1")


@pytest.mark.parametrize(
    ("machine", "cluster", "reboot"),
    [
        ({"nodeLabels": {"a": "1"}}, {}, False),
        ({"sysctls": {"a": "1"}, "kubelet": {"extraArgs": {"v": "2"}}}, {}, False),
        ({"features": {"kubePrism": {"enabled": True}}}, {}, False),
        ({}, {"apiServer": {"extraArgs": {"v": "2"}}}, False),
        ({"env": {}, "files": []}, {}, False),
        ({"env": {"a": "1"}}, {}, True),
        ({"files": [{"path": "/var/x"}]}, {}, True),
        ({"features": {"diskQuotaSupport": True}}, {}, True),
        ({"token": "other"}, {}, True),
    ],
)
def test_what_needs_a_reboot(machine: Any, cluster: Any, reboot: bool) -> None:
    assert needs_reboot([config(), HOSTNAME], [{**config(**machine), "cluster": cluster}, SYSCTL]) == reboot


SCALARS = st.one_of(st.booleans(), st.integers(0, 3), st.sampled_from("xy"))
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner), max_leaves=8
)
MAPS = st.dictionaries(st.sampled_from("abc"), TREES)


@settings(deadline=None)  # the machine may be busy
@given(MAPS, MAPS)
def test_something_is_to_be_done_exactly_if_something_differs(old: Any, new: Any) -> None:
    changes = plan([config(files=new)], running([config(files=old)]), "auto", "w-1")
    assert bool(changes) == (old != new)


@settings(deadline=None)  # the machine may be busy
@given(MAPS, MAPS)
def test_no_diff_shows_what_is_the_same(old: Any, new: Any) -> None:
    for change in plan([config(x=new)], running([config(x=old)]), "auto", "w-1"):
        assert change.before is not None
        assert change.after is not None
        for before, after in common(change.before, change.after):
            assert before != after


def common(before: Any, after: Any) -> Any:
    """Pairs of values that stand at the same place."""
    for key in before.keys() & after.keys():
        both = before[key], after[key]
        yield from common(*both) if all(isinstance(value, dict) for value in both) else [both]


MISSING = [
    # machine, mode, condition → what is missing
    (Machine(True, "maintenance"), "auto", "applied", "it is in maintenance mode"),
    (running(OLD), "auto", "applied", "the configuration is not active yet (stage running)"),
    (running(NEW, stage="installing"), "auto", "applied", "its stage is installing"),
    (running(NEW, stage="rebooting"), "auto", "applied", "its stage is rebooting"),
    (running(NEW, stage="booting"), "auto", "applied", None),
    (running(NEW), "auto", "applied", None),
    (running(NEW, stage="booting"), "auto", "running", "its stage is booting"),
    (running(NEW, ready=False), "auto", "running", None),
    (running(NEW, ready=False), "auto", "ready", "it is not ready"),
    (Machine(False, "running", False, ("nodeReady: no", "time: no"), NEW), "auto", "ready", "nodeReady: no; time: no"),
    (running(NEW), "auto", "ready", None),
    (running(OLD, NEW), "staged", "ready", None),
    (running(NEW, OLD), "staged", "applied", "the configuration is not stored yet"),
    (running(NEW, OLD), "try", "running", None),
]


@pytest.mark.parametrize(("machine", "mode", "condition", "reason"), MISSING)
def test_what_is_missing(machine: Machine, mode: Mode, condition: Condition, reason: str | None) -> None:
    assert missing(NEW, machine, mode, condition) == reason


def test_each_condition_includes_the_ones_before() -> None:
    stages = ("maintenance", "installing", "rebooting", "booting", "running", "resetting")
    for stage, ready in itertools.product(stages, (False, True)):
        machine = running(NEW, stage=stage, ready=ready)
        met = [missing(NEW, machine, "auto", condition) is None for condition in get_args(Condition)]
        assert met == sorted(met, reverse=True)

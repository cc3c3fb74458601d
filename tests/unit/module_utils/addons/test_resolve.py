# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which add-ons are taken, in which order, and which selections are refused."""

from __future__ import annotations

import itertools
import re
from decimal import Decimal
from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.addons.capacity import quantity
from ansible_collections.dcm.platform.plugins.module_utils.addons.resolve import order, resolve
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from hypothesis import given
from hypothesis import strategies as st

from tests.addon_table import entries
from tests.unit.module_utils.addons.catalogue_entries import entry, selection

Entries = list[dict[str, Any]]
REQUESTS = {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "2Gi"}}


def names(resolved: dict[str, Any]) -> list[str]:
    return [addon["name"] for addon in resolved["addons"]]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["first", "second"]),
        ({"enabled": ["third"]}, ["first", "second", "third"]),
        ({"disabled": ["first"]}, ["second"]),
        ({"environment": "staging"}, ["third"]),
        ({"environment": "own", "enabled": ["second"]}, ["second"]),
    ],
)
def test_the_selection(options: dict[str, Any], expected: list[str]) -> None:
    catalogue = [entry("second"), entry("third", environments=["staging"]), entry("first")]
    assert names(resolve(catalogue, selection(**options))) == expected


def test_values_are_merged_in_order_and_filled() -> None:
    catalogue = [
        entry(
            "one",
            values={"a": {"x": 1, "y": 1, "z": 1}, "hosts": ["api.<domain>"], "nodes": "<nodes>", "off": {"deep": 1}},
            environment_values={"dev": {"a": {"y": 2, "z": 2}}, "staging": {"a": {"y": 9}}},
            profile_values={"small": {"a": {"z": 3}}, "large": {"a": {"x": 9}}},
        )
    ]
    options = {"one": {"version": "2.0.0", "values": {"a": {"own": True}, "off": None}}}
    facts = {"domain": "example.org", "nodes": [1, 2]}
    (addon,) = resolve(catalogue, selection(options=options, facts=facts))["addons"]
    assert addon["values"] == {
        "a": {"x": 1, "y": 2, "z": 3, "own": True},
        "hosts": ["api.example.org"],
        "nodes": [1, 2],
        "off": None,
    }
    assert addon["chart"]["version"] == "2.0.0"
    assert catalogue[0]["chart"]["version"] == "1.0.0"


CLASS = {"ingress_class": "class.name", "values": {"class": {"name": "nginx"}}}
REFUSALS: list[tuple[str, Entries, dict[str, Any], str]] = [
    (
        "unknown",
        [entry("loki")],
        {"enabled": ["lokki"]},
        "addons_enabled: there is no add-on lokki; did you mean loki?",
    ),
    ("unknown", [entry("loki")], {"disabled": ["x"]}, "addons_disabled: there is no add-on x."),
    (
        "unknown",
        [entry("loki")],
        {"options": {"lokie": {}}},
        "addons_options: there is no add-on lokie; did you mean loki",
    ),
    ("both", [entry("a")], {"enabled": ["a"], "disabled": ["a"]}, "a is both in addons_enabled and in addons_disabled"),
    ("role", [entry("a", installed_by="argocd")], {"enabled": ["a"]}, "a is installed by the role argocd"),
    ("environment", [entry("a")], {"environment": "prod"}, "No add-on is meant for the environment prod"),
    ("fact", [entry("a", requires={"facts": ["domain"]})], {}, "a needs domain: set domain in addons_facts"),
    (
        "fact",
        [entry("a", values={"b": ["<x> and <y>"]})],
        {"facts": {"x": ""}},
        "a needs x, y: set x, y in addons_facts",
    ),
    ("addon", [entry("a", requires={"addons": ["b"]})], {}, "a needs the add-on b: add it to addons_enabled"),
    (
        "provider",
        [entry("a", requires={"crds": ["x.io"]}), entry("b", environments=[], provides=["x.io"])],
        {},
        "a needs the kinds of x.io, which b would bring: add it to addons_enabled, or name the group in",
    ),
    ("provider", [entry("a", requires={"crds": ["x.io"]})], {}, "the kinds of x.io, which no add-on brings, or name"),
    (
        "floor",
        [entry("a", kubernetes={"min": "1.35"})],
        {},
        "a runs on Kubernetes 1.35 or newer, the cluster has 1.34.4",
    ),
    ("ceiling", [entry("a", kubernetes={"min": "1.3", "max": "1.33"})], {}, "a runs on Kubernetes 1.3 to 1.33, the"),
    (
        "version",
        [entry("a", kubernetes={"min": "1.3"})],
        {"kubernetes_version": "new"},
        "'new' is not a version of Kub",
    ),
    (
        "alternative",
        [entry("a"), entry("b", alternative_to="a", warning="No.")],
        {},
        "b takes the place of a: only one can be",
    ),
    ("class", [entry("a", **CLASS), entry("b", **CLASS)], {}, "a and b both make the ingress class nginx: rename one"),
    (
        "wave",
        [entry("a", requires={"addons": ["b"]}), entry("b", wave=5)],
        {},
        "a, of wave 0, needs b, which comes later",
    ),
    (
        "cycle",
        [entry("a", requires={"addons": ["b"]}), entry("b", requires={"addons": ["a"]})],
        {},
        "The add-ons a → b → a need each other in a circle",
    ),
    (
        "capacity",
        [entry("a", workloads=[{"per_node": True, "resources": REQUESTS}])],
        {"capacity": {"nodes": 3, "cpu": "1", "memory": "8Gi"}},
        "Together they ask for 1.5 CPU and 3 GiB, and the profile small has 1 CPU and 8 GiB for them on 3 nodes.",
    ),
    (
        "path",
        [entry("a", values={}, workloads=[{"replicas": "no.such", "resources": REQUESTS}])],
        {},
        "a: workloads: there is no value no.such",
    ),
]


@pytest.mark.parametrize(("kind", "catalogue", "options", "message"), REFUSALS)
def test_refused(kind: str, catalogue: Entries, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        resolve(catalogue, selection(**options))


def test_all_that_is_wrong_is_told_at_once() -> None:
    catalogue = [entry("a", requires={"facts": ["x"]}), entry("b", kubernetes={"min": "1.99"})]
    with pytest.raises(InputError) as raised:
        resolve(catalogue, selection())
    assert "set x in addons_facts" in str(raised.value)
    assert "1.99 or newer" in str(raised.value)


def test_what_the_cluster_and_other_roles_bring_is_not_missing() -> None:
    catalogue = [
        entry("a", requires={"crds": ["x.io", "y.io"], "addons": ["base"]}),
        entry("base", environments=[], installed_by="base", provides=["y.io"]),
    ]
    assert names(resolve(catalogue, selection(provided_crds=["x.io"]))) == ["a"]


def test_an_alternative_serves_what_needs_the_default_and_says_why_it_is_none() -> None:
    catalogue = [
        entry("ingress"),
        entry("other", environments=[], alternative_to="ingress", warning="It is retired.", wave=-1),
        entry("app", requires={"addons": ["ingress"]}),
    ]
    resolved = resolve(catalogue, selection(enabled=["other"], disabled=["ingress"]))
    assert names(resolved) == ["other", "app"]
    assert resolved["warnings"] == ["other instead of ingress: It is retired."]


def test_a_version_that_nobody_tested_is_a_warning() -> None:
    warnings = resolve([entry("a", tested={"min": "1.35"})], selection())["warnings"]
    assert warnings == ["a is tested with Kubernetes 1.35 or newer, the cluster has 1.34.4."]


def test_requests_are_summed_over_replicas_and_nodes() -> None:
    parts = [
        {"replicas": "count", "resources": "resources"},
        {"per_node": True, "resources": REQUESTS},
        {"resources": REQUESTS},
    ]
    values = {"count": 2, "resources": {"requests": {"cpu": 1, "memory": "512Mi"}}}
    resolved = resolve(
        [entry("a", values=values, workloads=parts)], selection(capacity={"nodes": 4, "cpu": 9, "memory": "9Gi"})
    )
    assert resolved["requests"] == {"cpu": "4500m", "memory": "6144Mi"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("250m", "0.25"),
        ("2", "2"),
        (1.5, "1.5"),
        ("1Ki", "1024"),
        ("1.5Gi", "1610612736"),
        ("2M", "2000000"),
        ("1k", "1000"),
    ],
)
def test_a_quantity(text: Any, expected: str) -> None:
    assert quantity(text) == Decimal(expected)


@pytest.mark.parametrize("text", ["", "Gi", "1 Gi", "1GiB", "one", "1mi"])
def test_no_quantity(text: str) -> None:
    with pytest.raises(InputError, match="is not a quantity"):
        quantity(text)


@st.composite
def graphs(draw: st.DrawFn) -> Entries:
    """Add-ons that need some of those before them in a random order, which no wave contradicts."""
    count = draw(st.integers(1, 12))
    waves = sorted(draw(st.lists(st.integers(-3, 3), min_size=count, max_size=count)))
    labels = draw(st.permutations([f"addon-{number}" for number in range(count)]))
    made = []
    for place, (label, wave) in enumerate(zip(labels, waves, strict=True)):
        needs = draw(st.sets(st.sampled_from(labels[:place]))) if place else set()
        made.append(entry(label, wave=wave, requires={"addons": sorted(needs)}))
    return draw(st.permutations(made))


@given(graphs())
def test_the_order_is_topological_by_wave_and_always_the_same(catalogue: Entries) -> None:
    ordered = order(catalogue)
    position = {addon["name"]: place for place, addon in enumerate(ordered)}
    assert len(position) == len(catalogue)
    for addon in catalogue:
        assert all(position[needed] < position[addon["name"]] for needed in addon["requires"]["addons"])
    assert [addon["wave"] for addon in ordered] == sorted(addon["wave"] for addon in catalogue)
    assert ordered == order(list(reversed(catalogue)))


@given(graphs(), st.data())
def test_a_circle_is_always_refused(catalogue: Entries, data: st.DataObject) -> None:
    ordered = order(catalogue)
    last = data.draw(st.integers(0, len(ordered) - 1))
    first = data.draw(st.integers(0, last))
    chain = [{**addon, "wave": 0} for addon in ordered]
    for place in range(first, last):  # each needs the one before it, and the first needs the last
        chain[place + 1]["requires"] = {"addons": [*chain[place + 1]["requires"]["addons"], chain[place]["name"]]}
    chain[first]["requires"] = {"addons": [chain[last]["name"]]}
    with pytest.raises(InputError, match="need each other in a circle") as raised:
        order(chain)
    path = str(raised.value).removeprefix("The add-ons ").partition(" need each other")[0].split(" → ")
    needs = {addon["name"]: addon["requires"]["addons"] for addon in chain}
    assert path[0] == path[-1]
    assert all(after in needs[before] for before, after in itertools.pairwise(path))


@pytest.mark.row("C-01")
def test_the_default_set_needs_kubernetes_1_32_and_names_who_forces_it() -> None:
    catalogue = [{**addon, "requires": {}, "values": {}, "workloads": [], "ingress_class": ""} for addon in entries()]
    with pytest.raises(InputError) as raised:
        resolve(catalogue, selection(environment="production_talos", kubernetes_version="1.31.9", facts=Everything()))
    assert "cilium runs on Kubernetes 1.32 to 1.35, the cluster has 1.31.9." in str(raised.value)


class Everything(dict[str, str]):
    """Facts that know every key."""

    def get(self, key: str, default: Any = None) -> Any:
        return f"a {key}"

    def __missing__(self, key: str) -> str:
        return f"a {key}"

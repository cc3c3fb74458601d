# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manifests as data."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, render_diff
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.manifests import (
    Identity,
    differing,
    identity,
    ours,
    prepared,
    rank,
    secret_manifest,
    shown,
)
from hypothesis import given
from hypothesis import strategies as st

TREES = st.recursive(
    st.none() | st.integers(0, 3) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from("abcd"), TREES, max_size=4)


@pytest.mark.parametrize(
    ("before", "after", "differences"),
    [
        ({"a": 1}, {"a": 1}, ({}, {})),
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, ({"b": 2}, {"b": 3})),
        ({"a": {"x": 1, "y": 1}}, {"a": {"x": 1, "y": 2}}, ({"a": {"y": 1}}, {"a": {"y": 2}})),
        ({"a": 1}, {}, ({"a": 1}, {})),
        ({}, {"a": [1]}, ({}, {"a": [1]})),
        ({"a": [1, 2]}, {"a": [1, 3]}, ({"a": [1, 2]}, {"a": [1, 3]})),
        (
            {"c": [{"name": "main", "image": "a"}, {"name": "side", "image": "s"}]},
            {"c": [{"name": "main", "image": "b"}, {"name": "side", "image": "s"}]},
            ({"c": [{"name": "main", "image": "a"}]}, {"c": [{"name": "main", "image": "b"}]}),
        ),
    ],
)
def test_only_what_differs_is_shown(before: Any, after: Any, differences: Any) -> None:
    assert differing(before, after) == differences


@given(before=OBJECTS, after=OBJECTS)
def test_no_difference_means_equal(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert (differing(before, after) == ({}, {})) == (before == after)


def test_the_owner_is_marked_and_the_given_manifest_left_alone() -> None:
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "labels": {"b": "c"}}}
    body = prepared([manifest], "list")[identity(manifest)]
    assert body["metadata"]["labels"] == {"b": "c", "dcm.io/owner": "list"}
    assert manifest["metadata"] == {"name": "a", "labels": {"b": "c"}}


def test_what_governs_comes_before_what_is_governed() -> None:
    kinds = ["Deployment", "LimitRange", "Namespace", "ServiceAccount", "CustomResourceDefinition"]
    ordered = sorted((Identity("v1", kind, "", "x") for kind in kinds), key=rank)
    assert [key.kind for key in ordered] == [
        "CustomResourceDefinition",
        "Namespace",
        "LimitRange",
        "ServiceAccount",
        "Deployment",
    ]


def test_a_secret_is_shown_by_its_keys() -> None:
    options = {"name": "a", "namespace": "b", "labels": None, "annotations": None, "type": "Opaque"}
    old = secret_manifest({**options, "string_data": {"url": "same"}, "secret_data": {"password": "old"}})
    new = secret_manifest({**options, "string_data": {"url": "same"}, "secret_data": {"password": "new"}})
    before, after = differing(shown(old), shown(new))
    [entry] = render_diff([Change("update", "Secret", "b/a", before, after)])
    assert (entry["before"], entry["after"]) == (
        {"data": {"password": "(secret, old)"}},
        {"data": {"password": "(secret, new)"}},
    )


def test_the_servers_own_notes_are_no_difference() -> None:
    spec = {"kind": "ConfigMap", "metadata": {"name": "a"}, "data": {}}
    metadata = {"name": "a", "uid": "u", "resourceVersion": "5", "managedFields": [], "annotations": {}}
    assert shown({**spec, "metadata": metadata, "status": {"x": 1}}) == shown(spec)


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"managedFields": [{"manager": "m", "operation": "Apply"}]}, True),
        ({"managedFields": [{"manager": "m", "operation": "Update"}]}, False),
        ({"managedFields": [{"manager": "other", "operation": "Apply"}]}, False),
        ({"managedFields": [{"manager": "m", "operation": "Apply"}], "ownerReferences": [{"name": "x"}]}, False),
        ({}, False),
    ],
)
def test_what_was_applied_by_us_and_belongs_to_nobody_else(metadata: dict[str, Any], expected: bool) -> None:
    assert ours({"metadata": metadata}, "m") is expected

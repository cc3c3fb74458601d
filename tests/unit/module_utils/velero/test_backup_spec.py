# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Durations, label values, and a stored spec compared with what the user gave."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.velero.backup_spec import FIELDS, backup_spec, differences
from ansible_collections.dcm.platform.plugins.module_utils.velero.durations import parse_duration
from ansible_collections.dcm.platform.plugins.module_utils.velero.resources import label_value
from hypothesis import given
from hypothesis import strategies as some


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("24h", 86400),
        ("720h0m0s", 2592000),
        ("1h30m", 5400),
        ("10m", 600),
        ("1.5h", 5400),
        (".5m", 30),
        ("250ms", 0.25),
        ("90s", 90),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "24", "h", "1d", "-1h", "24 h", "1h-3m", "1h30", "PT1H", "24H"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration such as 24h"):
        parse_duration(text)


@given(some.integers(0, 9999), some.integers(0, 59), some.integers(0, 59))
def test_a_duration_is_the_same_however_it_is_written(hours: int, minutes: int, seconds: int) -> None:
    total = (hours * 60 + minutes) * 60 + seconds
    assert parse_duration(f"{hours}h{minutes}m{seconds}s") == parse_duration(f"{total}s")


def test_a_name_of_63_characters_is_its_own_label_value() -> None:
    assert label_value("a" * 63) == "a" * 63


def test_a_longer_name_is_cut_and_hashed() -> None:
    # 57 characters, then the first six of: printf 'a%.0s' {1..64} | sha256sum
    assert label_value("a" * 64) == "a" * 57 + "ffe054"


@given(some.text("abc-.", min_size=64, max_size=253), some.text("abc-.", min_size=64, max_size=253))
def test_label_values_of_long_names_fit_and_differ(one: str, other: str) -> None:
    assert len(label_value(one)) == 63
    assert (label_value(one) == label_value(other)) == (one == other)


def options(**given_options: Any) -> dict[str, Any]:
    return {**{field.option: None for field in FIELDS}, **given_options}


def test_options_that_were_not_given_are_not_in_the_spec() -> None:
    assert backup_spec(options()) == {}
    assert backup_spec(options(included_namespaces=[], label_selector={})) == {}


def test_options_become_keys_of_the_spec() -> None:
    given_options = options(
        included_namespaces=["a"],
        include_cluster_resources=False,
        ttl="24h",
        label_selector={"matchLabels": {"x": "y"}},
    )
    assert backup_spec(given_options) == {
        "includedNamespaces": ["a"],
        "includeClusterResources": False,
        "ttl": "24h",
        "labelSelector": {"matchLabels": {"x": "y"}},
    }


def test_a_bad_duration_names_its_option() -> None:
    with pytest.raises(
        InputError, match=r"^csi_snapshot_timeout: '7d' is not a duration such as 24h, 1h30m or 10m0s\.$"
    ):
        backup_spec(options(csi_snapshot_timeout="7d"))


STORED = {
    "includedNamespaces": ["a", "b"],
    "excludedResources": ["volumesnapshots.snapshot.storage.k8s.io", "secrets"],
    "ttl": "720h0m0s",
    "storageLocation": "default",
    "snapshotMoveData": False,
    "labelSelector": {"matchLabels": {"x": "y"}},
}


@pytest.mark.parametrize(
    ("wanted", "different"),
    [
        ({}, []),
        ({"includedNamespaces": ["b", "a"]}, []),
        ({"includedNamespaces": ["a"]}, ["includedNamespaces"]),
        ({"includedNamespaces": ["a", "b", "c"]}, ["includedNamespaces"]),
        ({"excludedResources": ["secrets"]}, []),
        ({"excludedResources": ["pods"]}, ["excludedResources"]),
        ({"excludedNamespaces": ["c"]}, ["excludedNamespaces"]),
        ({"ttl": "720h"}, []),
        ({"ttl": "24h"}, ["ttl"]),
        ({"itemOperationTimeout": "4h"}, ["itemOperationTimeout"]),
        ({"storageLocation": "other", "snapshotMoveData": True}, ["storageLocation", "snapshotMoveData"]),
        ({"snapshotVolumes": False}, ["snapshotVolumes"]),
        ({"labelSelector": {"matchLabels": {"x": "y"}}}, []),
        ({"labelSelector": {"matchLabels": {"x": "z"}}}, ["labelSelector"]),
    ],
)
def test_only_what_was_given_is_compared(wanted: dict[str, Any], different: list[str]) -> None:
    assert differences(wanted, STORED) == different

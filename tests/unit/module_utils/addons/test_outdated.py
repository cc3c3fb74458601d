# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Newer versions than the pins: the order of semantic versions, and what counts as one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.addons.outdated import (
    newest,
    outdated,
    precedence,
    repositories,
)
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.module_utils.addons.catalogue_entries import entry

# The order of semver.org, 11.4, and what charts have besides.
RISING = [
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0",
    "v1.0.1",
    "1.2.0",
    "1.10.0",
    "2026.7.1",
]


def test_the_order() -> None:
    keys = [precedence(version) for version in RISING]
    assert None not in keys
    assert keys == sorted(keys)  # type: ignore[type-var]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("version", ["", "1", "1.0", "1.0.0.0", "latest", "1.0.0-", "1.0.x"])
def test_no_version(version: str) -> None:
    assert precedence(version) is None


@pytest.mark.parametrize(
    ("versions", "pinned", "expected"),
    [
        (["1.0.0", "1.9.0", "1.10.0"], "1.9.0", "1.10.0"),
        (["1.0.0"], "1.0.0", None),
        (["0.9.0"], "1.0.0", None),
        (["1.0.1-rc.1", "2.0.0-beta"], "1.0.0", None),
        (["1.0.0-rc.2", "1.0.0-rc.11"], "1.0.0-rc.1", "1.0.0-rc.11"),
        (["1.0.0-rc.2", "1.0.0"], "1.0.0-rc.1", "1.0.0"),
        (["v1.2.0", "nightly"], "v1.1.0", "v1.2.0"),
        (["1.0.0+build.2"], "1.0.0+build.1", None),
    ],
)
def test_the_newest(versions: list[str], pinned: str, expected: str | None) -> None:
    assert newest(versions, pinned) == expected


def test_a_pin_that_is_no_version() -> None:
    with pytest.raises(InputError, match="'latest' is not a semantic version"):
        newest(["1.0.0"], "latest")


@given(st.lists(st.sampled_from(RISING), min_size=1), st.sampled_from(RISING))
def test_the_newest_is_above_the_pin_and_below_none(versions: list[str], pinned: str) -> None:
    found = newest(versions, pinned)
    above = [version for version in versions if RISING.index(version) > RISING.index(pinned)]
    if "-" not in pinned:
        above = [version for version in above if "-" not in version]
    assert found == (max(above, key=RISING.index) if above else None)


def test_the_report() -> None:
    addons = [
        entry("old"),
        entry("new", chart={"repository": "https://charts.example.org", "name": "new", "version": "9.0.0"}),
        entry("gone"),
        entry("elsewhere", chart={"repository": "https://other.example.org", "name": "x", "version": "1.0.0"}),
        entry("registry", chart={"repository": "oci://r.example.org", "name": "x", "version": "1.0.0"}),
        entry("down", chart={"repository": "https://down.example.org", "name": "x", "version": "1.0.0"}),
        entry("page", chart={"repository": "https://page.example.org", "name": "x", "version": "1.0.0"}),
        {key: value for key, value in entry("own").items() if key != "chart"},
    ]
    versions: dict[str, list[dict[str, Any]]] = {
        "old": [{"version": "1.1.0", "appVersion": 7}, {"version": "1.2.0", "deprecated": True}, {"version": "1.0.0"}],
        "new": [{"version": "1.0.0"}],
    }
    indexes = {"https://charts.example.org": json.dumps({"entries": versions}), "https://page.example.org": "<html>"}
    report = outdated(addons, indexes, {"https://down.example.org": "no route to host"})
    assert [(line["name"], line["pinned"], line["newest"], line["app_version"]) for line in report["outdated"]] == [
        ("old", "1.0.0", "1.1.0", "7")
    ]
    assert [line["name"] for line in report["current"]] == ["new"]
    assert {line["name"]: line["reason"] for line in report["unknown"]} == {
        "gone": "the index has no chart gone",
        "elsewhere": "no index was given",
        "registry": "a registry has no index",
        "down": "no route to host",
        "page": "what was given is not the index of a chart repository",
    }


def test_repositories_with_an_index() -> None:
    registry = entry("b", chart={"repository": "oci://r.example.org", "name": "b", "version": "1.0.0"})
    assert repositories([entry("a"), registry, entry("c")]) == ["https://charts.example.org"]

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documents are read and written as Talos does it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.talos.documents import (
    at,
    by_identity,
    copied,
    dump,
    identity,
    load,
)
from hypothesis import given, settings
from hypothesis import strategies as st

HOSTNAME = {"apiVersion": "v1alpha1", "kind": "HostnameConfig", "hostname": "cp-1"}
SCALARS = st.one_of(st.booleans(), st.integers(), st.text(), st.none())
TREES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("52:54:00:12:34:56", "52:54:00:12:34:56"),  # a number to YAML 1.1
        ("yes", "yes"),
        ("off", "off"),
        ("2026-01-01", "2026-01-01"),
        ("true", True),
        ("~", None),
        ("", None),
        ("0o644", 420),
        ("0644", 420),
        ("-012", -10),
        ("0x1F", 31),
        ("1_000", 1000),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("089", 89.0),  # no octal number, so Go takes it for a float
        ("168h0m0s", "168h0m0s"),
        ("'7445'", "7445"),
    ],
)
def test_scalars_of_yaml_1_2(text: str, value: Any) -> None:
    assert load(f"a: {text}") == [{"a": value}]


@pytest.mark.parametrize(
    "value",
    ["yes", "off", "0o644", "1e3", "0x1F", "089", "52:54:00:12:34:56", "2026-01-01", "null", "", "true", "a\nb"],
)
def test_texts_stay_texts_for_both_versions(value: str) -> None:
    import yaml

    text = dump([{"a": value}])
    assert load(text) == [{"a": value}]
    assert yaml.safe_load(text) == {"a": value}


@settings(deadline=None)  # the machine may be busy
@given(st.dictionaries(st.text(), TREES))
def test_what_is_written_is_read_back(document: dict[str, Any]) -> None:
    assert load(dump([document])) == [document]


def test_the_same_documents_give_the_same_text() -> None:
    shared = {"crt": "a"}
    text = dump([{"z": shared, "a": shared}, HOSTNAME])
    assert text == dump([{"z": {"crt": "a"}, "a": {"crt": "a"}}, dict(HOSTNAME)])
    assert "&" not in text
    assert text.index("z:") < text.index("a:")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "is not valid YAML: expected the node content, but found '<stream end>' in line 1, column 5"),
        ("token: hunter2\n\tb", "is not valid YAML: found character '\\t' that cannot start any token in line 2"),
        ("a: 1\na: 2", "a key is given twice in line 2"),
        ("- a", "is not a stream of YAML mappings"),
        ("a: !!python/object x", "could not determine a constructor"),
        ("a: \x00", "is not valid YAML"),
    ],
)
def test_a_broken_text_is_named_but_not_shown(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        load(text, "The patch")
    assert str(caught.value).startswith("The patch ")
    assert message in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_empty_documents_do_not_count() -> None:
    assert load("---\n---\na: 1\n---\nnull\n") == [{"a": 1}]


def test_identity() -> None:
    assert str(identity({"machine": {}})) == "v1alpha1"
    assert str(identity(HOSTNAME)) == "HostnameConfig"
    assert str(identity({"apiVersion": "v1alpha1", "kind": "VolumeConfig", "name": "EPHEMERAL"})) == (
        "VolumeConfig EPHEMERAL"
    )
    with pytest.raises(InputError, match="has a kind only"):
        identity({"kind": "HostnameConfig"})
    with pytest.raises(InputError, match="holds the document HostnameConfig twice"):
        by_identity([HOSTNAME, HOSTNAME])


def test_places() -> None:
    assert at({"a": {"b": 1}}, "a.b") == 1
    assert at({"a": {"b": 1}}, "a.b.c") is None
    assert at(None, "a") is None


def test_a_copy_shares_nothing() -> None:
    part: dict[str, Any] = {"x": [1]}
    copy = copied({"a": part, "b": part})
    copy["a"]["x"].append(2)
    assert copy["b"] == part == {"x": [1]}

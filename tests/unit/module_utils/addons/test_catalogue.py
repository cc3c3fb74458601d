# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is wrong with an entry of the catalogue, in words."""

from __future__ import annotations

import json
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from ansible_collections.dcm.platform.plugins.module_utils.addons.catalogue import check_entries
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError

from tests.addon_table import SCHEMA
from tests.unit.module_utils.addons.catalogue_entries import entry

RULES = json.loads(SCHEMA.read_text())


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in entry("one").items() if name != key}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (without("purpose"), "one: purpose: missing: what it is for"),
        (without("name"), "an add-on without a name: name: missing"),
        (entry("one", wafe=1), "one: wafe: unknown key; did you mean wave?"),
        (entry("one", wave="first"), "one: wave: must be a whole number, is the text 'first'"),
        (entry("one", environments=["prod"]), "one: environments[0]: must be one of lab, minikube"),
        (entry("one", chart={"name": "one", "version": "1"}), "one: chart.repository: missing"),
        (entry("one", network=[{"pods": {}}]), "one: network[0].name: missing"),
        (entry("one", network=[{"name": "x", "ingress": [{"to": []}]}]), "network[0].ingress[0].to: unknown key"),
        (entry("one", pod_security={"enforce": "open", "reason": "x"}), "one: pod_security.enforce: must be one of"),
    ],
)
def test_what_the_schema_forbids_is_said_in_words(wrong: dict[str, Any], message: str) -> None:
    assert not jsonschema.Draft202012Validator(RULES).is_valid(wrong)
    with pytest.raises(InputError) as raised:
        check_entries([entry("fine"), wrong], RULES)
    assert message in str(raised.value)
    assert "fine" not in str(raised.value)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (without("chart"), "one: one of chart, git, manifests, crds is needed"),
        (without("namespace"), "one: namespace and pod_security are needed"),
        (entry("one", alternative_to="two"), "one: alternative_to and warning belong together"),
    ],
)
def test_what_is_incomplete(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as raised:
        check_entries([wrong], RULES)
    assert message in str(raised.value)


def test_an_entry_is_fine() -> None:
    jsonschema.Draft202012Validator(RULES).validate(entry("one"))
    check_entries([entry("one")], RULES)

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The options to connect: the code, the documentation and the lookup's environment variables say the same."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from ansible_collections.dcm.platform.plugins.doc_fragments.vault import ModuleDocFragment
from ansible_collections.dcm.platform.plugins.module_utils.vault.arguments import ENVIRONMENT, VAULT_ARGUMENTS
from ansible_collections.dcm.platform.plugins.module_utils.vault.auth import AUTH_METHODS

DOCUMENTED: dict[str, Any] = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]
FOR_LOOKUPS: dict[str, Any] = yaml.safe_load(ModuleDocFragment.PLUGINS)["options"]


def test_every_option_is_documented() -> None:
    assert set(DOCUMENTED) == set(VAULT_ARGUMENTS.spec)


@pytest.mark.parametrize("name", list(ENVIRONMENT))
def test_environment_variables_are_documented_and_known_to_lookups(name: str) -> None:
    described = re.findall(r"E\((\w+)\)", " ".join(DOCUMENTED[name]["description"]))
    assert [variable for variable in described if variable in ENVIRONMENT[name]] == list(ENVIRONMENT[name])
    assert VAULT_ARGUMENTS.spec[name]["fallback"][1] == list(ENVIRONMENT[name])
    # Modules take the first variable that is set, lookups the last.
    assert [entry["name"] for entry in FOR_LOOKUPS[name]["env"]] == list(reversed(ENVIRONMENT[name]))


def test_every_way_to_log_in_has_its_options() -> None:
    assert {name for method in AUTH_METHODS.values() for name in method.required} <= set(VAULT_ARGUMENTS.spec)
    assert DOCUMENTED["auth_method"]["choices"] == list(AUTH_METHODS)


def test_credentials_are_not_logged() -> None:
    assert {name for name, spec in VAULT_ARGUMENTS.spec.items() if spec.get("no_log")} == {
        "token",
        "secret_id",
        "password",
        "jwt",
    }

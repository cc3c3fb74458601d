# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A secrets bundle for all tests: making one takes a while."""

from __future__ import annotations

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.talos.contract import Contract
from ansible_collections.dcm.platform.plugins.module_utils.talos.secrets import Bundle, generate


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    return generate(Contract(1, 13))


@pytest.fixture(scope="session")
def other_bundle() -> Bundle:
    """Of another cluster."""
    return generate(Contract(1, 13))

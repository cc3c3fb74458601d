# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Talos's own schema of machine configurations, for what the collection renders."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from tests.sandbox.talos.schema import SCHEMA, problems


def validate(documents: Iterable[dict[str, Any]]) -> None:
    """Fail unless every document is one that Talos knows, with fields that it knows; skip the test without schema."""
    if not SCHEMA.exists():
        pytest.skip("Talos's configuration schema is not here: set DCM_TALOS_SCHEMA to it")
    assert problems(documents) == []

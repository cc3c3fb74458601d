# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a server's answer is what was asked for: the same figures and lists in the spellings that both sides use."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

Document = Mapping[str, Any]

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?")
_SECONDS = (86400, 3600, 60, 1)


def seconds(value: Any) -> int | None:
    """A duration as the server reads it (``90``, ``"90"``, ``"1h30m"``, ``"7d"``); None if it is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _DURATION.fullmatch(value) if isinstance(value, str) and value else None
    if match is None:
        return None
    return sum(int(part) * unit for part, unit in zip(match.groups("0"), _SECONDS, strict=True))


def as_json(value: Any) -> str:
    """One spelling of one value: 1 and true are not the same, and the order of keys is."""
    return json.dumps(value, sort_keys=True, default=str)


def same(name: str, wanted: Any, actual: Any) -> bool:
    """Whether the server's ``actual`` is the ``wanted`` value of the parameter ``name``.

    What a server leaves out and what is empty are the same. Lists are compared without their order, but for
    ``…statements``, which are run one after the other.
    """
    if not wanted and not actual:
        return True
    if isinstance(wanted, bool) or isinstance(actual, bool):
        return str(wanted).lower() == str(actual).lower()
    if isinstance(wanted, list) or isinstance(actual, list):
        one, other = _items(wanted), _items(actual)
        return one == other if name.endswith("statements") else sorted(one) == sorted(other)
    if isinstance(wanted, Mapping) or isinstance(actual, Mapping):
        return as_json(wanted) == as_json(actual)
    duration = seconds(wanted)
    if duration is not None and duration == seconds(actual):
        return True
    return str(wanted or "").strip() == str(actual or "").strip()


def _items(value: Any) -> list[str]:
    """The elements; text separated by commas stands for a list, too."""
    if isinstance(value, str):
        return [as_json(item.strip()) for item in value.split(",") if item.strip()]
    items = value if isinstance(value, list) else [value]
    return [as_json(item.strip() if isinstance(item, str) else item) for item in items if item is not None]

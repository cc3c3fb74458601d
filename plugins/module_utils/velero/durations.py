# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Durations as Velero writes them: ``720h``, ``1h30m``, ``10m0s`` (Go's notation, without days)."""

from __future__ import annotations

import re
from datetime import timedelta

SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = r"(\d+(?:\.\d*)?|\.\d+)(h|ms|m|s|us|µs|ns)"
_DURATION = re.compile(rf"(?:{_PART})+")


def parse_duration(text: str) -> timedelta:
    """``text`` as a length of time. Raises :class:`ValueError` for what is not in Go's notation, or negative."""
    if text == "0":
        return timedelta()
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration such as 24h, 1h30m or 10m0s")
    return timedelta(seconds=sum(float(number) * SECONDS[unit] for number, unit in re.findall(_PART, text)))

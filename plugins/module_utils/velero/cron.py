# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Cron expressions as Velero's schedules take them: whether one is right, and how long it is at most between two runs.

Five fields, ``@daily`` and the like, or ``@every <duration>``. Days of the week go from 0, Sunday, to 6.
"""

from __future__ import annotations

import datetime
import functools
import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass

from ansible_collections.dcm.platform.plugins.module_utils.velero.durations import parse_duration

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
DESCRIPTORS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
EVERY = "@every "
ZONE = re.compile(r"(?:CRON_)?TZ=(\S+)\s+(.*)")
PART = re.compile(r"(?P<span>[*?]|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>\d+))?")
SHORTEST = datetime.timedelta(seconds=1)
SEARCHED_DAYS = 5 * 366  # a date that does not come within five years never comes
START = datetime.date(2024, 1, 1)  # a leap year first


@dataclass(frozen=True)
class Field:
    """The bounds of one of the five, and the names that stand for numbers in it."""

    name: str
    low: int
    high: int
    names: Mapping[str, int]


FIELDS = (
    Field("minute", 0, 59, {}),
    Field("hour", 0, 23, {}),
    Field("day of the month", 1, 31, {}),
    Field("month", 1, 12, {name: number for number, name in enumerate(MONTHS, 1)}),
    Field("day of the week", 0, 6, {name: number for number, name in enumerate(DAYS)}),
)


def split_zone(expression: str) -> tuple[str, str]:
    """The time zone that an expression begins with, empty if none, and the rest."""
    match = ZONE.fullmatch(expression)
    return (match[1], match[2]) if match else ("", expression)


@functools.lru_cache(maxsize=64)
def longest_interval(expression: str) -> datetime.timedelta:
    """The longest time between two runs, changes of clocks aside.

    Raises :class:`ValueError` for what is no expression, or never comes.
    """
    expression = split_zone(expression)[1].strip()
    if expression.startswith(EVERY):
        return max(parse_duration(expression.removeprefix(EVERY)), SHORTEST)
    if expression.startswith("@") and expression not in DESCRIPTORS:
        raise ValueError(f"{expression!r} is none of {', '.join(DESCRIPTORS)} and {EVERY}<duration>")
    fields = DESCRIPTORS.get(expression, expression).split()
    if len(fields) != len(FIELDS):
        raise ValueError(f"{expression!r} has {len(fields)} fields, not {len(FIELDS)}")
    parsed = [_values(text, field) for text, field in zip(fields, FIELDS, strict=True)]
    minutes, hours, days, months, weekdays = (values for values, _star in parsed)
    either = not (parsed[2][1] or parsed[4][1])  # both days are named: one of them is enough
    times = sorted(datetime.timedelta(hours=hour, minutes=minute) for hour in hours for minute in minutes)
    dates = [
        date
        for date in (START + datetime.timedelta(days=number) for number in range(SEARCHED_DAYS))
        if date.month in months and (any if either else all)((date.day in days, date.isoweekday() % 7 in weekdays))
    ]
    if not dates:
        raise ValueError(f"{expression!r} never comes")
    return max(_gaps(times, dates))


def _gaps(times: list[datetime.timedelta], dates: list[datetime.date]) -> list[datetime.timedelta]:
    """The distances between runs of a day, and from the last one of a day to the first one of the next."""
    within = [later - earlier for earlier, later in itertools.pairwise(times)]
    days = [later - earlier for earlier, later in itertools.pairwise(dates)] or [datetime.timedelta(days=SEARCHED_DAYS)]
    return [*within, max(days) + times[0] - times[-1]]


def _values(text: str, field: Field) -> tuple[set[int], bool]:
    """The numbers of a field, and whether it leaves them open. Raises :class:`ValueError`."""
    parts = [_range(part, field) for part in text.split(",") if part]
    if not parts:
        raise ValueError(f"the {field.name} {text!r} names nothing")
    return {number for numbers, _star in parts for number in numbers}, any(star for _numbers, star in parts)


def _range(part: str, field: Field) -> tuple[range, bool]:
    match = PART.fullmatch(part)
    if match is None:
        raise ValueError(f"the {field.name} {part!r} is not understood")
    step = int(match["step"] or 1)
    if match["span"] in ("*", "?"):
        first, last = field.low, field.high
    else:
        first = _number(match["first"], field)
        last = _number(match["last"], field) if match["last"] else field.high if match["step"] else first
    if not field.low <= first <= last <= field.high or step < 1:
        raise ValueError(f"the {field.name} {part!r} is not within {field.low} to {field.high}")
    return range(first, last + 1, step), match["span"] in ("*", "?") and step == 1


def _number(text: str, field: Field) -> int:
    known = field.names.get(text.lower())
    if known is None and not (text.isascii() and text.isdigit()):
        raise ValueError(f"the {field.name} {text!r} is no number")
    return int(text) if known is None else known

# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""When a schedule is due: the cron expressions that Velero takes, with the meaning and the errors they have there.

Five fields, ``@hourly`` and the like, ``@every <duration>``, and an optional ``CRON_TZ=<zone> `` before them. Sunday is
0 only. A day matches when both day fields match, or, if neither begins with ``*``, when one of them does.
"""

from __future__ import annotations

import datetime
import zoneinfo
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import durationpy

MONTHS = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1
    )
}
DAYS = {name: number for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))}
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
SEARCHED_DAYS = 5 * 366  # a date that does not come within five years never comes
SECOND = datetime.timedelta(seconds=1)


class CronError(ValueError):
    """The expression is none; the text says why, as Velero would."""


class Schedule(Protocol):
    """What an expression means."""

    def next(self, after: datetime.datetime) -> datetime.datetime | None:
        """The first moment after ``after``, None if there is none."""


@dataclass(frozen=True)
class Every:
    """A constant delay."""

    delay: datetime.timedelta

    def next(self, after: datetime.datetime) -> datetime.datetime | None:
        return after.replace(microsecond=0) + self.delay


@dataclass(frozen=True)
class Field:
    """The values that match, and whether the field was written ``*``."""

    values: frozenset[int]
    star: bool


@dataclass(frozen=True)
class Calendar:
    """Minutes, hours and days in a time zone."""

    minutes: Field
    hours: Field
    days: Field
    months: Field
    weekdays: Field
    zone: datetime.tzinfo

    def next(self, after: datetime.datetime) -> datetime.datetime | None:
        day = after.astimezone(self.zone).date()
        for _day in range(SEARCHED_DAYS):
            if self._takes(day):
                found = min((moment for moment in self._moments(day) if moment > after), default=None)
                if found is not None:
                    return found
            day += datetime.timedelta(days=1)
        return None

    def _takes(self, day: datetime.date) -> bool:
        if day.month not in self.months.values:
            return False
        matches = day.day in self.days.values, day.isoweekday() % 7 in self.weekdays.values
        return all(matches) if self.days.star or self.weekdays.star else any(matches)

    def _moments(self, day: datetime.date) -> Iterator[datetime.datetime]:
        """The moments of a day; a clock time that a change of clocks skips has none, one that it repeats has two."""
        for hour in self.hours.values:
            for minute in self.minutes.values:
                for fold in (0, 1):
                    local = datetime.datetime.combine(day, datetime.time(hour, minute), self.zone).replace(fold=fold)
                    moment = local.astimezone(datetime.UTC)
                    if moment.astimezone(self.zone).replace(tzinfo=None) == local.replace(tzinfo=None):
                        yield moment


def parse(expression: str) -> Schedule:
    """The schedule of an expression. Raises :class:`CronError`."""
    zone: datetime.tzinfo = datetime.UTC
    if expression.startswith(("CRON_TZ=", "TZ=")):
        prefix, _space, expression = expression.partition(" ")
        name = prefix.partition("=")[2]
        try:
            zone = zoneinfo.ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise CronError(f"provided bad location {name}: unknown time zone {name}") from error
        expression = expression.strip()
    if expression.startswith("@"):
        return _described(expression, zone)
    return _calendar(expression, zone)


def _described(expression: str, zone: datetime.tzinfo) -> Schedule:
    if expression in DESCRIPTORS:
        return _calendar(DESCRIPTORS[expression], zone)
    if expression.startswith(EVERY):
        try:
            delay = durationpy.from_str(expression.removeprefix(EVERY))
        except durationpy.DurationError as error:
            raise CronError(f"failed to parse duration {expression}: {error}") from error
        return Every(max(delay - datetime.timedelta(microseconds=delay.microseconds), SECOND))
    raise CronError(f"unrecognized descriptor: {expression}")


def _calendar(expression: str, zone: datetime.tzinfo) -> Calendar:
    fields = expression.split()
    if len(fields) != 5:
        raise CronError(f"expected exactly 5 fields, found {len(fields)}: [{' '.join(fields)}]")
    return Calendar(
        _field(fields[0], 0, 59, {}),
        _field(fields[1], 0, 23, {}),
        _field(fields[2], 1, 31, {}),
        _field(fields[3], 1, 12, MONTHS),
        _field(fields[4], 0, 6, DAYS),
        zone,
    )


def _field(text: str, low: int, high: int, names: Mapping[str, int]) -> Field:
    parts = [_range(part, low, high, names) for part in text.split(",") if part]
    values = frozenset[int]().union(*(values for values, _star in parts))
    return Field(values, any(star for _values, star in parts))


def _range(part: str, low: int, high: int, names: Mapping[str, int]) -> tuple[range, bool]:
    """``*``, ``a``, ``a-b``, each with ``/step``; ``a/step`` goes on to the highest value."""
    span, slash, step_text = part.partition("/")
    if "/" in step_text:
        raise CronError(f"too many slashes: {part}")
    star = span in ("*", "?")
    first_text, hyphen, last_text = span.partition("-")
    if "-" in last_text:
        raise CronError(f"too many hyphens: {part}")
    step = _number(step_text, {}) if slash else 1
    first = low if star else _number(first_text, names)
    last = _number(last_text, names) if hyphen else high if star or slash else first
    if first < low:
        raise CronError(f"beginning of range ({first}) below minimum ({low}): {part}")
    if last > high:
        raise CronError(f"end of range ({last}) above maximum ({high}): {part}")
    if first > last:
        raise CronError(f"beginning of range ({first}) beyond end of range ({last}): {part}")
    if step == 0:
        raise CronError(f"step of range should be a positive number: {part}")
    return range(first, last + 1, step), star and step == 1


def _number(text: str, names: Mapping[str, int]) -> int:
    known = names.get(text.lower())
    if known is not None:
        return known
    if not text.isascii() or not text.isdigit():
        raise CronError(f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax')
    return int(text)

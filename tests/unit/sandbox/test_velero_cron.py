# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""When the stand-in's schedules are due."""

from __future__ import annotations

import datetime

import pytest

from tests.sandbox.velero import cron

SATURDAY_NOON = datetime.datetime(2026, 3, 28, 12, 0, tzinfo=datetime.UTC)  # the clocks change that night in Berlin


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 3 * * *", ["2026-03-29 03:00", "2026-03-30 03:00"]),
        ("*/20 * * * *", ["2026-03-28 12:20", "2026-03-28 12:40", "2026-03-28 13:00"]),
        ("5/20 * * * *", ["2026-03-28 12:05", "2026-03-28 12:25"]),
        ("10-20/5,40 1 * jan-mar MON-FRI", ["2026-03-30 01:10", "2026-03-30 01:15", "2026-03-30 01:20"]),
        ("0 4 * * sun", ["2026-03-29 04:00", "2026-04-05 04:00"]),
        ("0 0 1 * 1", ["2026-03-30 00:00", "2026-04-01 00:00", "2026-04-06 00:00"]),  # neither is a star: one is enough
        ("0 0 1 6 *", ["2026-06-01 00:00"]),
        ("0 0 ? * 1", ["2026-03-30 00:00", "2026-04-06 00:00"]),
        ("@daily", ["2026-03-29 00:00", "2026-03-30 00:00"]),
        ("@weekly", ["2026-03-29 00:00"]),
        ("@monthly", ["2026-04-01 00:00"]),
        ("@yearly", ["2027-01-01 00:00"]),
        ("@hourly", ["2026-03-28 13:00"]),
        ("@every 90m", ["2026-03-28 13:30", "2026-03-28 15:00"]),
        ("0 0 29 2 *", ["2028-02-29 00:00", "2032-02-29 00:00"]),
        ("CRON_TZ=Europe/Berlin 0 3 * * *", ["2026-03-29 01:00", "2026-03-30 01:00"]),
        # half past two does not exist in the night of the change
        ("CRON_TZ=Europe/Berlin 30 2 * * *", ["2026-03-30 00:30", "2026-03-31 00:30"]),
        ("TZ=America/New_York 0 0 * * *", ["2026-03-29 04:00"]),
    ],
)
def test_next(expression: str, expected: list[str]) -> None:
    schedule = cron.parse(expression)
    found, moment = [], SATURDAY_NOON
    for _text in expected:
        due = schedule.next(moment)
        assert due is not None
        found.append(f"{due.astimezone(datetime.UTC):%Y-%m-%d %H:%M}")
        moment = due
    assert found == expected


def test_a_repeated_hour_has_the_moment_twice() -> None:
    schedule = cron.parse("CRON_TZ=Europe/Berlin 30 2 * * *")
    first = schedule.next(datetime.datetime(2026, 10, 24, 12, 0, tzinfo=datetime.UTC))
    assert first == datetime.datetime(2026, 10, 25, 0, 30, tzinfo=datetime.UTC)
    assert schedule.next(first) == datetime.datetime(2026, 10, 25, 1, 30, tzinfo=datetime.UTC)


def test_a_date_that_never_comes() -> None:
    assert cron.parse("0 0 30 2 *").next(SATURDAY_NOON) is None


def test_every_is_at_least_a_second() -> None:
    due = cron.parse("@every 10ms").next(SATURDAY_NOON)
    assert due == SATURDAY_NOON + datetime.timedelta(seconds=1)


@pytest.mark.parametrize(
    ("expression", "error"),
    [
        ("", "expected exactly 5 fields, found 0: []"),
        ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
        ("0 0 * * * *", "expected exactly 5 fields, found 6: [0 0 * * * *]"),
        ("60 * * * *", "end of range (60) above maximum (59): 60"),
        ("0 0 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("* * * * 7", "end of range (7) above maximum (6): 7"),
        ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
        ("1/2/3 * * * *", "too many slashes: 1/2/3"),
        ("a * * * *", 'failed to parse int from a: strconv.Atoi: parsing "a": invalid syntax'),
        ("@often", "unrecognized descriptor: @often"),
        ("@every soon", "failed to parse duration @every soon: Invalid duration soon"),
        ("CRON_TZ=Mars/Base 0 0 * * *", "provided bad location Mars/Base: unknown time zone Mars/Base"),
    ],
)
def test_refused(expression: str, error: str) -> None:
    with pytest.raises(cron.CronError) as refusal:
        cron.parse(expression)
    assert str(refusal.value) == error

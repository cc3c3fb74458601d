# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Cron expressions: which are right, judged by the lab's own parser, too, and how long it is between two runs."""

from __future__ import annotations

import datetime

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.velero.cron import longest_interval, split_zone
from hypothesis import given
from hypothesis import strategies as some

from tests.sandbox.velero import cron

HOUR = datetime.timedelta(hours=1)


@pytest.mark.parametrize(
    ("expression", "hours"),
    [
        ("0 2 * * *", 24),
        ("0 */6 * * *", 6),
        ("0 1,3 * * *", 22),
        ("*/15 * * * *", 0.25),
        ("0 0 * * 1-5", 72),
        ("0 0 * * sun", 168),
        ("0 0 1 * *", 31 * 24),
        ("0 0 1,15 * mon", 7 * 24),
        ("30 4 29 2 *", (366 + 3 * 365) * 24),
        ("0 0 1 jan ?", 366 * 24),
        ("@daily", 24),
        ("@hourly", 1),
        ("@weekly", 168),
        ("@every 90m", 1.5),
        ("CRON_TZ=Europe/Berlin 0 2 * * *", 24),
    ],
)
def test_the_longest_time_between_two_runs(expression: str, hours: float) -> None:
    assert longest_interval(expression) == hours * HOUR


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("", "has 0 fields, not 5"),
        ("0 2 * *", "has 4 fields, not 5"),
        ("61 * * * *", "the minute '61' is not within 0 to 59"),
        ("0 0 * * 7", "the day of the week '7' is not within 0 to 6"),
        ("0 5-2 * * *", "the hour '5-2' is not within 0 to 23"),
        ("0 0 0 * *", "the day of the month '0' is not within 1 to 31"),
        ("0 0 * foo *", "the month 'foo' is no number"),
        ("*/0 * * * *", "the minute '*/0' is not within"),
        ("0 0 1-2-3 * *", "the day of the month '1-2-3' is not understood"),
        (", 0 * * *", "the minute ',' names nothing"),
        ("0 0 31 2 *", "never comes"),
        ("@fortnightly", "'@fortnightly' is none of @yearly"),
        ("@every day", "'day' is not a duration"),
    ],
)
def test_what_is_no_expression(expression: str, words: str) -> None:
    with pytest.raises(ValueError, match=r"^") as raised:
        longest_interval(expression)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("expression", "zone", "rest"),
    [
        ("CRON_TZ=Europe/Berlin 0 2 * * *", "Europe/Berlin", "0 2 * * *"),
        ("TZ=UTC @daily", "UTC", "@daily"),
        ("0 2 * * *", "", "0 2 * * *"),
    ],
)
def test_the_time_zone(expression: str, zone: str, rest: str) -> None:
    assert split_zone(expression) == (zone, rest)


PART = some.from_regex(r"(\*|[0-9]{1,2}(-[0-9]{1,2})?)(/[0-9]{1,2})?", fullmatch=True)
FIELD = some.lists(PART, min_size=1, max_size=2).map(",".join)


@given(some.lists(FIELD, min_size=4, max_size=5).map(" ".join))
def test_what_the_lab_takes_is_taken_and_nothing_else(expression: str) -> None:
    try:
        cron.parse(expression)
        right = True
    except cron.CronError:
        right = False
    try:
        longest_interval(expression)
    except ValueError as error:
        assert not right or "never comes" in str(error)
    else:
        assert right


@given(some.sampled_from(["0 */5 * * *", "7,22 3 * * 2,4", "0 0 13 * fri", "59 23 28-31 * *"]), some.integers(0, 400))
def test_no_two_runs_are_farther_apart(expression: str, day: int) -> None:
    schedule = cron.parse(expression)
    first = schedule.next(datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(days=day))
    assert first is not None
    second = schedule.next(first)
    assert second is not None
    assert second - first <= longest_interval(expression)

"""Periods begin and end where the contract was signed, whatever the clocks do there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detente.kernel.clock import NS, instant, moment
from detente.sla.engine.calendar import Every, days, period_at, period_named

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu")
instants = st.integers(40_000_000, 4_000_000_000).map(lambda seconds: seconds * NS)
everies = st.sampled_from(("month", "quarter", "year"))
zones = st.sampled_from(ZONES)


@pytest.mark.parametrize(("name", "hours"), [("2026-10", 745), ("2026-03", 743), ("2026-11", 720)])
def test_months_in_which_the_clock_changes_have_their_real_length(name: str, hours: int) -> None:
    """October in Berlin lasts an hour longer than 31 days, March an hour less."""
    assert period_named(name, "month", "Europe/Berlin").length == hours * 3600 * NS


def test_a_period_begins_at_midnight_where_it_was_signed() -> None:
    """Half past eleven on the last evening in UTC is already the next month in Berlin."""
    at = instant(datetime(2026, 10, 31, 23, 30, tzinfo=UTC))
    assert period_at(at, "month", "UTC").name == "2026-10"
    assert period_at(at, "month", "Europe/Berlin").name == "2026-11"
    assert period_at(at, "quarter", "Europe/Berlin").name == "2026-Q4"
    assert period_at(at, "year", "Europe/Berlin").name == "2026"


@given(instants, everies, zones)
def test_every_moment_is_in_exactly_its_period(at: int, every: Every, zone: str) -> None:
    """The period of a moment holds it, has the name that finds it, and meets its neighbours."""
    period = period_at(at, every, zone)
    assert period.start <= at < period.end
    assert period_named(period.name, every, zone) == period
    assert period_at(period.end, every, zone).start == period.end
    assert period_at(period.start - 1, every, zone).end == period.start


@given(instants, zones)
def test_days_make_up_the_month(at: int, zone: str) -> None:
    """The days of a month follow each other without gap and each begins where the date changes there."""
    month = period_at(at, "month", zone)
    found = days(month.start, month.end, zone)
    assert (found[0][0], found[-1][1]) == (month.start, month.end)
    assert all(one[1] == other[0] for one, other in pairwise(found))
    for start, _ in found:  # where the clock skips midnight, the day begins when it is next day
        assert moment(start - 1, zone).date() < moment(start, zone).date()
    assert all(23 <= (end - start) / NS / 3600 <= 25 for start, end in found)


@pytest.mark.parametrize("name", ["2026-13", "2026-1", "10/2026", "", "2026-Q1", "0000-01"])
def test_a_name_of_no_month_is_refused_with_an_example(name: str) -> None:
    """What is no month is answered with how to write one."""
    with pytest.raises(ValueError, match="write it like 2026-10"):
        period_named(name, "month", "UTC")


def test_year_long_periods_end_with_the_year() -> None:
    """The fourth quarter and the year end at the same new year's midnight."""
    quarter = period_named("2026-Q4", "quarter", "UTC")
    assert quarter.end == period_named("2026", "year", "UTC").end
    assert timedelta(seconds=quarter.length // NS) == timedelta(days=92)

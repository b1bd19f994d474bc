"""Deadlines and windows fall where the contract was signed, whatever the calendar does there."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detente.kernel.clock import NS, Instant, instant, moment
from detente.kernel.config import Duration
from detente.sla.engine.calendar import period_named
from detente.sla.engine.deadlines import after, by_when, deadline, read_time, windows
from detente.sla.engine.moments import length
from detente.sla.settings import Claim, Dated, EveryWeek, Excludes, Maintenance, Within

BERLIN = "Europe/Berlin"


def at(said: str, zone: str = BERLIN) -> Instant:
    return instant(datetime.fromisoformat(said).replace(tzinfo=ZoneInfo(zone)))


def claim(within: str | None, counted_from: str = "period end") -> Claim:
    return Claim(within=Within(within) if within else None, counted_from=counted_from)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("terms", "period", "until"),
    [
        (claim("30d"), "2026-11", "2026-12-31 00:00"),  # the end of the thirtieth day
        (claim("30d"), "2026-09", "2026-10-31 00:00"),  # the clock was put back in between
        (claim("30d"), "2026-02", "2026-03-31 00:00"),  # and put forward
        (claim("28d"), "2028-01", "2028-02-29 00:00"),  # the leap day is a day
        (claim("29d"), "2028-01", "2028-03-01 00:00"),
        (claim(None, "end of next month"), "2026-11", "2027-01-01 00:00"),
        (claim(None, "end of next month"), "2028-01", "2028-03-01 00:00"),
        (claim("5d", "end of next month"), "2026-01", "2026-03-06 00:00"),
        (claim("10 business days"), "2026-11", "2026-12-15 00:00"),  # from Tuesday the 1st on
        (claim("10 business days"), "2026-10", "2026-11-14 00:00"),  # a Sunday comes first
        (claim("36h"), "2026-11", "2026-12-02 12:00"),
    ],
)
def test_deadlines_from_the_end_of_a_period(terms: Claim, period: str, until: str) -> None:
    """Days and months are those of the contract's calendar; the last of them belongs to us."""
    month = period_named(period, "month", BERLIN)
    assert deadline(terms, month, month.start, BERLIN) == at(until)


def test_deadlines_from_an_incident() -> None:
    """Thirty days from a quarter to three are over at a quarter to three; business days with a day."""
    month, began = period_named("2026-10", "month", BERLIN), at("2026-10-13 14:45")
    thirty = deadline(claim("30d", "incident"), month, began, BERLIN)
    assert thirty == at("2026-11-12 14:45")
    assert thirty - began == (30 * 24 + 1) * 3600 * NS  # that night had an hour more
    assert deadline(claim("1 business day", "incident"), month, began, BERLIN) == at("2026-10-15")
    friday = at("2026-10-16 23:59")
    assert deadline(claim("1 business day", "incident"), month, friday, BERLIN) == at("2026-10-20")


@given(
    st.integers(1_577_836_800, 2_208_988_800).map(lambda seconds: seconds * NS),
    st.integers(1, 30),
    st.sampled_from(("UTC", BERLIN, "America/New_York", "Australia/Lord_Howe")),
)
def test_business_days_hold_that_many_working_days(anchor: Instant, count: int, zone: str) -> None:
    """Between the anchor and the deadline lie exactly that many whole Mondays to Fridays."""
    until = after(anchor, Within(f"{count} business days"), zone)
    first, last = moment(anchor, zone), moment(until, zone)
    days = [first.date() + timedelta(days=n) for n in range(1, (last.date() - first.date()).days)]
    whole_first = [first.date()] if first.time() == datetime.min.time() else []
    assert sum(day.weekday() < 5 for day in [*whole_first, *days]) == count
    assert until > anchor


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("0d", "more than nothing"), ("0 business days", "length of time"), (30, "of what"),
        ("soon", "length of time"), ("4000d", "at most 3650d"),
    ],
)  # fmt: skip
def test_what_is_no_time_to_claim_is_refused(said: object, problem: str) -> None:
    """A deadline of nothing, or in no unit, is a mistake."""
    with pytest.raises(ValueError, match=problem):
        Within.read(said)


def every(week: str) -> Excludes:
    return Excludes(maintenance=(Maintenance(weekly=EveryWeek.read(week)),))


def test_weekly_windows_stand_on_the_wall_clock() -> None:
    """Sunday two to four has one hour when summer time begins and three when it ends."""
    sunday = every("Sun 02:00 to Sun 04:00")
    march, october = (period_named(f"2026-{month}", "month", BERLIN) for month in ("03", "10"))
    hours = [
        (end - start) / NS / 3600 for start, end in windows(sunday, march.start, march.end, BERLIN)
    ]
    assert hours == [2, 2, 2, 2, 1]
    hours = [
        (end - start) / NS / 3600
        for start, end in windows(sunday, october.start, october.end, BERLIN)
    ]
    assert hours == [2, 2, 2, 3]


def test_windows_over_the_end_of_a_week_and_of_a_period_are_cut() -> None:
    """A window from Sunday to Monday belongs to both months in which it lies."""
    over = every("Sun 22:00 to Mon 02:00")  # 31 May 2026 is a Sunday
    may, june = (period_named(f"2026-{month}", "month", "UTC") for month in ("05", "06"))
    *_, last = windows(over, may.start, may.end, "UTC")
    first, *_ = windows(over, june.start, june.end, "UTC")
    assert last == (at("2026-05-31 22:00", "UTC"), at("2026-06-01 00:00", "UTC"))
    assert first == (at("2026-06-01 00:00", "UTC"), at("2026-06-01 02:00", "UTC"))


@given(st.integers(0, 60 * 24), st.integers(0, 60 * 24))
def test_splitting_a_month_splits_its_windows(left: int, lasts: int) -> None:
    """Wherever a month is cut, its windows add up."""
    month = period_named("2026-03", "month", BERLIN)
    cut = min(month.end, month.start + (left * 31 + lasts) * 60 * NS)
    both = every("Sat 23:30 to Sun 04:00")
    whole, one, other = (
        length(windows(both, *stretch, BERLIN))
        for stretch in ((month.start, month.end), (month.start, cut), (cut, month.end))
    )
    assert whole == one + other


def test_dated_windows_and_none() -> None:
    """A window once is there once; a contract without windows has none."""
    once = Excludes(
        maintenance=(Maintenance(dated=Dated.read("2026-11-15 22:00 to 2026-11-16 02:00")),),
        at_most=Duration(3600),
    )
    month = period_named("2026-11", "month", BERLIN)
    assert windows(once, month.start, month.end, BERLIN) == [
        (at("2026-11-15 22:00"), at("2026-11-16 02:00"))
    ]
    assert windows(None, month.start, month.end, BERLIN) == []


@pytest.mark.parametrize(
    "said",
    [
        "2026-11-16 02:00 to 2026-11-15 22:00", "2026-02-30 00:00 to 2026-03-01 00:00", "today", 7
    ],
)  # fmt: skip
def test_windows_at_no_time_are_refused(said: object) -> None:
    """A window that ends before it begins, or on no day, is a mistake with an example."""
    with pytest.raises(ValueError, match=r"2026|calendar"):
        Dated.read(said)
    with pytest.raises(ValueError, match="Sun 02:00 to Sun 04:00"):
        EveryWeek.read(said)


def test_midnight_is_the_end_of_the_day_before() -> None:
    """People who read a date as a deadline have that day."""
    assert by_when(at("2026-12-31 00:00"), BERLIN) == "the end of 30 Dec 2026"
    assert by_when(at("2026-12-30 14:45"), BERLIN) == "30 Dec 2026, 14:45"


def test_times_are_the_contracts_unless_they_say_otherwise() -> None:
    """Without an offset a time is the contract's; with one it is what it says."""
    assert read_time("2026-07-01 12:00", BERLIN) == at("2026-07-01 10:00", "UTC")
    assert read_time("2026-07-01T12:00Z", BERLIN) == at("2026-07-01 12:00", "UTC")
    for wrong in ("noon", "", "0001-01-01 00:00", "2026-02-30 12:00"):
        with pytest.raises(ValueError, match="write 2026-11-10 12:00"):
            read_time(wrong, BERLIN)

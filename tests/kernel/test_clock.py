"""Time: exact in the ledger, plain in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detente.kernel.clock import NS, instant, iso, lasting, later, moment, seconds_between

moments = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(moments)
def test_a_moment_comes_back_from_its_instant(at: datetime) -> None:
    """Nothing is lost between a datetime and an instant, to the microsecond."""
    assert moment(instant(at)) == at


@given(moments, st.integers(-14 * 60, 14 * 60))
def test_the_zone_does_not_change_the_instant(at: datetime, minutes: int) -> None:
    """The same moment told in another zone is the same instant."""
    there = at.astimezone(timezone(timedelta(minutes=minutes)))
    assert instant(there) == instant(at)


def test_a_moment_without_a_zone_is_refused() -> None:
    """Nobody guesses which zone was meant."""
    with pytest.raises(ValueError, match="names no time zone"):
        instant(datetime(2026, 1, 1))  # noqa: DTZ001


def test_iso_is_utc_with_milliseconds() -> None:
    """Machines read RFC 3339."""
    assert iso(1_700_000_000 * NS + 42_000_000) == "2023-11-14T22:13:20.042Z"


@given(st.integers(0, 10**19), st.integers(-(10**9), 10**9))
def test_later_and_back_again(at: int, seconds: int) -> None:
    """Whole seconds are added exactly."""
    assert later(later(at, seconds), -seconds) == at
    assert seconds_between(at, later(at, seconds)) == seconds


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 ms"),
        (0.0004, "0 ms"),
        (-0.0001, "0 ms"),
        (0.23, "230 ms"),
        (0.9994, "999 ms"),
        (0.9999, "1 s"),
        (1, "1 s"),
        (1.04, "1 s"),
        (1.25, "1.2 s"),
        (9.94, "9.9 s"),
        (9.97, "10 s"),
        (41, "41 s"),
        (59.6, "1 min"),
        (61, "1 min 1 s"),
        (3599.9, "1 h"),
        (7500, "2 h 5 min"),
        (25 * 3600, "25 h"),
        (47.9999999 * 3600, "2 days"),
        (3 * 86_400 + 3600, "3 days 1 h"),
        (-41, "-41 s"),
    ],
)
def test_how_long_in_words(seconds: float, said: str) -> None:
    """No length is told in a way nobody would say: no 1000 ms, no 10.0 s, no 60 s."""
    assert lasting(seconds) == said


@given(st.floats(0, 1e9))
def test_words_never_reach_the_next_unit(seconds: float) -> None:
    """The smaller of two units stays below what would make one of the larger."""
    words = lasting(seconds).split()
    limits = {"ms": 1000, "s": 60, "min": 60, "h": 48}
    for number, unit in zip(words[::2], words[1::2], strict=True):
        assert float(number) < limits.get(unit, 1e9)
    if len(words) == 4:
        assert float(words[2]) < {"s": 60, "min": 60, "h": 24}[words[3]]

"""Which month is it, there?

Contracts count calendar months, quarters or years where they were signed: a period begins at
midnight of its first day in the promise's time zone and ends where the next one begins. Its length
is real time: October in Berlin has 745 hours, March 743.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from detente.kernel.clock import Instant, instant, moment
from detente.sla.engine.moments import Stretch

Every = Literal["month", "quarter", "year"]

_MONTHS: dict[Every, int] = {"month": 1, "quarter": 3, "year": 12}
_NAMED: dict[Every, str] = {
    "month": r"(\d{4})-(0[1-9]|1[0-2])",
    "quarter": r"(\d{4})-Q([1-4])",
    "year": r"(\d{4})",
}
_EXAMPLES: dict[Every, str] = {"month": "2026-10", "quarter": "2026-Q4", "year": "2026"}


class Period(msgspec.Struct, frozen=True):
    """One period of a promise."""

    name: str  # "2026-11", "2026-Q4" or "2026"
    start: Instant
    end: Instant

    @property
    def length(self) -> int:
        return self.end - self.start


def period_at(at: Instant, every: Every, zone: str) -> Period:
    """The period in which that moment falls."""
    here = moment(at, zone)
    return _period(here.year, (here.month - 1) // _MONTHS[every], every, zone)


def period_named(name: str, every: Every, zone: str) -> Period:
    """The period of that name. ValueError, with an example, if there is none."""
    found = re.fullmatch(_NAMED[every], name)
    if found is None or not 1970 <= int(found[1]) <= 9000:
        raise ValueError(f"“{name}” is not a {every}; write it like {_EXAMPLES[every]}")
    index = 0 if every == "year" else int(found[2]) - 1
    return _period(int(found[1]), index, every, zone)


def _period(year: int, index: int, every: Every, zone: str) -> Period:
    first = index * _MONTHS[every]
    after = first + _MONTHS[every]
    name = {
        "month": f"{year:04}-{first + 1:02}",
        "quarter": f"{year:04}-Q{index + 1}",
        "year": f"{year:04}",
    }[every]
    start = date(year, first + 1, 1)
    end = date(year + after // 12, after % 12 + 1, 1)
    return Period(name, midnight(start, zone), midnight(end, zone))


def midnight(day: date, zone: str) -> Instant:
    """When that day begins there. Where the clock skips midnight, when the day really begins."""
    return instant(datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)))


def days(start: Instant, end: Instant, zone: str) -> list[Stretch]:
    """The days there that fall into [start, end), the first and last cut to it."""
    found = []
    day = moment(start, zone).date()
    while (begin := midnight(day, zone)) < end:
        day += timedelta(days=1)
        found.append((max(begin, start), min(midnight(day, zone), end)))
    return found

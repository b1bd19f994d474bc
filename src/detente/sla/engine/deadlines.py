"""Until when must it be claimed, and which times does the contract set aside?

All on the contract's clock: thirty days are thirty dates there, though one of the days has 23 hours. A
period ends at the midnight that begins the next one, so thirty days from its end are over with the
thirtieth day. Business days are Monday to Friday; holidays are left out of account, so the deadline
shown is never later than the real one.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from detente.kernel.clock import Instant, instant, later, moment
from detente.sla.engine.calendar import Period, midnight, period_at
from detente.sla.engine.moments import Moments, both, union
from detente.sla.settings import Claim, Excludes, Maintenance, Within

_SATURDAY = 5


def deadline(claim: Claim, period: Period, incident: Instant, zone: str) -> Instant:
    """The moment after which it is too late. `incident`: when the first outage that counts began."""
    anchor = period.end
    if claim.counted_from == "incident":
        anchor = incident
    elif claim.counted_from == "end of next month":
        anchor = period_at(period.end, "month", zone).end
    return anchor if claim.within is None else after(anchor, claim.within, zone)


def after(anchor: Instant, within: Within, zone: str) -> Instant:
    """So long after that moment, there."""
    if within.business_days:
        return _after_business_days(anchor, within.business_days, zone)
    if within.whole_days:
        here = moment(anchor, zone).replace(tzinfo=None)
        return _there(here + timedelta(days=within.whole_days), zone)
    return later(anchor, within.seconds)


def _after_business_days(anchor: Instant, count: int, zone: str) -> Instant:
    """The midnight that ends the last of them. The day on which something happens is not one of them."""
    here = moment(anchor, zone)
    day = here.date() if here.time() == time() else here.date() + timedelta(days=1)
    while True:
        count -= day.weekday() < _SATURDAY
        day += timedelta(days=1)
        if not count:
            return midnight(day, zone)


def windows(excludes: Excludes | None, start: Instant, end: Instant, zone: str) -> Moments:
    """The maintenance windows of the contract, as far as they lie in [start, end)."""
    if excludes is None or end <= start:
        return []
    every = [each for one in excludes.maintenance for each in _times(one, start, end, zone)]
    return both(union(every), [(start, end)])


def _times(
    window: Maintenance, start: Instant, end: Instant, zone: str
) -> Iterator[tuple[Instant, Instant]]:
    if window.dated is not None:
        first, last = window.dated.ends
        yield _there(first, zone), _there(last, zone)
    if window.weekly is not None:
        minute, lasts = window.weekly.minutes
        day = moment(start, zone).date()
        monday = datetime.combine(day - timedelta(days=day.weekday() + 7), time())
        while _there(monday, zone) < end:
            begins = monday + timedelta(minutes=minute)
            yield _there(begins, zone), _there(begins + timedelta(minutes=lasts), zone)
            monday += timedelta(days=7)


def _there(wall: datetime, zone: str) -> Instant:
    """When the clock there shows that: 02:00 stays 02:00 when summer time ends."""
    return instant(wall.replace(tzinfo=ZoneInfo(zone)))


_LIKE = "write 2026-11-10 12:00 in the contract's time zone, or with an offset: 2026-11-10T12:00Z"


def read_time(said: str, zone: str) -> Instant:
    """A time as people write it. ValueError, saying how it is written, if it is none."""
    try:
        read = datetime.fromisoformat(said.strip())
    except ValueError:
        raise ValueError(f"“{said}” is not a time; {_LIKE}") from None
    if not 1970 <= read.year <= 9000:
        raise ValueError(f"“{said}” is not a time of any contract; {_LIKE}")
    return instant(read if read.tzinfo else read.replace(tzinfo=ZoneInfo(zone)))


def by_when(at: Instant, zone: str) -> str:
    """'the end of 30 Dec 2026' for a midnight, '10 Dec 2026, 14:37' otherwise."""
    here = moment(at, zone)
    if here.time() == time():
        return f"the end of {here.date() - timedelta(days=1):%-d %b %Y}"
    return f"{here:%-d %b %Y, %H:%M}"

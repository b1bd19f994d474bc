"""When is nothing released?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from detente.kernel.clock import Instant, instant, moment
from detente.releases.settings import Freeze


class Frozen(msgspec.Struct, frozen=True, kw_only=True):
    """One time in which a freeze holds."""

    title: str
    reason: str
    owner: str
    start: Instant
    end: Instant
    services: tuple[str, ...] = ()  # all of them, if nobody is named

    def holds_for(self, service: str) -> bool:
        return not self.services or service in self.services


def stretches(freeze: Freeze, zone: str, start: Instant, end: Instant) -> Iterator[Frozen]:
    """When the freeze holds in [start, end), each time in full and in order."""
    for left, right in _times(freeze, zone, start, end):
        if left < end and right > start:
            yield Frozen(
                title=freeze.title,
                reason=freeze.reason,
                owner=freeze.owner,
                start=left,
                end=right,
                services=freeze.services,
            )


def _times(
    freeze: Freeze, zone: str, start: Instant, end: Instant
) -> Iterator[tuple[Instant, Instant]]:
    if freeze.starts is not None and freeze.until is not None:
        yield _there(freeze.starts.moment, zone), _there(freeze.until.moment, zone)
    elif freeze.weekly is not None:
        first, last = freeze.weekly.ends
        lasts = (last - first) % (7 * 1440) or 7 * 1440
        here = moment(start, zone).replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
        monday = here - timedelta(days=here.weekday() + 7)
        while _there(monday, zone) < end:
            begins = monday + timedelta(minutes=first)
            yield _there(begins, zone), _there(begins + timedelta(minutes=lasts), zone)
            monday += timedelta(days=7)


def _there(naive: datetime, zone: str) -> Instant:
    """That time of the wall clock there: 15:00 stays 15:00 when summer time ends."""
    return instant(naive.replace(tzinfo=ZoneInfo(zone)))

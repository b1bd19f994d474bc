"""Who is on call when, by the order of a rota, by who is away, and by who covers for whom?

A turn begins at a wall-clock time in the rota's time zone, so Monday 09:00 stays 09:00 when clocks are
put forward or back; that week is then an hour shorter or longer. A time that does not exist that day
(02:30 in spring) is the moment an hour later on the clock; of one that comes twice, the first counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import msgspec

from detente.kernel.clock import Instant, instant, moment
from detente.pager.settings import Rota

Stretch = tuple[Instant, Instant]

_FIRST_DAY = date(2024, 1, 1)  # a Monday; only the order hangs on it


class Shift(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody is on call, or nobody, from then until then."""

    start: Instant
    end: Instant
    person: str | None
    instead_of: str | None = None


class Cover(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody takes over a stretch of a rota, whoever's turn it is."""

    person: str
    start: Instant
    end: Instant


def shifts(
    rota: Rota,
    start: Instant,
    end: Instant,
    *,
    away: Mapping[str, Sequence[Stretch]],
    covers: Sequence[Cover] = (),
) -> list[Shift]:
    """Who is on call in [start, end), every moment in exactly one shift. Of two covers the later counts."""
    by_order = list(turns(rota, start, end))
    cuts = {start, end, *(each.start for each in by_order)}
    cuts |= {edge for some in away.values() for stretch in some for edge in stretch}
    cuts |= {edge for each in covers for edge in (each.start, each.end)}
    edges = sorted(edge for edge in cuts if start <= edge <= end)
    found: list[Shift] = []
    for left, right in pairwise(edges):
        turn = next(each for each in by_order if each.start <= left < each.end)
        person, instead_of = _who(turn.person, left, away, covers)
        shift = Shift(start=left, end=right, person=person, instead_of=instead_of)
        if found and left != turn.start and _same(found[-1], shift):
            found[-1] = msgspec.structs.replace(found[-1], end=right)
        else:
            found.append(shift)
    return found


def _same(one: Shift, other: Shift) -> bool:
    return (one.person, one.instead_of) == (other.person, other.instead_of)


def _who(
    turn: str | None,
    at: Instant,
    away: Mapping[str, Sequence[Stretch]],
    covers: Sequence[Cover],
) -> tuple[str | None, str | None]:
    for cover in reversed(covers):
        if cover.start <= at < cover.end:
            return cover.person, turn if turn != cover.person else None
    if turn is not None and any(left <= at < right for left, right in away.get(turn, ())):
        return None, turn
    return turn, None


def turns(rota: Rota, start: Instant, end: Instant) -> Iterator[Shift]:
    """Whose turn it is in [start, end), by order alone. Before the rota begins it is nobody's."""
    number = _turn_at(rota, start)
    left = start
    while left < end:
        right = min(_begins(rota, number + 1), end)
        before = rota.begins is not None and number < 0
        person = None if before else rota.people[number % len(rota.people)]
        if right > left:
            yield Shift(start=left, end=right, person=person)
        left, number = max(left, right), number + 1


def _turn_at(rota: Rota, at: Instant) -> int:
    """The number of the turn which that moment belongs to."""
    day = moment(at, rota.timezone).date()
    number = (day - _first(rota)).days // rota.changes.days + 1
    while _begins(rota, number) > at:
        number -= 1
    return number


def _begins(rota: Rota, number: int) -> Instant:
    day = _first(rota) + timedelta(days=number * rota.changes.days)
    zone = ZoneInfo(rota.timezone)
    return instant(datetime.combine(day, rota.changes.at, tzinfo=zone))


def _first(rota: Rota) -> date:
    """The day of the first turn: the first one of the right name, from the day that people wrote."""
    first = rota.begins.local.date() if rota.begins else _FIRST_DAY
    weekday = rota.changes.weekday
    if weekday is None:
        return first
    return first + timedelta(days=(weekday - first.weekday()) % 7)

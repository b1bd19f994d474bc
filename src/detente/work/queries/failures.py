"""What breaks, how often, since when, and what was going on then?"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from detente.kernel import spans
from detente.kernel.clock import Instant, Seconds, later, seconds_between
from detente.kernel.fact import Subject
from detente.kernel.node import Node
from detente.kernel.spans import Span
from detente.kernel.views import Rows
from detente.work import decisions
from detente.work.decisions import Trend

HOURS = 24
_HOUR: Seconds = 3_600.0
_DURING = ("release", "toggle on", "drill", "pause", "breaker", "outage")
_LONG_AGO: Seconds = 30 * 86_400.0


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Calls that broke in the same way."""

    id: str
    vendor: Subject
    route: str
    kind: str  # "no connection", "no answer", "HTTP 503"
    reason: str
    shape: str  # what the vendor's answer looks like
    calls: int  # times it happened
    first: Instant
    last: Instant
    hours: tuple[int, ...]  # how often in each of the last 24 hours, the present one last
    trend: Trend


class During(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was going on, and how many of the failures fall into it."""

    kind: str  # "release", "toggle on", …
    about: Subject
    start: Instant
    end: Instant | None
    calls: int
    opened_by: int


class Follows(msgspec.Struct, frozen=True, kw_only=True):
    """What had ended or begun shortly before it was first seen."""

    kind: str
    about: Subject
    seconds: Seconds


_COLUMNS = (
    "select id, vendor, route, kind, reason, shape, calls, first_at, last_at from work_failures"
)


def failures(rows: Rows, now: Instant, *, limit: int = 100) -> list[Failure]:
    """Everything that broke, what broke last first."""
    found = list(rows.execute(f"{_COLUMNS} order by last_at desc limit ?", (limit,)))
    return [_failure(rows, row, now) for row in found]


def failure(rows: Rows, group: str, now: Instant) -> Failure | None:
    """That one."""
    found = list(rows.execute(f"{_COLUMNS} where id = ?", (group,)))
    return _failure(rows, found[0], now) if found else None


def _failure(rows: Rows, row: Sequence[object], now: Instant) -> Failure:
    names = ("id", "vendor", "route", "kind", "reason", "shape", "calls", "first", "last")
    known = dict(zip(names, row, strict=True))
    hours = _hours(rows, str(known["id"]), now)
    first = known["first"]
    assert isinstance(first, int)
    trend = decisions.trend(hours, is_new=seconds_between(first, now) < HOURS * _HOUR)
    return Failure(hours=hours, trend=trend, **known)  # type: ignore[arg-type]


def _hours(rows: Rows, group: str, now: Instant) -> tuple[int, ...]:
    start = later(now, -HOURS * _HOUR)
    asked = """select (at - ?2) / 3600000000000, count(*) from work_failure
      where group_id = ?1 and at > ?2 group by 1"""
    counted = {int(hour): int(count) for hour, count in rows.execute(asked, (group, start))}
    return tuple(
        counted.get(hour, 0) + (counted.get(HOURS, 0) if hour == HOURS - 1 else 0)
        for hour in range(HOURS)
    )


def latest(rows: Rows, group: str, *, limit: int = 20) -> list[tuple[int, Instant, Subject]]:
    """(position, when, call) of the last times it happened."""
    asked = (
        "select position, at, about from work_failure where group_id = ? order by at desc limit ?"
    )
    return [
        (int(position), int(at), str(about))
        for position, at, about in rows.execute(asked, (group, limit))
    ]


def during(node: Node, it: Failure) -> list[During]:
    """What was going on while it happened, what covers the most of it first."""
    found: list[During] = []
    for kind in _DURING:
        found += [
            _during(span, count)
            for span in spans.overlapping(node.rows, it.first, it.last + 1, kind=kind)
            if (count := _within(node.rows, it.id, span))
        ]
    return sorted(found, key=lambda each: (-each.calls, each.start))[:12]


def _during(span: Span, count: int) -> During:
    return During(
        kind=span.kind, about=span.about, start=span.start, end=span.end, calls=count,
        opened_by=span.opened_by,
    )  # fmt: skip


def _within(rows: Rows, group: str, span: Span) -> int:
    asked = """select count(*) from work_failure where group_id = ?1 and at >= ?2
      and (?3 is null or at < ?3)"""
    return next(int(count) for (count,) in rows.execute(asked, (group, span.start, span.end)))


def follows(node: Node, it: Failure) -> list[Follows]:
    """The last release that ended, and the last toggle that went on, before it was first seen."""
    found = []
    for kind in ("release", "toggle on"):
        earlier = later(it.first, -_LONG_AGO)
        before = spans.overlapping(node.rows, earlier, it.first, kind=kind)
        moments = [
            (moment, span.about)
            for span in before
            if (moment := _moment(kind, span)) is not None and moment <= it.first
        ]
        if moments:
            moment, about = max(moments)
            seconds = seconds_between(moment, it.first)
            found.append(Follows(kind=kind, about=about, seconds=seconds))
    return found


def _moment(kind: str, span: Span) -> Instant | None:
    return span.end if kind == "release" else span.start

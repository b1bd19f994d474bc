"""How long did it last, and what else was going on?

A span is the time between two facts: an outage, a breaker open, an incident, a release. Attainment
is length; muting, blast radius and "what changed?" are overlap; a guard asks whether one is open.
Slices declare which facts open and close a span; the kernel keeps the rows and does the arithmetic.
Spans are half-open, [start, end): splitting a window adds up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from detente.kernel.clock import NS, Instant, Seconds
from detente.kernel.fact import Fact, Recorded, Subject
from detente.kernel.views import Projection, Rows


@dataclass(frozen=True)
class SpanKind:
    """What opens and what closes it. A fact with a `since` says when it really began or ended.

    One that was over before anybody heard of it is told by a single fact, with `since` and `until`.
    """

    name: str  # "outage"
    opens: tuple[type[Fact], ...]
    closes: tuple[type[Fact], ...]
    whole: tuple[type[Fact], ...] = ()


class Span(msgspec.Struct, frozen=True):
    """The time between two facts about one subject; `end` is None while it lasts."""

    kind: str
    about: Subject
    start: Instant
    end: Instant | None
    opened_by: int  # position in the ledger
    closed_by: int | None
    says: str

    def seconds(self, now: Instant) -> Seconds:
        return ((now if self.end is None else self.end) - self.start) / NS


_TABLE = """
create table span(
  kind text not null, about text not null, start integer not null, stop integer,
  opened_by integer not null, closed_by integer, says text not null);
create index span_of on span(kind, about, start);
create index span_open on span(kind, about) where stop is null;
"""


def projection(kinds: Iterable[SpanKind]) -> Projection:
    """The rows of these kinds of span."""
    kinds = tuple(kinds)
    opening: dict[str, list[str]] = {}
    closing: dict[str, list[str]] = {}
    whole: dict[str, list[str]] = {}
    for kind in kinds:
        for fact in kind.opens:
            opening.setdefault(fact.name, []).append(kind.name)
        for fact in kind.closes:
            closing.setdefault(fact.name, []).append(kind.name)
        for fact in kind.whole:
            whole.setdefault(fact.name, []).append(kind.name)

    def fold(rows: Rows, recorded: Recorded) -> None:
        at: Instant = getattr(recorded.fact, "since", None) or recorded.at
        for name in closing.get(recorded.name, ()):
            rows.execute(_CLOSE, (at, recorded.position, name, recorded.about))
        for name in opening.get(recorded.name, ()):
            if not is_open(rows, name, recorded.about):
                says = recorded.fact.says()
                rows.execute(_OPEN, (name, recorded.about, at, recorded.position, says))
        for name in whole.get(recorded.name, ()):
            over = (getattr(recorded.fact, "until", recorded.at), recorded.position)
            rows.execute(_WHOLE, (name, recorded.about, at, *over, recorded.fact.says()))

    hears = tuple(sorted({*opening, *closing, *whole}))
    return Projection("span", f"{_told(kinds)}{_TABLE}", hears, fold)


def _told(kinds: Iterable[SpanKind]) -> str:
    """Which facts open and close what, as a comment: the rows are made anew when that changes."""
    return "".join(
        f"-- {kind.name}: {','.join(fact.name for fact in kind.opens)}"
        f" to {','.join(fact.name for fact in kind.closes)}"
        f"{''.join(f' or {fact.name}' for fact in kind.whole)}\n"
        for kind in kinds
    )


_OPEN = "insert into span values (?, ?, ?, null, ?, null, ?)"
_WHOLE = "insert into span values (?1, ?2, ?3, max(?3, ?4), ?5, ?5, ?6)"
_CLOSE = """
update span set stop = max(start, ?), closed_by = ? where kind = ? and about = ? and stop is null
"""
_COLUMNS = "select kind, about, start, stop, opened_by, closed_by, says from span"


def is_open(rows: Rows, kind: str, about: Subject) -> bool:
    """Is one going on right now?"""
    asked = "select 1 from span where kind = ? and about = ? and stop is null"
    return any(True for _ in rows.execute(asked, (kind, about)))


def going_on(rows: Rows, kind: str | None = None) -> list[Span]:
    """Everything that has begun and not ended, oldest first."""
    asked = f"{_COLUMNS} where stop is null and (?1 is null or kind = ?1) order by start"
    return [Span(*row) for row in rows.execute(asked, (kind,))]


def overlapping(
    rows: Rows,
    start: Instant,
    end: Instant,
    *,
    kind: str | None = None,
    about: Sequence[Subject] | None = None,
) -> list[Span]:
    """What went on at any time in [start, end), oldest first."""
    marks = "" if about is None else f" and about in ({','.join('?' * len(about))})"
    asked = (
        f"{_COLUMNS} where start < ?1 and (stop is null or stop > ?2)"
        f" and (?3 is null or kind = ?3){marks} order by start, opened_by"
    )
    return [Span(*row) for row in rows.execute(asked, (end, start, kind, *(about or ())))]


def clip(spans: Iterable[Span], start: Instant, end: Instant) -> list[tuple[Instant, Instant]]:
    """The parts of these spans inside [start, end), merged where they touch or overlap."""
    parts = sorted(
        (max(span.start, start), min(end if span.end is None else span.end, end)) for span in spans
    )
    merged: list[tuple[Instant, Instant]] = []
    for left, right in parts:
        if right <= left:
            continue
        if merged and left <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], right))
        else:
            merged.append((left, right))
    return merged


def covered(spans: Iterable[Span], start: Instant, end: Instant) -> Seconds:
    """Seconds of [start, end) in which at least one of these spans was going on."""
    return sum(right - left for left, right in clip(spans, start, end)) / NS

"""What happened meanwhile: everything in the ledger over the time of an incident?"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import msgspec

from detente.kernel.clock import Instant
from detente.kernel.fact import Recorded, known
from detente.kernel.ledger import Ledger, Query
from detente.kernel.money import Money, total


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One fact of the story, and what happened routinely between it and the one before."""

    told: Recorded
    meanwhile: tuple[str, ...] = ()
    quiet: int = 0  # how many facts `meanwhile` counts


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that happened from shortly before the first failure on, newest first."""

    lines: tuple[Line, ...]
    latest: tuple[str, ...] = ()  # what happened routinely since the newest line
    earlier: int | None = None  # there is more before this position than is told here


_MOST_LINES = 300
_COUNTED_UP_TO = 5_000  # facts read to be counted by kind: a page must not keep the node waiting
_OFTEN = frozenset({"work.call_held", "pager.not_told"})  # shown elsewhere, too many to tell here


def story(ledger: Ledger, start: Instant, end: Instant) -> Story:
    """The facts of [start, end) in the ledger, whatever they are about; routine ones as counts."""
    after, until = position_before(ledger, start), position_before(ledger, end)
    names = tuple(n for n, fact in known().items() if not fact.routine and n not in _OFTEN)
    found = list(
        ledger.read(
            Query(names=names), after=after, until=until, limit=_MOST_LINES + 1, backwards=True
        )
    )
    told = found[:_MOST_LINES]
    first = told[-1].position if len(found) > _MOST_LINES else after + 1
    in_detail = until - first < _COUNTED_UP_TO
    edges = [until + 1, *(each.position for each in told), first - 1]
    gaps = [_gap(ledger, older, newer, in_detail=in_detail) for newer, older in pairwise(edges)]
    lines = [
        Line(told=each, meanwhile=gap, quiet=each.position - older - 1 if gap else 0)
        for each, gap, older in zip(told, gaps[1:], edges[2:], strict=True)
    ]
    earlier = first if len(found) > _MOST_LINES else None
    return Story(lines=tuple(lines), latest=gaps[0] if gaps else (), earlier=earlier)


def position_before(ledger: Ledger, at: Instant) -> int:
    """The newest position written down before that time; positions grow with time."""
    low, high = 0, ledger.head()
    while low < high:
        middle = (low + high + 1) // 2
        written = next(iter(ledger.read(after=middle - 1, limit=1)), None)
        if written is not None and written.at < at:
            low = middle
        else:
            high = middle - 1
    return low


def _gap(ledger: Ledger, older: int, newer: int, *, in_detail: bool) -> tuple[str, ...]:
    """What stands between two positions, as counts. Positions have no gaps."""
    count = newer - older - 1
    if count <= 0:
        return ()
    if not in_detail:
        return (f"{_figure(count)} routine {'fact' if count == 1 else 'facts'}",)
    return counted(ledger.read(after=older, until=newer - 1))


_WORDS = {
    "work.call_taken": "taken",
    "work.call_charged": "accepted by the vendor",
    "work.call_refused": "refused by the vendor",
    "work.call_parked": "parked",
    "work.call_held": "held for a person",
    "work.replay_failed": "sent again in vain",
}


def counted(facts: Iterable[Recorded]) -> tuple[str, ...]:
    """'41 calls parked, worth 2 310.00 EUR', '38 calls accepted by the vendor'."""
    counts: dict[str, int] = {}
    worth: dict[str, list[Money]] = {}
    for each in facts:
        counts[each.name] = counts.get(each.name, 0) + 1
        money = getattr(each.fact, "money", None)
        if isinstance(money, Money):
            worth.setdefault(each.name, []).append(money)
    calls = [name for name in _WORDS if name in counts]
    others = sorted(name for name in counts if name not in _WORDS)
    return tuple(
        _in_words(name, counts[name], total(worth.get(name, ()))) for name in (*calls, *others)
    )


def _in_words(name: str, count: int, worth: tuple[Money, ...]) -> str:
    if name == "watch.sheet_filed":
        return f"{_figure(count)} {'sheet' if count == 1 else 'sheets'} of checks filed"
    if name == "pager.not_told":
        return f"{_figure(count)} {'message' if count == 1 else 'messages'} not handed over yet"
    if name not in _WORDS:
        return f"{_figure(count)} × {name}"
    sums = " and ".join(map(str, worth))
    calls = f"{_figure(count)} {'call' if count == 1 else 'calls'} {_WORDS[name]}"
    return f"{calls}, worth {sums}" if sums else calls


def _figure(count: int) -> str:
    return f"{count:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")

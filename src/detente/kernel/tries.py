"""How often was something tried lately, and how often did it fail?

Facts that tell of tries say so themselves: `tried()`, by source, such as `check:shop`, `test:buy` or
`route:pay`. Here they are added up and kept for a week, because whoever asks “is it worse since?” needs
what was so before as well as what came after. What that proves, `kernel.sequential` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import msgspec

from detente.kernel.clock import NS, Instant, Seconds, later
from detente.kernel.fact import Recorded, Subject, known
from detente.kernel.views import Projection, Rows

EVER: Instant = 1 << 62
KEPT: Seconds = 7 * 86_400.0
_SLOT = 5 * NS  # what has no stretch of its own is counted by so much time


class Tries(msgspec.Struct, frozen=True):
    """So many failed and so many passed; of those that passed, so many got a no for an answer."""

    failed: int = 0
    passed: int = 0
    refused: int = 0
    at: Instant = 0

    @property
    def of(self) -> int:
        return self.failed + self.passed

    def __add__(self, other: Tries) -> Tries:
        return Tries(
            self.failed + other.failed, self.passed + other.passed, self.refused + other.refused, self.at
        )  # fmt: skip


@runtime_checkable
class _Tells(Protocol):
    def tried(self) -> Mapping[Subject, Tries]:
        """What was tried, by source."""
        ...


_TABLE = """
create table tries(
  source text not null, slot integer not null, at integer not null, until integer not null,
  failed integer not null, passed integer not null, refused integer not null,
  primary key (source, slot)) without rowid;
create index tries_slot on tries(slot);
"""
_ADD = """
insert into tries values (?, ?, ?, ?, ?, ?, ?) on conflict do update set
  at = min(at, excluded.at), until = max(until, excluded.until), failed = failed + excluded.failed,
  passed = passed + excluded.passed, refused = refused + excluded.refused
"""


def projection() -> Projection:
    """The rows of every fact that tells of tries."""
    hears = sorted(name for name, fact in known().items() if hasattr(fact, "tried"))
    return Projection("tries", _TABLE, tuple(hears), _fold)


def _fold(rows: Rows, recorded: Recorded) -> None:
    fact = recorded.fact
    if not isinstance(fact, _Tells):
        return
    at, until = getattr(fact, "since", recorded.at), getattr(fact, "until", recorded.at)
    slot = at if until > at else at // _SLOT * _SLOT
    for source, tries in fact.tried().items():
        if tries.of:
            rows.execute(_ADD, (source, slot, at, until, tries.failed, tries.passed, tries.refused))
    rows.execute("delete from tries where slot < ?", (later(recorded.at, -KEPT),))


def between(rows: Rows, source: Subject, start: Instant, end: Instant = EVER) -> list[Tries]:
    """What lies wholly between, oldest first: what straddles a change says nothing about it."""
    asked = """select failed, passed, refused, at from tries
      where source = ? and at >= ? and until <= ? order by slot"""
    return [Tries(*row) for row in rows.execute(asked, (source, start, end))]


def total(rows: Rows, source: Subject, start: Instant, end: Instant = EVER) -> Tries:
    """The same in one."""
    asked = """select total(failed), total(passed), total(refused) from tries
      where source = ? and at >= ? and until <= ?"""
    (row,) = rows.execute(asked, (source, start, end))
    return Tries(*map(int, row), at=start)  # type: ignore[misc]


def newest(rows: Rows, source: Subject) -> tuple[Tries, Instant] | None:
    """What came last, and until when that was."""
    asked = """select failed, passed, refused, at, until from tries
      where source = ? order by slot desc limit 1"""
    for *row, until in rows.execute(asked, (source,)):
        return Tries(*row), until
    return None

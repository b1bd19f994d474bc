"""How is a question put to SQLite?

Two tables say at which positions a name or a subject stands, in order. A question about several of them
becomes one branch for each, and SQLite merges the branches: nothing is sorted, nothing is read that
is not asked for, however long the ledger. In a storm of appends these tables lag behind (`writing`);
what they do not cover yet is a short tail that one more branch reads through.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from detente.kernel.fact import Recorded, Subject, decode
from detente.kernel.ledger import LedgerError, Query

Row = tuple[int, int, str, str, str, bytes]
Fetch = Callable[[str, tuple[object, ...]], list[Any]]

_PAGE = 1_000  # one page is one finished statement: a slow listener holds no snapshot open
_BRANCHES = 100  # beyond, SQLite sorts instead of merging

_REACH = "select ifnull((select max(position) from fact), 0), (select up_to from indexed)"

# Which names of this prefix are there? One look into the index for each.
_NAMES = """
with recursive found(name) as (
  select min(name) from of_name where name >= ?1 and name < ?2
  union all
  select (select min(name) from of_name where name > found.name and name < ?2)
  from found where found.name is not null)
select name from found where name is not null
"""


@dataclass(frozen=True)
class Span:
    """Positions in (low, high], of which those up to `indexed` are in the index."""

    low: int
    high: int
    indexed: int


def pages(
    fetch: Fetch, query: Query, after: int, until: int | None, limit: int | None, backwards: bool
) -> Iterator[Recorded]:
    """The facts that answer, as they stood when the first of them was asked for."""
    head, indexed = reach(fetch)
    low, high = after, head if until is None else min(head, until)
    left = sys.maxsize if limit is None else limit
    names = spelt_out(fetch, query.names)
    while low < high and left > 0:
        size = min(_PAGE, left)
        rows = fetch(*select(query, names, Span(low, high, indexed), size, backwards))
        for position, at, by, name, about, body in rows:
            try:
                fact = decode(name, body, about)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise LedgerError(_unreadable(position, name, about, error)) from error
            yield Recorded(position, at, by, fact)
        if len(rows) < size:
            return
        left -= size
        if backwards:
            high = rows[-1][0] - 1
        else:
            low = rows[-1][0]


def _unreadable(position: int, name: str, about: Subject, error: Exception) -> str:
    return (
        f"The fact at position {position}, {name} about {about}, cannot be read: {error}. The ledger is "
        "damaged or was edited by hand: bring back your latest copy."
    )


def first(fetch: Fetch, query: Query, span: Span) -> Row | None:
    """The first fact in the span that the query matches."""
    rows: list[Row] = fetch(*select(query, spelt_out(fetch, query.names), span, 1, False))
    return rows[0] if rows else None


def reach(fetch: Fetch) -> tuple[int, int]:
    """The newest position, and how far the index goes. Ask before the names: they may only grow."""
    head, indexed, *_ = fetch(_REACH, ())[0]
    return head, indexed


def prefix_of(name: str) -> str | None:
    """`watch.` of `watch.*`; None for a name that means just itself."""
    return name[:-1] if name.endswith(".*") else None


def spelt_out(fetch: Fetch, names: tuple[str, ...]) -> tuple[str, ...]:
    """The names asked for, with `watch.*` replaced by those that are in the index."""
    found: dict[str, None] = {}
    for name in names:
        prefix = prefix_of(name)
        if prefix is None:
            found[name] = None
        else:
            rows = fetch(_NAMES, (prefix, _beyond(prefix)))
            found.update(dict.fromkeys(str(row[0]) for row in rows))
    return tuple(found)


def select(
    query: Query, names: tuple[str, ...], span: Span, size: int, backwards: bool
) -> tuple[str, tuple[object, ...]]:
    """The statement for one page of that span, and what to bind to it."""
    given: list[object] = [span.low, span.high, span.indexed, size]
    if not (query.names or query.subjects):
        branches = [f"{_FACT} where position > ?1 and position <= ?2"]
    else:
        branches = _indexed(query, names, given) if span.low < span.indexed else []
        if span.indexed < span.high:
            branches.append(_tail(query, given))
    order = "desc" if backwards else "asc"
    asked = " union all ".join(branches) or f"{_FACT} where false"
    return f"{asked} order by 1 {order} limit ?4", tuple(given)


_WHAT = "position, f.at, f.by, f.name, f.about, cast(f.body as blob)"
_FACT = f"select f.{_WHAT} from fact f"
_JOINED = "i cross join fact f on f.position = i.position"
_WITHIN = "i.position > ?1 and i.position <= min(?2, ?3)"


def _indexed(query: Query, names: tuple[str, ...], given: list[object]) -> list[str]:
    """A branch for each subject, or for each name if no subject is asked for."""
    table, column, wanted = "of_name", "name", names
    also = ""
    if query.subjects:
        table, column, wanted = "of_subject", "about", tuple(dict.fromkeys(query.subjects))
        if query.names:
            also = f" and f.name in ({_marks(names, given)})"
    start = f"select i.{_WHAT} from {table} {_JOINED} where {_WITHIN}{also}"
    if len(wanted) > _BRANCHES:
        return [f"{start} and i.{column} in ({_marks(wanted, given)})"]
    return [f"{start} and i.{column} = {_marks((each,), given)}" for each in wanted]


def _tail(query: Query, given: list[object]) -> str:
    """The branch for what is not in the index yet: look at each fact."""
    branch = f"{_FACT} where position > max(?1, ?3) and position <= ?2"
    if query.subjects:
        branch += f" and about in ({_marks(query.subjects, given)})"
    if query.names:
        branch += f" and ({' or '.join(_is_called(name, given) for name in query.names)})"
    return branch


def _is_called(name: str, given: list[object]) -> str:
    prefix = prefix_of(name)
    if prefix is None:
        return f"name = {_marks((name,), given)}"
    start, end = _marks((prefix,), given), _marks((_beyond(prefix),), given)
    return f"name >= {start} and name < {end}"


def _beyond(prefix: str) -> str:
    """The first text after everything that begins with `watch.`: `/` comes right after the point."""
    return prefix[:-1] + "/"


def _marks(wanted: tuple[str, ...], given: list[object]) -> str:
    """Note what is to be bound, and answer with its marks."""
    start = len(given) + 1
    given += wanted
    return ", ".join(f"?{start + each}" for each in range(len(wanted)))

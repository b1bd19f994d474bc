"""Where does each call stand, and what does that come to?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import msgspec

from detente.facts.work import CallEdited, CallTaken
from detente.kernel.clock import Instant
from detente.kernel.fact import Subject, plain
from detente.kernel.ledger import Query
from detente.kernel.money import Money
from detente.kernel.node import Node
from detente.kernel.slice import NotFound
from detente.kernel.views import Rows
from detente.work.decisions import WAITING, Call, Counts, State

_NAMES = (
    "about", "route", "vendor", "key", "method", "path", "sha256", "caller", "asked", "state", "minor",
    "currency", "reason", "unknown", "attempts", "taken_at", "parked_at", "next_at", "changed_at",
    "request", "answer", "status", "note", "size", "asks", "asked_at", "new_key", "heard",
)  # fmt: skip
_COLUMNS = f"select {', '.join(_NAMES)} from work_call"


class Sum(msgspec.Struct, frozen=True):
    """So many calls in one state, and what they are worth."""

    state: State
    calls: int
    money: tuple[Money, ...]


def call(rows: Rows, about: Subject) -> Call | None:
    """That call, if there is one."""
    return _one(rows, f"{_COLUMNS} where about = ?", (about,))


def call_or_not_found(rows: Rows, about: Subject) -> Call:
    """That call, named in full or by its last signs; NotFound if there is none."""
    found = meant(rows, about)
    if not found:
        raise NotFound(f"There is no call {plain(about)}; /work lists those that wait.")
    if len(found) > 1:
        raise NotFound(f"More than one call ends in {plain(about)}; write more of its number.")
    return found[0]


_ENOUGH = 4  # people read a call as "…d6aac5": that many of its last signs are enough


def meant(rows: Rows, about: Subject) -> list[Call]:
    """The call of that name, or those whose names end so."""
    exact = call(rows, about)
    if exact is not None or len(plain(about)) < _ENOUGH:
        return [] if exact is None else [exact]
    asked = f"{_COLUMNS} where substr(about, -length(?1)) = ?1 limit 2"
    return _all(rows, asked, (plain(about),))


def requests(node: Node, about: Subject) -> list[int]:
    """The facts that carry its request: as it came, and as it was after each edit."""
    asked = Query(names=(CallTaken.name, CallEdited.name), subjects=(about,))
    return [each.position for each in node.ledger.read(asked)]


def by_key(rows: Rows, route: str, key: str) -> Call | None:
    """The call a caller made under that idempotency key."""
    return _one(rows, f"{_COLUMNS} where route = ? and key = ?", (route, key))


def _by_new_key(rows: Rows, route: str, key: str) -> Call | None:
    return _one(rows, f"{_COLUMNS} where route = ? and new_key = ? and new_key <> ''", (route, key))


def next_due(rows: Rows, route: str, now: Instant) -> Call | None:
    """The waiting call of the route that has been due longest.

    Not the oldest: some that fail again and again must not keep all younger ones waiting.
    """
    asked = f"""{_COLUMNS} where route = ? and state = ? and next_at <= ?
      order by next_at, taken_at limit 1"""
    due = [found for state in WAITING if (found := _one(rows, asked, (route, state, now)))]
    return min(due, key=lambda call: call.next_at or 0, default=None)


def next_due_at(rows: Rows, route: str) -> Instant | None:
    """When the next waiting call of the route may be sent."""
    asked = "select min(next_at) from work_call where route = ? and state in ('parked', 'held')"
    for (at,) in rows.execute(asked, (route,)):
        return None if at is None else int(at)
    return None


def waiting(
    rows: Rows, *, vendor: Subject | None = None, route: str | None = None, limit: int = 200
) -> list[Call]:
    """What is parked or held, oldest first, and no more of it than a page can show."""
    asked = f"""{_COLUMNS} indexed by work_call_open
      where state in ('parked', 'held') and (?1 is null or vendor = ?1)
      and (?2 is null or route = ?2) order by taken_at limit ?3"""
    return _all(rows, asked, (vendor, route, limit))


class Waiting(msgspec.Struct, frozen=True):
    """How many calls of a route wait, since when, and what they are worth."""

    calls: int = 0
    since: Instant | None = None
    money: tuple[Money, ...] = ()
    unpriced: int = 0  # of those, the calls of which nobody knows what they are worth


def waiting_by_route(rows: Rows) -> dict[str, Waiting]:
    """All that is parked or held, the calls of routes that are no longer declared included."""
    asked = """select route, currency, count(*), min(taken_at), sum(minor) from work_call
      indexed by work_call_open_sum
      where state in ('parked', 'held') group by route, currency order by route, currency"""
    found: dict[str, Waiting] = {}
    for route, currency, count, since, minor in rows.execute(asked):
        so_far = found.get(route, Waiting(since=since))
        found[route] = Waiting(
            so_far.calls + count,
            min(so_far.since or since, since),
            (*so_far.money, Money(minor, currency)) if currency else so_far.money,
            so_far.unpriced + (0 if currency else count),
        )
    return found


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """Parked calls with the same reason: what people look at before they look at a single one."""

    reason: str
    unknown: bool  # the vendor may have done them already
    calls: int
    money: tuple[Money, ...]
    oldest: Instant
    next_at: Instant | None


def reasons(rows: Rows, *, limit: int = 20) -> list[Reason]:
    """Why calls are parked, the most calls first."""
    asked = """select reason, unknown, currency, count(*), sum(minor), min(taken_at), min(next_at)
      from work_call where state = 'parked' group by reason, unknown, currency"""
    found: dict[tuple[str, bool], Reason] = {}
    for reason, unknown, currency, calls, minor, oldest, next_at in rows.execute(asked):
        before = found.get((reason, bool(unknown)))
        found[reason, bool(unknown)] = Reason(
            reason=reason,
            unknown=bool(unknown),
            calls=calls + (before.calls if before else 0),
            money=(
                *(before.money if before else ()),
                *((Money(minor, currency),) if currency else ()),
            ),
            oldest=min(oldest, before.oldest) if before else oldest,
            next_at=min(next_at, before.next_at or next_at) if before else next_at,
        )
    return sorted(found.values(), key=lambda each: -each.calls)[:limit]


def listed(rows: Rows, state: State, *, limit: int = 200) -> list[Call]:
    """Calls in one state, the last changed first."""
    asked = f"{_COLUMNS} where state = ? order by changed_at desc limit ?"
    return _all(rows, asked, (state, limit))


def is_waiting_to_be_sent(rows: Rows, route: str) -> bool:
    """Is any call of the route parked, so that the machine sends it sooner or later?"""
    asked = "select 1 from work_call where route = ? and state = 'parked' limit 1"
    return any(True for _ in rows.execute(asked, (route,)))


def unfinished(rows: Rows) -> list[Call]:
    """Calls that were with the vendor when the node last stopped."""
    return _all(rows, f"{_COLUMNS} where state = 'taken' order by taken_at", ())


def finished(
    rows: Rows, *, after: tuple[Instant, Subject], before: Instant, limit: int = 500
) -> list[Call]:
    """Calls that ended between the two, oldest first: their attachments may go."""
    asked = f"""{_COLUMNS} where (changed_at, about) > (?, ?) and changed_at < ?
      and state not in ('taken', 'parked', 'held') order by changed_at, about limit ?"""
    return _all(rows, asked, (*after, before, limit))


def books(rows: Rows, *, vendor: Subject | None = None, route: str | None = None) -> list[Sum]:
    """How many calls stand in each state and what they are worth: the money line."""
    asked = """select state, currency, sum(calls), sum(minor) from work_sum
      where calls > 0 and (?1 is null or vendor = ?1) and (?2 is null or route = ?2)
      group by state, currency order by currency"""
    found: dict[str, tuple[int, list[Money]]] = {}
    for state, currency, count, minor in rows.execute(asked, (vendor, route)):
        calls, amounts = found.get(state, (0, []))
        amounts = [*amounts, Money(minor, currency)] if currency else amounts
        found[state] = (calls + count, amounts)
    return [
        Sum(state, found[state][0], tuple(found[state][1]))
        for state in get_args(State)
        if state in found
    ]


def recovered(rows: Rows, *, vendor: Subject | None = None, route: str | None = None) -> Sum:
    """Of what was charged: the calls that had to wait for it, and would have been lost."""
    asked = """select currency, count(*), sum(minor) from work_call indexed by work_call_recovered
      where state = 'charged' and parked_at is not null
      and (?1 is null or vendor = ?1) and (?2 is null or route = ?2)
      group by currency order by currency"""
    found = list(rows.execute(asked, (vendor, route)))
    amounts = tuple(Money(minor, currency) for currency, _calls, minor in found if currency)
    return Sum("charged", sum(calls for _currency, calls, _minor in found), amounts)


def bytes_kept(rows: Rows) -> int:
    """How much room the requests of all calls take that are not done."""
    asked = "select sum(bytes) from work_sum where state in ('taken', 'parked', 'held')"
    return next((int(kept or 0) for (kept,) in rows.execute(asked)), 0)


def counts(rows: Rows, route: str, start: Instant, end: Instant) -> Counts:
    """What became of the calls that were taken on the route in [start, end)."""
    asked = """select count(*), sum(parked_at is not null), sum(state = 'charged'),
      sum(state in ('settled', 'refunded', 'handed back')), sum(state = 'refused'), sum(state = 'lost'),
      sum(state in ('taken', 'parked', 'held'))
      from work_call where route = ? and taken_at >= ? and taken_at < ?"""
    for row in rows.execute(asked, (route, start, end)):
        return Counts(*(int(each or 0) for each in row))
    return Counts()


def unasked(rows: Rows, *, parked_before: Instant, limit: int = 1_000) -> list[Call]:
    """Calls that need people and nobody was asked: held by a machine, or parked too long."""
    asked = f"""{_COLUMNS} indexed by work_call_asks
      where state in ('parked', 'held') and asked_at is null
      and ((state = 'held' and asks) or (state = 'parked' and parked_at <= ?))
      order by taken_at limit ?"""
    return _all(rows, asked, (parked_before, limit))


def said_by_mail(rows: Rows, message_id: str) -> str | None:
    """What a mail decided, if it came before."""
    asked = "select said from work_mail where message_id = ?"
    return next((str(said) for (said,) in rows.execute(asked, (message_id,))), None)


def of_keys(rows: Rows, route: str, keys: Sequence[str]) -> list[Call]:
    """The calls of the route that the vendor knows under these keys."""
    found = (by_key(rows, route, key) or _by_new_key(rows, route, key) for key in keys)
    return [each for each in found if each is not None]


def charged_between(rows: Rows, route: str, start: Instant, end: Instant) -> list[Call]:
    """Calls of the route that the vendor accepted in [start, end]."""
    asked = f"""{_COLUMNS} where route = ? and state = 'charged' and changed_at between ? and ?
      order by changed_at"""
    return _all(rows, asked, (route, start, end))


def of_route(rows: Rows, route: str) -> list[Call]:
    """Every call of the route."""
    return _all(rows, f"{_COLUMNS} where route = ? order by taken_at", (route,))


def _one(rows: Rows, asked: str, values: tuple[object, ...]) -> Call | None:
    return next(iter(_all(rows, asked, values)), None)


def _all(rows: Rows, asked: str, values: tuple[object, ...]) -> list[Call]:
    return [_call(row) for row in rows.execute(asked, values)]


def _call(row: tuple[object, ...]) -> Call:
    found = dict(zip(_NAMES, row, strict=True))
    minor, currency = found.pop("minor"), found.pop("currency")
    found |= {name: bool(found[name]) for name in ("unknown", "asks", "heard")}
    found["money"] = None if currency is None else Money(minor, currency)  # type: ignore[arg-type]
    return Call(**found)  # type: ignore[arg-type]

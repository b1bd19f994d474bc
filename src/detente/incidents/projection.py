"""Which incidents are there, of what, and what is down right now?

Also who has each of them, and what became of the calls that were parked: an incident's own cost.
"""

from __future__ import annotations

from detente.facts.incidents import CauseJoined, CauseLeft, Closed, Opened
from detente.facts.pager import Taken
from detente.facts.watch import CameBack, Retired, WentDown
from detente.facts.work import (
    BreakerClosed,
    BreakerOpened,
    CallCharged,
    CallHeld,
    CallLost,
    CallParked,
    CallRefunded,
    CallReleased,
    CallSettled,
    ReplayFailed,
)
from detente.kernel.clock import Instant
from detente.kernel.fact import Fact, Recorded, Subject
from detente.kernel.views import Projection, Rows

_TABLES = """
create table incidents_incident(
  about text primary key, number integer not null, of text not null, since integer not null,
  opened_at integer not null, opened_by integer not null, reason text not null,
  closed_at integer, ended integer, lasted real, note text not null default '',
  held_by text, held_at integer
) without rowid;
create index incidents_open on incidents_incident(of) where closed_at is null;
create index incidents_numbered on incidents_incident(number);
create index incidents_of on incidents_incident(of, number);

create table incidents_cause(
  about text not null, position integer not null, cause text not null, since integer not null,
  reason text not null, remark integer not null, left_at integer,
  primary key (about, position)
) without rowid;

create table incidents_down(
  cause text primary key, of text not null, since integer not null, reason text not null,
  environment text not null
) without rowid;

create table incidents_call(
  about text primary key, vendor text not null, parked_at integer not null, state text not null,
  minor integer, currency text
) without rowid;
create index incidents_parked on incidents_call(vendor, parked_at);
"""


def _fold(rows: Rows, recorded: Recorded) -> None:
    match recorded.fact:
        case WentDown() | BreakerOpened() | CameBack() | BreakerClosed() | Retired():
            _fold_down(rows, recorded)
        case Opened() | CauseJoined() | CauseLeft() | Closed() | Taken():
            _fold_incident(rows, recorded)
        case _:
            _fold_call(rows, recorded)


def _fold_down(rows: Rows, recorded: Recorded) -> None:
    put = "insert or ignore into incidents_down values (?, ?, ?, ?, ?)"
    match recorded.fact:
        case WentDown() as fact:
            rows.execute(put, (fact.about, fact.of, fact.since, fact.reason, fact.environment))
        case BreakerOpened() as fact:
            rows.execute(put, (fact.about, fact.vendor, recorded.at, fact.reason, ""))
        case _:
            rows.execute("delete from incidents_down where cause = ?", (recorded.about,))


def _fold_incident(rows: Rows, recorded: Recorded) -> None:
    match recorded.fact:
        case Opened() as fact:
            rows.execute(
                "insert or ignore into incidents_incident"
                "(about, number, of, since, opened_at, opened_by, reason)"
                " values (?, cast(substr(?, 10) as integer), ?, ?, ?, ?, ?)",
                (
                    fact.about, fact.about, fact.of, fact.since, recorded.at, recorded.position,
                    fact.reason,
                ),
            )  # fmt: skip
            _add_cause(rows, recorded, fact.cause, fact.since, fact.reason, remark=False)
        case CauseJoined() as fact:
            since = recorded.at if fact.since is None else fact.since
            _add_cause(rows, recorded, fact.cause, since, fact.reason, remark=fact.remark)
        case CauseLeft() as fact:
            since = recorded.at if fact.since is None else fact.since
            rows.execute(_LEAVE, (since, fact.about, fact.cause))
        case Closed() as fact:
            rows.execute(
                "update incidents_incident set closed_at = ?, ended = ?, lasted = ?, note = ?"
                " where about = ? and closed_at is null",
                (recorded.at, fact.since, fact.lasted, fact.note, fact.about),
            )
        case Taken() as fact:
            rows.execute(
                "update incidents_incident set held_by = ?, held_at = ? where about = ?",
                (fact.who, recorded.at, fact.about),
            )
        case _:
            pass


_LEAVE = "update incidents_cause set left_at = ? where about = ? and cause = ? and left_at is null"


def _add_cause(
    rows: Rows, recorded: Recorded, cause: Subject, since: Instant, reason: str, *, remark: bool
) -> None:
    rows.execute(
        "insert into incidents_cause values (?, ?, ?, ?, ?, ?, null)",
        (recorded.about, recorded.position, cause, since, reason, int(remark)),
    )


_STATES: dict[type[Fact], str] = {
    ReplayFailed: "parked",
    CallReleased: "parked",
    CallHeld: "held",
    CallCharged: "charged",
    CallSettled: "settled",
    CallRefunded: "refunded",
    CallLost: "lost",
}


def _fold_call(rows: Rows, recorded: Recorded) -> None:
    """Only calls that were parked have rows here."""
    if isinstance(recorded.fact, CallParked):
        fact = recorded.fact
        worth = (fact.money.minor, fact.money.currency) if fact.money else (None, None)
        rows.execute(
            "insert or ignore into incidents_call values (?, ?, ?, 'parked', ?, ?)",
            (fact.about, fact.vendor, recorded.at, *worth),
        )
    elif state := _STATES.get(type(recorded.fact)):
        moved = "update incidents_call set state = ? where about = ?"
        rows.execute(moved, (state, recorded.about))


FELL = (WentDown.name, BreakerOpened.name)
ROSE = (CameBack.name, BreakerClosed.name, Retired.name)
OURS = (Opened.name, CauseJoined.name, CauseLeft.name, Closed.name)

_CALLS = (CallParked.name, *(fact.name for fact in _STATES))

incidents = Projection("incidents", _TABLES, (*FELL, *ROSE, *OURS, Taken.name, *_CALLS), _fold)

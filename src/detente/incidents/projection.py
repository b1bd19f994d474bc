"""Which incidents are there, of what, and what is down right now?

Also who has each of them, what became of the calls that were parked (an incident's own cost), and
what people answered and took on afterwards.
"""

from __future__ import annotations

from detente.facts import acceptance
from detente.facts.acceptance import BeganFailing, PassesAgain
from detente.facts.incidents import (
    ActionDone,
    ActionDropped,
    ActionTakenOn,
    Answered,
    CauseJoined,
    CauseLeft,
    Closed,
    Opened,
    RetrospectiveClosed,
    RetrospectiveOpened,
)
from detente.facts.pager import Taken
from detente.facts.watch import CameBack, Retired, WentDown
from detente.facts.work import (
    BreakerClosed,
    BreakerOpened,
    CallCharged,
    CallEdited,
    CallHandedBack,
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

DRILL = "drill"
"""Where a breaker opens that was opened on purpose: no environment that customers use."""

_TABLES = """
create table incidents_incident(
  about text primary key, number integer not null, of text not null, since integer not null,
  opened_at integer not null, opened_by integer not null, reason text not null,
  closed_at integer, ended integer, lasted real, note text not null default '',
  into_ text not null default '', held_by text, held_at integer
) without rowid;
create index incidents_open on incidents_incident(of) where closed_at is null;
create index incidents_numbered on incidents_incident(number);
create index incidents_of on incidents_incident(of, number);

create table incidents_cause(
  about text not null, position integer not null, cause text not null, since integer not null,
  reason text not null, remark integer not null, left_at integer,
  of text not null, primary key (about, position)
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

create table incidents_retrospective(
  about text primary key, opened_at integer not null, opened_by text not null,
  due integer not null, closed_at integer, closed_by text
) without rowid;

create table incidents_answer(
  about text not null, section text not null, position integer not null, at integer not null,
  by text not null, answer text not null, unknown integer not null,
  primary key (about, section)
) without rowid;

create table incidents_action(
  action text primary key, about text not null, position integer not null, title text not null,
  owner text not null, due integer not null, closes_on text not null,
  done_at integer, done_by integer, ended text
) without rowid;
create index incidents_waiting on incidents_action(closes_on) where done_at is null;
"""


def _fold(rows: Rows, recorded: Recorded) -> None:
    match recorded.fact:
        case WentDown() | BreakerOpened() | BeganFailing():
            _fold_down(rows, recorded)
        case CameBack() | BreakerClosed() | PassesAgain() | Retired() | acceptance.Retired():
            _fold_down(rows, recorded)
        case Opened() | CauseJoined() | CauseLeft() | Closed() | Taken():
            _fold_incident(rows, recorded)
        case RetrospectiveOpened() | Answered() | RetrospectiveClosed():
            _fold_retrospective(rows, recorded)
        case ActionTakenOn() | ActionDone() | ActionDropped():
            _fold_action(rows, recorded)
        case _:
            _fold_call(rows, recorded)


def _fold_down(rows: Rows, recorded: Recorded) -> None:
    put = "insert or ignore into incidents_down values (?, ?, ?, ?, ?)"
    match recorded.fact:
        case WentDown() as fact:
            rows.execute(put, (fact.about, fact.of, fact.since, fact.reason, fact.environment))
        case BreakerOpened() as fact:
            where = DRILL if fact.drill else ""
            rows.execute(put, (fact.about, fact.vendor, recorded.at, fact.reason, where))
        case BeganFailing() as fact:
            of = fact.of or fact.about
            rows.execute(put, (fact.about, of, fact.since, fact.reason, ""))
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
            _add_cause(rows, recorded, fact.cause, fact.since, fact.reason, of=fact.of)
        case CauseJoined() as fact:
            since = recorded.at if fact.since is None else fact.since
            _add_cause(
                rows, recorded, fact.cause, since, fact.reason, of=fact.of, remark=fact.remark
            )
        case CauseLeft() as fact:
            since = recorded.at if fact.since is None else fact.since
            rows.execute(_LEAVE, (since, fact.about, fact.cause))
        case Closed() as fact:
            rows.execute(
                "update incidents_incident set closed_at = ?, ended = ?, lasted = ?, note = ?,"
                " into_ = ? where about = ? and closed_at is null",
                (recorded.at, fact.since, fact.lasted, fact.note, fact.into, fact.about),
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
    rows: Rows,
    recorded: Recorded,
    cause: Subject,
    since: Instant,
    reason: str,
    *,
    of: Subject,
    remark: bool = False,
) -> None:
    rows.execute(
        "insert into incidents_cause values (?1, ?2, ?3, ?4, ?5, ?6, null,"
        " coalesce(nullif(?7, ''), (select of from incidents_incident where about = ?1), ''))",
        (recorded.about, recorded.position, cause, since, reason, int(remark), of),
    )


def _fold_retrospective(rows: Rows, recorded: Recorded) -> None:
    match recorded.fact:
        case RetrospectiveOpened() as fact:
            rows.execute(
                "insert or ignore into incidents_retrospective values (?, ?, ?, ?, null, null)",
                (fact.about, recorded.at, recorded.by, fact.due),
            )
        case Answered() as fact:
            said = (fact.answer, int(fact.unknown))
            rows.execute(
                "insert or replace into incidents_answer values (?, ?, ?, ?, ?, ?, ?)",
                (fact.about, fact.section, recorded.position, recorded.at, recorded.by, *said),
            )
        case _:
            rows.execute(
                "update incidents_retrospective set closed_at = ?, closed_by = ? where about = ?",
                (recorded.at, recorded.by, recorded.about),
            )


def _fold_action(rows: Rows, recorded: Recorded) -> None:
    ended = "update incidents_action set done_at = ?, done_by = ?, ended = ? where action = ?"
    match recorded.fact:
        case ActionTakenOn() as fact:
            where = (fact.action, fact.about, recorded.position)
            rows.execute(
                "insert or ignore into incidents_action values (?, ?, ?, ?, ?, ?, ?, null, null, null)",
                (*where, fact.title, fact.owner, fact.due, fact.closes_on),
            )
        case ActionDone() as fact:
            rows.execute(ended, (recorded.at, fact.position, fact.because, fact.action))
        case ActionDropped() as fact:
            rows.execute(ended, (recorded.at, None, fact.why, fact.action))
        case _:
            pass


_STATES: dict[type[Fact], str] = {
    ReplayFailed: "parked",
    CallReleased: "parked",
    CallHeld: "held",
    CallCharged: "charged",
    CallSettled: "settled",
    CallRefunded: "refunded",
    CallHandedBack: "handed back",
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
    elif isinstance(recorded.fact, CallEdited):
        money = recorded.fact.money
        now = (money.minor, money.currency) if money else (None, None)
        worth_now = "update incidents_call set minor = ?, currency = ? where about = ?"
        rows.execute(worth_now, (*now, recorded.about))
    elif state := _STATES.get(type(recorded.fact)):
        moved = "update incidents_call set state = ? where about = ?"
        rows.execute(moved, (state, recorded.about))


FELL = (WentDown.name, BreakerOpened.name, BeganFailing.name)
ROSE = (
    CameBack.name,
    BreakerClosed.name,
    PassesAgain.name,
    Retired.name,
    acceptance.Retired.name,
)
OURS = (Opened.name, CauseJoined.name, CauseLeft.name, Closed.name)

AFTERWARDS = (RetrospectiveOpened.name, Answered.name, RetrospectiveClosed.name)
ACTIONS = (ActionTakenOn.name, ActionDone.name, ActionDropped.name)

_CALLS = (CallParked.name, CallEdited.name, *(fact.name for fact in _STATES))

incidents = Projection(
    "incidents",
    _TABLES,
    (*FELL, *ROSE, *OURS, *AFTERWARDS, *ACTIONS, Taken.name, *_CALLS),
    _fold,
)
"""Which incident, what is down because of it, what did it come to, and what was learnt?"""

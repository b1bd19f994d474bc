"""Where does each call stand, and what broke?"""

from __future__ import annotations

from detente.facts.work import (
    AskedPeople,
    CallCharged,
    CallEdited,
    CallHandedBack,
    CallHeld,
    CallLost,
    CallParked,
    CallRefunded,
    CallRefused,
    CallReleased,
    CallSentAgain,
    CallSettled,
    CallTaken,
    MailAnswered,
    ReplayFailed,
)
from detente.kernel.fact import Recorded
from detente.kernel.views import Projection, Rows
from detente.work.engine import failing

_TABLES = """
create table work_call(
  about text primary key, route text not null, vendor text not null, key text not null,
  method text not null, path text not null, sha256 text not null, caller text not null,
  asked text not null, state text not null,
  minor integer, currency text, reason text not null default '', unknown integer not null default 0,
  attempts integer not null default 0, taken_at integer not null, parked_at integer,
  next_at integer, changed_at integer not null, request integer not null, answer integer,
  status integer, note text not null default '', size integer not null default 0,
  asks integer not null default 0, asked_at integer, new_key text not null default '',
  heard integer not null default 0
) without rowid;
create unique index work_call_key on work_call(route, key);
create index work_call_new_key on work_call(route, new_key) where new_key <> '';
create index work_call_waiting on work_call(route, state, next_at);
create index work_call_changed on work_call(changed_at, about);
create index work_call_state on work_call(state, changed_at);
create index work_call_route on work_call(route, taken_at);
create index work_call_asks on work_call(taken_at)
  where state in ('parked', 'held') and asked_at is null;
create index work_call_recovered on work_call(vendor, route, currency, minor)
  where state = 'charged' and parked_at is not null;
create index work_call_open on work_call(taken_at) where state in ('parked', 'held');
create index work_call_open_sum on work_call(route, currency, taken_at, minor)
  where state in ('parked', 'held');
create table work_sum(
  vendor text not null, route text not null, state text not null, currency text not null,
  calls integer not null, minor integer not null, bytes integer not null,
  primary key (vendor, route, state, currency)
) without rowid;
create trigger work_call_taken after insert on work_call begin
  insert into work_sum values (
    new.vendor, new.route, new.state, coalesce(new.currency, ''), 1, coalesce(new.minor, 0), new.size)
  on conflict do update set calls = calls + 1, minor = minor + excluded.minor,
    bytes = bytes + excluded.bytes;
end;
create trigger work_call_moved after update of state, minor, currency, size on work_call
when (old.state, old.minor, old.currency, old.size)
  is not (new.state, new.minor, new.currency, new.size) begin
  update work_sum set calls = calls - 1, minor = minor - coalesce(old.minor, 0),
    bytes = bytes - old.size
  where vendor = old.vendor and route = old.route and state = old.state
    and currency = coalesce(old.currency, '');
  insert into work_sum values (
    new.vendor, new.route, new.state, coalesce(new.currency, ''), 1, coalesce(new.minor, 0), new.size)
  on conflict do update set calls = calls + 1, minor = minor + excluded.minor,
    bytes = bytes + excluded.bytes;
end;
create table work_failures(
  id text primary key, vendor text not null, route text not null, kind text not null,
  reason text not null, shape text not null, first_at integer not null, last_at integer not null,
  calls integer not null
) without rowid;
create index work_failures_last on work_failures(last_at);
create table work_failure(
  position integer primary key, group_id text not null, at integer not null, about text not null);
create index work_failure_of on work_failure(group_id, at);
create table work_mail(message_id text primary key, about text not null, said text not null)
  without rowid;
"""


def _fold(rows: Rows, recorded: Recorded) -> None:
    _count_failure(rows, recorded)
    match recorded.fact:
        case CallTaken() as fact:
            worth = (fact.money.minor, fact.money.currency) if fact.money else (None, None)
            rows.execute(
                "insert into work_call(about, route, vendor, key, method, path, sha256, caller, asked,"
                " state, minor, currency, taken_at, changed_at, request, size)"
                " values (?, ?, ?, ?, ?, ?, ?, ?, ?, 'taken', ?, ?, ?, ?, ?, ?) on conflict do nothing",
                (
                    fact.about, fact.route, fact.vendor, fact.key, fact.method, fact.path,
                    fact.sha256, fact.caller, fact.asked, *worth, recorded.at, recorded.at, recorded.position,
                    fact.size,
                ),
            )  # fmt: skip
        case CallCharged() as fact:
            _move(rows, recorded, "charged", status=fact.status, answer=recorded.position)
        case CallRefused() as fact:
            _move(rows, recorded, "refused", status=fact.status, answer=recorded.position)
        case CallParked() as fact:
            _move(
                rows, recorded, "parked", reason=fact.reason, unknown=int(fact.unknown),
                parked_at=recorded.at, next_at=recorded.at,
            )  # fmt: skip
        case ReplayFailed() as fact:
            _move(
                rows, recorded, "parked", reason=fact.reason, attempts=fact.attempt,
                unknown=int(fact.unknown), next_at=fact.next_at,
            )  # fmt: skip
        case CallSentAgain():
            _move(rows, recorded, "taken", unknown=1)
        case CallHeld() as fact:
            _move(
                rows, recorded, "held", reason=fact.reason, next_at=fact.until, **_asking(recorded)
            )
        case CallReleased():
            _move(rows, recorded, "parked", next_at=recorded.at)
        case CallEdited() as fact:
            _edit(rows, recorded, fact)
        case CallHandedBack() as fact:
            _move(rows, recorded, "handed back", note=fact.note)
        case CallSettled() as fact:
            _move(rows, recorded, "settled", note=f"{fact.note} {fact.reference}".strip())
        case CallRefunded() as fact:
            _move(rows, recorded, "refunded", note=f"{fact.note} {fact.reference}".strip())
        case CallLost() as fact:
            _move(rows, recorded, "lost", note=fact.note)
        case AskedPeople():
            rows.execute(
                "update work_call set asked_at = ? where about = ?", (recorded.at, recorded.about)
            )
        case MailAnswered() as fact:
            rows.execute(
                "insert into work_mail values (?, ?, ?) on conflict do nothing",
                (fact.message_id, fact.about, fact.said),
            )
        case _:
            pass


def _asking(recorded: Recorded) -> dict[str, object]:
    """A machine that holds a call asks people, each time anew; whoever holds one knows of it."""
    by_machine = recorded.by.startswith(("route:", "detente:"))
    return {"asks": 1, "asked_at": None} if by_machine else {"asks": 0}


_EDITED = """
update work_call set request = ?2, minor = ?3, currency = ?4, size = ?5, changed_at = ?6, unknown = 0,
  heard = iif(?7 = '' and not ?8, heard, 0), new_key = iif(?7 = '', new_key, ?7),
  reason = iif(?8, ?9, reason)
where about = ?1 and state in ('parked', 'held')
"""


def _edit(rows: Rows, recorded: Recorded, fact: CallEdited) -> None:
    worth = (fact.money.minor, fact.money.currency) if fact.money else (None, None)
    sent = (fact.size, recorded.at, fact.key, fact.looked, fact.says())
    rows.execute(_EDITED, (fact.about, recorded.position, *worth, *sent))


def _count_failure(rows: Rows, recorded: Recorded) -> None:
    """What broke, in the group of everything that broke in the same way."""
    match recorded.fact:
        case CallRefused() as fact:
            kind, reason, shape = f"HTTP {fact.status}", "the vendor refused it", fact.shape
        case CallParked() | ReplayFailed() as fact:
            kind = fact.failure or failing.kind_before(fact.reason)
            reason, shape = fact.reason, fact.shape
        case _:
            return
    vendor = next(iter(rows.execute(_WHOSE, (recorded.about,))), ("",))[0]
    if not vendor or kind in (failing.KEPT_BACK, failing.DRILL):
        return
    if kind != failing.NOT_REACHED:
        rows.execute("update work_call set heard = 1 where about = ?", (recorded.about,))
    group = failing.identity(vendor, fact.route, kind, reason, shape)
    at = recorded.at
    rows.execute(
        _GROUP,
        (group, vendor, fact.route, kind, failing.normalised(reason), shape, at, at),
    )
    rows.execute(
        "insert into work_failure values (?, ?, ?, ?)",
        (recorded.position, group, at, recorded.about),
    )


_WHOSE = "select vendor from work_call where about = ?"
_GROUP = """insert into work_failures values (?, ?, ?, ?, ?, ?, ?, ?, 1)
  on conflict do update set last_at = excluded.last_at, calls = calls + 1"""


_OPEN = ("taken", "parked", "held")


def _move(rows: Rows, recorded: Recorded, state: str, **columns: object) -> None:
    """What was decided for good stays so: nothing puts a finished call back in line."""
    columns |= {"state": state, "changed_at": recorded.at}
    if_open = " and state in ('taken', 'parked', 'held')" if state in _OPEN else ""
    assignments = ", ".join(f"{column} = ?" for column in columns)
    rows.execute(
        f"update work_call set {assignments} where about = ?{if_open}",
        (*columns.values(), recorded.about),
    )


_HEARS = (
    CallTaken, CallCharged, CallRefused, CallParked, ReplayFailed, CallHeld, CallReleased,
    CallSentAgain, CallEdited, CallSettled, CallRefunded, CallHandedBack, CallLost, AskedPeople,
    MailAnswered,
)  # fmt: skip

calls = Projection("work", _TABLES, tuple(fact.name for fact in _HEARS), _fold, version=6)

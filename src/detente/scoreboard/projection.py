"""What came of accepted sales, added up by the hour.

Each parked call is kept until it has come to its end, so that its worth is counted once, and as what
it turned out to be.
"""

from __future__ import annotations

from detente.facts.work import (
    CallCharged,
    CallEdited,
    CallHandedBack,
    CallLost,
    CallParked,
    CallRefunded,
    CallSettled,
)
from detente.kernel.clock import NS
from detente.kernel.fact import Recorded
from detente.kernel.money import Money
from detente.kernel.views import Projection, Rows

_HOUR = 3600 * NS

_TABLES = """
create table scoreboard_parked(
  about text primary key, since integer not null, minor integer, currency text) without rowid;
create table scoreboard_sales(
  hour integer not null, state text not null, currency text not null, calls integer not null,
  minor integer not null, primary key (hour, state, currency)) without rowid;
"""

_ENDS = {
    CallSettled.name: "recovered",
    CallRefunded.name: "refunded",
    CallHandedBack.name: "lost",  # sold again, it is another sale
    CallLost.name: "lost",
}
"""What a person made of a parked call."""


def _fold(rows: Rows, recorded: Recorded) -> None:
    fact = recorded.fact
    if isinstance(fact, CallParked):
        money = fact.money
        rows.execute(
            "insert or ignore into scoreboard_parked values (?, ?, ?, ?)",
            (fact.about, recorded.at, money.minor if money else None, money and money.currency),
        )
        return
    if isinstance(fact, CallEdited):
        worth = (fact.money.minor, fact.money.currency) if fact.money else (None, None)
        rows.execute(
            "update scoreboard_parked set minor = ?, currency = ? where about = ?",
            (*worth, fact.about),
        )
        return
    parked = rows.execute(
        "delete from scoreboard_parked where about = ? returning minor, currency", (fact.about,)
    ).fetchall()
    if isinstance(fact, CallCharged):
        _add(rows, recorded, "recovered" if parked else "charged", fact.money)
    elif parked:
        ((minor, currency),) = parked
        money = None if currency is None else Money(int(str(minor)), str(currency))
        _add(rows, recorded, _ENDS[fact.name], money)


def _add(rows: Rows, recorded: Recorded, state: str, money: Money | None) -> None:
    hour = recorded.at // _HOUR * _HOUR
    minor, currency = (money.minor, money.currency) if money else (0, "")
    rows.execute(_ADD, (hour, state, currency, minor))


_ADD = """
insert into scoreboard_sales values (?1, ?2, ?3, 1, ?4)
on conflict do update set calls = calls + 1, minor = minor + excluded.minor
"""

sales = Projection(
    "scoreboard",
    _TABLES,
    (
        CallParked.name,
        CallEdited.name,
        CallCharged.name,
        CallSettled.name,
        CallRefunded.name,
        CallHandedBack.name,
        CallLost.name,
    ),
    _fold,
)

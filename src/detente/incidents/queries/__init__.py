"""Which incident, what is down because of it, and what did it come to?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

import msgspec

from detente.incidents import decisions
from detente.incidents.decisions import FLAPPING, Cause, Down, Incident
from detente.kernel.clock import Seconds, later
from detente.kernel.fact import Subject, plain
from detente.kernel.money import Money
from detente.kernel.slice import NotFound
from detente.kernel.views import Rows

State = Literal["parked", "held", "charged", "settled", "refunded", "handed back", "lost"]


BECAME: dict[State, str] = {
    "parked": "waiting to be passed on",
    "held": "held for a person",
    "charged": "passed on since, and accepted",
    "settled": "settled by hand",
    "refunded": "refunded",
    "handed back": "handed back to whoever sold it",
    "lost": "given up",
}


class Sum(msgspec.Struct, frozen=True):
    """So many of the calls that were parked, what became of them, and what they are worth."""

    state: State
    calls: int
    money: tuple[Money, ...]

    @property
    def became(self) -> str:
        return BECAME[self.state]


_COLUMNS = """
select about, of, since, opened_at, opened_by, reason, closed_at, ended, lasted, note, into_, held_by,
  held_at
from incidents_incident
"""


def one(rows: Rows, about: Subject) -> Incident | None:
    """That incident, if there is one."""
    return next(iter(_all(rows, f"{_COLUMNS} where about = ?", (about,))), None)


def one_or_not_found(rows: Rows, about: Subject) -> Incident:
    """That incident; NotFound if there is none."""
    found = one(rows, about)
    if found is None:
        raise NotFound(f"There is no incident {plain(about)}; /incidents lists those there were.")
    return found


def open_of(rows: Rows, of: Subject) -> Incident | None:
    """The incident of this vendor or service that is going on."""
    asked = f"{_COLUMNS} where of = ? and closed_at is null order by number limit 1"
    return next(iter(_all(rows, asked, (of,))), None)


def going_on(rows: Rows) -> list[Incident]:
    """Every incident that has not been closed, oldest first."""
    return _all(rows, f"{_COLUMNS} where closed_at is null order by number", ())


def lately(rows: Rows, *, of: Subject | None = None, limit: int = 50) -> list[Incident]:
    """The last incidents that are over, newest first."""
    asked = f"""{_COLUMNS} where closed_at is not null and (?1 is null or of = ?1)
      order by number desc limit ?2"""
    return _all(rows, asked, (of, limit))


def quiet_time(rows: Rows, incident: Incident, closes_after: Seconds) -> Seconds:
    """How long everything must have worked until it is closed."""
    asked = """select count(*) from incidents_incident
      where of = ? and opened_by < ? and closed_at > ?"""
    given = (incident.of, incident.opened_by, later(incident.opened_at, -FLAPPING))
    ((lately,),) = rows.execute(asked, given)
    return decisions.quiet_time(closes_after, int(lately))


def next_number(rows: Rows) -> int:
    """People say 'incident 12': the numbers are small and never used twice."""
    for (highest,) in rows.execute("select max(number) from incidents_incident"):
        return 1 if highest is None else int(highest) + 1
    return 1


def down_of(rows: Rows, of: Subject) -> list[Down]:
    """What is down of this vendor or service, in every environment, longest first."""
    asked = """select cause, of, since, reason, environment from incidents_down
      where of = ? order by since, cause"""
    return [
        Down(cause=cause, of=of, since=since, reason=reason, environment=environment)
        for cause, of, since, reason, environment in rows.execute(asked, (of,))
    ]


def of_cause(rows: Rows, cause: Subject) -> Incident | None:
    """The open incident that knows this check or route as a cause."""
    asked = f"""{_COLUMNS} where closed_at is null and about in
      (select about from incidents_cause where cause = ? and left_at is null) limit 1"""
    return next(iter(_all(rows, asked, (cause,))), None)


def parked_during(rows: Rows, incident: Incident) -> list[Sum]:
    """What became of the vendor's calls that were parked while it lasted: what it came to."""
    asked = """select state, currency, count(*), sum(minor) from incidents_call
      where vendor = ?1 and parked_at >= ?2 and (?3 is null or parked_at < ?3)
      group by state, currency order by currency"""
    found: dict[str, tuple[int, list[Money]]] = {}
    given = (incident.of, incident.since, incident.closed_at)
    for state, currency, count, minor in rows.execute(asked, given):
        calls, amounts = found.get(state, (0, []))
        amounts = [*amounts, Money(minor, currency)] if currency else amounts
        found[state] = (calls + count, amounts)
    return [
        Sum(state, found[state][0], tuple(found[state][1]))
        for state in get_args(State)
        if state in found
    ]


def waiting(sums: Iterable[Sum]) -> list[Sum]:
    """Those that are not finished."""
    return [each for each in sums if each.state in ("parked", "held")]


def _all(rows: Rows, asked: str, given: tuple[object, ...]) -> list[Incident]:
    found = list(rows.execute(asked, given))
    return [_incident(row, _causes(rows, str(row[0]))) for row in found]


def _incident(row: tuple[object, ...], causes: tuple[Cause, ...]) -> Incident:
    names = (
        "about", "of", "since", "opened_at", "opened_by", "reason", "closed_at", "ended", "lasted",
        "note", "into", "held_by", "held_at",
    )  # fmt: skip
    return Incident(**dict(zip(names, row, strict=True)), causes=causes)  # type: ignore[arg-type]


def _causes(rows: Rows, about: Subject) -> tuple[Cause, ...]:
    asked = """select cause, since, reason, remark, left_at, of from incidents_cause
      where about = ? order by position"""
    return tuple(
        Cause(cause=cause, since=since, reason=reason, remark=bool(remark), left=left, of=of)
        for cause, since, reason, remark, left, of in rows.execute(asked, (about,))
    )

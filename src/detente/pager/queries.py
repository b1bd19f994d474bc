"""Who hears of it, what are they owed, and what have they been told?"""

from __future__ import annotations

from collections.abc import Iterator
from email.utils import parseaddr

import msgspec

from detente.facts.work import BreakerOpened
from detente.kernel import spans
from detente.kernel.clock import Instant, later
from detente.kernel.fact import Fact, Subject, plain
from detente.kernel.node import Node
from detente.kernel.slice import NotFound
from detente.kernel.views import Rows
from detente.pager import decisions
from detente.pager.decisions import Channel, Letter, Mark, Matter
from detente.pager.settings import Pager

_MATTERS = """
select about, of, cause, since, reason, opened_at, opened, taken, held_by, held_at, closed, closed_at,
  ended, lasted, note from pager_matter
"""
_MARKS = """
select about, team, channel, told, told_at, message, sent_to, attempts, next_at, reason from pager_mark
"""


def matter(rows: Rows, about: Subject) -> Matter | None:
    """What there is to tell about that incident."""
    return next(iter(_matters(rows, f"{_MATTERS} where about = ?", (about,))), None)


def matter_or_not_found(rows: Rows, about: Subject) -> Matter:
    """The same; NotFound if there is no such incident."""
    found = matter(rows, about)
    if found is None:
        raise NotFound(f"There is no incident {plain(about)}; /incidents lists those there were.")
    return found


def marks(rows: Rows, about: Subject) -> list[Mark]:
    """How far each team was told about that incident."""
    asked = f"{_MARKS} where about = ? order by team, channel"
    return [_mark(row) for row in rows.execute(asked, (about,))]


def unsettled(rows: Rows, now: Instant) -> list[Matter]:
    """Incidents about which somebody may be owed a message."""
    asked = f"""{_MATTERS} where closed_at is null or closed_at > ?1 or about in (
      select pager_mark.about from pager_mark join pager_matter using (about)
      where attempts > 0 or told < newest)"""
    return _matters(rows, asked, (later(now, -decisions.STALE),))


def ways(node: Node, of: Subject) -> list[tuple[str, Channel]]:
    """By which teams, and how, a failure of this vendor or service is heard."""
    mail = node.settings(Pager).mail
    found: list[tuple[str, Channel]] = []
    for name in node.catalogue.teams_of(of):
        team = node.catalogue.teams.get(name)
        if team is not None and team.mail and mail is not None:
            found.append((name, "mail"))
        if team is not None and team.webhook:
            found.append((name, "webhook"))
    return found


def owed(node: Node) -> list[Letter]:
    """Every message that somebody has not been told, oldest incident first."""
    now = node.clock.now()
    matters = unsettled(node.rows, now)
    return decisions.letters(
        matters,
        {each.of: ways(node, each.of) for each in matters},
        [mark for each in matters for mark in marks(node.rows, each.about)],
        now,
    )


def turned_away(node: Node) -> list[tuple[str, Instant, str]]:
    """Teams with addresses that were refused when they were last written to, since when, and why."""
    asked = "select team, address, at, reason from pager_turned_away order by at, team, address"
    teams = node.catalogue.teams
    return [
        (team, at, reason)
        for team, address, at, reason in node.rows.execute(asked)
        if team in teams and address in {parseaddr(each)[1] for each in teams[team].mail}
    ]


def letter_of(node: Node, about: Subject) -> tuple[Subject, str]:
    """The incident and the team of `letter:12.3fa9…`. Raises NotFound unless it is a real link."""
    number, _, shown = plain(about).partition(".")
    incident = f"incident:{number}"
    team = decisions.team_of(node.token, incident, shown, tuple(node.catalogue.teams))
    if team is None:
        raise NotFound(
            "This link is not one of ours, or was made before this node's token changed. The incident"
            f" itself is at {node.address}/incidents/{number}."
        )
    return incident, team


def measures(node: Node, of: Subject) -> list[str]:
    """What Détente itself is doing about it."""
    return [_measure(fact, plain(fact.about)) for fact in _breakers(node) if fact.vendor == of]


def _breakers(node: Node) -> Iterator[BreakerOpened]:
    for span in spans.going_on(node.rows, "breaker"):
        fact = _fact_at(node, span.opened_by)
        if isinstance(fact, BreakerOpened):
            yield fact


def _fact_at(node: Node, position: int) -> Fact | None:
    found = node.ledger.read(after=position - 1, until=position, limit=1)
    return next((recorded.fact for recorded in found), None)


def _measure(fact: BreakerOpened, route: str) -> str:
    if fact.parks:
        return f"calls on the route {route} are parked at once and passed on when it works again"
    return f"calls on the route {route} are refused at once, so that nobody is kept waiting"


def _matters(rows: Rows, asked: str, given: tuple[object, ...]) -> list[Matter]:
    names = (
        "about", "of", "cause", "since", "reason", "opened_at", "opened", "taken", "held_by",
        "held_at", "closed", "closed_at", "ended", "lasted", "note",
    )  # fmt: skip
    found = rows.execute(asked, given)
    return [Matter(**dict(zip(names, row, strict=True))) for row in found]


def _mark(row: tuple[object, ...]) -> Mark:
    names = (
        "about", "team", "channel", "told", "told_at", "message", "to", "attempts", "next_at",
        "reason",
    )  # fmt: skip
    found = dict(zip(names, row, strict=True))
    found["to"] = msgspec.json.decode(str(found["to"]), type=tuple[str, ...])
    return Mark(**found)  # type: ignore[arg-type]

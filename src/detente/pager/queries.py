"""Who hears of it, what are they owed, and what have they been told?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from email.utils import parseaddr

import msgspec

from detente.facts.work import BreakerOpened
from detente.kernel import spans
from detente.kernel.catalogue import Team
from detente.kernel.clock import Instant, later
from detente.kernel.fact import Fact, Subject, plain
from detente.kernel.mailing import Channel
from detente.kernel.money import Money
from detente.kernel.node import Node
from detente.kernel.slice import NotFound
from detente.kernel.views import Rows
from detente.pager import decisions
from detente.pager.decisions import Change, Joined, Letter, Mark, Matter, Notice, Rung
from detente.pager.engine import rota as rota_engine
from detente.pager.engine.rota import Cover, Shift
from detente.pager.settings import EVERYBODY, Pager, Person, Rota

_MATTERS = """
select about, of, cause, since, reason, opened_at, opened, taken, held_by, held_at, closed, closed_at,
  ended, lasted, note, into_about from pager_matter
"""
_MARKS = """
select about, team, channel, told, told_at, message, sent_to, attempts, next_at, reason, step
  from pager_mark
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


def joined(rows: Rows, about: Subject) -> tuple[Joined, ...]:
    """What else fell because of the same thing, in the order in which it did."""
    asked = "select of, cause, reason from pager_joined where about = ? order by position"
    found = rows.execute(asked, (about,))
    return tuple(Joined(of=of, cause=cause, reason=reason) for of, cause, reason in found)


def hearer(node: Node, name: str) -> Team | Person | None:
    """The team or person called that."""
    return node.catalogue.teams.get(name) or node.settings(Pager).people.get(name)


def called(node: Node, name: str) -> str:
    """What people call that team or person."""
    found = hearer(node, name)
    return (found.title if found else "") or name


def ways_to(node: Node, name: str) -> list[tuple[str, Channel]]:
    """How that team or person is reached."""
    found = hearer(node, name)
    ways: list[tuple[str, Channel]] = []
    if found is not None and found.mail and node.mail is not None:
        ways.append((name, "mail"))
    if found is not None and found.webhook:
        ways.append((name, "webhook"))
    return ways


def teams_of(node: Node, subjects: Iterable[Subject]) -> tuple[str, ...]:
    """Who is told when these fail, each once."""
    return tuple(dict.fromkeys(name for of in subjects for name in node.catalogue.teams_of(of)))


def ways(node: Node, *subjects: Subject) -> list[tuple[str, Channel]]:
    """By which teams, and how, a failure of these vendors or services is heard."""
    return [way for name in teams_of(node, subjects) for way in ways_to(node, name)]


def owed(node: Node) -> list[Letter | Notice]:
    """Every message that somebody has not been told, about incidents before changes."""
    now = node.clock.now()
    return [*_letters(node, now), *_notices(node, now)]


def _letters(node: Node, now: Instant) -> list[Letter]:
    """About incidents, the oldest first."""
    matters = unsettled(node.rows, now)
    known = {each.about: marks(node.rows, each.about) for each in matters}
    rungs = {
        (each.about, name): rung
        for each in matters
        for rung in climbed(node, each, now)[0]
        for name in rung.hearers
    }
    return decisions.letters(
        matters,
        {each.about: _ways_about(node, each, known[each.about], rungs) for each in matters},
        [mark for each in known.values() for mark in each],
        now,
        rungs,
    )


def _ways_about(
    node: Node, matter: Matter, known: Sequence[Mark], rungs: Mapping[tuple[Subject, str], Rung]
) -> list[tuple[str, Channel]]:
    """The teams, whoever is to be paged, and whoever was: they hear who has it, and the end."""
    paged = [name for about, name in rungs if about == matter.about]
    heard = [mark.team for mark in known if mark.step]
    names = dict.fromkeys((*teams_of(node, matter.subjects), *paged, *heard))
    return [way for name in names for way in ways_to(node, name)]


class _Said(msgspec.Struct, frozen=True, kw_only=True):
    """What a planned or made change says of itself."""

    title: str
    touches: tuple[Subject, ...] = ()
    central: tuple[Subject, ...] = ()
    falls: tuple[Subject, ...] = ()
    an_hour: tuple[Money, ...] = ()
    tell: tuple[Subject, ...] = ()
    link: str = ""


def changes(rows: Rows, now: Instant) -> list[Change]:
    """Changes of central points about which somebody may be owed a message, the oldest first."""
    asked = """select about, state, at, said_at, newest, fact, said_by, why from pager_change
      where (state = 'planned' and at >= ?1) or said_at >= ?2 or about in (
        select about from pager_mark where attempts > 0)
      order by newest"""
    return [
        Change(
            about=about, state=state, at=at, said_at=said_at, newest=newest, said_by=by, why=why,
            **msgspec.structs.asdict(msgspec.json.decode(fact, type=_Said)),
        )
        for about, state, at, said_at, newest, fact, by, why in list(
            rows.execute(asked, (now, later(now, -decisions.STALE)))
        )
    ]  # fmt: skip


def _notices(node: Node, now: Instant) -> list[Notice]:
    """About changes of central points, to the teams that these name."""
    return [
        notice
        for change in changes(node.rows, now)
        for way in (way for team in change.tell for way in ways_to(node, plain(team)))
        if (notice := decisions.notice(change, *way, _mark_of(node, change, way), now))
    ]


def _mark_of(node: Node, change: Change, way: tuple[str, Channel]) -> Mark | None:
    known = marks(node.rows, change.about)
    return next((each for each in known if (each.team, each.channel) == way), None)


def climbed(node: Node, matter: Matter, now: Instant) -> tuple[list[Rung], Instant | None]:
    """The steps of the escalation whose time has come, and when the next one's comes."""
    steps = [(float(each.after), each.tell) for each in node.settings(Pager).steps]
    return decisions.climbed(matter, steps, lambda tell, at: reached(node, tell, at), now)


def next_step_at(node: Node) -> Instant | None:
    """When somebody will be paged if nobody says they have it."""
    now = node.clock.now()
    times = (climbed(node, each, now)[1] for each in unsettled(node.rows, now))
    return min((at for at in times if at is not None), default=None)


def reached(node: Node, tell: str, at: Instant) -> tuple[str, ...]:
    """Whom a step of the escalation reaches at that moment: whoever is on call, or by name."""
    pager = node.settings(Pager)
    if tell in pager.rota:
        names = [on_call(node, tell, at)]
    else:
        names = [*pager.people] if tell == EVERYBODY else [tell]
    return tuple(name for name in names if name is not None and ways_to(node, name))


# -- the rota ------------------------------------------------------------------------------------


class Agreed(msgspec.Struct, frozen=True, kw_only=True):
    """A cover that people agreed on with the lever."""

    position: int
    rota: str
    person: str
    starts: Instant
    ends: Instant
    note: str


def agreed(rows: Rows, rota: str) -> list[Agreed]:
    """Covers of that rota that hold, in the order in which they were agreed."""
    asked = """select position, rota, person, starts, ends, note from pager_cover
      where rota = ? and dropped is null order by position"""
    names = Agreed.__struct_fields__
    found = rows.execute(asked, (f"rota:{rota}",))
    return [Agreed(**dict(zip(names, row, strict=True))) for row in found]


def rota_named(node: Node, name: str) -> Rota:
    """The rota. Raises NotFound."""
    rotas = node.settings(Pager).rota
    if name not in rotas:
        raise NotFound(f"There is no rota {name}; declared: {', '.join(rotas) or 'none'}.")
    return rotas[name]


def shifts(node: Node, name: str, start: Instant, end: Instant) -> list[Shift]:
    """Who is on call in [start, end)."""
    pager, rota = node.settings(Pager), rota_named(node, name)
    zone = rota.timezone
    written = [
        Cover(person=each.person, start=each.starts.within(zone), end=each.until.within(zone))
        for each in pager.overrides
        if pager.rota_of(each) == name
    ]
    by_hand = [
        Cover(person=each.person, start=each.starts, end=each.ends)
        for each in agreed(node.rows, name)
        if each.person in pager.people
    ]
    away = {
        person: [(each.starts.within(zone), each.until.within(zone)) for each in entry.away]
        for person, entry in pager.people.items()
    }
    return rota_engine.shifts(rota, start, end, away=away, covers=[*written, *by_hand])


def on_call(node: Node, name: str, at: Instant) -> str | None:
    """Who is on call at that moment, if anybody is."""
    return shifts(node, name, at, at + 1)[0].person


LOOK_AHEAD = 30 * 86_400.0


def gaps(node: Node, name: str) -> list[Shift]:
    """When nobody will be on call in the next thirty days."""
    now = node.clock.now()
    return [each for each in shifts(node, name, now, later(now, LOOK_AHEAD)) if not each.person]


def pages_since(rows: Rows, since: Instant) -> list[tuple[str, Instant, Subject, str]]:
    """Everybody who was paged since then: who, when, about what, because of what; newest first."""
    asked = """select person, at, about, because from pager_page where at >= ?
      order by position desc"""
    return [
        (str(who), at, str(about), str(why))
        for who, at, about, why in rows.execute(asked, (since,))
    ]


def turned_away(node: Node) -> list[tuple[str, Instant, str]]:
    """Who has addresses that were refused when they were last written to, since when, and why."""
    asked = "select team, address, at, reason from pager_turned_away order by at, team, address"
    return [
        (name, at, reason)
        for name, address, at, reason in node.rows.execute(asked)
        if (found := hearer(node, name)) and address in {parseaddr(each)[1] for each in found.mail}
    ]


def letter_of(node: Node, about: Subject) -> tuple[Subject, str]:
    """The incident and the team or person of `letter:12.3fa9…`. Raises NotFound unless it is a real link."""
    number, _, shown = plain(about).partition(".")
    incident = f"incident:{number}"
    names = (*node.catalogue.teams, *node.settings(Pager).people)
    team = decisions.team_of(node.token, incident, shown, names)
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
        "held_at", "closed", "closed_at", "ended", "lasted", "note", "into",
    )  # fmt: skip
    found = [dict(zip(names, row, strict=True)) for row in rows.execute(asked, given)]
    return [Matter(**each, joined=joined(rows, each["about"])) for each in found]


def _mark(row: tuple[object, ...]) -> Mark:
    names = (
        "about", "team", "channel", "told", "told_at", "message", "to", "attempts", "next_at",
        "reason", "step",
    )  # fmt: skip
    found = dict(zip(names, row, strict=True))
    found["to"] = msgspec.json.decode(str(found["to"]), type=tuple[str, ...])
    return Mark(**found)  # type: ignore[arg-type]

"""Who is on call, who will be, and who was woken?"""

from __future__ import annotations

import msgspec

from detente.kernel.clock import Instant, Seconds, later, moment
from detente.kernel.fact import Subject, Tone
from detente.kernel.node import Node
from detente.kernel.slice import Sign
from detente.pager import queries
from detente.pager.engine.rota import Shift
from detente.pager.settings import Pager


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody is on call for a while, or nobody is."""

    person: str | None
    title: str
    team: str
    start: Instant
    end: Instant
    instead_of: str
    tone: Tone
    says: str
    begins_says: str
    """By the clock that the rota goes by."""
    ends_says: str


class CoverLine(msgspec.Struct, frozen=True, kw_only=True):
    """A cover that people agreed on here, and can drop."""

    about: Subject
    title: str
    starts: Instant
    ends: Instant
    note: str
    begins_says: str
    ends_says: str


class RotaView(msgspec.Struct, frozen=True, kw_only=True):
    """One rota: who has it now, and the next thirty days."""

    name: str
    about: Subject
    changes: str
    timezone: str
    now: Turn
    next: Turn | None
    start: Instant
    end: Instant
    turns: tuple[Turn, ...]
    gaps: tuple[Turn, ...]
    covers: tuple[CoverLine, ...]


class Rung(msgspec.Struct, frozen=True, kw_only=True):
    """One step of the escalation, and whom it would reach now."""

    after: Seconds
    tell: str
    reaches: tuple[str, ...]


class Burden(msgspec.Struct, frozen=True, kw_only=True):
    """How often somebody was paged in the last thirty days, and how often at night."""

    title: str
    team: str
    times: int
    at_night: int
    last: Instant


def rota_view(node: Node, name: str) -> RotaView:
    rota, now = queries.rota_named(node, name), node.clock.now()
    end = later(now, queries.LOOK_AHEAD)
    beyond = later(end, 2 * 86_400 * rota.changes.days)  # so that the last one has its real end
    coming = [each for each in queries.shifts(node, name, now, beyond) if each.start < end]
    turns = tuple(_turn(node, each, rota.timezone) for each in coming)
    return RotaView(
        name=name,
        about=f"rota:{name}",
        changes=str(rota.changes),
        timezone=rota.timezone,
        now=turns[0],
        next=turns[1] if len(turns) > 1 else None,
        start=now,
        end=end,
        turns=turns,
        gaps=tuple(each for each in turns if each.person is None),
        covers=tuple(
            CoverLine(
                about=f"cover:{each.position}",
                title=queries.called(node, each.person),
                starts=each.starts,
                ends=each.ends,
                note=each.note,
                begins_says=_spoken(each.starts, rota.timezone),
                ends_says=_spoken(each.ends, rota.timezone),
            )
            for each in queries.agreed(node.rows, name)
            if each.ends > now
        ),
    )


def _turn(node: Node, shift: Shift, zone: str) -> Turn:
    who, instead = shift.person, shift.instead_of
    title = queries.called(node, who) if who else "Nobody"
    missing = queries.called(node, instead) if instead else ""
    says = title if not missing else f"{title} instead of {missing}"
    return Turn(
        person=who,
        title=title,
        team=_team(node, who or ""),
        start=shift.start,
        end=shift.end,
        instead_of=missing,
        tone="good" if who else "bad",
        says=says,
        begins_says=_spoken(shift.start, zone),
        ends_says=_spoken(shift.end, zone),
    )


def _team(node: Node, person: str) -> str:
    found = node.settings(Pager).people.get(person)
    return node.title(f"team:{found.team}") if found is not None and found.team else ""


def steps(node: Node) -> list[Rung]:
    now = node.clock.now()
    return [
        Rung(
            after=each.after,
            tell=each.tell,
            reaches=tuple(
                queries.called(node, name) for name in queries.reached(node, each.tell, now)
            ),
        )
        for each in node.settings(Pager).steps
    ]


_NIGHT = (22, 7)  # from ten in the evening until seven in the morning


def burdens(node: Node) -> list[Burden]:
    """Who was woken, so that nobody has to claim it: the most at night first."""
    since = later(node.clock.now(), -queries.LOOK_AHEAD)
    pages: dict[str, list[Instant]] = {}
    for person, at, _, _ in queries.pages_since(node.rows, since):
        pages.setdefault(person, []).append(at)
    found = [
        Burden(
            title=queries.called(node, person),
            team=_team(node, person),
            times=len(times),
            at_night=sum(_is_night(at, _zone(node, person)) for at in times),
            last=max(times),
        )
        for person, times in pages.items()
    ]
    return sorted(found, key=lambda each: (-each.at_night, -each.times, each.title))


def _is_night(at: Instant, zone: str) -> bool:
    evening, morning = _NIGHT
    return not morning <= moment(at, zone).hour < evening


def _zone(node: Node, person: str) -> str:
    """Where they are: where their rota's clock hangs."""
    rotas = node.settings(Pager).rota.values()
    return next((each.timezone for each in rotas if person in each.people), "UTC")


def gap_signs(node: Node) -> list[Sign]:
    """Nobody on call is found out now, and not in the night when it matters."""
    found = []
    for name in node.settings(Pager).rota:
        rota = rota_view(node, name)
        for gap in rota.gaps[:1]:
            why = f", because {gap.instead_of} is away" if gap.instead_of else ""
            here = gap.start <= rota.start
            found.append(
                Sign(
                    tone="bad" if here else "warn",
                    about=rota.about,
                    sentence=f"nobody is on call until {_spoken(gap.end, rota.timezone)}{why}"
                    if here
                    else f"nobody will be on call from {_spoken(gap.start, rota.timezone)}"
                    f" to {_spoken(gap.end, rota.timezone)}{why}",
                    href="/pager",
                )
            )
    return found


def _spoken(at: Instant, zone: str) -> str:
    here = moment(at, zone)
    return f"{here:%a} {here.day} {here:%b %H:%M}"

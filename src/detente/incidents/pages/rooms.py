"""The incidents, and the room of one of them, as people see them."""

from __future__ import annotations

import msgspec

from detente.incidents import decisions, queries
from detente.incidents.decisions import Cause, Incident, afterwards
from detente.incidents.decisions.afterwards import Action, Retrospective
from detente.incidents.pages import changed as changes
from detente.incidents.pages.changed import Changed
from detente.incidents.queries import Sum, meanwhile, retrospectives
from detente.incidents.queries.meanwhile import Line
from detente.incidents.settings import Incidents
from detente.kernel.clock import Instant, Seconds, lasting, later, seconds_between
from detente.kernel.faces import Handle, Shown, Told, levers_of, panels_of, tell
from detente.kernel.fact import Recorded, Subject, Tone, kind, plain
from detente.kernel.ledger import Query
from detente.kernel.money import Money, total
from detente.kernel.needs import Fallen
from detente.kernel.node import Node
from detente.kernel.slice import Ask, Page, Panel, Sign

_MOST_CHANGES = 3
_ELSEWHERE = frozenset(
    f"incidents.{verb}"
    for verb in (
        *("open_retrospective", "answer", "answer_from", "close_retrospective"),
        *("take_on", "drop_action"),
    )
)
"""Levers that stand on the page of the retrospective, and not in the room."""

_AFTERMATH: Seconds = 120.0  # the timeline goes on a little after the end: parked calls go out then


class Brief(msgspec.Struct, frozen=True, kw_only=True):
    """One incident in a list."""

    incident: Incident
    title: str
    reason: str
    tone: Tone
    lasted: Seconds
    parked: int
    worth: tuple[Money, ...]


class List(msgspec.Struct, frozen=True, kw_only=True):
    """What is going on, and what there was."""

    open: list[Brief]
    over: list[Brief]


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """One part of a cause's bar."""

    start: Instant
    end: Instant | None
    tone: Tone
    says: str


class Strand(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was down, over the time of the incident."""

    cause: Subject
    title: str
    down: bool
    remark: bool
    tone: Tone
    state: str
    reason: str
    parts: tuple[Stretch, ...]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the timeline, and what happened routinely between it and the one before."""

    told: Told
    meanwhile: tuple[str, ...] = ()
    quiet: int = 0


class Journey(msgspec.Struct, frozen=True, kw_only=True):
    """Something people come for that cannot be done now, and what an hour of it is worth."""

    about: Subject
    title: str
    over: tuple[Subject, ...]  # what it needs that is down or has fallen
    earns: Money | None


class Falls(msgspec.Struct, frozen=True, kw_only=True):
    """What falls with what is down, by the map."""

    journeys: tuple[Journey, ...] = ()
    others: tuple[Subject, ...] = ()
    an_hour: tuple[Money, ...] = ()


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about one incident, for everybody who has to do with it."""

    incident: Incident
    title: str  # what people call the vendor or service
    tone: Tone
    state: str
    headline: str
    reason: str
    at: Instant
    start: Instant  # of the bars
    end: Instant
    lasted: Seconds
    closes_at: Instant | None
    strands: tuple[Strand, ...]
    cost: list[Sum]
    parked: int
    worth: tuple[Money, ...]
    at_stake: tuple[Money, ...]
    notes: tuple[Told, ...]
    levers: tuple[Handle, ...]
    panels: tuple[Shown, ...]  # what the other slices show about the incident
    of_panels: tuple[Shown, ...]  # … and about the vendor or service
    falls: Falls
    changed: Changed
    entries: tuple[Entry, ...]
    latest: tuple[str, ...]
    earlier: int | None


class Last(msgspec.Struct, frozen=True, kw_only=True):
    """The last incidents of one vendor or service."""

    open: Brief | None
    over: list[Brief]


# -- pages -------------------------------------------------------------------------------------


def listed(node: Node, _ask: Ask) -> List:
    return List(
        open=[_brief(node, each) for each in reversed(queries.going_on(node.rows))],
        over=[_brief(node, each) for each in queries.lately(node.rows)],
    )


def room(node: Node, ask: Ask) -> Room:
    incident = queries.one_or_not_found(node.rows, f"incident:{ask.path['number']}")
    now, settings = node.clock.now(), node.settings(Incidents)
    start = max(later(incident.since, -settings.lead_in), node.began())
    end = now if incident.closed_at is None else later(incident.closed_at, _AFTERMATH)
    told = meanwhile.story(node.ledger, start, end + 1)
    cost = queries.parked_during(node.rows, incident)
    return Room(
        incident=incident,
        title=node.title(incident.of),
        tone=_tone(incident),
        state=_state(incident),
        headline=_headline(node, incident, now),
        reason=_reason(incident),
        at=now,
        start=start,
        end=min(now, end),
        lasted=_lasted(incident, now),
        closes_at=decisions.closes_at(
            incident, queries.quiet_time(node.rows, incident, settings.closes_after)
        ),
        strands=_strands(node, incident),
        cost=cost,
        parked=sum(each.calls for each in cost),
        worth=_worth(cost),
        at_stake=_worth(queries.waiting(cost)),
        notes=_told(node, incident.about, "incidents.noted"),
        levers=tuple(
            Handle(each.name, each.label, each.explains, each.tone)
            for each in levers_of(node, incident.about)
            if each.name not in _ELSEWHERE
        ),
        panels=_others(node, incident.about),
        of_panels=_others(node, incident.of),
        falls=falls_with(node, incident),
        changed=changes.of_incident(node, incident, most=_MOST_CHANGES),
        entries=tuple(_entry(node, each) for each in told.lines),
        latest=told.latest,
        earlier=told.earlier,
    )


def last_panel(node: Node, about: Subject) -> Last | None:
    """What there was with this vendor or service; nothing to show if there never was anything."""
    going = queries.open_of(node.rows, about)
    over = queries.lately(node.rows, of=about, limit=5)
    if going is None and not over:
        return None
    brief = None if going is None else _brief(node, going)
    return Last(open=brief, over=[_brief(node, each) for each in over])


def incident_panel(node: Node, about: Subject) -> Brief | None:
    """The incident in short, where only its subject is shown; its room has everything."""
    incident = queries.one(node.rows, about)
    return None if incident is None else _brief(node, incident)


def signs(node: Node) -> list[Sign]:
    """Each open incident, about what it is of; and what was promised afterwards and is overdue."""
    now = node.now()
    return [
        *(_sign(node, each) for each in queries.going_on(node.rows)),
        *(_overdue(node, each) for each in retrospectives.overdue(node.rows, now)),
        *(_not_done(each) for each in retrospectives.waiting(node.rows) if each.due < now),
    ]


def _overdue(node: Node, retrospective: Retrospective) -> Sign:
    lacking = len(list(afterwards.lacking(retrospective.answers)))
    what = "nobody has closed it" if not lacking else f"{lacking} of 4 questions wait for an answer"
    number = plain(retrospective.about)
    return Sign(
        tone="warn",
        about=retrospective.about,
        sentence=f"the retrospective of incident {number} is overdue: {what}",
        since=retrospective.due,
        href=f"/incidents/{number}/retrospective",
    )


def _not_done(action: Action) -> Sign:
    return Sign(
        tone="warn",
        about=action.about,
        sentence=(
            f"an action is overdue: {action.title} (done once"
            f" {action.closes_on.replace(':', ' ', 1)} is there and has run)"
        ),
        since=action.due,
        held_by=action.owner,
        href=f"/incidents/{plain(action.about)}/retrospective",
    )


def _sign(node: Node, incident: Incident) -> Sign:
    cost = queries.waiting(queries.parked_during(node.rows, incident))
    says = f"incident {incident.number}, {_state(incident)}: {_reason(incident)}"
    return Sign(
        tone=_tone(incident),
        about=incident.of,
        sentence=says + _what_falls(falls_with(node, incident)),
        since=incident.since,
        held_by=incident.held_by,
        costs=_worth(cost),
        href=f"/incidents/{incident.number}",
    )


def falls_with(node: Node, incident: Incident) -> Falls:
    """What cannot be done because of it; of one that is over, what could not."""
    felt = tuple(each for each in incident.causes if not each.remark)
    down = felt if incident.closed_at is not None else incident.down
    subjects = tuple(dict.fromkeys(each.of or incident.of for each in down))
    fallen = node.catalogue.needs.falls(subjects) if subjects else ()
    journeys = tuple(_journey(node, each) for each in fallen if kind(each.node) == "journey")
    return Falls(
        journeys=journeys,
        others=tuple(each.node for each in fallen if each.over and kind(each.node) != "journey"),
        an_hour=total(each.earns for each in journeys if each.earns),
    )


def _journey(node: Node, fallen: Fallen) -> Journey:
    declared = node.catalogue.journeys.get(plain(fallen.node))
    return Journey(
        about=fallen.node,
        title=node.title(fallen.node),
        over=fallen.over,
        earns=declared.earns if declared else None,
    )


def _what_falls(falls: Falls) -> str:
    """'; Renew a permit cannot be done, 1 200.00 EUR an hour'."""
    if not falls.journeys:
        return ""
    first, *more = (each.title for each in falls.journeys)
    what = f"{first} and {len(more)} more" if len(more) > 1 else " and ".join([first, *more])
    worth = f", {' and '.join(map(str, falls.an_hour))} an hour" if falls.an_hour else ""
    return f"; cannot be done: {what}{worth}"


# -- words -------------------------------------------------------------------------------------


def _headline(node: Node, incident: Incident, now: Instant) -> str:
    """What, and how long: 'CardPay is down', 'CardPay was down for 12 min'."""
    title = node.title(incident.of)
    if incident.into:
        return f"{title}: goes on as {incident.into.replace(':', ' ', 1)}"
    if incident.closed_at is not None:
        return f"{title} was down for {lasting(incident.lasted or 0)}"
    quiet = decisions.quiet_since(incident)
    if quiet is not None:
        ago = lasting(max(0, int(seconds_between(quiet, now))))
        return f"{title} has worked again for {ago}"
    return f"{title} is down"


def _state(incident: Incident) -> str:
    if incident.into:
        return f"part of {incident.into.replace(':', ' ', 1)}"
    if incident.closed_at is not None:
        return "closed"
    return "down" if incident.down else "works again, being watched"


def _reason(incident: Incident) -> str:
    """Why it is down: what first failed, or, once that works again, what failed next."""
    return next((each.reason for each in incident.down), incident.reason)


def _tone(incident: Incident) -> Tone:
    if incident.closed_at is not None:
        return "good"
    return "bad" if incident.down else "warn"


def _lasted(incident: Incident, now: Instant) -> Seconds:
    if incident.lasted is not None:
        return incident.lasted
    quiet = decisions.quiet_since(incident)
    return max(0.0, seconds_between(incident.since, now if quiet is None else quiet))


def _brief(node: Node, incident: Incident) -> Brief:
    cost = queries.parked_during(node.rows, incident)
    return Brief(
        incident=incident,
        title=node.title(incident.of),
        reason=_reason(incident),
        tone=_tone(incident),
        lasted=_lasted(incident, node.clock.now()),
        parked=sum(each.calls for each in cost),
        worth=_worth(cost),
    )


def _worth(sums: list[Sum]) -> tuple[Money, ...]:
    return total(money for each in sums for money in each.money)


def _strands(node: Node, incident: Incident) -> tuple[Strand, ...]:
    """One bar for each thing that was down, in the order in which they fell."""
    by_cause: dict[Subject, list[Cause]] = {}
    for each in sorted(incident.causes, key=lambda cause: cause.since):
        by_cause.setdefault(each.cause, []).append(each)
    return tuple(_strand(node, incident, cause, times) for cause, times in by_cause.items())


def _strand(node: Node, incident: Incident, cause: Subject, times: list[Cause]) -> Strand:
    last = times[-1]
    tone, state = _strand_state(incident, last)
    return Strand(
        cause=cause,
        title=node.title(cause),
        down=last.left is None and incident.closed_at is None,
        remark=last.remark,
        tone=tone,
        state=state,
        reason=last.reason,
        parts=tuple(
            Stretch(
                start=each.since,
                end=incident.closed_at if each.left is None else each.left,
                tone="warn" if each.remark else "bad",
                says=each.reason,
            )
            for each in times
        ),
    )


def _strand_state(incident: Incident, last: Cause) -> tuple[Tone, str]:
    if last.left is not None:
        return "good", "works again"
    if incident.closed_at is not None:
        return "plain", "still down when the incident was closed"
    return ("warn" if last.remark else "bad"), "down"


def _entry(node: Node, line: Line) -> Entry:
    return Entry(told=tell(node, line.told), meanwhile=line.meanwhile, quiet=line.quiet)


def _told(node: Node, about: Subject, *names: str) -> tuple[Told, ...]:
    found: list[Recorded] = list(node.ledger.read(Query(names=names, subjects=(about,))))
    return tuple(tell(node, each) for each in found)


def _others(node: Node, about: Subject) -> tuple[Shown, ...]:
    """What the other slices show: our own panels say less than the room does."""
    return tuple(each for each in panels_of(node, about) if each.noun != "incidents")


_HEARS = ("incidents.*", "pager.*", "watch.went_down", "watch.came_back", "work.*")

PAGES = (
    Page(
        path="/incidents",
        title="Incidents",
        answer=listed,
        template="incidents/list.html",
        in_menu=True,
        hears=("incidents.*", "pager.taken"),
    ),
    Page(
        path="/incidents/{number}",
        title="Incident",
        answer=room,
        template="incidents/room.html",
        hears=_HEARS,
    ),
)

PANELS = (
    Panel(
        title="Last incidents",
        kinds=("vendor", "service", "infrastructure"),
        answer=last_panel,
        template="incidents/last.html",
    ),
    Panel(
        title="In short",
        kinds=("incident",),
        answer=incident_panel,
        template="incidents/short.html",
    ),
)

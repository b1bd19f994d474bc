"""The calendar, one release while it runs and afterwards, and the morning."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from detente.facts.releases import Looked, NotTold, Reading, StepBegan, short
from detente.kernel import sequential
from detente.kernel.clock import Instant, Seconds, instant, later, moment
from detente.kernel.faces import Handle, Shown, Told, levers_of, panels_of, tell
from detente.kernel.fact import Subject, Tone
from detente.kernel.feed import TYPE, Entry, calendar
from detente.kernel.ledger import Query
from detente.kernel.mailing import WAYS
from detente.kernel.node import Node
from detente.kernel.slice import Answered, Ask, Asked, Endpoint, Page, Panel, Sign
from detente.releases import queries
from detente.releases.decisions import ORDER, Release, State, Step
from detente.releases.effects.hands import Hands
from detente.releases.engine.freezes import Frozen
from detente.releases.queries import night
from detente.releases.queries.night import Morning
from detente.releases.settings import Command, Releases, Shipped

_WEEKS = 5
_SHOWN_OUTPUT = 6_000  # signs of what a step printed
_A_YEAR: Seconds = 366 * 86_400.0

TONES: dict[State, Tone] = {
    "planned": "plain",
    "running": "plain",
    "done": "good",
    "rolled back": "warn",
    "stopped": "warn",
    "stuck": "bad",
    "settled": "plain",
    "withdrawn": "plain",
}


class Brief(msgspec.Struct, frozen=True, kw_only=True):
    """One release in a list."""

    about: Subject
    number: str
    title: str
    service: str
    kind: str
    state: State
    tone: Tone
    starts: Instant
    ends: Instant
    people: tuple[str, ...]
    says: str


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """One release on its day."""

    number: str
    clock: str
    title: str
    service: str
    state: State
    tone: Tone


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """One day of the calendar."""

    date: str  # 2026-11-23
    label: str  # 23, or 1 Dec
    name: str  # Monday 23 November
    today: bool
    over: bool
    slots: tuple[Slot, ...]
    freezes: tuple[str, ...]
    frozen: bool  # the whole day


class Calendar(msgspec.Struct, frozen=True, kw_only=True):
    """What is planned, what runs, what became of the last ones, and when nothing may be released."""

    at: Instant
    zone: str
    month: str
    weeks: tuple[tuple[Day, ...], ...]
    running: tuple[Brief, ...]
    planned: tuple[Brief, ...]
    over: tuple[Brief, ...]
    freezes: tuple[Frozen, ...]
    reviews: tuple[Brief, ...]
    services: tuple[Subject, ...]
    feed: str


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """One step as everybody follows it."""

    name: str
    state: Literal["waiting", "running", "passed", "failed", "interrupted", "left out"]
    tone: Tone
    asks: tuple[str, ...]  # what it consists of
    began_at: Instant | None
    took: Seconds | None
    attempt: int
    note: str
    printed: str


class Informed(msgspec.Struct, frozen=True, kw_only=True):
    """One team, and what it was told."""

    team: str
    channel: str
    tone: Tone
    says: str
    at: Instant | None


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about one release: the request, each step as it goes, and how it ended."""

    release: Release
    service: str
    version: str
    before: str
    tone: Tone
    state: str
    at: Instant
    stages: tuple[Stage, ...]
    readings: tuple[Reading, ...]
    needed: float
    watch_ends: Instant | None
    program: str
    tail: str
    informed: tuple[Informed, ...]
    against: tuple[str, ...]
    levers: tuple[Handle, ...]
    panels: tuple[Shown, ...]
    told: tuple[Told, ...]


class Lately(msgspec.Struct, frozen=True, kw_only=True):
    """Releases that touch this: those to come, and the last ones."""

    coming: tuple[Brief, ...]
    over: tuple[Brief, ...]


# -- the calendar ------------------------------------------------------------------------------


def overview(node: Node, _ask: Ask) -> Calendar:
    settings, now = node.settings(Releases), node.clock.now()
    zone = settings.timezone
    monday = _monday(now, zone)
    end = _there(monday + timedelta(days=7 * _WEEKS), zone)
    frozen = queries.freezes(node, _there(monday, zone), end)
    shown = queries.between(node.rows, _there(monday, zone), end)
    days = [
        _day(node, monday + timedelta(days=index), zone, now, shown, frozen)
        for index in range(7 * _WEEKS)
    ]
    return Calendar(
        at=now,
        zone=zone,
        month=f"{moment(now, zone):%B %Y}",
        weeks=tuple(tuple(days[index : index + 7]) for index in range(0, len(days), 7)),
        running=_briefs(node, queries.in_state(node.rows, "running", "stuck")),
        planned=_briefs(node, queries.in_state(node.rows, "planned")),
        over=_briefs(node, queries.lately(node.rows)),
        freezes=_next_of_each(frozen, now),
        reviews=tuple(
            msgspec.structs.replace(
                _brief(node, each), tone="warn", says=f"to be reviewed: {each.review}"
            )
            for each in queries.unreviewed(node.rows)
        ),
        services=tuple(f"service:{name}" for name in settings.services),
        feed=f"{node.address.rstrip('/')}/releases/calendar.ics",
    )


def _next_of_each(frozen: Sequence[Frozen], now: Instant) -> tuple[Frozen, ...]:
    """Each freeze once, by its next time: a weekly one would fill the page."""
    coming = {each.title: each for each in reversed(frozen) if each.end > now}
    return tuple(sorted(coming.values(), key=lambda each: each.start))


def _monday(now: Instant, zone: str) -> datetime:
    here = moment(now, zone).replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
    return here - timedelta(days=here.weekday())


def _there(naive: datetime, zone: str) -> Instant:
    return instant(naive.replace(tzinfo=ZoneInfo(zone)))


def _day(
    node: Node,
    day: datetime,
    zone: str,
    now: Instant,
    releases: Sequence[Release],
    frozen: Sequence[Frozen],
) -> Day:
    start, end = _there(day, zone), _there(day + timedelta(days=1), zone)
    held = [each for each in frozen if each.start < end and each.end > start]
    label = f"{day.day} {day:%b}" if day.day == 1 or start <= now < end else str(day.day)
    return Day(
        date=f"{day:%Y-%m-%d}",
        label=label,
        name=f"{day:%A} {day.day} {day:%B}",
        today=start <= now < end,
        over=end <= now,
        slots=tuple(_slot(node, each, zone) for each in releases if start <= each.starts < end),
        freezes=tuple(dict.fromkeys(_called(each, start, end, zone) for each in held)),
        frozen=any(each.start <= start and each.end >= end for each in held),
    )


def _called(frozen: Frozen, start: Instant, end: Instant, zone: str) -> str:
    """The freeze, with the hour at which it begins or ends that day."""
    said = frozen.title
    if frozen.start > start:
        said += f" from {moment(frozen.start, zone):%H:%M}"
    if frozen.end < end:
        said += f" until {moment(frozen.end, zone):%H:%M}"
    return said


def _slot(node: Node, release: Release, zone: str) -> Slot:
    return Slot(
        number=release.number,
        clock=f"{moment(release.starts, zone):%H:%M}",
        title=release.title,
        service=node.title(release.service),
        state=release.state,
        tone=TONES[release.state],
    )


def _briefs(node: Node, releases: Sequence[Release]) -> tuple[Brief, ...]:
    return tuple(_brief(node, each) for each in releases)


def _brief(node: Node, release: Release) -> Brief:
    return Brief(
        about=release.about,
        number=release.number,
        title=release.title,
        service=node.title(release.service),
        kind=release.kind,
        state=release.state,
        tone=TONES[release.state],
        starts=release.starts,
        ends=release.ended_at or release.ends,
        people=release.people,
        says=release.outcome or release.risk,
    )


# -- one release -------------------------------------------------------------------------------


def room(node: Node, ask: Ask) -> Room:
    release = queries.one_or_not_found(node.rows, f"release:{ask.path['number']}")
    declared = queries.how_shipped(node, release)
    hands: Hands | None = node.part(Hands)
    program, tail = hands.tail(release.about) if hands is not None else ("", "")
    now = node.clock.now()
    waits = release.state in ("planned", "stopped")
    facts = node.ledger.read(Query(subjects=(release.about,)), backwards=True, limit=200)
    return Room(
        release=release,
        service=node.title(release.service),
        version=short(release.version),
        before=short(release.before),
        tone=TONES[release.state],
        state=_state(release),
        at=now,
        stages=_stages(node, release, declared),
        readings=release.readings,
        needed=sequential.needed(len(release.readings)),
        watch_ends=_watch_ends(release, declared),
        program=program,
        tail=tail,
        informed=_informed(node, release),
        against=tuple(queries.obstacles(node, release, now)) if waits else (),
        levers=tuple(
            Handle(each.name, each.label, each.explains, each.tone)
            for each in levers_of(node, release.about)
        ),
        panels=tuple(each for each in panels_of(node, release.about) if each.noun != "releases"),
        told=tuple(tell(node, each) for each in facts if each.name not in _SHOWN_ELSEWHERE),
    )


_SHOWN_ELSEWHERE = (NotTold.name, Looked.name, StepBegan.name)


def _state(release: Release) -> str:
    if release.state == "running" and release.held is not None:
        return "held" + (f": {release.held}" if release.held else "")
    if release.state == "running" and release.back is not None:
        return "going back"
    step = release.open_step
    return f"running: {step.name}" if release.state == "running" and step else release.state


def _stages(node: Node, release: Release, declared: Shipped | None) -> tuple[Stage, ...]:
    """Every step that there is, whether it has begun or not."""
    names = [*ORDER, *(["back"] if release.has_begun("back") or release.back else [])]
    last = {each.name: each for each in release.steps}
    return tuple(_stage(node, release, declared, name, last.get(name)) for name in names)


def _stage(
    node: Node, release: Release, declared: Shipped | None, name: str, step: Step | None
) -> Stage:
    state, tone = _stage_state(release, step)
    return Stage(
        name=name,
        state=state,
        tone=tone,
        asks=_asks(release, declared, name),
        began_at=step.began_at if step is not None else None,
        took=step.took if step is not None and step.passed is not None else None,
        attempt=step.attempt if step is not None else 0,
        note=step.note if step is not None else "",
        printed=_printed(node, step),
    )


def _stage_state(
    release: Release, step: Step | None
) -> tuple[Literal["waiting", "running", "passed", "failed", "interrupted", "left out"], Tone]:
    if step is None:
        return ("waiting" if release.ended_at is None else "left out"), "plain"
    if step.passed is not None:
        return ("passed", "good") if step.passed else ("failed", "bad")
    if step.ended_at is not None or release.state != "running":
        return "interrupted", "warn"
    return "running", "plain"


def _asks(release: Release, declared: Shipped | None, name: str) -> tuple[str, ...]:
    """What a step consists of, in words."""
    if declared is None:
        return ()
    if name in ("ship", "back"):
        return (" ".join(getattr(declared, name).run),)
    if name == "watch":
        watch = declared.watch
        named = (*watch.checks, *watch.acceptance, *watch.routes) if watch is not None else ()
        return (f"for {watch.lasts}", *named) if watch is not None else ("nothing is watched",)
    steps = declared.gate if name == "gate" else declared.verify
    if name == "gate" and release.kind == "emergency" and declared.emergency is not None:
        steps = declared.emergency
    return tuple(" ".join(each.run) if isinstance(each, Command) else each for each in steps)


def _printed(node: Node, step: Step | None) -> str:
    """The end of what its programs printed."""
    kept = node.ledger.attachment(step.position) if step is not None and step.position else None
    said = kept.decode("utf-8", "replace").strip() if kept is not None else ""
    return said if len(said) <= _SHOWN_OUTPUT else f"…{said[-_SHOWN_OUTPUT:]}"


def _watch_ends(release: Release, declared: Shipped | None) -> Instant | None:
    step = release.open_step
    if step is None or step.name != "watch" or declared is None or declared.watch is None:
        return None
    begins = max([step.began_at, *(each.at for each in release.switched)])
    return later(begins, declared.watch.lasts)


def _informed(node: Node, release: Release) -> tuple[Informed, ...]:
    marks = {(each.team, each.channel): each for each in queries.marks(node.rows, release.about)}
    teams = tuple(
        dict.fromkeys([*queries.must_know(node, release.touches), *(way[0] for way in marks)])
    )
    ways = dict.fromkeys([*queries.ways(node, teams), *marks])
    reached = {team for team, _ in ways}
    silent = [
        Informed(
            team=node.title(f"team:{each}"), channel="", tone="warn", says="has no address", at=None
        )
        for each in teams
        if each not in reached
    ]
    return (*(_one_informed(node, release, *way, marks.get(way)) for way in ways), *silent)


def _one_informed(
    node: Node, release: Release, team: str, channel: str, mark: queries.Mark | None
) -> Informed:
    tone: Tone = "plain"
    says, at = "not told yet", None
    if mark is not None and mark.told:
        says, at = f"told that it was {mark.message}", mark.told_at
        tone = "good" if mark.told >= release.newest else "plain"
    if mark is not None and mark.attempts:
        tone, says = "warn", f"tried {mark.attempts}× in vain: {mark.reason}"
    title = node.title(f"team:{team}")
    return Informed(team=title, channel=WAYS[channel], tone=tone, says=says, at=at)


# -- the morning, panels, signs ----------------------------------------------------------------


def morning(node: Node, _ask: Ask) -> Morning:
    settings, now = node.settings(Releases), node.clock.now()
    report = settings.morning_report
    zone = settings.zone_of(report) if report is not None else settings.timezone
    since = night.since_when(node, report, now)
    return night.morning(
        node, day=f"{moment(now, zone):%Y-%m-%d}", zone=zone, since=since, until=now
    )


def lately_panel(node: Node, about: Subject) -> Lately | None:
    """The releases that touch it; nothing to show if there never were any."""
    coming = [
        each
        for each in queries.in_state(node.rows, "planned", "running", "stuck")
        if about in each.touches
    ]
    over = [each for each in queries.lately(node.rows, limit=40) if about in each.touches][:5]
    if not coming and not over:
        return None
    return Lately(coming=_briefs(node, coming), over=_briefs(node, over))


def short_panel(node: Node, about: Subject) -> Brief | None:
    """The release in short, where only its subject is shown; its page has everything."""
    release = queries.one(node.rows, about)
    return None if release is None else _brief(node, release)


def signs(node: Node) -> list[Sign]:
    """What runs, what needs a person, what wants a review, and who could not be told."""
    now = node.clock.now()
    found = [_sign(node, each) for each in queries.in_state(node.rows, "running", "stuck")]
    for each in queries.unreviewed(node.rows):
        if each.review_due is not None and each.review_due < now:
            sentence = f"the review of release {each.number} is overdue: {each.review}"
            href = f"/releases/{each.number}"
            found.append(Sign(tone="warn", about=each.service, sentence=sentence, href=href))
    ways: dict[tuple[str, str], list[queries.Mark]] = {}
    for mark in queries.late(node.rows):
        ways.setdefault((mark.team, mark.channel), []).append(mark)
    return [*found, *(_late(node, marks) for marks in ways.values())]


def _sign(node: Node, release: Release) -> Sign:
    tone: Tone = "bad" if release.state == "stuck" else "warn" if release.back else "plain"
    return Sign(
        tone=tone,
        about=release.service,
        sentence=f"release {release.number}, {_state(release)}: {release.title}",
        since=release.began_at,
        href=f"/releases/{release.number}",
    )


def _late(node: Node, marks: Sequence[queries.Mark]) -> Sign:
    """One team, and everything that it could not be told in one way."""
    first = marks[0]
    team, what = node.title(f"team:{first.team}"), first.about.replace(":", " ", 1)
    more = f" and {len(marks) - 1} more" if len(marks) > 1 else ""
    return Sign(
        tone="warn",
        about=f"team:{first.team}",
        sentence=f"{team} could not be told {WAYS[first.channel]} about {what}{more}: {first.reason}",
        href="/releases",
    )


# -- the feed ----------------------------------------------------------------------------------


async def feed(node: Node, _asked: Asked) -> Answered:
    """The same calendar for calendar programs: a year back, a year ahead."""
    now = node.clock.now()
    start, end = later(now, -_A_YEAR), later(now, _A_YEAR)
    releases = [_entry(node, each) for each in queries.between(node.rows, start, end)]
    frozen = [_frozen_entry(node, each) for each in queries.freezes(node, now, end)]
    body = calendar(f"Releases, {node.name}", [*releases, *frozen])
    return Answered(body=body, type=TYPE)


def _entry(node: Node, release: Release) -> Entry:
    state = "" if release.state == "planned" else f" ({release.state})"
    said = [
        release.outcome,
        release.risk,
        f"Who is there: {', '.join(release.people)}" if release.people else "",
        release.plan,
    ]
    return Entry(
        uid=f"release-{release.number}-{release.requested_at // 1_000_000:x}@detente",
        title=f"{node.title(release.service)}: {release.title}{state}",
        start=release.starts,
        end=max(release.ends, release.starts + 1),
        changed=max(release.changed_at, release.ended_at or 0),
        sequence=release.sequence,
        says="\n".join(each for each in said if each),
        url=f"{node.address.rstrip('/')}/releases/{release.number}",
        cancelled=release.state == "withdrawn",
        categories=("release", release.kind),
    )


def _frozen_entry(node: Node, frozen: Frozen) -> Entry:
    named = ", ".join(frozen.services)
    return Entry(
        uid=f"freeze-{frozen.start // 1_000_000_000:x}-{_name_for_id(frozen.title)}@detente",
        title=f"Freeze: {frozen.title}" + (f" ({named})" if named else ""),
        start=frozen.start,
        end=frozen.end,
        changed=node.began(),
        says=f"{frozen.reason}\nAsk {frozen.owner}",
        busy=False,
        categories=("freeze",),
    )


def _name_for_id(title: str) -> str:
    """Only signs that a UID may have."""
    return "".join(sign if sign.isalnum() else "-" for sign in title)


_HEARS = ("releases.*",)

PAGES = (
    Page(
        path="/releases",
        title="Releases",
        answer=overview,
        template="releases/calendar.html",
        in_menu=True,
        hears=_HEARS,
    ),
    Page(
        path="/releases/morning",
        title="Morning",
        answer=morning,
        template="releases/morning.html",
        hears=("releases.*", "incidents.*", "pager.taken"),
    ),
    Page(
        path="/releases/{number}",
        title="Release",
        answer=room,
        template="releases/room.html",
        hears=_HEARS,
    ),
)

PANELS = (
    Panel(
        title="Releases",
        kinds=("service", "vendor", "infrastructure", "journey"),
        answer=lately_panel,
        template="releases/lately.html",
    ),
    Panel(
        title="In short",
        kinds=("release",),
        answer=short_panel,
        template="releases/short.html",
    ),
)

ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/releases/calendar.ics",
        explains="The releases and freezes of a year, for any calendar program to subscribe to.",
        answer=feed,
    ),
)

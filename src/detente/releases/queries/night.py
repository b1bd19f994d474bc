"""What happened since yesterday morning, and what does today bring?

Built from facts alone, whichever slice wrote them, and from the signs that every slice shows on *Now*.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from detente.facts.incidents import Closed, Opened
from detente.facts.pager import Taken
from detente.facts.releases import Done, RolledBack, Stopped, Stuck, Told
from detente.facts.work import (
    CallCharged,
    CallHandedBack,
    CallHeld,
    CallLost,
    CallParked,
    CallRefunded,
    CallSettled,
)
from detente.kernel.clock import Instant, Seconds, instant, later, moment
from detente.kernel.faces import signs_of
from detente.kernel.fact import Recorded, Subject, Tone, kind, plain
from detente.kernel.ledger import Query
from detente.kernel.money import Money, total
from detente.kernel.node import Node
from detente.releases import queries
from detente.releases.decisions import Release
from detente.releases.settings import MorningReport, Releases

_A_DAY: Seconds = 86_400.0
_LONGEST: Seconds = 3 * _A_DAY  # a report tells of no more than this


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One thing worth telling: when, of what, in one sentence, and where there is more."""

    at: Instant
    about: Subject
    title: str
    says: str
    tone: Tone = "plain"
    href: str = ""


class Morning(msgspec.Struct, frozen=True, kw_only=True):
    """What everybody wants to know before the coffee."""

    day: str  # 2026-11-23
    zone: str
    since: Instant
    until: Instant
    headline: str
    tone: Tone
    shipped: tuple[Line, ...]
    came_back: tuple[Line, ...]
    broke: tuple[Line, ...]
    paged: tuple[Line, ...]
    toggles: tuple[Line, ...]
    parked: int
    parked_worth: tuple[Money, ...]
    waiting: int  # of those parked since, how many still wait
    now: tuple[Line, ...]  # what is the matter this morning
    today: tuple[Line, ...]
    reviews: tuple[Line, ...]


def due(node: Node, report: MorningReport, now: Instant) -> tuple[str, Instant]:
    """The last morning whose hour has come: its day, and that moment."""
    zone = node.settings(Releases).zone_of(report)
    today = moment(now, zone).replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
    for day in (today, today - timedelta(days=1)):
        at = _there(day + timedelta(minutes=report.at.minutes), zone)
        if at <= now:
            return f"{day:%Y-%m-%d}", at
    raise AssertionError("yesterday's hour has always come")


def next_due(node: Node, report: MorningReport, now: Instant) -> Instant:
    """When the next one is due."""
    _day, last = due(node, report, now)
    zone = node.settings(Releases).zone_of(report)
    here = moment(last, zone).replace(tzinfo=None)
    return _there(here + timedelta(days=1), zone)


def _there(naive: datetime, zone: str) -> Instant:
    return instant(naive.replace(tzinfo=ZoneInfo(zone)))


def since_when(node: Node, report: MorningReport | None, until: Instant) -> Instant:
    """Where the last report ended, a day ago if there was none, three days ago at most."""
    for recorded in node.ledger.read(Query(names=(Told.name,)), backwards=True):
        if report is None or recorded.at < later(until, -_LONGEST):
            break
        if getattr(recorded.fact, "message", "") == "morning":
            ended = _hour_of(node, report, plain(recorded.about))
            if ended < until:
                return ended
    return later(until, -_A_DAY)


def _hour_of(node: Node, report: MorningReport, day: str) -> Instant:
    """When that day's report was due."""
    midnight = datetime.fromisoformat(day)
    zone = node.settings(Releases).zone_of(report)
    return _there(midnight + timedelta(minutes=report.at.minutes), zone)


def morning(node: Node, *, day: str, zone: str, since: Instant, until: Instant) -> Morning:
    """Everything about the time between, and about the day that begins."""
    recorded = [
        each
        for each in queries.told_since(
            node, since, "releases.*", "incidents.*", "pager.*", "toggles.*"
        )
        if each.at < until
    ]
    came_back = tuple(_came_back(node, recorded))
    broke = tuple(_broke(node, recorded))
    shipped = tuple(_shipped(node, recorded))
    parked, worth, waiting = _parked(node, since, until)
    now = tuple(_now(node, until))
    return Morning(
        day=day,
        zone=zone,
        since=since,
        until=until,
        headline=_headline(shipped, came_back, broke),
        tone="bad" if any(each.tone == "bad" for each in now) else "warn" if came_back else "good",
        shipped=shipped,
        came_back=came_back,
        broke=broke,
        paged=tuple(_paged(node, recorded)),
        toggles=tuple(_line(node, each) for each in recorded if _is_toggled(each)),
        parked=parked,
        parked_worth=worth,
        waiting=waiting,
        now=now,
        today=tuple(_today(node, zone, until)),
        reviews=tuple(_reviews(node)),
    )


def _line(node: Node, recorded: Recorded, *, says: str = "", href: str = "") -> Line:
    fact = recorded.fact
    return Line(
        at=recorded.at,
        about=fact.about,
        title=node.title(fact.about),
        says=says or fact.says(),
        tone=fact.tone,
        href=href,
    )


def _shipped(node: Node, recorded: Iterable[Recorded]) -> Iterable[Line]:
    for each in recorded:
        if isinstance(each.fact, Done):
            yield _of_release(node, each)


def _came_back(node: Node, recorded: Iterable[Recorded]) -> Iterable[Line]:
    for each in recorded:
        if isinstance(each.fact, RolledBack | Stopped | Stuck):
            yield _of_release(node, each)


def _of_release(node: Node, recorded: Recorded) -> Line:
    release = queries.one(node.rows, recorded.about)
    title = release.title if release is not None else plain(recorded.about)
    line = _line(node, recorded, href=f"/releases/{plain(recorded.about)}")
    return msgspec.structs.replace(line, title=title)


def _broke(node: Node, recorded: Iterable[Recorded]) -> Iterable[Line]:
    ended = {each.about: each.fact for each in recorded if isinstance(each.fact, Closed)}
    for each in recorded:
        if isinstance(each.fact, Opened):
            over = ended.get(each.about)
            end = f"; {over.says()}" if over is not None else "; still open"
            line = _line(node, each, href=f"/incidents/{plain(each.about)}")
            title, says = (
                node.title(each.fact.of),
                f"incident {plain(each.about)}: {each.fact.reason}{end}",
            )
            yield msgspec.structs.replace(line, title=title, says=says)


def _paged(node: Node, recorded: Iterable[Recorded]) -> Iterable[Line]:
    """Who was woken, and who had it."""
    for each in recorded:
        if each.name == "pager.told" and getattr(each.fact, "message", "") == "opened":
            team = node.title(f"team:{getattr(each.fact, 'team', '')}")
            says = f"was told of incident {plain(each.about)}"
            line = _line(node, each, says=says, href=f"/incidents/{plain(each.about)}")
            yield msgspec.structs.replace(line, title=team)
        elif each.name.startswith("pager.") and (
            isinstance(each.fact, Taken) or each.name == "pager.paged"
        ):
            yield _line(node, each, href=f"/incidents/{plain(each.about)}")


def _is_toggled(recorded: Recorded) -> bool:
    return recorded.name.startswith("toggles.") and not recorded.fact.routine


_OVER = (CallCharged, CallSettled, CallRefunded, CallHandedBack, CallLost)


def _parked(node: Node, since: Instant, until: Instant) -> tuple[int, tuple[Money, ...], int]:
    """Calls parked in that time, what they are worth, and how many of them wait still."""
    names = tuple(each.name for each in (CallParked, CallHeld, *_OVER))
    parked: dict[Subject, Money | None] = {}
    waiting: set[Subject] = set()
    for each in queries.told_since(node, since, *names):
        if isinstance(each.fact, CallParked) and each.at < until:
            parked.setdefault(each.about, each.fact.money)
            waiting.add(each.about)
        elif isinstance(each.fact, _OVER):
            waiting.discard(each.about)
    worth = total(each for each in parked.values() if each is not None)
    return len(parked), worth, len(waiting)


_NAMED = ("service", "vendor", "infrastructure", "journey", "check", "route", "promise")
"""Signs about anything else name it themselves."""


def _now(node: Node, at: Instant) -> Iterable[Line]:
    for sign in signs_of(node):
        if sign.tone in ("bad", "warn"):
            yield Line(
                at=sign.since or at,
                about=sign.about,
                title=node.title(sign.about) if kind(sign.about) in _NAMED else "",
                says=sign.sentence,
                tone=sign.tone,
                href=sign.href or "",
            )


def _today(node: Node, zone: str, now: Instant) -> Iterable[Line]:
    """What is planned from now to midnight there."""
    here = moment(now, zone).replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
    end = _there(here + timedelta(days=1), zone)
    for release in queries.between(node.rows, now, end):
        if release.state in ("planned", "running"):
            yield _planned(release)
    for about, title in queries.planned_changes(node, now, end).items():
        yield Line(at=now, about=about, title=node.title(about), says=title)
    for freeze in queries.freezes(node, now, end):
        says = f"the freeze holds until {queries.local(node, freeze.end)}: {freeze.reason}"
        yield Line(at=max(now, freeze.start), about="node:here", title=freeze.title, says=says)


def _planned(release: Release) -> Line:
    says = f"{release.title} ({release.kind}), {', '.join(release.people) or 'nobody named'}"
    return Line(
        at=release.starts,
        about=release.about,
        title=f"Release {release.number}",
        says=says,
        href=f"/releases/{release.number}",
    )


def _reviews(node: Node) -> Iterable[Line]:
    for release in queries.unreviewed(node.rows):
        yield Line(
            at=release.review_due or release.starts,
            about=release.about,
            title=release.title,
            says=release.review,
            tone="warn",
            href=f"/releases/{release.number}",
        )


def _headline(
    shipped: tuple[Line, ...], came_back: tuple[Line, ...], broke: tuple[Line, ...]
) -> str:
    """The night in one sentence."""
    back = sum(each.says.startswith("rolled back") for each in came_back)
    parts = [
        _count(len(shipped), "release shipped and stayed", "releases shipped and stayed"),
        _count(back, "came back", "came back"),
        _count(len(came_back) - back, "went no further", "went no further"),
        _count(len(broke), "incident", "incidents"),
    ]
    told = [each for each in parts if each]
    return ", ".join(told) if told else "A quiet night: nothing was shipped, and nothing broke"


def _count(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}" if count else ""

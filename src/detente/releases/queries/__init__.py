"""Which release, what stands in its way, who must know, and what has been seen since it shipped?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from detente.facts.dependencies import ChangeDropped, ChangePlanned, ChangeRecorded
from detente.facts.incidents import Opened
from detente.kernel import spans
from detente.kernel.clock import Instant, moment
from detente.kernel.fact import Fact, Recorded, Subject, kind, plain
from detente.kernel.ledger import Query
from detente.kernel.money import Money, total
from detente.kernel.node import Node
from detente.kernel.slice import NotFound
from detente.kernel.views import Rows
from detente.releases import decisions
from detente.releases.decisions import OPEN, Release
from detente.releases.engine.freezes import Frozen, stretches
from detente.releases.projection import read
from detente.releases.settings import Releases, Shipped

Channel = Literal["mail", "webhook"]


# -- releases ----------------------------------------------------------------------------------


def one(rows: Rows, about: Subject) -> Release | None:
    """That release, if there is one."""
    return next(_all(rows, "where about = ?", (about,)), None)


def one_or_not_found(rows: Rows, about: Subject) -> Release:
    """That release; NotFound if there is none."""
    found = one(rows, about)
    if found is None:
        raise NotFound(f"There is no release {plain(about)}; /releases lists those there are.")
    return found


def next_number(rows: Rows) -> int:
    """People say 'release 12': the numbers are small and never used twice."""
    for (highest,) in rows.execute("select max(number) from releases_release"):
        return int(highest or 0) + 1
    return 1


def in_state(rows: Rows, *states: str) -> list[Release]:
    """Those in one of these states, by when they start."""
    marks = ",".join("?" * len(states))
    return list(_all(rows, f"where state in ({marks}) order by starts, number", states))


def between(rows: Rows, start: Instant, end: Instant) -> list[Release]:
    """Those whose time lies at least partly in [start, end), withdrawn ones included."""
    asked = "where starts < ? and (ends > ? or ended > ?) order by starts, number"
    return list(_all(rows, asked, (end, start, start)))


def lately(rows: Rows, *, limit: int = 30, service: Subject | None = None) -> list[Release]:
    """Those that are over, newest first."""
    asked = "where ended is not null and (?1 is null or service = ?1) order by ended desc limit ?2"
    return list(_all(rows, asked, (service, limit)))


def unreviewed(rows: Rows) -> list[Release]:
    """Those that somebody should look at afterwards."""
    return list(_all(rows, "where review order by number", ()))


def running_on(rows: Rows, service: Subject) -> Release | None:
    """The release of that service that is on its way."""
    asked = "where service = ? and state in ('running', 'stuck') limit 1"
    return next(_all(rows, asked, (service,)), None)


def last_version(rows: Rows, service: Subject) -> str:
    """What the last release of the service left in production, as far as we know."""
    for each in lately(rows, limit=20, service=service):
        if each.state == "done":
            return each.version
        if each.state in ("rolled back", "settled"):
            return each.to
    return ""


def _all(rows: Rows, asked: str, given: Sequence[object]) -> Iterator[Release]:
    for (body,) in rows.execute(f"select body from releases_release {asked}", tuple(given)):
        yield read(body)


def how_shipped(node: Node, release: Release) -> Shipped | None:
    """What `releases: services:` says of its service."""
    return node.settings(Releases).services.get(plain(release.service))


# -- what stands in the way --------------------------------------------------------------------


def freezes(node: Node, start: Instant, end: Instant) -> list[Frozen]:
    """Every time of a freeze in [start, end), in order."""
    settings = node.settings(Releases)
    found = (
        each
        for freeze in settings.freezes
        for each in stretches(freeze, settings.zone_of(freeze), start, end)
    )
    return sorted(found, key=lambda each: (each.start, each.title))


def local(node: Node, at: Instant) -> str:
    """That moment as people here say it."""
    zone = node.settings(Releases).timezone
    here = moment(at, zone)
    return f"{here:%a} {here.day} {here:%b %H:%M}" + (" UTC" if zone == "UTC" else "")


def open_incidents(node: Node, touches: Sequence[Subject]) -> list[tuple[Subject, str]]:
    """Incidents that go on about what is touched, and of what they are."""
    needed = set(touches)
    found = []
    for span in spans.going_on(node.rows, "incident"):
        opened = _fact_at(node, span.opened_by)
        if isinstance(opened, Opened) and opened.of in needed:
            found.append((span.about, f"{node.title(opened.of)}, {opened.reason}"))
    return found


def _fact_at(node: Node, position: int) -> Fact | None:
    found = node.ledger.read(after=position - 1, until=position, limit=1)
    return next((recorded.fact for recorded in found), None)


# -- the risk, and who must know ---------------------------------------------------------------


@dataclass(frozen=True)
class Risk:
    """What the map says of touching these."""

    says: str
    falls: tuple[Subject, ...]
    central: tuple[Subject, ...]


def risk(node: Node, touches: Sequence[Subject]) -> Risk:
    """Journeys and money that fall if it goes wrong, and the central points among what it touches."""
    needs, journeys = node.catalogue.needs, node.catalogue.journeys
    fallen = [each.node for each in needs.falls(touches) if each.node not in touches]
    falls = tuple(each for each in fallen if kind(each) == "journey")
    central = tuple(each for each in touches if _is_central(node, each))
    worth = total(earns for each in falls if (earns := journeys[plain(each)].earns) is not None)
    return Risk(_risk_in_words(node, falls, central, worth), falls, central)


def _is_central(node: Node, about: Subject) -> bool:
    """Do several things fall with it, and a journey among them?"""
    fallen = [each.node for each in node.catalogue.needs.falls([about]) if each.node != about]
    journeys = [each for each in fallen if kind(each) == "journey"]
    return len(journeys) > 1 or (bool(journeys) and len(fallen) > 2)


def _risk_in_words(
    node: Node, falls: Sequence[Subject], central: Sequence[Subject], worth: Sequence[Money]
) -> str:
    if not falls:
        return "No journey that is declared falls with what it touches"
    named = ", ".join(map(node.title, falls[:4])) + (" and others" if len(falls) > 4 else "")
    many = "1 journey falls" if len(falls) == 1 else f"{len(falls)} journeys fall"
    money = f", worth {' and '.join(map(str, worth))} an hour" if worth else ""
    says = f"If it goes wrong, {many} with it ({named}){money}"
    if not central:
        return says
    points = " and ".join(map(node.title, central))
    are = "is a central point" if len(central) == 1 else "are central points"
    return f"{says}. Careful: {points} {are} of failure"


def meanwhile(
    node: Node, start: Instant, end: Instant, *, but: Subject = ""
) -> tuple[Subject, ...]:
    """Other releases and planned changes in that time."""
    releases = [
        each.about
        for each in between(node.rows, start, end)
        if each.about != but and each.state in OPEN
    ]
    return (*releases, *planned_changes(node, start, end))


def planned_changes(node: Node, start: Instant, end: Instant) -> dict[Subject, str]:
    """Changes other than releases that somebody plans for that time, with their titles."""
    found: dict[Subject, str] = {}
    names = (ChangePlanned.name, ChangeRecorded.name, ChangeDropped.name)
    for recorded in node.ledger.read(Query(names=names)):
        fact = recorded.fact
        found.pop(fact.about, None)
        if isinstance(fact, ChangePlanned) and start <= fact.starts < end:
            found[fact.about] = fact.title
    return found


def must_know(node: Node, touches: Sequence[Subject]) -> tuple[str, ...]:
    """Teams of whatever is touched, or needs what is, and those that must know of every release."""
    catalogue = node.catalogue
    reached = dict.fromkeys(touches)
    for each in touches:
        reached |= dict.fromkeys(catalogue.needs.needing(each, soft=True))
    named = [team for each in reached for team in getattr(catalogue.entry(each), "teams", ())]
    teams = dict.fromkeys([*named, *node.settings(Releases).must_know])
    return tuple(teams) or tuple(catalogue.teams)


def ways(node: Node, teams: Sequence[str]) -> list[tuple[str, Channel]]:
    """How each of these teams can be told."""
    found: list[tuple[str, Channel]] = []
    for name in teams:
        team = node.catalogue.teams.get(name)
        if team is not None and team.mail and node.mail is not None:
            found.append((name, "mail"))
        if team is not None and team.webhook:
            found.append((name, "webhook"))
    return found


@dataclass(frozen=True)
class Mark:
    """How far one team was told about one release, or one morning."""

    about: Subject
    team: str
    channel: Channel
    told: int = 0
    told_at: Instant | None = None
    message: str = ""
    attempts: int = 0
    next_at: Instant | None = None
    reason: str = ""


_MARKS = """
select about, team, channel, told, told_at, message, attempts, next_at, reason from releases_mark
"""


def marks(rows: Rows, about: Subject) -> list[Mark]:
    """How far each team was told about it."""
    asked = f"{_MARKS} where about = ? order by told_at, team, channel"
    return [Mark(*row) for row in rows.execute(asked, (about,))]


def late(rows: Rows) -> list[Mark]:
    """Whoever could not be told yet."""
    return [Mark(*row) for row in rows.execute(f"{_MARKS} where attempts > 0 order by about")]


def toggles_on(node: Node, release: Release) -> list[Subject]:
    """The release's toggles that are on and that nobody has switched back for it yet."""
    back = {each.toggle for each in release.switched}
    on = {span.about for span in spans.going_on(node.rows, "toggle on")}
    return [each for each in release.toggles if each in on and each not in back]


def told_since(node: Node, start: Instant, *names: str) -> list[Recorded]:
    """Facts of these names since then, oldest first."""
    found = []
    for recorded in node.ledger.read(Query(names=names), backwards=True):
        if recorded.at < start:
            break
        found.append(recorded)
    return found[::-1]


def obstacles(node: Node, release: Release, at: Instant) -> list[str]:
    """Why it may not be released at that time, each as a sentence."""
    frozen = decisions.frozen_now(freezes(node, at, at + 1), plain(release.service), at)
    return decisions.obstacles(
        release,
        frozen,
        open_incidents(node, release.touches),
        until=local(node, frozen.end) if frozen is not None else "",
        stops=node.settings(Releases).open_incidents == "stop",
    )

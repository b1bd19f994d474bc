"""Writes to everybody in the morning, once a morning."""

from __future__ import annotations

import asyncio

from detente.facts.releases import Told
from detente.kernel.clock import Instant, Seconds, seconds_between
from detente.kernel.node import Node
from detente.releases import queries, wording
from detente.releases.effects import tell
from detente.releases.queries import night
from detente.releases.queries.night import Line, Morning
from detente.releases.settings import MorningReport, Releases
from detente.releases.wording import Section

_TOO_LATE: Seconds = 6 * 3_600.0  # in the afternoon nobody wants the morning's report
_LONGEST_WAIT: Seconds = 3_600.0


async def go_round(node: Node) -> None:
    """Every morning, for ever."""
    report = node.settings(Releases).morning_report
    assert report is not None, "without it this effect is not wanted"
    while True:
        now = node.clock.now()
        day, at = night.due(node, report, now)
        again = night.next_due(node, report, now)
        if seconds_between(at, now) < _TOO_LATE and node.began() < at:
            again = min(again, await _write(node, report, day, at) or again)
        wait = seconds_between(node.clock.now(), again)
        await asyncio.sleep(min(max(wait, 0.01), _LONGEST_WAIT))


async def _write(node: Node, report: MorningReport, day: str, at: Instant) -> Instant | None:
    """To each team that does not have it yet; answers with when to try again, if somebody must wait."""
    about = f"morning:{day}"
    marks = {each.team: each for each in queries.marks(node.rows, about)}
    late = [team for team in report.to if team not in marks or not marks[team].told]
    if not late:
        return None
    zone = node.settings(Releases).zone_of(report)
    since = night.since_when(node, report, at)
    morning = night.morning(node, day=day, zone=zone, since=since, until=at)
    waits: list[Instant] = []
    for team in late:
        mark = marks.get(team)
        if mark is not None and mark.next_at is not None and mark.next_at > node.clock.now():
            waits.append(mark.next_at)
        elif (again := await _send(node, morning, team, mark.attempts if mark else 0)) is not None:
            waits.append(again)
    return min(waits, default=None)


async def _send(node: Node, morning: Morning, team: str, attempts: int) -> Instant | None:
    """Answers with when to try again, if it could not be handed over."""
    about, mail = f"morning:{morning.day}", queries.mail_settings(node)
    to = node.catalogue.teams[team].mail
    try:
        message = wording.morning_mail(
            name=node.name,
            day=morning.day,
            headline=morning.headline,
            sections=sections(morning),
            link=f"{node.address.rstrip('/')}/releases/morning",
            sender=mail.sender,
            to=to,
            team=team,
            now=node.clock.now(),
        )
        accepted = await tell.post(node, mail, message, to)
    except Exception as error:  # noqa: BLE001 - whatever it was, somebody did not get it: a fact
        reason = str(error) or type(error).__name__
        fact = tell.not_told(node, about, team, "mail", reason, attempts + 1)
        await tell.note(node, fact)
        return fact.next_at
    message_id = str(message["Message-ID"])
    told = Told(
        about=about, team=f"team:{team}", message="morning", to=accepted, message_id=message_id
    )
    await tell.note(node, told)
    return None


def sections(morning: Morning) -> list[Section]:
    """The report in the order in which people ask."""
    return [
        Section(
            title="What came back, and why",
            lines=_lines(morning, morning.came_back),
        ),
        Section(
            title="What shipped and stayed",
            lines=_lines(morning, morning.shipped),
            nothing="Nothing.",
        ),
        Section(title="What broke", lines=_lines(morning, morning.broke), nothing="Nothing."),
        Section(title="Who was paged", lines=_lines(morning, morning.paged), nothing="Nobody."),
        Section(title="Toggles that changed", lines=_lines(morning, morning.toggles)),
        Section(title="The queue", lines=_queue(morning)),
        Section(title="What is the matter now", lines=_lines(morning, morning.now, clock=False)),
        Section(title="Today", lines=_lines(morning, morning.today), nothing="Nothing is planned."),
        Section(title="To be reviewed", lines=_lines(morning, morning.reviews, clock=False)),
    ]


def _lines(morning: Morning, lines: tuple[Line, ...], *, clock: bool = True) -> tuple[str, ...]:
    return tuple(_in_words(each, morning.zone, clock=clock) for each in lines)


def _in_words(line: Line, zone: str, *, clock: bool) -> str:
    said = f"{line.title}: {line.says}" if line.title else line.says
    return f"{wording.at(line.at, zone)}, {said}" if clock else said


def _queue(morning: Morning) -> tuple[str, ...]:
    if not morning.parked:
        return ()
    worth = " and ".join(map(str, morning.parked_worth))
    priced = f", worth {worth}" if worth else ""
    still = f"{morning.waiting} of them wait still" if morning.waiting else "none of them waits"
    calls = "1 call was parked" if morning.parked == 1 else f"{morning.parked} calls were parked"
    return (f"{calls}{priced}; {still}",)

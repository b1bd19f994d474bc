"""Writes to everybody in the morning, once a morning."""

from __future__ import annotations

from detente.facts.releases import Told
from detente.kernel import mailing
from detente.kernel.clock import Instant, Seconds, seconds_between
from detente.kernel.fact import Fact
from detente.kernel.mailing import Section
from detente.kernel.node import Node
from detente.kernel.postman import Postman
from detente.releases import queries, wording
from detente.releases.effects import tell
from detente.releases.queries import night
from detente.releases.queries.night import Line, Morning
from detente.releases.settings import MorningReport, Releases
from detente.releases.wording import MorningLetter

_TOO_LATE: Seconds = 6 * 3_600.0  # in the afternoon nobody wants the morning's report


async def go_round(node: Node) -> None:
    """Every morning, for ever."""
    report = node.settings(Releases).morning_report
    assert report is not None, "without it this effect is not wanted"
    postman = Postman(
        node,
        by="detente:releases",
        hears=(Told.name,),
        owed=lambda: _owed(node, report),
        tell=lambda letter: _send(node, report, letter),
        next_at=lambda: night.next_due(node, report, node.clock.now()),
    )
    await postman.go_round()


def _owed(node: Node, report: MorningReport) -> list[MorningLetter]:
    """To each team that does not have this morning's yet."""
    now = node.clock.now()
    day, at = night.due(node, report, now)
    if seconds_between(at, now) >= _TOO_LATE or node.began() >= at:
        return []
    marks = {each.team: each for each in queries.marks(node.rows, f"morning:{day}")}
    return [_letter(team, marks.get(team), day, at) for team in report.to if not _has(marks, team)]


def _has(marks: dict[str, queries.Mark], team: str) -> bool:
    return team in marks and bool(marks[team].told)


def _letter(team: str, mark: queries.Mark | None, day: str, at: Instant) -> MorningLetter:
    attempts, next_at = (mark.attempts, mark.next_at) if mark is not None else (0, None)
    return MorningLetter(day=day, at=at, team=team, attempt=attempts + 1, not_before=next_at or 0)


async def _send(node: Node, report: MorningReport, letter: MorningLetter) -> list[Fact]:
    about, mail = f"morning:{letter.day}", node.mail
    assert mail is not None, "a morning report without it is a mistake in detente.yaml"
    to = node.catalogue.teams[letter.team].mail
    try:
        content, thread = _written(node, report, letter)
        message = mailing.composed(
            content, mail, thread, thread.begins_with, to=to, now=node.clock.now(), first=True
        )
        handed = await mailing.hand_over(node.network, mail, message, to)
    except Exception as error:  # noqa: BLE001 - whatever it was, somebody did not get it: a fact
        return [tell.not_told(node, about, letter.team, "mail", error, letter.attempt)]
    message_id = str(message["Message-ID"])
    told = Told(
        about=about,
        team=f"team:{letter.team}",
        message="morning",
        to=handed.to,
        message_id=message_id,
    )
    return [told]


def _written(
    node: Node, report: MorningReport, letter: MorningLetter
) -> tuple[mailing.Content, mailing.Thread]:
    zone, at = node.settings(Releases).zone_of(report), letter.at
    since = night.since_when(node, report, at)
    morning = night.morning(node, day=letter.day, zone=zone, since=since, until=at)
    return wording.morning(
        letter,
        name=node.name,
        headline=morning.headline,
        sections=sections(morning),
        link=f"{node.address}/releases/morning",
    )


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

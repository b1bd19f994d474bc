"""What does a message say, about an incident or about a change of a central point?"""

from __future__ import annotations

from typing import Any, assert_never

import msgspec

from detente.kernel import mailing
from detente.kernel.clock import Instant, iso, lasting, moment
from detente.kernel.fact import plain
from detente.kernel.mailing import Content, Link, Pair, Thread
from detente.pager.decisions import Change, Letter, Notice
from detente.pager.settings import EVERYBODY


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """What a message needs to know besides the incident or the change."""

    name: str  # of this Détente: stands in the subject
    title: str  # what people call the vendor or service, or the change
    noticed_by: str = ""
    needed_by: tuple[str, ...] = ()  # services that cannot work without it
    measures: tuple[str, ...] = ()  # what Détente does about it
    room: str  # address of its page
    take: str | None = None  # address of "I have it"
    paged: str = ""  # why this one is paged, if somebody is
    joined: tuple[str, ...] = ()  # what else fell because of the same thing
    own: str = ""  # what of theirs fell with it, if that is why they are told
    own_reason: str = ""
    touches: tuple[str, ...] = ()  # by the change
    central: tuple[str, ...] = ()
    falls: tuple[str, ...] = ()


def content(letter: Letter | Notice, setting: Setting) -> Content:
    """All that the message says."""
    if isinstance(letter, Notice):
        change = letter.change
        more: list[Link] = [("More about it", change.link)] if change.link else []
        return Content(
            sentence=notice(letter, setting),
            pairs=tuple(_of_change(letter, setting)),
            links=(("Changes", setting.room), *more),
        )
    return Content(
        sentence=sentence(letter, setting),
        pairs=tuple(particulars(letter, setting)),
        links=tuple(links(letter, setting)),
    )


def thread(letter: Letter | Notice, setting: Setting) -> Thread:
    """One thread an incident and team, or a change and team."""
    if isinstance(letter, Notice):
        what, began, first = "change", letter.change.at, "planned"
    else:
        what, began, first = letter.what, letter.matter.opened_at, "opened"
    return Thread(
        about=letter.about,
        began=began,
        hearer=letter.team,
        subject=mailing.one_line(f"[{setting.name}] {what}: {setting.title}"),
        begins_with=first,
    )


def called(letter: Letter | Notice) -> str:
    """What the mail is called in its thread: the same for the same message, however often it is made."""
    numbers = {"taken": f"-{letter.tells}", "again": f"-{letter.step}"}
    return letter.message + numbers.get(letter.message, "")


# -- incidents -------------------------------------------------------------------------------------


def sentence(letter: Letter, setting: Setting) -> str:
    """The whole message in one sentence."""
    matter = letter.matter
    match letter.message:
        case "opened" if setting.own:
            return f"{setting.own} is down with {setting.title}: {setting.own_reason}"
        case "opened":
            return f"{setting.title} is down: {matter.reason}"
        case "again":
            return f"Nobody has it yet: {setting.title} is down: {matter.reason}"
        case "taken":
            return f"{matter.held_by} has it: {setting.title} is down"
        case "merged":
            goes_on = f"{setting.title}: this goes on as incident {plain(matter.into)}"
            return f"{goes_on}: {matter.note}" if matter.note else goes_on
        case "closed" if matter.note:
            return f"Closed after {lasting(matter.lasted)}: {setting.title}: {matter.note}"
        case "closed":
            return f"{setting.title} works again; it was down for {lasting(matter.lasted)}"
        case other:
            assert_never(other)


def particulars(letter: Letter, setting: Setting) -> list[Pair]:
    """What both sides want to know next, as pairs."""
    matter = letter.matter
    over = letter.message == "closed"
    pairs = [("Down since" if not over else "Was down from", _at(matter.since))]
    if over or letter.message == "merged":
        pairs += [("to", _at(matter.ended or matter.closed_at or matter.since))] if over else []
        pairs += [("Reason", matter.reason)]
        if letter.first and over:
            pairs += [
                ("Note", "this is the first message about it: it was over before you were told")
            ]
    else:
        pairs += _while_it_lasts(letter, setting)
    had = "Who has it" if not over else "Who had it"
    return [*pairs, (had, matter.held_by or ("nobody" if over else "nobody yet"))]


def _while_it_lasts(letter: Letter, setting: Setting) -> list[Pair]:
    matter = letter.matter
    pairs = [("Noticed by", setting.noticed_by)]
    if setting.paged:
        pairs += [("You are paged because", setting.paged)]
    if letter.message == "taken" or setting.own:
        pairs += [("Reason", matter.reason)]
    if setting.joined:
        pairs += [("Down with it", ", ".join(setting.joined))]
    if setting.needed_by:
        pairs += [("Cannot work without it", ", ".join(setting.needed_by))]
    return pairs + [("Meanwhile", each) for each in setting.measures]


def links(letter: Letter, setting: Setting) -> list[Link]:
    """Where to go from here."""
    take = setting.take if letter.matter.closed is None else None
    room = f"Incident {plain(letter.matter.into)}" if letter.matter.into else "The incident"
    return [*([("I have it", take)] if take else []), (room, setting.room)]


def hook(letter: Letter | Notice, setting: Setting) -> dict[str, Any]:
    """The message for a chat or a program. `text` is what Slack, Mattermost and their like show."""
    again = f".{letter.step}" if letter.message == "again" else ""
    said = {
        "text": mailing.line(content(letter, setting)),
        "message": letter.message,
        "id": f"{letter.about}.{letter.team}.{letter.tells}{again}",
        "team": letter.team,
        "title": setting.title,
        "url": setting.room,
    }
    if isinstance(letter, Notice):
        return {**said, **_change_for_programs(letter.change)}
    matter = letter.matter
    return {
        **said,
        "paged": bool(letter.step),
        "incident": matter.about,
        "of": matter.of,
        "reason": matter.reason,
        "cause": matter.cause,
        "since": iso(matter.since),
        "ended": iso(matter.ended) if matter.ended else None,
        "lasted_seconds": matter.lasted if matter.ended else None,
        "into": matter.into or None,
        "down_with_it": [each.of for each in matter.joined],
        "held_by": matter.held_by,
        "note": matter.note,
        "needed_by": list(setting.needed_by),
        "measures": list(setting.measures),
        "take_url": setting.take if matter.closed is None else None,
    }


# -- changes of central points ---------------------------------------------------------------------


def notice(letter: Notice, setting: Setting) -> str:
    """The whole message in one sentence."""
    change = letter.change
    if letter.message == "dropped":
        why = f": {change.why}" if change.why else ""
        return f"The change “{change.title}” is not made after all{why}"
    central = " and ".join(setting.central)
    points = "a central point" if len(setting.central) == 1 else "central points"
    when = f"is planned for {_at(change.at)}" if letter.message == "planned" else "was made"
    return f"A change of {central}, {points}, {when}: {change.title}"


def _of_change(letter: Notice, setting: Setting) -> list[Pair]:
    change = letter.change
    if letter.message == "dropped":
        return [("Was planned for", _at(change.at))]
    pairs = [
        ("When" if letter.message == "planned" else "Made", _at(change.at)),
        ("Touches", ", ".join(setting.touches)),
        ("If it does not come up again, these fall with it", ", ".join(setting.falls)),
        ("They earn in an hour", " + ".join(map(str, change.an_hour))),
        ("Said by", change.said_by),
    ]
    return [(name, value) for name, value in pairs if value]


def _change_for_programs(change: Change) -> dict[str, Any]:
    return {
        "change": change.about,
        "at": iso(change.at),
        "touches": list(change.touches),
        "central": list(change.central),
        "falls": list(change.falls),
        "why": change.why,
    }


# -- words -----------------------------------------------------------------------------------------


def paged(letter: Letter) -> str:
    """Why somebody is paged, in their words."""
    if not letter.step:
        return ""
    if letter.because in (letter.team, ""):
        return "nobody has it yet"
    if letter.because == EVERYBODY:
        return "nobody has it yet, so everybody is"
    return f"you are on call ({letter.because})"


def _at(instant: Instant) -> str:
    here = moment(instant)
    return f"{here:%a} {here.day} {here:%b %Y, %H:%M:%S} UTC"


def noticed_by(cause: str) -> str:
    """'the check cardpay', 'the route charge'."""
    noun, _, _ = cause.partition(":")
    return f"the {noun} {plain(cause)}"

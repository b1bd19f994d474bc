"""What do people who must know read, and what does everybody read in the morning?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from detente.kernel import mailing
from detente.kernel.clock import Instant, iso, moment
from detente.kernel.fact import Subject, plain
from detente.kernel.mailing import Channel, Content, Pair, Section, Thread
from detente.releases.decisions import Release

Message = Literal["requested", "changed", "withdrawn"]


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """One message to one team about one release."""

    release: Release
    team: str
    channel: Channel
    message: Message
    first: bool
    tells: int
    attempt: int = 1
    not_before: Instant = 0

    @property
    def way(self) -> tuple[str, Channel]:
        """Messages that take the same way go one after the other."""
        return self.team, self.channel


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """What a message needs to know besides the release."""

    name: str  # of this Détente
    service: str  # what people call it
    room: str  # address of its page
    calendar: str  # address of the feed
    zone: str
    touches: tuple[str, ...] = ()


def sentence(letter: Letter, setting: Setting) -> str:
    """The whole message in one sentence."""
    release = letter.release
    when = at(release.starts, setting.zone)
    match letter.message:
        case "withdrawn":
            return f"Release {release.number} of {setting.service} will not take place: {release.title}"
        case "changed":
            return f"Release {release.number} of {setting.service} was changed: {release.title}, {when}"
        case _:
            kind = "An emergency release" if release.kind == "emergency" else "A release"
            return f"{kind} of {setting.service} is planned for {when}: {release.title}"


def particulars(letter: Letter, setting: Setting) -> list[Pair]:
    """What whoever must know wants to know next."""
    release = letter.release
    if letter.message == "withdrawn":
        return [("Why", release.outcome.removeprefix("withdrawn").lstrip(": ") or "nobody said")]
    pairs = [
        ("From", at(release.starts, setting.zone)),
        ("Until", at(release.ends, setting.zone)),
        ("Kind", release.kind),
        ("Risk", release.risk),
        ("Touches", ", ".join(setting.touches)),
        ("Who is there", ", ".join(release.people)),
        ("Version", release.version),
        ("Toggles", ", ".join(map(plain, release.toggles))),
        ("At the same time", ", ".join(_called(each) for each in release.overlaps)),
        ("Freeze", release.frozen),
        ("Billing code", release.billing_code),
        ("Plan", release.plan),
        ("Way back", release.back_out),
    ]
    return [(name, value) for name, value in pairs if value]


def content(letter: Letter, setting: Setting) -> Content:
    """All that the message says."""
    return Content(
        sentence=sentence(letter, setting),
        pairs=tuple(particulars(letter, setting)),
        links=(("The release", setting.room), ("The calendar, to subscribe to", setting.calendar)),
    )


def thread(letter: Letter, setting: Setting) -> Thread:
    """One thread a release and team."""
    release = letter.release
    subject = f"[{setting.name}] release {release.number}: {setting.service}, {release.title}"
    return Thread(
        about=release.about,
        began=release.requested_at,
        hearer=letter.team,
        subject=mailing.one_line(subject),
        begins_with="requested",
    )


def called(letter: Letter) -> str:
    """What the mail is called in its thread: the same for the same message, however often it is made."""
    return f"changed-{letter.tells}" if letter.message == "changed" else letter.message


def hook(letter: Letter, setting: Setting) -> dict[str, Any]:
    """The message for a chat or a program."""
    release = letter.release
    return {
        "text": mailing.line(content(letter, setting)),
        "message": letter.message,
        "id": f"{release.about}.{letter.team}.{letter.tells}",
        "team": letter.team,
        "release": release.about,
        "service": release.service,
        "title": release.title,
        "kind": release.kind,
        "starts": iso(release.starts),
        "ends": iso(release.ends),
        "touches": list(release.touches),
        "risk": release.risk,
        "url": setting.room,
    }


# -- the morning -------------------------------------------------------------------------------


class MorningLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One morning's report to one team."""

    day: str
    at: Instant  # when it is due
    team: str
    attempt: int = 1
    not_before: Instant = 0

    @property
    def way(self) -> tuple[str, Channel]:
        return self.team, "mail"


def morning(
    letter: MorningLetter, *, name: str, headline: str, sections: Sequence[Section], link: str
) -> tuple[Content, Thread]:
    """The report, and its thread: every morning is one of its own, the same for the same team."""
    told = Content(
        sentence=headline, sections=tuple(sections), links=(("The same as a page", link),)
    )
    thread = Thread(
        about=f"morning:{letter.day}",
        began=0,
        hearer=letter.team,
        subject=mailing.one_line(f"[{name}] {letter.day}: {headline}"),
        begins_with="report",
    )
    return told, thread


# -- words -------------------------------------------------------------------------------------


def at(instant: Instant, zone: str) -> str:
    here = moment(instant, zone)
    return f"{here:%a} {here.day} {here:%b %Y, %H:%M} {here:%Z}"


def _called(about: Subject) -> str:
    return about.replace(":", " ", 1)

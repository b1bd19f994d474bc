"""Who has to be told what, and when is it tried again?

Nothing is put in a queue. For each team and each way to reach it a mark says up to which fact it was
told about an incident; whatever has happened since makes one message, which always brings the team
up to date. So nobody is told twice, nobody hears "opened" long after it was over, and a restart
forgets nothing.

A change of a central point is told in the same way, once, to whoever must know of it.

People are paged by steps, so long after the incident was opened, until somebody has it. Which steps
are due, and who is on call then, is computed as well; the mark says up to which step somebody was paged.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal

import msgspec

from detente.facts.pager import NotTold, Taken, Told, TurnedAway
from detente.kernel.clock import Instant, Seconds, later
from detente.kernel.fact import Fact, Subject, plain
from detente.kernel.mailing import Channel, HandedOver, InVain, in_their_words
from detente.kernel.money import Money

Message = Literal["opened", "again", "taken", "closed", "merged"]
State = Literal["planned", "made", "dropped"]


class Joined(msgspec.Struct, frozen=True, kw_only=True):
    """Something else that fell because of the same thing, while the incident went on."""

    of: Subject
    cause: Subject
    reason: str


class Matter(msgspec.Struct, frozen=True, kw_only=True):
    """What a team may have to be told about one incident."""

    about: Subject  # incident:12
    of: Subject
    cause: Subject
    since: Instant
    reason: str
    opened_at: Instant
    opened: int  # position of the fact
    taken: int | None = None  # position of the last "I have it"
    held_by: str | None = None
    held_at: Instant | None = None
    closed: int | None = None
    closed_at: Instant | None = None
    ended: Instant | None = None
    lasted: Seconds = 0.0
    note: str = ""
    into: Subject = ""  # the incident in which it goes on
    joined: tuple[Joined, ...] = ()

    @property
    def number(self) -> str:
        return plain(self.about)

    @property
    def newest(self) -> int:
        """Position of the newest fact worth telling."""
        return self.closed or max(self.opened, self.taken or 0)

    @property
    def subjects(self) -> tuple[Subject, ...]:
        """What it is about: what failed first, and what fell with it."""
        return tuple(dict.fromkeys((self.of, *(each.of for each in self.joined))))


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A change that touches a central point, so that teams must know of it."""

    about: Subject  # change:3f2a
    title: str
    state: State
    at: Instant  # when it will be made, or was
    said_at: Instant
    newest: int  # position of the last fact about it
    touches: tuple[Subject, ...] = ()
    central: tuple[Subject, ...] = ()
    falls: tuple[Subject, ...] = ()
    an_hour: tuple[Money, ...] = ()
    tell: tuple[Subject, ...] = ()
    link: str = ""
    said_by: str = ""
    why: str = ""  # it was dropped


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """How far one team was told about one incident or change in one way."""

    about: Subject
    team: str
    channel: Channel
    told: int = 0  # position of the newest fact told; 0: nothing yet
    told_at: Instant | None = None
    message: str = ""  # the last one told
    to: tuple[str, ...] = ()
    attempts: int = 0  # failed since
    next_at: Instant | None = None
    reason: str = ""
    step: int = 0  # the last step of the escalation for which this one was paged


class Rung(msgspec.Struct, frozen=True, kw_only=True):
    """One step of the escalation whose time has come, and whom it reaches."""

    step: int  # counted from 1
    at: Instant
    because: str  # what the step names
    hearers: tuple[str, ...]


class _Message(msgspec.Struct, frozen=True, kw_only=True):
    team: str
    channel: Channel
    first: bool  # nothing about it was told before
    tells: int
    attempt: int = 1
    not_before: Instant = 0
    step: int = 0  # of the escalation, if somebody is paged
    because: str = ""

    @property
    def way(self) -> tuple[str, Channel]:
        """Messages that take the same way go one after the other."""
        return self.team, self.channel


class Letter(_Message, frozen=True, kw_only=True):
    """One message about an incident, to one team in one way."""

    matter: Matter
    message: Message

    @property
    def about(self) -> Subject:
        return self.matter.about

    @property
    def what(self) -> str:
        """What it is about, in words."""
        return f"incident {self.matter.number}"


class Notice(_Message, frozen=True, kw_only=True):
    """One message about a change of a central point, to one team in one way."""

    change: Change
    message: State

    @property
    def about(self) -> Subject:
        return self.change.about

    @property
    def what(self) -> str:
        return f"the change “{self.change.title}”"


STALE: Seconds = 900.0  # over for longer, and never even tried: nobody wants to hear of it now


def letter(
    matter: Matter,
    team: str,
    channel: Channel,
    mark: Mark | None,
    now: Instant,
    rung: Rung | None = None,
) -> Letter | None:
    """The one message that brings this team or person up to date, or None if it is.

    `rung`: the last step of the escalation that reaches them.
    """
    mark = mark or Mark(about=matter.about, team=team, channel=channel)
    paged = rung is not None and rung.step > mark.step and is_unheard(matter)
    if mark.told >= matter.newest and not paged:
        return None
    first = mark.told == 0
    untried = first and not mark.attempts
    if untried and matter.closed_at is not None and later(matter.closed_at, STALE) < now:
        return None
    return Letter(
        matter=matter,
        team=team,
        channel=channel,
        message="again" if paged and not first else _message(matter, mark),
        first=first,
        tells=matter.newest,
        attempt=mark.attempts + 1,
        not_before=mark.next_at or 0,
        step=rung.step if paged and rung is not None else 0,
        because=rung.because if paged and rung is not None else "",
    )


def _message(matter: Matter, mark: Mark) -> Message:
    if matter.closed is not None:
        return "merged" if matter.into else "closed"
    return "opened" if mark.told == 0 else "taken"


def is_unheard(matter: Matter) -> bool:
    """Nobody has said yet that they have it, and it goes on."""
    return matter.held_by is None and matter.closed is None


def climbed(
    matter: Matter,
    steps: Sequence[tuple[Seconds, str]],
    who: Callable[[str, Instant], Sequence[str]],
    now: Instant,
) -> tuple[list[Rung], Instant | None]:
    """The steps whose time has come, and when the next one's comes. None of either once somebody has it.

    `steps`: so long after the opening, whom; `who` says whom that reaches at a moment. A step that
    reaches nobody is no reason to wait: the next one takes its time.
    """
    rungs: list[Rung] = []
    if not is_unheard(matter):
        return rungs, None
    instead: Instant | None = None
    for number, (after, tell) in enumerate(steps, start=1):
        at = later(matter.opened_at, after) if instead is None else instead
        if at > now:
            return rungs, at
        hearers = tuple(who(tell, at))
        instead = None if hearers else at
        rungs.append(Rung(step=number, at=at, because=tell, hearers=hearers))
    return rungs, None


def letters(
    matters: Sequence[Matter],
    ways: Mapping[Subject, Sequence[tuple[str, Channel]]],
    marks: Sequence[Mark],
    now: Instant,
    rungs: Mapping[tuple[Subject, str], Rung] = MappingProxyType({}),
) -> list[Letter]:
    """Everything that is owed, oldest incident first.

    `ways`: by whom and how an incident, or else what it is about, is heard; `rungs`: the last step of
    the escalation by incident and hearer.
    """
    known = {(mark.about, mark.team, mark.channel): mark for mark in marks}
    owed = (
        letter(
            matter,
            team,
            channel,
            known.get((matter.about, team, channel)),
            now,
            rungs.get((matter.about, team)),
        )
        for matter in sorted(matters, key=lambda each: each.opened)
        for team, channel in ways.get(matter.about, ways.get(matter.of, ()))
    )
    return [each for each in owed if each is not None]


def told(letter: Letter | Notice, to: Sequence[str], message_id: str = "") -> list[Fact]:
    return [
        Told(
            about=letter.about,
            team=letter.team,
            channel=letter.channel,
            message=letter.message,
            to=tuple(to),
            message_id=message_id,
            tells=letter.tells,
            step=letter.step,
            because=letter.because,
        )
    ]


def handed_over(letter: Letter | Notice, handed: HandedOver, message_id: str) -> list[Fact]:
    """Whom the mail server took it for, and what it answered for the others."""
    return [*told(letter, handed.to, message_id), *_turned_away(letter, handed)]


def _turned_away(letter: Letter | Notice, handed: HandedOver) -> list[Fact]:
    refused = handed.refused
    if not refused:
        return []
    fact = TurnedAway(
        about=letter.about,
        team=letter.team,
        message=letter.message,
        to=tuple(each.to for each in refused),
        reason=in_their_words(refused),
        for_good=all(each.for_good for each in refused),
    )
    return [fact]


def not_told(letter: Letter | Notice, in_vain: InVain, now: Instant) -> list[Fact]:
    return [
        NotTold(
            about=letter.about,
            team=letter.team,
            channel=letter.channel,
            message=letter.message,
            reason=in_vain.reason,
            attempt=letter.attempt,
            next_at=later(now, in_vain.wait),
        )
    ]


def notice(
    change: Change, team: str, channel: Channel, mark: Mark | None, now: Instant
) -> Notice | None:
    """What this team must still be told about the change: that it comes, or does not come after all.

    Once: who heard that it is planned is not told again when it was made.
    """
    mark = mark or Mark(about=change.about, team=team, channel=channel)
    dropped = change.state == "dropped"
    if mark.told >= change.newest or bool(mark.told) != dropped:
        return None
    news_until = max(change.at if change.state == "planned" else 0, later(change.said_at, STALE))
    if not mark.attempts and news_until < now:
        return None
    return Notice(
        change=change,
        team=team,
        channel=channel,
        message=change.state,
        first=not mark.told,
        tells=change.newest,
        attempt=mark.attempts + 1,
        not_before=mark.next_at or 0,
    )


def passed_on(merged: Matter, into: Matter | None) -> list[Fact]:
    """Whoever has an incident has the one in which it goes on, unless somebody has that already."""
    if into is None or into.closed is not None or into.taken is not None or not merged.held_by:
        return []
    return [Taken(about=into.about, who=merged.held_by, way="merged")]


class AlreadyTaken(Exception):
    """The same person has it already."""


def take(matter: Matter, who: str, *, way: str, team: str = "") -> list[Fact]:
    """Somebody says "I have it". Taking over from somebody else is fine. Raises AlreadyTaken."""
    if matter.held_by is not None and matter.held_by.casefold() == who.casefold():
        raise AlreadyTaken(matter.held_by)
    return [Taken(about=matter.about, who=who, way=way, team=team)]


def token(secret: str, about: Subject, team: str) -> str:
    """What stands in a team's "I have it" link. Empty without a secret: then there is no link."""
    if not secret:
        return ""
    said = f"I have it\n{about}\n{team}".encode()
    return hmac.new(secret.encode(), said, hashlib.sha256).hexdigest()[:32]


def team_of(secret: str, about: Subject, shown: str, teams: Sequence[str]) -> str | None:
    """Whose link it is, or None if it is nobody's."""
    if not secret:
        return None
    found = None
    for team in teams:  # all of them, so that the time it takes says nothing
        if hmac.compare_digest(token(secret, about, team).encode(), shown.encode()):
            found = team
    return found

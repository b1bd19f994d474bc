"""What can happen when somebody is to be told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from detente.kernel.clock import Instant, lasting, seconds_between
from detente.kernel.fact import Fact, Tone, named
from detente.kernel.mailing import WAYS

SAID: Mapping[str, str] = {
    "opened": "that it began",
    "again": "that nobody has it yet",
    "taken": "who has it",
    "closed": "that it is over",
    "merged": "in which incident it goes on",
    "planned": "that it is planned",
    "made": "that it was made",
    "dropped": "that it is not made after all",
}
"""What each message says."""


@named("pager.told")
class Told(Fact, frozen=True, kw_only=True):
    """A team's or person's mail server or chat took the message. About the incident or the change."""

    team: str  # or the person who was paged
    channel: str  # "mail" or "webhook"
    message: str  # "opened", "again", "taken", "closed", "merged"; "planned", "made", "dropped"
    to: tuple[str, ...] = ()  # mail addresses; for a webhook, its host only
    message_id: str = ""
    tells: int = 0  # position of the newest fact that the message tells of
    step: int = 0  # of the escalation, counted from 1; 0: nobody was paged, a team was told
    because: str = ""  # the rota, person or team that the step names

    def says(self) -> str:
        way = WAYS.get(self.channel, self.channel)
        if self.step:
            return f"{self.team} was paged {way}" + (
                f" ({self.because})" if self.because not in ("", self.team) else ""
            )
        return f"{self.team} was told {way} {SAID.get(self.message, self.message)}"


@named("pager.not_told")
class NotTold(Fact, frozen=True, kw_only=True):
    """A message could not be handed over; it is tried again at `next_at`."""

    team: str
    channel: str
    message: str
    reason: str
    attempt: int
    next_at: Instant

    tone: ClassVar[Tone] = "warn"

    def says(self) -> str:
        way = WAYS.get(self.channel, self.channel)
        return f"{self.team} could not be told {way} yet: {self.reason}"


@named("pager.turned_away")
class TurnedAway(Fact, frozen=True, kw_only=True):
    """A message was taken for some of a team's addresses, and these were refused."""

    team: str
    message: str
    to: tuple[str, ...]
    reason: str  # in the mail server's words
    for_good: bool = True

    tone: ClassVar[Tone] = "warn"

    def says(self) -> str:
        which = "one address" if len(self.to) == 1 else f"{len(self.to)} addresses"
        return f"{self.team} was not told at {which}: {self.reason}"


@named("pager.taken")
class Taken(Fact, frozen=True, kw_only=True):
    """Somebody said "I have it"."""

    who: str
    way: str = "page"  # "page", "link" or "terminal"; "merged": they had what goes on in this one
    team: str = ""  # whose link it was

    tone: ClassVar[Tone] = "good"

    def says(self) -> str:
        return f"{self.who} has it"


@named("pager.cover_agreed")
class CoverAgreed(Fact, frozen=True, kw_only=True):
    """Somebody covers for whoever's turn it is. About `rota:NAME`."""

    person: str
    starts: Instant
    ends: Instant
    note: str = ""

    def says(self) -> str:
        span = lasting(seconds_between(self.starts, self.ends))
        return f"{self.person} covers for {span}" + (f": {self.note}" if self.note else "")


@named("pager.cover_dropped")
class CoverDropped(Fact, frozen=True, kw_only=True):
    """A cover does not hold any more: the order counts again. About `rota:NAME`."""

    cover: int  # position of the fact that agreed it
    person: str

    tone: ClassVar[Tone] = "warn"

    def says(self) -> str:
        return f"{self.person} does not cover after all"

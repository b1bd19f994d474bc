"""What can happen when somebody is to be told."""

from __future__ import annotations

from typing import ClassVar

from detente.kernel.clock import Instant
from detente.kernel.fact import Fact, Tone, named


@named("pager.told")
class Told(Fact, frozen=True, kw_only=True):
    """A team's mail server or chat took the message. About the incident."""

    team: str
    channel: str  # "mail" or "webhook"
    message: str  # "opened", "taken" or "closed"
    to: tuple[str, ...] = ()  # mail addresses; for a webhook, its host only
    message_id: str = ""
    tells: int = 0  # position of the newest fact about the incident that the message tells of

    def says(self) -> str:
        way = {"mail": "by mail", "webhook": "in the chat"}.get(self.channel, self.channel)
        what = {"opened": "that it began", "taken": "who has it", "closed": "that it is over"}
        return f"{self.team} was told {way} {what.get(self.message, self.message)}"


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
        way = {"mail": "by mail", "webhook": "in the chat"}.get(self.channel, self.channel)
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
    way: str = "page"  # "page", "link" or "terminal"
    team: str = ""  # whose link it was

    tone: ClassVar[Tone] = "good"

    def says(self) -> str:
        return f"{self.who} has it"

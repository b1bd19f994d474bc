"""What can happen to what things depend on: changes of it, and suspicions about it."""

from __future__ import annotations

from typing import ClassVar

from detente.kernel.clock import Instant
from detente.kernel.fact import Fact, Subject, Tone, named
from detente.kernel.money import Money


@named("dependencies.change_planned")
class ChangePlanned(Fact, frozen=True, kw_only=True):
    """Somebody will change something other than a release. About `change:ID`."""

    title: str
    touches: tuple[Subject, ...] = ()
    starts: Instant
    central: tuple[Subject, ...] = ()  # touched, and a central point of failure: a warning
    falls: tuple[Subject, ...] = ()  # journeys that fall with what is touched
    link: str = ""
    an_hour: tuple[Money, ...] = ()  # what these journeys earn in an hour
    tell: tuple[Subject, ...] = ()  # teams that must know

    def says(self) -> str:
        return _told("is planned", self.title, self.central, self.falls, self.an_hour)


@named("dependencies.change_recorded")
class ChangeRecorded(Fact, frozen=True, kw_only=True):
    """Something was changed other than by a release. About `change:ID`."""

    title: str
    touches: tuple[Subject, ...] = ()
    since: Instant | None = None  # when it was made; None: when it was written down
    central: tuple[Subject, ...] = ()
    falls: tuple[Subject, ...] = ()
    link: str = ""
    an_hour: tuple[Money, ...] = ()
    tell: tuple[Subject, ...] = ()

    def says(self) -> str:
        return _told("was made", self.title, self.central, self.falls, self.an_hour)


@named("dependencies.change_dropped")
class ChangeDropped(Fact, frozen=True, kw_only=True):
    """A planned change is not made after all. About `change:ID`."""

    why: str = ""

    def says(self) -> str:
        return "is not made after all" + (f": {self.why}" if self.why else "")


@named("dependencies.suspected")
class Suspected(Fact, frozen=True, kw_only=True):
    """Several things fell at the same moment, and nobody declared what they share."""

    together: tuple[Subject, ...]
    since: Instant
    chance: float  # that so many fall together by accident, family-wise

    tone: ClassVar[Tone] = "warn"

    def says(self) -> str:
        names = ", ".join(each.replace(":", " ", 1) for each in self.together)
        return f"fell together, so they may share something undeclared: {names}"


def _told(
    what: str,
    title: str,
    central: tuple[Subject, ...],
    falls: tuple[Subject, ...],
    an_hour: tuple[Money, ...],
) -> str:
    if not falls:
        return f"{what}: {title}"
    points = " and ".join(each.partition(":")[2] for each in central)
    careful = f"{points} {'is a central point' if len(central) == 1 else 'are central points'}; "
    many = "1 journey" if len(falls) == 1 else f"{len(falls)} journeys"
    worth = f", {' + '.join(map(str, an_hour))} an hour" if an_hour else ""
    return f"{what}: {title}. Careful: {careful if central else ''}{many} would fall with it{worth}"

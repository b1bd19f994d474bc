"""What can happen in an incident."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from detente.kernel.clock import Instant, lasting
from detente.kernel.fact import Fact, Subject, Tone, named
from detente.kernel.spans import SpanKind


@named("incidents.opened")
class Opened(Fact, frozen=True, kw_only=True):
    """Something people depend on stopped working. About `incident:N`."""

    of: Subject  # the vendor, service or whatever else was declared
    since: Instant
    cause: Subject  # the check, route or test that told
    reason: str

    tone: ClassVar[Tone] = "bad"

    def says(self) -> str:
        return f"opened: {self.reason}"


@named("incidents.cause_joined")
class CauseJoined(Fact, frozen=True, kw_only=True):
    """Something more is down because of the same thing: no second incident, no second page.

    A `remark` (the test twin fell too) is worth knowing and does not keep the incident open.
    """

    cause: Subject
    reason: str
    since: Instant | None = None  # when it began; None: when it was written down
    remark: bool = False
    of: Subject = ""  # what it is the cause's of; empty: the same as the incident

    tone: ClassVar[Tone] = "bad"

    def says(self) -> str:
        called = self.cause.replace(":", " ", 1)
        if self.remark:
            return f"noticed: {called} is down too ({self.reason})"
        return f"also down: {called}: {self.reason}"


@named("incidents.cause_left")
class CauseLeft(Fact, frozen=True, kw_only=True):
    """One of the things that were down works again."""

    cause: Subject
    since: Instant | None = None  # when it began to work; None: when it was written down
    retired: bool = False  # it is not declared any more: nobody knows whether it works

    tone: ClassVar[Tone] = "good"

    def says(self) -> str:
        if self.retired:
            return f"no longer declared: {self.cause.replace(':', ' ', 1)}"
        return f"works again: {self.cause.replace(':', ' ', 1)}"


@named("incidents.closed")
class Closed(Fact, frozen=True, kw_only=True):
    """Everything that was down had been working again for the quiet time, or somebody closed it."""

    since: Instant  # when the last of it worked again
    lasted: float  # seconds, from the first failure to then
    note: str = ""
    into: Subject = ""  # the incident that it turned out to be a part of, and goes on in

    tone: ClassVar[Tone] = "good"

    def says(self) -> str:
        if self.into:
            return f"goes on as part of {self.into.replace(':', ' ', 1)}: {self.note}"
        return f"closed after {lasting(self.lasted)}" + (f": {self.note}" if self.note else "")


@named("incidents.noted")
class Noted(Fact, frozen=True, kw_only=True):
    """Somebody wrote down what they saw or did."""

    note: str

    def says(self) -> str:
        return f"note: {self.note}"


Section = Literal["happened", "wrong", "again", "then"]

QUESTIONS: Mapping[Section, str] = {
    "happened": "What happened?",
    "wrong": "What went wrong?",
    "again": "Will it happen again?",
    "then": "What do we do if it does?",
}
"""What a retrospective answers."""


@named("incidents.retrospective_opened")
class RetrospectiveOpened(Fact, frozen=True, kw_only=True):
    """The four questions about an incident wait for their answers until `due`."""

    due: Instant

    def says(self) -> str:
        return "its retrospective was opened"


@named("incidents.answered")
class Answered(Fact, frozen=True, kw_only=True):
    """Somebody answered one of the four questions; a later answer takes the place of this one."""

    section: Section
    answer: str
    unknown: bool = False  # nobody knows, and that was said on purpose

    def says(self) -> str:
        return f"answered “{QUESTIONS[self.section]}”" + (": nobody knows" if self.unknown else "")


@named("incidents.retrospective_closed")
class RetrospectiveClosed(Fact, frozen=True, kw_only=True):
    """All four questions are answered, and somebody said that this is it."""

    tone: ClassVar[Tone] = "good"

    def says(self) -> str:
        return "its retrospective was closed, all four questions answered"


@named("incidents.action_taken_on")
class ActionTakenOn(Fact, frozen=True, kw_only=True):
    """Somebody will see to it that this incident is answered better next time."""

    action: str  # "12-1": the first of incident 12
    title: str
    owner: str
    due: Instant
    closes_on: Subject  # the check, test, toggle or drill that must exist and have run

    def says(self) -> str:
        closes = self.closes_on.replace(":", " ", 1)
        return f"{self.owner} took on: {self.title} (done when {closes} is there and has run)"


@named("incidents.action_done")
class ActionDone(Fact, frozen=True, kw_only=True):
    """What the action waited for has happened; the fact that says so stands at `position`."""

    action: str
    title: str
    position: int
    because: str  # in words

    tone: ClassVar[Tone] = "good"

    def says(self) -> str:
        return f"done: {self.title} ({self.because})"


@named("incidents.action_dropped")
class ActionDropped(Fact, frozen=True, kw_only=True):
    """Nobody will do it after all, and somebody says why."""

    action: str
    title: str
    why: str

    tone: ClassVar[Tone] = "warn"

    def says(self) -> str:
        return f"will not be done: {self.title}. {self.why}"


RETROSPECTIVE = SpanKind(
    "retrospective", opens=(RetrospectiveOpened,), closes=(RetrospectiveClosed,)
)
INCIDENT = SpanKind("incident", opens=(Opened,), closes=(Closed,))

"""What can happen in an incident."""

from __future__ import annotations

from typing import ClassVar

from detente.kernel.clock import Instant, lasting
from detente.kernel.fact import Fact, Subject, Tone, named
from detente.kernel.spans import SpanKind


@named("incidents.opened")
class Opened(Fact, frozen=True, kw_only=True):
    """Something people depend on stopped working. About `incident:N`."""

    of: Subject  # the vendor or service
    since: Instant
    cause: Subject  # the check or route that told
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

    tone: ClassVar[Tone] = "good"

    def says(self) -> str:
        return f"closed after {lasting(self.lasted)}" + (f": {self.note}" if self.note else "")


@named("incidents.noted")
class Noted(Fact, frozen=True, kw_only=True):
    """Somebody wrote down what they saw or did."""

    note: str

    def says(self) -> str:
        return f"note: {self.note}"


INCIDENT = SpanKind("incident", opens=(Opened,), closes=(Closed,))

"""What can happen to a release."""

from __future__ import annotations

from typing import ClassVar, Literal

from detente.kernel.clock import Instant, lasting
from detente.kernel.fact import Fact, Subject, Tone, named
from detente.kernel.spans import SpanKind

Kind = Literal["standard", "normal", "emergency"]


@named("releases.requested")
class Requested(Fact, frozen=True, kw_only=True):
    """Somebody asked to change production. About `release:ID`."""

    title: str
    kind: Kind = "normal"
    starts: Instant
    ends: Instant
    touches: tuple[Subject, ...] = ()
    people: tuple[str, ...] = ()
    billing_code: str = ""
    toggles: tuple[Subject, ...] = ()
    plan: str = ""
    back_out: str = ""
    risk: str = ""  # what the map says, in words
    central: tuple[Subject, ...] = ()
    fixes: Subject = ""  # the incident that it mends

    def says(self) -> str:
        return f"requested: {self.title}" + (f" ({self.kind})" if self.kind != "normal" else "")


@named("releases.told")
class Told(Fact, frozen=True, kw_only=True):
    """A team that must know was told of it, once."""

    team: Subject

    routine: ClassVar[bool] = True

    def says(self) -> str:
        return f"told {self.team.partition(':')[2]}"


@named("releases.began")
class Began(Fact, frozen=True, kw_only=True):
    """The release runs."""

    version: str
    before: str = ""  # the version that it replaces
    committed: Instant | None = None  # when the oldest commit in it was made

    def says(self) -> str:
        return f"began: {self.version}"


@named("releases.step_passed")
class StepPassed(Fact, frozen=True, kw_only=True):
    """Gate, ship, verify or watch went well."""

    step: str
    took: float  # seconds
    note: str = ""

    routine: ClassVar[bool] = True

    def says(self) -> str:
        return f"{self.step} passed after {lasting(self.took)}" + (
            f": {self.note}" if self.note else ""
        )


@named("releases.stopped")
class Stopped(Fact, frozen=True, kw_only=True):
    """It went no further, and production was not changed."""

    step: str
    why: str

    tone: ClassVar[Tone] = "warn"

    def says(self) -> str:
        return f"stopped at {self.step}, nothing was changed: {self.why}"


@named("releases.shipped")
class Shipped(Fact, frozen=True, kw_only=True):
    """The new version is in production."""

    version: str

    def says(self) -> str:
        return f"shipped {self.version}"


@named("releases.done")
class Done(Fact, frozen=True, kw_only=True):
    """Shipped, verified, watched: it stays."""

    version: str
    lasted: float  # seconds since it began

    tone: ClassVar[Tone] = "good"

    def says(self) -> str:
        return f"done: {self.version} stays"


@named("releases.rolled_back")
class RolledBack(Fact, frozen=True, kw_only=True):
    """The version before it is in production again, and these numbers decided it."""

    to: str
    why: str
    because: Subject = ""
    e_value: float = 0.0
    failed: int = 0
    of: int = 0

    tone: ClassVar[Tone] = "warn"

    def says(self) -> str:
        return f"rolled back to {self.to}: {self.why}"


@named("releases.withdrawn")
class Withdrawn(Fact, frozen=True, kw_only=True):
    """It will not take place."""

    why: str = ""

    def says(self) -> str:
        return "withdrawn" + (f": {self.why}" if self.why else "")


@named("releases.review_opened")
class ReviewOpened(Fact, frozen=True, kw_only=True):
    """What was let through in an emergency, or past a freeze, is looked at afterwards."""

    why: str
    due: Instant

    tone: ClassVar[Tone] = "warn"

    def says(self) -> str:
        return f"wants a review: {self.why}"


@named("releases.reviewed")
class Reviewed(Fact, frozen=True, kw_only=True):
    """Somebody reviewed it and wrote down what they found."""

    note: str

    def says(self) -> str:
        return f"reviewed: {self.note}"


RELEASE = SpanKind("release", opens=(Began,), closes=(Done, RolledBack, Stopped))

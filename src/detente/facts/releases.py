"""What can happen to a release."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from detente.kernel.clock import Instant, lasting
from detente.kernel.fact import Fact, Subject, Tone, named
from detente.kernel.spans import SpanKind

Kind = Literal["standard", "normal", "emergency"]


class _Asked(Fact, frozen=True, kw_only=True):
    """What stands in a change request."""

    title: str
    kind: Kind = "normal"
    service: Subject = ""
    version: str = ""  # a commit, a tag, a build; none said: what the repository has when it runs
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
    falls: tuple[Subject, ...] = ()  # journeys that fall with what it touches
    overlaps: tuple[Subject, ...] = ()  # other releases and planned changes at that time
    frozen: str = ""  # the freeze that it falls into
    fixes: Subject = ""  # the incident that it mends


@named("releases.requested")
class Requested(_Asked, frozen=True, kw_only=True):
    """Somebody asked to change production. About `release:ID`."""

    def says(self) -> str:
        kind = f" ({self.kind})" if self.kind != "normal" else ""
        return ". ".join([f"requested: {self.title}{kind}", *_careful(self)])


@named("releases.changed")
class Changed(_Asked, frozen=True, kw_only=True):
    """The request was changed: this is all of it, as it now stands."""

    what: str = ""  # in words

    def says(self) -> str:
        return ". ".join([f"changed: {self.what or self.title}", *_careful(self)])


@named("releases.told")
class Told(Fact, frozen=True, kw_only=True):
    """A team that must know was told, once. About `release:ID`, or `morning:DATE`."""

    team: Subject
    channel: Literal["mail", "webhook"] = "mail"
    message: str = ""  # requested, changed, withdrawn, morning
    tells: int = 0  # position of the newest fact told
    to: tuple[str, ...] = ()
    message_id: str = ""

    routine: ClassVar[bool] = True

    def says(self) -> str:
        return f"told {self.team.partition(':')[2]}"


@named("releases.not_told")
class NotTold(Fact, frozen=True, kw_only=True):
    """A team could not be told yet; it is tried again."""

    team: Subject
    channel: Literal["mail", "webhook"] = "mail"
    reason: str
    attempt: int = 1
    next_at: Instant

    tone: ClassVar[Tone] = "warn"
    routine: ClassVar[bool] = True

    def says(self) -> str:
        return f"could not tell {self.team.partition(':')[2]}: {self.reason}"


@named("releases.run_asked")
class RunAsked(Fact, frozen=True, kw_only=True):
    """Somebody lets it go."""

    version: str = ""
    through: str = ""  # why it passes a freeze, or an incident that is open

    def says(self) -> str:
        return "was let go" + (
            f", past what stood in its way: {self.through}" if self.through else ""
        )


@named("releases.began")
class Began(Fact, frozen=True, kw_only=True):
    """The release runs."""

    version: str
    before: str = ""  # the version that it replaces
    committed: Instant | None = None  # when the oldest commit in it was made
    service: Subject = ""
    kind: Kind = "normal"
    fixes: Subject = ""
    commits: int = 0

    def says(self) -> str:
        instead = (
            f" instead of {short(self.before)}" if self.before not in ("", self.version) else ""
        )
        return f"began: {short(self.version)}{instead}"


@named("releases.step_began")
class StepBegan(Fact, frozen=True, kw_only=True):
    """Gate, ship, verify, watch or back was begun. Its processes carry the mark."""

    step: str
    mark: str
    attempt: int = 1

    routine: ClassVar[bool] = True

    def says(self) -> str:
        again = f" (attempt {self.attempt})" if self.attempt > 1 else ""
        return f"{self.step} began{again}"


@named("releases.step_passed")
class StepPassed(Fact, frozen=True, kw_only=True):
    """Gate, ship, verify or watch went well. What its commands printed is attached."""

    step: str
    took: float  # seconds
    note: str = ""

    routine: ClassVar[bool] = True

    def says(self) -> str:
        return f"{self.step} passed after {lasting(self.took)}" + (
            f": {self.note}" if self.note else ""
        )


@named("releases.step_failed")
class StepFailed(Fact, frozen=True, kw_only=True):
    """A step did not go well. What its commands printed is attached."""

    step: str
    took: float  # seconds
    why: str
    because: Subject = ""  # the check, route or suite that told
    e_value: float = 0.0
    failed: int = 0
    of: int = 0

    tone: ClassVar[Tone] = "warn"
    routine: ClassVar[bool] = True  # what follows from it is told

    def says(self) -> str:
        return f"{self.step} failed after {lasting(self.took)}: {self.why}"


@named("releases.resumed")
class Resumed(Fact, frozen=True, kw_only=True):
    """The node had stopped in the middle of a step, and goes on from what it found."""

    step: str
    found: str

    tone: ClassVar[Tone] = "warn"

    def says(self) -> str:
        return f"goes on at {self.step} after an interruption: {self.found}"


class Reading(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one source said since the new version is in production."""

    about: Subject
    what: str  # "runs failed", "calls refused by the vendor"
    failed: int
    of: int
    known: float  # the share that failed before, with room above it
    e_value: float
    enough: int  # tries after which five times as many failures would probably have shown


@named("releases.looked")
class Looked(Fact, frozen=True, kw_only=True):
    """What the watch has counted so far."""

    readings: tuple[Reading, ...]

    routine: ClassVar[bool] = True

    def says(self) -> str:
        told = ", ".join(
            f"{each.about.partition(':')[2]}: {each.failed} of {each.of} {each.what}"
            for each in self.readings
        )
        return f"looked: {told or 'nothing was counted'}"


@named("releases.toggle_switched_back")
class ToggleSwitchedBack(Fact, frozen=True, kw_only=True):
    """A toggle of the release was switched off before the release itself is taken back."""

    toggle: Subject
    why: str
    because: Subject = ""
    e_value: float = 0.0
    failed: int = 0
    of: int = 0

    tone: ClassVar[Tone] = "warn"

    def says(self) -> str:
        return f"switched {self.toggle.partition(':')[2]} off: {self.why}"


@named("releases.held")
class Held(Fact, frozen=True, kw_only=True):
    """Somebody wants it to wait before its next step."""

    why: str = ""

    def says(self) -> str:
        return "is held" + (f": {self.why}" if self.why else "")


@named("releases.went_on")
class WentOn(Fact, frozen=True, kw_only=True):
    """It need not wait any longer."""

    def says(self) -> str:
        return "goes on"


@named("releases.back_asked")
class BackAsked(Fact, frozen=True, kw_only=True):
    """Somebody wants the version before it again."""

    why: str

    tone: ClassVar[Tone] = "warn"

    def says(self) -> str:
        return f"is to go back: {self.why}"


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
        return f"shipped {short(self.version)}"


@named("releases.done")
class Done(Fact, frozen=True, kw_only=True):
    """Shipped, verified, watched: it stays."""

    version: str
    lasted: float  # seconds since it began

    tone: ClassVar[Tone] = "good"

    def says(self) -> str:
        return f"done: {short(self.version)} stays"


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
        return f"rolled back to {short(self.to) or 'what was before'}: {self.why}"


@named("releases.stuck")
class Stuck(Fact, frozen=True, kw_only=True):
    """Nobody knows which version is in production: a person must look."""

    step: str
    why: str

    tone: ClassVar[Tone] = "bad"

    def says(self) -> str:
        return f"needs a person, {self.step} did not work out: {self.why}"


@named("releases.settled")
class Settled(Fact, frozen=True, kw_only=True):
    """A person looked, and says which version is in production."""

    version: str
    note: str

    def says(self) -> str:
        return f"settled by hand, {short(self.version)} is in production: {self.note}"


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


def short(version: str) -> str:
    """A commit as people say it; anything else as it is."""
    is_commit = len(version) == 40 and set(version) <= set("0123456789abcdef")
    return version[:10] if is_commit else version


def _careful(asked: _Asked) -> list[str]:
    """What whoever asked should hear at once."""
    return [
        *([asked.risk] if asked.central else []),
        *([f"At the same time: {_names(asked.overlaps)}"] if asked.overlaps else []),
        *([f"Falls into the freeze “{asked.frozen}”"] if asked.frozen else []),
    ]


def _names(subjects: tuple[Subject, ...]) -> str:
    return ", ".join(each.replace(":", " ", 1) for each in subjects)


RELEASE = SpanKind("release", opens=(Began,), closes=(Done, RolledBack, Stopped, Settled))

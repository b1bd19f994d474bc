"""What can happen to something we watch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import msgspec

from detente.kernel.clock import Instant, lasting
from detente.kernel.fact import Fact, Subject, Tone, named
from detente.kernel.spans import SpanKind


@named("watch.went_down")
class WentDown(Fact, frozen=True, kw_only=True):
    """A check failed as often in a row as its `falls_after` says. Down `since` the first of them."""

    of: Subject  # the vendor or service the check is about
    since: Instant
    reason: str
    failures: int
    environment: str = ""

    tone: ClassVar[Tone] = "bad"

    def says(self) -> str:
        return f"went down: {self.reason}"


@named("watch.came_back")
class CameBack(Fact, frozen=True, kw_only=True):
    """A check that was down answered as often in a row as its `rises_after` says."""

    of: Subject
    since: Instant  # the first good answer
    lasted: float  # seconds
    environment: str = ""

    tone: ClassVar[Tone] = "good"

    def says(self) -> str:
        return f"came back after {lasting(self.lasted)}"


@named("watch.warned")
class Warned(Fact, frozen=True, kw_only=True):
    """A check that only warns failed: it works still, but somebody should look in time."""

    of: Subject
    since: Instant
    reason: str

    tone: ClassVar[Tone] = "warn"

    def says(self) -> str:
        return f"wants a look: {self.reason}"


@named("watch.warning_passed")
class WarningPassed(Fact, frozen=True, kw_only=True):
    """What a check warned of is over."""

    of: Subject
    since: Instant

    tone: ClassVar[Tone] = "good"

    def says(self) -> str:
        return "is all right again"


@named("watch.lost_sight")
class LostSight(Fact, frozen=True, kw_only=True):
    """The prober could not tell: it was late, suspended or cut off itself. Nobody is blamed."""

    since: Instant
    reason: str

    tone: ClassVar[Tone] = "warn"

    def says(self) -> str:
        return f"could not be judged: {self.reason}"


@named("watch.regained_sight")
class RegainedSight(Fact, frozen=True, kw_only=True):
    """The prober can tell again."""

    since: Instant

    def says(self) -> str:
        return "can be judged again"


@named("watch.retired")
class Retired(Fact, frozen=True, kw_only=True):
    """A check that was down, warned of or blind is not declared any more: nobody will see it back."""

    def says(self) -> str:
        return "is no longer watched"


class Tally(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one sheet says of one check: how often each verdict, and how long answers took."""

    expected: int  # slots in the interval
    ok: int = 0
    failed: int = 0
    inconclusive: int = 0
    skipped: int = 0
    not_run: int = 0
    median: float | None = None  # seconds, of the answers that were ok
    worst: float | None = None
    last: str = ""  # the reason of the last failure


@named("watch.sheet_filed")
class SheetFiled(Fact, frozen=True, kw_only=True):
    """Everything one place saw in one interval. The attachment lists every expected slot.

    The attachment may expire; its SHA-256 and the tallies stay.
    """

    since: Instant
    until: Instant
    sha256: str
    tallies: Mapping[str, Tally]  # by check

    routine: ClassVar[bool] = True

    def says(self) -> str:
        ran = sum(each.expected - each.not_run for each in self.tallies.values())
        failed = sum(each.failed for each in self.tallies.values())
        return f"filed what it saw: {ran} checks run, {failed} failed"


OUTAGE = SpanKind("outage", opens=(WentDown,), closes=(CameBack, Retired))
WARNING = SpanKind("warning", opens=(Warned,), closes=(WarningPassed, Retired))
BLIND = SpanKind("blind", opens=(LostSight,), closes=(RegainedSight, Retired))

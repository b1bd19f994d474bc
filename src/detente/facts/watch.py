"""What can happen to something we watch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import ClassVar, Literal

import msgspec

from detente.kernel.clock import Instant, lasting, seconds_between
from detente.kernel.fact import Fact, Subject, Tone, named, plain
from detente.kernel.spans import SpanKind
from detente.kernel.tries import Tries


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


@named("watch.missed_from")
class MissedFrom(Fact, frozen=True, kw_only=True):
    """Asked from this place, a check failed as often in a row as its `falls_after` says.

    Told where several places look, or another than our own: what one of them sees is a look. `about`
    is `look:<check>@<place>`.
    """

    check: Subject
    place: Subject
    of: Subject
    since: Instant
    reason: str

    tone: ClassVar[Tone] = "warn"

    def says(self) -> str:
        return f"does not answer when asked from {plain(self.place)}: {self.reason}"


@named("watch.reached_from")
class ReachedFrom(Fact, frozen=True, kw_only=True):
    """Asked from this place, a check answers again."""

    check: Subject
    place: Subject
    of: Subject
    since: Instant
    lasted: float = 0.0  # seconds
    reason: str = ""  # what was the matter, as this place saw it begin

    tone: ClassVar[Tone] = "good"

    def says(self) -> str:
        return f"answers again when asked from {plain(self.place)}"


@named("watch.was_down")
class WasDown(Fact, frozen=True, kw_only=True):
    """An outage that was over before the node heard of it: the place that saw it was cut off.

    It counts like any other and pages nobody.
    """

    of: Subject
    place: Subject
    since: Instant
    until: Instant
    reason: str
    environment: str = ""

    tone: ClassVar[Tone] = "warn"

    def says(self) -> str:
        lasted = lasting(seconds_between(self.since, self.until))
        return f"was down for {lasted}, as {plain(self.place)} reported later: {self.reason}"


@named("watch.answer_changed")
class AnswerChanged(Fact, frozen=True, kw_only=True):
    """Another address or another certificate answers a check than before."""

    of: Subject
    what: Literal["address", "certificate"]
    before: tuple[str, ...]  # addresses, or SHA-256 fingerprints
    after: tuple[str, ...]
    since: Instant

    def says(self) -> str:
        before, after = (
            ", ".join(_short(each) for each in some) for some in (self.before, self.after)
        )
        if self.what == "certificate":
            return f"shows another certificate: {after}, before it was {before}"
        return f"is at another address: {after}, before it was {before}"


def _short(said: str) -> str:
    """A fingerprint by its beginning; addresses as they are."""
    return said if len(said) < 64 else f"{said[:12]}…"


Fault = Literal["ours", "our network", "theirs", "their network", "can't tell"]
"""Where an outage comes from."""

_IN_WORDS: Mapping[str, str] = {
    "ours": "it is ours",
    "our network": "it is our network",
    "theirs": "it is theirs",
    "their network": "it is their network",
    "can't tell": "nobody can tell yet whose fault it is",
}


def in_words(fault: Fault, sure: bool) -> str:
    """The verdict as one says it."""
    said = _IN_WORDS[fault]
    return said if sure or fault == "can't tell" else f"probably {said}"


@named("watch.verdict_reached")
class VerdictReached(Fact, frozen=True, kw_only=True):
    """During an outage: whose fault it is, with what speaks for it. Told again when that changes."""

    since: Instant  # of the outage
    fault: Fault
    sure: bool = False  # more than one independent look says so
    reasons: tuple[str, ...] = ()
    cites: tuple[int, ...] = ()  # positions of the facts it rests on

    tone: ClassVar[Tone] = "warn"

    def says(self) -> str:
        said = in_words(self.fault, self.sure)
        return f"{said}: {self.reasons[0]}" if self.reasons else said


@named("watch.place_fell_silent")
class PlaceFellSilent(Fact, frozen=True, kw_only=True):
    """Nothing has been heard of a place that looks for us."""

    since: Instant  # when it was last heard of

    tone: ClassVar[Tone] = "warn"

    def says(self) -> str:
        return "has fallen silent: what it sees is not known until it reports again"


@named("watch.place_heard")
class PlaceHeard(Fact, frozen=True, kw_only=True):
    """A place that was silent reports again. What it saw meanwhile comes with it."""

    since: Instant

    tone: ClassVar[Tone] = "good"

    def says(self) -> str:
        return "reports again"


@named("watch.place_gave_up")
class PlaceGaveUp(Fact, frozen=True, kw_only=True):
    """A place was cut off for so long that it had to drop what it had seen first."""

    since: Instant
    until: Instant
    sheets: int

    tone: ClassVar[Tone] = "warn"

    def says(self) -> str:
        lost = lasting(seconds_between(self.since, self.until))
        return f"had no room left and dropped what it saw in {lost}: that time stays unmeasured"


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
    warned: int = 0  # of those that were ok: they worked, and asked for a look
    median: float | None = None  # seconds, of the answers that were ok
    worst: float | None = None
    last: str = ""  # the reason of the last failure


@named("watch.sheet_filed")
class SheetFiled(Fact, frozen=True, kw_only=True):
    """Everything one place saw in one interval. The attachment lists every expected slot.

    The attachment may expire; its seal and the tallies stay. The seal is the SHA-256 over those of
    the checks' parts (`parts_of`), so that the part of one check can be shown without the others'.
    """

    since: Instant
    until: Instant
    sha256: str
    tallies: Mapping[str, Tally]  # by check
    without_detail: bool = False  # the place had no room left to keep it

    routine: ClassVar[bool] = True

    def tried(self) -> Mapping[Subject, Tries]:
        return {f"check:{name}": Tries(each.failed, each.ok) for name, each in self.tallies.items()}

    def says(self) -> str:
        ran = sum(each.expected - each.not_run for each in self.tallies.values())
        failed = sum(each.failed for each in self.tallies.values())
        return f"filed what it saw: {ran} checks run, {failed} failed"


def parts_of(detail: bytes) -> dict[str, bytes]:
    """A sheet's attachment, check by check: msgpack of the name and its slots, in order of names."""
    checks = msgspec.msgpack.decode(detail)["checks"]
    return {name: msgspec.msgpack.encode((name, checks[name])) for name in sorted(checks)}


def seal_of(parts: Iterable[bytes]) -> str:
    """The seal of a sheet with these parts."""
    together = b"".join(hashlib.sha256(part).digest() for part in parts)
    return hashlib.sha256(together).hexdigest()


OUTAGE = SpanKind("outage", opens=(WentDown,), closes=(CameBack, Retired), whole=(WasDown,))
WARNING = SpanKind("warning", opens=(Warned,), closes=(WarningPassed, Retired))
BLIND = SpanKind("blind", opens=(LostSight,), closes=(RegainedSight, Retired))
UNREACHED = SpanKind("unreached", opens=(MissedFrom,), closes=(ReachedFrom, Retired))
SILENCE = SpanKind("silence", opens=(PlaceFellSilent,), closes=(PlaceHeard,))

"""What can happen to a promise."""

from __future__ import annotations

from typing import ClassVar, Literal

from detente.kernel.clock import Instant, lasting, moment, seconds_between
from detente.kernel.fact import Fact, Subject, Tone, named
from detente.kernel.money import Money


@named("sla.promise_broken")
class PromiseBroken(Fact, frozen=True, kw_only=True):
    """More downtime than the whole period allows: the target can no longer be met."""

    vendor: Subject
    period: str  # "2026-11"
    target: float  # a fraction
    down: float  # seconds so far
    allowed: float  # seconds in the whole period
    owed: Money | None = None  # by the contract's table, at that moment

    tone: ClassVar[Tone] = "bad"

    def says(self) -> str:
        return (
            f"was broken for {self.period}: {lasting(self.down)} down,"
            f" {lasting(self.allowed)} allowed at {self.target * 100:.10g}%"
        )


@named("sla.promise_restored")
class PromiseRestored(Fact, frozen=True, kw_only=True):
    """It was broken, and is not any more: with what was left out since, the downtime is allowed."""

    vendor: Subject
    period: str  # "2026-11"
    target: float  # a fraction
    down: float  # seconds that still count
    allowed: float  # seconds
    excluded: float = 0.0  # seconds of downtime that were left out

    tone: ClassVar[Tone] = "good"

    def says(self) -> str:
        return (
            f"is kept again for {self.period}: {lasting(self.excluded)} of downtime were left out,"
            f" {lasting(self.down)} count, {lasting(self.allowed)} are allowed"
        )


@named("sla.excluded")
class Excluded(Fact, frozen=True, kw_only=True):
    """Somebody left a time out of the reckoning: what was down then does not count."""

    start: Instant
    end: Instant
    reason: str
    timezone: str = "UTC"  # of the contract, in which people wrote the time

    def says(self) -> str:
        return f"leaves out {_stretch(self.start, self.end, self.timezone)}: {self.reason}"


@named("sla.included_again")
class IncludedAgain(Fact, frozen=True, kw_only=True):
    """What had been left out counts again."""

    exclusion: int  # where the fact that left it out stands in the ledger
    start: Instant
    end: Instant
    reason: str
    timezone: str = "UTC"

    def says(self) -> str:
        return f"counts {_stretch(self.start, self.end, self.timezone)} again: {self.reason}"


@named("sla.vendor_told")
class VendorTold(Fact, frozen=True, kw_only=True):
    """The vendor heard of the outages so far from us, as the contract asks."""

    reference: str  # the vendor's number for it
    note: str = ""

    def says(self) -> str:
        return f"had its outages so far reported to the vendor: {_with(self.reference, self.note)}"


@named("sla.claimed")
class Claimed(Fact, frozen=True, kw_only=True):
    """Somebody claimed a credit of the vendor."""

    vendor: Subject
    period: str  # "2026-11"
    amount: Money
    reference: str  # the vendor's number for it, or ours
    note: str = ""

    def says(self) -> str:
        said = _with(self.reference, self.note)
        return f"had {self.amount} claimed for {self.period}: {said}"


@named("sla.claim_settled")
class ClaimSettled(Fact, frozen=True, kw_only=True):
    """The vendor paid or refused, or we let the claim go."""

    vendor: Subject
    period: str  # "2026-11"
    outcome: Literal["paid", "refused", "let go"]
    paid: Money | None = None
    note: str = ""

    def says(self) -> str:
        how = f"was paid {self.paid}" if self.paid else f"was {self.outcome}"
        return f"had its claim for {self.period} settled: it {how}{_note(self.note)}"


def _stretch(start: Instant, end: Instant, zone: str) -> str:
    """'10 Nov 2026 12:00 to 14:00 (2 h)', as the contract's clock shows it."""
    first, last = moment(start, zone), moment(end, zone)
    until = f"{last:%H:%M}" if first.date() == last.date() else f"{last:%-d %b %Y %H:%M}"
    return f"{first:%-d %b %Y %H:%M} to {until} ({lasting(seconds_between(start, end))})"


def _with(reference: str, note: str) -> str:
    return f"{reference}{_note(note)}" if reference else note or "no reference"


def _note(note: str) -> str:
    return f" ({note})" if note else ""


@named("sla.checkpoint_signed")
class CheckpointSigned(Fact, frozen=True, kw_only=True):
    """The ledger so far was summed up in one hash and signed. About `ledger:here`."""

    size: int  # facts
    note: str  # C2SP signed note: origin, size, root, signature

    routine: ClassVar[bool] = True

    def says(self) -> str:
        return f"signed a checkpoint over {self.size} facts"

"""What can happen to a promise."""

from __future__ import annotations

from typing import ClassVar

from detente.kernel.clock import lasting
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


@named("sla.checkpoint_signed")
class CheckpointSigned(Fact, frozen=True, kw_only=True):
    """The ledger so far was summed up in one hash and signed. About `ledger:here`."""

    size: int  # facts
    note: str  # C2SP signed note: origin, size, root, signature

    routine: ClassVar[bool] = True

    def says(self) -> str:
        return f"signed a checkpoint over {self.size} facts"

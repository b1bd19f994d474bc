"""What can happen to advice."""

from __future__ import annotations

from typing import ClassVar

from detente.kernel.fact import Fact, Tone, named


@named("scoreboard.advised")
class Advised(Fact, frozen=True, kw_only=True):
    """A rule over the facts spoke. About `advice:RULE/what it is about`."""

    rule: str
    advice: str  # one sentence: what to do
    evidence: tuple[int, ...] = ()  # positions in the ledger
    lever: str = ""
    why: str = ""

    tone: ClassVar[Tone] = "warn"

    def says(self) -> str:
        return f"advice: {self.advice.rstrip('.')}"


@named("scoreboard.advice_taken")
class AdviceTaken(Fact, frozen=True, kw_only=True):
    """What the advice was about is not so any more."""

    tone: ClassVar[Tone] = "good"

    def says(self) -> str:
        return "advice taken"


@named("scoreboard.advice_declined")
class AdviceDeclined(Fact, frozen=True, kw_only=True):
    """Somebody will live with it, and says why."""

    why: str

    def says(self) -> str:
        return f"advice declined: {self.why.rstrip('.')}"

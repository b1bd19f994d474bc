"""What can happen to a toggle."""

from __future__ import annotations

from typing import ClassVar

from detente.kernel.fact import Fact, Subject, Tone, named
from detente.kernel.spans import SpanKind


@named("toggles.defined")
class Defined(Fact, frozen=True, kw_only=True):
    """A toggle came to be, or its rules changed. About `toggle:NAME`."""

    definition: str  # flagd flag definition, JSON
    owner: str = ""

    def says(self) -> str:
        return "was defined" + (f", owned by {self.owner}" if self.owner else "")


@named("toggles.switched_on")
class SwitchedOn(Fact, frozen=True, kw_only=True):
    """Somebody switched it on, for everybody or for whom `to` says."""

    to: str = "everybody"
    why: str = ""
    release: Subject = ""  # the release that it belongs to

    tone: ClassVar[Tone] = "plain"

    def says(self) -> str:
        return f"switched on for {self.to}" + (f": {self.why}" if self.why else "")


@named("toggles.switched_off")
class SwitchedOff(Fact, frozen=True, kw_only=True):
    """Somebody switched it off."""

    why: str = ""

    def says(self) -> str:
        return "switched off" + (f": {self.why}" if self.why else "")


@named("toggles.flipped_back")
class FlippedBack(Fact, frozen=True, kw_only=True):
    """The guard switched it off again, and says why in numbers."""

    because: Subject  # the check, promise, test or route that told
    why: str  # with the numbers
    e_value: float = 0.0
    failed: int = 0
    of: int = 0

    tone: ClassVar[Tone] = "warn"

    def says(self) -> str:
        return f"flipped back by the guard: {self.why}"


@named("toggles.retired")
class Retired(Fact, frozen=True, kw_only=True):
    """It is gone from the declaration: nothing asks for it any more."""

    def says(self) -> str:
        return "was removed"


TOGGLE_ON = SpanKind("toggle on", opens=(SwitchedOn,), closes=(SwitchedOff, FlippedBack, Retired))

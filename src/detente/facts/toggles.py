"""What can happen to a toggle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import msgspec

from detente.kernel.clock import Instant, iso, lasting
from detente.kernel.fact import Fact, Subject, Tone, named
from detente.kernel.spans import SpanKind


@named("toggles.defined")
class Defined(Fact, frozen=True, kw_only=True):
    """A toggle came to be, or its rules changed. About `toggle:NAME`."""

    definition: str  # flagd flag definition, JSON
    owner: str = ""
    belongs_to: Subject = ""  # the service, vendor or journey
    generation: str = ""  # how its shares are put into buckets: v2 or v3

    def says(self) -> str:
        buckets = f"; shares in buckets of {self.generation}" if self.generation else ""
        return "was defined" + (f", owned by {self.owner}" if self.owner else "") + buckets


@named("toggles.switched_on")
class SwitchedOn(Fact, frozen=True, kw_only=True):
    """Somebody switched it on, for everybody or for whom `to` says."""

    to: str = "everybody"
    why: str = ""
    release: Subject = ""  # the release that it belongs to
    percent: float = 100.0  # of those whom no rule names
    step: int = 0  # the scheduled step that it carries out: where it stands in the ledger
    belongs_to: Subject = ""  # the service, vendor or journey

    tone: ClassVar[Tone] = "plain"

    def says(self) -> str:
        return f"switched on for {self.to}" + (f": {self.why}" if self.why else "")


@named("toggles.switched_off")
class SwitchedOff(Fact, frozen=True, kw_only=True):
    """Somebody switched it off."""

    why: str = ""
    kill: bool = False  # for everybody at once, whatever the rules say
    release: Subject = ""
    step: int = 0
    belongs_to: Subject = ""  # the service, vendor or journey

    def says(self) -> str:
        how = "killed, off for everybody" if self.kill else "switched off"
        return how + (f": {self.why}" if self.why else "")


@named("toggles.set")
class Set(Fact, frozen=True, kw_only=True):
    """Somebody turned a knob. `value` is JSON."""

    value: str
    variant: str = ""  # its name, where values have names
    why: str = ""
    release: Subject = ""
    step: int = 0
    belongs_to: Subject = ""  # the service, vendor or journey

    def says(self) -> str:
        said = f"{self.variant} ({self.value})" if self.variant else self.value
        return f"set to {said}" + (f": {self.why}" if self.why else "")


@named("toggles.reset")
class Reset(Fact, frozen=True, kw_only=True):
    """Somebody put it back to what is declared: no switch counts any more."""

    why: str = ""
    belongs_to: Subject = ""  # the service, vendor or journey

    def says(self) -> str:
        return "put back to what is declared" + (f": {self.why}" if self.why else "")


@named("toggles.scheduled")
class Scheduled(Fact, frozen=True, kw_only=True):
    """It will be switched at a time. Carried out once, unless something takes it away before."""

    at: Instant
    to: str  # on, off, 25%, or the value of a knob
    why: str = ""
    release: Subject = ""
    declared: bool = False  # it stands in the declaration

    def says(self) -> str:
        return f"will be put to {self.to} at {iso(self.at)}" + (f": {self.why}" if self.why else "")


@named("toggles.schedule_dropped")
class ScheduleDropped(Fact, frozen=True, kw_only=True):
    """What was scheduled is not done after all. `step` is the position of that fact; 0 means all."""

    step: int = 0
    why: str = ""

    def says(self) -> str:
        what = "a scheduled step was" if self.step else "the schedule was"
        return f"{what} dropped" + (f": {self.why}" if self.why else "")


@named("toggles.flipped_back")
class FlippedBack(Fact, frozen=True, kw_only=True):
    """The guard switched it off again, and says why in numbers."""

    because: Subject  # the check, promise, test or route that told
    why: str  # with the numbers
    e_value: float = 0.0
    failed: int = 0
    of: int = 0
    flip: int = 0  # the position of the switch that is blamed
    release: Subject = ""  # the release that it belonged to
    belongs_to: Subject = ""  # the service, vendor or journey

    tone: ClassVar[Tone] = "warn"

    def says(self) -> str:
        return f"flipped back by the guard: {self.why}"


@named("toggles.guard_passed")
class GuardPassed(Fact, frozen=True, kw_only=True):
    """The guard's time is over and nothing was blamed: it stays."""

    flip: int  # the position of the switch that was watched
    lasted: float  # seconds
    failed: int = 0
    of: int = 0
    e_value: float = 0.0  # the highest of those that were watched
    unknown: tuple[Subject, ...] = ()  # what was watched and told too little to blame anything
    note: str = ""
    release: Subject = ""
    belongs_to: Subject = ""  # the service, vendor or journey

    tone: ClassVar[Tone] = "good"

    def says(self) -> str:
        note = f": {self.note}" if self.note else ""
        return f"stood under guard for {lasting(self.lasted)}{note}"


class Usage(msgspec.Struct, frozen=True, omit_defaults=True):
    """How often a program got one variant, and how what it then did turned out."""

    asked: int = 0
    worked: int = 0
    failed: int = 0


@named("toggles.counted")
class Counted(Fact, frozen=True, kw_only=True):
    """A program tells how often it asked, in one stretch of time. About `program:NAME`."""

    since: Instant
    until: Instant
    counts: Mapping[str, Mapping[str, Usage]]  # by toggle, then by variant

    routine: ClassVar[bool] = True

    def says(self) -> str:
        asked = sum(each.asked for variants in self.counts.values() for each in variants.values())
        return f"asked {asked} times for {len(self.counts)} toggles"


@named("toggles.retired")
class Retired(Fact, frozen=True, kw_only=True):
    """It is gone from the declaration: nothing asks for it any more."""

    def says(self) -> str:
        return "was removed"


TOGGLE_ON = SpanKind(
    "toggle on", opens=(SwitchedOn,), closes=(SwitchedOff, Reset, FlippedBack, Retired)
)

"""Is what was switched to blame, and may it stay?

Evidence is anytime-valid (`kernel.sequential`): it may be looked at every second. What checks, tests and
routes did before the switch says how often they fail anyway; with people on both sides, failures are
compared between the sides, and how often things fail does not matter. α is split over everything that is
watched, so a guard with more eyes does not blame more often by chance. A promise is a tripwire: when it
is broken meanwhile, that is enough.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import msgspec

from detente.facts.toggles import FlippedBack, GuardPassed
from detente.kernel.clock import Instant, Seconds, lasting, later, seconds_between
from detente.kernel.fact import Fact, Subject, kind, plain
from detente.kernel.sequential import Evidence, known_rate, needed, rate
from detente.kernel.sequential import share as compared
from detente.kernel.tries import Tries

_HIGHEST = 1e300


class Flip(msgspec.Struct, frozen=True, kw_only=True):
    """One switch that a guard watches."""

    position: int
    about: Subject
    at: Instant
    by: str
    says: str
    percent: float = 100.0
    variant: str = ""  # who gets this is on the new side
    release: Subject = ""
    belongs_to: Subject = ""  # the service, vendor or journey
    ended_at: Instant | None = None
    passed_at: Instant | None = None
    outcome: int | None = None  # the position of what the guard said in the end


class Sides(msgspec.Struct, frozen=True):
    """What programs told of one stretch of time: failures with the new variant and without it."""

    at: Instant
    new_failed: int
    new_worked: int
    old_failed: int
    old_worked: int

    @property
    def both(self) -> Tries:
        return Tries(self.new_failed + self.old_failed, self.new_worked + self.old_worked)


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """What one of the guard's eyes has seen."""

    about: Subject
    how: Literal["rate", "sides"]
    failed: int = 0
    of: int = 0
    before_failed: int = 0
    before_of: int = 0
    e_value: float = 1.0
    blind: str = ""  # why it can tell nothing
    course: tuple[tuple[Instant, float], ...] = ()  # the evidence as it grew


class Broken(msgspec.Struct, frozen=True):
    """A promise that was broken while the guard looked."""

    about: Subject
    says: str


def by_rate(
    about: Subject, before: Tries, since: Sequence[Tries], *, was_down: bool = False
) -> Watched:
    """Does it fail more often than it did before?"""
    told = sum(since, Tries())
    seen = Watched(
        about=about, how="rate", failed=told.failed, of=told.of, before_failed=before.failed,
        before_of=before.of,
    )  # fmt: skip
    if was_down:
        return msgspec.structs.replace(seen, blind="it was down already")
    if not before.of:
        return msgspec.structs.replace(seen, blind="nothing is known of it from before")
    known = known_rate(before.failed, before.of)
    evidence, course = Evidence(), []
    for each in since:
        evidence = rate(evidence, failed=each.failed, passed=each.passed, known=known)
        course.append((each.at, _finite(evidence)))
    return msgspec.structs.replace(seen, e_value=_finite(evidence), course=tuple(course))


def by_sides(about: Subject, since: Sequence[Sides]) -> Watched:
    """Of all failures, do more fall on those who have it than their share of the calls?"""
    evidence, course = Evidence(), []
    for each in since:
        new, old = each.new_failed + each.new_worked, each.old_failed + each.old_worked
        evidence = compared(
            evidence, new=each.new_failed, old=each.old_failed,
            new_share=new / (new + old) if new + old else 0.0,
        )  # fmt: skip
        course.append((each.at, _finite(evidence)))
    return Watched(
        about=about,
        how="sides",
        failed=sum(each.new_failed for each in since),
        of=sum(each.new_failed + each.new_worked for each in since),
        before_failed=sum(each.old_failed for each in since),
        before_of=sum(each.old_failed + each.old_worked for each in since),
        e_value=_finite(evidence),
        course=tuple(course),
    )


def _finite(evidence: Evidence) -> float:
    return min(_HIGHEST, evidence.e_value)


def ends(flip: Flip, guard_for: Seconds) -> Instant:
    return later(flip.at, guard_for)


def judge(
    flip: Flip,
    watched: Sequence[Watched],
    broken: Sequence[Broken],
    *,
    guard_for: Seconds,
    now: Instant,
) -> list[Fact]:
    """Flip back, let it stay, or go on looking."""
    if broken:
        return [_tripped(flip, broken[0])]
    worst = max(watched, key=lambda each: each.e_value, default=None)
    if worst is not None and worst.e_value >= needed(len(watched)):
        return [_blamed(flip, worst, len(watched), now)]
    if now >= ends(flip, guard_for):
        return [_stays(flip, watched, guard_for)]
    return []


def _tripped(flip: Flip, broken: Broken) -> FlippedBack:
    why = f"the promise {plain(broken.about)} was broken meanwhile ({broken.says})"
    return FlippedBack(
        about=flip.about,
        because=broken.about,
        why=why,
        flip=flip.position,
        release=flip.release,
        belongs_to=flip.belongs_to,
    )


def _blamed(flip: Flip, worst: Watched, eyes: int, now: Instant) -> FlippedBack:
    return FlippedBack(
        about=flip.about,
        because=worst.about,
        why=in_numbers(worst, eyes=eyes, after=seconds_between(flip.at, now)),
        e_value=worst.e_value,
        failed=worst.failed,
        of=worst.of,
        flip=flip.position,
        release=flip.release,
        belongs_to=flip.belongs_to,
    )


def in_numbers(worst: Watched, *, eyes: int, after: Seconds) -> str:
    """'7 of 9 runs of check shop failed in 45 s, 1 of 200 before; by chance less than once in …'."""
    what = {"check": "runs of check", "test": "runs of test", "route": "calls on route"}
    named = what.get(kind(worst.about))
    within = f"in the {lasting(after)} since"
    chance = f"by chance less than once in {once_in(worst.e_value / eyes)}"
    if worst.how == "sides":
        return (
            f"with it {worst.failed} of {worst.of} failed {within}, without it"
            f" {worst.before_failed} of {worst.before_of}; {chance}"
        )
    tried = f"{worst.failed} of {worst.of} {f'{named} {plain(worst.about)}' if named else 'uses'}"
    return f"{tried} failed {within}, {worst.before_failed} of {worst.before_of} before; {chance}"


def once_in(often: float) -> str:
    """'3,000': rounded down to what one can say."""
    if often >= 1e6:
        return "a million"
    step = 10 ** max(0, int(math.log10(max(1.0, often))) - 1)
    return f"{int(often // step * step):,}"


def _stays(flip: Flip, watched: Sequence[Watched], guard_for: Seconds) -> GuardPassed:
    failed, of = sum(each.failed for each in watched), sum(each.of for each in watched)
    unknown = tuple(each.about for each in watched if each.blind or not each.of)
    told = len(watched) - len(unknown)
    if not told:
        note = "not enough data: nothing that is watched told anything"
    else:
        silent = f"; of {len(unknown)} of {len(watched)} too little is known" if unknown else ""
        note = f"{failed} of {of} tries failed, no more than chance explains{silent}"
    return GuardPassed(
        about=flip.about,
        flip=flip.position,
        lasted=float(guard_for),
        failed=failed,
        of=of,
        e_value=max((each.e_value for each in watched), default=0.0),
        unknown=unknown,
        note=note,
        release=flip.release,
        belongs_to=flip.belongs_to,
    )

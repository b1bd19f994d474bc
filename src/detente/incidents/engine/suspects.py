"""What changed before it fell, and how well does each change explain it?

Odds, multiplied: each rule looks at one thing (how long before, whether the map leads from what was
touched to what fell, whether taking it back cured it) and says by how much that speaks for or
against, with its reason in words. One is even with “something nobody wrote down”: below it, unknown
is the better answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal

import msgspec
from msgspec.structs import replace

from detente.kernel.clock import Instant, Seconds, lasting, seconds_between
from detente.kernel.fact import Subject
from detente.kernel.needs import Needs

Sort = Literal[
    "release", "toggle", "rules", "change", "warning", "fall", "drill", "pause", "suspicion", "node"
]
Strength = Literal["strong", "likely", "possible", "weak"]

WORDS: dict[Strength, str] = {
    "strong": "explains it well",
    "likely": "may well explain it",
    "possible": "possible",
    "weak": "explains little",
}

Named = Callable[[Subject], str]
"""What people call it."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was not as before."""

    position: int  # in the ledger
    at: Instant
    about: Subject
    sort: Sort
    says: str
    touches: tuple[Subject, ...] = ()
    lasts: bool = False  # it went on while the other fell: an outage, a certificate running out
    undone: Instant | None = None  # when it was taken back
    undone_by: int | None = None
    blamed: str = ""  # what a guard said when it took it back because of this fall
    usual: int = 0  # how often the same thing had changed before, in the time looked at


class Fall(msgspec.Struct, frozen=True, kw_only=True):
    """What fell, when, and when it worked again."""

    of: tuple[Subject, ...]  # the first that fell first
    since: Instant
    noticed: Instant
    ended: Instant | None = None
    reason: str = ""


class Suspect(msgspec.Struct, frozen=True, kw_only=True):
    """One change, how well it explains the fall, and why."""

    change: Change
    odds: float
    strength: Strength
    reasons: tuple[str, ...]


Ruling = tuple[float, str]
"""By how much it speaks for (above one) or against it, and why."""

CURED_WITHIN: Seconds = 600.0
_HOURS: Seconds = 900.0  # most failures follow their cause within minutes …
_DAYS: Seconds = 86_400.0  # … and some wait for the next morning
_ABOUT_CERTIFICATES = re.compile(r"certificate|expire|\btls\b|\bssl\b", re.IGNORECASE)


def rank(
    fall: Fall, changes: Iterable[Change], needs: Needs, named: Named = str
) -> tuple[Suspect, ...]:
    """The best explanation first: of what fell first, and not of what only fell with it."""
    fall = replace(fall, of=_roots(fall.of, needs))
    judged = (_judged(fall, each, needs, named) for each in changes)
    return tuple(sorted(judged, key=lambda each: (-each.odds, -each.change.at)))


def _roots(fallen: Sequence[Subject], needs: Needs) -> tuple[Subject, ...]:
    """Without what falls, by the map, with another of them."""
    felled = {each.node for one in fallen for each in needs.falls([one]) if each.node != one}
    return tuple(each for each in fallen if each not in felled) or tuple(fallen)


def explained(suspects: Sequence[Suspect]) -> bool:
    """Is there one that explains it better than something nobody wrote down?"""
    return bool(suspects) and suspects[0].odds >= 1


def _judged(fall: Fall, change: Change, needs: Needs, named: Named) -> Suspect:
    odds, reasons = 1.0, []
    for factor, reason in _rulings(fall, change, needs, named):
        odds *= factor
        if reason:
            reasons.append(reason)
    return Suspect(change=change, odds=odds, strength=_strength(odds), reasons=tuple(reasons))


def _strength(odds: float) -> Strength:
    if odds >= 8:
        return "strong"
    if odds >= 3:
        return "likely"
    return "possible" if odds >= 1 else "weak"


def _rulings(fall: Fall, change: Change, needs: Needs, named: Named) -> Iterator[Ruling]:
    yield _when(fall, change)
    yield _where(fall, change, needs, named)
    yield from _taken_back(fall, change)
    yield from _by_its_sort(fall, change)
    if change.usual >= 3:
        yield (
            1 / (1 + change.usual / 3),
            f"the same changed {change.usual} times before, without this",
        )


def _when(fall: Fall, change: Change) -> Ruling:
    before = seconds_between(change.at, fall.since)
    if before < 0:
        after = lasting(-before)
        return 0.05, f"came {after} after the first failure, so it is rather an answer to it"
    near = 8 * 2 ** (-before / _HOURS) + 2 * 2 ** (-before / _DAYS)
    if change.lasts:
        return max(near, 2.0), f"had begun {lasting(before)} before, and went on when it fell"
    return near, f"{lasting(before)} before the first failure"


def _where(fall: Fall, change: Change, needs: Needs, named: Named) -> Ruling:
    if not change.touches:
        return 0.4, "nobody said what it touches"
    pairs = [(t, f) for t in change.touches for f in fall.of]
    below = [(steps, t, f) for t, f in pairs if (steps := needs.steps(t, f)) is not None]
    if below:
        return _from_below(*min(below), needs, named)
    above = [(t, f) for t, f in pairs if needs.steps(f, t) is not None]
    if above:
        touched, fell = above[0]
        return 1.0, f"touched {named(touched)}, which needs {named(fell)} and not the reverse"
    touched = ", ".join(dict.fromkeys(map(named, change.touches)))
    return 0.1, f"on the map nothing leads from {touched} to {named(fall.of[0])}"


def _from_below(steps: int, touched: Subject, fell: Subject, needs: Needs, named: Named) -> Ruling:
    if steps == 0:
        return 4.0, f"touched {named(touched)} itself"
    way = "directly" if steps == 1 else f"{steps} needs away"
    stands = all(each.node != fell for each in needs.falls([touched]))
    if stands:
        says = f"touched {named(touched)}, without which {named(fell)} should stand"
        return 1.5 / steps, says
    return 3.5 / steps**0.5, f"touched {named(touched)}, which {named(fell)} needs, {way}"


def _taken_back(fall: Fall, change: Change) -> Iterator[Ruling]:
    if change.blamed:
        yield 4.0, f"a guard took it back because of this: {change.blamed}"
    if change.undone is None:
        if fall.ended is not None and change.sort in ("release", "toggle"):
            yield 0.5, "it is still so, and everything works again"
        return
    if change.undone < fall.since:
        yield 0.2, "it had been taken back before"
        return
    mended = None if fall.ended is None else seconds_between(change.undone, fall.ended)
    if mended is None or mended > CURED_WITHIN:
        yield 0.3, "it was taken back, and that did not mend it"
    elif mended < 0:
        yield 0.7, "everything worked again before it was taken back"
    else:
        yield 6.0, f"it was taken back, and {lasting(mended)} later everything worked"


def _by_its_sort(fall: Fall, change: Change) -> Iterator[Ruling]:
    certificates = _ABOUT_CERTIFICATES.search(change.says)
    if change.sort == "warning" and certificates:
        if _ABOUT_CERTIFICATES.search(fall.reason):
            yield 6.0, "what failed speaks of certificates too"
        else:
            yield 0.4, "what failed does not speak of certificates"
    elif change.sort == "drill" and change.lasts:
        yield 10.0, "it was a drill: somebody played this on purpose"
    elif change.sort == "node":
        yield 0.3, "that is Détente itself: it can only have begun to look"

"""Is it worse since the new version is there, or is that chance?

Every source (a check, a suite in production, a route) is one bet against “it fails as it did before”,
looked at as often as one likes (`kernel.sequential`). With several sources each gets its part of α, so
that an innocent release is blamed in at most α of all releases, however many things are watched.
"""

from __future__ import annotations

import math

import msgspec

from detente.kernel.fact import Subject
from detente.kernel.sequential import ALPHA, Evidence, rate

_FLOOR = 0.01
"""Nothing is taken to fail less often than this: one failure alone blames nobody."""
_ASSUMED = 0.05
"""What is taken as known where too little was seen before."""
_FEW = 20
_WORSE = 5.0
_MOST = 0.5


class Tally(msgspec.Struct, frozen=True):
    """So many failed, of so many."""

    failed: int = 0
    of: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.failed + other.failed, self.of + other.of)


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is watched: what it said before the release, and what since."""

    about: Subject
    what: str
    before: Tally = Tally()
    since: Tally = Tally()


class Weighed(msgspec.Struct, frozen=True, kw_only=True):
    """What the bet on one source has come to."""

    source: Source
    known: float
    e_value: float
    blames: bool
    enough: int


def known_rate(before: Tally) -> float:
    """The share that failed before, with room above it."""
    if before.of < _FEW:
        return max(
            _ASSUMED, min(_MOST, (before.failed + 1) / (before.of + 2)) if before.failed else 0
        )
    share = before.failed / before.of
    room = 2 * math.sqrt(max(share * (1 - share), 1 / before.of) / before.of)
    return min(_MOST, max(_FLOOR, share + room))


def weigh(source: Source, *, sources: int, alpha: float = ALPHA) -> Weighed:
    """The bet on one of so many sources, each with its part of α."""
    known, part = known_rate(source.before), alpha / max(1, sources)
    failed, of = source.since.failed, source.since.of
    evidence = rate(Evidence(), failed=failed, passed=of - failed, known=known)
    return Weighed(
        source=source,
        known=known,
        e_value=min(evidence.e_value, 1e12),
        blames=evidence.blames(part),
        enough=enough(known, part),
    )


def enough(known: float, part: float) -> int:
    """After how many tries would five times as many failures (in odds) probably have been blamed?"""
    odds = _WORSE * known / (1 - known)
    worse = odds / (1 + odds)
    growth = worse * math.log(worse / known) + (1 - worse) * math.log((1 - worse) / (1 - known))
    return math.ceil(math.log(6 / part) / growth)

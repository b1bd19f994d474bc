"""Is it worse since the new version is there, or is that chance?

Every source (a check, a suite in production, a route) is one bet against “it fails as it did before”,
looked at as often as one likes (`kernel.sequential`). With several sources each gets its part of α, so
that an innocent release is blamed in at most α of all releases, however many things are watched.
"""

from __future__ import annotations

import math

import msgspec

from detente.kernel import sequential
from detente.kernel.fact import Subject
from detente.kernel.sequential import Evidence, needed, rate
from detente.kernel.tries import Tries

_FLOOR = 0.01
"""Nothing is taken to fail less often than this: no watch lasts long enough to see less."""
_ASSUMED = 0.05
"""What never failed is taken to fail this often at most, even where little was seen."""
_WORSE = 5.0


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is watched: what it said before the release, and what since."""

    about: Subject
    what: str
    before: Tries = Tries()
    since: Tries = Tries()


class Weighed(msgspec.Struct, frozen=True, kw_only=True):
    """What the bet on one source has come to."""

    source: Source
    known: float
    e_value: float
    blames: bool
    enough: int


def known_rate(before: Tries) -> float:
    """The share that failed before, with room above it."""
    known = sequential.known_rate(before.failed, before.of)
    return max(_FLOOR, known if before.failed else min(_ASSUMED, known))


def weigh(source: Source, *, sources: int) -> Weighed:
    """The bet on one of so many sources."""
    known, since = known_rate(source.before), source.since
    evidence = rate(Evidence(), failed=since.failed, passed=since.passed, known=known)
    return Weighed(
        source=source,
        known=known,
        e_value=min(evidence.e_value, 1e12),
        blames=evidence.e_value >= needed(sources),
        enough=enough(known, 1 / needed(sources)),
    )


def enough(known: float, part: float) -> int:
    """After how many tries would five times as many failures (in odds) probably have been blamed?"""
    odds = _WORSE * known / (1 - known)
    worse = odds / (1 + odds)
    growth = worse * math.log(worse / known) + (1 - worse) * math.log((1 - worse) / (1 - known))
    return math.ceil(math.log(6 / part) / growth)

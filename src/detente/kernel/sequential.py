"""Are there more failures than chance explains, asked as often as we like?

Looking at a p-value every minute finds a culprit sooner or later whether there is one or not. An
e-value does not mind: it is what a fair bet against “nothing has changed” would have grown to, so by
Ville's inequality it ever passes 1/α with probability at most α, however often one looks and whenever
one stops (Ramdas, Grünwald, Vovk and Shafer 2023, *Game-theoretic statistics and safe anytime-valid
inference*).

Two bets. `Share`: of all failures, how many fall on the new side? If nothing has changed, as many as
its share of the calls; how often calls fail does not matter. `Rate`: does it fail more often than it
was known to? For checks, which nobody but us calls.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import msgspec

ALPHA = 0.05
"""How often, at most, an innocent change is blamed."""

_ROOM = 2.0  # standard errors above what was seen: in 97 of 100 cases the truth lies below
_NEARLY_ALWAYS = 0.999

_TIMES_WORSE = (1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
"""What the bet is spread over: nobody knows beforehand how much worse it got."""


class Evidence(msgspec.Struct, frozen=True):
    """What the bets have grown to (natural logarithms), and what they saw."""

    logs: tuple[float, ...] = (0.0,) * len(_TIMES_WORSE)
    seen: int = 0  # failures or tries that the bet was on
    against: int = 0  # those of them that speak against the change

    @property
    def e_value(self) -> float:
        """The bet's worth; 1 at the start. At 20 and above, blame at α = 0.05 is sound."""
        top = max(self.logs)
        mean = math.fsum(math.exp(each - top) for each in self.logs) / len(self.logs)
        logged = top + math.log(mean)
        return math.exp(logged) if logged < 700 else math.inf

    def blames(self, alpha: float = ALPHA) -> bool:
        """Is it more than chance?"""
        return self.e_value >= 1 / alpha


def needed(sources: int) -> float:
    """What the evidence of one must reach where so many are watched, so that all share one α."""
    return max(1, sources) / ALPHA


def known_rate(failed: int, of: int) -> float:
    """How often it fails at most, as far as that was seen (Wilson's upper bound)."""
    if not of:
        return _NEARLY_ALWAYS
    seen = failed / of
    middle = seen + _ROOM**2 / (2 * of)
    spread = _ROOM * math.sqrt(seen * (1 - seen) / of + _ROOM**2 / (4 * of**2))
    return min(_NEARLY_ALWAYS, (middle + spread) / (1 + _ROOM**2 / of))


def share(evidence: Evidence, *, new: int, old: int, new_share: float) -> Evidence:
    """One look: of `new + old` failures, `new` fell on the side with `new_share` of the calls.

    `new_share` is of this look alone, so it may change from one to the next. A side without calls
    tells nothing.
    """
    if not 0 < new_share < 1:
        return evidence
    return _grow(evidence, new, old, new_share, lambda worse: _odds(new_share, worse))


def rate(evidence: Evidence, *, failed: int, passed: int, known: float) -> Evidence:
    """One look: of `failed + passed` tries so many failed, where at most `known` of them used to.

    `known` is a share in (0, 1); leave room above what was seen, because it is taken at its word.
    """
    if not 0 < known < 1:
        raise ValueError(f"known is a share between 0 and 1, not {known}")
    return _grow(evidence, failed, passed, known, lambda worse: _odds(known, worse))


def _odds(chance: float, worse: float) -> float:
    """The chance when the odds are so many times worse."""
    odds = worse * chance / (1 - chance)
    return odds / (1 + odds)


def _grow(
    evidence: Evidence, against: int, other: int, fair: float, bet_on: Callable[[float], float]
) -> Evidence:
    if against < 0 or other < 0:
        raise ValueError("nothing happens less than no time at all")
    bets: Sequence[float] = [bet_on(worse) for worse in _TIMES_WORSE]
    logs = tuple(
        log + against * math.log(bet / fair) + other * math.log((1 - bet) / (1 - fair))
        for log, bet in zip(evidence.logs, bets, strict=True)
    )
    return Evidence(logs, evidence.seen + against + other, evidence.against + against)

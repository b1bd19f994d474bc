"""Has a test begun to fail, and does it pass again?

What counts is production: there a test fails after so many failures in a row, from the first of
them on, and passes again with the first pass. A skipped test says nothing. What was seen in CI or at
the gate is only written down: a build may fail, that is what it is for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal

import msgspec

from detente.acceptance.engine.parent import Outcome
from detente.facts.acceptance import (
    BeganFailing,
    CouldNotRun,
    PassesAgain,
    Place,
    Ran,
    Retired,
    RunsAgain,
    SuiteRan,
)
from detente.kernel.clock import Instant, seconds_between
from detente.kernel.fact import Fact, Subject, kind, plain


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a test in production before it runs again."""

    failing: bool = False
    since: Instant = 0  # of the failing
    failures: int = 0  # in a row
    first_failure: Instant = 0


class Said(msgspec.Struct, frozen=True):
    """What a run of a test says, but for when it was and how long it took."""

    outcome: str
    of: Subject
    reason: str
    version: str
    release: Subject
    sha256: str
    suite: str


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """Some tests that were run together."""

    id: str
    place: Place
    suite: str = ""
    version: str = ""
    release: Subject = ""


def ran(outcome: Outcome, run: Run, *, of: Subject, at: Instant | None = None) -> Ran:
    """The fact that the test ran."""
    return Ran(
        about=f"test:{outcome.test}",
        place=run.place,
        outcome=_OUTCOMES[outcome.outcome],
        took=max(0.0, outcome.took),
        of=of,
        reason=outcome.reason,
        version=run.version,
        release=run.release,
        sha256=outcome.sha256,
        suite=run.suite,
        run=run.id,
        ran_at=at,
    )


_OUTCOMES: dict[str, Literal["passed", "failed", "skipped"]] = {
    "passed": "passed",
    "failed": "failed",
    "skipped": "skipped",
}


def as_before(facts: Sequence[Fact], before: Mapping[Subject, Said]) -> list[Fact]:
    """The same, told in short: what a suite says that its tests said `before` is one fact."""
    same: list[Ran] = []
    others: list[Fact] = []
    for each in facts:
        if isinstance(each, Ran) and before.get(each.about) == said(each):
            same.append(each)
        else:
            others.append(each)
    if not same:
        return others
    took: dict[str, dict[str, float]] = {outcome: {} for outcome in _OUTCOMES}
    for ran in same:
        took[ran.outcome][plain(ran.about)] = round(ran.took, 3)
    one = SuiteRan(about=f"suite:{same[0].suite}", place=same[0].place, run=same[0].run, **took)
    return [one, *others]


def said(fact: Ran) -> Said:
    return Said(
        fact.outcome, fact.of, fact.reason, fact.version, fact.release, fact.sha256, fact.suite
    )


def judge(fact: Ran, standing: Standing, *, falls_after: int, at: Instant) -> list[Fact]:
    """What one run in production changes."""
    if fact.outcome == "passed" and standing.failing:
        lasted = max(0.0, seconds_between(standing.since, at))
        return [PassesAgain(about=fact.about, of=fact.of, since=at, lasted=lasted)]
    failures = standing.failures + 1
    if fact.outcome != "failed" or standing.failing or failures < falls_after:
        return []
    since = standing.first_failure if standing.failures else at
    return [
        BeganFailing(
            about=fact.about, of=fact.of, since=since, reason=fact.reason, failures=failures
        )
    ]


def gone(failing: Mapping[Subject, str], there: Sequence[Subject], suite: str) -> list[Fact]:
    """Tests of the suite that fail and are not there any more. `failing`: which suite each is of."""
    return [
        Retired(about=test) for test, of in failing.items() if of == suite and test not in there
    ]


def could_not(suite: str, of: Subject, reason: str, at: Instant, *, known: bool) -> list[Fact]:
    """Told once, however often it is tried."""
    fact = CouldNotRun(about=f"suite:{suite}", of=of, since=at, reason=reason)
    return [] if known else [fact]


def can_again(suite: str, at: Instant, *, known: bool, retired: bool = False) -> list[Fact]:
    return [RunsAgain(about=f"suite:{suite}", since=at, retired=retired)] if known else []


def passed(outcomes: Sequence[Outcome]) -> bool:
    """Something passed and nothing failed: silence vouches for nothing."""
    said = {each.outcome for each in outcomes}
    return "passed" in said and "failed" not in said


def in_words(outcomes: Sequence[Outcome], broken: str) -> str:
    """One sentence about a run."""
    if broken:
        return f"could not be run: {broken}"
    failed = [each for each in outcomes if each.outcome == "failed"]
    skipped = sum(each.outcome == "skipped" for each in outcomes)
    good = len(outcomes) - len(failed) - skipped
    says = f"{good} of {len(outcomes)} passed" + (f", {skipped} skipped" if skipped else "")
    if not failed:
        return says
    more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    return f"{says}; {failed[0].test}: {failed[0].reason}{more}"


def flaky(outcomes: Sequence[str]) -> int:
    """How often a test changed its mind: passed, failed and passed again on the same source."""
    told = [each for each in outcomes if each != "skipped"]
    changes = sum(before != after for before, after in pairwise(told))
    return changes // 2


def result_key(run: str, test: str) -> str:
    """The same result told twice counts once."""
    return f"acceptance:{hashlib.sha256(repr((run, test)).encode()).hexdigest()}"


def run_key(run: str) -> str:
    return f"acceptance:run:{hashlib.sha256(run.encode()).hexdigest()}"


def named(said: str, of: str) -> Subject:
    """`12` and `release:12` mean the same where a release is meant."""
    return "" if not said else said if kind(said) == of and ":" in said else f"{of}:{said}"

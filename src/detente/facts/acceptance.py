"""What can happen to an acceptance test, wherever it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from detente.kernel.clock import Instant, lasting
from detente.kernel.fact import Fact, Subject, Tone, named
from detente.kernel.spans import SpanKind
from detente.kernel.tries import Tries

Place = Literal["ci", "gate", "production"]
Outcome = Literal["passed", "failed", "skipped"]


@named("acceptance.ran")
class Ran(Fact, frozen=True, kw_only=True):
    """A test ran once. About `test:ID`, the same identity in every place."""

    place: Place
    outcome: Outcome
    took: float  # seconds
    of: Subject = ""  # the service that it vouches for
    reason: str = ""
    version: str = ""  # what was tested: a commit, a build
    release: Subject = ""
    sha256: str = ""  # of the test's own source: the same test, or not
    suite: str = ""
    run: str = ""  # the tests that were run together
    ran_at: Instant | None = None  # when it ended, where that was before it was told

    routine: ClassVar[bool] = True

    def outcomes(self) -> Mapping[Subject, Outcome]:
        """How each test came out."""
        return {self.about: self.outcome}

    def tried(self) -> Mapping[Subject, Tries]:
        return _tried(self, f"suite:{self.suite}" if self.suite else self.of)

    def says(self) -> str:
        why = f": {self.reason}" if self.reason else ""
        return f"{self.outcome} in {self.place} after {lasting(self.took)}{why}"


@named("acceptance.suite_ran")
class SuiteRan(Fact, frozen=True, kw_only=True):
    """What a run found as it was before: tests by name, each with the seconds that it took.

    About `suite:NAME`. Suites run in production again and again; whatever differs from the last time
    (outcome, reason, version, source) is an `acceptance.ran` of its own beside this one.
    """

    place: Place
    passed: Mapping[str, float] = {}
    failed: Mapping[str, float] = {}
    skipped: Mapping[str, float] = {}
    run: str = ""

    routine: ClassVar[bool] = True

    def outcomes(self) -> Mapping[Subject, Outcome]:
        """How each test came out."""
        all_three: tuple[tuple[Outcome, Mapping[str, float]], ...] = (
            ("passed", self.passed), ("failed", self.failed), ("skipped", self.skipped),
        )  # fmt: skip
        return {f"test:{test}": outcome for outcome, tests in all_three for test in tests}

    def tried(self) -> Mapping[Subject, Tries]:
        return _tried(self, self.about)

    def says(self) -> str:
        counted = ((self.passed, "passed"), (self.failed, "failed"), (self.skipped, "were skipped"))
        told = ", ".join(f"{len(tests)} {what}" for tests, what in counted if tests)
        return f"ran in {self.place} and found as before: {told or 'nothing'}"


def _tried(ran: Ran | SuiteRan, suite: Subject) -> Mapping[Subject, Tries]:
    """Production only: at the gate and in CI it says nothing of what people see."""
    if ran.place != "production":
        return {}
    tries = {
        test: Tries(int(outcome == "failed"), int(outcome == "passed"))
        for test, outcome in ran.outcomes().items()
        if outcome != "skipped"
    }
    return {**tries, suite: sum(tries.values(), Tries())} if tries else {}


@named("acceptance.began_failing")
class BeganFailing(Fact, frozen=True, kw_only=True):
    """A test that vouches for production fails there."""

    of: Subject
    since: Instant
    reason: str
    failures: int = 1

    tone: ClassVar[Tone] = "bad"

    def says(self) -> str:
        return f"fails in production: {self.reason}"


@named("acceptance.passes_again")
class PassesAgain(Fact, frozen=True, kw_only=True):
    """It passes in production again."""

    of: Subject
    since: Instant
    lasted: float  # seconds

    tone: ClassVar[Tone] = "good"

    def says(self) -> str:
        return f"passes in production again after {lasting(self.lasted)}"


@named("acceptance.retired")
class Retired(Fact, frozen=True, kw_only=True):
    """A failing test is not declared any more."""

    def says(self) -> str:
        return "is no longer run in production"


@named("acceptance.could_not_run")
class CouldNotRun(Fact, frozen=True, kw_only=True):
    """Nothing of a suite can be run in production: nobody knows what its tests would say.

    About `suite:NAME`.
    """

    of: Subject
    since: Instant
    reason: str

    tone: ClassVar[Tone] = "warn"

    def says(self) -> str:
        return f"could not be run in production: {self.reason}"


@named("acceptance.runs_again")
class RunsAgain(Fact, frozen=True, kw_only=True):
    """A suite that could not be run can, or is not declared any more."""

    since: Instant
    retired: bool = False

    tone: ClassVar[Tone] = "good"

    def says(self) -> str:
        return "is no longer run in production" if self.retired else "runs in production again"


UNRUN = SpanKind("suite not run", opens=(CouldNotRun,), closes=(RunsAgain,))
FAILING = SpanKind("test failing", opens=(BeganFailing,), closes=(PassesAgain, Retired))

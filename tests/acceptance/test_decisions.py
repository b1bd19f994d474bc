"""When a test begins to fail, when it passes again, and what a run says."""

from __future__ import annotations

import pytest

from detente.acceptance import decisions
from detente.acceptance.decisions import Run, Standing
from detente.acceptance.engine.parent import Outcome
from detente.facts.acceptance import BeganFailing, PassesAgain, Ran, Retired
from detente.kernel.clock import NS
from detente.kernel.fact import Fact

AT = 1_000 * NS


def ran(outcome: str, reason: str = "") -> Ran:
    found = Outcome(test="buying", outcome=outcome, took=0.5, reason=reason)
    run = Run(id="1", place="production", suite="shop")
    return decisions.ran(found, run, of="service:shop")


def judge(outcome: str, falls_after: int = 2, **standing: int | bool) -> list[Fact]:
    known = Standing(**standing)  # type: ignore[arg-type]
    return decisions.judge(ran(outcome, "HTTP 503"), known, falls_after=falls_after, at=AT)


def test_one_failure_is_no_news() -> None:
    """A test fails after so many failures in a row, not before."""
    assert judge("failed") == []
    assert judge("failed", falls_after=1) != []


def test_a_test_fails_from_its_first_failure_on() -> None:
    """It did not begin to fail when we became sure of it."""
    assert judge("failed", failures=1, first_failure=AT - 60 * NS) == [
        BeganFailing(
            about="test:buying",
            of="service:shop",
            since=AT - 60 * NS,
            reason="HTTP 503",
            failures=2,
        )
    ]


def test_it_is_told_once_that_a_test_fails() -> None:
    """More failures are more of the same."""
    assert judge("failed", failing=True, since=AT - 60 * NS, failures=7) == []


def test_the_first_pass_ends_it() -> None:
    """It passes again, and for how long it failed is part of it."""
    again = PassesAgain(about="test:buying", of="service:shop", since=AT, lasted=60.0)
    assert judge("passed", failing=True, since=AT - 60 * NS, failures=7) == [again]
    assert judge("passed") == []


@pytest.mark.parametrize("failing", [True, False])
def test_a_skipped_test_says_nothing(failing: bool) -> None:
    """It neither failed nor passed."""
    assert judge("skipped", failing=failing, since=1, failures=5, first_failure=1) == []


def test_silence_vouches_for_nothing() -> None:
    """A run in which every test was skipped lets nothing through."""

    def passed(*said: str) -> bool:
        return decisions.passed([Outcome(test=each, outcome=each, took=0) for each in said])

    assert passed("passed", "skipped")
    assert not passed("passed", "failed")
    assert not passed("skipped")
    assert not passed()


def test_a_run_in_one_sentence() -> None:
    """How many, which, and why."""
    some = [
        Outcome(test="a", outcome="passed", took=1),
        Outcome(test="b", outcome="failed", took=1, reason="HTTP 503"),
        Outcome(test="c", outcome="failed", took=1, reason="HTTP 500"),
        Outcome(test="d", outcome="skipped", took=0),
    ]
    assert decisions.in_words(some, "") == "1 of 4 passed, 1 skipped; b: HTTP 503 (and 1 more)"
    assert decisions.in_words((), "no python") == "could not be run: no python"


def test_only_what_is_gone_is_retired() -> None:
    """A failing test that its suite no longer has, and none of another suite."""
    failing = {"test:a": "shop", "test:b": "shop", "test:c": "office"}
    assert decisions.gone(failing, ["test:a"], "shop") == [Retired(about="test:b")]


def test_a_flaky_test_changes_its_mind_and_back() -> None:
    """Failing until it was mended is not flaky; failing in between is."""
    assert decisions.flaky(["passed", "passed", "failed"]) == 0
    assert decisions.flaky(["passed", "failed", "passed"]) == 1
    assert decisions.flaky(["failed", "failed", "passed", "passed"]) == 0
    assert decisions.flaky(["passed", "failed", "skipped", "passed", "failed", "passed"]) == 2
    assert decisions.flaky([]) == 0


def test_the_same_result_has_the_same_key() -> None:
    """Run and test together, however they are spelt."""
    assert decisions.result_key("a", "bc") != decisions.result_key("ab", "c")
    assert decisions.named("12", "release") == decisions.named("release:12", "release")
    assert decisions.named("", "release") == ""

"""Told in short, a suite's runs in production mean what they mean one by one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detente.acceptance import decisions, queries
from detente.acceptance.decisions import Run, Said
from detente.acceptance.engine.parent import Outcome
from detente.facts.acceptance import Ran, SuiteRan
from detente.kernel.fact import Fact
from detente.testing import World, simulate

RUN = Run(id="1", place="production", suite="shop")
_SAID = st.tuples(
    st.sampled_from(["buy", "pay", "claim"]),
    st.sampled_from(["passed", "passed", "failed", "skipped"]),
    st.sampled_from(["", "HTTP 503"]),
    st.sampled_from(["s1", "s1", "s2"]),
)
_RUNS = st.lists(st.lists(_SAID, max_size=3, unique_by=lambda each: each[0]), max_size=12)
_TABLES = {
    "acceptance_test": "about, place, of, suite, outcome, at, took, reason, version, release, sha256,"
    " runs, failed, failures, first_failure",
    "acceptance_run": "about, place, at, outcome, took, reason, version, release, sha256, run",
    "tries": "*",
}


def ran(test: str, outcome: str, reason: str = "", sha256: str = "s1") -> Ran:
    found = Outcome(test=test, outcome=outcome, took=0.5, reason=reason, sha256=sha256)
    return decisions.ran(found, RUN, of="service:shop")


def before(*facts: Ran) -> dict[str, Said]:
    return {each.about: decisions.said(each) for each in facts}


def test_what_is_as_before_is_one_fact_and_what_differs_is_another() -> None:
    """A new test, another outcome, another reason or another source is told whole."""
    known = before(
        ran("a", "passed"), ran("b", "failed", "no"), ran("c", "skipped"), ran("d", "passed")
    )
    news = [ran("d", "passed", sha256="s2"), ran("e", "passed")]
    run = [ran("a", "passed"), ran("b", "failed", "no"), ran("c", "skipped"), *news]
    short = SuiteRan(
        about="suite:shop", place="production", run="1",
        passed={"a": 0.5}, failed={"b": 0.5}, skipped={"c": 0.5},
    )  # fmt: skip
    assert decisions.as_before(run, known) == [short, *news]
    assert decisions.as_before(run, {}) == run
    assert decisions.as_before([], known) == []


def test_what_a_run_changes_stays_beside_it() -> None:
    """The second failure looks like the first, and is the one from which on the test fails."""
    again = ran("b", "failed", "no")
    began = decisions.judge(
        again, decisions.Standing(failures=1, first_failure=5), falls_after=2, at=9
    )
    told = decisions.as_before([again, *began], before(again))
    assert [each.name for each in told] == ["acceptance.suite_ran", "acceptance.began_failing"]


def folded(runs: list[list[tuple[str, str, str, str]]], *, in_short: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}

    async def story(world: World) -> None:
        rows = world.node.rows
        for run in runs:
            facts: list[Fact] = [ran(*each) for each in run]
            if in_short:
                facts = decisions.as_before(facts, queries.said_in_production(rows, "shop"))
            if facts:
                await world.node.record(*facts, by="detente:acceptance")
            await world.passes(60)
        live = read(world)
        world.node.views.rebuild(world.node.ledger)
        assert live == read(world)
        found.update(live)

    simulate(story, declared="services: {shop: {}}\n")
    return found


def read(world: World) -> dict[str, Any]:
    return {
        table: sorted(world.node.rows.execute(f"select {columns} from {table}"))
        for table, columns in _TABLES.items()
    }


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(_RUNS)
def test_told_in_short_it_folds_to_the_same(runs: list[list[tuple[str, str, str, str]]]) -> None:
    """Pages, guards and whoever counts tries read the same rows; rebuilt as well as live."""
    assert folded(runs, in_short=True) == folded(runs, in_short=False)

"""Production over hours, in simulated time: what begins to fail, what ends, what is not run any more."""

from __future__ import annotations

from pathlib import Path

import msgspec

from detente.acceptance import pages, queries
from detente.acceptance.effects import Asked, Runner
from detente.kernel import tries
from detente.kernel.slice import Ask
from detente.testing import World, simulate

DECLARED = """
services: {shop: {title: The shop}}
acceptance:
  suites:
    shop:
      of: shop
      path: tests
      base_url: {gate: "http://staging.test/", production: "http://shop.test/"}
      every: 60s
      only: [a policy can be bought]
"""


def names(world: World) -> list[str]:
    told = (each for each in world.facts("acceptance.*") if not each.routine)
    return [each.name for each in told]


def test_an_hour_of_failing() -> None:
    """It fails from the first failure on, is told once, and passes again with the first pass."""

    async def story(world: World) -> None:
        await world.passes(600)
        assert names(world) == []
        world.vendor("shop").errors = 1.0
        await world.passes(3_600)
        assert names(world) == ["acceptance.began_failing"]
        (sign,) = pages.signs(world.node)
        assert (sign.tone, sign.sentence) == ("bad", "fails in production: HTTP 503")
        found = pages.overview(world.node, Ask())
        assert (found.tone, found.sentence) == ("bad", "One test fails in production")
        assert b'"every":60.0' in msgspec.json.encode(found)
        world.vendor("shop").errors = 0.0
        await world.passes(120)
        (again,) = world.facts("acceptance.passes_again")
        assert 3_500 < again.lasted <= 3_660  # type: ignore[attr-defined]
        assert pages.signs(world.node) == []
        assert len(world.facts("acceptance.ran")) == 3, (
            "first, worse, better: the rest is as before"
        )
        assert 65 <= len(world.facts("acceptance.suite_ran")) <= 71
        (there,) = queries.one(world.node.rows, "test:a policy can be bought").values()
        assert 68 <= there.runs <= 74
        tried = tries.total(world.node.rows, "suite:shop", 0)
        assert (tried.of, tried.failed) == (there.runs, there.failed)
        assert tried == tries.total(world.node.rows, "test:a policy can be bought", 0)

    simulate(story, declared=DECLARED)


def test_the_gate_is_not_production() -> None:
    """A version that fails at the gate is no failure in production, and no news."""

    async def story(world: World) -> None:
        world.vendor("staging").away = True
        runner: Runner = world.node.part(Runner)
        for _ in range(3):
            found = await runner.run(Asked(suite="shop", place="gate"))
            assert (found.passed, found.failed) == (False, 1)
        assert names(world) == []

    simulate(story, declared=DECLARED)


def test_what_is_not_run_any_more_does_not_fail_for_ever(tmp_path: Path) -> None:
    """A suite that is taken out of production takes its failing tests with it."""
    ledger = tmp_path / "ledger.db"

    async def fails(world: World) -> None:
        world.vendor("shop").away = True
        await world.passes(600)
        assert names(world) == ["acceptance.began_failing"]

    async def is_gone(world: World) -> None:
        await world.passes(1)
        assert names(world) == ["acceptance.began_failing", "acceptance.retired"]
        assert pages.signs(world.node) == []

    simulate(fails, declared=DECLARED, ledger=ledger)
    simulate(is_gone, declared=DECLARED.replace("      every: 60s\n", ""), ledger=ledger)

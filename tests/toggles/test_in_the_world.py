"""A switch, its guard, its schedule, in simulated time: each has one outcome, whatever happens."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from detente.app import levers_of, open_views
from detente.facts.acceptance import Ran
from detente.facts.sla import PromiseBroken
from detente.facts.toggles import Counted, Usage
from detente.kernel import spans
from detente.kernel.forms import BadForm
from detente.kernel.slice import Ask, NotFound, Refused
from detente.kernel.web.pulling import Pulling
from detente.testing import World, simulate
from detente.toggles import pages, queries
from detente.toggles.effects import Keeper, define

DECLARED = """
teams: {dev: {}, ops: {}}
services: {shop: {title: Shop}}
vendors: {cardpay: {}}
watch:
  checks:
    shop: {http: "http://shop.test/health", every: 10s}
    cardpay: {of: cardpay, http: "http://cardpay.test", every: 1m}
sla: {promises: {uptime: {vendor: cardpay, checks: [cardpay], target: 99%}}}
work:
  routes:
    pay: {vendor: cardpay, to: "http://cardpay.test", timeout: 2s}
toggles:
  toggles:
    checkout:
      owner: dev
      for: shop
      rules: [{who: {beta: true}}]
      guard: {for: 20m}
    pay-later:
      guard: {routes: [pay], tests: [buys], promises: [uptime], for: 10m}
    timeout: {default: 1500, at_most: 2000}
"""
MORNING = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)


async def pull(world: World, lever: str, name: str, *, by: str = "ada", **said: Any) -> None:
    pulling = Pulling(world.node, levers_of())
    said = {"about": f"toggle:{name}", "why": "we want it", **said}
    await pulling.pull(f"toggles.{lever}", said, by=by)


def facts(world: World, *names: str) -> list[Any]:
    """What happened so far, by name."""
    return [*world.facts(*names)]


def value(world: World, name: str = "checkout", **context: Any) -> Any:
    return queries.ruleset(world.node).evaluate(name, context, now=world.now).value


def test_a_switch_that_breaks_the_shop_is_flipped_back_once() -> None:
    """The guard sees the check fail, switches off for everybody, and says why in numbers."""

    async def story(world: World) -> None:
        await world.passes(3_600)
        assert value(world) is False
        await pull(world, "on", "checkout", release="41")
        assert value(world) is True
        await world.passes(120)
        world.vendor("shop").errors = 0.8
        await world.passes(1_800)
        (back,) = facts(world, "toggles.flipped_back")
        assert (back.because, back.release) == ("check:shop", "release:41")
        assert back.belongs_to == "service:shop"
        assert "of check shop failed" in back.why
        assert value(world, beta=True) is False
        assert not spans.is_open(world.node.rows, "toggle on", "toggle:checkout")
        assert not facts(world, "toggles.guard_passed")
        (sign,) = pages.signs(world.node)
        assert sign.about == "toggle:checkout"

    simulate(story, declared=DECLARED)


def test_an_innocent_switch_stays() -> None:
    """A check that fails now and then fails now and then afterwards, too."""

    async def story(world: World) -> None:
        world.vendor("shop").errors = 0.02
        await world.passes(3_600)
        await pull(world, "on", "checkout")
        await world.passes(1_500)
        (passed,) = facts(world, "toggles.guard_passed")
        assert "no more than chance explains" in passed.note
        assert not facts(world, "toggles.flipped_back")
        assert value(world) is True

    simulate(story, declared=DECLARED, seed=3)


def test_a_shop_that_was_down_already_blames_nobody() -> None:
    """Switching something on in the middle of an outage is no reason to switch it off."""

    async def story(world: World) -> None:
        await world.passes(3_600)
        world.vendor("shop").errors = 1.0
        await world.passes(120)
        await pull(world, "on", "checkout")
        await world.passes(1_500)
        assert not facts(world, "toggles.flipped_back")
        (passed,) = facts(world, "toggles.guard_passed")
        assert "not enough data" in passed.note

    simulate(story, declared=DECLARED)


def test_a_restart_in_between_forgets_nothing(tmp_path: Path) -> None:
    """What was seen before and after the node was away counts together, and is decided on once."""
    ledger = tmp_path / "ledger.db"

    async def before(world: World) -> None:
        await world.passes(3_600)
        await pull(world, "on", "checkout")
        world.vendor("shop").errors = 0.1
        await world.passes(60)
        assert not facts(world, "toggles.flipped_back")

    async def after(world: World) -> None:
        assert [flip.about for flip, _, _ in queries.under_guard(world.node)] == ["toggle:checkout"]
        world.vendor("shop").errors = 0.9
        await world.passes(600)
        assert len(facts(world, "toggles.flipped_back")) == 1

    async def later(world: World) -> None:
        await world.passes(600)
        assert len(facts(world, "toggles.flipped_back", "toggles.guard_passed")) == 1
        assert len(facts(world, "toggles.defined")) == 3

    simulate(before, declared=DECLARED, ledger=ledger)
    simulate(after, declared=DECLARED, ledger=ledger, start=MORNING.replace(hour=10, minute=5))
    simulate(later, declared=DECLARED, ledger=ledger, start=NOON)


def test_two_guards_at_once_have_one_outcome() -> None:
    """However often the same evidence is looked at, the switch is flipped back once."""

    async def story(world: World) -> None:
        await world.passes(3_600)
        await pull(world, "on", "pay-later")
        for _ in range(30):
            await world.node.record(_ran("failed"), by="test")
        keepers = [Keeper(world.node) for _ in range(5)]
        await asyncio.gather(*(each.look() for each in keepers))
        await world.passes(900)
        assert len(facts(world, "toggles.flipped_back", "toggles.guard_passed")) == 1

    simulate(_with_tests(story), declared=DECLARED)


def _ran(outcome: Any) -> Ran:
    return Ran(about="test:buys", place="production", outcome=outcome, took=1.0)


def _with_tests(story: Any) -> Any:
    """The acceptance test passed a hundred times before."""

    async def played(world: World) -> None:
        for _ in range(100):
            await world.node.record(_ran("passed"), by="test")
            await world.passes(1)
        await story(world)

    return played


def test_somebody_switches_off_meanwhile() -> None:
    """Then nothing is left to guard: no flip back, and the failures that follow blame nobody."""

    async def story(world: World) -> None:
        await world.passes(3_600)
        await pull(world, "on", "checkout")
        await world.passes(60)
        await pull(world, "off", "checkout", by="grace")
        world.vendor("shop").errors = 1.0
        await world.passes(1_800)
        assert not facts(world, "toggles.flipped_back", "toggles.guard_passed")
        page = pages.one(world.node, Ask({"name": "checkout"}))
        assert page.guard is not None
        assert page.guard.state == "had not finished when somebody switched it again"

    simulate(story, declared=DECLARED)


def test_calls_tests_and_promises_are_watched_too() -> None:
    """A route that parks, and a promise that breaks: the first that tells flips back."""

    async def parks(world: World) -> None:
        for n in range(100):
            await world.call("pay", {"amount": 1}, key=f"a{n}")
            await world.passes(1)
        await pull(world, "on", "pay-later")
        await world.passes(5)
        world.vendor("cardpay").errors = 1.0
        for n in range(20):
            await world.call("pay", {"amount": 1}, key=f"b{n}")
            await world.passes(1)
        (back,) = facts(world, "toggles.flipped_back")
        assert back.because == "route:pay"
        assert "calls on route pay failed" in back.why

    async def breaks(world: World) -> None:
        await pull(world, "on", "pay-later")
        await world.passes(5)
        broken = PromiseBroken(
            about="promise:uptime", vendor="vendor:cardpay", period="2026-11", target=0.999,
            down=5_000.0, allowed=2_000.0,
        )  # fmt: skip
        await world.node.record(broken, by="test")
        await world.passes(5)
        (back,) = facts(world, "toggles.flipped_back")
        assert back.because == "promise:uptime"

    simulate(parks, declared=DECLARED)
    simulate(breaks, declared=DECLARED)


def test_a_guard_that_names_nothing_looks_at_what_the_toggle_belongs_to() -> None:
    """The checks of a service; for a journey, those of what it cannot do without."""

    async def story(world: World) -> None:
        guarded = queries.toggles(world.node)
        for name in ("checkout", "buying"):
            guard = guarded[name].guard
            assert guard is not None
            assert queries.eyes(world.node, guarded[name], guard) == ["check:shop"], name

    more = DECLARED.replace("vendors:", "journeys: {sale: {needs: [shop]}}\nvendors:")
    simulate(story, declared=f"{more}    buying: {{for: sale, guard: {{for: 5m}}}}\n")


def test_a_program_with_a_wild_clock_counted_for_a_day_at_most() -> None:
    """Whatever an older node let in, its rows can hold."""

    async def story(world: World) -> None:
        counts = {"checkout": {"on": Usage(1, 1, 0)}}
        wild = Counted(about="program:shop", since=-(2**62), until=2**62, counts=counts)
        await world.node.record(wild, by="program:shop")
        ((began, at),) = world.node.rows.execute("select at, until from toggles_outcome")
        assert at - began == 86_400 * 10**9

    simulate(story, declared=DECLARED)


def test_programs_tell_of_both_sides() -> None:
    """At 20 % the failures of those who have it are compared with those of the others."""

    async def story(world: World) -> None:
        await pull(world, "percentage", "checkout", percent="20")
        for _ in range(6):
            await world.passes(30)
            usage = {"on": Usage(20, 12, 8), "off": Usage(80, 79, 1)}
            since = world.now - 30 * 10**9
            await world.node.record(
                Counted(
                    about="program:shop", since=since, until=world.now, counts={"checkout": usage}
                ),
                by="program:shop",
            )
        (back,) = facts(world, "toggles.flipped_back")
        assert back.because == "toggle:checkout"
        assert back.why.startswith("with it ")
        asked = queries.asked_for(world.node.rows, "toggle:checkout", world.now)
        assert dict(asked.variants) == {"on": 120, "off": 480}

    simulate(story, declared=DECLARED)


RAMP = DECLARED.replace(
    "      owner: dev\n",
    "      owner: dev\n      schedule: [{at: 2026-11-02T10:00:00Z, to: 20%},"
    " {at: 2026-11-02T11:00:00Z, to: on}]\n",
)


def test_what_is_scheduled_is_done_once_even_when_nobody_was_there(tmp_path: Path) -> None:
    """A node that was away at the time does it at its start, and never again."""
    ledger = tmp_path / "ledger.db"

    async def before(world: World) -> None:
        await world.passes(3_700)
        (done,) = facts(world, "toggles.switched_on")
        assert done.percent == 20
        assert [step.to for step in queries.steps(world.node.rows)] == ["on"]

    async def after(world: World) -> None:
        await world.passes(60)
        assert [each.percent for each in facts(world, "toggles.switched_on")] == [20, 100]
        assert not queries.steps(world.node.rows)
        await define(world.node)
        assert len(facts(world, "toggles.scheduled")) == 2

    simulate(before, declared=RAMP, ledger=ledger)
    simulate(after, declared=RAMP, ledger=ledger, start=NOON)
    simulate(after, declared=RAMP, ledger=ledger, start=NOON.replace(hour=14))


def test_a_kill_ends_the_ramp() -> None:
    """Off for everybody, the rules included, and nothing goes on by itself afterwards."""

    async def story(world: World) -> None:
        assert value(world, beta=True) is True
        await world.passes(3_700)
        await pull(world, "kill", "checkout", by="grace")
        assert value(world, beta=True) is False
        assert not queries.steps(world.node.rows)
        await world.passes(7_200)
        assert len(facts(world, "toggles.switched_on")) == 1
        with pytest.raises(Refused, match="put it back to what is declared"):
            await pull(world, "off", "checkout")
        await pull(world, "reset", "checkout")
        assert value(world, beta=True) is True
        assert value(world) is False

    simulate(story, declared=RAMP)


def test_a_step_that_is_not_declared_any_more_is_dropped(tmp_path: Path) -> None:
    """Whoever takes it out of the declaration does not want it to happen."""
    ledger = tmp_path / "ledger.db"

    async def nothing(world: World) -> None:
        await world.passes(60)

    async def dropped(world: World) -> None:
        await world.passes(7_200)
        assert not facts(world, "toggles.switched_on")
        assert len(facts(world, "toggles.schedule_dropped")) == 2

    simulate(nothing, declared=RAMP, ledger=ledger)
    simulate(dropped, declared=DECLARED, ledger=ledger, start=MORNING.replace(minute=30))


def test_people_schedule_and_think_again() -> None:
    """By lever, with a time zone; what is over or nonsense is refused in a sentence."""

    async def story(world: World) -> None:
        await pull(world, "schedule", "timeout", at="2026-11-02T11:00:00+01:00", to="900")
        await pull(world, "schedule", "checkout", at="2026-11-03T09:00:00Z", to="on")
        await pull(world, "unschedule", "checkout")
        for wrong, says in (
            ({"at": "2026-11-02T08:00:00Z", "to": "on"}, "is over"),
            ({"at": "2026-11-02T10:00:00", "to": "on"}, "in which time zone"),
            ({"at": "tonight", "to": "on"}, "write a moment like"),
            (
                {"at": "2300-01-01T08:00:00Z", "to": "on"},
                "at: this is more than ten years from now",
            ),
            ({"at": "2026-11-03T08:00:00Z", "to": "up"}, "on, off or a share"),
            ({"at": "2026-11-03T08:00:00Z", "to": "on", "why": " "}, "say why"),
        ):
            with pytest.raises((Refused, BadForm), match=says):
                await pull(world, "schedule", "checkout", **wrong)
        await world.passes(3_700)
        assert value(world, "timeout") == 900
        assert not facts(world, "toggles.switched_on")

    simulate(story, declared=DECLARED)


def test_levers_that_change_nothing_say_so() -> None:
    """What is so already, what is out of bounds, what is no toggle."""

    async def story(world: World) -> None:
        await pull(world, "on", "checkout")
        head = world.node.ledger.head()
        for lever, name, said, says in (
            ("on", "checkout", {}, "on for everybody, and 1 rule already"),
            ("set", "timeout", {"value": "2001"}, "goes up to 2000; found 2001"),
            ("set", "checkout", {"value": "on"}, "already"),
            ("reset", "timeout", {}, "stands as it is declared"),
            ("kill", "checkout", {"why": ""}, "say why"),
        ):
            with pytest.raises(Refused, match=says):
                await pull(world, lever, name, **said)
        with pytest.raises(NotFound, match="No toggle is called chekout"):
            await pull(world, "on", "chekout")
        assert world.node.ledger.head() == head

    simulate(story, declared=DECLARED)


def test_definitions_are_written_down_once(tmp_path: Path) -> None:
    """New, changed and gone: each is a fact, at the start that finds it and at no other."""
    ledger = tmp_path / "ledger.db"

    async def start(world: World) -> None:
        await world.passes(1)
        seen.append([len(facts(world, f"toggles.{name}")) for name in ("defined", "retired")])

    seen: list[list[int]] = []
    changed = DECLARED.replace("at_most: 2000", "at_most: 2000, owner: ops")
    for at, text in enumerate(
        (DECLARED, DECLARED, changed, changed.replace("    timeout: {def", "    late: {def"))
    ):
        simulate(start, declared=text, ledger=ledger, start=MORNING.replace(hour=9 + at))
    assert seen == [[3, 0], [3, 0], [4, 0], [5, 1]]


def test_changing_the_generation_is_a_fact(tmp_path: Path) -> None:
    """It deals everybody anew, so it is never silent."""
    ledger = tmp_path / "ledger.db"

    async def start(world: World) -> None:
        await world.passes(1)
        generations.append([each.generation for each in facts(world, "toggles.defined")])

    generations: list[list[str]] = []
    second = DECLARED.replace("toggles:\n  toggles:", "toggles:\n  generation: v2\n  toggles:")
    simulate(start, declared=DECLARED, ledger=ledger)
    simulate(start, declared=second, ledger=ledger, start=NOON)
    assert generations == [["v3"] * 3, ["v3"] * 3 + ["v2"] * 3]


def test_rebuilt_rows_are_the_live_ones() -> None:
    """Folded anew from the ledger they say the same."""

    async def story(world: World) -> None:
        await world.passes(600)
        await pull(world, "percentage", "checkout", percent="20")
        await pull(world, "set", "timeout", value="7")
        await pull(world, "schedule", "pay-later", at="2026-11-04T09:00:00Z", to="on")
        world.vendor("shop").errors = 0.9
        await world.passes(900)
        views = open_views(world.node.ledger, ":memory:")
        tables = "select name from sqlite_master where type = 'table' and name like 'toggles_%'"
        for (table,) in list(views.rows.execute(tables)):
            live, anew = (
                list(rows.execute(f"select * from {table}"))
                for rows in (world.node.rows, views.rows)
            )
            assert sorted(live, key=str) == sorted(anew, key=str), table
        views.close()

    simulate(story, declared=DECLARED)

"""Is a drill real enough to learn from, bounded, and harmless to everybody's money?"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.work.test_pages import drawn, printed

from detente.facts.work import DrillBegan, DrillEnded, DrillPassed
from detente.kernel import spans
from detente.kernel.slice import Ask, Lever, NotFound, Pull, Refused
from detente.testing import World, simulate
from detente.work import levers, pages, queries
from detente.work.effects import Desk

DECLARED = """
vendors:
  cardpay: {title: CardPay}
work:
  routes:
    payments:
      vendor: cardpay
      to: http://cardpay.test
      timeout: 2s
      money: {amount: /amount, currency: /currency}
      breaker: {minimum_calls: 3, open_for: 2s, slow_after: 1s}
      replay: {first_wait: 1s}
      drill_at_most: 5m
    keyless: {vendor: cardpay, to: http://cardpay.test, timeout: 2s, idempotency: null}
    never: {vendor: cardpay, to: http://cardpay.test, drill_at_most: 0s}
"""
SALE = {"amount": 4990, "currency": "EUR", "token": "tok_1"}


def lever(name: str) -> Lever:
    return next(each for each in levers.LEVERS if each.name == name)


async def pull(world: World, name: str, about: str, **form: Any) -> None:
    found = lever(name)
    facts = found.decide(world.node, Pull(about, "anna", world.now, found.form(**form)))
    await world.node.record(*facts, by="anna")


async def drill(world: World, route: str = "payments", minutes: float = 1, **form: Any) -> None:
    await pull(
        world, "work.drill", f"route:{route}", minutes=minutes, reason="are we ready?", **form
    )
    await world.passes(0.01)


def states(world: World) -> dict[str, int]:
    return {each.state: each.calls for each in queries.books(world.node.rows)}


@pytest.mark.parametrize("how", ["refuse", "hang", "errors"])
def test_calls_in_a_drill_are_really_parked_and_charged_once_afterwards(how: str) -> None:
    """The vendor hears nothing while it lasts, everybody has a 202, and nothing is lost."""

    async def story(world: World) -> None:
        vendor = world.vendor("cardpay")
        await drill(world, how=how)
        for number in range(6):
            assert (await world.call("payments", SALE, key=f"k{number}")).status == 202
        assert vendor.asked == 0
        await world.passes(180)
        assert states(world) == {"charged": 6}
        assert len(vendor.book) == 6
        (ended,) = world.facts("work.drill_ended")
        assert isinstance(ended, DrillEnded)
        assert (ended.taken, ended.parked, ended.lost, ended.aborted) == (6, 6, 0, False)
        assert ended.lasted == pytest.approx(60, abs=1)
        (passed,) = world.facts("work.drill_passed")
        assert isinstance(passed, DrillPassed)
        assert (passed.charged, passed.lost) == (6, 0)
        assert 0 < passed.caught_up < 60

    simulate(story, declared=DECLARED)


def test_a_slow_vendor_is_played_by_waiting_and_still_charges() -> None:
    """The answer comes late but within the timeout; the breaker learns that it crawls."""

    async def story(world: World) -> None:
        await drill(world, how="slow")
        for number in range(3):
            assert (await world.call("payments", SALE, key=f"k{number}")).status == 201
        assert [each.reason for each in world.facts("work.breaker_opened")] == [  # type: ignore[attr-defined]
            "3 of 3 calls in 10 s took longer than 1 s"
        ]
        assert states(world) == {"charged": 3}

    simulate(story, declared=DECLARED)


def test_breakers_of_a_drill_are_marked_and_close_with_it() -> None:
    """Nobody is woken for a drill, and what fails afterwards is real again."""

    async def story(world: World) -> None:
        await drill(world, how="refuse")
        for number in range(4):
            await world.call("payments", SALE, key=f"k{number}")
        await world.passes(1)
        (opened,) = world.facts("work.breaker_opened")
        assert opened.drill  # type: ignore[attr-defined]
        assert "drill: no connection" in opened.reason  # type: ignore[attr-defined]
        assert opened.says().startswith("in a drill, stopped waiting")
        world.vendor("cardpay").away = True
        await world.passes(90)
        opened_after = world.facts("work.breaker_opened")
        assert [each.drill for each in opened_after] == [True, False]  # type: ignore[attr-defined]
        world.vendor("cardpay").away = False
        await world.passes(300)
        assert states(world) == {"charged": 4}
        assert not spans.going_on(world.node.rows, "breaker")

    simulate(story, declared=DECLARED)


def test_a_call_without_a_key_is_in_no_doubt_because_of_a_drill() -> None:
    """The vendor never heard of it, so nobody has to look in its book."""

    async def story(world: World) -> None:
        await drill(world, "keyless", how="hang")
        await world.call("keyless", SALE)
        assert states(world) == {"parked": 1}
        await world.passes(200)
        assert states(world) == {"charged": 1}
        assert world.facts("work.call_held") == []

    simulate(story, declared=DECLARED)


def test_a_drill_is_ended_at_any_time() -> None:
    """Then the vendor is asked at once."""

    async def story(world: World) -> None:
        await drill(world, how="refuse")
        assert (await world.call("payments", SALE, key="k1")).status == 202
        assert not lever("work.drill").offered(world.node, "route:payments")
        await pull(world, "work.end_drill", "route:payments")
        await world.passes(0.01)
        assert (await world.call("payments", SALE, key="k2")).status == 201
        (ended,) = world.facts("work.drill_ended")
        assert ended.aborted  # type: ignore[attr-defined]
        with pytest.raises(Refused, match="No drill is on"):
            await pull(world, "work.end_drill", "route:payments")
        await world.passes(120)
        assert len(world.facts("work.drill_ended")) == 1, "its own time is over too, and it knows"

    simulate(story, declared=DECLARED)


def test_never_longer_than_declared() -> None:
    """More is refused with the remedy; where none may be, none is offered."""

    async def story(world: World) -> None:
        with pytest.raises(Refused, match=r"may last 5 min.*drill_at_most"):
            await drill(world, minutes=6)
        with pytest.raises(Refused, match="no time at all"):
            await drill(world, "never")
        with pytest.raises(NotFound, match="no route nonsense"):
            await drill(world, "nonsense")
        assert not lever("work.drill").offered(world.node, "route:never")
        await drill(world)
        with pytest.raises(Refused, match="A drill is on already"):
            await drill(world)
        await pull(world, "work.pause", "route:keyless", reason="x")
        with pytest.raises(Refused, match="paused"):
            await drill(world, "keyless")

    simulate(story, declared=DECLARED)


def test_a_restart_in_a_drill_changes_nothing(tmp_path: Path) -> None:
    """It goes on to the moment it was to end, and its calls are charged."""

    async def before(world: World) -> None:
        await drill(world, minutes=4, how="refuse")
        assert (await world.call("payments", SALE, key="k1")).status == 202

    async def after(world: World) -> None:
        assert world.node.part(Desk)
        assert (await world.call("payments", SALE, key="k2")).status == 202
        assert world.vendor("cardpay").asked == 0
        await world.passes(500)
        (ended,) = world.recorded("work.drill_ended")
        (began,) = world.recorded("work.drill_began")
        assert (ended.at - began.at) / 1e9 == pytest.approx(240, abs=1)
        assert states(world) == {"charged": 2}
        assert len(world.facts("work.drill_passed")) == 1

    simulate(before, declared=DECLARED, ledger=tmp_path / "ledger")
    simulate(after, declared=DECLARED, ledger=tmp_path / "ledger")


def test_a_drill_on_a_route_that_is_gone_is_over(tmp_path: Path) -> None:
    """Nothing would end it otherwise."""

    async def before(world: World) -> None:
        await drill(world, how="refuse")

    async def after(world: World) -> None:
        assert not spans.going_on(world.node.rows, "drill")

    simulate(before, declared=DECLARED, ledger=tmp_path / "ledger")
    simulate(after, declared="vendors:\n  cardpay: {}\n", ledger=tmp_path / "ledger")


def test_a_drill_ends_in_time_though_nobody_was_there_to_notice(tmp_path: Path) -> None:
    """The node was down when it was over; it lasted as long as was asked for."""

    async def before(world: World) -> None:
        await drill(world, how="refuse")
        await world.call("payments", SALE, key="k1")

    async def after(world: World) -> None:
        (ended,) = world.facts("work.drill_ended")
        assert isinstance(ended, DrillEnded)
        assert (ended.lasted, ended.aborted, ended.parked) == (pytest.approx(60), False, 1)
        assert (await world.call("payments", SALE, key="k2")).status == 201

    simulate(before, declared=DECLARED, ledger=tmp_path / "ledger")
    later = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
    simulate(after, declared=DECLARED, ledger=tmp_path / "ledger", start=later)


def test_what_was_read_of_a_drill_is_bounded_by_what_is_declared_now(tmp_path: Path) -> None:
    """Less was declared since: the drill ends at the shorter time."""

    async def before(world: World) -> None:
        await drill(world, minutes=5, how="refuse")

    async def after(world: World) -> None:
        await world.passes(61)
        assert not spans.going_on(world.node.rows, "drill")

    shorter = DECLARED.replace("drill_at_most: 5m", "drill_at_most: 1m")
    simulate(before, declared=DECLARED, ledger=tmp_path / "ledger")
    simulate(after, declared=shorter, ledger=tmp_path / "ledger")


def test_a_drill_says_how_and_why() -> None:
    """Both sides can read it."""
    began = DrillBegan(
        about="route:payments", vendor="vendor:cardpay", how="hang", until=0, reason="are we ready?"
    )
    assert began.says() == "is in a drill (the vendor is played, hang): are we ready?"


def test_a_drill_is_loud_wherever_its_route_is_shown() -> None:
    """On Now, on the queue's page with the way to end it, and in a terminal; afterwards its outcome."""

    async def story(world: World) -> None:
        await drill(world)
        await world.call("payments", SALE, key="k1")
        (sign,) = pages.signs(world.node)
        assert sign.sentence.startswith("DRILL, nothing is broken: it is in a drill")
        shown = drawn(world, pages.PAGES[0])
        assert "nothing is broken" in shown
        assert "End the drill" in shown
        assert "DRILL on payments until" in printed(world, pages.queue(world.node, Ask()))
        await world.passes(120)
        assert pages.signs(world.node) == []
        after = drawn(world, pages.PAGES[0]) + printed(world, pages.queue(world.node, Ask()))
        assert "nothing lost" in after
        assert "caught up in" in after
        assert "1 taken, 1 parked, 1 charged" in after

    simulate(story, declared=DECLARED)

"""Can people follow a call by what they read of it, and is what they read true?"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

import detente.work
from detente.facts.work import CallTaken
from detente.kernel.fact import plain
from detente.kernel.forms import BadForm, fill
from detente.kernel.slice import Ask, Lever, NotFound, Page, Pull, Refused
from detente.kernel.terminal.show import show
from detente.kernel.terminal.words import Seeing
from detente.kernel.web.kit import Reading, draw, environment
from detente.testing import World, simulate
from detente.work import cli, levers, pages, queries

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
"""
SALE = {"amount": 4990, "currency": "EUR"}
QUEUE, CALL = pages.PAGES[:2]


def drawn(world: World, page: Page, **path: str) -> str:
    folders = {"work": Path(detente.work.__file__).parent / "templates"}
    made = environment(world.node, folders, pages=pages.PAGES, levers=levers.LEVERS)
    reading = Reading(now=world.now, path=page.path)
    answer = page.answer(world.node, Ask(path=path))
    return draw(made, page.template, reading, page=page, answer=answer)


def printed(world: World, answer: object) -> str:
    assert cli.queue, "the slice's looks are loaded"
    console = Console(file=io.StringIO(), color_system=None, width=80)
    show(answer, on=console, see=Seeing(world.now))
    return console.file.getvalue()  # type: ignore[attr-defined]


def lever(name: str) -> Lever:
    return next(each for each in levers.LEVERS if each.name == name)


def pull(world: World, name: str, about: str, **form: Any) -> Any:
    found = lever(name)
    return found.decide(world.node, Pull(about, "anna", world.now, found.form(**form)))


def test_a_call_is_found_by_its_end() -> None:
    """What pages shorten to “…d6aac5” is enough for people; four signs at least, and only one call."""

    async def story(world: World) -> None:
        world.vendor("cardpay").away = True
        await world.call("payments", SALE, key="k1")
        (call,) = queries.waiting(world.node.rows)
        end = f"call:{call.about[-5:]}"
        assert queries.call_or_not_found(world.node.rows, end) == call
        assert plain(call.about) in drawn(world, CALL, call=plain(end)), "in full, to copy"
        assert lever("work.hold").offered(world.node, end)
        (held,) = pull(world, "work.hold", end, reason="asking them first")
        assert held.about == call.about
        with pytest.raises(NotFound, match="no call"):
            queries.call_or_not_found(world.node.rows, f"call:{call.about[-3:]}")

    simulate(story, declared=DECLARED)


def test_an_end_that_two_calls_share_is_not_enough() -> None:
    """Nobody decides on a call they did not mean."""

    async def story(world: World) -> None:
        world.vendor("cardpay").away = True
        await world.call("payments", SALE, key="k1")
        (call,) = queries.waiting(world.node.rows)
        twin = CallTaken(
            about=f"call:X{plain(call.about)}", route=call.route, vendor=call.vendor, key="k2",
            method=call.method, path=call.path, sha256=call.sha256,
        )  # fmt: skip
        await world.node.record(twin, by="anna")
        assert queries.call_or_not_found(world.node.rows, call.about) == call
        with pytest.raises(NotFound, match="More than one call"):
            queries.call_or_not_found(world.node.rows, f"call:{call.about[-6:]}")
        assert not lever("work.hold").offered(world.node, f"call:{call.about[-6:]}")

    simulate(story, declared=DECLARED)


def test_levers_say_why_not() -> None:
    """What is settled, held or not there is refused with that as the reason."""

    async def story(world: World) -> None:
        world.vendor("cardpay").away = True
        await world.call("payments", SALE, key="k1")
        (call,) = queries.waiting(world.node.rows)
        await world.node.record(*pull(world, "work.hold", call.about, reason="x"), by="anna")
        with pytest.raises(Refused, match="held already: x"):
            pull(world, "work.hold", call.about, reason="y")
        await world.node.record(*pull(world, "work.settle", call.about, note="cash"), by="anna")
        with pytest.raises(Refused, match="is settled already"):
            pull(world, "work.settle", call.about, note="again")
        with pytest.raises(NotFound, match="There is no call nonsense"):
            pull(world, "work.hold", "call:nonsense", reason="x")
        with pytest.raises(NotFound, match="There is no route nonsense"):
            pull(world, "work.resume", "route:nonsense")

    simulate(story, declared=DECLARED)


@pytest.mark.parametrize(
    ("hours", "says"),
    [("-3", "hours must be more than 0."), ("9000", "hours must be 8760 or less.")],
)
def test_hours_that_cannot_be(hours: str, says: str) -> None:
    """The limit is said in words."""
    with pytest.raises(BadForm) as wrong:
        fill(levers.Hold, {"reason": "x", "hours": hours})
    assert str(wrong.value) == says


def test_what_is_at_stake_says_what_it_leaves_out() -> None:
    """Calls of which nobody knows the worth are counted beside the sum."""

    async def story(world: World) -> None:
        world.vendor("cardpay").away = True
        await world.call("payments", SALE, key="k1")
        await world.call("payments", {"hello": "world"}, key="k2")
        page = pages.queue(world.node, Ask())
        assert (page.waiting_calls, page.unpriced) == (2, 1)
        for said in (drawn(world, QUEUE), printed(world, page)):
            assert "49.90" in said
            assert "and 1 call of unknown worth" in said

    simulate(story, declared=DECLARED)


def test_a_route_that_works_and_a_queue_that_is_new() -> None:
    """A route's state is no word that means the opposite of a breaker's; no call is not all calls."""

    async def story(world: World) -> None:
        before = drawn(world, QUEUE)
        assert "calls go through" in before
        assert "No call has come yet." in before
        await world.call("payments", SALE, key="k1")
        assert "Every call reached its vendor" in drawn(world, QUEUE)

    simulate(story, declared=DECLARED)


def test_the_next_attempt_is_never_in_the_past() -> None:
    """A call that is due waits for its route; one that was charged waits for nothing."""

    async def story(world: World) -> None:
        vendor = world.vendor("cardpay")
        vendor.away = True
        await world.call("payments", SALE, key="k1")
        (call,) = queries.waiting(world.node.rows)
        page = pages.one_call(world.node, Ask(path={"call": plain(call.about)}))
        due = msgspec.structs.replace(page.call, next_at=world.now - 1)
        said = printed(world, msgspec.structs.replace(page, call=due))
        assert "as soon as calls go through again" in said
        vendor.away = False
        await world.passes(600)
        page = pages.one_call(world.node, Ask(path={"call": plain(call.about)}))
        assert page.call.state == "charged"
        assert "Next" not in printed(world, page)

    simulate(story, declared=DECLARED)

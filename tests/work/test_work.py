"""The gateway and the queue in a simulated world: sales go on, nothing is lost or doubled."""

from __future__ import annotations

import json

import pytest

from detente.kernel.slice import Lever, Pull, Refused
from detente.testing import World, simulate
from detente.work import levers, queries

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
      breaker: {minimum_calls: 3, open_for: 2s}
      replay: {first_wait: 1s}
    keyless:
      vendor: cardpay
      to: http://cardpay.test
      timeout: 2s
      idempotency: null
"""

SALE = {"amount": 4990, "currency": "EUR", "token": "tok_1"}


def states(world: World) -> dict[str, int]:
    return {each.state: each.calls for each in queries.books(world.node.rows)}


def test_a_call_goes_through() -> None:
    """While the vendor answers, the caller gets the vendor's own answer."""

    async def story(world: World) -> None:
        answer = await world.call("payments", SALE, key="k1")
        assert answer.status == 201
        assert json.loads(answer.body)["id"] == "ch_1"
        assert states(world) == {"charged": 1}

    simulate(story, declared=DECLARED)


def test_the_same_key_gets_the_first_answer() -> None:
    """A caller who asks again under one key gets the first answer and is charged once."""

    async def story(world: World) -> None:
        first = await world.call("payments", SALE, key="k1")
        again = await world.call("payments", SALE, key="k1")
        assert (again.status, again.body) == (first.status, first.body)
        assert world.vendor("cardpay").asked == 1
        other = await world.call("payments", {**SALE, "amount": 1}, key="k1")
        assert other.status == 422

    simulate(story, declared=DECLARED)


def test_a_declined_card_is_told_and_not_parked() -> None:
    """A refusal of business goes straight to the caller."""

    async def story(world: World) -> None:
        answer = await world.call("payments", {**SALE, "token": "tok_declined"}, key="k1")
        assert answer.status == 402
        assert states(world) == {"refused": 1}

    simulate(story, declared=DECLARED)


def test_a_hanging_vendor_costs_nobody_a_sale() -> None:
    """Callers wait two seconds at most, then not at all; every sale is charged once in the end."""

    async def story(world: World) -> None:
        vendor = world.vendor("cardpay")
        vendor.hangs = True
        for number in range(20):
            answer = await world.call("payments", SALE, key=f"k{number}")
            assert answer.status == 202
            await world.passes(0.5)
        assert len(world.facts("work.breaker_opened")) == 1
        vendor.hangs = False
        await world.passes(120)
        assert states(world) == {"charged": 20}
        assert len(vendor.book) == 20
        assert len(world.facts("work.breaker_closed")) == 1

    simulate(story, declared=DECLARED)


def test_a_lost_answer_is_not_charged_twice() -> None:
    """The vendor booked it and the answer was lost: the replay finds the first charge."""

    async def story(world: World) -> None:
        vendor = world.vendor("cardpay")
        vendor.loses_answers = 1.0
        answer = await world.call("payments", SALE, key="k1")
        assert answer.status == 202
        assert len(vendor.book) == 1
        vendor.loses_answers = 0.0
        await world.passes(60)
        assert states(world) == {"charged": 1}
        assert len(vendor.book) == 1

    simulate(story, declared=DECLARED)


def test_a_vendor_without_keys_is_never_asked_twice_by_the_machine() -> None:
    """What may be done already waits for a person when the vendor could not recognise it."""

    async def story(world: World) -> None:
        vendor = world.vendor("cardpay")
        vendor.loses_answers = 1.0
        await world.call("keyless", SALE)
        vendor.loses_answers = 0.0
        await world.passes(3600)
        assert states(world) == {"held": 1}
        assert len(vendor.book) == 1

    simulate(story, declared=DECLARED)


@pytest.mark.parametrize("seed", range(5))
def test_whatever_the_vendor_does_the_books_agree(seed: int) -> None:
    """Under every mood, each accepted call is in one state and each charge in the vendor's book once."""

    async def story(world: World) -> None:
        vendor = world.vendor("cardpay")
        accepted = 0
        for number in range(200):
            if number % 10 == 0:
                vendor.hangs = world.chance.random() < 0.2
                vendor.away = world.chance.random() < 0.2
                vendor.errors = world.chance.choice([0.0, 0.3])
                vendor.loses_answers = world.chance.choice([0.0, 0.3])
            answer = await world.call("payments", SALE, key=f"k{number}")
            accepted += answer.status in (201, 202)
            await world.passes(world.chance.random())
        vendor.hangs = vendor.away = False
        vendor.errors = vendor.loses_answers = 0.0
        await world.passes(3600)
        assert accepted == 200
        assert states(world) == {"charged": 200}
        assert len(vendor.book) == 200

    simulate(story, declared=DECLARED, seed=seed)


def lever(name: str) -> Lever:
    return next(each for each in levers.LEVERS if each.name == name)


async def pull(world: World, name: str, about: str, **form: object) -> None:
    found = lever(name)
    facts = found.decide(world.node, Pull(about, "anna", world.now, found.form(**form)))
    await world.node.record(*facts, by="anna")


def test_people_settle_hold_and_give_up() -> None:
    """Each lever leaves one fact, the call ends in that state, and it is never sent again."""

    async def story(world: World) -> None:
        vendor = world.vendor("cardpay")
        vendor.away = True
        for number in range(3):
            await world.call("payments", SALE, key=f"k{number}")
        one, two, three = [each.about for each in queries.waiting(world.node.rows)]
        await pull(world, "work.settle", one, note="charged by phone", reference="T-1")
        await pull(world, "work.hold", two, reason="the customer called", hours=2)
        await pull(world, "work.give_up", three, reason="the policy was cancelled")
        vendor.away = False
        await world.passes(3600)
        assert states(world) == {"held": 1, "settled": 1, "lost": 1}
        with pytest.raises(Refused):
            await pull(world, "work.settle", one, note="again")
        await world.passes(3700)
        assert states(world) == {"charged": 1, "settled": 1, "lost": 1}

    simulate(story, declared=DECLARED)


def test_a_paused_route_parks_and_a_resumed_one_drains() -> None:
    """Nothing goes out while people paused the route."""

    async def story(world: World) -> None:
        await pull(world, "work.pause", "route:payments", reason="they are moving house")
        await world.passes(1)
        assert (await world.call("payments", SALE, key="k1")).status == 202
        await world.passes(600)
        assert world.vendor("cardpay").asked == 0
        await pull(world, "work.resume", "route:payments")
        await world.passes(60)
        assert states(world) == {"charged": 1}

    simulate(story, declared=DECLARED)


def test_an_unknown_route_is_named_with_those_there_are() -> None:
    """A wrong address gets the right ones in the answer."""

    async def story(world: World) -> None:
        answer = await world.call("paiments", SALE)
        assert answer.status == 404
        assert b"payments" in answer.body

    simulate(story, declared=DECLARED)


def test_a_read_is_cut_short_and_not_parked() -> None:
    """A GET is worth nothing later; it gets an error in time."""

    async def story(world: World) -> None:
        world.vendor("cardpay").hangs = True
        answer = await world.call("payments", {}, method="GET")
        assert answer.status == 504
        assert states(world) == {}

    simulate(story, declared=DECLARED)


def test_a_vendor_that_is_back_is_not_kept_waiting() -> None:
    """When its check comes back the breaker tries at once instead of sitting out a long wait."""
    declared = DECLARED.replace("open_for: 2s", "open_for: 10m, open_for_at_most: 1h")
    declared += """
watch:
  checks:
    cardpay: {http: "http://cardpay.test/health", every: 5s, timeout: 1s}
"""

    async def story(world: World) -> None:
        vendor = world.vendor("cardpay")
        vendor.hangs = True
        for number in range(5):
            await world.call("payments", SALE, key=f"k{number}")
        await world.passes(60)
        vendor.hangs = False
        await world.passes(60)
        assert states(world) == {"charged": 5}

    simulate(story, declared=declared)


def test_a_refusal_settles_what_was_in_doubt() -> None:
    """A vendor that knows the key and says no has not done it."""

    async def story(world: World) -> None:
        vendor = world.vendor("cardpay")
        vendor.hangs = True
        await world.call("payments", {**SALE, "token": "tok_declined"}, key="k1")
        vendor.hangs = False
        await world.passes(60)
        (call,) = queries.listed(world.node.rows, "held")
        assert not call.unknown

    simulate(story, declared=DECLARED)

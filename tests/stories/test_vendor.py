"""Story one, the vendor, act by act."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from detente.demo.story import Promised
from detente.demo.vendor_story import VendorStory
from detente.testing import World, simulate
from detente.work import queries

DECLARED = """
teams:
  dev: {mail: [dev@shop.example], webhook: "http://chat.example/hook"}
  ops: {mail: [ops@shop.example]}
vendors:
  cardpay:
    title: CardPay
    environments: {production: {}, test: {twin_of: production}}
watch:
  sheet: 10s
  checks:
    cardpay: {http: "http://cardpay.test/health", every: 10s, timeout: 2s}
    twin: {of: cardpay, environment: test, http: "http://twin.test/health", every: 10s}
work:
  routes:
    payments:
      vendor: cardpay
      to: http://cardpay.test
      timeout: 2s
      money: {amount: /amount, currency: /currency}
mail: {server: "mail.example:25", tls: none, from: "Détente <detente@shop.example>"}
sla:
  promises:
    uptime:
      vendor: cardpay
      checks: [cardpay]
      target: 99.95%
      fee: 4000 EUR
      credits: [{below: 99.95%, owed: 10%}, {below: 99%, owed: 25%}]
"""


def test_the_story_in_five_acts() -> None:
    """A vendor fails for half an hour; both sides are told once, every sale is kept and charged."""

    async def story(world: World) -> None:
        vendor, sold = world.vendor("cardpay"), 0

        async def customers(minutes: int) -> None:
            nonlocal sold
            for _ in range(minutes * 6):
                sale = {"amount": 4990, "currency": "EUR", "token": "tok_1"}
                answer = await world.call("payments", sale, key=f"policy-{sold}")
                assert answer.status in (201, 202)
                sold += 1
                await world.passes(10)

        # Exposition: nothing to tell.
        await customers(5)
        assert not world.facts("incidents.*", "work.call_parked")

        # Rising action: the test twin goes first, and wakes nobody.
        world.vendor("twin").away = True
        vendor.loses_answers = 0.2
        await customers(5)
        assert not world.network.mails
        assert len(vendor.book) == sold

        # Climax: the vendor hangs. Both teams are told once, in one thread.
        vendor.hangs, vendor.loses_answers = True, 0.0
        await customers(30)
        opened = [mail for mail in world.network.mails if "Re:" not in mail["Subject"]]
        assert sorted(mail["To"] for mail in opened) == ["dev@shop.example", "ops@shop.example"]
        assert len(world.network.hooks) == 1
        assert len(world.facts("incidents.opened")) == 1

        # Falling action: it comes back, and the queue drains by itself.
        vendor.hangs, world.vendor("twin").away = False, False
        await world.passes(1800)
        assert len(world.facts("incidents.closed")) == 1
        states = {each.state: each.calls for each in queries.books(world.node.rows)}

        # Dénouement: the books agree.
        assert states == {"charged": sold}
        assert len(vendor.book) == sold

    simulate(story, declared=DECLARED)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_kill_9_at_any_moment_loses_nothing_and_charges_nobody_twice(
    played: Callable[..., list[Promised]],
) -> None:
    """The node is killed again and again at random moments while the story plays on real processes."""
    table = played(VendorStory, killing=1, tempo=0.6)
    sums = [each for each in table if each.row in ("5", "10")]
    assert len(sums) == 3
    assert all(each.kept for each in sums), sums

"""The score of a simulated week, on its pages."""

from __future__ import annotations

from detente.kernel.slice import Ask
from detente.scoreboard import pages, queries
from detente.scoreboard.effects import look
from detente.testing import World, simulate

DECLARED = """
name: Sunny Side
teams: {dev: {mail: [dev@shop.example]}, ops: {mail: [ops@shop.example]}}
vendors: {cardpay: {title: CardPay}}
services: {shop: {needs: [cardpay]}}
journeys: {buy: {title: Buy a policy, earns: 3600 EUR, needs: [shop]}}
watch: {checks: {cardpay: {http: "http://cardpay.test/health", every: 20s, timeout: 2s}}}
work:
  routes:
    payments:
      vendor: cardpay
      to: http://cardpay.test
      timeout: 2s
      money: {amount: /amount, currency: /currency}
scoreboard: {window: 1d, targets: {deliveries: 1, uptime: 99.9%}}
mail: {server: "mail.example:25", tls: none, from: "d <d@shop.example>"}
"""


def test_the_money_of_an_hour() -> None:
    """Ten minutes without the vendor: what was kept is counted, and what the journey lost."""

    async def story(world: World) -> None:
        sale = {"amount": 5000, "currency": "EUR"}
        await world.call("payments", sale, key="1")
        world.vendor("cardpay").away = True
        await world.call("payments", sale, key="2")
        await world.passes(300)
        during = queries.score(world.node)
        assert [str(m) for m in during.at_risk] == ["50.00 EUR"]
        await world.passes(300)
        world.vendor("cardpay").away = False
        await world.passes(3000)
        made = queries.score(world.node)
        assert [str(m) for m in made.sold] == ["50.00 EUR"]
        assert [str(m) for m in made.kept] == ["50.00 EUR"]
        assert (made.at_risk_calls, made.kept_calls) == (0, 1)
        assert [each.cause for each in made.lost] == ["vendor"]
        assert 550 < made.lost[0].seconds < 650
        lost = made.lost_in_all[0]
        assert abs(lost.minor - round(made.lost[0].seconds * 100)) <= 2

        board = pages.board(world.node, Ask())
        assert [side.met for side in board.sides] == [False, False]
        assert board.journeys[0].title == "Buy a policy"

    simulate(story, declared=DECLARED)


def test_advice_is_given_once_and_taken() -> None:
    """Advice stands once in the ledger, goes when its cause goes, and may be declined with a reason."""

    async def story(world: World) -> None:
        for _ in range(3):
            world.vendor("cardpay").away = True
            await world.passes(1200)
            world.vendor("cardpay").away = False
            await world.passes(7200)
        await look(world.node)
        await look(world.node)
        rules = [each.rule for each in queries.standing(world.node)]
        assert "it-comes-again" in rules
        assert len(rules) == len(set(rules))
        again = next(e for e in queries.standing(world.node) if e.rule == "it-comes-again")
        assert len(again.evidence) == 3
        await world.pull("scoreboard.decline", again.about, why="we know")
        kept = next(e for e in queries.standing(world.node) if e.rule == "it-comes-again")
        assert kept.declined == "we know"
        assert not [e for e in pages.advice(world.node, Ask()).standing if e.rule == again.rule]
        await world.passes(86_400)
        await look(world.node)
        assert "it-comes-again" not in [each.rule for each in queries.standing(world.node)]

    simulate(story, declared=DECLARED)


def test_an_empty_score() -> None:
    """Where nothing is declared and nothing happened, the page says so and divides by nothing."""

    async def story(world: World) -> None:
        board = pages.board(world.node, Ask())
        assert board.lost == []
        assert [part.word for part in board.parts] == [
            "delivered",
            "kept",
            "lost",
            "owed",
            "at risk",
        ]
        assert pages.delivering(world.node, Ask()).deployments == []

    simulate(story, declared="name: Nobody")

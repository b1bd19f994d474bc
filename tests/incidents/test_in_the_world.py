"""From a vendor that hangs to two teams that know: one incident, one thread, nobody told twice."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from detente.kernel import spans
from detente.testing import World, simulate

DECLARED = """
teams:
  ops: {title: Operations, mail: [ops@example.com]}
  dev: {title: Development, webhook: "http://chat.test/hook"}
vendors:
  cardpay: {title: CardPay, environments: {production: {}, test: {twin_of: production}}}
watch:
  checks:
    cardpay: {of: cardpay, environment: production, http: "http://cardpay.test/health", every: 10s}
    twin: {of: cardpay, environment: test, http: "http://twin.test/health", every: 10s}
work:
  routes:
    charge: {vendor: cardpay, to: "http://cardpay.test", timeout: 2s}
mail: {server: "smtp.test:25", from: detente@example.com, tls: none}
"""


def test_a_vendor_hangs_and_comes_back() -> None:
    """Check and breaker make one incident; both teams hear of it once when it begins and ends."""

    async def story(world: World) -> None:
        await world.passes(60)
        world.vendor("cardpay").hangs = True
        for n in range(60):
            await world.call("charge", {"amount": 1990}, key=f"k{n}")
            await world.passes(1)
        (opened,) = world.facts("incidents.opened")
        assert world.facts("incidents.cause_joined"), "the second to notice joins the first"
        world.vendor("twin").away = True
        await world.passes(60)
        assert len(world.facts("incidents.opened")) == 1
        world.vendor("cardpay").hangs = False
        await world.passes(600)
        (closed,) = world.facts("incidents.closed")
        assert closed.about == opened.about == "incident:1"
        assert len(world.network.mails) == 2
        assert [said["message"] for _, said in world.network.hooks] == ["opened", "closed"]  # type: ignore[index]

    simulate(story, declared=DECLARED)


def test_the_twin_alone_wakes_nobody() -> None:
    """The vendor's test server keeps dropping off: no incident, no page."""

    async def story(world: World) -> None:
        world.vendor("twin").away = True
        await world.passes(600)
        assert world.facts("watch.went_down")
        assert not world.facts("incidents.opened")
        assert not world.network.mails

    simulate(story, declared=DECLARED)


def test_a_route_taken_out_while_its_breaker_was_open(tmp_path: Path) -> None:
    """Its breaker is closed at the next start, and no incident waits for it for ever."""

    async def hangs(world: World) -> None:
        await world.passes(60)
        world.vendor("cardpay").hangs = True
        for n in range(60):
            await world.call("charge", {"amount": 1990}, key=f"k{n}")
            await world.passes(1)
        assert spans.going_on(world.node.rows, "breaker")

    async def gone(world: World) -> None:
        await world.passes(300)
        assert not spans.going_on(world.node.rows, "breaker")
        assert not spans.going_on(world.node.rows, "incident")

    ledger = tmp_path / "ledger.db"
    simulate(hangs, declared=DECLARED, ledger=ledger)
    renamed = DECLARED.replace("    charge: {", "    pay: {")
    simulate(gone, declared=renamed, ledger=ledger, start=datetime(2026, 11, 3, tzinfo=UTC))

"""Is it seen how everything stands, and is a shared thing that nobody declared suspected?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from detente.dependencies import queries
from detente.facts.dependencies import Suspected
from detente.facts.watch import CameBack, WentDown
from detente.testing import World, simulate

from .agency import MAP, WATCHED

A_WEEK = 7 * 86_400.0
MORNING = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)

SELDOM = MAP + WATCHED.replace("every: 10s", "every: 1d")


def states(world: World) -> dict[str, str]:
    """How everything stands that is not as it was at the start."""
    quiet = ("up", "unmeasured")
    found = queries.standings(world.node).values()
    return {each.node: each.state for each in found if each.state not in quiet}


def test_what_is_down_takes_along_what_needs_it() -> None:
    """A check says that sign-on is down; the map says what cannot work, and over what."""

    async def story(world: World) -> None:
        await world.passes(60)
        assert states(world) == {}
        now = queries.standings(world.node)
        assert (now["infrastructure:cas"].state, now["infrastructure:db2"].state) == (
            "up",
            "unmeasured",
        )
        world.vendor("cas").away = True
        await world.passes(60)
        found = states(world)
        assert found.pop("infrastructure:cas") == "down"
        assert set(found.values()) == {"falls"}
        assert len(found) == 8, "four services and four journeys"
        assert queries.standings(world.node)["journey:pay"].over == ("service:tax",)
        world.vendor("cas").away = False
        await world.passes(60)
        assert states(world) == {}

    simulate(story, declared=MAP + WATCHED)


def test_a_lost_spare_weakens_and_fells_nothing() -> None:
    """One of two databases: what uses them goes on, with less behind it."""

    async def story(world: World) -> None:
        world.vendor("dbone").away = True
        await world.passes(60)
        assert states(world) == {
            "infrastructure:db1": "down",
            "service:permits": "weakened",
            "service:tax": "weakened",
        }

    simulate(story, declared=MAP + WATCHED)


def test_a_test_twin_and_an_open_breaker() -> None:
    """What fails in a test environment only leaves the map alone; a vendor nobody waits for is down."""
    declared = MAP.replace(
        "title: CardPay",
        "title: CardPay, environments: {production: {}, test: {twin_of: production}}",
    )
    declared += """
watch:
  checks:
    twin: {of: cardpay, environment: test, http: "http://twin.test/health", every: 10s}
work:
  routes:
    charge: {vendor: cardpay, to: "http://cardpay.test", timeout: 2s}
"""  # fmt: skip

    async def story(world: World) -> None:
        world.vendor("twin").away = True
        await world.passes(60)
        assert states(world) == {}
        world.vendor("cardpay").hangs = True
        for number in range(60):
            await world.call("charge", {"amount": 1990}, key=f"k{number}")
            await world.passes(1)
        assert states(world)["vendor:cardpay"] == "down"
        assert states(world)["journey:pay"] == "falls"

    simulate(story, declared=declared)


async def fall(world: World, *checks: str, come_back: bool = True) -> None:
    """These begin to fail within half a minute, and work again after half an hour."""
    for check in checks:
        of = world.node.catalogue.measures[check].of
        down = WentDown(
            about=f"check:{check}", of=of, since=world.now, reason="refused", failures=3
        )
        await world.node.record(down, by="detente:watch")
        await world.passes(10)
    await world.passes(1_800 if come_back else 0)
    for check in checks if come_back else ():
        of = world.node.catalogue.measures[check].of
        back = CameBack(about=f"check:{check}", of=of, since=world.now, lasted=1_800.0)
        await world.node.record(back, by="detente:watch")


def test_what_falls_together_without_a_declared_reason_is_suspected_once(tmp_path: Path) -> None:
    """Not by what the map explains, not again after a restart, and not again when it happens again."""
    three = ("cardpay", "db1", "forms")

    async def before(world: World) -> None:
        await world.passes(A_WEEK)
        await fall(world, "cas", "tax", "forms")
        assert not world.facts("dependencies.suspected"), "sign-on explains all of it"
        await world.passes(A_WEEK)
        await fall(world, *three, come_back=False)
        assert not world.facts("dependencies.suspected"), "the moment is not over yet"

    async def after_a_restart(world: World) -> None:
        await world.passes(1_800)
        (found,) = world.facts("dependencies.suspected")
        assert isinstance(found, Suspected)
        assert found.together == ("infrastructure:db1", "service:forms", "vendor:cardpay")
        assert found.chance < 0.001
        assert "may share something undeclared" in found.says()

    async def again(world: World) -> None:
        await world.passes(7_200)
        await fall(world, *three[:2])
        assert len(world.facts("dependencies.suspected")) == 1
        (kept,) = queries.suspicions(world.node.rows)
        assert kept.together == ("infrastructure:db1", "service:forms", "vendor:cardpay")

    ledger, start = tmp_path / "ledger.db", MORNING + timedelta(days=14, hours=1)
    simulate(before, declared=SELDOM, ledger=ledger)
    simulate(after_a_restart, declared=SELDOM, ledger=ledger, start=start)
    simulate(again, declared=SELDOM, ledger=ledger, start=start + timedelta(hours=1))

"""Is it seen how everything stands, and is a shared thing that nobody declared suspected?"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from detente.app import catalogue_of, declared_type
from detente.dependencies import queries
from detente.dependencies.effects import EFFECTS
from detente.dependencies.projection import changes
from detente.dependencies.settings import Dependencies
from detente.dependencies.slice import card
from detente.facts.dependencies import Suspected
from detente.facts.node import Started
from detente.facts.watch import OUTAGE, CameBack, WentDown
from detente.kernel import spans
from detente.kernel.config import Duration, loads
from detente.kernel.fact import Fact
from detente.kernel.ledger import Query
from detente.kernel.ledger.sqlite import SqliteLedger
from detente.kernel.node import Node
from detente.kernel.views import Views
from detente.testing import World, simulate
from detente.testing.loop import SimulatedLoop
from detente.testing.world import SimulatedClock, SimulatedNetwork

from .agency import MAP, WATCHED


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


# -- what fell together ----------------------------------------------------------------------------

A_DAY = 86_400.0


class Stage:
    """A node with nothing but dependencies, in simulated time; between two acts it was stopped."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.declared = loads(MAP + WATCHED.replace("db1", "db2"), declared_type())
        self._began = 0.0

    def play(self, act: Callable[[Node], Awaitable[None]]) -> None:
        with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
            runner.run(self._play(act))

    async def _play(self, act: Callable[[Node], Awaitable[None]]) -> None:
        await asyncio.sleep(self._began)
        clock, network = SimulatedClock(), SimulatedNetwork(random.Random(1))
        ledger = SqliteLedger(self.path, clock=clock, writer="inline")
        views = Views(":memory:", [spans.projection((OUTAGE,)), changes])
        views.catch_up(ledger)
        node = Node(
            clock=clock,
            chance=random.Random(1),
            network=network,
            ledger=ledger,
            views=views,
            catalogue=catalogue_of(self.declared),
            cards=(card,),
            declared={"dependencies": Dependencies(fell_together=Duration(60))},
        )
        effect = asyncio.create_task(EFFECTS[0].run(node))  # type: ignore[arg-type]
        try:
            await asyncio.sleep(0.01)
            await act(node)
        finally:
            self._began = asyncio.get_running_loop().time()
            effect.cancel()
            with suppress(asyncio.CancelledError):
                await effect
            views.close()
            await ledger.close()


async def fall(node: Node, *checks: str) -> None:
    """These begin to fail within half a minute."""
    for check in checks:
        of, since = node.catalogue.measures[check].of, node.clock.now()
        down = WentDown(about=f"check:{check}", of=of, since=since, reason="refused", failures=3)
        await node.record(down, by="detente:watch")
        await asyncio.sleep(10)


async def come_back(node: Node, *checks: str) -> None:
    for check in checks:
        of, since = node.catalogue.measures[check].of, node.clock.now()
        back = CameBack(about=f"check:{check}", of=of, since=since, lasted=1.0)
        await node.record(back, by="detente:watch")


def suspected(node: Node) -> list[Fact]:
    return [each.fact for each in node.ledger.read(Query(names=(Suspected.name,)))]


THREE = ("cardpay", "db2", "forms")


def test_what_the_map_explains_is_not_suspected(tmp_path: Path) -> None:
    """Sign-on falls, and with it two that need it."""

    async def act(node: Node) -> None:
        await node.record(Started(about="node:here", version="1"), by="detente")
        await asyncio.sleep(2 * A_DAY)
        await fall(node, "tax", "cas", "forms")
        await asyncio.sleep(A_DAY)
        assert suspected(node) == []

    Stage(tmp_path / "ledger.db").play(act)


def test_what_falls_together_without_a_declared_reason_is_suspected_once(tmp_path: Path) -> None:
    """When the moment is over, even if the node was stopped in it; and not again when it happens again."""

    async def they_fall(node: Node) -> None:
        await node.record(Started(about="node:here", version="1"), by="detente")
        await asyncio.sleep(2 * A_DAY)
        await fall(node, *THREE)
        assert suspected(node) == [], "the moment is not over yet"

    async def after_a_restart(node: Node) -> None:
        await asyncio.sleep(200)
        (found,) = suspected(node)
        assert isinstance(found, Suspected)
        assert found.together == ("infrastructure:db2", "service:forms", "vendor:cardpay")
        assert found.chance < 0.001
        assert "may share something undeclared" in found.says()

    async def and_again(node: Node) -> None:
        await come_back(node, *THREE)
        await asyncio.sleep(A_DAY)
        await fall(node, *THREE[:2])
        await asyncio.sleep(A_DAY)
        assert len(suspected(node)) == 1
        (kept,) = queries.suspicions(node.rows)
        assert kept.together == ("infrastructure:db2", "service:forms", "vendor:cardpay")

    stage = Stage(tmp_path / "ledger.db")
    for act in (they_fall, after_a_restart, and_again):
        stage.play(act)

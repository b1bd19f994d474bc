"""A node with nothing but incidents, in simulated time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from detente.incidents.effects import _end_actions, _keep
from detente.incidents.settings import Incidents
from detente.incidents.slice import card
from detente.kernel import spans
from detente.kernel.catalogue import Catalogue, Group, Infrastructure, Journey, Service, Vendor
from detente.kernel.ledger.sqlite import SqliteLedger
from detente.kernel.money import money
from detente.kernel.node import Node
from detente.kernel.views import Views
from detente.testing.loop import SimulatedLoop
from detente.testing.world import SimulatedClock, SimulatedNetwork

Story = Callable[[Node], Awaitable[None]]


class Stage:
    """Plays stories on one ledger: between two of them the node was stopped, or killed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.settings = Incidents()
        self.running = True
        self.catalogue = Catalogue(vendors={"cardpay": Vendor(title="CardPay"), "other": Vendor()})
        self._began = 0.0

    def play(self, story: Story) -> None:
        opened: list[SqliteLedger] = []
        try:
            with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
                runner.run(self._play(story, opened))
        finally:
            for ledger in opened:
                asyncio.run(ledger.close())  # not in simulated time: it may wait for a thread

    async def _play(self, story: Story, opened: list[SqliteLedger]) -> None:
        await asyncio.sleep(self._began)  # time went on while the node was away
        clock = SimulatedClock()
        ledger = SqliteLedger(self.path, clock=clock, writer="inline")
        opened.append(ledger)
        views = Views(":memory:", [spans.projection(card.spans), card.projection])  # type: ignore[list-item]
        views.catch_up(ledger)
        node = Node(
            clock=clock,
            chance=random.Random(1),
            network=SimulatedNetwork(random.Random(1)),
            ledger=ledger,
            views=views,
            catalogue=self.catalogue,
            cards=(card,),
            declared={"incidents": self.settings},
        )
        effects = [asyncio.create_task(run(node)) for run in self._runs()]
        try:
            await asyncio.sleep(0.01)
            await story(node)
        finally:
            self._began = asyncio.get_running_loop().time()
            for effect in effects:
                effect.cancel()
                with suppress(asyncio.CancelledError):
                    await effect
            views.close()

    def _runs(self) -> tuple[Story, ...]:
        return (_keep, _end_actions) if self.running else ()


AGENCY = Catalogue(
    infrastructure={
        "cas": Infrastructure(title="Sign-on", needs=("vm1",)),
        "vm1": Infrastructure(),
    },
    services={
        "portal": Service(title="Portal", needs=("cas", Group(can_live_without=("search",)))),
        "registry": Service(needs=("cas",)),
        "search": Service(),
    },
    journeys={
        "renew": Journey(title="Renew a permit", earns=money("1200", "EUR"), needs=("portal",)),
        "look-up": Journey(
            title="Look up an owner", earns=money("300", "EUR"), needs=("registry",)
        ),
    },
)
"""Story two in small: everything signs on at one server."""


@pytest.fixture
def agency(stage: Stage) -> Stage:
    stage.catalogue = AGENCY
    return stage


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path / "ledger.db")

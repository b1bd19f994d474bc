"""A node with nothing but the pager, in simulated time or in real time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from detente.facts.work import BREAKER
from detente.kernel import spans
from detente.kernel.catalogue import Catalogue, Service, Team, Vendor
from detente.kernel.clock import SystemClock
from detente.kernel.config import Address, Webhook
from detente.kernel.ledger.sqlite import SqliteLedger
from detente.kernel.mailing import Mail
from detente.kernel.network import Network
from detente.kernel.node import Node
from detente.kernel.views import Views
from detente.pager.effects import effects
from detente.pager.settings import Pager
from detente.pager.slice import card
from detente.testing.loop import SimulatedLoop
from detente.testing.world import SimulatedClock, SimulatedNetwork

Story = Callable[[Node], Awaitable[None]]


class Stage:
    """Plays stories on one ledger: between two of them the node was stopped, or killed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.network: Any = SimulatedNetwork(random.Random(1))
        self.teams = {
            "ops": Team(
                title="Operations",
                mail=("ops@example.com",),
                webhook=Webhook.read("http://chat.test/1"),
            ),
            "dev": Team(mail=("dev@example.com", "boss@example.com")),
        }
        self.server = "smtp.example.com:587"
        self.running = True
        self.pager: Pager | None = None
        self._began = 0.0

    def play(self, story: Story) -> None:
        """In simulated time."""
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
        try:
            async with self._node(clock, ledger, self.network) as node:
                await story(node)
        finally:
            self._began = asyncio.get_running_loop().time()

    @asynccontextmanager
    async def node(self, network: Network) -> AsyncIterator[Node]:
        """In real time, for real servers."""
        clock = SystemClock()
        ledger = SqliteLedger(self.path, clock=clock, writer="inline")
        try:
            async with self._node(clock, ledger, network) as node:
                yield node
        finally:
            await ledger.close()

    @asynccontextmanager
    async def _node(
        self, clock: SimulatedClock | SystemClock, ledger: SqliteLedger, network: Network
    ) -> AsyncIterator[Node]:
        assert card.projection is not None
        views = Views(":memory:", [spans.projection([BREAKER]), card.projection])
        views.catch_up(ledger)
        node = Node(
            clock=clock,
            chance=random.Random(1),
            network=network,
            ledger=ledger,
            views=views,
            catalogue=Catalogue(
                mail=Mail(
                    server=Address.read(self.server), sender="Détente <d@example.com>", tls="none"
                ),
                teams=self.teams,
                vendors={"cardpay": Vendor(title="CardPay"), "other": Vendor(teams=("dev",))},
                services={"portal": Service(title="Portal", needs=("cardpay",))},
            ),
            cards=(card,),
            declared={"pager": self.pager or Pager()},
            token="a secret",
        )
        wanted = [each for each in effects() if self.running and each.wanted(node)]
        tasks = [asyncio.create_task(each.run(node)) for each in wanted]
        try:
            await asyncio.sleep(0.01)
            yield node
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            views.close()


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path / "ledger.db")

"""A shop that is really shipped: a git repository, programs, a file that says which version runs."""

from __future__ import annotations

import asyncio
import random
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from detente.app import declared_type, mistakes, open_views, put_together
from detente.facts.releases import Requested, RunAsked
from detente.kernel.clock import Clock, SystemClock, later
from detente.kernel.config import loads
from detente.kernel.ledger.sqlite import SqliteLedger
from detente.kernel.node import Node
from detente.kernel.slice import Effect
from detente.releases import queries
from detente.releases.decisions import Release
from detente.releases.effects.carry import carry_on
from detente.testing import SimulatedNetwork

ABOUT = "release:1"


class Shop:
    """One service, its repository and its scripts, each of which a test may replace."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.repository = home / "repository"
        self.live = home / "live"
        self.log = home / "log"
        self.clock: Clock = SystemClock()
        self.more = ""  # of the service's section
        self.beside = ""  # sections beside `releases:`
        self.watch = ""
        self.ships_within = "1s"
        self.gate = f"{{run: [{home}/gate.sh]}}"
        self.verify = f"{{run: [{home}/verify.sh]}}"
        self.repository.mkdir()
        self._git("init", "-q", "-b", "main")
        for name, does in (
            ("gate", "echo 12 passed"),
            ("ship", f'echo "$DETENTE_VERSION" > {self.live}'),
            ("verify", "echo it answers"),
            ("back", f'echo "$DETENTE_PREVIOUS" > {self.live}'),
        ):
            self.script(name, does)
        self.old = self.commit("one")
        self.live.write_text(f"{self.old}\n")
        self.new = self.commit("two")

    def _git(self, *words: str) -> str:
        who = (
            "-c",
            "user.name=Ann",
            "-c",
            "user.email=ann@shop.test",
            "-c",
            "commit.gpgsign=false",
        )
        done = subprocess.run(
            ["git", *who, *words], cwd=self.repository, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self, words: str) -> str:
        (self.repository / "what").write_text(words)
        self._git("add", "what")
        self._git("commit", "-q", "-m", words)
        return self._git("rev-parse", "HEAD")

    def script(self, name: str, does: str) -> None:
        """What one of the steps does. Each writes into the log that it was there."""
        path = self.home / f"{name}.sh"
        path.write_text(f"#!/bin/sh\necho {name} >> {self.log}\n{does}\n")
        path.chmod(0o755)

    def ran(self) -> list[str]:
        return self.log.read_text().split() if self.log.exists() else []

    def runs(self) -> str:
        """The version that production has."""
        return self.live.read_text().strip()

    @property
    def declared(self) -> str:
        here = self.home
        return f"""
services: {{shop: {{title: Shop}}}}
{self.beside}
releases:
  services:
    shop:
      repository: {self.repository}
      gate: [{self.gate}]
      ship: {{run: [{here}/ship.sh], timeout: {self.ships_within}}}
      verify: [{self.verify}]
      back: {{run: [{here}/back.sh], timeout: 1s}}
      version: {{run: [cat, {self.live}]}}
      {self.watch}
{self.more}
"""

    @asynccontextmanager
    async def node(self, *, carries: bool = True) -> AsyncIterator[Node]:
        """A node in this process that carries releases out, and nothing else."""
        declared = loads(self.declared, declared_type(), cross=mistakes)
        clock = self.clock
        ledger = SqliteLedger(self.home / "detente.db", clock=clock)
        views = open_views(ledger, ":memory:")
        ledger.on_commit(partial(views.catch_up, ledger))
        node = put_together(
            declared,
            ledger=ledger,
            views=views,
            clock=clock,
            chance=random.Random(),
            network=SimulatedNetwork(random.Random(1)),
        )
        works = [carry_on(node)] if carries else []
        works += [effect.run(node) for effect in _of_acceptance(node) if effect.wanted(node)]
        tasks = [asyncio.ensure_future(each) for each in works]
        try:
            yield node
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            views.close()
            await ledger.close()

    async def let_go(
        self, node: Node, *, kind: str = "normal", toggles: tuple[str, ...] = ()
    ) -> None:
        """Ask for a release and run it."""
        now = node.clock.now()
        asked = Requested(
            about=ABOUT, title="Cheaper basket", kind=kind, service="service:shop", starts=now,
            ends=later(now, 3600), touches=("service:shop",), toggles=toggles,
        )  # fmt: skip
        await node.record(asked, RunAsked(about=ABOUT), by="Ann")

    async def comes_to(self, node: Node, *states: str) -> Release:
        """The release, once it has come to one of these states."""
        async with asyncio.timeout(30):
            async for _ in node.follow(("releases.*",), after=0):
                release = queries.one(node.rows, ABOUT)
                if release is not None and release.state in states:
                    return release
        raise AssertionError("the ledger ended")

    async def has_begun(self, node: Node, step: str) -> None:
        """Until that step's program has written into the log."""
        async with asyncio.timeout(30):
            while step not in self.ran():
                await asyncio.sleep(0.01)


def _of_acceptance(node: Node) -> list[Effect]:
    """What runs acceptance suites, where any are declared."""
    return [each for card in node.cards if card.noun == "acceptance" for each in card.effects]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)

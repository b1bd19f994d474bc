"""What has every story of the demo in common: a stage, a node, an audience that reads the ledger.

A story is played on real processes. Its director changes the world and pulls levers as people would;
whatever the node does about it, it does by itself. At the end stands what was promised beside what
was measured.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec

from detente.app import catalogue_of, load_declared
from detente.demo.actors import HOST
from detente.demo.stage import Actor, Line, free_port, page_port, program
from detente.demo.telling import Teller, tell_facts
from detente.kernel.catalogue import Catalogue
from detente.kernel.fact import Recorded


class Promised(msgspec.Struct, frozen=True):
    """One line of the table at the end: what was promised, what was measured, and whether it holds."""

    story: str
    row: str  # the rows of the mission that it belongs to: "5, 10"
    promise: str
    measured: str
    kept: bool


class Story:
    """The stage with everybody on it."""

    name = ""
    title = ""

    def __init__(self, home: Path, teller: Teller, *, web: int = 0, tempo: float = 1.0) -> None:
        """`tempo`: how long the acts last, 1 being the speed of a play one can follow."""
        home.mkdir(parents=True, exist_ok=True)
        self.home = home
        self.teller = teller
        self.tempo = tempo
        self.line = Line()
        self.ports: dict[str, int] = {}
        self.actors: dict[str, Actor] = {}
        self.catalogue = Catalogue()
        self.recorded: list[Recorded] = []
        self.table: list[Promised] = []
        self.restarting = asyncio.Lock()  # the node comes and goes by one hand at a time
        self._wanted = web
        self._heard = asyncio.Event()
        self._tasks: list[asyncio.Task[Any]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.clear_stage()

    @property
    def address(self) -> str:
        """Where the node's pages are."""
        return f"http://{HOST}:{self.ports['web']}"

    # -- what each story brings ------------------------------------------------------------------

    async def set_stage(self) -> None:
        """Everybody enters."""
        raise NotImplementedError

    async def acts(self) -> None:
        """Everything that happens until the last act."""
        raise NotImplementedError

    async def last_act(self) -> None:
        """How it ended, and the table of what was promised and what was measured."""
        raise NotImplementedError

    # -- coming and going ------------------------------------------------------------------------

    async def enter(self, name: str, module: str, *arguments: object) -> Actor:
        """One of our own programs comes on stage."""
        return await self.enter_as(name, program(f"detente.demo.actors.{module}", *arguments))

    async def enter_as(self, name: str, command: list[str]) -> Actor:
        self.actors[name] = Actor(name, command, self.home / f"{name}.log")
        await self.actors[name].enter()
        return self.actors[name]

    async def start_node(self, declared: str, **places: object) -> None:
        """The node, with this configuration; the audience reads its ledger from now on."""
        self.ports.setdefault("web", free_port(self._wanted))
        config = self.home / "detente.yaml"
        said = declared.format(home=self.home, host=HOST, **self.ports, **places)
        config.write_text(said, "utf-8")
        self.catalogue = catalogue_of(load_declared(config))
        command = program("detente", "up", "--config", config)
        node = Actor("node", command, self.home / "node.log", ready=page_port)
        self.actors["node"] = node
        await node.enter()
        ledger = self.home / "detente.db"
        telling = tell_facts(self.teller, ledger, self.catalogue, self._hear)
        self._tasks.append(asyncio.create_task(telling))

    async def clear_stage(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(actor.leave() for actor in self.actors.values()))
        await self.line.close()

    # -- what the director does ------------------------------------------------------------------

    async def goes_on(self, seconds: float) -> None:
        """Life goes on for so long."""
        await asyncio.sleep(seconds * self.tempo)

    async def ask(self, path: str) -> Any:
        """What the page at that path says, as JSON."""
        return await self.line.get(f"{self.address}{path}.json")

    async def pull(self, lever: str, about: str, who: str, **form: str) -> int:
        """Somebody presses a button on a page; answers with the HTTP status."""
        await self.line.submit(f"{self.address}/who", {"who": who}, self.address)
        said = {"about": about, "once": secrets.token_hex(8), **form}
        status = await self.line.submit(f"{self.address}/levers/{lever}", said, self.address)
        if status >= 400:
            self.teller.line("warn", f"{who} pulled {lever} on {about}, and it was refused")
        return status

    # -- what the audience hears -----------------------------------------------------------------

    async def _hear(self, recorded: Recorded) -> None:
        self.recorded.append(recorded)
        self._heard.set()

    def heard(self, name: str, about: str | None = None) -> list[Recorded]:
        """The facts of that name so far."""
        return [each for each in self.recorded if each.name == name and about in (None, each.about)]

    async def until(
        self, name: str, seconds: float, *, count: int = 1, about: str | None = None
    ) -> bool:
        """Wait for a fact of that name; False if it did not come in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while len(self.heard(name, about)) < count:
                    self._heard.clear()
                    await self._heard.wait()
                return True
        return False

    def promise(self, row: str, promise: str, measured: str, *, kept: bool) -> None:
        """One line of the table."""
        self.table.append(Promised(self.name, row, promise, measured, kept))


S = TypeVar("S", bound=Story)
Saboteur = Callable[[S], Coroutine[Any, Any, None]]


async def play(story: S, *, saboteur: Saboteur[S] | None = None) -> list[Promised]:
    """Play the story on its stage; answers with its table."""
    await story.set_stage()
    sabotage = asyncio.create_task(saboteur(story)) if saboteur else None
    await story.acts()
    if sabotage is not None:
        sabotage.cancel()
        with suppress(asyncio.CancelledError):
            await sabotage
        if not story.actors["node"].on_stage:
            await story.actors["node"].enter()
    await story.last_act()
    return story.table

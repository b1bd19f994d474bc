"""Who is in the world besides us, and what goes wrong there?"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from functools import partial
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from detente.acceptance.effects import Testers
from detente.acceptance.engine.parent import Order, Outcome
from detente.acceptance.settings import Suite
from detente.app import declared_type, levers_of, mistakes, open_views, put_together, run
from detente.kernel.clock import NS, Instant, Seconds, instant, moment
from detente.kernel.config import loads
from detente.kernel.fact import Fact, Recorded, Subject
from detente.kernel.ledger import LedgerError, Query
from detente.kernel.ledger.sqlite import SqliteLedger
from detente.kernel.network import MailServer, NoAnswer, NotReached, Reply, Unwelcome
from detente.kernel.node import Node
from detente.kernel.slice import Asked
from detente.kernel.web.pulling import Pulling
from detente.testing.loop import SimulatedLoop
from detente.watch.effects import Prober
from detente.watch.effects.agent import Agent
from detente.watch.engine.schedule import slots
from detente.watch.engine.spool import Spool
from detente.watch.engine.wire import Orders, Phase, Probe, Result, Verdict
from detente.work.effects import Desk
from detente.work.engine.gateway import Gateway
from detente.work.engine.mailbox import Mailbox
from detente.work.engine.travel import Incoming, Outgoing

T = TypeVar("T")

_MORNING = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)


class SimulatedClock:
    """The loop's simulated time as a moment in the calendar."""

    def __init__(self, start: datetime = _MORNING) -> None:
        self._start = instant(start)

    def now(self) -> Instant:
        return self._start + round(asyncio.get_running_loop().time() * NS)


@dataclass
class Mood:
    """How a simulated vendor feels. Shares are between 0 and 1."""

    latency: Seconds = 0.05
    hangs: bool = False  # takes the request and never answers
    away: bool = False  # does not even take connections
    errors: float = 0.0  # answers 503
    loses_answers: float = 0.0  # does it, and the answer is lost on the way


@dataclass
class SimulatedVendor(Mood):
    """A vendor with a book of its own, which nobody else writes in."""

    name: str = ""
    book: dict[str, dict[str, object]] = field(default_factory=dict)  # by idempotency key
    asked: int = 0

    async def answer(
        self, method: str, headers: Mapping[str, str], body: bytes, chance: random.Random
    ) -> Reply:
        """One request, as this vendor feels."""
        self.asked += 1
        if self.away:
            raise NotReached("connection refused")
        await asyncio.sleep(self.latency)
        if self.hangs:
            await asyncio.Event().wait()
        if chance.random() < self.errors:
            return Reply(503, (), b"")
        if method != "POST":
            return Reply(200, (), b"ok")
        return self._charge(headers, body, chance)

    def _charge(self, headers: Mapping[str, str], body: bytes, chance: random.Random) -> Reply:
        asked = json.loads(body)
        if str(asked.get("token", "")).startswith("tok_declined"):
            return Reply(402, (), b'{"error": "card_declined"}')
        key = headers.get("Idempotency-Key", f"none-{self.asked}")
        charge = self.book.setdefault(key, {"id": f"ch_{len(self.book) + 1}", **asked})
        if chance.random() < self.loses_answers:
            raise NoAnswer("the connection broke before an answer came")
        return Reply(201, (("Content-Type", "application/json"),), json.dumps(charge).encode())


class SimulatedNetwork:
    """Reaches the world's vendors by the host of the address, and keeps the mail."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.vendors: dict[str, SimulatedVendor] = {}
        self.mails: list[EmailMessage] = []
        self.hooks: list[tuple[str, object]] = []  # address and JSON of what was posted to chats
        self.mail_is_down = False

    async def call(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout: Seconds = 10.0,
    ) -> Reply:
        host = urlsplit(url).hostname or ""
        vendor = self.vendors.get(host)
        if vendor is None and host.startswith("chat"):
            self.hooks.append((url, json.loads(body)))
            return Reply(200, (), b"ok")
        if vendor is None:
            raise NotReached(f"name {host} does not exist")
        try:
            async with asyncio.timeout(timeout):
                return await vendor.answer(method, headers or {}, body, self.chance)
        except TimeoutError:
            raise NoAnswer(f"no answer within {timeout:g} s") from None

    async def mail(self, message: EmailMessage, server: MailServer) -> tuple[Unwelcome, ...]:
        await asyncio.sleep(0.01)
        if self.mail_is_down:
            raise NotReached(f"the mail server {server.host} did not take it: connection refused")
        self.mails.append(message)
        return ()

    async def close(self) -> None:
        pass


@dataclass
class Way:
    """How one place reaches everybody, and what is wrong on the way."""

    network: SimulatedNetwork
    cut_off: bool = False  # nothing gets out, to the node neither
    without_node: bool = False  # only the node cannot be reached
    unreachable: set[str] = field(default_factory=set)  # the names of whom it cannot reach
    loses: float = 0.0  # this share of all requests gets nowhere

    async def call(self, method: str, url: str, *, timeout: Seconds = 10.0) -> Reply:
        host = urlsplit(url).hostname or ""
        away = self.cut_off or host.partition(".")[0] in self.unreachable
        if away or (self.loses and self.network.chance.random() < self.loses):
            await asyncio.sleep(timeout)
            raise NotReached(f"no answer from {host} within {timeout:g} s (connecting)")
        return await self.network.call(method, url, timeout=timeout)


class _ToNode:
    """From another place to the node's addresses for programs, and to nothing else."""

    def __init__(self, node: Node, way: Way) -> None:
        self._node = node
        self._way = way
        self._endpoints = [each for card in node.cards for each in card.endpoints]

    async def call(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout: Seconds = 10.0,
    ) -> Reply:
        if self._way.cut_off or self._way.without_node:
            raise NotReached("no connection")
        head, _, last = urlsplit(url).path.rpartition("/")
        path = f"{head}/{{place}}"
        at = next(each for each in self._endpoints if (each.method, each.path) == (method, path))
        low = {name.lower(): value for name, value in (headers or {}).items()}
        asked = Asked(method=method, path={"place": last}, headers=low, body=body)
        if at.admits and not at.admits(self._node, asked):
            return Reply(403, (), b'{"error": "wrong token"}')
        try:
            answered = await at.answer(self._node, asked)
        except LedgerError as error:
            return Reply(503, (), json.dumps({"error": str(error)}).encode())
        if self._way.loses and self._way.network.chance.random() < self._way.loses:
            raise NoAnswer("the connection broke before an answer came")
        return Reply(answered.status, tuple(answered.headers.items()), answered.body)

    async def mail(self, message: EmailMessage, server: MailServer) -> tuple[Unwelcome, ...]:
        raise NotReached("no mail goes out from here")

    async def close(self) -> None:
        pass


class SimulatedProber:
    """Asks on the real schedule, in simulated time, over the simulated network."""

    def __init__(self, network: Way, clock: SimulatedClock) -> None:
        self.way = network
        self._clock = clock
        self._results: asyncio.Queue[list[Result]] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self.blind = False  # the prober itself is cut off

    async def start(self, orders: Orders) -> None:
        for probe in orders.probes:
            self._tasks.append(asyncio.create_task(self._ask_again_and_again(probe, orders.place)))

    async def results(self) -> AsyncIterator[list[Result]]:
        while True:
            yield await self._results.get()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _ask_again_and_again(self, probe: Probe, place: str) -> None:
        last = 0
        while True:
            now = max(self._clock.now(), last)  # a slot is never taken twice
            end = now + round(2 * probe.every * NS) + 1
            slot = next(iter(slots(probe.id, probe.every, now + 1, end, place=place)))
            await asyncio.sleep((slot - now) / NS)
            last = slot
            self._results.put_nowait([await self._ask(probe, slot)])

    async def _ask(self, probe: Probe, slot: Instant) -> Result:
        if self.blind:
            reason = "the prober itself is cut off"
            return Result(id=probe.id, slot=slot, at=slot, verdict="inconclusive", reason=reason)
        start = self._clock.now()
        failed_in: Phase | None = None
        url = probe.target if "://" in probe.target else f"tcp://{probe.target}"
        try:
            reply = await self.way.call("GET", url, timeout=probe.timeout)
            good = any(
                first <= reply.status <= last
                for first, last in (
                    each if isinstance(each, tuple) else (each, each)
                    for each in probe.expect_status
                )
            )
            reason, status = ("" if good else f"HTTP {reply.status}"), reply.status
        except (NotReached, NoAnswer) as trouble:
            good, reason, status = False, str(trouble), None
            failed_in = "connect" if isinstance(trouble, NotReached) else "first_byte"
        total = (self._clock.now() - start) / NS
        if good and probe.slow_after is not None and total > probe.slow_after:
            good, reason = False, f"answered in {total:.1f} s, slower than {probe.slow_after:g} s"
        verdict: Verdict = "ok" if good else "failed"
        return Result(
            id=probe.id,
            slot=slot,
            at=start,
            verdict=verdict,
            reason=reason,
            failed_in=failed_in,
            connect=None if failed_in == "connect" else 0.01,
            total=total,
            status=status,
        )


class SimulatedTester:
    """Runs a suite without pytest: each of its tests asks the address once and expects an answer.

    The tests are those that the suite names under `only`, or one.
    """

    def __init__(self, network: SimulatedNetwork, name: str, suite: Suite) -> None:
        self._network = network
        self._tests = suite.only or (f"{name} answers",)

    async def run(self, order: Order) -> list[Outcome]:
        return [await self._ask(test, order) for test in order.only or self._tests]

    async def _ask(self, test: str, order: Order) -> Outcome:
        began = asyncio.get_running_loop().time()
        try:
            reply = await self._network.call("GET", order.base_url, timeout=order.timeout)
            reason = "" if reply.status < 400 else f"HTTP {reply.status}"
        except (NotReached, NoAnswer) as trouble:
            reason = str(trouble)
        took = asyncio.get_running_loop().time() - began
        outcome = "failed" if reason else "passed"
        return Outcome(test=test, outcome=outcome, took=took, reason=reason)

    async def close(self) -> None:
        pass


class _NoListener:
    """In the simulated world callers walk in by `World.call`; no port is opened."""

    def __init__(self, *_given: object, **_named: object) -> None:
        pass

    async def start(self, _host: str, _port: int) -> None:
        pass

    async def close(self) -> None:
        pass


class World:
    """One node among its vendors."""

    def __init__(self, node: Node, network: SimulatedNetwork, prober: SimulatedProber) -> None:
        self.node = node
        self.network = network
        self.prober = prober
        self.chance = network.chance
        self.ways = {node.declared["watch"].place: prober.way}
        self.agents: dict[str, asyncio.Task[None]] = {}
        self.spools: list[Spool] = []

    @property
    def now(self) -> Instant:
        return self.node.clock.now()

    def vendor(self, name: str) -> SimulatedVendor:
        """The vendor behind every declared address that carries its name."""
        return next(each for each in self.network.vendors.values() if each.name == name)

    def look_from(self, place: str, spool: Path, *, token: str) -> asyncio.Task[None]:
        """Start an agent in that place; cancelled, it stops. Its way is in `ways`."""
        way = self.ways.setdefault(place, Way(self.network))
        clock = SimulatedClock(moment(self.now - round(asyncio.get_running_loop().time() * NS)))
        running = self._look(place, spool, token, way, clock)
        self.agents[place] = asyncio.create_task(running)
        return self.agents[place]

    async def _look(
        self, place: str, folder: Path, token: str, way: Way, clock: SimulatedClock
    ) -> None:
        spool = Spool(folder)
        self.spools.append(spool)
        agent = Agent(
            node="https://node.test", place=place, token=token, spool=spool,
            network=_ToNode(self.node, way), clock=clock,
            prober=lambda: SimulatedProber(way, clock),
        )  # fmt: skip
        try:
            await agent.run()
        finally:
            spool.close()

    async def stop_agents(self) -> None:
        for agent in self.agents.values():
            agent.cancel()
        await asyncio.gather(*self.agents.values(), return_exceptions=True)

    async def passes(self, seconds: Seconds) -> None:
        """So much time goes by."""
        await asyncio.sleep(seconds)

    async def call(
        self, route: str, body: object, *, key: str | None = None, method: str = "POST"
    ) -> Outgoing:
        """Somebody calls a vendor through the gateway."""
        desk: Desk = self.node.part(Desk)
        headers = (("Idempotency-Key", key),) if key else ()
        content = json.dumps(body).encode()
        return await desk.answer(Incoming(route, method, "/charges", headers, content))

    async def pull(self, lever: str, about: Subject, *, by: str = "someone", **form: str) -> None:
        """Somebody pulls a lever. Raises NotFound, BadForm, Refused."""
        pulling = Pulling(self.node, levers_of(self.node.cards))
        await pulling.pull(lever, {"about": about, **form}, by=by)

    def facts(self, *names: str) -> list[Fact]:
        """What happened so far, by name."""
        return [recorded.fact for recorded in self.recorded(*names)]

    def recorded(self, *names: str) -> list[Recorded]:
        return list(self.node.ledger.read(Query(names=names)))


def simulate(
    story: Callable[[World], Awaitable[T]],
    *,
    declared: str,
    seed: int = 1,
    start: datetime = _MORNING,
    ledger: Path | str = ":memory:",
) -> T:
    """Play a story in a world of its own and answer with what it returns.

    Every host that `watch` checks or `work` routes lead to is a vendor of the first part of its
    name: `http://cardpay.test/health` is cardpay's.
    """
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(_play(story, declared, seed, start, ledger))


async def _play(
    story: Callable[[World], Awaitable[T]],
    text: str,
    seed: int,
    start: datetime,
    ledger_path: Path | str,
) -> T:
    declared = loads(text, declared_type(), cross=mistakes)
    clock = SimulatedClock(start)
    network = SimulatedNetwork(random.Random(seed))
    prober = SimulatedProber(Way(network), clock)
    ledger = SqliteLedger(ledger_path, clock=clock, writer="inline")
    views = open_views(ledger, ":memory:")
    ledger.on_commit(partial(views.catch_up, ledger))
    node = put_together(
        declared,
        ledger=ledger,
        views=views,
        clock=clock,
        chance=random.Random(seed + 1),
        network=network,
        token="a-token-of-the-simulated-world",
    )
    node.parts |= {Prober: prober, Gateway: _NoListener, Mailbox: _NoListener}
    node.parts[Testers] = partial(SimulatedTester, network)
    _settle_vendors(node, network)
    stop = asyncio.Event()
    running = asyncio.create_task(run(node, stop))
    try:
        await asyncio.sleep(0.001)
        world = World(node, network, prober)
        playing = asyncio.ensure_future(story(world))
        await asyncio.wait([running, playing], return_when=asyncio.FIRST_COMPLETED)
        if not playing.done():
            playing.cancel()
            running.result()
        try:
            return await playing
        finally:
            await world.stop_agents()
    finally:
        stop.set()
        await asyncio.gather(running, return_exceptions=True)
        views.close()
        await ledger.close()


def _settle_vendors(node: Node, network: SimulatedNetwork) -> None:
    watch, work = node.declared["watch"], node.declared["work"]
    targets = [check.target for check in watch.checks.values()]
    targets += [str(route.to) for route in work.routes.values()]
    for suite in node.declared["acceptance"].suites.values():
        places = (suite.base_url.ci, suite.base_url.gate, suite.base_url.production)
        targets += [str(url) for url in places if url]
    for target in targets:
        host = urlsplit(target if "://" in target else f"tcp://{target}").hostname or ""
        network.vendors.setdefault(host, SimulatedVendor(name=host.partition(".")[0]))

"""Keeps the breakers of all routes in step with facts, and facts in step with the breakers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from detente.facts.watch import CameBack, SheetFiled
from detente.facts.work import BreakerClosed, BreakerOpened, RoutePaused, RouteResumed
from detente.kernel import spans
from detente.kernel.clock import Instant, later
from detente.kernel.fact import Fact, Subject, plain
from detente.kernel.ledger import LedgerError, Query
from detente.kernel.node import Node
from detente.work import queries
from detente.work.engine.breaker import Breaker, BreakerSettings, Change
from detente.work.settings import Route, Work

log = logging.getLogger(__name__)

_SHEETS = Query(names=(SheetFiled.name,))
_LOOK_EVERY = 5.0  # seconds between two looks at breakers that try again


class Breakers:
    """One breaker a route. `stir` is called whenever a route may have become free."""

    def __init__(self, node: Node, *, stir: Callable[[], None]) -> None:
        self.node = node
        self._routes = node.settings(Work).routes
        self._stir = stir
        self._known = node.ledger.head()  # levers pulled from here on are followed
        self._changes: asyncio.Queue[tuple[str, Change]] = asyncio.Queue()
        self._by_route = {name: self._made(name, route) for name, route in self._routes.items()}

    def __getitem__(self, route: str) -> Breaker:
        return self._by_route[route]

    async def recover(self) -> None:
        """Take up what facts say of pauses and breakers, also of routes that are gone."""
        for span in retired(self.node):
            closed = _no_route_any_more(self.node, span)
            key = f"retired:{span.opened_by}"
            await self.node.record(*closed, by="detente:work", key=key)
        for name, breaker in self._by_route.items():
            if spans.is_open(self.node.rows, "pause", f"route:{name}"):
                breaker.hold_open("the route is paused")
            elif spans.is_open(self.node.rows, "breaker", f"route:{name}"):
                breaker.hold_open("it was not answering when Détente stopped")
                breaker.release()  # it starts by doubting the vendor: one probe first

    async def follow_facts(self) -> None:
        """Pauses and releases reach the routes as facts, and so does a vendor that is back."""
        async for batch in self.node.follow(("work.*", CameBack.name), after=self._known):
            for recorded in batch:
                breaker = self._by_route.get(plain(recorded.about))
                match recorded.fact:
                    case RoutePaused() as paused if breaker:
                        breaker.hold_open(f"the route is paused: {paused.reason}")
                    case RouteResumed() if breaker:
                        breaker.release()
                    case CameBack() as back if self._in_production(back):
                        self._try_at_once(back.of)
            self._stir()

    def _in_production(self, back: CameBack) -> bool:
        return self.node.catalogue.in_production(back.of, back.environment)

    def _try_at_once(self, vendor: Subject) -> None:
        """The vendor answers its check again: no reason to sit out the rest of the wait."""
        for name, route in self._routes.items():
            breaker = self._by_route[name]
            if f"vendor:{route.vendor}" == vendor and breaker.snapshot().state == "open":
                breaker.hold_open("its check came back")
                breaker.release()

    def after_drill(self, route: str) -> None:
        """The vendor was only played dead: ask it at once."""
        if (breaker := self._by_route.get(route)) and breaker.snapshot().state == "open":
            breaker.hold_open("the drill is over")
            breaker.release()
        self._stir()

    async def look_after(self) -> None:
        """Close breakers that no call will close, because there is none to send."""
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            for name, route in self._routes.items():
                reason = self._vouches(name, route)
                if reason is not None:
                    self._by_route[name].vouch(reason)

    def _vouches(self, name: str, route: Route) -> str | None:
        """Why a breaker that tries again may close without another call, or None.

        Nothing must be left to send: otherwise calls tell. Then a good probe is enough; so is a
        check of the vendor's that answered since. Silence proves nothing: without a check it stays
        half open, and the next call tells.
        """
        now = self._by_route[name].snapshot()
        if now.state != "half-open" or now.in_flight:
            return None
        if spans.is_open(self.node.rows, "drill", f"route:{name}"):
            return None
        if queries.is_waiting_to_be_sent(self.node.rows, name):
            return None
        if now.good_probes:
            return "the last call came back well and nothing waits to be sent"
        since = later(self.node.clock.now(), now.since - asyncio.get_running_loop().time())
        if self._seen_well(self.node.catalogue.measures_of(f"vendor:{route.vendor}"), since):
            return "its check answers and nothing waits to be sent"
        return None

    def _seen_well(self, checks: Sequence[str], since: Instant) -> bool:
        """Does the newest sheet, begun after that moment, tell of good answers and no bad ones?"""
        for newest in self.node.ledger.read(_SHEETS, backwards=True, limit=1):
            sheet = newest.fact
            if isinstance(sheet, SheetFiled) and sheet.since >= since:
                told = [sheet.tallies[each] for each in checks if each in sheet.tallies]
                return any(each.ok for each in told) and not any(each.failed for each in told)
        return False

    async def note_changes(self) -> None:
        """Write down every change of a breaker, in order."""
        while True:
            name, change = await self._changes.get()
            about = f"route:{name}"
            route = self._routes[name]
            fact = _breaker_fact(self.node, about, route, change)
            if fact is not None:
                await self._note(fact)
            self._stir()

    async def _note(self, fact: Fact) -> None:
        while True:
            try:
                await self.node.record(fact, by="detente:work")
                return
            except LedgerError as error:
                log.error("%s is not written down yet: %s", fact.name, error)
                await asyncio.sleep(5)

    def _made(self, name: str, route: Route) -> Breaker:
        patience = route.breaker
        settings = BreakerSettings(
            window=patience.window,
            minimum_calls=patience.minimum_calls,
            failure_rate=patience.failure_rate,
            slow_after=patience.slow_after or route.timeout,
            slow_rate=patience.slow_rate,
            open_for=patience.open_for,
            open_for_at_most=patience.open_for_at_most,
            probes=patience.probes,
            closes_after=patience.closes_after,
        )

        def changed(change: Change) -> None:
            self._changes.put_nowait((name, change))

        return Breaker(settings, now=asyncio.get_running_loop().time, on_change=changed)


def _breaker_fact(node: Node, about: str, route: Route, change: Change) -> Fact | None:
    vendor = f"vendor:{route.vendor}"
    going = [span for span in spans.going_on(node.rows, "breaker") if span.about == about]
    if change.after == "open" and not going:
        return BreakerOpened(
            about=about,
            vendor=vendor,
            reason=change.reason,
            parks=bool(route.park),
            drill=spans.is_open(node.rows, "drill", about),
        )
    if change.after == "closed" and going:
        lasted = max(0.0, going[0].seconds(node.clock.now()))
        return BreakerClosed(about=about, vendor=vendor, lasted=lasted, reason=change.reason)
    return None  # probing, or open again after a probe: still the same outage of the route


def retired(node: Node) -> list[spans.Span]:
    """Breakers that are open on routes which are not declared any more: nothing would close them."""
    routes = node.settings(Work).routes
    return [
        each for each in spans.going_on(node.rows, "breaker") if plain(each.about) not in routes
    ]


def _no_route_any_more(node: Node, span: spans.Span) -> list[Fact]:
    opened = node.ledger.read(after=span.opened_by - 1, until=span.opened_by)
    lasted = span.seconds(node.clock.now())
    return [
        BreakerClosed(about=span.about, vendor=each.fact.vendor, lasted=lasted, retired=True)
        for each in opened
        if isinstance(each.fact, BreakerOpened)
    ]

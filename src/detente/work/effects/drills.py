"""Plays a dead vendor for a bounded time, and lets it come to life again.

Which drills are on is taken from facts, and when they end from the facts' own time: a restart in the
middle changes nothing. The vendor hears nothing of calls in a drill, so none of them is in doubt.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

import msgspec

from detente.facts.work import BreakerOpened, DrillBegan, DrillEnded, DrillPassed
from detente.kernel import spans
from detente.kernel.clock import Instant, Seconds, lasting, later, seconds_between
from detente.kernel.fact import Fact, Subject, plain
from detente.kernel.ledger import Condition, Conflict, LedgerError, Query
from detente.kernel.node import Node
from detente.kernel.spans import Span
from detente.work import decisions, queries
from detente.work.settings import Route, Work

log = logging.getLogger(__name__)

_LOOK_EVERY: Seconds = 1.0  # while the calls of a drill are being caught up with
_LONGEST_LOOK: Seconds = 30.0
_ERROR_TAKES: Seconds = 0.05


class Played(Exception):
    """The vendor was not asked: a drill plays it dead. The message says how."""


class AfterDrill(Protocol):
    """Whoever must know that a vendor is asked again."""

    def after_drill(self, route: str) -> None: ...


class Playing(msgspec.Struct, frozen=True):
    """One drill that is on."""

    how: str
    until: Instant


class Drills:
    """The drills of one node."""

    def __init__(self, node: Node, breakers: AfterDrill) -> None:
        self.node = node
        self._breakers = breakers
        self._routes = node.settings(Work).routes
        self._on: dict[str, Playing] = {}
        self._unpassed: dict[Subject, DrillEndedAt] = {}
        self._known = node.ledger.head()
        self._stirred = asyncio.Event()

    async def recover(self) -> None:
        """Take up the drills that were on, and those whose calls were not all done."""
        for span in spans.going_on(self.node.rows, "drill"):
            began = fact_at(self.node, span.opened_by)
            if plain(span.about) not in self._routes:
                facts = ending(self.node, span.about, aborted=True)
                key = f"retired:{span.opened_by}"
                await self.node.record(*facts, by="detente:work", key=key)
            elif isinstance(began, DrillBegan):
                self._begin(began, span.start)
        for name in self._routes:
            self._remember_ended(f"route:{name}")

    def plays(self, name: str) -> bool:
        """Is a drill on there?"""
        drill = self._on.get(name)
        return drill is not None and drill.until > self.node.now()

    def plays_dead(self, name: str) -> bool:
        """Does the vendor hear nothing at all of what is sent there now?"""
        return self.plays(name) and self._on[name].how != "slow"

    async def play(self, name: str, route: Route) -> Seconds:
        """How long the vendor may be waited for. Raises Played where it is not asked at all."""
        if not self.plays(name):
            return route.timeout
        match self._on[name].how:
            case "refuse":
                raise Played("drill: no connection, as if the vendor were gone")
            case "errors":
                await asyncio.sleep(_ERROR_TAKES)
                raise Played("drill: the vendor is played answering HTTP 503")
            case "slow":
                return await self._slowly(route)
            case _:
                await asyncio.sleep(route.timeout)
                raise Played(f"drill: no answer within {lasting(route.timeout)}")

    async def _slowly(self, route: Route) -> Seconds:
        slow = min(route.breaker.slow_after or route.timeout, route.timeout)
        await asyncio.sleep(slow)
        if slow >= route.timeout:
            raise Played(f"drill: no answer within {lasting(route.timeout)}")
        return route.timeout - slow

    async def follow_facts(self) -> None:
        """Drills begin and end as facts."""
        names = (DrillBegan.name, DrillEnded.name)
        async for batch in self.node.follow(names, after=self._known):
            for recorded in batch:
                match recorded.fact:
                    case DrillBegan() as began:
                        self._begin(began, recorded.at)
                    case DrillEnded():
                        self._on.pop(plain(recorded.about), None)
                        self._remember_ended(recorded.about)
                        self._breakers.after_drill(plain(recorded.about))
            self._stirred.set()

    def _begin(self, began: DrillBegan, at: Instant) -> None:
        """Never longer than declared, also if less was declared since."""
        route = self._routes.get(plain(began.about))
        most = later(at, route.drill_at_most) if route else at
        self._on[plain(began.about)] = Playing(began.how, min(began.until, most))

    async def end_in_time(self) -> None:
        """End what has lasted long enough; note when the last call of a drill is done."""
        while True:
            self._stirred.clear()
            try:
                for name, drill in list(self._on.items()):
                    if drill.until <= self.node.now():
                        await self._end(name)
                for ended in list(self._unpassed.values()):
                    await self._pass(ended)
            except LedgerError as error:
                log.error("the end of a drill is not written down yet: %s", error)
            try:
                async with asyncio.timeout(self._wait()):
                    await self._stirred.wait()
            except TimeoutError:
                pass

    def _wait(self) -> Seconds | None:
        now = self.node.now()
        waits = [max(0.05, seconds_between(now, each.until)) for each in self._on.values()]
        for each in self._unpassed.values():
            # A call that people hold may take days: look less and less often.
            age = seconds_between(each.at, now)
            waits.append(min(max(_LOOK_EVERY, age / 20), _LONGEST_LOOK))
        return min(waits, default=None)

    async def _end(self, name: str) -> None:
        about = f"route:{name}"
        facts = ending(self.node, about, aborted=False)
        opened = [span.opened_by for span in spans.going_on(self.node.rows, "drill")]
        after = max(opened, default=0)
        condition = Condition(Query(names=(DrillEnded.name,), subjects=(about,)), after)
        try:
            await self.node.record(*facts, by="detente:work", condition=condition)
        except Conflict:  # somebody ended it this very moment
            log.debug("the drill on %s was over already", about)
        self._on.pop(name, None)

    def _remember_ended(self, about: Subject) -> None:
        """The route's last drill, unless all its calls are known to be done."""
        names = (DrillBegan.name, DrillEnded.name, DrillPassed.name)
        asked = Query(names=names, subjects=(about,))
        last = list(self.node.ledger.read(asked, backwards=True, limit=2))
        self._unpassed.pop(about, None)
        ended, began = (last[0], last[1]) if len(last) == 2 else (None, None)
        if ended and began and isinstance(ended.fact, DrillEnded):
            vendor, over = ended.fact.vendor, ended.fact.since or ended.at
            self._unpassed[about] = DrillEndedAt(about, vendor, began.position, began.at, over)

    async def _pass(self, ended: DrillEndedAt) -> None:
        route = plain(ended.about)
        counts = queries.counts(self.node.rows, route, ended.began, ended.at + 1)
        facts = decisions.pass_drill(
            ended.about, ended.vendor, ended.drill, ended.at, counts, now=self.node.now()
        )
        if facts:
            await self.node.record(*facts, by="detente:work", key=f"drill:{ended.drill}:passed")
            self._unpassed.pop(ended.about, None)


class DrillEndedAt(msgspec.Struct, frozen=True):
    """A drill that is over and whose calls are not all known to be done."""

    about: Subject
    vendor: Subject
    drill: int  # position of the fact that began it
    began: Instant
    at: Instant


def ending(node: Node, about: Subject, *, aborted: bool) -> list[Fact]:
    """What is written down when the drill on a route ends; nothing if none is on."""
    drill = _open(node, "drill", about)
    if drill is None:
        return []
    began = fact_at(node, drill.opened_by)
    vendor = began.vendor if isinstance(began, DrillBegan) else ""
    now = node.now()
    over = min(now, began.until) if isinstance(began, DrillBegan) else now
    counts = queries.counts(node.rows, plain(about), drill.start, over + 1)
    breaker = _open(node, "breaker", about)
    opened = fact_at(node, breaker.opened_by) if breaker else None
    played = isinstance(opened, BreakerOpened) and opened.drill
    return decisions.end_drill(
        drill, vendor, counts, breaker if played else None, over=over, now=now, aborted=aborted
    )


def _open(node: Node, kind: str, about: Subject) -> Span | None:
    going = (span for span in spans.going_on(node.rows, kind) if span.about == about)
    return next(going, None)


def fact_at(node: Node, position: int) -> Fact | None:
    """The fact that stands there."""
    there = node.ledger.read(after=position - 1, until=position)
    return next((recorded.fact for recorded in there), None)

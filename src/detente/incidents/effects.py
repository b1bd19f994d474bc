"""Follows what goes down and comes back, and keeps incidents true to it.

How far was read is written together with what was decided, so a crash neither repeats nor forgets;
and each writing is refused if anything newer stands there about incidents, so an incident closed a
moment ago is never joined. When one will be closed is computed from rows: a restart changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from detente.facts import acceptance
from detente.facts.acceptance import BeganFailing, PassesAgain
from detente.facts.incidents import Closed
from detente.facts.watch import CameBack, Retired, WentDown
from detente.facts.work import BreakerClosed, BreakerOpened
from detente.incidents import decisions, queries
from detente.incidents.decisions import Down, Incident, afterwards
from detente.incidents.projection import DRILL, FELL, OURS, ROSE
from detente.incidents.queries import retrospectives
from detente.incidents.settings import Incidents
from detente.kernel.clock import Instant, Seconds, seconds_between
from detente.kernel.fact import Fact, Recorded
from detente.kernel.ledger import Condition, Conflict, Query
from detente.kernel.node import Node
from detente.kernel.slice import Effect

READER = "incidents"
_FOLLOWED = (*FELL, *ROSE)
_LONGEST_WAIT = 3_600.0


class Keeper:
    """Opens, joins and closes incidents of one node."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.settings = node.settings(Incidents)
        self._stirred = asyncio.Event()

    async def follow(self) -> None:
        """Decide on every failure and every recovery, once, in order."""
        ledger = self.node.ledger
        async for batch in self.node.follow(_FOLLOWED, after=ledger.read_by(READER)):
            for recorded in batch:
                await self._take_in(recorded)
            at = (READER, batch[-1].position)
            await ledger.append((), by="detente:incidents", reader=at)
            self._stirred.set()

    async def _take_in(self, recorded: Recorded) -> None:
        while True:
            known = self.node.views.position
            facts = self._decide(recorded)
            if not facts:
                return
            try:
                await self.node.record(
                    *facts,
                    by="detente:incidents",
                    condition=Condition(Query(names=OURS), known),
                    key=f"{READER}@{recorded.position}",
                    reader=(READER, recorded.position),
                )
                return
            except Conflict:
                self.node.views.catch_up(self.node.ledger)

    def _decide(self, recorded: Recorded) -> Sequence[Fact]:
        rows = self.node.rows
        match recorded.fact:
            case WentDown() as fact:
                down = Down(
                    cause=fact.about,
                    of=fact.of,
                    since=fact.since,
                    reason=fact.reason,
                    environment=fact.environment,
                )
                return self._fell(down, recorded.at)
            case BreakerOpened() as fact:
                at, reason = recorded.at, fact.reason
                place = DRILL if fact.drill else ""
                return self._fell(
                    Down(
                        cause=fact.about, of=fact.vendor, since=at, reason=reason, environment=place
                    ),
                    at,
                )
            case CameBack() as fact:
                incident = queries.of_cause(rows, fact.about)
                return decisions.recovered(fact.about, fact.since, incident)
            case BreakerClosed() as fact:
                incident = queries.of_cause(rows, fact.about)
                return decisions.recovered(fact.about, recorded.at, incident, retired=fact.retired)
            case BeganFailing() as fact:
                return self._fell(
                    Down(
                        cause=fact.about,
                        of=fact.of or fact.about,
                        since=fact.since,
                        reason=fact.reason,
                    ),
                    recorded.at,
                )
            case PassesAgain() as fact:
                incident = queries.of_cause(rows, fact.about)
                return decisions.recovered(fact.about, fact.since, incident)
            case Retired() | acceptance.Retired() as fact:
                incident = queries.of_cause(rows, fact.about)
                return decisions.recovered(fact.about, recorded.at, incident, retired=True)
            case _:
                return []

    def _fell(self, down: Down, at: Instant) -> Sequence[Fact]:
        rows = self.node.rows
        incident, needs = queries.open_of(rows, down.of), self.node.catalogue.needs
        going_on = [] if incident else self._going_on(at)
        return decisions.fell(
            down,
            incident,
            opens_for=self.settings.opens_for,
            number=queries.next_number(rows),
            fellows=queries.down_of(rows, down.of),
            over=decisions.close_if_quiet(incident, self._quiet(incident), at) if incident else (),
            felled_by=decisions.felling(down.of, going_on, needs),
            fells=decisions.felled(down, going_on, needs),
        )

    def _going_on(self, at: Instant) -> list[Incident]:
        """Every open incident whose quiet time is not over yet."""
        there = queries.going_on(self.node.rows)
        return [each for each in there if not decisions.close_if_quiet(each, self._quiet(each), at)]

    def _quiet(self, incident: Incident) -> Seconds:
        return queries.quiet_time(self.node.rows, incident, self.settings.closes_after)

    async def close(self) -> None:
        """Close each incident when its quiet time is over."""
        while True:
            self._stirred.clear()
            await self.close_what_is_over()
            try:
                async with asyncio.timeout(self._until_next()):
                    await self._stirred.wait()
            except TimeoutError:
                pass

    async def close_what_is_over(self) -> None:
        known = self.node.views.position
        if self._unread(known):
            return  # what it says may be that something is down again: `follow` stirs us after it
        now = self.node.now()
        for incident in queries.going_on(self.node.rows):
            closing = decisions.close_if_quiet(incident, self._quiet(incident), now)
            if not closing:
                continue
            facts = [*closing, *self._retrospective_of(incident, closing, now)]
            newer = Condition(Query(names=(*_FOLLOWED, *OURS)), known)
            try:
                receipt = await self.node.record(*facts, by="detente:incidents", condition=newer)
            except Conflict:
                self._stirred.set()
                return
            known = max(known, receipt.last)

    def _retrospective_of(
        self, incident: Incident, closing: Sequence[Closed], now: Instant
    ) -> list[Fact]:
        """Opened by itself, if it lasted long enough and nobody has opened it."""
        lasted = max(each.lasted for each in closing)
        deserved = afterwards.deserves_one(lasted, self.settings.retrospective_after)
        if not deserved or retrospectives.of(self.node.rows, incident.about):
            return []
        return [afterwards.opened(incident, now, self.settings.answered_within)]

    def _unread(self, known: int) -> bool:
        read = self.node.ledger.read_by(READER)
        unread = self.node.ledger.read(Query(names=_FOLLOWED), after=read, until=known, limit=1)
        return any(True for _ in unread)

    def _until_next(self) -> float:
        open_ones = queries.going_on(self.node.rows)
        ends = (decisions.closes_at(each, self._quiet(each)) for each in open_ones)
        times = [at for at in ends if at is not None]
        if not times:
            return _LONGEST_WAIT
        wait = seconds_between(self.node.now(), min(times))
        return min(max(wait, 0.01), _LONGEST_WAIT)


async def _keep(node: Node) -> None:
    keeper = Keeper(node)
    async with asyncio.TaskGroup() as group:
        group.create_task(keeper.follow())
        group.create_task(keeper.close())


async def _end_actions(node: Node) -> None:
    """Close each action when what it waits for is there and has run."""

    def decide(recorded: Recorded) -> Sequence[Fact]:
        return afterwards.done(retrospectives.waiting(node.rows), recorded)

    await node.react("incidents.actions", _ENDS_ACTIONS, decide)


_ENDS_ACTIONS = (
    "watch.sheet_filed", "acceptance.ran", "acceptance.suite_ran", "toggles.defined",
    "work.drill_ended",
)  # fmt: skip


def effects() -> tuple[Effect, ...]:
    return (Effect("incidents", _keep), Effect("actions", _end_actions))

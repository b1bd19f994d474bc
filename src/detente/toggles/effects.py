"""Writes down what is declared, switches what is due, and stands guard after a switch.

Everything is worked out from facts: which step is due, which switch is watched, what was seen since. So a
restart goes on where it was, and each step and each guard has one outcome, whatever happens meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from detente.facts.toggles import Counted, Defined, Retired, Scheduled, ScheduleDropped, Usage
from detente.kernel.clock import seconds_between
from detente.kernel.fact import Fact, plain
from detente.kernel.ledger import Condition, Conflict, Query
from detente.kernel.node import Node
from detente.kernel.slice import Effect
from detente.toggles import queries
from detente.toggles.decisions import guarding
from detente.toggles.decisions.definition import CannotBe, Declared, as_json, read
from detente.toggles.decisions.standing import put
from detente.toggles.projection import SWITCHES
from detente.toggles.queries import Known, Step
from detente.toggles.settings import Toggles

_BY = "detente:toggles"
_GLANCE = 1.0  # seconds between two looks of a guard
_LONGEST_WAIT = 3_600.0
_COUNTED_EVERY = 60.0
_STIRRED_BY = (*SWITCHES, Scheduled.name, ScheduleDropped.name)


async def define(node: Node) -> None:
    """Write down what is new, changed or gone since the last start, once."""
    there, known = queries.toggles(node), queries.known(node.rows)
    generation = node.settings(Toggles).generation
    for each in there.values():
        now = known.get(each.about)
        if now is None or now.retired_at is not None or _differs(each, now, generation):
            key = f"toggles:defined:{each.about}:{now.position if now else 0}"
            await node.record(_defined(each, generation), by=_BY, key=key)
    for about, now in known.items():
        if plain(about) not in there and now.retired_at is None:
            key = f"toggles:retired:{about}:{now.position}"
            await node.record(Retired(about=about), by=_BY, key=key)
    await _plan(node)


def _defined(toggle: Declared, generation: str) -> Defined:
    return Defined(
        about=toggle.about, definition=as_json(toggle.definition), owner=toggle.owner,
        belongs_to=toggle.of, generation=generation,
    )  # fmt: skip


def _differs(toggle: Declared, known: Known, generation: str) -> bool:
    said = (known.definition, known.owner, known.of, known.generation)
    return (as_json(toggle.definition), toggle.owner, toggle.of, generation) != said


async def _plan(node: Node) -> None:
    """Declared steps are planned once; those that were taken out of the declaration are dropped."""
    toggles = queries.toggles(node)
    for each in toggles.values():
        for at, to in each.steps:
            planned = Scheduled(about=each.about, at=at, to=to, declared=True)
            await node.record(planned, by=_BY, key=f"toggles:declared:{each.about}:{at}:{to}")
    for step in queries.steps(node.rows):
        there = toggles.get(plain(step.about))
        if step.declared and (there is None or (step.at, step.to) not in there.steps):
            why = "it is not declared any more"
            gone = ScheduleDropped(about=step.about, step=step.position, why=why)
            await node.record(gone, by=_BY, key=f"toggles:undeclared:{step.position}")


class Keeper:
    """Switches what is due and stands guard, for one node."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._stirred = asyncio.Event()

    async def listen(self) -> None:
        async for _ in self.node.follow(_STIRRED_BY, after=self.node.views.position):
            self._stirred.set()

    async def keep(self) -> None:
        while True:
            self._stirred.clear()
            await self.do_what_is_due()
            await self.look()
            try:
                async with asyncio.timeout(self._until_next()):
                    await self._stirred.wait()
            except TimeoutError:
                pass

    async def do_what_is_due(self) -> None:
        """Each step once: it is done by a fact that names it."""
        now = self.node.now()
        for step in queries.steps(self.node.rows):
            if step.at <= now:
                known = self.node.views.position
                fact = self._carried_out(step)
                key = f"toggles:step:{step.position}"
                await self._decide_on(step.about, [fact], key=key, known=known)

    def _carried_out(self, step: Step) -> Fact:
        toggle = queries.toggle(self.node, step.about)
        if toggle is None:
            why = "the toggle is not declared any more"
            return ScheduleDropped(about=step.about, step=step.position, why=why)
        try:
            wanted = read(toggle, step.to)
        except CannotBe as wrong:
            return ScheduleDropped(about=step.about, step=step.position, why=str(wrong))
        why = step.why or f"scheduled{'' if step.declared else f' by {step.by}'}"
        return put(toggle, wanted, why=why, release=step.release, step=step.position)

    async def look(self) -> None:
        """What has each guard seen? One outcome for each switch, ever."""
        for flip, toggle, guard in queries.under_guard(self.node):
            known = self.node.views.position
            facts = guarding.judge(
                flip,
                queries.watched(self.node, toggle, guard, flip),
                queries.broken(self.node.rows, guard, flip),
                guard_for=float(guard.for_),
                now=self.node.now(),
            )
            key = f"toggles:guard:{flip.position}"
            await self._decide_on(flip.about, facts, key=key, known=known)

    async def _decide_on(self, about: str, facts: Sequence[Fact], *, key: str, known: int) -> None:
        """Record it, unless somebody has switched it or changed the plan meanwhile: then look again."""
        newer = Condition(Query(names=_STIRRED_BY, subjects=(about,)), known)
        try:
            if facts:
                await self.node.record(*facts, by=_BY, condition=newer, key=key)
        except Conflict:
            self._stirred.set()

    def _until_next(self) -> float:
        if queries.under_guard(self.node):
            return _GLANCE
        for step in queries.steps(self.node.rows):
            wait = seconds_between(self.node.now(), step.at)
            return min(max(wait, 0.01), _LONGEST_WAIT)
        return _LONGEST_WAIT


async def tell_counts(node: Node) -> None:
    """Who asks us by OFREP tells no counts; what we answered is counted here."""
    began = node.now()
    while True:
        await asyncio.sleep(_COUNTED_EVERY)
        now = node.now()
        if taken := queries.take_counts(node):
            counts = {
                name: {variant: Usage(asked=count) for variant, count in variants.items()}
                for name, variants in taken.items()
            }
            told = Counted(about="program:ofrep", since=began, until=now, counts=counts)
            await node.record(told, by=_BY)
        began = now


async def _keep(node: Node) -> None:
    await define(node)
    keeper = Keeper(node)
    async with asyncio.TaskGroup() as group:
        group.create_task(keeper.listen())
        group.create_task(keeper.keep())
        group.create_task(tell_counts(node))


EFFECTS = (Effect("toggles", _keep),)

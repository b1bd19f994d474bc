"""Keeps a prober at work, judges what it and other places saw, and files it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Literal, Protocol

from detente.facts.watch import AnswerChanged, SheetFiled
from detente.kernel import spans
from detente.kernel.clock import NS, Instant
from detente.kernel.fact import Fact
from detente.kernel.ledger import LedgerError, Query
from detente.kernel.node import Node
from detente.watch import decisions
from detente.watch.decisions import Answers, Standing, Whole
from detente.watch.effects.court import Court
from detente.watch.effects.orders import only, orders_for
from detente.watch.engine.parent import ProberProcess
from detente.watch.engine.schedule import slots
from detente.watch.engine.wire import Orders, Result
from detente.watch.settings import Check, Watch, owner

log = logging.getLogger(__name__)


class Prober(Protocol):
    """Whoever does the asking: a process of its own, or the simulated world."""

    async def start(self, orders: Orders) -> None: ...

    def results(self) -> AsyncIterator[list[Result]]: ...

    async def close(self) -> None: ...


class Watcher:
    """What one node knows of its checks while it runs."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.watch = node.settings(Watch)
        self.looks = {
            name: {place: self._remembered(name, place) for place in self.watch.looking_at(check)}
            for name, check in self.watch.checks.items()
        }
        self.last: dict[
            tuple[str, str], Result
        ] = {}  # by check and place: what last told something
        self._wholes = {name: self._remembered_whole(name) for name in self.watch.checks}
        self._answers = {
            (name, what): self._remembered_answers(name, what)
            for name in self.watch.checks
            for what in _ANSWERS
        }
        self._length = round(self.watch.sheet * NS)
        self._since = self.began = node.clock.now()
        self._unfiled: list[Result] = []
        self._untold: list[Fact] = []  # decided on, and not on the ledger yet
        self._behind: set[str] = set()  # places that have more to tell than they have told yet
        self._undelivered: dict[str, list[Fact]] = {}  # the same for sheets of other places, by key

    @property
    def standings(self) -> dict[str, Standing]:
        """How each check stands as seen from our own place."""
        here = self.watch.place
        return {name: looks[here] for name, looks in self.looks.items() if here in looks}

    def _is_ours_alone(self, check: Check) -> bool:
        return self.watch.looking_at(check) == (self.watch.place,)

    # -- after a restart ------------------------------------------------------------------------------

    def _remembered(self, name: str, place: str) -> Standing:
        """A check that was down when the node stopped is down until it answers."""
        check = self.watch.checks[name]
        alone = self._is_ours_alone(check)
        mine = self._going_on(f"check:{name}" if alone else decisions.look_of(name, place))
        whole = self._going_on(f"check:{name}")
        fallen = mine.get("outage") or mine.get("unreached")
        if fallen is None and check.warns_only:
            fallen = mine.get("warning")
        return Standing(
            down=fallen is not None,
            down_since=fallen.start if fallen else 0,
            reason=fallen.says if fallen else "",
            warned=fallen is not None and fallen.kind == "warning",
            worried="warning" in whole and not check.warns_only,
            blind="blind" in mine,
        )

    def _remembered_whole(self, name: str) -> Whole:
        mine = self._going_on(f"check:{name}")
        check = self.watch.checks[name]
        fallen = mine.get("outage") or (mine.get("warning") if check.warns_only else None)
        if fallen is None:
            return Whole()
        return Whole(down=True, down_since=fallen.start, warned=fallen.kind == "warning")

    def _going_on(self, about: str) -> dict[str, spans.Span]:
        return {each.kind: each for each in spans.going_on(self.node.rows) if each.about == about}

    def _remembered_answers(self, name: str, what: str) -> Answers:
        asked = Query(names=(AnswerChanged.name,), subjects=(f"check:{name}",))
        for recorded in self.node.ledger.read(asked, backwards=True, limit=10):
            if isinstance(recorded.fact, AnswerChanged) and recorded.fact.what == what:
                return Answers(known=recorded.fact.after)
        return Answers()

    # -- what was seen --------------------------------------------------------------------------------

    async def heard(self, results: Sequence[Result]) -> None:
        """Judge results as they come; what changes is on the ledger before the next ones are read."""
        facts, self._untold = self._untold, []
        facts += self._judge(self.watch.place, results)
        self._unfiled.extend(results)
        if not facts:
            return
        try:
            await self.node.record(*facts, by=f"place:{self.watch.place}")
        except LedgerError as error:
            self._untold = [*facts, *self._untold]
            log.error("%d changes are not written down yet: %s", len(facts), error)

    async def receive(
        self,
        place: str,
        sheet: SheetFiled,
        results: Sequence[Result],
        packed: bytes | None,
        *,
        more: bool = False,
    ) -> None:
        """Take in a sheet of another place: it and all it changes are written together, once.

        `more`: newer ones wait to be handed in, so this one does not speak of the present.
        """
        (self._behind.add if more else self._behind.discard)(place)
        key = f"sheet:{place}:{sheet.since}-{sheet.until}"
        if key not in self._undelivered:
            self._undelivered[key] = [sheet, *self._judge(place, results)]
        facts = self._undelivered[key]
        attached = None if packed is None else {0: packed}
        await self.node.record(*facts, by=f"place:{place}", key=key, attach=attached)
        self._undelivered.pop(key, None)

    def _judge(self, place: str, results: Sequence[Result]) -> list[Fact]:
        facts: list[Fact] = []
        for result in results:
            check = self.watch.checks.get(result.id)
            if check is not None and place in self.looks[result.id]:
                facts += self._judge_one(result.id, check, place, result)
        return facts

    def _judge_one(self, name: str, check: Check, place: str, result: Result) -> list[Fact]:
        of = owner(name, check, self.node.catalogue)
        before = self.looks[name][place]
        standing, news = decisions.judge(name, check, of, before, result)
        self.looks[name][place] = standing
        if standing.seen != before.seen:
            self.last[name, place] = result
            news += self._noticed(name, check, of, place, result)
        return news if self._is_ours_alone(check) else self._together(name, place, news)

    def _together(self, name: str, place: str, news: list[Fact]) -> list[Fact]:
        """What one place saw, and what it means for the check."""
        check = self.watch.checks[name]
        looks = self.looks[name]
        seen = decisions.as_seen_from(place, check, looks[place], news)
        self._wholes[name], more = decisions.put_together(
            name, check, owner(name, check, self.node.catalogue), self._wholes[name], looks, seen,
            now=self.node.clock.now(), sheet=self.watch.sheet, behind=self._behind,
        )  # fmt: skip
        return [*seen, *more]

    def _noticed(self, name: str, check: Check, of: str, place: str, result: Result) -> list[Fact]:
        """Another address, another certificate: as the first place that looks sees it."""
        if place != self.watch.looking_at(check)[0]:
            return []
        facts: list[Fact] = []
        said = {"address": result.ip, "certificate": result.tls_fingerprint}
        for what in _ANSWERS:
            self._answers[name, what], more = decisions.notice(
                f"check:{name}", of, what, self._answers[name, what], said[what], result.slot
            )
            facts += more
        return facts

    # -- sheets -----------------------------------------------------------------------------------------

    async def file(self, until: Instant) -> None:
        """File everything up to then as one sheet."""
        since, place = self._since, self.watch.place
        if until <= since:
            return  # the clock was set back; this sheet goes on until it has caught up
        mine = [each for each in self._unfiled if each.slot < until]
        expected = {
            name: list(slots(name, check.every, since, until, place=place))
            for name, check in self.watch.checks.items()
            if place in self.watch.looking_at(check)
        }
        sheet, packed = decisions.file_sheet(place, since, until, expected, mine)
        # What comes in while this is written belongs to the next sheet.
        self._unfiled = [each for each in self._unfiled if each.slot >= until]
        self._since = until
        try:
            await self.node.record(sheet, by=sheet.about, attach={0: packed})
        except LedgerError:
            self._unfiled, self._since = mine + self._unfiled, since
            raise

    async def file_regularly(self) -> None:
        """A sheet is closed once the slowest run that began in it must have ended."""
        grace = max((check.waits for check in self.watch.checks.values()), default=0.0) + 0.5
        wait = min(self._length / NS, grace + 1)  # the first one soon: somebody is looking
        while True:
            await asyncio.sleep(wait)
            wait = self._length / NS
            until = self.node.clock.now() - round(grace * NS)
            try:
                await self.file(until)
            except LedgerError as error:
                log.error("a sheet of results is not filed yet: %s", error)


_ANSWERS: tuple[Literal["address", "certificate"], ...] = ("address", "certificate")


class Probers:
    """The prober, and beside it a worker for plugins, where there are any: neither holds the other up."""

    def __init__(self, given: Prober | None = None) -> None:
        self._given = given
        self._at_work: list[Prober] = []

    async def start(self, orders: Orders) -> None:
        if self._given is not None:
            self._at_work = [self._given]
            await self._given.start(orders)
            return
        for part in (only(orders, plugins=False), only(orders, plugins=True)):
            if part.probes:
                prober = ProberProcess()
                self._at_work.append(prober)
                await prober.start(part)

    async def listen(self, hear: Callable[[list[Result]], Awaitable[None]]) -> None:
        """Hand on what either of them saw, one batch after the other."""
        turn = asyncio.Lock()
        async with asyncio.TaskGroup() as group:
            for prober in self._at_work:
                group.create_task(_pour(prober, hear, turn))

    async def close(self) -> None:
        for prober in self._at_work:
            await prober.close()
        self._at_work = []


async def _pour(
    prober: Prober, hear: Callable[[list[Result]], Awaitable[None]], turn: asyncio.Lock
) -> None:
    async for results in prober.results():
        async with turn:
            await hear(results)


async def watch(node: Node) -> None:
    """Start the probers, listen to them, and say whose fault it is, for as long as the node runs."""
    watcher = Watcher(node)
    node.parts[Watcher] = watcher
    orders = orders_for(watcher.watch, watcher.watch.place)
    prober = Probers(node.part(Prober))
    await prober.start(orders)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(Court(node, watcher.looks, watcher.last, watcher.began).sit())
            if orders.probes:
                group.create_task(watcher.file_regularly())
            group.create_task(prober.listen(watcher.heard))
    finally:
        await prober.close()
        if orders.probes:
            await watcher.file(node.clock.now())
        node.parts.pop(Watcher, None)


def has_checks(node: Node) -> bool:
    return bool(node.settings(Watch).checks)

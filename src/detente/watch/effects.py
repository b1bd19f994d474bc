"""Keeps a prober at work, judges what it saw, and files it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import msgspec

from detente.facts.watch import Retired, SheetFiled
from detente.kernel import spans
from detente.kernel.clock import NS, Instant, later
from detente.kernel.fact import Fact, plain
from detente.kernel.ledger import LedgerError, Query
from detente.kernel.node import Node
from detente.kernel.slice import Effect
from detente.watch import decisions
from detente.watch.decisions import Standing
from detente.watch.engine.parent import ProberProcess
from detente.watch.engine.schedule import slots
from detente.watch.engine.wire import Orders, Probe, Result
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
        self.standings = {name: self._remembered(name) for name in self.watch.checks}
        self._length = round(self.watch.sheet * NS)
        self._since = node.clock.now()
        self._unfiled: list[Result] = []
        self._untold: list[Fact] = []  # decided on, and not on the ledger yet

    def _remembered(self, name: str) -> Standing:
        """A check that was down when the node stopped is down until it answers."""
        about = f"check:{name}"
        mine = {each.kind: each for each in spans.going_on(self.node.rows) if each.about == about}
        fallen = mine.get("outage") or mine.get("warning")
        return Standing(
            down=fallen is not None,
            down_since=fallen.start if fallen else 0,
            warned=fallen is not None and fallen.kind == "warning",
            blind="blind" in mine,
        )

    async def heard(self, results: Sequence[Result]) -> None:
        """Judge results as they come; what changes is on the ledger before the next ones are read."""
        facts, self._untold = self._untold, []
        for result in results:
            check = self.watch.checks.get(result.id)
            if check is None:
                continue
            of = owner(result.id, check, self.node.catalogue)
            standing = self.standings[result.id]
            self.standings[result.id], news = decisions.judge(
                result.id, check, of, standing, result
            )
            facts.extend(news)
        self._unfiled.extend(results)
        if not facts:
            return
        try:
            await self.node.record(*facts, by=f"place:{self.watch.place}")
        except LedgerError as error:
            self._untold = [*facts, *self._untold]
            log.error("%d changes are not written down yet: %s", len(facts), error)

    async def file(self, until: Instant) -> None:
        """File everything up to then as one sheet."""
        since, place = self._since, self.watch.place
        if until <= since:
            return  # the clock was set back; this sheet goes on until it has caught up
        mine = [each for each in self._unfiled if each.slot < until]
        expected = {
            name: list(slots(name, check.every, since, until, place=place))
            for name, check in self.watch.checks.items()
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


def probe(name: str, check: Check) -> Probe:
    """The check as the prober wants it. Secrets are revealed here and nowhere shown."""
    secrets = {key: value.reveal() for key, value in check.secret_headers.items()}
    asked = Probe(
        id=name,
        kind=check.kind,
        target=check.target,
        every=float(check.every),
        timeout=float(check.waits),
        method=check.method,
        headers={**check.headers, **secrets},
        expect_body=check.expect.body,
        expect_body_regex=check.expect.matches,
        slow_after=None if check.slow_after is None else float(check.slow_after),
        tls_verify=check.verify,
        ca_file=check.trust,
        expires_within=float(check.valid_for) if check.kind == "tls" else 0.0,
        ip=check.ip,
    )
    if check.expect.status:
        asked = msgspec.structs.replace(asked, expect_status=check.expect.status)
    return asked


async def _watch(node: Node) -> None:
    """Start the prober and listen to it for as long as the node runs."""
    watcher = Watcher(node)
    node.parts[Watcher] = watcher
    prober: Prober = node.part(Prober) or ProberProcess()
    orders = Orders(
        probes=tuple(probe(name, check) for name, check in watcher.watch.checks.items()),
        canaries=tuple(str(each) for each in watcher.watch.canaries),
        place=watcher.watch.place,
    )
    await prober.start(orders)
    filing = asyncio.create_task(watcher.file_regularly())
    try:
        async for results in prober.results():
            await watcher.heard(results)
            if filing.done():
                filing.result()
    finally:
        filing.cancel()
        await prober.close()
        await watcher.file(node.clock.now())
        node.parts.pop(Watcher, None)


def _has_checks(node: Node) -> bool:
    return bool(node.settings(Watch).checks)


async def retire(node: Node) -> None:
    """Whatever goes on of a check that is not declared any more ends here: nobody would see it end."""
    checks = node.settings(Watch).checks
    going = [each for each in spans.going_on(node.rows) if each.kind in _OURS]
    latest = {each.about: each.opened_by for each in going if plain(each.about) not in checks}
    for about, opened_by in latest.items():  # one fact ends all that goes on of a check
        key = f"retired:{opened_by}"
        await node.record(Retired(about=about), by="detente:watch", key=key)


_OURS = ("outage", "warning", "blind")


async def expire(node: Node) -> None:
    """Forget what single runs said long ago. The sheets stay, with their tallies."""
    gone = later(node.clock.now(), -node.settings(Watch).keep_details)
    sheets, reader = Query(names=(SheetFiled.name,)), "watch: details"
    while True:
        reached = node.ledger.read_by(reader)
        found = node.ledger.read(sheets, after=reached, limit=_AT_ONCE)
        old = [each.position for each in found if each.at < gone]
        if not old:
            return
        await node.ledger.expire(old)
        await node.ledger.append((), by="detente:watch", reader=(reader, old[-1]))


_AT_ONCE = 200
_HOUR = 3600.0


async def _keep_house(node: Node) -> None:
    await retire(node)
    while True:
        await expire(node)
        await asyncio.sleep(_HOUR)


EFFECTS = (
    Effect("watch", _watch, wanted=_has_checks),
    Effect("watch: keeping house", _keep_house),
)

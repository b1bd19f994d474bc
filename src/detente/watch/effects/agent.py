"""What does an agent do in another place?

It asks what the node wants to know, with the same engine, keeps every sheet in a spool before it sends
it, and goes on while the node cannot be reached. Who comes later finds everything, in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from urllib.parse import quote, urlsplit

import msgspec

from detente.kernel.clock import NS, Clock, Instant, Seconds, lasting
from detente.kernel.network import Network, NoAnswer, NotReached, Reply, is_loopback
from detente.watch import decisions
from detente.watch.effects.orders import only
from detente.watch.effects.places import MORE, Delivery, Errand
from detente.watch.effects.watcher import Prober, Probers
from detente.watch.engine.schedule import slots
from detente.watch.engine.spool import Gap, Spool, Waiting
from detente.watch.engine.wire import Orders, Probe, Result

log = logging.getLogger(__name__)

ASKS_EVERY: Seconds = 10.0
FIRST_WAIT: Seconds = 1.0
LONGEST_WAIT: Seconds = 30.0
PATIENCE: Seconds = 20.0

_for_good = frozenset({400, 409, 413})
"""What the node says to a sheet that it will never take: this one, however often it is sent."""


class Untrusted(Exception):
    """The node's address would carry secrets in the open; the message says what to do."""


def trusted(node: str) -> str:
    """The address of the node, if what is said there stays between the two. Raises Untrusted."""
    parts = urlsplit(node)
    if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        return node.rstrip("/")
    raise Untrusted(
        f"{node} is not an address that starts with https://. Orders carry secrets, so only a node on"
        " this machine may be reached without TLS."
    )


class Agent:
    """One place that looks for a node somewhere else."""

    def __init__(
        self,
        *,
        node: str,
        place: str,
        token: str,
        spool: Spool,
        network: Network,
        clock: Clock,
        runs_plugins: bool = False,
        prober: Callable[[], Prober | None] = lambda: None,
    ) -> None:
        self.place = place
        self.spool = spool
        self._node = trusted(node)
        self._token = token
        self._network = network
        self._clock = clock
        self._runs_plugins = runs_plugins
        self._prober = prober
        self._errand: Errand | None = None
        self._tag = ""
        self._since: Instant = 0
        self._seen: list[Result] = []
        self._changed = asyncio.Event()
        self._waits_to_be_sent = asyncio.Event()
        self._cut_off_since: Instant | None = None

    async def run(self) -> None:
        """Look and report until cancelled; then what was seen last goes into the spool."""
        self._recover()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._fetch_orders())
                group.create_task(self._look())
                group.create_task(self._hand_in())
        finally:
            self._close_sheet(self._clock.now())

    # -- orders ---------------------------------------------------------------------------------------

    def _recover(self) -> None:
        """Go on where an agent ended that was stopped without a word."""
        kept = self.spool.kept("orders")
        if kept:
            self._take_orders(kept, "")
        since, noted = self.spool.noted()
        self._since = max(since, self.spool.last_until())
        self._seen = [each for each in noted if each.slot >= self._since]
        if self._seen:
            self._close_sheet(max(each.slot for each in self._seen) + 1)
        self._since = max(self._since, self._clock.now())
        self._open_sheet([])

    async def _fetch_orders(self) -> None:
        wait = FIRST_WAIT
        while True:
            reply = await self._call("GET", "orders", {"If-None-Match": self._tag})
            if reply is not None and reply.status == 200:
                self._obey(reply)
            well = reply is not None and reply.status in (200, 304)
            wait = FIRST_WAIT if well else min(2 * wait, LONGEST_WAIT)
            await asyncio.sleep(ASKS_EVERY if well else wait)

    def _obey(self, reply: Reply) -> None:
        tag = next((value for name, value in reply.headers if name.lower() == "etag"), "")
        try:
            self._take_orders(reply.body, tag)
        except msgspec.MsgspecError as wrong:
            log.error("The orders of %s make no sense here: %s", self._node, wrong)
            return
        self.spool.keep("orders", reply.body)

    def _take_orders(self, body: bytes, tag: str) -> None:
        errand = msgspec.json.decode(body, type=Errand)
        before, self._tag = self._errand, tag
        if before is not None and before == errand:
            return
        if before is None:
            self._since = max(self._since, self._clock.now())
        else:
            self._close_sheet(self._clock.now())
        self._errand = errand
        self._changed.set()
        log.info("%s asks for %d checks.", self._node, len(errand.orders.probes))

    # -- looking --------------------------------------------------------------------------------------

    async def _look(self) -> None:
        """Ask what is ordered, and begin anew when the orders change."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            looking = asyncio.create_task(self._look_for(self._errand))
            changed = asyncio.create_task(self._changed.wait())
            try:
                await asyncio.wait([looking, changed], return_when=asyncio.FIRST_COMPLETED)
                if looking.done():
                    looking.result()
            finally:
                for task in (looking, changed):
                    task.cancel()
                await asyncio.gather(looking, changed, return_exceptions=True)

    async def _look_for(self, errand: Errand | None) -> None:
        if errand is None:
            return
        prober = Probers(self._prober())
        await prober.start(self._mine(errand.orders))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(prober.listen(self._heard))
                group.create_task(self._close_sheets(errand))
        finally:
            await prober.close()

    def _mine(self, orders: Orders) -> Orders:
        return orders if self._runs_plugins else only(orders, plugins=False)

    async def _heard(self, results: list[Result]) -> None:
        self._seen += results
        self.spool.note(results)

    # -- sheets -----------------------------------------------------------------------------------------

    async def _close_sheets(self, errand: Errand) -> None:
        """A sheet is closed once the slowest run that began in it must have ended."""
        grace = max((each.timeout for each in errand.orders.probes), default=0.0) + 0.5
        wait = min(errand.sheet, grace + 1)
        while True:
            await asyncio.sleep(wait)
            wait = errand.sheet
            self._close_sheet(self._clock.now() - round(grace * NS))

    def _close_sheet(self, until: Instant) -> None:
        """Everything up to then goes into the spool as one sheet."""
        errand, since = self._errand, self._since
        if errand is None or until <= since:
            return
        mine = [each for each in self._seen if each.slot < until]
        rest = [each for each in self._seen if each.slot >= until]
        expected = {
            each.id: list(slots(each.id, each.every, since, until, place=self.place))
            for each in errand.orders.probes
        }
        refused = [each for each in errand.orders.probes if each.kind == "plugin"]
        if not self._runs_plugins:
            mine += [_refused(each, slot) for each in refused for slot in expected[each.id]]
        sheet, packed = decisions.file_sheet(self.place, since, until, expected, mine)
        cover = Delivery(since=since, until=until, packed=packed)
        brief = Delivery(since=since, until=until, tallies=dict(sheet.tallies))
        encode = msgspec.msgpack.encode
        self.spool.put(Waiting(since=since, until=until, full=encode(cover), brief=encode(brief)))
        self._since = until
        self._open_sheet(rest)
        self._waits_to_be_sent.set()

    def _open_sheet(self, rest: list[Result]) -> None:
        self._seen = rest
        self.spool.begin_journal(self._since, rest)

    # -- handing in -----------------------------------------------------------------------------------

    async def _hand_in(self) -> None:
        """The oldest first, one at a time, each until it was taken."""
        wait = FIRST_WAIT
        while True:
            found = self.spool.oldest()
            if found is None:
                self._waits_to_be_sent.clear()
                await self._waits_to_be_sent.wait()
                continue
            path, sheet = found
            gap = self.spool.gap
            more = {MORE: str(len(self.spool) - 1)} if len(self.spool) > 1 else {}
            reply = await self._call("POST", "sheets", more, _with_gap(sheet, gap))
            if reply is not None and (reply.status == 200 or reply.status in _for_good):
                self._settle(reply, gap)
                self.spool.taken(path)
                wait = FIRST_WAIT
                continue
            await asyncio.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)

    def _settle(self, reply: Reply, gap: Gap | None) -> None:
        if reply.status != 200:
            log.error("The node will never take this sheet, so it is dropped: %s", _said(reply))
        elif gap is not None:
            self.spool.gap_told(gap)

    async def _call(
        self, method: str, what: str, headers: dict[str, str] | None = None, body: bytes = b""
    ) -> Reply | None:
        """What the node answers, or None if it cannot be reached."""
        url = f"{self._node}/watch/{what}/{quote(self.place, safe='')}"
        shown = {"Authorization": f"Bearer {self._token}", **(headers or {})}
        if body:
            shown["Content-Type"] = "application/msgpack"
        try:
            reply = await self._network.call(
                method, url, headers=shown, body=body, timeout=PATIENCE
            )
        except (NotReached, NoAnswer) as trouble:
            self._note_cut_off(str(trouble))
            return None
        if reply.status >= 400:
            self._note_cut_off(_said(reply))
        else:
            self._note_reached()
        return reply

    def _note_cut_off(self, why: str) -> None:
        if self._cut_off_since is None:
            self._cut_off_since = self._clock.now()
            log.warning("Cut off from the node: %s. Everything is kept until it answers.", why)

    def _note_reached(self) -> None:
        if self._cut_off_since is not None:
            gone = lasting((self._clock.now() - self._cut_off_since) / NS)
            self._cut_off_since = None
            log.warning(
                "The node answers again after %s; %d sheets wait to be sent.", gone, len(self.spool)
            )


def _with_gap(sheet: Waiting, gap: Gap | None) -> bytes:
    body = sheet.brief if sheet.full is None else sheet.full
    if gap is None:
        return body
    cover = msgspec.msgpack.decode(body, type=Delivery)
    return msgspec.msgpack.encode(msgspec.structs.replace(cover, gave_up=gap))


def _refused(probe: Probe, slot: Instant) -> Result:
    reason = "this agent runs no plugins for others: start it with --plugins if it may"
    return Result(id=probe.id, slot=slot, at=slot, verdict="inconclusive", reason=reason)


def _said(reply: Reply) -> str:
    """The sentence in an answer that turns us down."""
    with contextlib.suppress(msgspec.MsgspecError):
        said = msgspec.json.decode(reply.body, type=dict[str, str])
        return said.get("error", f"it answers {reply.status}").rstrip(".")
    return f"it answers {reply.status}"

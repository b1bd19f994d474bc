"""How do other places look for us? They fetch their orders, hand in their sheets, and may fall silent.

An agent calls us and never the other way round, so it needs no open port. It shows the token of its
place: its orders carry secrets, and what it reports becomes fact. The same sheet handed in twice is
taken once.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
from collections.abc import Iterator

import msgspec

from detente.facts.watch import PlaceFellSilent, PlaceGaveUp, PlaceHeard, SheetFiled, Tally
from detente.kernel import spans
from detente.kernel.clock import Instant, iso, lasting, later, seconds_between
from detente.kernel.config import SecretMissing
from detente.kernel.fact import Fact, Subject
from detente.kernel.forms import BadForm
from detente.kernel.ledger import LedgerError
from detente.kernel.node import Node
from detente.kernel.slice import Answered, Asked, Endpoint, NotFound
from detente.watch import queries
from detente.watch.decisions import Detail, read_sheet, summed_up
from detente.watch.effects.orders import orders_for
from detente.watch.effects.watcher import Watcher
from detente.watch.engine.wire import Orders, Result
from detente.watch.settings import Outside, Watch

log = logging.getLogger(__name__)

LARGEST = 32 * 1024 * 1024  # bytes of one sheet
MORE = "x-detente-more"  # a header that comes with a sheet behind which others wait
AHEAD = 60.0  # seconds by which another clock may be ahead of ours
_LOOK_EVERY = 5.0


class Errand(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent is told: what to ask, and how much time one sheet covers."""

    orders: Orders
    sheet: float


class Delivery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an agent hands in: one sheet, with every slot unless it had no room left to keep them."""

    since: Instant
    until: Instant
    packed: bytes | None = None
    tallies: dict[str, Tally] = {}  # only without `packed`
    gave_up: tuple[Instant, Instant, int] | None = None  # from, until, how many sheets


class Taken(msgspec.Struct, frozen=True):
    """What it hears: whether this sheet was new, and up to when we have its sheets."""

    repeated: bool
    until: Instant


_as_json = msgspec.json.Encoder().encode
_read = msgspec.msgpack.Decoder(Delivery).decode


def admits(node: Node, asked: Asked) -> bool:
    """Does it show the token of the place that it speaks for?"""
    place = node.settings(Watch).places.get(asked.path.get("place", ""))
    try:
        token = place.token.reveal() if place else ""
    except SecretMissing as missing:
        log.error("The agent of %s is turned away: %s.", asked.path.get("place"), missing)
        return False
    shown = asked.headers.get("authorization", "")
    return bool(token) and hmac.compare_digest(shown.encode(), f"Bearer {token}".encode())


async def tell_orders(node: Node, asked: Asked) -> Answered:
    """What that place asks; 304 if it has not changed."""
    name, _ = _place(node, asked)
    node_hears(node, name)
    watch = node.settings(Watch)
    body = _as_json(Errand(orders=orders_for(watch, name), sheet=float(watch.sheet)))
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if asked.headers.get("if-none-match") == tag:
        return Answered(status=304, headers=headers)
    return Answered(body=body, headers=headers)


async def take_sheet(node: Node, asked: Asked) -> Answered:
    """Judge and file what another place saw; answered once it is on disk."""
    name, _ = _place(node, asked)
    watcher: Watcher | None = node.part(Watcher)
    if watcher is None:
        return _answer(503, "The node is not watching right now. Keep the sheet and try again.")
    delivery, detail = _delivery(asked.body)
    now = node.clock.now()
    if delivery.until > later(now, AHEAD):
        ahead = lasting(seconds_between(now, delivery.until))
        says = f"The clock of {name} is {ahead} ahead of the node's. Put it right; nothing is lost."
        return _answer(422, says)
    node_hears(node, name)
    if delivery.gave_up is not None:
        await _note_gap(node, name, delivery.gave_up)
    known = queries.reported_until(node.rows, name)
    if delivery.until <= known:
        return Answered(body=_as_json(Taken(True, known)))
    if delivery.since < known:
        says = (
            f"Up to {iso(known)} somebody has reported from {name} already. Let only one agent speak"
            " for a place, or give each a place of its own."
        )
        return _answer(409, says)
    sheet, more = _sheet(name, delivery, detail, watcher), MORE in asked.headers
    await watcher.receive(name, sheet, _runs(detail), delivery.packed, more=more)
    return Answered(body=_as_json(Taken(False, delivery.until)))


def _place(node: Node, asked: Asked) -> tuple[str, Outside]:
    name = asked.path["place"]
    place = node.settings(Watch).places.get(name)
    if place is None:
        raise NotFound(f"No place is called {name} here; declare it under `watch.places`.")
    return name, place


def _delivery(body: bytes) -> tuple[Delivery, Detail | None]:
    try:
        delivery = _read(body)
        detail = read_sheet(delivery.packed) if delivery.packed is not None else None
    except msgspec.MsgspecError as wrong:
        raise BadForm(f"This is not a sheet as `detente agent` hands it in: {wrong}") from wrong
    if detail is not None and (detail.since, detail.until) != (delivery.since, delivery.until):
        raise BadForm("The sheet is about another time than its cover says. Hand it in as it was.")
    if not 0 < delivery.since < delivery.until:
        raise BadForm("The sheet ends before it begins. Hand in sheets that cover some time.")
    return delivery, detail


def _sheet(place: str, delivery: Delivery, detail: Detail | None, watcher: Watcher) -> SheetFiled:
    """As a fact. What its checks came to is counted here, where every slot is told."""
    if detail is not None and delivery.packed is not None:
        sheet = summed_up(place, detail, delivery.packed)
    else:
        sheet = SheetFiled(
            about=f"place:{place}", since=delivery.since, until=delivery.until, sha256="",
            tallies=delivery.tallies, without_detail=True,
        )  # fmt: skip
    known = {name: each for name, each in sheet.tallies.items() if name in watcher.watch.checks}
    return msgspec.structs.replace(sheet, tallies=known)


def _runs(detail: Detail | None) -> list[Result]:
    """Everything that was run, in the order of time."""
    lines = detail.checks.values() if detail else ()
    runs = [run for line in lines for _, run in line if run is not None]
    return sorted(runs, key=lambda run: run.slot)


async def _note_gap(node: Node, place: str, gap: tuple[Instant, Instant, int]) -> None:
    since, until, sheets = gap
    fact = PlaceGaveUp(about=f"place:{place}", since=since, until=until, sheets=sheets)
    await node.record(fact, by=fact.about, key=f"gave up:{place}:{since}-{until}")


def _answer(status: int, says: str) -> Answered:
    return Answered(status=status, body=_as_json({"error": says}))


# Silence


class Heard(dict[str, Instant]):
    """When each place was last heard of, for as long as this node runs."""


def node_hears(node: Node, place: str) -> None:
    heard: Heard | None = node.part(Heard)
    if heard is not None:
        heard[place] = node.clock.now()


async def listen_for_silence(node: Node) -> None:
    """Say when a place falls silent, and when it is heard of again."""
    heard = node.parts[Heard] = Heard()
    began = node.clock.now()
    try:
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            try:
                for fact in list(_changed(node, heard, began)):
                    await node.record(fact, by="detente:watch")
            except LedgerError as error:
                log.error("the silence of a place is not written down yet: %s", error)
    finally:
        node.parts.pop(Heard, None)


def _changed(node: Node, heard: Heard, began: Instant) -> Iterator[Fact]:
    """A place that never reported is not silent: its agent has yet to be started."""
    silent = {span.about: span for span in spans.going_on(node.rows, "silence")}
    for name, place in node.settings(Watch).places.items():
        about: Subject = f"place:{name}"
        last = heard.get(name) or queries.heard_at(node.rows, name)
        if about in silent and name in heard and heard[name] > silent[about].start:
            if _lately(node, heard[name], place):
                yield PlaceHeard(about=about, since=heard[name])
        elif (
            about not in silent and last is not None and not _lately(node, max(last, began), place)
        ):
            yield PlaceFellSilent(about=about, since=last)


def _lately(node: Node, last: Instant, place: Outside) -> bool:
    return seconds_between(last, node.clock.now()) < place.silent_after


def has_places(node: Node) -> bool:
    return bool(node.settings(Watch).places)


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/watch/orders/{place}",
        explains="What an agent in that place asks, with its secrets; it shows the place's token.",
        answer=tell_orders,
        admits=admits,
    ),
    Endpoint(
        method="POST",
        path="/watch/sheets/{place}",
        explains="An agent hands in a sheet of what it saw; the same one twice is taken once.",
        answer=take_sheet,
        admits=admits,
        largest=LARGEST,
    ),
)

"""What has just happened?

A page says which facts it hears; when one lands it is told where the ledger stands, and asks again
for itself. Nothing but a position travels, so nothing can be missed: a browser that was away gives
the last position it heard of.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import msgspec
from aiohttp import web

from detente.kernel.fact import Recorded
from detente.kernel.slice import NotFound

if TYPE_CHECKING:
    from detente.kernel.node import Node

Waiting = asyncio.Future[Any]

HEARTBEAT = 15.0
_MOST_OPEN = 200  # each holds a socket, and there must be some left for callers
_NAME = re.compile(r"[a-z0-9_]+\.(\*|[a-z0-9_]+)")


class Live:
    """Open pages, and how to let them go."""

    def __init__(self, node: Node, *, heartbeat: float = HEARTBEAT) -> None:
        self._node = node
        self._heartbeat = heartbeat
        self._closing = asyncio.Event()
        self._open = 0

    async def close(self, _app: web.Application) -> None:
        """Open pages reconnect by themselves, so none is waited for."""
        self._closing.set()

    async def listen(self, request: web.Request) -> web.StreamResponse:
        """GET /live?hears=watch.went_down,work.*&after=17"""
        names, after = _names(request), self._after(request)
        if self._open >= _MOST_OPEN:
            raise web.HTTPServiceUnavailable(
                reason="Too many pages are open; reload this one later"
            )
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        response = web.StreamResponse(headers=headers)
        self._open += 1
        try:
            with suppress(ConnectionResetError):
                await response.prepare(request)
                await response.write(b"retry: 1000\n: listening\n\n")
                await self._tell(response, names, after)
        finally:
            self._open -= 1
        return response

    async def _tell(self, response: web.StreamResponse, names: tuple[str, ...], after: int) -> None:
        following = cast("_Batches", self._node.follow(names, after=after))
        closing: Waiting = asyncio.ensure_future(self._closing.wait())
        batch: Waiting = asyncio.ensure_future(anext(following))
        try:
            while not self._closing.is_set():
                await asyncio.wait({batch, closing}, timeout=self._heartbeat, return_when=_FIRST)
                if batch.done():
                    await response.write(_event(batch.result()))
                    batch = asyncio.ensure_future(anext(following))
                elif not closing.done():
                    await response.write(b": still here\n\n")
        finally:
            await _let_go(batch, closing)
            await following.aclose()

    def _after(self, request: web.Request) -> int:
        """Where the page stands: what it last heard, or what it was drawn from, or now."""
        said = request.headers.get("Last-Event-ID") or request.query.get("after") or ""
        head = self._node.ledger.head()
        return min(int(said), head) if re.fullmatch("[0-9]{1,18}", said) else head


_FIRST = asyncio.FIRST_COMPLETED
_Batches = AsyncGenerator[list[Recorded], None]


def _names(request: web.Request) -> tuple[str, ...]:
    """The names asked for; `*` means every fact."""
    said = request.query.get("hears", "")
    if said == "*":
        return ()
    names = tuple(said.split(","))
    if not all(_NAME.fullmatch(name) for name in names):
        raise NotFound("Say which facts to hear: /live?hears=watch.went_down,work.* or hears=*")
    return names


def _event(batch: list[Recorded]) -> bytes:
    position = batch[-1].position
    names = sorted({recorded.name for recorded in batch})
    said = msgspec.json.encode({"position": position, "names": names})
    return b"event: facts\nid: %d\ndata: %s\n\n" % (position, said)


async def _let_go(*waiting: Waiting) -> None:
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)

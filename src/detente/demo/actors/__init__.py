"""Who lives in the demo's world?

A payment vendor, a shop, its customers and a mailbox: programs of their own, on loopback, that know
nothing of Détente. Each prints one line when it is ready, keeps its own book where it has one, and
stops at once when asked to.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

HOST = "127.0.0.1"


class Book:
    """Entries written for good: on the disk before `write` returns, one line of JSON each."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a+b")
        self._drop_torn_end()

    def _drop_torn_end(self) -> None:
        """A line without its end was never acknowledged to anybody."""
        self._file.seek(0)
        whole = self._file.read().rpartition(b"\n")
        self._file.truncate(len(whole[0]) + len(whole[1]))

    def entries(self) -> Iterator[Any]:
        self._file.seek(0)
        return (msgspec.json.decode(line) for line in self._file.read().splitlines())

    def write(self, entry: object) -> None:
        self._file.write(msgspec.json.encode(entry) + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


class Sums(msgspec.Struct):
    """How many, and how much in each currency's cents."""

    count: int = 0
    sum: dict[str, int] = {}

    def add(self, amount: int, currency: str) -> None:
        self.count += 1
        self.sum[currency] = self.sum.get(currency, 0) + amount


def answer(body: object, status: int = 200, **headers: str) -> web.Response:
    """JSON, as every actor speaks it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.Response(
        body=msgspec.json.encode(body),
        status=status,
        content_type="application/json",
        headers=named,
    )


class Door:
    """An HTTP server on one port that can be shut and opened again while the program runs on."""

    def __init__(self, app: web.Application, port: int) -> None:
        # Whoever hangs up does not stop the work: what they asked for is done all the same.
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        self._site: web.TCPSite | None = None
        self.port = port

    async def open(self) -> None:
        if self._runner.server is None:
            await self._runner.setup()
        if self._site is None:
            self._site = web.TCPSite(self._runner, HOST, self.port)
            await self._site.start()
            self.port = self._runner.addresses[-1][1]

    async def shut(self) -> None:
        """Stop listening and hang up on everybody."""
        if self._site is not None:
            await self._site.stop()
            self._site = None
        for connection in self._runner.server.connections if self._runner.server else ():
            if connection.transport is not None:
                connection.transport.abort()

    async def close(self) -> None:
        await self._runner.cleanup()


async def until_told_to_stop(port: int, **others: int) -> None:
    """Say on which ports we listen, then wait for SIGTERM or Ctrl-C."""
    told = asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, told.set)
    rest = "".join(f", {name} on {HOST}:{number}" for name, number in others.items())
    sys.stdout.write(f"listening on {HOST}:{port}{rest}\n")
    sys.stdout.flush()
    await told.wait()


def ports(line: str) -> list[int]:
    """The ports in a ready line, the main one first."""
    return [int(number) for number in re.findall(rf"on {re.escape(HOST)}:(\d+)", line)]

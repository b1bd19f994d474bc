"""How does the node keep a prober at work?

Starts it, hands it orders, reads its results; and if it dies or falls silent, starts another one.
What was not checked meanwhile stays a gap: nobody invents results.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Sequence

import msgspec

from detente.kernel.clock import Seconds
from detente.watch.engine import wire
from detente.watch.engine.wire import BadFrame, Orders, Probe, Result

log = logging.getLogger("detente.watch.prober")

COMMAND = (sys.executable, "-P", "-m", "detente.watch.engine")
SILENCE: Seconds = 15.0  # it shows a sign of life every other second
FIRST_WAIT: Seconds = 0.5
LONGEST_WAIT: Seconds = 30.0
LASTED: Seconds = 60.0  # a prober that lived so long did not die of its orders
FAREWELL: Seconds = 2.0


def _surroundings() -> dict[str, str]:
    """The environment less the node's secrets: what checks need comes with their orders."""
    needed = ("PATH", "HOME", "LANG", "TZ", "VIRTUAL_ENV")
    families = ("PYTHON", "LC_", "SSL_")
    return {
        name: value
        for name, value in os.environ.items()
        if name in needed or name.startswith(families)
    }


class ProberProcess:
    """A prober in a process of its own."""

    def __init__(
        self,
        command: Sequence[str] = COMMAND,
        *,
        silence: Seconds = SILENCE,
        first_wait: Seconds = FIRST_WAIT,
        monotonic: Callable[[], Seconds] = time.monotonic,
    ) -> None:
        self.restarts = 0
        self._command = tuple(command)
        self._silence = silence
        self._first_wait = self._wait = first_wait
        self._monotonic = monotonic
        self._orders = Orders()
        self._process: Process | None = None
        self._complaints: asyncio.Task[None] | None = None
        self._started: Seconds = 0.0
        self._closing = False
        self._reading = asyncio.Lock()
        self._changing = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """The process that is at work now."""
        return None if self._process is None else self._process.pid

    async def start(self, orders: Orders) -> None:
        """Start the process and give it its first orders."""
        self._orders = orders
        await self._spawn()

    async def orders(self, probes: Sequence[Probe], canaries: Sequence[str] = ()) -> None:
        """Other probes from now on; those that stay the same keep their rhythm."""
        self._orders = msgspec.structs.replace(
            self._orders, probes=tuple(probes), canaries=tuple(canaries)
        )
        await self._send_orders()

    async def results(self) -> AsyncIterator[list[Result]]:
        """What the prober saw, in batches, for as long as it is not closed.

        Whoever iterates also keeps the prober alive: this is where it is started again.
        """
        while not self._closing:
            batch = await self._next()
            if batch is None:
                await self._again()
            elif batch:
                yield batch

    async def close(self) -> None:
        """Send the prober home. Returns when its process is gone."""
        self._closing = True
        async with self._changing:
            await self._end()

    # -- one process ----------------------------------------------------------------------------

    async def _spawn(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=_surroundings()
        )
        self._complaints = asyncio.create_task(self._listen_to_complaints(self._process))
        self._started = self._monotonic()
        await self._send_orders()

    async def _send_orders(self) -> None:
        process = self._process
        if process is None or process.stdin is None:
            return
        with contextlib.suppress(ConnectionError):  # it just died; the next one gets them too
            process.stdin.write(wire.frame(self._orders))
            await process.stdin.drain()

    async def _next(self) -> list[Result] | None:
        """The next batch, or None if there will be none from this process."""
        try:
            async with asyncio.timeout(self._silence), self._reading:
                return await self._read()
        except TimeoutError:
            why = f"it has not shown a sign of life for {self._silence:g} s"
        except (asyncio.IncompleteReadError, ConnectionError):
            why = "it died"
        except BadFrame as wrong:
            why = str(wrong)
        if not self._closing:
            log.warning("The prober is started again: %s.", why)
        return None

    async def _read(self) -> list[Result]:
        process = self._process
        if process is None or process.stdout is None:
            raise ConnectionResetError
        head = await process.stdout.readexactly(4)
        return wire.results(await process.stdout.readexactly(wire.body_length(head)))

    async def _again(self) -> None:
        """Start another one, after a pause that grows if they keep dying."""
        if self._monotonic() - self._started > LASTED:
            self._wait = self._first_wait
        async with self._changing:
            await self._end()
        while self._process is None and not self._closing:
            await asyncio.sleep(self._wait)
            self._wait = min(self._wait * 2, LONGEST_WAIT)
            async with self._changing:
                await self._try_again()

    async def _try_again(self) -> None:
        if self._closing:
            return
        try:
            await self._spawn()
            self.restarts += 1
        except OSError as wrong:
            log.warning("The prober cannot be started: %s. Trying again.", wrong)

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(FAREWELL):
                await self._let_finish(process)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await self._let_finish(process)
        if self._complaints is not None:
            await self._complaints
            self._complaints = None

    async def _listen_to_complaints(self, process: Process) -> None:
        assert process.stderr is not None
        while line := await process.stderr.readline():
            log.warning("The prober says: %s", line.decode("utf-8", "replace").rstrip())

    async def _let_finish(self, process: Process) -> None:
        """Wait for the end, taking what it still says: a full pipe would keep it from ending."""
        assert process.stdout is not None
        async with self._reading:
            while await process.stdout.read(1 << 16):
                pass
        await process.wait()

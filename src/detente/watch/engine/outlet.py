"""How do results leave the prober without holding it up?

In batches, one frame each, through a pipe that may be full. If nobody reads for long, the backlog
has an end: then the prober pauses, and the slots it leaves out are plainly missing.
"""

from __future__ import annotations

import os

from detente.kernel.clock import Seconds
from detente.watch.engine.loop import WRITE, Loop
from detente.watch.engine.wire import Result, frame

BATCH_FOR: Seconds = 0.1
BATCH_OF = 2_000
SIGN_OF_LIFE: Seconds = 2.0
BACKLOG_LIMIT = 16 * 1024 * 1024


class Gone(Exception):
    """The node no longer listens."""


class Outlet:
    """Writes frames of results to a descriptor that must not block."""

    def __init__(self, loop: Loop, fd: int) -> None:
        self.loop = loop
        self.fd = fd
        self._batch: list[Result] = []
        self._backlog = bytearray()
        self._sent_at = loop.monotonic()
        self._waits = False
        os.set_blocking(fd, False)

    @property
    def full(self) -> bool:
        """Nobody has read for so long that more results would only fill memory."""
        return len(self._backlog) > BACKLOG_LIMIT

    def take(self, result: Result) -> None:
        """Send this with the next batch."""
        self._batch.append(result)

    def patience(self) -> Seconds:
        """How long the loop may wait before there is something to send."""
        limit = BATCH_FOR if self._batch else SIGN_OF_LIFE
        return max(0.0, self._sent_at + limit - self.loop.monotonic())

    def tend(self) -> None:
        """Send the batch if it is time, or a sign of life if there was nothing to say."""
        quiet = self.loop.monotonic() - self._sent_at
        batch = self._batch
        if (batch and (quiet >= BATCH_FOR or len(batch) >= BATCH_OF)) or quiet >= SIGN_OF_LIFE:
            self.flush()

    def flush(self) -> None:
        """Send what there is."""
        self._sent_at = self.loop.monotonic()
        if self.full and not self._batch:
            return
        self._backlog += frame(self._batch)
        self._batch = []
        self._write(0)

    def _write(self, _events: int) -> None:
        try:
            while self._backlog:
                del self._backlog[: os.write(self.fd, self._backlog[: 1 << 16])]
        except BlockingIOError:
            self._wait_until_writable()
            return
        except OSError as wrong:
            raise Gone("the node closed the pipe of results") from wrong
        if self._waits:
            self._waits = False
            self.loop.unwatch(self.fd)

    def _wait_until_writable(self) -> None:
        if not self._waits:
            self._waits = True
            self.loop.watch(self.fd, WRITE, self._write)

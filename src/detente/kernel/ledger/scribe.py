"""How does an event loop wait for a disk?

A thread holds the pen. The loop hands it everybody who asked during one round of the loop, and hears
once for all of them. The less the two talk, the less they wait for the interpreter's lock.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence

from detente.kernel.clock import Seconds
from detente.kernel.ledger import LedgerError, Receipt
from detente.kernel.ledger.writing import LONG_TAIL, SHORT_TAIL, Append, Outcome, Pen

Settle = Callable[[Sequence[Append], Sequence[Outcome], int], None]

_MOST = 4_096  # appends in one commit
_CROWD = 64  # more at once are a storm
_QUIET: Seconds = 0.05  # after so much silence it is over


class Scribe:
    """Writes for one event loop, in a thread of its own.

    `settle` is called in the loop after every commit: who asked, what became of it, the new head.
    """

    def __init__(self, pen: Pen, settle: Settle) -> None:
        self._pen = pen
        self._settle = settle
        self._loop: asyncio.AbstractEventLoop | None = None
        self._round: list[Append] = []
        self._asked: queue.SimpleQueue[list[Append] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="ledger", daemon=True)
        self._thread.start()

    def ask(self, append: Append) -> asyncio.Future[Receipt]:
        """Have it written; the answer comes once it is on disk."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._serve(loop)
        append.answer = answer = loop.create_future()
        if not self._round:
            loop.call_soon(self._hand_over)
        self._round.append(append)
        return answer

    async def finish(self) -> None:
        """Write what was asked for and end."""
        self._serve(asyncio.get_running_loop())
        self._hand_over()
        self._asked.put(None)
        await asyncio.to_thread(self._thread.join)

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is not None and self._loop is not loop and self._loop.is_running():
            raise LedgerError("This ledger is in use by another event loop of this process.")
        self._hand_over()  # what a loop that ended had no time for
        self._loop = loop

    def _hand_over(self) -> None:
        if self._round:
            self._asked.put(self._round)
            self._round = []

    # From here on in the thread

    def _write(self) -> None:
        going_on = True
        while going_on:
            group, going_on = self._gather()
            if group:
                self._tell(group, self._pen.write(group))
            self._pen.tidy(LONG_TAIL if len(group) > _CROWD else SHORT_TAIL)
        self._pen.tidy(0)

    def _gather(self) -> tuple[list[Append], bool]:
        """Everybody who waits, and whether anybody else may come. Nobody, if it stays quiet."""
        group: list[Append] = []
        try:
            asked = self._asked.get(timeout=_QUIET if self._pen.tail > SHORT_TAIL else None)
            while asked is not None:
                group += asked
                if len(group) >= _MOST:
                    return group, True
                asked = self._asked.get_nowait()
        except queue.Empty:
            return group, True
        return group, False

    def _tell(self, group: list[Append], outcomes: Sequence[Outcome]) -> None:
        assert self._loop is not None, "whoever asks has a loop"
        try:
            self._loop.call_soon_threadsafe(self._settle, group, outcomes, self._pen.head)
        except RuntimeError:  # the loop has been closed: nobody waits any more
            return

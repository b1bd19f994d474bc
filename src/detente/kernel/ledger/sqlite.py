"""How is the ledger kept in one file?

SQLite with a write-ahead log, `synchronous=FULL`, one thread that writes and groups whoever waits
into one commit, and a connection of its own for reading on the event loop. What `append` has answered
has been synced to the disk; what `read` and `follow` show has been, too.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import apsw

from detente.kernel.clock import Clock, Instant, Seconds
from detente.kernel.fact import Fact, Recorded, Unknown, check, encode
from detente.kernel.ledger import EVERYTHING, Condition, LedgerError, Query, Receipt, asking, file
from detente.kernel.ledger.holder import Hold
from detente.kernel.ledger.recent import Line
from detente.kernel.ledger.scribe import Scribe
from detente.kernel.ledger.writing import Append, Outcome, Pen, refuse_closed

_BATCH = 1_000  # facts in one batch of a follower
_LOOK_AGAIN: Seconds = 0.25  # a reader beside the node hears of no commits: it looks


class SqliteLedger:
    """A ledger in one SQLite file, written by one process and from one event loop at a time.

    `read` may be called from any thread. `patience` is how long to wait for another program that has
    locked the file. `writer="inline"` commits in the calling task, for simulated time.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        clock: Clock,
        writer: Literal["thread", "inline"] = "thread",
        holder: str = "",
        read_only: bool = False,
        patience: Seconds = 5.0,
    ) -> None:
        in_memory = str(path) == ":memory:"
        self.path = Path(path) if in_memory else Path(path).absolute()
        self._clock = clock
        self._closing = self._closed = False
        self._hold: Hold | None = None
        self._pen: Pen | None = None
        self._scribe: Scribe | None = None
        self._reading = threading.Lock()
        self._callbacks: list[Callable[[], object]] = []
        self._followers: set[asyncio.Event] = set()
        if in_memory:
            self._reader = file.in_memory()
            self._pen = Pen(self._reader, self.path)
        elif read_only:
            self._reader = file.open_for_reading(self.path, patience)
        else:
            self._open_for_writing(holder, patience)
        self._published = self._pen.head if self._pen else 0
        self._newest = self._pen.newest if self._pen else 0
        self._clocked = clock.now()
        if self._pen and writer == "thread" and not in_memory:
            self._scribe = Scribe(self._pen, self._settle)

    def _open_for_writing(self, holder: str, patience: Seconds) -> None:
        self.path = self.path.resolve()  # one file by two names is still one file
        try:
            if self.path.is_dir():
                raise IsADirectoryError
            self._hold = Hold(self.path, self._clock.now(), holder)
        except OSError as error:
            raise file.unusable(self.path, error) from error
        connection = None
        try:
            connection = file.open_for_writing(self.path, patience)
            self._pen = Pen(connection, self.path)
            self._reader = file.open_for_reading(self.path, patience)
        except (apsw.Error, LedgerError) as error:
            if connection is not None:
                connection.close()
            self._hold.let_go()
            if isinstance(error, LedgerError):
                raise
            raise file.explained(error, self.path) from error

    # Writing

    async def append(
        self,
        facts: Sequence[Fact],
        *,
        by: str,
        condition: Condition | None = None,
        key: str | None = None,
        attach: Mapping[int, bytes] | None = None,
        reader: tuple[str, int] | None = None,
    ) -> Receipt:
        """See `Ledger.append`. Whoever stops waiting (is cancelled) does not stop the write."""
        if attach:
            _check(attach, len(facts))
        at = self._moment()
        lines = [_line(fact) for fact in facts]
        return await self._ask(Append(lines, at, by, condition, key, attach, reader))

    def _moment(self) -> Instant:
        """When this is written: never before what stands there already.

        Behind a newest fact from the future (the clock was put back) time goes on at half speed,
        so that durations stay durations until the clock has caught up.
        """
        now = self._clock.now()
        self._newest = max(now, self._newest + max(0, now - self._clocked) // 2)
        self._clocked = now
        return self._newest

    async def expire(self, positions: Sequence[int]) -> None:
        """See `Ledger.expire`. Positions that have no attachment are passed over."""
        await self._ask(Append((), expire=tuple(positions)))

    def on_commit(self, callback: Callable[[], object]) -> None:
        """Call this in the loop after each commit, before anybody hears of it.

        Views catch up here, so that whoever awaits an append or follows finds them up to date.
        """
        self._callbacks.append(callback)

    def _ask(self, append: Append) -> asyncio.Future[Receipt]:
        if self._closing:
            raise refuse_closed(self.path)
        if self._scribe is not None:
            return self._scribe.ask(append)
        if self._pen is None:
            raise LedgerError(f"{self.path} was opened for reading only. Open it for writing.")
        append.answer = asyncio.get_running_loop().create_future()
        self._settle([append], self._pen.write([append]), self._pen.head)
        self._pen.tidy()
        return append.answer

    def _settle(self, group: Sequence[Append], outcomes: Sequence[Outcome], head: int) -> None:
        """In the loop: callbacks first, then whoever appended, then whoever follows."""
        grown = self._publish(head)
        for each, outcome in zip(group, outcomes, strict=True):
            answer = each.answer
            if answer is None or answer.done():
                continue
            if isinstance(outcome, Exception):
                answer.set_exception(outcome)
            else:
                answer.set_result(outcome)
        if grown:
            self._wake()

    def _publish(self, head: int) -> bool:
        """Let the new facts be seen; False if there are none."""
        if head == self._published:
            return False
        self._published = head
        for callback in self._callbacks:
            try:
                callback()
            except Exception as error:  # noqa: BLE001  the facts are on disk whatever a view makes of them
                asyncio.get_running_loop().call_exception_handler(
                    {"message": f"{callback} failed after a commit", "exception": error}
                )
        return True

    def _wake(self) -> None:
        for follower in self._followers:
            follower.set()

    # Reading

    def read(
        self,
        query: Query = EVERYTHING,
        *,
        after: int = 0,
        until: int | None = None,
        limit: int | None = None,
        backwards: bool = False,
    ) -> Iterator[Recorded]:
        """See `Ledger.read`. Backwards the newest comes first."""
        return asking.pages(self._fetch, query, after, until, limit, backwards)

    async def follow(
        self, query: Query = EVERYTHING, *, after: int = 0
    ) -> AsyncIterator[list[Recorded]]:
        """See `Ledger.follow`. Ends when the ledger is closed."""
        news = asyncio.Event()
        self._followers.add(news)
        try:
            while not self._closed:
                news.clear()
                head = self.head()
                batch = list(self.read(query, after=after, until=head, limit=_BATCH))
                after = batch[-1].position if len(batch) == _BATCH else max(after, head)
                if batch:
                    yield batch
                elif self._pen:
                    await news.wait()
                else:
                    await asyncio.sleep(_LOOK_AGAIN)
        finally:
            self._followers.discard(news)

    def head(self) -> int:
        return self._published if self._pen else asking.reach(self._fetch)[0]

    def attachment(self, position: int) -> bytes | None:
        found = self._fetch("select body from attachment where position = ?", (position,))
        return found[0][0] if found else None

    def read_by(self, reader: str) -> int:
        found = self._fetch("select position from reader where name = ?", (reader,))
        return found[0][0] if found else 0

    def _fetch(self, sql: str, given: tuple[Any, ...]) -> list[Any]:
        if self._closed:
            raise refuse_closed(self.path)
        try:
            with self._reading:
                return self._reader.execute(sql, given).fetchall()
        except (apsw.Error, UnicodeDecodeError) as error:
            raise file.explained(error, self.path) from error

    # Closing

    async def close(self) -> None:
        """See `Ledger.close`. Followers end, whoever still waits is answered first."""
        if self._closing:
            return
        self._closing = True
        if self._scribe:
            await self._scribe.finish()
        self._closed = True
        self._reader.close()
        if (
            self._pen
        ):  # the last to close moves the write-ahead log into the file, so not in the loop
            await asyncio.to_thread(self._pen.connection.close)
        if self._hold:
            self._hold.let_go()
        self._wake()


def _check(attach: Mapping[int, bytes], facts: int) -> None:
    for index in attach:
        if not 0 <= index < facts:
            raise ValueError(f"attach names fact {index}, but the append has {facts}, from 0 on")


def _line(fact: Fact) -> Line:
    name = fact.called if isinstance(fact, Unknown) else fact.name
    body = encode(fact)
    check(fact, body)
    return name, fact.about, body

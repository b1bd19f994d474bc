"""How do many appends become one commit?

A disk syncs some thousand times a second, so whoever waits at the same time is written together: one
transaction, one sync. Each append in it is still taken or refused on its own.

A thousand facts about a thousand subjects touch a thousand pages of an index. So only the facts
themselves are written at once, in order, and the index follows in larger pieces, sorted, when
everybody has been answered. What it does not cover yet is the tail, short enough to be read through;
in a storm it may grow longer.

Every statement gives up the interpreter's lock, and may wait five milliseconds to get it back from a
busy event loop. That is why a whole group is written in a handful of statements.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import apsw
import msgspec

from detente.kernel.clock import Instant
from detente.kernel.fact import Subject
from detente.kernel.ledger import Condition, Conflict, LedgerError, LedgerFull, Receipt, asking
from detente.kernel.ledger.file import explained
from detente.kernel.ledger.recent import Line, Recent


class Append(msgspec.Struct, eq=False):
    """One append that waits for its answer."""

    lines: Sequence[Line]
    at: Instant = 0
    by: str = ""
    condition: Condition | None = None
    key: str | None = None
    attach: Mapping[int, bytes] | None = None
    reader: tuple[str, int] | None = None
    expire: Sequence[int] = ()
    answer: asyncio.Future[Receipt] | None = None


Outcome = Receipt | Exception

SHORT_TAIL = 256  # facts: reading through them takes no time to speak of
LONG_TAIL = 16_384  # in a storm: reading through them takes some two milliseconds
_LONGEST_WAL = 4_000  # pages of 4 KiB, then they are moved into the ledger's file

_COLUMNS = 6
_AT_ONCE = (512, 128, 32, 8, 1)  # rows in one statement
_INSERT = "insert into fact(position, at, by, name, about, body) values "
_ROW = "(?,?,?,?,?,cast(? as text))"
_INSERTS = {rows: _INSERT + ",".join([_ROW] * rows) for rows in _AT_ONCE}
_ATTACH = "insert into attachment values (?, ?)"
_NEWEST = "select position, at from fact order by position desc limit 1"
_TAIL = "select name, about, x'' from fact where position > ? order by position"

# These are given a list as JSON: one statement, however long the list.
_ANSWERED = """
select key, first, last from answered where key in (select value from json_each(?))
"""
_ANSWER = """
insert into answered select value ->> 0, value ->> 1, value ->> 2 from json_each(?)
"""
_READ = "insert or replace into reader select value ->> 0, value ->> 1 from json_each(?)"
_EXPIRE = "delete from attachment where position in (select value from json_each(?))"

_INDEX = """
insert into of_subject select about, position from fact
  where position > (select up_to from indexed) order by about, position;
insert into of_name select name, position from fact
  where position > (select up_to from indexed) order by name, position;
update indexed set up_to = (select max(position) from fact);
"""


class Pen:
    """Writes groups of appends, each group in one transaction."""

    def __init__(self, connection: apsw.Connection, path: Path) -> None:
        self.connection = connection
        self.head = 0
        self.newest: Instant = 0
        self._path = path
        self._indexed = 0
        self._recent = Recent(0)
        self._interrupted = False
        self._wal_pages = 0
        self._forget_pending()
        self._start_over()
        connection.set_wal_hook(self._noted)

    def write(self, group: Sequence[Append]) -> Sequence[Outcome]:
        """What became of each, in order. What is answered with a receipt is on disk."""
        before = self.head
        try:
            return self._together(group)
        except apsw.Error as error:
            told: Exception = explained(error, self._path)
            for_all = isinstance(error, apsw.BusyError) or isinstance(told, LedgerFull)
        except Exception as error:  # noqa: BLE001  whatever it was, whoever waits must hear of it
            told, for_all = error, False
        self._recover(before)
        if for_all or len(group) == 1:
            return [told] * len(group)
        return [outcome for each in group for outcome in self.write([each])]

    @property
    def tail(self) -> int:
        """How many facts the index does not know of."""
        return self.head - self._indexed

    def tidy(self, longest_tail: int = SHORT_TAIL) -> None:
        """What may be done once everybody has been answered: the index, the checkpoint."""
        try:
            if self.tail > longest_tail:
                self._index_tail()
            if self._wal_pages > _LONGEST_WAL:
                self._wal_pages = 0
                self.connection.wal_checkpoint()
        except apsw.Error:
            # Full or locked. Nothing is lost by leaving it for later: the tail goes on being read
            # through, the write-ahead log goes on growing, and the next append says what is wrong.
            self._recover(self.head)

    def _index_tail(self) -> None:
        with self.connection:
            self.connection.execute(_INDEX)
        self._indexed = self.head
        self._recent = self._recent.shortened()

    def _noted(self, _connection: apsw.Connection, _schema: str, pages: int) -> int:
        """SQLite tells after each commit how long its write-ahead log has become."""
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _together(self, group: Sequence[Append]) -> list[Outcome]:
        if self._interrupted:
            self._start_over()
        self._interrupted = True
        self.connection.execute("begin immediate")
        self._look_up([each.key for each in group if each.key is not None])
        outcomes = [self._take(each) for each in group]
        self._flush()
        self.connection.execute("commit")
        self._interrupted = False
        return outcomes

    def _recover(self, head: int) -> None:
        """Let go of the transaction that failed, at once: others may want to write."""
        self.head = head
        try:
            self._start_over()
        except apsw.Error:  # not even that: the next group begins with it
            return

    def _start_over(self) -> None:
        """Begin from what is on disk: nothing pending, no transaction."""
        self._interrupted = True
        self._forget_pending()
        if self.connection.in_transaction:
            self.connection.execute("rollback")
        self.head, self.newest = next(self.connection.execute(_NEWEST), (0, 0))
        self._indexed = asking.reach(self._fetch)[1]
        self._recent = Recent(self._indexed, self._fetch(_TAIL, (self._indexed,)))
        self._interrupted = False

    def _fetch(self, sql: str, given: tuple[Any, ...]) -> list[Any]:
        return self.connection.execute(sql, given).fetchall()

    def _look_up(self, keys: list[str]) -> None:
        """Which of these keys have had their answer?"""
        if keys:
            for key, first, last in self.connection.execute(_ANSWERED, (_json(keys),)):
                self._answered[key] = Receipt(first, last, True)

    def _take(self, append: Append) -> Outcome:
        key = append.key
        if key is not None and key in self._answered:
            return self._answered[key]
        if append.condition is not None:
            refused = self._refused(append.condition)
            if refused is not None:
                return refused
        receipt = self._put(append) if append.lines else Receipt(self.head, self.head)
        if key is not None:
            self._answers.append((key, receipt.first, receipt.last))
            self._answered[key] = Receipt(receipt.first, receipt.last, True)
        if append.reader is not None:
            self._readers.append(append.reader)
        if append.expire:
            self._expired += append.expire
        return receipt

    def _put(self, append: Append) -> Receipt:
        position = head = self.head
        at, by, rows = append.at, append.by, self._rows
        for name, about, body in append.lines:
            position += 1
            rows += (position, at, by, name, about, body)
        if append.attach:
            self._attachments += [(head + 1 + index, body) for index, body in append.attach.items()]
        self._recent.add(append.lines)
        self.head = position
        return Receipt(head + 1, position)

    def _refused(self, condition: Condition) -> Conflict | None:
        """What stands in the way: looked up in the file only if the decision is an old one."""
        query, after, start = condition.query, condition.after, self._recent.start
        if after < start:
            found = asking.first(self._fetch, query, asking.Span(after, start, start))
            if found is not None:
                return _conflict(found[0], found[3], found[4], after=after)
        newer = self._recent.first_newer(query, after)
        return None if newer is None else _conflict(*newer, after=after)

    def _flush(self) -> None:
        """Put everything pending into the transaction."""
        self._flush_rows()
        if self._attachments:
            self.connection.executemany(_ATTACH, self._attachments)
        if self._answers:
            self.connection.execute(_ANSWER, (_json(self._answers),))
        if self._readers:
            self.connection.execute(_READ, (_json(self._readers),))
        if self._expired:
            self.connection.execute(_EXPIRE, (_json(self._expired),))
        self._forget_pending()

    def _flush_rows(self) -> None:
        rows, start, left = self._rows, 0, len(self._rows) // _COLUMNS
        for size in _AT_ONCE:
            while left >= size:
                end = start + size * _COLUMNS
                self.connection.execute(_INSERTS[size], rows[start:end])
                start, left = end, left - size

    def _forget_pending(self) -> None:
        self._rows: list[Any] = []
        self._attachments: list[tuple[int, bytes]] = []
        self._answers: list[tuple[str, int, int]] = []
        self._readers: list[tuple[str, int]] = []
        self._expired: list[int] = []
        self._answered: dict[str, Receipt] = {}


def _json(listed: Sequence[object]) -> str:
    return msgspec.json.encode(listed).decode()


def _conflict(position: int, name: str, about: Subject, *, after: int) -> Conflict:
    return Conflict(
        f"{name} about {about} was written at position {position}, after position {after} that this "
        "decision knew of: read again and decide again."
    )


def refuse_closed(path: Path) -> LedgerError:
    return LedgerError(f"The ledger {path} has been closed. Open it again to go on.")

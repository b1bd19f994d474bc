"""How do many appends become one commit?

A disk syncs some thousand times a second, so whoever waits at the same time is written together: one
transaction, one sync. Each append in it is still taken or refused on its own.

A thousand facts about a thousand subjects touch a thousand pages of an index. So in a storm only the
facts themselves are written, in order, and the index follows in larger pieces, sorted. The facts it
does not know yet are the tail: it stays short, and the pen remembers it to check conditions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

import apsw
import msgspec

from detente.kernel.clock import Instant
from detente.kernel.fact import Subject
from detente.kernel.ledger import Condition, Conflict, LedgerError, Receipt
from detente.kernel.ledger import asking
from detente.kernel.ledger.file import explained
from detente.kernel.ledger.tail import Tail

Line = tuple[str, str, bytes]
"""A fact ready for the disk: name, subject, body."""


class Append(msgspec.Struct, kw_only=True, eq=False):
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

_CALM = 64  # so few facts in one commit go into the index at once
_LONGEST_TAIL = 8_192  # facts: reading through them takes under a millisecond

_COLUMNS = 6
_AT_ONCE = (512, 128, 32, 8, 1)  # rows in one statement
_INSERT = "insert into fact(position, at, by, name, about, body) values "
_ROW = "(?,?,?,?,?,cast(? as text))"
_INSERTS = {rows: _INSERT + ",".join([_ROW] * rows) for rows in _AT_ONCE}
_ANSWERED = """
select key, first, last from answered where key in (select value from json_each(?))
"""
_NEWEST = "select position, at from fact order by position desc limit 1"
_TAIL = """
select name, about from fact where position > (select up_to from indexed) order by position
"""
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
        self._path = path
        self.head = 0
        self.newest: Instant = 0
        self._start_over()

    def write(self, group: Sequence[Append]) -> list[Outcome]:
        """What became of each, in order. What is answered with a receipt is on disk."""
        try:
            return self._together(group)
        except Exception as error:  # noqa: BLE001  whatever it was, whoever waits must hear of it
            told = explained(error, self._path) if isinstance(error, apsw.Error) else error
            alone = len(group) == 1 or isinstance(error, apsw.BusyError) or not self._recovered()
            if alone:
                return [told] * len(group)
        return [outcome for each in group for outcome in self.write([each])]

    def index_tail(self) -> None:
        """Bring the index up to date, now that there is time for it."""
        try:
            with self.connection:
                self.connection.execute(_INDEX)
        except apsw.Error:  # a full or locked file: the tail goes on being read through
            return
        self._tail = Tail(self.head)

    @property
    def has_tail(self) -> bool:
        return self._tail.start < self.head

    def _together(self, group: Sequence[Append]) -> list[Outcome]:
        if self._uncertain:
            self._start_over()
        self._uncertain = True
        self.connection.execute("begin immediate")
        answered = self._answered([each.key for each in group if each.key is not None])
        before = self.head
        outcomes = [self._take(each, answered) for each in group]
        self._flush()
        indexed = self._is_time_to_index(self.head - before)
        if indexed:
            self.connection.execute(_INDEX)
        self.connection.execute("commit")
        self._uncertain = False
        if indexed:
            self._tail = Tail(self.head)
        return outcomes

    def _is_time_to_index(self, written: int) -> bool:
        tail = self.head - self._tail.start
        return tail > _LONGEST_TAIL or (0 < tail and written <= _CALM)

    def _recovered(self) -> bool:
        try:
            self._start_over()
        except apsw.Error:
            return False
        return True

    def _start_over(self) -> None:
        """Begin from what is on disk: nothing pending, no transaction."""
        self._uncertain = True
        self._rows: list[object] = []
        self._attachments: list[tuple[int, bytes]] = []
        if self.connection.in_transaction:
            self.connection.execute("rollback")
        self.head, self.newest = next(self.connection.execute(_NEWEST), (0, 0))
        _, indexed = asking.reach(self._fetch)
        self._tail = Tail(indexed)
        for position, name, about in self.connection.execute(_TAIL):
            self._tail.add(name, about)
        self._uncertain = False

    def _fetch(self, sql: str, given: tuple[object, ...]) -> list[asking.Row]:
        return self.connection.execute(sql, given).fetchall()  # type: ignore[arg-type]

    def _answered(self, keys: list[str]) -> dict[str, Receipt]:
        """The keys among these that have had their answer."""
        if not keys:
            return {}
        found = self.connection.execute(_ANSWERED, (msgspec.json.encode(keys).decode(),))
        return {str(key): Receipt(first, last, True) for key, first, last in found}

    def _take(self, append: Append, answered: dict[str, Receipt]) -> Outcome:
        if append.key is not None and append.key in answered:
            return answered[append.key]
        if append.condition is not None:
            refused = self._refused(append.condition)
            if refused is not None:
                return refused
        receipt = self._put(append)
        if append.key is not None:
            self._note("insert into answered values (?, ?, ?)", append.key, receipt.first, receipt.last)
            answered[append.key] = Receipt(receipt.first, receipt.last, True)
        if append.reader is not None:
            self._note("insert or replace into reader values (?, ?)", *append.reader)
        for position in append.expire:
            self._note("delete from attachment where position = ?", position)
        return receipt

    def _put(self, append: Append) -> Receipt:
        head, at, by, rows, tail = self.head, append.at, append.by, self._rows, self._tail
        if not append.lines:
            return Receipt(head, head)
        if append.attach:
            self._attachments += [(head + 1 + index, body) for index, body in append.attach.items()]
        position = head
        for name, about, body in append.lines:
            position += 1
            rows += (position, at, by, name, about, body)
            tail.add(name, about)
        self.head = position
        return Receipt(head + 1, position)

    def _refused(self, condition: Condition) -> Conflict | None:
        """What stands in the way. Most decisions are fresh, and then the tail knows it all."""
        query, after, start = condition.query, condition.after, self._tail.start
        if after < start:
            found = asking.first(self._fetch, query, asking.Span(after, start, start))
            if found:
                return _conflict(found[0], found[3], found[4], after)
        newer = self._tail.first_newer(query, after)
        return None if newer is None else _conflict(*newer, after)

    def _note(self, sql: str, *given: object) -> None:
        self.connection.execute(sql, given)  # type: ignore[arg-type]

    def _flush(self) -> None:
        """Put the pending rows into the transaction, in as few statements as possible.

        Every statement gives up the interpreter's lock and may wait five milliseconds to get it
        back from a busy event loop.
        """
        rows, start, left = self._rows, 0, len(self._rows) // _COLUMNS
        for size in _AT_ONCE:
            while left >= size:
                end = start + size * _COLUMNS
                self.connection.execute(_INSERTS[size], rows[start:end])  # type: ignore[arg-type]
                start, left = end, left - size
        self._rows = []
        if self._attachments:
            self.connection.executemany("insert into attachment values (?, ?)", self._attachments)
            self._attachments = []


def _conflict(position: int, name: str, about: Subject, after: int) -> Conflict:
    return Conflict(
        f"{name} about {about} was written at position {position}, after position {after} that this "
        "decision knew of: read again and decide again."
    )


def refuse_closed(path: Path | str) -> LedgerError:
    return LedgerError(f"The ledger {path} has been closed. Open it again to go on.")

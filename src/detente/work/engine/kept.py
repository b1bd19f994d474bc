"""What did they last answer, when this program has forgotten?

Answers on disk, so that a program that restarts in the middle of an outage still knows them. A key
stands there only as a digest, because keys are often tickets and tokens. Answers stand there as they
are, in a file that only this user can read: keep nothing that must not be on a disk.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
from collections import OrderedDict
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import msgspec

from detente.kernel.clock import NS, Clock, Seconds
from detente.work.engine.known import Known

_log = logging.getLogger("detente.work")

_TABLE = """create table if not exists known(
  name text not null, key blob not null, at integer not null, answer blob not null,
  primary key (name, key)) without rowid"""
_LOCKED: Seconds = 0.05  # so long a caller waits for another process that writes
_TIDIED_EVERY = 200  # writes
_REWRITTEN: Seconds = 1.0  # the same answer is written again after that long
_left_behind: list[sqlite3.Connection] = []  # of the parent: closing them here could disturb it


class Disk:
    """One file, shared by the processes of one program. What fails here fails no caller."""

    def __init__(self, file: Path, name: str, most: int, clock: Clock) -> None:
        self._file = file
        self._name = name
        self._most = most
        self._clock = clock
        self._open: sqlite3.Connection | None = None
        self._owner = 0
        self._writes = 0
        self._last: OrderedDict[bytes, tuple[bytes, int]] = OrderedDict()
        self._complained = False

    def write(self, key: Hashable, value: Any) -> None:
        try:
            answer, at, digest = msgspec.json.encode(value), self._clock.now(), _digest(key)
            if self._just_written(digest, answer, at):
                return
            rows = self._rows()
            rows.execute(
                "insert into known values (?, ?, ?, ?) on conflict do update set"
                " at = excluded.at, answer = excluded.answer",
                (self._name, digest, at, answer),
            )
            self._tidy(rows)
        except (sqlite3.Error, OSError, TypeError, NotImplementedError) as error:
            self._complain("is kept in memory only", error)

    def read(self, key: Hashable, kind: Any) -> Known[Any] | None:
        """None also if the clock was put back: then nobody knows how old it is."""
        try:
            asked = "select at, answer from known where name = ? and key = ?"
            row = self._rows().execute(asked, (self._name, _digest(key))).fetchone()
            if row is None or (age := (self._clock.now() - row[0]) / NS) < 0:
                return None
            return Known(msgspec.json.decode(row[1], type=kind), max(age, 1e-9))
        except (sqlite3.Error, OSError, msgspec.MsgspecError, TypeError) as error:
            self._complain("cannot be read", error)
            return None

    def forget(self, key: Hashable) -> None:
        digest = _digest(key)
        self._last.pop(digest, None)
        try:
            self._rows().execute(
                "delete from known where name = ? and key = ?", (self._name, digest)
            )
        except (sqlite3.Error, OSError) as error:
            self._complain("cannot be forgotten", error)

    def _just_written(self, digest: bytes, answer: bytes, at: int) -> bool:
        before = self._last.get(digest)
        if before is not None and before[0] == answer and 0 <= at - before[1] < _REWRITTEN * NS:
            return True
        self._last[digest] = (answer, at)
        self._last.move_to_end(digest)
        if len(self._last) > self._most:
            self._last.popitem(last=False)
        return False

    def _rows(self) -> sqlite3.Connection:
        """A connection of this process; one of the parent's must not be used after a fork."""
        if self._open is None or self._owner != os.getpid():
            if self._open is not None:
                _left_behind.append(self._open)
            self._open, self._owner = None, os.getpid()
            self._open = self._connected()
        return self._open

    def _connected(self) -> sqlite3.Connection:
        if not self._file.exists():
            os.close(os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        rows = sqlite3.connect(
            self._file, timeout=_LOCKED, isolation_level=None, check_same_thread=False
        )
        for wish in ("journal_mode=wal", "synchronous=normal"):
            rows.execute(f"pragma {wish}")
        rows.execute(_TABLE)
        return rows

    def _tidy(self, rows: sqlite3.Connection) -> None:
        self._writes += 1
        if self._writes % _TIDIED_EVERY == 0:
            rows.execute(
                "delete from known where name = ?1 and key not in"
                " (select key from known where name = ?1 order by at desc limit ?2)",
                (self._name, self._most),
            )

    def _complain(self, what: str, error: Exception) -> None:
        if not self._complained:
            self._complained = True
            _log.warning("what %s last answered %s: %s", self._name, what, error)


def _digest(key: Hashable) -> bytes:
    """Says which key it was to whoever has the key, and nothing to others."""
    return hashlib.blake2b(repr(key).encode("utf-8", "surrogateescape"), digest_size=16).digest()

"""What do the facts add up to?

Projections fold facts into rows. The rows live in a file of their own beside the ledger, may be
thrown away at any time and are then folded again (`detente ledger rebuild`): rebuilt equals live,
because one code path does both. How far the views have read is written in the same transaction as
the rows, so a crash neither repeats nor forgets.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import apsw

from detente.kernel.fact import Recorded
from detente.kernel.ledger import Ledger

log = logging.getLogger(__name__)

Rows = apsw.Connection
"""Where a projection writes and a query reads: plain SQL."""

_BATCH = 2_000
_OURS = 0x44745677  # "DtVw": says that a SQLite file holds views and nothing else
_FORM = "4"  # of this file itself


_LONGEST_ERROR = 200
_OF_THE_FACT = (
    apsw.ConstraintError, apsw.MismatchError, apsw.RangeError, apsw.SQLError, apsw.TooBigError,
)  # fmt: skip


class NotViews(Exception):
    """The file holds something else than views, and was left as it is."""


@dataclass(frozen=True)
class Projection:
    """Tables, and the function that keeps them. `hears` names the facts it is called with."""

    noun: str
    tables: str  # SQL that creates them; every table's name starts with the noun
    hears: tuple[str, ...]
    fold: Callable[[Rows, Recorded], None]
    version: int = 1  # goes up when the folding changes its mind

    def shape(self) -> str:
        """Changes with the tables, the facts heard or the version; the rows are then made anew."""
        return hashlib.sha256(f"{self.tables}{self.hears}{self.version}".encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Unfolded:
    """Facts that a projection stumbled over, and passed by."""

    noun: str
    facts: int
    first: int  # its position
    error: str  # what the first of them met with


class Views:
    """The rows of all projections, and how far they have read."""

    def __init__(self, path: Path | str, projections: Iterable[Projection]) -> None:
        if str(path) != ":memory:" and not Path(path).exists():
            # What the ledger keeps to this user, its rows must not tell others.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self.rows = apsw.Connection(str(path))
        self._refuse_strangers(path)
        # Safe against power cuts: a commit may be forgotten, never torn, and is then folded again.
        for wish in ("busy_timeout=5000", "journal_mode=wal", "synchronous=normal"):
            self.rows.execute(f"pragma {wish}")
        self._projections = tuple(projections)
        self._hearers: dict[str, list[Projection]] = {}
        self._lamented: set[str] = set()
        for each in self._projections:
            for name in each.hears:
                self._hearers.setdefault(name, []).append(each)
        if self._shape_on_disk() != self._shape():
            self._start_over()

    def _refuse_strangers(self, path: Path | str) -> None:
        """Tables are dropped at will here, so never in a file that somebody else made."""
        ours = self.rows.pragma("application_id") == _OURS
        if not ours and self.rows.execute("select 1 from sqlite_master").fetchall():
            self.rows.close()
            raise NotViews(f"{path} is a database of something else. Move it away and start again.")
        if not ours:
            self.rows.pragma("application_id", _OURS)

    @property
    def position(self) -> int:
        """The newest fact these rows know of."""
        for (position,) in self.rows.execute("select position from views_read"):
            return int(position)
        return 0

    def unfolded(self) -> list[Unfolded]:
        """What is missing from these rows: facts that could not be folded, by projection."""
        asked = """select noun, count(*), min(position), error from views_unfolded
          group by noun order by noun"""  # SQLite takes the error from where the minimum stands
        return [Unfolded(*row) for row in self.rows.execute(asked)]

    def catch_up(self, ledger: Ledger) -> int:
        """Fold everything that is new; answers with the position reached."""
        position = self.position
        while batch := list(ledger.read(after=position, limit=_BATCH)):
            position = self._fold(position, batch)
        return position

    def check(self, ledger: Ledger) -> None:
        """Forget every row if they were folded from another ledger: one put back, or put aside."""
        if self._last_on_disk() != self._last_in(ledger):
            self._start_over()

    def rebuild(self, ledger: Ledger) -> int:
        """Forget every row and fold the whole ledger again."""
        self._start_over()
        return self.catch_up(ledger)

    def hurry(self) -> None:
        """From now on wait for nobody who has the file locked: a node has callers waiting."""
        self.rows.execute("pragma busy_timeout=20")

    def close(self) -> None:
        self.rows.close()

    def _fold(self, after: int, batch: Sequence[Recorded]) -> int:
        """All of the batch or nothing; answers with the position reached.

        Nothing if somebody else, with the same file open, has come to another position meanwhile.
        A projection that stumbles over a fact passes it by: the ledger is right, and goes on.
        """
        try:
            return self._fold_with(_plainly, after, batch)
        except Exception as error:
            if not _of_the_fact(error):
                raise
        return self._fold_with(self._with_care, after, batch)

    def _fold_with(self, fold: _Folding, after: int, batch: Sequence[Recorded]) -> int:
        with self.rows:
            self.rows.execute("update views_read set position = position")  # now nobody else writes
            reached = self.position
            if reached != after:
                return reached
            for recorded in batch:
                for projection in self._hearers.get(recorded.name, ()):
                    fold(projection, self.rows, recorded)
            last = batch[-1]
            self.rows.execute(
                "update views_read set position = ?, at = ?", (last.position, last.at)
            )
        return last.position

    def _with_care(self, projection: Projection, rows: Rows, recorded: Recorded) -> None:
        """Of a fact that it stumbles over it keeps nothing but that it did."""
        try:
            with rows:
                projection.fold(rows, recorded)
        except Exception as error:
            if not _of_the_fact(error):
                raise
            told = f"{type(error).__name__}: {error}"[:_LONGEST_ERROR]
            missing = (projection.noun, recorded.position, told)
            rows.execute("insert into views_unfolded values (?, ?, ?)", missing)
            self._lament(projection.noun, recorded, error)

    def _lament(self, noun: str, recorded: Recorded, error: Exception) -> None:
        """Loudly once for each projection; how many there are stands in the rows."""
        level = logging.DEBUG if noun in self._lamented else logging.ERROR
        self._lamented.add(noun)
        log.log(
            level, "fact %s (%s) could not be folded into %s and was passed by",
            recorded.position, recorded.name, noun, exc_info=error,
        )  # fmt: skip

    def _last_on_disk(self) -> tuple[int, int]:
        for position, at in self.rows.execute("select position, at from views_read"):
            return position, at
        return 0, 0

    def _last_in(self, ledger: Ledger) -> tuple[int, int]:
        """What the ledger says of the newest fact that these rows know of."""
        position = self.position
        for recorded in ledger.read(after=position - 1, until=position):
            return recorded.position, recorded.at
        return 0, 0

    def _shape(self) -> str:
        return ",".join([_FORM, *(f"{each.noun}:{each.shape()}" for each in self._projections)])

    def _shape_on_disk(self) -> str | None:
        try:
            for (shape,) in self.rows.execute("select shape from views_read"):
                return str(shape)
        except apsw.SQLError:
            return None
        return None

    def _start_over(self) -> None:
        with self.rows:
            ours = (
                "select name from sqlite_master where type = 'table' and name not like 'sqlite_%'"
            )
            for (table,) in list(self.rows.execute(ours)):
                self.rows.execute(f'drop table "{table}"')
            self.rows.execute("create table views_read(position integer, at integer, shape text)")
            self.rows.execute("insert into views_read values (0, 0, ?)", (self._shape(),))
            self.rows.execute(_UNFOLDED)
            for each in self._projections:
                self.rows.execute(each.tables)


_Folding = Callable[[Projection, Rows, Recorded], None]
_UNFOLDED = """
create table views_unfolded(
  noun text, position integer, error text, primary key (noun, position)) without rowid;
"""


def _plainly(projection: Projection, rows: Rows, recorded: Recorded) -> None:
    projection.fold(rows, recorded)


def _of_the_fact(error: Exception) -> bool:
    """False where the file, the disk or the memory is to blame: the next try may work."""
    if isinstance(error, apsw.Error):
        return isinstance(error, _OF_THE_FACT)
    return not isinstance(error, (MemoryError, OSError))

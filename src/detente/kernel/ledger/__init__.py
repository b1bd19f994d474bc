"""What happened, in order, for good?

The whole interface of the ledger: `append` with a condition, `read`, `follow`. Two things make it
safe to build on. What `append` has answered is on disk. And an append can be refused (`Conflict`)
if something newer stands there about the same subjects, so two writers never both win.

Stores implement `Ledger` and pass one shared contract suite (`tests/kernel/ledger_contract.py`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from detente.kernel.fact import Fact, Recorded, Subject


def beside(ledger: Path, what: str) -> Path:
    """The file of that kind which belongs to this ledger: `detente.db` → `detente.db.views`."""
    return ledger.with_name(f"{ledger.name}.{what}")


class Query(msgspec.Struct, frozen=True):
    """Which facts. Names end in `.*` to mean a whole slice; nothing given means everything."""

    names: tuple[str, ...] = ()
    subjects: tuple[Subject, ...] = ()


EVERYTHING = Query()


class Condition(msgspec.Struct, frozen=True):
    """Append only if nothing that `query` matches stands after position `after`."""

    query: Query
    after: int


class Receipt(msgspec.Struct, frozen=True):
    """Where the facts stand. `repeated` if this idempotency key had already been answered."""

    first: int
    last: int
    repeated: bool = False


class LedgerError(Exception):
    """The ledger cannot be used as it is; the message says why and what to do."""


class Conflict(LedgerError):
    """Something newer about the same subjects was written first: read again and decide again."""


class LedgerHeld(LedgerError):
    """Another process writes to this ledger; the message says which."""


class LedgerTooNew(LedgerError):
    """The ledger was written by a newer version of Détente."""


class LedgerFull(LedgerError):
    """The disk took nothing more. Nothing of this append was kept; free some space and repeat it."""


class Ledger(Protocol):
    """One append-only, ordered record of everything that happened."""

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
        """Write all facts or none; answers once they are on disk.

        `key`: an idempotency key; a repeated one writes nothing and answers with the first receipt
        (checked before the condition). `attach`: index in `facts` → bytes kept beside that fact,
        which may later be expired while the fact stays. `reader`: a follower's name and how far it
        has read, written in the same transaction. Without facts only the reader moves, and the
        receipt names the head as first and last. Raises Conflict, LedgerFull, LedgerError; and Unfit
        (see `kernel.fact`) before anything is written.
        """
        ...

    def read(
        self,
        query: Query = EVERYTHING,
        *,
        after: int = 0,
        until: int | None = None,
        limit: int | None = None,
        backwards: bool = False,
    ) -> Iterator[Recorded]:
        """Facts in order, from just after position `after` up to and including `until`."""
        ...

    def follow(self, query: Query = EVERYTHING, *, after: int = 0) -> AsyncIterator[list[Recorded]]:
        """The same, and then whatever comes, in batches, for as long as one listens."""
        ...

    def head(self) -> int:
        """The position of the newest fact, 0 when there is none."""
        ...

    def attachment(self, position: int) -> bytes | None:
        """The bytes kept beside that fact, or None if there are none (any more)."""
        ...

    async def expire(self, positions: Sequence[int]) -> None:
        """Forget the attachments of these facts. The facts stay."""
        ...

    def read_by(self, reader: str) -> int:
        """How far that follower had read when it last said so; 0 if never."""
        ...

    async def close(self) -> None:
        """Finish what was asked, then let go of the file."""
        ...

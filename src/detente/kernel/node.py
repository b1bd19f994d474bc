"""What is every page, lever and effect handed?

The node is one running Détente: its clock, chance and network, the ledger with the views folded from
it, and what people declared. It is put together in `detente.app` and handed down; nothing here is global.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import apsw
import msgspec

from detente.kernel.catalogue import Catalogue
from detente.kernel.clock import Clock, Instant, later
from detente.kernel.config import Secret, SecretMissing, secrets_in
from detente.kernel.fact import Fact, Recorded, Subject
from detente.kernel.ledger import Condition, Conflict, Ledger, LedgerError, Query, Receipt
from detente.kernel.mailing import Mail
from detente.kernel.network import Network
from detente.kernel.slice import Slice
from detente.kernel.views import Rows, Views

log = logging.getLogger(__name__)

S = TypeVar("S", bound=msgspec.Struct)

_LONGEST_TITLE = 20  # longer single words are identifiers, which people know by their end


class CannotStart(Exception):
    """The node cannot work as it was asked to; the message says why and what to do."""


class Unwritten(msgspec.Struct, frozen=True):
    """Since when the ledger takes nothing, and what it says."""

    since: Instant
    reason: str


@dataclass
class Node:
    """One running Détente."""

    clock: Clock
    chance: random.Random
    network: Network
    ledger: Ledger
    views: Views
    catalogue: Catalogue
    cards: tuple[Slice, ...]
    declared: Mapping[str, Any]  # settings by noun
    address: str = "http://127.0.0.1:3383"
    token: str = ""
    key: bytes = b""
    name: str = "Détente"
    running: bool = True  # False: somebody only looks at the ledger, and nothing is watched
    _newest: tuple[Instant, Instant] = (0, 0)  # what the ledger has reached, and the clock then
    parts: dict[type, Any] = field(default_factory=dict)
    """Running machinery that a slice's levers must reach (its breakers, its prober), by type."""
    unwritten: Unwritten | None = None
    """Set while the ledger takes nothing: this cannot be a fact, so it is kept in mind."""

    def key_for(self, purpose: str) -> bytes:
        """32 secret bytes that stay the same, another for each purpose."""
        return hmac.digest(self.key, purpose.encode(), "sha256")

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """Every secret that people refer to in what they declared."""
        return (*secrets_in(self.declared), *secrets_in(self.catalogue))

    def revealed(self) -> tuple[str, ...]:
        """What nobody may read in anything that a program printed: those secrets, and our token."""
        found = [self.token] if self.token else []
        for secret in self.secrets:
            with suppress(SecretMissing):
                found.append(secret.reveal())
        return tuple(dict.fromkeys(found))

    @property
    def mail(self) -> Mail | None:
        """How mail leaves this node; None if nobody declared it."""
        return self.catalogue.mail

    @property
    def rows(self) -> Rows:
        """The folded rows: what queries read."""
        return self.views.rows

    def settings(self, kind: type[S]) -> S:
        """What people declared for the slice whose settings are of this type."""
        for declared in self.declared.values():
            if isinstance(declared, kind):
                return declared
        raise LookupError(f"no slice has settings of type {kind.__name__}")

    def part(self, kind: type[S] | type[Any]) -> Any:
        """The running part of that type, or None while it is not running (or not in this process)."""
        return self.parts.get(kind)

    def title(self, subject: Subject) -> str:
        """What people call it."""
        title = self.catalogue.title(subject)
        return title if len(title) <= _LONGEST_TITLE or " " in title else f"…{title[-6:]}"

    def now(self) -> Instant:
        """The time by which things fall due: nobody waits for a clock that was put back.

        Where the ledger is ahead of the clock, time goes on from the ledger's newest fact.
        """
        clock, newest = self.clock.now(), self._newest
        for last in self.ledger.read(backwards=True, limit=1):
            if last.at > newest[0] + clock - newest[1]:
                self._newest = newest = (last.at, clock)
        return max(clock, newest[0] + max(0, clock - newest[1]))

    def began(self) -> Instant:
        """When the first fact was written: before it nothing is known, good or bad."""
        return next((first.at for first in self.ledger.read(limit=1)), self.clock.now())

    def last_day(self) -> Instant:
        """Where the last 24 hours begin, or what is known, if that is less."""
        return max(later(self.clock.now(), -86_400), self.began())

    async def record(
        self,
        *facts: Fact,
        by: str,
        condition: Condition | None = None,
        key: str | None = None,
        attach: Mapping[int, bytes] | None = None,
        reader: tuple[str, int] | None = None,
    ) -> Receipt:
        """Append to the ledger; when this returns, the views know it too."""
        try:
            receipt = await self.ledger.append(
                facts, by=by, condition=condition, key=key, attach=attach, reader=reader
            )
        except Conflict:
            raise  # it works: somebody else was quicker
        except LedgerError as error:
            since = self.unwritten.since if self.unwritten else self.clock.now()
            self.unwritten = Unwritten(since, str(error))
            raise
        self.unwritten = None
        self._catch_up()  # if not now, then later: the facts are on disk, and nobody writes them twice
        return receipt

    def _catch_up(self) -> bool:
        try:
            self.views.catch_up(self.ledger)
        except (apsw.Error, OSError, MemoryError) as error:
            log.warning("the views are behind the ledger and catch up later: %s", error)
            return False
        return True

    async def react(
        self,
        reader: str,
        names: Sequence[str],
        decide: Callable[[Recorded], Sequence[Fact] | Awaitable[Sequence[Fact]]],
    ) -> None:
        """Follow facts and record what `decide` makes of each, once, crash or no crash.

        How far was read is written together with the facts decided on; a crash in between repeats
        the decision and never its outcome.
        """
        done = self.ledger.read_by(reader)
        async for batch in self.follow(names, after=done):
            for recorded in batch:
                decided = decide(recorded)
                facts = await decided if isinstance(decided, Awaitable) else decided
                if facts:
                    key = f"{reader}@{recorded.position}"
                    at = (reader, recorded.position)
                    await self.record(*facts, by=f"detente:{reader}", key=key, reader=at)
                done = recorded.position
            if self.ledger.read_by(reader) < done:
                await self.ledger.append((), by=f"detente:{reader}", reader=(reader, done))

    async def follow(self, names: Sequence[str], *, after: int) -> AsyncIterator[list[Recorded]]:
        """Facts of these names as they come; the views have read them before you do."""
        async for batch in self.ledger.follow(Query(names=tuple(names)), after=after):
            while not self._catch_up():
                await asyncio.sleep(1)
            yield batch

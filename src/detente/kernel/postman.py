"""Who is still owed a message, and who hands it over?

Nothing is put in a queue. What is owed is computed from rows each time, so a restart repeats nothing
that was noted and forgets nothing that was not. One window is left and cannot be closed: it was handed
over, and the node died before that was noted. Then the same message goes out again, under the same name.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeVar

from detente.kernel.clock import Instant, Seconds, seconds_between
from detente.kernel.fact import Fact
from detente.kernel.ledger import LedgerError
from detente.kernel.mailing import Channel
from detente.kernel.node import Node

log = logging.getLogger(__name__)

_LONGEST_WAIT: Seconds = 3_600.0  # only a fact or the clock changes what is owed, and facts wake us
_LEDGER_WAIT: Seconds = 2.0

Way = tuple[str, Channel]
"""To whom and how: messages that take the same way go one after the other."""


class Owed(Protocol):
    """A message that somebody has not been told."""

    @property
    def way(self) -> Way: ...

    @property
    def not_before(self) -> Instant: ...


L = TypeVar("L", bound=Owed)


class Postman(Generic[L]):
    """Hands over what is owed. Each way to each team has its own pace; none waits for another."""

    def __init__(
        self,
        node: Node,
        *,
        by: str,
        hears: Sequence[str],
        owed: Callable[[], Sequence[L]],
        tell: Callable[[L], Awaitable[Sequence[Fact]]],
        next_at: Callable[[], Instant | None] = lambda: None,
    ) -> None:
        """`owed`: the oldest first. `tell` hands one over, once, and answers with what is to be noted,
        success or failure. `next_at`: when something will be owed though no fact says so."""
        self.node = node
        self.by = by
        self.hears = hears
        self.owed = owed
        self.tell = tell
        self.next_at = next_at
        self._under_way: set[Way] = set()
        self._stirred = asyncio.Event()

    async def go_round(self) -> None:
        """Tell whoever is owed, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen(self.node.ledger.head()))
            while True:
                self._stirred.clear()
                owed = self.owed()
                for letter in self._due(owed):
                    self._under_way.add(letter.way)
                    group.create_task(self._hand_over(letter))
                try:
                    async with asyncio.timeout(self._until_next(owed)):
                        await self._stirred.wait()
                except TimeoutError:
                    pass

    async def _listen(self, after: int) -> None:
        async for _batch in self.node.follow(self.hears, after=after):
            self._stirred.set()

    def _due(self, owed: Sequence[L]) -> list[L]:
        """At most one for each way that is free: there are as many at once as there are ways."""
        now = self.node.clock.now()
        due: dict[Way, L] = {}
        for letter in owed:
            if letter.way not in self._under_way and letter.not_before <= now:
                due.setdefault(letter.way, letter)
        return list(due.values())

    def _until_next(self, owed: Sequence[L]) -> Seconds:
        free = [letter.not_before for letter in owed if letter.way not in self._under_way]
        more = self.next_at()
        free += [more] if more is not None else []
        if not free:
            return _LONGEST_WAIT
        wait = seconds_between(self.node.clock.now(), min(free))
        return min(max(wait, 0.01), _LONGEST_WAIT)

    async def _hand_over(self, letter: L) -> None:
        try:
            await self._note(await self.tell(letter))
        finally:
            self._under_way.discard(letter.way)
            self._stirred.set()

    async def _note(self, facts: Sequence[Fact]) -> None:
        """Write it down, as often as it takes: what was told and not noted would be told again."""
        while True:
            try:
                await self.node.record(*facts, by=self.by)
                return
            except LedgerError as error:
                log.warning("somebody was told and it could not be noted yet: %s", error)
                await asyncio.sleep(_LEDGER_WAIT)

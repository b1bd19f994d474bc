"""When is each check due?

At a fixed rate on the wall clock: slot n of a check begins n intervals after 1970 plus a phase that
comes from the check's name. So nothing needs to be remembered: all checks start within one
interval, evenly spread; after a restart they keep their slots; two places take turns; and changing
one check disturbs no other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush, heapreplace
from typing import Generic, TypeVar

from detente.kernel.clock import NS, Instant, Seconds

SHORTEST_INTERVAL = 0.01


def interval_ns(every: Seconds) -> int:
    """An interval in whole nanoseconds."""
    return max(round(every * NS), round(SHORTEST_INTERVAL * NS))


def phase(probe: str, every: Seconds, place: str = "") -> int:
    """How far into each interval this probe's slots begin, in nanoseconds.

    The name decides on a fraction of the interval, so changing the interval keeps the order.
    """
    digest = hashlib.blake2b(f"{place}\0{probe}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) * interval_ns(every) >> 64


def slot_at(now: Instant, interval: int, offset: int) -> Instant:
    """The newest slot that has begun."""
    return (now - offset) // interval * interval + offset


def slots(
    probe: str, every: Seconds, start: Instant, end: Instant, *, place: str = ""
) -> Iterator[Instant]:
    """Every slot that begins in [start, end): what must be accounted for."""
    interval, offset = interval_ns(every), phase(probe, every, place)
    return iter(range(slot_at(start - 1, interval, offset) + interval, end, interval))


def lateness_limit(every: Seconds) -> Seconds:
    """How late a run may start and still speak about the target rather than about us.

    One second is what a busy machine takes without meaning anything; of a long interval a tenth is
    as harmless. But never more than half of it: what starts later belongs to the next slot.
    """
    return min(max(1.0, every / 10), every / 2)


Item = TypeVar("Item")


class Turn(Generic[Item]):
    """One item on the schedule, and when its next slot begins."""

    __slots__ = ("due", "interval", "item", "offset", "on")

    def __init__(self, item: Item, interval: int, offset: int) -> None:
        self.item = item
        self.interval = interval
        self.offset = offset
        self.due: Instant = 0
        self.on = True

    def wait_for_next(self, now: Instant) -> None:
        self.due = slot_at(now, self.interval, self.offset) + self.interval


class Schedule(Generic[Item]):
    """Whose turn is it?"""

    def __init__(self) -> None:
        self._heap: list[tuple[Instant, int, Turn[Item]]] = []
        self._added = 0
        self._removed = 0

    def __len__(self) -> int:
        return len(self._heap) - self._removed

    def add(
        self, item: Item, every: Seconds, name: str, now: Instant, *, place: str = ""
    ) -> Turn[Item]:
        """Give an item its turns, the first one at its next slot."""
        turn = Turn(item, interval_ns(every), phase(name, every, place))
        turn.wait_for_next(now)
        self._added += 1
        heappush(self._heap, (turn.due, self._added, turn))
        return turn

    def remove(self, turn: Turn[Item]) -> None:
        """It gets no more turns."""
        turn.on = False
        self._removed += 1
        if self._removed > 64 and self._removed * 2 > len(self._heap):
            self._rebuild(turn for _, _, turn in self._heap if turn.on)

    def next_due(self) -> Instant | None:
        """When the next slot begins, or None if nothing is scheduled."""
        heap = self._heap
        while heap and not heap[0][2].on:
            heappop(heap)
            self._removed -= 1
        return heap[0][0] if heap else None

    def take(self, now: Instant, at_most: int) -> list[tuple[Item, Instant]]:
        """Those whose slot has begun, with that slot. Older slots they missed are not made up."""
        heap = self._heap
        taken: list[tuple[Item, Instant]] = []
        while len(taken) < at_most:
            due = self.next_due()
            if due is None or due > now:
                break
            _, order, turn = heap[0]
            slot = due if now - due < turn.interval else slot_at(now, turn.interval, turn.offset)
            turn.due = slot + turn.interval
            heapreplace(heap, (turn.due, order, turn))
            taken.append((turn.item, slot))
        return taken

    def start_over(self, now: Instant) -> list[tuple[Item, Instant]]:
        """Everyone waits for the next slot after `now`: nothing bursts after a pause or a clock step.

        Answers with those who were overdue, and the newest slot each of them missed.
        """
        missed = []
        for _, _, turn in self._heap:
            if turn.on and turn.due <= now:
                missed.append((turn.item, slot_at(now, turn.interval, turn.offset)))
            turn.wait_for_next(now)
        self._rebuild(turn for _, _, turn in self._heap if turn.on)
        return missed

    def _rebuild(self, turns: Iterable[Turn[Item]]) -> None:
        self._heap = [(turn.due, order, turn) for order, turn in enumerate(turns)]
        self._added = len(self._heap)
        self._removed = 0
        heapify(self._heap)

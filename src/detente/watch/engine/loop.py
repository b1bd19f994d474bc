"""What happens next: bytes on a socket, or a deadline?

One epoll, one set of deadlines, and an honest account of the time the loop itself lost.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Protocol

from detente.kernel.clock import Seconds

READ = select.EPOLLIN
WRITE = select.EPOLLOUT
BROKEN = select.EPOLLERR | select.EPOLLHUP

TICKS = 128  # a second: deadlines need no finer grain, and coarse ones are cheap to take back
LOST = 0.05  # seconds of delay in one round that are worth remembering

Handler = Callable[[int], None]


class Deadline(Protocol):
    """Something that gives up when its time has come."""

    __slots__ = ()

    def expire(self) -> None: ...


class Deadlines:
    """Who gives up when: sets of waiters by tick, so that taking one back costs next to nothing."""

    def __init__(self) -> None:
        self._sets: dict[int, set[Deadline]] = {}
        self._ticks: list[int] = []

    def add(self, waiter: Deadline, at: Seconds) -> int:
        """Expire this waiter at that time. Answers with the tick by which to take it back."""
        tick = int(at * TICKS) + 1
        waiters = self._sets.get(tick)
        if waiters is None:
            self._sets[tick] = {waiter}
            heappush(self._ticks, tick)
        else:
            waiters.add(waiter)
        return tick

    def discard(self, waiter: Deadline, tick: int) -> None:
        """It no longer waits."""
        waiters = self._sets.get(tick)
        if waiters is not None:
            waiters.discard(waiter)

    def next(self) -> Seconds | None:
        """When somebody expires next."""
        while self._ticks:
            if self._sets[self._ticks[0]]:
                return self._ticks[0] / TICKS
            del self._sets[heappop(self._ticks)]
        return None

    def expire(self, now: Seconds) -> None:
        """Tell everyone whose time has come."""
        while self._ticks and self._ticks[0] / TICKS <= now:
            waiters = self._sets.pop(heappop(self._ticks))
            while waiters:
                waiters.pop().expire()


class Loop:
    """Waits for sockets and deadlines and tells whoever watches them."""

    def __init__(self, monotonic: Callable[[], Seconds] = time.monotonic) -> None:
        self.monotonic = monotonic
        self.deadlines = Deadlines()
        self.lost: Seconds = 0.0  # all the time this loop ever kept others waiting
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._lately: Seconds = 0.0
        self._since = monotonic()

    def watch(self, fd: int, events: int, handler: Handler) -> None:
        """Call the handler whenever one of these events is ready on that descriptor."""
        self._epoll.register(fd, events)
        self._handlers[fd] = handler

    def change(self, fd: int, events: int, handler: Handler) -> None:
        """The same descriptor, other events, another handler."""
        self._epoll.modify(fd, events)
        self._handlers[fd] = handler

    def closing(self, fd: int) -> None:
        """This descriptor is about to be closed, which is all that epoll needs to forget it."""
        self._handlers.pop(fd, None)

    def unwatch(self, fd: int) -> None:
        """Forget a descriptor that stays open."""
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def turn(self, longest: Seconds) -> None:
        """Wait at most that long, once, and handle what came."""
        before = self._look_at_the_clock()
        wait = max(0.0, longest)
        deadline = self.deadlines.next()
        if deadline is not None:
            wait = min(wait, max(0.0, deadline - before))
        ready = self._epoll.poll(wait, 1024)
        now = self._look_at_the_clock(wait)
        handlers = self._handlers
        for fd, events in ready:
            handler = handlers.get(fd)
            if handler is not None:
                handler(events)
        self.deadlines.expire(now)

    def lost_lately(self) -> Seconds:
        """How much time was lost since the last time somebody asked."""
        self._look_at_the_clock()
        lately, self._lately = self._lately, 0.0
        return lately

    def _look_at_the_clock(self, meant: Seconds = 0.0) -> Seconds:
        """The time. If more of it has gone by than was meant to, that is lost."""
        now = self.monotonic()
        lost = now - self._since - meant
        self._since = now
        if lost > LOST:
            self.lost += lost
            self._lately += lost
        return now

    def close(self) -> None:
        self._handlers.clear()
        self._epoll.close()

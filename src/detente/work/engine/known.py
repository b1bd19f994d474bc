"""What did they answer when they last answered?

Good answers are remembered by a key, for as long as was agreed and no longer, and handed out with
their age when the other side is away. In memory, and if a file is named also on disk, so that a
program that restarts in the middle of the outage still knows (see `kept`).
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import WeakSet

import msgspec

from detente.kernel.clock import Clock, Seconds

if TYPE_CHECKING:
    from detente.work.engine.kept import Disk

R = TypeVar("R")


class Known(msgspec.Struct, Generic[R], frozen=True):
    """An answer, and how old it is in seconds: 0 if they gave it just now."""

    value: R
    age: Seconds = 0.0

    @property
    def is_old(self) -> bool:
        """Is it a former answer, because they could not be asked?"""
        return self.age > 0


class Memory:
    """The last good answers of one guard. Safe for threads and after a fork."""

    def __init__(
        self,
        name: str,
        *,
        most: int,
        file: Path | None = None,
        now: Callable[[], Seconds] = time.monotonic,
        clock: Clock | None = None,
    ) -> None:
        self._now = now
        self._most = most
        self._lock = threading.Lock()
        self._answers: OrderedDict[Hashable, tuple[Any, Seconds]] = OrderedDict()
        self._disk = None if file is None else _disk(file, name, most, clock)
        _all.add(self)

    def remember(self, key: Hashable, value: Any) -> None:
        """They answered."""
        with self._lock:
            self._answers[key] = (value, self._now())
            self._answers.move_to_end(key)
            if len(self._answers) > self._most:
                self._answers.popitem(last=False)
            if self._disk is not None:
                self._disk.write(key, value)

    def recall(self, key: Hashable, kind: Any = Any) -> Known[Any] | None:
        """What they last said, however long ago; the youngest if memory and disk differ."""
        with self._lock:
            kept = self._answers.get(key)
            # Never 0: that would mean that they said so just now.
            here = None if kept is None else Known(kept[0], max(self._now() - kept[1], 1e-9))
            there = None if self._disk is None else self._disk.read(key, kind)
        known = [each for each in (here, there) if each is not None]
        return min(known, key=lambda each: each.age, default=None)

    def forget(self, key: Hashable) -> None:
        """They took it back."""
        with self._lock:
            self._answers.pop(key, None)
            if self._disk is not None:
                self._disk.forget(key)

    def after_fork(self) -> None:
        """Another thread of the parent may have held the lock; it does not live here."""
        self._lock = threading.Lock()


def _disk(file: Path, name: str, most: int, clock: Clock | None) -> Disk:
    from detente.kernel.clock import SystemClock
    from detente.work.engine.kept import Disk

    return Disk(file, name, most, clock or SystemClock())


_all: WeakSet[Memory] = WeakSet()


def _after_fork() -> None:
    for memory in list(_all):
        memory.after_fork()


os.register_at_fork(after_in_child=_after_fork)

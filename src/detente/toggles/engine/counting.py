"""How often was each toggle asked for, and how did it turn out? What a program tells its node.

Without it nobody could say that a toggle is dead, or that things fail for those who got the new way.
It is told on a best effort: nothing waits for it, and nothing breaks without it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping

import msgspec

from detente.kernel.clock import Clock, Instant

_MOST = 10_000  # toggles times variants in one batch; more is a name made of users' data


class Usage(msgspec.Struct, omit_defaults=True):
    """How often one variant was the answer, and how what came of it turned out."""

    asked: int = 0
    worked: int = 0
    failed: int = 0


class Batch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one program tells at once. The same id is counted once, however often it arrives."""

    id: str
    program: str
    since: Instant
    until: Instant
    counts: Mapping[str, Mapping[str, Usage]]  # by toggle and variant; "" is the program's default


HandedOut = Iterable[tuple[str, str | None, list[int]]]


class Counter:
    """Counts until somebody takes the batch."""

    def __init__(self, program: str, clock: Clock) -> None:
        self._program = program
        self._clock = clock
        self._since = clock.now()
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str], Usage] = {}
        self.outcomes = 0  # told and not yet taken

    def collect(self, handed_out: HandedOut) -> None:
        """Empty the cells in which rule books count."""
        for toggle, variant, cell in handed_out:
            count = cell[0]
            if count:
                cell[0] -= count
                with self._lock:
                    self._of(toggle, variant).asked += count

    def outcome(self, toggle: str, variant: str | None, *, ok: bool) -> None:
        with self._lock:
            usage = self._of(toggle, variant)
            usage.worked += ok
            usage.failed += not ok
            self.outcomes += 1

    def take(self) -> Batch | None:
        """All that was counted, or None if nothing was."""
        with self._lock:
            counts, self._counts, self.outcomes = self._counts, {}, 0
        since, self._since = self._since, self._clock.now()
        if not counts:
            return None
        by_toggle: dict[str, dict[str, Usage]] = {}
        for (toggle, variant), usage in counts.items():
            by_toggle.setdefault(toggle, {})[variant] = usage
        return Batch(
            id=os.urandom(12).hex(),
            program=self._program,
            since=since,
            until=self._since,
            counts=by_toggle,
        )

    def _of(self, toggle: str, variant: str | None) -> Usage:
        key = (toggle, variant or "")
        usage = self._counts.get(key)
        if usage is None:
            usage = Usage()
            if len(self._counts) < _MOST:
                self._counts[key] = usage
        return usage


def encoded(batch: Batch) -> bytes:
    return msgspec.json.encode(batch)

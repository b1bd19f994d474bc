"""Is it them, or are we cut off ourselves?

A few places that never all fail at once are named as canaries. When a check gets no answer, its
verdict waits a moment until one canary answers. If none does, the silence is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from detente.kernel.clock import Seconds
from detente.watch.engine.loop import Loop

APART = 1.0  # seconds between two rounds at least

Held = TypeVar("Held")
Ask = Callable[[str, Callable[[bool], None]], None]
"""Connects to one canary and says, later, whether it answered."""


class Canaries(Generic[Held]):
    """Holds verdicts back until it is clear whose silence it is."""

    def __init__(
        self, loop: Loop, places: Sequence[str], ask: Ask, release: Callable[[Held, bool], None]
    ) -> None:
        self.loop = loop
        self.places = tuple(places)
        self._ask = ask
        self._release = release
        self._waiting: list[tuple[Seconds, Held]] = []
        self._out = 0  # canaries that have not yet said anything
        self._began: Seconds = float("-inf")
        self._tick = 0
        self._cut_off: bool | None = None  # what the last round found

    def judge(self, held: Held, since: Seconds) -> None:
        """Release this once a round that began after `since` has found out."""
        if self._began >= since and self._cut_off is not None:
            self._release(held, self._cut_off)
            return
        self._waiting.append((since, held))
        self._set_out()

    def _set_out(self) -> None:
        if self._out or not self._waiting:
            return
        wait = self._began + APART - self.loop.monotonic()
        if wait > 0:
            self._out = -1
            self._tick = self.loop.deadlines.add(self, self._began + APART)
            return
        self._start_round()

    def expire(self) -> None:
        self._out = 0
        self._start_round()

    def _start_round(self) -> None:
        self._began = self.loop.monotonic()
        self._cut_off = None
        self._out = len(self.places)
        began = self._began
        for place in self.places:
            self._ask(place, lambda answered: self._heard(began, answered))

    def _heard(self, round_began: Seconds, answered: bool) -> None:
        if round_began != self._began:
            return
        self._out -= 1
        if answered and self._cut_off is None:
            self._found_out(False)
        elif self._out == 0 and self._cut_off is None:
            self._found_out(True)
        if self._out == 0:
            self._set_out()

    def _found_out(self, cut_off: bool) -> None:
        self._cut_off = cut_off
        waiting, self._waiting = self._waiting, []
        for since, held in waiting:
            if since <= self._began:
                self._release(held, cut_off)
            else:
                self._waiting.append((since, held))

    def close(self) -> list[Held]:
        """Ask no more. Answers with what was still held back."""
        self.loop.deadlines.discard(self, self._tick)
        self._began = float("inf")  # whatever still comes belongs to no round
        held = [one for _, one in self._waiting]
        self._waiting.clear()
        return held

"""The list of cards: one line a slice."""

from __future__ import annotations

from detente.kernel.slice import Slice
from detente.watch.slice import card as watch
from detente.work.slice import card as work

CARDS: tuple[Slice, ...] = (watch, work)

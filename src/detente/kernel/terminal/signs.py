"""How does it look at a glance: a sign, a word, a day in one line?"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from rich.text import Text

from detente.kernel.clock import Instant
from detente.kernel.fact import Tone
from detente.kernel.terminal.words import SIGNS, STYLES, WORDS, worst

Part = tuple[Instant, Instant | None, Tone]


def sign(tone: Tone) -> Text:
    """The shape alone, where words follow."""
    return Text(SIGNS[tone], style=STYLES[tone])


def status(tone: Tone, word: str = "") -> Text:
    """The shape and a word."""
    return Text.assemble((SIGNS[tone], STYLES[tone]), " ", word or WORDS[tone])


_BLOCKS: dict[Tone, str] = {"good": "▆", "warn": "▃", "bad": "▁", "plain": "·"}


def bar(parts: Iterable[Part], start: Instant, end: Instant, cells: int = 24) -> Text:
    """Time as one line of blocks, dipping where something was wrong: a cell is as bad as its worst."""
    told = [(left, end if right is None else right, tone) for left, right, tone in parts]
    step = (end - start) / cells
    tones = [
        _worst_in(told, start + cell * step, start + (cell + 1) * step) for cell in range(cells)
    ]
    drawn = Text()
    for tone, same in groupby(tones):
        drawn.append(_BLOCKS[tone] * len(list(same)), style=STYLES[tone])
    return drawn


def _worst_in(parts: Iterable[tuple[Instant, Instant, Tone]], left: float, right: float) -> Tone:
    return worst(tone for begin, finish, tone in parts if begin < right and finish > left)

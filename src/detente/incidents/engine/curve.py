"""How is a story's curve drawn?

Its five acts stand side by side, each as wide as reading it needs, and time runs evenly inside each:
an exposition of days and a climax of seconds are both seen. Heights are the play's own, from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import msgspec

from detente.incidents.engine.acts import Act, Name, Play
from detente.kernel.clock import Instant

_NUMERALS = ("I", "II", "III", "IV", "V")
_NARROWEST: dict[Name, float] = {
    "exposition": 14.0,
    "rising action": 18.0,
    "climax": 13.0,
    "falling action": 18.0,
    "dénouement": 15.0,
}
_MOVING: tuple[Name, ...] = ("rising action", "falling action")


class Band(msgspec.Struct, frozen=True, kw_only=True):
    """Where one act stands, in percent of the width."""

    name: Name
    numeral: str
    left: float
    width: float
    start: Instant
    end: Instant


class Spot(msgspec.Struct, frozen=True, kw_only=True):
    """A point worth a word: the turn, the last suspense."""

    left: float
    height: float
    says: str


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """The drawing: x in percent of the width, heights from 0 to 1."""

    bands: tuple[Band, ...]
    points: tuple[tuple[float, float], ...]
    spots: tuple[Spot, ...]


def drawn(play: Play, end: Instant) -> Curve:
    """The curve up to `end`, which is now for what is not over."""
    bands = _bands(play, end)
    if not bands:
        return Curve(bands=(), points=(), spots=())
    top = play.peak or 1.0
    points = list(_steps(play, bands, top))
    last = points[-1][1] if points else 0.0
    start, finish = bands[0].left, bands[-1].left + bands[-1].width
    return Curve(
        bands=bands,
        points=((start, 0.0), *points, (finish, last)),
        spots=tuple(_spots(play, bands, top)),
    )


def sampled(curve: Curve, columns: int) -> list[float]:
    """The height in each of so many columns, the highest that it has there."""
    width = 100 / columns
    return [_highest(curve.points, each * width, (each + 1) * width) for each in range(columns)]


def _highest(points: Sequence[tuple[float, float]], left: float, right: float) -> float:
    before = [height for x, height in points if x <= left]
    inside = [height for x, height in points if left < x < right]
    return max([*before[-1:], *inside], default=0.0)


def _bands(play: Play, end: Instant) -> tuple[Band, ...]:
    """Only acts that were played; each lasts until the next begins."""
    played = [(index, act) for index, act in enumerate(play.acts) if act.moments]
    if not played:
        return ()
    starts = [act.moments[0].at for _, act in played]
    ends = [*starts[1:], max([end, *starts])]
    widths = _widths([act for _, act in played], starts, ends)
    lefts = [sum(widths[:index]) for index in range(len(widths))]
    return tuple(
        Band(
            name=act.name, numeral=_NUMERALS[index], left=round(left, 2), width=round(width, 2),
            start=start, end=finish,
        )
        for (index, act), left, width, start, finish in zip(
            played, lefts, widths, starts, ends, strict=True
        )
    )  # fmt: skip


def _widths(acts: Sequence[Act], starts: Sequence[Instant], ends: Sequence[Instant]) -> list[float]:
    """What is left over after each has what it needs goes to rising and falling, by their length."""
    needed = [_NARROWEST[act.name] for act in acts]
    lengths = [
        float(end - start) if act.name in _MOVING else 0.0
        for act, start, end in zip(acts, starts, ends, strict=True)
    ]
    spare = 100 - sum(needed)
    if not any(lengths):
        return [each * 100 / sum(needed) for each in needed]
    return [
        need + spare * length / sum(lengths) for need, length in zip(needed, lengths, strict=True)
    ]


def _place(at: Instant, bands: Sequence[Band]) -> float:
    """Where a moment stands; what lasts no time stands in the middle of its act."""
    band = [each for each in bands if each.start <= at][-1:] or [bands[0]]
    start, end = band[0].start, band[0].end
    part = 0.5 if end <= start else min(1.0, max(0.0, (at - start) / (end - start)))
    return round(band[0].left + part * band[0].width, 2)


def _steps(play: Play, bands: Sequence[Band], top: float) -> Iterator[tuple[float, float]]:
    before = 0.0
    for point in play.curve:
        if point.height != before:
            x = _place(point.at, bands)
            yield x, round(before / top, 4)
            yield x, round(point.height / top, 4)
            before = point.height


def _spots(play: Play, bands: Sequence[Band], top: float) -> Iterator[Spot]:
    for at, says in ((play.turn, "the turn"), (play.suspense, "the last suspense")):
        if at is not None:
            height = max(_height_before(play, at), _height_at(play, at)) / top
            yield Spot(left=_place(at, bands), height=round(height, 4), says=says)


def _height_at(play: Play, at: Instant) -> float:
    return next((each.height for each in reversed(play.curve) if each.at <= at), 0.0)


def _height_before(play: Play, at: Instant) -> float:
    return next(
        (before.height for before, after in pairwise(play.curve) if before.at < at <= after.at), 0.0
    )

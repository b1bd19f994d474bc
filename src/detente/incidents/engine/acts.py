"""How does what happened read as a story in five acts?

Freytag's pyramid, computed: a list of moments, each of which may lift or lower the curve (what is
down, or the money at risk an hour), is cut into exposition, rising action, climax, falling action and
dénouement. The climax is the turn and not the end: what somebody did last before the curve falls for
good. What lifts it once more on its way down is the last suspense. Works for incidents, for
releases, and for stories that somebody brings along.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Literal

import msgspec

from detente.kernel.clock import Instant

Sort = Literal["calm", "change", "failure", "notice", "action", "recovery", "end", "note"]
"""What kind of moment: only an `action` can be the turn; a `note` is told and means nothing."""

Name = Literal["exposition", "rising action", "climax", "falling action", "dénouement"]

NAMES: tuple[Name, ...] = (
    "exposition",
    "rising action",
    "climax",
    "falling action",
    "dénouement",
)


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened, in a sentence, and where that is written."""

    at: Instant
    sort: Sort
    says: str
    lift: float = 0.0  # by how much the curve rises (or falls) with it
    cites: tuple[int, ...] = ()  # positions in the ledger, or lines of a file


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """One act: its moments, and one sentence about what it is here."""

    name: Name
    says: str
    moments: tuple[Moment, ...] = ()


class Point(msgspec.Struct, frozen=True):
    """The curve from this moment on, until the next."""

    at: Instant
    height: float


class Play(msgspec.Struct, frozen=True, kw_only=True):
    """The five acts and their curve. An act that did not take place is there, and says so."""

    acts: tuple[Act, ...]
    curve: tuple[Point, ...]
    peak: float
    over: bool  # the curve has come down to nothing
    turn: Instant | None = None
    turned_by_hand: bool = False
    suspense: Instant | None = None  # when it rose once more, on its way down


_NEARLY = 1e-9


def play(moments: Iterable[Moment]) -> Play:
    """The story of these moments."""
    told = sorted(moments, key=lambda each: each.at)
    heights = list(accumulate((each.lift for each in told), _lifted, initial=0.0))[1:]
    first = next((i for i, height in enumerate(heights) if height > _NEARLY), len(told))
    turn, by_hand = _turn(told, heights, first)
    over = not heights or heights[-1] <= _NEARLY
    last = _came_to_rest(heights, turn, over=over)
    suspense = _suspense(told, turn, last)
    cuts = (0, first, turn, min(turn + 1, len(told)), last, len(told))
    return Play(
        acts=_acts(told, cuts, over=over, by_hand=by_hand, suspense=suspense),
        curve=tuple(Point(each.at, height) for each, height in zip(told, heights, strict=True)),
        peak=max(heights, default=0.0),
        over=over,
        turn=told[turn].at if turn < len(told) else None,
        turned_by_hand=by_hand,
        suspense=None if suspense is None else told[suspense].at,
    )


def _lifted(height: float, lift: float) -> float:
    return max(0.0, height + lift)


def _turn(told: Sequence[Moment], heights: Sequence[float], first: int) -> tuple[int, bool]:
    """Where it turns, and whether somebody turned it; the end of the list if it never does.

    What was done last before the curve came down turned it. A part that mends itself on the way is
    passed over for that, as long as half of the height is still there.
    """
    falls = list(_falls_for_good(heights, first))
    half = max(heights, default=0.0) / 2
    for fall in falls:
        action = _done_before(told, fall, first)
        if action is not None and heights[fall - 1] >= half - _NEARLY:
            return action, True
    return (falls[0], False) if falls else (len(told), False)


def _falls_for_good(heights: Sequence[float], first: int) -> Iterator[int]:
    """Each lowering after which the curve never again is as high as it was before it."""
    for index in range(first + 1, len(heights)):
        before = heights[index - 1] - _NEARLY
        if heights[index] < before and max(heights[index:]) < before:
            yield index


def _done_before(told: Sequence[Moment], fall: int, first: int) -> int | None:
    """What somebody did last before this lowering, with nothing rising or falling in between."""
    for index in range(fall, first, -1):
        moment = told[index]
        if moment.sort == "action" and moment.lift <= _NEARLY:
            return index
        if index < fall and abs(moment.lift) > _NEARLY:
            return None
    return None


def _came_to_rest(heights: Sequence[float], turn: int, *, over: bool) -> int:
    """Where the dénouement begins: after the moment that brought the curve down to nothing."""
    if not over or turn >= len(heights):
        return len(heights)
    up = [index for index, height in enumerate(heights) if height > _NEARLY]
    return max(turn + 1, up[-1] + 2 if up else turn + 1)


def _suspense(told: Sequence[Moment], turn: int, last: int) -> int | None:
    """The last time it rose in the falling action."""
    rises = [i for i in range(turn + 1, min(last, len(told))) if told[i].lift > _NEARLY]
    return rises[-1] if rises else None


def _acts(
    told: Sequence[Moment],
    cuts: Sequence[int],
    *,
    over: bool,
    by_hand: bool,
    suspense: int | None,
) -> tuple[Act, ...]:
    parts = [tuple(told[start:end]) for start, end in pairwise(cuts)]
    begun, turned = bool(parts[1] or parts[2]), bool(parts[2])
    sentences = (
        _exposition(parts[0], begun=begun),
        _rising(parts[1], begun=begun, turned=turned),
        _climax(turned=turned, begun=begun, by_hand=by_hand),
        _falling(parts[3], turned=turned, over=over, suspense=suspense is not None),
        _denouement(parts[4], begun=begun, over=over),
    )
    return tuple(
        Act(name=name, says=says, moments=moments)
        for name, says, moments in zip(NAMES, sentences, parts, strict=True)
    )


def _exposition(moments: Sequence[Moment], *, begun: bool) -> str:
    if not begun:
        return "Nothing has gone wrong in what is told here."
    changes = sum(each.sort == "change" for each in moments)
    if changes:
        return "How things stood, and what was changed before anything failed."
    return "Nothing is on record that led up to it." if not moments else "How things stood."


def _rising(moments: Sequence[Moment], *, begun: bool, turned: bool) -> str:
    if not begun:
        return "There was none."
    if not moments:
        return "It went wrong and turned in the same moment."
    return (
        "From the first failure to the turn."
        if turned
        else "From the first failure on; no turn yet."
    )


def _climax(*, turned: bool, begun: bool, by_hand: bool) -> str:
    if not turned:
        return "It has not turned yet." if begun else "There was none."
    if by_hand:
        return "The turn: what was done last before it got better for good."
    return "The turn came by itself: nothing on record that anybody did stands before it."


def _falling(moments: Sequence[Moment], *, turned: bool, over: bool, suspense: bool) -> str:
    if not turned:
        return "Not written yet." if not over else "There was none."
    if not moments:
        return "It was over at once."
    if suspense:
        return "It got better, and once more it looked as if it would not last."
    return "It got better." if over else "It gets better, and is not over yet."


def _denouement(moments: Sequence[Moment], *, begun: bool, over: bool) -> str:
    if not over:
        return "Not written yet."
    if not begun:
        return "There was none."
    return "What it came to, and what was made of it." if moments else "Nothing more is on record."

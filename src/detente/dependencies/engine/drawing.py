"""Where does everything stand in the drawing?

Journeys at the top, services below them, and at the bottom what these run on: vendors and
infrastructure. Whoever needs something stands above it. Within a row, things move below those that
need them, so that few lines cross.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from detente.kernel.fact import Subject, kind
from detente.kernel.needs import Need, Needs

Sort = Literal["needs", "spare", "without"]
"""How something is needed: nothing else will do, others could stand in, or one can live without it."""

BOX_WIDTH, BOX_HEIGHT = 152, 50
_GAP, _BETWEEN_LINES, _BETWEEN_ROWS = 22, 26, 66
_WIDEST = 6  # boxes beside each other; more than that go below
_MARGIN = 14
_SWEEPS = 4
_PORT = 16  # between two lines that leave the same box

_BANDS = {"journey": 0, "service": 1, "vendor": 2, "infrastructure": 2}


class Box(msgspec.Struct, frozen=True):
    """Where one thing stands: its left upper corner."""

    node: Subject
    x: int
    y: int


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One need, from whoever needs (above) to what is needed (below)."""

    who: Subject
    what: Subject
    sort: Sort
    path: str  # for an SVG path


class Tag(msgspec.Struct, frozen=True):
    """How many of several lines are enough, written where they leave."""

    x: int
    y: int
    says: str


class Drawing(msgspec.Struct, frozen=True, kw_only=True):
    """Everything in its place."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    tags: tuple[Tag, ...]


def draw(needs: Needs, nodes: Iterable[Subject]) -> Drawing:
    """These nodes and what they need of each other."""
    drawn = list(dict.fromkeys(nodes))
    edges = [each for each in _edges(needs, drawn) if each[0] != each[1]]
    rows = _in_order(_rows(drawn, edges), edges)
    boxes = {box.node: box for box in _placed(rows)}
    width = max((box.x + BOX_WIDTH for box in boxes.values()), default=0) + _MARGIN
    height = max((box.y + BOX_HEIGHT for box in boxes.values()), default=0) + _MARGIN
    lines = tuple(_lines(edges, boxes))
    tags = tuple(_tags(needs, boxes))
    return Drawing(width=width, height=height, boxes=tuple(boxes.values()), lines=lines, tags=tags)


def sort_of(need: Need) -> Sort:
    if need.soft:
        return "without"
    return "spare" if len(set(need.of)) > need.at_least else "needs"


def _edges(needs: Needs, drawn: Sequence[Subject]) -> Iterator[tuple[Subject, Subject, Sort]]:
    there = set(drawn)
    for node in drawn:
        for need in needs.nodes.get(node, ()):
            for member in dict.fromkeys(need.of):
                if member in there:
                    yield node, member, sort_of(need)


def _rows(
    drawn: Sequence[Subject], edges: Sequence[tuple[Subject, Subject, Sort]]
) -> list[list[Subject]]:
    """Band by band, and in each band as deep as its longest way down."""
    rows: list[list[Subject]] = []
    for band in range(3):
        members = [each for each in drawn if _BANDS[kind(each)] == band]
        depth = _depths(members, edges)
        rows += (
            [each for each in members if depth[each] == level]
            for level in range(max(depth.values(), default=-1) + 1)
        )
    return rows


def _depths(
    members: Sequence[Subject], edges: Sequence[tuple[Subject, Subject, Sort]]
) -> dict[Subject, int]:
    """How far below the top of its band each stands. What needs itself in a circle stays where it is."""
    inside, above = set(members), defaultdict(list)
    for who, what, _ in edges:
        if who in inside and what in inside:
            above[what].append(who)
    depth = dict.fromkeys(members, 0)
    for _ in members:
        moved = {
            each: 1 + max(depth[who] for who in above[each]) for each in members if above[each]
        }
        changed = {
            each: level for each, level in moved.items() if depth[each] < level < len(members)
        }
        if not changed:
            break
        depth |= changed
    return _closed_up(depth)


def _closed_up(depth: Mapping[Subject, int]) -> dict[Subject, int]:
    """Without empty levels, which circles leave behind."""
    levels = {level: index for index, level in enumerate(sorted(set(depth.values())))}
    return {each: levels[level] for each, level in depth.items()}


def _in_order(
    rows: list[list[Subject]], edges: Sequence[tuple[Subject, Subject, Sort]]
) -> list[list[Subject]]:
    """Each below the middle of those that need it, then above the middle of what it needs."""
    beside: dict[Subject, list[Subject]] = defaultdict(list)
    for who, what, _ in edges:
        beside[who].append(what)
        beside[what].append(who)
    for sweep in range(_SWEEPS):
        place = {each: index / len(row) for row in rows for index, each in enumerate(row)}
        for row in rows if sweep % 2 == 0 else reversed(rows):
            row.sort(key=_middle(beside, place))
            place |= {each: (index + 0.5) / len(row) for index, each in enumerate(row)}
    return rows


def _middle(
    beside: Mapping[Subject, Sequence[Subject]], place: Mapping[Subject, float]
) -> Callable[[Subject], float]:
    def middle(node: Subject) -> float:
        near = beside.get(node, ())
        return sum(place[each] for each in near) / len(near) if near else place[node]

    return middle


def _placed(rows: Sequence[Sequence[Subject]]) -> Iterator[Box]:
    """Rows that are too wide go on below themselves; each line stands in the middle."""
    widest = min(_WIDEST, max((len(row) for row in rows), default=0))
    y = _MARGIN
    for row in rows:
        count = -(-len(row) // _WIDEST)
        for start in range(count):
            line = row[start::count]
            free = (widest - len(line)) * (BOX_WIDTH + _GAP)
            for index, node in enumerate(line):
                yield Box(node, _MARGIN + free // 2 + index * (BOX_WIDTH + _GAP), y)
            y += BOX_HEIGHT + (_BETWEEN_ROWS if start == count - 1 else _BETWEEN_LINES)


def _lines(
    edges: Sequence[tuple[Subject, Subject, Sort]], boxes: Mapping[Subject, Box]
) -> Iterator[Line]:
    leaving, coming = defaultdict(list), defaultdict(list)
    for who, what, _ in edges:
        leaving[who].append(what)
        coming[what].append(who)
    for who, what, sort in edges:
        begins = boxes[who].x + _port(leaving[who], what, boxes)
        ends = boxes[what].x + _port(coming[what], who, boxes)
        top, bottom = boxes[who].y + BOX_HEIGHT, boxes[what].y
        bend = max(24, abs(bottom - top) // 2)
        path = f"M{begins} {top}C{begins} {top + bend} {ends} {bottom - bend} {ends} {bottom}"
        yield Line(who=who, what=what, sort=sort, path=path)


def _port(others: Sequence[Subject], other: Subject, boxes: Mapping[Subject, Box]) -> int:
    """Lines leave a box side by side, in the order of where they lead."""
    ordered = sorted(set(others), key=lambda each: (boxes[each].x, boxes[each].y))
    step = min(_PORT, (BOX_WIDTH - 24) // max(1, len(ordered)))
    return BOX_WIDTH // 2 + round((ordered.index(other) - (len(ordered) - 1) / 2) * step)


def _tags(needs: Needs, boxes: Mapping[Subject, Box]) -> Iterator[Tag]:
    for node, box in boxes.items():
        groups = [
            need
            for need in needs.nodes.get(node, ())
            if sort_of(need) == "spare" and any(each in boxes for each in need.of)
        ]
        said = ", ".join(f"{each.at_least} of {len(set(each.of))}" for each in groups)
        if said:
            yield Tag(box.x + BOX_WIDTH - 4, box.y + BOX_HEIGHT + 14, said)
